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
#include "gc_dispose.h"
#include "gc_group.h"
#include "gc_pace.h"

#include <stdlib.h>

enum phase {
    COUNTING,
    COUNTING_LARGE,
    SWEEPING,
    SWEEPING_LARGE,
    GATHERING,
    GATHERING_LARGE,
    /* The same among the suspects. */
    NOTING,
    RECOUNTING,
    REMARKING,
    KEEPING,
    ENTERING, /* into groups */
    JOINING,
    DISPOSING,
    RESETTING,
    RESETTING_LARGE,
    DONE
};

struct gc_cycle {
    struct gc_collection run;
    enum phase phase;
    bool has_begun; /* the phase */

    /* Where the phase goes on. */
    size_t pool_at;
    size_t pool_end;
    uintptr_t block_at; /* in that pool: blocks before it are done */
    struct gc_large *large_at;
    size_t at; /* in the suspects, or the arenas to reset */
    size_t kept;
    struct gc_large *partial; /* whose references are being looked at */
    size_t slot_at;

    struct gc_vector suspects;
    struct gc_groups groups;
    bool has_groups;
    unsigned rounds;

    /* The slice that is being done: until the clock says so, which is looked at when
     * the fuel has been used up. */
    uint64_t deadline; /* ns; 0: until the fuel has been used up */
    int64_t fuel;      /* objects */
    bool has_worked;   /* done with a phase, or a batch */

    /* Pace. */
    uint64_t target;    /* ns: the longest slice */
    uint64_t slice;     /* ns: the usual one */
    unsigned interval;  /* allocations between two */
    uint64_t allowance; /* allocations until it is to be done */
    uint64_t allocated;

    /* Result. */
    uint64_t found;
    uint64_t uncollectable;
    uint64_t candidates;
    uint64_t seen; /* and not dead by then */
    uint64_t time; /* ns */
    bool is_abandoned;
};

/* ---- the budget ---- */

enum { REFUEL = 64 };
/* ns to decide on an object and to free it, before that has been measured. */
enum { COST_AT_FIRST = 300 };

static PYM_NOINLINE bool refuel(struct gc_cycle *cycle)
{
    if (cycle->deadline == 0 || gc_now() >= cycle->deadline) {
        return false;
    }
    cycle->fuel = REFUEL;
    return true;
}

/* Whether the slice is over; takes fuel for so much work. */
PYM_INLINE bool is_over(struct gc_cycle *cycle, int64_t work)
{
    cycle->fuel -= work;
    return PYM_UNLIKELY(cycle->fuel < 0) && !refuel(cycle);
}

/* ---- walks that can be left and resumed ---- */

/* Done with an object: whether the walk may go on. */
typedef bool object_fn(struct gc_cycle *cycle, struct pygc_header *header);

/* The pool may have been used for another class since the last slice. */
static char *first_block(const struct gc_cycle *cycle, const struct pym_pool *pool,
                         size_t size)
{
    uintptr_t start = (uintptr_t)pym_pool_block(pool, 0);
    size_t done = cycle->block_at > start ? cycle->block_at - start : 0;
    return pym_pool_block(pool, 0) + (done + size - 1) / size * size;
}

PYM_INLINE bool walk_pool(struct gc_cycle *cycle, const struct pym_pool *pool,
                          object_fn *fn)
{
    size_t size = pym_class_size(pool->cls);
    char *block = first_block(cycle, pool, size);
    char *end = pym_pool_block(pool, 0) + pool->carved * size;
    for (; block < end; block += size) {
        struct pygc_header *header = (void *)block;
        if (gc_is_candidate(&cycle->run, header) && !fn(cycle, header)) {
            cycle->block_at = (uintptr_t)block + size;
            return false;
        }
    }
    cycle->block_at = 0;
    return true;
}

static void begin_pools(struct gc_cycle *cycle)
{
    cycle->pool_at = pym_region.first_arena * PYM_ARENA_POOLS;
    cycle->block_at = 0;
}

static const struct pym_pool *pool_at(const struct gc_cycle *cycle)
{
    const struct pym_pool *pool = pym_region_pool_at(cycle->pool_at << PYM_POOL_SHIFT);
    return gc_heap_has_pool(cycle->run.heap, pool) ? pool : NULL;
}

