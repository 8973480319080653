/*
 * Objects: making them, and releasing them when the last reference is dropped.
 *
 * Releasing an object drops its references, and what dies by that is released next:
 * without recursion, and without memory.  An object that waits keeps the link to the
 * next one in its own header, in place of the count, and it is the first release that
 * works off the list.
 *
 *     header of a waiting small object
 *     +------------------+----------------+-------------------------------+
 *     | flags, 8 bits    | type, 16 bits  | next: region offset / 16 + 1  |
 *     +------------------+----------------+-------------------------------+
 */
#include "alloc.h"
#include "gc_check.h"
#include "gc_scratch.h"
#include "gc_slice.h"

#include <errno.h>
#include <string.h>

/* ---- blocks ---- */

/* A block for an object, header included; its first word is undefined. */
static void *take_block(struct pygc_heap *heap, unsigned cls)
{
    void **bin = &heap->base.bins[cls];
    void *block = *bin;
    if (PYM_LIKELY(block != NULL)) {
        *bin = pym_link_get(block);
        return block;
    }
    block = pym_heap_refill(&heap->base, cls);
    if (block != NULL) {
        gc_heap_list_pool(heap, heap->base.active[cls], 0);
    }
    return block;
}

PYM_INLINE void free_block(void *block)
{
    struct pym_pool *pool = pym_region_pool_of(block);
    void **list = pool->free_to;
    pym_track_freed(block, pym_class_size(pool->cls));
    pym_link_set(block, *list);
    *list = block;
    if (PYM_UNLIKELY(--pool->countdown == 0)) {
        pym_heap_event(pool);
    }
}

static void link_large(struct pygc_heap *heap, struct gc_large *large)
{
    large->prev = NULL;
    large->next = heap->large;
    if (heap->large != NULL) {
        heap->large->prev = large;
    }
    heap->large = large;
}

static void unlink_large(struct pygc_heap *heap, struct gc_large *large)
{
    if (PYM_UNLIKELY(heap->cycle != NULL)) {
        gc_cycle_forget_large(heap, large);
    }
    if (large->prev != NULL) {
        large->prev->next = large->next;
    } else {
        heap->large = large->next;
    }
    if (large->next != NULL) {
        large->next->prev = large->prev;
    }
}

size_t gc_block_bytes(const struct pygc_header *header)
{
    return gc_is_large(header) ? gc_large_of(header)->size
                               : pym_class_size(pym_region_pool_of(header)->cls);
}

static void free_memory(struct pygc_heap *heap, struct pygc_header *header)
{
    if (!gc_is_large(header)) {
        gc_scratch_forget(heap, header);
        free_block(header);
    } else if (gc_large_of(header)->in_hand != 0) {
        header->bits = GC_LARGE;
    } else {
        pym_alloc_free(gc_large_of(header));
    }
}

void gc_free_dead(struct pygc_heap *heap, bool all)
{
    struct pygc_header *header;
    while ((header = gc_check_let_go(heap, all)) != NULL) {
        free_memory(heap, header);
    }
}

static PYM_NOINLINE void free_large_or_watched(struct pygc_heap *heap,
                                               struct pygc_header *header)
{
    if (gc_is_large(header)) {
        unlink_large(heap, gc_large_of(header));
    } else {
        gc_scratch_forget(heap, header);
    }
    if ((header->bits & GC_WATCHED) == 0 || !gc_check_keep(heap, header)) {
        free_memory(heap, header);
    }
    gc_free_dead(heap, false);
}

PYM_INLINE void free_object(struct pygc_heap *heap, struct pygc_header *header,
                            const struct pygc_type *type)
{
    unsigned generation = gc_generation_of(header);
    if (generation == 0) {
        heap->count[0] -= heap->count[0] > 0 && type->is_cyclic;
    } else if (generation == GC_GENERATIONS - 1) {
        heap->since_full -= type->is_cyclic;
    }
    if (PYM_LIKELY((header->bits & (GC_LARGE | GC_WATCHED)) == 0)) {
        gc_scratch_forget(heap, header);
        free_block(header);
    } else {
        free_large_or_watched(heap, header);
    }
}

void gc_free_object(struct pygc_heap *heap, struct pygc_header *header)
{
    free_object(heap, header, gc_type_of(header));
}

