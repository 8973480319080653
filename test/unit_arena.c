/* region.h, arena.h: addresses, arenas, pools.  Every case runs in a child, so
 * that each begins with an untouched range. */
#include "arena.h"
#include "options.h"
#include "os.h"
#include "pagecost.h"
#include "support.h"

#include <errno.h>

enum { SECONDS = 60, MANY = 2000, LARGE = 6000 };

/* Whether the kernel refuses memory in advance, and how often it has. */
static bool refuses_memory;
static unsigned refused;

/* What a unit costs in huge pages, for one that costs MICROSECOND in small ones; and
 * how many there were. */
enum { MICROSECOND = 1000 };
static uint64_t clock_ns, huge_ns;
static unsigned huge_units, small_units;

uint64_t __wrap_pym_os_clock_ns(void);
uint64_t __wrap_pym_os_clock_ns(void)
{
    return clock_ns;
}

int __real_pym_os_populate(void *start, size_t size);
int __wrap_pym_os_populate(void *start, size_t size);
int __wrap_pym_os_populate(void *start, size_t size)
{
    refused += refuses_memory;
    small_units += size == PYM_PAGECOST_UNIT;
    clock_ns += MICROSECOND;
    return refuses_memory ? ENOMEM : __real_pym_os_populate(start, size);
}

int __real_pym_os_populate_huge(void *start, size_t size);
int __wrap_pym_os_populate_huge(void *start, size_t size);
int __wrap_pym_os_populate_huge(void *start, size_t size)
{
    refused += refuses_memory;
    CHECK((uintptr_t)start % PYM_PAGECOST_UNIT == 0 && size == PYM_PAGECOST_UNIT,
          "no whole huge page: %zu bytes at %p", size, start);
    huge_units++;
    clock_ns += huge_ns;
    return refuses_memory ? ENOMEM : __real_pym_os_populate_huge(start, size);
}

/* Whether the kernel refuses to take memory back, and how often it was asked to. */
static bool keeps_memory;
static unsigned asked_to_purge;

int __real_pym_os_purge(void *start, size_t size);
int __wrap_pym_os_purge(void *start, size_t size);
int __wrap_pym_os_purge(void *start, size_t size)
{
    asked_to_purge++;
    return keeps_memory ? EINVAL : __real_pym_os_purge(start, size);
}

/* Heaps by address only: this layer never looks into one. */
static struct pym_heap *heap_number(size_t n)
{
    return (struct pym_heap *)(0x10000 + n * 64);
}

static unsigned reports;

static void count_report(const char *what, const void *where)
{
    (void)where;
    tap_note("reported: %s", what);
    reports++;
}

static void is_sound(const char *when)
{
    reports = 0;
    CHECK_EQ(pym_arena_verify(count_report), 0, "%s", when);
    CHECK_EQ(reports, 0, "%s", when);
}

static struct pym_arena_totals totals(void)
{
    struct pym_arena_totals t;
    pym_arena_totals(&t);
    return t;
}

static struct pym_pool *pools[LARGE];

static void take(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        pools[i] = pym_arena_take(heap_number(i % 5), false);
        if (!CHECK(pools[i], "pool %zu of %zu", i, count)) {
            _exit(1);
        }
        CHECK(pools[i]->owner == heap_number(i % 5), "pool %zu has another owner", i);
    }
}

static void give(size_t from, size_t to, size_t step)
{
    for (size_t i = from; i < to; i += step) {
        pym_arena_give(pools[i]);
        pools[i] = NULL;
    }
}

/* ---------------------------------------------------------------- region */

static void nothing_is_ours_at_first(void)
{
    int local;
    CHECK_EQ(pym_region_limit(), 0, "the limit before the first arena");
    CHECK(!pym_region_owns(&local) && !pym_region_owns(NULL), "something is ours");
}

/* The limit may be seen before the base. */
static void nothing_is_ours_whatever_the_limit(void)
{
    static const uintptr_t addresses[] = {
        0, 1, 0x400000, 0x1500000, (uintptr_t)1 << 32, ((uintptr_t)1 << 56) - 1};
    for (size_t i = 0; i < COUNT_OF(addresses); i++) {
        CHECK(pym_region_offset((void *)addresses[i]) >= (size_t)1 << 62,
              "address %#jx would be ours", (uintmax_t)addresses[i]);
    }
}

