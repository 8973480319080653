/*
 * Vectors that grow by realloc, as in every program with dynamic arrays.  Hundreds of
 * vectors grow side by side, so that a block's neighbour is rarely free; some by half,
 * some by doubling; most stay small, a few become many megabytes.  A vector that has
 * reached its length is checked, freed and begun anew.
 */
#include "common.h"

enum { VECTORS = 400, LONGEST = 1 << 20, APPENDED = 150000000, RUN = 64 };

struct vector {
    uint64_t *item;
    size_t n;
    size_t room;
    size_t wanted;
    bool doubles;
};

static void vector_begin(struct vector *v, struct bench_rng *rng)
{
    *v = (struct vector){NULL, 0, 0, bench_rng_pareto(rng, 8, LONGEST),
                         bench_rng_below(rng, 2) == 0};
}

static void vector_append(struct vector *v, uint64_t item)
{
    if (v->n == v->room) {
        v->room = v->room < 4 ? 4 : v->doubles ? 2 * v->room : v->room + v->room / 2;
        v->item = bench_must(realloc(v->item, v->room * sizeof *v->item));
    }
    v->item[v->n++] = item;
}

static uint64_t item_of(size_t i, size_t wanted)
{
    return i * UINT64_C(0x9e3779b97f4a7c15) ^ wanted;
}

static void vector_end(struct vector *v)
{
    uint64_t differs = 0;

    for (size_t i = 0; i < v->n; i++)
        differs |= v->item[i] ^ item_of(i, v->wanted);
    if (differs != 0)
        bench_die("a vector of %zu items has wrong data", v->n);
    free(v->item);
}

/* Appends a short run to one vector; returns how many items. */
static size_t grow_one(struct vector *v, struct bench_rng *rng)
{
    size_t run = v->wanted - v->n < RUN ? v->wanted - v->n : RUN;

    if (run == 0) {
        vector_end(v);
        vector_begin(v, rng);
        return 1;
    }
    for (size_t i = 0; i < run; i++)
        vector_append(v, item_of(v->n, v->wanted));
    return run;
}

static void work(size_t index, void *arg)
{
    size_t items = *(const size_t *)arg;
    struct bench_rng rng = bench_rng_make(index);
    struct vector *vectors = bench_map(VECTORS * sizeof *vectors);

    for (size_t i = 0; i < VECTORS; i++)
        vector_begin(&vectors[i], &rng);
    for (size_t n = 0; n < items;)
        n += grow_one(&vectors[bench_rng_below(&rng, VECTORS)], &rng);
    for (size_t i = 0; i < VECTORS; i++)
        vector_end(&vectors[i]);
    bench_unmap(vectors, VECTORS * sizeof *vectors);
}

int main(int argc, char **argv)
{
    struct bench_args args = bench_parse_args(argc, argv, NULL, 1);
    size_t items = bench_scaled(&args, APPENDED);
    double seconds = bench_run_threads(args.threads, work, &items);

    bench_result("vectors", &args, args.threads * items, seconds);
    return 0;
}
