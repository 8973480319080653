/*
 * Objects as programs in Python have them, for the gc_cpython_*.c, which have the cases
 * of CPython's own tests (3.11, Lib/test) by what they show, under their names.
 *
 * All state is a thread's own, as a heap is.
 */
#ifndef TEST_GC_CPYTHON_H
#define TEST_GC_CPYTHON_H

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
    long value;
    int finalized;
};

struct list {
    size_t count;
    void *item[];
};

struct dict {
    size_t count;
    struct {
        void *key;
        void *value;
    } entry[];
};

static struct {
    pygc_type *instance;    /* told by slots */
    pygc_type *newinstance; /* told by traverse and clear */
    pygc_type *subinstance; /* an instance too large for a pool */
    pygc_type *hidden;      /* whose references the collector is not told of */
    pygc_type *legacy;      /* without clear, so that cycles of it stay */
    pygc_type *legacy_new;  /* with a clear that does nothing */
    pygc_type *list;
    pygc_type *tuple;
    pygc_type *dict;
    pygc_type *number;
    pygc_type *nongc; /* a number with a finalizer */
} types;

static __thread pygc_heap *heap;
static __thread int finalized, deallocated, callbacks;

/* ---- types ---- */

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

static int traverse(void *self, pygc_visit_fn *visit, void *arg)
{
    object *instance = self;
    int result = instance->attribute != NULL ? visit(instance->attribute, arg) : 0;
    return result == 0 && instance->other != NULL ? visit(instance->other, arg)
                                                  : result;
}

static void clear(void *self)
{
    object *instance = self;
    pygc_clear(&instance->attribute);
    pygc_clear(&instance->other);
}

static void clear_nothing(void *self)
{
    (void)self;
}

static void make_containers(void)
{
    static const struct pygc_slot item = {0, 1, PYGC_STRONG | PYGC_ITEMS, NULL},
                                  entry = {0, 2, PYGC_STRONG | PYGC_ITEMS, NULL};
    struct pygc_type_spec spec = {.name = "list",
                                  .size = sizeof(struct list),
                                  .item_size = sizeof(void *),
                                  .slots = &item,
                                  .slot_count = 1,
                                  .dealloc = dealloc,
                                  .flags = PYGC_WEAKREFABLE};
    types.list = pygc_type_new(&spec);
    spec.name = "tuple";
    spec.flags = PYGC_IMMUTABLE;
    types.tuple = pygc_type_new(&spec);
    spec.name = "dict";
    spec.item_size = 2 * sizeof(void *);
    spec.slots = &entry;
    spec.flags = PYGC_WEAKREFABLE;
    types.dict = pygc_type_new(&spec);
}

static void make_instances(void)
{
    static const struct pygc_slot slots[] = {
        {offsetof(object, attribute), 2, PYGC_STRONG, NULL},
        {offsetof(object, weak), 1, PYGC_WEAK, NULL}};
    struct pygc_type_spec spec = {.name = "instance",
                                  .size = sizeof(object),
                                  .slots = slots,
                                  .slot_count = COUNT_OF(slots),
                                  .finalize = finalize,
                                  .dealloc = dealloc,
                                  .flags = PYGC_WEAKREFABLE};
    types.instance = pygc_type_new(&spec);
    spec.name = "subinstance";
    spec.size = 10000;
    types.subinstance = pygc_type_new(&spec);
    spec.name = "hidden";
    spec.size = sizeof(object);
    spec.flags |= PYGC_ACYCLIC;
    types.hidden = pygc_type_new(&spec);
    spec.flags = PYGC_WEAKREFABLE;
    spec.name = "newinstance";
    spec.slots = slots + 1;
    spec.slot_count = 1;
    spec.traverse = traverse;
    spec.clear = clear;
    types.newinstance = pygc_type_new(&spec);
    spec.finalize = NULL;
    spec.name = "legacy_new";
    spec.clear = clear_nothing;
    types.legacy_new = pygc_type_new(&spec);
    spec.name = "legacy";
    spec.clear = NULL;
    types.legacy = pygc_type_new(&spec);
}

