/*
 * The object layer by operations that bytes decide: objects of several types that refer
 * to each other in any way, weak references, finalizers that save their objects,
 * collections of all kinds, in slices and with all that heaps can be told to do.
 *
 * The model knows who refers to whom.  Whatever can be reached lives; and when a full
 * collection is over, nothing else does.
 */
#include "inside.h"
#ifndef PYM_FUZZER
#include "replay.h"
#endif

#include <pymalloc/gc.h>

enum {
    NODES = 40,
    EDGES = 3,
    ITEMS_MOST = 80,
    WEAK_REFS = 12,
    NOBODY = -1,
    OPERATIONS_MOST = 1500
};

/* Time is what the input says: so many ns pass between two looks at the clock. */
static uint64_t now_ns, tick_ns;

uint64_t __wrap_gc_now(void);

uint64_t __wrap_gc_now(void)
{
    now_ns += tick_ns;
    return now_ns;
}

/* Kinds of objects; those from VARIED on have their edges elsewhere. */
enum { SLOTS, LARGE, VISITED, FINALIZED, LEAF, VARIED, KINDS };

struct node {
    struct node *edge[EDGES];
    size_t id;
};

/* Its edges are its first items. */
struct varied {
    size_t count;
    size_t id;
    void *item[];
};

static struct {
    void *object; /* NULL: never born, or known to be dead */
    int kind;
    int edge[EDGES]; /* NOBODY: none */
    size_t held;     /* references of ours */
    bool told_dead, finalized, wants_to_live;
} model[NODES];

static struct {
    pygc_weakref *ref;
    int target; /* NOBODY: it is dead */
    unsigned called;
    bool may_be_cleared; /* though its target lives on */
} weak[WEAK_REFS];

static void reach(bool *reached);

static pygc_heap *heap;
static pygc_type *type[KINDS];
static bool may_fail;    /* PYGC_DEBUG_FAIL */
static bool is_deferred; /* finalizers are put off */

static size_t id_of(const void *object)
{
    return pygc_type_of(object) == type[VARIED] ? ((const struct varied *)object)->id
                                                : ((const struct node *)object)->id;
}

static size_t edges_of(int kind, const void *object)
{
    size_t items = kind == VARIED ? pygc_item_count(object) : EDGES;
    return kind == LEAF ? 0 : items < EDGES ? items : EDGES;
}

static void *slot_of(size_t id, size_t k)
{
    return model[id].kind == VARIED
               ? &((struct varied *)model[id].object)->item[k]
               : (void *)&((struct node *)model[id].object)->edge[k];
}

/* ------------------------------------------------------- what types are told */

static void on_dealloc(void *object)
{
    size_t id = id_of(object);
    CHECK(id < NODES && model[id].object == object, "what dies is no object of ours");
    CHECK(!model[id].told_dead, "%zu dies twice", id);
    model[id].told_dead = true;
}

/* Weak references to garbage are cleared before any of it is finalized, also those to
 * what a finalizer then saves. */
static void expect_cleared(void)
{
    bool reached[NODES];
    reach(reached);
    for (size_t w = 0; w < WEAK_REFS; w++) {
        weak[w].may_be_cleared |= weak[w].target != NOBODY && !reached[weak[w].target];
    }
}

static void on_finalize(void *object)
{
    size_t id = id_of(object);
    CHECK(!model[id].told_dead, "%zu is finalized after its death", id);
    CHECK(!model[id].finalized, "%zu is finalized twice", id);
    model[id].finalized = true;
    if (model[id].wants_to_live) {
        expect_cleared();
        model[id].held++;
        pygc_incref(object);
    }
}

static int visit_node(void *object, pygc_visit_fn *visit, void *arg)
{
    struct node *node = object;
    for (size_t i = 0; i < EDGES; i++) {
        int result = node->edge[i] != NULL ? visit(node->edge[i], arg) : 0;
        if (result != 0) {
            return result;
        }
    }
    return 0;
}

static void clear_node(void *object)
{
    struct node *node = object;
    for (size_t i = 0; i < EDGES; i++) {
        pygc_clear(&node->edge[i]);
    }
}

