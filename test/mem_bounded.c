/* Threads in number and in a row: what they leave behind does not pile up. */
#include "support.h"

#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

static pthread_t start(void *(*body)(void *), void *arg)
{
    pthread_t thread;
    int error = pthread_create(&thread, NULL, body, arg);
    if (error) {
        tap_bail_out("pthread_create: %s", strerror(error));
    }
    return thread;
}

/* -------------------------------------------- one allocates, one frees */

enum { RING = 1024 };

struct flow {
    void *ring[RING];
    sem_t room, filled;
    size_t count, least, most;
};

static struct flow flow;

static void *consume(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < flow.count; i++) {
        while (sem_wait(&flow.filled) != 0) {
            continue;
        }
        free(flow.ring[i % RING]);
        sem_post(&flow.room);
    }
    return NULL;
}

static void *produce(void *arg)
{
    (void)arg;
    struct rng rng = {5};
    for (size_t i = 0; i < flow.count; i++) {
        size_t n = flow.least + rng_below(&rng, flow.most - flow.least);
        while (sem_wait(&flow.room) != 0) {
            continue;
        }
        char *p = malloc(n);
        p[0] = p[n - 1] = 1;
        flow.ring[i % RING] = p;
        sem_post(&flow.filled);
    }
    return NULL;
}

static void stays_bounded(size_t count, size_t least, size_t most)
{
    long before = rss_kb();
    flow.count = count;
    flow.least = least;
    flow.most = most;
    sem_init(&flow.room, 0, RING);
    sem_init(&flow.filled, 0, 0);
    pthread_t consumer = start(consume, NULL), producer = start(produce, NULL);
    pthread_join(producer, NULL);
    pthread_join(consumer, NULL);
    /* What the ring itself can hold, and as much again for both caches, and
     * what two thread stacks and an allocator arena of the system touch. */
    long bound = (long)(RING * most * 2 / 1024) + 6 * 1024;
    long grown = rss_kb() - before;
    tap_note("%zu blocks of %zu to %zu bytes: RSS grew by %ld KiB", count, least, most,
             grown);
    CHECK(grown < bound, "RSS grew by %ld KiB, more than %ld", grown, bound);
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
}

static void small_blocks_flow_in_bounded_memory(void)
{
    stays_bounded(1500000, 1, 513);
}

static void large_blocks_flow_in_bounded_memory(void)
{
    stays_bounded(400000, 513, 8000);
}

/* ---------------------------------------------------- many short threads */

enum { SHORT_THREADS = 10000, SLOTS = 64 };

static _Atomic(void *) slot[SLOTS];

/* Leaves blocks for later threads, and frees what earlier ones left. */
static void *live_shortly(void *arg)
{
    struct rng rng = {(uintptr_t)arg};
    void *own[20];
    for (int i = 0; i < 20; i++) {
        own[i] = malloc(rng_below(&rng, i % 4 ? 513 : 3000));
    }
    for (int i = 0; i < 10; i++) {
        free(atomic_exchange(&slot[rng_below(&rng, SLOTS)], own[i]));
    }
    for (int i = 10; i < 20; i++) {
        free(own[i]);
    }
    return NULL;
}

static void live_in_pairs(uintptr_t from, uintptr_t to)
{
    for (uintptr_t i = from; i < to; i += 2) {
        pthread_t a = start(live_shortly, (void *)i);
        pthread_t b = start(live_shortly, (void *)(i + 1));
        pthread_join(a, NULL);
        pthread_join(b, NULL);
    }
}

static void short_threads_do_not_pile_up(void)
{
    struct pymalloc_totals s;
    live_in_pairs(0, SHORT_THREADS / 10);
    long before = rss_kb();
    live_in_pairs(SHORT_THREADS / 10, SHORT_THREADS);
    long grown = rss_kb() - before;
    pymalloc_stats(&s);
    tap_note("RSS grew by %ld KiB, %ju heaps", grown, (uintmax_t)s.heaps);
    CHECK(grown < 1024, "RSS grew by %ld KiB", grown);
    /* A heap is adopted by the next thread; a few may start before the ones
     * that they follow have handed theirs on. */
    CHECK(s.heaps <= 16, "%ju heaps for two threads at a time", (uintmax_t)s.heaps);
    for (int i = 0; i < SLOTS; i++) {
        free(atomic_exchange(&slot[i], NULL));
    }
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
}

/* ------------------------------------------------ more threads than cores */

enum { CROWD = 128, CROWD_ROUNDS = 3000 };

static void *jostle(void *arg)
{
    struct rng rng = {(uintptr_t)arg + 99};
    uintptr_t damaged = 0;
    for (int i = 0; i < CROWD_ROUNDS; i++) {
        size_t n = 16 + rng_below(&rng, i % 16 ? 500 : 9000);
        size_t *p = malloc(n);
        p[0] = n;
        ((unsigned char *)p)[n - 1] = (unsigned char)n;
        size_t *q = atomic_exchange(&slot[rng_below(&rng, SLOTS)], p);
        if (q) {
            damaged += ((unsigned char *)q)[q[0] - 1] != (unsigned char)q[0];
            free(q);
        }
        if (i % 500 == 0) {
            damaged += (uintptr_t)pymalloc_verify();
        }
    }
    return (void *)damaged;
}

