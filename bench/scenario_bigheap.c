/*
 * Does the time of one operation grow with the heap?  A heap of 16 to 512-byte blocks
 * is built, random blocks are replaced, and everything is freed in random order.  All
 * variants do the same number of operations, on heaps of 64 MiB, 256 MiB and 1 GiB.
 *
 * Reports the nanoseconds of an operation (one malloc or one free) in each part.
 */
#include "common.h"

enum { SMALLEST = 16, LARGEST = 512, ALL_ROUNDS = 16, ALL_REPLACED = 1000000 };

struct times {
    double build;
    double replace;
    double release;
};

static void replace(void **block, size_t n, size_t count, struct bench_rng *rng)
{
    for (size_t i = 0; i < count; i++) {
        size_t at = bench_rng_below(rng, n);

        bench_block_free(block[at]);
        block[at] =
            bench_block_new(bench_rng_between(rng, SMALLEST, LARGEST), (unsigned)i);
    }
}

static void one_round(void **block, size_t n, size_t replaced, struct bench_rng *rng,
                      struct times *times)
{
    double t0 = bench_now();
    double t1, t2, t3;

    bench_blocks_fill(block, n, SMALLEST, LARGEST, rng);
    t1 = bench_now();
    replace(block, n, replaced, rng);
    t2 = bench_now();
    bench_shuffle(block, n, rng);
    t3 = bench_now();
    bench_blocks_free(block, n);
    times->build += t1 - t0;
    times->replace += t2 - t1;
    times->release += bench_now() - t3;
}

int main(int argc, char **argv)
{
    static const char *const variants[] = {"1g", "256m", "64m", NULL};
    static const size_t rounds_of[] = {1, 4, 16};
    struct bench_args args = bench_parse_args(argc, argv, variants, 1);
    struct bench_rng rng = bench_rng_make(1);
    struct times times = {0, 0, 0};
    size_t rounds = 0;
    size_t n, replaced, ops;
    void **block;
    double seconds;

    bench_require_one_thread(&args);
    for (size_t i = 0; variants[i] != NULL; i++) {
        if (args.variant == variants[i])
            rounds = rounds_of[i];
    }
    n = bench_scaled(&args, 1024 * BENCH_MIB / ((SMALLEST + LARGEST) / 2)) / rounds + 1;
    replaced = bench_scaled(&args, ALL_REPLACED) / rounds;
    block = bench_map(n * sizeof *block);
    for (size_t i = 0; i < rounds; i++)
        one_round(block, n, replaced, &rng, &times);

    seconds = times.build + times.replace + times.release;
    ops = 2 * rounds * (n + replaced);
    bench_result_with("bigheap", &args, ops, seconds,
                      "ns_per_op=%.1f build_ns=%.1f replace_ns=%.1f release_ns=%.1f",
                      seconds * 1e9 / (double)ops,
                      times.build * 1e9 / (double)(rounds * n),
                      times.replace * 1e9 / (double)(2 * rounds * replaced + 1),
                      times.release * 1e9 / (double)(rounds * n));
    return 0;
}
