/*
 * gc.h: the cases of CPython's test_gc.py on what is garbage and what can be asked.
 * Those in which finalizers and callbacks have a part are gc_cpython_events.c's.
 *
 * An "old" class of the original is one told by slots here, a "new" one is told by
 * traverse.  Left out:
 *
 *     test_ast_fini                a type that dies with its last instance; types stay
 *     test_get_objects_arguments   in part: there are no wrong types of arguments
 */
#include "gc_cpython.h"

#include <pthread.h>

/* ---- GCTests: cycles of each kind ---- */

static void collects(int garbage, const char *what)
{
    CHECK_EQ(deallocated, 0, "%s: before a collection", what);
    CHECK_EQ(pygc_collect(heap, 2), garbage, "%s", what);
    CHECK_EQ(alive(), 0, "%s: alive", what);
    deallocated = 0;
}

static void test_list(void)
{
    begin();
    struct list *list = new_var(types.list, 1);
    give(list, &list->item[0], list);
    collects(1, "a list in itself");
    end();
}

static void test_dict(void)
{
    begin();
    struct dict *dict = new_var(types.dict, 1);
    give(dict, &dict->entry[0].key, made(pygc_alloc(heap, types.number)));
    give(dict, &dict->entry[0].value, dict);
    collects(1, "a dict in itself; its key is no garbage of the collector's");
    end();
}

static void test_tuple(void)
{
    begin();
    struct list *list = new_var(types.list, 1), *tuple = new_var(types.tuple, 1);
    set(tuple, &tuple->item[0], list);
    give(list, &list->item[0], tuple);
    CHECK_EQ(pygc_collect(heap, 2), 0, "with a reference to the list");
    CHECK(pygc_is_tracked(tuple), "a tuple with a list is tracked");
    pygc_decref(list);
    collects(2, "a tuple in a list in the tuple");
    end();
}

static void test_class(void)
{
    begin();
    self_cycle(NULL);
    collects(1, "a class with itself as an attribute");
    end();
}

/* Such a class refers to the tuple of its bases, where it comes first itself. */
static void test_newstyleclass(void)
{
    begin();
    object *class = new_of(types.newinstance, NULL);
    struct list *bases = new_var(types.tuple, 2);
    set(bases, &bases->item[0], class);
    give(bases, &bases->item[1], new_of(types.newinstance, NULL));
    give(class, &class->attribute, bases);
    give(class, &class->other, new_var(types.dict, 4));
    pygc_decref(class);
    collects(4, "a class, its bases and its dict");
    end();
}

static void test_instance(void)
{
    begin();
    object *self = new_object(NULL);
    give_dict_with(self, self);
    pygc_decref(self);
    collects(2, "an instance in its own dict");
    end();
}

static void test_newinstance(void)
{
    const pygc_type *const kinds[] = {types.newinstance, types.subinstance};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        begin();
        object *self = new_of(kinds[i], NULL);
        give_dict_with(self, self);
        pygc_decref(self);
        collects(2, pygc_type_name(kinds[i]));
        object *class = new_of(kinds[i], NULL), *instance = new_of(kinds[i], NULL);
        set(instance, &instance->other, class);
        give(class, &class->attribute, instance);
        pygc_decref(class);
        collects(2, "a class with an instance of itself");
        CHECK_EQ(pygc_collect(heap, 2), 0, "nothing is left");
        end();
    }
}

static void test_method(void)
{
    begin();
    object *instance = new_object(NULL), *method = new_of(types.newinstance, NULL);
    set(method, &method->attribute, instance); /* what it is bound to */
    give(instance, &instance->attribute, method);
    pygc_decref(instance);
    collects(2, "an instance and its bound method");
    end();
}

static int is_same(void *visited, void *arg)
{
    return visited == arg;
}

