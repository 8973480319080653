/* pymalloc.h: what a program can ask of the allocator, and tell it. */
#include "support.h"

#include <malloc.h>
#include <pthread.h>

static struct pymalloc_totals stats(void)
{
    struct pymalloc_totals s;
    memset(&s, 0xee, sizeof s);
    if (pymalloc_stats(&s) != 0) {
        tap_bail_out("pymalloc_stats failed");
    }
    return s;
}

static void version_is_the_headers(void)
{
    char wanted[32];
    snprintf(wanted, sizeof wanted, "%d.%d.%d", PYMALLOC_VERSION_MAJOR,
             PYMALLOC_VERSION_MINOR, PYMALLOC_VERSION_PATCH);
    CHECK_STR(pymalloc_version(), wanted, "the library and the header");
    CHECK(pymalloc_version() == pymalloc_version(), "it is one constant string");
}

static void stats_wants_a_place(void)
{
    errno = 77;
    CHECK_EQ(pymalloc_stats(NULL), EINVAL, "of NULL");
    CHECK_EQ(errno, 77, "errno is not used");
}

/* ------------------------------------------------------------- counting */

enum { BLOCKS = 5000 };

static void *blocks[BLOCKS];

/* A thread's first blocks of a class are those of a coarser one. */
static void make_class_common(size_t size)
{
    for (int i = 0; i < 64; i++) {
        blocks[i] = malloc(size);
    }
    for (int i = 0; i < 64; i++) {
        free(blocks[i]);
    }
}

static void small_blocks_are_counted_exactly(void)
{
    use_all_classes();
    for (size_t n = 1; n <= SMALL_MAX; n += 37) {
        size_t cls = (n - 1) / 16;
        make_class_common(n);
        struct pymalloc_totals a = stats();
        for (int i = 0; i < BLOCKS; i++) {
            blocks[i] = malloc(n);
        }
        struct pymalloc_totals b = stats();
        CHECK_EQ(b.small_allocs - a.small_allocs, BLOCKS, "malloc of %zu", n);
        CHECK_EQ(b.small_frees - a.small_frees, 0, "malloc of %zu", n);
        CHECK_EQ(b.small_live - a.small_live, BLOCKS, "malloc of %zu", n);
        CHECK_EQ(b.small_live_bytes - a.small_live_bytes, BLOCKS * (cls + 1) * 16,
                 "malloc of %zu", n);
        CHECK_EQ(b.class_live[cls] - a.class_live[cls], BLOCKS, "malloc of %zu", n);
        for (int i = 0; i < BLOCKS; i += 2) {
            free(blocks[i]);
        }
        b = stats();
        CHECK_EQ(b.small_live - a.small_live, BLOCKS / 2, "half of %zu freed", n);
        CHECK_EQ(b.small_frees - a.small_frees, BLOCKS / 2, "half of %zu freed", n);
        for (int i = 1; i < BLOCKS; i += 2) {
            free(blocks[i]);
        }
        b = stats();
        CHECK_EQ(b.small_live, a.small_live, "all of %zu freed", n);
        CHECK_EQ(b.small_live_bytes, a.small_live_bytes, "all of %zu freed", n);
        CHECK_EQ(b.class_live[cls], a.class_live[cls], "all of %zu freed", n);
    }
}

/* Whatever way a small block comes and goes. */
static void every_entry_point_counts(void)
{
    struct pymalloc_totals a = stats();
    void *p[6] = {opaque(malloc(0)),         opaque(calloc(3, 30)),
                  opaque(realloc(NULL, 40)), opaque(aligned_alloc(64, 64)),
                  opaque(memalign(32, 100)), NULL};
    CHECK_EQ(posix_memalign(&p[5], 128, 100), 0, "posix_memalign");
    struct pymalloc_totals b = stats();
    CHECK_EQ(b.small_allocs - a.small_allocs, 6, "six ways to allocate");
    p[0] = realloc(p[0], 500); /* another class */
    p[1] = realloc(p[1], 5000);
    p[2] = reallocarray(p[2], 4, 100);
    for (int i = 0; i < 6; i++) {
        free(p[i]);
    }
    b = stats();
    CHECK_EQ(b.small_live, a.small_live, "all are freed");
    CHECK_EQ(b.small_allocs - b.small_frees, b.small_live, "allocations less frees");
    CHECK_EQ(b.large_allocs - a.large_allocs, 1, "one became large");
    CHECK_EQ(b.large_frees - a.large_frees, 1, "one large was freed");
}

