/*
 * The collector.
 *
 * Candidates are the tracked objects of the generation that is collected and of the
 * younger ones.  Of each the references are counted that do not come from
 * candidates: its count, less one for every reference found in a candidate.  Those
 * that have some left are alive, and so is what can be reached from them; the rest
 * is garbage, whatever the counts are.  This is CPython's rule.  How it is followed
 * is not: the notes lie in a table beside the objects (gc_scratch.h), so no object
 * is written to while the garbage is found; objects are visited in the order of
 * their addresses where the order does not matter, and where it does, reading ahead.
 *
 * Until something is known to be garbage nothing has been changed, so a collection
 * that runs out of memory gives up and can be repeated.
 */
#include "alloc.h"
#include "gc_scratch.h"
#include "os.h"
#include "print.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* What gc_large.scratch says instead of GC_REACHABLE: it has room for all counts. */
#define LARGE_REACHABLE SIZE_MAX
/* Objects that are being fetched while others are visited. */
enum { AHEAD = 8 };
/* Memory for so many entries stays with the heap from one collection to the next. */
enum { ENTRIES_KEPT = 4096 };

/* References to an object with too many of them for a byte: open addressing. */
struct many {
    struct pygc_header *header;
    size_t note; /* as the byte would say it */
};

struct run {
    struct pygc_heap *heap;
    uint8_t *scratch;
    unsigned generation;
    bool is_full;    /* everything tracked is a candidate: no need to note which */
    bool failed;     /* no memory */
    uint32_t held;   /* references to each candidate that are the collector's */
    uintptr_t swept; /* candidates up to here have been looked at in turn */
    unsigned kinds;  /* of garbage: see below */
    uint64_t candidates;
    uint64_t survivors;
    struct gc_vector pools;   /* to walk, but for generation 2 */
    struct gc_vector stack;   /* reachable objects whose references are to be seen */
    struct gc_vector garbage; /* headers */
    struct many *many;
    size_t many_count;
    size_t many_size; /* a power of two, or 0 */
};

/* What is to be done for some of the garbage. */
enum {
    HAS_WEAK = 1,       /* there are weak references to it */
    HAS_WEAK_SLOTS = 2, /* there are some in it */
    HAS_FINALIZER = 4,  /* that has not been called */
    HAS_TRAVERSE = 8,   /* its references are not told by slots */
};

/* ---- objects with many references ---- */

static struct many *many_find(struct many *table, size_t size,
                              const struct pygc_header *header)
{
    size_t i = gc_hash(header) & (size - 1);
    while (table[i].header != NULL && table[i].header != header) {
        i = (i + 1) & (size - 1);
    }
    return &table[i];
}

static bool many_grow(struct run *run)
{
    size_t size = run->many_size != 0 ? run->many_size * 2 : 64;
    struct many *table = pym_alloc_calloc(size, sizeof(*table));
    if (table == NULL) {
        return false;
    }
    for (size_t i = 0; i < run->many_size; i++) {
        if (run->many[i].header != NULL) {
            *many_find(table, size, run->many[i].header) = run->many[i];
        }
    }
    pym_alloc_free(run->many);
    run->many = table;
    run->many_size = size;
    return true;
}

static void many_add(struct run *run, struct pygc_header *header, size_t note)
{
    if (2 * run->many_count >= run->many_size && !many_grow(run)) {
        run->failed = true;
        return;
    }
    struct many *entry = many_find(run->many, run->many_size, header);
    run->many_count += entry->header == NULL;
    *entry = (struct many){header, note};
}

static size_t *many_note(struct run *run, const struct pygc_header *header)
{
    return &many_find(run->many, run->many_size, header)->note;
}

/* ---- notes on objects ---- */

/* By address: asking the header would be a cache miss. */
PYM_INLINE bool has_byte(const struct pygc_header *header)
{
    return PYM_LIKELY(pym_region_owns(header));
}

