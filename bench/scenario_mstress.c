/*
 * Mixed lifetimes, thread churn and migration, after the description of mimalloc's
 * stress test: in every round new threads allocate blocks of very mixed sizes, keep
 * some to the end of their life, free others soon, and swap many with blocks that
 * other threads have left in a shared table.  Half of the table outlives each round,
 * so that blocks migrate between threads of different phases.
 */
#include "common.h"

enum { ROUNDS = 50, STEPS = 150000, TABLE = 8000, KEPT = 20000 };

static _Atomic(void *) table[TABLE];
static size_t round_number;

/* Mostly small; one in a hundred is large, one in ten thousand very large. */
static size_t any_size(struct bench_rng *rng)
{
    size_t dice = bench_rng_below(rng, 10000);

    if (dice == 0)
        return bench_rng_between(rng, 64 * BENCH_KIB, 512 * BENCH_KIB);
    if (dice < 100)
        return bench_rng_between(rng, 1 * BENCH_KIB, 16 * BENCH_KIB);
    return bench_rng_doubling(rng, 8, 512);
}

static void free_if_any(void *block)
{
    if (block != NULL)
        bench_block_free(block);
}

static void swap_with_table(void **slot, struct bench_rng *rng)
{
    *slot = atomic_exchange(&table[bench_rng_below(rng, TABLE)], *slot);
}

static void work(size_t index, void *arg)
{
    struct bench_rng rng = bench_rng_make(round_number * 1024 + index);
    size_t bytes = KEPT * sizeof(void *);
    void **kept = bench_map(bytes);

    (void)arg;
    for (size_t i = 0; i < STEPS; i++) {
        void **slot = &kept[bench_rng_below(&rng, KEPT)];

        if (bench_rng_below(&rng, 4) == 0) {
            swap_with_table(slot, &rng);
        } else {
            free_if_any(*slot);
            *slot = bench_block_new(any_size(&rng), (unsigned)i);
        }
    }
    for (size_t i = 0; i < KEPT; i++)
        free_if_any(kept[i]);
    bench_unmap(kept, bytes);
}

static void empty_table(size_t stride)
{
    for (size_t i = 0; i < TABLE; i += stride)
        free_if_any(atomic_exchange(&table[i], NULL));
}

int main(int argc, char **argv)
{
    struct bench_args args = bench_parse_args(argc, argv, NULL, 2);
    size_t rounds = bench_scaled(&args, ROUNDS);
    double begin = bench_now();

    for (round_number = 0; round_number < rounds; round_number++) {
        bench_run_threads(args.threads, work, NULL);
        empty_table(2);
    }
    empty_table(1);
    bench_result("mstress", &args, rounds * args.threads * STEPS, bench_now() - begin);
    return 0;
}
