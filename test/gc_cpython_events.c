/*
 * gc.h: the cases of CPython's test_gc.py in which somebody looks on while garbage is
 * disposed of: finalizers, callbacks, the end of the program.
 *
 * An "old" class of the original is one told by slots here, a "new" one is told by
 * traverse.  Left out:
 *
 *     test_refcount_errors         in part: what an object prints as
 *     test_collect                 in part: there is one callback at a time
 */
#include "gc_cpython.h"

/* ---- GCTests: finalizers that change what is garbage ---- */

/* Takes the other's reference away, which may be the last to this one. */
static void boom(object *self)
{
    if (self->attribute != NULL) {
        pygc_clear(&self->attribute->attribute);
    }
}

static void check_boom(const pygc_type *type, behaviour *on_finalize)
{
    begin();
    pair_cycle_of(type, on_finalize);
    CHECK_EQ(pygc_collect(heap, 2), 2, "garbage");
    CHECK_EQ(finalized, 2, "finalized");
    CHECK_EQ(deallocated, 2, "deallocated");
    CHECK_EQ(pygc_garbage(heap, NULL, NULL, 0), 0, "nothing is kept");
    end();
}

static void test_boom(void)
{
    check_boom(types.instance, boom);
}

static void test_boom_new(void)
{
    check_boom(types.newinstance, boom);
}

/* Breaks the cycle when it is asked the second time, which never comes. */
static void boom2(object *self)
{
    if (++self->value > 1) {
        pygc_clear(&self->attribute);
    }
}

static void test_boom2(void)
{
    check_boom(types.instance, boom2);
}

static void test_boom2_new(void)
{
    check_boom(types.newinstance, boom2);
}

static pygc_weakref *looked_at[2];
static int resurrected;

static void look_at_all(pygc_weakref *ref, void *arg)
{
    callback(ref, arg);
    for (size_t i = 0; i < COUNT_OF(looked_at); i++) {
        object *target = pygc_weakref_get(looked_at[i]);
        resurrected += target != NULL;
        pygc_xdecref(target);
    }
}

/* The callback of a weak reference to garbage follows others. */
static void test_bug1055820b(void)
{
    begin();
    object *c[2];
    resurrected = 0;
    for (int i = 0; i < 2; i++) {
        c[i] = new_object(NULL);
        set(c[i], &c[i]->attribute, c[i]);
        looked_at[i] = pygc_weakref_new(c[i], look_at_all, NULL);
    }
    CHECK_EQ(pygc_collect(heap, 2), 0, "alive");
    CHECK_EQ(callbacks, 0, "callbacks");
    pygc_decref(c[0]);
    pygc_decref(c[1]);
    CHECK_EQ(pygc_collect(heap, 2), 2, "garbage");
    CHECK_EQ(callbacks, 2, "callbacks");
    CHECK_EQ(resurrected, 0, "objects that a callback got hold of");
    pygc_weakref_free(looked_at[0]);
    pygc_weakref_free(looked_at[1]);
    end();
}

static void clear_attribute(object *self)
{
    pygc_clear(&self->attribute);
}

/* In both orders of birth, which is the one that finalizers are called in. */
static void test_bug21435(void)
{
    for (int order = 0; order < 2; order++) {
        begin();
        object *a = order == 0 ? new_object(NULL) : NULL;
        object *b = new_object(clear_attribute);
        give(b, &b->other, new_object(NULL));
        a = a != NULL ? a : new_object(NULL);
        set(a, &a->attribute, b);
        give(b, &b->attribute, a);
        pygc_decref(b);
        CHECK_EQ(pygc_collect(heap, 2), 3, "garbage");
        CHECK_EQ(deallocated, 3, "deallocated");
        end();
    }
}

/* ---- GCTests: at shutdown ---- */

/* What body writes to standard error in a child, which is to return. */
static const char *complaints(void (*body)(void), int wanted)
{
    static char text[4096];
    int err = memfd_create("stderr", MFD_CLOEXEC);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(err, STDERR_FILENO);
        body();
        _exit(0);
    }
    CHECK_EQ(child_wait(pid, 60), wanted, "the end of the child");
    read_back(err, text, sizeof text);
    return text;
}

