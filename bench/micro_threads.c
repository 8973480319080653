/*
 * What crosses threads: blocks freed by another thread than the one that allocated
 * them, and the start and end of threads that allocate.
 */
#include "micro.h"
#include "ring.h"

/* ----------------------------------------------------------------- remote frees */

enum { MAX_THREADS = 8 };

/* For each thread, from the thread before it. */
static struct bench_ring rings[MAX_THREADS];

static void init_rings(const gbench_state *state, void *arg)
{
    (void)arg;
    for (int i = 0; i < gbench_thread_count(state); i++)
        bench_ring_init(&rings[i]);
}

static void give_batch(struct bench_ring *ring, size_t size)
{
    void **block = bench_ring_next_free(ring);

    for (size_t i = 0; i < BENCH_RING_BATCH; i++)
        block[i] = bench_hide(malloc(size));
    bench_ring_publish(ring);
}

static void free_batch(struct bench_ring *ring)
{
    void **block = bench_ring_next_full(ring);

    for (size_t i = 0; i < BENCH_RING_BATCH; i++)
        free(block[i]);
    bench_ring_release(ring);
}

/* Each thread gives a batch to the next thread and frees one from the thread before.
 * All do the same number of iterations, so nothing is left over; and as a thread never
 * gives more than one batch beyond those it took, the rings cannot all be full at once:
 * nobody waits for ever. */
static void remote_free(gbench_state *state, void *arg)
{
    size_t size = (size_t)gbench_arg(state, 0);
    int index = gbench_thread_index(state);
    struct bench_ring *mine = &rings[index];
    struct bench_ring *next = &rings[(index + 1) % gbench_thread_count(state)];

    (void)arg;
    GBENCH_LOOP(state)
    {
        give_batch(next, size);
        free_batch(mine);
    }
    gbench_items(state, gbench_iterations(state) * BENCH_RING_BATCH);
}

/* ----------------------------------------------------------------- short threads */

static void *allocate_a_little(void *arg)
{
    size_t blocks = *(const size_t *)arg;

    for (size_t i = 0; i < blocks; i++)
        free(bench_hide(malloc(16 + i * 48)));
    return NULL;
}

static void thread_start_exit(gbench_state *state, void *arg)
{
    size_t blocks = (size_t)gbench_arg(state, 0);

    (void)arg;
    GBENCH_LOOP(state)
    {
        pthread_t id;

        bench_spawn(&id, allocate_a_little, &blocks);
        pthread_join(id, NULL);
    }
    gbench_items(state, gbench_iterations(state));
}

void micro_register_threads(void)
{
    static const int64_t sizes[] = {64, 512, 2048};
    gbench *b = gbench_register("remote_free", remote_free, NULL);

    gbench_arg_names(b, (const char *const[]){"size"}, 1);
    gbench_hooks(b, init_rings, NULL);
    gbench_unit(b, GBENCH_US);
    for (size_t i = 0; i < BENCH_COUNT(sizes); i++)
        gbench_add_arg(b, sizes[i]);
    for (int threads = 2; threads <= MAX_THREADS; threads *= 2)
        gbench_threads(b, threads);

    b = gbench_register("thread_start_exit", thread_start_exit, NULL);
    gbench_arg_names(b, (const char *const[]){"blocks"}, 1);
    gbench_real_time(b);
    gbench_unit(b, GBENCH_US);
    gbench_add_arg(b, 0);
    gbench_add_arg(b, 1);
    gbench_add_arg(b, 30);
}
