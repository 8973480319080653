#include "heap.h"

#include "arena.h"
#include "check.h"
#include "heaps.h"
#include "mix.h"
#include "os.h"
#include "pages.h"
#include "probe.h"
#include "scavenge.h"
#include "sweep.h"
#include "track.h"

#include <string.h>

/* Frees into an active pool, or hits of the cache of system blocks, between two ticks:
 * without and with free memory that is to go back. */
enum { TICK = 256, TICK_DIRTY = 32 };
/* The same while ticks come so fast that the clock stands still, and such ticks between
 * two looks at it: one for nothing costs as much as a dozen blocks.  A thread that
 * slows down has to be noticed, so these are not many. */
enum { TICK_HURRIED = 64, HURRIED_TICKS = 4 };
/* Ticks between two looks at what has not been wanted for a while. */
enum { CLOCK_TICKS = 16 };
/* Pools without a block in use that a heap keeps. */
enum { SPARES_MOST = 4 };
/* A class that takes its fourth pool is going to fill it: one call of the kernel for
 * all pages of a pool costs less than two faults. */
enum { GROWING = 4 };

__thread struct pym_thread pym_thread;

/* Counts requests to purge; a heap follows when it sees that it changed. */
static _Atomic uint32_t purge_requests;

/* ---- lists of pools ---- */

static void list_push(struct pym_pool **list, struct pym_pool *pool)
{
    pool->prev = NULL;
    pool->next = *list;
    if (*list != NULL) {
        (*list)->prev = pool;
    }
    *list = pool;
}

static void list_remove(struct pym_pool **list, struct pym_pool *pool)
{
    if (pool->prev != NULL) {
        pool->prev->next = pool->next;
    } else {
        *list = pool->next;
    }
    if (pool->next != NULL) {
        pool->next->prev = pool->prev;
    }
}

/* ---- states of a pool: see region.h ---- */

/* Less if a sample is due before. */
static unsigned tick_length(const struct pym_heap *heap)
{
    unsigned length = !pym_arena_has_dirty() ? TICK
                      : heap->hurries        ? TICK_HURRIED
                                             : TICK_DIRTY;
    return pym_sampler_limit(&heap->sampler, length);
}

static void arm(const struct pym_heap *heap, struct pym_pool *pool)
{
    unsigned length = pym_poisson_limit(&heap->poisson, pool->cls, tick_length(heap));
    pool->armed = (uint16_t)length;
    pool->countdown = pool->armed;
}

static void count_recycled(struct pym_heap *heap, const struct pym_pool *pool)
{
    unsigned blocks = pool->armed - pool->countdown;
    heap->recycled[pool->cls] += blocks;
    pym_sampler_count(&heap->sampler, blocks);
    pym_poisson_count(&heap->poisson, pool->cls, blocks);
}

static void count_supplied(struct pym_heap *heap, unsigned cls, unsigned blocks)
{
    heap->supplied[cls] += blocks;
    pym_sampler_count(&heap->sampler, blocks);
    pym_poisson_count(&heap->poisson, cls, blocks);
}

/* They were in the bin, but will not be handed out from there. */
static void count_withdrawn(struct pym_heap *heap, unsigned cls, unsigned blocks)
{
    heap->supplied[cls] -= blocks;
    pym_poisson_count(&heap->poisson, cls, -(int64_t)blocks);
}

static void make_active(struct pym_heap *heap, struct pym_pool *pool,
                        unsigned free_blocks)
{
    void **bin = &heap->bins[pool->cls];
    PYM_ASSERT(heap->active[pool->cls] == NULL && *bin == NULL);
    heap->active[pool->cls] = pool;
    count_supplied(heap, pool->cls, free_blocks);
    *bin = pool->local;
    pool->free_to = bin;
    arm(heap, pool);
    pym_snapshot_order();
    /* models/remote.pml: make_active */
    pool->state = PYM_POOL_ACTIVE;
    pool->local = NULL;
}

static void make_full(struct pym_heap *heap, struct pym_pool *pool)
{
    PYM_ASSERT(*pool->free_to == NULL && pym_pool_fully_carved(pool));
    count_recycled(heap, pool);
    heap->active[pool->cls] = NULL;
    pool->free_to = &pool->local;
    pool->countdown = pym_class_wake(pool->cls);
    pym_snapshot_order();
    /* models/remote.pml: make_full */
    pool->state = PYM_POOL_FULL;
}

