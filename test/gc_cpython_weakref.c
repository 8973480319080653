/*
 * gc.h: the cases of CPython's test_weakref.py that are about plain weak references and
 * their callbacks.  Left out:
 *
 *     test_proxy_*, test_basic_proxy,      proxies
 *     test_callable_proxy, ...
 *     test_cfunction, test_newstyle_*,     a type of Python's, an operation on it
 *     test_constructor_kwargs, test_init,
 *     test_classes
 *     test_getweakrefcount,                asking an object for its weak references
 *     test_getweakrefs
 *     test_equality, test_ordering,        weak references as values
 *     test_hashing, test_*_attribute*
 *     SubclassableWeakrefTestCase          weak references with data of their own, but
 *                                          for two cases
 *     WeakMethodTestCase                   methods, which are made anew at each use
 *     MappingTestCase,                     dicts, but for the cases that are about when
 *     Weak*DictionaryTestCase              entries go
 *     FinalizeTestCase                     test_arg_errors; test_order: callbacks come
 *                                          in no promised order
 *
 * Where CPython gives the same weak reference to whoever asks, this library makes one
 * each time: test_ref_reuse and test_shared_ref_without_callback show that.
 */
#include "gc_cpython.h"

static pygc_weakref *refer_to(object *target)
{
    pygc_weakref *ref = pygc_weakref_new(target, callback, NULL);
    CHECK(ref != NULL, "no weak reference");
    return ref;
}

static bool is_dead(const pygc_weakref *ref)
{
    object *target = pygc_weakref_get(ref);
    pygc_xdecref(target);
    return target == NULL;
}

/* ---- ReferencesTestCase ---- */

/* Of each kind of object. */
static void test_basic_ref(void)
{
    const pygc_type *const kinds[] = {types.instance, types.newinstance,
                                      types.subinstance, types.nongc, types.hidden};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        begin();
        object *o = new_of(kinds[i], NULL);
        pygc_weakref *ref = pygc_weakref_new(o, NULL, NULL);
        object *again = pygc_weakref_get(ref);
        CHECK(again == o, "%s", pygc_type_name(kinds[i]));
        CHECK_EQ(pygc_refcnt(o), 2, "a weak reference gives a strong one");
        pygc_decref(again);
        CHECK_EQ(deallocated, 0, "with a reference left");
        pygc_decref(o);
        CHECK_EQ(deallocated, 1, "a weak reference keeps nothing alive");
        CHECK(is_dead(ref), "afterwards");
        pygc_weakref_free(ref);
        end();
    }
}

static pygc_weakref *called_with;

static void note_arguments(pygc_weakref *ref, void *arg)
{
    callback(ref, arg);
    called_with = ref;
    CHECK(arg == &called_with, "the argument");
}

static void test_basic_callback(void)
{
    const pygc_type *const kinds[] = {types.instance, types.newinstance,
                                      types.subinstance, types.nongc, types.hidden};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        begin();
        object *o = new_of(kinds[i], NULL);
        pygc_weakref *ref = pygc_weakref_new(o, note_arguments, &called_with);
        CHECK_EQ(callbacks, 0, "before");
        pygc_decref(o);
        CHECK_EQ(callbacks, 1, "callbacks");
        CHECK(called_with == ref && is_dead(ref), "the weak reference");
        pygc_weakref_free(ref);
        end();
    }
}

static void test_multiple_callbacks(void)
{
    begin();
    object *o = new_object(NULL);
    pygc_weakref *a = refer_to(o), *b = refer_to(o);
    pygc_decref(o);
    CHECK(is_dead(a) && is_dead(b), "both are cleared");
    CHECK_EQ(callbacks, 2, "callbacks");
    pygc_weakref_free(a);
    pygc_weakref_free(b);
    end();
}

static pygc_weakref *siblings[3];

static void look_at_siblings(pygc_weakref *ref, void *arg)
{
    callback(ref, arg);
    for (size_t i = 0; i < COUNT_OF(siblings); i++) {
        CHECK(siblings[i] == NULL || is_dead(siblings[i]),
              "not all are cleared before the first callback");
    }
}

static void test_multiple_selfref_callbacks(void)
{
    begin();
    object *o = new_object(NULL);
    for (size_t i = 0; i < COUNT_OF(siblings); i++) {
        siblings[i] = pygc_weakref_new(o, look_at_siblings, NULL);
    }
    pygc_decref(o);
    CHECK_EQ(callbacks, 3, "callbacks");
    for (size_t i = 0; i < COUNT_OF(siblings); i++) {
        pygc_weakref_free(siblings[i]);
        siblings[i] = NULL;
    }
    end();
}

