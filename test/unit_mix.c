/* mix.h: threads that mix requests for small and for large blocks. */
#include "alloc.h"
#include "mix.h"
#include "support.h"

#include <pthread.h>

enum { SLOTS = 400, SMALL = 100, LARGE = 1000 };

/* What a program does: the sizes of its requests, one after the other. */
struct program {
    size_t (*size)(struct rng *rng, unsigned i);
    struct rng rng;
    struct {
        void *block;
        size_t size;
        uint64_t tag;
    } slot[SLOTS];
    uint64_t large; /* requests */
};

static size_t in_disorder(struct rng *rng, unsigned i)
{
    (void)i;
    return rng_below(rng, 2) == 0 ? SMALL : LARGE;
}

static size_t in_turn(struct rng *rng, unsigned i)
{
    (void)rng;
    return i % 2 == 0 ? SMALL : LARGE;
}

static size_t all_small(struct rng *rng, unsigned i)
{
    (void)rng;
    (void)i;
    return SMALL;
}

static size_t small_but_for_a_few(struct rng *rng, unsigned i)
{
    (void)i;
    return rng_below(rng, 40) == 0 ? LARGE : SMALL;
}

/* All sizes that malloc knows a difference between. */
static size_t any(struct rng *rng, unsigned i)
{
    static const size_t most[] = {16, 512, 1024, 65536, 200000};
    (void)i;
    return rng_below(rng, most[rng_below(rng, 5)] + 1);
}

static void slot_free(struct program *program, size_t i)
{
    if (program->slot[i].block != NULL) {
        CHECK_EQ(pattern_mismatch(program->slot[i].block, program->slot[i].size,
                                  program->slot[i].tag),
                 program->slot[i].size, "bytes that are as they were written");
        pym_alloc_free(program->slot[i].block);
        program->slot[i].block = NULL;
    }
}

/* Replaces so many blocks, each of which keeps what is written to it. */
static void run(struct program *program, unsigned requests)
{
    for (unsigned n = 0; n < requests; n++) {
        size_t i = rng_below(&program->rng, SLOTS);
        slot_free(program, i);
        size_t size = program->size(&program->rng, n);
        void *block = n % 7 != 0 ? pym_alloc_malloc(opaque_size(size))
                                 : pym_alloc_calloc(1, opaque_size(size));
        CHECK(block != NULL, "a block");
        CHECK((uintptr_t)block % 16 == 0, "aligned");
        program->slot[i].block = block;
        program->slot[i].size = size;
        program->slot[i].tag = n;
        program->large += size > PYM_SMALL_MAX;
        pattern_fill(block, size, n);
    }
}

static void end(struct program *program)
{
    for (size_t i = 0; i < SLOTS; i++) {
        slot_free(program, i);
    }
    free(program);
}

static struct program *begin(size_t (*size)(struct rng *rng, unsigned i))
{
    struct program *program = calloc(1, sizeof *program);
    program->size = size;
    return program;
}

static bool is_apart(void)
{
    return pym_thread.small_end == PYM_SMALL_MAX &&
           pym_thread.cached_end == PYM_CACHED_MAX && pym_thread.mixed_end == 0;
}

static bool is_mixed(void)
{
    return pym_thread.small_end == 0 && pym_thread.cached_end == 0 &&
           pym_thread.mixed_end == PYM_CACHED_MAX;
}

/* So many requests that the thread has been found out for sure, and no trial is under
 * way. */
static void run_enough(struct program *program)
{
    run(program, 200000);
    while (pym_thread.heap->mixer.awaited != 0) {
        run(program, 64);
    }
}

static struct program *begin_mixed(void)
{
    struct program *program = begin(in_disorder);
    run_enough(program);
    CHECK(is_mixed(), "mixed");
    return program;
}

static void *as_thread(void *body)
{
    ((void (*)(void))(uintptr_t)body)();
    return NULL;
}

/* In a thread of its own, with what that starts with. */
static void in_new_thread(void (*body)(void))
{
    if (!pym_syscache_usable || !PYM_MIX) {
        SKIP("requests are not mixed in this build");
    }
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, as_thread, (void *)(uintptr_t)body), 0,
             "pthread_create");
    pthread_join(thread, NULL);
}

/* ---- */

