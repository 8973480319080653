/*
 * What the hardened library adds below the heaps: links in free blocks that cannot be
 * forged, a random source, and what a heap keeps for it.
 *
 * libpymalloc-hardened.so is made of the same sources with PYM_HARDENED set.  In the
 * plain library everything here is nothing.
 *
 * A link is stored as
 *
 *     next ^ key ^ (address of the block, rotated by half a word)
 *
 * so that who can write into freed memory, but does not know the key, cannot choose
 * the block that is handed out next; and who can read it learns no address.  What a
 * link decodes to must lie in the same pool.
 */
#ifndef PYM_HARDEN_H
#define PYM_HARDEN_H

#include "base.h"

#ifndef PYM_HARDENED
#define PYM_HARDENED 0
#endif

/* The state of a small block: a byte for every 16 bytes of the region, out of line,
 * that means something only where a block starts (hardened.c). */
enum {
    PYM_BLOCK_LIVE = 0x80, /* else free, or no block's start */
    PYM_TAIL_MASK = 15,    /* of a live block: bytes that were not asked for, less 1 */
};

#if PYM_HARDENED

/* A heap's, used by the thread that has it: freed blocks on their way to be used again,
 * first in, first out. */
enum { PYM_WAITING_SMALL = 64, PYM_WAITING_CHUNKS = 64 };

struct pym_quarantine {
    void *small[PYM_WAITING_SMALL]; /* a ring; NULL where no block waits yet */
    struct {
        void *block;
        size_t size;
    } chunk[PYM_WAITING_CHUNKS]; /* of the system */
    unsigned next_small;         /* the oldest's place, which the next one takes */
    unsigned first_chunk;
    unsigned chunks;
    size_t chunk_bytes;
};

extern uintptr_t pym_harden_key PYM_HIDDEN;

/* What freed memory is overwritten with. */
extern uint64_t pym_harden_filling PYM_HIDDEN;

/* Makes the key and the filling, before the first block exists and when the options
 * have been read.  Idempotent. */
void pym_harden_init(void);

/* Numbers that a program's user cannot foresee.  Thread-safe. */
uint64_t pym_harden_random(void);

_Noreturn void pym_harden_broken_link(const void *block);

/* Its own inverse. */
PYM_INLINE uintptr_t pym_harden_code(const void *block, uintptr_t word)
{
    uintptr_t address = (uintptr_t)block;
    return word ^ pym_harden_key ^ (address << 32 | address >> 32);
}

/* The checks are cheap, and what fails them would be a write to anywhere. */
PYM_INLINE void *pym_harden_check_link(const void *block, void *next)
{
    uintptr_t distance = (uintptr_t)next ^ (uintptr_t)block;
    if (PYM_UNLIKELY((distance >= PYM_POOL_SIZE || distance % PYM_GRAIN != 0) &&
                     next != NULL)) {
        pym_harden_broken_link(block);
    }
    return next;
}

/* The same for blocks of the system, which lie anywhere. */
PYM_INLINE void *pym_harden_check_chunk(const void *block, void *next)
{
    if (PYM_UNLIKELY((uintptr_t)next % PYM_GRAIN != 0 || (uintptr_t)next >> 56 != 0)) {
        pym_harden_broken_link(block);
    }
    return next;
}

#else

PYM_INLINE uintptr_t pym_harden_code(const void *block, uintptr_t word)
{
    (void)block;
    return word;
}

PYM_INLINE void *pym_harden_check_link(const void *block, void *next)
{
    (void)block;
    return next;
}

PYM_INLINE void *pym_harden_check_chunk(const void *block, void *next)
{
    (void)block;
    return next;
}

PYM_INLINE void pym_harden_init(void)
{
}

PYM_INLINE uint64_t pym_harden_random(void)
{
    return 0;
}

#endif

#endif
