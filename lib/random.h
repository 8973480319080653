/*
 * Numbers that look random enough to choose samples by, quickly.  Secrets come from
 * pym_os_random instead.
 */
#ifndef PYM_RANDOM_H
#define PYM_RANDOM_H

#include "base.h"

/* 0 to 2^53 - 1.  A linear congruential generator with a multiplier from L'Ecuyer's
 * tables; its lower bits, which repeat soon, are left out. */
PYM_INLINE uint64_t pym_random_next(uint64_t *state)
{
    *state = *state * UINT64_C(3935559000370003845) + 1;
    return *state >> 11;
}

#endif
