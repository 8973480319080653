/*
 * The collector.
 *
 * Candidates are the tracked objects of the generation that is collected and of the
 * younger ones.  Of each the references are counted that do not come from
 * candidates: its count, less one for every reference found in a candidate.  Those
 * that have some left are alive, and so is what can be reached from them; the rest
 * is garbage, whatever the counts are.  This is CPython's rule.  How it is followed
 * is not: the notes lie in a table beside the objects (gc_scratch.h), so no object
 * is written to while the garbage is found; objects are visited in the order of
 * their addresses where the order does not matter, and where it does, reading ahead.
 *
 * Until something is known to be garbage nothing has been changed, so a collection
 * that runs out of memory gives up and can be repeated.
 *
 * This file has collections as a whole, and decides between them and slices
 * (gc_slice.c).
 */
#include "gc_check.h"
#include "gc_dispose.h"
#include "gc_pace.h"
#include "gc_slice.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Memory for so many entries stays with the heap from one collection to the next. */
enum { ENTRIES_KEPT = 16384 };

/* ---- candidates ---- */

PYM_INLINE void each_in_pool(struct gc_collection *run, const struct pym_pool *pool,
                             gc_header_fn *fn, void *arg)
{
    size_t size = pym_class_size(pool->cls);
    char *block = pym_pool_block(pool, 0);
    char *end = block + pool->carved * size;
    for (; block < end; block += size) {
        struct pygc_header *header = gc_candidate_in(run, block);
        if (header != NULL) {
            fn(header, arg);
        }
    }
}

typedef void candidate_fn(struct pygc_header *header, struct gc_collection *run);

/* The list of large objects begins with the youngest. */
static PYM_NOINLINE void each_large(struct gc_collection *run, candidate_fn *fn)
{
    for (struct gc_large *large = run->heap->large; large != NULL;
         large = large->next) {
        struct pygc_header *header = &large->header;
        if ((header->bits & (GC_PENDING | GC_TRACKED)) != GC_TRACKED) {
            continue;
        }
        if (gc_is_candidate(run, header)) {
            fn(header, run);
        } else if (gc_generation_of(header) < GC_FROZEN) {
            break;
        }
    }
}

typedef void pool_fn(struct gc_collection *run, const struct pym_pool *pool);

static void each_listed_pool(struct gc_collection *run, pool_fn *fn)
{
    for (size_t i = 0; i < run->pools.count; i++) {
        fn(run, run->pools.at[i]);
    }
}

static void each_pool(struct gc_collection *run, pool_fn *fn)
{
    size_t end = pym_region_limit() >> PYM_POOL_SHIFT;
    for (size_t i = pym_region.first_arena * PYM_ARENA_POOLS; i < end; i++) {
        struct pym_pool *pool = pym_region_pool_at(i << PYM_POOL_SHIFT);
        if (gc_heap_has_pool(run->heap, pool)) {
            fn(run, pool);
        }
    }
}

static int by_address(const void *a, const void *b)
{
    uintptr_t left = *(const uintptr_t *)a, right = *(const uintptr_t *)b;
    return (left > right) - (left < right);
}

/* Puts the pools of the lists into one, in order, without the ones that were given
 * back since they were listed; these may be there again. */
static bool choose_pools(struct gc_collection *run)
{
    enum { SEEN = 1 << 7 };
    bool enough = true;
    for (unsigned g = 0; g <= run->generation && g < GC_GENERATIONS - 1; g++) {
        struct gc_vector *list = &run->heap->pools[g];
        for (size_t i = 0; i < list->count && enough; i++) {
            struct pym_pool *pool = list->at[i];
            if (gc_heap_has_pool(run->heap, pool) && (pool->listed & SEEN) == 0) {
                enough = gc_vector_push(&run->pools, pool);
                pool->listed |= enough ? SEEN : 0;
            }
        }
    }
    for (size_t i = 0; i < run->pools.count; i++) {
        struct pym_pool *pool = run->pools.at[i];
        pool->listed &= (uint8_t)~SEEN;
    }
    if (run->pools.count > 1) {
        qsort(run->pools.at, run->pools.count, sizeof(void *), by_address);
    }
    return enough;
}

static void reset_notes(struct gc_collection *run)
{
    if (run->generation == GC_GENERATIONS - 1) {
        (void)gc_scratch_reset_arenas(run->heap, pym_region.first_arena, SIZE_MAX);
    }
    for (size_t i = 0; i < run->pools.count; i++) {
        gc_scratch_reset_pool(run->heap, run->pools.at[i]);
    }
    for (struct gc_large *large = run->heap->large; large != NULL;
         large = large->next) {
        large->note = GC_NO_CANDIDATE;
    }
}