static void destroy(void)
{
    (void)pygc_heap_destroy(heap, 0);
}

static void test_garbage_at_shutdown(void)
{
    begin();
    object *first = self_cycle_of(types.legacy, NULL);
    give(first, &first->other, new_of(types.legacy, NULL));
    CHECK_STR(complaints(destroy, 0), "", "nobody wants to know");
    pygc_set_debug(heap, PYGC_DEBUG_SAVE);
    CHECK_STR(complaints(destroy, 0), "", "what is kept is no leak");
    pygc_set_debug(heap, PYGC_DEBUG_LEAKS);
    const char *text = complaints(destroy, 0);
    CHECK(strstr(text, "leak: 2 objects of type legacy") != NULL, "%s", text);
    pygc_set_debug(heap, 0);
    CHECK_EQ(pygc_heap_destroy(heap, 0), 2, "left");
}

/* A cycle that is referred to from outside until the end. */
static void test_gc_main_module_at_shutdown(void)
{
    begin();
    struct list *list = new_var(types.list, 2);
    give(list, &list->item[0], new_object(NULL));
    set(list, &list->item[1], list);
    CHECK_EQ(pygc_heap_destroy(heap, 0), 2, "left: the list and what is in it");
    CHECK_EQ(finalized, 1, "finalized");
    CHECK_EQ(deallocated, 2, "deallocated");
}

/* The same by way of a module, that only its own dict refers to. */
static void test_gc_ordinary_module_at_shutdown(void)
{
    begin();
    object *module = new_object(NULL);
    struct list *list = new_var(types.list, 2);
    give(list, &list->item[0], new_object(NULL));
    set(list, &list->item[1], list);
    give_dict_with(module, list);
    set(module, &module->other, module);
    pygc_decref(module);
    pygc_decref(list);
    CHECK(pygc_heap_destroy(heap, 0) > 0, "cycles are left");
    CHECK_EQ(finalized, 2, "finalized");
    CHECK_EQ(deallocated, 4, "deallocated");
}

static void say_so(object *self)
{
    (void)self;
    CHECK_EQ(write(STDERR_FILENO, "finalized", 9), 9, "written");
}

static void exit_with_cycle(void)
{
    object *self = self_cycle(say_so);
    pygc_incref(self);
    (void)atexit(destroy);
    exit(0);
}

static void test_global_del_SystemExit(void)
{
    begin();
    CHECK_STR(complaints(exit_with_cycle, 0), "finalized", "at exit");
    end();
}

/* ---- GCTests: resurrection ---- */

static void test_resurrection_only_happens_once_per_object(void)
{
    begin();
    self_cycle(resurrect);
    CHECK_EQ(survivor_count, 0, "before");
    CHECK_EQ(pygc_collect(heap, 2), 0, "garbage that came back");
    CHECK_EQ(survivor_count, 1, "it came back");
    drop_survivors();
    CHECK_EQ(pygc_collect(heap, 2), 1, "it does not come back again");
    CHECK_EQ(survivor_count, 0, "afterwards");
    CHECK_EQ(finalized, 1, "finalized");
    CHECK_EQ(deallocated, 1, "deallocated");
    end();
}

static void test_resurrection_is_transitive(void)
{
    begin();
    object *lazarus = new_object(resurrect), *cargo = new_object(NULL);
    set(cargo, &cargo->attribute, cargo);
    set(cargo, &cargo->other, lazarus);
    give(lazarus, &lazarus->attribute, cargo);
    pygc_decref(lazarus);
    CHECK_EQ(pygc_collect(heap, 2), 0, "garbage");
    CHECK_EQ(survivor_count, 1, "one came back by itself");
    CHECK(survivors[0] == lazarus && lazarus->attribute == cargo, "its cargo with it");
    CHECK(cargo->attribute == cargo && cargo->other == lazarus, "with all it had");
    CHECK_EQ(deallocated, 0, "deallocated");
    drop_survivors();
    CHECK_EQ(pygc_collect(heap, 2), 2, "both");
    end();
}

