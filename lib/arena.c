#include "arena.h"

#include "check.h"
#include "lock.h"
#include "options.h"
#include "os.h"
#include "pagecost.h"
#include "probe.h"
#include "systrim.h"

#include <string.h>

enum { ALL_FREE = (1 << PYM_ARENA_POOLS) - 1 };
/* Arenas that one step of the decay looks at, and what it gives back, at most. */
enum { DECAY_LOOK = 4096, DECAY_BYTES = 64 << PYM_ARENA_SHIFT };
/* Milliseconds that free memory waits in any case, since a program in full swing wants
 * it at once. */
enum { SWING_MS = 10 };
/* Milliseconds between two steps: the grain of the clock. */
enum { DECAY_PAUSE_MS = 10 };

/* The heap grows by this part of itself at once; from so many arenas on by huge pages,
 * of so many arenas. */
enum {
    AHEAD_SHIFT = 6,
    HUGE_LEAST = 256,
    HUGE_ARENAS = PYM_PAGECOST_UNIT / PYM_ARENA_SIZE
};

static struct pym_lock lock = PYM_LOCK_INIT(PYM_RANK_ARENAS);

/* Everything below is guarded by the lock. */
static bool initialised;
static uint32_t first[PYM_ARENA_POOLS + 1]; /* lists by number of free pools */
static uint32_t last_empty;                 /* the end of the list of empty arenas */
static uint32_t nonempty_lists;             /* a bit for each list */
static struct pym_arena_totals totals;
static uint32_t decay_cursor; /* the next arena to look at */
static unsigned purging;      /* threads that give memory back right now */

/* Read without the lock, as hints. */
static _Atomic size_t dirty_pools;
static _Atomic uint64_t next_decay_ms;

static struct pym_arena *record(uint32_t arena)
{
    return &pym_region.arenas[arena];
}

static unsigned free_count(const struct pym_arena *arena)
{
    return pym_count_bits(arena->free);
}

/* ---- lists ---- */

/* Empty arenas are appended, so that their list is in the order of the time
 * since when they are empty; the others are put in front. */
static void list_insert(uint32_t index)
{
    struct pym_arena *arena = record(index);
    unsigned list = free_count(arena);
    if (list == PYM_ARENA_POOLS && first[list] != 0) {
        arena->prev = last_empty;
        arena->next = 0;
        record(last_empty)->next = index;
        last_empty = index;
        return;
    }
    arena->prev = 0;
    arena->next = first[list];
    if (arena->next != 0) {
        record(arena->next)->prev = index;
    } else if (list == PYM_ARENA_POOLS) {
        last_empty = index;
    }
    first[list] = index;
    nonempty_lists |= 1u << list;
}

static void list_remove(uint32_t index)
{
    struct pym_arena *arena = record(index);
    unsigned list = free_count(arena);
    if (arena->prev != 0) {
        record(arena->prev)->next = arena->next;
    } else {
        first[list] = arena->next;
        if (arena->next == 0) {
            nonempty_lists &= ~(1u << list);
        }
    }
    if (arena->next != 0) {
        record(arena->next)->prev = arena->prev;
    } else if (list == PYM_ARENA_POOLS) {
        last_empty = arena->prev;
    }
}

/* ---- taking and giving ---- */

static void add_dirty(long pools)
{
    size_t now = atomic_load_explicit(&dirty_pools, memory_order_relaxed);
    atomic_store_explicit(&dirty_pools, now + (size_t)pools, memory_order_relaxed);
}

static struct pym_pool *first_pool(uint32_t arena)
{
    return pym_region_pool_at((size_t)arena << PYM_ARENA_SHIFT);
}