bool gc_take_off_hand(struct pygc_header *header)
{
    if (PYM_LIKELY(pym_region_owns(header))) {
        return true;
    }
    struct gc_large *large = gc_large_of(header);
    large->in_hand--;
    if ((header->bits & GC_LIVE) != 0) {
        return true;
    }
    if (large->in_hand == 0) {
        pym_alloc_free(large);
    }
    return false;
}

/* ---- making ---- */

static struct pygc_header *new_large(struct pygc_heap *heap, size_t payload)
{
    if (payload > PTRDIFF_MAX - sizeof(struct gc_large)) {
        errno = ENOMEM;
        return NULL;
    }
    size_t size = sizeof(struct gc_large) + payload;
    struct gc_large *large = pym_alloc_calloc(1, size);
    if (large == NULL) {
        return NULL;
    }
    large->heap = heap;
    large->size = size;
    link_large(heap, large);
    return &large->header;
}

/* A block's payload is 8 bytes more than its class times 16.  For few of them a call
 * would cost more than the stores; the barrier keeps the compiler from making one. */
PYM_INLINE void zero_payload(struct pygc_header *header, unsigned cls, size_t payload)
{
    enum { FEW = 5 };
    if (PYM_ASAN || cls > FEW) {
        memset(header + 1, 0, payload);
        return;
    }
    uint64_t *word = (uint64_t *)(header + 1);
    *word++ = 0;
    for (; cls > 0; cls--, word += 2) {
        word[0] = word[1] = 0;
        __asm__("" : "+r"(word));
    }
}

