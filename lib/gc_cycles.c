#include "gc_cycles.h"

#include "alloc.h"
#include "gc_graph.h"

#include <errno.h>
#include <string.h>

/* ---- groups ---- */

struct group {
    struct pygc_cycles told;
    uint64_t hash;
    const struct pygc_type *types[];
};

struct grouping {
    struct gc_cycles *found;
    struct gc_graph graph;
    uint32_t
        *seen; /* by index of a type: the last cycle that it was seen in, by number */
    size_t types;
    struct gc_vector here; /* the types of the cycle that is being looked at */
    struct group **table;  /* of groups, by hash, open addressing */
    size_t table_size;     /* a power of two, or 0 */
};

static bool is_earlier_type(const void *a, const void *b)
{
    return ((const struct pygc_type *)a)->index < ((const struct pygc_type *)b)->index;
}

/* The types of a cycle, each once, in the order of registration.  False with no
 * memory. */
static bool list_types(struct grouping *grouping, const uint32_t *member, size_t count)
{
    grouping->here.count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct pygc_type *type =
            gc_type_of(gc_graph_header(&grouping->graph, member[i]));
        if (grouping->seen[type->index] != (uint32_t)grouping->found->cycles) {
            grouping->seen[type->index] = (uint32_t)grouping->found->cycles;
            if (!gc_vector_push(&grouping->here, (void *)(uintptr_t)type)) {
                return false;
            }
        }
    }
    gc_vector_sort(&grouping->here, is_earlier_type);
    return true;
}

static uint64_t hash_of(const struct gc_vector *types)
{
    uint64_t hash = types->count;
    for (size_t i = 0; i < types->count; i++) {
        hash = gc_hash(types->at[i]) ^ (hash << 7 | hash >> 57);
    }
    return hash;
}

static bool is_of(const struct group *group, uint64_t hash,
                  const struct gc_vector *types)
{
    return group->hash == hash && group->told.type_count == types->count &&
           memcmp(group->types, types->at, types->count * sizeof(types->at[0])) == 0;
}

static struct group **find_group(struct group **table, size_t size, uint64_t hash,
                                 const struct gc_vector *types)
{
    size_t i = hash & (size - 1);
    while (table[i] != NULL && (types == NULL || !is_of(table[i], hash, types))) {
        i = (i + 1) & (size - 1);
    }
    return &table[i];
}

static bool grow_table(struct grouping *grouping)
{
    const struct gc_vector *groups = &grouping->found->groups;
    size_t size = grouping->table_size != 0 ? 2 * grouping->table_size : 64;
    struct group **table = pym_alloc_calloc(size, sizeof(struct group *));
    if (table == NULL) {
        return false;
    }
    for (size_t i = 0; i < groups->count; i++) {
        struct group *group = groups->at[i];
        *find_group(table, size, group->hash, NULL) = group;
    }
    pym_alloc_free(grouping->table);
    grouping->table = table;
    grouping->table_size = size;
    return true;
}

static struct group *new_group(struct gc_vector *groups, const struct gc_vector *types)
{
    size_t bytes = types->count * sizeof(types->at[0]);
    struct group *group = pym_alloc_calloc(1, sizeof(*group) + bytes);
    if (group == NULL || !gc_vector_push(groups, group)) {
        pym_alloc_free(group);
        return NULL;
    }
    memcpy(group->types, types->at, bytes);
    group->told.types = group->types;
    group->told.type_count = types->count;
    return group;
}

/* The group of cycles of the types listed; NULL with no memory. */
static struct group *group_of(struct grouping *grouping)
{
    struct gc_vector *groups = &grouping->found->groups;
    uint64_t hash = hash_of(&grouping->here);
    if (2 * groups->count >= grouping->table_size && !grow_table(grouping)) {
        return NULL;
    }
    struct group **at =
        find_group(grouping->table, grouping->table_size, hash, &grouping->here);
    if (*at == NULL) {
        *at = new_group(groups, &grouping->here);
        if (*at != NULL) {
            (*at)->hash = hash;
        }
    }
    return *at;
}

static bool is_overlooked(const struct pygc_header *header)
{
    return (header->bits & GC_TRACKED) == 0 || gc_generation_of(header) == GC_FROZEN;
}

/* Where the example starts: at an object of the first of the types. */
static uint32_t first_member(const struct gc_graph *graph, const struct group *group,
                             const uint32_t *member, size_t count)
{
    uint32_t first = GC_NO_NODE;
    for (size_t i = 0; i < count; i++) {
        bool is_first =
            gc_type_of(gc_graph_header(graph, member[i])) == group->types[0];
        first = is_first && member[i] < first ? member[i] : first;
    }
    return first;
}

