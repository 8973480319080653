/* syscache.h: the bounded cache of system blocks, in front of a system
 * allocator of the test's own that counts and checks what it is asked. */
#include "options.h"
#include "support.h"
#include "sysahead.h"
#include "sysalloc.h"
#include "syscache.h"
#include "transfer.h"

enum { BLOCKS = 4000 };

/* As glibc has it: the word before a block is its size, 8 more, and flags. */
struct chunk {
    size_t live; /* a mark, so that a double free is seen */
    size_t word;
    unsigned char content[];
};

static struct {
    size_t mallocs, aheads, frees, live, bytes;
    int refuse;
} fake;

static struct chunk *chunk_of(void *block)
{
    return (struct chunk *)((char *)block - sizeof(struct chunk));
}

static void *fake_malloc(size_t size)
{
    if (fake.refuse) {
        errno = ENOMEM;
        return NULL;
    }
    size_t usable = (size + 8 + 15) / 16 * 16 - 8;
    struct chunk *chunk = malloc(sizeof *chunk + usable);
    chunk->live = 0x11fe;
    chunk->word = (usable + PYM_CHUNK_HEADER) | 1;
    fake.aheads += size == PYM_SYSAHEAD_BYTES; /* it will be back at once */
    fake.mallocs++;
    fake.live++;
    fake.bytes += usable;
    return chunk->content;
}

static void *fake_calloc(size_t count, size_t size)
{
    void *block = fake_malloc(count * size);
    return block ? memset(block, 0, count * size) : NULL;
}

static void fake_free(void *block)
{
    struct chunk *chunk = chunk_of(block);
    CHECK_EQ(chunk->live, 0x11fe, "the system got a block that it never gave");
    chunk->live = 0;
    fake.frees++;
    fake.live--;
    fake.bytes -= (chunk->word & ~(size_t)PYM_CHUNK_FLAGS) - PYM_CHUNK_HEADER;
    free(chunk);
}

static struct pym_syscache cache;

static uint64_t shed_before;

/* Blocks that went to the system from the transfer cache since the test began. */
static uint64_t transfer_shed(void)
{
    size_t transfer_bytes;
    uint64_t shed;
    pym_transfer_count(&transfer_bytes, &shed);
    return shed - shed_before;
}

static void begin(void)
{
    pym_transfer_empty();
    shed_before += transfer_shed();
    memset(&cache, 0, sizeof cache);
    memset(&fake, 0, sizeof fake);
    pym_syscache_init(&cache);
    pym_syscache_arm(&cache, 1 << 30); /* nobody looks at the clock here */
    pym_options_parse("cache:1m");
}

static void *get(size_t size)
{
    void *block = pym_syscache_take(&cache, size - 1);
    return block ? block : pym_syscache_miss(&cache, size, false);
}

static void put(void *block)
{
    if (!pym_syscache_keep(&cache, block)) {
        pym_syscache_pass(&cache, block);
    }
}

static size_t count(void)
{
    size_t bytes;
    return pym_syscache_count(&cache, &bytes);
}

static size_t bytes(void)
{
    size_t n;
    pym_syscache_count(&cache, &n);
    return n;
}

static void end(void)
{
    pym_syscache_empty(&cache);
    CHECK_EQ(count(), 0, "blocks in an emptied cache");
    CHECK_EQ(fake.live, 0, "blocks that the system never got back");
    CHECK_EQ(cache.misses, fake.mallocs - fake.aheads, "blocks asked of the system");
    CHECK_EQ(cache.shed + cache.passed + transfer_shed(), fake.frees - fake.aheads,
             "blocks passed to the system");
}

static void a_block_comes_back(void)
{
    for (size_t n = PYM_SMALL_MAX + 1; n <= PYM_CACHED_MAX; n += 61) {
        begin();
        void *p = get(n);
        memset(p, 1, pym_cached_class_size(pym_cached_class_for(n)));
        put(p);
        CHECK_EQ(count(), 1, "%zu bytes", n);
        void *q = get(n);
        CHECK(p == q, "%zu bytes", n);
        CHECK_EQ(pym_syscache_hits(&cache), 1, "hits for %zu bytes", n);
        put(q);
        end();
    }
}