static void check_not_shared(void (*on_death)(pygc_weakref *ref, void *arg))
{
    begin();
    object *o = new_object(NULL);
    pygc_weakref *a = pygc_weakref_new(o, on_death, NULL),
                 *b = pygc_weakref_new(o, on_death, NULL);
    CHECK(a != b, "each call makes a weak reference");
    pygc_weakref_free(a);
    CHECK(!is_dead(b), "the other one is not freed");
    pygc_decref(o);
    CHECK(is_dead(b), "but cleared");
    CHECK_EQ(callbacks, on_death != NULL, "callbacks");
    pygc_weakref_free(b);
    end();
}

static void test_ref_reuse(void)
{
    check_not_shared(callback);
}

static void test_shared_ref_without_callback(void)
{
    check_not_shared(NULL);
}

static pygc_weakref *data_key;

static void remove_key(pygc_weakref *ref, void *arg)
{
    callback(ref, arg);
    CHECK(ref == data_key, "the key");
    pygc_weakref_free(ref);
    data_key = NULL;
}

/* What stands for a pending exception is errno. */
static void test_callbacks_protected(void)
{
    begin();
    for (int i = 0; i < 2; i++) {
        object *o = new_object(NULL);
        data_key = pygc_weakref_new(o, remove_key, NULL);
        if (i == 1) {
            set(o, &o->attribute, o);
        }
        errno = EDOM;
        pygc_decref(o);
        CHECK_EQ(pygc_collect(heap, 2), i, "garbage");
        CHECK_EQ(errno, EDOM, "errno after a callback");
        CHECK(data_key == NULL, "the entry is gone");
    }
    end();
}

static void collect_at_death(pygc_weakref *ref, void *arg)
{
    callback(ref, arg);
    CHECK_EQ(pygc_collect(heap, 2), 0, "what dies is no garbage any more");
}

static void test_sf_bug_840829(void)
{
    const pygc_type *const kinds[] = {types.instance, types.newinstance,
                                      types.subinstance};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        begin();
        object *c = new_of(kinds[i], NULL);
        pygc_weakref *ref = pygc_weakref_new(c, collect_at_death, NULL);
        pygc_decref(c);
        CHECK_EQ(callbacks, 1, "of an object by itself");
        pygc_weakref_free(ref);
        object *c1 = new_of(kinds[i], NULL), *c2 = new_of(kinds[i], NULL);
        give(c1, &c1->other, new_of(kinds[i], NULL));
        ref = pygc_weakref_new(c1->other, collect_at_death, NULL);
        give(c2, &c2->attribute, c1);
        pygc_decref(c2);
        CHECK_EQ(callbacks, 2, "of the last of a chain");
        CHECK_EQ(deallocated, 4, "deallocated");
        pygc_weakref_free(ref);
        end();
    }
}

/* ---- callbacks that belong to garbage ---- */

/* What the callback of a weak reference in garbage would do. */
static void use(pygc_weakref *ref, void *arg)
{
    object *self = arg;
    callback(ref, arg);
    CHECK(self->attribute != NULL && self->weak == ref, "a damaged object");
}

/* A weak reference that is its owner's, whose callback uses the owner. */
static void watch(object *owner, object *target)
{
    owner->weak = pygc_weakref_new(target, use, owner);
}

static void nobody_is_told(int garbage)
{
    CHECK_EQ(pygc_collect(heap, 2), garbage, "garbage");
    CHECK_EQ(deallocated, garbage, "deallocated");
    CHECK_EQ(callbacks, 0, "callbacks that garbage has");
    end();
}

static void each_kind(void (*body)(const pygc_type *type, const pygc_type *other))
{
    const pygc_type *const kinds[] = {types.instance, types.newinstance,
                                      types.subinstance};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        for (size_t k = 0; k < COUNT_OF(kinds); k++) {
            begin();
            body(kinds[i], kinds[k]);
        }
    }
}

/* II refers to J, strongly and weakly, and each of the two to itself. */
static void callback_in_cycle(const pygc_type *type, const pygc_type *other)
{
    object *j = new_of(other, NULL), *i = new_of(type, NULL);
    set(j, &j->attribute, j);
    watch(i, j);
    give(i, &i->other, j);
    give(i, &i->attribute, i);
    nobody_is_told(2);
}

