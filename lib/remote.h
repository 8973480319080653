/*
 * Remote frees: blocks freed by another thread than the one that has their
 * pool's heap.
 *
 * The sender collects blocks by pool in a small direct-mapped table.  When a
 * slot is needed for another pool, or the bytes collected pass a budget, the
 * blocks go out as chains, one a pool, pushed to the inbox of the pool's heap:
 * chains for the same heap travel together with one atomic operation.  The
 * owner takes its whole inbox with one exchange and splices each chain into
 * its pool's free list in constant time.
 *
 * A chain is linked through the first words of its blocks.  The second word of
 * its first block is a note:
 *
 *     | next chain, as offset / 16 from the region's base | tail | count - 1 |
 *     63                                                20     10          0
 *
 * tail is the distance of the last block from the start of the pool, / 16; its
 * link is not set.  An offset of 0 ends the list of chains: it is no block's.
 *
 * Who may do what at the same time:
 *                 push   take
 *     push        yes    yes
 *     take        yes    no: only the thread that has the heap
 *
 * A push is done at its compare-and-exchange (release); a take at its exchange
 * (acquire), which pairs with the releases of all pushes that it takes.  The push
 * and the look whether there is something are sequentially consistent besides, for
 * the sake of orphans (heaps.c).
 */
#ifndef PYM_REMOTE_H
#define PYM_REMOTE_H

#include "region.h"

enum { PYM_REMOTE_SLOTS = 64 };

struct pym_inbox {
    _Atomic(void *) first; /* the first block of the latest chain */
};

/* Blocks of one pool on their way back. */
struct pym_chain {
    struct pym_pool *pool; /* NULL: none */
    void *head;
    void *tail;
    size_t count;
};

/* What a thread has freed and not sent yet.  Zeroed is empty. */
struct pym_outbox {
    size_t bytes;
    uint64_t sent; /* blocks so far */
    struct pym_chain slot[PYM_REMOTE_SLOTS];
};

/* Collects a block of another heap's pool; sends when there is enough. */
void pym_remote_collect(struct pym_outbox *outbox, struct pym_pool *pool, void *block);

/* Sends everything. */
void pym_remote_flush(struct pym_outbox *outbox);

/* Sends one block at once, for a thread that has no outbox. */
void pym_remote_send(struct pym_pool *pool, void *block);

/* Blocks that were sent so. */
extern _Atomic uint64_t pym_remote_stray PYM_HIDDEN;

/* Blocks that a thread has freed and not sent yet, and those sent. */
uint64_t pym_remote_freed(const struct pym_outbox *outbox);

PYM_INLINE bool pym_inbox_empty(const struct pym_inbox *inbox)
{
    return atomic_load_explicit(&inbox->first, memory_order_seq_cst) == NULL;
}

/* Takes all chains; the result is for pym_inbox_next. */
void *pym_inbox_take(struct pym_inbox *inbox);

/* Fills *chain from the first of the chains at first, which must not be NULL,
 * and returns the rest. */
void *pym_inbox_next(void *first, struct pym_chain *chain);

#endif
