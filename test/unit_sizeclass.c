/* sizeclass.h: numbers in, numbers out; every number is tried. */
#include "sizeclass.h"
#include "support.h"

static void small_classes_fit_tightly(void)
{
    for (size_t n = 1; n <= PYM_SMALL_MAX; n++) {
        unsigned cls = pym_class_of(n);
        CHECK(cls < PYM_CLASSES, "class %u of %zu", cls, n);
        CHECK(pym_class_size(cls) >= n, "class of %zu holds %zu", n,
              pym_class_size(cls));
        CHECK(pym_class_size(cls) - n < PYM_GRAIN, "class of %zu wastes a grain", n);
    }
    CHECK_EQ(pym_class_size(0), PYM_GRAIN, "the first class");
    CHECK_EQ(pym_class_size(PYM_CLASSES - 1), PYM_SMALL_MAX, "the last class");
}

static void pools_hold_whole_blocks(void)
{
    for (unsigned cls = 0; cls < PYM_CLASSES; cls++) {
        size_t size = pym_class_size(cls);
        unsigned capacity = pym_class_capacity(cls);
        CHECK(capacity * size <= PYM_POOL_SIZE, "class %u", cls);
        CHECK((capacity + 1) * size > PYM_POOL_SIZE, "class %u wastes a block", cls);
        CHECK(capacity <= PYM_POOL_BLOCKS_MAX, "class %u", cls);
        CHECK(pym_class_wake(cls) > 0 && pym_class_wake(cls) < capacity, "class %u",
              cls);
    }
}

/* Lending from a coarser class must give at least the size, its alignment too,
 * and must end: the coarser class of a coarser class is itself. */
static void coarser_classes_serve(void)
{
    for (unsigned cls = 0; cls < PYM_CLASSES; cls++) {
        unsigned coarser = pym_class_coarser(cls);
        CHECK(coarser >= cls && coarser < PYM_CLASSES, "class %u", cls);
        CHECK_EQ(pym_class_coarser(coarser), coarser, "class %u", cls);
        CHECK(pym_is_power_of_two(pym_class_size(coarser)), "class %u", cls);
        CHECK(pym_class_size(coarser) < 2 * pym_class_size(cls), "class %u", cls);
        for (size_t a = PYM_GRAIN; a <= PYM_SMALL_MAX; a *= 2) {
            CHECK(pym_class_size(cls) % a != 0 || pym_class_size(coarser) % a == 0,
                  "class %u loses its alignment to %zu", cls, a);
        }
        CHECK(pym_class_borrows(cls) <= UINT8_MAX, "class %u counts in a byte", cls);
    }
}

static void cached_classes_fit_tightly(void)
{
    for (size_t n = PYM_SMALL_MAX + 1; n <= PYM_CACHED_MAX; n++) {
        unsigned cls = pym_cached_class_for(n);
        CHECK(cls < PYM_CACHED_CLASSES, "class %u of %zu", cls, n);
        CHECK(pym_cached_class_size(cls) >= n, "class of %zu holds %zu", n,
              pym_cached_class_size(cls));
        CHECK(cls == 0 || pym_cached_class_size(cls - 1) < n,
              "a smaller class than %u would hold %zu", cls, n);
    }
    CHECK_EQ(pym_cached_class_size(PYM_CACHED_CLASSES - 1), PYM_CACHED_MAX, "the last");
}

static void cached_classes_are_even_steps(void)
{
    for (unsigned cls = 1; cls < PYM_CACHED_CLASSES; cls++) {
        size_t size = pym_cached_class_size(cls), less = pym_cached_class_size(cls - 1);
        CHECK(size > less, "class %u", cls);
        CHECK((size - less) * 8 <= size, "class %u is a step of more than an eighth",
              cls);
        CHECK_EQ(size % ((size_t)1 << PYM_CACHED_STEP_SHIFT), 0, "class %u", cls);
    }
}

/* The same table, read at a block's usable size, says one more than the largest
 * class that the block can serve. */
static void usable_sizes_find_what_they_can_serve(void)
{
    for (size_t usable = pym_cached_class_size(0);
         usable < PYM_CACHED_MAX + ((size_t)1 << PYM_CACHED_STEP_SHIFT); usable++) {
        unsigned found = pym_cached_class_table[usable >> PYM_CACHED_STEP_SHIFT];
        if (!CHECK(found > 0, "%zu usable bytes serve nothing", usable)) {
            continue;
        }
        CHECK(pym_cached_class_size(found - 1) <= usable, "%zu usable bytes", usable);
        CHECK(found == PYM_CACHED_CLASSES || pym_cached_class_size(found) > usable,
              "%zu usable bytes could serve a larger class", usable);
    }
}

static const struct tap_case cases[] = {
    {"small classes fit tightly", small_classes_fit_tightly},
    {"pools hold whole blocks", pools_hold_whole_blocks},
    {"coarser classes serve for finer ones", coarser_classes_serve},
    {"cached classes fit tightly", cached_classes_fit_tightly},
    {"cached classes are even steps", cached_classes_are_even_steps},
    {"usable sizes find what they can serve", usable_sizes_find_what_they_can_serve},
};

int main(int argc, char **argv)
{
    return TAP_RUN(cases, argc, argv);
}
