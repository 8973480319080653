/*
 * The inside of the object layer: what its files share.
 *
 * An object's block starts with a header of 8 bytes.  Its pools start 8 bytes late,
 * so that what follows the header is aligned to 16 bytes without any padding:
 *
 *     pool  |8|header|payload ... |header|payload ... |
 *              ^ a block           ^ the next
 *
 * The lowest bit of a live block's first word is set, and in a free block that word
 * is a link, which is even; so a walk over a pool needs no other record of what is
 * alive.  Objects too large for a pool have a struct gc_large in front of the header
 * and are in a list.
 *
 * A heap's pools belong to a struct pym_heap of its own, which no thread has: its
 * bins are the saved ones.
 */
#ifndef PYM_GC_HEAP_H
#define PYM_GC_HEAP_H

#include "gc_type.h"
#include "heap.h"
#include "track.h"

/* ---- headers ---- */

/* Of pygc_header.bits; the upper half is the index of the type. */
enum {
    GC_LIVE = 1,
    GC_TRACKED = 2,
    GC_WEAK = 4,      /* there are weak references to it, or have been */
    GC_FINALIZED = 8, /* its finalizer has been called */
    GC_LARGE = 16,    /* it lies behind a struct gc_large */
    GC_PENDING = 32,  /* dead, and waiting to be released: see gc_object.c */
    GC_GENERATION_SHIFT = 6,
    GC_GENERATION = 3 << GC_GENERATION_SHIFT,
    GC_WATCHED = 256, /* its misuse is looked for: see gc_check.h */
    GC_BIRTH_SHIFT = 9,
    GC_BIRTH = 127 << GC_BIRTH_SHIFT, /* when it was made: see gc_heap.c */
    GC_TYPE_SHIFT = 16
};
enum { GC_GENERATIONS = 3, GC_FROZEN = 3 };

#define GC_IMMORTAL UINT32_C(0x80000000)

PYM_INLINE unsigned gc_generation_of(const struct pygc_header *header)
{
    return (header->bits & GC_GENERATION) >> GC_GENERATION_SHIFT;
}

PYM_INLINE void gc_set_generation(struct pygc_header *header, unsigned generation)
{
    header->bits =
        (header->bits & ~(uint32_t)GC_GENERATION) | generation << GC_GENERATION_SHIFT;
}

PYM_INLINE const struct pygc_type *gc_type_of(const struct pygc_header *header)
{
    return gc_types[header->bits >> GC_TYPE_SHIFT];
}

PYM_INLINE bool gc_is_large(const struct pygc_header *header)
{
    return (header->bits & GC_LARGE) != 0;
}

PYM_INLINE bool gc_awaits_finalizer(const struct pygc_header *header)
{
    return gc_type_of(header)->finalize != NULL && (header->bits & GC_FINALIZED) == 0;
}

/* For tables by address. */
PYM_INLINE size_t gc_hash(const void *address)
{
    return pym_mix((uintptr_t)address >> 3) >> 24;
}

PYM_INLINE void *gc_object_of(struct pygc_header *header)
{
    return header + 1;
}

/* In front of the header of an object that is the system's block. */
struct gc_large {
    struct gc_large *next, *prev; /* in the heap's list: the latest first */
    struct pygc_heap *heap;
    struct gc_large *next_pending;
    size_t size;     /* bytes of the block */
    uint32_t index;  /* in the collector's list of suspects */
    uint8_t note;    /* as a byte of gc_scratch.h */
    uint8_t in_hand; /* lists of the collector that have it: see gc_take_off_hand */
    uint64_t padding;
    struct pygc_header header;
};
_Static_assert(sizeof(struct gc_large) % 16 == 0, "payloads are aligned to 16 bytes");

PYM_INLINE struct gc_large *gc_large_of(const struct pygc_header *header)
{
    return (struct gc_large *)((uintptr_t)header - offsetof(struct gc_large, header));
}

/* ---- vectors ---- */

/* All zero: empty. */
struct gc_vector {
    void **at;
    size_t count;
    size_t capacity;
};

/* False if there is no memory; the vector is as it was. */
bool gc_vector_reserve(struct gc_vector *vector, size_t capacity);
void gc_vector_free(struct gc_vector *vector);

/* How often a value is in it. */
size_t gc_vector_count(const struct gc_vector *vector, const void *value);

/* Sorts it without memory. */
typedef bool gc_before_fn(const void *a, const void *b);
void gc_vector_sort(struct gc_vector *vector, gc_before_fn *is_before);

