/*
 * Pages of a pool that is in use, of which no block is: their memory is given back to
 * the system, and their blocks are away.  Such a block is neither free nor in use;
 * before it can be used, all blocks of its page are cut off anew.
 *
 *   page   |   0   |   1   |   2   |   3   |     returned: 1 and 2
 *   blocks | u f f f a a a a a a a a f u f f     in use, free, away
 *
 * A block that lies in two pages is away if one of them was given back.  An available
 * pool can have such pages, and an active one until its bin runs empty; a full one
 * none.
 *
 * Called by the thread that has the pool's heap.
 */
#ifndef PYM_PAGES_H
#define PYM_PAGES_H

#include "pool.h"

/* Whether a block that was once cut off is away. */
bool pym_pages_are_away(const struct pym_pool *pool, unsigned index);

/*
 * Gives the memory of those pages back in which every block is free, and takes these
 * blocks out of the pool's own list.  For a pool that is neither active nor tagged.
 * Returns the bytes; 0 as well if the system would not have them.
 */
size_t pym_pages_return(struct pym_pool *pool);

/* Cuts the blocks of one page that was given back off, for pym_pool_carve. */
unsigned pym_pages_carve(struct pym_pool *pool);

/* In a forked child, with a pool's free blocks marked: finds anew which blocks are cut
 * off, and which of them are away. */
void pym_pages_recover(struct pym_pool *pool, const struct pym_pool_bits *bits);

#endif