/* A block of any usable size is never handed out for more than it has. */
static void blocks_are_large_enough(void)
{
    begin();
    for (size_t n = 24; n < PYM_CACHED_MAX + 3000; n += 16) {
        put(fake_malloc(n));
        for (unsigned cls = 0; cls < PYM_CACHED_CLASSES; cls++) {
            void *q = pym_syscache_take(&cache, pym_cached_class_size(cls) - 1);
            if (q) {
                size_t usable =
                    (chunk_of(q)->word & ~(size_t)PYM_CHUNK_FLAGS) - PYM_CHUNK_HEADER;
                CHECK(usable >= pym_cached_class_size(cls), "class %u got %zu bytes",
                      cls, usable);
                fake_free(q);
            }
        }
    }
    CHECK_EQ(fake.live, count(), "what is neither free nor kept");
}

static void other_sizes_are_not_kept(void)
{
    static const size_t sizes[] = {8, 24, 512, 520, PYM_CACHED_MAX + 80, 100000};
    begin();
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        void *p = fake_malloc(sizes[i]);
        CHECK(!pym_syscache_keep(&cache, p), "%zu bytes were kept", sizes[i]);
        fake_free(p);
    }
    CHECK_EQ(count(), 0, "kept");
}

/* The last word of a mapping belongs to no block: a mapping serves no request that
 * would need it. */
static void mappings_serve_what_fits(void)
{
    for (size_t span = 4096; span <= PYM_CACHED_MAX; span += 4096) {
        begin();
        void *mapped = fake_malloc(span - PYM_CHUNK_HEADER);
        chunk_of(mapped)->word |= PYM_CHUNK_MAPPED;
        size_t usable = span - 2 * PYM_CHUNK_HEADER;
        CHECK(pym_syscache_keep(&cache, mapped), "%zu bytes were not kept", span);
        CHECK(pym_syscache_take(&cache, usable) == NULL, "%zu + 1 bytes fit", usable);
        pym_syscache_empty(&cache);
        CHECK_EQ(fake.live, 0, "blocks that the system never got back");
    }
}

/* Flags in the size word are not part of the size. */
static void flags_are_ignored(void)
{
    for (size_t n = 700; n < 30000; n += 1234) {
        begin();
        void *p = get(n);
        chunk_of(p)->word |= 4; /* as of a block of a thread's arena */
        put(p);
        void *q = get(n);
        CHECK(p == q, "%zu bytes", n);
        put(q);
        end();
    }
}

static void *blocks[BLOCKS];

static void put_all(int count)
{
    for (int i = 0; i < count; i++) {
        put(blocks[i]);
    }
}

/* However many blocks of whatever sizes are freed at once. */
static void the_cache_is_bounded(void)
{
    static const char *const limits[] = {"cache:1m", "cache:100k", "cache:4k",
                                         "cache:0"};
    for (size_t k = 0; k < COUNT_OF(limits); k++) {
        struct rng rng = {k};
        begin();
        pym_options_parse(limits[k]);
        for (int round = 0; round < 10; round++) {
            for (int i = 0; i < BLOCKS; i++) {
                blocks[i] = get(PYM_SMALL_MAX + 1 +
                                rng_below(&rng, PYM_CACHED_MAX - PYM_SMALL_MAX));
            }
            for (int i = 0; i < BLOCKS; i++) {
                put(blocks[i]);
                CHECK(bytes() <= PYM_OPTION(cache), "%s: %zu bytes are kept", limits[k],
                      bytes());
            }
        }
        end();
    }
}