static void totals_agree(void)
{
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc((size_t)i % (SMALL_MAX + 1));
    }
    struct pymalloc_totals s = stats();
    uint64_t live = 0, bytes = 0;
    for (size_t c = 0; c < PYMALLOC_CLASSES; c++) {
        live += s.class_live[c];
        bytes += s.class_live[c] * (c + 1) * 16;
    }
    CHECK_EQ(live, s.small_live, "the sum over classes");
    CHECK_EQ(bytes, s.small_live_bytes, "the sum over classes");
    CHECK_EQ(s.small_allocs - s.small_frees, s.small_live, "allocations less frees");
    CHECK(s.small_live_bytes <= s.small_held_bytes, "%ju bytes live in %ju held",
          (uintmax_t)s.small_live_bytes, (uintmax_t)s.small_held_bytes);
    CHECK(s.arenas >= 1 && s.arenas <= s.arenas_peak, "arenas %ju, peak %ju",
          (uintmax_t)s.arenas, (uintmax_t)s.arenas_peak);
    CHECK(s.pools >= 1 && s.pools <= s.pools_peak, "pools %ju, peak %ju",
          (uintmax_t)s.pools, (uintmax_t)s.pools_peak);
    CHECK(s.small_held_bytes <= s.arenas * 262144, "%ju bytes held in %ju arenas",
          (uintmax_t)s.small_held_bytes, (uintmax_t)s.arenas);
    CHECK(s.reserved_bytes >= s.arenas * 262144, "%ju bytes reserved",
          (uintmax_t)s.reserved_bytes);
    CHECK(s.heaps >= 1 && s.heaps_orphaned < s.heaps, "heaps %ju, orphans %ju",
          (uintmax_t)s.heaps, (uintmax_t)s.heaps_orphaned);
    for (int i = 0; i < BLOCKS; i++) {
        free(blocks[i]);
    }
}

static void resident_bytes_are_the_kernels(void)
{
    long kb = rss_kb(), told = (long)(stats().resident_bytes / 1024);
    CHECK(told > kb / 2 && told < kb * 2, "RSS is %ld KiB, stats say %ld", kb, told);
}

static void large_blocks_are_counted(void)
{
    struct pymalloc_totals a = stats();
    for (int i = 0; i < 100; i++) {
        blocks[i] = malloc(i % 2 ? 200000 : 600);
    }
    struct pymalloc_totals b = stats();
    CHECK_EQ(b.large_allocs - a.large_allocs, 100, "100 large blocks");
    CHECK_EQ(b.large_frees - a.large_frees, 0, "100 large blocks");
    CHECK_EQ(b.small_live, a.small_live, "no small block");
    for (int i = 0; i < 100; i++) {
        free(blocks[i]);
    }
    b = stats();
    CHECK_EQ(b.large_frees - a.large_frees, 100, "100 large blocks freed");
}

/* How many blocks the cache keeps is its own affair, but it begins to keep some
 * when a size comes and goes, and what it keeps is counted. */
static void cached_blocks_are_counted(void)
{
    enum { COUNT = 20, SIZE = 5000 };
    pymalloc_purge();
    CHECK_EQ(stats().large_cached, 0, "after a purge");
    CHECK_EQ(stats().large_cached_bytes, 0, "after a purge");
    for (int round = 0; round < 10; round++) {
        struct pymalloc_totals a = stats();
        for (int i = 0; i < COUNT; i++) {
            blocks[i] = malloc(SIZE);
        }
        struct pymalloc_totals b = stats();
        CHECK_EQ(b.large_cache_hits - a.large_cache_hits,
                 a.large_cached - b.large_cached, "what left the cache");
        CHECK(a.large_cached <= COUNT, "%ju blocks are cached",
              (uintmax_t)a.large_cached);
        CHECK_EQ(b.large_cached, 0, "the cache is used up first");
        CHECK(a.large_cached_bytes >= a.large_cached * SIZE &&
                  a.large_cached_bytes <= a.large_cached * SIZE * 5 / 4,
              "%ju blocks of %d bytes are %ju bytes", (uintmax_t)a.large_cached, SIZE,
              (uintmax_t)a.large_cached_bytes);
        for (int i = 0; i < COUNT; i++) {
            free(blocks[i]);
        }
    }
    CHECK(stats().large_cached > 0, "nothing is ever cached");
    pymalloc_purge();
    CHECK_EQ(stats().large_cached, 0, "after the last purge");
    CHECK_EQ(stats().large_cached_bytes, 0, "after the last purge");
}

