/* gc.h: the cases of CPython's tests for gc, finalization and weak references
 * (Lib/test: test_gc.py, test_finalization.py), by what they show, under their names.
 * What tests Python rather than a collector (frames, modules, generators) is left out.
 */
#include "support.h"

#include <pymalloc/gc.h>
#include <stdbool.h>

typedef struct object object;

/* What an instance's finalizer does to it. */
typedef void behaviour(object *self);

struct object {
    object *attribute;
    object *other;
    pygc_weakref *weak;
    behaviour *on_finalize;
    int finalized;
};

static pygc_heap *heap;
static pygc_type *type, *leaf_type;

static int finalized, deallocated, callbacks;
static object *survivor; /* what a finalizer keeps: with a reference */

static void finalize(void *self)
{
    object *instance = self;
    instance->finalized++;
    finalized++;
    if (instance->on_finalize != NULL) {
        instance->on_finalize(instance);
    }
}

static void dealloc(void *self)
{
    (void)self;
    deallocated++;
}

static void callback(pygc_weakref *ref, void *arg)
{
    (void)ref;
    (void)arg;
    callbacks++;
}

static void begin(void)
{
    static const struct pygc_options options = {.disabled = 1};
    if (type == NULL) {
        struct pygc_slot slots[] = {
            {0, 2, PYGC_STRONG, NULL},
            {offsetof(object, weak), 1, PYGC_WEAK, NULL},
        };
        struct pygc_type_spec spec = {.name = "instance",
                                      .size = sizeof(object),
                                      .slots = slots,
                                      .slot_count = COUNT_OF(slots),
                                      .finalize = finalize,
                                      .dealloc = dealloc,
                                      .flags = PYGC_WEAKREFABLE};
        type = pygc_type_new(&spec);
        leaf_type = pygc_type_new(
            &(struct pygc_type_spec){.name = "int", .size = 8, .dealloc = dealloc});
    }
    heap = pygc_heap_new(&options);
    finalized = deallocated = callbacks = 0;
    survivor = NULL;
}

static void end(void)
{
    (void)pygc_collect(heap, 2);
    CHECK_EQ(pygc_verify(heap), 0, "faults");
    CHECK_EQ(pygc_heap_destroy(heap, 0), 0, "left");
}

static object *new_object(behaviour *on_finalize)
{
    object *instance = pygc_alloc(heap, type);
    instance->on_finalize = on_finalize;
    return instance;
}

static void set(object *owner, object **slot, object *value)
{
    pygc_store(owner, slot, value);
}

/* An object that refers to itself, without a reference from outside. */
static object *self_cycle(behaviour *on_finalize)
{
    object *self = new_object(on_finalize);
    set(self, &self->attribute, self);
    pygc_decref(self);
    return self;
}

static object *chain_cycle(int length, behaviour *on_finalize)
{
    object *first = new_object(on_finalize), *last = first;
    for (int i = 1; i < length; i++) {
        object *next = new_object(on_finalize);
        set(last, &last->attribute, next);
        pygc_decref(next);
        last = next;
    }
    set(last, &last->attribute, first);
    pygc_decref(first);
    return first;
}

/* ---- test_gc.GCTests ---- */

static void test_list(void)
{
    begin();
    self_cycle(NULL);
    CHECK_EQ(pygc_collect(heap, 2), 1, "an object that refers to itself");
    end();
}

static void test_instance(void)
{
    begin();
    chain_cycle(2, NULL);
    CHECK_EQ(pygc_collect(heap, 2), 2, "an object and what it is made of");
    end();
}

static int same_visit(void *visited, void *arg)
{
    *(void **)arg = visited;
    return 0;
}

static void test_saveall(void)
{
    void *saved = NULL;
    begin();
    pygc_set_debug(heap, PYGC_DEBUG_SAVE);
    object *self = self_cycle(NULL);
    CHECK_EQ(pygc_collect(heap, 2), 1, "garbage");
    CHECK_EQ(pygc_garbage(heap, same_visit, &saved, 0), 1, "saved");
    CHECK(saved == self, "what was saved");
    pygc_set_debug(heap, 0);
    (void)pygc_garbage(heap, NULL, NULL, 1);
    end();
    CHECK_EQ(deallocated, 1, "deallocated");
}

