/* systrim.h: what the system allocator may keep of freed megabytes. */
#include "arena.h"
#include "heap.h"
#include "options.h"
#include "support.h"
#include "sysalloc.h"
#include "syscache.h"
#include "systrim.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

static struct {
    int map_threshold; /* as it was told last; 0: never */
    int trim_threshold;
    int trims;
} fake;

static int fake_tune(int parameter, int value)
{
    errno = EINVAL;
    *(parameter == M_MMAP_THRESHOLD ? &fake.map_threshold : &fake.trim_threshold) =
        value;
    return 1;
}

static int fake_trim(size_t keep)
{
    CHECK_EQ(keep, 0, "all of it");
    errno = EINVAL;
    fake.trims++;
    return 1;
}

#define MB ((size_t)1 << 20)

static void begin(void)
{
    fake.map_threshold = fake.trim_threshold = fake.trims = 0;
    pym_sysalloc.tune = fake_tune;
    pym_sysalloc.trim = fake_trim;
    pym_systrim_init();
    pym_systrim_look();
    pym_systrim_look();
    fake.trims = 0;
}

static int trims_after_looks(int looks)
{
    int before = fake.trims;
    while (looks-- > 0) {
        pym_systrim_look();
    }
    return fake.trims - before;
}

static void the_largest_mapped_block_counts(void)
{
    begin();
    pym_systrim_freed(9 * MB, false);
    CHECK_EQ(fake.map_threshold, 0, "a block of the heap");
    pym_systrim_freed(5 * MB, true);
    CHECK_EQ(fake.map_threshold, 5 * MB, "a mapped block");
    CHECK(fake.trim_threshold > 10 << 20, "no more than glibc: %d",
          fake.trim_threshold);
    pym_systrim_freed(3 * MB, true);
    CHECK_EQ(fake.map_threshold, 5 * MB, "a smaller one");
    pym_systrim_freed(100 * MB, true);
    CHECK_EQ(fake.map_threshold, 5 * MB, "one that is always mapped");
    pym_systrim_freed(32 * MB, true);
    CHECK_EQ(fake.map_threshold, 32 * MB, "the largest there is");
}

static void what_is_idle_goes_back_once(void)
{
    begin();
    CHECK_EQ(trims_after_looks(5), 0, "before any was freed");
    pym_systrim_freed(2 * MB, true);
    CHECK_EQ(trims_after_looks(1), 0, "at once");
    pym_systrim_freed(2 * MB, false);
    CHECK_EQ(trims_after_looks(1), 0, "while more are freed");
    CHECK_EQ(trims_after_looks(1), 1, "when none was freed between two looks");
    CHECK_EQ(trims_after_looks(5), 0, "again");
    pym_systrim_freed(2 * MB, false);
    CHECK_EQ(trims_after_looks(5), 1, "the next time");
}

static int trims_as_small_blocks_grow(void)
{
    int before = fake.trims;
    pym_systrim_make_up();
    return fake.trims - before;
}

static int trims_at(double megabytes)
{
    int before = fake.trims;
    pym_systrim_lent((int64_t)(megabytes * (double)MB));
    CHECK_EQ(fake.trims, before, "before anybody wants memory");
    return trims_as_small_blocks_grow();
}

static void half_of_the_blocks_make_up_for_growth(void)
{
    begin();
    CHECK_EQ(trims_at(20), 0, "as they grow");
    CHECK_EQ(trims_at(11), 0, "by less than half");
    CHECK_EQ(trims_at(10), 1, "by half");
    CHECK_EQ(trims_as_small_blocks_grow(), 0, "again");
    CHECK_EQ(trims_at(6), 0, "by less than half of that");
    CHECK_EQ(trims_at(5), 1, "by half of that");
    CHECK_EQ(trims_at(1.5), 1, "by far more");
    CHECK_EQ(trims_at(0), 0, "by little");
}

/* By far more than half. */
static void fall(void)
{
    pym_systrim_lent(40 * (int64_t)MB);
    pym_systrim_lent(2 * (int64_t)MB);
}

/* A second after what went back last. */
static void begin_later(void)
{
    begin();
    sleep_ms(1100);
}

static void half_of_the_blocks_goes_back_in_the_end(void)
{
    begin_later();
    fall();
    CHECK_EQ(trims_after_looks(1), 1, "at the next look");
    CHECK_EQ(trims_after_looks(5), 0, "again");
}

static void what_is_wanted_again_stays(void)
{
    begin();
    fall();
    pym_systrim_lent(30 * (int64_t)MB);
    CHECK_EQ(trims_as_small_blocks_grow() + trims_after_looks(5), 0, "trims");
}

static void up_and_down_goes_back_once_a_second(void)
{
    begin_later();
    CHECK_EQ(trims_at(40) + trims_at(2), 1, "the first time");
    CHECK_EQ(trims_at(40) + trims_at(2) + trims_at(1), 0, "right after that");
    sleep_ms(1100);
    CHECK_EQ(trims_at(1), 1, "a second later");
}

static void pools_make_up_for_what_is_free(void)
{
    begin_later();
    fall();
    static struct pym_heap heap;
    CHECK(pym_arena_take(&heap, false) != NULL, "no pool");
    CHECK_EQ(fake.trims, 1, "trims");
}

/* Locks that are held in the parent stay so. */
static int trims_in_an_unknown_copy(void *arg)
{
    (void)arg;
    begin_later();
    fall();
    pym_sysalloc_after_fork(false);
    return trims_as_small_blocks_grow() + trims_after_looks(5);
}

