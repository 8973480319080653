/* Blocks of the C library's own malloc, as a library bound to it hands them
 * out: our free, realloc and malloc_usable_size must pass them on. */
#include "c23.h"
#include "support.h"

#include <malloc.h>
#include <pthread.h>

static void *(*libc_malloc)(size_t);
static void *(*libc_calloc)(size_t, size_t);
static void *(*libc_memalign)(size_t, size_t);
static void (*libc_free)(void *);

static const size_t sizes[] = {0,     1,      16,      24,      100,  504,
                               512,   513,    800,     1000,    5000, 32768,
                               65536, 200000, 1 << 20, 10 << 20};

static void find_the_library(void)
{
    libc_malloc = (void *(*)(size_t))libc_function("__libc_malloc");
    libc_calloc = (void *(*)(size_t, size_t))libc_function("__libc_calloc");
    libc_memalign = (void *(*)(size_t, size_t))libc_function("__libc_memalign");
    libc_free = (void (*)(void *))libc_function("__libc_free");
}

static void are_not_owned(void)
{
    int local;
    static int global;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        void *p = libc_malloc(sizes[i]);
        CHECK(!pymalloc_owns(p), "a block of %zu of the C library is ours", sizes[i]);
        libc_free(p);
    }
    CHECK(!pymalloc_owns(&local), "the stack is ours");
    CHECK(!pymalloc_owns(&global), "static data is ours");
    CHECK(!pymalloc_owns(NULL), "NULL is ours");
    CHECK(!pymalloc_owns((void *)(uintptr_t)-1), "the last address is ours");
    CHECK(!pymalloc_owns((void *)(uintptr_t)16), "address 16 is ours");
    CHECK(!pymalloc_owns((void *)are_not_owned), "code is ours");
}

static void can_be_freed(void)
{
    for (int round = 0; round < 200; round++) {
        for (size_t i = 0; i < COUNT_OF(sizes); i++) {
            void *p = libc_malloc(sizes[i]), *q = libc_calloc(1, sizes[i]);
            void *r = libc_memalign(64, sizes[i]), *s = libc_malloc(sizes[i]);
            errno = 77;
            free(p);
            cfree(q);
            free_aligned_sized(r, 64, sizes[i]);
            free_sized(s, sizes[i]);
            CHECK_EQ(errno, 77, "freeing blocks of %zu", sizes[i]);
        }
    }
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
}

static void have_their_usable_size(void)
{
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        void *p = libc_malloc(sizes[i]);
        size_t usable = malloc_usable_size(p);
        CHECK(usable >= sizes[i], "%zu bytes have %zu usable", sizes[i], usable);
        pattern_fill(p, usable, i);
        CHECK(pattern_holds(p, usable, i), "%zu bytes", sizes[i]);
        libc_free(p);
    }
}

static void can_be_reallocated(void)
{
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        for (size_t k = 1; k < COUNT_OF(sizes); k++) {
            size_t kept = sizes[i] < sizes[k] ? sizes[i] : sizes[k];
            void *p =
                (i + k) % 2 ? libc_malloc(sizes[i]) : libc_memalign(256, sizes[i]);
            pattern_fill(p, sizes[i], i + k);
            void *q = realloc(p, sizes[k]);
            CHECK(q && (uintptr_t)q % ALIGNMENT == 0, "%zu to %zu gave %p", sizes[i],
                  sizes[k], q);
            CHECK(pattern_holds(q, kept, i + k), "%zu to %zu", sizes[i], sizes[k]);
            CHECK(malloc_usable_size(q) >= sizes[k], "%zu to %zu", sizes[i], sizes[k]);
            pattern_fill(q, malloc_usable_size(q), 3);
            free(q);
        }
    }
    void *p = libc_malloc(100);
    CHECK(realloc(p, opaque_size(0)) == NULL, "realloc to 0 gave a block");
}

static void survive_a_failing_realloc(void)
{
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        void *p = libc_malloc(sizes[i]);
        pattern_fill(p, sizes[i], i);
        errno = 0;
        CHECK(realloc(p, opaque_size(SIZE_MAX)) == NULL, "of %zu", sizes[i]);
        CHECK_EQ(errno, ENOMEM, "of %zu", sizes[i]);
        CHECK(pattern_holds(p, sizes[i], i), "of %zu", sizes[i]);
        libc_free(p);
    }
}

/* Large blocks of ours come from the C library, so each may free the other's;
 * the bookkeeping of our cache must stand that. */
static void mix_with_ours(void)
{
    enum { BLOCKS = 2000 };
    static void *p[BLOCKS];
    struct rng rng = {3};
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < BLOCKS; i++) {
            size_t n = rng_below(&rng, i % 8 ? 2000 : 40000);
            p[i] = i % 2 ? malloc(n) : libc_malloc(n);
            memset(p[i], i, n);
        }
        for (int i = 0; i < BLOCKS; i++) {
            free(p[(size_t)i * 7 % BLOCKS]);
        }
    }
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
}

static void *free_elsewhere(void *arg)
{
    void **p = arg;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        if (i % 3 == 0) {
            p[i] = realloc(p[i], sizes[i] + 1000);
        }
        free(p[i]);
    }
    return NULL;
}

static void can_be_freed_in_another_thread(void)
{
    for (int round = 0; round < 50; round++) {
        void *p[COUNT_OF(sizes)];
        for (size_t i = 0; i < COUNT_OF(sizes); i++) {
            p[i] = libc_malloc(sizes[i]);
        }
        pthread_t thread;
        pthread_create(&thread, NULL, free_elsewhere, p);
        pthread_join(thread, NULL);
    }
}

static const struct tap_case cases[] = {
    {"foreign memory is not owned", are_not_owned},
    {"foreign blocks can be freed", can_be_freed},
    {"foreign blocks have their usable size", have_their_usable_size},
    {"foreign blocks can be reallocated", can_be_reallocated},
    {"foreign blocks survive a failing realloc", survive_a_failing_realloc},
    {"foreign blocks mix with ours", mix_with_ours},
    {"foreign blocks can be freed in another thread", can_be_freed_in_another_thread},
};

int main(int argc, char **argv)
{
    require_pymalloc();
    find_the_library();
    return TAP_RUN(cases, argc, argv);
}
