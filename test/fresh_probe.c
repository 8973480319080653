/* Not a test: fresh.sh compares what this program costs with and without
 * libpymalloc.  It does what a small program does, and prints its resident
 * kilobytes, but for those of the C library's and the loader's files: the kernel
 * maps pages of them in around those that are used, as it happens to have them.
 * Told "nothing", it does and prints nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long resident_kilobytes(void)
{
    char line[512];
    long sum = 0, kilobytes;
    int counts = 1;
    FILE *f = fopen("/proc/self/smaps", "r");
    if (!f) {
        return -1;
    }
    while (fgets(line, sizeof line, f)) {
        if (strstr(line, "-") && strchr(line, ' ') > strchr(line, '-')) {
            counts = !strstr(line, "/libc.so") && !strstr(line, "/ld-linux");
        } else if (counts && sscanf(line, "Rss: %ld", &kilobytes) == 1) {
            sum += kilobytes;
        }
    }
    fclose(f);
    return sum;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "nothing") == 0) {
        return 0;
    }
    size_t most = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    static void *block[64];
    for (size_t i = 0; i < most && i < 64; i++) {
        block[i] = malloc(i * 17);
        memset(block[i], 1, i * 17);
    }
    printf("%ld\n", resident_kilobytes());
    for (size_t i = 0; i < 64; i++) {
        free(block[i]);
    }
    return 0;
}