PYM_INLINE bool gc_vector_has_room(const struct gc_vector *vector)
{
    return vector->count < vector->capacity;
}

PYM_INLINE bool gc_vector_push(struct gc_vector *vector, void *value)
{
    if (PYM_UNLIKELY(vector->count == vector->capacity) &&
        !gc_vector_reserve(vector, vector->count + 1)) {
        return false;
    }
    vector->at[vector->count++] = value;
    return true;
}

/* ---- heaps ---- */

typedef void gc_event_fn(struct pygc_heap *heap, int generation, int is_end,
                         size_t collected, void *arg);

/* Of gc_check.h: all zero but while PYGC_DEBUG_VERIFY is set. */
struct gc_watch {
    const void *thread; /* that has the heap, by the address of storage of its own */
    int thread_id;
    struct pygc_header **dead; /* a ring of dead objects, the oldest at first */
    size_t dead_first;
    size_t dead_count;
    size_t dead_bytes;
    struct gc_vector pending; /* headers of watched objects that wait for release */
};

struct pygc_heap {
    struct pym_heap base; /* first: the owner of a pool is the heap */

    struct gc_large *large;

    /* Release: see gc_object.c. */
    uint64_t pending; /* the first small object that waits, as in its header */
    struct gc_large *pending_large;
    bool releasing;
    size_t release_budget; /* objects; 0: no limit */
    struct gc_watch watch;
    bool defers_finalizers;
    struct gc_vector deferred; /* objects, each with a reference */

    /* Weak references: buckets by address of the target. */
    pygc_weakref **weak;
    size_t weak_buckets; /* a power of two, or 0 */
    size_t weak_count;
    pygc_weakref *weak_cleared;

    /* Collection. */
    unsigned threshold[GC_GENERATIONS];
    unsigned trigger; /* count[0] from which on an allocation has more to do */
    uint64_t torture; /* state of random numbers */
    unsigned count[GC_GENERATIONS];
    unsigned paused;
    bool enabled;
    bool collecting;
    bool lost_pools; /* a pool could not be listed: the next collection is a full one */
    unsigned debug;
    uint64_t pause_target; /* ns; 0: none */
    int64_t seen_by_full;  /* objects that the last full collection left */
    int64_t since_full;    /* more that have entered the oldest generation than died */
    uint64_t aged;       /* objects that generation 1 has got since it was collected */
    unsigned fruitless;  /* collections since the last that found any garbage */
    uint64_t young_cost; /* of an object in a collection: see gc_pace.c */
    uint64_t full_cost;
    uint64_t disposal_cost;
    uint64_t oversized;     /* groups of garbage that no slice could hold */
    uint64_t overdue;       /* slices without an end, for the bound on garbage */
    struct gc_cycle *cycle; /* a collection in slices, under way */
    uint32_t birth;         /* what a new header's bits begin with */
    uint64_t external;
    uint64_t external_unit; /* of it, not yet counted as objects */
    /* Pools with objects of generation 0, and with ones of 1. */
    struct gc_vector pools[GC_GENERATIONS - 1];
    struct gc_vector garbage; /* objects, each with a reference */
    struct gc_vector lent[3]; /* memory for the next collection */
    /* While a collection runs, the table of gc_scratch.h, and how far it may be used.
     */
    uint8_t *scratch;
    size_t scratch_end; /* bytes; 0: no collection is running */
    struct pygc_generation_stats stats[GC_GENERATIONS];
    uint64_t survived[GC_GENERATIONS];
    uint64_t pauses[PYGC_PAUSES];
    uint64_t made_ns; /* when, by gc_now */
    gc_event_fn *event;
    void *event_arg;
};

PYM_INLINE struct pygc_heap *gc_heap_of(const struct pygc_header *header)
{
    if (PYM_UNLIKELY(gc_is_large(header))) {
        return gc_large_of(header)->heap;
    }
    return (struct pygc_heap *)(void *)pym_region_pool_of(header)->owner;
}

/* Whether objects wait to be released. */
PYM_INLINE bool gc_has_pending(const struct pygc_heap *heap)
{
    return heap->pending != 0 || heap->pending_large != NULL ||
           heap->watch.pending.count != 0;
}

/* The count[0] from which on generation 0 is due: never that of the highest threshold.
 */
PYM_INLINE unsigned gc_heap_due_at(const struct pygc_heap *heap)
{
    return heap->threshold[0] < UINT32_MAX ? heap->threshold[0] + 1 : UINT32_MAX;
}

