#include "gc_dispose.h"

static struct pygc_header *garbage_at(const struct gc_collection *run, size_t i)
{
    return run->garbage.at[i];
}

/* ---- weak references ---- */

static void silence_slot(void **slot, void *arg)
{
    (void)arg;
    gc_weak_silence(*slot);
}

static void silence_weak_slots(struct gc_collection *run)
{
    for (size_t i = 0; i < run->garbage.count; i++) {
        struct pygc_header *header = garbage_at(run, i);
        gc_each_weak_slot(gc_type_of(header), gc_object_of(header), silence_slot, NULL);
    }
}

/* Links those that have callbacks to *due. */
static void clear_weak_references(struct gc_collection *run, pygc_weakref **due)
{
    if ((run->kinds & GC_HAS_WEAK_SLOTS) != 0) {
        silence_weak_slots(run);
    }
    for (size_t i = 0; i < run->garbage.count; i++) {
        if ((garbage_at(run, i)->bits & GC_WEAK) != 0) {
            gc_weak_clear(run->heap, garbage_at(run, i), due);
        }
    }
}

/* ---- finalizers ---- */

static void hold(struct gc_collection *run)
{
    for (size_t i = 0; i < run->garbage.count; i++) {
        garbage_at(run, i)->refs++;
    }
}

/* Room for finalizers that are to be put off. */
static bool has_room_for_deferred(struct gc_collection *run)
{
    struct gc_vector *deferred = &run->heap->deferred;
    size_t most = deferred->count + run->garbage.count;
    return (run->kinds & GC_HAS_FINALIZER) == 0 || !run->heap->defers_finalizers ||
           most <= deferred->capacity || gc_vector_reserve(deferred, most);
}

static void finalize_garbage(struct gc_collection *run)
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

/* What a finalizer has untracked or frozen is looked at no more: it lives, and what it
 * refers to has references that are not counted. */
static void note_garbage(struct pygc_header *header, struct gc_collection *run)
{
    if (gc_is_candidate(run, header)) {
        gc_note_candidate(header, run);
    } else {
        *gc_note_at(run, header) = GC_REACHABLE;
    }
}

static void count_from_garbage(struct pygc_header *header, struct gc_collection *run)
{
    if (!gc_is_reachable(run, header)) {
        gc_count_from(header, run);
    }
}

void gc_keep_garbage(struct gc_collection *run)
{
    struct gc_vector *garbage = &run->garbage;
    size_t kept = 0;
    run->is_full = false;
    run->swept = UINTPTR_MAX;
    gc_many_forget(run);
    for (size_t i = 0; i < garbage->count; i++) {
        note_garbage(garbage_at(run, i), run);
    }
    for (size_t i = 0; i < garbage->count && !run->failed; i++) {
        count_from_garbage(garbage_at(run, i), run);
    }
    for (size_t i = 0; i < garbage->count && !run->failed; i++) {
        gc_follow_root(garbage_at(run, i), run);
    }
    /* What is not garbage is left behind the end of the list. */
    for (size_t i = 0; i < garbage->count; i++) {
        struct pygc_header *header = garbage_at(run, i);
        uint8_t *note = gc_note_at(run, header);
        if (run->failed || *note == GC_REACHABLE) {
            *note = GC_REACHABLE;
            continue;
        }
        *note = GC_GARBAGE;
        garbage->at[i] = garbage->at[kept];
        garbage->at[kept++] = header;
    }
    garbage->count = kept;
}

/* Finalizers and callbacks may have stored references to garbage anywhere: looks for
 * what they have brought back to life, among the garbage alone, each with one reference
 * held, and drops that from the list. */
static void spare_resurrected(struct gc_collection *run)
{
    size_t count = run->garbage.count;
    run->failed |= !gc_scratch_prepare(run->heap); /* for what they allocated */
    run->scratch = run->heap->scratch;
    run->held = 1;
    gc_keep_garbage(run);
    run->held = 0;
    for (size_t i = 0; i < run->garbage.count; i++) {
        garbage_at(run, i)->refs--;
    }
    for (size_t i = run->garbage.count; i < count; i++) {
        pygc_decref(gc_object_of(garbage_at(run, i)));
    }
}

/* Callbacks of weak references can find garbage by looking at all objects, and both
 * they and finalizers can make weak references to it, with callbacks again. */
