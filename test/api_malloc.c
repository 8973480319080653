/* malloc and calloc: alignment, size, zeroes, what cannot be had. */
#include "support.h"

#include <malloc.h>
#include <pthread.h>

enum { DENSE = 4200 }; /* every size up to here is tried, past a page */

static const size_t sparse[] = {
    8191,   8192,   8193,   12345,   16384,   20000,   32767,   32768,  32769,
    40000,  65536,  100000, 131072,  200001,  262144,  262145,  524288, 1000000,
    131071, 131056, 135168, 1 << 20, 3 << 20, 5000000, 33 << 20};

static size_t size_number(size_t i)
{
    return i < DENSE ? i : sparse[i - DENSE];
}

enum { SIZES = DENSE + COUNT_OF(sparse) };

static void blocks_are_aligned(void)
{
    for (size_t i = 0; i < SIZES; i++) {
        size_t n = size_number(i);
        void *p = opaque(malloc(n)), *q = opaque(calloc(1, n));
        CHECK(p && (uintptr_t)p % ALIGNMENT == 0, "malloc(%zu) gave %p", n, p);
        CHECK(q && (uintptr_t)q % ALIGNMENT == 0, "calloc(1, %zu) gave %p", n, q);
        free(p);
        free(q);
    }
}

static size_t class_size(size_t n)
{
    return n <= ALIGNMENT ? ALIGNMENT : (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void *first_blocks_of_thread(void *arg)
{
    for (size_t n = 0; n <= SMALL_MAX; n++) {
        void *p = opaque(malloc(n));
        size_t coarser = ALIGNMENT, usable = malloc_usable_size(p);
        while (coarser < n) {
            coarser *= 2;
        }
        CHECK(usable == class_size(n) || usable == coarser, "%zu bytes have %zu", n,
              usable);
        CHECK(pymalloc_good_size(n) <= usable, "%zu bytes have %zu", n, usable);
        pattern_fill(p, usable, n);
        free(p);
    }
    return arg;
}

/* So that a program that uses all sizes a little needs few pages. */
static void first_blocks_may_be_coarser(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, first_blocks_of_thread, NULL);
    first_blocks_of_thread(NULL);
    pthread_join(thread, NULL);
}

static void blocks_hold_their_size(void)
{
    use_all_classes();
    for (size_t i = 0; i < SIZES; i++) {
        size_t n = size_number(i);
        void *p = opaque(malloc(n));
        size_t usable = malloc_usable_size(p);
        CHECK(usable >= n, "malloc(%zu) has %zu usable bytes", n, usable);
        if (pymalloc_owns(p)) {
            CHECK_EQ(usable, class_size(n), "small block of %zu bytes", n);
            CHECK(n <= SMALL_MAX, "%zu bytes came from a pool", n);
        } else {
            CHECK(n > SMALL_MAX, "%zu bytes came from the system", n);
        }
        free(p);
    }
}

/* All blocks live at once and each is written to its last usable byte: a size
 * that promises too much damages a neighbour's pattern. */
static void usable_bytes_are_the_blocks_own(void)
{
    enum { EACH = 3 };
    size_t blocks = EACH * SIZES;
    void **p = pages(blocks * sizeof *p);
    for (size_t i = 0; i < blocks; i++) {
        p[i] = malloc(size_number(i / EACH));
        pattern_fill(p[i], malloc_usable_size(p[i]), i);
    }
    for (size_t i = 0; i < blocks; i++) {
        CHECK(pattern_holds(p[i], malloc_usable_size(p[i]), i),
              "a block of %zu bytes was damaged", size_number(i / EACH));
    }
    for (size_t i = 0; i < blocks; i++) {
        free(p[i]);
    }
    munmap(p, blocks * sizeof *p);
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
}

/* Programs cache the answer, and fortified ones rely on it. */
static void usable_size_is_constant(void)
{
    enum { BLOCKS = 3000 };
    static void *p[BLOCKS];
    static size_t usable[BLOCKS];
    struct rng rng = {1};
    for (int i = 0; i < BLOCKS; i++) {
        p[i] = malloc(rng_below(&rng, i % 10 ? 700 : 40000));
        usable[i] = malloc_usable_size(p[i]);
    }
    for (int round = 0; round < 10; round++) {
        for (int i = round % 2; i < BLOCKS; i += 2) {
            free(malloc(rng_below(&rng, 40000)));
            CHECK_EQ(malloc_usable_size(p[i]), usable[i], "round %d", round);
        }
        malloc_trim(0);
    }
    for (int i = 0; i < BLOCKS; i++) {
        CHECK_EQ(malloc_usable_size(p[i]), usable[i], "at the end");
        free(p[i]);
    }
    CHECK_EQ(malloc_usable_size(NULL), 0, "of NULL");
}

static void good_size_tells_the_truth(void)
{
    use_all_classes();
    for (size_t n = 0; n <= SMALL_MAX; n++) {
        void *p = opaque(malloc(n));
        CHECK_EQ(pymalloc_good_size(n), malloc_usable_size(p), "for %zu", n);
        free(p);
    }
    CHECK_EQ(pymalloc_good_size(SMALL_MAX + 1), SMALL_MAX + 1, "past the pools");
    CHECK_EQ(pymalloc_good_size(1000000), 1000000, "a large size");
    CHECK(pymalloc_good_size(SIZE_MAX) == SIZE_MAX, "the largest number");
}

static void size_zero_is_a_block(void)
{
    enum { BLOCKS = 1000 };
    static void *p[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        p[i] = i % 2 ? malloc(opaque_size(0)) : calloc(opaque_size((size_t)i % 4), 0);
        CHECK(p[i], "size 0 gave NULL");
        pattern_fill(p[i], malloc_usable_size(p[i]), (uint64_t)i);
    }
    for (int i = 0; i < BLOCKS; i++) {
        CHECK(pattern_holds(p[i], malloc_usable_size(p[i]), (uint64_t)i),
              "two blocks of size 0 overlap");
        free(p[i]);
    }
}

static void refused(const char *what, void *p)
{
    CHECK(p == NULL, "%s was not refused", what);
    CHECK_EQ(errno, ENOMEM, "%s", what);
    errno = 0;
}

static void too_large_is_refused(void)
{
    static const size_t sizes[] = {(size_t)PTRDIFF_MAX + 1,
                                   (size_t)PTRDIFF_MAX + 17,
                                   SIZE_MAX - 4096,
                                   SIZE_MAX - 4095,
                                   SIZE_MAX - 31,
                                   SIZE_MAX - 16,
                                   SIZE_MAX - 15,
                                   SIZE_MAX - 1,
                                   SIZE_MAX};
    errno = 0;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        size_t n = opaque_size(sizes[i]);
        refused("malloc", malloc(n));
        refused("calloc(1, n)", calloc(1, n));
        refused("calloc(n, 1)", calloc(n, 1));
        refused("realloc(NULL, n)", realloc(NULL, n));
        refused("reallocarray(NULL, n, 1)", reallocarray(NULL, n, 1));
        refused("valloc", valloc(n));
        refused("pvalloc", pvalloc(n));
        refused("memalign(16, n)", memalign(16, n));
        refused("memalign(4096, n)", memalign(4096, n));
        refused("aligned_alloc(64, n)", aligned_alloc(64, n));
    }
    refused("malloc(PTRDIFF_MAX)", malloc(opaque_size(PTRDIFF_MAX)));
}