/* Returns its index; 0 if there is no memory. */
static uint32_t make_arena(void)
{
    uint32_t index = (uint32_t)pym_region_extend();
    totals.reserved = pym_region.reserved;
    if (index == 0) {
        return 0;
    }
    struct pym_pool *pool = first_pool(index);
    for (size_t i = 0; i < PYM_ARENA_POOLS; i++) {
        /* models/region.pml: fill */
        pool[i].owner = PYM_NOBODY;
    }
    record(index)->free = ALL_FREE;
    pym_region_publish();
    totals.made++;
    list_insert(index);
    PYM_PROBE1(pymalloc, arena_made, pym_region_pool_start(first_pool(index)));
    return index;
}

/* Whether the heap is to grow by units that huge pages can be had for. */
static bool is_huge(void)
{
    return totals.used >= HUGE_LEAST && PYM_OPTION(huge) != 0;
}

/* How many arenas the heap is to grow by at once, with memory; 0 if it is small.  In
 * the hardened library arenas do not lie side by side. */
static unsigned arenas_ahead(void)
{
    if (PYM_HARDENED) {
        return 0;
    }
    return is_huge()
               ? HUGE_ARENAS - (unsigned)(pym_region.end_arena % HUGE_ARENAS)
               : (unsigned)(totals.used < HUGE_LEAST ? totals.used : HUGE_LEAST) >>
                     AHEAD_SHIFT;
}

/* Puts memory behind new arenas, which wait for their decay from now on. */
static void populate(uint32_t index, unsigned count)
{
    char *memory = pym_region_pool_start(first_pool(index));
    int error = is_huge() && count == HUGE_ARENAS
                    ? pym_pagecost_get(memory, pym_pagecost_choose())
                    : pym_os_populate(memory, (size_t)count << PYM_ARENA_SHIFT);
    if (error != 0) {
        return;
    }
    uint64_t now = pym_os_now_ms();
    for (unsigned i = 0; i < count; i++) {
        record(index + i)->dirty = ALL_FREE;
        record(index + i)->since_ms = now;
    }
    add_dirty((long)(count * PYM_ARENA_POOLS));
}

static bool grow(void)
{
    if (!initialised) {
        initialised = true;
        pym_region_init(PYM_OPTION(reserve));
        totals.reserved = pym_region.reserved;
    }
    unsigned ahead = arenas_ahead();
    uint32_t index = make_arena();
    unsigned count = index != 0;
    while (count != 0 && count < ahead && make_arena() != 0) {
        count++;
    }
    if (count != 0 && ahead != 0) {
        populate(index, count);
    }
    return count != 0;
}

/* The fullest arena with a free pool; 0 if there is none. */
static uint32_t fullest(void)
{
    uint32_t lists = nonempty_lists & ~1u;
    if (lists == 0) {
        return 0;
    }
    unsigned list = (unsigned)__builtin_ctz(lists);
    /* Of the empty ones the latest still has its memory. */
    return list == PYM_ARENA_POOLS ? last_empty : first[list];
}

/* The first of a mask's pools; where that helps an attacker, any. */
static unsigned choose(uint32_t mask)
{
    if (PYM_HARDENED) {
        for (uint64_t skip = pym_harden_random() % pym_count_bits(mask); skip > 0;
             skip--) {
            mask &= mask - 1;
        }
    }
    return (unsigned)__builtin_ctz(mask);
}

/* Tells as well whether the pool has memory behind it. */
static struct pym_pool *take_from(uint32_t index, struct pym_heap *owner,
                                  bool *is_dirty)
{
    struct pym_arena *arena = record(index);
    if (arena->taken == 0 && ++totals.used > totals.used_peak) {
        totals.used_peak = totals.used;
    }
    list_remove(index);
    unsigned which = choose(arena->dirty != 0 ? arena->dirty : arena->free);
    *is_dirty = (arena->dirty & (1u << which)) != 0;
    if (*is_dirty) {
        arena->dirty &= (uint16_t) ~(1u << which);
        add_dirty(-1);
    }
    struct pym_pool *pool = first_pool(index) + which;
    /* models/region.pml: take_from */
    pool->owner = owner;
    pym_snapshot_order();
    arena->free &= (uint16_t) ~(1u << which);
    arena->taken |= (uint16_t)(1u << which);
    list_insert(index);
    if (++totals.pools > totals.pools_peak) {
        totals.pools_peak = totals.pools;
    }
    return pool;
}

