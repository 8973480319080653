/*
 * Types of objects: what the collector has to know of them, in the form in which it
 * wants to know it.
 *
 * Types never change or go away once they are registered, so that an index in a header
 * is all that an object has to keep.  Whoever has an object of a type has been given
 * the type before, by means that order memory.
 */
#ifndef PYM_GC_TYPE_H
#define PYM_GC_TYPE_H

#include "base.h"

#include "pymalloc/gc.h"

/* A run of slots, as offset and count, in the object or in each item. */
struct gc_run {
    uint32_t offset;
    uint32_t count;
};

struct pygc_type {
    /* In one line of the cache: what every birth, death and collection of an object
     * asks for. */
    struct gc_run single; /* the strong slots, if they are one run, or none */
    bool is_single;
    bool is_cyclic;
    bool is_plain;       /* its death is no more than dropping its strong slots */
    uint8_t cls;         /* of an object without items */
    bool is_small;       /* it is in a pool */
    uint32_t birth;      /* what a new header's bits get from the type */
    uint32_t birth_mask; /* and which of the heap's */
    size_t size;
    size_t item_size;
    /* Strong slots of the object, of an item, weak ones of both: in this order. */
    const struct gc_run *runs;
    uint16_t strong_runs;
    uint16_t strong_item_runs;
    uint16_t weak_runs;
    uint16_t weak_item_runs;
    uint32_t index;
    bool reaches_any; /* from it, by slots, objects of all types may be reached */
    unsigned flags;
    /* NULL with strong slots.  A traverse that is given beside them is only compared
     * with them: see gc_verify.c. */
    int (*traverse)(void *object, pygc_visit_fn *visit, void *arg);
    int (*compared)(void *object, pygc_visit_fn *visit, void *arg);
    void (*clear)(void *object);
    void (*finalize)(void *object);
    void (*dealloc)(void *object);
    const char *name;
};

enum { GC_TYPES_MOST = 65536 };

/* By index; 0 is none. */
extern const struct pygc_type *gc_types[GC_TYPES_MOST] PYM_HIDDEN;

/* Whether references are told by a call, not by slots. */
PYM_INLINE bool gc_is_traversed(const struct pygc_type *type)
{
    return type->traverse != NULL;
}

/* An object of a type with items begins with their number. */
PYM_INLINE size_t gc_item_count(const struct pygc_type *type, const void *object)
{
    return type->item_size != 0 ? *(const size_t *)object : 0;
}

PYM_INLINE size_t gc_payload_size(const struct pygc_type *type, const void *object)
{
    return type->size + gc_item_count(type, object) * type->item_size;
}

/*
 * Calls fn with the address of every slot of some runs.  fn is inlined where it is a
 * constant, and so is the loop.
 */
typedef void gc_slot_fn(void **slot, void *arg);

PYM_INLINE void gc_each_slot_in(char *start, const struct gc_run *runs, unsigned count,
                                gc_slot_fn *fn, void *arg)
{
    for (unsigned i = 0; i < count; i++) {
        void **slot = (void **)(void *)(start + runs[i].offset);
        for (uint32_t k = 0; k < runs[i].count; k++) {
            fn(slot + k, arg);
        }
    }
}

/* Of a type whose slots are one run, or none. */
PYM_INLINE void gc_each_single_slot(const struct pygc_type *type, void *object,
                                    gc_slot_fn *fn, void *arg)
{
    void **slot = (void **)(void *)((char *)object + type->single.offset);
    for (void **end = slot + type->single.count; slot < end; slot++) {
        fn(slot, arg);
    }
}

/* Of any other. */
PYM_INLINE void gc_each_slot_of_runs(const struct pygc_type *type, void *object,
                                     gc_slot_fn *fn, void *arg)
{
    gc_each_slot_in(object, type->runs, type->strong_runs, fn, arg);
    if (type->strong_item_runs != 0) {
        char *item = (char *)object + type->size;
        for (size_t i = gc_item_count(type, object); i > 0; i--) {
            gc_each_slot_in(item, type->runs + type->strong_runs,
                            type->strong_item_runs, fn, arg);
            item += type->item_size;
        }
    }
}

PYM_INLINE void gc_each_strong_slot(const struct pygc_type *type, void *object,
                                    gc_slot_fn *fn, void *arg)
{
    if (PYM_LIKELY(type->is_single)) {
        gc_each_single_slot(type, object, fn, arg);
    } else {
        gc_each_slot_of_runs(type, object, fn, arg);
    }
}

/* Calls fn with the address of strong slots from the at'th of the object's own on, or,
 * behind those, from an item on: about as many as most.  Returns what to go on with as
 * at, 0 if that was the last. */
size_t gc_each_slot_from(const struct pygc_type *type, void *object, size_t at,
                         size_t most, gc_slot_fn *fn, void *arg);

PYM_INLINE bool gc_has_weak_slots(const struct pygc_type *type)
{
    return (type->weak_runs | type->weak_item_runs) != 0;
}

PYM_INLINE void gc_each_weak_slot(const struct pygc_type *type, void *object,
                                  gc_slot_fn *fn, void *arg)
{
    const struct gc_run *runs = type->runs + type->strong_runs + type->strong_item_runs;
    gc_each_slot_in(object, runs, type->weak_runs, fn, arg);
    if (type->weak_item_runs != 0) {
        char *item = (char *)object + type->size;
        for (size_t i = gc_item_count(type, object); i > 0; i--) {
            gc_each_slot_in(item, runs + type->weak_runs, type->weak_item_runs, fn,
                            arg);
            item += type->item_size;
        }
    }
}

#endif