static void give_pool(struct pym_heap *heap, struct pym_pool *pool)
{
    heap->pools--;
    pym_arena_give(pool);
}

static void make_spare(struct pym_heap *heap, struct pym_pool *pool)
{
    if (heap->spares >= SPARES_MOST) {
        give_pool(heap, pool);
        return;
    }
    pool->state = PYM_POOL_SPARE;
    pool->countdown = 1; /* any free is a double free, and an event */
    heap->spares++;
    list_push(&heap->spare, pool);
}

/* For a pool that is not active: with so many blocks in use, the rest free. */
/* models/remote.pml: make_available */
static void make_available(struct pym_heap *heap, struct pym_pool *pool,
                           unsigned in_use)
{
    if (in_use == 0) {
        make_spare(heap, pool);
        return;
    }
    pool->countdown = in_use;
    pool->due = 0;
    pool->state = PYM_POOL_AVAILABLE;
    list_push(&heap->available[pool->cls], pool);
    heap->availables++;
}

static void leave_available(struct pym_heap *heap, struct pym_pool *pool)
{
    list_remove(&heap->available[pool->cls], pool);
    heap->availables--;
}

static struct pym_pool *take_available(struct pym_heap *heap, unsigned cls)
{
    struct pym_pool *pool = heap->available[cls];
    if (pool != NULL) {
        leave_available(heap, pool);
    }
    return pool;
}

static struct pym_pool *take_spare(struct pym_heap *heap)
{
    struct pym_pool *pool = heap->spare;
    if (pool != NULL) {
        list_remove(&heap->spare, pool);
        heap->spares--;
    }
    return pool;
}

/* ---- frees that need more than a push ---- */

void *pym_heap_free_list(const struct pym_pool *pool)
{
    return *pool->free_to;
}

static unsigned count_free(const struct pym_pool *pool)
{
    struct pym_pool_bits bits = {{0}};
    bool intact;
    return pym_pool_mark_list(pool, pym_heap_free_list(pool), &bits, &intact);
}

/* The next malloc of the class is to come by: it finds the bin empty. */
static PYM_COLD void rest(struct pym_heap *heap, struct pym_pool *pool,
                          unsigned free_blocks)
{
    count_withdrawn(heap, pool->cls, free_blocks);
    heap->sampler.twice += free_blocks;
    heap->active[pool->cls] = NULL;
    pool->local = heap->bins[pool->cls];
    pool->free_to = &pool->local;
    pym_snapshot_order();
    heap->bins[pool->cls] = NULL;
    make_available(heap, pool, pym_pool_present(pool) - free_blocks);
}

static bool is_sample_due(const struct pym_heap *heap, unsigned cls)
{
    return pym_sampler_is_due(&heap->sampler) ||
           pym_poisson_is_due(&heap->poisson, cls);
}

void pym_heap_event(struct pym_pool *pool)
{
    struct pym_heap *heap = pool->owner;
    switch (pool->state) {
    case PYM_POOL_ACTIVE:
        count_recycled(heap, pool);
        if (PYM_UNLIKELY(is_sample_due(heap, pool->cls))) {
            rest(heap, pool, count_free(pool));
        } else {
            arm(heap, pool);
        }
        pym_heap_tick(heap); /* the pool may be given up here */
        return;
    case PYM_POOL_FULL:
        /* models/remote.pml: event */
        make_available(heap, pool, pool->carved - pym_class_wake(pool->cls));
        return;
    case PYM_POOL_AVAILABLE:
        leave_available(heap, pool);
        make_spare(heap, pool);
        return;
    default:
        pym_check_misuse("double free", pym_region_pool_start(pool),
                         pym_class_size(pool->cls));
    }
}

