/*
 * Looking at the objects of a heap: visiting and counting them.
 */
#include "alloc.h"
#include "gc_heap.h"

#include <string.h>

/* ---- visiting ---- */

struct visit {
    pygc_visit_fn *fn;
    void *arg;
    int generation;
    const void *target; /* of referrers */
    void *object;       /* that refers to it */
    int result;         /* once not 0, the last */
};

static void visit_object(struct pygc_header *header, void *arg)
{
    struct visit *visit = arg;
    bool wanted = visit->generation == PYGC_ALL ||
                  ((header->bits & GC_TRACKED) != 0 &&
                   gc_generation_of(header) == (unsigned)visit->generation);
    if (wanted && visit->result == 0) {
        visit->result = visit->fn(gc_object_of(header), visit->arg);
    }
}

PYM_EXPORT int pygc_objects(pygc_heap *heap, int generation, pygc_visit_fn *fn,
                            void *arg)
{
    struct visit visit = {.fn = fn, .arg = arg, .generation = generation};
    gc_each_object(heap, visit_object, &visit);
    return visit.result;
}

static void visit_slot(void **slot, void *arg)
{
    struct visit *visit = arg;
    if (*slot != NULL && visit->result == 0) {
        visit->result = visit->fn(*slot, visit->arg);
    }
}

PYM_EXPORT int pygc_referents(void *object, pygc_visit_fn *fn, void *arg)
{
    const struct pygc_type *type = pygc_type_of(object);
    if (type->traverse != NULL) {
        return type->traverse(object, fn, arg);
    }
    struct visit visit = {.fn = fn, .arg = arg};
    gc_each_strong_slot(type, object, visit_slot, &visit);
    return visit.result;
}

static int visit_if_target(void *object, void *arg)
{
    struct visit *visit = arg;
    if (object == visit->target && visit->result == 0) {
        visit->result = visit->fn(visit->object, visit->arg);
    }
    return visit->result;
}

static void visit_referrer(struct pygc_header *header, void *arg)
{
    struct visit *visit = arg;
    visit->object = gc_object_of(header);
    if (visit->result == 0) {
        (void)pygc_referents(visit->object, visit_if_target, visit);
    }
}

PYM_EXPORT int pygc_referrers(void *object, pygc_visit_fn *fn, void *arg)
{
    struct visit visit = {.fn = fn, .arg = arg, .target = object};
    gc_each_object(pygc_heap_of(object), visit_referrer, &visit);
    return visit.result;
}

PYM_EXPORT size_t pygc_garbage(pygc_heap *heap, pygc_visit_fn *fn, void *arg, int drop)
{
    size_t count = heap->garbage.count;
    for (size_t i = 0; i < count && fn != NULL; i++) {
        if (fn(heap->garbage.at[i], arg) != 0) {
            break;
        }
    }
    if (drop) {
        struct gc_vector garbage = heap->garbage;
        heap->garbage = (struct gc_vector){NULL, 0, 0};
        for (size_t i = 0; i < garbage.count; i++) {
            pygc_decref(garbage.at[i]);
        }
        gc_vector_free(&garbage);
    }
    return count;
}

/* ---- counting ---- */

static void add_to_stats(struct pygc_header *header, void *arg)
{
    struct pygc_stats *stats = arg;
    stats->objects++;
    stats->bytes += gc_block_bytes(header);
}

static void count_frozen(struct pygc_header *header, void *arg)
{
    *(size_t *)arg +=
        (header->bits & GC_TRACKED) != 0 && gc_generation_of(header) == GC_FROZEN;
}

/* A walk needs the heap, but changes nothing in it. */
static pygc_heap *walkable(const pygc_heap *heap)
{
    return (pygc_heap *)(uintptr_t)heap;
}

PYM_EXPORT size_t pygc_freeze_count(const pygc_heap *heap)
{
    size_t count = 0;
    gc_each_object(walkable(heap), count_frozen, &count);
    return count;
}

PYM_EXPORT void pygc_get_stats(const pygc_heap *heap, struct pygc_stats *out)
{
    memset(out, 0, sizeof(*out));
    memcpy(out->generation, heap->stats, sizeof(heap->stats));
    memcpy(out->pauses, heap->pauses, sizeof(heap->pauses));
    out->external = heap->external;
    out->oversized = heap->oversized;
    out->overdue = heap->overdue;
    gc_each_object(walkable(heap), add_to_stats, out);
}

struct census {
    struct pygc_census *at; /* by index of the type */
    size_t types;
};

static void find_types(struct pygc_header *header, void *arg)
{
    size_t index = header->bits >> GC_TYPE_SHIFT;
    size_t *types = arg;
    *types = index + 1 > *types ? index + 1 : *types;
}

static void count_object(struct pygc_header *header, void *arg)
{
    const struct census *census = arg;
    struct pygc_census *entry = &census->at[header->bits >> GC_TYPE_SHIFT];
    entry->type = gc_type_of(header);
    entry->objects++;
    entry->bytes += gc_block_bytes(header);
}

PYM_EXPORT int pygc_take_census(pygc_heap *heap,
                                int (*visit)(const struct pygc_census *, void *),
                                void *arg)
{
    struct census census = {NULL, 0};
    gc_each_object(heap, find_types, &census.types);
    if (census.types == 0) {
        return 0;
    }
    census.at = pym_alloc_calloc(census.types, sizeof(census.at[0]));
    if (census.at == NULL) {
        return -1;
    }
    gc_each_object(heap, count_object, &census);
    int result = 0;
    for (size_t i = 0; i < census.types && result == 0; i++) {
        if (census.at[i].objects != 0) {
            result = visit(&census.at[i], arg);
        }
    }
    pym_alloc_free(census.at);
    return result;
}
