/* pool.h: cutting a pool into blocks, and reading its lists. */
#include "arena.h"
#include "os.h"
#include "pages.h"
#include "pool.h"
#include "support.h"
#include "track.h"

#include <limits.h>
#include <sys/mman.h>

static struct pym_heap *const owner = (struct pym_heap *)0x10000;

static struct pym_pool *new_pool(unsigned cls)
{
    struct pym_pool *pool = pym_arena_take(owner, false);
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

/* ------------------------------------------------- pages that go back */

static bool is_resident(char *page)
{
    unsigned char vector = 0;
    CHECK_EQ(mincore(page, pym_os_page_size(), &vector), 0, "mincore");
    return (vector & 1) != 0;
}

/* Every block is used once, so that all pages have memory; then all but the given ones
 * are free.  Returns the number of blocks that were cut off. */
static unsigned use_and_free(struct pym_pool *pool, unsigned pages,
                             const struct pym_pool_bits *live)
{
    struct pym_pool_bits free_blocks = {{0}};
    unsigned total = 0, cut;
    while (pages-- > 0 && (cut = pym_pool_carve(pool)) > 0) {
        pool->local = NULL;
        total += cut;
    }
    for (unsigned i = 0; i < total; i++) {
        size_t size = pym_class_size(pool->cls);
        void *block = pym_track_allocated(pym_pool_block(pool, i), size);
        memset(block, (int)(i % 251 + 1), size);
        if (!pym_pool_bit(live, i)) {
            pym_track_freed(block, size);
            pym_pool_set_bit(&free_blocks, i);
        }
    }
    pym_pool_relink(pool, &free_blocks);
    return total;
}

static bool is_in_use_on(const struct pym_pool *pool, const struct pym_pool_bits *live,
                         unsigned total, size_t page)
{
    size_t size = pym_class_size(pool->cls), page_size = pym_os_page_size();
    for (unsigned i = 0; i < total; i++) {
        size_t from = pool->first + i * size;
        if (pym_pool_bit(live, i) && from < (page + 1) * page_size &&
            from + size > page * page_size) {
            return true;
        }
    }
    return false;
}

/* What is free is in the list or away; memory is gone where no block in use lies, and
 * nowhere else; contents stay. */
static void check_returned(struct pym_pool *pool, const struct pym_pool_bits *live,
                           unsigned total, size_t bytes)
{
    struct pym_pool_bits listed = {{0}};
    size_t page_size = pym_os_page_size(), gone = 0;
    size_t last_own =
        (pool->first + (total - 1) * pym_class_size(pool->cls)) / page_size;
    unsigned away = 0;
    bool intact;
    pym_pool_mark_list(pool, pool->local, &listed, &intact);
    CHECK(intact, "class %u: the list", pool->cls);
    for (size_t page = 0; page <= last_own; page++) {
        bool in_use = is_in_use_on(pool, live, total, page);
        char *start = pym_region_pool_start(pool) + page * page_size;
        CHECK_EQ(is_resident(start), in_use, "class %u: page %zu", pool->cls, page);
        gone += !in_use;
    }
    CHECK_EQ(bytes, gone * page_size, "class %u: bytes", pool->cls);
    for (unsigned i = 0; i < total; i++) {
        bool is_away = pym_pages_are_away(pool, i);
        away += is_away;
        CHECK_EQ(pym_pool_bit(live, i) + pym_pool_bit(&listed, i) + is_away, 1,
                 "class %u: block %u", pool->cls, i);
        unsigned char *block = (unsigned char *)pym_pool_block(pool, i);
        CHECK(!pym_pool_bit(live, i) ||
                  (block[0] == i % 251 + 1 &&
                   memcmp(block, block + 1, pym_class_size(pool->cls) - 1) == 0),
              "class %u: contents of block %u", pool->cls, i);
    }
    CHECK_EQ(pool->away, away, "class %u", pool->cls);
}

/* All that was away comes back, each block once, none that is in use. */
static void check_cut_anew(struct pym_pool *pool, const struct pym_pool_bits *live)
{
    struct pym_pool_bits seen = *live;
    unsigned count = 0, capacity = pym_pool_capacity(pool);
    bool intact;
    for (unsigned i = 0; i < capacity; i++) {
        count += pym_pool_bit(live, i);
    }
    do {
        /* A block that was seen before would end the list. */
        count += pym_pool_mark_list(pool, pool->local, &seen, &intact);
        CHECK(intact, "class %u: a block was cut off twice", pool->cls);
        pool->local = NULL;
    } while (pym_pool_carve(pool) > 0);
    CHECK_EQ(count, capacity, "class %u", pool->cls);
    CHECK(pym_pool_fully_carved(pool) && pool->away == 0, "class %u", pool->cls);
}

static void return_pages(unsigned cls, unsigned pages, unsigned live_blocks,
                         struct rng *rng)
{
    struct pym_pool *pool = new_pool(cls);
    struct pym_pool_bits live = {{0}};
    for (unsigned n = 0; n < live_blocks; n++) {
        size_t per_page = pym_os_page_size() / pym_class_size(cls);
        pym_pool_set_bit(&live, (unsigned)rng_below(rng, pages * per_page));
    }
    unsigned total = use_and_free(pool, pages, &live);
    check_returned(pool, &live, total, pym_pages_return(pool));
    size_t again = pym_pages_return(pool);
    CHECK_EQ(again, 0, "class %u: a second time", cls);
    check_cut_anew(pool, &live);
    pym_arena_give(pool);
}

static void pages_without_a_block_in_use_go_back(void)
{
    struct rng rng = {7};
    unsigned most = (unsigned)(PYM_POOL_SIZE / pym_os_page_size());
    if (PYM_HARDENED || most < 2) {
        SKIP("freed blocks are looked at again, or a pool is one page");
    }
    for (unsigned round = 0; round < 20; round++) {
        for (unsigned cls = 0; cls < PYM_CLASSES; cls++) {
            return_pages(cls, 1 + round % most, round % 7, &rng);
        }
    }
}

/* In a copy of the process made at any step, a list tells what is not away. */
static void a_copy_finds_what_is_away(void)
{
    struct pym_pool *pool = new_pool(7);
    struct pym_pool_bits live = {{0}}, listed = {{0}}, none = {{0}};
    bool intact;
    pym_pool_set_bit(&live, 3);
    use_and_free(pool, UINT_MAX, &live);
    if (pym_pages_return(pool) == 0) {
        pym_arena_give(pool);
        SKIP("freed blocks are looked at again, or a pool is one page");
    }
    pym_pool_mark_list(pool, pool->local, &listed, &intact);
    unsigned away = pool->away, returned = pool->returned;
    pool->away = 0;
    pym_pages_recover(pool, &listed);
    CHECK_EQ(pool->away, away, "counted anew");
    CHECK_EQ(pool->returned, returned, "no page has come back");
    /* Cut off and listed, and nothing else done yet. */
    pool->local = NULL;
    unsigned cut = pym_pool_carve(pool);
    void *list = pool->local;
    pool->returned = (uint8_t)returned;
    pool->away = (uint16_t)away;
    listed = none;
    pym_pool_mark_list(pool, list, &listed, &intact);
    pym_pages_recover(pool, &listed);
    CHECK_EQ(pool->away, away - cut, "what is listed is not away");
    CHECK_EQ(pool->returned, returned & (returned - 1), "nor is its page");
    pym_arena_give(pool);
}

static const struct tap_case cases[] = {
    {"a prepared pool is empty", a_prepared_pool_is_empty},
    {"blocks are cut off page by page", blocks_are_cut_page_by_page},
    {"blocks lie side by side", blocks_lie_side_by_side},
    {"bits are independent", bits_are_independent},
    {"marked blocks become the free list", marked_blocks_become_the_list},
    {"broken lists are survived", broken_lists_are_survived},
    {"pages without a block in use go back", pages_without_a_block_in_use_go_back},
    {"a copy finds what is away", a_copy_finds_what_is_away},
};

int main(int argc, char **argv)
{
    return TAP_RUN(cases, argc, argv);
}
