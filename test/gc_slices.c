/* gc.h: collections in slices, and what the program may do in between.  Under
 * PYGC_DEBUG_TORTURE a slice is at most a few objects long, whatever its budget. */
#include "support.h"

#include <pymalloc/gc.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

struct node {
    struct node *a, *b;
    size_t id;
};

struct wide {
    size_t count;
    struct node *item[];
};

static pygc_heap *heap;
static pygc_type *small, *large, *wide, *final, *told;
static size_t deaths, finalized;
static struct node *saved; /* by a finalizer, once */

static void count_death(void *object)
{
    (void)object;
    deaths++;
}

static void count_finalized(void *object)
{
    (void)object;
    finalized++;
}

static void save(void *object)
{
    finalized++;
    pygc_incref(object);
    saved = object;
}

static int visit_node(void *object, pygc_visit_fn *visit, void *arg)
{
    struct node *node = object;
    int result = node->a != NULL ? visit(node->a, arg) : 0;
    return result == 0 && node->b != NULL ? visit(node->b, arg) : result;
}

static void clear_node(void *object)
{
    struct node *node = object;
    pygc_clear(&node->a);
    pygc_clear(&node->b);
}

static void make_types(void)
{
    static const struct pygc_slot slots[] = {{0, 2, PYGC_STRONG, NULL}};
    static const struct pygc_slot items[] = {{0, 1, PYGC_ITEMS, NULL}};
    struct pygc_type_spec spec = {.name = "small",
                                  .size = sizeof(struct node),
                                  .slots = slots,
                                  .slot_count = 1,
                                  .dealloc = count_death,
                                  .flags = PYGC_WEAKREFABLE};
    small = pygc_type_new(&spec);
    spec.name = "large";
    spec.size = 5000;
    large = pygc_type_new(&spec);
    spec.name = "final";
    spec.size = sizeof(struct node);
    spec.finalize = count_finalized;
    final = pygc_type_new(&spec);
    struct pygc_type_spec wide_spec = {.name = "wide",
                                       .size = sizeof(struct wide),
                                       .item_size = sizeof(struct node *),
                                       .slots = items,
                                       .slot_count = 1,
                                       .dealloc = count_death};
    wide = pygc_type_new(&wide_spec);
    struct pygc_type_spec told_spec = {.name = "told",
                                       .size = sizeof(struct node),
                                       .traverse = visit_node,
                                       .clear = clear_node,
                                       .dealloc = count_death};
    told = pygc_type_new(&told_spec);
}

/* Collections run when told only. */
static void begin(unsigned flags)
{
    struct pygc_options options = {.disabled = 1, .flags = flags};
    heap = pygc_heap_new(&options);
    deaths = finalized = 0;
    saved = NULL;
}

static void end(void)
{
    CHECK_EQ(pygc_verify(heap), 0, "faults");
    CHECK_EQ(pygc_heap_destroy(heap, 0), 0, "left");
}

static struct node *make(pygc_type *type)
{
    struct node *node = pygc_alloc(heap, type);
    pygc_track(node);
    return node;
}

/* A ring of so many, to the first of which the caller has a reference. */
static struct node *make_ring(pygc_type *type, size_t length)
{
    struct node *first = make(type), *last = first;
    pygc_incref(first);
    for (size_t i = 1; i < length; i++) {
        struct node *next = make(type);
        pygc_store(last, &last->a, next);
        pygc_decref(last);
        last = next;
    }
    pygc_store(last, &last->a, first);
    pygc_decref(last);
    return first;
}

static size_t finish(void)
{
    size_t slices = 1;
    while (pygc_step(heap, 1000)) {
        slices++;
    }
    return slices;
}

/* ---- what is found ---- */