static void addresses_lead_to_records_and_back(void)
{
    take(100);
    for (size_t i = 0; i < 100; i++) {
        char *start = pym_region_pool_start(pools[i]);
        CHECK_EQ((uintptr_t)start % PYM_POOL_SIZE, 0, "pool %zu is aligned", i);
        for (size_t at = 0; at < PYM_POOL_SIZE; at += at < 64 ? 1 : 1021) {
            CHECK(pym_region_owns(start + at), "byte %zu of pool %zu", at, i);
            CHECK(pym_region_pool_of(start + at) == pools[i], "byte %zu of pool %zu",
                  at, i);
        }
        memset(start, (int)i, PYM_POOL_SIZE);
    }
    for (size_t i = 0; i < 100; i++) {
        const unsigned char *start = (unsigned char *)pym_region_pool_start(pools[i]);
        CHECK(start[0] == i && start[PYM_POOL_SIZE - 1] == i, "pools %zu overlap", i);
    }
    CHECK(!pym_region_owns((char *)pym_region_base - 1), "the byte before the range");
    CHECK(!pym_region_owns((char *)pym_region_base + pym_region_limit()),
          "the byte after the last arena");
}

static void arenas_are_aligned(void)
{
    take(1);
    CHECK_EQ(pym_region_base % PYM_ARENA_SIZE, 0, "the base");
    CHECK_EQ(pym_region_limit() % PYM_ARENA_SIZE, 0, "the limit");
}

static void a_range_of_a_given_size(void)
{
    pym_options_parse("reserve:16m");
    take(1);
    CHECK_EQ(totals().reserved, 16 << 20, "16 MiB");
    size_t n = 1;
    while (pym_arena_take(heap_number(1), false)) {
        n++;
    }
    CHECK(n * PYM_POOL_SIZE > (size_t)14 << 20, "only %zu pools of 16 MiB", n);
    CHECK(n * PYM_POOL_SIZE < (size_t)16 << 20, "%zu pools are too many for 16 MiB", n);
    is_sound("when the range is used up");
    pym_arena_give(pools[0]);
    CHECK(pym_arena_take(heap_number(2), false) == pools[0],
          "the pool that was given back");
}

static void no_range_at_all(void)
{
    pym_options_parse("reserve:0");
    errno = 77;
    CHECK(pym_arena_take(heap_number(1), false) == NULL, "a pool without a range");
    CHECK(pym_arena_take(heap_number(1), false) == NULL,
          "a pool without a range, again");
    CHECK_EQ(errno, 77, "errno was changed");
    CHECK_EQ(pym_arena_purge_all(), 0, "nothing to purge");
    pym_arena_decay(pym_os_now_ms());
    CHECK_EQ(totals().reserved, 0, "reserved");
    is_sound("without a range");
}

/* ---------------------------------------------------------------- arenas */

static void pools_are_taken_and_given(void)
{
    take(MANY);
    CHECK_EQ(totals().pools, MANY, "pools");
    CHECK_EQ(totals().pools_peak, MANY, "the peak");
    CHECK_EQ(totals().used, (MANY + PYM_ARENA_POOLS - 1) / PYM_ARENA_POOLS, "arenas");
    CHECK_EQ(totals().dirty, 0, "nothing is free");
    is_sound("all taken");
    for (size_t i = 0; i < MANY; i++) {
        for (size_t k = i + 1; k < MANY && k < i + 40; k++) {
            CHECK(pools[i] != pools[k], "pools %zu and %zu are one", i, k);
        }
    }
    give(0, MANY, 3);
    is_sound("a third given");
    give(1, MANY, 3);
    is_sound("two thirds given");
    give(2, MANY, 3);
    is_sound("all given");
    CHECK_EQ(totals().pools, 0, "pools");
    CHECK_EQ(totals().used, 0, "arenas in use");
    CHECK_EQ(totals().pools_peak, MANY, "the peak stays");
    CHECK_EQ(totals().dirty, MANY, "all are dirty");
}

/* The others drain and can go back to the system. */
static void the_fullest_arena_serves(void)
{
    take(10 * PYM_ARENA_POOLS);
    uintptr_t fuller = (uintptr_t)pym_region_pool_start(pools[5 * PYM_ARENA_POOLS]);
    /* One pool free in the sixth arena, most in all others. */
    pym_arena_give(pools[5 * PYM_ARENA_POOLS + 3]);
    for (size_t a = 0; a < 10; a++) {
        if (a != 5) {
            give(a * PYM_ARENA_POOLS + 2, (a + 1) * PYM_ARENA_POOLS, 1);
        }
    }
    struct pym_pool *pool = pym_arena_take(heap_number(1), false);
    CHECK_EQ((uintptr_t)pym_region_pool_start(pool) / PYM_ARENA_SIZE,
             fuller / PYM_ARENA_SIZE, "the arena with the fewest free pools");
    is_sound("after that");
}