PYM_INLINE bool walk_pools(struct gc_cycle *cycle, object_fn *fn)
{
    for (; cycle->pool_at < cycle->pool_end; cycle->pool_at++) {
        const struct pym_pool *pool = pool_at(cycle);
        if (pool != NULL && !walk_pool(cycle, pool, fn)) {
            return false;
        }
        cycle->block_at = 0;
        if (is_over(cycle, 1)) {
            cycle->pool_at++;
            return false;
        }
    }
    return true;
}

static bool walk_large(struct gc_cycle *cycle, object_fn *fn)
{
    while (cycle->large_at != NULL) {
        struct gc_large *large = cycle->large_at;
        cycle->large_at = large->next;
        if (gc_is_candidate(&cycle->run, &large->header) &&
            !fn(cycle, &large->header)) {
            return false;
        }
    }
    return true;
}

/* Whether an entry of a list of suspects is what it was.  The caller may have it no
 * longer in hand after this. */
static bool is_still_there(const struct gc_cycle *cycle,
                           const struct pygc_header *header)
{
    if (!pym_region_owns(header)) {
        return (header->bits & GC_LIVE) != 0;
    }
    return gc_heap_has_pool(cycle->run.heap, pym_region_pool_of(header)) &&
           *gc_note_at(&cycle->run, header) != GC_NO_CANDIDATE;
}

static bool walk_suspects(struct gc_cycle *cycle, object_fn *fn)
{
    while (cycle->at < cycle->suspects.count) {
        struct pygc_header *header = cycle->suspects.at[cycle->at++];
        if (is_still_there(cycle, header) && !fn(cycle, header)) {
            return false;
        }
    }
    return true;
}

/* ---- objects with very many references ---- */

enum { PART = 256 };

/* Does something with the next part of an object's references. */
static void do_part(struct gc_cycle *cycle, gc_slot_fn *fn)
{
    struct pygc_header *header = &cycle->partial->header;
    cycle->slot_at = gc_each_slot_from(gc_type_of(header), gc_object_of(header),
                                       cycle->slot_at, PART, fn, &cycle->run);
    if (cycle->slot_at == 0) {
        cycle->partial = NULL;
    }
}

static bool do_parts(struct gc_cycle *cycle, gc_slot_fn *fn)
{
    while (cycle->partial != NULL) {
        do_part(cycle, fn);
        if (is_over(cycle, PART / 4)) {
            return false;
        }
    }
    return true;
}

void gc_cycle_forget_large(struct pygc_heap *heap, const struct gc_large *large)
{
    struct gc_cycle *cycle = heap->cycle;
    if (cycle->large_at == large) {
        cycle->large_at = large->next;
    }
    if (cycle->partial == large) {
        cycle->partial = NULL;
    }
}

/* ---- phases: each returns whether it is done ---- */

static bool count_one(struct gc_cycle *cycle, struct pygc_header *header)
{
    gc_count_from(header, &cycle->run);
    return !is_over(cycle, 1);
}

static bool count_small(struct gc_cycle *cycle)
{
    return walk_pools(cycle, count_one);
}

static bool count_one_large(struct gc_cycle *cycle, struct pygc_header *header)
{
    if (!gc_is_huge(header)) {
        return count_one(cycle, header);
    }
    cycle->run.candidates++;
    cycle->partial = gc_large_of(header);
    cycle->slot_at = 0;
    return do_parts(cycle, gc_count_reference);
}

static bool count_large(struct gc_cycle *cycle)
{
    return do_parts(cycle, gc_count_reference) && walk_large(cycle, count_one_large);
}

/* Follows what is on the stack.  Large objects are taken off it here, if they have to
 * be followed in parts. */
static bool follow(struct gc_cycle *cycle)
{
    enum { AT_ONCE = 32 };
    struct gc_collection *run = &cycle->run;
    for (;;) {
        if (!do_parts(cycle, gc_mark_slot_of_part)) {
            return false;
        }
        if (run->stack.count == 0) {
            return true;
        }
        gc_follow(run, AT_ONCE);
        if (run->huge != NULL) {
            cycle->partial = gc_large_of(run->huge);
            cycle->slot_at = 0;
            run->huge = NULL;
        }
        if (is_over(cycle, AT_ONCE)) {
            return false;
        }
    }
}