static void garbage_is_found(void)
{
    enum { RINGS = 500, LENGTH = 3 };
    pygc_type *types[] = {small, large, final, told};
    for (size_t t = 0; t < COUNT_OF(types); t++) {
        begin(PYGC_DEBUG_TORTURE);
        struct node *kept[RINGS];
        for (size_t i = 0; i < RINGS; i++) {
            kept[i] = make_ring(types[t], LENGTH);
            pygc_decref(make_ring(types[t], LENGTH));
        }
        size_t slices = finish();
        CHECK(slices > 100, "there were %zu slices only", slices);
        CHECK_EQ(deaths, RINGS * LENGTH, "freed, of type %s", pygc_type_name(types[t]));
        CHECK_EQ(finalized, types[t] == final ? RINGS * LENGTH : 0, "finalized");
        CHECK_EQ(pygc_step(heap, 1000), 0, "there is nothing to do");
        for (size_t i = 0; i < RINGS; i++) {
            pygc_decref(kept[i]);
        }
        CHECK_EQ(pygc_collect(heap, 2), RINGS * LENGTH, "found as a whole");
        end();
    }
}

/* Each ring refers to the next and to something alive: one group, however it is met. */
static void garbage_that_refers_to_garbage(void)
{
    enum { RINGS = 400 };
    begin(PYGC_DEBUG_TORTURE);
    struct node *alive = make_ring(small, 2), *first = NULL;
    for (size_t i = 0; i < RINGS; i++) {
        struct node *ring = make_ring(i % 7 == 0 ? large : small, 3);
        pygc_store(ring, &ring->b, i % 5 == 0 ? alive : first);
        pygc_xdecref(first);
        first = ring;
    }
    pygc_decref(first);
    (void)finish();
    CHECK_EQ(deaths, RINGS * 3, "freed");
    pygc_decref(alive);
    CHECK_EQ(pygc_collect(heap, 2), 2, "found as a whole");
    end();
}

static void one_large_group(void)
{
    enum { LENGTH = 20000 };
    begin(0);
    pygc_decref(make_ring(small, LENGTH));
    pygc_decref(make_ring(small, 2));
    while (pygc_step(heap, 20000)) {
    }
    CHECK_EQ(deaths, LENGTH + 2, "freed");
    struct pygc_stats stats;
    pygc_get_stats(heap, &stats);
    CHECK(stats.oversized >= 1, "the exception is not counted");
    CHECK_EQ(stats.generation[2].collected, LENGTH + 2, "counted");
    CHECK_EQ(stats.generation[2].collections, 1, "counted");
    end();
}

static void many_references(void)
{
    enum { ITEMS = 20000, SHARED = 1000 };
    begin(PYGC_DEBUG_TORTURE);
    struct wide *kept = pygc_alloc_var(heap, wide, ITEMS);
    struct wide *dropped = pygc_alloc_var(heap, wide, ITEMS);
    struct node *shared = make(small);
    for (size_t i = 0; i < ITEMS; i++) {
        struct node *node = make(small);
        pygc_store(kept, &kept->item[i], i < SHARED ? shared : node);
        node = (pygc_decref(node), make(small));
        pygc_store(node, &node->a, dropped);
        pygc_store(dropped, &dropped->item[i], i < SHARED ? shared : node);
        pygc_decref(node);
    }
    pygc_decref(shared);
    size_t before = deaths;
    pygc_decref(dropped);
    (void)finish();
    CHECK_EQ(deaths - before, ITEMS + 1 - SHARED, "freed");
    CHECK_EQ(pygc_refcnt(kept->item[0]), SHARED, "references to what is shared");
    pygc_decref(kept);
    end();
}

/* More references from garbage than fit into a byte, to what is no candidate. */
static void garbage_shares_what_is_frozen(void)
{
    enum { RING = 300 };
    begin(PYGC_DEBUG_TORTURE);
    struct node *shared = make(small);
    pygc_freeze(heap);
    struct node *first = make_ring(small, RING), *node = first;
    do {
        pygc_store(node, &node->b, shared);
        node = node->a;
    } while (node != first);
    pygc_decref(shared);
    pygc_decref(first);
    (void)finish();
    CHECK_EQ(deaths, RING + 1, "freed");
    end();
}

/* ---- what the program does in between ---- */

