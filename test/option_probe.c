/* Not a test: options.sh and secure.sh look at what this program writes.  It
 * allocates a little, also in a thread and a child if PYM_TEST_FORK is set, and
 * prints the options that its arguments name. */
#include "support.h"

#include <pthread.h>

static void *allocate(void *arg)
{
    for (size_t n = 0; n < 5000; n += 50) {
        free(opaque(malloc(n)));
    }
    return arg;
}

static int allocate_in_child(void *arg)
{
    allocate(arg);
    return 0;
}

int main(int argc, char **argv)
{
    allocate(NULL);
    if (getenv("PYM_TEST_FORK")) {
        pthread_t thread;
        pthread_create(&thread, NULL, allocate, NULL);
        pthread_join(thread, NULL);
        if (in_child(allocate_in_child, NULL, 20) != 0) {
            return 1;
        }
    }
    for (int i = 1; i < argc; i++) {
        char value[64];
        int error = pymalloc_option_get(argv[i], value, sizeof value);
        if (error) {
            fprintf(stderr, "%s: %s\n", argv[i], strerror(error));
            return 1;
        }
        printf("%s=%s\n", argv[i], value);
    }
    return 0;
}
