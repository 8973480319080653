/*
 * gc.h: fork, at any moment of a heap's life.  Parent and child both go on from there,
 * come to the same end and use the heap up; and a collection in a child leaves the
 * pages of living objects shared with the parent.
 */
#include "support.h"
#include "track.h"

#include <pymalloc/gc.h>
#include <stdbool.h>

/* ---- when to fork ---- */

enum place {
    AT_START, /* of a collection */
    AT_END,
    IN_TRAVERSE,
    IN_FINALIZER,
    IN_CALLBACK, /* of a weak reference */
    IN_CLEAR,
    IN_DEALLOC,
    NOWHERE
};

static const char *const place_names[] = {"start",    "end",   "traverse", "finalize",
                                          "callback", "clear", "dealloc",  "nowhere"};

static struct {
    enum place place;
    long calls; /* of that place, so far */
    long at;    /* the call in which to fork; -1: just count */
    pid_t child;
    bool is_child;
} plan;

static pygc_heap *heap;

static void arm(enum place place, long at)
{
    plan.place = place;
    plan.calls = 0;
    plan.at = at;
    plan.child = 0;
}

static void fork_if_here(enum place place)
{
    if (place != plan.place || plan.calls++ != plan.at) {
        return;
    }
    plan.place = NOWHERE;
    pid_t pid = fork();
    if (pid < 0) {
        tap_bail_out("fork: %s", strerror(errno));
    }
    plan.is_child = pid == 0;
    plan.child = pid;
    if (plan.is_child) {
        CHECK_EQ(pygc_verify(heap), 0, "faults at once");
    }
}

/* ---- objects ---- */

struct node {
    void *next;
    void *other;
    pygc_weakref *weak;
    long value;
};

static struct {
    pygc_type *node;    /* told by slots */
    pygc_type *final;   /* with a finalizer */
    pygc_type *visited; /* told by traverse */
    pygc_type *big;     /* too large for a pool */
} types;

static struct {
    int finalized;
    int deallocated;
    int called;
} seen;

static void on_finalize(void *object)
{
    (void)object;
    seen.finalized++;
    fork_if_here(IN_FINALIZER);
    if (plan.is_child) { /* where the whole interface may be used */
        pygc_decref(pygc_alloc(heap, types.node));
        CHECK_EQ(pygc_collect(heap, 0), 0, "a collection in a collection");
    }
}

static void on_dealloc(void *object)
{
    (void)object;
    seen.deallocated++;
    fork_if_here(IN_DEALLOC);
}

static void on_death(pygc_weakref *ref, void *arg)
{
    (void)arg;
    seen.called++;
    fork_if_here(IN_CALLBACK);
    CHECK(pygc_weakref_get(ref) == NULL, "not clear in its callback");
}

static int visit_node(void *object, pygc_visit_fn *visit, void *arg)
{
    struct node *node = object;
    fork_if_here(IN_TRAVERSE);
    int result = node->next != NULL ? visit(node->next, arg) : 0;
    return result == 0 && node->other != NULL ? visit(node->other, arg) : result;
}

static void clear_node(void *object)
{
    struct node *node = object;
    fork_if_here(IN_CLEAR);
    pygc_clear(&node->next);
    pygc_clear(&node->other);
}

static void on_event(pygc_heap *which, int generation, int is_end, size_t found,
                     void *arg)
{
    (void)generation;
    (void)found;
    (void)arg;
    fork_if_here(is_end ? AT_END : AT_START);
    if (plan.is_child) {
        CHECK_EQ(pygc_verify(which), 0, "faults around a collection");
    }
}

static void make_types(void)
{
    static const struct pygc_slot slots[] = {
        {offsetof(struct node, next), 2, PYGC_STRONG, NULL},
        {offsetof(struct node, weak), 1, PYGC_WEAK, NULL}};
    struct pygc_type_spec spec = {.name = "node",
                                  .size = sizeof(struct node),
                                  .slots = slots,
                                  .slot_count = COUNT_OF(slots),
                                  .dealloc = on_dealloc,
                                  .flags = PYGC_WEAKREFABLE};
    types.node = pygc_type_new(&spec);
    spec.size = 3000;
    types.big = pygc_type_new(&spec);
    spec.size = sizeof(struct node);
    spec.finalize = on_finalize;
    types.final = pygc_type_new(&spec);
    spec.finalize = NULL;
    spec.slots = slots + 1;
    spec.slot_count = 1;
    spec.traverse = visit_node;
    spec.clear = clear_node;
    types.visited = pygc_type_new(&spec);
}