static void *free_all_blocks(void *arg)
{
    (void)arg;
    for (int i = 0; i < BLOCKS; i++) {
        free(blocks[i]);
    }
    return NULL;
}

static void *do_nothing(void *arg)
{
    return arg;
}

/* A thread that has ended has handed everything over. */
static void remote_frees_are_counted(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, do_nothing, NULL); /* what glibc keeps for threads */
    pthread_join(thread, NULL);
    use_all_classes();
    struct pymalloc_totals a = stats();
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(48);
    }
    pthread_create(&thread, NULL, free_all_blocks, NULL);
    pthread_join(thread, NULL);
    struct pymalloc_totals b = stats();
    CHECK_EQ(b.remote_frees - a.remote_frees, BLOCKS, "all were freed elsewhere");
    CHECK_EQ(b.small_live, a.small_live, "all were freed");
    CHECK_EQ(b.class_live[2], a.class_live[2], "all were freed");
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
}

static pthread_key_t last_key;

/* Runs after the allocator has taken the thread's heap away. */
static void allocate_at_last(void *arg)
{
    static __thread int rounds;
    if (++rounds < 4) {
        pthread_setspecific(last_key, arg);
        return;
    }
    for (int i = 0; i < 100; i++) {
        blocks[i] = malloc(i % 2 ? 40 : 4000);
    }
    for (int i = 100; i < 150; i++) {
        free(blocks[i]);
    }
}

static void *ends_late(void *arg)
{
    free(opaque(malloc(16)));
    pthread_setspecific(last_key, &last_key);
    return arg;
}

/* Such blocks are blocks like any other. */
static void blocks_of_last_destructors_are_counted(void)
{
    pthread_t thread;
    pthread_key_create(&last_key, allocate_at_last);
    for (int i = 100; i < 150; i++) {
        blocks[i] = malloc(i % 2 ? 40 : 4000);
    }
    struct pymalloc_totals a = stats();
    pthread_create(&thread, NULL, ends_late, NULL);
    pthread_join(thread, NULL);
    struct pymalloc_totals b = stats();
    CHECK_EQ(b.small_live - a.small_live, 25, "50 small ones more, 25 less");
    CHECK_EQ(b.large_allocs - a.large_allocs, 50, "large ones more");
    CHECK_EQ(b.large_frees - a.large_frees, 25, "large ones less");
    for (int i = 0; i < 100; i++) {
        free(blocks[i]);
    }
}

/* A request that fails is no block. */
static void failed_requests_are_not_counted(void)
{
    struct pymalloc_totals a = stats();
    for (int i = 0; i < 10; i++) {
        CHECK(!malloc(opaque_size(PTRDIFF_MAX)), "half the address space was given");
        CHECK(!calloc(1, opaque_size(PTRDIFF_MAX)), "half the address space was given");
        CHECK(!aligned_alloc(64, opaque_size(PTRDIFF_MAX - 63)),
              "half the address space was given");
    }
    struct pymalloc_totals b = stats();
    CHECK_EQ(b.large_allocs, a.large_allocs, "large blocks");
    CHECK_EQ(b.small_allocs, a.small_allocs, "small blocks");
}

/* ----------------------------------------------------------------- purge */

