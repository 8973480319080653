/*
 * Rings that nobody holds, and a chain that falls with its head.
 */
#include "gc_work.h"

static void make_ring(size_t length)
{
    node *first = node_new(), *last = first;
    node_keep(first);
    for (size_t i = 1; i < length; i++) {
        node *next = node_new();
        node_store(last, &last->a, next);
        node_store(next, &next->b, last);
        node_drop(last);
        last = next;
    }
    node_store(last, &last->a, first);
    node_drop(last);
    node_drop(first);
}

size_t rings(void)
{
    size_t count = lengthened(1000000);
    for (size_t i = 0; i < count; i++) {
        make_ring(10);
    }
    backend_collect();
    return count * 10;
}

size_t one_ring(void)
{
    size_t length = scaled(10000000);
    make_ring(length);
    backend_collect();
    return length;
}

size_t chain(void)
{
    size_t length = scaled(10000000);
    node *head = NULL;
    backend_automatic(0);
    for (size_t i = 0; i < length; i++) {
        node *next = node_new();
        node_store(next, &next->a, head);
        if (head != NULL) {
            node_drop(head);
        }
        head = next;
    }
    backend_automatic(1);
    work_begins();
    node_drop(head);
    return length;
}