static void make_types(void)
{
    static const struct pygc_slot slots[] = {{0, EDGES, PYGC_STRONG, NULL}};
    static const struct pygc_slot items[] = {{0, 1, PYGC_ITEMS, NULL}};
    struct pygc_type_spec spec = {.name = "slots",
                                  .size = sizeof(struct node),
                                  .slots = slots,
                                  .slot_count = 1,
                                  .dealloc = on_dealloc,
                                  .flags = PYGC_WEAKREFABLE};
    type[SLOTS] = pygc_type_new(&spec);
    spec.name = "large";
    spec.size = 3000;
    type[LARGE] = pygc_type_new(&spec);
    spec.name = "finalized";
    spec.size = sizeof(struct node) + 100;
    spec.finalize = on_finalize;
    type[FINALIZED] = pygc_type_new(&spec);
    spec.name = "visited";
    spec.size = sizeof(struct node);
    spec.slots = NULL;
    spec.slot_count = 0;
    spec.traverse = visit_node;
    spec.clear = clear_node;
    type[VISITED] = pygc_type_new(&spec);
    struct pygc_type_spec leaf = {.name = "leaf",
                                  .size = sizeof(struct node),
                                  .dealloc = on_dealloc,
                                  .flags = PYGC_ACYCLIC | PYGC_WEAKREFABLE};
    type[LEAF] = pygc_type_new(&leaf);
    struct pygc_type_spec varied = {.name = "varied",
                                    .size = sizeof(struct varied),
                                    .item_size = sizeof(void *),
                                    .slots = items,
                                    .slot_count = 1,
                                    .dealloc = on_dealloc};
    type[VARIED] = pygc_type_new(&varied);
}

/* ------------------------------------------------------------- the comparison */

static void mark(int id, bool *reached)
{
    if (id != NOBODY && !reached[id]) {
        reached[id] = true;
        for (size_t k = 0; k < EDGES; k++) {
            mark(model[id].edge[k], reached);
        }
    }
}

static void reach(bool *reached)
{
    memset(reached, 0, NODES * sizeof *reached);
    for (int i = 0; i < NODES; i++) {
        if (model[i].held > 0) {
            mark(i, reached);
        }
    }
}

static void bury(int id)
{
    memset(&model[id], 0, sizeof model[id]);
    for (size_t k = 0; k < EDGES; k++) {
        model[id].edge[k] = NOBODY;
    }
    for (size_t w = 0; w < WEAK_REFS; w++) {
        if (weak[w].target == id) {
            weak[w].target = NOBODY;
        }
    }
}

static void compare(bool is_complete)
{
    bool reached[NODES];
    reach(reached);
    for (int i = 0; i < NODES; i++) {
        if (model[i].object == NULL) {
            continue;
        }
        CHECK(!reached[i] || !model[i].told_dead, "%d is dead, but can be reached", i);
        CHECK(!is_complete || reached[i] || model[i].told_dead,
              "%d lives, but cannot be reached", i);
        if (model[i].told_dead) {
            bury(i);
        }
    }
}

/* ----------------------------------------------------------------- operations */

static int pick(struct input *in)
{
    return (int)input_below(in, NODES);
}

/* One that the program may touch: it has a way to it. */
static int pick_reachable(struct input *in)
{
    bool reached[NODES];
    int id = pick(in);
    reach(reached);
    for (int i = 0; i < NODES; i++) {
        int at = (id + i) % NODES;
        if (reached[at]) {
            return at;
        }
    }
    return NOBODY;
}

static void do_make(struct input *in)
{
    int id = pick(in), kind = (int)input_below(in, KINDS);
    size_t count = kind == VARIED ? input_below(in, ITEMS_MOST) : 0;
    if (model[id].object != NULL) {
        return;
    }
    void *object = kind == VARIED ? pygc_alloc_var(heap, type[kind], count)
                                  : pygc_alloc(heap, type[kind]);
    if (object == NULL) {
        CHECK(may_fail || inside_failed, "no memory with nothing the matter");
        return;
    }
    CHECK((uintptr_t)object % ALIGNMENT == 0, "an object at %p", object);
    CHECK(all_zero((char *)object + sizeof(size_t),
                   pygc_object_size(object) - sizeof(size_t)),
          "a new object is not zero");
    CHECK_EQ(pygc_item_count(object), count, "items");
    *(kind == VARIED ? &((struct varied *)object)->id : &((struct node *)object)->id) =
        (size_t)id;
    model[id].object = object;
    model[id].kind = kind;
    model[id].held = 1;
    model[id].told_dead = model[id].finalized = false;
    model[id].wants_to_live = id % 2 != 0;
    pygc_track(object);
}