/* Makes a cycle the group's example.  False with no memory. */
static bool show(struct grouping *grouping, struct group *group, const uint32_t *member,
                 size_t count)
{
    uint32_t first = first_member(&grouping->graph, group, member, count);
    size_t length = gc_graph_ring(&grouping->graph, member, count, first);
    void **example = pym_alloc_malloc(length * sizeof(void *));
    if (example == NULL) {
        return false;
    }
    for (size_t i = length, node = first; i-- > 0;) {
        node = gc_graph_before(&grouping->graph, (uint32_t)node);
        example[i] = gc_object_of(gc_graph_header(&grouping->graph, (uint32_t)node));
    }
    pym_alloc_free((void *)(uintptr_t)group->told.example);
    group->told.example = example;
    group->told.example_length = length;
    return true;
}

static bool count_cycle(const uint32_t *member, size_t count, void *arg)
{
    struct grouping *grouping = arg;
    grouping->found->cycles++;
    grouping->found->in_cycles += count;
    struct group *group = NULL;
    if (list_types(grouping, member, count)) {
        group = group_of(grouping);
    }
    if (group == NULL) {
        return false;
    }
    struct pygc_cycles *told = &group->told;
    bool overlooked = false;
    for (size_t i = 0; i < count; i++) {
        const struct pygc_header *header = gc_graph_header(&grouping->graph, member[i]);
        told->bytes += gc_block_bytes(header);
        overlooked |= is_overlooked(header);
    }
    bool is_least = told->cycles == 0 || count < told->least;
    told->least = is_least ? count : told->least;
    told->most = count > told->most ? count : told->most;
    told->cycles++;
    told->objects += count;
    told->overlooked += overlooked;
    return !is_least || show(grouping, group, member, count);
}

/* ---- finding ---- */

static void count_garbage(struct grouping *grouping)
{
    for (uint32_t i = 0; i < grouping->graph.count; i++) {
        const struct pygc_header *header = gc_graph_header(&grouping->graph, i);
        size_t type = gc_type_of(header)->index;
        grouping->types = type < grouping->types ? grouping->types : type + 1;
        grouping->found->bytes += gc_block_bytes(header);
    }
    grouping->found->objects = grouping->graph.count;
}

static bool is_more(const void *a, const void *b)
{
    const struct pygc_cycles *left = a, *right = b;
    return left->bytes != right->bytes ? left->bytes > right->bytes
           : left->cycles != right->cycles
               ? left->cycles > right->cycles
               : is_earlier_type(left->types[0], right->types[0]);
}

static bool find_groups(struct grouping *grouping)
{
    count_garbage(grouping);
    grouping->seen = pym_alloc_calloc(grouping->types + 1, sizeof(grouping->seen[0]));
    return grouping->seen != NULL &&
           gc_graph_each_component(&grouping->graph, count_cycle, grouping);
}

bool gc_cycles_find(struct gc_cycles *cycles, struct pygc_heap *heap)
{
    struct grouping grouping = {.found = cycles};
    *cycles = (struct gc_cycles){.cycles = 0};
    bool enough = gc_graph_of_garbage(&grouping.graph, heap) && find_groups(&grouping);
    pym_alloc_free(grouping.seen);
    pym_alloc_free(grouping.table);
    gc_vector_free(&grouping.here);
    gc_graph_free(&grouping.graph);
    if (!enough) {
        gc_cycles_free(cycles);
        return false;
    }
    gc_vector_sort(&cycles->groups, is_more);
    return true;
}

void gc_cycles_free(struct gc_cycles *cycles)
{
    for (size_t i = 0; i < cycles->groups.count; i++) {
        struct group *group = cycles->groups.at[i];
        pym_alloc_free((void *)(uintptr_t)group->told.example);
        pym_alloc_free(group);
    }
    gc_vector_free(&cycles->groups);
}

PYM_EXPORT ptrdiff_t pygc_find_cycles(pygc_heap *heap, pygc_cycles_fn *visit, void *arg)
{
    struct gc_cycles cycles;
    if (!gc_cycles_find(&cycles, heap)) {
        errno = ENOMEM;
        return -1;
    }
    for (size_t i = 0; i < cycles.groups.count; i++) {
        if (visit(cycles.groups.at[i], arg) != 0) {
            break;
        }
    }
    gc_cycles_free(&cycles);
    return (ptrdiff_t)cycles.cycles;
}
