/*
 * What is wrong with the references of a heap, and why an object is alive.
 *
 * Both need a map of all objects and of how many references to each are in others. What
 * is no object of the heap is not in the map, so an address of any kind may be looked
 * up: nothing is read at an address that has not been found there.
 */
#include "alloc.h"
#include "gc_check.h"
#include "gc_reference.h"
#include "print.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct found {
    struct pygc_header *header; /* NULL: there is no such object */
    uint64_t references;        /* in objects, its own included */
    struct pygc_header *from;   /* verify: one that refers to it; why alive: the one
                                   before it on the way from outside, or itself */
    int64_t balance; /* how often slots have it more than traverse visits it */
};

struct map {
    struct pygc_heap *heap;
    struct found *table; /* open addressing */
    size_t size;         /* a power of two */
    size_t objects;
    struct pygc_header *from; /* whose references are being looked at */
    ptrdiff_t faults;
};

/* ---- the map ---- */

/* By address: the header may not exist.  What is in no map has an empty entry, which
 * may be written to without effect. */
static struct found *find(const struct map *map, const void *object)
{
    uintptr_t header = (uintptr_t)object - sizeof(struct pygc_header);
    size_t i = gc_hash((const void *)header) & (map->size - 1);
    while (map->table[i].header != NULL && (uintptr_t)map->table[i].header != header) {
        i = (i + 1) & (map->size - 1);
    }
    return &map->table[i];
}

static void count_object(struct pygc_header *header, void *arg)
{
    (void)header;
    ((struct map *)arg)->objects++;
}

static void enter(struct pygc_header *header, void *arg)
{
    find(arg, gc_object_of(header))->header = header;
}

/* False with no memory.  The table is the caller's to free. */
static bool map_objects(struct map *map, struct pygc_heap *heap)
{
    *map = (struct map){.heap = heap, .size = 16};
    gc_each_object(heap, count_object, map);
    while (map->size < 2 * map->objects) {
        map->size *= 2;
    }
    map->table = pym_alloc_calloc(map->size, sizeof(map->table[0]));
    if (map->table == NULL) {
        return false;
    }
    gc_each_object(heap, enter, map);
    return true;
}

/* ---- references ---- */

static void count_reference(void *const *slot, const void *object, void *arg)
{
    (void)slot;
    find(arg, object)->references++;
}

static void count_references(struct pygc_header *header, void *arg)
{
    gc_each_reference(header, count_reference, arg);
}

/* ---- verifying ---- */

static const char *type_name(const struct pygc_header *header)
{
    return gc_type_of(header)->name;
}

/* Of the object that is being looked at: what is wrong with a reference. */
static void report(struct map *map, void *const *slot, const void *object,
                   const char *what)
{
    char place[GC_WORDS];
    gc_check_describe_slot(map->from, slot, place, sizeof(place));
    map->faults++;
    pym_print(STDERR_FILENO, "pymalloc: verify: %p of type %s, %s: %p %s\n",
              gc_object_of(map->from), type_name(map->from), place, object, what);
}

static void report_foreign(struct map *map, void *const *slot, const void *object)
{
    char what[GC_WORDS] = "is ";
    gc_check_describe(map->heap, object, what + strlen(what),
                      sizeof(what) - strlen(what));
    report(map, slot, object, what);
}

static void verify_reference(void *const *slot, const void *object, void *arg)
{
    struct map *map = arg;
    struct found *found = find(map, object);
    if (found->header == NULL) {
        report_foreign(map, slot, object);
    } else {
        found->references++;
        found->from = map->from;
    }
}

static void weigh_slot(void *const *slot, const void *object, void *arg)
{
    (void)slot;
    find(arg, object)->balance++;
}

static int weigh_visited(void *object, void *arg)
{
    struct map *map = arg;
    struct found *found = find(map, object);
    if (found->header == NULL) {
        report_foreign(map, NULL, object);
    } else if (--found->balance < 0) {
        report(map, NULL, object, "is visited more often than slots have it");
        found->balance = 0;
    }
    return 0;
}

static void settle_slot(void *const *slot, const void *object, void *arg)
{
    struct map *map = arg;
    struct found *found = find(map, object);
    if (found->header != NULL && found->balance > 0) {
        report(map, slot, object, "is visited less often than slots have it");
    }
    found->balance = 0;
}

static void verify_object(struct pygc_header *header, void *arg)
{
    struct map *map = arg;
    const struct pygc_type *type = gc_type_of(header);
    map->from = header;
    gc_each_reference(header, verify_reference, map);
    if (type->compared != NULL) {
        gc_each_reference(header, weigh_slot, map);
        (void)type->compared(gc_object_of(header), weigh_visited, map);
        gc_each_reference(header, settle_slot, map);
    }
}

static void verify_count(struct map *map, const struct found *found)
{
    if (found->header == NULL || found->header->refs >= found->references) {
        return;
    }
    const void *object = found->header + 1;
    char place[GC_WORDS];
    gc_describe_reference(found->from, object, place, sizeof(place));
    map->faults++;
    pym_print(STDERR_FILENO,
              "pymalloc: verify: %p of type %s has a count of %u, but %lu references "
              "to it are in objects, one in %p of type %s, %s\n",
              object, type_name(found->header), found->header->refs,
              (unsigned long)found->references, gc_object_of(found->from),
              type_name(found->from), place);
}

