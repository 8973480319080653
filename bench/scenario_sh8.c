/*
 * Overlapping generations of blocks in several threads, after the description of
 * MicroQuill's SmartHeap benchmark sh8bench: blocks of random size, most of them
 * small, live in generations; a new generation replaces the one before the last, which
 * is freed forwards and backwards in turn.  Every fourth generation is left to the
 * neighbouring thread and freed there.
 */
#include "common.h"

enum { GENERATIONS = 11000, BLOCKS = 2000, LIVE = 3 };

struct generation {
    void *block[BLOCKS];
};

struct shared {
    size_t generations;
    size_t threads;
    _Atomic(struct generation *) *left; /* for each thread, by its neighbour */
};

/* Nine in ten up to 64 bytes, the others up to 1000. */
static size_t any_size(struct bench_rng *rng)
{
    if (bench_rng_below(rng, 10) < 9)
        return bench_rng_between(rng, BENCH_BLOCK_MIN, 64);
    return bench_rng_between(rng, 65, 1000);
}

static struct generation *generation_new(struct bench_rng *rng)
{
    struct generation *generation = bench_must(malloc(sizeof *generation));

    for (size_t i = 0; i < BLOCKS; i++)
        generation->block[i] = bench_block_new(any_size(rng), (unsigned)i);
    return generation;
}

static void generation_free(struct generation *generation, bool backwards)
{
    if (generation == NULL)
        return;
    for (size_t i = 0; i < BLOCKS; i++)
        bench_block_free(generation->block[backwards ? BLOCKS - 1 - i : i]);
    free(generation);
}

static void work(size_t index, void *arg)
{
    struct shared *shared = arg;
    struct bench_rng rng = bench_rng_make(index);
    struct generation *live[LIVE] = {NULL};

    for (size_t i = 0; i < shared->generations; i++) {
        struct generation **oldest = &live[i % LIVE];

        if (i % 4 == 0)
            *oldest =
                atomic_exchange(&shared->left[(index + 1) % shared->threads], *oldest);
        generation_free(*oldest, i % 2 == 0);
        *oldest = generation_new(&rng);
    }
    for (size_t i = 0; i < LIVE; i++)
        generation_free(live[i], true);
}

int main(int argc, char **argv)
{
    struct bench_args args = bench_parse_args(argc, argv, NULL, 2);
    struct shared shared = {bench_scaled(&args, GENERATIONS), args.threads, NULL};
    double seconds;

    shared.left = bench_map(args.threads * sizeof *shared.left);
    seconds = bench_run_threads(args.threads, work, &shared);
    for (size_t i = 0; i < args.threads; i++)
        generation_free(shared.left[i], false);
    bench_result("sh8", &args, args.threads * shared.generations * BLOCKS, seconds);
    return 0;
}