static struct pygc_header *new_small(struct pygc_heap *heap, size_t payload)
{
    size_t size = sizeof(struct pygc_header) + payload;
    unsigned cls = pym_class_of(size);
    struct pygc_header *header = take_block(heap, cls);
    if (header == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    pym_track_allocated(header, size);
    zero_payload(header, cls, payload);
    return header;
}

/* How many objects one drop, or one allocation, may release; 0: all. */
static size_t release_budget(const struct pygc_heap *heap)
{
    enum { WITH_TARGET = 4096 };
    return heap->release_budget != 0 || heap->pause_target == 0 ? heap->release_budget
                                                                : WITH_TARGET;
}

/* What an allocation does besides, now and then.  False if it is to fail. */
static PYM_COLD bool do_what_is_due(struct pygc_heap *heap,
                                    const struct pygc_type *type, size_t payload)
{
    enum { FAILING = 50 };
    if (gc_verifies(heap)) {
        gc_check_birth(heap, type, payload);
    }
    if (!heap->releasing && gc_has_pending(heap)) {
        (void)pygc_release(heap, release_budget(heap));
    }
    gc_collect_if_due(heap);
    if ((heap->debug & PYGC_DEBUG_FAIL) != 0 && gc_heap_random(heap) % FAILING == 0) {
        errno = ENOMEM;
        return false;
    }
    return true;
}

/* What is born between slices has a generation from the start, unless it is to be
 * tracked later: that would tell that it has been. */
PYM_INLINE void *begin_life(struct pygc_heap *heap, const struct pygc_type *type,
                            struct pygc_header *header, uint32_t bits)
{
    header->bits = bits | type->birth | (heap->birth & type->birth_mask);
    header->refs = 1;
    return gc_object_of(header);
}

/* An object that has been counted. */
static PYM_NOINLINE void *new_object(struct pygc_heap *heap,
                                     const struct pygc_type *type, size_t payload)
{
    if (PYM_UNLIKELY(heap->count[0] >= heap->trigger) &&
        !do_what_is_due(heap, type, payload)) {
        return NULL;
    }
    bool is_small = PYM_LIKELY(payload <= PYM_SMALL_MAX - sizeof(struct pygc_header));
    struct pygc_header *header =
        is_small ? new_small(heap, payload) : new_large(heap, payload);
    return PYM_LIKELY(header != NULL)
               ? begin_life(heap, type, header, is_small ? 0 : GC_LARGE)
               : NULL;
}

PYM_EXPORT void *pygc_alloc(pygc_heap *heap, const pygc_type *type)
{
    heap->count[0] += type->is_cyclic;
    void **bin = &heap->base.bins[type->cls];
    struct pygc_header *header = *bin;
    if (PYM_UNLIKELY(heap->count[0] >= heap->trigger || !type->is_small ||
                     header == NULL)) {
        return new_object(heap, type, type->size);
    }
    *bin = pym_link_get(header);
    pym_track_allocated(header, sizeof(*header) + type->size);
    zero_payload(header, type->cls, type->size);
    return begin_life(heap, type, header, 0);
}

PYM_EXPORT void *pygc_alloc_var(pygc_heap *heap, const pygc_type *type, size_t n)
{
    size_t bytes;
    if (type->item_size == 0) {
        errno = EINVAL;
        return NULL;
    }
    if (__builtin_mul_overflow(n, type->item_size, &bytes) ||
        __builtin_add_overflow(bytes, type->size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    heap->count[0] += type->is_cyclic;
    void *object = new_object(heap, type, bytes);
    if (object != NULL) {
        *(size_t *)object = n;
    }
    return object;
}

static void drop_item(const struct pygc_type *type, char *item)
{
    const struct gc_run *run = type->runs + type->strong_runs;
    for (unsigned k = 0; k < type->strong_item_runs; k++, run++) {
        for (uint32_t i = 0; i < run->count; i++) {
            pygc_clear(item + run->offset + i * sizeof(void *));
        }
    }
    run += type->weak_runs;
    for (unsigned k = 0; k < type->weak_item_runs; k++, run++) {
        for (uint32_t i = 0; i < run->count; i++) {
            pygc_weakref_free(pygc_take(item + run->offset + i * sizeof(void *)));
        }
    }
}

/* Drops what the items from n on refer to. */
static void drop_items(const struct pygc_type *type, char *object, size_t n)
{
    size_t old = gc_item_count(type, object);
    for (size_t i = n; i < old; i++) {
        drop_item(type, object + type->size + i * type->item_size);
    }
}

static bool may_move(const struct pygc_heap *heap, const struct pygc_header *header)
{
    return header->refs == 1 && !gc_weak_refers(heap, header);
}

PYM_EXPORT void *pygc_realloc_var(void *object, size_t n)
{
    struct pygc_header *header = pygc_header_of(object);
    const struct pygc_type *type = gc_type_of(header);
    struct pygc_heap *heap = gc_heap_of(header);
    if (type->item_size == 0 || !may_move(heap, header)) {
        errno = EINVAL;
        return NULL;
    }
    size_t old = gc_item_count(type, object);
    if (n == old) {
        return object;
    }
    char *moved = pygc_alloc_var(heap, type, n);
    if (moved == NULL) {
        return NULL;
    }
    if (!may_move(heap, header)) { /* any more, after a collection */
        gc_free_object(heap, pygc_header_of(moved));
        errno = EINVAL;
        return NULL;
    }
    if (n < old) {
        drop_items(type, object, n);
    }
    size_t kept = type->size - sizeof(size_t) + (n < old ? n : old) * type->item_size;
    memcpy(moved + sizeof(size_t), (char *)object + sizeof(size_t), kept);
    pygc_header_of(moved)->bits |= header->bits & GC_FINALIZED;
    if ((header->bits & GC_TRACKED) != 0) {
        pygc_track(moved);
    }
    gc_free_object(heap, header);
    return moved;
}

PYM_EXPORT size_t pygc_item_count(const void *object)
{
    return gc_item_count(pygc_type_of(object), object);
}

PYM_EXPORT size_t pygc_object_size(const void *object)
{
    return gc_payload_size(pygc_type_of(object), object);
}

PYM_EXPORT const pygc_type *pygc_type_of(const void *object)
{
    return gc_type_of(pygc_header_of(object));
}

PYM_EXPORT pygc_heap *pygc_heap_of(const void *object)
{
    return gc_heap_of(pygc_header_of(object));
}

/* ---- tracking ---- */

/* An object that is tracked late may lie in a pool that no list has any more. */
PYM_EXPORT void pygc_track(void *object)
{
    struct pygc_header *header = pygc_header_of(object);
    if ((header->bits & GC_TRACKED) != 0 || !gc_type_of(header)->is_cyclic) {
        return;
    }
    struct pygc_heap *heap = gc_heap_of(header);
    header->bits = (header->bits & ~(uint32_t)(GC_GENERATION | GC_BIRTH)) |
                   heap->birth | GC_TRACKED;
    if (!gc_is_large(header)) {
        gc_heap_list_pool(heap, pym_region_pool_of(header), 0);
    } else {
        struct gc_large *large = gc_large_of(header);
        unlink_large(heap, large);
        link_large(heap, large);
        large->note = GC_NO_CANDIDATE; /* slices come by it no more */
    }
}

PYM_EXPORT void pygc_untrack(void *object)
{
    pygc_header_of(object)->bits &= ~(uint32_t)GC_TRACKED;
}

PYM_EXPORT int pygc_is_tracked(const void *object)
{
    return (pygc_header_of(object)->bits & GC_TRACKED) != 0;
}

PYM_EXPORT int pygc_is_finalized(const void *object)
{
    return (pygc_header_of(object)->bits & GC_FINALIZED) != 0;
}

/* ---- waiting ---- */

enum { NEXT_SHIFT = 24 };
_Static_assert(GC_PENDING < 1 << 8, "the flags of one that waits fit into a byte");

/* Where no link is put into the header.  False if there must be one. */
static bool push_apart(struct pygc_heap *heap, struct pygc_header *header)
{
    if (gc_is_large(header)) {
        struct gc_large *large = gc_large_of(header);
        large->next_pending = heap->pending_large;
        heap->pending_large = large;
    } else if (!gc_check_push(heap, header)) {
        return false;
    }
    header->bits |= GC_PENDING;
    return true;
}

static void push_pending(struct pygc_heap *heap, struct pygc_header *header)
{
    if (PYM_UNLIKELY((header->bits & (GC_LARGE | GC_WATCHED)) != 0) &&
        push_apart(heap, header)) {
        return;
    }
    uint64_t type = header->bits >> GC_TYPE_SHIFT;
    uint64_t word =
        (header->bits & 0xff) | GC_PENDING | type << 8 | heap->pending << NEXT_SHIFT;
    memcpy(header, &word, sizeof(word));
    heap->pending = (pym_region_offset(header) >> PYM_GRAIN_SHIFT) + 1;
}

static struct pygc_header *pop_apart(struct pygc_heap *heap)
{
    struct gc_large *large = heap->pending_large;
    struct pygc_header *header = gc_check_pop(heap);
    if (header == NULL && large != NULL) {
        heap->pending_large = large->next_pending;
        header = &large->header;
    }
    if (header != NULL) {
        header->bits &= ~(uint32_t)GC_PENDING;
    }
    return header;
}

static struct pygc_header *pop_pending(struct pygc_heap *heap)
{
    if (heap->pending == 0) {
        return pop_apart(heap);
    }
    /* A block starts in the middle of its grain. */
    struct pygc_header *header =
        (struct pygc_header *)(pym_region_base +
                               ((heap->pending - 1) << PYM_GRAIN_SHIFT) +
                               sizeof(struct pygc_header));
    uint64_t word;
    memcpy(&word, header, sizeof(word));
    heap->pending = word >> NEXT_SHIFT;
    header->bits = ((uint32_t)word & 0xff & ~(uint32_t)GC_PENDING) |
                   ((uint32_t)(word >> 8) & 0xffff) << GC_TYPE_SHIFT;
    header->refs = 0;
    return header;
}

/* ---- releasing ---- */

/* What dropping an object's references leaves to be released: the first in first,
 * the others in the heap's list. */
struct drops {
    struct pygc_heap *heap;
    struct pygc_header *first;
};

PYM_INLINE void drop_slot(void **slot, void *arg)
{
    struct drops *drops = arg;
    if (*slot == NULL) {
        return;
    }
    struct pygc_header *header = pygc_header_of(*slot);
    if (PYM_LIKELY((int32_t)header->refs > 1)) {
        header->refs--;
        return;
    }
    if (PYM_UNLIKELY(header->refs != 1)) {
        if (header->refs == 0) {
            gc_check_drop(header);
        }
        return; /* immortal */
    }
    header->refs = 0;
    if (drops->first == NULL) {
        drops->first = header;
    } else {
        push_pending(drops->heap, header);
    }
}

void gc_finalize(struct pygc_header *header)
{
    if (gc_awaits_finalizer(header)) {
        header->bits |= GC_FINALIZED;
        gc_type_of(header)->finalize(gc_object_of(header));
    }
}

/* Whether the object lives on: its finalizer has stored a reference to it, or is
 * put off. */
static bool is_saved_by_finalizer(struct pygc_heap *heap, struct pygc_header *header)
{
    if (!gc_awaits_finalizer(header)) {
        return false;
    }
    header->refs = 1;
    if (heap->defers_finalizers &&
        gc_vector_push(&heap->deferred, gc_object_of(header))) {
        return true;
    }
    gc_finalize(header);
    if ((int32_t)header->refs < 0) {
        return true;
    }
    return --header->refs != 0;
}

/* Everything that makes a death more than dropping strong slots. */
static bool release_with_ceremony(struct pygc_heap *heap, struct pygc_header *header,
                                  const struct pygc_type *type)
{
    if (is_saved_by_finalizer(heap, header)) {
        return false;
    }
    void *object = gc_object_of(header);
    header->bits |= GC_PENDING; /* dead to a collection that a callback starts */
    if ((header->bits & GC_WEAK) != 0) {
        pygc_weakref *due = NULL;
        gc_weak_clear(heap, header, &due);
        gc_weak_call(&due);
    }
    if (type->clear != NULL) {
        header->refs = 1; /* what it does to its own count is of no consequence */
        type->clear(object);
        header->refs = 0;
    }
    if (gc_has_weak_slots(type)) {
        gc_each_weak_slot(type, object, gc_weak_free_slot, NULL);
    }
    return true;
}

/* Releases an object, whose count is 0; what is to be released next, or NULL. */
PYM_INLINE struct pygc_header *release_one(struct pygc_heap *heap,
                                           struct pygc_header *header)
{
    const struct pygc_type *type = gc_type_of(header);
    if (PYM_UNLIKELY(!type->is_plain || (header->bits & GC_WEAK) != 0) &&
        !release_with_ceremony(heap, header, type)) {
        return NULL;
    }
    struct drops drops = {heap, NULL};
    gc_each_strong_slot(type, gc_object_of(header), drop_slot, &drops);
    if (PYM_UNLIKELY(type->dealloc != NULL)) {
        if (drops.first != NULL) { /* dead to a collection that dealloc starts */
            push_pending(heap, drops.first);
            drops.first = NULL;
        }
        type->dealloc(gc_object_of(header));
    }
    free_object(heap, header, type);
    return drops.first;
}

/* Releases an object and those that wait, up to a number (0: all of them).  Whether
 * some are left. */
static bool release_some(struct pygc_heap *heap, struct pygc_header *header,
                         size_t most)
{
    size_t done = 0;
    bool more = false;
    heap->releasing = true;
    for (; header != NULL; done++) {
        if (PYM_UNLIKELY(done == most && most != 0)) {
            push_pending(heap, header);
            more = true;
            break;
        }
        header = release_one(heap, header);
        if (header == NULL) {
            header = pop_pending(heap);
        }
    }
    heap->releasing = false;
    return more;
}

static void release(struct pygc_heap *heap, struct pygc_header *header)
{
    if (heap->releasing) {
        push_pending(heap, header);
    } else if (PYM_UNLIKELY(release_some(heap, header, release_budget(heap)))) {
        gc_heap_set_trigger(heap);
    }
}

PYM_EXPORT void pygc_set_release_budget(pygc_heap *heap, size_t objects)
{
    heap->release_budget = objects;
}

PYM_EXPORT int pygc_release(pygc_heap *heap, size_t objects)
{
    gc_check_use(heap, "releases objects", NULL);
    if (heap->releasing) {
        return 0;
    }
    bool more = release_some(heap, pop_pending(heap), objects);
    gc_heap_set_trigger(heap);
    return more;
}

PYM_EXPORT void pygc_decref_last(void *object)
{
    enum { WANTED = GC_LIVE, MASK = GC_LIVE | GC_WATCHED };
    struct pygc_header *header = pygc_header_of(object);
    if ((header->refs & GC_IMMORTAL) != 0) {
        return;
    }
    if (PYM_UNLIKELY(header->refs == 0 || (header->bits & MASK) != WANTED)) {
        gc_check_drop(header);
    }
    header->refs = 0;
    release(gc_heap_of(header), header);
}

/* ---- finalizers that are put off ---- */

PYM_EXPORT void pygc_finalize_defer(pygc_heap *heap, int defer)
{
    heap->defers_finalizers = defer != 0;
}

PYM_EXPORT size_t pygc_finalize_run(pygc_heap *heap)
{
    struct gc_vector due = heap->deferred;
    heap->deferred = (struct gc_vector){NULL, 0, 0};
    for (size_t i = 0; i < due.count; i++) {
        gc_finalize(pygc_header_of(due.at[i]));
        pygc_decref(due.at[i]);
    }
    size_t count = due.count;
    gc_vector_free(&due);
    return count;
}