PYM_INLINE bool is_candidate(const struct run *run, const struct pygc_header *header)
{
    enum { WANTED = GC_LIVE | GC_TRACKED, MASK = WANTED | GC_PENDING };
    return (header->bits & MASK) == WANTED &&
           gc_generation_of(header) <= run->generation;
}

static void push(struct run *run, struct pygc_header *header)
{
    if (!gc_vector_push(&run->stack, header)) {
        run->failed = true;
    }
}

PYM_INLINE void count_reference(void **slot, void *arg)
{
    struct run *run = arg;
    if (*slot == NULL) {
        return;
    }
    struct pygc_header *header = pygc_header_of(*slot);
    if (!has_byte(header)) {
        struct gc_large *large = gc_large_of(header);
        large->scratch += large->scratch != GC_NO_CANDIDATE || run->is_full;
        return;
    }
    uint8_t *byte = gc_scratch_of(run->scratch, header);
    uint8_t note = *byte;
    if (note == GC_NO_CANDIDATE && !run->is_full) {
        return;
    }
    if (PYM_LIKELY(note < GC_MANY - 1)) {
        *byte = (uint8_t)(note + 1);
    } else if (note == GC_MANY) {
        ++*many_note(run, header);
    } else {
        *byte = GC_MANY;
        many_add(run, header, GC_MANY);
    }
}

/* The references that were counted, and one for being a candidate if that is noted. */
PYM_INLINE size_t note_on(struct run *run, const struct pygc_header *header)
{
    if (PYM_UNLIKELY(gc_is_large(header))) {
        return gc_large_of(header)->scratch;
    }
    uint8_t note = *gc_scratch_of(run->scratch, header);
    return PYM_LIKELY(note != GC_MANY) ? note : *many_note(run, header);
}

/* Whether there are more references than were counted.  Immortal objects have. */
PYM_INLINE bool is_root(struct run *run, const struct pygc_header *header)
{
    size_t counted = note_on(run, header) - !run->is_full;
    return header->refs - run->held > counted;
}

PYM_INLINE bool is_reachable(struct run *run, const struct pygc_header *header)
{
    return PYM_UNLIKELY(gc_is_large(header))
               ? gc_large_of(header)->scratch == LARGE_REACHABLE
               : *gc_scratch_of(run->scratch, header) == GC_REACHABLE;
}

PYM_INLINE void set_reachable(struct run *run, struct pygc_header *header)
{
    if (PYM_UNLIKELY(gc_is_large(header))) {
        gc_large_of(header)->scratch = LARGE_REACHABLE;
    } else {
        *gc_scratch_of(run->scratch, header) = GC_REACHABLE;
    }
}

/* Of an object that a reachable one refers to.  If the sweep will come by it, no more
 * is to be done now. */
PYM_INLINE void mark_reference(void **slot, void *arg)
{
    struct run *run = arg;
    if (*slot == NULL) {
        return;
    }
    struct pygc_header *header = pygc_header_of(*slot);
    if (has_byte(header)) {
        uint8_t *byte = gc_scratch_of(run->scratch, header);
        if (*byte != GC_NO_CANDIDATE && *byte != GC_REACHABLE) {
            *byte = GC_REACHABLE;
            if ((uintptr_t)header <= run->swept) {
                push(run, header);
            }
        }
    } else {
        struct gc_large *large = gc_large_of(header);
        if (large->scratch != GC_NO_CANDIDATE && large->scratch != LARGE_REACHABLE) {
            large->scratch = LARGE_REACHABLE;
            push(run, header);
        }
    }
}

/* Of an object that garbage refers to: whether it is garbage as well.  A full
 * collection notes references to what is no candidate, too. */
static bool is_garbage(struct run *run, const struct pygc_header *header)
{
    return (header->bits & GC_TRACKED) != 0 &&
           gc_generation_of(header) <= run->generation &&
           note_on(run, header) != GC_NO_CANDIDATE && !is_reachable(run, header);
}

