/*
 * What a collection knows while it looks for garbage, and the two things that it does
 * with references: counting them, and marking what they lead to.  The loops over
 * objects are those of gc_collect.c (a collection as a whole), gc_slice.c (in slices)
 * and gc_dispose.c (what finalizers have brought back); this is what is inlined there.
 */
#ifndef PYM_GC_MARK_H
#define PYM_GC_MARK_H

#include "gc_scratch.h"

/* References to an object with too many of them for a byte: open addressing. */
struct gc_many {
    struct pygc_header *header;
    size_t count;
};

struct gc_collection {
    struct pygc_heap *heap;
    uint8_t *scratch;
    unsigned generation;
    bool is_full;    /* everything tracked is a candidate: that need not be noted */
    bool is_sliced;  /* the program runs in between */
    bool failed;     /* no memory */
    uint32_t held;   /* references to each candidate that are the collector's */
    uintptr_t swept; /* candidates up to here have been looked at in turn */
    /* A large object that came off the stack of a collection in slices, for which its
     * references are too many at once. */
    struct pygc_header *huge;
    size_t stale;   /* entries of the stack that are from an earlier slice */
    unsigned kinds; /* of garbage: see below */
    uint64_t candidates;
    uint64_t survivors;
    struct gc_vector pools;   /* to walk, but for generation 2 */
    struct gc_vector stack;   /* reachable objects whose references are to be seen */
    struct gc_vector garbage; /* headers */
    struct gc_many *many;
    size_t many_count;
    size_t many_size; /* a power of two, or 0 */
};

/* What is to be done for some of the garbage. */
enum {
    GC_HAS_WEAK = 1,       /* there are weak references to it */
    GC_HAS_WEAK_SLOTS = 2, /* there are some in it */
    GC_HAS_FINALIZER = 4,  /* that has not been called */
    GC_HAS_TRAVERSE = 8,   /* its references are not told by slots */
    GC_HAS_DEALLOC = 16,   /* or its type wants to know of its end */
};

/* ---- notes ---- */

/* The table of objects with many references: entering one, a reference more to one, its
 * count there. */
void gc_many_add(struct gc_collection *run, struct pygc_header *header, size_t count);
void gc_many_count_one(struct gc_collection *run, const struct pygc_header *header);
size_t *gc_many_count(struct gc_collection *run, const struct pygc_header *header);
void gc_many_forget(struct gc_collection *run);

/* Where an object's note is.  By address: asking the header would be a cache miss. */
PYM_INLINE uint8_t *gc_note_at(const struct gc_collection *run,
                               const struct pygc_header *header)
{
    return PYM_LIKELY(pym_region_owns(header)) ? gc_scratch_of(run->scratch, header)
                                               : &gc_large_of(header)->note;
}

/* Whether a note is a count, however many. */
PYM_INLINE bool gc_is_count(uint8_t note)
{
    return (uint8_t)(note - 1) < GC_MANY;
}

PYM_INLINE bool gc_are_of_candidate(const struct gc_collection *run, uint32_t bits)
{
    enum { WANTED = GC_LIVE | GC_TRACKED, MASK = WANTED | GC_PENDING };
    return (bits & MASK) == WANTED &&
           (bits & GC_GENERATION) >> GC_GENERATION_SHIFT <= run->generation;
}

PYM_INLINE bool gc_is_candidate(const struct gc_collection *run,
                                const struct pygc_header *header)
{
    return gc_are_of_candidate(run, header->bits);
}

/* The candidate in a block; NULL if it is free, or has another object. */
PYM_INLINE struct pygc_header *gc_candidate_in(const struct gc_collection *run,
                                               void *block)
{
    uint32_t bits = (uint32_t)(uintptr_t)pym_link_get(block);
    return gc_are_of_candidate(run, bits) ? block : NULL;
}

PYM_INLINE void gc_note_candidate(struct pygc_header *header, struct gc_collection *run)
{
    run->candidates++;
    *gc_note_at(run, header) = 1;
}

/* ---- counting ---- */

PYM_INLINE void gc_count_reference(void **slot, void *arg)
{
    struct gc_collection *run = arg;
    if (*slot == NULL) {
        return;
    }
    struct pygc_header *header = pygc_header_of(*slot);
    uint8_t *at = gc_note_at(run, header), note = *at;
    /* One comparison, whose outcome is known before the note has come from memory. */
    unsigned least = run->is_full ? GC_NO_CANDIDATE : GC_NO_CANDIDATE + 1;
    if (PYM_LIKELY(note - least < GC_MANY - 1 - least)) {
        *at = (uint8_t)(note + 1);
    } else if (note == GC_MANY) {
        gc_many_count_one(run, header);
    } else if (note == GC_MANY - 1) {
        *at = GC_MANY;
        gc_many_add(run, header, GC_MANY);
    }
}

/* Counts the references of an object of any type. */
void gc_count_all(const struct pygc_type *type, void *object,
                  struct gc_collection *run);