static void do_hold(struct input *in)
{
    int id = pick_reachable(in);
    if (id != NOBODY) {
        model[id].held++;
        pygc_incref(model[id].object);
    }
}

static void do_drop(struct input *in)
{
    int id = pick(in);
    if (model[id].held > 0) {
        model[id].held--;
        pygc_decref(model[id].object);
    }
}

/* Sets an edge of a reachable object, or with NOBODY clears it. */
static void set_edge(int from, size_t k, int to)
{
    if (from == NOBODY || k >= edges_of(model[from].kind, model[from].object)) {
        return;
    }
    void *slot = slot_of((size_t)from, k);
    model[from].edge[k] = to;
    if (to != NOBODY) {
        pygc_store(model[from].object, slot, model[to].object);
    } else {
        pygc_clear(slot);
    }
}

static void do_link(struct input *in)
{
    int from = pick_reachable(in), to = pick_reachable(in);
    set_edge(from, input_below(in, EDGES), to);
}

static void do_unlink(struct input *in)
{
    int from = pick_reachable(in);
    set_edge(from, input_below(in, EDGES), NOBODY);
}

/* A reference moves without a change of counts: out of an edge into our hands. */
static void do_take(struct input *in)
{
    int from = pick_reachable(in);
    size_t k = input_below(in, EDGES);
    if (from != NOBODY && k < edges_of(model[from].kind, model[from].object) &&
        model[from].edge[k] != NOBODY) {
        int to = model[from].edge[k];
        model[from].edge[k] = NOBODY;
        model[to].held++;
        CHECK(pygc_take(slot_of((size_t)from, k)) == model[to].object, "taken");
    }
}

static bool has_weak_reference(int id)
{
    for (size_t w = 0; w < WEAK_REFS; w++) {
        if (weak[w].ref != NULL && weak[w].target == id) {
            return true;
        }
    }
    return false;
}

static void do_resize(struct input *in)
{
    int id = pick(in);
    size_t count = input_below(in, ITEMS_MOST);
    void *object = model[id].object;
    if (object == NULL || model[id].kind != VARIED || model[id].held != 1 ||
        pygc_refcnt(object) != 1 || has_weak_reference(id)) {
        return;
    }
    size_t before = pygc_item_count(object);
    /* What is dropped may die before the object is back. */
    int dropped[EDGES];
    memcpy(dropped, model[id].edge, sizeof dropped);
    for (size_t k = count; k < EDGES; k++) {
        model[id].edge[k] = NOBODY;
    }
    void *moved = pygc_realloc_var(object, count);
    if (moved == NULL) {
        CHECK(may_fail || inside_failed, "no memory with nothing the matter");
        memcpy(model[id].edge, dropped, sizeof dropped);
        return;
    }
    model[id].object = moved;
    CHECK_EQ(pygc_item_count(moved), count, "items");
    CHECK_EQ(id_of(moved), (size_t)id, "the number in it");
    for (size_t k = before; k < count; k++) {
        CHECK(((struct varied *)moved)->item[k] == NULL, "item %zu is not zero", k);
    }
}

static void do_collect(struct input *in)
{
    CHECK(pygc_collect(heap, (int)input_below(in, 3)) >= 0 || inside_failed,
          "a collection has failed");
}

/* Everything that puts off an object's death is undone first. */
static void collect_completely(void)
{
    inside_fail_in(0);
    is_deferred = false;
    pygc_finalize_defer(heap, 0);
    pygc_unfreeze(heap);
    for (int i = 0; i < 3; i++) {
        (void)pygc_finalize_run(heap);
        CHECK(pygc_collect(heap, 2) >= 0, "a full collection has failed");
        while (pygc_release(heap, 1000)) {
        }
    }
    compare(true);
}

static void do_collect_completely(struct input *in)
{
    (void)in;
    collect_completely();
}

static void do_step(struct input *in)
{
    (void)pygc_step(heap, (uint64_t)1 << input_byte(in) % 16);
}

static void do_verify(struct input *in)
{
    (void)in;
    CHECK(pygc_verify(heap) == 0 || inside_failed, "faults");
}

static void do_release(struct input *in)
{
    (void)pygc_release(heap, input_byte(in));
}

static void do_defer(struct input *in)
{
    is_deferred = input_byte(in) % 2 != 0;
    pygc_finalize_defer(heap, is_deferred);
}

static void do_finalize(struct input *in)
{
    (void)in;
    (void)pygc_finalize_run(heap);
}