static void test_callback_in_cycle(void)
{
    each_kind(callback_in_cycle);
}

/* From c2 to c1, but not back. */
static void one_way(const pygc_type *type, const pygc_type *other)
{
    object *c1 = new_of(other, NULL), *c2 = new_of(type, NULL);
    watch(c2, c1);
    give(c2, &c2->other, c1);
    give(c2, &c2->attribute, c2);
    nobody_is_told(2);
}

static void test_callback_reachable_one_way(void)
{
    begin();
    one_way(types.instance, types.instance);
    begin();
    one_way(types.newinstance, types.newinstance);
}

static void test_callback_different_classes(void)
{
    each_kind(one_way);
}

static void callback_in_cycle_resurrection(const pygc_type *type,
                                           const pygc_type *other)
{
    object *c1 = new_of(type, NULL), *c2 = new_of(other, NULL);
    pygc_weakref *outside = refer_to(c1);
    watch(c1, c2);
    watch(c2, c1);
    set(c1, &c1->attribute, c2);
    give(c2, &c2->attribute, c1);
    pygc_decref(c2);
    CHECK_EQ(callbacks, 0, "before the collection");
    CHECK_EQ(pygc_collect(heap, 2), 2, "garbage");
    CHECK_EQ(callbacks, 1, "callbacks: that of the weak reference outside");
    CHECK(is_dead(outside), "the weak reference outside");
    CHECK_EQ(pygc_collect(heap, 2), 0, "garbage, later");
    CHECK_EQ(callbacks, 1, "callbacks, later");
    pygc_weakref_free(outside);
    end();
}

static void test_callback_in_cycle_resurrection(void)
{
    each_kind(callback_in_cycle_resurrection);
}

/* The callback, which is an object there, has a weak reference to it as well. */
static void callbacks_on_callback(const pygc_type *type, const pygc_type *other)
{
    object *c = new_of(type, NULL), *d = new_of(type, NULL);
    object *bound = new_of(other, NULL);
    set(c, &c->attribute, d);
    give(d, &d->attribute, c);
    set(bound, &bound->attribute, c);
    watch(c, d);
    watch(d, bound);
    pygc_weakref *outside = refer_to(bound);
    give(c, &c->other, bound);
    pygc_decref(d);
    CHECK(!is_dead(outside), "before the collection");
    CHECK_EQ(callbacks, 0, "before the collection");
    CHECK_EQ(pygc_collect(heap, 2), 3, "garbage");
    CHECK_EQ(callbacks, 1, "callbacks: that of the weak reference outside");
    CHECK(is_dead(outside), "the weak reference outside");
    CHECK_EQ(pygc_collect(heap, 2), 0, "garbage, later");
    CHECK_EQ(callbacks, 1, "callbacks, later");
    pygc_weakref_free(outside);
    end();
}

static void test_callbacks_on_callback(void)
{
    each_kind(callbacks_on_callback);
}

/* ---- ReferencesTestCase: at odd moments ---- */

/* Garbage that has a weak reference to something waits while others to it are made. */
static void test_gc_during_ref_creation(void)
{
    static const unsigned threshold[3] = {1, 1, 1};
    enum { N = 200 };
    pygc_weakref *refs[N];
    begin();
    object *referenced = new_object(NULL);
    pygc_set_threshold(heap, threshold);
    pygc_enable(heap);
    for (int i = 0; i < N; i++) {
        object *a = new_object(NULL);
        a->weak = refer_to(referenced);
        give(a, &a->attribute, a);
        refs[i] = refer_to(referenced);
    }
    CHECK(deallocated > N / 2, "only %d were collected meanwhile", deallocated);
    CHECK_EQ(callbacks, 0, "callbacks");
    pygc_disable(heap);
    (void)pygc_collect(heap, 2);
    pygc_decref(referenced);
    CHECK_EQ(callbacks, N, "callbacks of weak references outside");
    for (int i = 0; i < N; i++) {
        CHECK(is_dead(refs[i]), "weak reference %d", i);
        pygc_weakref_free(refs[i]);
    }
    end();
}

static pygc_weakref *ref_from_del;

static void refer_to_self(object *self)
{
    ref_from_del = refer_to(self);
    CHECK(!is_dead(ref_from_del), "in the finalizer the object is there");
}