struct pym_pool *pym_arena_take(struct pym_heap *owner, bool is_to_fill)
{
    struct pym_pool *pool = NULL;
    bool has_memory = true;
    pym_lock(&lock);
    is_to_fill |= arenas_ahead() != 0;
    uint32_t arena = fullest();
    bool has_grown = arena == 0 && grow();
    if (has_grown) {
        arena = fullest();
    }
    if (arena != 0) {
        pool = take_from(arena, owner, &has_memory);
        PYM_PROBE2(pymalloc, pool_made, pym_region_pool_start(pool), owner);
    }
    pym_unlock(&lock);
    if (is_to_fill && !has_memory && pym_os_page_size() <= PYM_POOL_SIZE) {
        (void)pym_os_populate(pym_region_pool_start(pool), PYM_POOL_SIZE);
    }
    if (has_grown || !has_memory) {
        pym_systrim_make_up();
    }
    return pool;
}

bool pym_arena_fit(void)
{
    pym_lock(&lock);
    bool smaller = pym_region_fit();
    totals.reserved = pym_region.reserved;
    pym_unlock(&lock);
    return smaller;
}

void pym_arena_give(struct pym_pool *pool)
{
    size_t index = pym_region_pool_index(pool);
    uint32_t arena_index = (uint32_t)(index / PYM_ARENA_POOLS);
    uint16_t bit = (uint16_t)(1u << index % PYM_ARENA_POOLS);
    uint64_t now = pym_os_now_ms();
    struct pym_arena *arena = record(arena_index);
    pym_lock(&lock);
    PYM_ASSERT((arena->taken & bit) != 0);
    PYM_PROBE2(pymalloc, pool_freed, pym_region_pool_start(pool), pool->owner);
    pool->state = PYM_POOL_FREE;
    pym_snapshot_order();
    pool->owner = PYM_NOBODY;
    list_remove(arena_index);
    arena->taken &= (uint16_t)~bit;
    arena->free |= bit;
    arena->dirty |= bit;
    arena->since_ms = now;
    add_dirty(1);
    totals.pools--;
    totals.used -= arena->taken == 0;
    list_insert(arena_index);
    pym_unlock(&lock);
}

/* ---- giving memory back ---- */

/* Purges the runs of pools that a mask names.  Returns those that failed. */
static uint16_t purge_runs(uint32_t arena, uint16_t mask)
{
    uint16_t failed = 0;
    while (mask != 0) {
        unsigned start = (unsigned)__builtin_ctz(mask);
        unsigned length = (unsigned)__builtin_ctz(~((unsigned)mask >> start));
        uint16_t run = (uint16_t)(((1u << length) - 1) << start);
        char *memory = pym_region_pool_start(first_pool(arena) + start);
        if (pym_os_purge(memory, (size_t)length << PYM_POOL_SHIFT) != 0) {
            failed |= run;
        }
        mask &= (uint16_t)~run;
    }
    return failed;
}

/* The pools of an arena whose memory is to be given back: with pages larger than a
 * pool the whole arena's, the clean ones with the others, or none. */
static uint16_t purgeable(const struct pym_arena *arena)
{
    if (pym_os_page_size() <= PYM_POOL_SIZE || arena->dirty == 0) {
        return arena->dirty;
    }
    return arena->free == ALL_FREE ? ALL_FREE : 0;
}

/*
 * Gives an arena's dirty memory back.  The lock is dropped meanwhile: its
 * pools are neither free nor taken then.
 */
