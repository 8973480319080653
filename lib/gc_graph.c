#include "gc_graph.h"

#include "alloc.h"
#include "gc_reference.h"

/* ---- nodes ---- */

/* In map->held, once counts have told which objects are referred to from outside: that
 * an object is reachable, or, of garbage, its node. */
#define REACHABLE GC_NO_NUMBER

struct marking {
    struct gc_map *map;
    struct gc_vector stack;
    bool failed;
};

static void mark(void *const *slot, const void *object, void *arg)
{
    struct marking *marking = arg;
    uint32_t number = gc_map_number(marking->map, object);
    (void)slot;
    if (number != GC_NO_NUMBER && marking->map->held[number] != REACHABLE) {
        marking->map->held[number] = REACHABLE;
        marking->failed |= !gc_vector_push(
            &marking->stack, (void *)((uintptr_t)object - sizeof(struct pygc_header)));
    }
}

static void mark_if_root(struct pygc_header *header, void *arg)
{
    struct marking *marking = arg;
    const void *object = gc_object_of(header);
    if (marking->map->held[gc_map_number(marking->map, object)] == REACHABLE ||
        gc_map_unaccounted(marking->map, header) == 0 || marking->failed) {
        return;
    }
    mark(NULL, object, marking);
    while (marking->stack.count > 0 && !marking->failed) {
        struct pygc_header *next = marking->stack.at[--marking->stack.count];
        gc_each_reference(next, mark, marking);
    }
}

/* False with no memory. */
static bool mark_reachable(struct gc_map *map)
{
    struct marking marking = {.map = map};
    const struct gc_vector *kept = &map->heap->garbage;
    for (size_t i = 0; i < kept->count; i++) {
        gc_map_hold(map, kept->at[i]);
    }
    gc_each_object(map->heap, mark_if_root, &marking);
    gc_vector_free(&marking.stack);
    return !marking.failed;
}

struct gathering {
    struct gc_graph *graph;
    bool failed;
};

static void gather(struct pygc_header *header, void *arg)
{
    struct gathering *gathering = arg;
    struct gc_graph *graph = gathering->graph;
    uint32_t *held = &graph->map.held[gc_map_number(&graph->map, header + 1)];
    if (*held != REACHABLE) {
        *held = (uint32_t)graph->headers.count;
        gathering->failed |= !gc_vector_push(&graph->headers, header);
    }
}

/* ---- edges ---- */

/* The node of an object; GC_NO_NODE if it is no garbage. */
static uint32_t node_of(const struct gc_graph *graph, const void *object)
{
    uint32_t number = gc_map_number(&graph->map, object);
    return number == GC_NO_NUMBER ? GC_NO_NODE : graph->map.held[number];
}

struct edges {
    struct gc_graph *graph;
    uint64_t count;
    uint64_t most; /* that there is room for */
};

static void count_edge(void *const *slot, const void *object, void *arg)
{
    struct edges *edges = arg;
    (void)slot;
    edges->count += node_of(edges->graph, object) != GC_NO_NODE;
}

static void add_edge(void *const *slot, const void *object, void *arg)
{
    struct edges *edges = arg;
    uint32_t node = node_of(edges->graph, object);
    (void)slot;
    if (node != GC_NO_NODE && edges->count < edges->most) {
        edges->graph->edge[edges->count++] = node;
    }
}

static void each_edge_from(struct gc_graph *graph, uint32_t node, gc_reference_fn *fn,
                           struct edges *edges)
{
    gc_each_reference(gc_graph_header(graph, node), fn, edges);
}

static bool make_edges(struct gc_graph *graph)
{
    struct edges edges = {graph, 0, 0};
    for (uint32_t node = 0; node < graph->count; node++) {
        each_edge_from(graph, node, count_edge, &edges);
    }
    if (edges.count >= GC_NO_NODE) {
        return false;
    }
    graph->start = pym_alloc_malloc(((size_t)graph->count + 1) * sizeof(uint32_t));
    graph->edge = pym_alloc_malloc((edges.count + 1) * sizeof(uint32_t));
    if (graph->start == NULL || graph->edge == NULL) {
        return false;
    }
    edges.most = edges.count;
    edges.count = 0;
    for (uint32_t node = 0; node < graph->count; node++) {
        graph->start[node] = (uint32_t)edges.count;
        each_edge_from(graph, node, add_edge, &edges);
    }
    graph->start[graph->count] = (uint32_t)edges.count;
    return true;
}

/* ---- making ---- */

bool gc_graph_of_garbage(struct gc_graph *graph, struct pygc_heap *heap)
{
    *graph = (struct gc_graph){.count = 0};
    struct gathering gathering = {graph, false};
    if (!gc_map_make(&graph->map, heap) || !mark_reachable(&graph->map)) {
        return false;
    }
    gc_each_object(heap, gather, &gathering);
    graph->count = (uint32_t)graph->headers.count;
    return !gathering.failed && make_edges(graph);
}

void gc_graph_free(struct gc_graph *graph)
{
    gc_map_free(&graph->map);
    gc_vector_free(&graph->headers);
    pym_alloc_free(graph->start);
    pym_alloc_free(graph->edge);
    pym_alloc_free(graph->order);
    pym_alloc_free(graph->low);
    pym_alloc_free(graph->at);
    pym_alloc_free(graph->stack);
    pym_alloc_free(graph->path);
}

