/* The Boehm-Demers-Weiser collector: see gc_backend.h. */
#ifndef BENCH_GC_BOEHM_H
#define BENCH_GC_BOEHM_H

#include <gc.h>

#define BACKEND_COLLECTS 1

struct node {
    node *a, *b;
    long value;
};

struct wide {
    size_t count;
    node *items[];
};

static inline node *node_new(void)
{
    return GC_MALLOC(sizeof(node));
}

/* Without the barriers the compiler drops stores, and so references, that it sees
 * nobody read. */
static inline void node_store(void *owner, node **slot, node *value)
{
    *slot = value;
    __asm__ volatile("" : : "r"(owner), "r"(slot) : "memory");
}

static inline void node_drop(node *object)
{
    __asm__ volatile("" : : "r"(object) : "memory");
}

static inline void node_keep(node *object)
{
    (void)object;
}

#endif