static int count_visited(void *object, void *arg)
{
    count_reference(&object, arg);
    return 0;
}

static int mark_visited(void *object, void *arg)
{
    mark_reference(&object, arg);
    return 0;
}

PYM_INLINE void count_from(struct pygc_header *header, struct run *run)
{
    const struct pygc_type *type = gc_type_of(header);
    void *object = gc_object_of(header);
    run->candidates += run->is_full;
    if (PYM_UNLIKELY(type->traverse != NULL)) {
        (void)type->traverse(object, count_visited, run);
    } else {
        gc_each_strong_slot(type, object, count_reference, run);
    }
}

static int is_tracked_visitor(void *object, void *arg)
{
    bool *found = arg;
    *found |= pygc_is_tracked(object) != 0;
    return 0;
}

static bool refers_to_tracked(struct pygc_header *header)
{
    bool found = false;
    (void)pygc_referents(gc_object_of(header), is_tracked_visitor, &found);
    return found;
}

/* Objects of the oldest generation are not written to. */
PYM_INLINE void promote(const struct run *run, struct pygc_header *header,
                        const struct pygc_type *type)
{
    if (gc_generation_of(header) < GC_GENERATIONS - 1) {
        unsigned next = run->generation + 1;
        gc_set_generation(header, next < GC_GENERATIONS ? next : GC_GENERATIONS - 1);
        if (PYM_UNLIKELY((type->flags & PYGC_IMMUTABLE) != 0) &&
            !refers_to_tracked(header)) {
            header->bits &= ~(uint32_t)GC_TRACKED;
        }
    }
}

/* Sees the references of a reachable object. */
PYM_INLINE void visit(struct pygc_header *header, struct run *run)
{
    if (!is_candidate(run, header)) {
        return; /* of a full collection, where that is not noted */
    }
    const struct pygc_type *type = gc_type_of(header);
    void *object = gc_object_of(header);
    run->survivors++;
    if (PYM_UNLIKELY(type->traverse != NULL)) {
        (void)type->traverse(object, mark_visited, run);
    } else {
        gc_each_strong_slot(type, object, mark_reference, run);
    }
    promote(run, header, type);
}

/* Follows everything on the stack.  An object comes off it some time before it is
 * visited, so that it is in the cache by then. */
static PYM_NOINLINE void follow(struct run *run)
{
    struct pygc_header *ahead[AHEAD];
    unsigned first = 0, count = 0;
    for (;;) {
        while (count < AHEAD && run->stack.count > 0) {
            struct pygc_header *header = run->stack.at[--run->stack.count];
            __builtin_prefetch(header);
            ahead[(first + count++) % AHEAD] = header;
        }
        if (count == 0) {
            return;
        }
        visit(ahead[first], run);
        first = (first + 1) % AHEAD;
        count--;
    }
}

/* ---- candidates ---- */

typedef void candidate_fn(struct pygc_header *header, struct run *run);

PYM_INLINE void each_in_pool(struct run *run, const struct pym_pool *pool,
                             candidate_fn *fn)
{
    size_t size = pym_class_size(pool->cls);
    char *block = pym_pool_block(pool, 0);
    char *end = block + pool->carved * size;
    for (; block < end; block += size) {
        struct pygc_header *header = gc_live_header(block);
        if (header != NULL && is_candidate(run, header)) {
            fn(header, run);
        }
    }
}

/* The list of large objects begins with the youngest. */
static PYM_NOINLINE void each_large(struct run *run, candidate_fn *fn)
{
    for (struct gc_large *large = run->heap->large; large != NULL;
         large = large->next) {
        struct pygc_header *header = &large->header;
        if ((header->bits & (GC_PENDING | GC_TRACKED)) != GC_TRACKED) {
            continue;
        }
        if (is_candidate(run, header)) {
            fn(header, run);
        } else if (gc_generation_of(header) < GC_FROZEN) {
            break;
        }
    }
}

