/* pool.h: cutting a pool into blocks, and reading its lists. */
#include "arena.h"
#include "os.h"
#include "pool.h"
#include "support.h"
#include "track.h"

static struct pym_heap *const owner = (struct pym_heap *)0x10000;

static struct pym_pool *new_pool(unsigned cls)
{
    struct pym_pool *pool = pym_arena_take(owner);
    if (!pool) {
        tap_bail_out("no pool can be had");
    }
    pym_pool_prepare(pool, cls, false);
    return pool;
}

/* Blocks of the pool's free list, which must all lie on their places. */
static unsigned list_length(const struct pym_pool *pool)
{
    struct pym_pool_bits bits = {{0}};
    bool intact;
    unsigned n = pym_pool_mark_list(pool, pool->local, &bits, &intact);
    CHECK(intact, "the list of class %u is not intact", pool->cls);
    return n;
}

static void a_prepared_pool_is_empty(void)
{
    struct pym_pool *pool = new_pool(3);
    CHECK(pool->cls == 3 && pool->carved == 0, "class %u, %u carved", pool->cls,
          pool->carved);
    CHECK(pool->local == NULL && pool->free_to == &pool->local, "its list");
    pym_arena_give(pool);
}

/* Page by page: what lies in a page that no block was cut from is untouched. */
static void blocks_are_cut_page_by_page(void)
{
    size_t page = pym_os_page_size();
    for (unsigned cls = 0; cls < PYM_CLASSES; cls++) {
        struct pym_pool *pool = new_pool(cls);
        size_t size = pym_class_size(cls);
        unsigned total = 0, cut;
        while ((cut = pym_pool_carve(pool)) > 0) {
            size_t first = total * size, last = (total + cut - 1) * size;
            CHECK(last / page == first / page || cut == 1,
                  "class %u: blocks %u to %u begin in several pages", cls, total,
                  total + cut - 1);
            CHECK_EQ(list_length(pool), cut, "class %u", cls);
            CHECK(pool->local == pym_pool_block(pool, total), "the first is first");
            total += cut;
            CHECK_EQ(pool->carved, total, "class %u", cls);
            pool->local = NULL; /* all handed out */
        }
        CHECK_EQ(total, pym_class_capacity(cls), "blocks of class %u", cls);
        CHECK(pym_pool_fully_carved(pool), "class %u", cls);
        CHECK_EQ(pym_pool_carve(pool), 0, "class %u is used up", cls);
        pym_arena_give(pool);
    }
}

static void blocks_lie_side_by_side(void)
{
    for (unsigned cls = 0; cls < PYM_CLASSES; cls++) {
        struct pym_pool *pool = new_pool(cls);
        size_t size = pym_class_size(cls);
        char *start = pym_region_pool_start(pool);
        for (unsigned i = 0; i < pym_class_capacity(cls); i++) {
            CHECK(pym_pool_block(pool, i) == start + i * size, "class %u, block %u",
                  cls, i);
        }
        pym_arena_give(pool);
    }
}

static void bits_are_independent(void)
{
    struct pym_pool_bits bits = {{0}};
    for (unsigned i = 0; i < PYM_POOL_BLOCKS_MAX; i += 3) {
        pym_pool_set_bit(&bits, i);
    }
    for (unsigned i = 0; i < PYM_POOL_BLOCKS_MAX; i++) {
        CHECK_EQ(pym_pool_bit(&bits, i), i % 3 == 0, "bit %u", i);
    }
}

static void marked_blocks_become_the_list(void)
{
    for (unsigned cls = 0; cls < PYM_CLASSES; cls += 5) {
        struct pym_pool *pool = new_pool(cls);
        struct pym_pool_bits bits = {{0}}, again = {{0}};
        unsigned count = 0;
        bool intact;
        while (pym_pool_carve(pool) > 0) {
            pool->local = NULL;
        }
        for (unsigned i = 0; i < pym_class_capacity(cls); i += 1 + i % 4) {
            pym_pool_set_bit(&bits, i);
            count++;
        }
        pym_pool_relink(pool, &bits);
        CHECK_EQ(pym_pool_mark_list(pool, pool->local, &again, &intact), count,
                 "class %u", cls);
        CHECK(intact && memcmp(&bits, &again, sizeof bits) == 0, "class %u", cls);
        pym_arena_give(pool);
    }
}

/* Lists that somebody wrote over, or is changing: followed as far as they make
 * sense, never further, never for ever. */
static void broken_lists_are_survived(void)
{
    struct pym_pool *pool = new_pool(4), *other = new_pool(4);
    pym_pool_carve(pool);
    pym_pool_carve(other);
    unsigned whole = list_length(pool);
    char *third = pym_pool_block(pool, 2);
    void *link = pym_link_get(third);
    static char outside;
    void *bad[] = {third,
                   pym_pool_block(pool, 0),
                   pym_pool_block(pool, 3) + 16,
                   pym_pool_block(other, 3),
                   pym_region_pool_start(pool) + PYM_POOL_SIZE,
                   pym_region_pool_start(pool) - 80,
                   &outside,
                   (void *)1,
                   (void *)~(uintptr_t)0};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct pym_pool_bits bits = {{0}};
        bool intact = true;
        pym_link_set(third, bad[i]);
        CHECK_EQ(pym_pool_mark_list(pool, pool->local, &bits, &intact), 3, "link %zu",
                 i);
        CHECK(!intact, "link %zu was taken for a good one", i);
    }
    pym_link_set(third, link);
    CHECK_EQ(list_length(pool), whole, "the mended list");
    pym_arena_give(pool);
    pym_arena_give(other);
}

static const struct tap_case cases[] = {
    {"a prepared pool is empty", a_prepared_pool_is_empty},
    {"blocks are cut off page by page", blocks_are_cut_page_by_page},
    {"blocks lie side by side", blocks_lie_side_by_side},
    {"bits are independent", bits_are_independent},
    {"marked blocks become the free list", marked_blocks_become_the_list},
    {"broken lists are survived", broken_lists_are_survived},
};

int main(int argc, char **argv)
{
    return TAP_RUN(cases, argc, argv);
}
