/*
 * Heaps: what a thread allocates small blocks from.
 *
 * A thread has one heap at a time, and a heap one thread.  The thread's bins,
 * one free list a size class, lie in thread-local storage: malloc pops there
 * and free pushes there without any lock or atomic operation.  A bin holds the
 * free blocks of one pool, the heap's active pool of that class.
 *
 *   thread-local        heap
 *   bin[0]  -> b -> b   active[0]      available[0] -> pool <-> pool
 *   bin[1]              active[1]      available[1]
 *    ...                 ...           spare -> pool <-> pool
 *   heap ------------->  outbox, inbox, cache of system blocks
 *
 * When a thread ends, its bins move into the heap and the heap becomes an
 * orphan: whole, with all pools as they are.  The next thread that needs a heap
 * adopts it.  Heaps are never freed, so a heap's address is an identity that no
 * other heap will have.
 *
 * A block's pool belongs to one heap for as long as the block is in use.
 */
#ifndef PYM_HEAP_H
#define PYM_HEAP_H

#include "harden.h"
#include "lock.h"
#include "pool.h"
#include "profile.h"
#include "remote.h"
#include "sampler.h"
#include "syscache.h"

enum pym_heap_state {
    PYM_HEAP_LIVE,   /* a thread has it, or is working on it */
    PYM_HEAP_ORPHAN, /* in the list of orphans */
    PYM_HEAP_BROKEN, /* the same, but as fork caught it: to be recovered */
};

/* Of scavenge.h. */
struct pym_scavenger {
    size_t next_pool; /* the next to look at, as an index */
    uint64_t next_ms; /* when to look at all of them again */
    uint64_t last_ms; /* when some were looked at */
    uint64_t bytes;   /* given back */
};

/* Of sweep.h. */
struct pym_sweeper {
    size_t next_pool; /* the next to look at, as an index */
    unsigned looked;  /* at pools, since the heap grew */
};

/* Of mix.h. */
struct pym_mixer {
    uint64_t next_look; /* when so many requests have been counted */
    uint64_t all;       /* had been, at the last look */
    uint64_t large;     /* of them */
    uint64_t kinds;     /* of the requests of a trial: a bit each, 1 for a large one */
    unsigned awaited;   /* requests until the trial ends; 0: there is none */
    bool is_mixed;      /* what the last trial has found */
};

struct pym_heap {
    /* Written by all threads. */
    struct pym_inbox inbox PYM_ALIGNED(PYM_CACHE_LINE);
    _Atomic uint32_t state;

    /* Used by the thread that has the heap. */
    void **bins PYM_ALIGNED(PYM_CACHE_LINE); /* thread-local ones, or saved */
    struct pym_pool *active[PYM_CLASSES];    /* NULL: none, and the bin is empty */
    struct pym_pool *available[PYM_CLASSES]; /* latest first */
    struct pym_pool *spare;
    unsigned spares;
    uint32_t ticks;
    bool hurries;        /* between two looks at the clock it stood still */
    uint64_t seen_ms;    /* at the last one, while free memory is to go back */
    uint32_t pools;      /* that the heap has */
    uint32_t availables; /* of them, in the lists above */
    struct pym_scavenger scavenger;
    struct pym_sweeper sweeper;
    struct pym_mixer mixer;
    uint32_t purge_seen; /* the last request to purge that was followed */
    struct pym_syscache cache;
    struct pym_outbox outbox;
    void *saved[PYM_CLASSES];      /* the bins of a heap without a thread */
    bool is_tagged;                /* what pym_pool_prepare is to make of its pools */
    uint8_t borrowed[PYM_CLASSES]; /* blocks had from a coarser class so far */
    uint8_t grown[PYM_CLASSES];    /* pools had from the arenas, up to a few */

    /* Blocks that entered a bin from the pool or from other threads, and those
     * that the thread itself freed into a bin: together, less what is in the
     * bin, the blocks handed out. */
    uint64_t supplied[PYM_CLASSES];
    uint64_t recycled[PYM_CLASSES];
    uint64_t received;          /* blocks freed by other threads */
    struct pym_sampler sampler; /* of guarded blocks */
    struct pym_poisson poisson; /* of the heap profile */

#if PYM_HARDENED
    struct pym_quarantine quarantine; /* of hardened.c */
#endif

    /* Of heaps.c. */
    unsigned number;              /* 1 for the first heap; set once */
    struct pym_heap *next;        /* all heaps; set once */
    struct pym_heap *next_orphan; /* only for an orphan */
    uint64_t idle_since_ms;       /* of an orphan; 0: it has nothing to give back */
};

/* What a thread has.  All zero in a new thread, which means: no heap yet. */
struct pym_thread {
    void *bin[PYM_CLASSES];
    struct pym_heap *heap;
    struct pym_syscache *cache; /* the heap's; NULL if blocks may not be cached */
    /* Of malloc, and set by mix.h: requests of up to so many bytes come from the bins,
     * others of up to so many from the cache; or all of them from either. */
    size_t small_end;  /* PYM_SMALL_MAX or 0 */
    size_t cached_end; /* PYM_CACHED_MAX or 0 */
    size_t mixed_end;  /* PYM_CACHED_MAX or 0 */
    size_t hits_end;   /* PYM_CACHED_MAX; 0 if none may come from the cache so */
    bool ended;        /* the heap has been handed on; there will be no other */
    uint8_t rounds;    /* of thread-specific destructors seen so far */
};

extern __thread struct pym_thread pym_thread PYM_HIDDEN
    __attribute__((tls_model("initial-exec")));

/*
 * A block of a class for a heap whose bin is empty: from its inbox, its active
 * pool, its other pools, or a new one.  NULL if no memory can be had.
 */
void *pym_heap_refill(struct pym_heap *heap, unsigned cls);

/* The same, but the next malloc of the class is to come by as well. */
void *pym_heap_refill_one(struct pym_heap *heap, unsigned cls);

/* Lets the next malloc of every class come by. */
void pym_heap_empty_bins(struct pym_heap *heap);

/* Does what a pool's countdown, now zero, was waiting for. */
void pym_heap_event(struct pym_pool *pool);

/* With a heap profile, one in so many hits of the cache of system blocks, on average,
 * is looked at. */
enum { PYM_HEAP_HITS_LOOKED_AT = 64 };

/* Does what is due now and then: called on all slow paths. */
void pym_heap_tick(struct pym_heap *heap);

/* Splices the chains in the inbox into their pools. */
void pym_heap_drain(struct pym_heap *heap);

/* Gives back what the heap holds for later use: pools without a block in use to
 * the arenas, cached blocks to the system allocator; or also what all heaps share. */
void pym_heap_strip(struct pym_heap *heap);
void pym_heap_purge(struct pym_heap *heap);

/* All heaps but emptied ones are to purge at their next visit to a slow path. */
void pym_heap_request_purge(void);

/* Moves the bins of a heap, with what is in them. */
void pym_heap_move_bins(struct pym_heap *heap, void **bins);

/* Makes a heap whole that a thread was changing when its memory was copied by
 * fork.  Its bins must be the saved ones. */
void pym_heap_recover(struct pym_heap *heap);

/* The head of the list that a pool's free blocks are in. */
void *pym_heap_free_list(const struct pym_pool *pool);

/* Blocks of a class that were handed out from the heap since it was made; of
 * doubtful worth while another thread is using it. */
uint64_t pym_heap_handed_out(const struct pym_heap *heap, unsigned cls);

#endif
