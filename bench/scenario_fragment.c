/*
 * A torture by fragmentation in the manner of Robson's worst case ("Worst case
 * fragmentation of first fit and best fit storage allocation strategies", 1977): grow
 * to a fixed number of live bytes with blocks of one size, free four fifths of all
 * blocks at random, and go on with a larger size that fits no hole; then the same with
 * sizes that shrink again.
 *
 * The live bytes never exceed their limit, so the peak of the resident size over it is
 * the price of fragmentation.
 */
#include "common.h"

enum { LIVE_MIB = 64 };

static const size_t sizes[] = {24,   56,   120,  248, 504, 1000,
                               2500, 6000, 1500, 360, 88,  40};

struct heap {
    void **block;
    size_t n;
    size_t bytes;
};

static size_t grow(struct heap *heap, size_t size, size_t limit)
{
    size_t before = heap->n;

    while (heap->bytes + size <= limit) {
        heap->block[heap->n] = bench_block_new(size, (unsigned)heap->n);
        heap->n++;
        heap->bytes += size;
    }
    return heap->n - before;
}

static void shrink(struct heap *heap, struct bench_rng *rng)
{
    size_t kept = heap->n / 5;

    bench_shuffle(heap->block, heap->n, rng);
    heap->bytes -= bench_blocks_free(heap->block + kept, heap->n - kept);
    heap->n = kept;
}

int main(int argc, char **argv)
{
    struct bench_args args = bench_parse_args(argc, argv, NULL, 1);
    struct bench_rng rng = bench_rng_make(1);
    size_t limit = bench_scaled(&args, LIVE_MIB * BENCH_MIB);
    struct heap heap = {bench_map(limit / sizes[0] * 2 * sizeof(void *)), 0, 0};
    uint64_t ops = 0;
    double begin = bench_now();
    double seconds;

    bench_require_one_thread(&args);
    for (size_t i = 0; i < BENCH_COUNT(sizes); i++) {
        ops += grow(&heap, sizes[i], limit);
        shrink(&heap, &rng);
    }
    bench_blocks_free(heap.block, heap.n);
    seconds = bench_now() - begin;
    bench_result_with("fragment", &args, ops, seconds, "live_kb=%zu peak_per_live=%.3f",
                      limit / 1024,
                      (double)bench_peak_rss_kb() / ((double)limit / 1024));
    return 0;
}