/* Counts all references of a candidate. */
PYM_INLINE void gc_count_from(struct pygc_header *header, struct gc_collection *run)
{
    const struct pygc_type *type = gc_type_of(header);
    void *object = gc_object_of(header);
    run->candidates += run->is_full;
    if (PYM_LIKELY(type->is_single)) {
        gc_each_single_slot(type, object, gc_count_reference, run);
    } else {
        gc_count_all(type, object, run);
    }
}

/* ---- marking ---- */

PYM_INLINE bool gc_is_reachable(const struct gc_collection *run,
                                const struct pygc_header *header)
{
    return *gc_note_at(run, header) == GC_REACHABLE;
}

/* Whether a candidate has more references than were counted.  Immortal ones have. */
PYM_INLINE bool gc_is_root(struct gc_collection *run, const struct pygc_header *header)
{
    uint8_t note = *gc_note_at(run, header);
    size_t counted = PYM_LIKELY(note != GC_MANY) ? note : *gc_many_count(run, header);
    return header->refs - run->held > counted - !run->is_full;
}

/* Enters an object into a list that may last for several slices. */
PYM_INLINE void gc_take_in_hand(struct gc_collection *run, struct gc_vector *list,
                                struct pygc_header *header)
{
    if (PYM_UNLIKELY(!gc_vector_push(list, header))) {
        run->failed = true;
    } else if (PYM_UNLIKELY(run->is_sliced) && !pym_region_owns(header)) {
        gc_large_of(header)->in_hand++;
    }
}

/* What marking has at hand while it looks at an object: copies, since the compiler must
 * believe that every note it writes may change the originals. */
struct gc_marking {
    struct gc_collection *run;
    uint8_t *scratch;
    uintptr_t swept;
    void **stack;
    size_t count;
    size_t capacity;
    uint64_t survivors;
};

/* Of an object that a reachable one refers to.  If the sweep will come by it, no more
 * is to be done now. */
PYM_INLINE void gc_mark_reference(struct gc_collection *run, struct pygc_header *header)
{
    uint8_t *at = gc_note_at(run, header);
    if (!gc_is_count(*at)) {
        return;
    }
    *at = GC_REACHABLE;
    if ((uintptr_t)header <= run->swept || !pym_region_owns(header)) {
        gc_take_in_hand(run, &run->stack, header);
    }
}

/* The same where a common way is too long. */
void gc_mark_by_the_way(struct gc_marking *at_hand, struct pygc_header *header);

/* The same of a slot. */
PYM_INLINE void gc_mark_slot(void **slot, void *arg)
{
    struct gc_marking *at_hand = arg;
    if (*slot == NULL) {
        return;
    }
    struct pygc_header *header = pygc_header_of(*slot);
    if (PYM_UNLIKELY(!pym_region_owns(header))) {
        gc_mark_by_the_way(at_hand, header);
        return;
    }
    uint8_t *at = gc_scratch_of(at_hand->scratch, header);
    if (gc_is_count(*at)) {
        if (PYM_UNLIKELY((uintptr_t)header <= at_hand->swept)) {
            gc_mark_by_the_way(at_hand, header);
        } else {
            *at = GC_REACHABLE;
        }
    }
}

/* The same without a branch that has to wait for the note, so that many notes are on
 * their way from memory at once.  It writes to notes that do not change: in a young
 * collection, those of old objects, too, which is why it is used in full ones only. */
PYM_INLINE void gc_mark_slot_of_full(void **slot, void *arg)
{
    struct gc_marking *at_hand = arg;
    if (*slot == NULL) {
        return;
    }
    struct pygc_header *header = pygc_header_of(*slot);
    if (PYM_UNLIKELY(!pym_region_owns(header) || at_hand->count == at_hand->capacity)) {
        gc_mark_by_the_way(at_hand, header);
        return;
    }
    uint8_t *at = gc_scratch_of(at_hand->scratch, header), note = *at;
    bool is_count = gc_is_count(note);
    at_hand->stack[at_hand->count] = header;
    at_hand->count += (size_t)(is_count & ((uintptr_t)header <= at_hand->swept));
    *at = (uint8_t)(note | (is_count ? GC_REACHABLE : 0));
}

/* Between the two, at_hand is what counts, and run->stack and run->survivors are not.
 */
PYM_INLINE struct gc_marking gc_take_at_hand(struct gc_collection *run)
{
    return (struct gc_marking){run,           run->scratch,     run->swept,
                               run->stack.at, run->stack.count, run->stack.capacity,
                               run->survivors};
}

PYM_INLINE void gc_put_back(const struct gc_marking *at_hand)
{
    struct gc_collection *run = at_hand->run;
    run->swept = at_hand->swept;
    run->stack.count = at_hand->count;
    run->survivors = at_hand->survivors;
}

/* For objects with many references, a part at a time. */
void gc_mark_slot_of_part(void **slot, void *arg);

/* Marks what an object of any type refers to. */
void gc_mark_all(const struct pygc_type *type, void *object,
                 struct gc_marking *at_hand);

/* Stops tracking an immutable object that refers to nothing that is tracked, or may be.
 */
void gc_untrack_immutable(struct pygc_header *header);