static void do_freeze(struct input *in)
{
    if (input_byte(in) % 2 != 0) {
        pygc_freeze(heap);
    } else {
        pygc_unfreeze(heap);
        CHECK_EQ(pygc_freeze_count(heap), 0, "frozen");
    }
}

/* Untracked objects that nobody reaches any more would stay for ever, and what cannot
 * be reached must not be touched: so this one is tracked again before anything else. */
static void do_untrack(struct input *in)
{
    int id = pick_reachable(in);
    if (id == NOBODY) {
        return;
    }
    pygc_untrack(model[id].object);
    CHECK(!pygc_is_tracked(model[id].object), "%d is tracked", id);
    do_collect(in);
    pygc_track(model[id].object);
    CHECK(pygc_is_tracked(model[id].object) == (model[id].kind != LEAF),
          "%d is tracked or not", id);
}

static void do_track(struct input *in)
{
    int id = pick_reachable(in);
    if (id != NOBODY) {
        pygc_track(model[id].object);
    }
}

static void do_pace(struct input *in)
{
    unsigned how = input_byte(in), n = input_byte(in);
    switch (how % 4) {
    case 0:
        pygc_set_pause_target(heap, (uint64_t)n * 16);
        break;
    case 1:
        pygc_set_release_budget(heap, n % 16);
        break;
    case 2:
        tick_ns = (uint64_t)n * n;
        break;
    default:
        pygc_add_external(heap, (ptrdiff_t)n * 64);
        pygc_add_external(heap, -(ptrdiff_t)n * 64);
    }
}

static void do_run_out_of_memory(struct input *in)
{
    inside_fail_in(input_byte(in) % 32);
}

/* --------------------------------------------------------------- weak references */

static void on_target_death(pygc_weakref *ref, void *arg)
{
    size_t w = (size_t)(uintptr_t)arg;
    CHECK(weak[w].ref == ref, "a callback of another weak reference");
    CHECK(pygc_weakref_get(ref) == NULL, "the target of a callback is there");
    weak[w].called++;
    CHECK(weak[w].called == 1, "a callback is called %u times", weak[w].called);
}

static void do_watch(struct input *in)
{
    size_t w = input_below(in, WEAK_REFS);
    int id = pick_reachable(in);
    if (id == NOBODY || weak[w].ref != NULL) {
        return;
    }
    bool has_callback = input_byte(in) % 2 != 0;
    errno = 0;
    pygc_weakref *ref = pygc_weakref_new(
        model[id].object, has_callback ? on_target_death : NULL, (void *)(uintptr_t)w);
    if (model[id].kind == VARIED) {
        CHECK(ref == NULL && errno == EINVAL, "a weak reference to what has none");
    } else if (ref != NULL) {
        weak[w].ref = ref;
        weak[w].target = id;
        weak[w].called = 0;
        weak[w].may_be_cleared = false;
    } else {
        CHECK(may_fail || inside_failed, "no memory with nothing the matter");
    }
}

static void do_look(struct input *in)
{
    size_t w = input_below(in, WEAK_REFS);
    bool reached[NODES];
    if (weak[w].ref == NULL) {
        return;
    }
    reach(reached);
    int id = weak[w].target;
    void *target = pygc_weakref_get(weak[w].ref);
    if (id == NOBODY || model[id].told_dead) {
        CHECK(target == NULL, "a weak reference leads to a dead object");
        return;
    }
    CHECK(target != NULL || !reached[id] || weak[w].may_be_cleared,
          "a weak reference has lost %d", id);
    CHECK(target == NULL || target == model[id].object, "it leads to another than %d",
          id);
    if (target != NULL) {
        model[id].held++; /* nobody might have found it, but for this */
    }
}

static void do_unwatch(struct input *in)
{
    size_t w = input_below(in, WEAK_REFS);
    pygc_weakref_free(weak[w].ref);
    weak[w].ref = NULL;
}

/* ------------------------------------------------------------------- looking */

static int count_object(void *object, void *arg)
{
    (void)object;
    ++*(size_t *)arg;
    return 0;
}

static int count_step(void *object, size_t unaccounted, void *arg)
{
    (void)unaccounted;
    (void)object;
    ++*(size_t *)arg;
    return 0;
}

