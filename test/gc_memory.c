/*
 * gc.h: there is no memory.  Every request for memory that a collection makes is
 * refused once, one after the other, and then all from one on: nothing may be lost.
 *
 * The linker puts the functions below between the object layer and what it gets its
 * memory from (--wrap).  Each try has a process of its own, so that what is done once
 * in a process is done, and refused, as well.
 */
#include "support.h"

#include "base.h"
#include "track.h"

#include <pymalloc/gc.h>
#include <stdbool.h>

/* ---- refusal ---- */

static struct {
    bool armed;
    long first; /* the request that is refused, by number */
    bool once;  /* only that; else all that follow, too */
    long requests;
    bool purge_fails; /* memory cannot be given back */
} memory;

static bool is_refused(void)
{
    if (!memory.armed) {
        return false;
    }
    long number = memory.requests++;
    return memory.once ? number == memory.first : number >= memory.first;
}

static void *refused(void)
{
    errno = ENOMEM;
    return NULL;
}

#define WRAPPED_BLOCK(name, parameters, arguments)                                     \
    void *__real_##name parameters;                                                    \
    void *__wrap_##name parameters;                                                    \
    void *__wrap_##name parameters                                                     \
    {                                                                                  \
        return is_refused() ? refused() : __real_##name arguments;                     \
    }

WRAPPED_BLOCK(pym_alloc_calloc, (size_t count, size_t size), (count, size))
WRAPPED_BLOCK(pym_alloc_realloc, (void *block, size_t size), (block, size))
WRAPPED_BLOCK(pym_alloc_refill, (size_t size), (size))
WRAPPED_BLOCK(pym_alloc_large, (size_t size), (size))

/* These do not set errno. */
#define WRAPPED_PAGES(name, parameters, arguments)                                     \
    void *__real_##name parameters;                                                    \
    void *__wrap_##name parameters;                                                    \
    void *__wrap_##name parameters                                                     \
    {                                                                                  \
        return is_refused() ? NULL : __real_##name arguments;                          \
    }

WRAPPED_PAGES(pym_os_reserve, (size_t size, size_t alignment), (size, alignment))
WRAPPED_PAGES(pym_os_map, (size_t size), (size))

int __real_pym_os_commit(void *start, size_t size);
int __wrap_pym_os_commit(void *start, size_t size);
int __wrap_pym_os_commit(void *start, size_t size)
{
    return is_refused() ? ENOMEM : __real_pym_os_commit(start, size);
}

/* As with pages that are locked. */
int __real_pym_os_purge(void *start, size_t size);
int __wrap_pym_os_purge(void *start, size_t size);
int __wrap_pym_os_purge(void *start, size_t size)
{
    return memory.purge_fails ? EINVAL : __real_pym_os_purge(start, size);
}

static void refuse(long first, bool once)
{
    memory.armed = true;
    memory.first = first;
    memory.once = once;
    memory.requests = 0;
}

/* Whether anything was refused. */
static bool give_again(void)
{
    memory.armed = false;
    return memory.requests > memory.first;
}

/* ---- objects ---- */

struct node {
    void *next;
    void *other;
    pygc_weakref *weak;
    long value;
    int finalized;
};

struct list {
    size_t count;
    void *item[];
};

static struct {
    pygc_type *node;    /* told by slots */
    pygc_type *plain;   /* nobody wants to know of its end */
    pygc_type *visited; /* told by traverse */
    pygc_type *both;    /* a node with traverse beside its slots */
    pygc_type *big;     /* too large for a pool */
    pygc_type *final;   /* with a finalizer */
    pygc_type *list;
    pygc_type *pair; /* immutable */
} types;

enum { PLAIN, RESURRECT, BREAK, ALLOCATE };

static pygc_heap *heap;

static struct {
    int finalized;
    int finalized_twice;
    int deallocated;
    int called; /* callbacks of weak references */
} seen;

enum { ROOTS = 16, SAVED = 64, REFS = 400 };

/* What the program refers to, each with a reference. */
static void *roots[ROOTS];
static int root_count;
static void *saved[SAVED];
static int saved_count;
static pygc_weakref *refs[REFS];
static int ref_count;

/* As much as makes the collector's table longer. */
static void allocate_much(struct node *node)
{
    for (int i = 0; i < 120000; i++) {
        struct node *more = pygc_alloc(heap, types.plain);
        if (more == NULL) {
            return;
        }
        more->next = node->other;
        node->other = more;
    }
}

static void on_finalize(void *object)
{
    struct node *node = object;
    seen.finalized++;
    seen.finalized_twice += node->finalized++;
    if (node->value == RESURRECT && saved_count < SAVED) {
        pygc_incref(object);
        saved[saved_count++] = object;
    } else if (node->value == BREAK) {
        pygc_clear(&node->next);
    } else if (node->value == ALLOCATE) {
        allocate_much(node);
    }
}

static void on_dealloc(void *object)
{
    (void)object;
    seen.deallocated++;
}