/* Objects of the oldest generation are not written to. */
PYM_INLINE void gc_promote(const struct gc_collection *run, struct pygc_header *header,
                           const struct pygc_type *type)
{
    if (gc_generation_of(header) < GC_GENERATIONS - 1) {
        unsigned next = run->generation + 1;
        gc_set_generation(header, next < GC_GENERATIONS ? next : GC_GENERATIONS - 1);
        if (PYM_UNLIKELY((type->flags & PYGC_IMMUTABLE) != 0)) {
            gc_untrack_immutable(header);
        }
    }
}

/* Marks what a reachable candidate refers to. */
PYM_INLINE void gc_mark_from_at_hand(struct pygc_header *header,
                                     struct gc_marking *at_hand)
{
    struct gc_collection *run = at_hand->run;
    const struct pygc_type *type = gc_type_of(header);
    void *object = gc_object_of(header);
    at_hand->survivors++;
    if (PYM_UNLIKELY(!type->is_single)) {
        gc_mark_all(type, object, at_hand);
    } else if (run->generation == GC_GENERATIONS - 1) {
        gc_each_single_slot(type, object, gc_mark_slot_of_full, at_hand);
    } else {
        gc_each_single_slot(type, object, gc_mark_slot, at_hand);
    }
    gc_promote(run, header, type);
}

PYM_INLINE void gc_mark_from(struct pygc_header *header, struct gc_collection *run)
{
    struct gc_marking at_hand = gc_take_at_hand(run);
    gc_mark_from_at_hand(header, &at_hand);
    gc_put_back(&at_hand);
}

/* Whether an object's references are better looked at in parts.  Those that are not
 * told by slots cannot be. */
PYM_INLINE bool gc_is_huge(const struct pygc_header *header)
{
    enum { MANY_BYTES = 8192 };
    return gc_is_large(header) && gc_large_of(header)->size > MANY_BYTES &&
           !gc_is_traversed(gc_type_of(header));
}

/* Marks what can be reached from the objects on the stack, looking at so many of
 * these; the rest stays there. */
void gc_follow(struct gc_collection *run, size_t most);

/* If a candidate that has not been found reachable is a root, marks what it refers to.
 * Of large ones this is done before the sweep, which then comes by what a very large
 * one refers to: all that would fill the stack otherwise. */
void gc_mark_root(struct pygc_header *header, struct gc_collection *run);

/* The same, and follows that at once. */
void gc_follow_root(struct pygc_header *header, struct gc_collection *run);

/* Looks at a candidate in turn: if it is reachable, or a root, what it refers to is
 * reachable, too.  Which of the two it is cannot be foreseen, that it is one of them
 * can. */
PYM_INLINE void gc_sweep(struct pygc_header *header, struct gc_marking *at_hand)
{
    struct gc_collection *run = at_hand->run;
    uint8_t *at = gc_note_at(run, header);
    at_hand->swept = (uintptr_t)header;
    if (PYM_UNLIKELY(*at == GC_MANY)) {
        if (!gc_is_root(run, header)) {
            return;
        }
    } else if ((*at != GC_REACHABLE) &
               (header->refs - run->held <= (uint32_t)(*at - !run->is_full))) {
        return;
    }
    *at = GC_REACHABLE;
    gc_mark_from_at_hand(header, at_hand);
}

enum { GC_STACK_ENOUGH = 128 };

/* Room for what the sweep leaves on the stack.  False if there is no memory. */
bool gc_prepare_stack(struct gc_collection *run);

/* Whether it is time to follow what the sweep has left on the stack: it is of no use
 * one by one. */
PYM_INLINE bool gc_has_to_follow(const struct gc_marking *at_hand)
{
    return PYM_UNLIKELY(at_hand->count >= GC_STACK_ENOUGH);
}

/* ---- what is left ---- */

/* The HAS flags of an object. */
PYM_INLINE unsigned gc_kinds_of(const struct pygc_header *header)
{
    const struct pygc_type *type = gc_type_of(header);
    unsigned kinds = (header->bits & GC_WEAK) != 0 ? GC_HAS_WEAK : 0;
    if (PYM_LIKELY(type->is_plain && type->dealloc == NULL)) {
        return kinds;
    }
    return kinds | (gc_has_weak_slots(type) ? GC_HAS_WEAK_SLOTS : 0) |
           (gc_awaits_finalizer(header) ? GC_HAS_FINALIZER : 0) |
           (gc_is_traversed(type) ? GC_HAS_TRAVERSE : 0) |
           (type->dealloc != NULL ? GC_HAS_DEALLOC : 0);
}

/* Enters a candidate that nothing has reached into the list of garbage. */
PYM_INLINE void gc_gather(struct pygc_header *header, struct gc_collection *run)
{
    uint8_t *at = gc_note_at(run, header);
    if (!gc_is_count(*at)) {
        return;
    }
    gc_take_in_hand(run, &run->garbage, header);
    *at = run->is_sliced ? GC_SUSPECT : GC_GARBAGE;
    run->kinds |= gc_kinds_of(header);
}

/* The same for all candidates of a pool; reads the notes, and few objects. */
void gc_gather_pool(struct gc_collection *run, const struct pym_pool *pool);

#endif