static void test_del(void)
{
    static const unsigned threshold[3] = {3, 2, 2};
    begin();
    pygc_set_threshold(heap, threshold);
    pygc_enable(heap);
    for (int i = 0; i < 50; i++) {
        self_cycle(NULL);
    }
    CHECK(finalized > 40, "%d finalizers ran while objects were made", finalized);
    end();
}

static void test_get_count(void)
{
    unsigned count[3];
    begin();
    pygc_get_count(heap, count);
    CHECK_EQ(count[0], 0, "at first");
    object *one = new_object(NULL);
    pygc_get_count(heap, count);
    CHECK_EQ(count[0], 1, "with an object");
    pygc_decref(one);
    pygc_get_count(heap, count);
    CHECK_EQ(count[0], 0, "without");
    end();
}

static void test_collect_generations(void)
{
    unsigned count[3];
    begin();
    object *x = new_object(NULL);
    (void)pygc_collect(heap, 0);
    pygc_get_count(heap, count);
    CHECK(count[0] == 0 && count[1] == 1 && count[2] == 0, "after generation 0");
    (void)pygc_collect(heap, 1);
    pygc_get_count(heap, count);
    CHECK(count[0] == 0 && count[1] == 0 && count[2] == 1, "after generation 1");
    (void)pygc_collect(heap, 2);
    pygc_get_count(heap, count);
    CHECK(count[0] == 0 && count[1] == 0 && count[2] == 0, "after generation 2");
    pygc_decref(x);
    end();
}

static void test_trashcan(void)
{
    enum { N = 150000 };
    begin();
    for (int kind = 0; kind < 3; kind++) {
        object *head = NULL;
        for (int i = 0; i < N; i++) {
            object *next = new_object(NULL);
            next->attribute = head;
            next->other = i % 3 == kind ? pygc_alloc(heap, leaf_type) : NULL;
            head = next;
        }
        pygc_decref(head);
    }
    CHECK_EQ(deallocated, 4 * N, "deallocated, without a stack to match");
    end();
}

static void drop_attributes(object *self)
{
    pygc_clear(&self->attribute);
    pygc_clear(&self->other);
}

static void boom(object *self)
{
    if (self->attribute != NULL) {
        pygc_clear(&self->attribute->attribute); /* may be the last reference to self */
    }
}

static void test_boom(void)
{
    begin();
    chain_cycle(2, boom);
    CHECK_EQ(pygc_collect(heap, 2), 2, "two that take each other apart");
    CHECK_EQ(deallocated, 2, "deallocated");
    end();
}

static void boom2(object *self)
{
    if (self->finalized == 1) {
        drop_attributes(self);
    }
}

static void test_boom2(void)
{
    begin();
    chain_cycle(2, boom2);
    CHECK_EQ(pygc_collect(heap, 2), 2, "two that take themselves apart");
    CHECK_EQ(finalized, 2, "finalized");
    end();
}

static int count_visit(void *visited, void *arg)
{
    (void)visited;
    ++*(int *)arg;
    return 0;
}

static void test_get_referents(void)
{
    int count = 0;
    begin();
    object *a = new_object(NULL), *b = new_object(NULL);
    (void)pygc_referents(a, count_visit, &count);
    CHECK_EQ(count, 0, "of an empty object");
    set(a, &a->attribute, b);
    set(a, &a->other, b);
    (void)pygc_referents(a, count_visit, &count);
    CHECK_EQ(count, 2, "once for each slot");
    pygc_decref(a);
    pygc_decref(b);
    end();
}

static void test_is_tracked(void)
{
    begin();
    object *x = new_object(NULL);
    void *leaf = pygc_alloc(heap, leaf_type);
    CHECK(pygc_is_tracked(x), "an instance");
    CHECK(!pygc_is_tracked(leaf), "a number");
    pygc_decref(x);
    pygc_decref(leaf);
    end();
}

static void resurrect(object *self)
{
    pygc_incref(self);
    survivor = self;
}

static void test_is_finalized(void)
{
    begin();
    object *x = new_object(resurrect);
    CHECK(!pygc_is_finalized(x), "at first");
    pygc_decref(x);
    CHECK(survivor == x && pygc_is_finalized(x), "after its finalizer");
    pygc_decref(x);
    end();
}

