/*
 * The references of an object, with the places where they are: for what looks into a
 * heap.  The collector has loops of its own that are inlined.
 *
 * Nothing is read at what a reference leads to: that may be anything.
 */
#ifndef PYM_GC_REFERENCE_H
#define PYM_GC_REFERENCE_H

#include "gc_heap.h"

/* Of an object: in a slot, or, with NULL, visited by traverse. */
typedef void gc_reference_fn(void *const *slot, const void *object, void *arg);

/* Whether an object's references may be asked for: where traverse tells them, it need
 * not be able to before the object is tracked for the first time. */
bool gc_is_ready(const struct pygc_header *header);

/* Calls fn for every reference of an object; not at all if it is not ready. */
void gc_each_reference(struct pygc_header *header, gc_reference_fn *fn, void *arg);

/* Where the first of an object's references to another is, in words: see
 * gc_check_describe_slot. */
void gc_describe_reference(struct pygc_header *from, const void *object, char *out,
                           size_t size);

#endif
