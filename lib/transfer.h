/*
 * The transfer cache: chains of freed system blocks on their way from a heap
 * that frees more of a class than it asks for to one that asks for more.
 *
 * Each class of the cache of system blocks has a few slots, each empty or
 * holding one chain.  A chain is left with one compare-and-exchange and taken
 * with one exchange, as a whole; so there is no lock, and no block is ever
 * looked at by two threads.  What lies here is bounded by the caller, and goes
 * back to the system when its class has not been asked for lately.
 *
 * Callable from any thread, and from the child of a fork: there a chain that
 * another thread was about to leave or had just taken is lost, and nothing else.
 */
#ifndef PYM_TRANSFER_H
#define PYM_TRANSFER_H

#include "sizeclass.h"

/* Leaves a chain of count blocks of a class, linked through their first words;
 * the last link is ignored, and overwritten.  False, and the chain is still the
 * caller's, if its slots are taken or if more than most bytes would lie here. */
bool pym_transfer_leave(unsigned cls, void *head, void *tail, uint32_t count,
                        int64_t most);

/* Takes a chain, which ends in NULL.  NULL if there is none. */
void *pym_transfer_take(unsigned cls, uint32_t *count);

/* Whether somebody found none since one was last left. */
bool pym_transfer_lacks(unsigned cls);

/* Returns to the system what no one has asked for since the last call, or
 * everything; these return how many bytes that was. */
int64_t pym_transfer_decay(void);
int64_t pym_transfer_empty(void);

/* Number and bytes of the blocks that lie here, and how many have gone back to
 * the system from here. */
size_t pym_transfer_count(size_t *bytes, uint64_t *shed);

/* In a forked child: counts anew. */
void pym_transfer_after_fork(void);

#endif
