/* realloc and reallocarray: content, edges, failures. */
#include "support.h"

#include <malloc.h>

static const size_t grid[] = {
    1,     8,      15,     16,     17,     31,      32,     33,    48,    64,
    100,   112,    128,    200,    240,    256,     300,    400,   480,   496,
    497,   511,    512,    513,    528,    575,     576,    577,   640,   800,
    1000,  1024,   1032,   2000,   4096,   8000,    16384,  30000, 32768, 32769,
    65536, 100000, 131072, 140000, 300000, 1 << 20, 3 << 20};

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void all_pairs_of_sizes_keep_content(void)
{
    for (size_t i = 0; i < COUNT_OF(grid); i++) {
        for (size_t k = 0; k < COUNT_OF(grid); k++) {
            size_t from = grid[i], to = grid[k];
            void *p = malloc(from);
            pattern_fill(p, from, i * 64 + k);
            void *q = k % 2 ? realloc(p, to) : reallocarray(p, 1, to);
            if (!CHECK(q, "%zu to %zu is NULL", from, to)) {
                continue;
            }
            CHECK((uintptr_t)q % ALIGNMENT == 0, "%zu to %zu gave %p", from, to, q);
            CHECK(malloc_usable_size(q) >= to, "%zu to %zu", from, to);
            CHECK(pattern_holds(q, least(from, to), i * 64 + k),
                  "%zu to %zu changed the content", from, to);
            CHECK(!pymalloc_owns(q) || to <= SMALL_MAX, "%zu to %zu is in a pool", from,
                  to);
            pattern_fill(q, malloc_usable_size(q), 1);
            free(q);
        }
    }
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
}

static void growing_by_one_keeps_content(void)
{
    unsigned char *p = NULL;
    for (size_t n = 1; n < 6000; n++) {
        p = realloc(p, n);
        p[n - 1] = pattern_byte(9, n - 1);
        if (n % 16 == 1) {
            CHECK(pattern_holds(p, n, 9), "at %zu bytes", n);
        }
    }
    for (size_t n = 5999; n > 0; n--) {
        p = realloc(p, n);
        if (n % 16 == 1) {
            CHECK(pattern_holds(p, n, 9), "shrunk to %zu bytes", n);
        }
    }
    free(p);
}

/* What does not change the class need not move: a program that shrinks a
 * little and grows back must not pay for it. */
static void same_class_stays_in_place(void)
{
    for (size_t n = 16; n <= SMALL_MAX; n += 16) {
        void *p = malloc(n), *at = opaque(p);
        for (size_t less = 0; less < 16; less++) {
            p = realloc(p, n - less);
            CHECK(p == at, "%zu to %zu moved", n, n - less);
            p = realloc(p, n);
            CHECK(p == at, "%zu to %zu moved", n - less, n);
        }
        free(p);
    }
}

static void of_null_is_malloc(void)
{
    for (size_t i = 0; i < COUNT_OF(grid); i++) {
        void *p = realloc(NULL, grid[i]);
        CHECK(p && malloc_usable_size(p) >= grid[i], "realloc(NULL, %zu)", grid[i]);
        free(p);
    }
    void *p = realloc(NULL, opaque_size(0));
    CHECK(p, "realloc(NULL, 0) gave NULL");
    free(p);
}

/* As glibc: frees the block and returns NULL; not an error. */
static void to_zero_frees(void)
{
    struct pymalloc_totals before, after;
    for (int of_array = 0; of_array < 2; of_array++) {
        pymalloc_stats(&before);
        for (int i = 0; i < 1000; i++) {
            void *p = malloc((size_t)i);
            errno = 0;
            void *q = of_array
                          ? reallocarray(p, opaque_size(i % 2 ? 0 : 7), i % 2 ? 7 : 0)
                          : realloc(p, opaque_size(0));
            CHECK(q == NULL, "realloc(p, 0) gave a block");
            CHECK_EQ(errno, 0, "realloc(p, 0)");
        }
        pymalloc_stats(&after);
        CHECK_EQ(after.small_live, before.small_live, "small blocks were not freed");
        CHECK_EQ(after.large_allocs - after.large_frees,
                 before.large_allocs - before.large_frees,
                 "large blocks were not freed");
    }
}

static void failing_leaves_the_block(void)
{
    static const size_t impossible[] = {SIZE_MAX, SIZE_MAX - 15, SIZE_MAX - 4096,
                                        (size_t)PTRDIFF_MAX + 1, PTRDIFF_MAX};
    for (size_t i = 0; i < COUNT_OF(grid); i++) {
        void *p = malloc(grid[i]);
        size_t usable = malloc_usable_size(p);
        pattern_fill(p, usable, i);
        for (size_t k = 0; k < COUNT_OF(impossible); k++) {
            errno = 0;
            void *q = realloc(p, opaque_size(impossible[k]));
            CHECK(q == NULL, "realloc(%zu to %zu)", grid[i], impossible[k]);
            CHECK_EQ(errno, ENOMEM, "realloc(%zu to %zu)", grid[i], impossible[k]);
        }
        CHECK_EQ(malloc_usable_size(p), usable, "of a block of %zu", grid[i]);
        CHECK(pattern_holds(p, usable, i), "a block of %zu was damaged", grid[i]);
        free(p);
    }
}

/* Blocks shrunk from huge to small must not keep the huge one's memory. */
static void shrinking_gives_memory_back(void)
{
    enum { BLOCKS = 64 };
    static void *p[BLOCKS];
    long before = rss_kb();
    for (int i = 0; i < BLOCKS; i++) {
        size_t n = (size_t)1 << 20;
        p[i] = malloc(n);
        memset(p[i], 1, n);
        p[i] = realloc(p[i], 100);
    }
    long after = rss_kb();
    CHECK(after - before < 16 * 1024, "%d blocks of 100 bytes keep %ld KiB", BLOCKS,
          after - before);
    for (int i = 0; i < BLOCKS; i++) {
        free(p[i]);
    }
}

static const struct tap_case cases[] = {
    {"every pair of sizes keeps the content", all_pairs_of_sizes_keep_content},
    {"growing and shrinking by one keeps the content", growing_by_one_keeps_content},
    {"a size of the same class stays in place", same_class_stays_in_place},
    {"realloc(NULL, n) is malloc(n)", of_null_is_malloc},
    {"realloc(p, 0) frees and gives NULL", to_zero_frees},
    {"a failing realloc leaves the block alone", failing_leaves_the_block},
    {"shrinking gives memory back", shrinking_gives_memory_back},
};

int main(int argc, char **argv)
{
    require_pymalloc();
    return TAP_RUN(cases, argc, argv);
}
