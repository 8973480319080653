#include "inspect.h"

#include "arena.h"
#include "heaps.h"
#include "pages.h"
#include "print.h"
#include "verify.h"

#include <unistd.h>

static void settle_heap(struct pym_heap *heap, bool idle, void *arg)
{
    (void)arg;
    if (idle) {
        pym_heap_drain(heap);
    }
}

void pym_inspect_settle(void)
{
    if (pym_thread.heap != NULL) {
        pym_remote_flush(&pym_thread.heap->outbox);
    }
    pym_heaps_each(settle_heap, NULL);
}

PYM_RACY unsigned pym_inspect_pool(const struct pym_pool *pool,
                                   struct pym_pool_bits *live)
{
    *live = (struct pym_pool_bits){{0}};
    if (pool->owner == PYM_NOBODY || pool->state == PYM_POOL_FREE ||
        pool->state == PYM_POOL_SPARE) {
        return 0;
    }
    struct pym_pool_bits free_blocks = {{0}};
    bool intact;
    (void)pym_pool_mark_list(pool, pym_heap_free_list(pool), &free_blocks, &intact);
    unsigned count = 0;
    for (unsigned i = 0; i < pool->carved; i++) {
        if (!pym_pool_bit(&free_blocks, i) && !pym_pages_are_away(pool, i) &&
            pym_region_is_live(pym_pool_block(pool, i))) {
            pym_pool_set_bit(live, i);
            count++;
        }
    }
    return count;
}

/* The blocks are found while nothing can change hands, and visited after that,
 * so that visit may do what it likes. */
static PYM_RACY int walk_pool(const struct pym_pool *pool,
                              int (*visit)(void *block, size_t size, void *arg),
                              void *arg)
{
    struct pym_pool_bits live;
    pym_heaps_hold();
    unsigned count = pym_inspect_pool(pool, &live);
    size_t size = pym_class_size(pool->cls);
    char *first = pym_pool_block(pool, 0);
    pym_heaps_release();
    for (unsigned i = 0; count > 0; i++) {
        if (!pym_pool_bit(&live, i)) {
            continue;
        }
        int result = visit(first + i * size, size, arg);
        if (result != 0) {
            return result;
        }
        count--;
    }
    return 0;
}

int pym_inspect_walk(int (*visit)(void *block, size_t size, void *arg), void *arg)
{
    pym_inspect_settle();
    size_t end = pym_region_limit() >> PYM_POOL_SHIFT;
    for (size_t i = pym_region.first_arena * PYM_ARENA_POOLS; i < end; i++) {
        int result = walk_pool(pym_region_pool_at(i << PYM_POOL_SHIFT), visit, arg);
        if (result != 0) {
            return result;
        }
    }
    return 0;
}

static void report(const char *what, const void *where)
{
    pym_print(STDERR_FILENO, "pymalloc: verify: %s: %p\n", what, where);
}

static void verify_heap(struct pym_heap *heap, bool idle, void *arg)
{
    unsigned *wrong = arg;
    if (idle) {
        *wrong += pym_verify_heap(heap, report);
    }
}

int pym_inspect_verify(unsigned (*more)(void (*report)(const char *what,
                                                       const void *where)))
{
    unsigned wrong = 0;
    pym_heaps_each(verify_heap, &wrong);
    wrong += pym_arena_verify(report);
    return (int)(wrong + more(report));
}