static struct node *make(const pygc_type *type)
{
    struct node *node = pygc_alloc(heap, type);
    if (node == NULL) {
        tap_bail_out("no object");
    }
    pygc_track(node);
    return node;
}

static struct node *ring(const pygc_type *type, int count)
{
    struct node *first = make(type), *last = first;
    for (int i = 1; i < count; i++) {
        last->next = make(type);
        last = last->next;
    }
    pygc_store(last, &last->next, first);
    return first;
}

static struct node *chain(const pygc_type *type, int count)
{
    struct node *head = NULL;
    for (int i = 0; i < count; i++) {
        struct node *node = make(type);
        node->next = head;
        head = node;
    }
    return head;
}

static uint64_t alive(void)
{
    struct pygc_stats stats;
    pygc_get_stats(heap, &stats);
    return stats.objects;
}

/* ---- what goes on meanwhile ---- */

enum { REFS = 10, RING = 20, LIVING = 200, LENGTH = 300 };

static struct node *living;
static pygc_weakref *refs[REFS];

static void set_up(unsigned flags)
{
    struct pygc_options options = {.disabled = 1, .flags = flags};
    arm(NOWHERE, 0);
    plan.is_child = false;
    memset(&seen, 0, sizeof seen);
    heap = pygc_heap_new(&options);
    pygc_set_callback(heap, on_event, NULL);
    living = ring(types.node, LIVING / 2);
    living->other = ring(types.visited, LIVING / 2);
}

static void watch(struct node *node)
{
    for (int i = 0; i < REFS; i++, node = node->next) {
        refs[i] = pygc_weakref_new(node, on_death, NULL);
    }
}

/* Garbage of all kinds; that told by traverse is disposed of in another way, so it is
 * left out once. */
static void collect_garbage(bool traversed)
{
    struct node *node = ring(types.node, RING), *final = ring(types.final, RING),
                *big = ring(types.big, RING), *own = ring(types.node, 2);
    watch(node);
    own->weak = pygc_weakref_new(living, on_death, NULL);
    final->other = node; /* their references are its now */
    big->other = final;
    pygc_decref(own);
    if (traversed) {
        struct node *visited = ring(types.visited, RING);
        visited->other = chain(types.visited, RING);
        pygc_decref(visited);
    }
    pygc_decref(big);
    CHECK_EQ(pygc_collect(heap, 2), (traversed ? 5 : 3) * RING + 2, "garbage");
}

static void collect_slots(void)
{
    collect_garbage(false);
}

static void collect_all(void)
{
    collect_garbage(true);
}

static void collect_young(void)
{
    CHECK_EQ(pygc_collect(heap, 1), 0, "all is alive");
    struct node *old = ring(types.visited, RING), *young;
    CHECK_EQ(pygc_collect(heap, 0), 0, "all is alive");
    young = ring(types.visited, RING);
    watch(young);
    young->other = old;
    pygc_decref(young);
    CHECK_EQ(pygc_collect(heap, 0), RING, "young garbage");
    CHECK_EQ(pygc_collect(heap, 1), RING, "older garbage");
}

static void release_chain(void)
{
    struct node *head = chain(types.node, LENGTH), *final = chain(types.final, RING);
    watch(head);
    head->other = final;
    final->other = chain(types.visited, RING);
    pygc_decref(head);
}

static void release_in_slices(void)
{
    pygc_set_release_budget(heap, 7);
    struct node *head = chain(types.node, LENGTH);
    watch(head);
    head->other = chain(types.big, RING);
    pygc_decref(head);
    CHECK_EQ(pygc_collect(heap, 2), 0, "what waits is no garbage");
    while (pygc_release(heap, 7)) {
    }
    pygc_set_release_budget(heap, 0);
}

