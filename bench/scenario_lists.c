/*
 * Linked lists of zeroed records, in the way of programs written with a library of
 * generic containers: a node of 16 bytes for every element, records from calloc, lists
 * that are built, filtered, merged, sorted and dropped.
 */
#include "common.h"

enum { LISTS = 500, LENGTH = 200, STEPS = 100000 };

struct record {
    uint64_t key;
    uint64_t zero[];
};

struct node {
    struct record *record;
    struct node *next;
};

static struct record *record_new(struct bench_rng *rng)
{
    size_t words = bench_rng_doubling(rng, 1, 24);
    struct record *record =
        bench_must(calloc(1, sizeof *record + words * sizeof record->zero[0]));

    for (size_t i = 0; i < words; i++) {
        if (record->zero[i] != 0)
            bench_die("calloc gave memory that is not zero");
        record->zero[i] = UINT64_MAX;
    }
    record->key = bench_rng_next(rng) >> 16;
    return record;
}

static struct node *list_prepend(struct node *list, struct record *record)
{
    struct node *node = bench_must(malloc(sizeof *node));

    node->record = record;
    node->next = list;
    return node;
}

static struct node *list_new(size_t length, struct bench_rng *rng)
{
    struct node *list = NULL;

    while (length-- > 0)
        list = list_prepend(list, record_new(rng));
    return list;
}

/* Frees the node and its record; returns what followed. */
static struct node *node_free(struct node *node)
{
    struct node *next = node->next;

    free(node->record);
    free(node);
    return next;
}

static void list_free(struct node *list)
{
    while (list != NULL)
        list = node_free(list);
}

/* Keeps the elements whose keys have none of the mask's bits. */
static struct node *list_filter(struct node *list, uint64_t mask)
{
    struct node **link = &list;

    while (*link != NULL) {
        if (((*link)->record->key & mask) != 0)
            *link = node_free(*link);
        else
            link = &(*link)->next;
    }
    return list;
}

static struct node *list_merge(struct node *a, struct node *b)
{
    struct node *merged = NULL;
    struct node **link = &merged;

    while (a != NULL && b != NULL) {
        struct node **smaller = a->record->key <= b->record->key ? &a : &b;

        *link = *smaller;
        link = &(*smaller)->next;
        *smaller = *link;
    }
    *link = a != NULL ? a : b;
    return merged;
}

static struct node *list_sort(struct node *list)
{
    struct node *slow = list;
    struct node *half;

    if (list == NULL || list->next == NULL)
        return list;
    for (struct node *fast = list->next; fast != NULL && fast->next != NULL;
         fast = fast->next->next)
        slow = slow->next;
    half = slow->next;
    slow->next = NULL;
    return list_merge(list_sort(list), list_sort(half));
}

static void check_sorted(const struct node *list)
{
    for (; list != NULL && list->next != NULL; list = list->next) {
        if (list->record->key > list->next->record->key)
            bench_die("a sorted list is not in order");
    }
}

static struct node *list_concat(struct node *list, struct node *tail)
{
    struct node **link = &list;

    while (*link != NULL)
        link = &(*link)->next;
    *link = tail;
    return list;
}

/* The next step in a list's life. */
static struct node *list_live(struct node *list, struct bench_rng *rng)
{
    switch (bench_rng_below(rng, 8)) {
    case 0:
        list_free(list);
        return list_new(bench_rng_between(rng, 1, LENGTH), rng);
    case 1:
        list = list_sort(list);
        check_sorted(list);
        return list;
    case 2:
    case 3:
        return list_filter(list, UINT64_C(1) << bench_rng_below(rng, 48));
    default:
        return list_concat(list_new(bench_rng_between(rng, 1, LENGTH / 4), rng), list);
    }
}

static void work(size_t index, void *arg)
{
    size_t steps = *(const size_t *)arg;
    struct bench_rng rng = bench_rng_make(index);
    struct node **lists = bench_must(calloc(LISTS, sizeof(struct node *)));

    for (size_t i = 0; i < steps; i++) {
        struct node **list = &lists[bench_rng_below(&rng, LISTS)];

        *list = list_live(*list, &rng);
    }
    for (size_t i = 0; i < LISTS; i++)
        list_free(lists[i]);
    free(lists);
}

int main(int argc, char **argv)
{
    struct bench_args args = bench_parse_args(argc, argv, NULL, 1);
    size_t steps = bench_scaled(&args, STEPS);
    double seconds = bench_run_threads(args.threads, work, &steps);

    bench_result("lists", &args, args.threads * steps, seconds);
    return 0;
}
