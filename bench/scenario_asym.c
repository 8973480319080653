/*
 * One thread allocates everything, all others free everything: the worst case for an
 * allocator that must bring each block home to the thread that made it.
 */
#include "ring.h"

enum { BATCHES = 160000, SMALLEST = 16, LARGEST = 400 };

struct plan {
    struct bench_ring *rings; /* one for each freeing thread */
    size_t freeing;
    size_t batches; /* for each freeing thread */
};

static void allocate_all(const struct plan *plan)
{
    struct bench_rng rng = bench_rng_make(1);

    for (size_t i = 0; i < plan->batches; i++) {
        for (size_t to = 0; to < plan->freeing; to++) {
            void **batch = bench_ring_next_free(&plan->rings[to]);

            bench_blocks_fill(batch, BENCH_RING_BATCH, SMALLEST, LARGEST, &rng);
            bench_ring_publish(&plan->rings[to]);
        }
    }
}

static void free_all(struct bench_ring *ring, size_t batches)
{
    for (size_t i = 0; i < batches; i++) {
        bench_blocks_free(bench_ring_next_full(ring), BENCH_RING_BATCH);
        bench_ring_release(ring);
    }
}

static void work(size_t index, void *arg)
{
    const struct plan *plan = arg;

    if (index == 0)
        allocate_all(plan);
    else
        free_all(&plan->rings[index - 1], plan->batches);
}

int main(int argc, char **argv)
{
    struct bench_args args = bench_parse_args(argc, argv, NULL, 2);
    struct plan plan;
    double seconds;

    if (args.threads < 2)
        bench_die("this scenario needs two threads at least");
    plan.freeing = args.threads - 1;
    plan.batches = bench_scaled(&args, BATCHES) / plan.freeing + 1;
    plan.rings = bench_map(plan.freeing * sizeof *plan.rings);
    for (size_t i = 0; i < plan.freeing; i++)
        bench_ring_init(&plan.rings[i]);
    seconds = bench_run_threads(args.threads, work, &plan);
    bench_result("asym", &args, plan.freeing * plan.batches * BENCH_RING_BATCH,
                 seconds);
    return 0;
}