static void check_uncollectable(const pygc_type *type)
{
    struct pygc_stats stats;
    begin();
    object *a = self_cycle_of(type, NULL);
    self_cycle(NULL);
    CHECK_EQ(pygc_collect(heap, 2), 2, "garbage");
    pygc_get_stats(heap, &stats);
    CHECK_EQ(stats.generation[2].collected, 1, "the one that can be freed");
    CHECK_EQ(stats.generation[2].uncollectable, 1, "the one that cannot");
    CHECK_EQ(deallocated, 1, "deallocated");
    CHECK(pygc_objects(heap, 2, is_same, a), "it is left in the oldest generation");
    pygc_clear(&a->attribute);
    CHECK_EQ(deallocated, 2, "it dies as soon as the program breaks its cycle");
    end();
}

static void test_legacy_finalizer(void)
{
    check_uncollectable(types.legacy);
}

static void test_legacy_finalizer_newclass(void)
{
    check_uncollectable(types.legacy_new);
}

static void test_function(void)
{
    begin();
    struct dict *globals = new_var(types.dict, 2);
    object *function = new_of(types.newinstance, NULL);
    set(function, &function->attribute, globals);
    give(globals, &globals->entry[1].value, function);
    pygc_decref(globals);
    collects(2, "a function and the dict that it is defined in");
    end();
}

static object *latefin;         /* the only reference from outside */
static pygc_weakref *func_weak; /* which it looks at when it dies */
static int func_seen;

static void look_at_func(object *self)
{
    (void)self;
    object *func = pygc_weakref_get(func_weak);
    func_seen += func != NULL;
    pygc_xdecref(func);
}

static void refer_and_let_go(object *self)
{
    func_weak = pygc_weakref_new(self->attribute, NULL, NULL);
    pygc_decref(latefin);
}

/* A finalizer makes a weak reference to garbage, and another one, which runs while that
 * is taken apart, follows it. */
static void test_function_tp_clear_leaves_consistent_state(void)
{
    const pygc_type *const kinds[] = {types.instance, types.newinstance};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        begin();
        func_seen = 0;
        latefin = new_object(look_at_func);
        object *func = new_of(kinds[i], NULL), *cyc = new_of(kinds[i], NULL);
        cyc->on_finalize = refer_and_let_go;
        give(cyc, &cyc->attribute, func);
        set(cyc, &cyc->other, latefin);
        give(func, &func->attribute, cyc);
        CHECK_EQ(pygc_collect(heap, 2), 2, "garbage, without what waits for it");
        CHECK_EQ(finalized, 3, "finalized");
        CHECK_EQ(func_seen, 0, "what is being taken apart cannot be had");
        CHECK_EQ(deallocated, 3, "deallocated");
        pygc_weakref_free(func_weak);
        end();
    }
}

static void test_frame(void)
{
    begin();
    struct list *frame = new_var(types.list, 8); /* of local variables */
    give(frame, &frame->item[5], frame);
    collects(1, "a frame in a variable of its own");
    end();
}

/* ---- GCTests: what can be asked and set ---- */

static int save_visit(void *visited, void *arg)
{
    *(void **)arg = visited;
    return 0;
}

static void test_saveall(void)
{
    void *saved = NULL;
    begin();
    CHECK_EQ(pygc_garbage(heap, NULL, NULL, 0), 0, "saved before");
    struct list *list = new_var(types.list, 1);
    give(list, &list->item[0], list);
    pygc_set_debug(heap, PYGC_DEBUG_SAVE);
    CHECK_EQ(pygc_get_debug(heap), PYGC_DEBUG_SAVE, "flags");
    CHECK_EQ(pygc_collect(heap, 2), 1, "garbage");
    pygc_set_debug(heap, 0);
    CHECK_EQ(deallocated, 0, "saved, not freed");
    CHECK_EQ(pygc_garbage(heap, save_visit, &saved, 0), 1, "saved");
    CHECK(saved == list, "what was saved");
    CHECK_EQ(pygc_garbage(heap, NULL, NULL, 1), 1, "dropped");
    CHECK_EQ(pygc_garbage(heap, NULL, NULL, 0), 0, "saved at last");
    end();
    CHECK_EQ(deallocated, 1, "deallocated");
}

