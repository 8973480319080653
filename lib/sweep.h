/*
 * Full pools that have free blocks, but fewer than would wake them.
 *
 * A pool that ran empty waits until a sixteenth of its blocks is free again
 * (pym_class_wake).  Where a program frees a little here and there and goes on to
 * allocate, many wait for ever, and the heap takes new pools beside them.  So before a
 * heap grows it looks at the next few pool records of the region, for a full pool of
 * the class of which a quarter of that is free.
 *
 * What is looked at for each pool by which the heap grows is bounded, and so is the
 * work for a block: records lie side by side, and nothing of the pools themselves is
 * touched.
 *
 * Called by the thread that has the heap.
 */
#ifndef PYM_SWEEP_H
#define PYM_SWEEP_H

#include "heap.h"

/* Whether the heap is so large that it is worth while.  Asked at the place, so that
 * small programs need no page of the code. */
PYM_INLINE bool pym_sweep_is_worthwhile(const struct pym_heap *heap)
{
    enum { LEAST = 64 };
    return heap->pools > LEAST;
}

/* The free blocks of a full pool. */
PYM_INLINE unsigned pym_sweep_free_blocks(const struct pym_pool *full)
{
    return pym_class_wake(full->cls) - full->countdown;
}

/* A full pool of the class that is worth using; NULL if the heap is to grow. */
struct pym_pool *pym_sweep_find(struct pym_heap *heap, unsigned cls);

#endif