static void memory_goes_back_at_once(void)
{
    take(640);
    for (size_t i = 0; i < 640; i++) {
        memset(pym_region_pool_start(pools[i]), 0xff, PYM_POOL_SIZE);
    }
    long full = rss_kb();
    struct pym_pool *kept = pools[77];
    give(0, 77, 1);
    give(78, 640, 1);
    CHECK(pym_arena_has_dirty(), "nothing is dirty");
    CHECK_EQ(pym_arena_purge_all(), 639 * PYM_POOL_SIZE, "bytes that went back");
    CHECK(!pym_arena_has_dirty(), "something is still dirty");
    CHECK_EQ(totals().purged_bytes, 639 * PYM_POOL_SIZE, "as counted");
    CHECK(full - rss_kb() > 639 * 16 * 9 / 10, "RSS fell by %ld KiB", full - rss_kb());
    CHECK_EQ((unsigned char)*pym_region_pool_start(kept), 0xff, "a pool in use");
    is_sound("after the purge");
    CHECK_EQ(pym_arena_purge_all(), 0, "a second purge");
    take(1);
    CHECK(all_zero(pym_region_pool_start(pools[0]), PYM_POOL_SIZE),
          "purged is not zero");
}

/* Until nothing waits any more, or for a hundred turns. */
static void decay_with_pauses(int ms)
{
    for (int i = 0; i < 100 && pym_arena_has_dirty(); i++) {
        pym_arena_decay(pym_os_now_ms());
        sleep_ms(ms);
    }
}

static void memory_decays(void)
{
    pym_options_parse("decay:500");
    take(320);
    give(0, 320, 1);
    pym_arena_decay(pym_os_now_ms());
    CHECK_EQ(totals().purged_bytes, 0, "it went back at once");
    sleep_ms(550);
    decay_with_pauses(5);
    CHECK_EQ(totals().purged_bytes, 320 * PYM_POOL_SIZE, "what went back");
    is_sound("after the decay");
}

/* Pools given just now stay.  Where this thread had to wait for a processor meanwhile,
 * "just now" is over, and that says nothing: true if it was in time. */
static bool just_given_pools_stay(void)
{
    uint64_t start = pym_os_now_ms();
    size_t before = totals().purged_bytes;
    take(1);
    give(0, 1, 1);
    pym_arena_make_up_for(PYM_ARENA_SIZE);
    size_t after = totals().purged_bytes;
    bool in_time = pym_os_now_ms() - start < 10;
    CHECK(!in_time || after == before, "what was given just now went back");
    return in_time;
}

/* The process grows elsewhere: what waits goes back, as much as it grew by. */
static void free_memory_makes_up_for_growth(void)
{
    pym_options_parse("decay:60000");
    int tries = 0;
    while (!just_given_pools_stay() && tries < 1000) {
        tries++;
    }
    CHECK(tries < 1000, "never in time");
    pym_arena_purge_all();
    size_t before = totals().purged_bytes;
    take(640);
    give(0, 640, 1);
    sleep_ms(50);
    pym_arena_make_up_for(3 * PYM_ARENA_SIZE);
    CHECK_EQ(totals().purged_bytes - before, 3 * PYM_ARENA_SIZE, "of what had waited");
    pym_arena_make_up_for(1);
    CHECK_EQ(totals().purged_bytes - before, 4 * PYM_ARENA_SIZE, "no part of an arena");
    pym_arena_make_up_for(SIZE_MAX);
    CHECK_EQ(totals().purged_bytes - before, 40 * PYM_ARENA_SIZE, "all that there is");
    pym_arena_make_up_for(SIZE_MAX);
    is_sound("after the growth");
}

static bool is_resident(const struct pym_pool *pool)
{
    return pym_os_is_resident(pym_region_pool_start(pool)) == 1;
}