PYM_INLINE void each_small(struct run *run, candidate_fn *fn)
{
    if (run->generation < GC_GENERATIONS - 1) {
        for (size_t i = 0; i < run->pools.count; i++) {
            each_in_pool(run, run->pools.at[i], fn);
        }
    } else {
        size_t end = pym_region_limit() >> PYM_POOL_SHIFT;
        for (size_t i = pym_region.first_arena * PYM_ARENA_POOLS; i < end; i++) {
            struct pym_pool *pool = pym_region_pool_at(i << PYM_POOL_SHIFT);
            if (gc_heap_has_pool(run->heap, pool)) {
                each_in_pool(run, pool, fn);
            }
        }
    }
}

static int by_address(const void *a, const void *b)
{
    uintptr_t left = *(const uintptr_t *)a, right = *(const uintptr_t *)b;
    return (left > right) - (left < right);
}

/* Puts the pools of the lists into one, in order, without the ones that were given
 * back since they were listed; these may be there again. */
static bool choose_pools(struct run *run)
{
    enum { SEEN = 1 << 7 };
    bool enough = true;
    for (unsigned g = 0; g <= run->generation && g < GC_GENERATIONS - 1; g++) {
        struct gc_vector *list = &run->heap->pools[g];
        for (size_t i = 0; i < list->count && enough; i++) {
            struct pym_pool *pool = list->at[i];
            if (gc_heap_has_pool(run->heap, pool) && (pool->listed & SEEN) == 0) {
                enough = gc_vector_push(&run->pools, pool);
                pool->listed |= enough ? SEEN : 0;
            }
        }
    }
    for (size_t i = 0; i < run->pools.count; i++) {
        struct pym_pool *pool = run->pools.at[i];
        pool->listed &= (uint8_t)~SEEN;
    }
    if (run->pools.count > 1) {
        qsort(run->pools.at, run->pools.count, sizeof(void *), by_address);
    }
    return enough;
}

static void reset_scratch(struct run *run)
{
    if (run->generation == GC_GENERATIONS - 1) {
        gc_scratch_reset_heap(run->heap);
    }
    for (size_t i = 0; i < run->pools.count; i++) {
        gc_scratch_reset_pool(run->heap, run->pools.at[i]);
    }
    for (struct gc_large *large = run->heap->large; large != NULL;
         large = large->next) {
        large->scratch = GC_NO_CANDIDATE;
    }
}

/* ---- finding garbage ---- */

static void note_candidate(struct pygc_header *header, struct run *run)
{
    run->candidates++;
    if (PYM_UNLIKELY(gc_is_large(header))) {
        gc_large_of(header)->scratch = 1;
    } else {
        *gc_scratch_of(run->scratch, header) = 1;
    }
}

/* In the order of addresses, so that what the others refer to further on need not be
 * remembered. */
PYM_INLINE void sweep(struct pygc_header *header, struct run *run)
{
    run->swept = (uintptr_t)header;
    if (!is_reachable(run, header)) {
        if (!is_root(run, header)) {
            return;
        }
        set_reachable(run, header);
    }
    visit(header, run);
    if (run->stack.count != 0) {
        follow(run);
    }
}

/* Large ones that are marked have been on the stack. */
static void sweep_large(struct pygc_header *header, struct run *run)
{
    if (!is_reachable(run, header) && is_root(run, header)) {
        set_reachable(run, header);
        visit(header, run);
        follow(run);
    }
}

static unsigned kinds_of(const struct pygc_header *header)
{
    const struct pygc_type *type = gc_type_of(header);
    unsigned kinds = (header->bits & GC_WEAK) != 0 ? HAS_WEAK : 0;
    if (PYM_LIKELY(type->is_plain)) {
        return kinds;
    }
    return kinds | (gc_has_weak_slots(type) ? HAS_WEAK_SLOTS : 0) |
           (gc_awaits_finalizer(header) ? HAS_FINALIZER : 0) |
           (type->traverse != NULL ? HAS_TRAVERSE : 0);
}

