/*
 * A ring through which one thread passes blocks to one other, a batch at a time.
 *
 *     writer: batch = bench_ring_next_free(ring), fills it, bench_ring_publish(ring)
 *     reader: batch = bench_ring_next_full(ring), empties it, bench_ring_release(ring)
 *
 * Who finds the ring full or empty sleeps: a thread that spins would take its processor
 * from the one it waits for, and the figures would tell of the scheduler.
 *
 * A batch belongs to the writer from bench_ring_next_free to bench_ring_publish, whose
 * sem_post the reader's sem_wait pairs with, and to the reader from there to
 * bench_ring_release, which pairs with the writer's sem_wait.
 */
#ifndef BENCH_RING_H
#define BENCH_RING_H

#include "common.h"

#include <semaphore.h>

enum { BENCH_RING_BATCHES = 64, BENCH_RING_BATCH = 100 };

struct bench_ring {
    _Alignas(BENCH_CACHE_LINE) sem_t free;
    size_t written; /* the writer's own */
    _Alignas(BENCH_CACHE_LINE) sem_t full;
    size_t read; /* the reader's own */
    _Alignas(BENCH_CACHE_LINE) void *batch[BENCH_RING_BATCHES][BENCH_RING_BATCH];
};

static inline void bench_ring_init(struct bench_ring *ring)
{
    sem_init(&ring->free, 0, BENCH_RING_BATCHES);
    sem_init(&ring->full, 0, 0);
    ring->written = 0;
    ring->read = 0;
}

static inline void bench_ring_wait(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0) {
        if (errno != EINTR)
            bench_die("sem_wait: %s", strerror(errno));
    }
}

static inline void **bench_ring_next_free(struct bench_ring *ring)
{
    bench_ring_wait(&ring->free);
    return ring->batch[ring->written++ % BENCH_RING_BATCHES];
}

static inline void bench_ring_publish(struct bench_ring *ring)
{
    sem_post(&ring->full);
}

static inline void **bench_ring_next_full(struct bench_ring *ring)
{
    bench_ring_wait(&ring->full);
    return ring->batch[ring->read++ % BENCH_RING_BATCHES];
}

static inline void bench_ring_release(struct bench_ring *ring)
{
    sem_post(&ring->free);
}

#endif
