#include "pages.h"

#include "os.h"
#include "track.h"

struct range {
    unsigned from, to; /* without to */
};

/* The blocks that were ever cut off and lie in a page, wholly or in part. */
static struct range blocks_of_page(const struct pym_pool *pool, unsigned page)
{
    size_t size = pym_class_size(pool->cls);
    size_t start = page * pym_os_page_size();
    size_t end = start + pym_os_page_size() - pool->first;
    struct range blocks = {0, (unsigned)((end + size - 1) / size)};
    if (page > 0) {
        blocks.from = (unsigned)((start - pool->first) / size);
    }
    blocks.to = blocks.to < pool->carved ? blocks.to : pool->carved;
    return blocks;
}

/* The pages that a block lies in: one or two. */
static unsigned pages_of_block(const struct pym_pool *pool, unsigned index)
{
    size_t size = pym_class_size(pool->cls);
    size_t offset = pool->first + index * size;
    return 1u << offset / pym_os_page_size() |
           1u << (offset + size - 1) / pym_os_page_size();
}

bool pym_pages_are_away(const struct pym_pool *pool, unsigned index)
{
    return pool->returned != 0 && (pages_of_block(pool, index) & pool->returned) != 0;
}

/* One whole page's blocks, less one that reaches into the next if that is not there. */
unsigned pym_pages_carve(struct pym_pool *pool)
{
    unsigned page = (unsigned)__builtin_ctz(pool->returned);
    unsigned others = pool->returned & ~(1u << page);
    struct range blocks = blocks_of_page(pool, page);
    blocks.to -= (pages_of_block(pool, blocks.to - 1) & others) != 0;
    pym_pool_cut(pool, blocks.from, blocks.to);
    pool->returned = (uint8_t)others;
    pool->away = (uint16_t)(pool->away - (blocks.to - blocks.from));
    return blocks.to - blocks.from;
}

/* Whether no block of a page is in use, and one of its own was cut off. */
static bool is_page_free(const struct pym_pool *pool, unsigned page,
                         const struct pym_pool_bits *free_blocks)
{
    struct range blocks = blocks_of_page(pool, page);
    for (unsigned i = blocks.from; i < blocks.to; i++) {
        if (!pym_pool_bit(free_blocks, i) && !pym_pages_are_away(pool, i)) {
            return false;
        }
    }
    size_t last = pool->first + (blocks.to - 1) * pym_class_size(pool->cls);
    return blocks.from < blocks.to && last >= page * pym_os_page_size();
}

static unsigned free_pages(const struct pym_pool *pool,
                           const struct pym_pool_bits *free_blocks)
{
    unsigned count = (unsigned)(PYM_POOL_SIZE / pym_os_page_size());
    unsigned pages = 0;
    for (unsigned page = 0; page < count; page++) {
        if ((pool->returned & 1u << page) == 0 &&
            is_page_free(pool, page, free_blocks)) {
            pages |= 1u << page;
        }
    }
    return pages;
}

/* Unmarks the blocks of some pages.  Returns their number. */
static unsigned remove_blocks(const struct pym_pool *pool, unsigned pages,
                              struct pym_pool_bits *bits)
{
    unsigned removed = 0;
    for (; pages != 0; pages &= pages - 1) {
        struct range blocks = blocks_of_page(pool, (unsigned)__builtin_ctz(pages));
        for (unsigned i = blocks.from; i < blocks.to; i++) {
            removed += pym_pool_bit(bits, i);
            pym_pool_clear_bit(bits, i);
        }
    }
    return removed;
}

/* Runs of pages in one call each.  Returns the bytes. */
static size_t purge_pages(const struct pym_pool *pool, unsigned pages)
{
    size_t page = pym_os_page_size();
    size_t bytes = 0;
    while (pages != 0) {
        unsigned start = (unsigned)__builtin_ctz(pages);
        unsigned length = (unsigned)__builtin_ctz(~(pages >> start));
        if (pym_os_purge(pym_region_pool_start(pool) + start * page, length * page) ==
            0) {
            bytes += length * page;
        }
        pages &= ~(((1u << length) - 1) << start);
    }
    return bytes;
}

/* Loads all lines of the pages that have memory at once, for the list that leads
 * through them one after the other: 2 us a pool in the place of 13.  Prefetches do not
 * help, since most are dropped. */
static PYM_RACY void fetch(const struct pym_pool *pool)
{
    char *start = pym_region_pool_start(pool);
    size_t page = pym_os_page_size();
    size_t end = pool->carved * pym_class_size(pool->cls);
    uintptr_t all = 0;
    for (size_t i = 0; i < end; i += PYM_CACHE_LINE) {
        if ((pool->returned & 1u << i / page) != 0) {
            i += page - PYM_CACHE_LINE;
        } else {
            all |= (uintptr_t)pym_link_peek(start + i);
        }
    }
    __asm__ volatile("" : : "r"(all));
}

size_t pym_pages_return(struct pym_pool *pool)
{
    if (PYM_HARDENED || pym_os_page_size() >= PYM_POOL_SIZE) {
        return 0; /* freed blocks have to be looked at again; no page is a part */
    }
    fetch(pool);
    struct pym_pool_bits bits = {{0}};
    bool intact;
    (void)pym_pool_mark_list(pool, pool->local, &bits, &intact);
    unsigned pages = free_pages(pool, &bits);
    if (pages == 0 || !intact) {
        return 0;
    }
    unsigned removed = remove_blocks(pool, pages, &bits);
    pym_pool_relink(pool, &bits);
    pym_snapshot_order();
    pool->returned |= (uint8_t)pages;
    pool->away = (uint16_t)(pool->away + removed);
    return purge_pages(pool, pages);
}

void pym_pages_recover(struct pym_pool *pool, const struct pym_pool_bits *bits)
{
    for (unsigned i = 0; i < pym_pool_capacity(pool); i++) {
        if (pym_pool_bit(bits, i)) {
            pool->carved = (uint16_t)(i < pool->carved ? pool->carved : i + 1);
            pool->returned &= (uint8_t)~pages_of_block(pool, i);
        }
    }
    pool->away = 0;
    for (unsigned i = 0; i < pool->carved; i++) {
        pool->away = (uint16_t)(pool->away + pym_pages_are_away(pool, i));
    }
}