static void resurrection_round(int plain, int lazarus, ptrdiff_t garbage)
{
    struct pygc_stats old, new;
    pygc_get_stats(heap, &old);
    for (int i = 0; i < plain; i++) {
        self_cycle(NULL);
    }
    for (int i = 0; i < lazarus; i++) {
        self_cycle(resurrect);
    }
    CHECK_EQ(pygc_collect(heap, 2), garbage, "%d and %d", plain, lazarus);
    pygc_get_stats(heap, &new);
    CHECK_EQ(new.generation[2].collected - old.generation[2].collected, garbage,
             "%d and %d, by the statistics", plain, lazarus);
    CHECK_EQ(new.generation[2].uncollectable, 0, "uncollectable");
}

static void test_resurrection_does_not_block_cleanup_of_other_objects(void)
{
    enum { N = 100 };
    begin();
    resurrection_round(N, 0, N);
    resurrection_round(0, 1, 0);
    resurrection_round(N, 1, N);
    drop_survivors();
    resurrection_round(0, 0, 2);
    end();
}

/*
 *     z <- y <- a (-> a)
 *     ^         |
 *     +-- weak -+
 *
 * The collector does not know that z is garbage, since it is not told what y refers to;
 * still nobody may be told of its end.
 */
static void test_trash_weakref_clear(void)
{
    const pygc_type *const kinds[] = {types.instance, types.newinstance};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        begin();
        object *a = new_of(kinds[i], NULL), *y = new_of(types.hidden, NULL);
        give(y, &y->attribute, new_of(kinds[i], NULL));
        a->weak = pygc_weakref_new(y->attribute, callback, NULL);
        give(a, &a->other, y);
        give(a, &a->attribute, a);
        CHECK_EQ(pygc_collect(heap, 2), 1, "garbage that the collector knows");
        CHECK_EQ(deallocated, 3, "deallocated");
        CHECK_EQ(callbacks, 0, "callbacks");
        end();
    }
}

/* ---- GCCallbackTests ---- */

static struct {
    int starts, stops;
    int generation;
    size_t found;
} told;

static void on_event(pygc_heap *which, int generation, int is_end, size_t found,
                     void *arg)
{
    CHECK(which == heap && arg == &told, "what the callback was set with");
    CHECK(is_end || found == 0, "garbage before it was looked for");
    CHECK_EQ(told.starts - told.stops, is_end, "each start has its end");
    told.starts += !is_end;
    told.stops += is_end;
    told.generation = generation;
    told.found = found;
}

static void begin_with_callback(void)
{
    begin();
    memset(&told, 0, sizeof told);
    pygc_set_callback(heap, on_event, &told);
}

static void test_collect(void)
{
    begin_with_callback();
    (void)pygc_collect(heap, 2);
    CHECK_EQ(told.starts, 1, "starts");
    CHECK_EQ(told.stops, 1, "ends");
    pygc_set_callback(heap, NULL, NULL);
    (void)pygc_collect(heap, 2);
    CHECK_EQ(told.starts, 1, "starts after the callback was taken away");
    end();
}

static void test_collect_generation(void)
{
    begin_with_callback();
    for (int generation = 2; generation >= 0; generation--) {
        (void)pygc_collect(heap, generation);
        CHECK_EQ(told.generation, generation, "generation");
    }
    end();
}

static int break_legacy(void *visited, void *arg)
{
    if (pygc_type_of(visited) == types.legacy && *(int *)arg < 4) {
        survivors[(*(int *)arg)++] = visited;
    }
    return 0;
}

static void test_collect_garbage(void)
{
    struct pygc_stats stats;
    int count = 0;
    begin_with_callback();
    pair_cycle_of(types.legacy, NULL);
    pair_cycle_of(types.legacy, NULL);
    self_cycle(NULL);
    CHECK_EQ(pygc_collect(heap, 2), 5, "garbage");
    CHECK_EQ(told.found, 5, "garbage that the callback was told of");
    pygc_get_stats(heap, &stats);
    CHECK_EQ(stats.generation[2].collected, 1, "collected");
    CHECK_EQ(stats.generation[2].uncollectable, 4, "uncollectable");
    (void)pygc_objects(heap, 2, break_legacy, &count);
    CHECK_EQ(count, 4, "what was left");
    for (int i = 0; i < count; i++) {
        pygc_incref(survivors[i]);
    }
    for (int i = 0; i < count; i++) {
        pygc_clear(&survivors[i]->attribute);
        pygc_decref(survivors[i]);
    }
    CHECK_EQ(deallocated, 5, "once their cycles are broken");
    CHECK_EQ(pygc_collect(heap, 2), 0, "nothing is left to be found");
    CHECK_EQ(told.found, 0, "nor told");
    end();
}

