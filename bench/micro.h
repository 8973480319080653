/*
 * The parts of the micro benchmarks: each registers what its file holds.  See gbench.h
 * for what a benchmark is.  The time shown is that of one iteration; where an iteration
 * makes several blocks, items_per_second counts blocks.
 */
#ifndef BENCH_MICRO_H
#define BENCH_MICRO_H

#include "common.h"
#include "gbench.h"

void micro_register_pairs(void);
void micro_register_orders(void);
void micro_register_realloc(void);
void micro_register_aligned(void);
void micro_register_cxx(void);
void micro_register_threads(void);

/* The thread counts that every threaded benchmark runs with. */
static inline void micro_thread_counts(gbench *b)
{
    for (int threads = 1; threads <= 8; threads *= 2)
        gbench_threads(b, threads);
}

#endif
