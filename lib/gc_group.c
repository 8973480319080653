#include "gc_group.h"

#include "alloc.h"

/* ---- making ---- */

static size_t pool_of(const struct pygc_header *header)
{
    return pym_region_offset(header) >> PYM_POOL_SHIFT;
}

bool gc_groups_begin(struct gc_groups *groups, size_t count)
{
    size_t pools = pym_region_limit() >> PYM_POOL_SHIFT;
    if (count >= UINT32_MAX) {
        return false;
    }
    groups->parent = pym_alloc_malloc(count * sizeof(uint32_t));
    groups->next = pym_alloc_malloc(count * sizeof(uint32_t));
    groups->weight = pym_alloc_malloc(count * sizeof(uint32_t));
    groups->first = pym_alloc_malloc(pools * sizeof(uint32_t));
    return groups->parent != NULL && groups->next != NULL && groups->weight != NULL &&
           groups->first != NULL;
}

/* Its references are work as well. */
static uint32_t weight_of_large(const struct pygc_header *header)
{
    enum { REFERENCES = 4 }; /* that weigh as much as an object */
    size_t weight = 1 + gc_block_bytes(header) / sizeof(void *) / REFERENCES;
    return weight < UINT32_MAX ? (uint32_t)weight : UINT32_MAX;
}

void gc_groups_enter(struct gc_groups *groups, const struct gc_vector *suspects,
                     size_t index)
{
    struct pygc_header *header = suspects->at[index];
    groups->parent[index] = groups->next[index] = (uint32_t)index;
    if (!pym_region_owns(header)) {
        gc_large_of(header)->index = (uint32_t)index;
        groups->weight[index] = weight_of_large(header);
        return;
    }
    groups->weight[index] = 1;
    if (index == 0 || pool_of(suspects->at[index - 1]) != pool_of(header)) {
        groups->first[pool_of(header)] = (uint32_t)index;
    }
}

void gc_groups_free(struct gc_groups *groups)
{
    pym_alloc_free(groups->parent);
    pym_alloc_free(groups->next);
    pym_alloc_free(groups->weight);
    pym_alloc_free(groups->first);
    *groups = (struct gc_groups){.parent = NULL};
}

/* ---- joining ---- */

static uint32_t stand_in(struct gc_groups *groups, uint32_t i)
{
    uint32_t *parent = groups->parent;
    while (parent[i] != i) {
        parent[i] = parent[parent[i]];
        i = parent[i];
    }
    return i;
}

static void join(struct gc_groups *groups, uint32_t a, uint32_t b)
{
    a = stand_in(groups, a);
    b = stand_in(groups, b);
    if (a == b) {
        return;
    }
    if (groups->weight[a] < groups->weight[b]) {
        uint32_t lighter = a;
        a = b;
        b = lighter;
    }
    uint64_t weight = (uint64_t)groups->weight[a] + groups->weight[b];
    groups->weight[a] = weight < UINT32_MAX ? (uint32_t)weight : UINT32_MAX;
    groups->parent[b] = a;
    uint32_t after = groups->next[a]; /* two rings become one */
    groups->next[a] = groups->next[b];
    groups->next[b] = after;
}

/* The place of a suspect in the list: those of its pool are together, in order. */
static uint32_t place_of(const struct gc_groups *groups,
                         const struct gc_vector *suspects,
                         const struct pygc_header *header)
{
    if (!pym_region_owns(header)) {
        return gc_large_of(header)->index;
    }
    size_t low = groups->first[pool_of(header)];
    size_t most = PYM_POOL_SIZE >> PYM_GRAIN_SHIFT;
    size_t high = suspects->count - low < most ? suspects->count : low + most;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        const struct pygc_header *there = suspects->at[middle];
        /* Large ones are behind all others, wherever they lie. */
        if (pym_region_owns(there) && there <= header) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return (uint32_t)low;
}

struct joining {
    struct gc_groups *groups;
    const struct gc_collection *run;
    const struct gc_vector *suspects;
    uint32_t index;
};

static int join_referent(void *object, void *arg)
{
    const struct joining *joining = arg;
    const struct pygc_header *header = pygc_header_of(object);
    if (*gc_note_at(joining->run, header) == GC_SUSPECT) {
        join(joining->groups, joining->index,
             place_of(joining->groups, joining->suspects, header));
    }
    return 0;
}

void gc_groups_join(struct gc_groups *groups, const struct gc_collection *run,
                    const struct gc_vector *suspects, size_t index)
{
    struct joining joining = {groups, run, suspects, (uint32_t)index};
    struct pygc_header *header = suspects->at[index];
    (void)pygc_referents(gc_object_of(header), join_referent, &joining);
}

uint32_t gc_groups_weight(struct gc_groups *groups, size_t index)
{
    return groups->weight[stand_in(groups, (uint32_t)index)];
}
