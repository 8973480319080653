/*
 * What a program does with a graph of objects, under the layer that gc_backend.h was
 * told: one workload a process.
 *
 *     trees   binary trees of depth 18 made and dropped, beside a long-lived one
 *     rings   a million rings of ten nodes, all garbage
 *     ring    one ring of ten million, garbage
 *     chain   a chain of ten million, dropped by its head
 *     dag     a million nodes whose edges to older ones are changed
 *     web     two million nodes, edges at random, changed at random
 *     live    full collections of a tree of two million in the order of allocation
 *     liveweb full collections of a random web of two million
 *
 * Prints one line: "result name=... backend=... seconds=... ops=... peak_rss_kb=...".
 */
#include "gc_backend.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static double scale = 1;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t random_state = 20261122;

static size_t any(size_t below)
{
    uint64_t z = random_state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (size_t)(((unsigned __int128)(z ^ z >> 31) * below) >> 64);
}

static size_t scaled(size_t n)
{
    size_t result = (size_t)((double)n * scale);
    return result > 20 ? result : 20;
}

/* What is measured: reset when a workload's preparations are done. */
static double begin;

/* ---- workloads: each returns its operations ---- */

static node *make_tree(int depth)
{
    node *root = node_new();
    root->value = depth;
    if (depth > 0) {
        node *child = make_tree(depth - 1);
        node_store(root, &root->a, child);
        node_drop(child);
        child = make_tree(depth - 1);
        node_store(root, &root->b, child);
        node_drop(child);
    }
    return root;
}

static size_t trees(void)
{
    enum { DEPTH = 18 };
    size_t rounds = scaled(20), nodes = 0;
    node *lasting = make_tree(DEPTH - 2);
    for (size_t i = 0; i < rounds; i++) {
        node_drop(make_tree(DEPTH));
        nodes += (size_t)2 << DEPTH;
    }
    if (lasting->value != DEPTH - 2) {
        abort();
    }
    node_drop(lasting);
    return nodes;
}

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

static size_t rings(void)
{
    size_t count = scaled(1000000);
    for (size_t i = 0; i < count; i++) {
        make_ring(10);
    }
    backend_collect();
    return count * 10;
}

static size_t one_ring(void)
{
    size_t length = scaled(10000000);
    make_ring(length);
    backend_collect();
    return length;
}

static size_t chain(void)
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
    begin = now();
    node_drop(head);
    return length;
}

/* A table of nodes whose edges lead to nodes at random, of those before each or of
 * all. */
static node **make_nodes(size_t count, int only_older)
{
    node **nodes = backend_table(count * sizeof *nodes);
    backend_automatic(0);
    for (size_t i = 0; i < count; i++) {
        nodes[i] = node_new();
    }
    for (size_t i = 1; i < count; i++) {
        node_store(nodes[i], &nodes[i]->a, nodes[any(only_older ? i : count)]);
        node_store(nodes[i], &nodes[i]->b, nodes[any(only_older ? i : count)]);
    }
    backend_automatic(1);
    return nodes;
}

static size_t dag(void)
{
    size_t count = scaled(1000000), steps = scaled(6000000);
    node **nodes = make_nodes(count, 1);
    begin = now();
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

static size_t web(void)
{
    size_t count = scaled(2000000), steps = scaled(10000000);
    node **nodes = make_nodes(count, 0);
    begin = now();
    for (size_t i = 0; i < steps; i++) {
        size_t at = any(count);
        node_store(nodes[at], i % 2 ? &nodes[at]->a : &nodes[at]->b, nodes[any(count)]);
    }
    return steps;
}

enum { FULL = 5 };

static size_t live(void)
{
    int depth = 20;
    for (double s = scale; s < 0.75 && depth > 6; s *= 2) {
        depth--;
    }
    node *volatile tree = make_tree(depth);
    backend_collect();
    begin = now();
    for (int i = 0; i < FULL; i++) {
        backend_collect();
    }
    return tree->value == depth ? ((size_t)2 << depth) * FULL : 0;
}

static size_t live_web(void)
{
    size_t count = scaled(2000000);
    node **nodes = make_nodes(count, 0);
    backend_collect();
    begin = now();
    for (int i = 0; i < FULL; i++) {
        backend_collect();
    }
    return nodes[0] != NULL ? count * FULL : 0;
}

static const struct {
    const char *name;
    size_t (*run)(void);
} workloads[] = {
    {"trees", trees}, {"rings", rings}, {"ring", one_ring}, {"chain", chain},
    {"dag", dag},     {"web", web},     {"live", live},     {"liveweb", live_web},
};

int main(int argc, char **argv)
{
    if (argc > 2) {
        scale = atof(argv[2]);
    }
    for (size_t i = 0; argc > 1 && i < sizeof workloads / sizeof *workloads; i++) {
        if (strcmp(argv[1], workloads[i].name) != 0) {
            continue;
        }
        backend_start();
        begin = now();
        size_t ops = workloads[i].run();
        double seconds = now() - begin;
        struct rusage usage;
        getrusage(RUSAGE_SELF, &usage);
        printf("result name=%s backend=%s seconds=%.6f ops=%zu peak_rss_kb=%ld\n",
               argv[1], backend, seconds, ops, usage.ru_maxrss);
        return 0;
    }
    fprintf(stderr, "usage: %s WORKLOAD [SCALE]; workloads:", argv[0]);
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++) {
        fprintf(stderr, " %s", workloads[i].name);
    }
    fprintf(stderr, "\n");
    return 2;
}
