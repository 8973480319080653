/*
 * Runs of equal blocks freed in the order of a stack or of a queue, after the
 * description of MicroQuill's SmartHeap benchmark sh6bench: sizes from very small to
 * 1000 bytes, many more small ones than large; each run is freed at once in reverse
 * order, at once in the same order, or kept until the pass is over and then freed run
 * after run from the last to the first.
 */
#include "common.h"

enum { PASSES = 900, LARGEST = 1000, RUNS = 200, RUN_BYTES = 60000, RUN_MAX = 2500 };

struct run {
    size_t n;
    void *block[RUN_MAX];
};

static void run_allocate(struct run *run, size_t size)
{
    run->n = RUN_BYTES / size < RUN_MAX ? RUN_BYTES / size : RUN_MAX;
    for (size_t i = 0; i < run->n; i++)
        run->block[i] = bench_block_new(size, (unsigned)i);
}

static void run_free_backwards(struct run *run)
{
    for (size_t i = run->n; i-- > 0;)
        bench_block_free(run->block[i]);
    run->n = 0;
}

static void run_free_forwards(struct run *run)
{
    bench_blocks_free(run->block, run->n);
    run->n = 0;
}

static size_t pass(struct run *runs)
{
    size_t blocks = 0;
    size_t n = 0;

    for (size_t size = BENCH_BLOCK_MIN; size <= LARGEST; size += size / 12 + 1, n++) {
        run_allocate(&runs[n], size);
        blocks += runs[n].n;
        if (n % 3 == 0)
            run_free_backwards(&runs[n]);
        else if (n % 3 == 1)
            run_free_forwards(&runs[n]);
    }
    while (n-- > 0)
        run_free_backwards(&runs[n]);
    return blocks;
}

static void work(size_t index, void *arg)
{
    size_t passes = *(const size_t *)arg;
    size_t bytes = RUNS * sizeof(struct run);
    struct run *runs = bench_map(bytes);

    (void)index;
    for (size_t i = 0; i < passes; i++)
        pass(runs);
    bench_unmap(runs, bytes);
}

/* What one thread allocates in a pass. */
static size_t pass_blocks(void)
{
    size_t bytes = RUNS * sizeof(struct run);
    struct run *runs = bench_map(bytes);
    size_t blocks = pass(runs);

    bench_unmap(runs, bytes);
    return blocks;
}

int main(int argc, char **argv)
{
    struct bench_args args = bench_parse_args(argc, argv, NULL, 1);
    size_t passes = bench_scaled(&args, PASSES);
    size_t blocks = pass_blocks();
    double seconds = bench_run_threads(args.threads, work, &passes);

    bench_result("sh6", &args, args.threads * passes * blocks, seconds);
    return 0;
}
