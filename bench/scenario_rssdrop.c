/*
 * Does memory go back?  A heap of 1 GiB in 16 to 512-byte blocks is built, nine tenths
 * of it are freed in random order, and the program goes on with light work among what
 * is left.
 *
 * Reports the resident size when the heap is full, right after the frees, and after one
 * second of light work; samples in between.  The seconds reported are those of building
 * and freeing.
 */
#include "common.h"

enum {
    HEAP_MIB = 1024,
    SMALLEST = 16,
    LARGEST = 512,
    LIGHT_MS = 1000,
    LIGHT_STEP_MS = 5,
    LIGHT_REPLACED = 200, /* in each step */
    SAMPLE_EVERY = 10     /* steps */
};

static void light_step(void **block, size_t n, struct bench_rng *rng)
{
    for (size_t i = 0; i < LIGHT_REPLACED; i++) {
        size_t at = bench_rng_below(rng, n);

        bench_block_free(block[at]);
        block[at] =
            bench_block_new(bench_rng_between(rng, SMALLEST, LARGEST), (unsigned)i);
    }
}

/* By the clock, not by counting sleeps, so that all programs get the same second. */
static void light_work(void **block, size_t n, struct bench_rng *rng,
                       struct bench_rss_log *log)
{
    uint64_t end = bench_now_ns() + (uint64_t)LIGHT_MS * 1000000;

    for (size_t step = 1; bench_now_ns() < end; step++) {
        light_step(block, n, rng);
        bench_sleep_ms(LIGHT_STEP_MS);
        if (step % SAMPLE_EVERY == 0)
            bench_rss_sample(log);
    }
}

int main(int argc, char **argv)
{
    static struct bench_rss_log log;
    struct bench_args args = bench_parse_args(argc, argv, NULL, 1);
    struct bench_rng rng = bench_rng_make(1);
    size_t n = bench_scaled(&args, HEAP_MIB * BENCH_MIB / ((SMALLEST + LARGEST) / 2));
    size_t kept = n / 10 + 1;
    void **block = bench_map(n * sizeof *block);
    size_t full_kb, after_kb, later_kb, live, dropped;
    double begin, seconds;

    bench_require_one_thread(&args);
    begin = bench_now();
    live = bench_blocks_fill(block, n, SMALLEST, LARGEST, &rng);
    seconds = bench_now() - begin;
    full_kb = bench_rss_sample(&log);
    bench_shuffle(block, n, &rng);
    begin = bench_now();
    dropped = bench_blocks_free(block + kept, n - kept);
    seconds += bench_now() - begin;
    after_kb = bench_rss_sample(&log);
    light_work(block, kept, &rng, &log);
    later_kb = bench_rss_sample(&log);
    bench_blocks_free(block, kept);

    bench_rss_print(&log);
    bench_result_with("rssdrop", &args, n + (n - kept), seconds,
                      "live_kb=%zu kept_kb=%zu rss_full_kb=%zu rss_after_kb=%zu "
                      "rss_1s_kb=%zu",
                      live / 1024, (live - dropped) / 1024, full_kb, after_kb,
                      later_kb);
    return 0;
}