/* A program that takes and frees blocks of one size in turn. */
static void a_steady_size_is_served_from_the_cache(void)
{
    begin();
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < 30; i++) {
            blocks[i] = get(2000);
        }
        put_all(30);
    }
    CHECK(pym_syscache_hits(&cache) > 100 * 30 * 9 / 10, "only %ju hits of 3000",
          (uintmax_t)pym_syscache_hits(&cache));
    end();
}

/* ------------------------------------------------------- between two heaps */

enum { HANDED = 150, HANDED_BYTES = 2000 };

static struct pym_syscache other;

static size_t in_transfer(size_t *transfer_bytes)
{
    uint64_t shed;
    return pym_transfer_count(transfer_bytes, &shed);
}

/* One heap only asks, the other only frees. */
static void hand_over(int rounds, int count)
{
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < count; i++) {
            blocks[i] = get(HANDED_BYTES);
        }
        for (int i = 0; i < count; i++) {
            CHECK(pym_syscache_keep(&other, blocks[i]), "a block was not kept");
        }
    }
}

static void begin_two(void)
{
    begin();
    memset(&other, 0, sizeof other);
    pym_syscache_init(&other);
}

static void end_two(void)
{
    size_t transfer_bytes;
    pym_syscache_empty(&other);
    CHECK_EQ(in_transfer(&transfer_bytes), 0, "blocks in an emptied transfer cache");
    CHECK_EQ(transfer_bytes, 0, "bytes in an emptied transfer cache");
    cache.shed += other.shed;
    cache.passed += other.passed;
    cache.misses += other.misses;
    end();
}

static void what_one_heap_frees_another_takes(void)
{
    begin_two();
    hand_over(100, HANDED);
    CHECK(fake.mallocs < 100 * HANDED / 10, "%zu of %d blocks came from the system",
          fake.mallocs, 100 * HANDED);
    end_two();
}

/* Whatever the heap that asks has kept so far. */
static void soon_little_is_asked_of_the_system(void)
{
    begin_two();
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = get(4000 + (size_t)i % 60 * 1000);
    }
    put_all(BLOCKS);
    for (int second = 1; second <= 3; second++) {
        hand_over(10, HANDED);
        pym_syscache_decay(&cache, (uint64_t)second * 10000);
    }
    size_t before = fake.mallocs;
    hand_over(100, HANDED);
    CHECK(fake.mallocs < before + HANDED, "%zu of %d blocks came from the system",
          fake.mallocs - before, 100 * HANDED);
    CHECK(bytes() <= 1 << 20, "%zu bytes are kept", bytes());
    end_two();
}

static void the_transfer_cache_is_bounded(void)
{
    static const char *const limits[] = {"cache:1m", "cache:100k", "cache:4k"};
    for (size_t k = 0; k < COUNT_OF(limits); k++) {
        size_t most = 0;
        begin_two();
        pym_options_parse(limits[k]);
        for (int i = 0; i < BLOCKS; i++) {
            blocks[i] = get(600 + (size_t)i % 100 * 300);
        }
        for (int i = 0; i < BLOCKS; i++) {
            size_t transfer_bytes;
            CHECK(pym_syscache_keep(&other, blocks[i]), "a block was not kept");
            in_transfer(&transfer_bytes);
            most = transfer_bytes > most ? transfer_bytes : most;
        }
        CHECK(most <= PYM_OPTION(cache), "%s: %zu bytes were left", limits[k], most);
        CHECK(k != 0 || most > 0, "nothing was left");
        end_two();
    }
}

/* Gets so many blocks, all of one home: where the process's own heap crosses a border
 * between two, those behind it. */
static void get_neighbours(int count)
{
    static void *passed_over[BLOCKS];
    int passed = 0;
    for (int i = 0; i < count; i++) {
        blocks[i] = get(HANDED_BYTES);
        if (pym_syscache_home(blocks[i]) != pym_syscache_home(blocks[0])) {
            memcpy(passed_over + passed, blocks, (size_t)i * sizeof blocks[0]);
            passed += i;
            blocks[0] = blocks[i];
            i = 0;
        }
    }
    while (passed > 0) {
        fake_free(passed_over[--passed]);
        cache.passed++;
    }
}

