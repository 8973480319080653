/*
 * gc.h: the cases of CPython's test_finalization.py.
 *
 * Each is done with instances told by slots and told by traverse.  Left out:
 *
 *     test_legacy             } tp_del, a finalizer of an older kind, which is called
 *     test_legacy_resurrect   } after weak references are cleared, and may be again
 *     test_non_gc_resurrect     in part: untracked objects are finalized once as well
 *     test_legacy_self_cycle    in part: weak references to what stays are cleared
 */
#include "gc_cpython.h"

enum { MOST = 8 };

static struct {
    object *node;
    pygc_weakref *weak;
    bool resurrects;
} under_test[MOST];
static int count;

/* ---- what finalizers do ---- */

static bool is_self_cycle(const object *self)
{
    return self->attribute == self || (self->value != 0 && self->attribute == NULL);
}

/* A chain has its neighbours to the left (attribute) and the right (other).  One that
 * has committed suicide (value) has let go of both. */
static bool is_sane(const object *self)
{
    if (count == 1) {
        return self->other == NULL && (self->attribute == NULL || is_self_cycle(self));
    }
    if (self->value != 0) {
        return self->attribute == NULL && self->other == NULL;
    }
    const object *left = self->attribute, *right = self->other;
    return left->other == (left->value != 0 ? NULL : self) &&
           right->attribute == (right->value != 0 ? NULL : self);
}

static void check_sanity(object *self)
{
    CHECK(is_sane(self), "the finalizer got a damaged object");
}

static void come_back(object *self)
{
    check_sanity(self);
    resurrect(self);
}

static void commit_suicide(object *self)
{
    check_sanity(self);
    self->value = 1;
    pygc_clear(&self->attribute);
    pygc_clear(&self->other);
}

/* ---- what is seen of it ---- */

static void put_under_test(object *node, bool resurrects)
{
    under_test[count].node = node;
    under_test[count].resurrects = resurrects;
    under_test[count++].weak = pygc_weakref_new(node, callback, NULL);
}

static object *target_of(int i)
{
    object *target = pygc_weakref_get(under_test[i].weak);
    pygc_xdecref(target);
    return target;
}

static void check_survivors(int wanted)
{
    CHECK_EQ(survivor_count, wanted, "survivors");
    for (int i = 0; i < survivor_count; i++) {
        bool found = false;
        for (int k = 0; k < count; k++) {
            found |= under_test[k].node == survivors[i] && under_test[k].resurrects;
        }
        CHECK(found, "a survivor that should not be one");
        CHECK_EQ(survivors[i]->finalized, 1, "a survivor: finalized");
    }
}

/* Once all references from outside are gone; weak references to what comes back are
 * cleared if it was a collection that found it. */
static void check_end(int lives, bool weak_lives)
{
    CHECK(pygc_collect(heap, 2) >= 0, "no memory");
    CHECK_EQ(finalized, count, "finalized");
    CHECK_EQ(alive(), lives, "alive");
    int resurrecting = 0;
    for (int i = 0; i < count; i++) {
        resurrecting += under_test[i].resurrects;
        CHECK((target_of(i) != NULL) == weak_lives, "weak reference %d", i);
    }
    CHECK_EQ(callbacks, weak_lives ? 0 : count, "callbacks");
    check_survivors(resurrecting);
    drop_survivors();
    CHECK(pygc_collect(heap, 2) >= 0, "no memory");
    CHECK_EQ(finalized, count, "finalized again");
    CHECK_EQ(deallocated, count, "deallocated");
    CHECK_EQ(callbacks, count, "callbacks at last");
    check_survivors(0);
    for (int i = 0; i < count; i++) {
        CHECK(target_of(i) == NULL, "weak reference %d, at last", i);
        pygc_weakref_free(under_test[i].weak);
    }
    count = 0;
    end();
}

/* ---- SimpleFinalizationTest ---- */

static void try_simple(const pygc_type *type, behaviour *on_finalize)
{
    begin();
    bool comes_back = on_finalize == come_back;
    put_under_test(new_of(type, on_finalize), comes_back);
    pygc_decref(under_test[0].node);
    CHECK_EQ(finalized, 1, "finalized at once");
    check_end(comes_back, comes_back);
}

static void test_simple(void)
{
    try_simple(types.instance, check_sanity);
    try_simple(types.newinstance, check_sanity);
    try_simple(types.subinstance, check_sanity);
}

static void test_simple_resurrect(void)
{
    try_simple(types.instance, come_back);
    try_simple(types.newinstance, come_back);
    try_simple(types.subinstance, come_back);
}

static void check_untracked(void)
{
    begin();
    object *self = new_of(types.nongc, NULL);
    CHECK(!pygc_is_tracked(self), "tracked");
    pygc_decref(self);
    end();
}

static void test_non_gc(void)
{
    check_untracked();
    try_simple(types.nongc, check_sanity);
}

static void test_non_gc_resurrect(void)
{
    check_untracked();
    try_simple(types.nongc, come_back);
}

