#include "gc_pauses.h"
#include "gc_work.h"

uint64_t histogram_ns(const struct histogram *histogram, double share)
{
    uint64_t wanted = (uint64_t)((double)histogram->total * share), seen = 0;
    for (unsigned i = 0; i < BENCH_COUNT(histogram->bucket); i++) {
        seen += histogram->bucket[i];
        if (seen > wanted) {
            unsigned top = i / HISTOGRAM_PARTS, part = i % HISTOGRAM_PARTS + 1;
            uint64_t upper = (uint64_t)(HISTOGRAM_PARTS + part)
                             << (top - HISTOGRAM_SHIFT);
            return upper < histogram->longest ? upper : histogram->longest;
        }
    }
    return histogram->longest;
}

static uint64_t own_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void look_at_clocks(struct pauses *pauses)
{
    pauses->own_time = own_time();
    pauses->last = pauses->clock = bench_now_ns();
}

void pauses_begin(struct pauses *pauses)
{
    memset(pauses, 0, sizeof *pauses);
    look_at_clocks(pauses);
}

void pauses_note(struct pauses *pauses, uint64_t now)
{
    uint64_t took = now - pauses->last;
    uint64_t clock = now - pauses->clock, own = own_time() - pauses->own_time;
    uint64_t others = clock > own ? clock - own : 0;
    pauses->sum += took;
    histogram_add(&pauses->pauses, took);
    histogram_add(&pauses->own, took > others ? took - others : 0);
    look_at_clocks(pauses);
}

double pauses_skip(struct pauses *pauses)
{
    uint64_t before = pauses->last;
    look_at_clocks(pauses);
    return (double)(pauses->last - before) * 1e-9;
}

static void add(const char *prefix, const char *name, uint64_t value)
{
    result_add("%s%s=%" PRIu64, prefix, name, value);
}

void pauses_report(const struct pauses *pauses, const char *prefix)
{
    add(prefix, "batch_p50", histogram_ns(&pauses->batches, 0.5));
    add(prefix, "batch_p99", histogram_ns(&pauses->batches, 0.99));
    add(prefix, "batch_p999", histogram_ns(&pauses->batches, 0.999));
    add(prefix, "pauses", pauses->pauses.total);
    add(prefix, "pause_sum", pauses->sum);
    add(prefix, "pause_p50", histogram_ns(&pauses->pauses, 0.5));
    add(prefix, "pause_p99", histogram_ns(&pauses->pauses, 0.99));
    add(prefix, "pause_p999", histogram_ns(&pauses->pauses, 0.999));
    add(prefix, "pause_max", pauses->pauses.longest);
    add(prefix, "own_p999", histogram_ns(&pauses->own, 0.999));
    add(prefix, "own_max", pauses->own.longest);
}
