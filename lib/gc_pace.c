#include "gc_pace.h"

#include "os.h"
#include "print.h"

#include <unistd.h>

/* Costs are in ns for so many objects. */
enum { COST_OBJECTS = 1024 };
/* What a collection is believed to cost before any has been measured. */
enum { COST_AT_FIRST = 80 * COST_OBJECTS };
/* A collection of fewer objects does not tell what one costs. */
enum { FEW = 256 };

uint64_t gc_now(void)
{
    return pym_os_clock_ns();
}

/* ---- costs ---- */

static uint64_t cost_of(uint64_t cost, uint64_t objects)
{
    return objects * (cost != 0 ? cost : COST_AT_FIRST) / COST_OBJECTS;
}

/* Costs that grow are believed at once: what depends on them are pauses. */
static void learn_cost(uint64_t *cost, uint64_t ns, uint64_t objects)
{
    if (objects >= FEW) {
        uint64_t measured = ns * COST_OBJECTS / objects;
        uint64_t before = *cost;
        *cost = measured > before ? measured : (7 * before + measured) / 8;
    }
}

uint64_t gc_expected_objects(const struct pygc_heap *heap)
{
    int64_t old = heap->seen_by_full + heap->since_full;
    return (uint64_t)(old > 0 ? old : 0) + heap->aged + heap->count[0];
}

uint64_t gc_expected_time(const struct pygc_heap *heap)
{
    return cost_of(heap->full_cost, gc_expected_objects(heap));
}

/* ---- what is due ---- */

/* Whether a collection of the young objects would take too long.  It may take several
 * times what it did last, if the notes that it needs are not in the cache. */
static bool is_too_much(const struct pygc_heap *heap, uint64_t objects)
{
    return heap->pause_target != 0 &&
           cost_of(heap->young_cost, objects) > heap->pause_target / 4;
}

/* The more a heap has grown since it was last looked at as a whole, the more garbage
 * may lie in what is old: a quarter at most, and a little less, since some of what was
 * alive then may be garbage now.  With slices a part of that is kept for what is born
 * while they last. */
static bool is_full_worth_while(const struct pygc_heap *heap)
{
    enum { QUARTER_OF_64 = 15 };
    int64_t part = QUARTER_OF_64 - (heap->pause_target != 0 ? 4 * GC_SLICED_GROWTH : 0);
    return heap->since_full * 64 >= heap->seen_by_full * part;
}

/* What is found by looking at generation 0 alone has been nothing for a while: its
 * objects may as well be looked at once, with generation 1. */
static bool is_fruitless(const struct pygc_heap *heap)
{
    enum { ENOUGH = 8 };
    return heap->fruitless >= ENOUGH;
}

int gc_what_is_due(struct pygc_heap *heap)
{
    unsigned *count = heap->count;
    const unsigned *threshold = heap->threshold;
    bool slices = heap->pause_target != 0;
    if ((heap->debug & PYGC_DEBUG_TORTURE) != 0) {
        return slices ? GC_SLICES_DUE : (int)(gc_heap_random(heap) % GC_GENERATIONS);
    }
    bool is_early = is_too_much(heap, heap->aged + count[0]);
    if (count[0] <= threshold[0] && !is_early) {
        return GC_NOT_DUE;
    }
    bool is_full = count[2] > threshold[2] && is_full_worth_while(heap);
    if (is_full || heap->lost_pools) {
        bool fits = gc_expected_time(heap) <= heap->pause_target / 2;
        return slices && !fits ? GC_SLICES_DUE : GC_GENERATIONS - 1;
    }
    if (count[1] > threshold[1] || is_early) {
        return 1;
    }
    if (is_fruitless(heap)) {
        heap->aged += count[0];
        count[0] = 0;
        count[1]++;
        return GC_NOT_DUE;
    }
    return 0;
}

/* ---- counting ---- */

/* How many objects a heap had when it was last looked at is what it may have again
 * before it is worth looking at once more; if it shrinks, it forgets that slowly.  With
 * a pause target, where the bound on garbage is strict, at once. */
