/* posix_memalign, aligned_alloc, memalign, valloc, pvalloc. */
#include "support.h"

#include <malloc.h>

static const size_t sizes[] = {
    0,    1,    8,     15,    16,    17,    24,    32,    48,     63,     64,
    65,   100,  128,   160,   200,   255,   256,   257,   384,    496,    500,
    511,  512,  513,   576,   1000,  1024,  2048,  4000,  4095,   4096,   4097,
    5000, 8192, 10000, 16384, 20000, 32768, 40000, 65536, 100000, 131072, 300000};

enum { SIZES = COUNT_OF(sizes), LARGEST_SHIFT = 20, UNTOUCHED = 77 };

static void *by_posix_memalign(size_t alignment, size_t size)
{
    void *p = NULL;
    int error = posix_memalign(&p, alignment, size);
    CHECK_EQ(error, 0, "posix_memalign(%zu, %zu)", alignment, size);
    return p;
}

struct function {
    const char *name;
    void *(*allocate)(size_t alignment, size_t size);
    size_t least; /* alignment */
};

static const struct function functions[] = {
    {"posix_memalign", by_posix_memalign, sizeof(void *)},
    {"aligned_alloc", aligned_alloc, 1},
    {"memalign", memalign, 1},
};

/* Each block is written whole while all others of its alignment live. */
static void every_power_of_two_serves_every_size(const struct function *f)
{
    for (size_t a = f->least; a <= (size_t)1 << LARGEST_SHIFT; a *= 2) {
        void *p[SIZES];
        for (size_t i = 0; i < SIZES; i++) {
            p[i] = opaque(f->allocate(a, sizes[i]));
            if (!CHECK(p[i], "%s(%zu, %zu) is NULL", f->name, a, sizes[i])) {
                continue;
            }
            CHECK((uintptr_t)p[i] % (a < 16 ? 16 : a) == 0, "%s(%zu, %zu) gave %p",
                  f->name, a, sizes[i], p[i]);
            size_t usable = malloc_usable_size(p[i]);
            CHECK(usable >= sizes[i], "%s(%zu, %zu) has %zu usable bytes", f->name, a,
                  sizes[i], usable);
            pattern_fill(p[i], usable, a + i);
        }
        for (size_t i = 0; i < SIZES; i++) {
            CHECK(p[i] && pattern_holds(p[i], malloc_usable_size(p[i]), a + i),
                  "%s(%zu, %zu): damaged", f->name, a, sizes[i]);
            free(p[i]);
        }
    }
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
}

static void posix_memalign_serves_all(void)
{
    every_power_of_two_serves_every_size(&functions[0]);
}

static void aligned_alloc_serves_all(void)
{
    every_power_of_two_serves_every_size(&functions[1]);
}

static void memalign_serves_all(void)
{
    every_power_of_two_serves_every_size(&functions[2]);
}

/* A class whose block size is no multiple of the alignment must not be used:
 * the first block of a pool would be aligned, the later ones not. */
static void many_aligned_blocks_in_a_row(void)
{
    enum { BLOCKS = 600 };
    static void *p[BLOCKS];
    for (size_t a = 32; a <= 512; a *= 2) {
        for (size_t n = 1; n <= 600; n += 13) {
            for (int i = 0; i < BLOCKS; i++) {
                p[i] = aligned_alloc(a, n);
                CHECK((uintptr_t)p[i] % a == 0, "aligned_alloc(%zu, %zu)", a, n);
            }
            for (int i = 0; i < BLOCKS; i++) {
                free(p[i]);
            }
        }
    }
}

static void aligned_blocks_are_reallocated(void)
{
    for (size_t a = 16; a <= 65536; a *= 4) {
        for (size_t i = 0; i < SIZES; i++) {
            void *p = aligned_alloc(a, sizes[i]);
            pattern_fill(p, sizes[i], i);
            size_t larger = sizes[i] * 3 + 7;
            p = realloc(p, larger);
            CHECK(p && pattern_holds(p, sizes[i], i), "%zu, %zu grown", a, sizes[i]);
            p = realloc(p, sizes[i] / 2 + 1);
            CHECK(p && pattern_holds(p, sizes[i] / 2, i), "%zu, %zu shrunk", a,
                  sizes[i]);
            free(p);
        }
    }
}

static const size_t bad_alignments[] = {0,
                                        3,
                                        5,
                                        6,
                                        7,
                                        9,
                                        12,
                                        15,
                                        17,
                                        24,
                                        31,
                                        33,
                                        48,
                                        96,
                                        100,
                                        4095,
                                        4097,
                                        65535,
                                        6144,
                                        3072,
                                        1000,
                                        98304,
                                        SIZE_MAX,
                                        SIZE_MAX - 15,
                                        (size_t)PTRDIFF_MAX,
                                        ((size_t)3 << 62)};