static size_t purge_arena(uint32_t index)
{
    struct pym_arena *arena = record(index);
    uint16_t mask = purgeable(arena);
    if (mask == 0) {
        return 0;
    }
    uint16_t dirty = arena->dirty & mask;
    list_remove(index);
    arena->free &= (uint16_t)~mask;
    arena->dirty &= (uint16_t)~mask;
    add_dirty(-(long)pym_count_bits(dirty));
    list_insert(index);
    purging++;
    pym_unlock(&lock);

    uint16_t failed = purge_runs(index, mask);

    pym_lock(&lock);
    purging--;
    list_remove(index);
    arena->free |= mask;
    arena->dirty |= failed;
    if (PYM_UNLIKELY(failed != 0)) {
        arena->since_ms = pym_os_now_ms();
    }
    add_dirty(pym_count_bits(failed));
    list_insert(index);
    size_t bytes = (size_t)pym_count_bits(dirty & ~failed) << PYM_POOL_SHIFT;
    totals.purged_bytes += bytes;
    PYM_PROBE2(pymalloc, arena_purged, pym_region_pool_start(first_pool(index)), bytes);
    return bytes;
}

size_t pym_arena_purge_all(void)
{
    size_t bytes = 0;
    pym_lock(&lock);
    for (size_t i = pym_region.first_arena; i < pym_region.end_arena; i++) {
        bytes += purge_arena((uint32_t)i);
    }
    pym_unlock(&lock);
    return bytes;
}

bool pym_arena_has_dirty(void)
{
    return atomic_load_explicit(&dirty_pools, memory_order_relaxed) != 0;
}

/* Looks at the next arenas in turn and purges those whose time has come, until so many
 * bytes went back, or the kernel refused: what is locked (mlockall) it never takes. */
static void purge_some(uint64_t now, uint64_t wait, size_t bytes)
{
    size_t count = pym_region.end_arena - pym_region.first_arena;
    size_t most = count < DECAY_LOOK ? count : DECAY_LOOK;
    size_t purged = 0;
    for (size_t i = 0; i < most && purged < bytes; i++) {
        if (decay_cursor < pym_region.first_arena ||
            decay_cursor >= pym_region.end_arena) {
            decay_cursor = (uint32_t)pym_region.first_arena;
        }
        uint32_t index = decay_cursor++;
        struct pym_arena *arena = record(index);
        if (arena->dirty != 0 && now - arena->since_ms >= wait) {
            purged += purge_arena(index);
            if (PYM_UNLIKELY(arena->since_ms >= now)) {
                return;
            }
        }
    }
}

void pym_arena_decay(uint64_t now)
{
    if (!pym_arena_has_dirty() ||
        now < atomic_load_explicit(&next_decay_ms, memory_order_relaxed) ||
        !pym_lock_try(&lock)) {
        return;
    }
    atomic_store_explicit(&next_decay_ms, now + DECAY_PAUSE_MS, memory_order_relaxed);
    purge_some(now, PYM_OPTION(decay), DECAY_BYTES);
    pym_unlock(&lock);
}

void pym_arena_make_up_for(size_t bytes)
{
    uint64_t decay = PYM_OPTION(decay);
    if (pym_arena_has_dirty() && pym_lock_try(&lock)) {
        purge_some(pym_os_now_ms(), decay < SWING_MS ? decay : SWING_MS, bytes);
        pym_unlock(&lock);
    }
}

/* ---- looking ---- */

void pym_arena_totals(struct pym_arena_totals *out)
{
    pym_lock(&lock);
    *out = totals;
    out->dirty = atomic_load_explicit(&dirty_pools, memory_order_relaxed);
    pym_unlock(&lock);
}

/* The pool records must say of each pool what the arena's masks say. */
static unsigned verify_arena(uint32_t index,
                             void (*report)(const char *what, const void *where))
{
    const struct pym_arena *arena = record(index);
    unsigned wrong = 0;
    if ((arena->free & arena->taken) != 0 || (arena->dirty & ~arena->free) != 0) {
        report("arena masks contradict each other", arena);
        wrong++;
    }
    const struct pym_pool *pool = first_pool(index);
    for (unsigned i = 0; i < PYM_ARENA_POOLS; i++) {
        bool taken = (arena->taken >> i & 1) != 0;
        if (taken != (pool[i].owner != PYM_NOBODY)) {
            report("pool and arena disagree about an owner", &pool[i]);
            wrong++;
        }
    }
    return wrong;
}