static bool sweep_one(struct gc_cycle *cycle, struct pygc_header *header)
{
    struct gc_marking at_hand = gc_take_at_hand(&cycle->run);
    gc_sweep(header, &at_hand);
    gc_put_back(&at_hand);
    return (!gc_has_to_follow(&at_hand) || follow(cycle)) && !is_over(cycle, 1);
}

static bool sweep_small(struct gc_cycle *cycle)
{
    return follow(cycle) && walk_pools(cycle, sweep_one);
}

/* Roots that the sweep has not come by are followed by way of the stack. */
static bool push_root(struct gc_cycle *cycle, struct pygc_header *header)
{
    struct gc_collection *run = &cycle->run;
    if (!gc_is_reachable(run, header) && gc_is_root(run, header)) {
        *gc_note_at(run, header) = GC_REACHABLE;
        gc_take_in_hand(run, &run->stack, header);
    }
    return follow(cycle) && !is_over(cycle, 1);
}

static bool sweep_large(struct gc_cycle *cycle)
{
    cycle->run.swept = UINTPTR_MAX;
    return follow(cycle) && walk_large(cycle, push_root);
}

static bool gather_small(struct gc_cycle *cycle)
{
    enum { WORK = 8 }; /* as much as so many objects */
    for (; cycle->pool_at < cycle->pool_end; cycle->pool_at++) {
        const struct pym_pool *pool = pool_at(cycle);
        size_t before = cycle->run.garbage.count;
        if (pool != NULL) {
            gc_gather_pool(&cycle->run, pool);
        }
        if (is_over(cycle, WORK + (int64_t)(cycle->run.garbage.count - before))) {
            cycle->pool_at++;
            return false;
        }
    }
    return true;
}

static bool gather_one(struct gc_cycle *cycle, struct pygc_header *header)
{
    gc_gather(header, &cycle->run);
    return !is_over(cycle, 1);
}

static bool gather_large(struct gc_cycle *cycle)
{
    return walk_large(cycle, gather_one);
}

static bool note_one(struct gc_cycle *cycle, struct pygc_header *header)
{
    *gc_note_at(&cycle->run, header) = 1;
    return !is_over(cycle, 1);
}

static bool note_suspects(struct gc_cycle *cycle)
{
    return walk_suspects(cycle, note_one);
}

static bool recount_one(struct gc_cycle *cycle, struct pygc_header *header)
{
    if (gc_is_candidate(&cycle->run, header)) {
        gc_count_from(header, &cycle->run);
    }
    return !is_over(cycle, 1);
}

static bool recount_suspects(struct gc_cycle *cycle)
{
    return walk_suspects(cycle, recount_one);
}

static bool remark_suspects(struct gc_cycle *cycle)
{
    return follow(cycle) && walk_suspects(cycle, push_root);
}

/* Those that have been cleared leave the list. */
static bool keep_suspects(struct gc_cycle *cycle)
{
    while (cycle->at < cycle->suspects.count) {
        struct pygc_header *header = cycle->suspects.at[cycle->at++];
        uint8_t *note = gc_note_at(&cycle->run, header);
        bool is_there = is_still_there(cycle, header);
        if (is_there && gc_is_count(*note)) {
            *note = GC_SUSPECT;
            cycle->suspects.at[cycle->kept++] = header;
        } else {
            (void)gc_take_off_hand(header);
        }
        if (is_over(cycle, 1)) {
            return false;
        }
    }
    cycle->suspects.count = cycle->kept;
    return true;
}

static bool enter_suspects(struct gc_cycle *cycle)
{
    while (cycle->at < cycle->suspects.count) {
        gc_groups_enter(&cycle->groups, &cycle->suspects, cycle->at++);
        if (is_over(cycle, 1)) {
            return false;
        }
    }
    return true;
}

static bool join_suspects(struct gc_cycle *cycle)
{
    while (cycle->at < cycle->suspects.count) {
        size_t index = cycle->at++;
        if (is_still_there(cycle, cycle->suspects.at[index])) {
            gc_groups_join(&cycle->groups, &cycle->run, &cycle->suspects, index);
        }
        if (is_over(cycle, 1)) {
            return false;
        }
    }
    return true;
}

/* ---- deciding ---- */

