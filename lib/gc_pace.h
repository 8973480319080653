/*
 * When collections run, and what they have cost: counters of the heap, the lists of
 * pools with young objects, statistics, and the estimates that follow from these.
 */
#ifndef PYM_GC_PACE_H
#define PYM_GC_PACE_H

#include "gc_mark.h"

uint64_t gc_now(void); /* ns */

/* What becomes due when the program allocates. */
enum { GC_NOT_DUE = -1, GC_SLICES_DUE = GC_GENERATIONS };

/* By how many sixteenths a heap may grow while a collection in slices lasts. */
enum { GC_SLICED_GROWTH = 1 };

/* The generation to collect now, GC_SLICES_DUE to begin a collection in slices, or
 * GC_NOT_DUE. */
int gc_what_is_due(struct pygc_heap *heap);

/* How long a collection of everything will take, in ns, and of how many objects. */
uint64_t gc_expected_time(const struct pygc_heap *heap);
uint64_t gc_expected_objects(const struct pygc_heap *heap);

/* Of a collection that has found its garbage: sets the counters, and lists pools anew
 * where the generations have been emptied. */
void gc_count_collection(struct gc_collection *run);
void gc_renew_lists(struct gc_collection *run);

/* Adds a pause to the statistics; and a whole collection, whose pauses are there
 * already. */
void gc_note_pause(struct pygc_heap *heap, unsigned generation, uint64_t ns);
void gc_note_collection(struct gc_collection *run, uint64_t found,
                        uint64_t uncollectable, uint64_t ns);

/* Tells the program's callback of a collection's start or end. */
void gc_tell(struct pygc_heap *heap, unsigned generation, bool is_end, size_t found);

#endif