static void do_inspect(struct input *in)
{
    int id = pick_reachable(in);
    if (id == NOBODY) {
        return;
    }
    size_t edges = 0, referents = 0, steps = 0;
    for (size_t k = 0; k < EDGES; k++) {
        edges += model[id].edge[k] != NOBODY;
    }
    pygc_referents(model[id].object, count_object, &referents);
    CHECK_EQ(referents, edges, "references of %d", id);
    ptrdiff_t path = pygc_why_alive(model[id].object, count_step, &steps);
    CHECK(path > 0 || (path < 0 && (may_fail || inside_failed)), "%d is alive by %td",
          id, path);
    CHECK(path < 0 || steps == (size_t)path, "a path of %td has %zu objects", path,
          steps);
}

static void do_count(struct input *in)
{
    (void)in;
    size_t alive = 0, seen = 0;
    for (int i = 0; i < NODES; i++) {
        alive += model[i].object != NULL && !model[i].told_dead;
    }
    pygc_objects(heap, PYGC_ALL, count_object, &seen);
    CHECK_EQ(seen, alive, "objects");
}

/* ------------------------------------------------------------------ the input */

static void (*const operations[])(struct input *) = {
    do_make,
    do_make,
    do_make,
    do_make,
    do_make,
    do_make,
    do_link,
    do_link,
    do_link,
    do_link,
    do_link,
    do_unlink,
    do_take,
    do_drop,
    do_drop,
    do_drop,
    do_drop,
    do_hold,
    do_collect,
    do_collect,
    do_collect_completely,
    do_step,
    do_step,
    do_step,
    do_verify,
    do_release,
    do_defer,
    do_finalize,
    do_freeze,
    do_untrack,
    do_track,
    do_pace,
    do_pace,
    do_run_out_of_memory,
    do_watch,
    do_watch,
    do_look,
    do_look,
    do_unwatch,
    do_inspect,
    do_count,
    do_resize,
    do_resize,
};

static void make_heap(struct input *in)
{
    static const unsigned thresholds[][3] = {
        {700, 10, 10}, {1, 1, 1}, {5, 2, 2}, {20, 3, 3}};
    unsigned flags = input_byte(in), pace = input_byte(in);
    struct pygc_options options = {.disabled = flags >> 6 & 1};
    memcpy(options.threshold, thresholds[pace % 4], sizeof options.threshold);
    options.flags = flags & (PYGC_DEBUG_VERIFY | PYGC_DEBUG_TORTURE | PYGC_DEBUG_FAIL);
    may_fail = (options.flags & PYGC_DEBUG_FAIL) != 0;
    is_deferred = false;
    now_ns = 1;
    tick_ns = pace / 4;
    heap = pygc_heap_new(&options);
    for (int i = 0; i < NODES; i++) {
        bury(i);
    }
}

static void let_go(void)
{
    for (int i = 0; i < NODES; i++) {
        model[i].wants_to_live = false;
        for (; model[i].held > 0; model[i].held--) {
            pygc_decref(model[i].object);
        }
    }
}

static uint64_t small_live(void)
{
    struct pymalloc_totals stats;
    pymalloc_stats(&stats);
    return stats.small_live;
}

static void finish(void)
{
    compare(false);
    let_go();
    collect_completely();
    CHECK_EQ(pygc_verify(heap), 0, "faults");
    for (size_t w = 0; w < WEAK_REFS; w++) {
        if (weak[w].ref != NULL) {
            CHECK(pygc_weakref_get(weak[w].ref) == NULL, "a target is left");
            pygc_weakref_free(weak[w].ref);
            weak[w].ref = NULL;
        }
    }
    CHECK_EQ(pygc_heap_destroy(heap, 0), 0, "left");
    CHECK_EQ(pymalloc_verify(), 0, "violations");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};
    uint64_t before = small_live();
    unsigned count = 0;
    if (type[SLOTS] == NULL) {
        make_types();
        before = small_live(); /* types stay */
    }
    inside_init();
    make_heap(&in);
    while (!input_ended(&in) && tap_failures == 0 && count++ < OPERATIONS_MOST) {
        operations[input_byte(&in) % COUNT_OF(operations)](&in);
        compare(false);
        inside_forget_failure();
    }
    inside_fail_in(0);
    if (tap_failures == 0) {
        finish();
        CHECK_EQ(small_live(), before, "blocks");
    }
    return input_verdict();
}

#ifndef PYM_FUZZER
int main(int argc, char **argv)
{
    return replay(FUZZ_CORPUS, argc, argv);
}
#endif