/* Accounts for blocks that were put into the pool's free list together. */
/* models/remote.pml: account_freed */
static void account_freed(struct pym_heap *heap, struct pym_pool *pool, unsigned count)
{
    unsigned in_use;
    switch (pool->state) {
    case PYM_POOL_ACTIVE:
        count_supplied(heap, pool->cls, count);
        return;
    case PYM_POOL_FULL:
        if (count < pool->countdown) {
            pool->countdown -= count;
            return;
        }
        in_use = pool->carved - pym_class_wake(pool->cls) + pool->countdown;
        break;
    case PYM_POOL_AVAILABLE:
        if (count < pool->countdown) {
            pool->countdown -= count;
            return;
        }
        in_use = pool->countdown;
        leave_available(heap, pool);
        break;
    default:
        in_use = 0;
        break;
    }
    if (count > in_use) {
        pym_check_misuse("double free", *pool->free_to, pym_class_size(pool->cls));
    }
    make_available(heap, pool, in_use - count);
}

static void splice(struct pym_heap *heap, const struct pym_chain *chain)
{
    struct pym_pool *pool = chain->pool;
    PYM_ASSERT(pool->owner == heap);
    if (PYM_HARDENED && pool->owner != heap) {
        pym_check_misuse("broken free list", chain->head, 0);
    }
    /* models/remote.pml: splice */
    pym_link_set(chain->tail, *pool->free_to);
    *pool->free_to = chain->head;
    heap->received += chain->count;
    account_freed(heap, pool, (unsigned)chain->count);
}

void pym_heap_drain(struct pym_heap *heap)
{
    /* models/orphans.pml: drain */
    if (pym_inbox_empty(&heap->inbox)) {
        return;
    }
    uint64_t before = heap->received;
    void *rest = pym_inbox_take(&heap->inbox);
    while (rest != NULL) {
        struct pym_chain chain;
        rest = pym_inbox_next(rest, &chain);
        splice(heap, &chain);
    }
    PYM_PROBE2(pymalloc, inbox_drained, heap, heap->received - before);
}

/* ---- allocations that need more than a pop ---- */

static bool supply_from_active(struct pym_heap *heap, unsigned cls)
{
    struct pym_pool *pool = heap->active[cls];
    if (pool == NULL) {
        return false;
    }
    unsigned carved = pym_pool_carve(pool);
    if (carved == 0) {
        make_full(heap, pool);
        return false;
    }
    count_supplied(heap, cls, carved);
    return true;
}

static bool supply_from_available(struct pym_heap *heap, unsigned cls)
{
    struct pym_pool *pool = take_available(heap, cls);
    if (pool == NULL) {
        return false;
    }
    make_active(heap, pool, pym_pool_present(pool) - pool->countdown);
    return heap->bins[cls] != NULL || supply_from_active(heap, cls);
}

/* Rather than that the heap grows. */
static bool supply_from_full(struct pym_heap *heap, unsigned cls)
{
    if (heap->spare != NULL || !pym_sweep_is_worthwhile(heap)) {
        return false;
    }
    struct pym_pool *pool = pym_sweep_find(heap, cls);
    if (pool != NULL) {
        make_active(heap, pool, pym_sweep_free_blocks(pool));
    }
    return pool != NULL;
}

static struct pym_pool *take_new(struct pym_heap *heap, unsigned cls)
{
    if (heap->grown[cls] < GROWING) {
        heap->grown[cls]++;
    }
    struct pym_pool *pool = pym_arena_take(heap, heap->grown[cls] == GROWING);
    heap->pools += pool != NULL;
    return pool;
}

/* A spare pool of the same class is used as it is. */
static bool supply_from_new(struct pym_heap *heap, unsigned cls)
{
    struct pym_pool *pool = take_spare(heap);
    if (pool == NULL) {
        pool = take_new(heap, cls);
        if (pool == NULL) {
            return false;
        }
        pym_pool_prepare(pool, cls, heap->is_tagged);
    } else if (pool->cls != cls) {
        pym_pool_prepare(pool, cls, heap->is_tagged);
    }
    make_active(heap, pool, pym_pool_present(pool));
    return heap->bins[cls] != NULL || supply_from_active(heap, cls);
}

static void count_hits(struct pym_heap *heap)
{
    pym_sampler_count(&heap->sampler, heap->cache.armed - heap->cache.countdown);
}

/* A hit that is looked at stands for those before it, which no other visit may cut
 * short then. */
