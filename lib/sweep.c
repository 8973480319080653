#include "sweep.h"

/* Records that are looked at for one pool, and at most before the heap grows. */
enum { LOOKS = 64, LOOKS_MOST = 256 };
/* Of the free blocks that would wake a full pool, the part that is enough. */
enum { WAKE_PART = 4 };

/* Other heaps' pools may change hands meanwhile, but none from or to this one. */
static PYM_RACY bool is_full(const struct pym_heap *heap, const struct pym_pool *pool,
                             unsigned cls)
{
    return pool->owner == heap && pool->state == PYM_POOL_FULL && pool->cls == cls;
}

static bool is_enough(unsigned free_blocks, unsigned cls)
{
    return free_blocks > 0 && free_blocks * WAKE_PART >= pym_class_wake(cls);
}

struct pym_pool *pym_sweep_find(struct pym_heap *heap, unsigned cls)
{
    struct pym_sweeper *sweeper = &heap->sweeper;
    size_t start = pym_region.first_arena * PYM_ARENA_POOLS;
    size_t end = pym_region_limit() >> PYM_POOL_SHIFT;
    unsigned looks = LOOKS_MOST - sweeper->looked;
    looks = looks < LOOKS ? looks : LOOKS;
    for (; looks > 0; looks--) {
        if (sweeper->next_pool < start || sweeper->next_pool >= end) {
            sweeper->next_pool = start;
        }
        struct pym_pool *pool =
            pym_region_pool_at(sweeper->next_pool << PYM_POOL_SHIFT);
        sweeper->next_pool++;
        sweeper->looked++;
        if (is_full(heap, pool, cls) && is_enough(pym_sweep_free_blocks(pool), cls)) {
            return pool;
        }
    }
    sweeper->looked = 0;
    return NULL;
}
