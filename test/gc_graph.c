/* gc.h: which objects die, for all small graphs and for random ones that change,
 * against an independent model of who can be reached. */
#include "support.h"

#include "base.h"

#include <pymalloc/gc.h>
#include <stdbool.h>

/* ---- all graphs of up to four nodes ---- */

enum { NODES = 4 };

struct small {
    struct small *edge[NODES];
    unsigned id;
};

static unsigned dead; /* a bit for each */

static void on_dealloc(void *object)
{
    dead |= 1u << ((struct small *)object)->id;
}

static int visit_small(void *object, pygc_visit_fn *visit, void *arg)
{
    struct small *node = object;
    for (int i = 0; i < NODES; i++) {
        int result = node->edge[i] != NULL ? visit(node->edge[i], arg) : 0;
        if (result != 0) {
            return result;
        }
    }
    return 0;
}

static void clear_small(void *object)
{
    struct small *node = object;
    for (int i = 0; i < NODES; i++) {
        pygc_clear(&node->edge[i]);
    }
}

/* What can be reached from the nodes in roots; row i of edges has a bit for each
 * node that i refers to. */
static unsigned reach(unsigned edges, unsigned nodes, unsigned roots)
{
    unsigned seen = roots, before;
    do {
        before = seen;
        for (unsigned i = 0; i < nodes; i++) {
            if ((seen >> i & 1) != 0) {
                seen |= edges >> i * nodes & ((1u << nodes) - 1);
            }
        }
    } while (seen != before);
    return seen;
}

/* Who dies by counts alone: nobody refers to it but the dead. */
static unsigned die_by_counts(unsigned edges, unsigned nodes, unsigned roots)
{
    unsigned gone = 0, before;
    do {
        before = gone;
        for (unsigned i = 0; i < nodes; i++) {
            unsigned referred = roots >> i & 1;
            for (unsigned k = 0; k < nodes; k++) {
                referred |= (gone >> k & 1) == 0 && (edges >> (k * nodes + i) & 1) != 0;
            }
            gone |= referred != 0 ? 0 : 1u << i;
        }
    } while (gone != before);
    return gone;
}

static void try_graph(pygc_heap *heap, pygc_type *type, unsigned edges, unsigned nodes,
                      unsigned roots)
{
    struct small *node[NODES];
    unsigned all = (1u << nodes) - 1;
    dead = 0;
    for (unsigned i = 0; i < nodes; i++) {
        node[i] = pygc_alloc(heap, type);
        node[i]->id = i;
        pygc_track(node[i]);
    }
    for (unsigned i = 0; i < nodes * nodes; i++) {
        if ((edges >> i & 1) != 0) {
            pygc_store(node[i / nodes], &node[i / nodes]->edge[i % nodes],
                       node[i % nodes]);
        }
    }
    for (unsigned i = 0; i < nodes; i++) {
        if ((roots >> i & 1) == 0) {
            pygc_decref(node[i]);
        }
    }
    CHECK_EQ(dead, die_by_counts(edges, nodes, roots),
             "graph %x of %u, roots %x: counts", edges, nodes, roots);
    (void)pygc_collect(heap, 0);
    CHECK_EQ(dead, all & ~reach(edges, nodes, roots), "graph %x of %u, roots %x", edges,
             nodes, roots);
    for (unsigned i = 0; i < nodes; i++) {
        if ((roots >> i & 1) != 0) {
            pygc_decref(node[i]);
        }
    }
    (void)pygc_collect(heap, 1);
    CHECK_EQ(dead, all, "graph %x of %u, roots %x: what is left", edges, nodes, roots);
}

static void try_graphs(const struct pygc_type_spec *spec)
{
    static const struct pygc_options options = {.disabled = 1};
    pygc_heap *heap = pygc_heap_new(&options);
    pygc_type *type = pygc_type_new(spec);
    for (unsigned nodes = 1; nodes <= NODES; nodes++) {
        for (unsigned edges = 0; edges < 1u << nodes * nodes; edges++) {
            unsigned step = nodes == NODES ? 5 : 1; /* of the largest some roots do */
            for (unsigned roots = 0; roots < 1u << nodes; roots += step) {
                try_graph(heap, type, edges, nodes, roots);
            }
        }
    }
    CHECK_EQ(pygc_heap_destroy(heap, 0), 0, "left");
}

static void small_graphs_of_slots(void)
{
    static const struct pygc_slot slots[] = {{0, NODES, PYGC_STRONG, NULL}};
    static const struct pygc_type_spec spec = {.name = "slots",
                                               .size = sizeof(struct small),
                                               .slots = slots,
                                               .slot_count = 1,
                                               .dealloc = on_dealloc};
    try_graphs(&spec);
}

static void small_graphs_of_traversed_nodes(void)
{
    static const struct pygc_type_spec spec = {.name = "visited",
                                               .size = sizeof(struct small),
                                               .traverse = visit_small,
                                               .clear = clear_small,
                                               .dealloc = on_dealloc};
    try_graphs(&spec);
}

