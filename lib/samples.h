/*
 * The blocks that are samples of the heap profile, and what they add up to by the
 * places where they were allocated.
 *
 * One lock guards all of it, which nothing but samples takes.  Thread-safe.
 */
#ifndef PYM_SAMPLES_H
#define PYM_SAMPLES_H

#include "stacks.h"

/* A live block. */
struct pym_sample {
    struct pym_sample *next;
    struct pym_sample *prev;
    struct pym_stack *stack;
    struct pym_weight weight;
    uint64_t since_ms;
    const void *block; /* NULL: it is not live */
    uint64_t life;     /* of the records that it is part of */
};

struct pym_samples_totals {
    struct pym_weight live;
    struct pym_weight all;
    uint64_t peak_bytes;
    uint64_t samples_live;
    uint64_t samples_all;
};

/* One for a block, with the stack that the caller is called from.  NULL if there is no
 * memory: then the block is in no profile. */
struct pym_sample *pym_samples_begin(const void *block,
                                     const struct pym_weight *weight);

/* Does nothing if it was forgotten in a fork. */
void pym_samples_end(struct pym_sample *sample, const void *block);

struct pym_samples_totals pym_samples_totals(void);

/* Copies the live ones, at most so many, and returns how many. */
size_t pym_samples_copy(struct pym_sample *copy, size_t most);

/* What a stack stands for at one moment. */
struct pym_samples_figures {
    struct pym_weight live;
    struct pym_weight all;
    struct pym_weight peak; /* was live when most of all was */
};

/* Calls visit for every stack, without the lock. */
void pym_samples_each_stack(void (*visit)(void *arg, const struct pym_stack *stack,
                                          const struct pym_samples_figures *figures),
                            void *arg);

/* In a forked child: begins anew if the parent was changing the records just then. */
void pym_samples_after_fork(void);

#endif