/* ---- finding garbage ---- */

PYM_INLINE void sweep(struct pygc_header *header, void *arg)
{
    struct gc_marking *at_hand = arg;
    gc_sweep(header, at_hand);
    if (gc_has_to_follow(at_hand)) {
        struct gc_collection *run = at_hand->run;
        gc_put_back(at_hand);
        gc_follow(run, SIZE_MAX);
        *at_hand = gc_take_at_hand(run);
    }
}

/* ---- of a young generation ----
 *
 * Its objects may be few among the others of their pools.  These are walked once; then
 * the candidates are in a list, in the order of addresses, large ones at its end.  What
 * is left of that is the list of garbage. */

PYM_INLINE void list_candidate(struct pygc_header *header, void *arg)
{
    struct gc_collection *run = arg;
    gc_note_candidate(header, run);
    run->failed |= !gc_vector_push(&run->garbage, header);
}

static void list_candidates_in(struct gc_collection *run, const struct pym_pool *pool)
{
    each_in_pool(run, pool, list_candidate, run);
}

static void list_large_candidate(struct pygc_header *header, struct gc_collection *run)
{
    list_candidate(header, run);
}

static void sweep_list(struct gc_collection *run, size_t small)
{
    for (size_t i = small; i < run->garbage.count; i++) {
        gc_mark_root(run->garbage.at[i], run);
    }
    struct gc_marking at_hand = gc_take_at_hand(run);
    for (size_t i = 0; i < small; i++) {
        sweep(run->garbage.at[i], &at_hand);
    }
    gc_put_back(&at_hand);
    run->swept = UINTPTR_MAX;
    gc_follow(run, SIZE_MAX);
}

static void keep_garbage_in_list(struct gc_collection *run)
{
    size_t count = run->garbage.count;
    run->garbage.count = 0;
    for (size_t i = 0; i < count && run->survivors != run->candidates; i++) {
        gc_gather(run->garbage.at[i], run);
    }
}

/* Survivors of generation 0 are in generation 1. */
static void list_survivors(struct gc_collection *run)
{
    for (size_t i = 0; i < run->pools.count && run->generation == 0; i++) {
        gc_heap_list_pool(run->heap, run->pools.at[i], 1);
    }
}

static void find_young_garbage(struct gc_collection *run)
{
    each_listed_pool(run, list_candidates_in);
    size_t small = run->garbage.count;
    each_large(run, list_large_candidate);
    for (size_t i = 0; i < run->garbage.count && !run->failed; i++) {
        gc_count_from(run->garbage.at[i], run);
    }
    if (!run->failed) {
        list_survivors(run);
        sweep_list(run, small);
        keep_garbage_in_list(run);
    }
}

/* ---- of all generations ---- */

PYM_INLINE void count(struct pygc_header *header, void *arg)
{
    gc_count_from(header, arg);
}

static void count_pool(struct gc_collection *run, const struct pym_pool *pool)
{
    each_in_pool(run, pool, count, run);
}

/* In the order of addresses, so that what the others refer to further on need not be
 * remembered. */
static void sweep_pool(struct gc_collection *run, const struct pym_pool *pool)
{
    struct gc_marking at_hand = gc_take_at_hand(run);
    each_in_pool(run, pool, sweep, &at_hand);
    gc_put_back(&at_hand);
}

static void find_all_garbage(struct gc_collection *run)
{
    each_pool(run, count_pool);
    each_large(run, gc_count_from);
    if (run->failed) {
        return;
    }
    each_large(run, gc_mark_root);
    each_pool(run, sweep_pool);
    run->swept = UINTPTR_MAX;
    gc_follow(run, SIZE_MAX);
    if (run->survivors != run->candidates) {
        each_pool(run, gc_gather_pool);
        each_large(run, gc_gather);
    }
}

static void find_garbage(struct gc_collection *run)
{
    if (run->is_full) {
        find_all_garbage(run);
    } else {
        find_young_garbage(run);
    }
    if (!run->failed) {
        gc_renew_lists(run);
    }
}

/* ---- a collection ---- */

static bool prepare(struct gc_collection *run)
{
    bool has_table = gc_scratch_prepare(run->heap);
    run->scratch = run->heap->scratch;
    return has_table && gc_prepare_stack(run) && (run->is_full || choose_pools(run));
}

/* The vectors are the heap's: small ones stay there for the next time. */
static void lend_vectors(struct gc_collection *run)
{
    struct gc_vector *lent = run->heap->lent;
    run->pools = lent[0];
    run->stack = lent[1];
    run->garbage = lent[2];
    memset(lent, 0, sizeof(run->heap->lent));
}

