#include "pool.h"

#include "check.h"
#include "options.h"
#include "os.h"
#include "pages.h"
#include "track.h"

static uint8_t first_block(unsigned cls)
{
    size_t header = PYM_OPTION(header) & ~(PYM_GRAIN - 1);
    bool whole_lines = pym_class_size(cls) % PYM_CACHE_LINE == 0;
    return whole_lines && header != 0 ? (uint8_t)(PYM_CACHE_LINE - header) : 0;
}

void pym_pool_prepare(struct pym_pool *pool, unsigned cls, bool is_tagged)
{
    pool->local = NULL;
    pool->free_to = &pool->local;
    pool->carved = 0;
    pool->cls = (uint8_t)cls;
    pool->first = is_tagged ? PYM_GRAIN / 2 : first_block(cls);
    pool->listed = 0;
    pool->returned = 0;
    pool->away = 0;
    pym_region_forget_states(pool);
}

/* Links blocks that lie side by side, in their order.  Returns the first. */
static char *link_in_order(char *block, size_t size, unsigned count)
{
    char *head = block;
    for (; count > 1; count--, block += size) {
        pym_link_set(block, block + size);
    }
    pym_link_set(block, NULL);
    return head;
}

/* The same in an order that nobody can foresee: each goes to one of both ends. */
static char *link_at_random(char *block, size_t size, unsigned count)
{
    char *head = block;
    char *tail = block;
    uint64_t choice = 0;
    for (unsigned i = 1; i < count; i++) {
        block += size;
        choice = choice > 1 ? choice >> 1 : pym_harden_random() | (uint64_t)1 << 63;
        if ((choice & 1) != 0) {
            pym_link_set(block, head);
            head = block;
        } else {
            pym_link_set(tail, block);
            tail = block;
        }
    }
    pym_link_set(tail, NULL);
    return head;
}

void pym_pool_cut(struct pym_pool *pool, unsigned from, unsigned to)
{
    size_t size = pym_class_size(pool->cls);
    char *block = pym_pool_block(pool, from);
    char *head = PYM_HARDENED ? link_at_random(block, size, to - from)
                              : link_in_order(block, size, to - from);
    pym_track_freed(block, (to - from) * size);
    *pool->free_to = head;
    pym_snapshot_order();
}

unsigned pym_pool_carve(struct pym_pool *pool)
{
    PYM_ASSERT(*pool->free_to == NULL);
    if (PYM_UNLIKELY(pool->returned != 0)) {
        return pym_pages_carve(pool);
    }
    size_t size = pym_class_size(pool->cls);
    unsigned from = pool->carved;
    unsigned capacity = pym_pool_capacity(pool);
    size_t offset = pool->first + from * size;
    size_t page_end = pym_round_up(offset + 1, pym_os_page_size());
    unsigned to = from + (unsigned)((page_end - offset + size - 1) / size);
    to = to < capacity ? to : capacity;
    if (from == to) {
        return 0;
    }
    pym_pool_cut(pool, from, to);
    pool->carved = (uint16_t)to;
    return to - from;
}

PYM_RACY unsigned pym_pool_mark_list(const struct pym_pool *pool, void *list,
                                     struct pym_pool_bits *bits, bool *intact)
{
    unsigned size = (unsigned)pym_class_size(pool->cls);
    unsigned capacity = pym_pool_capacity(pool);
    uintptr_t start = (uintptr_t)pym_pool_block(pool, 0);
    unsigned marked = 0;
    while (list != NULL) {
        size_t offset = (uintptr_t)list - start;
        if (offset >= PYM_POOL_SIZE) {
            break;
        }
        unsigned index = (unsigned)offset / size;
        if ((unsigned)offset % size != 0 || index >= capacity ||
            pym_pool_bit(bits, index)) {
            break;
        }
        pym_pool_set_bit(bits, index);
        marked++;
        list = pym_link_peek(list);
    }
    *intact = list == NULL;
    return marked;
}

PYM_RARE_CODE void pym_pool_relink(struct pym_pool *pool,
                                   const struct pym_pool_bits *bits)
{
    void *list = NULL;
    for (unsigned i = pym_pool_capacity(pool); i-- > 0;) {
        if (pym_pool_bit(bits, i)) {
            char *block = pym_pool_block(pool, i);
            pym_link_set(block, list);
            list = block;
        }
    }
    pool->local = list;
}