static void a_crowd_shares_the_heap(void)
{
    pthread_t crowd[CROWD];
    for (uintptr_t i = 0; i < CROWD; i++) {
        crowd[i] = start(jostle, (void *)i);
    }
    for (int i = 0; i < CROWD; i++) {
        void *damaged;
        pthread_join(crowd[i], &damaged);
        CHECK(damaged == NULL, "thread %d found damage", i);
    }
    for (int i = 0; i < SLOTS; i++) {
        free(atomic_exchange(&slot[i], NULL));
    }
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
}

/* ------------------------------------------- work that moves from thread to
 * thread: each frees what the one before it allocated */

enum { RELAY = 200, BATON = 20000 };

static void *baton[BATON];

static void *carry(void *arg)
{
    size_t n = (uintptr_t)arg % 4 * 100 + 50;
    for (int i = 0; i < BATON; i++) {
        free(baton[i]);
        baton[i] = malloc(n);
        memset(baton[i], 1, n);
    }
    return NULL;
}

static void a_relay_of_threads_stays_bounded(void)
{
    long early = 0;
    for (uintptr_t i = 0; i < RELAY; i++) {
        pthread_join(start(carry, (void *)i), NULL);
        if (i == 12) {
            early = rss_kb();
        }
    }
    long grown = rss_kb() - early;
    CHECK(grown < 8 * 1024, "RSS grew by %ld KiB", grown);
    for (int i = 0; i < BATON; i++) {
        free(baton[i]);
        baton[i] = NULL;
    }
}

/* ------------------------------------------------------------- heirlooms */

enum { HEIRS = 8, HEIRLOOMS = 40000, HEIRLOOM = 100 };

static void *heirloom[HEIRS][HEIRLOOMS];
static pthread_barrier_t all_have_theirs;

/* All at the same time, so that each has a heap of its own. */
static void *leave_heirlooms(void *arg)
{
    void **own = heirloom[(uintptr_t)arg];
    for (int i = 0; i < HEIRLOOMS; i++) {
        own[i] = malloc(HEIRLOOM);
        memset(own[i], 1, HEIRLOOM);
    }
    pthread_barrier_wait(&all_have_theirs);
    return NULL;
}

/* What is freed to the heaps of ended threads, which nobody takes over, serves
 * the others. */
static void memory_of_ended_threads_is_used_again(void)
{
    pthread_t thread[HEIRS];
    pthread_barrier_init(&all_have_theirs, NULL, HEIRS);
    malloc_trim(0);
    long before = rss_kb();
    for (uintptr_t i = 0; i < HEIRS; i++) {
        thread[i] = start(leave_heirlooms, (void *)i);
    }
    for (int i = 0; i < HEIRS; i++) {
        pthread_join(thread[i], NULL);
    }
    long full = rss_kb();
    for (int i = 0; i < HEIRS * HEIRLOOMS; i++) {
        free(heirloom[i / HEIRLOOMS][i % HEIRLOOMS]);
    }
    for (int i = 0; i < HEIRS * HEIRLOOMS; i++) {
        void *p = malloc(HEIRLOOM);
        memset(p, 1, HEIRLOOM);
        heirloom[i / HEIRLOOMS][i % HEIRLOOMS] = p;
    }
    long again = rss_kb();
    CHECK(again - full < (full - before) / 4,
          "RSS was %ld KiB, %ld with the blocks, %ld with as many again", before, full,
          again);
    for (int i = 0; i < HEIRS * HEIRLOOMS; i++) {
        free(heirloom[i / HEIRLOOMS][i % HEIRLOOMS]);
    }
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
}

/* Memory that one size no longer needs serves another. */
static void sizes_take_turns_in_the_same_memory(void)
{
    enum { TOTAL = 24 << 20 };
    long peak = 0, first = 0;
    void **p = pages((TOTAL / 16) * sizeof *p);
    for (size_t n = 512; n > 31; n -= 31) {
        size_t count = TOTAL / (n < 64 ? 64 : n);
        for (size_t i = 0; i < count; i++) {
            p[i] = malloc(n);
            memset(p[i], 1, n);
        }
        long now = rss_kb();
        first = first ? first : now;
        peak = now > peak ? now : peak;
        for (size_t i = 0; i < count; i++) {
            free(p[i]);
        }
    }
    munmap(p, (TOTAL / 16) * sizeof *p);
    CHECK(peak - first < 12 * 1024, "RSS was %ld KiB with one size, %ld with all",
          first, peak);
}

static const struct tap_case cases[] = {
    {"small blocks flow from thread to thread in bounded memory",
     small_blocks_flow_in_bounded_memory},
    {"large blocks flow from thread to thread in bounded memory",
     large_blocks_flow_in_bounded_memory},
    {"10,000 short threads do not pile up", short_threads_do_not_pile_up},
    {"more threads than cores share the heap", a_crowd_shares_the_heap},
    {"a relay of threads stays bounded", a_relay_of_threads_stays_bounded},
    {"memory of ended threads is used again", memory_of_ended_threads_is_used_again},
    {"sizes take turns in the same memory", sizes_take_turns_in_the_same_memory},
};

int main(int argc, char **argv)
{
    require_pymalloc();
    return TAP_RUN(cases, argc, argv);
}
