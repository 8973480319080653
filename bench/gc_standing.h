/*
 * Standing garbage: objects in cycles that nothing refers to any more and that are not
 * freed yet, beside the number of those that are alive.
 */
#ifndef BENCH_GC_STANDING_H
#define BENCH_GC_STANDING_H

#include "gc_work.h"

struct standing {
    size_t most; /* objects */
    double share;
};

/* Takes note of a moment.  Garbage up to a young generation's threshold does not count
 * towards the share. */
static inline void standing_note(struct standing *standing, size_t garbage, size_t live)
{
    enum { THRESHOLD = 700 };
    size_t counted = garbage > THRESHOLD ? garbage - THRESHOLD : 0;
    double share = (double)counted / (double)live;
    standing->most = garbage > standing->most ? garbage : standing->most;
    standing->share = share > standing->share ? share : standing->share;
}

/* Adds to the result: standing, the most objects, and standing_share. */
static inline void standing_report(const struct standing *standing)
{
    result_add("standing=%zu standing_share=%.4f", standing->most, standing->share);
}

#endif