/* All that can be done with a heap until its end. */
static void use_up(void)
{
    CHECK_EQ(pygc_verify(heap), 0, "faults");
    CHECK_EQ(alive(), LIVING, "what is alive");
    CHECK_EQ(seen.called, REFS, "callbacks");
    for (int i = 0; i < REFS; i++) {
        CHECK(pygc_weakref_get(refs[i]) == NULL, "weak reference %d", i);
        pygc_weakref_free(refs[i]);
    }
    int before = seen.deallocated;
    pygc_decref(ring(types.node, 1000));
    pygc_decref(ring(types.visited, 1000));
    pygc_decref(ring(types.big, 100));
    CHECK_EQ(pygc_collect(heap, 1), 2100, "new garbage");
    CHECK_EQ(seen.deallocated - before, 2100, "deallocated");
    CHECK_EQ(pygc_collect(heap, 2), 0, "no more");
    pygc_decref(living);
    CHECK_EQ(pygc_collect(heap, 2), LIVING, "the rest");
    CHECK_EQ(pygc_verify(heap), 0, "faults at last");
    CHECK_EQ(pygc_heap_destroy(heap, 0), 0, "left");
    CHECK_EQ(pymalloc_verify(), 0, "faults of the allocator");
}

/* ---- a fork ---- */

struct event {
    const char *name;
    void (*run)(void);
    unsigned flags;
};

/* How many moments of a kind there are. */
static long count_calls(const struct event *event, enum place place)
{
    set_up(event->flags);
    arm(place, -1);
    event->run();
    arm(NOWHERE, plan.calls);
    long calls = plan.at;
    use_up();
    return calls;
}

static void fork_at(const struct event *event, enum place place, long at)
{
    enum { SECONDS = 60 };
    set_up(event->flags);
    arm(place, at);
    int before = tap_failures;
    event->run();
    plan.place = NOWHERE;
    use_up();
    if (plan.is_child) {
        _exit(tap_failures != before);
    }
    CHECK(plan.child > 0, "%s, %s %ld: no fork", event->name, place_names[place], at);
    if (plan.child > 0) {
        CHECK_EQ(child_wait(plan.child, SECONDS), 0, "%s, %s %ld: the child",
                 event->name, place_names[place], at);
    }
    CHECK_EQ(tap_failures, before, "%s, %s %ld", event->name, place_names[place], at);
}

/* In the first and last moments of a kind, and some in between. */
static void fork_in(enum place place, const struct event *event)
{
    enum { PARTS = 7 };
    long calls = count_calls(event, place), last = -1;
    for (int i = 0; i <= PARTS && calls > 0; i++) {
        long at = (calls - 1) * i / PARTS;
        if (at != last) {
            fork_at(event, place, at);
        }
        last = at;
    }
}

static const struct event events[] = {
    {"a collection of slots", collect_slots, 0},
    {"a collection", collect_all, 0},
    {"young collections", collect_young, 0},
    {"a release", release_chain, 0},
    {"a release in slices", release_in_slices, 0},
    {"a verified collection", collect_all, PYGC_DEBUG_VERIFY},
    {"a verified release", release_in_slices, PYGC_DEBUG_VERIFY},
};

static void fork_in_all(enum place place, size_t least)
{
    size_t happened = 0;
    for (size_t i = 0; i < COUNT_OF(events); i++) {
        long calls = count_calls(&events[i], place);
        happened += calls > 0;
        fork_in(place, &events[i]);
    }
    CHECK(happened >= least, "it happens in %zu events only", happened);
}

static void at_start(void)
{
    fork_in_all(AT_START, 6);
}

static void at_end(void)
{
    fork_in_all(AT_END, 6);
}

static void in_traverse(void)
{
    fork_in_all(IN_TRAVERSE, 6);
}

static void in_finalizer(void)
{
    fork_in_all(IN_FINALIZER, 4);
}

