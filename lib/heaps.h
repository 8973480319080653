/*
 * All heaps: which thread has which, and which wait for one.
 *
 * Orphans are the heaps of threads that have ended.  One more heap, the
 * emergency heap, is shared under a lock by threads that have handed theirs on
 * and still allocate, in the destructors that run last.  Thread-safe.
 */
#ifndef PYM_HEAPS_H
#define PYM_HEAPS_H

#include "heap.h"

struct pym_heaps_totals {
    size_t heaps;
    size_t orphans;
};

/* Gives the calling thread a heap, an orphan or a new one; NULL if no memory
 * can be had.  Detach hands it on, with all that is in it. */
struct pym_heap *pym_heaps_attach(void);
void pym_heaps_detach(void);

/* Lets a heap take samples, if the options say so; the heap may be NULL. */
void pym_heaps_start_sampling(struct pym_heap *heap);

/* A block for a thread that has no heap any more, or NULL. */
void *pym_heaps_emergency_block(unsigned cls);

/* Called after a push to a heap's inbox: if the heap is an orphan, somebody else
 * must look into it before the program's memory grows. */
void pym_heaps_note_mail(const struct pym_heap *heap);

/* Looks into the inboxes of orphans, if there is something in them, so that
 * pools that have become free are given back. */
void pym_heaps_drain_orphans(void);

/* To be called now and then, with the time: what orphans keep for the next thread goes
 * back when none has come for a while. */
void pym_heaps_tend_orphans(uint64_t now_ms);

/* Purges the calling thread's heap and all orphans, and asks the heaps of other
 * threads to follow. */
void pym_heaps_purge(void);

/* Gives all free memory back now: the heaps', the arenas', and the system allocator's
 * but for keep bytes at its end.  Returns the bytes of pools; *trimmed tells whether
 * the system allocator gave some. */
size_t pym_heaps_give_back(size_t keep, bool *trimmed);

/*
 * Calls look for every heap while none can change hands, so that all bins stay
 * where they are.  idle tells whether the heap is the caller's or nobody's, so
 * that its contents do not change meanwhile.  look must not allocate.
 */
void pym_heaps_each(void (*look)(struct pym_heap *heap, bool idle, void *arg),
                    void *arg);

/* Between hold and release the bins of all heaps stay where they are, too. */
void pym_heaps_hold(void);
void pym_heaps_release(void);

void pym_heaps_totals(struct pym_heaps_totals *out);

/* In a forked child: the heaps of threads that are gone become orphans. */
void pym_heaps_after_fork(void);

#endif
