/*
 * What PYGC_DEBUG_VERIFY adds to the use of a heap: that only the thread uses it that
 * has it, and that dead objects are left alone.
 *
 * Objects are watched (GC_WATCHED) from their birth, or from the moment on at which the
 * mode is set; it is by that flag that common paths find here, at no cost to others.
 * The memory of a watched object that dies is kept for a while before it is used again:
 *
 *     | type, no flag but GC_LARGE | count: 0 | 0xdd 0xdd 0xdd ...
 *
 * There pygc_decref finds a count with which it calls pygc_decref_last, which finds the
 * object dead.  (The first word of a free block is a link, half of which pygc_decref
 * would take for a count.)  Whatever else is done to a dead object shows when its
 * memory is given back, or in pygc_verify.
 */
#ifndef PYM_GC_CHECK_H
#define PYM_GC_CHECK_H

#include "gc_heap.h"

PYM_INLINE bool gc_verifies(const struct pygc_heap *heap)
{
    return (heap->debug & PYGC_DEBUG_VERIFY) != 0;
}

/* After the flag in heap->debug has changed: the heap is the calling thread's. */
void gc_check_switch(struct pygc_heap *heap);

/* Frees what only the mode needs. */
void gc_check_free(struct pygc_heap *heap);

/* ---- misuse: each of these ends in a line and abort() if it finds any ---- */

/* Of a heap by the calling thread, which does something, with an object or NULL. */
void gc_check_thread(const struct pygc_heap *heap, const char *does,
                     const void *object);

PYM_INLINE void gc_check_use(const struct pygc_heap *heap, const char *does,
                             const void *object)
{
    if (PYM_UNLIKELY(gc_verifies(heap))) {
        gc_check_thread(heap, does, object);
    }
}

/* The same when an object is to be made; and of the free block that it will be. */
void gc_check_birth(const struct pygc_heap *heap, const struct pygc_type *type,
                    size_t payload);

/* Of an object whose last reference is dropped, and which is watched or dead. */
void gc_check_drop(const struct pygc_header *header);

/* ---- dead objects ---- */

/* Keeps the memory of one that is in no list any more.  False: it is to be freed. */
bool gc_check_keep(struct pygc_heap *heap, struct pygc_header *header);

/* One of those kept, whose memory is to be freed now; of all at the end of the mode.
 * NULL: no more. */
struct pygc_header *gc_check_let_go(struct pygc_heap *heap, bool all);

bool gc_check_has_kept(const struct pygc_heap *heap, const struct pygc_header *header);

/* Reports dead objects and free blocks that have been written to.  Their number. */
size_t gc_check_memory(struct pygc_heap *heap);

/* The list of watched objects that wait to be released.  Others have a link in place of
 * their count.  False with no memory; NULL: empty. */
bool gc_check_push(struct pygc_heap *heap, struct pygc_header *header);
struct pygc_header *gc_check_pop(struct pygc_heap *heap);

/* ---- words for faults: nothing is read that may not be there ---- */

enum { GC_WORDS = 256 }; /* room for them */

/* What is at an address that should be an object's, as "a dead object of type node".
 * With NULL for the heap: what has been taken for one, so that its header can be read.
 */
void gc_check_describe(const struct pygc_heap *heap, const void *object, char *out,
                       size_t size);

/* Where an object has a reference: "slot at offset 8", "slot at offset 0 of item 3"; or
 * "traverse", with NULL. */
void gc_check_describe_slot(const struct pygc_header *header, void *const *slot,
                            char *out, size_t size);

#endif