/* Weak references to garbage, with callbacks, in and out of the garbage. */
static void test_bug1055820(void)
{
    begin();
    pygc_weakref *outside[3];
    object *first = chain_cycle(3, NULL), *x = first;
    for (int i = 0; i < 3; i++, x = x->attribute) {
        outside[i] = pygc_weakref_new(x, callback, NULL);
        x->weak = pygc_weakref_new(x->attribute, callback, NULL);
    }
    CHECK_EQ(pygc_collect(heap, 2), 3, "garbage");
    CHECK_EQ(callbacks, 3, "callbacks from outside alone");
    for (int i = 0; i < 3; i++) {
        CHECK(pygc_weakref_get(outside[i]) == NULL, "cleared");
        pygc_weakref_free(outside[i]);
    }
    end();
}

/* Finalizers that break the cycle while the collector works on it. */
static void test_bug21435(void)
{
    begin();
    object *a = new_object(drop_attributes), *b = new_object(drop_attributes);
    set(a, &a->attribute, b);
    set(b, &b->attribute, a);
    set(b, &b->other, b);
    pygc_decref(a);
    pygc_decref(b);
    CHECK_EQ(pygc_collect(heap, 2), 2, "garbage");
    CHECK_EQ(deallocated, 2, "deallocated");
    end();
}

static void test_freeze(void)
{
    begin();
    object *x = new_object(NULL);
    pygc_freeze(heap);
    CHECK(pygc_freeze_count(heap) > 0, "frozen");
    pygc_unfreeze(heap);
    CHECK_EQ(pygc_freeze_count(heap), 0, "unfrozen");
    pygc_decref(x);
    end();
}

static int generation_of(const object *x)
{
    for (int generation = 0; generation < 3; generation++) {
        void *found = NULL;
        (void)pygc_objects(heap, generation, same_visit, &found);
        if (found == x) {
            return generation;
        }
    }
    return -1;
}

static void test_get_objects(void)
{
    begin();
    object *x = new_object(NULL);
    CHECK_EQ(generation_of(x), 0, "at first");
    (void)pygc_collect(heap, 0);
    CHECK_EQ(generation_of(x), 1, "after a collection");
    (void)pygc_collect(heap, 1);
    CHECK_EQ(generation_of(x), 2, "after another");
    (void)pygc_collect(heap, 2);
    CHECK_EQ(generation_of(x), 2, "after a full one");
    pygc_decref(x);
    end();
}

static void test_resurrection_only_happens_once(void)
{
    begin();
    self_cycle(resurrect);
    CHECK_EQ(pygc_collect(heap, 2), 0, "garbage that came back");
    CHECK(survivor != NULL, "it came back");
    pygc_decref(survivor);
    CHECK_EQ(pygc_collect(heap, 2), 1, "it does not come back again");
    CHECK_EQ(finalized, 1, "finalized");
    end();
}

static void test_resurrection_is_transitive(void)
{
    begin();
    object *x = new_object(resurrect), *cargo = chain_cycle(2, NULL);
    set(x, &x->attribute, x);
    set(x, &x->other, cargo);
    pygc_decref(x);
    CHECK_EQ(pygc_collect(heap, 2), 0, "garbage");
    CHECK(survivor->other == cargo && deallocated == 0, "its cargo came back with it");
    pygc_clear(&survivor->attribute);
    pygc_decref(survivor);
    CHECK_EQ(pygc_collect(heap, 2), 2, "the cargo");
    end();
}

static void test_resurrection_does_not_block_cleanup_of_other_objects(void)
{
    enum { N = 100 };
    begin();
    for (int i = 0; i < N; i++) {
        self_cycle(NULL);
    }
    self_cycle(resurrect);
    for (int i = 0; i < N; i++) {
        self_cycle(NULL);
    }
    CHECK_EQ(pygc_collect(heap, 2), 2 * N, "all but the one that came back");
    pygc_decref(survivor);
    end();
}

/* ---- test_gc.GCCallbackTests ---- */

static char events[64];

static void on_event(pygc_heap *which, int generation, int is_end, size_t found,
                     void *arg)
{
    (void)which;
    (void)arg;
    size_t length = strlen(events);
    snprintf(events + length, sizeof events - length, "%s%d:%zu ",
             is_end ? "stop" : "start", generation, found);
}

