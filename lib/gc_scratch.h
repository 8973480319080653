/*
 * The collector's notes on objects while it runs: a byte for every 16 bytes of the
 * region, so that a collection reads objects and writes here.  An object's byte is
 * that of its header.  The table is address space until a collection needs it, and
 * its memory goes back when a collection of everything is over.
 *
 * Between collections all bytes are zero.  Collections of several heaps may run at
 * once: each writes the bytes of its own pools only.
 */
#ifndef PYM_GC_SCRATCH_H
#define PYM_GC_SCRATCH_H

#include "gc_heap.h"

/* What a byte, or gc_large.note, says of an object, beside how often candidates refer
 * to it. */
enum {
    GC_NO_CANDIDATE = 0,
    GC_MANY = 252,     /* how often is in a table of its own: see gc_mark.h */
    GC_SUSPECT = 253,  /* it seemed to be garbage: see gc_slice.c */
    GC_GARBAGE = 254,  /* it is */
    GC_REACHABLE = 255 /* it is known to be alive */
};

/* Gives the heap the table, usable for all pools that there are now.  False with no
 * memory. */
bool gc_scratch_prepare(struct pygc_heap *heap);

/* Zeroes the bytes of a pool, if it is the heap's still. */
void gc_scratch_reset_pool(struct pygc_heap *heap, const struct pym_pool *pool);

/* Zeroes the bytes of the pools that a heap has in so many arenas from one on, giving
 * memory back.  Returns the arena to go on with, 0 if there are no more. */
size_t gc_scratch_reset_arenas(struct pygc_heap *heap, size_t arena, size_t count);

/* Takes the table away from the heap. */
void gc_scratch_finish(struct pygc_heap *heap);

/* Zeroes the byte of an object that is freed: its pool may change hands, or the block
 * be another object's, before the collection is over. */
PYM_INLINE void gc_scratch_forget(struct pygc_heap *heap,
                                  const struct pygc_header *header)
{
    size_t at = pym_region_offset(header) >> PYM_GRAIN_SHIFT;
    if (PYM_UNLIKELY(at < heap->scratch_end)) {
        heap->scratch[at] = GC_NO_CANDIDATE;
    }
}

PYM_INLINE uint8_t *gc_scratch_of(uint8_t *scratch, const struct pygc_header *header)
{
    return scratch + (pym_region_offset(header) >> PYM_GRAIN_SHIFT);
}

#endif