/* References move, and never lie still: none of them may be lost. */
static void what_moves_lives(void)
{
    enum { NODES = 3000, ROUNDS = 12 };
    static struct node *table[NODES];
    struct rng rng = {20261123};
    begin(PYGC_DEBUG_TORTURE);
    for (size_t i = 0; i < NODES; i++) {
        table[i] = make(i % 50 == 0 ? large : small);
    }
    for (int round = 0; round < ROUNDS; round++) {
        do {
            for (int i = 0; i < 40; i++) {
                struct node *from = table[rng_below(&rng, NODES / 8)];
                size_t at = NODES / 8 + rng_below(&rng, NODES - NODES / 8);
                struct node **slot = rng_below(&rng, 2) ? &from->a : &from->b;
                struct node *moved = pygc_take(slot); /* a plain move each way */
                *slot = table[at];
                table[at] = moved != NULL ? moved : make(small);
            }
        } while (pygc_step(heap, 1000));
        CHECK_EQ(deaths, 0, "died, but can be reached");
        CHECK_EQ(pygc_verify(heap), 0, "faults");
    }
    for (size_t i = 0; i < NODES; i++) {
        pygc_decref(table[i]);
    }
    (void)pygc_collect(heap, 2);
    end();
}

/* Whole rings change hands, hanging off what the collector has seen already. */
static void what_hides_behind_the_new_lives(void)
{
    enum { RINGS = 300 };
    static struct node *hook[RINGS];
    begin(PYGC_DEBUG_TORTURE);
    for (size_t i = 0; i < RINGS; i++) {
        hook[i] = make(small);
        hook[i]->a = make_ring(i % 10 == 0 ? large : small, 4);
    }
    size_t at = 0, made = 0;
    do {
        struct node *fresh = make(small);
        fresh->a = pygc_take(&hook[at]->a);
        pygc_decref(hook[at]);
        hook[at] = fresh;
        at = (at + 1) % RINGS;
        made++;
    } while (pygc_step(heap, 1000));
    CHECK_EQ(deaths, made, "only the hooks have died");
    for (size_t i = 0; i < RINGS; i++) {
        CHECK(hook[i]->a->a->a->a->a == hook[i]->a, "a ring is broken");
        pygc_decref(hook[i]);
    }
    CHECK_EQ(pygc_collect(heap, 2), RINGS * 4, "found as a whole");
    end();
}

/* Before any slice: a large object is moved to where the collector has been. */
static void tracking_again_meanwhile(void)
{
    enum { MANY = 60 };
    struct node *node[MANY];
    bool more = true;
    for (size_t slices = 1; more; slices++) {
        begin(PYGC_DEBUG_TORTURE);
        for (size_t i = 0; i < MANY; i++) {
            node[i] = make(large);
            node[i]->a = make(small);
        }
        for (size_t i = 0; i < slices && more; i++) {
            more = pygc_step(heap, 1000);
        }
        pygc_untrack(node[0]);
        pygc_track(node[0]);
        CHECK_EQ(pygc_collect(heap, 2), 0, "after %zu slices", slices);
        CHECK_EQ(deaths, 0, "died, but can be reached");
        for (size_t i = 0; i < MANY; i++) {
            pygc_decref(node[i]);
        }
        end();
    }
}

/* Takes so many slices, or fewer if a collection ends before: whether it goes on. */
static bool step_on(size_t slices, bool more)
{
    for (size_t i = 0; i < slices && more; i++) {
        more = pygc_step(heap, 1000);
    }
    return more;
}

/* Builds garbage and what looks like it, does so many slices, and tells how. */
struct scene {
    struct node *kept[40];
    struct wide *wide;
    pygc_weakref *weak;
    size_t garbage;
};

static bool build(struct scene *scene, size_t slices)
{
    *scene = (struct scene){.garbage = 40 * 3 + 2};
    for (size_t i = 0; i < COUNT_OF(scene->kept); i++) {
        pygc_type *type = i % 4 == 0 ? large : small;
        scene->kept[i] = make_ring(type, 3);
        pygc_decref(make_ring(type, 3));
    }
    scene->wide = pygc_alloc_var(heap, wide, 4000);
    for (size_t i = 0; i < 4000; i++) {
        pygc_store(scene->wide, &scene->wide->item[i], scene->kept[i % 40]);
    }
    struct node *pair = make_ring(small, 2);
    scene->weak = pygc_weakref_new(pair, NULL, NULL);
    pygc_decref(pair);
    return step_on(slices, true);
}

static void let_go(struct scene *scene)
{
    for (size_t i = 0; i < COUNT_OF(scene->kept); i++) {
        pygc_decref(scene->kept[i]);
    }
    pygc_weakref_free(scene->weak);
}