static void tell_of_garbage(struct gc_collection *run)
{
    bool finalizes = (run->kinds & GC_HAS_FINALIZER) != 0;
    pygc_weakref *due = NULL;
    if ((run->kinds & (GC_HAS_WEAK | GC_HAS_WEAK_SLOTS)) != 0) {
        clear_weak_references(run, &due);
    }
    while (due != NULL || finalizes) {
        hold(run);
        gc_weak_call(&due);
        if (finalizes) {
            finalize_garbage(run);
            finalizes = false;
        }
        spare_resurrected(run);
        clear_weak_references(run, &due);
    }
}

/* ---- the end ---- */

/* Whether a garbage object's slot refers to an object that is not. */
PYM_INLINE bool refers_outside(const struct gc_collection *run, void *const *slot)
{
    return *slot != NULL && *gc_note_at(run, pygc_header_of(*slot)) != GC_GARBAGE;
}

PYM_INLINE void list_outside(void **slot, void *arg)
{
    struct gc_collection *run = arg;
    if (refers_outside(run, slot)) {
        run->failed |= !gc_vector_push(&run->stack, *slot);
    }
}

/* Garbage of which nobody is to be told: references to other objects are listed, all
 * of it is freed, and then the listed ones are dropped.  False if there is no memory
 * for the list; nothing has been done then. */
static bool free_silently(struct gc_collection *run)
{
    for (size_t i = 0; i < run->garbage.count; i++) {
        struct pygc_header *header = garbage_at(run, i);
        gc_each_strong_slot(gc_type_of(header), gc_object_of(header), list_outside,
                            run);
    }
    if (run->failed) {
        run->failed = false;
        run->stack.count = 0;
        return false;
    }
    for (size_t i = 0; i < run->garbage.count; i++) {
        gc_free_object(run->heap, garbage_at(run, i));
    }
    while (run->stack.count > 0) {
        pygc_decref(run->stack.at[--run->stack.count]);
    }
    return true;
}

static void drop_outside(void **slot, void *arg)
{
    void *object = *slot;
    bool is_outside = refers_outside(arg, slot);
    *slot = NULL;
    if (is_outside) {
        pygc_decref(object);
    }
}

/* References between garbage need not be dropped one by one: all of it goes. */
static void free_at_once(struct gc_collection *run)
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
static uint64_t break_cycles(struct gc_collection *run)
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

static void save_garbage(struct gc_collection *run)
{
    for (size_t i = 0; i < run->garbage.count; i++) {
        struct pygc_header *header = garbage_at(run, i);
        gc_set_generation(header, GC_GENERATIONS - 1);
        if (gc_vector_push(&run->heap->garbage, gc_object_of(header))) {
            pygc_incref(gc_object_of(header));
        }
    }
}

static void shuffle(struct gc_collection *run)
{
    for (size_t i = run->garbage.count; i > 1; i--) {
        size_t k = gc_heap_random(run->heap) % i;
        void *last = run->garbage.at[i - 1];
        run->garbage.at[i - 1] = run->garbage.at[k];
        run->garbage.at[k] = last;
    }
}

static uint64_t end_garbage(struct gc_collection *run)
{
    if ((run->heap->debug & PYGC_DEBUG_TORTURE) != 0) {
        shuffle(run);
    }
    tell_of_garbage(run);
    if ((run->heap->debug & PYGC_DEBUG_SAVE) != 0) {
        save_garbage(run);
        return 0;
    }
    if (run->kinds == 0 && free_silently(run)) {
        return 0;
    }
    if ((run->kinds & GC_HAS_TRAVERSE) == 0) {
        free_at_once(run);
        return 0;
    }
    return break_cycles(run);
}

/* The heap's growth since the last full collection is told by births and deaths; what
 * is garbage has not been counted among the living to begin with. */
uint64_t gc_dispose(struct gc_collection *run)
{
    if (!has_room_for_deferred(run)) {
        run->failed = true;
        run->garbage.count = 0;
        run->heap->lost_pools = true; /* a full collection will find it again */
        return 0;
    }
    int64_t since_full = run->heap->since_full;
    uint64_t uncollectable = end_garbage(run);
    run->heap->since_full = since_full;
    return uncollectable;
}
