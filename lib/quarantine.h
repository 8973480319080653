/*
 * The hardened library's quarantine: a thread holds its last freed blocks back, so that
 * a pointer to them that is still in use meets no other block there.  A block is filled
 * before it comes here, and looked at when it leaves.
 *
 * The structures are a heap's (harden.h), used by the thread that has it.
 */
#ifndef PYM_QUARANTINE_H
#define PYM_QUARANTINE_H

#include "alloc.h"
#include "canary.h"
#include "held.h"
#include "options.h"

#if PYM_HARDENED

/* Slow paths: a block that is not as it came, or that came twice; a thread that has no
 * quarantine yet, or no more, or one for which none is wanted. */
void pym_quarantine_leave_faulty(void *block, size_t offset);
void pym_quarantine_elsewhere(void *block);

/* Holds a system block back, of a size that the quarantine takes. */
void pym_quarantine_chunk(void *block, size_t size);

/* Larger blocks do not wait: the system unmaps the largest at once. */
bool pym_quarantine_takes(size_t size);

/* How much of a system block is overwritten when it is freed: of larger ones the start,
 * where errors are likely; but nothing is left to be read if that is what is wanted. */
size_t pym_quarantine_part(size_t size);

/* Lets all blocks of the calling thread's go. */
void pym_quarantine_flush(void);

/* Calls look for each block of the calling thread's that is not as it came. */
void pym_quarantine_verify(void (*look)(const void *block, void *arg), void *arg);

/* Room for small blocks is there or not. */
PYM_INLINE bool pym_quarantine_is_on(void)
{
    return PYM_OPTION(quarantine) >= PYM_WAITING_SMALL * PYM_SMALL_MAX;
}

/* Released to the thread whose pool it is, which may look at it: its filling. */
PYM_INLINE void pym_quarantine_end(void *block, size_t offset)
{
    atomic_store_explicit(pym_region_state_at(offset), PYM_BLOCK_FREED,
                          memory_order_release);
    pym_alloc_free_small(block, offset);
}

/* The rest of the block is looked at when it is handed out again. */
PYM_INLINE void pym_quarantine_leave(void *block)
{
    size_t offset = pym_region_offset(block);
    uint8_t was =
        atomic_load_explicit(pym_region_state_at(offset), memory_order_relaxed);
    if (PYM_UNLIKELY(was != PYM_BLOCK_WAITING || !pym_canary_is_filled(block, 16))) {
        pym_quarantine_leave_faulty(block, offset);
        return;
    }
    pym_quarantine_end(block, offset);
}

/* Holds a freed block back; returns the one that leaves in its place, if any. */
PYM_INLINE void *pym_quarantine_exchange(struct pym_quarantine *quarantine, void *block)
{
    unsigned place = quarantine->next_small;
    void *oldest = quarantine->small[place];
    quarantine->next_small = (place + 1) % PYM_WAITING_SMALL;
    quarantine->small[place] = block;
    return oldest;
}

PYM_INLINE void pym_quarantine_small(void *block)
{
    struct pym_heap *heap = pym_thread.heap;
    if (PYM_UNLIKELY(heap == NULL || !pym_quarantine_is_on())) {
        pym_quarantine_elsewhere(block);
        return;
    }
    block = pym_quarantine_exchange(&heap->quarantine, block);
    if (PYM_LIKELY(block != NULL)) {
        pym_quarantine_leave(block);
    }
}

#endif

#endif