static void verify_and_collect(void)
{
    pygc_set_debug(heap, PYGC_DEBUG_VERIFY);
    (void)pygc_collect(heap, 2);
}

static void test_refcount_errors(void)
{
    begin();
    struct list *a = new_var(types.list, 0), *b = new_var(types.tuple, 2);
    set(b, &b->item[0], a);
    give(b, &b->item[1], a);
    pygc_header_of(a)->refs--; /* as a stray pygc_decref would */
    char wanted[128];
    snprintf(wanted, sizeof wanted,
             "verify: %p of type list has a count of 1, but 2 references to it",
             (void *)a);
    const char *text = complaints(verify_and_collect, CHILD_SIGNALLED + SIGABRT);
    CHECK(strstr(text, wanted) != NULL, "\"%s\", wanted \"%s\"", text, wanted);
    pygc_header_of(a)->refs++;
    pygc_decref(b);
    end();
}

/* ---- GCTogglingTests ---- */

/*
 *     old:             c0
 *                      ^
 *     young:  c1 <-> c1    c2 <-> c2
 *
 * A collection of the young ones frees c1 and c2; c0 dies with c1, and whoever is told
 * of that tries to get c2 by a weak reference.
 */
static void old_dies_with_young(behaviour *on_finalize, pygc_weakref **old_weak)
{
    object *c0 = new_object(on_finalize);
    CHECK_EQ(pygc_collect(heap, 1), 0, "c0 grows old");
    object *c1 = new_object(NULL), *c2 = self_cycle(NULL);
    set(c1, &c1->attribute, c1);
    give(c1, &c1->other, c0);
    looked_at[0] = looked_at[1] = pygc_weakref_new(c2, NULL, NULL);
    if (old_weak != NULL) {
        *old_weak = pygc_weakref_new(c0, look_at_all, NULL);
    }
    pygc_decref(c1);
    resurrected = 0;
    pygc_enable(heap);
    wait_for_collection();
    pygc_disable(heap);
    CHECK(collections(0) > 0 && collections(2) == 0, "of the young ones");
    CHECK_EQ(resurrected, 0, "c2 is gone");
    CHECK(pygc_weakref_get(looked_at[0]) == NULL, "c2 is gone");
    pygc_weakref_free(looked_at[0]);
}

static void test_bug1055820c(void)
{
    pygc_weakref *old_weak;
    begin();
    old_dies_with_young(NULL, &old_weak);
    CHECK_EQ(callbacks, 1, "callbacks");
    pygc_weakref_free(old_weak);
    end();
}

static void look_from_finalizer(object *self)
{
    (void)self;
    look_at_all(looked_at[0], NULL);
}

static void test_bug1055820d(void)
{
    begin();
    old_dies_with_young(look_from_finalizer, NULL);
    CHECK_EQ(callbacks, 1, "finalizers that tried");
    end();
}

static const struct tap_case cases[] = {
    CASE(test_boom),
    CASE(test_boom_new),
    CASE(test_boom2),
    CASE(test_boom2_new),
    CASE(test_bug1055820b),
    CASE(test_bug21435),
    CASE(test_garbage_at_shutdown),
    CASE(test_gc_main_module_at_shutdown),
    CASE(test_gc_ordinary_module_at_shutdown),
    CASE(test_global_del_SystemExit),
    CASE(test_resurrection_only_happens_once_per_object),
    CASE(test_resurrection_is_transitive),
    CASE(test_resurrection_does_not_block_cleanup_of_other_objects),
    CASE(test_trash_weakref_clear),
    CASE(test_collect),
    CASE(test_collect_generation),
    CASE(test_collect_garbage),
    CASE(test_refcount_errors),
    CASE(test_bug1055820c),
    CASE(test_bug1055820d),
};

int main(int argc, char **argv)
{
    make_types();
    return TAP_RUN(cases, argc, argv);
}