static void die_in_hand(struct scene *scene)
{
    for (size_t i = 0; i < COUNT_OF(scene->kept); i++) {
        pygc_clear(&scene->kept[i]->a); /* the ring is undone */
    }
    pygc_decref(scene->wide);
    size_t dead = deaths;
    pygc_decref(make_ring(large, 1)); /* memory is used anew */
    (void)finish();
    CHECK(dead >= 40 * 2 + 1, "%zu have died", dead);
    (void)pygc_collect(heap, 2);
    CHECK_EQ(deaths, scene->garbage + 40 * 2 + 1 + 1, "freed");
    let_go(scene);
}

static void grow_in_hand(struct scene *scene)
{
    struct wide *moved = pygc_realloc_var(scene->wide, 6000);
    CHECK(moved != NULL, "no memory");
    (void)finish();
    CHECK_EQ(deaths, scene->garbage, "freed");
    pygc_decref(moved);
    let_go(scene);
}

static void save_by_weak_reference(struct scene *scene)
{
    struct node *pair = pygc_weakref_get(scene->weak);
    (void)finish();
    CHECK_EQ(deaths, scene->garbage - (pair != NULL ? 2 : 0), "freed");
    CHECK(pair == NULL || pair->a->a == pair, "the pair is broken");
    pygc_xdecref(pair);
    (void)pygc_collect(heap, 2);
    CHECK_EQ(deaths, scene->garbage, "freed");
    CHECK(pygc_weakref_get(scene->weak) == NULL, "the reference is not cleared");
    pygc_decref(scene->wide);
    let_go(scene);
}

static void collect_instead(struct scene *scene)
{
    size_t before = deaths;
    CHECK_EQ(pygc_collect(heap, 0), scene->garbage - before, "found");
    CHECK_EQ(deaths, scene->garbage, "freed");
    (void)finish();
    CHECK_EQ(deaths, scene->garbage, "freed");
    pygc_decref(scene->wide);
    let_go(scene);
}

static void freeze_and_go_on(struct scene *scene)
{
    size_t before = deaths;
    pygc_freeze(heap);
    (void)finish();
    CHECK_EQ(deaths, before, "frozen objects have died");
    pygc_unfreeze(heap);
    (void)pygc_collect(heap, 2);
    CHECK_EQ(deaths, scene->garbage, "freed");
    pygc_decref(scene->wide);
    let_go(scene);
}

static void fork_and_go_on(struct scene *scene)
{
    pid_t pid = fork();
    if (pid == 0) {
        (void)finish();
        (void)pygc_collect(heap, 2);
        _exit(deaths == scene->garbage && pygc_verify(heap) == 0 ? 0 : 1);
    }
    (void)finish();
    CHECK_EQ(deaths, scene->garbage, "freed");
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0, "the child's status is %d",
          status);
    pygc_decref(scene->wide);
    let_go(scene);
}

static void destroy(struct scene *scene)
{
    pygc_weakref_free(scene->weak);
    CHECK(pygc_heap_destroy(heap, 0) > 0, "nothing was left");
    heap = NULL;
}

/* Whatever it is, before every slice of a collection. */
static void at_every_slice(void (*fn)(struct scene *), size_t step)
{
    bool more = true;
    for (size_t slices = 1; more; slices += step) {
        struct scene scene;
        begin(PYGC_DEBUG_TORTURE);
        more = build(&scene, slices);
        fn(&scene);
        if (heap != NULL) {
            (void)pygc_collect(heap, 2);
            end();
        }
    }
}

/* Runs what is done in two steps with all numbers of slices before each that there can
 * be; it tells whether there were so many. */
static void at_all_times(bool (*run)(size_t first, size_t second))
{
    for (size_t i = 0; run(i, 0); i++) {
        for (size_t k = 1; run(i, k); k++) {
        }
    }
}

/* One that is looked at in parts, taken from its only owner before one slice, dies
 * before a later one.  Whether there was such a slice. */