static void a_pool_to_be_filled_has_memory(void)
{
    struct pym_pool *pool = pym_arena_take(heap_number(1), true);
    CHECK(is_resident(pool), "no memory behind the pool");
    CHECK(!is_resident(pool + 1), "memory behind the next");
    pool = pym_arena_take(heap_number(1), false);
    CHECK(!is_resident(pool), "memory behind a pool that may not be filled");
    refuses_memory = true;
    pool = pym_arena_take(heap_number(1), true);
    CHECK(refused > 0 && pool != NULL, "no pool because memory was refused");
    is_sound("with the three");
}

/* It grows by a part of itself, with memory, which goes back if nobody wants it. */
static void large_heaps_grow_ahead(void)
{
    enum { SMALL = 60 * PYM_ARENA_POOLS };
    take(SMALL);
    CHECK(!is_resident(pools[SMALL - 1]), "a small heap has memory that is not used");
    CHECK_EQ(totals().made, totals().used, "arenas");
    pym_options_parse("decay:60000");
    take(LARGE);
    if (PYM_HARDENED) { /* arenas do not lie side by side */
        CHECK_EQ(totals().made, totals().used, "arenas");
        return;
    }
    struct pym_arena_totals now = totals();
    CHECK(now.made - now.used <= now.used / 32, "%zu arenas of %zu",
          now.made - now.used, now.used);
    CHECK_EQ(now.dirty, now.made * PYM_ARENA_POOLS - now.pools,
             "free pools with memory");
    CHECK(is_resident(pools[LARGE - 1]), "no memory behind the last pool");
    is_sound("when it has grown");
    pym_arena_purge_all();
    CHECK_EQ(totals().dirty, 0, "free pools with memory");
    CHECK(is_resident(pools[LARGE - 1]), "a pool in use");
    is_sound("after the purge");
}

/* In the pages that cost less, after one unit of each. */
static void large_heaps_grow_by_cheap_pages(uint64_t ns, unsigned *chosen,
                                            const unsigned *other)
{
    pym_options_parse("decay:60000");
    huge_ns = ns;
    take(LARGE);
    if (!PYM_HARDENED) {
        CHECK(*chosen >= 8, "%u units", *chosen);
        CHECK_EQ(*other, 1, "units of the dear kind");
    }
}

static void large_heaps_grow_by_huge_pages(void)
{
    large_heaps_grow_by_cheap_pages(MICROSECOND / 2, &huge_units, &small_units);
}

static void large_heaps_grow_by_small_pages(void)
{
    large_heaps_grow_by_cheap_pages(MICROSECOND * 9, &small_units, &huge_units);
}

static void large_heaps_grow_as_told(void)
{
    pym_options_parse("decay:60000,huge:0");
    take(LARGE);
    CHECK_EQ(huge_units, 0, "units of huge pages");
}

/* An old kernel knows no such call, and a full machine has no memory. */
static void large_heaps_grow_without_memory_ahead(void)
{
    pym_options_parse("decay:60000");
    refuses_memory = true;
    take(LARGE);
    if (!PYM_HARDENED) {
        CHECK(refused > 0, "memory was not asked for");
    }
    struct pym_arena_totals now = totals();
    CHECK_EQ(now.dirty, 0, "free pools with memory");
    for (int i = 0; i < LARGE; i += 100) {
        memset(pym_region_pool_start(pools[i]), 1, PYM_POOL_SIZE);
    }
    is_sound("when it has grown");
}

/* As it does with locked memory: asking for each arena, at each turn, would be all that
 * the program does. */
static void refusals_are_not_asked_for_at_once(void)
{
    pym_options_parse("decay:500");
    take(320);
    give(0, 320, 1);
    keeps_memory = true;
    sleep_ms(550);
    for (int i = 0; i < 20; i++) {
        pym_arena_make_up_for(PYM_ARENA_SIZE);
    }
    CHECK(asked_to_purge > 0 && asked_to_purge <= 20, "%u calls in 20 turns",
          asked_to_purge);
    CHECK_EQ(totals().dirty, 320, "dirty pools");
    keeps_memory = false;
    sleep_ms(550);
    decay_with_pauses(15);
    CHECK_EQ(totals().purged_bytes, 320 * PYM_POOL_SIZE, "what went back in the end");
    is_sound("after refusals");
}

/* Memory that is wanted again before its time is up does not go back. */
static void busy_arenas_do_not_decay(void)
{
    pym_options_parse("decay:60000");
    take(160);
    give(0, 160, 1);
    for (int i = 0; i < 20; i++) {
        pym_arena_decay(pym_os_now_ms());
        sleep_ms(5);
    }
    CHECK_EQ(totals().purged_bytes, 0, "it went back too early");
    CHECK_EQ(totals().dirty, 160, "dirty pools");
}