/* Moves a suspect to those that are decided on now. */
static void enter_batch(struct gc_cycle *cycle, size_t index)
{
    struct gc_collection *run = &cycle->run;
    struct pygc_header *header = cycle->suspects.at[index];
    cycle->suspects.at[index] = NULL;
    if (gc_take_off_hand(header) && is_still_there(cycle, header) &&
        gc_is_candidate(run, header)) {
        run->failed |= !gc_vector_push(&run->garbage, header);
    }
}

static void enter_group(struct gc_cycle *cycle, size_t index)
{
    uint32_t i = (uint32_t)index;
    do {
        enter_batch(cycle, i);
        i = cycle->groups.next[i];
    } while (i != index);
}

/* How much may be decided on in what is left of the slice, half of which is for the
 * case that it takes longer. */
static uint64_t batch_weight(const struct gc_cycle *cycle)
{
    enum { AT_LEAST = 16 };
    if (cycle->deadline == 0) {
        return AT_LEAST;
    }
    uint64_t now = gc_now();
    uint64_t left = cycle->deadline > now ? cycle->deadline - now : 0;
    uint64_t weight = left / 2 / cycle->run.heap->disposal_cost;
    return weight > AT_LEAST || cycle->has_worked ? weight : AT_LEAST;
}

static void note_if_oversized(struct gc_cycle *cycle, uint64_t weight)
{
    cycle->run.heap->oversized +=
        cycle->deadline != 0 && weight * cycle->run.heap->disposal_cost > cycle->target;
}

/* Fills the batch with whole groups.  False if none fits any more.  A group too large
 * for any slice has one to itself. */
static bool fill_batch(struct gc_cycle *cycle, uint64_t most, uint64_t *weight)
{
    struct gc_vector *suspects = &cycle->suspects;
    *weight = 0;
    for (; cycle->at < suspects->count && !cycle->run.failed; cycle->at++) {
        if (suspects->at[cycle->at] == NULL) {
            continue;
        }
        uint64_t more = cycle->has_groups ? gc_groups_weight(&cycle->groups, cycle->at)
                                          : suspects->count;
        if (*weight + more > most && (*weight > 0 || cycle->has_worked)) {
            return *weight > 0;
        }
        note_if_oversized(cycle, more);
        *weight += more;
        if (cycle->has_groups) {
            enter_group(cycle, cycle->at);
        } else {
            while (cycle->at < suspects->count) {
                enter_batch(cycle, cycle->at++);
            }
        }
    }
    return *weight > 0;
}

/* Of the objects in the batch; nothing else runs meanwhile, but what they have asked
 * for. */
static void decide(struct gc_cycle *cycle)
{
    struct gc_collection *run = &cycle->run;
    run->failed |= !gc_scratch_prepare(run->heap);
    run->scratch = run->heap->scratch;
    run->is_sliced = false;
    gc_keep_garbage(run);
    if (!run->failed) {
        run->kinds = 0;
        for (size_t i = 0; i < run->garbage.count; i++) {
            run->kinds |= gc_kinds_of(run->garbage.at[i]);
        }
        cycle->uncollectable += gc_dispose(run);
        cycle->found += run->garbage.count;
    }
    run->is_sliced = true;
    run->garbage.count = 0;
}

/* A cost that has grown is believed at once. */
static void learn_disposal_cost(struct gc_cycle *cycle, uint64_t measured)
{
    uint64_t before = cycle->run.heap->disposal_cost;
    cycle->run.heap->disposal_cost =
        measured > before ? measured : (7 * before + measured) / 8;
}

static bool dispose(struct gc_cycle *cycle)
{
    uint64_t weight;
    while (cycle->at < cycle->suspects.count) {
        if (!fill_batch(cycle, batch_weight(cycle), &weight)) {
            return cycle->at == cycle->suspects.count;
        }
        uint64_t begin = gc_now();
        decide(cycle);
        cycle->has_worked = true;
        if (cycle->run.failed) {
            return true;
        }
        learn_disposal_cost(cycle, (gc_now() - begin) / weight + 1);
    }
    return true;
}

/* ---- the end ---- */

static bool reset_arenas(struct gc_cycle *cycle)
{
    enum { AT_ONCE = 4 };
    for (;;) {
        cycle->at = gc_scratch_reset_arenas(cycle->run.heap, cycle->at, AT_ONCE);
        if (cycle->at == 0) {
            return true;
        }
        if (is_over(cycle, REFUEL)) {
            return false;
        }
    }
}