static bool move_and_drop_large(size_t until_moved, size_t until_dropped)
{
    begin(PYGC_DEBUG_TORTURE);
    struct node *owner = make(small);
    struct wide *moved = pygc_alloc_var(heap, wide, 2000);
    owner->a = (struct node *)moved;
    bool more = step_on(until_moved, true);
    CHECK(pygc_take(&owner->a) == moved, "moved");
    more = step_on(until_dropped, more);
    pygc_decref(moved);
    (void)finish();
    CHECK_EQ(deaths, 1, "freed, after %zu slices and %zu", until_moved, until_dropped);
    pygc_decref(owner);
    end();
    return more;
}

static void large_objects_die_in_two_lists(void)
{
    at_all_times(move_and_drop_large);
}

/* One is suspected with what it refers to, since it was taken from its only owner; it
 * dies, and the other waits to be released. */
static bool move_and_drop_slowly(size_t until_moved, size_t until_dropped)
{
    enum { GARBAGE = 40 };
    begin(PYGC_DEBUG_TORTURE);
    struct node *owner = make(small), *moved = make(small);
    owner->a = moved;
    moved->a = make(small);
    for (size_t i = 0; i < GARBAGE; i++) {
        pygc_decref(make_ring(small, 1));
    }
    bool more = step_on(until_moved, true);
    CHECK(pygc_take(&owner->a) == moved, "moved");
    more = step_on(until_dropped, more);
    pygc_set_release_budget(heap, 1);
    pygc_decref(moved);
    (void)finish();
    pygc_set_release_budget(heap, 0);
    (void)pygc_release(heap, 0);
    CHECK_EQ(deaths, GARBAGE + 2, "freed, after %zu slices and %zu", until_moved,
             until_dropped);
    pygc_decref(owner);
    end();
    return more;
}

static void suspects_wait_for_release(void)
{
    at_all_times(move_and_drop_slowly);
}

/* Large objects are suspects, since all were taken from their owners before one slice;
 * they die before a later one, and the collection is put an end to after another. */
static bool move_and_drop_many(size_t until_moved, size_t until_dropped)
{
    enum { MANY = 60 };
    struct node *owner[MANY], *moved[MANY];
    begin(PYGC_DEBUG_TORTURE);
    for (size_t i = 0; i < MANY; i++) {
        owner[i] = make(small);
        owner[i]->a = make(large);
    }
    bool more = step_on(until_moved, true);
    for (size_t i = 0; i < MANY; i++) {
        moved[i] = pygc_take(&owner[i]->a);
    }
    more = step_on(until_dropped, more);
    for (size_t i = 0; i < MANY; i++) {
        pygc_decref(moved[i]);
    }
    (void)pygc_step(heap, 1000);
    CHECK_EQ(pygc_collect(heap, 2), 0, "all had been freed");
    CHECK_EQ(deaths, MANY, "freed, after %zu slices and %zu", until_moved,
             until_dropped);
    for (size_t i = 0; i < MANY; i++) {
        pygc_decref(owner[i]);
    }
    end();
    return more;
}

static void large_suspects_die_and_are_forgotten(void)
{
    enum { STRIDE = 5 };
    for (size_t i = 0; move_and_drop_many(i, 0); i += STRIDE) {
        for (size_t k = 1; move_and_drop_many(i, k); k++) {
        }
    }
}

static void objects_die_in_hand(void)
{
    at_every_slice(die_in_hand, 1);
}

static void objects_move_in_hand(void)
{
    at_every_slice(grow_in_hand, 1);
}

static void weak_references_save(void)
{
    at_every_slice(save_by_weak_reference, 1);
}

static void a_whole_collection_instead(void)
{
    at_every_slice(collect_instead, 1);
}

static void freezing_meanwhile(void)
{
    at_every_slice(freeze_and_go_on, 3);
}

static void forking_meanwhile(void)
{
    at_every_slice(fork_and_go_on, 7);
}

static void destroying_meanwhile(void)
{
    at_every_slice(destroy, 1);
}

static void step(void *object)
{
    finalized++;
    (void)pygc_step(pygc_heap_of(object), 0);
}

static void count_death_and_collect(void *object)
{
    deaths++;
    CHECK_EQ(pygc_collect(pygc_heap_of(object), 2), 0, "found");
    CHECK_EQ(pygc_step(pygc_heap_of(object), 0), 0, "more is left");
}

/* Notes that are left in pools would be taken for references to what the next heap has
 * there. */
