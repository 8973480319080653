/*
 * The reserved address range and its side tables.
 *
 *     base                                                        base + limit
 *     +----------------------+---------------+---------+---------+---- - - -
 *     | pool records, 64 B   | arena records | arena   | arena   | reserved
 *     | one for each 16 KiB  | 64 B each     |         |         | only
 *     +----------------------+---------------+---------+---------+---- - - -
 *
 * Whether an address is ours, and the record of its pool, follow from the
 * address alone.  Nothing lies in front of a block, and nothing in an arena but
 * blocks and what they leave over.
 *
 * The hardened library has a third table, of the states of blocks: a byte for every 16
 * bytes.  There an arena that never becomes usable comes first, whose addresses blocks
 * of no bytes have, and others lie between the arenas that are used.
 *
 * base and limit say "nothing is ours" until the first arena exists, each of them
 * alone: free reads both, with no order, while another thread may be setting them.
 * base is set once, limit only grows.  A thread that was handed a block sees a
 * limit beyond it, since limit grew before the block existed.
 */
#ifndef PYM_REGION_H
#define PYM_REGION_H

#include "atomic.h"
#include "harden.h"

struct pym_heap;

/*
 * The life of a pool.  FREE pools belong to the arena layer, all others to the
 * heap in owner, for as long as one of their blocks is in use.  Only a thread
 * that has the heap touches the record; other threads read owner and cls of a
 * pool in which they hold a block, and these do not change as long as they do.
 *
 *   FREE ---> ACTIVE       its blocks are in the heap's bin, and go back there
 *   ACTIVE -> FULL         the bin ran empty: all blocks are in use
 *   FULL ---> AVAILABLE    enough is free again: in the heap's list
 *   FULL ---> ACTIVE       a little is, and the heap would have to grow
 *   AVAILABLE -> ACTIVE    taken from that list
 *   AVAILABLE -> SPARE     all blocks are free: kept by the heap for any class
 *   SPARE --> ACTIVE, FREE
 *
 * A pool all of whose blocks become free at once goes from FULL to SPARE; one that is
 * to be ACTIVE no more, for a sample's sake or to give memory back, to AVAILABLE, SPARE
 * or FREE; and of SPARE ones a heap has but a few, so it may be FREE instead.
 */
enum pym_pool_state {
    PYM_POOL_FREE,
    PYM_POOL_ACTIVE,
    PYM_POOL_FULL,
    PYM_POOL_AVAILABLE,
    PYM_POOL_SPARE,
};

struct pym_pool {
    /* The heap that may touch this record; PYM_NOBODY in FREE. */
    struct pym_heap *owner;
    /* Where the owner's frees go: the bin in ACTIVE, else &local.  Set in all
     * states but FREE. */
    void **free_to;
    /* Free blocks, linked through their first words.  NULL in ACTIVE. */
    void *local;
    /* The owner's frees until something is to be done.  ACTIVE: a visit to the
     * clock.  FULL: blocks until AVAILABLE.  AVAILABLE: blocks in use.  SPARE: 1,
     * so that a second free is noticed.  Means nothing in FREE. */
    uint32_t countdown;
    /* Blocks that have been cut off the pool's memory so far. */
    uint16_t carved;
    uint8_t cls;
    uint8_t state;
    /* What countdown was set to; only in ACTIVE. */
    uint16_t armed;
    /* Bytes from the pool's start to its first block. */
    uint8_t first;
    /* In which lists of its heap it is; of gc_heap.h alone. */
    uint8_t listed;
    /* A bit for each page whose memory was given back while blocks of other pages were
     * in use; and the blocks that reach into such pages, which are neither free nor in
     * use until they are cut off anew. */
    uint8_t returned;
    uint16_t away;
    /* In AVAILABLE: of scavenge.h alone. */
    uint16_t due;
    /* Neighbours in the heap's list; only in AVAILABLE and SPARE. */
    struct pym_pool *next;
    struct pym_pool *prev;
} PYM_ALIGNED(PYM_CACHE_LINE);

#define PYM_POOL_RECORD_SHIFT 6
_Static_assert(sizeof(struct pym_pool) == 1 << PYM_POOL_RECORD_SHIFT,
               "pool records are found by shifting");

/* The owner of a free pool: not NULL, which a thread without a heap has. */
#define PYM_NOBODY ((struct pym_heap *)1)

struct pym_arena;

struct pym_region {
    size_t reserved;          /* bytes of addresses; 0: there is no region */
    struct pym_arena *arenas; /* record of the arena at base + 0, and so on */
    size_t first_arena;       /* the first that is not covered by the tables */
    size_t end_arena;         /* one more than the last made */
    size_t committed_arena;   /* memory is usable up to here */
};

extern struct pym_region pym_region PYM_HIDDEN;

/* The base before there is a range: no address that a program can have is as near
 * behind it as a range is long. */
#define PYM_REGION_FAR ((uintptr_t)1 << 63)

/* What free reads: two variables, each alone on a cache line that is hardly
 * ever written.  As members of one structure they would cost free an
 * instruction more. */
