/*
 * Many blocks are allocated, then all are freed: last in first out, first in first out,
 * or at random.  One iteration is a whole batch.
 */
#include "micro.h"

enum order { LIFO, FIFO, RANDOM };

struct form {
    enum order order;
    const char *name;
    const char *threaded_name;
};

/* The place in the batch that is freed at each step. */
static uint32_t *make_order(enum order order, size_t n)
{
    uint32_t *place = bench_map(n * sizeof *place);
    struct bench_rng rng = bench_rng_make(1);

    for (size_t i = 0; i < n; i++)
        place[i] = (uint32_t)(order == LIFO ? n - 1 - i : i);
    for (size_t i = n; order == RANDOM && i > 1; i--) {
        size_t j = bench_rng_below(&rng, i);
        uint32_t swapped = place[j];

        place[j] = place[i - 1];
        place[i - 1] = swapped;
    }
    return place;
}

static void batch(gbench_state *state, void *arg)
{
    const struct form *form = arg;
    size_t n = (size_t)gbench_arg(state, 0);
    size_t size = (size_t)gbench_arg(state, 1);
    uint32_t *place = make_order(form->order, n);
    void **block = bench_map(n * sizeof *block);

    GBENCH_LOOP(state)
    {
        for (size_t i = 0; i < n; i++)
            block[i] = bench_hide(malloc(size));
        for (size_t i = 0; i < n; i++)
            free(block[place[i]]);
    }
    gbench_items(state, gbench_iterations(state) * gbench_arg(state, 0));
    bench_unmap(block, n * sizeof *block);
    bench_unmap(place, n * sizeof *place);
}

/* The same in random order, but the clock runs for one half only. */
static void half_of_batch(gbench_state *state, void *arg)
{
    const bool *measures_free = arg;
    size_t n = (size_t)gbench_arg(state, 0);
    size_t size = (size_t)gbench_arg(state, 1);
    uint32_t *place = make_order(RANDOM, n);
    void **block = bench_map(n * sizeof *block);

    GBENCH_LOOP(state)
    {
        if (*measures_free)
            gbench_pause(state);
        for (size_t i = 0; i < n; i++)
            block[i] = bench_hide(malloc(size));
        if (*measures_free)
            gbench_resume(state);
        else
            gbench_pause(state);
        for (size_t i = 0; i < n; i++)
            free(block[place[i]]);
        if (!*measures_free)
            gbench_resume(state);
    }
    gbench_items(state, gbench_iterations(state) * gbench_arg(state, 0));
    bench_unmap(block, n * sizeof *block);
    bench_unmap(place, n * sizeof *place);
}

void micro_register_orders(void)
{
    static struct form forms[] = {
        {LIFO, "batch_lifo", "batch_lifo_threads"},
        {FIFO, "batch_fifo", "batch_fifo_threads"},
        {RANDOM, "batch_random", "batch_random_threads"},
    };
    static bool no = false, yes = true;
    static const char *const arg_names[] = {"n", "size"};
    static const int64_t shapes[][2] = {
        {10, 64}, {1000, 64}, {1000, 512}, {1000, 2048}, {100000, 64}};
    gbench *b;

    for (size_t i = 0; i < BENCH_COUNT(forms); i++) {
        b = gbench_register(forms[i].name, batch, &forms[i]);
        gbench_arg_names(b, arg_names, 2);
        gbench_unit(b, GBENCH_US);
        for (size_t k = 0; k < BENCH_COUNT(shapes); k++)
            gbench_add_args(b, shapes[k], 2);

        b = gbench_register(forms[i].threaded_name, batch, &forms[i]);
        gbench_arg_names(b, arg_names, 2);
        gbench_unit(b, GBENCH_US);
        gbench_add_args(b, shapes[1], 2);
        micro_thread_counts(b);
    }
    for (int frees = 0; frees < 2; frees++) {
        b = gbench_register(frees ? "batch_free_only" : "batch_malloc_only",
                            half_of_batch, frees ? &yes : &no);
        gbench_arg_names(b, arg_names, 2);
        gbench_unit(b, GBENCH_US);
        gbench_add_args(b, (const int64_t[]){10000, 64}, 2);
        gbench_add_args(b, (const int64_t[]){10000, 1024}, 2);
    }
}
