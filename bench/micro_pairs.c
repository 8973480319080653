/*
 * A block is allocated and freed at once: the hit path of the allocator and nothing
 * else.  Every small size class, then powers of two up to 1 MiB.
 */
#include "micro.h"

#include <malloc.h>

static void malloc_free(gbench_state *state, void *arg)
{
    size_t size = (size_t)gbench_arg(state, 0);

    (void)arg;
    GBENCH_LOOP(state)
    {
        free(bench_hide(malloc(size)));
    }
    gbench_items(state, gbench_iterations(state));
}

static void calloc_free(gbench_state *state, void *arg)
{
    size_t size = (size_t)gbench_arg(state, 0);

    (void)arg;
    GBENCH_LOOP(state)
    {
        free(bench_hide(calloc(1, size)));
    }
    gbench_items(state, gbench_iterations(state));
    gbench_bytes(state, gbench_iterations(state) * gbench_arg(state, 0));
}

/* Sizes that the branch predictor and the caches cannot foresee. */
static void mixed_sizes(gbench_state *state, void *arg)
{
    enum { SIZES = 4096 };
    struct bench_rng rng = bench_rng_make((uint64_t)gbench_thread_index(state));
    size_t largest = (size_t)gbench_arg(state, 0);
    size_t *sizes = bench_map(SIZES * sizeof *sizes);
    size_t i = 0;

    (void)arg;
    for (size_t k = 0; k < SIZES; k++)
        sizes[k] = bench_rng_doubling(&rng, 16, largest);
    GBENCH_LOOP(state)
    {
        free(bench_hide(malloc(sizes[i++ % SIZES])));
    }
    gbench_items(state, gbench_iterations(state));
    bench_unmap(sizes, SIZES * sizeof *sizes);
}

static void usable_size(gbench_state *state, void *arg)
{
    void *block = bench_must(malloc((size_t)gbench_arg(state, 0)));
    size_t sum = 0;

    (void)arg;
    GBENCH_LOOP(state)
    {
        sum += malloc_usable_size(bench_hide(block));
    }
    if (sum < (size_t)gbench_arg(state, 0))
        gbench_skip(state, "malloc_usable_size is less than what was asked for");
    free(block);
}

void micro_register_pairs(void)
{
    static const char *const size_name[] = {"size"};
    static const int64_t threaded_sizes[] = {64, 512, 4096, 65536};
    static const int64_t other_sizes[] = {16, 64, 256, 512, 1024, 16384, 262144};
    gbench *b = gbench_register("malloc_free", malloc_free, NULL);

    gbench_arg_names(b, size_name, 1);
    gbench_add_dense_range(b, 16, 512, 16);
    gbench_add_range(b, 1024, 1024 * 1024, 2);

    b = gbench_register("malloc_free_threads", malloc_free, NULL);
    gbench_arg_names(b, size_name, 1);
    for (size_t i = 0; i < BENCH_COUNT(threaded_sizes); i++)
        gbench_add_arg(b, threaded_sizes[i]);
    micro_thread_counts(b);

    b = gbench_register("calloc_free", calloc_free, NULL);
    gbench_arg_names(b, size_name, 1);
    for (size_t i = 0; i < BENCH_COUNT(other_sizes); i++)
        gbench_add_arg(b, other_sizes[i]);

    b = gbench_register("mixed_sizes", mixed_sizes, NULL);
    gbench_arg_names(b, (const char *const[]){"largest"}, 1);
    gbench_add_arg(b, 512);
    gbench_add_arg(b, 16384);
    micro_thread_counts(b);

    b = gbench_register("usable_size", usable_size, NULL);
    gbench_arg_names(b, size_name, 1);
    gbench_add_arg(b, 64);
    gbench_add_arg(b, 4096);
}
