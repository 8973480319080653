/*
 * What the hardened library knows of the block at an address: of small blocks by their
 * states in the region's table, of system blocks by the ledger.
 */
#ifndef PYM_HELD_H
#define PYM_HELD_H

#include "ledger.h"
#include "region.h"
#include "syscache.h"

#if PYM_HARDENED

/*
 * The state of a small block:
 *
 *     | live | origin | more | canary bytes - 1 |
 *     7      6        5      4                  0
 *
 * or, with the first bit clear, one of these.  "more": the bytes in front of the canary
 * are not all the program's; the block was made larger for an alignment.
 */
enum {
    PYM_BLOCK_NEVER = 0,   /* no block was ever here */
    PYM_BLOCK_FREED = 1,   /* and may be handed out */
    PYM_BLOCK_WAITING = 2, /* in quarantine */
    PYM_ORIGIN_SHIFT = 5,
    PYM_ORIGIN_MASK = 3,
    PYM_BLOCK_MORE = 16,
};

/* A block, wherever it lies, as its owner has it. */
struct pym_held {
    size_t size; /* bytes that the program may use */
    size_t tail; /* bytes of canary that are known to follow */
    uint8_t origin;
    bool is_live;
    bool is_exact; /* size is what was asked for */
    bool is_front_whole;
};

/* Of any address; all zero but for what is a live block. */
struct pym_held pym_hold(const void *block);

/* Of one in the range, by its offset; and the size of a live block in a state. */
struct pym_held pym_hold_small(size_t offset);
size_t pym_held_small_size(size_t offset, uint8_t state);

/* Whether only blocks of no bytes lie there. */
PYM_INLINE bool pym_held_is_empty_place(size_t offset)
{
    return offset - pym_region_first_state() < PYM_ARENA_SIZE;
}

/* ---- the word before a system block ---- */

/* The system allocator keeps the block's size there, where that is known to be so; one
 * of its bits tells of the block before and may change.  0: it is not known. */
PYM_INLINE uint32_t pym_held_front(const void *block)
{
    enum { NEIGHBOUR = 1 };
    if (!pym_syscache_usable) {
        return 0;
    }
    uint64_t word = pym_sysalloc_chunk_word(block) & ~(size_t)NEIGHBOUR;
    return (uint32_t)(word ^ word >> 32);
}

/* Of a live block. */
PYM_INLINE bool pym_held_is_front_whole(const struct pym_ledger_entry *entry)
{
    return entry->front == 0 || entry->front == pym_held_front((void *)entry->block);
}

#endif

#endif
