/* Not a test: fresh.sh compares what this program costs with and without
 * libpymalloc.  It does what a small program does, and prints its resident
 * kilobytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    size_t most = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    static void *block[64];
    for (size_t i = 0; i < most && i < 64; i++) {
        block[i] = malloc(i * 17);
        memset(block[i], 1, i * 17);
    }
    char line[256];
    long kilobytes = -1;
    FILE *f = fopen("/proc/self/smaps_rollup", "r");
    while (f && fgets(line, sizeof line, f)) {
        if (sscanf(line, "Rss: %ld", &kilobytes) == 1) {
            break;
        }
    }
    printf("%ld\n", kilobytes);
    for (size_t i = 0; i < 64; i++) {
        free(block[i]);
    }
    return 0;
}
