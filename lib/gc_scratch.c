#include "gc_scratch.h"

#include "arena.h"
#include "os.h"

#include <string.h>

enum { POOL_BYTES = PYM_POOL_SIZE >> PYM_GRAIN_SHIFT };
#define ARENA_BYTES (PYM_ARENA_SIZE >> PYM_GRAIN_SHIFT)

/* Bytes of the table that are usable. */
static _Atomic size_t committed;
static _Atomic(uint8_t *) table;

static uint8_t *find_table(void)
{
    uint8_t *known = atomic_load_explicit(&table, memory_order_acquire);
    if (known != NULL) {
        return known;
    }
    size_t size = pym_region.reserved >> PYM_GRAIN_SHIFT;
    uint8_t *fresh = pym_os_reserve(size, PYM_ARENA_SIZE);
    if (fresh == NULL) {
        return NULL;
    }
    if (!atomic_compare_exchange_strong_explicit(
            &table, &known, fresh, memory_order_acq_rel, memory_order_acquire)) {
        pym_os_unmap(fresh, size);
        return known;
    }
    return fresh;
}

bool gc_scratch_prepare(struct pygc_heap *heap)
{
    size_t end = pym_region_limit() >> PYM_GRAIN_SHIFT;
    if (end == 0) {
        return true; /* there are no pools */
    }
    size_t wanted = pym_round_up(end, PYM_ARENA_SIZE);
    size_t most = pym_region.reserved >> PYM_GRAIN_SHIFT;
    wanted = wanted < most ? wanted : most;
    uint8_t *start = find_table();
    if (start == NULL) {
        return false;
    }
    size_t usable = atomic_load_explicit(&committed, memory_order_acquire);
    if (usable < wanted && pym_os_commit(start + usable, wanted - usable) != 0) {
        return false;
    }
    while (usable < wanted && !atomic_compare_exchange_weak_explicit(
                                  &committed, &usable, wanted, memory_order_release,
                                  memory_order_acquire)) {
    }
    heap->scratch = start;
    heap->scratch_end = end;
    return true;
}

void gc_scratch_finish(struct pygc_heap *heap)
{
    heap->scratch = NULL;
    heap->scratch_end = 0;
}

void gc_scratch_reset_pool(struct pygc_heap *heap, const struct pym_pool *pool)
{
    if (gc_heap_has_pool(heap, pool)) {
        memset(heap->scratch + pym_region_pool_index(pool) * POOL_BYTES, 0, POOL_BYTES);
    }
}

static unsigned count_pools(const struct pygc_heap *heap, size_t arena)
{
    unsigned count = 0;
    for (size_t i = 0; i < PYM_ARENA_POOLS; i++) {
        count += gc_heap_has_pool(
            heap, pym_region_pool_at((arena * PYM_ARENA_POOLS + i) << PYM_POOL_SHIFT));
    }
    return count;
}

static void purge_arenas(uint8_t *scratch, size_t from, size_t to)
{
    if (from < to) {
        uint8_t *notes = scratch + from * ARENA_BYTES;
        size_t size = (to - from) * ARENA_BYTES;
        if (pym_os_purge(notes, size) != 0) {
            memset(notes, 0, size);
        }
    }
}

static void reset_pools(struct pygc_heap *heap, size_t arena)
{
    for (size_t i = 0; i < PYM_ARENA_POOLS; i++) {
        size_t pool = arena * PYM_ARENA_POOLS + i;
        gc_scratch_reset_pool(heap, pym_region_pool_at(pool << PYM_POOL_SHIFT));
    }
}

/* Memory can go back where an arena's bytes are whole pages and all its pools are
 * the heap's. */
size_t gc_scratch_reset_arenas(struct pygc_heap *heap, size_t arena, size_t count)
{
    bool whole_pages = ARENA_BYTES % pym_os_page_size() == 0;
    uint8_t *scratch = heap->scratch;
    size_t end = heap->scratch_end / ARENA_BYTES; /* what is newer has no notes */
    if (arena >= end) {
        return 0;
    }
    size_t to = end - arena < count ? end : arena + count;
    size_t from = to; /* of a run of arenas that are all the heap's */
    for (; arena < to; arena++) {
        unsigned pools = count_pools(heap, arena);
        if (whole_pages && pools == PYM_ARENA_POOLS) {
            from = from < arena ? from : arena;
            continue;
        }
        purge_arenas(scratch, from, arena);
        from = to;
        if (pools != 0) {
            reset_pools(heap, arena);
        }
    }
    purge_arenas(scratch, from, to);
    return to < end ? to : 0;
}
