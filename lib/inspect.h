/*
 * Looking at the whole heap: the live blocks, and whether all invariants hold.
 *
 * Thread-safe.  Other threads go on meanwhile; what they change during a look
 * may be seen or missed, but never makes it fail.
 */
#ifndef PYM_INSPECT_H
#define PYM_INSPECT_H

#include "pool.h"

/* See pymalloc_walk. */
int pym_inspect_walk(int (*visit)(void *block, size_t size, void *arg), void *arg);

/* See pymalloc_verify.  more: looks at what else there is, reports and counts it. */
int pym_inspect_verify(unsigned (*more)(void (*report)(const char *what,
                                                       const void *where)));

/* Number of live blocks of a pool, which are marked in *live.  Between
 * pym_heaps_hold and pym_heaps_release only. */
unsigned pym_inspect_pool(const struct pym_pool *pool, struct pym_pool_bits *live);

/* Sends the calling thread's remote frees off and takes those of idle heaps
 * in, so that blocks on their way are not taken for live ones. */
void pym_inspect_settle(void);

#endif