/* Notes that a pool may have objects of a generation younger than the oldest. */
void gc_heap_list_pool(struct pygc_heap *heap, struct pym_pool *pool,
                       unsigned generation);

/* Sets trigger by what is to be watched. */
void gc_heap_set_trigger(struct pygc_heap *heap);

/* A new object's generation: the oldest while slices of a collection are under way,
 * which need not look at it then. */
void gc_heap_set_birth(struct pygc_heap *heap, unsigned generation);

/* Marks what is born from now on as born after so many collections. */
void gc_heap_date_births(struct pygc_heap *heap);

/* Of objects that bear the mark of a header: the most collections there can have been
 * before they were made. */
uint64_t gc_birth_of(const struct pygc_header *header);

/* How many collections there have been. */
PYM_INLINE uint64_t gc_heap_collections(const struct pygc_heap *heap)
{
    return heap->stats[0].collections + heap->stats[1].collections +
           heap->stats[2].collections;
}

/* Runs an automatic collection, or a slice of one, if one is due. */
void gc_collect_if_due(struct pygc_heap *heap);

/* The next of the heap's random numbers, which only torture uses. */
uint64_t gc_heap_random(struct pygc_heap *heap);

/* ---- walks ---- */

/* The header in a block, if it is a live object's that is not waiting for release. */
PYM_INLINE struct pygc_header *gc_live_header(void *block)
{
    enum { WANTED = GC_LIVE, MASK = GC_LIVE | GC_PENDING };
    uintptr_t first = (uintptr_t)pym_link_get(block);
    return (first & MASK) == WANTED ? block : NULL;
}

/* Whether objects of the heap may lie in a pool.  A pool of another heap may change
 * hands meanwhile, but not to this one. */
bool gc_heap_has_pool(const struct pygc_heap *heap, const struct pym_pool *pool);

typedef void gc_header_fn(struct pygc_header *header, void *arg);

PYM_INLINE void gc_each_in_pool(const struct pym_pool *pool, gc_header_fn *fn,
                                void *arg)
{
    size_t size = pym_class_size(pool->cls);
    char *block = pym_pool_block(pool, 0);
    char *end = block + pool->carved * size;
    for (; block < end; block += size) {
        struct pygc_header *header = gc_live_header(block);
        if (header != NULL) {
            fn(header, arg);
        }
    }
}

/* Calls fn for every pool of the heap that may have live objects. */
void gc_each_pool(struct pygc_heap *heap, void (*fn)(struct pym_pool *pool, void *arg),
                  void *arg);

/* Calls fn for every live object. */
void gc_each_object(struct pygc_heap *heap, gc_header_fn *fn, void *arg);

/* A census without references, of a heap that may be anything but sound. */
int gc_count_types(struct pygc_heap *heap, pygc_census_fn *visit, void *arg);

/* ---- release (gc_object.c) and weak references (gc_weakref.c) ---- */

size_t gc_block_bytes(const struct pygc_header *header);

/* Takes note that a list of a collection in slices has an object no more.  False if it
 * has died meanwhile; the memory of a large one waits until it is in no list: it may be
 * a suspect and on the stack. */
bool gc_take_off_hand(struct pygc_header *header);

/* Frees an object that nothing refers to and whose references are gone already. */
void gc_free_object(struct pygc_heap *heap, struct pygc_header *header);

/* Frees the memory of dead objects that verify mode keeps no longer, or of all. */
void gc_free_dead(struct pygc_heap *heap, bool all);

/* Calls the finalizer if that has never been done.  The caller has a reference. */
void gc_finalize(struct pygc_header *header);

/* Whether there is a weak reference to an object. */
bool gc_weak_refers(const struct pygc_heap *heap, const struct pygc_header *header);

/* Clears the weak references to an object and links those that have callbacks to
 * *due; then calls and empties the list. */
void gc_weak_clear(struct pygc_heap *heap, struct pygc_header *header,
                   pygc_weakref **due);
void gc_weak_call(pygc_weakref **due);

/* Forgets the callback of a weak reference, which may be NULL. */
void gc_weak_silence(pygc_weakref *ref);

/* Frees the weak reference in a slot; for gc_each_weak_slot. */
void gc_weak_free_slot(void **slot, void *arg);

/* Frees the table and all weak references in it. */
void gc_weak_free_all(struct pygc_heap *heap);

#endif