static void make_types(void)
{
    struct pygc_type_spec spec = {.name = "int", .size = 8, .dealloc = dealloc};
    types.number = pygc_type_new(&spec);
    spec.name = "nongc";
    spec.size = sizeof(object);
    spec.finalize = finalize;
    spec.flags = PYGC_WEAKREFABLE;
    types.nongc = pygc_type_new(&spec);
    make_containers();
    make_instances();
}

/* ---- a case ---- */

static void begin(void)
{
    static const struct pygc_options options = {.disabled = 1};
    if (types.number == NULL) {
        make_types();
    }
    heap = pygc_heap_new(&options);
    if (heap == NULL) {
        tap_bail_out("no heap");
    }
    finalized = deallocated = callbacks = 0;
}

static void end(void)
{
    CHECK(pygc_collect(heap, 2) >= 0, "no memory");
    CHECK_EQ(pygc_verify(heap), 0, "faults");
    CHECK_EQ(pygc_heap_destroy(heap, 0), 0, "left");
}

/* ---- objects ---- */

static void *made(void *new_object)
{
    if (new_object == NULL) {
        tap_bail_out("no object");
    }
    return new_object;
}

static object *new_of(const pygc_type *type, behaviour *on_finalize)
{
    object *self = made(pygc_alloc(heap, type));
    self->on_finalize = on_finalize;
    pygc_track(self);
    return self;
}

UNUSED static object *new_object(behaviour *on_finalize)
{
    return new_of(types.instance, on_finalize);
}

UNUSED static void *new_var(const pygc_type *type, size_t count)
{
    return made(pygc_alloc_var(heap, type, count));
}

/* slot is of owner and gets a reference. */
static void set(void *owner, void *slot, void *value)
{
    pygc_store(owner, slot, value);
}

/* The same with the caller's own. */
UNUSED static void give(void *owner, void *slot, void *value)
{
    pygc_store(owner, slot, value);
    pygc_decref(value);
}

/* An object that refers to itself, without a reference from outside. */
UNUSED static object *self_cycle_of(const pygc_type *type, behaviour *on_finalize)
{
    object *self = new_of(type, on_finalize);
    give(self, &self->attribute, self);
    return self;
}

UNUSED static object *self_cycle(behaviour *on_finalize)
{
    return self_cycle_of(types.instance, on_finalize);
}

UNUSED static object *pair_cycle_of(const pygc_type *type, behaviour *on_finalize)
{
    object *a = new_of(type, on_finalize), *b = new_of(type, on_finalize);
    set(a, &a->attribute, b);
    give(b, &b->attribute, a);
    pygc_decref(b);
    return a;
}

/* The attribute is a dict, and in that is a value. */
UNUSED static void give_dict_with(object *self, void *value)
{
    struct dict *dict = new_var(types.dict, 1);
    set(dict, &dict->entry[0].value, value);
    give(self, &self->attribute, dict);
}

UNUSED static uint64_t alive(void)
{
    struct pygc_stats stats;
    pygc_get_stats(heap, &stats);
    return stats.objects;
}

UNUSED static uint64_t collections(int generation)
{
    struct pygc_stats stats;
    pygc_get_stats(heap, &stats);
    return stats.generation[generation].collections;
}

/* ---- what happens to them ---- */

UNUSED static void callback(pygc_weakref *ref, void *arg)
{
    (void)arg;
    callbacks++;
    CHECK(pygc_weakref_get(ref) == NULL, "not clear in its callback");
}

static __thread object *survivors[32];
static __thread int survivor_count;

UNUSED static void resurrect(object *self)
{
    pygc_incref(self);
    survivors[survivor_count++] = self;
}

UNUSED static void drop_survivors(void)
{
    while (survivor_count > 0) {
        pygc_decref(survivors[--survivor_count]);
    }
}

/* Makes garbage until an automatic collection has come by. */
UNUSED static void wait_for_collection(void)
{
    pygc_weakref *detector = pygc_weakref_new(self_cycle(NULL), NULL, NULL);
    object *seen = pygc_weakref_get(detector);
    for (int i = 0; i < 10000 && seen != NULL; i++) {
        pygc_decref(seen);
        self_cycle(NULL);
        seen = pygc_weakref_get(detector);
    }
    CHECK(seen == NULL, "no collection comes");
    pygc_xdecref(seen);
    pygc_weakref_free(detector);
}

#define CASE(name)                                                                     \
    {                                                                                  \
#name, name                                                                    \
    }

#endif