static void test_ref_created_during_del(void)
{
    const pygc_type *const kinds[] = {types.instance, types.newinstance,
                                      types.subinstance, types.nongc};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        for (int in_cycle = 0; in_cycle < 2 && (!in_cycle || i < 3); in_cycle++) {
            begin();
            object *self = new_of(kinds[i], refer_to_self);
            if (in_cycle) {
                set(self, &self->attribute, self);
            }
            pygc_decref(self);
            CHECK_EQ(pygc_collect(heap, 2), in_cycle, "garbage");
            CHECK_EQ(deallocated, 1, "deallocated");
            CHECK(is_dead(ref_from_del), "afterwards");
            CHECK_EQ(callbacks, 1, "callbacks");
            pygc_weakref_free(ref_from_del);
            end();
        }
    }
}

enum { CHAIN = 100 };
static pygc_weakref *self_weak[CHAIN], *parent_weak[CHAIN], *leaf_weak[CHAIN];

/* An object that is there has a reference beside the one that it was got with. */
static void check_alive(pygc_weakref *ref)
{
    object *target = pygc_weakref_get(ref);
    CHECK(target == NULL || pygc_refcnt(target) > 1, "an object without references");
    pygc_xdecref(target);
}

/* The parent has died; its children, which may wait to be released, are not to be seen
 * once their count is 0. */
static void look_at_children(pygc_weakref *ref, void *arg)
{
    callback(ref, arg);
    check_alive(*(pygc_weakref **)arg);
    for (int n = 0; n < CHAIN; n++) {
        check_alive(leaf_weak[n]);
    }
}

static void build_family(const pygc_type *type, object *root)
{
    object *c = root;
    for (int n = 0; n < CHAIN; n++) {
        object *child = new_of(type, NULL), *leaf = new_of(type, NULL);
        self_weak[n] = pygc_weakref_new(child, NULL, NULL);
        leaf_weak[n] = pygc_weakref_new(leaf, NULL, NULL);
        parent_weak[n] = pygc_weakref_new(c, look_at_children, &self_weak[n]);
        give(c, n % 2 == 0 ? &c->attribute : &c->other, child);
        give(c, n % 2 == 0 ? &c->other : &c->attribute, leaf);
        c = child;
    }
}

static void test_trashcan_16602(void)
{
    const pygc_type *const kinds[] = {types.instance, types.newinstance,
                                      types.subinstance};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        begin();
        object *root = new_of(kinds[i], NULL);
        build_family(kinds[i], root);
        pygc_decref(root);
        CHECK_EQ(deallocated, 2 * CHAIN + 1, "deallocated");
        CHECK_EQ(callbacks, CHAIN, "callbacks");
        for (int n = 0; n < CHAIN; n++) {
            CHECK(is_dead(self_weak[n]) && is_dead(parent_weak[n]), "of child %d", n);
            pygc_weakref_free(self_weak[n]);
            pygc_weakref_free(parent_weak[n]);
            pygc_weakref_free(leaf_weak[n]);
        }
        end();
    }
}

static void do_nothing(object *self)
{
    (void)self;
}

static void test_callback_gcs(void)
{
    begin();
    object *x = new_object(do_nothing);
    pygc_weakref *ref = pygc_weakref_new(x, collect_at_death, NULL);
    pygc_decref(x);
    CHECK_EQ(pygc_collect(heap, 2), 0, "garbage");
    CHECK_EQ(finalized, 1, "finalized");
    CHECK_EQ(callbacks, 1, "callbacks");
    pygc_weakref_free(ref);
    end();
}

/* ---- SubclassableWeakrefTestCase ---- */

static int other_callbacks;

static void other_callback(pygc_weakref *ref, void *arg)
{
    (void)ref;
    (void)arg;
    other_callbacks++;
}

static void test_subclass_refs_dont_conflate_callbacks(void)
{
    begin();
    other_callbacks = 0;
    object *o = new_object(NULL);
    pygc_weakref *a = refer_to(o), *b = pygc_weakref_new(o, other_callback, NULL);
    CHECK(a != b, "two callbacks, two weak references");
    pygc_decref(o);
    CHECK_EQ(callbacks * 10 + other_callbacks, 11, "each is called");
    pygc_weakref_free(a);
    pygc_weakref_free(b);
    end();
}

