/*
 * A collection of everything in slices.
 *
 * It goes the way of a collection as a whole: references are counted, what has more
 * than were counted is marked with all that it leads to, the rest is gathered.  But the
 * program runs in between and needs no barrier for it, so that the counts and marks
 * are of different moments and prove nothing: what is gathered is suspected only.
 * What was garbage when the collection began is among it, though, for nothing can
 * change garbage, and no two groups of suspects that refer to each other are garbage
 * one without the other.
 *
 * The suspects are therefore looked at again, twice over: first in slices, which clears
 * most of those that are alive, and then group by group, each at once.  If, while
 * nothing else runs, an object has no more references than the members of its group
 * account for, nothing outside of it refers to the object, whatever happened before:
 * this is the rule of a collection as a whole, with the group as the candidates.
 *
 * What is born meanwhile belongs to the oldest generation at once.  Objects may die
 * between slices though they are in the collector's lists: an object's note says that
 * it has, since that is taken away with it, and a large one's memory waits until the
 * lists are gone through.
 */
#include "gc_slice.h"

#include "alloc.h"
#include "gc_phase.h"

#include <stdlib.h>

/* ns to decide on an object and to free it, before that has been measured. */
enum { COST_AT_FIRST = 300 };

/* ---- the end ---- */

static void drop_list(struct gc_vector *list)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->at[i] != NULL) {
            (void)gc_take_off_hand(list->at[i]);
        }
    }
    gc_vector_free(list);
}

static void drop_lists(struct gc_cycle *cycle)
{
    drop_list(&cycle->run.stack);
    drop_list(&cycle->run.garbage);
    drop_list(&cycle->suspects);
    gc_many_forget(&cycle->run);
    gc_groups_free(&cycle->groups);
}

/* What is old now, and how much of it has not been looked at: what was born meanwhile,
 * less what died. */
static void count_cycle(struct gc_cycle *cycle)
{
    struct gc_collection *run = &cycle->run;
    struct pygc_heap *heap = run->heap;
    int64_t born = heap->since_full;
    int64_t old = (int64_t)cycle->seen + born - (int64_t)cycle->found;
    run->survivors = (uint64_t)(old > 0 ? old : 0);
    gc_count_collection(run);
    if (born > 0) {
        heap->since_full = born;
        heap->seen_by_full -= born < heap->seen_by_full ? born : heap->seen_by_full;
    }
    gc_renew_lists(run);
}

static void finish(struct gc_cycle *cycle)
{
    struct gc_collection *run = &cycle->run;
    struct pygc_heap *heap = run->heap;
    heap->cycle = NULL;
    gc_heap_set_birth(heap, 0);
    gc_heap_set_trigger(heap);
    gc_scratch_finish(heap);
    run->candidates = cycle->candidates;
    if (!run->failed && !cycle->is_abandoned) {
        count_cycle(cycle);
    }
    if (!cycle->is_abandoned) {
        gc_note_collection(run, cycle->found, cycle->uncollectable, cycle->time);
    }
    gc_tell(heap, run->generation, true, cycle->found);
    pym_alloc_free(cycle);
}

/* ---- from phase to phase ---- */

/* Whether what is suspected may be decided on in one slice. */
static bool is_little(const struct gc_cycle *cycle)
{
    enum { FEW = 16 };
    uint64_t most =
        cycle->deadline == 0 ? FEW : cycle->target / 2 / cycle->run.heap->disposal_cost;
    for (size_t i = cycle->suspects.count; i-- > 0;) {
        struct pygc_header *header = cycle->suspects.at[i];
        if (pym_region_owns(header)) {
            break;
        }
        if (gc_is_still_there(cycle, header) && gc_is_huge(header)) {
            return false;
        }
    }
    return cycle->suspects.count <= most;
}

static enum gc_phase after_gathering(struct gc_cycle *cycle)
{
    struct gc_collection *run = &cycle->run;
    cycle->suspects = run->garbage;
    run->garbage = (struct gc_vector){NULL, 0, 0};
    cycle->candidates = run->candidates;
    cycle->seen = run->survivors + cycle->suspects.count;
    run->is_full = false;
    run->swept = UINTPTR_MAX;
    gc_many_forget(run);
    return cycle->suspects.count == 0 ? GC_RESETTING
           : is_little(cycle)         ? GC_DISPOSING
                                      : GC_NOTING;
}