static void destroy_while_collecting(void (*dealloc)(void *object))
{
    enum { STEPS = 10, OTHERS = 1500 };
    static struct node *next[OTHERS];
    static const struct pygc_slot slots[] = {{0, 2, PYGC_STRONG, NULL}};
    struct pygc_type_spec spec = {.name = "stepping",
                                  .size = sizeof(struct node),
                                  .slots = slots,
                                  .slot_count = 1,
                                  .finalize = step,
                                  .dealloc = dealloc};
    pygc_type *stepping = pygc_type_new(&spec);
    begin(0);
    for (int i = 0; i < OTHERS; i++) {
        (void)make_ring(small, 1);
    }
    for (int i = 0; i < STEPS; i++) {
        pygc_decref(make_ring(stepping, 1));
    }
    CHECK_EQ(pygc_heap_destroy(heap, 0), STEPS + OTHERS, "left");
    CHECK_EQ(finalized, STEPS, "finalized");
    CHECK_EQ(deaths, STEPS + OTHERS, "freed");
    begin(0);
    for (int i = 0; i < OTHERS; i++) {
        next[i] = make(small);
    }
    CHECK_EQ(pygc_collect(heap, 2), 0, "found in the next heap");
    for (int i = 0; i < OTHERS; i++) {
        pygc_decref(next[i]);
    }
    end();
}

static void collecting_while_a_heap_is_destroyed(void)
{
    destroy_while_collecting(count_death);
    destroy_while_collecting(count_death_and_collect);
}

/* ---- finalizers and weak references ---- */

static size_t called;

static void on_clear(pygc_weakref *ref, void *arg)
{
    (void)ref;
    (void)arg;
    called++;
}

static void weak_callbacks(void)
{
    enum { RINGS = 100 };
    static pygc_weakref *weak[RINGS];
    begin(PYGC_DEBUG_TORTURE);
    called = 0;
    for (size_t i = 0; i < RINGS; i++) {
        struct node *ring = make_ring(small, 3);
        weak[i] = pygc_weakref_new(ring->a, on_clear, NULL);
        pygc_decref(ring);
    }
    (void)finish();
    CHECK_EQ(called, RINGS, "callbacks");
    for (size_t i = 0; i < RINGS; i++) {
        CHECK(pygc_weakref_get(weak[i]) == NULL, "not cleared");
        pygc_weakref_free(weak[i]);
    }
    end();
}

static void a_finalizer_resurrects(void)
{
    static const struct pygc_slot slots[] = {{0, 2, PYGC_STRONG, NULL}};
    static const struct pygc_type_spec spec = {.name = "saviour",
                                               .size = sizeof(struct node),
                                               .slots = slots,
                                               .slot_count = 1,
                                               .finalize = save,
                                               .dealloc = count_death};
    pygc_type *saviour = pygc_type_new(&spec);
    begin(PYGC_DEBUG_TORTURE);
    struct node *one = make(saviour), *other = make(small);
    pygc_store(one, &one->a, other), pygc_store(other, &other->a, one);
    pygc_decref(one), pygc_decref(other);
    for (int i = 0; i < 100; i++) {
        pygc_decref(make_ring(small, 3));
    }
    (void)finish();
    CHECK_EQ(deaths, 300, "freed");
    CHECK(saved == one && finalized == 1 && one->a->a == one, "it is not saved");
    pygc_decref(one);
    pygc_decref(make(small)); /* something new */
    CHECK_EQ(pygc_collect(heap, 2), 2, "found at last");
    CHECK_EQ(finalized, 1, "finalized once");
    end();
}

/* ---- by itself ---- */

/* Rings grow old before they are dropped.  At no moment may there be more garbage than
 * what the thresholds let by, and a quarter of what is alive. */
