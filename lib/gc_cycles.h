/*
 * The cycles that garbage consists of: its strongly connected components, of which
 * those made of the same types are one group.  Garbage is what has not been collected
 * and what PYGC_DEBUG_SAVE has kept: no reference to it comes from outside, the list of
 * what is kept aside.
 *
 * Nothing in the heap is changed, and no stack grows with the heap.  Memory: that of a
 * map (gc_map.h) and, while they are found, 8 bytes for every living object that is
 * reached; then about 40 bytes for every object of garbage and 4 for every reference
 * between two of them; and what the groups take, which stays until they are freed.
 */
#ifndef PYM_GC_CYCLES_H
#define PYM_GC_CYCLES_H

#include "gc_heap.h"

struct gc_cycles {
    struct gc_vector groups; /* struct pygc_cycles, the most bytes first */
    uint64_t cycles;
    uint64_t objects; /* of garbage */
    uint64_t bytes;
    uint64_t in_cycles; /* of these objects; the others hang on them */
};

/* False with no memory: nothing is to be freed then. */
bool gc_cycles_find(struct gc_cycles *cycles, struct pygc_heap *heap);
void gc_cycles_free(struct gc_cycles *cycles);

#endif