/* Another round if the last was of use. */
static enum gc_phase after_keeping(struct gc_cycle *cycle, size_t before)
{
    enum { ROUNDS = 4 };
    gc_many_forget(&cycle->run);
    if (cycle->suspects.count == 0) {
        return GC_RESETTING;
    }
    if (is_little(cycle)) {
        return GC_DISPOSING;
    }
    bool is_useful = cycle->suspects.count < before - before / 8;
    if (is_useful && ++cycle->rounds < ROUNDS) {
        return GC_NOTING;
    }
    cycle->has_groups = gc_groups_begin(&cycle->groups, cycle->suspects.count);
    cycle->run.failed |= !cycle->has_groups;
    return cycle->has_groups ? GC_ENTERING : GC_RESETTING;
}

static void begin_phase(struct gc_cycle *cycle)
{
    cycle->pool_at = pym_region.first_arena * PYM_ARENA_POOLS;
    cycle->block_at = 0;
    cycle->large_at = cycle->run.heap->large;
    cycle->at = 0;
    cycle->kept = 0;
    if (cycle->phase == GC_RESETTING) {
        drop_lists(cycle);
        cycle->at = pym_region.first_arena;
    }
}

static enum gc_phase next_phase(struct gc_cycle *cycle)
{
    if (cycle->run.failed && cycle->phase < GC_RESETTING) {
        return GC_RESETTING;
    }
    switch (cycle->phase) {
    case GC_GATHERING_LARGE:
        return after_gathering(cycle);
    case GC_KEEPING:
        return after_keeping(cycle, cycle->at);
    default:
        return cycle->phase + 1;
    }
}

/* For what the program has made since the last slice.  False if there is no memory. */
static bool prepare(struct gc_cycle *cycle)
{
    struct gc_collection *run = &cycle->run;
    run->failed |= !gc_scratch_prepare(run->heap) || !gc_prepare_stack(run);
    run->scratch = run->heap->scratch;
    run->stale = run->stack.count;
    return !run->failed;
}

static void enter_phase(struct gc_cycle *cycle, enum gc_phase phase)
{
    cycle->phase = phase;
    cycle->has_begun = false;
}

/* Goes on until the slice is over, or all is done. */
static void do_slice(struct gc_cycle *cycle)
{
    struct pygc_heap *heap = cycle->run.heap;
    uint64_t begin = gc_now();
    heap->collecting = true;
    cycle->has_worked = false;
    if (cycle->phase < GC_RESETTING && !prepare(cycle)) {
        enter_phase(cycle, GC_RESETTING);
    }
    while (cycle->phase != GC_DONE) {
        if (!cycle->has_begun) {
            begin_phase(cycle);
            cycle->has_begun = true;
        }
        bool done = gc_do_phase(cycle);
        if (!done && (!cycle->run.failed || cycle->phase >= GC_RESETTING)) {
            break;
        }
        enter_phase(cycle, next_phase(cycle));
        cycle->has_worked = true;
    }
    heap->collecting = false;
    uint64_t time = gc_now() - begin;
    cycle->time += time;
    gc_note_pause(heap, cycle->run.generation, time);
    if (cycle->phase == GC_DONE) {
        finish(cycle);
    }
}

/* ---- steering ---- */

/* The pace follows from what the last collection cost, and how much the heap may grow
 * until this one is done. */
static void set_pace(struct gc_cycle *cycle)
{
    enum { FEWEST = 16, LEAST_NS = 20000 };
    struct pygc_heap *heap = cycle->run.heap;
    uint64_t threshold = gc_heap_due_at(heap);
    cycle->allowance =
        gc_expected_objects(heap) * GC_SLICED_GROWTH / 16 + 4 * threshold;
    /* Half as much again, since the estimate may be wrong. */
    uint64_t work = gc_expected_time(heap) * 3 / 2;
    uint64_t slice = work * threshold / cycle->allowance;
    uint64_t interval = threshold;
    if (slice > cycle->target / 2) {
        interval = interval * (cycle->target / 2) / slice;
        slice = cycle->target / 2;
    }
    cycle->slice = slice > LEAST_NS ? slice : LEAST_NS;
    cycle->interval = (unsigned)(interval > FEWEST ? interval : FEWEST);
}