static void garbage_is_bounded(void)
{
    enum { TABLE = 3000, LENGTH = 3, STEPS = 60000, T0 = 50, T1 = 3, T2 = 3 };
    static struct node *table[TABLE];
    static const struct pygc_options options = {.threshold = {T0, T1, T2}};
    struct rng rng = {5};
    begin(0);
    (void)pygc_heap_destroy(heap, 0);
    heap = pygc_heap_new(&options);
    pygc_set_pause_target(heap, 1000);
    size_t made = 0, most = 0;
    for (size_t i = 0; i < TABLE; i++) {
        table[i] = make_ring(small, LENGTH);
    }
    size_t alive = (size_t)TABLE * LENGTH, start = deaths;
    for (size_t i = 0; i < STEPS; i++) {
        size_t at = rng_below(&rng, TABLE);
        struct node *ring = make_ring(small, LENGTH);
        pygc_decref(table[at]);
        table[at] = ring;
        made += LENGTH;
        size_t standing = made - (deaths - start);
        most = standing > most ? standing : most;
    }
    size_t young = (T0 + 1 + LENGTH) * (T1 + 2) * (T2 + 2);
    CHECK(most <= young + alive / 4, "%zu garbage objects, %zu alive", most, alive);
    struct pygc_stats stats;
    pygc_get_stats(heap, &stats);
    CHECK(stats.generation[2].collections > 20, "%ju full collections",
          (uintmax_t)stats.generation[2].collections);
    for (size_t i = 0; i < TABLE; i++) {
        pygc_decref(table[i]);
    }
    (void)pygc_collect(heap, 2);
    memset(table, 0, sizeof table);
    end();
}

static void steps_with_nothing_to_do(void)
{
    begin(0);
    CHECK_EQ(pygc_step(heap, 1000000), 0, "an empty heap");
    CHECK_EQ(pygc_get_pause_target(heap), 0, "at first");
    pygc_set_pause_target(heap, 5000);
    CHECK_EQ(pygc_get_pause_target(heap), 5000, "as set");
    struct node *node = make(small);
    (void)finish();
    struct pygc_stats stats;
    pygc_get_stats(heap, &stats);
    CHECK_EQ(stats.generation[2].collections, 1, "collections");
    (void)finish();
    pygc_get_stats(heap, &stats);
    CHECK_EQ(stats.generation[2].collections, 1, "none since");
    pygc_decref(node);
    end();
}

static void all_the_time_there_is(void)
{
    enum { RINGS = 5000 };
    begin(0);
    for (size_t i = 0; i < RINGS; i++) {
        pygc_decref(make_ring(small, 2));
    }
    CHECK_EQ(pygc_step(heap, UINT64_MAX), 0, "more is left");
    CHECK_EQ(deaths, RINGS * 2, "freed");
    end();
}

static void a_threshold_as_high_as_can_be(void)
{
    static const unsigned threshold[3] = {UINT32_MAX, 10, 10};
    begin(0);
    pygc_set_threshold(heap, threshold);
    pygc_decref(make_ring(small, 3));
    (void)finish();
    CHECK_EQ(deaths, 3, "freed");
    end();
}

static const struct tap_case cases[] = {
    {"garbage is found", garbage_is_found},
    {"garbage that refers to garbage", garbage_that_refers_to_garbage},
    {"one large group", one_large_group},
    {"objects with many references", many_references},
    {"garbage shares what is frozen", garbage_shares_what_is_frozen},
    {"what moves lives", what_moves_lives},
    {"what hides behind the new lives", what_hides_behind_the_new_lives},
    {"objects die in hand", objects_die_in_hand},
    {"tracking again meanwhile", tracking_again_meanwhile},
    {"large objects die in two lists", large_objects_die_in_two_lists},
    {"suspects wait for release", suspects_wait_for_release},
    {"large suspects die and are forgotten", large_suspects_die_and_are_forgotten},
    {"objects move in hand", objects_move_in_hand},
    {"weak references save suspects", weak_references_save},
    {"a whole collection instead", a_whole_collection_instead},
    {"freezing meanwhile", freezing_meanwhile},
    {"forking meanwhile", forking_meanwhile},
    {"destroying meanwhile", destroying_meanwhile},
    {"collecting while a heap is destroyed", collecting_while_a_heap_is_destroyed},
    {"weak callbacks", weak_callbacks},
    {"a finalizer resurrects", a_finalizer_resurrects},
    {"garbage is bounded", garbage_is_bounded},
    {"steps with nothing to do", steps_with_nothing_to_do},
    {"all the time there is", all_the_time_there_is},
    {"a threshold as high as can be", a_threshold_as_high_as_can_be},
};

int main(int argc, char **argv)
{
    make_types();
    return TAP_RUN(cases, argc, argv);
}
