/*
 * Which allocations are samples: one in a mean number, at random, decided where slow
 * paths come by anyway.
 *
 * Nothing is counted on hits.  A heap counts the blocks that a bin was supplied with,
 * and those that were freed into it, when a slow path learns of them; so the count runs
 * behind by what is in the bins, but is right in the long run.  When a sample is due,
 * the heap takes the bin away, and the next malloc comes by.
 *
 * All zero is a sampler that never samples.  Used by the thread that has the heap.
 */
#ifndef PYM_SAMPLER_H
#define PYM_SAMPLER_H

#include "random.h"

struct pym_sampler {
    uint64_t counted; /* allocations so far */
    uint64_t twice;   /* those that will be counted again */
    uint64_t due_at;  /* 0: never */
    uint64_t random;
};

PYM_INLINE void pym_sampler_count(struct pym_sampler *sampler, uint64_t allocations)
{
    sampler->counted += allocations;
}

PYM_INLINE bool pym_sampler_is_due(const struct pym_sampler *sampler)
{
    return sampler->due_at != 0 && sampler->counted >= sampler->due_at;
}

/* At most so many allocations, and not more than until the next sample; at least 1. */
PYM_INLINE unsigned pym_sampler_limit(const struct pym_sampler *sampler, unsigned most)
{
    if (PYM_LIKELY(sampler->due_at == 0 || sampler->due_at > sampler->counted + most)) {
        return most;
    }
    return sampler->due_at > sampler->counted
               ? (unsigned)(sampler->due_at - sampler->counted)
               : 1;
}

/* Sets the next sample, 1 to 2 * mean - 1 allocations from now, all as likely; for a
 * mean of 0, none. */
PYM_INLINE void pym_sampler_next(struct pym_sampler *sampler, uint64_t mean)
{
    uint64_t step =
        mean != 0 ? 1 + pym_random_next(&sampler->random) % (2 * mean - 1) : 0;
    sampler->due_at = mean != 0 ? sampler->counted + sampler->twice + step : 0;
    sampler->twice = 0;
}

#endif
