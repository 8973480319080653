/*
 * What the stress programs share.  Their sources are compiled twice: against
 * the shipped library, whose functions have their standard names, and, with
 * PYM_TEST_CORE defined, against the core, for sanitizer builds.
 *
 * The reference model: for every live block its size, alignment and content are
 * known, and a map has a bit for each 16 bytes of the address space, set while
 * a live block lies there.  Claiming a bit twice is an overlap, whoever does
 * it.  All of this lies in memory from the kernel.  The map's operations are
 * relaxed on purpose: they must not order what the allocator fails to order.
 */
#ifndef TEST_STRESS_H
#define TEST_STRESS_H

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>

#include "c23.h"
#include "support.h"

/* ------------------------------------------------------- the allocator */

#ifdef PYM_TEST_CORE

#include "alloc.h"

static void *a_malloc(size_t n)
{
    return pym_alloc_malloc(n);
}

static void *a_calloc(size_t count, size_t n)
{
    return pym_alloc_calloc(count, n);
}

static void *a_realloc(void *p, size_t n)
{
    return pym_alloc_realloc(p, n);
}

static void a_free(void *p)
{
    pym_alloc_free(p);
}

static void *a_aligned(size_t alignment, size_t n)
{
    return pym_alloc_aligned(alignment, n);
}

static size_t a_usable(void *p)
{
    return pym_alloc_usable_size(p);
}

#else

#define a_malloc malloc
#define a_calloc calloc
#define a_realloc realloc
#define a_free free
#define a_aligned aligned_alloc
#define a_usable malloc_usable_size

#endif

/* The other ways to the same end, which the core does not have. */
static inline void *allocate_some_way(struct rng *rng, size_t alignment, size_t n)
{
#ifdef PYM_TEST_CORE
    (void)rng;
#else
    void *p = NULL;
    size_t way = rng_below(rng, 16);
    if (alignment > ALIGNMENT && way < 8) {
        return way < 4                                 ? memalign(alignment, n)
               : posix_memalign(&p, alignment, n) == 0 ? p
                                                       : NULL;
    }
    if (alignment <= ALIGNMENT && way < 2) {
        return way ? reallocarray(NULL, n, 1) : realloc(NULL, n);
    }
#endif
    return alignment > ALIGNMENT ? a_aligned(alignment, n) : a_malloc(n);
}

static inline void free_some_way(struct rng *rng, void *p, size_t n)
{
    (void)n;
    switch (rng_below(rng, 16)) {
#ifndef PYM_TEST_CORE
    case 0:
        cfree(p);
        break;
    case 1:
        free_sized(p, n);
        break;
#endif
    case 2:
        (void)!a_realloc(p, opaque_size(0));
        break;
    default:
        a_free(p);
    }
}

/* ------------------------------------------------------ what goes wrong */

static struct {
    uint64_t seed;
    const char *test; /* what selects the case on the command line */
    _Atomic int failed;
} stress;

static int stress_failed(void)
{
    return atomic_load_explicit(&stress.failed, memory_order_relaxed);
}

/* Reports and makes all threads stop. */
#define STRESS_CHECK(condition, ...)                                                   \
    tap_verdict((condition)                                                            \
                    ? 1                                                                \
                    : (tap_failed(__FILE__, __LINE__, __VA_ARGS__), stress_fail(), 0))

static inline void stress_fail(void)
{
    if (atomic_exchange(&stress.failed, 1) == 0) {
        char self[512];
        ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
        self[n < 0 ? 0 : n] = '\0';
        tap_note("to repeat: PYM_TEST_SEED=%ju %s '%s'", (uintmax_t)stress.seed, self,
                 stress.test);
    }
}

/* The seed of a case: from the environment, else the same every time. */
static inline uint64_t stress_begin(const char *test)
{
    stress.test = test;
    stress.seed = env_number("PYM_TEST_SEED", 20240229);
    atomic_store(&stress.failed, 0);
    tap_note("seed %ju", (uintmax_t)stress.seed);
    return stress.seed;
}

/* --------------------------------------------------------- the live map */

enum {
    MAP_GRAIN_SHIFT = 4,
    MAP_LEAF_SHIFT = 30, /* bytes of the address space that a leaf covers */
    MAP_LEAVES = 1 << (48 - MAP_LEAF_SHIFT),
    MAP_LEAF_WORDS = 1 << (MAP_LEAF_SHIFT - MAP_GRAIN_SHIFT - 6),
};

static _Atomic(_Atomic uint64_t *) map_leaf[MAP_LEAVES];

static _Atomic uint64_t *map_leaf_of(uintptr_t address)
{
    size_t index = address >> MAP_LEAF_SHIFT & (MAP_LEAVES - 1);
    _Atomic uint64_t *leaf =
        atomic_load_explicit(&map_leaf[index], memory_order_acquire);
    if (leaf) {
        return leaf;
    }
    _Atomic uint64_t *fresh = pages(MAP_LEAF_WORDS * sizeof *fresh);
    if (atomic_compare_exchange_strong(&map_leaf[index], &leaf, fresh)) {
        return fresh;
    }
    munmap(fresh, MAP_LEAF_WORDS * sizeof *fresh);
    return leaf;
}