static void orders_are_told_from_disorder(void)
{
    CHECK(!pym_mix_is_random(0), "all small");
    CHECK(!pym_mix_is_random(UINT64_MAX), "all large");
    CHECK(!pym_mix_is_random(UINT64_MAX / 3), "in turn");
    CHECK(!pym_mix_is_random(UINT64_MAX / 7), "every third");
    CHECK(!pym_mix_is_random(UINT64_MAX / 15 * 3), "two and two");
    CHECK(!pym_mix_is_random(UINT64_MAX / 255 * 0x2d), "every eight alike");
    CHECK(!pym_mix_is_random(UINT64_MAX >> 32), "first one, then the other");
    CHECK(!pym_mix_is_random(0x0040010000200400), "a few large ones");
    CHECK(!pym_mix_is_random(~UINT64_C(0x0040010000200400)), "a few small ones");
    struct rng rng = {1};
    int random = 0;
    for (int i = 0; i < 100; i++) {
        random += pym_mix_is_random(rng_next(&rng));
    }
    CHECK(random > 95, "disorder, as good as always");
}

static void disorder_is_mixed(void)
{
    struct program *program = begin_mixed();
    program->size = any;
    run_enough(program);
    end(program);
}

static void order_stays_apart(void)
{
    struct program *program = begin(in_turn);
    run_enough(program);
    CHECK(is_apart(), "in turn");
    CHECK(!pym_thread.heap->mixer.is_mixed, "in turn");
    program->size = small_but_for_a_few;
    run_enough(program);
    CHECK(is_apart(), "a few are large");
    end(program);
}

static void one_kind_parts_them_again(void)
{
    struct program *program = begin_mixed();
    program->size = all_small;
    run_enough(program);
    CHECK(is_apart(), "apart");
    end(program);
}

/* Hits and misses of the cache are all large requests, in whatever mode. */
static void requests_are_counted(void)
{
    struct program *program = begin(in_disorder);
    run(program, 1);
    const struct pym_syscache *cache = &pym_thread.heap->cache;
    uint64_t before = pym_syscache_hits(cache) + cache->misses - program->large;
    run_enough(program);
    CHECK(is_mixed(), "mixed");
    CHECK_EQ(pym_syscache_hits(cache) + cache->misses - before, program->large,
             "large requests");
    end(program);
}

/* A heap that is handed on is mixed, or not, as it was; and the thread that it leaves
 * can do without. */
static void heaps_are_handed_on(void)
{
    struct program *program = begin_mixed();
    end(program);
}

static void the_next_thread_begins_so(void)
{
    void *block = pym_alloc_malloc(opaque_size(SMALL));
    bool mixed = pym_thread.heap->mixer.is_mixed;
    CHECK(mixed, "another heap");
    CHECK(pym_thread.heap->mixer.awaited != 0 || is_mixed() == mixed,
          "as the heap says, or a trial");
    pym_alloc_free(block);
}

static void nothing_is_mixed_without_hits(void)
{
    struct program *program = begin(in_disorder);
    run_enough(program);
    pym_mix_set(NULL);
    CHECK(pym_thread.mixed_end == 0 && pym_thread.cached_end == 0, "no heap, no hits");
    pym_syscache_usable = false;
    pym_mix_set(pym_thread.heap);
    CHECK_EQ(pym_thread.small_end, PYM_SMALL_MAX, "small without a cache");
    CHECK_EQ(pym_thread.mixed_end, 0, "mixed without a cache");
    pym_syscache_usable = true;
    pym_mix_set(pym_thread.heap);
    CHECK(is_mixed(), "mixed");
    end(program);
}

/* ---- each in a new thread ---- */

#define IN_THREAD(name)                                                                \
    static void thread_##name(void)                                                    \
    {                                                                                  \
        in_new_thread(name);                                                           \
    }

IN_THREAD(disorder_is_mixed)
IN_THREAD(order_stays_apart)
IN_THREAD(one_kind_parts_them_again)
IN_THREAD(requests_are_counted)
IN_THREAD(nothing_is_mixed_without_hits)

static void heaps_are_handed_on_to_the_next(void)
{
    in_new_thread(heaps_are_handed_on);
    in_new_thread(the_next_thread_begins_so);
}

static const struct tap_case cases[] = {
    {"orders are told from disorder", orders_are_told_from_disorder},
    {"disorder is mixed", thread_disorder_is_mixed},
    {"order stays apart", thread_order_stays_apart},
    {"one kind parts them again", thread_one_kind_parts_them_again},
    {"requests are counted", thread_requests_are_counted},
    {"heaps are handed on", heaps_are_handed_on_to_the_next},
    {"nothing is mixed without hits", thread_nothing_is_mixed_without_hits},
};

int main(int argc, char **argv)
{
    return TAP_RUN(cases, argc, argv);
}
