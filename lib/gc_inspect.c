/*
 * Looking at the objects of a heap: visiting and counting them.
 */
#include "alloc.h"
#include "gc_pace.h"
#include "gc_reference.h"

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
    if (visit->result == 0 && gc_is_ready(header)) {
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

/* ---- generations and pauses ---- */

static unsigned place_of(const struct pygc_header *header)
{
    return (header->bits & GC_TRACKED) != 0 ? gc_generation_of(header) : PYGC_UNTRACKED;
}

static void add_to_place(struct pygc_header *header, void *arg)
{
    struct pygc_generation *place = (struct pygc_generation *)arg + place_of(header);
    place->objects++;
    place->bytes += gc_block_bytes(header);
}

PYM_EXPORT void pygc_get_generations(const pygc_heap *heap,
                                     struct pygc_generation out[PYGC_PLACES])
{
    memset(out, 0, PYGC_PLACES * sizeof(out[0]));
    for (unsigned g = 0; g < GC_GENERATIONS; g++) {
        out[g].survived = heap->survived[g];
        out[g].threshold = heap->threshold[g];
        out[g].count = heap->count[g];
    }
    gc_each_object(walkable(heap), add_to_place, out);
}

/* What so many of a hundred pauses took at most. */
static uint64_t percentile(const struct pygc_heap *heap,
                           const struct pygc_pauses *pauses, unsigned percent)
{
    uint64_t seen = 0;
    for (unsigned i = 0; i < PYGC_PAUSES - 1; i++) {
        uint64_t most = (UINT64_C(2) << i) - 1;
        seen += heap->pauses[i];
        if (seen * 100 >= pauses->count * percent && most < pauses->longest_ns) {
            return most;
        }
    }
    return pauses->longest_ns;
}

/* How many of 10,000 parts of a time are not another, which is a part of it. */
static unsigned permyriad_left(uint64_t time, uint64_t part)
{
    enum { ALL = 10000 };
    for (; part > UINT64_MAX / ALL; part /= 2) {
        time /= 2;
    }
    return part < time ? (unsigned)(ALL - part * ALL / time) : part == 0 ? ALL : 0;
}

PYM_EXPORT void pygc_get_pauses(const pygc_heap *heap, struct pygc_pauses *out)
{
    memset(out, 0, sizeof(*out));
    for (unsigned i = 0; i < PYGC_PAUSES; i++) {
        out->count += heap->pauses[i];
    }
    for (unsigned g = 0; g < GC_GENERATIONS; g++) {
        const struct pygc_generation_stats *stats = &heap->stats[g];
        out->total_ns += stats->time_ns;
        out->longest_ns =
            stats->longest_ns > out->longest_ns ? stats->longest_ns : out->longest_ns;
    }
    out->p50_ns = percentile(heap, out, 50);
    out->p99_ns = percentile(heap, out, 99);
    out->age_ns = gc_now() - heap->made_ns;
    out->permyriad = permyriad_left(out->age_ns, out->total_ns);
}

/* ---- the census ---- */

struct census {
    struct pygc_heap *heap;
    struct pygc_census *at; /* by index of the type */
    size_t types;
    struct pygc_census *from; /* of the object whose references are being counted */
};

static void find_types(struct pygc_header *header, void *arg)
{
    size_t index = header->bits >> GC_TYPE_SHIFT;
    size_t *types = arg;
    *types = index + 1 > *types ? index + 1 : *types;
}

static struct pygc_census *entry_of(const struct census *census,
                                    const struct pygc_header *header)
{
    return &census->at[header->bits >> GC_TYPE_SHIFT];
}

static bool is_immortal(const struct pygc_header *header)
{
    return (header->refs & GC_IMMORTAL) != 0;
}

/* Until references have been counted, unaccounted is how many there are. */
static void count_object(struct pygc_header *header, void *arg)
{
    const struct census *census = arg;
    struct pygc_census *entry = entry_of(census, header);
    uint64_t collections = gc_heap_collections(census->heap);
    uint64_t birth = gc_birth_of(header);
    uint64_t age = birth < collections ? collections - birth : 0;
    entry->type = gc_type_of(header);
    entry->objects++;
    entry->bytes += gc_block_bytes(header);
    entry->places[place_of(header)]++;
    entry->immortal += is_immortal(header);
    entry->unaccounted += is_immortal(header) ? 0 : header->refs;
    entry->age = age > entry->age ? age : entry->age;
}

static void count_reference(void *const *slot, const void *object, void *arg)
{
    const struct census *census = arg;
    const struct pygc_header *header = pygc_header_of(object);
    (void)slot;
    census->from->references++;
    if (header->bits >> GC_TYPE_SHIFT < census->types) {
        struct pygc_census *entry = entry_of(census, header);
        entry->referrers++;
        entry->unaccounted -= !is_immortal(header) && entry->unaccounted != 0;
    }
}

static void count_references(struct pygc_header *header, void *arg)
{
    struct census *census = arg;
    census->from = entry_of(census, header);
    gc_each_reference(header, count_reference, census);
}

/* False with no memory. */
static bool prepare_census(struct census *census, struct pygc_heap *heap)
{
    *census = (struct census){.heap = heap};
    gc_each_object(heap, find_types, &census->types);
    census->at = pym_alloc_calloc(census->types + 1, sizeof(census->at[0]));
    return census->at != NULL;
}

static int tell_census(struct census *census, pygc_census_fn *visit, void *arg)
{
    int result = 0;
    for (size_t i = 0; i < census->types && result == 0; i++) {
        if (census->at[i].objects != 0) {
            result = visit(&census->at[i], arg);
        }
    }
    pym_alloc_free(census->at);
    return result;
}

PYM_EXPORT int pygc_take_census(pygc_heap *heap, pygc_census_fn *visit, void *arg)
{
    struct census census;
    if (!prepare_census(&census, heap)) {
        return -1;
    }
    gc_each_object(heap, count_object, &census);
    gc_each_object(heap, count_references, &census);
    return tell_census(&census, visit, arg);
}

int gc_count_types(struct pygc_heap *heap, pygc_census_fn *visit, void *arg)
{
    struct census census;
    if (!prepare_census(&census, heap)) {
        return -1;
    }
    gc_each_object(heap, count_object, &census);
    return tell_census(&census, visit, arg);
}