static void gather(struct pygc_header *header, struct run *run)
{
    if (is_reachable(run, header)) {
        return;
    }
    if (!gc_vector_push(&run->garbage, header)) {
        run->failed = true;
    }
    run->kinds |= kinds_of(header);
}

/* Survivors of generation 0 are in generation 1. */
static void list_survivors(struct run *run)
{
    for (size_t i = 0; i < run->pools.count && run->generation == 0; i++) {
        gc_heap_list_pool(run->heap, run->pools.at[i], 1);
    }
}

static void empty_list(struct pygc_heap *heap, unsigned generation)
{
    struct gc_vector *list = &heap->pools[generation];
    for (size_t i = 0; i < list->count; i++) {
        struct pym_pool *pool = list->at[i];
        if (gc_heap_has_pool(heap, pool)) {
            pool->listed &= (uint8_t) ~(1u << generation);
        }
    }
    list->count = 0;
}

/* Only active pools will have young objects until the next one is taken. */
static void renew_lists(struct run *run)
{
    struct pygc_heap *heap = run->heap;
    empty_list(heap, 0);
    if (run->generation > 0) {
        empty_list(heap, 1);
    }
    if (run->generation == GC_GENERATIONS - 1) {
        heap->lost_pools = false;
    }
    for (unsigned cls = 0; cls < PYM_CLASSES; cls++) {
        if (heap->base.active[cls] != NULL) {
            gc_heap_list_pool(heap, heap->base.active[cls], 0);
        }
    }
}

static void find_garbage(struct run *run)
{
    if (!run->is_full) {
        each_small(run, note_candidate);
        each_large(run, note_candidate);
    }
    each_small(run, count_from);
    each_large(run, count_from);
    if (run->failed) {
        return;
    }
    list_survivors(run);
    each_small(run, sweep);
    run->swept = UINTPTR_MAX;
    each_large(run, sweep_large);
    if (!run->failed && run->survivors != run->candidates) {
        each_small(run, gather);
        each_large(run, gather);
    }
    if (!run->failed) {
        renew_lists(run);
    }
}

/* ---- disposing of garbage ---- */

static struct pygc_header *garbage_at(const struct run *run, size_t i)
{
    return run->garbage.at[i];
}

static void silence_slot(void **slot, void *arg)
{
    (void)arg;
    gc_weak_silence(*slot);
}

static void silence_weak_slots(struct run *run)
{
    for (size_t i = 0; i < run->garbage.count; i++) {
        struct pygc_header *header = garbage_at(run, i);
        gc_each_weak_slot(gc_type_of(header), gc_object_of(header), silence_slot, NULL);
    }
}

static void clear_weak_references(struct run *run)
{
    pygc_weakref *due = NULL;
    if ((run->kinds & HAS_WEAK_SLOTS) != 0) {
        silence_weak_slots(run);
    }
    for (size_t i = 0; i < run->garbage.count; i++) {
        if ((garbage_at(run, i)->bits & GC_WEAK) != 0) {
            gc_weak_clear(run->heap, garbage_at(run, i), &due);
        }
    }
    gc_weak_call(&due);
}

static void hold(struct run *run)
{
    for (size_t i = 0; i < run->garbage.count; i++) {
        garbage_at(run, i)->refs++;
    }
}

static void finalize_garbage(struct run *run)
{
    struct pygc_heap *heap = run->heap;
    for (size_t i = 0; i < run->garbage.count; i++) {
        struct pygc_header *header = garbage_at(run, i);
        if (gc_awaits_finalizer(header) && heap->defers_finalizers &&
            gc_vector_push(&heap->deferred, gc_object_of(header))) {
            pygc_incref(gc_object_of(header));
        } else {
            gc_finalize(header);
        }
    }
}

static void forget_many(struct run *run)
{
    pym_alloc_free(run->many);
    run->many = NULL;
    run->many_count = run->many_size = 0;
}