/* The owner of a weak reference has the only strong one as well. */
static void test_subclass_refs_with_cycle(void)
{
    begin();
    object *r1 = new_object(NULL), *r2, *o = new_object(NULL);
    r1->weak = refer_to(o);
    give(r1, &r1->other, o);
    pygc_decref(r1);
    CHECK_EQ(deallocated, 2, "deallocated");
    CHECK_EQ(callbacks, 0, "callbacks of a weak reference that goes, too");
    r1 = new_object(NULL);
    r2 = new_object(NULL);
    o = new_object(NULL);
    r1->weak = refer_to(o);
    r2->weak = refer_to(o);
    give(r2, &r2->other, o);
    give(r1, &r1->other, r2);
    pygc_decref(r1);
    CHECK_EQ(deallocated, 5, "deallocated");
    CHECK_EQ(callbacks, 0, "callbacks of two");
    end();
}

/* ---- MappingTestCase: a dict with weak values ---- */

enum { ROOM = 64 };

static struct mapping {
    pygc_weakref *value[ROOM]; /* by key; NULL: no entry */
    int entries;
} mapping;

static void forget_entry(pygc_weakref *ref, void *arg)
{
    pygc_weakref **entry = arg;
    callback(ref, arg);
    if (CHECK(*entry == ref, "an entry that has another value by now")) {
        *entry = NULL;
        mapping.entries--;
    }
    pygc_weakref_free(ref);
}

static void remember(int key, object *value)
{
    mapping.entries += mapping.value[key] == NULL;
    pygc_weakref_free(mapping.value[key]);
    mapping.value[key] = pygc_weakref_new(value, forget_entry, &mapping.value[key]);
}

static object *look_up(int key)
{
    return mapping.value[key] != NULL ? pygc_weakref_get(mapping.value[key]) : NULL;
}

static void test_weak_values(void)
{
    object *objects[10];
    begin();
    for (int i = 0; i < 10; i++) {
        objects[i] = new_object(NULL);
        remember(i, objects[i]);
    }
    CHECK_EQ(mapping.entries, 10, "entries");
    for (int i = 0; i < 10; i++) {
        object *found = look_up(i);
        CHECK(found == objects[i], "value %d", i);
        pygc_decref(found);
    }
    for (int i = 0; i < 10; i++) {
        pygc_decref(objects[i]);
        CHECK_EQ(mapping.entries, 9 - i, "entries without %d", i);
        CHECK(look_up(i) == NULL, "value %d", i);
    }
    object *o = new_object(NULL);
    remember(0, o);
    remember(0, o);
    CHECK_EQ(mapping.entries, 1, "the same again");
    pygc_decref(o);
    CHECK_EQ(mapping.entries, 0, "it is gone");
    end();
}

/* One of the values is in use, as by an iterator. */
static void test_weak_valued_len_cycles(void)
{
    enum { N = 20 };
    begin();
    for (int i = 0; i < N; i++) {
        remember(i, self_cycle(NULL));
    }
    CHECK_EQ(mapping.entries, N, "entries");
    object *in_use = look_up(0);
    CHECK_EQ(pygc_collect(heap, 2), N - 1, "garbage");
    CHECK_EQ(mapping.entries, 1, "entries");
    pygc_decref(in_use);
    CHECK_EQ(pygc_collect(heap, 2), 1, "garbage");
    CHECK_EQ(mapping.entries, 0, "entries");
    end();
}

static void test_weak_valued_len_race(void)
{
    enum { N = 20 };
    for (unsigned t = 1; t < 100; t += 3) {
        const unsigned threshold[3] = {t, t, t};
        begin();
        pygc_set_threshold(heap, threshold);
        pygc_enable(heap);
        for (int i = 0; i < N; i++) {
            remember(i, self_cycle(NULL));
            int found = 0;
            for (int k = 0; k < ROOM; k++) {
                object *value = look_up(k);
                found += value != NULL;
                pygc_xdecref(value);
            }
            CHECK_EQ(found, mapping.entries, "entries, threshold %u", t);
        }
        CHECK(mapping.entries <= N && (t > N || mapping.entries < N),
              "%d entries, threshold %u", mapping.entries, t);
        pygc_disable(heap);
        (void)pygc_collect(heap, 2);
        CHECK_EQ(mapping.entries, 0, "entries");
        end();
    }
}