static void age_credit(struct pygc_heap *heap)
{
    enum { SLOWLY = 256 };
    if (heap->since_full < 0) {
        int64_t part = heap->pause_target != 0 ? 1 : SLOWLY;
        int64_t step = (-heap->since_full + part - 1) / part;
        heap->since_full += step;
        heap->seen_by_full -= step < heap->seen_by_full ? step : heap->seen_by_full;
    }
}

void gc_count_collection(struct gc_collection *run)
{
    struct pygc_heap *heap = run->heap;
    for (unsigned g = 0; g <= run->generation; g++) {
        heap->count[g] = 0;
    }
    if (run->generation == GC_GENERATIONS - 1) {
        heap->seen_by_full = (int64_t)run->survivors;
        heap->since_full = 0;
        heap->aged = 0;
        return;
    }
    heap->count[run->generation + 1]++;
    if (run->generation == 0) {
        heap->aged += run->survivors;
        return;
    }
    heap->aged = 0;
    heap->since_full += (int64_t)run->survivors;
    age_credit(heap);
}

static void empty_list(struct pygc_heap *heap, unsigned generation)
{
    struct gc_vector *list = &heap->pools[generation];
    for (size_t i = 0; i < list->count; i++) {
        struct pym_pool *pool = list->at[i];
        if (gc_heap_has_pool(heap, pool)) {
            pool->listed &= (uint8_t) ~(1u << generation);
        }
    }
    list->count = 0;
}

/* Only active pools will have young objects until the next one is taken. */
void gc_renew_lists(struct gc_collection *run)
{
    struct pygc_heap *heap = run->heap;
    empty_list(heap, 0);
    if (run->generation > 0) {
        empty_list(heap, 1);
    }
    if (run->generation == GC_GENERATIONS - 1) {
        heap->lost_pools = false;
    }
    for (unsigned cls = 0; cls < PYM_CLASSES; cls++) {
        if (heap->base.active[cls] != NULL) {
            gc_heap_list_pool(heap, heap->base.active[cls], 0);
        }
    }
}

/* ---- statistics ---- */

void gc_note_pause(struct pygc_heap *heap, unsigned generation, uint64_t ns)
{
    struct pygc_generation_stats *stats = &heap->stats[generation];
    stats->time_ns += ns;
    stats->longest_ns = ns > stats->longest_ns ? ns : stats->longest_ns;
    unsigned power = ns != 0 ? 63 - (unsigned)__builtin_clzll(ns) : 0;
    heap->pauses[power < PYGC_PAUSES ? power : PYGC_PAUSES - 1]++;
}

static void print_collection(struct gc_collection *run, uint64_t found,
                             uint64_t uncollectable, uint64_t ns)
{
    pym_print(STDERR_FILENO,
              "pymalloc: collection of generation %u: %lu objects, %lu garbage, "
              "%lu left, %lu us%s\n",
              run->generation, (unsigned long)run->candidates, (unsigned long)found,
              (unsigned long)uncollectable, (unsigned long)(ns / 1000),
              run->failed ? ", out of memory" : "");
}

void gc_note_collection(struct gc_collection *run, uint64_t found,
                        uint64_t uncollectable, uint64_t ns)
{
    struct pygc_heap *heap = run->heap;
    struct pygc_generation_stats *stats = &heap->stats[run->generation];
    bool is_full = run->generation == GC_GENERATIONS - 1;
    stats->collections++;
    stats->candidates += run->candidates;
    stats->collected += found - uncollectable;
    stats->uncollectable += uncollectable;
    stats->failed += run->failed;
    heap->survived[run->generation] += run->failed ? 0 : run->survivors;
    gc_heap_date_births(heap);
    learn_cost(is_full ? &heap->full_cost : &heap->young_cost, ns, run->candidates);
    if (found > 0) {
        heap->fruitless = 0;
    } else if (heap->fruitless < UINT32_MAX) {
        heap->fruitless++;
    }
    if ((heap->debug & PYGC_DEBUG_STATS) != 0) {
        print_collection(run, found, uncollectable, ns);
    }
}

void gc_tell(struct pygc_heap *heap, unsigned generation, bool is_end, size_t found)
{
    if (heap->event != NULL) {
        heap->event(heap, (int)generation, is_end, found, heap->event_arg);
    }
}