/* Enough to make a collection due, if it takes as few as can be. */
static void allocate(object *self)
{
    (void)self;
    object *more[3];
    for (size_t i = 0; i < COUNT_OF(more); i++) {
        more[i] = new_object(NULL);
    }
    for (size_t i = 0; i < COUNT_OF(more); i++) {
        pygc_decref(more[i]);
    }
}

static void check_del(const pygc_type *type)
{
    static const unsigned threshold[3] = {1, 1, 1};
    unsigned set_to[3];
    begin();
    pygc_set_threshold(heap, threshold);
    pygc_get_threshold(heap, set_to);
    CHECK(memcmp(set_to, threshold, sizeof set_to) == 0, "thresholds");
    pygc_enable(heap);
    object *keep = new_object(NULL), *self = new_of(type, allocate);
    uint64_t before = collections(0) + collections(1) + collections(2);
    pygc_decref(self);
    uint64_t after = collections(0) + collections(1) + collections(2);
    CHECK(after > before, "no collection ran in the finalizer");
    for (int i = 0; i < 50; i++) {
        self_cycle_of(type, allocate);
    }
    CHECK(finalized > 40, "%d finalizers ran while objects were made", finalized);
    pygc_disable(heap);
    pygc_decref(keep);
    end();
}

static void test_del(void)
{
    check_del(types.instance);
}

static void test_del_newclass(void)
{
    check_del(types.newinstance);
}

static void test_get_count(void)
{
    unsigned count[3];
    begin();
    pygc_get_count(heap, count);
    CHECK(count[0] == 0 && count[1] == 0 && count[2] == 0, "at first");
    struct list *list = new_var(types.list, 0);
    pygc_get_count(heap, count);
    CHECK(count[0] == 1 && count[1] == 0 && count[2] == 0, "with an object");
    pygc_decref(list);
    pygc_get_count(heap, count);
    CHECK_EQ(count[0], 0, "without");
    end();
}

static void test_collect_generations(void)
{
    unsigned count[3];
    begin();
    object *x = new_object(NULL);
    CHECK_EQ(pygc_collect(heap, 0), 0, "x is alive");
    pygc_get_count(heap, count);
    CHECK(count[0] == 0 && count[1] == 1 && count[2] == 0, "after generation 0");
    CHECK_EQ(pygc_collect(heap, 1), 0, "x is alive");
    pygc_get_count(heap, count);
    CHECK(count[0] == 0 && count[1] == 0 && count[2] == 1, "after generation 1");
    CHECK_EQ(pygc_collect(heap, 2), 0, "x is alive");
    pygc_get_count(heap, count);
    CHECK(count[0] == 0 && count[1] == 0 && count[2] == 0, "after generation 2");
    pygc_decref(x);
    end();
}

static int visit_one(void *visited, void *arg)
{
    (void)visited;
    ++*(int *)arg;
    return 0;
}

static void test_get_referents(void)
{
    int count = 0;
    begin();
    void *numbers[5];
    struct list *list = new_var(types.list, 3), *tuple = new_var(types.tuple, 3);
    struct dict *dict = new_var(types.dict, 2);
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        numbers[i] = made(pygc_alloc(heap, types.number));
    }
    (void)pygc_referents(list, visit_one, &count);
    CHECK_EQ(count, 0, "of an empty list");
    for (int i = 0; i < 3; i++) {
        set(list, &list->item[i], numbers[i]);
        set(tuple, &tuple->item[i], numbers[0]);
    }
    set(dict, &dict->entry[0].key, numbers[3]);
    set(dict, &dict->entry[0].value, numbers[4]);
    (void)pygc_referents(list, visit_one, &count);
    CHECK_EQ(count, 3, "of the list");
    (void)pygc_referents(tuple, visit_one, &count);
    CHECK_EQ(count, 6, "of the tuple: each time that it is there");
    (void)pygc_referents(dict, visit_one, &count);
    CHECK_EQ(count, 8, "of the dict: keys and values");
    (void)pygc_referents(numbers[0], visit_one, &count);
    CHECK_EQ(count, 8, "of a number");
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        CHECK_EQ(pygc_referents(list, is_same, numbers[i]), i < 3, "number %zu", i);
        pygc_decref(numbers[i]);
    }
    pygc_decref(list);
    pygc_decref(tuple);
    pygc_decref(dict);
    end();
}