static bool reset_large(struct gc_cycle *cycle)
{
    while (cycle->large_at != NULL) {
        cycle->large_at->note = GC_NO_CANDIDATE;
        cycle->large_at = cycle->large_at->next;
        if (is_over(cycle, 1)) {
            return false;
        }
    }
    return true;
}

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
        if (is_still_there(cycle, header) && gc_is_huge(header)) {
            return false;
        }
    }
    return cycle->suspects.count <= most;
}

static enum phase after_gathering(struct gc_cycle *cycle)
{
    struct gc_collection *run = &cycle->run;
    cycle->suspects = run->garbage;
    run->garbage = (struct gc_vector){NULL, 0, 0};
    cycle->candidates = run->candidates;
    cycle->seen = run->survivors + cycle->suspects.count;
    run->is_full = false;
    gc_many_forget(run);
    return cycle->suspects.count == 0 ? RESETTING
           : is_little(cycle)         ? DISPOSING
                                      : NOTING;
}

/* Another round if the last was of use. */
static enum phase after_keeping(struct gc_cycle *cycle, size_t before)
{
    enum { ROUNDS = 4 };
    gc_many_forget(&cycle->run);
    if (cycle->suspects.count == 0) {
        return RESETTING;
    }
    if (is_little(cycle)) {
        return DISPOSING;
    }
    bool is_useful = cycle->suspects.count < before - before / 8;
    if (is_useful && ++cycle->rounds < ROUNDS) {
        return NOTING;
    }
    cycle->has_groups = gc_groups_begin(&cycle->groups, cycle->suspects.count);
    cycle->run.failed |= !cycle->has_groups;
    return ENTERING;
}

static void begin_phase(struct gc_cycle *cycle)
{
    begin_pools(cycle);
    cycle->large_at = cycle->run.heap->large;
    cycle->at = 0;
    cycle->kept = 0;
    if (cycle->phase == RESETTING) {
        drop_lists(cycle);
        cycle->at = pym_region.first_arena;
    }
}

/* Whether it is done. */
static bool do_phase(struct gc_cycle *cycle)
{
    static bool (*const phases[])(struct gc_cycle *) = {
        [COUNTING] = count_small,        [COUNTING_LARGE] = count_large,
        [SWEEPING] = sweep_small,        [SWEEPING_LARGE] = sweep_large,
        [GATHERING] = gather_small,      [GATHERING_LARGE] = gather_large,
        [NOTING] = note_suspects,        [RECOUNTING] = recount_suspects,
        [REMARKING] = remark_suspects,   [KEEPING] = keep_suspects,
        [ENTERING] = enter_suspects,     [JOINING] = join_suspects,
        [DISPOSING] = dispose,           [RESETTING] = reset_arenas,
        [RESETTING_LARGE] = reset_large,
    };
    return phases[cycle->phase](cycle);
}

static enum phase next_phase(struct gc_cycle *cycle)
{
    if (cycle->run.failed && cycle->phase < RESETTING) {
        return RESETTING;
    }
    switch (cycle->phase) {
    case GATHERING_LARGE:
        return after_gathering(cycle);
    case KEEPING:
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

static void enter_phase(struct gc_cycle *cycle, enum phase phase)
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
    if (cycle->phase < RESETTING && !prepare(cycle)) {
        enter_phase(cycle, RESETTING);
    }
    while (cycle->phase != DONE) {
        if (!cycle->has_begun) {
            begin_phase(cycle);
            cycle->has_begun = true;
        }
        bool done = do_phase(cycle);
        if (!done && (!cycle->run.failed || cycle->phase >= RESETTING)) {
            break;
        }
        enter_phase(cycle, next_phase(cycle));
        cycle->has_worked = true;
    }
    heap->collecting = false;
    uint64_t time = gc_now() - begin;
    cycle->time += time;
    gc_note_pause(heap, cycle->run.generation, time);
    if (cycle->phase == DONE) {
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
    uint64_t threshold = heap->threshold[0] + 1;
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
    cycle->phase = COUNTING;
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
        cycle->deadline = gc_now() + ns;
        cycle->fuel = REFUEL;
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
    if (cycle->phase < RESETTING) {
        enter_phase(cycle, RESETTING);
    }
    cycle->deadline = UINT64_MAX;
    do_slice(cycle);
}

unsigned gc_cycle_interval(const struct pygc_heap *heap)
{
    return heap->cycle->interval;
}