PYM_EXPORT ptrdiff_t pygc_verify(pygc_heap *heap)
{
    struct map map;
    gc_check_use(heap, "verifies it", NULL);
    if (!map_objects(&map, heap)) {
        return -1;
    }
    gc_each_object(heap, verify_object, &map);
    for (size_t i = 0; i < map.size; i++) {
        verify_count(&map, &map.table[i]);
    }
    pym_alloc_free(map.table);
    return map.faults + (ptrdiff_t)gc_check_memory(heap);
}

/* ---- why an object is alive ---- */

struct search {
    struct map map;
    struct gc_vector queue; /* headers, the nearest to the outside first */
    bool failed;
};

static void queue_unseen(void *const *slot, const void *object, void *arg)
{
    struct search *search = arg;
    struct found *found = find(&search->map, object);
    (void)slot;
    if (found->header != NULL && found->from == NULL) {
        found->from = search->map.from;
        search->failed |= !gc_vector_push(&search->queue, found->header);
    }
}

static void queue_roots(struct search *search)
{
    for (size_t i = 0; i < search->map.size; i++) {
        struct found *found = &search->map.table[i];
        if (found->header != NULL && found->header->refs > found->references) {
            search->map.from = found->header;
            queue_unseen(NULL, gc_object_of(found->header), search);
        }
    }
}

/* Breadth first, so that the path is a shortest one. */
static bool is_reached(struct search *search, const struct pygc_header *target)
{
    queue_roots(search);
    for (size_t i = 0; i < search->queue.count && !search->failed; i++) {
        struct pygc_header *header = search->queue.at[i];
        if (header == target) {
            return true;
        }
        search->map.from = header;
        gc_each_reference(header, queue_unseen, search);
    }
    return false;
}

static size_t unaccounted(const struct found *found)
{
    uint32_t refs = found->header->refs;
    if ((refs & GC_IMMORTAL) != 0) {
        return PYGC_IMMORTAL;
    }
    return refs > found->references ? refs - found->references : 0;
}

/* The path lies in the entries, from its end; the queue is needed no more. */
static ptrdiff_t tell_path(struct search *search, struct pygc_header *target,
                           pygc_path_fn *visit, void *arg)
{
    struct gc_vector *path = &search->queue;
    struct pygc_header *at = target, *next = target;
    path->count = 0;
    do {
        at = next;
        path->at[path->count++] = at;
        next = find(&search->map, gc_object_of(at))->from;
    } while (next != at);
    for (size_t i = path->count; i-- > 0;) {
        void *object = gc_object_of(path->at[i]);
        if (visit(object, unaccounted(find(&search->map, object)), arg) != 0) {
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
    if (!map_objects(&search.map, gc_heap_of(target))) {
        return -1;
    }
    gc_each_object(search.map.heap, count_references, &search.map);
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

/* ---- the same in words ---- */

struct telling {
    const void *target;
    struct pygc_header *last; /* step */
    int fd;
};

static void tell_root(const struct telling *telling, const void *object, size_t count)
{
    const char *type = pygc_type_of(object)->name;
    const struct pygc_heap *heap = pygc_heap_of(object);
    size_t own = gc_vector_count(&heap->garbage, object) +
                 gc_vector_count(&heap->deferred, object);
    char rest[GC_WORDS] = "";
    pym_print(telling->fd, "pymalloc: %p of type %s is alive:\n", telling->target,
              pygc_type_of(telling->target)->name);
    if (count == PYGC_IMMORTAL) {
        pym_print(telling->fd, "pymalloc:   %p of type %s is immortal\n", object, type);
        return;
    }
    if (own != 0) {
        (void)pym_print_text(rest, sizeof(rest), ", %zu of them the heap's own", own);
    }
    pym_print(telling->fd,
              "pymalloc:   %zu %s to %p of type %s that no object accounts for%s\n",
              count, count == 1 ? "reference" : "references", object, type, rest);
}

static int tell_step(void *object, size_t count, void *arg)
{
    struct telling *telling = arg;
    if (telling->last == NULL) {
        tell_root(telling, object, count);
    } else {
        char place[GC_WORDS];
        gc_describe_reference(telling->last, object, place, sizeof(place));
        pym_print(telling->fd, "pymalloc:   -> %s -> %p of type %s\n", place, object,
                  pygc_type_of(object)->name);
    }
    telling->last = pygc_header_of(object);
    return 0;
}

static void tell_garbage(const struct pygc_header *header, int fd)
{
    bool is_looked_at = (header->bits & GC_TRACKED) != 0;
    const char *more = gc_generation_of(header) == GC_FROZEN && is_looked_at
                           ? "; it is frozen"
                       : !is_looked_at ? "; it is not tracked"
                                       : "";
    pym_print(fd, "pymalloc: %p of type %s is garbage that has not been collected%s\n",
              (const void *)(header + 1), type_name(header), more);
}

PYM_EXPORT ptrdiff_t pygc_print_why_alive(const void *object, int fd)
{
    struct pygc_header *header = pygc_header_of(object);
    struct telling telling = {.target = object, .fd = fd};
    bool is_object = header->refs != 0 && gc_live_header(header) != NULL;
    ptrdiff_t length =
        is_object ? pygc_why_alive(gc_object_of(header), tell_step, &telling) : 0;
    if (!is_object) {
        char what[GC_WORDS];
        gc_check_describe(NULL, object, what, sizeof(what));
        pym_print(fd, "pymalloc: %p is %s\n", object, what);
    } else if (length == 0) {
        tell_garbage(header, fd);
    }
    return length;
}
