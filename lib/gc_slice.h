/*
 * Collections of everything in slices, between which the program runs.
 */
#ifndef PYM_GC_SLICE_H
#define PYM_GC_SLICE_H

#include "gc_heap.h"

/* Begins a collection, or does the slice of it that is due, for the allocations since
 * the last; nothing if none is. */
void gc_cycle_go_on(struct pygc_heap *heap);

/* pygc_step. */
int gc_cycle_step(struct pygc_heap *heap, uint64_t budget_ns);

/* Puts an end to the collection that is under way, without effect. */
void gc_cycle_abandon(struct pygc_heap *heap);

/* How many allocations lie between two slices. */
unsigned gc_cycle_interval(const struct pygc_heap *heap);

/* Of a large object that leaves the heap's list. */
void gc_cycle_forget_large(struct pygc_heap *heap, const struct gc_large *large);

#endif