/* Finalizers may have stored references to garbage anywhere: looks for what they
 * have brought back to life, among the garbage alone, each with one reference held,
 * and drops that from the list. */
static void spare_resurrected(struct run *run)
{
    struct gc_vector *garbage = &run->garbage;
    forget_many(run);
    reset_scratch(run);
    run->failed |= !gc_scratch_prepare(run->heap); /* for what finalizers allocated */
    run->scratch = run->heap->scratch;
    run->is_full = false;
    run->held = 1;
    for (size_t i = 0; i < garbage->count; i++) {
        note_candidate(garbage_at(run, i), run);
    }
    for (size_t i = 0; i < garbage->count && !run->failed; i++) {
        count_from(garbage_at(run, i), run);
    }
    for (size_t i = 0; i < garbage->count && !run->failed; i++) {
        sweep_large(garbage_at(run, i), run);
    }
    size_t kept = 0;
    for (size_t i = 0; i < garbage->count; i++) {
        struct pygc_header *header = garbage_at(run, i);
        if (run->failed || is_reachable(run, header)) {
            pygc_decref(gc_object_of(header)); /* it has others */
        } else {
            header->refs--;
            garbage->at[kept++] = header;
        }
    }
    garbage->count = kept;
}

static void drop_outside(void **slot, void *arg)
{
    void *object = *slot;
    *slot = NULL;
    if (object != NULL && !is_garbage(arg, pygc_header_of(object))) {
        pygc_decref(object);
    }
}

/* References between garbage need not be dropped one by one: all of it goes. */
static void free_at_once(struct run *run)
{
    size_t count = run->garbage.count;
    for (size_t i = 0; i < count; i++) {
        garbage_at(run, i)->bits |= GC_PENDING; /* dead to what callbacks may do */
    }
    for (size_t i = 0; i < count; i++) {
        struct pygc_header *header = garbage_at(run, i);
        gc_each_strong_slot(gc_type_of(header), gc_object_of(header), drop_outside,
                            run);
    }
    for (size_t i = 0; i < count; i++) {
        struct pygc_header *header = garbage_at(run, i);
        const struct pygc_type *type = gc_type_of(header);
        if (gc_has_weak_slots(type)) {
            gc_each_weak_slot(type, gc_object_of(header), gc_weak_free_slot, NULL);
        }
        if (type->dealloc != NULL) {
            type->dealloc(gc_object_of(header));
        }
        gc_free_object(run->heap, header);
    }
}

static void clear_slot(void **slot, void *arg)
{
    (void)arg;
    pygc_clear(slot);
}

/* Where references are told by traverse only clear can drop them: the objects are
 * kept until all are cleared, and then die as any other. */
static uint64_t break_cycles(struct run *run)
{
    uint64_t uncollectable = 0;
    hold(run);
    for (size_t i = 0; i < run->garbage.count; i++) {
        struct pygc_header *header = garbage_at(run, i);
        const struct pygc_type *type = gc_type_of(header);
        if (type->clear != NULL) {
            type->clear(gc_object_of(header));
        } else {
            gc_each_strong_slot(type, gc_object_of(header), clear_slot, NULL);
        }
    }
    for (size_t i = 0; i < run->garbage.count; i++) {
        struct pygc_header *header = garbage_at(run, i);
        if (header->refs > 1) {
            uncollectable++;
            gc_set_generation(header, GC_GENERATIONS - 1);
        }
        pygc_decref(gc_object_of(header));
    }
    return uncollectable;
}

static void save_garbage(struct run *run)
{
    for (size_t i = 0; i < run->garbage.count; i++) {
        struct pygc_header *header = garbage_at(run, i);
        gc_set_generation(header, GC_GENERATIONS - 1);
        if (gc_vector_push(&run->heap->garbage, gc_object_of(header))) {
            pygc_incref(gc_object_of(header));
        }
    }
}