/* Falling behind: more slices rather than longer ones. */
static void hurry(struct gc_cycle *cycle)
{
    enum { FEWEST = 16 };
    cycle->slice = cycle->target / 2;
    cycle->interval = FEWEST;
    gc_heap_set_trigger(cycle->run.heap);
}

/* False if there is no memory. */
static bool begin(struct pygc_heap *heap, uint64_t target)
{
    struct gc_cycle *cycle = pym_alloc_calloc(1, sizeof(*cycle));
    if (cycle == NULL) {
        return false;
    }
    if ((heap->debug & PYGC_DEBUG_VERIFY) != 0 && pygc_verify(heap) > 0) {
        abort(); /* it has said why */
    }
    gc_tell(heap, GC_GENERATIONS - 1, false, 0);
    cycle->run = (struct gc_collection){.heap = heap,
                                        .generation = GC_GENERATIONS - 1,
                                        .is_full = true,
                                        .is_sliced = true};
    cycle->phase = GC_COUNTING;
    cycle->pool_end = pym_region_limit() >> PYM_POOL_SHIFT;
    cycle->target = target;
    if (heap->disposal_cost == 0) {
        heap->disposal_cost = COST_AT_FIRST;
    }
    set_pace(cycle);
    heap->cycle = cycle;
    heap->since_full = 0;
    heap->count[0] = 0;
    gc_heap_set_birth(heap, GC_GENERATIONS - 1);
    gc_heap_set_trigger(heap);
    return true;
}

static void set_deadline(struct gc_cycle *cycle, uint64_t ns)
{
    enum { TORTURE = 24 };
    if ((cycle->run.heap->debug & PYGC_DEBUG_TORTURE) != 0) {
        cycle->deadline = 0;
        cycle->fuel = (int64_t)(gc_heap_random(cycle->run.heap) % TORTURE);
    } else {
        uint64_t now = gc_now();
        cycle->deadline = ns < UINT64_MAX - now ? now + ns : UINT64_MAX;
        cycle->fuel = GC_REFUEL;
    }
}

void gc_cycle_go_on(struct pygc_heap *heap)
{
    struct gc_cycle *cycle = heap->cycle;
    bool tortures = (heap->debug & PYGC_DEBUG_TORTURE) != 0;
    if (cycle == NULL) {
        if (!begin(heap, heap->pause_target)) {
            heap->count[0] = 0; /* not again at the next allocation */
            return;
        }
        cycle = heap->cycle;
    } else if (heap->count[0] < cycle->interval && !tortures) {
        return;
    }
    cycle->allocated += heap->count[0];
    heap->since_full += heap->count[0];
    heap->count[0] = 0;
    if (cycle->allocated > cycle->allowance) {
        heap->overdue++;
        cycle->deadline = UINT64_MAX;
    } else {
        if (cycle->allocated > cycle->allowance / 4 * 3) {
            hurry(cycle);
        }
        set_deadline(cycle, cycle->slice);
    }
    do_slice(cycle);
}

int gc_cycle_step(struct pygc_heap *heap, uint64_t budget_ns)
{
    if (heap->cycle == NULL) {
        bool is_new = heap->count[0] > 0 || heap->aged > 0 || heap->since_full > 0;
        if (!is_new || !begin(heap, budget_ns)) {
            return 0;
        }
    }
    set_deadline(heap->cycle, budget_ns);
    do_slice(heap->cycle);
    return heap->cycle != NULL;
}

void gc_cycle_abandon(struct pygc_heap *heap)
{
    struct gc_cycle *cycle = heap->cycle;
    cycle->is_abandoned = true;
    if (cycle->phase < GC_RESETTING) {
        enter_phase(cycle, GC_RESETTING);
    }
    cycle->deadline = UINT64_MAX;
    do_slice(cycle);
}

unsigned gc_cycle_interval(const struct pygc_heap *heap)
{
    return heap->cycle->interval;
}