static void test_is_tracked(void)
{
    begin();
    const pygc_type *const kinds[] = {types.instance,    types.newinstance,
                                      types.subinstance, types.number,
                                      types.nongc,       types.hidden};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        void *x = made(pygc_alloc(heap, kinds[i]));
        pygc_track(x);
        CHECK_EQ(pygc_is_tracked(x), i < 3, "%s", pygc_type_name(kinds[i]));
        pygc_decref(x);
    }
    void *list = new_var(types.list, 0);
    CHECK(pygc_is_tracked(list), "a list without items");
    pygc_decref(list);
    end();
}

static void test_is_finalized(void)
{
    begin();
    void *number = made(pygc_alloc(heap, types.number));
    CHECK(!pygc_is_finalized(number), "a number");
    pygc_decref(number);
    object *lazarus = new_object(resurrect);
    CHECK(!pygc_is_finalized(lazarus), "at first");
    pygc_decref(lazarus);
    CHECK_EQ(survivor_count, 1, "it came back");
    CHECK(survivors[0] == lazarus && pygc_is_finalized(lazarus), "afterwards");
    drop_survivors();
    end();
}

static void test_get_stats(void)
{
    struct pygc_stats old, new;
    begin();
    pygc_get_stats(heap, &old);
    for (int generation = 0; generation < 3; generation += 2) {
        CHECK_EQ(pygc_collect(heap, generation), 0, "garbage");
        pygc_get_stats(heap, &new);
        for (int i = 0; i < 3; i++) {
            CHECK_EQ(new.generation[i].collections,
                     old.generation[i].collections + (i == generation),
                     "of generation %d after one of %d", i, generation);
            CHECK_EQ(new.generation[i].uncollectable, 0, "uncollectable");
            CHECK_EQ(new.generation[i].failed, 0, "failed");
        }
        old = new;
    }
    end();
}

static void test_freeze(void)
{
    begin();
    object *x = new_object(NULL), *young;
    pygc_freeze(heap);
    CHECK_EQ(pygc_freeze_count(heap), 1, "frozen");
    young = new_object(NULL);
    CHECK_EQ(pygc_freeze_count(heap), 1, "what comes later is not frozen");
    pygc_unfreeze(heap);
    CHECK_EQ(pygc_freeze_count(heap), 0, "unfrozen");
    pygc_decref(x);
    pygc_decref(young);
    end();
}

static void is_in(const void *x, int wanted)
{
    for (int generation = 0; generation < 3; generation++) {
        int found = pygc_objects(heap, generation, is_same, (void *)(uintptr_t)x);
        CHECK_EQ(found, generation == wanted, "in %d, should be in %d", generation,
                 wanted);
    }
}

static void test_get_objects(void)
{
    begin();
    struct list *list = new_var(types.list, 1);
    set(list, &list->item[0], list);
    is_in(list, 0);
    (void)pygc_collect(heap, 0);
    is_in(list, 1);
    (void)pygc_collect(heap, 1);
    is_in(list, 2);
    (void)pygc_collect(heap, 2);
    is_in(list, 2);
    pygc_decref(list);
    end();
}

static void test_get_objects_arguments(void)
{
    int all = 0, tracked = 0, none = 0;
    begin();
    object *x = new_object(NULL), *y = new_object(NULL);
    (void)pygc_collect(heap, 0);
    object *z = new_object(NULL);
    (void)pygc_objects(heap, PYGC_ALL, visit_one, &all);
    for (int generation = 0; generation < 3; generation++) {
        (void)pygc_objects(heap, generation, visit_one, &tracked);
    }
    CHECK_EQ(all, 3, "all objects");
    CHECK_EQ(tracked, all, "the same by generation");
    CHECK_EQ(pygc_objects(heap, 1000, visit_one, &none), 0, "of generation 1000");
    CHECK_EQ(pygc_objects(heap, -1000, visit_one, &none), 0, "of generation -1000");
    CHECK_EQ(none, 0, "of generations that there are not");
    errno = 0;
    CHECK(pygc_collect(heap, 1000) == -1 && errno == EINVAL, "a collection of one");
    pygc_decref(x);
    pygc_decref(y);
    pygc_decref(z);
    end();
}

