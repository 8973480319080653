/* malloc and plain reference counts: see gc_backend.h. */
#ifndef BENCH_GC_COUNTS_H
#define BENCH_GC_COUNTS_H

#include <stdlib.h>

#define BACKEND_COLLECTS 0

struct node {
    node *a, *b;
    long value;
    long count;
};

struct wide {
    node head;
    node *items[];
};

void node_free(node *object);

static inline node *node_new(void)
{
    node *object = calloc(1, sizeof *object);
    object->count = 1;
    return object;
}

static inline void node_drop(node *object)
{
    if (--object->count == 0) {
        node_free(object);
    }
}

static inline void node_keep(node *object)
{
    object->count++;
}

static inline void node_store(void *owner, node **slot, node *value)
{
    node *old = *slot;
    (void)owner;
    if (value != NULL) {
        value->count++;
    }
    *slot = value;
    if (old != NULL) {
        node_drop(old);
    }
}

#endif
