/*
 * A lock of one word that needs no constructor and can be put back to its
 * first state in a forked child.
 *
 * Zeroed memory is an unlocked lock.  Locks have ranks: a thread that holds a
 * lock may only take locks of a higher rank, which debug builds check.  A
 * waiter spins a little, then sleeps in the kernel.  The release of unlock
 * pairs with the acquire of the next lock or try.
 */
#ifndef PYM_LOCK_H
#define PYM_LOCK_H

#include "atomic.h"

enum pym_lock_rank {
    PYM_RANK_EMERGENCY = 1, /* the heap of threads that have ended */
    PYM_RANK_HEAPS,         /* the list of heaps, and who owns which */
    PYM_RANK_ARENAS,        /* arenas */
    PYM_RANK_LEDGER,        /* of the hardened library */
    PYM_RANK_GUARD,         /* guarded blocks: innermost */
    PYM_RANK_PROFILE,       /* samples: innermost, too */
};

struct pym_lock {
    _Atomic uint32_t word; /* 0 free, 1 held, 2 held and somebody may sleep */
    uint32_t rank;
};

#define PYM_LOCK_INIT(lock_rank)                                                       \
    {                                                                                  \
        0, (lock_rank)                                                                 \
    }

void pym_lock(struct pym_lock *lock);
bool pym_lock_try(struct pym_lock *lock);
void pym_unlock(struct pym_lock *lock);

/*
 * The same for sections of a few instructions, where who waits is not woken but looks
 * again from time to time: so unlocking is a plain store, which need not wait for the
 * holder's stores before it.  A lock is used in one of the two ways.
 */
void pym_spin_lock(struct pym_lock *lock);
void pym_spin_unlock(struct pym_lock *lock);

/*
 * Sets what is to run in a forked child before its first lock: the child's
 * handler comes too late for other handlers that allocate.  Called at the start.
 */
void pym_lock_on_fork(void (*recover)(void));

/* In a forked child only: whether a thread of the parent held the lock when
 * the memory was copied; the lock is free afterwards. */
bool pym_lock_reset(struct pym_lock *lock);

#endif
