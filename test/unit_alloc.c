/* alloc.h: the rules of malloc and its kin on the core, so that sanitizers see
 * them; and that a sanitizer sees misuse of a pool's block. */
#include "alloc.h"
#include "support.h"

#include <pthread.h>

static const size_t sizes[] = {0,    1,     7,     16,    17,     31,    32,   48,
                               100,  160,   255,   256,   257,    400,   496,  497,
                               511,  512,   513,   600,   1000,   1024,  2000, 4096,
                               5000, 10000, 32768, 32769, 100000, 300000};
enum { SIZES = COUNT_OF(sizes) };

static void blocks_are_aligned_and_hold_their_size(void)
{
    for (size_t n = 0; n < 3000; n++) {
        char *p = pym_alloc_malloc(n);
        CHECK(p && (uintptr_t)p % ALIGNMENT == 0, "%zu bytes at %p", n, (void *)p);
        CHECK(pym_alloc_usable_size(p) >= n, "%zu bytes have %zu", n,
              pym_alloc_usable_size(p));
        memset(p, 1, n);
        pym_alloc_free(p);
    }
}

static void calloc_is_zero(void)
{
    for (int round = 0; round < 20; round++) {
        for (size_t i = 0; i < SIZES; i++) {
            unsigned char *p = pym_alloc_calloc(sizes[i], 1);
            CHECK(p && all_zero(p, sizes[i]), "%zu bytes", sizes[i]);
            memset(p, 0xff, sizes[i]);
            pym_alloc_free(p);
        }
    }
    errno = 0;
    CHECK(!pym_alloc_calloc(SIZE_MAX / 2, 3) && errno == ENOMEM, "an overflow");
}

static void any_alignment_any_size(void)
{
    for (size_t a = 1; a <= 1 << 20; a *= 2) {
        void *p[SIZES];
        for (size_t i = 0; i < SIZES; i++) {
            p[i] = pym_alloc_aligned(a, sizes[i]);
            CHECK(p[i] && (uintptr_t)p[i] % a == 0, "%zu bytes to %zu: %p", sizes[i], a,
                  p[i]);
            memset(p[i], 1, sizes[i]);
        }
        for (size_t i = 0; i < SIZES; i++) {
            pym_alloc_free(p[i]);
        }
    }
    for (size_t a = 0; a < 100; a += 3) {
        errno = 0;
        CHECK(pym_is_power_of_two(a) || (!pym_alloc_aligned(a, 10) && errno == EINVAL),
              "alignment %zu", a);
    }
}

static void realloc_keeps_content(void)
{
    for (size_t i = 1; i < SIZES; i++) {
        for (size_t k = 1; k < SIZES; k++) {
            size_t kept = sizes[i] < sizes[k] ? sizes[i] : sizes[k];
            void *p = pym_alloc_malloc(sizes[i]);
            pattern_fill(p, sizes[i], i);
            p = pym_alloc_realloc(p, sizes[k]);
            CHECK(p && pattern_holds(p, kept, i), "%zu to %zu", sizes[i], sizes[k]);
            memset(p, 1, sizes[k]);
            pym_alloc_free(p);
        }
    }
    void *p = pym_alloc_realloc(NULL, 10);
    CHECK(p, "of NULL");
    CHECK(pym_alloc_realloc(p, 0) == NULL, "to 0");
}

static void impossible_sizes_are_refused(void)
{
    static const size_t bad[] = {SIZE_MAX, SIZE_MAX - 15, (size_t)PTRDIFF_MAX + 1};
    void *p = pym_alloc_malloc(100);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        errno = 0;
        CHECK(!pym_alloc_malloc(bad[i]) && errno == ENOMEM, "malloc of %zu", bad[i]);
        errno = 0;
        CHECK(!pym_alloc_realloc(p, bad[i]) && errno == ENOMEM, "realloc to %zu",
              bad[i]);
        errno = 0;
        CHECK(!pym_alloc_aligned(64, bad[i]) && errno == ENOMEM, "aligned, %zu",
              bad[i]);
    }
    pym_alloc_free(p);
}

static void free_keeps_errno(void)
{
    errno = 77;
    for (size_t i = 0; i < SIZES; i++) {
        pym_alloc_free(pym_alloc_malloc(sizes[i]));
    }
    pym_alloc_free(NULL);
    CHECK_EQ(errno, 77, "after frees");
}

static void *ends_with_blocks(void *arg)
{
    void **p = arg;
    for (size_t i = 0; i < SIZES; i++) {
        p[i] = pym_alloc_malloc(sizes[i]);
        memset(p[i], 1, sizes[i]);
    }
    return NULL;
}

static void blocks_outlive_their_thread(void)
{
    for (int round = 0; round < 50; round++) {
        void *p[SIZES];
        pthread_t thread;
        pthread_create(&thread, NULL, ends_with_blocks, p);
        pthread_join(thread, NULL);
        for (size_t i = 0; i < SIZES; i++) {
            memset(p[i], 2, sizes[i]);
            pym_alloc_free(p[i]);
        }
    }
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
}

/* ------------------------------------------------------ what a sanitizer sees */

#if PYM_ASAN

#include <sanitizer/asan_interface.h>

static void free_blocks_are_poisoned(void)
{
    for (size_t n = 16; n <= SMALL_MAX; n += 16) {
        char *p = pym_alloc_malloc(n);
        CHECK(!__asan_region_is_poisoned(p, n), "a live block of %zu", n);
        pym_alloc_free(p);
        CHECK(__asan_address_is_poisoned(p), "a freed block of %zu", n);
        CHECK(__asan_address_is_poisoned(p + n - 1), "a freed block of %zu", n);
    }
}

static void what_was_not_asked_for_is_poisoned(void)
{
    for (size_t n = 1; n < SMALL_MAX; n++) {
        char *p = pym_alloc_malloc(n);
        CHECK(!__asan_region_is_poisoned(p, n), "a block of %zu", n);
        CHECK(n % 16 == 0 || __asan_address_is_poisoned(p + n), "after a block of %zu",
              n);
        pym_alloc_free(p);
    }
}

#else

static void free_blocks_are_poisoned(void)
{
    SKIP("this build has no AddressSanitizer");
}

static void what_was_not_asked_for_is_poisoned(void)
{
    SKIP("this build has no AddressSanitizer");
}

#endif

static const struct tap_case cases[] = {
    {"blocks are aligned and hold their size", blocks_are_aligned_and_hold_their_size},
    {"calloc is zero", calloc_is_zero},
    {"any alignment, any size", any_alignment_any_size},
    {"realloc keeps content", realloc_keeps_content},
    {"impossible sizes are refused", impossible_sizes_are_refused},
    {"free keeps errno", free_keeps_errno},
    {"blocks outlive their thread", blocks_outlive_their_thread},
    {"free blocks are poisoned", free_blocks_are_poisoned},
    {"what was not asked for is poisoned", what_was_not_asked_for_is_poisoned},
};

int main(int argc, char **argv)
{
    return TAP_RUN(cases, argc, argv);
}
