/*
 * Pauses, seen from outside: how long the program took from one moment to the next,
 * with a moment after every PAUSES_BATCH operations.  What took longer than
 * PAUSES_LEAST is a pause, whatever it was: the collector, the release of much at once,
 * or another process. In a pause it is found out how much of it this thread was
 * running, which leaves the last of these out; that is told beside it.
 *
 * One thread.
 */
#ifndef BENCH_GC_PAUSES_H
#define BENCH_GC_PAUSES_H

#include "common.h"

enum {
    PAUSES_BATCH = 16,   /* operations */
    PAUSES_LEAST = 20000 /* ns */
};

/* Durations, to within a sixteenth. */
enum { HISTOGRAM_PARTS = 16, HISTOGRAM_SHIFT = 4 };
struct histogram {
    uint64_t total;
    uint64_t longest;
    uint64_t bucket[64 * HISTOGRAM_PARTS];
};

struct pauses {
    uint64_t last; /* moment */
    /* Where the clock and the thread's own time stood after the last pause. */
    uint64_t clock, own_time;
    uint64_t sum; /* of pauses */
    struct histogram batches, pauses, own;
};

static inline void histogram_add(struct histogram *histogram, uint64_t ns)
{
    unsigned top = 63u - (unsigned)__builtin_clzll(ns | HISTOGRAM_PARTS);
    uint64_t part = ns >> (top - HISTOGRAM_SHIFT) & (HISTOGRAM_PARTS - 1);
    histogram->bucket[top * HISTOGRAM_PARTS + part]++;
    histogram->total++;
    histogram->longest = ns > histogram->longest ? ns : histogram->longest;
}

/* The duration that the given share (0 to 1) of all does not exceed. */
uint64_t histogram_ns(const struct histogram *histogram, double share);

/* From now on. */
void pauses_begin(struct pauses *pauses);

/* Takes note of a pause that ended now. */
void pauses_note(struct pauses *pauses, uint64_t now);

/* A batch ends, and the next one begins. */
static inline void pauses_mark(struct pauses *pauses)
{
    uint64_t now = bench_now_ns();
    histogram_add(&pauses->batches, now - pauses->last);
    if (now - pauses->last > PAUSES_LEAST) {
        pauses_note(pauses, now);
    } else {
        pauses->last = now;
    }
}

/* What has been done since the last batch ended is none; returns its seconds. */
double pauses_skip(struct pauses *pauses);

/* Adds to the result, with a prefix to each name; times in nanoseconds:
 *   batch_p50, batch_p99, batch_p999             of all batches
 *   pauses, pause_sum                            number, and time in all
 *   pause_p50, pause_p99, pause_p999, pause_max  of pauses
 *   own_p999, own_max                            without what other processes took */
void pauses_report(const struct pauses *pauses, const char *prefix);

#endif