static void who_frees_but_own_blocks_leaves_none(void)
{
    size_t transfer_bytes;
    begin_two();
    pym_options_parse("cache:100k");
    get_neighbours(4 * HANDED);
    put_all(4 * HANDED);
    CHECK_EQ(in_transfer(&transfer_bytes), 0, "blocks of its own were left to others");

    get_neighbours(4 * HANDED);
    cache.home++; /* as if they were another's */
    put_all(4 * HANDED);
    CHECK(in_transfer(&transfer_bytes) > 0, "nothing of another's was left");

    get_neighbours(4 * HANDED);
    put_all(4 * HANDED);
    pym_transfer_empty();
    get_neighbours(4 * HANDED);
    put_all(4 * HANDED);
    CHECK_EQ(in_transfer(&transfer_bytes), 0, "it still leaves blocks of its own");
    end_two();
}

static void replace_all(struct pym_syscache *by)
{
    for (int i = 0; i < BLOCKS; i++) {
        void *block = pym_syscache_take(by, 8000 - 1);
        blocks[i] = block ? block : pym_syscache_miss(by, 8000, false);
    }
    for (int i = 0; i < BLOCKS; i++) {
        CHECK(pym_syscache_keep(by, blocks[i]), "a block was not kept");
    }
}

/* Together, caches are granted a quarter of what the program has of the system; one may
 * have all of it as long as no other wants a part. */
static void a_cache_has_what_others_leave(void)
{
    enum { ALL = BLOCKS * 8192 };
    static struct pym_syscache idle[2];
    pym_syscache_init(&idle[0]);
    pym_syscache_init(&idle[1]);
    begin_two();
    pym_options_parse("cache:1g");
    for (int round = 0; round < 8; round++) {
        replace_all(&cache);
    }
    CHECK(cache.granted > ALL / 4 / 3, "only %jd bytes", (intmax_t)cache.granted);
    CHECK(cache.granted <= ALL / 4, "%jd bytes", (intmax_t)cache.granted);
    for (int round = 0; round < 8; round++) {
        replace_all(&other);
    }
    CHECK(other.granted > 0, "nothing for the other");
    CHECK(cache.granted + other.granted <= ALL / 4 + ALL / 4 / 2, "%jd and %jd bytes",
          (intmax_t)cache.granted, (intmax_t)other.granted);
    pym_syscache_empty(&cache);
    for (int round = 0; round < 8; round++) {
        replace_all(&other);
    }
    CHECK(other.granted > ALL / 4 / 3, "only %jd bytes when the first is empty",
          (intmax_t)other.granted);
    end_two();
}

/* What a heap takes from others counts towards its own limit. */
static void taken_chains_are_within_the_limit(void)
{
    begin_two();
    pym_options_parse("cache:100k");
    for (size_t round = 0; round < 40; round++) {
        size_t size = 1000 + round * 700;
        for (int i = 0; i < HANDED; i++) {
            blocks[i] = get(size);
            CHECK(bytes() <= PYM_OPTION(cache), "%zu bytes are kept", bytes());
        }
        for (int i = 0; i < HANDED; i++) {
            CHECK(pym_syscache_keep(i % 2 ? &other : &cache, blocks[i]), "not kept");
            CHECK(bytes() <= PYM_OPTION(cache), "%zu bytes are kept", bytes());
        }
    }
    end_two();
}

/* Freeing much at once is no reason to keep much. */
static void a_class_that_never_missed_stays_small(void)
{
    begin();
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = fake_malloc(2000);
    }
    size_t most = 0;
    for (int i = 0; i < BLOCKS; i++) {
        put(blocks[i]);
        most = bytes() > most ? bytes() : most;
    }
    CHECK(most <= 32768, "%zu bytes were kept", most);
    cache.misses += BLOCKS;
    end();
}