/* ---- SelfCycleFinalizationTest ---- */

static void try_self_cycle(behaviour *on_finalize)
{
    const pygc_type *const kinds[] = {types.instance, types.newinstance,
                                      types.subinstance};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        begin();
        object *self = new_of(kinds[i], on_finalize);
        put_under_test(self, on_finalize == come_back);
        give(self, &self->attribute, self);
        CHECK_EQ(finalized, 0, "%s: finalized before", pygc_type_name(kinds[i]));
        check_end(on_finalize == come_back, false);
    }
}

static void test_self_cycle_simple(void)
{
    try_self_cycle(check_sanity);
}

static void test_self_cycle_simple_resurrect(void)
{
    try_self_cycle(come_back);
}

static void test_self_cycle_simple_suicide(void)
{
    try_self_cycle(commit_suicide);
}

/* ---- CycleChainFinalizationTest ---- */

/* A circle of one node for each letter: plain, Resurrecting, Suicidal. */
static void build_chain(const pygc_type *type, const char *nodes)
{
    for (const char *c = nodes; *c != '\0'; c++) {
        put_under_test(new_of(type, *c == 'R'   ? come_back
                                    : *c == 'S' ? commit_suicide
                                                : check_sanity),
                       *c == 'R');
    }
    for (int i = 0; i < count; i++) {
        object *self = under_test[i].node,
               *left = under_test[(i + count - 1) % count].node;
        set(self, &self->attribute, left);
        set(left, &left->other, self);
    }
}

/* Who resurrects itself takes along all that it refers to, but suicides, who refer to
 * nothing and to whom nothing leads but from the others. */
static int lives_after(void)
{
    bool lives[MOST] = {false}, more = true;
    while (more) {
        more = false;
        for (int i = 0; i < count; i++) {
            const object *self = under_test[i].node;
            bool reached = under_test[i].resurrects;
            for (int k = 0; k < count; k++) {
                const object *from = under_test[k].node;
                bool leads = from->on_finalize != commit_suicide &&
                             (from->attribute == self || from->other == self);
                reached |= lives[k] && leads;
            }
            more |= reached && !lives[i];
            lives[i] |= reached;
        }
    }
    int sum = 0;
    for (int i = 0; i < count; i++) {
        sum += lives[i];
    }
    return sum;
}

static void check_chain(const char *nodes)
{
    const pygc_type *const kinds[] = {types.instance, types.newinstance,
                                      types.subinstance};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        begin();
        build_chain(kinds[i], nodes);
        int lives = lives_after();
        CHECK_EQ(pygc_collect(heap, 2), 0, "%s: garbage before", nodes);
        for (int k = 0; k < count; k++) {
            pygc_decref(under_test[k].node);
        }
        CHECK_EQ(finalized, 0, "%s: finalized before", nodes);
        check_end(lives, false);
    }
}

static void test_homogenous(void)
{
    check_chain("---");
}

static void test_homogenous_resurrect(void)
{
    check_chain("RRR");
}

static void test_homogenous_suicidal(void)
{
    check_chain("SSS");
}

static void test_heterogenous_suicidal_one(void)
{
    check_chain("S-S-");
}

static void test_heterogenous_suicidal_two(void)
{
    check_chain("SS--");
}

static void test_heterogenous_resurrect_one(void)
{
    check_chain("R-R-");
}

static void test_heterogenous_resurrect_two(void)
{
    check_chain("R-SR-S");
}

static void test_heterogenous_resurrect_three(void)
{
    check_chain("RR--SS");
}

/* ---- LegacyFinalizationTest ---- */

/* Cycles that the collector has no means to break stay. */
static void test_legacy_self_cycle(void)
{
    const pygc_type *const kinds[] = {types.legacy, types.legacy_new};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        begin();
        object *self = self_cycle_of(kinds[i], NULL);
        CHECK_EQ(pygc_collect(heap, 2), 1, "garbage");
        CHECK_EQ(alive(), 1, "alive");
        CHECK_EQ(finalized + deallocated, 0, "calls");
        pygc_clear(&self->attribute);
        CHECK_EQ(deallocated, 1, "once the cycle is broken");
        end();
    }
}

static const struct tap_case cases[] = {
    CASE(test_simple),
    CASE(test_simple_resurrect),
    CASE(test_non_gc),
    CASE(test_non_gc_resurrect),
    CASE(test_self_cycle_simple),
    CASE(test_self_cycle_simple_resurrect),
    CASE(test_self_cycle_simple_suicide),
    CASE(test_homogenous),
    CASE(test_homogenous_resurrect),
    CASE(test_homogenous_suicidal),
    CASE(test_heterogenous_suicidal_one),
    CASE(test_heterogenous_suicidal_two),
    CASE(test_heterogenous_resurrect_one),
    CASE(test_heterogenous_resurrect_two),
    CASE(test_heterogenous_resurrect_three),
    CASE(test_legacy_self_cycle),
};

int main(int argc, char **argv)
{
    make_types();
    return TAP_RUN(cases, argc, argv);
}