static void on_death(pygc_weakref *ref, void *arg)
{
    (void)arg;
    seen.called++;
    CHECK(pygc_weakref_get(ref) == NULL, "not clear in its callback");
}

static int visit_node(void *object, pygc_visit_fn *visit, void *arg)
{
    struct node *node = object;
    int result = node->next != NULL ? visit(node->next, arg) : 0;
    return result == 0 && node->other != NULL ? visit(node->other, arg) : result;
}

static void clear_node(void *object)
{
    struct node *node = object;
    pygc_clear(&node->next);
    pygc_clear(&node->other);
}

static void make_types(void)
{
    static const struct pygc_slot slots[] = {
        {offsetof(struct node, next), 2, PYGC_STRONG, NULL},
        {offsetof(struct node, weak), 1, PYGC_WEAK, NULL}};
    static const struct pygc_slot item = {0, 1, PYGC_STRONG | PYGC_ITEMS, NULL};
    struct pygc_type_spec spec = {
        .name = "plain", .size = sizeof(struct node), .slots = slots, .slot_count = 1};
    types.plain = pygc_type_new(&spec);
    spec.slot_count = COUNT_OF(slots);
    spec.dealloc = on_dealloc;
    spec.flags = PYGC_WEAKREFABLE;
    types.node = pygc_type_new(&spec);
    spec.size = 3000;
    types.big = pygc_type_new(&spec);
    spec.size = sizeof(struct node);
    spec.traverse = visit_node;
    types.both = pygc_type_new(&spec);
    spec.clear = clear_node;
    spec.slots = slots + 1;
    spec.slot_count = 1;
    types.visited = pygc_type_new(&spec);
    spec.slots = slots;
    spec.slot_count = COUNT_OF(slots);
    spec.traverse = NULL;
    spec.clear = NULL;
    spec.finalize = on_finalize;
    types.final = pygc_type_new(&spec);
    spec.finalize = NULL;
    spec.flags = PYGC_IMMUTABLE;
    types.pair = pygc_type_new(&spec);
    struct pygc_type_spec list = {.name = "list",
                                  .size = sizeof(struct list),
                                  .item_size = sizeof(void *),
                                  .slots = &item,
                                  .slot_count = 1,
                                  .dealloc = on_dealloc};
    types.list = pygc_type_new(&list);
}

static void *made(void *object)
{
    if (object == NULL) {
        tap_bail_out("no object");
    }
    return object;
}

static struct node *make(const pygc_type *type, long value)
{
    struct node *node = made(pygc_alloc(heap, type));
    node->value = value;
    pygc_track(node);
    return node;
}

/* A ring of count objects; a reference to the first. */
static struct node *ring(const pygc_type *type, int count, long value)
{
    struct node *first = make(type, value), *last = first;
    for (int i = 1; i < count; i++) {
        last->next = make(type, value);
        last = last->next;
    }
    pygc_store(last, &last->next, first);
    return first;
}

/* Living objects, each of which lies before what refers to it, so that the collector
 * has to remember them; a reference to a list of them. */
static struct list *behind(const pygc_type *type, size_t count)
{
    struct list *list = made(pygc_alloc_var(heap, types.list, count));
    for (size_t i = 0; i < count; i++) {
        list->item[i] = ring(type, 2, PLAIN);
    }
    struct list *last = made(pygc_alloc_var(heap, types.list, count));
    for (size_t i = 0; i < count; i++) {
        last->item[i] = pygc_take(&list->item[i]);
    }
    pygc_decref(list);
    return last;
}

static void keep(void *object)
{
    roots[root_count++] = object;
}

static void watch(void *object)
{
    refs[ref_count++] = pygc_weakref_new(object, on_death, NULL);
}

static uint64_t alive(void)
{
    struct pygc_stats stats;
    pygc_get_stats(heap, &stats);
    return stats.objects;
}

/* ---- what there is to be collected ---- */

/* Each makes living objects, which it keeps, and garbage, the number of whose objects,
 * found by a collection, it returns. */
typedef int build_fn(void);

static int build_nothing(void)
{
    keep(make(types.node, PLAIN));
    return 0;
}

static int build_plain(void)
{
    keep(behind(types.plain, 700));
    pygc_decref(ring(types.plain, 900, PLAIN));
    return 900;
}

static int build_deallocated(void)
{
    keep(behind(types.node, 300));
    pygc_decref(ring(types.node, 500, PLAIN));
    return 500;
}

/* Garbage that refers to much that is none: the collector makes a list of it, which is
 * longer than what it had to remember before. */
static int build_outward(void)
{
    enum { RING = 600 };
    struct node *outside = ring(types.plain, RING, PLAIN), *target = outside;
    struct node *first = ring(types.plain, RING, PLAIN), *node = first;
    for (int i = 0; i < RING; i++, node = node->next, target = target->next) {
        pygc_store(node, &node->other, target);
    }
    keep(outside);
    pygc_decref(first);
    return RING;
}

