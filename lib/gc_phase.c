#include "gc_phase.h"

#include "gc_slice.h"

bool gc_refuel(struct gc_cycle *cycle)
{
    if (cycle->deadline == 0 || gc_now() >= cycle->deadline) {
        return false;
    }
    cycle->fuel = GC_REFUEL;
    return true;
}

/* ---- walks that can be left and resumed ---- */

/* Done with an object: whether the walk may go on. */
typedef bool gc_phase_fn(struct gc_cycle *cycle, struct pygc_header *header);

/* The pool may have been used for another class since the last slice. */
static char *first_block(const struct gc_cycle *cycle, const struct pym_pool *pool,
                         size_t size)
{
    uintptr_t start = (uintptr_t)pym_pool_block(pool, 0);
    size_t done = cycle->block_at > start ? cycle->block_at - start : 0;
    return pym_pool_block(pool, 0) + (done + size - 1) / size * size;
}

PYM_INLINE bool walk_pool(struct gc_cycle *cycle, const struct pym_pool *pool,
                          gc_phase_fn *fn)
{
    size_t size = pym_class_size(pool->cls);
    char *block = first_block(cycle, pool, size);
    char *end = pym_pool_block(pool, 0) + pool->carved * size;
    for (; block < end; block += size) {
        struct pygc_header *header = gc_candidate_in(&cycle->run, block);
        if (header != NULL && !fn(cycle, header)) {
            cycle->block_at = (uintptr_t)block + size;
            return false;
        }
    }
    cycle->block_at = 0;
    return true;
}

static const struct pym_pool *pool_at(const struct gc_cycle *cycle)
{
    const struct pym_pool *pool = pym_region_pool_at(cycle->pool_at << PYM_POOL_SHIFT);
    return gc_heap_has_pool(cycle->run.heap, pool) ? pool : NULL;
}

PYM_INLINE bool walk_pools(struct gc_cycle *cycle, gc_phase_fn *fn)
{
    for (; cycle->pool_at < cycle->pool_end; cycle->pool_at++) {
        const struct pym_pool *pool = pool_at(cycle);
        if (pool != NULL && !walk_pool(cycle, pool, fn)) {
            return false;
        }
        cycle->block_at = 0;
        if (gc_is_over(cycle, 1)) {
            cycle->pool_at++;
            return false;
        }
    }
    return true;
}

static bool walk_large(struct gc_cycle *cycle, gc_phase_fn *fn)
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

static bool walk_suspects(struct gc_cycle *cycle, gc_phase_fn *fn)
{
    while (cycle->at < cycle->suspects.count) {
        struct pygc_header *header = cycle->suspects.at[cycle->at++];
        if (gc_is_still_there(cycle, header) && !fn(cycle, header)) {
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
        if (gc_is_over(cycle, PART / 4)) {
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
    return !gc_is_over(cycle, 1);
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
        if (gc_is_over(cycle, AT_ONCE)) {
            return false;
        }
    }
}

static bool sweep_one(struct gc_cycle *cycle, struct pygc_header *header)
{
    struct gc_marking at_hand = gc_take_at_hand(&cycle->run);
    gc_sweep(header, &at_hand);
    gc_put_back(&at_hand);
    return (!gc_has_to_follow(&at_hand) || follow(cycle)) && !gc_is_over(cycle, 1);
}

static bool sweep_small(struct gc_cycle *cycle)
{
    return follow(cycle) && walk_pools(cycle, sweep_one) && follow(cycle);
}

/* Of what is not swept, roots are followed by way of the stack. */
static bool push_root(struct gc_cycle *cycle, struct pygc_header *header)
{
    struct gc_collection *run = &cycle->run;
    if (!gc_is_reachable(run, header) && gc_is_root(run, header)) {
        *gc_note_at(run, header) = GC_REACHABLE;
        gc_take_in_hand(run, &run->stack, header);
    }
    return follow(cycle) && !gc_is_over(cycle, 1);
}

static bool sweep_large(struct gc_cycle *cycle)
{
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
        if (gc_is_over(cycle, WORK + (int64_t)(cycle->run.garbage.count - before))) {
            cycle->pool_at++;
            return false;
        }
    }
    return true;
}

static bool gather_one(struct gc_cycle *cycle, struct pygc_header *header)
{
    gc_gather(header, &cycle->run);
    return !gc_is_over(cycle, 1);
}

static bool gather_large(struct gc_cycle *cycle)
{
    return walk_large(cycle, gather_one);
}

static bool note_one(struct gc_cycle *cycle, struct pygc_header *header)
{
    *gc_note_at(&cycle->run, header) = 1;
    return !gc_is_over(cycle, 1);
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
    return !gc_is_over(cycle, 1);
}

static bool recount_suspects(struct gc_cycle *cycle)
{
    return walk_suspects(cycle, recount_one);
}

static bool remark_suspects(struct gc_cycle *cycle)
{
    return follow(cycle) && walk_suspects(cycle, push_root);
}

/* Those that have been cleared leave the list, which may be dropped half done. */
static bool keep_suspects(struct gc_cycle *cycle)
{
    while (cycle->at < cycle->suspects.count) {
        struct pygc_header *header = cycle->suspects.at[cycle->at];
        cycle->suspects.at[cycle->at++] = NULL;
        uint8_t *note = gc_note_at(&cycle->run, header);
        bool is_there = gc_is_still_there(cycle, header);
        if (is_there && gc_is_count(*note)) {
            *note = GC_SUSPECT;
            cycle->suspects.at[cycle->kept++] = header;
        } else {
            (void)gc_take_off_hand(header);
        }
        if (gc_is_over(cycle, 1)) {
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
        if (gc_is_over(cycle, 1)) {
            return false;
        }
    }
    return true;
}

static bool join_suspects(struct gc_cycle *cycle)
{
    while (cycle->at < cycle->suspects.count) {
        size_t index = cycle->at++;
        struct pygc_header *header = cycle->suspects.at[index];
        /* One that waits to be released has neither type nor count. */
        if (gc_is_still_there(cycle, header) && gc_is_candidate(&cycle->run, header)) {
            gc_groups_join(&cycle->groups, &cycle->run, &cycle->suspects, index);
        }
        if (gc_is_over(cycle, 1)) {
            return false;
        }
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
        if (gc_is_over(cycle, GC_REFUEL)) {
            return false;
        }
    }
}

static bool reset_large(struct gc_cycle *cycle)
{
    while (cycle->large_at != NULL) {
        cycle->large_at->note = GC_NO_CANDIDATE;
        cycle->large_at = cycle->large_at->next;
        if (gc_is_over(cycle, 1)) {
            return false;
        }
    }
    return true;
}

bool gc_do_phase(struct gc_cycle *cycle)
{
    static bool (*const phases[])(struct gc_cycle *) = {
        [GC_COUNTING] = count_small,
        [GC_COUNTING_LARGE] = count_large,
        [GC_SWEEPING] = sweep_small,
        [GC_SWEEPING_LARGE] = sweep_large,
        [GC_GATHERING] = gather_small,
        [GC_GATHERING_LARGE] = gather_large,
        [GC_NOTING] = note_suspects,
        [GC_RECOUNTING] = recount_suspects,
        [GC_REMARKING] = remark_suspects,
        [GC_KEEPING] = keep_suspects,
        [GC_ENTERING] = enter_suspects,
        [GC_JOINING] = join_suspects,
        [GC_DISPOSING] = gc_decide_on_suspects,
        [GC_RESETTING] = reset_arenas,
        [GC_RESETTING_LARGE] = reset_large,
    };
    return phases[cycle->phase](cycle);
}