/* ---- components ----
 *
 * Tarjan's search, with a path in the place of recursion:
 *
 *     order[n]  when node n was found, from 1 on; 0: not yet
 *     low[n]    the earliest node on the stack that it is known to lead to, by order;
 *               DONE once its component has been told
 *     at[n]     its next edge to be followed
 *     stack     nodes found whose component is not known yet, by order
 *     path      those of them whose edges are not all followed, each led to by the last
 *
 * A node that leads to none before it is the first of its component, which is the top
 * of the stack. */

#define DONE UINT32_MAX

static bool prepare(struct gc_graph *graph)
{
    size_t count = (size_t)graph->count + 1;
    graph->order = pym_alloc_calloc(count, sizeof(uint32_t));
    graph->low = pym_alloc_malloc(count * sizeof(uint32_t));
    graph->at = pym_alloc_malloc(count * sizeof(uint32_t));
    graph->stack = pym_alloc_malloc(count * sizeof(uint32_t));
    graph->path = pym_alloc_malloc(count * sizeof(uint32_t));
    return graph->order != NULL && graph->low != NULL && graph->at != NULL &&
           graph->stack != NULL && graph->path != NULL;
}

struct search {
    struct gc_graph *graph;
    uint32_t found;
    size_t stacked;
    size_t depth;
    gc_component_fn *fn;
    void *arg;
};

static void find(struct search *search, uint32_t node)
{
    struct gc_graph *graph = search->graph;
    graph->order[node] = graph->low[node] = ++search->found;
    graph->at[node] = graph->start[node];
    graph->stack[search->stacked++] = node;
    graph->path[search->depth++] = node;
}

/* Follows an edge.  False if there is none left. */
static bool follow(struct search *search, uint32_t node)
{
    struct gc_graph *graph = search->graph;
    if (graph->at[node] == graph->start[node + 1]) {
        return false;
    }
    uint32_t next = graph->edge[graph->at[node]++];
    if (graph->order[next] == 0) {
        find(search, next);
    } else if (graph->low[next] != DONE && graph->order[next] < graph->low[node]) {
        graph->low[node] = graph->order[next];
    }
    return true;
}

static bool refers_to_itself(const struct gc_graph *graph, uint32_t node)
{
    uint32_t i = graph->start[node];
    while (i < graph->start[node + 1] && graph->edge[i] != node) {
        i++;
    }
    return i < graph->start[node + 1];
}

/* The stack from the first of a component on.  False if it is not to go on. */
static bool tell_component(struct search *search, uint32_t first)
{
    struct gc_graph *graph = search->graph;
    size_t base = search->stacked;
    while (graph->stack[--base] != first) {
    }
    const uint32_t *member = graph->stack + base;
    size_t count = search->stacked - base;
    bool goes_on = (count == 1 && !refers_to_itself(graph, first)) ||
                   search->fn(member, count, search->arg);
    for (size_t i = 0; i < count; i++) {
        graph->low[member[i]] = DONE;
    }
    search->stacked = base;
    return goes_on;
}

/* Leaves a node all of whose edges have been followed. */
static bool leave(struct search *search, uint32_t node)
{
    struct gc_graph *graph = search->graph;
    search->depth--;
    if (search->depth > 0) {
        uint32_t *low = &graph->low[graph->path[search->depth - 1]];
        *low = graph->low[node] < *low ? graph->low[node] : *low;
    }
    return graph->low[node] != graph->order[node] || tell_component(search, node);
}

bool gc_graph_each_component(struct gc_graph *graph, gc_component_fn *fn, void *arg)
{
    struct search search = {.graph = graph, .fn = fn, .arg = arg};
    if (!prepare(graph)) {
        return false;
    }
    for (uint32_t root = 0; root < graph->count; root++) {
        if (graph->order[root] == 0) {
            find(&search, root);
        }
        while (search.depth > 0) {
            uint32_t node = graph->path[search.depth - 1];
            if (!follow(&search, node) && !leave(&search, node)) {
                return false;
            }
        }
    }
    return true;
}

/* ---- rings ---- */

/* Breadth first.  All edges of the members have been followed, so at is free for the
 * node before each, and so is what lies behind the path for the queue: the members are
 * not on the path.  Only members have been found later than their first and are not
 * done. */
size_t gc_graph_ring(struct gc_graph *graph, const uint32_t *member, size_t count,
                     uint32_t from)
{
    uint32_t *before = graph->at, *queue = graph->path + graph->count - count;
    size_t queued = 0;
    for (size_t i = 0; i < count; i++) {
        before[member[i]] = GC_NO_NODE;
    }
    queue[queued++] = from;
    for (size_t i = 0; before[from] == GC_NO_NODE; i++) {
        uint32_t node = queue[i];
        for (uint32_t k = graph->start[node]; k < graph->start[node + 1]; k++) {
            uint32_t next = graph->edge[k];
            bool is_member = graph->low[next] != DONE &&
                             graph->order[next] >= graph->order[member[0]];
            if (is_member && before[next] == GC_NO_NODE) {
                before[next] = node;
                queue[queued++] = next;
            }
        }
    }
    size_t length = 1;
    for (uint32_t node = before[from]; node != from; node = before[node]) {
        length++;
    }
    return length;
}

uint32_t gc_graph_before(const struct gc_graph *graph, uint32_t node)
{
    return graph->at[node];
}