static void overflowing_products_are_refused(void)
{
    static const size_t pairs[][2] = {
        {SIZE_MAX, 2},
        {2, SIZE_MAX},
        {SIZE_MAX, SIZE_MAX},
        {(size_t)1 << 32, (size_t)1 << 32},
        {((size_t)1 << 32) + 1, (size_t)1 << 32},
        {SIZE_MAX / 16 + 1, 16}, /* the product wraps to 0 */
        {SIZE_MAX / 24 + 2, 24}, /* ... and to a small number */
        {48, SIZE_MAX / 48 + 1},
    };
    errno = 0;
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        size_t a = opaque_size(pairs[i][0]), b = opaque_size(pairs[i][1]);
        refused("calloc", calloc(a, b));
        refused("reallocarray of NULL", reallocarray(NULL, a, b));
        void *p = malloc(64), *still_there = opaque(p);
        pattern_fill(p, 64, i);
        refused("reallocarray", reallocarray(p, a, b));
        CHECK(pattern_holds(still_there, 64, i),
              "a refused reallocarray damaged its block");
        free(still_there);
    }
}

/* Fills blocks with ones, frees them, and wants zeroes of the next ones. */
static void zeroes_after_dirt(size_t n, size_t blocks)
{
    void **p = pages(blocks * sizeof *p);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < blocks; i++) {
            p[i] = round ? calloc(n, 1) : malloc(n);
            if (round) {
                CHECK(all_zero(p[i], n), "calloc of %zu bytes is not zero", n);
            }
            memset(p[i], 0xff, malloc_usable_size(p[i]));
        }
        for (size_t i = 0; i < blocks; i++) {
            free(p[round % 2 ? i : blocks - 1 - i]);
        }
    }
    munmap(p, blocks * sizeof *p);
}

