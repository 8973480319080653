/* free and its kin: errno is the program's, NULL is nothing, sizes are hints. */
#include "c23.h"
#include "support.h"

#include <malloc.h>
#include <pthread.h>

enum { MARK = 7777, BLOCKS = 40000 };

static void *blocks[BLOCKS];

/* From a block of a pool to one that has a mapping of its own. */
static const size_t sizes[] = {1,     16,    100,   512,    513,    1000,    5000,
                               20000, 32768, 40000, 130000, 200000, 1 << 20, 40 << 20};

enum how { BY_FREE, BY_CFREE, BY_FREE_SIZED, BY_ALIGNED_SIZED, BY_REALLOC, WAYS };

static const char *const how_name[WAYS] = {"free", "cfree", "free_sized",
                                           "free_aligned_sized", "realloc to 0"};

static void *get(enum how how, size_t size)
{
    return how == BY_ALIGNED_SIZED ? aligned_alloc(64, size) : malloc(size);
}

static void give(enum how how, void *p, size_t size)
{
    switch (how) {
    case BY_FREE:
        free(p);
        break;
    case BY_CFREE:
        cfree(p);
        break;
    case BY_FREE_SIZED:
        free_sized(p, size);
        break;
    case BY_ALIGNED_SIZED:
        free_aligned_sized(p, 64, size);
        break;
    default:
        CHECK(realloc(p, opaque_size(0)) == NULL, "realloc(p, 0) gave a block");
    }
}

/* Enough blocks of each size for every slow path: pools that become empty,
 * arenas that go back to the system, a cache that overflows, munmap. */
static size_t blocks_of(size_t size)
{
    size_t n = ((size_t)96 << 20) / size;
    return n > BLOCKS ? BLOCKS : n;
}

static void errno_survives(enum how how)
{
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        size_t count = blocks_of(sizes[i]);
        for (size_t k = 0; k < count; k++) {
            blocks[k] = get(how, sizes[i]);
        }
        errno = MARK;
        for (size_t k = 0; k < count; k++) {
            give(how, blocks[k], sizes[i]);
        }
        CHECK_EQ(errno, MARK, "%s of %zu blocks of %zu bytes", how_name[how], count,
                 sizes[i]);
    }
}

static void errno_survives_free(void)
{
    errno_survives(BY_FREE);
}

static void errno_survives_cfree(void)
{
    errno_survives(BY_CFREE);
}

static void errno_survives_sized(void)
{
    errno_survives(BY_FREE_SIZED);
    errno_survives(BY_ALIGNED_SIZED);
}

static void errno_survives_realloc_to_zero(void)
{
    errno_survives(BY_REALLOC);
}

struct errand {
    enum how how;
    size_t size, count;
    int errno_after;
};

static void *free_for_another(void *arg)
{
    struct errand *errand = arg;
    errno = MARK;
    for (size_t k = 0; k < errand->count; k++) {
        give(errand->how, blocks[k], errand->size);
    }
    errand->errno_after = errno;
    return NULL;
}

static void errno_survives_remote_frees(void)
{
    for (int how = 0; how < WAYS; how++) {
        for (size_t i = 0; i < COUNT_OF(sizes); i++) {
            struct errand errand = {(enum how)how, sizes[i], blocks_of(sizes[i]), 0};
            pthread_t thread;
            for (size_t k = 0; k < errand.count; k++) {
                blocks[k] = get(errand.how, errand.size);
            }
            pthread_create(&thread, NULL, free_for_another, &errand);
            pthread_join(thread, NULL);
            CHECK_EQ(errand.errno_after, MARK, "%s of %zu remote blocks of %zu bytes",
                     how_name[how], errand.count, errand.size);
        }
    }
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
}

static void null_is_nothing(void)
{
    struct pymalloc_totals before, after;
    pymalloc_stats(&before);
    errno = MARK;
    for (int i = 0; i < 1000; i++) {
        free(opaque(NULL));
        cfree(opaque(NULL));
        free_sized(opaque(NULL), 100);
        free_aligned_sized(opaque(NULL), 64, 100);
    }
    CHECK_EQ(errno, MARK, "after freeing NULL");
    pymalloc_stats(&after);
    CHECK_EQ(after.small_frees, before.small_frees, "small blocks freed");
    CHECK_EQ(after.large_frees, before.large_frees, "large blocks freed");
}

/* Code built with a mismatched delete exists, and other allocators crash. */
static void a_wrong_size_is_harmless(void)
{
    struct pymalloc_totals before, after;
    pymalloc_stats(&before);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        for (size_t k = 0; k < COUNT_OF(sizes); k++) {
            free_sized(opaque(malloc(sizes[i])), sizes[k]);
            free_aligned_sized(opaque(aligned_alloc(16, sizes[i])), 16, sizes[k]);
        }
    }
    pymalloc_stats(&after);
    CHECK_EQ(after.small_live, before.small_live, "small blocks");
    CHECK_EQ(after.large_allocs - after.large_frees,
             before.large_allocs - before.large_frees, "large blocks");
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
}

/* But for the moments at which blocks that were idle for a second go back. */
static void is_used_again(size_t size)
{
    int used = 0;
    for (int tries = 0; tries < 5 && !used; tries++) {
        void *p = opaque(malloc(size));
        free(p);
        void *q = opaque(malloc(size));
        used = p == q;
        free(q);
    }
    CHECK(used, "a block of %zu bytes was not used again at once", size);
}

static void small_blocks_are_used_again(void)
{
    for (size_t n = 1; n <= SMALL_MAX; n += 37) {
        is_used_again(n);
    }
}

static void large_blocks_are_used_again(void)
{
    struct pymalloc_totals s;
    free(opaque(malloc(5000)));
    pymalloc_stats(&s);
    if (s.large_cached == 0) {
        SKIP("there is no cache with this system allocator");
    }
    for (size_t n = 600; n <= 30000; n += 1400) {
        is_used_again(n);
    }
}

static const struct tap_case cases[] = {
    {"free leaves errno alone", errno_survives_free},
    {"cfree leaves errno alone", errno_survives_cfree},
    {"free_sized and free_aligned_sized leave errno alone", errno_survives_sized},
    {"realloc to 0 leaves errno alone", errno_survives_realloc_to_zero},
    {"freeing another thread's blocks leaves errno alone", errno_survives_remote_frees},
    {"freeing NULL does nothing", null_is_nothing},
    {"a wrong size in free_sized is harmless", a_wrong_size_is_harmless},
    {"a freed small block is the next one of its size", small_blocks_are_used_again},
    {"a freed large block is the next one of its size", large_blocks_are_used_again},
};

int main(int argc, char **argv)
{
    require_pymalloc();
    return TAP_RUN(cases, argc, argv);
}