static int build_weak(void)
{
    enum { RING = 150 };
    struct node *living = ring(types.node, RING, PLAIN), *node = living;
    for (int i = 0; i < RING; i++, node = node->next) {
        watch(node);
    }
    keep(living);
    struct node *garbage = ring(types.node, RING, PLAIN);
    node = garbage;
    for (int i = 0; i < RING; i++, node = node->next) {
        watch(node);
        node->weak = pygc_weakref_new(i % 2 == 0 ? node->next : living, on_death, NULL);
    }
    pygc_decref(garbage);
    return RING;
}

static int build_final(void)
{
    keep(ring(types.final, 200, PLAIN));
    pygc_decref(ring(types.final, 300, PLAIN));
    pygc_decref(ring(types.final, 100, BREAK));
    pygc_decref(ring(types.plain, 100, PLAIN));
    return 500;
}

/* Those that come back take a ring along; they are no garbage then. */
static int build_resurrecting(void)
{
    keep(ring(types.final, 50, PLAIN));
    for (int i = 0; i < 20; i++) {
        struct node *node = ring(types.final, 1, RESURRECT);
        node->other = ring(types.node, 10, PLAIN);
        pygc_decref(node);
    }
    pygc_decref(ring(types.final, 300, PLAIN));
    return 300;
}

static int build_allocating(void)
{
    keep(ring(types.final, 5, PLAIN));
    pygc_decref(ring(types.final, 1, RESURRECT));
    struct node *node = ring(types.final, 3, PLAIN);
    node->value = ALLOCATE;
    pygc_decref(node);
    return 3;
}

static int build_visited(void)
{
    struct node *living = ring(types.visited, 300, PLAIN);
    pygc_store(living, &living->other, behind(types.visited, 200));
    pygc_decref(living->other);
    keep(living);
    pygc_decref(ring(types.visited, 400, PLAIN));
    pygc_decref(ring(types.both, 100, PLAIN));
    return 500;
}

static int build_big(void)
{
    keep(behind(types.big, 80));
    struct node *garbage = ring(types.big, 300, PLAIN);
    pygc_store(garbage, &garbage->other, roots[0]);
    pygc_decref(garbage);
    return 300;
}

/* Objects with more references than a note counts, so many that the table for those
 * has to grow. */
static struct list *popular(size_t stars, size_t fans)
{
    struct list *all = made(pygc_alloc_var(heap, types.list, fans));
    for (size_t i = 0; i < fans; i++) {
        all->item[i] = made(pygc_alloc_var(heap, types.list, stars + 1));
    }
    for (size_t k = 0; k < stars; k++) {
        struct node *star = make(types.plain, PLAIN);
        for (size_t i = 0; i < fans; i++) {
            struct list *fan = all->item[i];
            pygc_store(fan, &fan->item[k], star);
        }
        pygc_decref(star);
    }
    for (size_t i = 0; i < fans; i++) {
        struct list *fan = all->item[i];
        pygc_store(fan, &fan->item[stars], all);
    }
    return all;
}

static int build_popular(void)
{
    enum { STARS = 50, FANS = 280 };
    keep(popular(STARS, FANS));
    pygc_decref(popular(STARS, FANS));
    return STARS + FANS + 1;
}

static int build_immutable(void)
{
    for (int i = 0; i < 4; i++) {
        keep(make(types.pair, PLAIN));
    }
    keep(behind(types.pair, 200));
    pygc_decref(ring(types.pair, 200, PLAIN));
    return 200;
}

/* Some of everything, part of which refers to the rest. */
static int build_mixture(void)
{
    int garbage = build_weak() + build_final() + build_visited();
    for (int i = 0; i < 100; i++) {
        struct node *node = ring(types.node, 2, PLAIN);
        struct node *last = ring(i % 2 == 0 ? types.big : types.visited, 1, PLAIN);
        pygc_store(node, &node->other, last);
        pygc_store(last, &last->other, node);
        pygc_decref(last);
        pygc_decref(node);
    }
    return garbage + 300;
}

/* ---- a try ---- */

struct attempt {
    const char *name;
    int (*run)(void *attempt); /* in a process of its own */
    build_fn *build;
    int generation;
    unsigned flags;
    bool grows; /* what finalizers make is garbage at last */
    bool warm;  /* there has been a collection */
    bool once;
    long first;
};

enum { REFUSED_NOTHING = 3 };

static uint64_t failures(int generation)
{
    struct pygc_stats stats;
    pygc_get_stats(heap, &stats);
    return stats.generation[generation].failed;
}

/* The garbage is there as before, or, if the collection was successful, gone. */
static void check_outcome(ptrdiff_t found, int garbage, uint64_t before,
                          const struct attempt *attempt)
{
    int generation = attempt->generation;
    if (found < 0) {
        CHECK_EQ(found, -1, "given up");
        CHECK_EQ(errno, ENOMEM, "errno");
        CHECK(alive() >= before, "%ju objects, %ju before", (uintmax_t)alive(),
              (uintmax_t)before);
        CHECK_EQ(failures(generation), 1, "given up, by the statistics");
        CHECK_EQ(seen.deallocated, 0, "deallocated");
        CHECK(seen.called == 0 || seen.finalized != 0,
              "given up, but weak references have been cleared");
    } else {
        CHECK_EQ(found, garbage, "garbage in spite of it");
        CHECK_EQ(errno, 0, "errno");
        CHECK_EQ(failures(generation), 0, "given up, by the statistics");
    }
    CHECK_EQ(pygc_verify(heap), 0, "faults");
}