static void test_collect_callback(void)
{
    begin();
    events[0] = '\0';
    pygc_set_callback(heap, on_event, NULL);
    (void)pygc_collect(heap, 1);
    self_cycle(NULL);
    (void)pygc_collect(heap, 2);
    CHECK(strcmp(events, "start1:0 stop1:0 start2:0 stop2:1 ") == 0, "%s", events);
    pygc_set_callback(heap, NULL, NULL);
    end();
}

/* ---- test_gc.GCTogglingTests ---- */

static void test_bug1055820c(void)
{
    begin();
    pygc_enable(heap);
    pygc_weakref *ref = pygc_weakref_new(chain_cycle(2, NULL), callback, NULL);
    for (int i = 0; i < 5000 && callbacks == 0; i++) {
        self_cycle(NULL);
    }
    CHECK_EQ(callbacks, 1, "callbacks of an automatic collection");
    CHECK(pygc_weakref_get(ref) == NULL, "cleared");
    pygc_weakref_free(ref);
    end();
}

/* ---- test_finalization: SelfCycle and CycleChain ---- */

static void suicide(object *self)
{
    pygc_clear(&self->attribute);
}

struct outcome {
    int found;       /* garbage of the first collection */
    int deallocated; /* after it */
};

static void try_cycle(int length, behaviour *on_finalize, struct outcome wanted)
{
    begin();
    if (length == 1) {
        self_cycle(on_finalize);
    } else {
        chain_cycle(length, on_finalize);
    }
    CHECK_EQ(pygc_collect(heap, 2), wanted.found, "cycle of %d", length);
    CHECK_EQ(finalized, length, "cycle of %d: finalized", length);
    CHECK_EQ(deallocated, wanted.deallocated, "cycle of %d: deallocated", length);
    (void)pygc_collect(heap, 2);
    CHECK_EQ(finalized, length, "cycle of %d: finalized again", length);
    if (survivor != NULL && length == 1) {
        pygc_decref(survivor);
    }
}

static void test_simple(void)
{
    for (int length = 1; length <= 7; length++) {
        try_cycle(length, NULL, (struct outcome){length, length});
        end();
    }
}

static void test_simple_resurrect(void)
{
    try_cycle(1, resurrect, (struct outcome){0, 0});
    end();
}

static object *kept[10];
static int kept_count;

static void keep(object *self)
{
    pygc_incref(self);
    kept[kept_count++] = self;
}

static void test_heterogenous_resurrect(void)
{
    for (int length = 2; length <= 7; length++) {
        kept_count = 0;
        try_cycle(length, keep, (struct outcome){0, 0});
        for (int i = 0; i < kept_count; i++) {
            pygc_decref(kept[i]);
        }
        CHECK_EQ(pygc_collect(heap, 2), length, "cycle of %d, the second time", length);
        end();
    }
}

static void test_simple_suicide(void)
{
    for (int length = 1; length <= 7; length++) {
        try_cycle(length, suicide, (struct outcome){length, length});
        end();
    }
}

#define CASE(name)                                                                     \
    {                                                                                  \
#name, name                                                                    \
    }

static const struct tap_case cases[] = {
    CASE(test_list),
    CASE(test_instance),
    CASE(test_saveall),
    CASE(test_del),
    CASE(test_get_count),
    CASE(test_collect_generations),
    CASE(test_trashcan),
    CASE(test_boom),
    CASE(test_boom2),
    CASE(test_get_referents),
    CASE(test_is_tracked),
    CASE(test_is_finalized),
    CASE(test_bug1055820),
    CASE(test_bug1055820c),
    CASE(test_bug21435),
    CASE(test_freeze),
    CASE(test_get_objects),
    CASE(test_resurrection_only_happens_once),
    CASE(test_resurrection_is_transitive),
    CASE(test_resurrection_does_not_block_cleanup_of_other_objects),
    CASE(test_collect_callback),
    CASE(test_simple),
    CASE(test_simple_resurrect),
    CASE(test_heterogenous_resurrect),
    CASE(test_simple_suicide),
};

int main(int argc, char **argv)
{
    return TAP_RUN(cases, argc, argv);
}
