/*
 * Garbage as a graph, in arrays: nodes are its objects, numbered in the order of
 * addresses; edges are the references between them.
 */
#ifndef PYM_GC_GRAPH_H
#define PYM_GC_GRAPH_H

#include "gc_map.h"

#define GC_NO_NODE UINT32_MAX

struct gc_graph {
    struct gc_map map;
    struct gc_vector headers; /* of nodes */
    uint32_t count;           /* nodes */
    uint32_t *start;          /* of a node's edges; one more than nodes */
    uint32_t *edge;           /* where it leads */
    /* Of the search for components: see there. */
    uint32_t *order, *low, *at, *stack, *path;
};

/* False with no memory; the graph is to be freed all the same. */
bool gc_graph_of_garbage(struct gc_graph *graph, struct pygc_heap *heap);
void gc_graph_free(struct gc_graph *graph);

PYM_INLINE struct pygc_header *gc_graph_header(const struct gc_graph *graph,
                                               uint32_t node)
{
    return graph->headers.at[node];
}

/* Calls fn for every strongly connected component of more than one node, or of one that
 * refers to itself.  Stops when that returns false.  False then, or with no memory. */
typedef bool gc_component_fn(const uint32_t *member, size_t count, void *arg);
bool gc_graph_each_component(struct gc_graph *graph, gc_component_fn *fn, void *arg);

/* Within fn: finds a shortest way from a member back to itself.  Its length in nodes;
 * gc_graph_before tells it backwards. */
size_t gc_graph_ring(struct gc_graph *graph, const uint32_t *member, size_t count,
                     uint32_t from);
uint32_t gc_graph_before(const struct gc_graph *graph, uint32_t node);

#endif