static void other_alignments_are_refused(void)
{
    for (size_t i = 0; i < COUNT_OF(bad_alignments); i++) {
        size_t a = opaque_size(bad_alignments[i]);
        for (size_t k = 0; k < SIZES; k += 5) {
            for (size_t f = 1; f < COUNT_OF(functions); f++) {
                errno = 0;
                void *p = functions[f].allocate(a, sizes[k]);
                CHECK(p == NULL, "%s(%zu, %zu)", functions[f].name, a, sizes[k]);
                CHECK_EQ(errno, EINVAL, "%s(%zu, %zu)", functions[f].name, a, sizes[k]);
            }
        }
    }
}

static void posix_memalign_refuses(size_t alignment, size_t size, int error)
{
    static char here;
    void *p = &here;
    errno = UNTOUCHED;
    CHECK_EQ(posix_memalign(&p, alignment, size), error, "posix_memalign(%zu, %zu)",
             alignment, size);
    CHECK(p == &here, "posix_memalign(%zu, %zu) failed and wrote its result", alignment,
          size);
}

static void posix_memalign_leaves_the_result_alone(void)
{
    for (size_t i = 0; i < COUNT_OF(bad_alignments); i++) {
        posix_memalign_refuses(opaque_size(bad_alignments[i]), 100, EINVAL);
        posix_memalign_refuses(opaque_size(bad_alignments[i]), 0, EINVAL);
    }
    for (size_t a = 1; a < sizeof(void *); a *= 2) {
        posix_memalign_refuses(opaque_size(a), 100, EINVAL);
    }
    for (size_t a = sizeof(void *); a <= 65536; a *= 2) {
        posix_memalign_refuses(a, opaque_size(SIZE_MAX), ENOMEM);
        posix_memalign_refuses(a, opaque_size(SIZE_MAX - a), ENOMEM);
        posix_memalign_refuses(a, opaque_size((size_t)PTRDIFF_MAX + 1), ENOMEM);
    }
}

static void impossible_alignments_are_no_memory(void)
{
    for (int shift = 48; shift < 64; shift++) {
        size_t a = opaque_size((size_t)1 << shift);
        for (size_t f = 1; f < COUNT_OF(functions); f++) {
            errno = 0;
            void *p = functions[f].allocate(a, 100);
            CHECK(p == NULL, "%s(1 << %d, 100)", functions[f].name, shift);
            CHECK_EQ(errno, ENOMEM, "%s(1 << %d, 100)", functions[f].name, shift);
        }
        posix_memalign_refuses(a, 100, ENOMEM);
    }
}

static void page_functions(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (size_t i = 0; i < SIZES; i++) {
        void *p = opaque(valloc(sizes[i])), *q = opaque(pvalloc(sizes[i]));
        CHECK(p && (uintptr_t)p % page == 0, "valloc(%zu) gave %p", sizes[i], p);
        CHECK(q && (uintptr_t)q % page == 0, "pvalloc(%zu) gave %p", sizes[i], q);
        CHECK(malloc_usable_size(p) >= sizes[i], "valloc(%zu)", sizes[i]);
        CHECK(malloc_usable_size(q) >= (sizes[i] + page - 1) / page * page,
              "pvalloc(%zu) has %zu usable bytes", sizes[i], malloc_usable_size(q));
        pattern_fill(p, malloc_usable_size(p), i);
        pattern_fill(q, malloc_usable_size(q), ~i);
        CHECK(pattern_holds(p, malloc_usable_size(p), i), "valloc(%zu)", sizes[i]);
        free(p);
        free(q);
    }
}

static const struct tap_case cases[] = {
    {"posix_memalign serves every power of two and every size",
     posix_memalign_serves_all},
    {"aligned_alloc serves every power of two and every size",
     aligned_alloc_serves_all},
    {"memalign serves every power of two and every size", memalign_serves_all},
    {"all blocks of a class are aligned, not only the first",
     many_aligned_blocks_in_a_row},
    {"aligned blocks can be reallocated", aligned_blocks_are_reallocated},
    {"other alignments are EINVAL", other_alignments_are_refused},
    {"a failing posix_memalign leaves the result alone",
     posix_memalign_leaves_the_result_alone},
    {"powers of two past the address space are ENOMEM",
     impossible_alignments_are_no_memory},
    {"valloc and pvalloc give whole pages", page_functions},
};

int main(int argc, char **argv)
{
    require_pymalloc();
    return TAP_RUN(cases, argc, argv);
}