static unsigned verify_lists(void (*report)(const char *what, const void *where))
{
    size_t listed = 0;
    unsigned wrong = 0;
    for (unsigned list = 0; list <= PYM_ARENA_POOLS; list++) {
        uint32_t previous = 0;
        for (uint32_t i = first[list]; i != 0; i = record(i)->next) {
            if (free_count(record(i)) != list || record(i)->prev != previous) {
                report("arena in the wrong list", record(i));
                wrong++;
            }
            previous = i;
            if (++listed > totals.made) {
                report("list of arenas has a cycle", record(i));
                return wrong + 1;
            }
        }
    }
    if (listed != totals.made) {
        report("arena in no list", NULL);
        wrong++;
    }
    return wrong;
}

PYM_RACY enum pym_arena_use pym_arena_use_of(const struct pym_pool *pool)
{
    size_t index = pym_region_pool_index(pool);
    const struct pym_arena *arena = record((uint32_t)(index / PYM_ARENA_POOLS));
    unsigned bit = 1u << index % PYM_ARENA_POOLS;
    if ((arena->taken & bit) != 0) {
        return PYM_ARENA_TAKEN;
    }
    if ((arena->dirty & bit) != 0) {
        return PYM_ARENA_DIRTY;
    }
    return pool->free_to == NULL ? PYM_ARENA_UNTOUCHED : PYM_ARENA_CLEAN;
}

PYM_RARE_CODE unsigned pym_arena_verify(void (*report)(const char *what,
                                                       const void *where))
{
    unsigned wrong = 0;
    size_t used = 0;
    size_t pools = 0;
    pym_lock(&lock);
    for (size_t i = pym_region.first_arena; i < pym_region.end_arena; i++) {
        if (pym_region_is_guard(i)) {
            continue;
        }
        wrong += verify_arena((uint32_t)i, report);
        used += record((uint32_t)i)->taken != 0;
        pools += (size_t)pym_count_bits(record((uint32_t)i)->taken);
    }
    wrong += verify_lists(report);
    if (used != totals.used || pools != totals.pools) {
        report("totals of the arenas are wrong", &totals);
        wrong++;
    }
    pym_unlock(&lock);
    return wrong;
}

/* ---- fork ---- */

/* Derives everything from the pool records.  Which free pools have memory
 * behind them is forgotten: all that ever had are taken to have it. */
static void rebuild(void)
{
    uint64_t now = pym_os_now_ms();
    memset(first, 0, sizeof(first));
    last_empty = 0;
    nonempty_lists = 0;
    totals.made = totals.used = totals.pools = 0;
    size_t dirty = 0;
    for (size_t i = pym_region.first_arena; i < pym_region.end_arena; i++) {
        if (pym_region_is_guard(i)) {
            continue;
        }
        struct pym_arena *arena = record((uint32_t)i);
        struct pym_pool *pool = first_pool((uint32_t)i);
        arena->taken = 0;
        for (unsigned p = 0; p < PYM_ARENA_POOLS; p++) {
            if (pool[p].owner == NULL) {
                pool[p].owner = PYM_NOBODY;
            }
            if (pool[p].owner != PYM_NOBODY) {
                arena->taken |= (uint16_t)(1u << p);
            }
        }
        arena->free = (uint16_t)(ALL_FREE & ~arena->taken);
        arena->dirty = arena->free;
        arena->since_ms = now;
        dirty += (size_t)pym_count_bits(arena->free);
        totals.made++;
        totals.used += arena->taken != 0;
        totals.pools += (size_t)pym_count_bits(arena->taken);
        list_insert((uint32_t)i);
    }
    atomic_store_explicit(&dirty_pools, dirty, memory_order_relaxed);
    pym_region_publish();
}

void pym_arena_after_fork(void)
{
    bool held = pym_lock_reset(&lock);
    if (held || purging != 0) {
        purging = 0;
        rebuild();
    }
}