/* ---- random graphs that change ---- */

enum { CROWD = 400, EDGES = 3, STEPS = 60000 };

/* Under torture.  A detector of races sees little in the one thread that there is. */
enum { TORTURED = PYM_TSAN ? STEPS / 6 : STEPS };

struct person {
    struct person *edge[EDGES];
    int id;
};

/* The model: what the objects are believed to be. */
static struct {
    struct person *object; /* NULL: dead, or never born */
    int edge[EDGES];       /* -1: none */
    int held;              /* references of ours */
    bool told_dead;
} model[CROWD];

static pygc_heap *heap;
static pygc_type *kinds[3];
static pygc_type *stranger; /* to the model */

static void note_death(void *object)
{
    int id = ((struct person *)object)->id;
    CHECK(!model[id].told_dead, "%d dies twice", id);
    model[id].told_dead = true;
}

static int visit_person(void *object, pygc_visit_fn *visit, void *arg)
{
    struct person *person = object;
    for (int i = 0; i < EDGES; i++) {
        int result = person->edge[i] != NULL ? visit(person->edge[i], arg) : 0;
        if (result != 0) {
            return result;
        }
    }
    return 0;
}

static void clear_person(void *object)
{
    struct person *person = object;
    for (int i = 0; i < EDGES; i++) {
        pygc_clear(&person->edge[i]);
    }
}

/* Does nothing, but makes the collector look for resurrected objects. */
static void finalize_person(void *object)
{
    CHECK(!model[((struct person *)object)->id].told_dead, "finalized after death");
}

static void make_kinds(void)
{
    static const struct pygc_slot slots[] = {{0, EDGES, PYGC_STRONG, NULL}};
    struct pygc_type_spec spec = {
        .name = "small", .size = sizeof(struct person), .dealloc = note_death};
    spec.slots = slots;
    spec.slot_count = 1;
    kinds[0] = pygc_type_new(&spec);
    spec.name = "large";
    spec.size = 3000;
    spec.finalize = finalize_person;
    kinds[1] = pygc_type_new(&spec);
    spec.name = "visited";
    spec.size = sizeof(struct person);
    spec.slots = NULL;
    spec.slot_count = 0;
    spec.traverse = visit_person;
    spec.clear = clear_person;
    kinds[2] = pygc_type_new(&spec);
    spec.finalize = spec.dealloc = NULL;
    stranger = pygc_type_new(&spec);
}

static bool is_referred_to(int id)
{
    if (model[id].held > 0) {
        return true;
    }
    for (int i = 0; i < CROWD; i++) {
        bool lives = model[i].object != NULL && !model[i].told_dead;
        for (int k = 0; k < EDGES && lives; k++) {
            if (model[i].edge[k] == id) {
                return true;
            }
        }
    }
    return false;
}

static void bury(int id)
{
    CHECK(model[id].told_dead, "%d lives on", id);
    model[id].object = NULL;
    for (int k = 0; k < EDGES; k++) {
        model[id].edge[k] = -1;
    }
}

static void bury_by_counts(void)
{
    for (int i = 0; i < CROWD; i++) {
        if (model[i].object != NULL && model[i].told_dead) {
            CHECK(!is_referred_to(i), "%d is dead, but referred to", i);
            bury(i);
        }
    }
}

static void mark(int id, bool *alive)
{
    if (id >= 0 && !alive[id]) {
        alive[id] = true;
        for (int k = 0; k < EDGES; k++) {
            mark(model[id].edge[k], alive);
        }
    }
}

/* After a collection: what can be reached lives, and after a full one nothing else. */
static void compare(int generation)
{
    bool alive[CROWD] = {false};
    for (int i = 0; i < CROWD; i++) {
        if (model[i].held > 0) {
            mark(i, alive);
        }
    }
    for (int i = 0; i < CROWD; i++) {
        if (model[i].object == NULL) {
            continue;
        }
        CHECK(!alive[i] || !model[i].told_dead, "%d is dead, but can be reached", i);
        CHECK(generation < 2 || alive[i] || model[i].told_dead,
              "%d lives, but can not be reached", i);
    }
    for (int i = 0; i < CROWD; i++) {
        if (model[i].object != NULL && model[i].told_dead) {
            bury(i);
        }
    }
}

static void be_born(int id, struct rng *rng)
{
    struct person *person = pygc_alloc(heap, kinds[rng_below(rng, COUNT_OF(kinds))]);
    if (person == NULL) {
        CHECK(errno == ENOMEM && (pygc_get_debug(heap) & PYGC_DEBUG_FAIL) != 0,
              "no memory");
        return;
    }
    person->id = id;
    model[id].object = person;
    model[id].held = 1;
    model[id].told_dead = false;
    for (int k = 0; k < EDGES; k++) {
        model[id].edge[k] = -1;
    }
    pygc_track(person);
}