/* What does not fit goes back itself, and nothing in its place. */
static void a_full_cache_keeps_what_it_has(void)
{
    enum { OURS = 10 };
    begin();
    pym_options_parse("cache:32k");
    for (int i = 0; i < OURS; i++) {
        blocks[i] = get(2000);
    }
    put_all(OURS);
    for (int i = 0; i < BLOCKS; i++) {
        put(fake_malloc(3000));
    }
    CHECK(bytes() > 32768 - 4096 && bytes() <= 32768, "%zu bytes are kept", bytes());
    uint64_t misses = cache.misses;
    for (int i = 0; i < OURS; i++) {
        blocks[i] = get(2000);
    }
    CHECK_EQ(cache.misses, misses, "blocks asked of the system anew");
    put_all(OURS);
    cache.misses += BLOCKS;
    end();
}

/* A cache that nobody has armed has no time to wait: its first hit looks at the clock,
 * and its figures make sense. */
static void a_new_cache_is_due(void)
{
    begin();
    memset(&other, 0, sizeof other);
    pym_syscache_init(&other);
    CHECK_EQ(pym_syscache_hits(&other), 0, "hits");
    void *p = fake_malloc(1000);
    CHECK(pym_syscache_keep(&other, p), "not kept");
    CHECK(pym_syscache_take(&other, 900) == p, "not taken");
    CHECK_EQ(other.countdown, 0, "hits left");
    CHECK_EQ(pym_syscache_hits(&other), 1, "hits");
    fake_free(p);
}

static void chains_that_nobody_wants_go_back(void)
{
    size_t transfer_bytes;
    begin_two();
    hand_over(1, 4 * HANDED); /* more than a cache may keep */
    CHECK(in_transfer(&transfer_bytes) > 0, "nothing was left");
    pym_transfer_decay(); /* the class was asked for until now */
    CHECK(in_transfer(&transfer_bytes) > 0, "what was in use went back");
    pym_transfer_decay();
    CHECK_EQ(in_transfer(&transfer_bytes), 0, "blocks kept for nobody");
    end_two();
}

/* A request that finds its own class empty gets a block of a larger one, and that
 * block returns to its own class. */
static void larger_classes_help_out(void)
{
    unsigned cls = pym_cached_class_for(2000);
    begin();
    void *larger = get(pym_cached_class_size(cls + 1));
    put(larger);
    void *p = get(2000);
    CHECK(p == larger, "the system was asked");
    CHECK_EQ(fake.mallocs, 1, "blocks of the system");
    CHECK_EQ(count(), 0, "kept");
    put(p);
    CHECK(pym_syscache_take(&cache, 2000 - 1) == NULL, "the block changed its class");
    void *much_larger = get(pym_cached_class_size(cls + 8));
    put(much_larger);
    void *q = get(pym_cached_class_size(cls + 1));
    void *r = get(2000);
    CHECK(r != much_larger, "twice the size for a small request");
    put(q);
    put(r);
    end();
}

static void idle_blocks_go_back(void)
{
    begin();
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 20; i++) {
            blocks[i] = get(3000);
        }
        put_all(20);
    }
    CHECK(count() > 0, "nothing was kept");
    for (uint64_t now = 1000000; now < 1060000; now += 500) {
        pym_syscache_decay(&cache, now);
    }
    CHECK(count() <= 1, "%zu blocks are kept after a minute", count());
    end();
}

/* What was wanted before holds all the room that there is; it is wanted no more. */
static void idle_classes_make_room(void)
{
    enum { LARGE = 16, SMALL = 200, ROUNDS = 10 };
    uint64_t misses = 0;
    begin();
    put(get(1000)); /* so that it has some room, but too little */
    for (int round = 0; round < 2 * ROUNDS; round++) {
        bool is_large = round < ROUNDS;
        int n = is_large ? LARGE : SMALL;
        if (round == ROUNDS) {
            CHECK(bytes() > 375000, "%zu bytes are kept", bytes());
            pym_syscache_decay(&cache, 1000000); /* from now on it is not used */
            misses = cache.misses;
        }
        for (int i = 0; i < n; i++) {
            blocks[i] = get(!is_large ? 1000 : round % 2 ? 24000 : 32000);
        }
        put_all(n);
    }
    misses = cache.misses - misses;
    CHECK(misses < 3 * SMALL, "%ju misses of %d", (uintmax_t)misses, ROUNDS * SMALL);
    end();
}

