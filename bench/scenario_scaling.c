/*
 * Independent threads: each replaces random blocks in a table of its own and shares
 * nothing with the others.  The work of a thread is always the same, so on enough cores
 * the throughput grows with their number unless the allocator stands in the way.
 */
#include "common.h"

enum { SLOTS = 4000, STEPS = 12000000 };

/* One in twenty above the small classes. */
static size_t any_size(struct bench_rng *rng)
{
    if (bench_rng_below(rng, 20) == 0)
        return bench_rng_between(rng, 513, 4096);
    return bench_rng_doubling(rng, 16, 512);
}

static void work(size_t index, void *arg)
{
    size_t steps = *(const size_t *)arg;
    struct bench_rng rng = bench_rng_make(index);
    void **slots = bench_map(SLOTS * sizeof *slots);

    bench_blocks_fill(slots, SLOTS, 16, 512, &rng);
    for (size_t i = 0; i < steps; i++) {
        size_t slot = bench_rng_below(&rng, SLOTS);

        bench_block_free(slots[slot]);
        slots[slot] = bench_block_new(any_size(&rng), (unsigned)i);
    }
    bench_blocks_free(slots, SLOTS);
    bench_unmap(slots, SLOTS * sizeof *slots);
}

int main(int argc, char **argv)
{
    struct bench_args args = bench_parse_args(argc, argv, NULL, 2);
    size_t steps = bench_scaled(&args, STEPS);
    double seconds = bench_run_threads(args.threads, work, &steps);

    bench_result("scaling", &args, args.threads * (SLOTS + steps), seconds);
    return 0;
}