static void shuffle(struct run *run)
{
    for (size_t i = run->garbage.count; i > 1; i--) {
        size_t k = gc_heap_random(run->heap) % i;
        void *last = run->garbage.at[i - 1];
        run->garbage.at[i - 1] = run->garbage.at[k];
        run->garbage.at[k] = last;
    }
}

/* How much of it could not be freed. */
static uint64_t dispose(struct run *run)
{
    if ((run->heap->debug & PYGC_DEBUG_TORTURE) != 0) {
        shuffle(run);
    }
    if ((run->kinds & (HAS_WEAK | HAS_WEAK_SLOTS)) != 0) {
        clear_weak_references(run);
    }
    if ((run->kinds & HAS_FINALIZER) != 0) {
        hold(run);
        finalize_garbage(run);
        spare_resurrected(run);
        clear_weak_references(run); /* of what finalizers have made */
    }
    if ((run->heap->debug & PYGC_DEBUG_SAVE) != 0) {
        save_garbage(run);
        return 0;
    }
    if ((run->kinds & HAS_TRAVERSE) == 0) {
        free_at_once(run);
        return 0;
    }
    return break_cycles(run);
}

/* ---- a collection ---- */

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool prepare(struct run *run)
{
    bool has_table = gc_scratch_prepare(run->heap);
    run->scratch = run->heap->scratch;
    return has_table && (run->is_full || choose_pools(run));
}

static void count_collection(struct run *run)
{
    struct pygc_heap *heap = run->heap;
    for (unsigned g = 0; g <= run->generation; g++) {
        heap->count[g] = 0;
    }
    if (run->generation == GC_GENERATIONS - 1) {
        heap->seen_by_full = run->survivors;
        heap->since_full = 0;
        return;
    }
    heap->count[run->generation + 1]++;
    if (run->generation == GC_GENERATIONS - 2) {
        heap->since_full += run->survivors;
    }
}

/* The vectors are the heap's: small ones stay there for the next time. */
static void lend_vectors(struct run *run)
{
    struct gc_vector *lent = run->heap->lent;
    run->pools = lent[0];
    run->stack = lent[1];
    run->garbage = lent[2];
    memset(lent, 0, sizeof(run->heap->lent));
}

static void return_vector(struct gc_vector *home, struct gc_vector *vector)
{
    vector->count = 0;
    if (vector->capacity > ENTRIES_KEPT) {
        gc_vector_free(vector);
    }
    *home = *vector;
}

static void free_run(struct run *run)
{
    struct gc_vector *lent = run->heap->lent;
    return_vector(&lent[0], &run->pools);
    return_vector(&lent[1], &run->stack);
    return_vector(&lent[2], &run->garbage);
    forget_many(run);
}

static void tell(struct pygc_heap *heap, unsigned generation, bool is_end, size_t found)
{
    if (heap->event != NULL) {
        heap->event(heap, (int)generation, is_end, found, heap->event_arg);
    }
}

static void note_stats(struct run *run, size_t found, uint64_t uncollectable,
                       uint64_t begin)
{
    struct pygc_generation_stats *stats = &run->heap->stats[run->generation];
    uint64_t time = now_ns() - begin;
    stats->collections++;
    stats->candidates += run->candidates;
    stats->collected += found - uncollectable;
    stats->uncollectable += uncollectable;
    stats->failed += run->failed;
    stats->time_ns += time;
    stats->longest_ns = time > stats->longest_ns ? time : stats->longest_ns;
    unsigned power = time != 0 ? 63 - (unsigned)__builtin_clzll(time) : 0;
    run->heap->pauses[power < PYGC_PAUSES ? power : PYGC_PAUSES - 1]++;
    if ((run->heap->debug & PYGC_DEBUG_STATS) != 0) {
        pym_print(STDERR_FILENO,
                  "pymalloc: collection of generation %u: %lu objects, %zu garbage, "
                  "%lu left, %lu us%s\n",
                  run->generation, (unsigned long)run->candidates, found,
                  (unsigned long)uncollectable, (unsigned long)(time / 1000),
                  run->failed ? ", out of memory" : "");
    }
}