extern union pym_region_start {
    uintptr_t base;
    char line[PYM_CACHE_LINE];
} pym_region_start PYM_HIDDEN;
#define pym_region_base pym_region_start.base

extern union pym_region_limit {
    _Atomic size_t atomic; /* bytes from base to the end of the last arena */
    size_t plain;
} pym_region_end PYM_HIDDEN;

/* Compilers do not fold an atomic load into a comparison, which free would pay
 * for; so only ThreadSanitizer is shown one. */
PYM_INLINE size_t pym_region_limit(void)
{
    if (PYM_TSAN) {
        return atomic_load_explicit(&pym_region_end.atomic, memory_order_relaxed);
    }
    return pym_region_end.plain;
}

/* Distance from base; at least the limit for all that is not ours. */
PYM_INLINE size_t pym_region_offset(const void *address)
{
    return (uintptr_t)address - pym_region_base;
}

PYM_INLINE bool pym_region_owns(const void *address)
{
    /* models/region.pml: owns */
    return pym_region_offset(address) < pym_region_limit();
}

/* The record of the pool at an offset below the limit. */
PYM_INLINE struct pym_pool *pym_region_pool_at(size_t offset)
{
    uintptr_t record = (offset >> (PYM_POOL_SHIFT - PYM_POOL_RECORD_SHIFT)) &
                       ~(((uintptr_t)1 << PYM_POOL_RECORD_SHIFT) - 1);
    return (struct pym_pool *)(pym_region_base + record);
}

PYM_INLINE struct pym_pool *pym_region_pool_of(const void *address)
{
    return pym_region_pool_at(pym_region_offset(address));
}

PYM_INLINE size_t pym_region_pool_index(const struct pym_pool *pool)
{
    return ((uintptr_t)pool - pym_region_base) >> PYM_POOL_RECORD_SHIFT;
}

/* ---- of the hardened library ---- */

#if PYM_HARDENED

extern _Atomic uint8_t *pym_region_states PYM_HIDDEN;

PYM_INLINE _Atomic uint8_t *pym_region_state_at(size_t offset)
{
    return &pym_region_states[offset >> PYM_GRAIN_SHIFT];
}

/* The pool holds blocks of another size from now on. */
void pym_region_forget_states(const struct pym_pool *pool);

/* The first byte, as an offset, that has a state: of the arena of empty blocks. */
PYM_INLINE size_t pym_region_first_state(void)
{
    return (pym_region.first_arena - 1) << PYM_ARENA_SHIFT;
}

#else

PYM_INLINE void pym_region_forget_states(const struct pym_pool *pool)
{
    (void)pool;
}

#endif

/* Whether a block that no list has is the program's: not one in quarantine. */
PYM_INLINE bool pym_region_is_live(const void *block)
{
#if PYM_HARDENED
    uint8_t state = atomic_load_explicit(pym_region_state_at(pym_region_offset(block)),
                                         memory_order_relaxed);
    return (state & PYM_BLOCK_LIVE) != 0;
#else
    (void)block;
    return true;
#endif
}

/* Bytes of a live block that are known not to have been asked for. */
PYM_INLINE unsigned pym_region_tail(const void *block)
{
#if PYM_HARDENED
    return (atomic_load_explicit(pym_region_state_at(pym_region_offset(block)),
                                 memory_order_relaxed) &
            PYM_TAIL_MASK) +
           1u;
#else
    (void)block;
    return 0;
#endif
}

/* Arenas that have an unreadable one behind them: with more of them, a heap of some GiB
 * would pass the number of mappings that the kernel allows. */
enum { PYM_REGION_GUARDS = 4096 };

/* Whether an arena is one of the unreadable ones between others. */
PYM_INLINE bool pym_region_is_guard(size_t arena)
{
    size_t place = arena - pym_region.first_arena;
    return PYM_HARDENED && place < 2 * (size_t)PYM_REGION_GUARDS && place % 2 == 1;
}

/* The first byte of a pool's memory. */
PYM_INLINE char *pym_region_pool_start(const struct pym_pool *pool)
{
    return (char *)(pym_region_base + (pym_region_pool_index(pool) << PYM_POOL_SHIFT));
}

/*
 * Reserves the range: at most most bytes, halved until the system grants it,
 * and no more than a fraction of a limited address space.  Leaves the region
 * empty if nothing can be had.  Called once, under the arena lock.
 */
void pym_region_init(size_t most);

/*
 * Gives back the part of the range that nothing lies in, as far as it is more
 * than the program's limit on addresses, which may have come later than the
 * range, leaves to us.  Tells whether it did.  Called under the arena lock.
 */
bool pym_region_fit(void);

/*
 * Makes one more arena and returns its index: its memory and its records are
 * usable and zero.  0 if the range is used up or the system has no memory.
 * Called under the arena lock; the caller fills the records, then calls
 * pym_region_publish.
 */
size_t pym_region_extend(void);
void pym_region_publish(void);

#endif
