/*
 * A server whose memory bleeds from thread to thread, after the workload of Larson and
 * Krishnan ("Memory Allocation for Long-Running Server Applications", 1998).
 *
 * Each lane owns an array of blocks.  A thread serves the lane for a while, replacing
 * random blocks by new ones of random size; then it starts a successor, leaves it the
 * lane and ends.  So most blocks are freed by another thread than the one that
 * allocated them, and that thread is no longer there.  The main thread allocates the
 * first blocks of all lanes and frees the last.
 *
 * Variants: "server" has blocks of 8 to 1000 bytes, "small" of 8 to 512.
 */
#include "common.h"

#include <semaphore.h>

enum { SLOTS = 5000, REPLACEMENTS = 50000, GENERATIONS = 120 };

struct lane {
    void **slots;
    struct bench_rng rng;
    size_t largest;
    size_t generations_left;
    sem_t *finished;
};

static void *lane_serve(void *arg);

static void lane_pass_on(struct lane *lane)
{
    pthread_t successor;

    bench_spawn(&successor, lane_serve, lane);
    pthread_detach(successor);
}

static void *lane_serve(void *arg)
{
    struct lane *lane = arg;

    for (size_t i = 0; i < REPLACEMENTS; i++) {
        size_t slot = bench_rng_below(&lane->rng, SLOTS);

        bench_block_free(lane->slots[slot]);
        lane->slots[slot] = bench_block_new(
            bench_rng_between(&lane->rng, BENCH_BLOCK_MIN, lane->largest), (unsigned)i);
    }
    bench_blocks_settle();
    if (--lane->generations_left > 0)
        lane_pass_on(lane);
    else
        sem_post(lane->finished);
    return NULL;
}

int main(int argc, char **argv)
{
    static const char *const variants[] = {"server", "small", NULL};
    struct bench_args args = bench_parse_args(argc, argv, variants, 2);
    size_t generations = bench_scaled(&args, GENERATIONS);
    size_t largest = strcmp(args.variant, "small") == 0 ? 512 : 1000;
    struct lane *lanes = bench_map(args.threads * sizeof *lanes);
    sem_t finished;
    double begin = bench_now();

    sem_init(&finished, 0, 0);
    for (size_t i = 0; i < args.threads; i++) {
        struct lane *lane = &lanes[i];

        lane->slots = bench_map(SLOTS * sizeof(void *));
        lane->rng = bench_rng_make(i);
        lane->largest = largest;
        lane->generations_left = generations;
        lane->finished = &finished;
        bench_blocks_fill(lane->slots, SLOTS, BENCH_BLOCK_MIN, largest, &lane->rng);
    }
    for (size_t i = 0; i < args.threads; i++)
        lane_pass_on(&lanes[i]);
    for (size_t i = 0; i < args.threads; i++)
        sem_wait(&finished);
    for (size_t i = 0; i < args.threads; i++)
        bench_blocks_free(lanes[i].slots, SLOTS);
    bench_result("larson", &args, args.threads * (SLOTS + generations * REPLACEMENTS),
                 bench_now() - begin);
    return 0;
}
