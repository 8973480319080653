/*
 * What does a live byte cost?  Ten million blocks of 16 to 512 bytes are allocated, and
 * freed in another order.
 *
 * Reports the resident bytes for each live byte when all blocks are live, and again
 * when the first half of them has been freed.
 */
#include "common.h"

enum { BLOCKS = 10000000, SMALLEST = 16, LARGEST = 512 };

static double per_live_byte(size_t base_kb, size_t live)
{
    return ((double)bench_rss_kb() - (double)base_kb) * 1024 / (double)live;
}

int main(int argc, char **argv)
{
    struct bench_args args = bench_parse_args(argc, argv, NULL, 1);
    struct bench_rng rng = bench_rng_make(1);
    size_t n = bench_scaled(&args, BLOCKS);
    void **block = bench_map(n * sizeof *block);
    size_t base_kb, live, live_half;
    double full, half, seconds, begin;

    bench_require_one_thread(&args);
    /* The table is to be resident before the base is taken. */
    for (size_t i = 0; i < n; i++)
        block[i] = &rng;
    base_kb = bench_rss_kb();

    begin = bench_now();
    live = bench_blocks_fill(block, n, SMALLEST, LARGEST, &rng);
    seconds = bench_now() - begin;
    full = per_live_byte(base_kb, live);
    bench_shuffle(block, n, &rng);
    begin = bench_now();
    live_half = live - bench_blocks_free(block, n / 2);
    seconds += bench_now() - begin;
    half = per_live_byte(base_kb, live_half);
    begin = bench_now();
    bench_blocks_free(block + n / 2, n - n / 2);
    seconds += bench_now() - begin;

    bench_result_with("tenmillion", &args, 2 * n, seconds,
                      "live_kb=%zu rss_per_live_byte=%.4f rss_per_live_byte_half=%.4f",
                      live / 1024, full, half);
    return 0;
}
