#include "stacks.h"

#include "slab.h"

#include <string.h>

enum { SLAB_SIZE = 1 << 18, REMEMBERED = 256 };

static struct pym_stack *bucket[PYM_STACKS_BUCKETS] PYM_RARE_TABLE;
static struct pym_slab slab;

/* The thread is told by where this is: at the end of its stack, as a rule, so that
 * stacks of one thread end at one place. */
static __thread char self __attribute__((tls_model("initial-exec")));

static struct memory {
    const void *place;
    const void *thread;
    struct pym_stack *stack;
    void **slot[PYM_STACKS_FRAMES];
} remembered[REMEMBERED] PYM_RARE_TABLE;

static uint64_t hash_of(const struct pym_frame *frame, unsigned frames)
{
    uint64_t hash = frames;
    for (unsigned i = 0; i < frames; i++) {
        hash = pym_mix(hash ^ (uintptr_t)frame[i].address);
        hash ^= hash >> 29;
    }
    return hash;
}

static bool is_stack(const struct pym_stack *stack, uint64_t hash,
                     const struct pym_frame *frame, unsigned frames)
{
    bool same = stack->hash == hash && stack->frames == frames;
    for (unsigned i = 0; same && i < frames; i++) {
        same = stack->frame[i] == frame[i].address;
    }
    return same;
}

static struct pym_stack *make(uint64_t hash, const struct pym_frame *frame,
                              unsigned frames)
{
    struct pym_stack **first = &bucket[hash % PYM_STACKS_BUCKETS];
    size_t size = sizeof(struct pym_stack) + frames * sizeof((*first)->frame[0]);
    struct pym_stack *stack =
        pym_slab_cut(&slab, pym_round_up(size, PYM_GRAIN), SLAB_SIZE);
    if (stack != NULL) {
        *stack = (struct pym_stack){.next = *first, .hash = hash, .frames = frames};
        for (unsigned i = 0; i < frames; i++) {
            stack->frame[i] = frame[i].address;
        }
        *first = stack;
    }
    return stack;
}

struct pym_stack *pym_stacks_find(const struct pym_frame *frame, unsigned frames)
{
    uint64_t hash = hash_of(frame, frames);
    struct pym_stack *stack = pym_stacks_bucket(hash % PYM_STACKS_BUCKETS);
    while (stack != NULL && !is_stack(stack, hash, frame, frames)) {
        stack = stack->next;
    }
    return stack != NULL ? stack : make(hash, frame, frames);
}

static struct memory *memory_of(const void *place)
{
    return &remembered[pym_mix((uintptr_t)place) >> 56];
}

struct pym_stack *pym_stacks_recall(const void *place)
{
    const struct memory *memory = memory_of(place);
    bool is_here = memory->place == place && memory->thread == &self;
    struct pym_stack *stack = is_here ? memory->stack : NULL;
    for (unsigned i = 0; stack != NULL && i < stack->frames; i++) {
        if (*memory->slot[i] != stack->frame[i]) {
            return NULL;
        }
    }
    return stack;
}

void pym_stacks_remember(const void *place, struct pym_stack *stack,
                         const struct pym_frame *frame)
{
    struct memory *memory = memory_of(place);
    memory->place = NULL;
    for (unsigned i = 0; i < stack->frames; i++) {
        memory->slot[i] = frame[i].slot;
        if (frame[i].slot == NULL) {
            return;
        }
    }
    memory->stack = stack;
    memory->thread = &self;
    memory->place = place;
}

struct pym_stack *pym_stacks_bucket(size_t i)
{
    return bucket[i];
}

void pym_stacks_forget(void)
{
    memset(bucket, 0, sizeof(bucket));
    memset(remembered, 0, sizeof(remembered));
    slab = (struct pym_slab){NULL, 0};
}
