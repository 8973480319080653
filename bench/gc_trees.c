/*
 * Trees: made, dropped, and looked at.
 */
#include "gc_work.h"

enum { DEPTH = 18 };

static size_t nodes_of_depth(int depth)
{
    return ((size_t)2 << depth) - 1;
}

size_t trees(void)
{
    size_t hundredths = lengthened(2000), made = 0;
    node *lasting = plant(nodes_of_depth(DEPTH - 2), NULL, NULL);
    for (size_t i = 0; i * 100 < hundredths; i++) {
        node_drop(plant(nodes_of_depth(DEPTH), NULL, NULL));
        made += nodes_of_depth(DEPTH);
    }
    if (lasting->value != (long)nodes_of_depth(DEPTH - 2)) {
        bench_die("the lasting tree is wrong");
    }
    node_drop(lasting);
    return made;
}

/* ---- gcbench: after the benchmark by Ellis, Kovac and Boehm ---- */

/* Gives a node two subtrees, each node before its children. */
static void populate(node *root, int depth)
{
    if (depth == 0) {
        return;
    }
    node **slots[] = {&root->a, &root->b};
    for (int i = 0; i < 2; i++) {
        node *child = node_new();
        node_store(root, slots[i], child);
        node_drop(child);
    }
    populate(root->a, depth - 1);
    populate(root->b, depth - 1);
}

/* A tree, each node after its children. */
static node *assemble(int depth)
{
    if (depth == 0) {
        return node_new();
    }
    node *left = assemble(depth - 1), *right = assemble(depth - 1);
    node *root = node_new();
    node_store(root, &root->a, left);
    node_store(root, &root->b, right);
    node_drop(left);
    node_drop(right);
    return root;
}

/* As many trees of that depth as have the nodes of four of the deepest, half of them
 * made from the top and half from the bottom. */
static size_t trees_of_depth(int depth, int deepest)
{
    size_t count = 2 * nodes_of_depth(deepest) / nodes_of_depth(depth);
    for (size_t i = 0; i < count; i++) {
        node *root = node_new();
        populate(root, depth);
        node_drop(root);
    }
    for (size_t i = 0; i < count; i++) {
        node_drop(assemble(depth));
    }
    return 2 * count * nodes_of_depth(depth);
}

/* A depth less than the given one by the binary logarithm of the scale. */
static int scaled_depth(int depth)
{
    for (size_t n = scaled((size_t)1 << depth); depth > 6 && n >> depth == 0;) {
        depth--;
    }
    return depth;
}

size_t gcbench(void)
{
    enum { SHALLOW = 4, NUMBERS = 500000 };
    int deepest = scaled_depth(DEPTH);
    size_t made = nodes_of_depth(deepest) + nodes_of_depth(deepest - 2);
    node_drop(assemble(deepest));
    node *lasting = node_new();
    populate(lasting, deepest - 2);
    double *numbers = backend_data(NUMBERS * sizeof *numbers);
    for (int i = 1; i < NUMBERS / 2; i++) {
        numbers[i] = 1.0 / i;
    }
    for (int depth = SHALLOW; depth <= deepest - 2; depth += 2) {
        made += trees_of_depth(depth, deepest);
    }
    if (lasting->a == NULL || numbers[1000] != 1.0 / 1000) {
        bench_die("what was to last did not");
    }
    node_drop(lasting);
    return made;
}

size_t live(void)
{
    size_t count = nodes_of_depth(scaled_depth(20));
    node *volatile tree = plant(count, NULL, NULL);
    size_t ops = collect_repeatedly(count);
    return tree->value == (long)count ? ops : 0;
}
