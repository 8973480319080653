/* libpymalloc's object layer: see gc_backend.h. */
#ifndef BENCH_GC_PYGC_H
#define BENCH_GC_PYGC_H

#include <pymalloc/gc.h>

#define BACKEND_COLLECTS 1

struct node {
    node *a, *b;
    long value;
};

struct wide {
    size_t count;
    node *items[];
};

extern pygc_heap *backend_heap;
extern pygc_type *backend_type;

static inline node *node_new(void)
{
    return pygc_alloc(backend_heap, backend_type);
}

static inline void node_store(void *owner, node **slot, node *value)
{
    pygc_store(owner, slot, value);
}

static inline void node_drop(node *object)
{
    pygc_decref(object);
}

static inline void node_keep(node *object)
{
    pygc_incref(object);
}

#endif
