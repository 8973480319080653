/*
 * Does memory grow with the number of threads that have ever lived?  Waves of threads
 * are started and joined; each allocates and frees a few blocks of many sizes, and
 * leaves one behind that the main thread frees.
 *
 * Reports the resident size after the first twentieth of the waves and after the last.
 */
#include "common.h"

enum { THREADS_IN_ALL = 40000, BLOCKS = 48, LARGEST = 8192 };

static void *live_and_die(void *arg)
{
    void **left_behind = arg;
    void *blocks[BLOCKS];
    struct bench_rng rng = bench_rng_make((uintptr_t)left_behind % 509);

    for (size_t i = 0; i < BLOCKS; i++)
        blocks[i] = bench_block_new(bench_rng_doubling(&rng, 8, LARGEST), (unsigned)i);
    bench_blocks_free(blocks, BLOCKS);
    *left_behind = bench_block_new(100, 1);
    bench_blocks_settle();
    return NULL;
}

static void wave(pthread_t *ids, void **left_behind, size_t threads)
{
    for (size_t i = 0; i < threads; i++)
        bench_spawn(&ids[i], live_and_die, &left_behind[i]);
    for (size_t i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        bench_block_free(left_behind[i]);
    }
}

int main(int argc, char **argv)
{
    struct bench_args args = bench_parse_args(argc, argv, NULL, 2);
    size_t waves = bench_scaled(&args, THREADS_IN_ALL / args.threads);
    pthread_t *ids = bench_map(args.threads * sizeof *ids);
    void **left_behind = bench_map(args.threads * sizeof *left_behind);
    size_t early_kb = 0;
    double begin = bench_now();
    double seconds;

    for (size_t i = 0; i < waves; i++) {
        if (i == waves / 20)
            early_kb = bench_rss_kb();
        wave(ids, left_behind, args.threads);
    }
    seconds = bench_now() - begin;
    bench_result_with("mleak", &args, waves * args.threads, seconds,
                      "rss_early_kb=%zu rss_late_kb=%zu", early_kb, bench_rss_kb());
    return 0;
}
