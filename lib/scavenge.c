#include "scavenge.h"

#include "options.h"
#include "pages.h"

/* Blocks in use of a pool that is worth a second look. */
enum { LEFT = 2 };
/* What a millisecond allows; and the most at a time, and the pause after a whole round
 * if there is no other. */
enum { PASSED_PER_MS = 512, LOOKS_PER_MS = 2, TIMES_MOST = 16, PAUSE_LEAST_MS = 10 };

static void look(struct pym_heap *heap, struct pym_pool *pool)
{
    unsigned half = pool->countdown / 2;
    pool->due = (uint16_t)((half < LEFT ? half : LEFT) + 1);
    heap->scavenger.bytes += pym_pages_return(pool);
}

/* Whether a pool is to be looked at.  One that became available is passed by once. */
static bool is_due(struct pym_pool *pool)
{
    if (pool->due == 0) {
        pool->due = (uint16_t)(pym_pool_capacity(pool) / 4 + 1);
        return false;
    }
    return pool->countdown < pool->due;
}

/* Other heaps' pools may change hands meanwhile, but none from or to this one. */
static PYM_RACY bool is_available(const struct pym_heap *heap,
                                  const struct pym_pool *pool)
{
    return pool->owner == heap && pool->state == PYM_POOL_AVAILABLE;
}

/* Tells whether the end of the region was reached. */
static bool pass_by(struct pym_heap *heap, size_t pools, unsigned looks)
{
    size_t *next = &heap->scavenger.next_pool;
    size_t start = pym_region.first_arena * PYM_ARENA_POOLS;
    size_t end = pym_region_limit() >> PYM_POOL_SHIFT;
    *next = *next < start ? start : *next;
    for (; *next < end && pools > 0 && looks > 0; ++*next, pools--) {
        struct pym_pool *pool = pym_region_pool_at(*next << PYM_POOL_SHIFT);
        if (is_available(heap, pool) && is_due(pool)) {
            look(heap, pool);
            looks--;
        }
    }
    if (*next < end) {
        return false;
    }
    *next = 0;
    return true;
}

void pym_scavenge_some(struct pym_heap *heap, uint64_t now_ms)
{
    struct pym_scavenger *scavenger = &heap->scavenger;
    if (heap->is_tagged || now_ms < scavenger->next_ms ||
        now_ms == scavenger->last_ms) {
        return;
    }
    uint64_t times = now_ms - scavenger->last_ms;
    times = times < TIMES_MOST ? times : TIMES_MOST;
    scavenger->last_ms = now_ms;
    if (pass_by(heap, times * PASSED_PER_MS, (unsigned)times * LOOKS_PER_MS)) {
        uint64_t decay = PYM_OPTION(decay);
        scavenger->next_ms = now_ms + (decay > PAUSE_LEAST_MS ? decay : PAUSE_LEAST_MS);
    }
}

void pym_scavenge_all(struct pym_heap *heap)
{
    for (unsigned cls = 0; !heap->is_tagged && cls < PYM_CLASSES; cls++) {
        for (struct pym_pool *pool = heap->available[cls]; pool != NULL;
             pool = pool->next) {
            look(heap, pool);
        }
    }
}
