/*
 * Graphs whose edges are changed, or looked at; an object with very many edges.
 */
#include "gc_pauses.h"
#include "gc_work.h"

size_t dag(void)
{
    size_t count = scaled(1000000), steps = lengthened(6000000);
    node **nodes = make_nodes(count, 1);
    work_begins();
    for (size_t i = 0; i < steps; i++) {
        size_t at = 1 + any(count - 1);
        if (i % 4 == 0) { /* a new node in the place of an old one */
            node *fresh = node_new();
            node_store(fresh, &fresh->a, nodes[any(at)]);
            node_store(fresh, &fresh->b, nodes[any(at)]);
            node_drop(nodes[at]);
            nodes[at] = fresh;
        } else {
            node_store(nodes[at], &nodes[at]->a, nodes[any(at)]);
        }
    }
    return steps;
}

size_t web(void)
{
    size_t count = scaled(2000000), steps = lengthened(10000000);
    node **nodes = make_nodes(count, 0);
    work_begins();
    for (size_t i = 0; i < steps; i++) {
        size_t at = any(count);
        node_store(nodes[at], i % 2 ? &nodes[at]->a : &nodes[at]->b, nodes[any(count)]);
    }
    return steps;
}

size_t live_web(void)
{
    size_t count = scaled(2000000);
    node **nodes = make_nodes(count, 0);
    size_t ops = collect_repeatedly(count);
    return nodes[0] != NULL ? ops : 0;
}

/* As many nodes as make a collector look at all there is, in a list. */
static node *grow_by(size_t count)
{
    struct pauses pauses;
    node *list = node_new();
    pauses_begin(&pauses);
    for (size_t i = 1; i < count; i++) {
        node *next = node_new();
        node_store(next, &next->a, list);
        node_drop(list);
        list = next;
        if (i % PAUSES_BATCH == 0) {
            pauses_mark(&pauses);
        }
    }
    pauses_report(&pauses, "");
    return list;
}

/* Each node refers back, so that nothing can be told of the object before all of them
 * have been seen. */
size_t wide_object(void)
{
    size_t count = scaled(10000000);
    wide *volatile object = wide_new(count);
    wide *owner = object;
    backend_automatic(0);
    for (size_t i = 0; i < count; i++) {
        node *item = node_new();
        node_store(item, &item->a, (node *)owner);
        node_store(owner, &owner->items[i], item);
        node_drop(item);
    }
    backend_automatic(1);
    size_t ops = collect_repeatedly(count);
    node *volatile list = grow_by(count / 2);
    return list != NULL && object->items[0] != NULL ? ops : 0;
}
