/*
 * Weak references: a table by address of the target, so that objects without any
 * carry no more than a bit.
 *
 * A reference that is cleared stays its owner's until it is freed: in a list of such,
 * or, until its callback is called, in one of those.  Freeing it takes it out of the
 * list that it is in, whichever that is.
 */
#include "alloc.h"
#include "gc_check.h"

#include <errno.h>

struct pygc_weakref {
    struct pygc_weakref *next;
    struct pygc_weakref **prev; /* what points here */
    void *target;               /* NULL: cleared */
    struct pygc_heap *heap;
    void (*callback)(pygc_weakref *ref, void *arg);
    void *arg;
};

enum { BUCKETS_LEAST = 16 };

static void link_ref(pygc_weakref **list, pygc_weakref *ref)
{
    ref->next = *list;
    ref->prev = list;
    if (ref->next != NULL) {
        ref->next->prev = &ref->next;
    }
    *list = ref;
}

static void unlink_ref(pygc_weakref *ref)
{
    *ref->prev = ref->next;
    if (ref->next != NULL) {
        ref->next->prev = ref->prev;
    }
}

static pygc_weakref **bucket_of(const struct pygc_heap *heap, const void *target)
{
    return &heap->weak[gc_hash(target) & (heap->weak_buckets - 1)];
}

/* Twice the buckets.  Without memory the lists just get longer. */
static bool grow(struct pygc_heap *heap)
{
    size_t old_count = heap->weak_buckets;
    size_t count = old_count != 0 ? 2 * old_count : BUCKETS_LEAST;
    pygc_weakref **fresh = pym_alloc_calloc(count, sizeof(fresh[0]));
    if (fresh == NULL) {
        return old_count != 0;
    }
    pygc_weakref **old = heap->weak;
    heap->weak = fresh;
    heap->weak_buckets = count;
    for (size_t i = 0; i < old_count; i++) {
        while (old[i] != NULL) {
            pygc_weakref *ref = old[i];
            unlink_ref(ref);
            link_ref(bucket_of(heap, ref->target), ref);
        }
    }
    pym_alloc_free(old);
    return true;
}

PYM_EXPORT pygc_weakref *
pygc_weakref_new(void *object, void (*callback)(pygc_weakref *ref, void *arg),
                 void *arg)
{
    struct pygc_header *header = pygc_header_of(object);
    struct pygc_heap *heap = gc_heap_of(header);
    gc_check_use(heap, "makes a weak reference to", object);
    if ((gc_type_of(header)->flags & PYGC_WEAKREFABLE) == 0 ||
        (header->bits & GC_PENDING) != 0) {
        errno = EINVAL;
        return NULL;
    }
    if (heap->weak_count >= heap->weak_buckets && !grow(heap)) {
        return NULL;
    }
    pygc_weakref *ref = pym_alloc_malloc(sizeof(*ref));
    if (ref == NULL) {
        return NULL;
    }
    *ref = (pygc_weakref){NULL, NULL, object, heap, callback, arg};
    link_ref(bucket_of(heap, object), ref);
    heap->weak_count++;
    header->bits |= GC_WEAK;
    return ref;
}

PYM_EXPORT void *pygc_weakref_get(const pygc_weakref *ref)
{
    void *object = ref->target;
    if (object != NULL) {
        if ((pygc_header_of(object)->bits & GC_PENDING) != 0) {
            return NULL;
        }
        pygc_incref(object);
    }
    return object;
}

PYM_EXPORT void pygc_weakref_free(pygc_weakref *ref)
{
    if (ref != NULL) {
        gc_check_use(ref->heap, "frees a weak reference", NULL);
        if (ref->target != NULL) {
            ref->heap->weak_count--;
        }
        unlink_ref(ref);
        pym_alloc_free(ref);
    }
}

void gc_weak_free_slot(void **slot, void *arg)
{
    (void)arg;
    pygc_weakref_free(*slot);
    *slot = NULL;
}

void gc_weak_silence(pygc_weakref *ref)
{
    if (ref != NULL) {
        ref->callback = NULL;
    }
}

bool gc_weak_refers(const struct pygc_heap *heap, const struct pygc_header *header)
{
    if ((header->bits & GC_WEAK) == 0) {
        return false;
    }
    const void *object = header + 1;
    const pygc_weakref *ref = *bucket_of(heap, object);
    while (ref != NULL && ref->target != object) {
        ref = ref->next;
    }
    return ref != NULL;
}

void gc_weak_clear(struct pygc_heap *heap, struct pygc_header *header,
                   pygc_weakref **due)
{
    void *object = gc_object_of(header);
    pygc_weakref *next;
    header->bits &= ~(uint32_t)GC_WEAK;
    for (pygc_weakref *ref = *bucket_of(heap, object); ref != NULL; ref = next) {
        next = ref->next;
        if (ref->target != object) {
            continue;
        }
        unlink_ref(ref);
        ref->target = NULL;
        heap->weak_count--;
        link_ref(ref->callback != NULL ? due : &heap->weak_cleared, ref);
    }
}

void gc_weak_call(pygc_weakref **due)
{
    while (*due != NULL) {
        pygc_weakref *ref = *due;
        unlink_ref(ref);
        link_ref(&ref->heap->weak_cleared, ref);
        if (ref->callback != NULL) { /* or silenced by a callback that collects */
            ref->callback(ref, ref->arg);
        }
    }
}

void gc_weak_free_all(struct pygc_heap *heap)
{
    for (size_t i = 0; i < heap->weak_buckets; i++) {
        while (heap->weak[i] != NULL) {
            pygc_weakref_free(heap->weak[i]);
        }
    }
    while (heap->weak_cleared != NULL) {
        pygc_weakref_free(heap->weak_cleared);
    }
    pym_alloc_free(heap->weak);
    heap->weak = NULL;
    heap->weak_buckets = 0;
}
