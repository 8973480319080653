/* A block grows step by step, or changes its size by a little back and forth. */
#include "micro.h"

/* Grows by half each time from 16 bytes to the largest; an iteration is one such life.
 */
static void realloc_growth(gbench_state *state, void *arg)
{
    size_t largest = (size_t)gbench_arg(state, 0);
    int64_t steps = 0;

    (void)arg;
    GBENCH_LOOP(state)
    {
        void *block = bench_hide(malloc(16));

        for (size_t size = 24; size <= largest; size += size / 2, steps++)
            block = bench_hide(realloc(block, size));
        free(block);
    }
    gbench_items(state, steps);
}

/* The smaller of both sizes is close enough to need no other block. */
static void realloc_in_place(gbench_state *state, void *arg)
{
    size_t size = (size_t)gbench_arg(state, 0);
    void *block = bench_must(malloc(size));
    size_t smaller = 8;

    (void)arg;
    GBENCH_LOOP(state)
    {
        smaller = 8 - smaller;
        block = bench_hide(realloc(block, size - smaller));
    }
    gbench_items(state, gbench_iterations(state));
    free(block);
}

void micro_register_realloc(void)
{
    static const int64_t sizes[] = {64, 512, 4096, 262144};
    gbench *b = gbench_register("realloc_growth", realloc_growth, NULL);

    gbench_arg_names(b, (const char *const[]){"largest"}, 1);
    gbench_add_arg(b, 512);
    gbench_add_arg(b, 16384);
    gbench_add_arg(b, 4194304);
    micro_thread_counts(b);

    b = gbench_register("realloc_in_place", realloc_in_place, NULL);
    gbench_arg_names(b, (const char *const[]){"size"}, 1);
    for (size_t i = 0; i < BENCH_COUNT(sizes); i++)
        gbench_add_arg(b, sizes[i]);
}
