/*
 * Sampled guard pages: a few of a program's blocks get a page of their own each,
 * between pages that cannot be accessed.
 *
 *     |  cannot be accessed  |  gap  | block | slack |  cannot be accessed  |
 *                            ^ page          ^ 0..15 bytes
 *
 * An access past the end, or to the block when it has been freed, ends in SIGSEGV at
 * once, and a report says what was wrong and where the block was allocated and freed.
 * What is written into the gap and the slack is found when the block is freed.
 *
 * The word in front of the block is 0, so that free takes it for one that cannot be
 * cached, and comes by here without a test on its fast path.
 *
 * Which blocks: sampler.h, and the option "guard".  The idea, sampling to afford guard
 * pages in production, is that of Electric Fence as Chromium and LLVM sample it
 * (GWP-ASan).
 *
 * Thread-safe.
 */
#ifndef PYM_GUARD_H
#define PYM_GUARD_H

#include "base.h"

/* Where guarded blocks lie; the size is 0 while there are none. */
extern uintptr_t pym_guard_base PYM_HIDDEN;
extern size_t pym_guard_size PYM_HIDDEN;

PYM_INLINE bool pym_guard_owns(const void *block)
{
    return (uintptr_t)block - pym_guard_base < pym_guard_size;
}

/* Makes the place for guarded blocks and sees to it that errors are reported.  At the
 * start only. */
void pym_guard_init(void);

/* A zeroed block, or NULL: where it is too large, there are too many, or no memory. */
void *pym_guard_allocate(size_t size);

/* Of a block that pym_guard_owns.  What is no live block is reported, and then 0 or
 * nothing if the program is to go on. */
void pym_guard_free(void *block);
size_t pym_guard_usable_size(const void *block);

/* In a forked child. */
void pym_guard_after_fork(void);

#endif
