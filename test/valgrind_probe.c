/* Every entry point a little, for valgrind.sh: no errors of its own. */
#include "c23.h"
#include "support.h"

#include <malloc.h>
#include <pthread.h>

static void *work(void *arg)
{
    struct rng rng = {(uintptr_t)arg};
    unsigned char *block[50] = {NULL};
    for (int i = 0; i < 1500; i++) {
        size_t k = rng_below(&rng, 50), n = rng_below(&rng, i % 8 ? 600 : 10000) + 1;
        switch (i % 8) {
        case 0:
            block[k] = realloc(block[k], n);
            break;
        case 1:
            block[k] = reallocarray(block[k], n, 1);
            break;
        case 2:
            free(block[k]);
            block[k] = calloc(n, 1);
            CHECK(all_zero(block[k], n), "calloc of %zu", n);
            break;
        case 3:
            cfree(block[k]);
            block[k] = aligned_alloc(64, n);
            break;
        case 4:
            free(block[k]);
            CHECK(posix_memalign((void **)&block[k], 256, n) == 0, "%zu bytes", n);
            break;
        case 5:
            free(block[k]);
            block[k] = i % 16 == 5 ? valloc(n) : pvalloc(n);
            break;
        default:
            free(block[k]);
            block[k] = malloc(n);
        }
        CHECK(malloc_usable_size(block[k]) >= n, "%zu bytes", n);
        memset(block[k], 1, n);
    }
    for (int k = 0; k < 50; k++) {
        free(block[k]);
    }
    free_sized(malloc(100), 100);
    free_aligned_sized(aligned_alloc(64, 128), 64, 128);
    return NULL;
}

static void single(void)
{
    work((void *)1);
    (void)mallinfo2();
    malloc_trim(0);
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
}

static void threads(void)
{
    pthread_t thread[3];
    for (uintptr_t i = 0; i < 3; i++) {
        pthread_create(&thread[i], NULL, work, (void *)i);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(thread[i], NULL);
    }
}

static int in_a_child(void *arg)
{
    work(arg);
    return tap_failures != 0;
}

static void children(void)
{
    CHECK_EQ(in_child(in_a_child, (void *)9, 90), 0, "the child");
}

static const struct tap_case cases[] = {
    {"one thread", single},
    {"several threads", threads},
    {"a child", children},
};

int main(int argc, char **argv)
{
    return TAP_RUN(cases, argc, argv);
}
