/* Not a test: sanitized.sh builds this program with sanitizers and looks at what they
 * find.  The first argument is a size, the others name the errors that it makes. */
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static volatile char seen;
static volatile int number;

/* What the compiler must not take for an error of its own. */
static char *block_of(size_t size)
{
    char *volatile block = malloc(size);
    return block;
}

static void overrun(size_t size)
{
    char *block = block_of(size);
    seen = block[size];
    free(block);
}

static void after_free(size_t size)
{
    char *volatile block = block_of(size);
    free(block);
    seen = block[0];
}

static void twice_freed(size_t size)
{
    char *volatile block = block_of(size);
    free(block);
    free(block);
}

static void leak(size_t size)
{
    for (int i = 0; i < 10; i++) {
        memset(block_of(size), 1, size);
    }
}

static void uninitialised(size_t size)
{
    char *volatile block = block_of(size);
    if (block[size / 2]) {
        number++;
    }
    free(block);
}

static void *increment(void *arg)
{
    ++*(int *)arg;
    return NULL;
}

static void race(size_t size)
{
    int *counter = calloc(1, size + sizeof(int));
    pthread_t thread[2];
    for (int i = 0; i < 2; i++) {
        if (pthread_create(&thread[i], NULL, increment, counter)) {
            abort();
        }
    }
    for (int i = 0; i < 2; i++) {
        pthread_join(thread[i], NULL);
    }
    free(counter);
}

static void overflow(size_t size)
{
    number = INT_MAX - 5;
    number += (int)size;
}

static const struct {
    const char *name;
    void (*make)(size_t size);
} errors[] = {
    {"overrun", overrun},
    {"after-free", after_free},
    {"twice-freed", twice_freed},
    {"leak", leak},
    {"uninitialised", uninitialised},
    {"race", race},
    {"overflow", overflow},
};

int main(int argc, char **argv)
{
    size_t size = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
    free(realloc(block_of(13), 5000));
    for (int i = 2; i < argc; i++) {
        for (size_t k = 0; k < sizeof(errors) / sizeof(errors[0]); k++) {
            if (!strcmp(argv[i], errors[k].name)) {
                errors[k].make(size);
            }
        }
    }
    puts("at the end");
    return 0;
}