static void damage_is_found(void)
{
    take(50);
    struct pym_heap *owner = pools[20]->owner;
    pools[20]->owner = PYM_NOBODY;
    CHECK(pym_arena_verify(count_report) > 0, "a taken pool without an owner");
    pools[20]->owner = owner;
    is_sound("whole again");
    struct pym_arena *arena = &pym_region.arenas[pym_region.first_arena];
    arena->free ^= 4;
    CHECK(pym_arena_verify(count_report) > 0, "a pool both free and taken");
    arena->free ^= 4;
    is_sound("whole again");
    arena->prev = 99;
    CHECK(pym_arena_verify(count_report) > 0, "a broken list");
}

/* In a forked child everything is derived from the pool records. */
static int after_fork(void *arg)
{
    (void)arg;
    size_t before = totals().pools;
    pym_arena_after_fork();
    is_sound("in the child");
    CHECK_EQ(totals().pools, before, "pools in the child");
    take(10);
    is_sound("after taking in the child");
    return tap_failures != 0;
}

static void children_start_whole(void)
{
    take(300);
    give(0, 300, 2);
    CHECK_EQ(in_child(after_fork, NULL, SECONDS), 0, "the child");
}

/* --------------------------------------------------------------- running */

IN_CHILD(nothing_is_ours_at_first, SECONDS)
IN_CHILD(nothing_is_ours_whatever_the_limit, SECONDS)
IN_CHILD(addresses_lead_to_records_and_back, SECONDS)
IN_CHILD(arenas_are_aligned, SECONDS)
IN_CHILD(a_range_of_a_given_size, SECONDS)
IN_CHILD(no_range_at_all, SECONDS)
IN_CHILD(pools_are_taken_and_given, SECONDS)
IN_CHILD(the_fullest_arena_serves, SECONDS)
IN_CHILD(memory_goes_back_at_once, SECONDS)
IN_CHILD(memory_decays, SECONDS)
IN_CHILD(free_memory_makes_up_for_growth, SECONDS)
IN_CHILD(a_pool_to_be_filled_has_memory, SECONDS)
IN_CHILD(large_heaps_grow_ahead, SECONDS)
IN_CHILD(large_heaps_grow_by_huge_pages, SECONDS)
IN_CHILD(large_heaps_grow_by_small_pages, SECONDS)
IN_CHILD(large_heaps_grow_as_told, SECONDS)
IN_CHILD(large_heaps_grow_without_memory_ahead, SECONDS)
IN_CHILD(refusals_are_not_asked_for_at_once, SECONDS)
IN_CHILD(busy_arenas_do_not_decay, SECONDS)
IN_CHILD(damage_is_found, SECONDS)
IN_CHILD(children_start_whole, SECONDS)

static const struct tap_case cases[] = {
    {"nothing is ours at first", child_nothing_is_ours_at_first},
    {"nothing is ours whatever the limit", child_nothing_is_ours_whatever_the_limit},
    {"addresses lead to records and back", child_addresses_lead_to_records_and_back},
    {"arenas are aligned", child_arenas_are_aligned},
    {"a range of a given size", child_a_range_of_a_given_size},
    {"no range at all", child_no_range_at_all},
    {"pools are taken and given", child_pools_are_taken_and_given},
    {"the fullest arena serves", child_the_fullest_arena_serves},
    {"memory goes back at once", child_memory_goes_back_at_once},
    {"memory decays", child_memory_decays},
    {"free memory makes up for growth", child_free_memory_makes_up_for_growth},
    {"a pool to be filled has memory", child_a_pool_to_be_filled_has_memory},
    {"large heaps grow ahead", child_large_heaps_grow_ahead},
    {"large heaps grow by huge pages", child_large_heaps_grow_by_huge_pages},
    {"large heaps grow by small pages", child_large_heaps_grow_by_small_pages},
    {"large heaps grow as told", child_large_heaps_grow_as_told},
    {"large heaps grow without memory ahead",
     child_large_heaps_grow_without_memory_ahead},
    {"refusals are not asked for at once", child_refusals_are_not_asked_for_at_once},
    {"busy arenas do not decay", child_busy_arenas_do_not_decay},
    {"damage is found", child_damage_is_found},
    {"children start whole", child_children_start_whole},
};

int main(int argc, char **argv)
{
    return TAP_RUN(cases, argc, argv);
}
