/* A whole program linked without the loader: static.sh builds it with the
 * archive in several ways. */
#include "support.h"

#include <malloc.h>
#include <pthread.h>

enum { BLOCKS = 300, ROUNDS = 3000 };

static void work(uint64_t seed)
{
    struct rng rng = {seed};
    static __thread unsigned char *block[BLOCKS];
    static __thread size_t size[BLOCKS];
    for (size_t i = 0; i < ROUNDS; i++) {
        size_t k = rng_below(&rng, BLOCKS);
        CHECK(!block[k] || pattern_holds(block[k], size[k], k), "%zu bytes", size[k]);
        if (i % 3 == 0) {
            block[k] = realloc(block[k], size[k] = rng_below(&rng, 40000) + 1);
        } else {
            free(block[k]);
            size[k] = rng_below(&rng, i % 8 ? 600 : 20000);
            block[k] = i % 2 ? malloc(size[k]) : aligned_alloc(64, size[k]);
        }
        CHECK(malloc_usable_size(block[k]) >= size[k], "%zu bytes", size[k]);
        pattern_fill(block[k], size[k], k);
    }
    for (size_t k = 0; k < BLOCKS; k++) {
        free(block[k]);
        block[k] = NULL;
    }
}

static void allocates(void)
{
    work(1);
    void *p = opaque(calloc(1000, 1000));
    CHECK(all_zero(p, 1000000), "a large calloc");
    free(p);
    errno = 0;
    CHECK(!malloc(opaque_size(SIZE_MAX)) && errno == ENOMEM, "the largest size");
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
}

static void *work_in_thread(void *arg)
{
    work((uintptr_t)arg);
    return NULL;
}

static void serves_threads(void)
{
    for (int round = 0; round < 5; round++) {
        pthread_t thread[4];
        for (uintptr_t i = 0; i < 4; i++) {
            pthread_create(&thread[i], NULL, work_in_thread, (void *)i);
        }
        for (int i = 0; i < 4; i++) {
            pthread_join(thread[i], NULL);
        }
    }
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
}

static int work_in_child(void *arg)
{
    work((uintptr_t)arg);
    return pymalloc_verify() != 0 || tap_failures != 0;
}

static void serves_children(void)
{
    for (uintptr_t i = 0; i < 10; i++) {
        CHECK_EQ(in_child(work_in_child, (void *)i, 20), 0, "child %d", (int)i);
    }
}

static void serves_stdio(void)
{
    char *line = NULL;
    size_t room = 0;
    FILE *f = fopen("/proc/self/status", "r");
    CHECK(f && getline(&line, &room, f) > 0, "reading a line");
    CHECK(!line || pymalloc_owns(line), "the line's buffer is not ours");
    free(line);
    if (f) {
        fclose(f);
    }
}

static const struct tap_case cases[] = {
    {"it allocates", allocates},
    {"it serves threads", serves_threads},
    {"it serves children", serves_children},
    {"it serves the C library", serves_stdio},
};

int main(int argc, char **argv)
{
    require_pymalloc();
    return TAP_RUN(cases, argc, argv);
}