static void step(struct rng *rng)
{
    int a = (int)rng_below(rng, CROWD), b = (int)rng_below(rng, CROWD);
    int k = (int)rng_below(rng, EDGES);
    switch (rng_below(rng, 8)) {
    case 0:
    case 1:
        if (model[a].object == NULL) {
            be_born(a, rng);
        }
        break;
    case 2:
    case 3:
    case 4:
        if (model[a].object != NULL && model[b].object != NULL) {
            model[a].edge[k] = b;
            pygc_store(model[a].object, &model[a].object->edge[k], model[b].object);
        }
        break;
    case 5:
        if (model[a].object != NULL) {
            model[a].edge[k] = -1;
            pygc_clear(&model[a].object->edge[k]);
        }
        break;
    default:
        if (model[a].object != NULL && model[a].held > 0) {
            model[a].held--;
            pygc_decref(model[a].object);
        }
    }
}

/* The end of all. */
static void let_go(void)
{
    for (int i = 0; i < CROWD; i++) {
        for (; model[i].object != NULL && model[i].held > 0; model[i].held--) {
            pygc_decref(model[i].object);
        }
    }
    (void)pygc_collect(heap, 2);
    compare(2);
    CHECK_EQ(pygc_heap_destroy(heap, 0), 0, "left");
}

static void change_graphs(const struct pygc_options *options, int steps)
{
    heap = pygc_heap_new(options);
    make_kinds();
    memset(model, 0, sizeof model);
    struct rng rng = {20261122};
    for (int i = 0; i < steps; i++) {
        step(&rng);
        if (options->disabled) {
            bury_by_counts();
        } else {
            compare(0);
        }
        if (rng_below(&rng, 40) == 0) {
            int generation = (int)rng_below(&rng, 3);
            CHECK(pygc_collect(heap, generation) >= 0, "no memory");
            compare(generation);
        }
        if (i % 2000 == 0) {
            CHECK_EQ(pygc_verify(heap), 0, "faults");
        }
    }
    let_go();
}

static void changing_graphs(void)
{
    static const struct pygc_options options = {.disabled = 1};
    change_graphs(&options, STEPS);
}

static void changing_graphs_and_automatic_collections(void)
{
    static const struct pygc_options options = {.threshold = {20, 3, 3}};
    change_graphs(&options, STEPS);
}

static void changing_graphs_under_torture(void)
{
    static const struct pygc_options options = {
        .flags = PYGC_DEBUG_TORTURE | PYGC_DEBUG_VERIFY | PYGC_DEBUG_FAIL};
    change_graphs(&options, TORTURED / 4);
}

/* ---- in slices ---- */

/* Everything that is garbage now: what a collection that has begun already does not
 * find waits for the next, which begins if there are new objects. */
static void collect_in_slices(uint64_t budget_ns)
{
    while (pygc_step(heap, budget_ns)) {
    }
    void *fresh;
    do {
        fresh = pygc_alloc(heap, stranger);
    } while (fresh == NULL);
    while (pygc_step(heap, budget_ns)) {
    }
    pygc_decref(fresh);
}

static void change_in_slices(unsigned flags, int steps)
{
    struct pygc_options options = {.threshold = {20, 2, 2}, .flags = flags};
    heap = pygc_heap_new(&options);
    make_kinds();
    pygc_set_pause_target(heap, 1000);
    memset(model, 0, sizeof model);
    struct rng rng = {20261123};
    struct pygc_stats stats;
    for (int i = 0; i < steps; i++) {
        step(&rng);
        compare(0);
        if (rng_below(&rng, 500) == 0) {
            collect_in_slices(100);
            compare(2);
        }
        if (rng_below(&rng, 4000) == 0) {
            CHECK(pygc_collect(heap, (int)rng_below(&rng, 3)) >= 0, "no memory");
            compare(0);
        }
        if (i % 2000 == 0) {
            CHECK_EQ(pygc_verify(heap), 0, "faults");
        }
    }
    pygc_get_stats(heap, &stats);
    CHECK(stats.generation[2].collected >= (steps < STEPS ? 1 : 20),
          "only %ju were found", (uintmax_t)stats.generation[2].collected);
    let_go();
}

static void changing_graphs_in_slices(void)
{
    change_in_slices(0, STEPS);
}

static void changing_graphs_in_slices_under_torture(void)
{
    change_in_slices(PYGC_DEBUG_TORTURE | PYGC_DEBUG_VERIFY | PYGC_DEBUG_FAIL,
                     TORTURED);
}

static const struct tap_case cases[] = {
    {"all small graphs, told by slots", small_graphs_of_slots},
    {"all small graphs, told by traverse", small_graphs_of_traversed_nodes},
    {"random graphs that change", changing_graphs},
    {"the same, with automatic collections", changing_graphs_and_automatic_collections},
    {"the same, under torture", changing_graphs_under_torture},
    {"the same, in slices", changing_graphs_in_slices},
    {"the same, in slices under torture", changing_graphs_in_slices_under_torture},
};

int main(int argc, char **argv)
{
    return TAP_RUN(cases, argc, argv);
}