static void arm_cache(struct pym_heap *heap)
{
    if (PYM_LIKELY(heap->poisson.interval == 0)) {
        count_hits(heap);
        pym_syscache_arm(&heap->cache, tick_length(heap));
    } else if (heap->cache.countdown == 0) {
        count_hits(heap);
        pym_syscache_arm(&heap->cache,
                         pym_poisson_about(&heap->poisson, PYM_HEAP_HITS_LOOKED_AT));
    }
}

static void decay(struct pym_heap *heap)
{
    if (!pym_arena_has_dirty()) {
        heap->hurries = false;
    } else if (!heap->hurries || heap->ticks % HURRIED_TICKS == 0) {
        uint64_t now = pym_os_now_ms();
        heap->hurries = now == heap->seen_ms;
        heap->seen_ms = now;
        pym_arena_decay(now);
    }
}

void pym_heap_tick(struct pym_heap *heap)
{
    if (PYM_UNLIKELY(heap->purge_seen !=
                     atomic_load_explicit(&purge_requests, memory_order_relaxed))) {
        pym_heap_purge(heap);
    }
    heap->ticks++;
    decay(heap);
    arm_cache(heap);
    if (PYM_UNLIKELY(heap->sampler.counted >= heap->mixer.next_look)) {
        pym_mix_look(heap);
    }
    if (heap->ticks % CLOCK_TICKS == 0) {
        uint64_t now = pym_os_now_ms();
        pym_syscache_decay(&heap->cache, now);
        if (pym_scavenge_is_worthwhile(heap)) {
            pym_scavenge_some(heap, now);
        }
        pym_heaps_tend_orphans(now);
    }
}

/* Whether a class has been used so little that it is to have no pool yet.  The heap
 * profile counts by classes. */
static bool is_rare(const struct pym_heap *heap, unsigned cls)
{
    return !PYM_HARDENED && heap->poisson.interval == 0 &&
           heap->borrowed[cls] < pym_class_borrows(cls) && heap->active[cls] == NULL &&
           heap->available[cls] == NULL && pym_class_coarser(cls) != cls;
}

static void *borrow(struct pym_heap *heap, unsigned cls)
{
    unsigned coarser = pym_class_coarser(cls);
    void *block = heap->bins[coarser];
    heap->borrowed[cls]++;
    if (block == NULL) {
        return pym_heap_refill(heap, coarser);
    }
    heap->bins[coarser] = pym_link_get(block);
    return block;
}

void *pym_heap_refill(struct pym_heap *heap, unsigned cls)
{
    if (is_rare(heap, cls)) {
        return borrow(heap, cls);
    }
    PYM_ASSERT(heap->bins[cls] == NULL);
    pym_heap_tick(heap);
    pym_heap_drain(heap);
    if (heap->bins[cls] == NULL && !supply_from_active(heap, cls) &&
        !supply_from_available(heap, cls)) {
        if (heap->spare == NULL) {
            pym_heaps_drain_orphans();
        }
        if (!supply_from_full(heap, cls) && !supply_from_new(heap, cls)) {
            return NULL;
        }
    }
    void *block = heap->bins[cls];
    heap->bins[cls] = pym_link_get(block);
    return block;
}

void *pym_heap_refill_one(struct pym_heap *heap, unsigned cls)
{
    uint64_t before = heap->supplied[cls];
    void *block = pym_heap_refill(heap, cls);
    struct pym_pool *pool = heap->active[cls];
    if (block != NULL && pool != NULL) {
        count_recycled(heap, pool);
        rest(heap, pool, (unsigned)(heap->supplied[cls] - before - 1));
    }
    return block;
}

void pym_heap_empty_bins(struct pym_heap *heap)
{
    for (unsigned cls = 0; cls < PYM_CLASSES; cls++) {
        struct pym_pool *pool = heap->active[cls];
        if (pool != NULL) {
            count_recycled(heap, pool);
            rest(heap, pool, count_free(pool));
        }
    }
}

/* ---- giving back ---- */

/* An active pool without a block in use need not stay. */
static void drop_idle_active(struct pym_heap *heap, unsigned cls)
{
    struct pym_pool *pool = heap->active[cls];
    if (pool == NULL || count_free(pool) != pym_pool_present(pool)) {
        return;
    }
    count_recycled(heap, pool);
    count_withdrawn(heap, cls, pym_pool_present(pool));
    heap->active[cls] = NULL;
    heap->bins[cls] = NULL;
    give_pool(heap, pool);
}

