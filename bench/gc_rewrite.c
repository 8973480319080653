/*
 * A random graph that is rewritten.
 *
 * All nodes are held by a table and refer to others at random.  Each operation gives
 * one of them another edge; but every 32nd takes two out of the table, lets them refer
 * to each other, and puts new ones in.  As soon as no other node refers to those two
 * any more they are garbage, with all that only they refer to, of any age.
 */
#include "gc_pauses.h"
#include "gc_standing.h"
#include "gc_work.h"

enum { REPLACE_EVERY = 32, LOOKS = 64 };

struct graph {
    node **nodes;
    size_t count;
    long epoch; /* nodes whose value is this have been seen */
    size_t looks, fulls;
    struct standing standing;
};

static node *random_node(const struct graph *graph)
{
    return graph->nodes[any(graph->count)];
}

static void replace(struct graph *graph, size_t at)
{
    node *fresh = node_new();
    node_store(fresh, &fresh->a, random_node(graph));
    node_store(fresh, &fresh->b, random_node(graph));
    node_drop(graph->nodes[at]);
    graph->nodes[at] = fresh;
}

static void replace_two(struct graph *graph, size_t at)
{
    node *one = graph->nodes[at], *other = graph->nodes[at ^ 1];
    if (BACKEND_COLLECTS) {
        node_store(one, &one->a, other);
        node_store(other, &other->a, one);
    }
    replace(graph, at);
    replace(graph, at ^ 1);
}

static void step(struct graph *graph, size_t i)
{
    size_t at = any(graph->count);
    if (i % REPLACE_EVERY == 0) {
        replace_two(graph, at);
    } else {
        node *chosen = graph->nodes[at];
        node_store(chosen, i % 2 ? &chosen->a : &chosen->b, random_node(graph));
    }
}

/* ---- standing garbage ---- */

static size_t see(const struct graph *graph, node *object, node **stack, size_t top)
{
    if (object != NULL && object->value != graph->epoch) {
        object->value = graph->epoch;
        stack[top++] = object;
    }
    return top;
}

/* Nodes that can be reached. */
static size_t count_reachable(struct graph *graph, size_t most)
{
    size_t bytes = (most + 1) * sizeof(node *), top = 0, found = 0;
    node **stack = bench_map(bytes);
    graph->epoch++;
    for (size_t i = 0; i < graph->count; i++) {
        top = see(graph, graph->nodes[i], stack, top);
        while (top > 0) {
            node *object = stack[--top];
            found++;
            top = see(graph, object->a, stack, top);
            top = see(graph, object->b, stack, top);
        }
    }
    bench_unmap(stack, bytes);
    return found;
}

/* Garbage is most when a collection of everything ends: what that has found, and what
 * it has not. */
static void look(struct graph *graph)
{
    size_t nodes = backend_nodes();
    size_t reachable = count_reachable(graph, nodes);
    size_t garbage = nodes - reachable + backend_events.last_full;
    standing_note(&graph->standing, garbage, reachable);
    graph->fulls = backend_events.fulls;
    graph->looks++;
}

/* What a collector leaves is what can be reached, neither more nor less. */
static void check(struct graph *graph)
{
    backend_collect();
    size_t nodes = backend_nodes(), reachable = count_reachable(graph, nodes);
    if (nodes != reachable) {
        bench_die("%zu nodes are left, of which %zu can be reached", nodes, reachable);
    }
}

size_t rewrite(void)
{
    size_t steps = lengthened(100000000);
    struct graph *graph = backend_table(sizeof *graph);
    struct pauses *pauses = bench_map(sizeof *pauses);
    graph->count = scaled(1000000) & ~(size_t)1;
    graph->nodes = make_nodes(graph->count, 0);
    backend_collect();
    int tells = backend_watch();
    work_begins();
    pauses_begin(pauses);
    for (size_t i = 1; i <= steps; i++) {
        step(graph, i);
        if (i % PAUSES_BATCH == 0) {
            pauses_mark(pauses);
            if (backend_events.fulls != graph->fulls && graph->looks < LOOKS) {
                look(graph);
                work_excludes(pauses_skip(pauses));
            }
        }
    }
    work_ends();
    pauses_report(pauses, "");
    if (tells) {
        standing_report(&graph->standing);
        check(graph);
    }
    return steps;
}