static void purge_gives_everything_back(void)
{
    enum { MANY = 400000, SIZE = 112 };
    void **many = pages(MANY * sizeof *many);
    for (int i = 0; i < MANY; i++) {
        many[i] = malloc(SIZE);
        memset(many[i], 1, SIZE);
    }
    struct pymalloc_totals full = stats();
    for (int i = 0; i < MANY; i++) {
        free(many[i]);
    }
    size_t given = pymalloc_purge();
    struct pymalloc_totals after = stats();
    uint64_t purged = after.purged_bytes - full.purged_bytes;
    CHECK(purged >= (uint64_t)MANY * SIZE * 9 / 10, "only %ju bytes went back",
          (uintmax_t)purged);
    CHECK(given <= purged, "purge says %zu, the statistics %ju", given,
          (uintmax_t)purged);
    CHECK_EQ(after.dirty_bytes, 0, "nothing dirty is left");
    CHECK(after.pools < full.pools / 10, "%ju of %ju pools are still held",
          (uintmax_t)after.pools, (uintmax_t)full.pools);
    CHECK(after.resident_bytes + (uint64_t)MANY * SIZE * 9 / 10 < full.resident_bytes,
          "RSS was %ju, is %ju", (uintmax_t)full.resident_bytes,
          (uintmax_t)after.resident_bytes);
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
    munmap(many, MANY * sizeof *many);
}

static void purge_works_again_and_again(void)
{
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < BLOCKS; i++) {
            blocks[i] = malloc((size_t)(i * 7 + round) % 600);
            memset(blocks[i], round, (size_t)(i * 7 + round) % 600);
        }
        for (int i = 0; i < BLOCKS; i += 2) {
            free(blocks[i]);
        }
        pymalloc_purge();
        for (int i = 1; i < BLOCKS; i += 2) {
            size_t n = (size_t)(i * 7 + round) % 600;
            CHECK(n == 0 || ((unsigned char *)blocks[i])[n - 1] == round,
                  "a purge damaged a block of %zu", n);
            free(blocks[i]);
        }
    }
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
}

/* --------------------------------------------------------------- options */

static void options_can_be_read(void)
{
    static const char *const names[] = {"help",   "stats",    "cache",  "decay",
                                        "remote", "deepbind", "reserve"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char value[64] = "", again[64];
        CHECK_EQ(pymalloc_option_get(names[i], value, sizeof value), 0, "%s", names[i]);
        size_t length = strlen(value);
        CHECK(length > 0, "%s is empty", names[i]);
        memset(again, 'x', sizeof again);
        CHECK_EQ(pymalloc_option_get(names[i], again, length + 1), 0, "%s", names[i]);
        CHECK_STR(again, value, "%s into just enough room", names[i]);
        CHECK(again[length + 1] == 'x', "%s wrote past the room", names[i]);
        memset(again, 'x', sizeof again);
        CHECK_EQ(pymalloc_option_get(names[i], again, length), ERANGE, "%s", names[i]);
        CHECK(again[length] == 'x', "%s wrote past the room", names[i]);
        CHECK_EQ(pymalloc_option_get(names[i], NULL, 0), ERANGE, "%s", names[i]);
    }
    char value[8] = "before";
    CHECK_EQ(pymalloc_option_get("no_such", value, sizeof value), ENOENT, "no_such");
    CHECK_EQ(pymalloc_option_get("", value, sizeof value), ENOENT, "the empty name");
    CHECK_EQ(pymalloc_option_get("cach", value, sizeof value), ENOENT, "a prefix");
    CHECK_EQ(pymalloc_option_get("cachee", value, sizeof value), ENOENT, "too long");
    CHECK_STR(value, "before", "a failing call leaves its output alone");
}

static void options_can_be_set(void)
{
    static const char *const bad[] = {"",
                                      " ",
                                      "x",
                                      "-1",
                                      "+1",
                                      "1 ",
                                      "1x",
                                      "0x10",
                                      "1.5",
                                      "1kk",
                                      "99999999999999999999999",
                                      "18446744073709551616"};
    char before[64], value[64];
    pymalloc_option_get("cache", before, sizeof before);
    CHECK_EQ(pymalloc_option_set("cache", "65536"), 0, "a number");
    pymalloc_option_get("cache", value, sizeof value);
    CHECK_STR(value, "65536", "what was set");
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        CHECK_EQ(pymalloc_option_set("cache", bad[i]), EINVAL, "\"%s\"", bad[i]);
        pymalloc_option_get("cache", value, sizeof value);
        CHECK_STR(value, "65536", "after \"%s\" was refused", bad[i]);
    }
    CHECK_EQ(pymalloc_option_set("cache", "2m"), 0, "a suffix");
    pymalloc_option_get("cache", value, sizeof value);
    CHECK_STR(value, "2097152", "two mebibytes");
    CHECK_EQ(pymalloc_option_set("decay", "1k"), EINVAL, "a suffix on a time");
    CHECK_EQ(pymalloc_option_set("no_such", "1"), ENOENT, "no_such");
    CHECK_EQ(pymalloc_option_set("reserve", "0"), EPERM, "only at the start");
    CHECK_EQ(pymalloc_option_set("cache", before), 0, "back");
}