static void give_back_pools(struct pym_heap *heap)
{
    pym_remote_flush(&heap->outbox);
    pym_heap_drain(heap);
    for (unsigned cls = 0; cls < PYM_CLASSES; cls++) {
        drop_idle_active(heap, cls);
    }
    for (struct pym_pool *pool; (pool = take_spare(heap)) != NULL;) {
        give_pool(heap, pool);
    }
    pym_scavenge_all(heap);
}

void pym_heap_strip(struct pym_heap *heap)
{
    give_back_pools(heap);
    pym_syscache_shed_all(&heap->cache);
}

void pym_heap_purge(struct pym_heap *heap)
{
    heap->purge_seen = atomic_load_explicit(&purge_requests, memory_order_relaxed);
    give_back_pools(heap);
    pym_syscache_empty(&heap->cache);
}

void pym_heap_request_purge(void)
{
    atomic_fetch_add_explicit(&purge_requests, 1, memory_order_relaxed);
}

/* ---- handing on ---- */

void pym_heap_move_bins(struct pym_heap *heap, void **bins)
{
    memcpy(bins, heap->bins, sizeof(heap->saved));
    void **old = heap->bins;
    pym_snapshot_order();
    heap->bins = bins;
    for (unsigned cls = 0; cls < PYM_CLASSES; cls++) {
        if (heap->active[cls] != NULL) {
            heap->active[cls]->free_to = &bins[cls];
        }
    }
    memset(old, 0, sizeof(heap->saved));
}

/* ---- after a fork ---- */

/*
 * Finds the free blocks of a pool from whatever lists it has: its own, the
 * bin of its class, or, if the copy was made while blocks moved from one to the
 * other, both.  Blocks in neither are in use.
 */
static void recover_pool(struct pym_heap *heap, struct pym_pool *pool)
{
    if (pool->state == PYM_POOL_FREE || pool->state == PYM_POOL_SPARE) {
        pym_arena_give(pool);
        return;
    }
    heap->pools++;
    struct pym_pool_bits bits = {{0}};
    bool intact;
    unsigned in_pool = pym_pool_mark_list(pool, pool->local, &bits, &intact);
    unsigned in_bin = pym_pool_mark_list(pool, heap->saved[pool->cls], &bits, &intact);
    if (pool->state == PYM_POOL_ACTIVE) {
        count_recycled(heap, pool);
    }
    heap->supplied[pool->cls] -= in_bin;
    pym_pages_recover(pool, &bits);
    pym_pool_relink(pool, &bits);
    pool->free_to = &pool->local;
    make_available(heap, pool, pym_pool_present(pool) - in_pool - in_bin);
}

PYM_RARE_CODE void pym_heap_recover(struct pym_heap *heap)
{
    PYM_ASSERT(heap->bins == heap->saved);
    memset(heap->active, 0, sizeof(heap->active));
    memset(heap->available, 0, sizeof(heap->available));
    uint64_t sent = heap->outbox.sent;
    memset(&heap->outbox, 0, sizeof(heap->outbox));
    heap->outbox.sent = sent;
    heap->spare = NULL;
    heap->spares = heap->pools = heap->availables = 0;
    pym_syscache_recover(&heap->cache);
    size_t end = pym_region_limit() >> PYM_POOL_SHIFT;
    for (size_t i = pym_region.first_arena * PYM_ARENA_POOLS; i < end; i++) {
        struct pym_pool *pool = pym_region_pool_at(i << PYM_POOL_SHIFT);
        if (pool->owner == heap) {
            recover_pool(heap, pool);
        }
    }
    memset(heap->saved, 0, sizeof(heap->saved));
}

/* ---- looking ---- */

PYM_RACY uint64_t pym_heap_handed_out(const struct pym_heap *heap, unsigned cls)
{
    uint64_t blocks = heap->supplied[cls] + heap->recycled[cls];
    const struct pym_pool *pool = heap->active[cls];
    if (pool != NULL) {
        struct pym_pool_bits bits = {{0}};
        bool intact;
        blocks += pool->armed - pool->countdown;
        blocks -= pym_pool_mark_list(pool, heap->bins[cls], &bits, &intact);
    }
    return blocks;
}
