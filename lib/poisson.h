/*
 * Which allocations the heap profile takes samples of: those that a Poisson process
 * falls on, which runs along the bytes that are handed out and has one event in so many
 * of them on average.  So what a sample stands for follows from the process alone, and
 * sums of samples are unbiased.
 *
 * Nothing is counted on hits.  Each size class has a process of its own, and the heap
 * moves it on by whole supplies and by the frees into a bin, when a slow path learns of
 * them.  Then events are due; a block of that class that is handed out soon after is
 * their sample and stands for all of them: not the next one, but one of the next few,
 * at random, so that no rhythm of the program's can hide one place behind another.
 * Blocks that come by a slow path one by one are decided on one by one.
 *
 * All zero is a process without events.  Used by the thread that has the heap.
 */
#ifndef PYM_POISSON_H
#define PYM_POISSON_H

#include "base.h"

/* The process of all blocks that no size class has. */
enum { PYM_POISSON_LARGE = PYM_CLASSES, PYM_POISSON_SKIP = 16 };

/* With so few bytes between two events, every block comes by a slow path. */
enum { PYM_POISSON_EXACT = 4096 };

struct pym_poisson {
    uint64_t interval; /* bytes between two events on average; 0: there are none */
    uint64_t random;
    int64_t left[PYM_CLASSES + 1]; /* bytes until the next event */
    uint32_t events[PYM_CLASSES];  /* due, without a sample yet */
    uint8_t to_skip[PYM_CLASSES];  /* blocks before the one that is the sample */
};

/* What a sample stands for. */
struct pym_weight {
    uint64_t blocks;
    uint64_t bytes;
};

void pym_poisson_start(struct pym_poisson *poisson, uint64_t interval, uint64_t seed);

/* For pym_poisson_count. */
void pym_poisson_advance(struct pym_poisson *poisson, unsigned cls, int64_t bytes);

/* Moves a size class on by blocks handed out, or back by blocks that were not after
 * all. */
PYM_INLINE void pym_poisson_count(struct pym_poisson *poisson, unsigned cls,
                                  int64_t blocks)
{
    if (PYM_UNLIKELY(poisson->interval > PYM_POISSON_EXACT)) {
        int64_t size = (int64_t)(cls + 1) * (int64_t)PYM_GRAIN;
        pym_poisson_advance(poisson, cls, blocks * size);
    }
}

PYM_INLINE bool pym_poisson_is_due(const struct pym_poisson *poisson, unsigned cls)
{
    return poisson->events[cls] != 0;
}

/* At most so many blocks, and not many more than until the next event. */
PYM_INLINE unsigned pym_poisson_limit(const struct pym_poisson *poisson, unsigned cls,
                                      unsigned most)
{
    if (PYM_LIKELY(poisson->interval == 0)) {
        return most;
    }
    int64_t size = (int64_t)(cls + 1) * (int64_t)PYM_GRAIN;
    int64_t blocks = poisson->left[cls] / size + 1;
    return blocks < 1 ? 1 : blocks < (int64_t)most ? (unsigned)blocks : most;
}

/* For a block of a class that comes by a slow path: whether it is to be a sample, and
 * then for what.  *again: whether the next one is to come by, too. */
bool pym_poisson_take(struct pym_poisson *poisson, unsigned cls,
                      struct pym_weight *weight, bool *again);

/* For the block that the process has just passed an event with. */
void pym_poisson_weigh_large(struct pym_poisson *poisson, size_t size, unsigned like_it,
                             struct pym_weight *weight);

/* The same for a block of any size that stands for so many like it. */
PYM_INLINE bool pym_poisson_take_large(struct pym_poisson *poisson, size_t size,
                                       unsigned like_it, struct pym_weight *weight)
{
    if (PYM_LIKELY(poisson->interval == 0)) {
        return false;
    }
    int64_t *left = &poisson->left[PYM_POISSON_LARGE];
    *left -= (int64_t)(size * like_it);
    if (*left > 0) {
        return false;
    }
    pym_poisson_weigh_large(poisson, size, like_it, weight);
    return true;
}

/* A number from 1 to 2 * mean - 1, all as likely. */
unsigned pym_poisson_about(struct pym_poisson *poisson, unsigned mean);

#endif