static void return_vector(struct gc_vector *home, struct gc_vector *vector)
{
    vector->count = 0;
    if (vector->capacity > ENTRIES_KEPT) {
        gc_vector_free(vector);
    }
    *home = *vector;
}

static void free_run(struct gc_collection *run)
{
    struct gc_vector *lent = run->heap->lent;
    return_vector(&lent[0], &run->pools);
    return_vector(&lent[1], &run->stack);
    return_vector(&lent[2], &run->garbage);
    gc_many_forget(run);
}

/* The garbage found; -1 if there was no memory to find it. */
static ptrdiff_t collect(struct pygc_heap *heap, unsigned generation)
{
    if (heap->lost_pools) {
        generation = GC_GENERATIONS - 1;
    }
    struct gc_collection run = {.heap = heap,
                                .generation = generation,
                                .is_full = generation == GC_GENERATIONS - 1};
    uint64_t begin = gc_now(), uncollectable = 0;
    size_t found = 0;
    if ((heap->debug & PYGC_DEBUG_VERIFY) != 0 && pygc_verify(heap) > 0) {
        abort(); /* it has said why */
    }
    heap->collecting = true;
    gc_tell(heap, generation, false, 0);
    lend_vectors(&run);
    run.failed = !prepare(&run);
    if (!run.failed) {
        find_garbage(&run);
    }
    if (!run.failed) {
        gc_count_collection(&run);
        uncollectable = gc_dispose(&run);
        found = run.garbage.count;
    }
    reset_notes(&run);
    gc_scratch_finish(heap);
    uint64_t time = gc_now() - begin;
    gc_note_pause(heap, generation, time);
    gc_note_collection(&run, found, uncollectable, time);
    free_run(&run);
    heap->collecting = false;
    gc_tell(heap, generation, true, found);
    return run.failed ? -1 : (ptrdiff_t)found;
}

PYM_EXPORT ptrdiff_t pygc_collect(pygc_heap *heap, int generation)
{
    if (generation < 0 || generation >= GC_GENERATIONS) {
        errno = EINVAL;
        return -1;
    }
    gc_check_use(heap, "collects", NULL);
    if (heap->collecting) {
        return 0;
    }
    if (heap->cycle != NULL) {
        gc_cycle_abandon(heap);
        generation = GC_GENERATIONS - 1; /* where all that it looked at may be */
    }
    int saved = errno;
    ptrdiff_t found = collect(heap, (unsigned)generation);
    errno = found < 0 ? ENOMEM : saved;
    return found;
}

void gc_collect_if_due(struct pygc_heap *heap)
{
    if (!heap->enabled || heap->collecting || heap->paused != 0 ||
        heap->threshold[0] == 0) {
        return;
    }
    int saved = errno;
    int due = heap->cycle != NULL ? GC_SLICES_DUE : gc_what_is_due(heap);
    if (due == GC_SLICES_DUE) {
        gc_cycle_go_on(heap);
    } else if (due >= 0 && collect(heap, (unsigned)due) < 0) {
        heap->count[0] = 0; /* not again at the next allocation */
    }
    errno = saved;
}

PYM_EXPORT int pygc_step(pygc_heap *heap, uint64_t budget_ns)
{
    gc_check_use(heap, "collects", NULL);
    if (heap->collecting) {
        return 0;
    }
    int saved = errno;
    int more = gc_cycle_step(heap, budget_ns);
    errno = saved;
    return more;
}

/* ---- freezing ---- */

struct move {
    unsigned from; /* this one and younger */
    unsigned to;
};

static void move_object(struct pygc_header *header, void *arg)
{
    const struct move *move = arg;
    unsigned generation = gc_generation_of(header);
    bool moves =
        move->from == GC_FROZEN ? generation == GC_FROZEN : generation <= move->from;
    if ((header->bits & GC_TRACKED) != 0 && moves) {
        gc_set_generation(header, move->to);
    }
}

PYM_EXPORT void pygc_freeze(pygc_heap *heap)
{
    struct move move = {GC_GENERATIONS - 1, GC_FROZEN};
    gc_each_object(heap, move_object, &move);
    memset(heap->count, 0, sizeof(heap->count));
    heap->seen_by_full = heap->since_full = 0;
}

PYM_EXPORT void pygc_unfreeze(pygc_heap *heap)
{
    struct move move = {GC_FROZEN, GC_GENERATIONS - 1};
    gc_each_object(heap, move_object, &move);
}