static void let_go(void)
{
    while (root_count > 0) {
        pygc_decref(roots[--root_count]);
    }
    while (saved_count > 0) {
        pygc_decref(saved[--saved_count]);
    }
}

/* At last there is memory, and all of it comes to an end: with a collection of the
 * generation that survivors should be in by now. */
static void check_end(int generation, int finals)
{
    let_go();
    CHECK(pygc_collect(heap, generation) >= 0, "no memory in the end");
    CHECK(alive() == 0 || saved_count != 0, "%ju objects are too old",
          (uintmax_t)alive());
    let_go(); /* what came back just now */
    CHECK(pygc_collect(heap, 2) >= 0, "no memory in the end");
    CHECK_EQ(alive(), 0, "objects in the end");
    CHECK_EQ(pygc_verify(heap), 0, "faults in the end");
    CHECK_EQ(seen.finalized, finals, "finalized");
    CHECK_EQ(seen.finalized_twice, 0, "finalized more than once");
    CHECK_EQ(seen.called, ref_count, "callbacks of weak references");
    for (int i = 0; i < ref_count; i++) {
        CHECK(pygc_weakref_get(refs[i]) == NULL, "weak reference %d", i);
        pygc_weakref_free(refs[i]);
    }
    CHECK_EQ(pygc_heap_destroy(heap, 0), 0, "left in the end");
}

static int count_final(void *object, void *arg)
{
    *(int *)arg += pygc_type_of(object) == types.final;
    return 0;
}

static int inherited; /* failed checks of the parent */

static pygc_heap *new_heap(const struct attempt *attempt)
{
    struct pygc_options options = {.disabled = 1, .flags = attempt->flags};
    pygc_heap *fresh = pygc_heap_new(&options);
    if (attempt->warm) {
        (void)pygc_collect(fresh, 2);
    }
    return fresh;
}

/* The child's exit status. */
static int verdict(const struct attempt *attempt, bool has_refused)
{
    if (tap_failures != inherited) {
        tap_note("%s, generation %d, %s, request %ld%s", attempt->name,
                 attempt->generation, attempt->warm ? "warm" : "cold", attempt->first,
                 attempt->once ? "" : " and all that follow");
        return 1;
    }
    return has_refused ? 0 : REFUSED_NOTHING;
}

static int try_to_collect(void *arg)
{
    struct attempt *attempt = arg;
    int finals = 0;
    heap = new_heap(attempt);
    int garbage = attempt->build();
    uint64_t before = alive();
    (void)pygc_objects(heap, PYGC_ALL, count_final, &finals);
    seen.deallocated = 0; /* but for what building took */
    errno = 0;
    refuse(attempt->first, attempt->once);
    ptrdiff_t found = pygc_collect(heap, attempt->generation);
    bool has_refused = give_again();
    check_outcome(found, garbage, before, attempt);
    int next = attempt->generation < 2 ? attempt->generation + 1 : 2;
    if (found < 0) {
        next = 2; /* the second collection may have been a full one */
        found = pygc_collect(heap, attempt->generation);
        CHECK(found == garbage || (attempt->grows && found > garbage),
              "%td of %d at the second try", found, garbage);
        CHECK_EQ(pygc_verify(heap), 0, "faults");
    }
    check_end(next, finals);
    return verdict(attempt, has_refused);
}

/* Refuses each request in turn until there is none that is not reached.  For a detector
 * of races, to which a child with one thread has little to show, and for memcheck, some
 * do. */
static void refuse_each(struct attempt attempt)
{
    enum { MANY = 500, SECONDS = 60 };
    const long stride = PYM_TSAN || pym_track_valgrind() ? 5 : 1;
    int status = 0;
    inherited = tap_failures;
    for (attempt.first = 0; attempt.first < MANY && status == 0;
         attempt.first += stride) {
        status = in_child(attempt.run, &attempt, SECONDS);
    }
    CHECK_EQ(status, REFUSED_NOTHING, "%s, generation %d: the child of request %ld",
             attempt.name, attempt.generation, attempt.first - stride);
    CHECK(attempt.first > stride || attempt.warm,
          "%s, generation %d: nothing was requested", attempt.name, attempt.generation);
}

/* Each alone and with all that follow, from a fresh process and with a collection
 * before. */
static void refuse_in_all_ways(struct attempt attempt)
{
    for (int way = 0; way < 4; way++) {
        attempt.warm = way / 2 != 0;
        attempt.once = way % 2 != 0;
        refuse_each(attempt);
    }
}

