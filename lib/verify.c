#include "verify.h"

#include "pages.h"

typedef void reporter(const char *what, const void *where);

static unsigned verify_pool(const struct pym_heap *heap, const struct pym_pool *pool,
                            reporter *report)
{
    struct pym_pool_bits bits = {{0}};
    bool intact;
    unsigned free_blocks =
        pym_pool_mark_list(pool, pym_heap_free_list(pool), &bits, &intact);
    unsigned wrong = 0;
    if (!intact) {
        report("free list leaves its pool, or has a cycle", pool);
        wrong++;
    }
    for (unsigned i = pool->carved; i < pym_pool_capacity(pool); i++) {
        if (pym_pool_bit(&bits, i)) {
            report("free block that was never cut off", pym_pool_block(pool, i));
            wrong++;
        }
    }
    unsigned away = 0;
    for (unsigned i = 0; i < pool->carved; i++) {
        away += pym_pages_are_away(pool, i);
        if (pym_pages_are_away(pool, i) && pym_pool_bit(&bits, i)) {
            report("free block in a page that was given back", pym_pool_block(pool, i));
            wrong++;
        }
    }
    if (away != pool->away) {
        report("blocks in pages that were given back are miscounted", pool);
        wrong++;
    }
    unsigned in_use = pym_pool_present(pool) - free_blocks;
    if (pool->state == PYM_POOL_AVAILABLE && pool->countdown != in_use) {
        report("blocks in use and the pool's countdown disagree", pool);
        wrong++;
    }
    if (pool->state == PYM_POOL_FULL &&
        pym_class_wake(pool->cls) - pool->countdown != free_blocks) {
        report("free blocks and the full pool's countdown disagree", pool);
        wrong++;
    }
    if (pool->state == PYM_POOL_SPARE && in_use != 0) {
        report("spare pool with blocks in use", pool);
        wrong++;
    }
    bool active = heap->active[pool->cls] == pool;
    if (active != (pool->state == PYM_POOL_ACTIVE) ||
        (pool->free_to == &heap->bins[pool->cls]) != active) {
        report("pool is not what its heap takes it for", pool);
        wrong++;
    }
    return wrong;
}

/* Other heaps' pools may change hands meanwhile, but none from or to this one. */
static PYM_RACY bool has_pool(const struct pym_heap *heap, const struct pym_pool *pool)
{
    return pool->owner == heap;
}

static unsigned verify_list(const struct pym_heap *heap, const struct pym_pool *list,
                            enum pym_pool_state state, reporter *report)
{
    unsigned wrong = 0;
    const struct pym_pool *previous = NULL;
    for (; list != NULL; previous = list, list = list->next) {
        if (list->owner != heap || list->state != state || list->prev != previous) {
            report("list of pools is broken", list);
            return wrong + 1;
        }
    }
    return wrong;
}

unsigned pym_verify_heap(const struct pym_heap *heap, reporter *report)
{
    unsigned wrong = verify_list(heap, heap->spare, PYM_POOL_SPARE, report);
    for (unsigned cls = 0; cls < PYM_CLASSES; cls++) {
        wrong += verify_list(heap, heap->available[cls], PYM_POOL_AVAILABLE, report);
        if (heap->active[cls] == NULL && heap->bins[cls] != NULL) {
            report("bin without an active pool", heap);
            wrong++;
        }
    }
    size_t end = pym_region_limit() >> PYM_POOL_SHIFT;
    for (size_t i = pym_region.first_arena * PYM_ARENA_POOLS; i < end; i++) {
        const struct pym_pool *pool = pym_region_pool_at(i << PYM_POOL_SHIFT);
        if (has_pool(heap, pool)) {
            wrong += verify_pool(heap, pool, report);
        }
    }
    return wrong;
}
