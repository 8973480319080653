/* Systems with pages of 4, 16 and 64 KiB: whatever the core asks of the kernel must be
 * whole pages, since the kernel refuses the rest.  Here the system's pages are as
 * before, and a wrapper for the page size says otherwise. */
#include "alloc.h"
#include "arena.h"
#include "os.h"
#include "support.h"

static size_t page = 4096;
static unsigned calls;

size_t __wrap_pym_os_page_size(void);
size_t __wrap_pym_os_page_size(void)
{
    return page;
}

static void check_whole(const char *call, const void *start, size_t size)
{
    CHECK((uintptr_t)start % page == 0 && size % page == 0,
          "%s of %zu bytes at %p with pages of %zu", call, size, start, page);
}

#define WRAPPED(name)                                                                  \
    int __real_##name(void *start, size_t size);                                       \
    int __wrap_##name(void *start, size_t size);                                       \
    int __wrap_##name(void *start, size_t size)                                        \
    {                                                                                  \
        check_whole(#name, start, size);                                               \
        (void)__atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);                         \
        return __real_##name(start, size);                                             \
    }

WRAPPED(pym_os_purge)
WRAPPED(pym_os_commit)

void __real_pym_os_unmap(void *start, size_t size);
void __wrap_pym_os_unmap(void *start, size_t size);
void __wrap_pym_os_unmap(void *start, size_t size)
{
    check_whole("pym_os_unmap", start, size);
    __real_pym_os_unmap(start, size);
}

/* Blocks of all classes and of system sizes, with what comes and goes of pools. */
static void allocate_a_lot(void)
{
    enum { BLOCKS = 40000 };
    char **block = pages(BLOCKS * sizeof *block);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < BLOCKS; i++) {
            size_t size = i % 100 ? i % SMALL_MAX + 1 : 3000;
            block[i] = pym_alloc_malloc(size);
            memset(block[i], 1, size);
        }
        for (size_t i = 0; i < BLOCKS; i++) {
            pym_alloc_free(block[i]);
        }
        pymalloc_purge();
        CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
    }
    munmap(block, BLOCKS * sizeof *block);
}

/* An arena whose pools are all free, one of them used since the last purge. */
static void dirty_one_pool(void)
{
    struct pym_heap *nobody = (struct pym_heap *)64;
    struct pym_pool *pool[3];
    pymalloc_purge();
    CHECK(!pym_arena_has_dirty(), "something is dirty after a purge");
    for (size_t i = 0; i < COUNT_OF(pool); i++) {
        pool[i] = pym_arena_take(nobody, false);
    }
    memset(pym_track_allocated(pym_region_pool_start(pool[1]), PYM_POOL_SIZE), 1,
           PYM_POOL_SIZE);
    for (size_t i = 0; i < COUNT_OF(pool); i++) {
        pym_arena_give(pool[i]);
    }
    pym_arena_purge_all();
    CHECK(!pym_arena_has_dirty(), "something is dirty after a purge");
    CHECK(all_zero(pym_region_pool_start(pool[1]), PYM_POOL_SIZE), "memory has stayed");
}

static int work(void *size)
{
    page = *(size_t *)size;
    allocate_a_lot();
    dirty_one_pool();
    CHECK(calls > 10, "the wrappers are not called");
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
    return tap_failures != 0;
}

/* In a child: the region is laid out once. */
static void with_pages_of(size_t size)
{
    CHECK_EQ(in_child(work, &size, 90), 0, "pages of %zu bytes", size);
}

static void of_4_kib(void)
{
    with_pages_of(4096);
}

static void of_16_kib(void)
{
    with_pages_of(16384);
}

static void of_64_kib(void)
{
    with_pages_of(65536);
}

static const struct tap_case cases[] = {
    {"pages of 4 KiB", of_4_kib},
    {"pages of 16 KiB", of_16_kib},
    {"pages of 64 KiB", of_64_kib},
};

int main(int argc, char **argv)
{
    return TAP_RUN(cases, argc, argv);
}