static void test_weak_values_destroy_while_iterating(void)
{
    enum { N = 30 };
    object *objects[N];
    begin();
    for (int i = 0; i < N; i++) {
        objects[i] = new_object(NULL);
        remember(i, objects[i]);
    }
    int visits = 0;
    for (int i = 0; i < N; i++) {
        object *value = look_up(i);
        visits += value != NULL;
        for (int k = i; k < N && k < i + 3; k++) { /* with two that are to come */
            pygc_xdecref(objects[k]);
            objects[k] = NULL;
        }
        CHECK(value == NULL || value->attribute == NULL, "the value in hand");
        pygc_xdecref(value);
    }
    CHECK(visits > 0 && visits < N, "%d visits", visits);
    CHECK_EQ(mapping.entries, 0, "entries");
    end();
}

/* The callback for an old value does not remove a new one. */
static void test_threaded_weak_valued_consistency(void)
{
    begin();
    pygc_enable(heap);
    for (int i = 0; i < 20000; i++) {
        object *o = new_object(NULL);
        set(o, &o->attribute, o);
        remember(10, o);
        CHECK_EQ(mapping.entries, 1, "entries with one that is alive");
        pygc_decref(o);
    }
    CHECK(deallocated > 10000, "%d were collected meanwhile", deallocated);
    pygc_disable(heap);
    (void)pygc_collect(heap, 2);
    CHECK_EQ(mapping.entries, 0, "entries");
    end();
}

/* ---- FinalizeTestCase: a callback as a finalizer from outside ---- */

static void test_finalize(void)
{
    begin();
    object *a = new_object(NULL);
    pygc_weakref *detached = refer_to(a), *f = refer_to(a);
    pygc_weakref_free(detached);
    CHECK(!is_dead(f), "alive");
    pygc_decref(a);
    CHECK(is_dead(f), "dead");
    CHECK_EQ(callbacks, 1, "called once, and not for the one that was detached");
    (void)pygc_collect(heap, 2);
    CHECK_EQ(callbacks, 1, "nor again");
    pygc_weakref_free(f);
    end();
}

static void free_it(pygc_weakref *ref, void *arg)
{
    callback(ref, arg);
    pygc_weakref_free(ref);
    pygc_decref(arg);
}

/* The weak reference, with what its callback needs, goes when it has been called. */
static void test_all_freed(void)
{
    begin();
    object *a = new_object(NULL), *needed = new_object(NULL);
    (void)pygc_weakref_new(a, free_it, needed);
    pygc_decref(a);
    CHECK_EQ(callbacks, 1, "callbacks");
    CHECK_EQ(deallocated, 2, "deallocated");
    end();
}

/* The end of a heap is no death that anybody is told of; its own objects' finalizers
 * are called, and those of what they make. */
static void make_another(object *self)
{
    object *another = new_object(do_nothing);
    give(another, &another->attribute, another);
    CHECK_EQ(pygc_refcnt(self), 2, "the finalizer's own, and that from outside");
}

static void test_atexit(void)
{
    begin();
    object *a = new_object(make_another);
    (void)refer_to(a);
    CHECK_EQ(pygc_heap_destroy(heap, 0), 2, "left");
    CHECK_EQ(finalized, 2, "finalized");
    CHECK_EQ(deallocated, 2, "deallocated");
    CHECK_EQ(callbacks, 0, "callbacks");
}

static const struct tap_case cases[] = {
    CASE(test_basic_ref),
    CASE(test_basic_callback),
    CASE(test_multiple_callbacks),
    CASE(test_multiple_selfref_callbacks),
    CASE(test_ref_reuse),
    CASE(test_shared_ref_without_callback),
    CASE(test_callbacks_protected),
    CASE(test_sf_bug_840829),
    CASE(test_callback_in_cycle),
    CASE(test_callback_reachable_one_way),
    CASE(test_callback_different_classes),
    CASE(test_callback_in_cycle_resurrection),
    CASE(test_callbacks_on_callback),
    CASE(test_gc_during_ref_creation),
    CASE(test_ref_created_during_del),
    CASE(test_trashcan_16602),
    CASE(test_callback_gcs),
    CASE(test_subclass_refs_dont_conflate_callbacks),
    CASE(test_subclass_refs_with_cycle),
    CASE(test_weak_values),
    CASE(test_weak_valued_len_cycles),
    CASE(test_weak_valued_len_race),
    CASE(test_weak_values_destroy_while_iterating),
    CASE(test_threaded_weak_valued_consistency),
    CASE(test_finalize),
    CASE(test_all_freed),
    CASE(test_atexit),
};

int main(int argc, char **argv)
{
    make_types();
    return TAP_RUN(cases, argc, argv);
}
