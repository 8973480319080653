/*
 * A number for every object of a heap, and how many references objects have to it: for
 * what looks at the heap as a graph.
 *
 * Blocks of pools are numbered, free ones as well, so that an object's number follows
 * from its address; large objects have numbers behind these.  What is known of objects
 * lies in arrays by number.  The collector's notes (gc_scratch.h) would do for marks,
 * but between the slices of a collection they are in use.
 *
 * Memory: 4 bytes for every block, free or not, and 4 for every pool of the region.  A
 * map is right as long as no object is made or dies.
 */
#ifndef PYM_GC_MAP_H
#define PYM_GC_MAP_H

#include "gc_heap.h"

#define GC_NO_NUMBER UINT32_MAX

struct gc_map {
    struct pygc_heap *heap;
    size_t count;    /* numbers */
    uint32_t *first; /* of a pool, by its place in the region */
    size_t pools;
    struct gc_map_large *large; /* by address, open addressing */
    size_t large_size;          /* a power of two */
    /* By number: references in objects, at most GC_HELD_MOST.  Whoever has the map may
     * use it for notes, once it has seen the counts. */
    uint32_t *held;
};

#define GC_HELD_MOST (GC_NO_NUMBER - 1)

/* False with no memory; the map is to be freed all the same. */
bool gc_map_make(struct gc_map *map, struct pygc_heap *heap);
void gc_map_free(struct gc_map *map);

/* GC_NO_NUMBER if there is no living object of the heap: any address may be asked for.
 */
uint32_t gc_map_number(const struct gc_map *map, const void *object);

/* How many references to an object no object accounts for; PYGC_IMMORTAL. */
size_t gc_map_unaccounted(const struct gc_map *map, const struct pygc_header *header);

/* Takes note of a reference more. */
void gc_map_hold(struct gc_map *map, const void *object);

#endif