static void calloc_is_zero_for_reused_small_blocks(void)
{
    for (size_t n = 1; n <= SMALL_MAX; n++) {
        zeroes_after_dirt(n, n % 16 ? 20 : 200);
    }
}

static void calloc_is_zero_for_reused_large_blocks(void)
{
    for (size_t n = SMALL_MAX + 1; n < 40000; n += n / 19) {
        zeroes_after_dirt(n, 12);
    }
    for (size_t n = 65536; n < 5000000; n = n * 5 / 3) {
        zeroes_after_dirt(n, 3);
    }
}

/* Pools that changed their size class, or came back from the system, hold old
 * bytes too. */
static void calloc_is_zero_after_pools_change_hands(void)
{
    enum { BLOCKS = 20000 };
    static void *p[BLOCKS];
    for (int round = 0; round < 6; round++) {
        size_t n = 16 + (size_t)round * 96;
        for (int i = 0; i < BLOCKS; i++) {
            p[i] = calloc(1, n);
            CHECK(all_zero(p[i], n), "round %d", round);
            memset(p[i], 0xa5, n);
        }
        for (int i = 0; i < BLOCKS; i++) {
            free(p[i]);
        }
        if (round % 2) {
            malloc_trim(0);
        }
    }
}

static const struct tap_case cases[] = {
    {"a thread's first small blocks may be of a coarser class",
     first_blocks_may_be_coarser},
    {"every block is aligned to 16", blocks_are_aligned},
    {"small blocks have the size of their class, large ones enough",
     blocks_hold_their_size},
    {"all usable bytes can be written", usable_bytes_are_the_blocks_own},
    {"malloc_usable_size is constant for a block's life", usable_size_is_constant},
    {"pymalloc_good_size agrees with malloc_usable_size", good_size_tells_the_truth},
    {"size 0 gives a unique block", size_zero_is_a_block},
    {"sizes over PTRDIFF_MAX are ENOMEM", too_large_is_refused},
    {"products that overflow are ENOMEM", overflowing_products_are_refused},
    {"calloc is zero for reused small blocks", calloc_is_zero_for_reused_small_blocks},
    {"calloc is zero for reused large blocks", calloc_is_zero_for_reused_large_blocks},
    {"calloc is zero when pools change hands", calloc_is_zero_after_pools_change_hands},
};

int main(int argc, char **argv)
{
    require_pymalloc();
    return TAP_RUN(cases, argc, argv);
}