static void collect_in_all_ways(const char *name, build_fn *build)
{
    struct attempt attempt = {.name = name, .run = try_to_collect, .build = build};
    for (; attempt.generation < 3; attempt.generation++) {
        refuse_in_all_ways(attempt);
    }
}

#define WITH(kind)                                                                     \
    static void with_##kind(void)                                                      \
    {                                                                                  \
        collect_in_all_ways(#kind, build_##kind);                                      \
    }

WITH(nothing)
WITH(plain)
WITH(deallocated)
WITH(outward)
WITH(weak)
WITH(final)
WITH(resurrecting)
WITH(visited)
WITH(big)
WITH(popular)
WITH(immutable)
WITH(mixture)

/* A slice ends at once, so that there are as many as can be; and nothing is so little
 * that it would not be divided into groups. */
static int try_in_slices(void *arg)
{
    struct attempt *attempt = arg;
    heap = new_heap(attempt);
    int garbage = attempt->build();
    seen.deallocated = 0; /* but for what building took */
    refuse(attempt->first, attempt->once);
    while (pygc_step(heap, 1)) {
    }
    bool has_refused = give_again();
    CHECK_EQ(pygc_verify(heap), 0, "faults");
    let_go();
    CHECK(pygc_collect(heap, 2) >= 0, "no memory in the end");
    CHECK_EQ(alive(), 0, "objects in the end, of %d", garbage);
    CHECK_EQ(pygc_heap_destroy(heap, 0), 0, "left in the end");
    return verdict(attempt, has_refused);
}

static void in_slices(void)
{
    static build_fn *const builds[] = {build_plain, build_deallocated, build_visited,
                                       build_big, build_mixture};
    struct attempt attempt = {
        .name = "in slices", .run = try_in_slices, .generation = 2};
    for (size_t i = 0; i < COUNT_OF(builds); i++) {
        attempt.build = builds[i];
        refuse_in_all_ways(attempt);
    }
}

static void with_allocating(void)
{
    struct attempt attempt = {.name = "allocating",
                              .run = try_to_collect,
                              .build = build_allocating,
                              .generation = 2,
                              .grows = true};
    refuse_each(attempt);
    attempt.once = true;
    refuse_each(attempt);
}

static void in_verify_mode(void)
{
    struct attempt attempt = {.name = "verified",
                              .run = try_to_collect,
                              .build = build_mixture,
                              .generation = 2,
                              .flags = PYGC_DEBUG_VERIFY};
    refuse_in_all_ways(attempt);
}

/* ---- what is put off, or kept ---- */

enum { PUT_OFF = 1500 }; /* in several pools, not all of which are in use */

/* Finalizers that are put off wait for pygc_finalize_run, whatever happens. */
static int try_to_put_off(void *arg)
{
    struct attempt *attempt = arg;
    heap = new_heap(attempt);
    pygc_finalize_defer(heap, 1);
    pygc_decref(ring(types.final, PUT_OFF, RESURRECT));
    pygc_decref(ring(types.plain, 100, PLAIN));
    uint64_t before = alive();
    refuse(attempt->first, attempt->once);
    ptrdiff_t found = pygc_collect(heap, attempt->generation);
    bool has_refused = give_again();
    CHECK(found == 100 || found == -1, "%td were found", found);
    CHECK_EQ(alive(), before - (found == 100 ? 100 : 0), "objects");
    CHECK_EQ(seen.finalized, 0, "finalized");
    CHECK_EQ(pygc_verify(heap), 0, "faults");
    CHECK_EQ(pygc_collect(heap, attempt->generation), found == 100 ? 0 : 100,
             "garbage");
    CHECK_EQ(pygc_finalize_run(heap), PUT_OFF, "run");
    CHECK_EQ(seen.finalized, PUT_OFF, "finalized at last");
    check_end(2, PUT_OFF);
    return verdict(attempt, has_refused);
}

static void with_finalizers_put_off(void)
{
    struct attempt attempt = {.name = "put off", .run = try_to_put_off};
    for (; attempt.generation < 3; attempt.generation++) {
        refuse_in_all_ways(attempt);
    }
}

/* Garbage that cannot be entered into the list of what is kept is not freed either; it
 * is found again, unless what is in the list refers to it. */
static int try_to_save(void *arg)
{
    struct attempt *attempt = arg;
    heap = new_heap(attempt);
    int garbage = build_visited();
    seen.deallocated = 0;
    pygc_set_debug(heap, PYGC_DEBUG_SAVE);
    refuse(attempt->first, attempt->once);
    ptrdiff_t found = pygc_collect(heap, 2);
    bool has_refused = give_again();
    CHECK(found == garbage || found == -1, "%td were found", found);
    CHECK_EQ(pygc_verify(heap), 0, "faults");
    ptrdiff_t kept = (ptrdiff_t)pygc_garbage(heap, NULL, NULL, 0);
    CHECK(kept <= garbage && (has_refused || kept == garbage), "%td are kept", kept);
    found = pygc_collect(heap, 2);
    CHECK(found >= 0 && found <= garbage - kept, "%td were found again", found);
    CHECK_EQ(pygc_garbage(heap, NULL, NULL, 0), kept + found, "kept at last");
    CHECK_EQ(seen.deallocated, 0, "deallocated");
    pygc_set_debug(heap, 0);
    (void)pygc_garbage(heap, NULL, NULL, 1);
    CHECK_EQ(pygc_collect(heap, 2), garbage, "freed at last");
    check_end(2, 0);
    return verdict(attempt, has_refused);
}

static void with_garbage_that_is_kept(void)
{
    refuse_in_all_ways((struct attempt){.name = "kept", .run = try_to_save});
}

/* ---- collections that nobody has asked for ---- */

static uint64_t all_failures(void)
{
    return failures(0) + failures(1) + failures(2);
}

/* Garbage, as much as can be made before a collection is due, in blocks that there are
 * already. */
static void make_ready(unsigned most)
{
    const unsigned threshold[3] = {most, 1, 1};
    unsigned count[3] = {0, 0, 0};
    struct node *stock = NULL;
    for (unsigned i = 0; i < 2 * most; i++) {
        struct node *node = make(types.plain, PLAIN);
        node->next = stock;
        stock = node;
    }
    pygc_decref(stock);
    pygc_set_threshold(heap, threshold);
    pygc_enable(heap);
    for (; count[0] < most; pygc_get_count(heap, count)) {
        pygc_decref(ring(types.plain, 1, PLAIN));
    }
}

/* The allocation at which a collection is due has nothing to do with its failing, and
 * the next does not try again. */
static int try_to_allocate(void *arg)
{
    enum { GARBAGE = 300 };
    struct attempt *attempt = arg;
    heap = new_heap(attempt);
    make_ready(GARBAGE);
    CHECK_EQ(alive(), GARBAGE, "garbage");
    errno = EDOM;
    refuse(attempt->first, attempt->once);
    struct node *node = pygc_alloc(heap, types.plain);
    long requests = memory.requests;
    struct node *next = pygc_alloc(heap, types.plain);
    CHECK_EQ(memory.requests, requests, "what the next allocation requested");
    bool has_refused = give_again();
    CHECK(node != NULL && next != NULL, "an allocation failed");
    CHECK_EQ(errno, EDOM, "errno");
    CHECK_EQ(alive(), all_failures() != 0 ? GARBAGE + 2 : 2, "objects");
    CHECK_EQ(pygc_verify(heap), 0, "faults");
    for (int i = 0; i < GARBAGE; i++) {
        pygc_decref(ring(types.plain, 1, PLAIN));
    }
    CHECK(alive() < GARBAGE, "garbage of the first time was not found");
    pygc_disable(heap);
    pygc_decref(node);
    pygc_decref(next);
    check_end(2, 0);
    return verdict(attempt, has_refused);
}

static void at_an_allocation(void)
{
    refuse_in_all_ways((struct attempt){.name = "automatic", .run = try_to_allocate});
}

/* Pools that cannot be entered into the list of those with young objects are looked at
 * nevertheless. */
static int try_to_list_pools(void *arg)
{
    enum { RING = 70000 }; /* more pools than such a list has room for at first */
    struct attempt *attempt = arg;
    heap = new_heap(attempt);
    struct node *first = make(types.plain, PLAIN), *last = first;
    refuse(attempt->first, attempt->once);
    for (int i = 1; i < RING; i++) {
        struct node *node = pygc_alloc(heap, types.plain);
        if (node == NULL) { /* there may be no memory for the object itself */
            CHECK(errno == ENOMEM && attempt->once, "no object");
            node = make(types.plain, PLAIN);
        }
        last->next = node;
        last = node;
    }
    bool has_refused = give_again();
    pygc_store(last, &last->next, first);
    pygc_decref(first);
    CHECK_EQ(pygc_collect(heap, 0), RING, "young garbage");
    check_end(2, 0);
    return verdict(attempt, has_refused);
}

static void in_allocations(void)
{
    refuse_each(
        (struct attempt){.name = "pools", .once = true, .run = try_to_list_pools});
}

/* ---- elsewhere ---- */

enum { CHAIN = 500 };

/* Objects die without memory, also where a record is kept of those that wait. */
static int try_to_release(void *arg)
{
    struct attempt *attempt = arg;
    heap = new_heap(attempt);
    struct node *head = NULL;
    for (int i = 0; i < CHAIN; i++) {
        struct node *node = make(i % 7 == 0 ? types.big : types.node, PLAIN);
        node->next = head;
        node->other = make(i % 5 == 0 ? types.visited : types.node, PLAIN);
        head = node;
    }
    watch(head);
    refuse(attempt->first, attempt->once);
    pygc_decref(head);
    bool has_refused = give_again();
    CHECK_EQ(seen.deallocated, 2 * CHAIN, "deallocated");
    check_end(2, 0);
    return verdict(attempt, has_refused);
}

static void as_objects_die(void)
{
    struct attempt attempt = {.name = "dying", .run = try_to_release};
    attempt.flags = PYGC_DEBUG_VERIFY;
    refuse_in_all_ways(attempt);
    attempt.flags = 0;
    inherited = tap_failures;
    CHECK_EQ(in_child(try_to_release, &attempt, 60), REFUSED_NOTHING,
             "without the mode nothing is requested");
}

/* Where there is no memory at all to remember them, finalizers are not called. */
static int try_to_destroy(void *arg)
{
    struct attempt *attempt = arg;
    int finals = 0;
    heap = new_heap(attempt);
    (void)build_mixture();
    (void)pygc_objects(heap, PYGC_ALL, count_final, &finals);
    int left = (int)alive();
    pygc_set_debug(heap, PYGC_DEBUG_VERIFY);
    seen.deallocated = 0;
    refuse(attempt->first, attempt->once);
    (void)pygc_heap_destroy(heap, 0);
    bool has_refused = give_again();
    CHECK_EQ(seen.deallocated, left - 100, "all but the plain ones are deallocated");
    CHECK(seen.finalized == finals || !attempt->once, "%d of %d were finalized",
          seen.finalized, finals);
    CHECK_EQ(seen.finalized_twice, 0, "finalized more than once");
    return verdict(attempt, has_refused);
}

static void at_the_end_of_a_heap(void)
{
    refuse_in_all_ways((struct attempt){.name = "destroyed", .run = try_to_destroy});
}

static int path_ends(void *object, size_t unaccounted, void *arg)
{
    (void)object;
    (void)unaccounted;
    (void)arg;
    return 0;
}

static int census_ends(const struct pygc_census *census, void *arg)
{
    (void)census;
    (void)arg;
    return 0;
}

/* One of the other calls that need memory: whether it said that there is none. */
static bool says_so(int call, struct node *node, struct list **list)
{
    struct pygc_type_spec spec = {.name = "late", .size = 16};
    errno = 0;
    switch (call) {
    case 0:
        return pygc_weakref_new(node, NULL, NULL) == NULL && errno == ENOMEM;
    case 1:
        return pygc_alloc(heap, types.big) == NULL && errno == ENOMEM;
    case 2:
        return pygc_alloc_var(heap, types.list, 5000) == NULL && errno == ENOMEM;
    case 3:
        return pygc_realloc_var(*list, 5000) == NULL && errno == ENOMEM;
    case 4:
        return pygc_verify(heap) == -1 && errno == ENOMEM;
    case 5:
        return pygc_why_alive(node, path_ends, NULL) == -1 && errno == ENOMEM;
    case 6:
        return pygc_take_census(heap, census_ends, NULL) == -1 && errno == ENOMEM;
    case 7:
        return pygc_type_new(&spec) == NULL && errno == ENOMEM;
    default:
        return pygc_heap_new(NULL) == NULL && errno == ENOMEM;
    }
}

enum { CALLS = 9 };

/* The number of the call stands in the place of the generation. */
static int try_call(void *arg)
{
    struct attempt *attempt = arg;
    heap = new_heap(attempt);
    struct node *node = make(types.node, 42);
    struct list *list = made(pygc_alloc_var(heap, types.list, 3));
    pygc_store(list, &list->item[2], node);
    refuse(attempt->first, attempt->once);
    bool said_so = says_so(attempt->generation, node, &list);
    bool has_refused = give_again();
    CHECK(said_so, "call %d does not say that there is no memory", attempt->generation);
    CHECK(has_refused, "call %d requests nothing", attempt->generation);
    CHECK(list->count == 3 && list->item[2] == node && node->value == 42, "contents");
    CHECK_EQ(pygc_refcnt(node), 2, "references");
    CHECK_EQ(alive(), 2, "objects");
    keep(node);
    keep(list);
    check_end(2, 0);
    return verdict(attempt, has_refused);
}

static void in_other_calls(void)
{
    struct attempt attempt = {.name = "call", .run = try_call};
    for (; attempt.generation < CALLS; attempt.generation++) {
        inherited = tap_failures;
        CHECK_EQ(in_child(try_call, &attempt, 60), 0, "call %d", attempt.generation);
    }
}

/* ---- looking at a heap ---- */

static int group_ends(const struct pygc_cycles *cycles, void *arg)
{
    (void)cycles;
    (void)arg;
    return 0;
}

enum { VIEWS = 8 };

static ptrdiff_t look(int view, int fd)
{
    switch (view) {
    case 0:
        return pygc_find_cycles(heap, group_ends, NULL);
    case 1:
        return pygc_print_census(heap, fd);
    case 2:
        return pygc_print_cycles(heap, fd);
    case 3:
        return pygc_print_report(heap, fd);
    case 4:
        return pygc_write_json(heap, fd);
    case 5:
        return pygc_dot(heap, NULL, 3000, fd);
    case 6:
        return pygc_dot(heap, roots[0], 3000, fd);
    default:
        return pygc_dot_why_alive(roots[0], fd);
    }
}

/* Cycles of every set of some types, so many that tables grow. */
static void build_cycles(void)
{
    enum { MANY = 6 };
    pygc_type *kinds[MANY];
    static const struct pygc_slot slot = {0, 2, PYGC_STRONG, NULL};
    for (int i = 0; i < MANY; i++) {
        struct pygc_type_spec spec = {
            .name = "kind", .size = 16, .slots = &slot, .slot_count = 1};
        kinds[i] = pygc_type_new(&spec);
    }
    for (unsigned set = 1; set < 1u << MANY; set++) {
        struct node *first = NULL;
        for (int i = 0; i < MANY; i++) {
            if ((set >> i & 1) != 0) {
                struct node *node = made(pygc_alloc(heap, kinds[i]));
                node->next = first != NULL ? pygc_take(&first->next) : node;
                if (first != NULL) {
                    first->next = node;
                } else {
                    first = node;
                    pygc_incref(node);
                }
            }
        }
        pygc_decref(first);
    }
}

/* The number of the view stands in the place of the generation.  Where there is no
 * memory nothing is written. */
static int try_to_look(void *arg)
{
    struct attempt *attempt = arg;
    heap = new_heap(attempt);
    int garbage = build_mixture();
    build_cycles();
    uint64_t before = alive();
    int fd = memfd_create("view", MFD_CLOEXEC);
    errno = 0;
    refuse(attempt->first, attempt->once);
    ptrdiff_t result = look(attempt->generation, fd);
    bool has_refused = give_again();
    off_t written = lseek(fd, 0, SEEK_CUR);
    if (has_refused) {
        CHECK_EQ(result, -1, "view %d", attempt->generation);
        CHECK_EQ(errno, ENOMEM, "errno of view %d", attempt->generation);
        CHECK_EQ(written, 0, "bytes of view %d", attempt->generation);
    } else {
        CHECK(result >= 0, "view %d fails with memory", attempt->generation);
        CHECK(written != 0 || attempt->generation == 0, "view %d is empty",
              attempt->generation);
    }
    CHECK_EQ(alive(), before, "objects");
    CHECK_EQ(pygc_verify(heap), 0, "faults");
    CHECK_EQ(pygc_collect(heap, 2) >= garbage, 1, "garbage");
    return verdict(attempt, has_refused);
}

static void in_looking(void)
{
    struct attempt attempt = {.name = "looking", .run = try_to_look};
    for (; attempt.generation < VIEWS; attempt.generation++) {
        attempt.once = true;
        refuse_each(attempt);
    }
    attempt.generation = 3; /* the report: most of what the others do */
    attempt.once = false;
    refuse_each(attempt);
}

/* The collector's notes are to be gone after a collection, even where the system does
 * not take their memory back, as with mlockall. */
static void if_memory_cannot_be_given_back(void)
{
    enum { MANY = 40000 };
    struct attempt attempt = {.name = "locked"};
    for (int first_is_garbage = 0; first_is_garbage < 2; first_is_garbage++) {
        heap = new_heap(&attempt);
        struct node *node = ring(types.plain, MANY, PLAIN);
        if (first_is_garbage) {
            pygc_decref(node);
        }
        memory.purge_fails = true;
        CHECK_EQ(pygc_collect(heap, 2), first_is_garbage ? MANY : 0, "at first");
        memory.purge_fails = false;
        if (first_is_garbage) {
            node = ring(types.plain, MANY, PLAIN);
            CHECK_EQ(pygc_collect(heap, 2), 0, "others in the same place");
        }
        pygc_decref(node);
        CHECK_EQ(pygc_collect(heap, 2), MANY, "at last");
        (void)pygc_heap_destroy(heap, 0);
    }
}

static const struct tap_case cases[] = {
    {"no garbage", with_nothing},
    {"plain garbage", with_plain},
    {"garbage that is deallocated", with_deallocated},
    {"garbage that refers to much", with_outward},
    {"weak references", with_weak},
    {"finalizers", with_final},
    {"finalizers that resurrect", with_resurrecting},
    {"finalizers that allocate", with_allocating},
    {"types with traverse", with_visited},
    {"large objects", with_big},
    {"objects with many references", with_popular},
    {"immutable objects", with_immutable},
    {"some of everything", with_mixture},
    {"some of everything, in verify mode", in_verify_mode},
    {"finalizers that are put off", with_finalizers_put_off},
    {"garbage that is kept", with_garbage_that_is_kept},
    {"collections in slices", in_slices},
    {"automatic collections", at_an_allocation},
    {"in allocations", in_allocations},
    {"as objects die", as_objects_die},
    {"at the end of a heap", at_the_end_of_a_heap},
    {"in other calls", in_other_calls},
    {"in looking at a heap", in_looking},
    {"if memory cannot be given back", if_memory_cannot_be_given_back},
};

int main(int argc, char **argv)
{
    make_types();
    return TAP_RUN(cases, argc, argv);
}