/* Once the option says so and what is there has been given up. */
static void the_cache_can_be_turned_off(void)
{
    char before[64];
    pymalloc_option_get("cache", before, sizeof before);
    for (int i = 0; i < 50; i++) {
        blocks[i] = malloc(3000);
    }
    CHECK_EQ(pymalloc_option_set("cache", "0"), 0, "off");
    pymalloc_purge();
    for (int i = 0; i < 50; i++) {
        free(blocks[i]);
    }
    CHECK_EQ(stats().large_cached, 0, "blocks freed while the cache is off");
    pymalloc_option_set("cache", before);
}

static void calls_leave_errno(void)
{
    char value[64];
    errno = 77;
    pymalloc_option_get("cache", value, sizeof value);
    pymalloc_option_get("no_such", value, sizeof value);
    pymalloc_option_set("no_such", "1");
    stats();
    pymalloc_purge();
    pymalloc_verify();
    pymalloc_good_size(17);
    pymalloc_owns(value);
    pymalloc_version();
    CHECK_EQ(errno, 77, "after all calls");
}

/* ------------------------------------------------------------------ owns */

static void owns_small_blocks_only(void)
{
    for (size_t n = 0; n < 3000; n += 7) {
        char *p = opaque(malloc(n));
        CHECK_EQ(pymalloc_owns(p) != 0, n <= SMALL_MAX, "a block of %zu", n);
        if (n > 0) {
            CHECK_EQ(pymalloc_owns(p + n - 1) != 0, n <= SMALL_MAX,
                     "the last byte of a block of %zu", n);
        }
        free(p);
    }
}

/* ------------------------------------------------------------------ walk */

/* The blocks that a walk has to see, in a table by address. */
struct census {
    struct {
        uintptr_t address;
        size_t size;
        int seen;
    } entry[16384];
    size_t visits;
    size_t strangers;
};

static struct census census;

static size_t census_slot(uintptr_t address)
{
    size_t i = (address >> 4) * 0x9e3779b97f4a7c15u >> 50;
    while (census.entry[i].address && census.entry[i].address != address) {
        i = (i + 1) % COUNT_OF(census.entry);
    }
    return i;
}

static void census_expect(void *p)
{
    size_t i = census_slot((uintptr_t)p);
    census.entry[i].address = (uintptr_t)p;
    census.entry[i].size = malloc_usable_size(p);
    census.entry[i].seen = 0;
}

static int census_visit(void *block, size_t size, void *arg)
{
    size_t i = census_slot((uintptr_t)block);
    CHECK(arg == &census, "the argument");
    census.visits++;
    if (census.entry[i].address == 0) {
        census.strangers++;
        return 0;
    }
    CHECK_EQ(size, census.entry[i].size, "the size of %p", block);
    CHECK_EQ(++census.entry[i].seen, 1, "visits of %p", block);
    return 0;
}

static void census_check(size_t expected, const char *when)
{
    size_t missed = 0;
    for (size_t i = 0; i < COUNT_OF(census.entry); i++) {
        missed += census.entry[i].address && !census.entry[i].seen;
    }
    CHECK_EQ(missed, 0, "%s: blocks that were not visited", when);
    CHECK_EQ(census.visits, census.strangers + expected, "%s: visits", when);
}

/* Blocks in all states that a pool can be in: full, half empty, nearly empty,
 * of all classes, and large ones that are not the walk's business. */
static void walk_sees_each_live_block_once(void)
{
    struct rng rng = {11};
    for (int round = 0; round < 4; round++) {
        memset(&census, 0, sizeof census);
        CHECK_EQ(pymalloc_walk(census_visit, &census), 0, "an empty table");
        size_t others = census.strangers, live = 0;
        for (int i = 0; i < BLOCKS; i++) {
            blocks[i] = malloc(rng_below(&rng, i % 9 ? SMALL_MAX + 1 : 3000));
        }
        for (int i = 0; i < BLOCKS; i++) {
            if (rng_below(&rng, 4) < (size_t)round) {
                free(blocks[i]);
                blocks[i] = NULL;
            } else if (pymalloc_owns(blocks[i])) {
                census_expect(blocks[i]);
                live++;
            }
        }
        census.visits = census.strangers = 0;
        CHECK_EQ(pymalloc_walk(census_visit, &census), 0, "the walk");
        census_check(live, "after frees");
        CHECK_EQ(census.strangers, others, "visits of blocks that are not live");
        for (int i = 0; i < BLOCKS; i++) {
            free(blocks[i]);
        }
    }
}

