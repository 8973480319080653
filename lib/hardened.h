/*
 * malloc and its kin of the hardened library: what alloc.h has, and checks around it.
 *
 * Every block ends in a canary: the bytes between what was asked for and the end of the
 * block, at least one.  What is asked for is known, so malloc_usable_size returns just
 * that.  A freed block is overwritten, waits in its thread's quarantine, and is checked
 * to be untouched when it leaves and when it is handed out again.
 *
 * The states of small blocks stand in the region's table, those of system blocks in the
 * ledger.  Of two frees of a block one is told that it is the second: at once, or, if
 * both come at the same instant, when the block leaves the quarantine.
 *
 * What is wrong is reported in one line; then the program is aborted, or goes on
 * without the wrong call if the option "abort" is 0.  All functions are thread-safe and
 * keep the contracts of their namesakes.
 */
#ifndef PYM_HARDENED_H
#define PYM_HARDENED_H

#include "harden.h"

/* Who made a block, and so who may free it. */
enum pym_origin {
    PYM_BY_MALLOC,
    PYM_BY_NEW,
    PYM_BY_ARRAY_NEW,
};

void *pym_hardened_malloc(size_t size);
void *pym_hardened_calloc(size_t count, size_t size);
void *pym_hardened_realloc(void *block, size_t size);
void *pym_hardened_aligned(size_t alignment, size_t size);
void pym_hardened_free(void *block);
size_t pym_hardened_usable_size(void *block);

/* Says that a block has another origin, if it has the first; returns the block. */
void *pym_hardened_mark(void *block, enum pym_origin from, enum pym_origin to);

/* Frees what operator new made. */
void pym_hardened_delete(void *block);

/* Before operator delete[] calls operator delete: that new[] made the block. */
void pym_hardened_check_array(void *block);

/* That a block has the size that its freer takes it to have; else complains. */
void pym_hardened_check_size(const char *complaint, void *block, size_t size);

/* Counts, reporting each, the live blocks that were written past their end or before
 * their start, and the thread's own free blocks, in quarantine or not, that were
 * written to. */
unsigned pym_hardened_verify(void (*report)(const char *what, const void *where));

#endif
