/*
 * The places that samples come from: stacks of return addresses, each kept once and as
 * long as the process, with what is counted for it.  Guarded by the caller.
 */
#ifndef PYM_STACKS_H
#define PYM_STACKS_H

#include "poisson.h"
#include "trace.h"

enum { PYM_STACKS_FRAMES = 64, PYM_STACKS_BUCKETS = 1 << 12 };

/* What does not change needs no guard. */
struct pym_stack {
    struct pym_stack *next; /* in its bucket */
    uint64_t hash;
    struct pym_weight live;
    struct pym_weight all;
    struct pym_weight
        peak; /* what was live in a certain epoch, if it is the last one */
    uint64_t epoch;
    unsigned frames;
    void *frame[];
};

/* The one with these frames; NULL if it is new and there is no memory. */
struct pym_stack *pym_stacks_find(const struct pym_frame *frame, unsigned frames);

/*
 * Walking a stack takes microseconds, and the same few come again and again.  So it is
 * remembered for a place on the stack where the return addresses of its frames were; if
 * they are all still there, it is the same stack.  Each of them, from the inside out,
 * shows that the frame of its caller lies above it.  That may be smaller than it was,
 * by an alloca; then what is read lies further out, but not beyond the end of the
 * stack: it must be the same thread's.
 */
struct pym_stack *pym_stacks_recall(const void *place);
void pym_stacks_remember(const void *place, struct pym_stack *stack,
                         const struct pym_frame *frame);

struct pym_stack *pym_stacks_bucket(size_t i);

/* All of them, without a look at what may be half written. */
void pym_stacks_forget(void);

#endif
