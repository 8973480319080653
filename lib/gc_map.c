#include "gc_map.h"

#include "alloc.h"
#include "gc_reference.h"

struct gc_map_large {
    const struct pygc_header *header; /* NULL: none */
    uint32_t number;
};

/* ---- numbers ---- */

static void number_pool(struct pym_pool *pool, void *arg)
{
    struct gc_map *map = arg;
    map->first[pym_region_pool_index(pool)] = (uint32_t)map->count;
    map->count += pool->carved;
}

static void count_blocks(struct pym_pool *pool, void *arg)
{
    *(size_t *)arg += pool->carved;
}

static size_t count_large(const struct pygc_heap *heap)
{
    size_t count = 0;
    for (const struct gc_large *large = heap->large; large != NULL;
         large = large->next) {
        count++;
    }
    return count;
}

static struct gc_map_large *find_large(const struct gc_map *map,
                                       const struct pygc_header *header)
{
    size_t i = gc_hash(header) & (map->large_size - 1);
    while (map->large[i].header != NULL && map->large[i].header != header) {
        i = (i + 1) & (map->large_size - 1);
    }
    return &map->large[i];
}

static void number_large(struct gc_map *map)
{
    for (struct gc_large *large = map->heap->large; large != NULL;
         large = large->next) {
        *find_large(map, &large->header) =
            (struct gc_map_large){&large->header, (uint32_t)map->count++};
    }
}

/* False with no memory, or if there are too many for numbers of 32 bits. */
static bool number_objects(struct gc_map *map)
{
    size_t blocks = 0, large = count_large(map->heap);
    gc_each_pool(map->heap, count_blocks, &blocks);
    if (blocks + large >= GC_HELD_MOST) {
        return false;
    }
    map->pools = pym_region_limit() >> PYM_POOL_SHIFT;
    for (map->large_size = 1; map->large_size < 2 * large + 1;) {
        map->large_size *= 2;
    }
    map->first = pym_alloc_malloc((map->pools + 1) * sizeof(map->first[0]));
    map->large = pym_alloc_calloc(map->large_size, sizeof(map->large[0]));
    map->held = pym_alloc_calloc(blocks + large + 1, sizeof(map->held[0]));
    if (map->first == NULL || map->large == NULL || map->held == NULL) {
        return false;
    }
    gc_each_pool(map->heap, number_pool, map);
    number_large(map);
    return true;
}

static uint32_t number_in_pool(const struct gc_map *map, uintptr_t header)
{
    const struct pym_pool *pool = pym_region_pool_of((const void *)header);
    size_t at = pym_region_pool_index(pool);
    if (at >= map->pools || !gc_heap_has_pool(map->heap, pool)) {
        return GC_NO_NUMBER;
    }
    size_t offset = header - (uintptr_t)pym_pool_block(pool, 0);
    size_t size = pym_class_size(pool->cls);
    size_t index = offset / size;
    if (index >= pool->carved || offset != index * size ||
        gc_live_header(pym_pool_block(pool, (unsigned)index)) == NULL) {
        return GC_NO_NUMBER;
    }
    return map->first[at] + (uint32_t)index;
}

uint32_t gc_map_number(const struct gc_map *map, const void *object)
{
    uintptr_t header = (uintptr_t)object - sizeof(struct pygc_header);
    if (pym_region_owns((const void *)header)) {
        return number_in_pool(map, header);
    }
    const struct gc_map_large *large = find_large(map, (const void *)header);
    bool is_there = large->header != NULL && (large->header->bits & GC_PENDING) == 0;
    return is_there ? large->number : GC_NO_NUMBER;
}

/* ---- counts ---- */

void gc_map_hold(struct gc_map *map, const void *object)
{
    uint32_t number = gc_map_number(map, object);
    if (number != GC_NO_NUMBER) {
        map->held[number] += map->held[number] < GC_HELD_MOST;
    }
}

static void hold(void *const *slot, const void *object, void *arg)
{
    (void)slot;
    gc_map_hold(arg, object);
}

static void hold_referents(struct pygc_header *header, void *arg)
{
    gc_each_reference(header, hold, arg);
}

size_t gc_map_unaccounted(const struct gc_map *map, const struct pygc_header *header)
{
    uint32_t held = map->held[gc_map_number(map, header + 1)];
    if ((header->refs & GC_IMMORTAL) != 0) {
        return PYGC_IMMORTAL;
    }
    return header->refs > held ? header->refs - held : 0;
}

/* ---- making ---- */

bool gc_map_make(struct gc_map *map, struct pygc_heap *heap)
{
    *map = (struct gc_map){.heap = heap};
    if (!number_objects(map)) {
        return false;
    }
    gc_each_object(heap, hold_referents, map);
    return true;
}

void gc_map_free(struct gc_map *map)
{
    pym_alloc_free(map->first);
    pym_alloc_free(map->large);
    pym_alloc_free(map->held);
    map->first = map->held = NULL;
    map->large = NULL;
}