/* The garbage found; -1 if there was no memory to find it. */
static ptrdiff_t collect(struct pygc_heap *heap, unsigned generation)
{
    if (heap->lost_pools) {
        generation = GC_GENERATIONS - 1;
    }
    struct run run = {.heap = heap,
                      .generation = generation,
                      .is_full = generation == GC_GENERATIONS - 1};
    uint64_t begin = now_ns(), uncollectable = 0;
    size_t found = 0;
    if ((heap->debug & PYGC_DEBUG_VERIFY) != 0 && pygc_verify(heap) > 0) {
        abort(); /* it has said why */
    }
    heap->collecting = true;
    tell(heap, generation, false, 0);
    lend_vectors(&run);
    run.failed = !prepare(&run);
    if (!run.failed) {
        find_garbage(&run);
    }
    if (!run.failed) {
        count_collection(&run);
        uncollectable = dispose(&run);
        found = run.garbage.count;
    }
    reset_scratch(&run);
    gc_scratch_finish(heap);
    note_stats(&run, found, uncollectable, begin);
    free_run(&run);
    heap->collecting = false;
    tell(heap, generation, true, found);
    return run.failed ? -1 : (ptrdiff_t)found;
}

PYM_EXPORT ptrdiff_t pygc_collect(pygc_heap *heap, int generation)
{
    if (generation < 0 || generation >= GC_GENERATIONS) {
        errno = EINVAL;
        return -1;
    }
    if (heap->collecting) {
        return 0;
    }
    int saved = errno;
    ptrdiff_t found = collect(heap, (unsigned)generation);
    errno = found < 0 ? ENOMEM : saved;
    return found;
}

static bool is_full_worth_while(const struct pygc_heap *heap)
{
    return heap->since_full >= heap->seen_by_full / 4;
}

/* The generation to collect now; -1: none. */
static int due_generation(struct pygc_heap *heap)
{
    const unsigned *count = heap->count, *threshold = heap->threshold;
    if (!heap->enabled || heap->collecting || heap->paused != 0 || threshold[0] == 0) {
        return -1;
    }
    if ((heap->debug & PYGC_DEBUG_TORTURE) != 0) {
        return (int)(gc_heap_random(heap) % GC_GENERATIONS);
    }
    if (count[0] <= threshold[0]) {
        return -1;
    }
    if (count[2] > threshold[2] && is_full_worth_while(heap)) {
        return 2;
    }
    return count[1] > threshold[1] ? 1 : 0;
}

void gc_collect_if_due(struct pygc_heap *heap)
{
    int generation = due_generation(heap);
    if (generation >= 0) {
        int saved = errno;
        if (collect(heap, (unsigned)generation) < 0) {
            heap->count[0] = 0; /* not again at the next allocation */
        }
        errno = saved;
    }
}

/* ---- freezing ---- */

struct move {
    unsigned from; /* this one and younger */
    unsigned to;
};

static void move_object(struct pygc_header *header, void *arg)
{
    const struct move *move = arg;
    unsigned generation = gc_generation_of(header);
    bool moves =
        move->from == GC_FROZEN ? generation == GC_FROZEN : generation <= move->from;
    if ((header->bits & GC_TRACKED) != 0 && moves) {
        gc_set_generation(header, move->to);
    }
}

PYM_EXPORT void pygc_freeze(pygc_heap *heap)
{
    struct move move = {GC_GENERATIONS - 1, GC_FROZEN};
    gc_each_object(heap, move_object, &move);
    memset(heap->count, 0, sizeof(heap->count));
    heap->seen_by_full = heap->since_full = 0;
}

PYM_EXPORT void pygc_unfreeze(pygc_heap *heap)
{
    struct move move = {GC_FROZEN, GC_GENERATIONS - 1};
    gc_each_object(heap, move_object, &move);
}