static void *allocate_blocks(void *arg)
{
    (void)arg;
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc((size_t)i % SMALL_MAX);
    }
    return NULL;
}

/* What an ended thread left behind is part of the heap; so are blocks that
 * were freed by a thread other than the one that allocated them. */
static void walk_sees_blocks_of_ended_threads(void)
{
    pthread_t thread;
    memset(&census, 0, sizeof census);
    pthread_create(&thread, NULL, allocate_blocks, NULL);
    pthread_join(thread, NULL);
    size_t live = 0;
    for (int i = 0; i < BLOCKS; i++) {
        if (i % 3 == 0) {
            free(blocks[i]);
        } else {
            census_expect(blocks[i]);
            live++;
        }
    }
    CHECK_EQ(pymalloc_walk(census_visit, &census), 0, "the walk");
    census_check(live, "blocks of an ended thread");
    for (int i = 0; i < BLOCKS; i++) {
        if (i % 3) {
            free(blocks[i]);
        }
    }
}

static int stop_at_third(void *block, size_t size, void *arg)
{
    int *calls = arg;
    (void)block;
    (void)size;
    return ++*calls == 3 ? 42 : 0;
}

static void walk_ends_when_told(void)
{
    for (int i = 0; i < 10; i++) {
        blocks[i] = malloc(64);
    }
    int calls = 0;
    CHECK_EQ(pymalloc_walk(stop_at_third, &calls), 42, "the visitor's result");
    CHECK_EQ(calls, 3, "calls");
    for (int i = 0; i < 10; i++) {
        free(blocks[i]);
    }
}

static int allocate_and_free(void *block, size_t size, void *arg)
{
    (void)block;
    (void)arg;
    void *p = opaque(malloc(size)), *q = opaque(malloc(size * 100));
    pymalloc_verify();
    free(p);
    free(q);
    return 0;
}

static void visitors_may_allocate(void)
{
    for (int i = 0; i < 300; i++) {
        blocks[i] = malloc((size_t)i);
    }
    CHECK_EQ(pymalloc_walk(allocate_and_free, NULL), 0, "the walk");
    for (int i = 0; i < 300; i++) {
        free(blocks[i]);
    }
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
}

static const struct tap_case cases[] = {
    {"the version is the header's", version_is_the_headers},
    {"pymalloc_stats wants a place", stats_wants_a_place},
    {"small blocks are counted exactly", small_blocks_are_counted_exactly},
    {"every entry point counts", every_entry_point_counts},
    {"the totals agree with each other", totals_agree},
    {"resident bytes are the kernel's", resident_bytes_are_the_kernels},
    {"large blocks are counted", large_blocks_are_counted},
    {"cached blocks are counted", cached_blocks_are_counted},
    {"remote frees are counted", remote_frees_are_counted},
    {"blocks of a thread's last destructors are counted",
     blocks_of_last_destructors_are_counted},
    {"failed requests are not counted", failed_requests_are_not_counted},
    {"a purge gives everything back", purge_gives_everything_back},
    {"a purge can come at any time", purge_works_again_and_again},
    {"options can be read", options_can_be_read},
    {"options can be set", options_can_be_set},
    {"the cache of system blocks can be turned off", the_cache_can_be_turned_off},
    {"the calls leave errno alone", calls_leave_errno},
    {"pymalloc_owns small blocks only", owns_small_blocks_only},
    {"a walk sees each live block once", walk_sees_each_live_block_once},
    {"a walk sees blocks of ended threads", walk_sees_blocks_of_ended_threads},
    {"a walk ends when told", walk_ends_when_told},
    {"a walk's visitor may allocate and free", visitors_may_allocate},
};

int main(int argc, char **argv)
{
    require_pymalloc();
    return TAP_RUN(cases, argc, argv);
}
