/*
 * Looking at the objects of a heap.
 */
#include "alloc.h"
#include "gc_heap.h"
#include "print.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

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

/* ---- all objects, with the references to each ---- */

struct found {
    struct pygc_header *header;
    uint64_t references;        /* in other objects, or its own slots */
    struct pygc_header *parent; /* on the way from outside; itself: it is the first */
};

struct map {
    struct found *table; /* open addressing */
    size_t size;         /* a power of two */
    size_t objects;
    struct pygc_header *from; /* whose references are being looked at */
    ptrdiff_t foreign;        /* references to what is no object of the heap */
};

static void count_one(struct pygc_header *header, void *arg)
{
    (void)header;
    ((struct map *)arg)->objects++;
}

static struct found *find(const struct map *map, const struct pygc_header *header)
{
    size_t i = gc_hash(header) & (map->size - 1);
    while (map->table[i].header != NULL && map->table[i].header != header) {
        i = (i + 1) & (map->size - 1);
    }
    return &map->table[i];
}

static void enter(struct pygc_header *header, void *arg)
{
    find(arg, header)->header = header;
}

static int count_reference(void *object, void *arg)
{
    struct map *map = arg;
    struct found *found = find(map, pygc_header_of(object));
    if (found->header == NULL) {
        map->foreign++;
        pym_print(STDERR_FILENO,
                  "pymalloc: verify: %p of type %s refers to %p, which is no object of "
                  "the heap\n",
                  gc_object_of(map->from), gc_type_of(map->from)->name, object);
    } else {
        found->references++;
    }
    return 0;
}

static void count_references(struct pygc_header *header, void *arg)
{
    struct map *map = arg;
    map->from = header;
    (void)pygc_referents(gc_object_of(header), count_reference, map);
}

/* False with no memory.  The table is the caller's to free. */
static bool map_heap(struct pygc_heap *heap, struct map *map)
{
    *map = (struct map){.size = 16};
    gc_each_object(heap, count_one, map);
    while (map->size < 2 * map->objects) {
        map->size *= 2;
    }
    map->table = pym_alloc_calloc(map->size, sizeof(map->table[0]));
    if (map->table == NULL) {
        return false;
    }
    gc_each_object(heap, enter, map);
    gc_each_object(heap, count_references, map);
    return true;
}

/* ---- verifying ---- */

static bool has_too_few(const struct found *found)
{
    return found->header != NULL && found->header->refs < found->references;
}

PYM_EXPORT ptrdiff_t pygc_verify(pygc_heap *heap)
{
    struct map map;
    if (!map_heap(heap, &map)) {
        return -1;
    }
    ptrdiff_t faults = map.foreign;
    for (size_t i = 0; i < map.size; i++) {
        const struct found *found = &map.table[i];
        if (has_too_few(found)) {
            faults++;
            pym_print(STDERR_FILENO,
                      "pymalloc: verify: %p of type %s has %u references, but %lu "
                      "slots refer to it\n",
                      gc_object_of(found->header), gc_type_of(found->header)->name,
                      found->header->refs, (unsigned long)found->references);
        }
    }
    pym_alloc_free(map.table);
    return faults;
}

/* ---- why an object is alive ---- */

struct search {
    struct map map;
    struct gc_vector queue; /* headers, the nearest to the outside first */
    struct pygc_header *from;
    bool failed;
};

static int queue_unseen(void *object, void *arg)
{
    struct search *search = arg;
    struct found *found = find(&search->map, pygc_header_of(object));
    if (found->header != NULL && found->parent == NULL) {
        found->parent = search->from;
        search->failed |= !gc_vector_push(&search->queue, found->header);
    }
    return 0;
}

static void queue_roots(struct search *search)
{
    for (size_t i = 0; i < search->map.size; i++) {
        struct found *found = &search->map.table[i];
        if (found->header != NULL && found->header->refs > found->references) {
            search->from = found->header;
            (void)queue_unseen(gc_object_of(found->header), search);
        }
    }
}

/* Breadth first, so that the path is a shortest one. */
static bool is_reached(struct search *search, const struct pygc_header *target)
{
    queue_roots(search);
    for (size_t i = 0; i < search->queue.count && !search->failed; i++) {
        search->from = search->queue.at[i];
        if (search->from == target) {
            return true;
        }
        (void)pygc_referents(gc_object_of(search->from), queue_unseen, search);
    }
    return false;
}

/* The path lies in the parents, from its end; the queue is needed no more. */
static ptrdiff_t tell_path(struct search *search, struct pygc_header *target,
                           pygc_path_fn *visit, void *arg)
{
    struct gc_vector *path = &search->queue;
    struct pygc_header *at = target, *next = target;
    path->count = 0;
    do {
        at = next;
        path->at[path->count++] = at;
        next = find(&search->map, at)->parent;
    } while (next != at);
    for (size_t i = path->count; i-- > 0;) {
        const struct found *found = find(&search->map, path->at[i]);
        uint32_t refs = found->header->refs;
        size_t outside = (refs & GC_IMMORTAL) != 0  ? PYGC_IMMORTAL
                         : refs > found->references ? refs - found->references
                                                    : 0;
        if (visit(gc_object_of(found->header), outside, arg) != 0) {
            break;
        }
    }
    return (ptrdiff_t)path->count;
}

PYM_EXPORT ptrdiff_t pygc_why_alive(void *object, pygc_path_fn *visit, void *arg)
{
    struct pygc_header *target = pygc_header_of(object);
    struct search search = {.failed = false};
    ptrdiff_t length = 0;
    if (!map_heap(gc_heap_of(target), &search.map)) {
        return -1;
    }
    if (is_reached(&search, target)) {
        length = tell_path(&search, target, visit, arg);
    }
    pym_alloc_free(search.map.table);
    gc_vector_free(&search.queue);
    if (search.failed) {
        errno = ENOMEM;
        return -1;
    }
    return length;
}