static void in_callback(void)
{
    fork_in_all(IN_CALLBACK, 7);
}

static void in_clear(void)
{
    fork_in_all(IN_CLEAR, 4);
}

static void in_dealloc(void)
{
    fork_in_all(IN_DEALLOC, 7);
}

/* ---- memory that stays shared ---- */

struct leaf {
    struct leaf *next;
    struct leaf *other;
    long value;
};

static struct leaf *grow(size_t bytes)
{
    static const struct pygc_slot slots[] = {PYGC_SLOT(struct leaf, next),
                                             PYGC_SLOT(struct leaf, other)};
    static const struct pygc_type_spec spec = {.name = "leaf",
                                               .size = sizeof(struct leaf),
                                               .slots = slots,
                                               .slot_count = COUNT_OF(slots)};
    enum { KNOWN = 1 << 12, BLOCK = 32 };
    static struct leaf *known[KNOWN]; /* of all ages */
    const pygc_type *type = pygc_type_new(&spec);
    struct rng rng = {20261123};
    struct leaf *head = NULL;
    for (size_t i = 0; i < bytes / BLOCK; i++) {
        struct leaf *leaf = pygc_alloc(heap, type);
        if (leaf == NULL) {
            tap_bail_out("no object");
        }
        size_t k = rng_below(&rng, i + 1);
        leaf->next = head;
        pygc_store(leaf, &leaf->other, known[rng_below(&rng, KNOWN)]);
        head = leaf;
        if (k < KNOWN || i < KNOWN) {
            known[i < KNOWN ? i : k] = leaf;
        }
    }
    return head;
}

static long dirty_kb(void)
{
    return proc_kilobytes("/proc/self/smaps_rollup", "Private_Dirty:");
}

/* The growth in kilobytes, through a pipe. */
static int collect_in_child(void *arg)
{
    long before = dirty_kb();
    CHECK_EQ(pygc_collect(heap, 2), 0, "all is alive");
    long growth = dirty_kb() - before;
    CHECK_EQ(write(*(int *)arg, &growth, sizeof growth), (int)sizeof growth, "written");
    return tap_failures != 0;
}

static void a_collection_leaves_pages_shared(void)
{
    enum { PERCENT = 5, SECONDS = 200 };
    unsigned long mib = env_number("PYM_TEST_GC_FORK_MIB", 64);
    struct pygc_stats stats;
    int ends[2];
    long growth = -1;
    if (PYM_ASAN || PYM_TSAN || pym_track_valgrind()) {
        SKIP("who looks on has pages of its own");
    }
    if (dirty_kb() < 0) {
        SKIP("the system does not tell");
    }
    heap = pygc_heap_new(NULL); /* with automatic collections */
    struct leaf *head = grow(mib << 20);
    pygc_get_stats(heap, &stats);
    if (pipe(ends) != 0) {
        tap_bail_out("pipe: %s", strerror(errno));
    }
    CHECK_EQ(in_child(collect_in_child, &ends[1], SECONDS), 0, "the child");
    CHECK_EQ(read(ends[0], &growth, sizeof growth), (int)sizeof growth, "read");
    close(ends[0]);
    close(ends[1]);
    long heap_kb = (long)(stats.bytes >> 10);
    tap_note("%ld KiB of %ld KiB were written to in the child, %.3f %%", growth,
             heap_kb, 100.0 * (double)growth / (double)heap_kb);
    CHECK(growth >= 0 && growth * 100 <= heap_kb * PERCENT, "that is too much");
    pygc_decref(head);
    CHECK_EQ(pygc_heap_destroy(heap, 0), 0, "left");
}

static const struct tap_case cases[] = {
    {"before a collection", at_start},
    {"after a collection", at_end},
    {"in traverse", in_traverse},
    {"in a finalizer", in_finalizer},
    {"in a callback of a weak reference", in_callback},
    {"in clear", in_clear},
    {"in dealloc", in_dealloc},
    {"a collection leaves pages shared", a_collection_leaves_pages_shared},
};

int main(int argc, char **argv)
{
    make_types();
    return TAP_RUN(cases, argc, argv);
}