/* ---- GCTests: deep structures ---- */

static void collect_now_and_then(object *self)
{
    (void)self;
    if (finalized % 17 == 0) {
        CHECK_EQ(pygc_collect(heap, 2), 0, "what waits to be freed is no garbage");
    }
}

/* Nests N lists, tuples or dicts around each other, each with an object that collects
 * as it dies. */
static void drop_nested(const pygc_type *type, int depth)
{
    bool is_dict = type == types.dict;
    struct list *outer = NULL;
    for (int i = 0; i < depth; i++) {
        struct list *nest = new_var(type, is_dict ? 1 : 2);
        nest->item[0] = outer;
        give(nest, &nest->item[1], new_object(collect_now_and_then));
        outer = nest;
    }
    pygc_decref(outer);
}

static void test_trashcan(void)
{
    enum { N = 150, ROUNDS = 2 };
    begin();
    const pygc_type *const kinds[] = {types.list, types.tuple, types.dict};
    pygc_enable(heap);
    for (int i = 0; i < ROUNDS; i++) {
        for (size_t k = 0; k < COUNT_OF(kinds); k++) {
            drop_nested(kinds[k], N);
        }
    }
    pygc_disable(heap);
    CHECK_EQ(finalized, ROUNDS * COUNT_OF(kinds) * N, "finalized");
    CHECK_EQ(deallocated, 2 * finalized, "deallocated");
    end();
}

/* Each thread has a heap, and its own counters. */
static void *nest_in_thread(void *arg)
{
    enum { NESTING = 60, ROUNDS = 300 };
    begin();
    for (int i = 0; i < ROUNDS; i++) {
        struct list *outer = NULL;
        for (int k = 0; k < NESTING; k++) {
            struct list *inner = new_var(types.list, 1);
            object *c = new_object(k % 5 == 0 ? allocate : NULL);
            inner->item[0] = outer;
            give(c, &c->attribute, inner);
            struct list *around = new_var(types.list, 1);
            give(around, &around->item[0], c);
            outer = around;
        }
        pygc_decref(outer);
    }
    CHECK_EQ(finalized, ROUNDS * NESTING * 8 / 5, "as many as were made");
    end();
    return arg;
}

static void test_trashcan_threads(void)
{
    enum { THREADS = 2 };
    pthread_t thread[THREADS];
    for (int i = 0; i < THREADS; i++) {
        if (pthread_create(&thread[i], NULL, nest_in_thread, NULL) != 0) {
            tap_bail_out("no thread");
        }
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
    }
}

static const struct tap_case cases[] = {
    CASE(test_list),
    CASE(test_dict),
    CASE(test_tuple),
    CASE(test_class),
    CASE(test_newstyleclass),
    CASE(test_instance),
    CASE(test_newinstance),
    CASE(test_method),
    CASE(test_legacy_finalizer),
    CASE(test_legacy_finalizer_newclass),
    CASE(test_function),
    CASE(test_function_tp_clear_leaves_consistent_state),
    CASE(test_frame),
    CASE(test_saveall),
    CASE(test_del),
    CASE(test_del_newclass),
    CASE(test_get_count),
    CASE(test_collect_generations),
    CASE(test_get_referents),
    CASE(test_is_tracked),
    CASE(test_is_finalized),
    CASE(test_get_stats),
    CASE(test_freeze),
    CASE(test_get_objects),
    CASE(test_get_objects_arguments),
    CASE(test_trashcan),
    CASE(test_trashcan_threads),
};

int main(int argc, char **argv)
{
    make_types();
    return TAP_RUN(cases, argc, argv);
}
