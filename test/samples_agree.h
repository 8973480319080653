/*
 * What the records of the heap profile (samples.h of the library) are at any moment at
 * which nobody changes them: sums that agree.
 */
#ifndef TEST_SAMPLES_AGREE_H
#define TEST_SAMPLES_AGREE_H

#include "samples.h"
#include "support.h"

struct samples_sums {
    struct pym_samples_figures of_stacks;
    struct pym_weight of_list;
    size_t stacks, list;
};

static inline void samples_add(struct pym_weight *sum, const struct pym_weight *more)
{
    sum->blocks += more->blocks;
    sum->bytes += more->bytes;
}

static inline void samples_add_stack(void *arg, const struct pym_stack *stack,
                                     const struct pym_samples_figures *figures)
{
    struct samples_sums *sums = arg;
    (void)stack;
    sums->stacks++;
    samples_add(&sums->of_stacks.live, &figures->live);
    samples_add(&sums->of_stacks.all, &figures->all);
    samples_add(&sums->of_stacks.peak, &figures->peak);
}

/* One more than there may be, so that it would be seen. */
static inline void samples_add_list(struct samples_sums *sums, size_t live)
{
    struct pym_sample *copy = pages((live + 1) * sizeof *copy);
    sums->list = pym_samples_copy(copy, live + 1);
    for (size_t i = 0; i < sums->list; i++) {
        samples_add(&sums->of_list, &copy[i].weight);
    }
    munmap(copy, (live + 1) * sizeof *copy);
}

static inline bool samples_same(const struct pym_weight *a, const struct pym_weight *b)
{
    return a->blocks == b->blocks && a->bytes == b->bytes;
}

/* What does not agree; NULL if all does. */
UNUSED static const char *samples_fault(void)
{
    struct pym_samples_totals totals = pym_samples_totals();
    struct samples_sums sums = {0};
    if (totals.samples_live > totals.samples_all ||
        totals.live.bytes > totals.all.bytes) {
        return "more samples live than there were";
    }
    pym_samples_each_stack(samples_add_stack, &sums);
    samples_add_list(&sums, totals.samples_live);
    return !samples_same(&sums.of_stacks.live, &totals.live) ? "what stacks have live"
           : !samples_same(&sums.of_stacks.all, &totals.all) ? "what stacks ever had"
           : sums.of_stacks.peak.bytes != totals.peak_bytes  ? "the peak of the stacks"
           : sums.list != totals.samples_live                ? "the number of samples"
           : !samples_same(&sums.of_list, &totals.live)      ? "the list of samples"
                                                             : NULL;
}

#endif