/* While the program has more than ever; not when as many are wanted again. */
static void a_growing_heap_grows_ahead(void)
{
    begin();
    for (int round = 0; round < 2; round++) {
        size_t before = fake.aheads;
        int64_t peak = pym_syscache_peak;
        for (int i = 0; i < BLOCKS; i++) {
            blocks[i] = get(50000);
        }
        size_t steps = (size_t)(pym_syscache_peak - peak) / PYM_SYSAHEAD_STEP;
        size_t aheads = fake.aheads - before;
        CHECK(round > 0 || steps > 100, "%zu steps", steps);
        CHECK(aheads <= steps, "%zu times in %zu steps", aheads, steps);
        CHECK(round > 0 ? aheads == 0 : aheads > steps / 3, "%zu times in %zu steps",
              aheads, steps);
        put_all(BLOCKS);
        pym_syscache_empty(&cache);
    }
    end();
}

/* Those of threads at their end, which others may free. */
static void blocks_of_no_heap_count_as_well(void)
{
    begin();
    int64_t peak = pym_syscache_peak;
    int more = 0;
    while (more < BLOCKS - 100 && pym_syscache_peak == peak) {
        blocks[more++] = get(50000);
    }
    for (int i = 0; i < 100; i++) {
        pym_syscache_pass(&cache, pym_syscache_miss(NULL, 50000, false));
    }
    peak = pym_syscache_peak;
    for (int i = 0; i < 10; i++) {
        blocks[more++] = get(50000);
    }
    CHECK(pym_syscache_peak > peak, "ten blocks more are not more than ever");
    put_all(more);
    pym_syscache_empty(&cache);
    CHECK_EQ(fake.live, 0, "blocks that the system never got back");
}

/* Rather than that the process grows: not at the next look, but at once. */
static void idle_blocks_go_back_when_others_are_more_than_ever(void)
{
    uint64_t now = 1000000;
    int more = 0;
    begin();
    for (int i = 0; i < 20; i++) {
        blocks[i] = get(3000);
    }
    put_all(20);
    pym_syscache_decay(&cache, now);
    size_t kept = count();
    CHECK(kept > 1, "%zu blocks are kept", kept);
    pym_syscache_decay(&cache, now);
    CHECK_EQ(count(), kept, "blocks are kept for no time");
    int64_t peak = pym_syscache_peak;
    while (more < BLOCKS && pym_syscache_peak < peak + (1 << 18)) {
        blocks[more++] = get(60000);
        if (pym_syscache_peak < peak + (1 << 17)) {
            pym_syscache_decay(&cache, now);
        }
    }
    CHECK(more < BLOCKS, "there are no more than ever");
    CHECK_EQ(count(), kept, "blocks are kept as long as others are few");
    pym_syscache_decay(&cache, now);
    CHECK(count() <= (kept + 1) / 2, "%zu of %zu blocks are kept", count(), kept);
    kept = count();
    pym_syscache_decay(&cache, now);
    CHECK_EQ(count(), kept, "blocks are kept once the others are as many as before");
    put_all(more);
    end();
}

static void nothing_goes_back_where_the_system_may_be_locked(void)
{
    begin();
    for (int i = 0; i < 20; i++) {
        blocks[i] = get(3000);
    }
    put_all(20);
    size_t kept = count();
    CHECK(kept > 0, "nothing was kept");
    pym_sysalloc_after_fork(false);
    for (uint64_t now = 1000000; now < 1060000; now += 500) {
        pym_syscache_decay(&cache, now);
    }
    CHECK_EQ(count(), kept, "blocks are kept in a copy that is not known");
    pym_sysalloc_after_fork(true);
    for (uint64_t now = 1060000; now < 1120000; now += 500) {
        pym_syscache_decay(&cache, now);
    }
    CHECK(count() <= 1, "%zu blocks are kept in a child of fork", count());
    end();
}