/* In a child by fork, the first lock comes before the handler. */
static int trims_in_a_known_copy(void *arg)
{
    int unknown = trims_in_an_unknown_copy(arg);
    pym_sysalloc_after_fork(true);
    pym_systrim_freed(2 * MB, true);
    CHECK_EQ(fake.map_threshold, 2 * MB, "what is tuned");
    return unknown != 0 || trims_as_small_blocks_grow() != 1 || tap_failures != 0;
}

static void an_unknown_copy_keeps_all(void)
{
    CHECK_EQ(in_child(trims_in_an_unknown_copy, NULL, 20), 0, "trims");
    CHECK_EQ(in_child(trims_in_a_known_copy, NULL, 20), 0, "in a child that is known");
}

static void the_user_knows_better(void)
{
    static const char *const names[][2] = {
        {"MALLOC_TRIM_THRESHOLD_", "1"},
        {"MALLOC_TOP_PAD_", "1"},
        {"GLIBC_TUNABLES", "glibc.malloc.trim_threshold=1"}};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        setenv(names[i][0], names[i][1], 1);
        begin();
        pym_options_parse("decay:0"); /* as before the start */
        pym_systrim_init();
        pym_options_parse("decay:250");
        pym_syscache_probe();
        pym_systrim_freed(2 * MB, true);
        CHECK_EQ(fake.map_threshold, 0, "%s", names[i][0]);
        CHECK_EQ(trims_after_looks(5), 0, "%s", names[i][0]);
        unsetenv(names[i][0]);
    }
    pym_syscache_probe();
    pym_systrim_freed(2 * MB, true);
    if (pym_syscache_usable) { /* not on a sanitizer's allocator */
        CHECK_EQ(fake.map_threshold, 2 * MB, "nothing is set");
    }
    pym_options_parse("decay:0");
    begin();
    pym_systrim_freed(2 * MB, true);
    CHECK_EQ(fake.map_threshold, 0, "with decay:0");
    pym_options_parse("decay:250");
}

static void errno_is_left_alone(void)
{
    begin();
    errno = ERANGE;
    pym_systrim_freed(2 * MB, true);
    CHECK_EQ(trims_after_looks(2), 1, "trims");
    CHECK_EQ(errno, ERANGE, "errno");
}

/* As jemalloc is told it. */
static struct {
    long decay_ms[2];
    int calls;
} told;

static int fake_control(const char *name, void *old, size_t *old_size, void *value,
                        size_t size)
{
    static const char *const names[] = {"arenas.dirty_decay_ms",
                                        "arena.0.dirty_decay_ms"};
    CHECK(old == NULL && old_size == NULL && size == sizeof(long), "how it is told");
    for (int i = 0; i < 2; i++) {
        if (strcmp(name, names[i]) == 0) {
            memcpy(&told.decay_ms[i], value, sizeof(long));
        }
    }
    told.calls++;
    return told.calls == 1 ? ENOENT : 0; /* an older one may lack a name */
}

static void jemalloc_is_told_the_decay(void)
{
    pym_sysalloc.control = NULL;
    pym_systrim_share_decay();
    pym_sysalloc.control = fake_control;
    pym_options_parse("decay:400");
    pym_systrim_share_decay();
    CHECK_EQ(told.calls, 2, "calls");
    CHECK_EQ(told.decay_ms[0], 400, "ms for arenas to come");
    CHECK_EQ(told.decay_ms[1], 400, "ms for the first arena");
    setenv("MALLOC_CONF", "narenas:2,dirty_decay_ms:5000", 1);
    pym_systrim_share_decay();
    CHECK_EQ(told.calls, 2, "calls where the user has set it");
    unsetenv("MALLOC_CONF");
    pym_options_parse("decay:0");
    pym_systrim_share_decay();
    CHECK_EQ(told.calls, 2, "calls without a decay");
    pym_options_parse("decay:250");
}

/* The last case: there is no way back. */
static void mallopt_ends_it(void)
{
    begin();
    pym_systrim_freed(5 * MB, true);
    pym_systrim_user_tunes(M_ARENA_MAX);
    pym_systrim_freed(6 * MB, true);
    CHECK_EQ(fake.map_threshold, 6 * MB, "a parameter that is not touched here");
    CHECK_EQ(fake.trim_threshold, 48 * MB, "a parameter that is not touched here");
    pym_systrim_user_tunes(M_TOP_PAD);
    CHECK_EQ(fake.trim_threshold, 12 * MB, "what glibc itself would let stay");
    pym_systrim_freed(7 * MB, true);
    CHECK_EQ(fake.map_threshold, 6 * MB, "after that");
    CHECK_EQ(trims_after_looks(5) + trims_at(40) + trims_at(2), 0, "after that");
    begin(); /* it was called before the library's start */
    pym_systrim_freed(7 * MB, true);
    CHECK_EQ(fake.map_threshold, 0, "before the start");
}

static const struct tap_case cases[] = {
    {"the largest mapped block counts", the_largest_mapped_block_counts},
    {"what is idle goes back once", what_is_idle_goes_back_once},
    {"half of the blocks make up for growth", half_of_the_blocks_make_up_for_growth},
    {"half of the blocks goes back in the end",
     half_of_the_blocks_goes_back_in_the_end},
    {"what is wanted again stays", what_is_wanted_again_stays},
    {"pools make up for what is free", pools_make_up_for_what_is_free},
    {"an unknown copy keeps all", an_unknown_copy_keeps_all},
    {"what goes up and down goes back once a second",
     up_and_down_goes_back_once_a_second},
    {"the user knows better", the_user_knows_better},
    {"errno is left alone", errno_is_left_alone},
    {"jemalloc is told the decay", jemalloc_is_told_the_decay},
    {"mallopt ends it", mallopt_ends_it},
};

int main(int argc, char **argv)
{
    pym_sysalloc_init();
    return TAP_RUN(cases, argc, argv);
}
