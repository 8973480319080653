#include "pool.h"

#include "check.h"
#include "os.h"
#include "track.h"

void pym_pool_prepare(struct pym_pool *pool, unsigned cls)
{
    pool->local = NULL;
    pool->free_to = &pool->local;
    pool->carved = 0;
    pool->cls = (uint8_t)cls;
}

unsigned pym_pool_carve(struct pym_pool *pool)
{
    PYM_ASSERT(*pool->free_to == NULL);
    size_t size = pym_class_size(pool->cls);
    unsigned from = pool->carved;
    unsigned capacity = pym_class_capacity(pool->cls);
    size_t page_end = pym_round_up(from * size + 1, pym_os_page_size());
    unsigned to = (unsigned)((page_end + size - 1) / size);
    to = to < capacity ? to : capacity;
    if (from == to) {
        return 0;
    }
    char *block = pym_pool_block(pool, from);
    char *head = block;
    for (unsigned i = from + 1; i < to; i++, block += size) {
        pym_link_set(block, block + size);
    }
    pym_link_set(block, NULL);
    pym_track_freed(head, (to - from) * size);
    *pool->free_to = head;
    pym_snapshot_order();
    pool->carved = (uint16_t)to;
    return to - from;
}

PYM_RACY unsigned pym_pool_mark_list(const struct pym_pool *pool, void *list,
                                     struct pym_pool_bits *bits, bool *intact)
{
    size_t size = pym_class_size(pool->cls);
    unsigned capacity = pym_class_capacity(pool->cls);
    uintptr_t start = (uintptr_t)pym_region_pool_start(pool);
    unsigned marked = 0;
    while (list != NULL) {
        size_t offset = (uintptr_t)list - start;
        size_t index = offset / size;
        if (offset >= PYM_POOL_SIZE || offset % size != 0 || index >= capacity ||
            pym_pool_bit(bits, (unsigned)index)) {
            break;
        }
        pym_pool_set_bit(bits, (unsigned)index);
        marked++;
        list = pym_link_get(list);
    }
    *intact = list == NULL;
    return marked;
}

void pym_pool_relink(struct pym_pool *pool, const struct pym_pool_bits *bits)
{
    void *list = NULL;
    for (unsigned i = pym_class_capacity(pool->cls); i-- > 0;) {
        if (pym_pool_bit(bits, i)) {
            char *block = pym_pool_block(pool, i);
            pym_link_set(block, list);
            list = block;
        }
    }
    pool->local = list;
}