static void refusal_is_passed_on(void)
{
    begin();
    fake.refuse = 1;
    errno = 0;
    CHECK(pym_syscache_miss(&cache, 1000, false) == NULL, "a block");
    CHECK(pym_syscache_miss(&cache, 100000, true) == NULL, "a block");
    CHECK_EQ(cache.misses, 0, "blocks counted");
    fake.refuse = 0;
    end();
}

static void zeroed_means_zeroed(void)
{
    begin();
    for (size_t n = 600; n < 40000; n += 777) {
        void *p = pym_syscache_miss(&cache, n, true);
        CHECK(all_zero(p, n), "%zu bytes", n);
        pym_syscache_pass(&cache, p);
    }
    end();
}

/* In a forked child: the numbers are anything, the lists are whole. */
static void lists_are_counted_anew(void)
{
    begin();
    for (int i = 0; i < 300; i++) {
        blocks[i] = get(600 + (size_t)i * 10);
    }
    put_all(300);
    size_t kept = count(), kept_bytes = bytes();
    cache.left = 12345;
    cache.granted = 99;
    pym_syscache_recover(&cache);
    CHECK_EQ(count(), kept, "blocks");
    CHECK_EQ(bytes(), kept_bytes, "bytes");
    for (int i = 0; i < 300; i++) {
        put(get(600 + (size_t)i * 10));
    }
    end();
}

static const struct tap_case cases[] = {
    /* First, since others leave their mark on what all caches share. */
    {"a cache has what others leave", a_cache_has_what_others_leave},
    {"a block comes back", a_block_comes_back},
    {"blocks are never handed out for more than they have", blocks_are_large_enough},
    {"other sizes are not kept", other_sizes_are_not_kept},
    {"mappings serve what fits", mappings_serve_what_fits},
    {"flags are not part of the size", flags_are_ignored},
    {"the cache is bounded", the_cache_is_bounded},
    {"a steady size is served from the cache", a_steady_size_is_served_from_the_cache},
    {"what one heap frees another takes", what_one_heap_frees_another_takes},
    {"soon little is asked of the system", soon_little_is_asked_of_the_system},
    {"who frees but own blocks leaves none", who_frees_but_own_blocks_leaves_none},
    {"the transfer cache is bounded", the_transfer_cache_is_bounded},
    {"taken chains are within the limit", taken_chains_are_within_the_limit},
    {"a class that never missed stays small", a_class_that_never_missed_stays_small},
    {"a full cache keeps what it has", a_full_cache_keeps_what_it_has},
    {"a new cache is due", a_new_cache_is_due},
    {"chains that nobody wants go back", chains_that_nobody_wants_go_back},
    {"larger classes help out", larger_classes_help_out},
    {"idle blocks go back", idle_blocks_go_back},
    {"idle classes make room", idle_classes_make_room},
    {"blocks of no heap count as well", blocks_of_no_heap_count_as_well},
    {"a growing heap grows ahead", a_growing_heap_grows_ahead},
    {"idle blocks go back when others are more than ever",
     idle_blocks_go_back_when_others_are_more_than_ever},
    {"nothing goes back where the system may be locked",
     nothing_goes_back_where_the_system_may_be_locked},
    {"refusal is passed on", refusal_is_passed_on},
    {"zeroed means zeroed", zeroed_means_zeroed},
    {"lists are counted anew after a fork", lists_are_counted_anew},
};

int main(int argc, char **argv)
{
    pym_sysalloc.malloc = fake_malloc;
    pym_sysalloc.calloc = fake_calloc;
    pym_sysalloc.free = fake_free;
    pym_syscache_usable = true;
    return TAP_RUN(cases, argc, argv);
}