/* Sets or clears the bits of a block; false if one of them was so before. */
static int map_mark(const void *block, size_t size, int live)
{
    uintptr_t at = (uintptr_t)block >> MAP_GRAIN_SHIFT;
    uintptr_t end =
        ((uintptr_t)block + size + (1 << MAP_GRAIN_SHIFT) - 1) >> MAP_GRAIN_SHIFT;
    int right = 1;
    while (at < end) {
        unsigned first = at % 64;
        uintptr_t count = end - at < 64 - first ? end - at : 64 - first;
        uint64_t mask = (count == 64 ? ~(uint64_t)0 : ((uint64_t)1 << count) - 1)
                        << first;
        _Atomic uint64_t *word =
            map_leaf_of(at << MAP_GRAIN_SHIFT) + (at / 64) % MAP_LEAF_WORDS;
        uint64_t old =
            live ? atomic_fetch_or_explicit(word, mask, memory_order_relaxed)
                 : atomic_fetch_and_explicit(word, ~mask, memory_order_relaxed);
        right &= (old & mask) == (live ? 0 : mask);
        at += count;
    }
    return right;
}

/* ----------------------------------------------------------- the blocks */

struct model {
    unsigned char *block;
    size_t size;
    size_t usable;
    size_t alignment;
    uint64_t tag;
};

/* Whether a live block is as it was left. */
static int model_check(const struct model *m)
{
    size_t at = pattern_mismatch(m->block, m->size, m->tag);
    return STRESS_CHECK(at == m->size, "block %p of %zu bytes was damaged at byte %zu",
                        (void *)m->block, m->size, at) &&
           STRESS_CHECK(a_usable(m->block) == m->usable,
                        "block %p of %zu bytes had %zu usable bytes, has %zu",
                        (void *)m->block, m->size, m->usable, a_usable(m->block));
}

/* Enters a new block, or one that has a new size. */
static int model_enter(struct model *m, void *block, size_t size, size_t alignment,
                       uint64_t tag)
{
    if (!STRESS_CHECK(block, "no memory for %zu bytes", size)) {
        return 0;
    }
    m->block = block;
    m->size = size;
    m->alignment = alignment < ALIGNMENT ? ALIGNMENT : alignment;
    m->tag = tag;
    m->usable = a_usable(block);
    int right =
        STRESS_CHECK((uintptr_t)block % m->alignment == 0,
                     "block %p is not aligned to %zu", block, m->alignment) &
        STRESS_CHECK(m->usable >= size, "block of %zu bytes has %zu usable ones", size,
                     m->usable) &
        STRESS_CHECK(map_mark(block, m->usable, 1),
                     "block %p of %zu bytes overlaps another", block, m->usable);
    pattern_fill(block, size, tag);
    return right;
}

/* What the map knows must go before the block does: another thread may have it
 * at once. */
static int model_leave(const struct model *m)
{
    return STRESS_CHECK(map_mark(m->block, m->usable, 0),
                        "block %p of %zu bytes was not all ours", (void *)m->block,
                        m->usable);
}

static size_t model_size(struct rng *rng)
{
    size_t kind = rng_below(rng, 1000);
    return kind < 700   ? rng_below(rng, SMALL_MAX + 1)
           : kind < 800 ? rng_below(rng, SMALL_MAX / 8)
           : kind < 940 ? rng_below(rng, 4096)
           : kind < 990 ? rng_below(rng, 40000)
           : kind < 999 ? rng_below(rng, 300000)
                        : rng_below(rng, 3000000);
}

static inline int model_allocate(struct model *m, struct rng *rng)
{
    size_t size = model_size(rng), alignment = 0;
    void *block;
    switch (rng_below(rng, 8)) {
    case 0:
        block = a_calloc(size, 1);
        STRESS_CHECK(block && all_zero(block, size), "calloc of %zu is not zero", size);
        break;
    case 1:
        alignment = (size_t)16 << rng_below(rng, rng_below(rng, 8) ? 6 : 17);
        block = allocate_some_way(rng, alignment, size);
        break;
    default:
        block = allocate_some_way(rng, 0, size);
    }
    return model_enter(m, block, size, alignment, rng_next(rng));
}

static inline int model_reallocate(struct model *m, struct rng *rng)
{
    size_t size = model_size(rng) + 1, old = m->size;
    size_t kept = size < old ? size : old;
    model_leave(m);
    m->block = a_realloc(m->block, size);
    if (!STRESS_CHECK(m->block, "no memory for %zu bytes", size)) {
        return 0;
    }
    size_t at = pattern_mismatch(m->block, kept, m->tag);
    STRESS_CHECK(at == kept, "realloc of %zu to %zu bytes changed byte %zu", old, size,
                 at);
    return model_enter(m, m->block, size, 0, rng_next(rng));
}

static inline void model_free(struct model *m, struct rng *rng)
{
    model_leave(m);
    free_some_way(rng, m->block, m->size);
    m->block = NULL;
}

static inline void heap_is_sound(const char *when)
{
    STRESS_CHECK(pymalloc_verify() == 0, "%s: pymalloc_verify found something", when);
}

static inline pthread_t start_thread(void *(*body)(void *), void *arg)
{
    pthread_t thread;
    int error = pthread_create(&thread, NULL, body, arg);
    if (error) {
        tap_bail_out("pthread_create: %s", strerror(error));
    }
    return thread;
}

static inline void stress_require(void)
{
#ifndef PYM_TEST_CORE
    require_pymalloc();
#endif
}

#endif
