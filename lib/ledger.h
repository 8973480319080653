/*
 * The hardened library's ledger of system blocks: which are in use, and how large they
 * were asked to be.  It lies outside of all blocks, so nothing that a program does to a
 * block can forge an entry, and looking a pointer up never touches what it points to.
 *
 * Open addressing in shards, each under a lock of its own.  Freed blocks keep their
 * entry until the table is made anew, so that a second free is known to be one.
 *
 * All functions are thread-safe.
 */
#ifndef PYM_LEDGER_H
#define PYM_LEDGER_H

#include "harden.h"

enum pym_ledger_state {
    PYM_LEDGER_UNKNOWN, /* no entry: no block of ours */
    PYM_LEDGER_LIVE,
    PYM_LEDGER_FREED,
};

struct pym_ledger_entry {
    uintptr_t block; /* 0: none */
    uint64_t size;   /* bytes asked for */
    uint8_t state;   /* enum pym_ledger_state */
    uint8_t origin;  /* of hardened.c */
    uint8_t tail;    /* bytes of canary behind the block */
    uint32_t front;  /* what is known of the word before the block; 0: nothing */
};

/* Enters a live block, of which the caller fills all but the state, and writes its
 * canary.  False if there is no memory for that. */
bool pym_ledger_add(struct pym_ledger_entry added);

/* Makes room for a block wherever it lies.  False if there is no memory for that. */
bool pym_ledger_reserve(void);

/* What is known of a pointer. */
struct pym_ledger_entry pym_ledger_find(const void *block);

/* Changes an entry's state if it is the given one; so of two threads that free a block
 * one succeeds.  Returns the entry as it was. */
struct pym_ledger_entry pym_ledger_change(void *block, enum pym_ledger_state from,
                                          enum pym_ledger_state to);

/* Changes a live entry's origin if it is the given one; tells whether it did. */
bool pym_ledger_mark(void *block, uint8_t from, uint8_t to);

/* The live block that an address lies in; all zero if there is none.  Slow. */
struct pym_ledger_entry pym_ledger_around(const void *address);

/* Calls look for every live entry, which stays so meanwhile. */
void pym_ledger_each(void (*look)(const struct pym_ledger_entry *entry, void *arg),
                     void *arg);

/* In a forked child. */
#if PYM_HARDENED
void pym_ledger_after_fork(void);
#else
PYM_INLINE void pym_ledger_after_fork(void)
{
}
#endif

#endif
