/* Not a test: memcheck.sh counts what valgrind finds here.  Every error is made once,
 * on purpose, with blocks of three sizes: one of a pool, one that the cache would keep
 * and one of the system's.  It links no allocator. */
#include "support.h"

#include <malloc.h>
#include <pthread.h>

static volatile char seen;
static void *volatile reachable;

/* What the compiler must not take for an error of its own. */
static char *bytes(void *block)
{
    return opaque(block);
}

static void out_of_bounds(size_t size)
{
    char *block = bytes(malloc(size));
    memset(block, 1, size);
    seen = block[size];
    block[size] = 1;
    seen = block[-1];
    free(block);
    block = bytes(calloc(size, 1));
    seen = block[size];
    free(block);
    block = bytes(aligned_alloc(64, size));
    block[size] = 1;
    free(block);
    /* Any block of a multiple of the alignment may be aligned by chance. */
    char *by_32[8];
    for (size_t i = 0; i < COUNT_OF(by_32); i++) {
        by_32[i] = bytes(memalign(32, size));
        by_32[i][size] = 1;
    }
    for (size_t i = 0; i < COUNT_OF(by_32); i++) {
        free(by_32[i]);
    }
    void *aligned = NULL;
    if (posix_memalign(&aligned, 256, size) == 0) {
        bytes(aligned)[size] = 1;
    }
    free(aligned);
}

static void after_realloc(size_t size)
{
    char *block = bytes(realloc(malloc(size), size + 9));
    block[size + 8] = 1;
    block[size + 9] = 1;
    block = bytes(realloc(block, size - 3));
    block[size - 4] = 1;
    block[size - 3] = 1;
    char *moved = bytes(realloc(block, 3 * size));
    block[0] = 1;
    free(moved);
}

static void after_free(size_t size)
{
    char *block = bytes(malloc(size));
    memset(block, 1, size);
    free(block);
    seen = block[0];
    block[size - 1] = 1;
}

static void bad_free(size_t size)
{
    char *block = bytes(malloc(size));
    free(bytes(block));
    free(bytes(block));
    block = bytes(malloc(size));
    free(bytes(block + 8));
    free(block);
    char local[64];
    free(bytes(local + 16));
}

static void uninitialised(size_t size)
{
    char *block = bytes(malloc(size));
    if (block[size / 2] != 0) {
        seen = 1;
    }
    free(block);
    block = bytes(calloc(size, 1));
    if (block[size / 2] != 0) {
        FAIL("calloc of %zu bytes", size);
    }
    /* What calloc has set may come back from malloc. */
    free(block);
    block = bytes(malloc(size));
    if (block[size / 2] != 0) {
        seen = 1;
    }
    free(block);
}

static void *free_it(void *block)
{
    free(block);
    return NULL;
}

static void freed_by_another_thread(size_t size)
{
    char *block = bytes(malloc(size));
    pthread_t thread;
    if (pthread_create(&thread, NULL, free_it, block) == 0) {
        pthread_join(thread, NULL);
    }
    seen = block[1];
    block = bytes(malloc(size));
    memset(block, 1, size);
    free(block);
}

static void leak(size_t size)
{
    void **first = opaque(malloc(size));
    *first = opaque(calloc(size, 1)); /* lost with it */
    (void)opaque(realloc(malloc(8), size));
    (void)opaque(aligned_alloc(64, size));
    void **kept = opaque(malloc(size));
    *kept = reachable;
    reachable = kept;
    first = NULL;
}

__attribute__((noinline)) static void make_errors(size_t size)
{
    out_of_bounds(size);
    after_realloc(size);
    after_free(size);
    bad_free(size);
    uninitialised(size);
    freed_by_another_thread(size);
    leak(size);
}

/* One call a size: valgrind counts errors of one stack of calls as one. */
int main(void)
{
    make_errors(13);
    make_errors(4096);
    make_errors(262144);
    char *empty = bytes(malloc(0));
    seen = empty[0];
    free(empty);
    return tap_failures != 0;
}
