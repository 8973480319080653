/*
 * Memory of pools that are partly in use: goes back to the system page by page.
 *
 * After most of a heap was freed, many a pool is held by a few blocks, and no other
 * class can have it.  But of its pages some have no block in use.  Their memory is
 * given back, and their blocks are cut off anew when the pool is used again (pages.h).
 *
 * To know the pages, a pool's whole free list has to be followed, through memory that
 * nobody has touched for a while.  So a pool is looked at only if at most a quarter of
 * its blocks is in use; after that if half as many are as the last time, and few; and
 * only if it was available, and so not allocated from, when the scavenger came by
 * before.
 *
 * All pools of the region are passed by in turn, some now and then, after each "decay".
 *
 * Called by the thread that has the heap.
 */
#ifndef PYM_SCAVENGE_H
#define PYM_SCAVENGE_H

#include "heap.h"

/* Whether the heap is large enough, with enough pools that have free blocks.  Asked at
 * each place, so that small programs need no page of the code. */
PYM_INLINE bool pym_scavenge_is_worthwhile(const struct pym_heap *heap)
{
    enum { LEAST = 64, SHARE = 4 };
    return !PYM_HARDENED && heap->pools >= LEAST &&
           heap->availables > heap->pools / SHARE;
}

/* From slow paths: goes on as far as the time that has passed allows. */
void pym_scavenge_some(struct pym_heap *heap, uint64_t now_ms);

/* Looks at all of the heap's pools at once. */
void pym_scavenge_all(struct pym_heap *heap);

#endif
