/*
 * Arenas: 256 KiB each, 16 pools each, shared by all heaps.
 *
 * A heap takes a pool from the fullest arena that has a free one, so that the
 * emptier arenas drain and their memory can go back to the system.  Memory of
 * free pools goes back after a decay time (the option "decay"), measured from
 * the last time that memory of that arena became free; whoever visits a slow
 * path does the work.
 *
 * One lock guards everything here; it is innermost, and never held across a
 * system call that gives memory back (addresses, which few programs have to, excepted).
 */
#ifndef PYM_ARENA_H
#define PYM_ARENA_H

#include "region.h"

/*
 * The record of an arena.  Masks have a bit for each pool.  A pool is free or
 * taken; or neither, while its memory is being given back without the lock.
 * Each arena is in the list for its number of free pools.
 */
struct pym_arena {
    uint32_t next, prev; /* arena indices; 0 ends the list */
    uint16_t free;       /* pools that can be taken */
    uint16_t taken;      /* pools that heaps have */
    uint16_t dirty;      /* of the free ones: with memory behind them */
    uint64_t since_ms;   /* when dirty last grew, or could not be given back */
    uint64_t padding[5];
};

_Static_assert(sizeof(struct pym_arena) == PYM_CACHE_LINE, "a record fills a line");

struct pym_arena_totals {
    size_t reserved;  /* bytes */
    size_t made;      /* arenas */
    size_t used;      /* arenas with a pool that a heap has */
    size_t used_peak; /* the most so far */
    size_t pools;     /* pools that heaps have */
    size_t pools_peak;
    size_t dirty; /* free pools with memory behind them */
    uint64_t purged_bytes;
};

/* Takes a free pool for a heap; its record is FREE but for the owner.  If all of it is
 * going to be used, or there are many pools, it has memory already.  NULL if no memory
 * can be had. */
struct pym_pool *pym_arena_take(struct pym_heap *owner, bool is_to_fill);

/* Gives addresses back that a limit forbids; tells whether there were any. */
bool pym_arena_fit(void);

/* Gives a pool back, all of whose blocks are free. */
void pym_arena_give(struct pym_pool *pool);

/* Gives the memory of free pools back to the system if they have waited long
 * enough by the clock, or at once.  Returns the bytes.  decay does little at a time. */
size_t pym_arena_purge_all(void);
void pym_arena_decay(uint64_t now_ms);

/* The process has grown elsewhere by so many bytes: gives back as many, if there are,
 * that have not waited their time. */
void pym_arena_make_up_for(size_t bytes);

/* Whether decay would find anything to wait for. */
bool pym_arena_has_dirty(void);

void pym_arena_totals(struct pym_arena_totals *out);

/* What a pool is to this layer, at this moment. */
enum pym_arena_use {
    PYM_ARENA_UNTOUCHED, /* never had memory */
    PYM_ARENA_TAKEN,     /* a heap has it */
    PYM_ARENA_DIRTY,     /* free, with memory behind it */
    PYM_ARENA_CLEAN,     /* free, and its memory was given back */
};
enum pym_arena_use pym_arena_use_of(const struct pym_pool *pool);

/* Counts violations of this layer's invariants, reporting each. */
unsigned pym_arena_verify(void (*report)(const char *what, const void *where));

/* In a forked child: makes the state whole if another thread was changing it. */
void pym_arena_after_fork(void);

#endif
