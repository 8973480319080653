/* gc.h: objects, counts, weak references, finalizers, and what the collector does
 * with them one by one.  Graphs at large are gc_graph.c's. */
#include "support.h"

#include <pymalloc/gc.h>

struct node {
    void *next;
    void *other;
    pygc_weakref *weak;
    long value;
};

static const struct pygc_slot node_slots[] = {
    {offsetof(struct node, next), 2, PYGC_STRONG, NULL},
    {offsetof(struct node, weak), 1, PYGC_WEAK, NULL},
};

static struct {
    pygc_type *node;     /* two strong slots, a weak one */
    pygc_type *leaf;     /* refers to nothing */
    pygc_type *final;    /* a node with a finalizer */
    pygc_type *visited;  /* a node with traverse and clear */
    pygc_type *stubborn; /* with traverse, but no clear */
    pygc_type *list;     /* of strong items */
    pygc_type *big;      /* a node of 10,000 bytes */
    pygc_type *pair;     /* immutable */
} types;

static pygc_heap *heap;

static struct {
    int finalized;
    int deallocated;
    int called;  /* callbacks of weak references */
    void *saved; /* what finalize_and_save has a reference to */
    void *last;
} seen;

enum { MANY_MORE = 400000 };

/* More than there is in the heap, all of it kept by the dying object. */
static void allocate_much(struct node *node)
{
    for (int i = 0; i < MANY_MORE; i++) {
        struct node *more = pygc_alloc(heap, types.node);
        more->next = node->other;
        node->other = more;
    }
}

static void on_finalize(void *object)
{
    seen.finalized++;
    seen.last = object;
    struct node *node = object;
    if (node->value == 1) { /* resurrect */
        pygc_incref(object);
        seen.saved = object;
    } else if (node->value == 2) { /* break the cycle itself */
        pygc_clear(&node->next);
    } else if (node->value == 3) { /* collect from here */
        CHECK_EQ(pygc_collect(heap, 2), 0, "a collection in a collection");
    } else if (node->value == 4) {
        allocate_much(node);
    } else if (node->value == 5) { /* no candidate any more */
        pygc_untrack(object);
    } else if (node->value == 6) {
        pygc_freeze(heap);
    } else if (node->value == 7) { /* share what somebody else has */
        pygc_incref(seen.saved);
    }
}

static void on_dealloc(void *object)
{
    (void)object;
    seen.deallocated++;
}

static int visit_node(void *object, pygc_visit_fn *visit, void *arg)
{
    struct node *node = object;
    int result = node->next != NULL ? visit(node->next, arg) : 0;
    return result == 0 && node->other != NULL ? visit(node->other, arg) : result;
}

static void clear_node(void *object)
{
    struct node *node = object;
    pygc_clear(&node->next);
    pygc_clear(&node->other);
}

static void on_death(pygc_weakref *ref, void *arg)
{
    seen.called++;
    seen.last = arg;
    CHECK(pygc_weakref_get(ref) == NULL,
          "a weak reference is not clear in its callback");
}

static pygc_type *type_of(const char *name, size_t size, unsigned flags)
{
    struct pygc_type_spec spec = {.name = name, .size = size, .flags = flags};
    if (strcmp(name, "leaf") != 0) {
        spec.slots = node_slots;
        spec.slot_count = COUNT_OF(node_slots);
    }
    if (strcmp(name, "final") == 0) {
        spec.finalize = on_finalize;
    }
    if (strcmp(name, "visited") == 0 || strcmp(name, "stubborn") == 0) {
        spec.slots = NULL;
        spec.slot_count = 0;
        spec.traverse = visit_node;
        spec.clear = name[0] == 'v' ? clear_node : NULL;
    }
    spec.dealloc = on_dealloc;
    return pygc_type_new(&spec);
}

static void make_types(void)
{
    static const struct pygc_slot item = {0, 1, PYGC_STRONG | PYGC_ITEMS, NULL};
    struct pygc_type_spec list = {.name = "list",
                                  .size = sizeof(size_t),
                                  .item_size = sizeof(void *),
                                  .slots = &item,
                                  .slot_count = 1,
                                  .dealloc = on_dealloc,
                                  .flags = PYGC_WEAKREFABLE};
    types.node = type_of("node", sizeof(struct node), PYGC_WEAKREFABLE);
    types.leaf = type_of("leaf", 24, PYGC_WEAKREFABLE);
    types.final = type_of("final", sizeof(struct node), PYGC_WEAKREFABLE);
    types.visited = type_of("visited", sizeof(struct node), PYGC_WEAKREFABLE);
    types.stubborn = type_of("stubborn", sizeof(struct node), 0);
    types.big = type_of("big", 10000, PYGC_WEAKREFABLE);
    types.pair = type_of("pair", sizeof(struct node), PYGC_IMMUTABLE);
    types.list = pygc_type_new(&list);
}

static void begin(void)
{
    struct pygc_options options = {.disabled = 1};
    memset(&seen, 0, sizeof seen);
    heap = pygc_heap_new(&options);
    CHECK(heap != NULL, "no heap");
}

static uint64_t alive(void)
{
    struct pygc_stats stats;
    pygc_get_stats(heap, &stats);
    return stats.objects;
}

static void end(void)
{
    CHECK_EQ(pygc_verify(heap), 0, "faults");
    CHECK_EQ(alive(), 0, "objects are left");
    CHECK_EQ(pygc_heap_destroy(heap, 0), 0, "objects were left");
}

static struct node *make(const pygc_type *type)
{
    struct node *node = pygc_alloc(heap, type);
    CHECK(node != NULL, "no object");
    return node;
}

/* A ring of count objects of a type; a reference to the first. */
static struct node *ring(const pygc_type *type, int count)
{
    struct node *first = make(type), *last = first;
    for (int i = 1; i < count; i++) {
        struct node *node = make(type);
        last->next = node;
        last = node;
    }
    pygc_store(last, &last->next, first);
    return first;
}

static void track_ring(struct node *first)
{
    struct node *node = first;
    do {
        pygc_track(node);
        node = node->next;
    } while (node != first);
}

/* ---- objects ---- */

static void objects_are_zeroed_and_aligned(void)
{
    begin();
    for (int round = 0; round < 2; round++) {
        for (size_t size = 1; size <= 2000; size += size < 64 ? 1 : 37) {
            struct pygc_type_spec spec = {.name = "sized", .size = size};
            static pygc_type *sized[128];
            size_t i = size < 64 ? size : 64 + (size - 64) / 37;
            if (sized[i] == NULL) {
                sized[i] = pygc_type_new(&spec);
            }
            unsigned char *object[3];
            for (int k = 0; k < 3; k++) {
                object[k] = pygc_alloc(heap, sized[i]);
                CHECK_EQ((uintptr_t)object[k] % 16, 0, "alignment of %zu bytes", size);
                for (size_t b = 0; b < size; b++) {
                    CHECK_EQ(object[k][b], 0, "byte %zu of %zu", b, size);
                }
                memset(object[k], 0xff, size);
                CHECK_EQ(pygc_object_size(object[k]), size, "size");
                CHECK(pygc_heap_of(object[k]) == heap, "heap");
                CHECK(pygc_type_of(object[k]) == sized[i], "type");
            }
            for (int k = 0; k < 3; k++) {
                pygc_decref(object[k]);
            }
        }
    }
    end();
}

static void the_header_costs_8_bytes(void)
{
    struct pygc_stats stats;
    begin();
    void *leaf = pygc_alloc(heap, types.leaf); /* of 24 bytes */
    pygc_get_stats(heap, &stats);
    CHECK_EQ(stats.bytes, 32, "24 bytes take");
    pygc_decref(leaf);
    end();
}

static void counts_go_up_and_down(void)
{
    begin();
    struct node *node = make(types.node);
    CHECK_EQ(pygc_refcnt(node), 1, "at birth");
    CHECK(pygc_is_unique(node), "at birth");
    pygc_incref(node);
    pygc_xincref(node);
    pygc_xincref(NULL);
    CHECK_EQ(pygc_refcnt(node), 3, "after two increments");
    CHECK(!pygc_is_unique(node), "with three references");
    pygc_decref(node);
    pygc_xdecref(node);
    pygc_xdecref(NULL);
    CHECK_EQ(seen.deallocated, 0, "with one reference");
    pygc_decref(node);
    CHECK_EQ(seen.deallocated, 1, "with none");
    end();
}

static void counts_stick(void)
{
    begin();
    struct node *node = make(types.node);
    pygc_header_of(node)->refs = 0x7ffffffe;
    pygc_incref(node);
    CHECK_EQ(pygc_refcnt(node), 0x7fffffff, "the last count");
    pygc_incref(node);
    pygc_incref(node);
    CHECK_EQ(pygc_refcnt(node), PYGC_IMMORTAL, "after that");
    for (int i = 0; i < 5; i++) {
        pygc_decref(node);
    }
    CHECK_EQ(pygc_refcnt(node), PYGC_IMMORTAL, "for ever");
    struct node *ringed = ring(types.node, 3);
    pygc_immortalize(ringed);
    pygc_decref(ringed);
    CHECK_EQ(pygc_collect(heap, 2), 0, "immortal objects, and what they refer to");
    CHECK_EQ(alive(), 4, "objects");
    CHECK_EQ(pygc_heap_destroy(heap, 0), 4, "objects that were left");
}

static void slots_own_what_is_in_them(void)
{
    begin();
    struct node *a = make(types.node), *b = make(types.node);
    pygc_store(a, &a->next, b);
    pygc_store(a, &a->next, b);
    CHECK_EQ(pygc_refcnt(b), 2, "stored twice in one slot");
    pygc_store(a, &a->other, b);
    CHECK_EQ(pygc_refcnt(b), 3, "and in another");
    CHECK(pygc_take(&a->other) == b && a->other == NULL, "taken");
    CHECK_EQ(pygc_refcnt(b), 3, "taken");
    pygc_decref(b);
    pygc_clear(&a->next);
    CHECK_EQ(pygc_refcnt(b), 1, "cleared");
    pygc_store(a, &a->next, b);
    pygc_decref(b);
    pygc_decref(a);
    CHECK_EQ(seen.deallocated, 2, "both die with the first");
    end();
}

enum { LONG = 300000 };

static void collect_at_death(void *object)
{
    (void)object;
    seen.deallocated++;
    CHECK_EQ(pygc_collect(heap, 2), 0, "what waits to be released is no garbage");
}

static void dealloc_may_collect(void)
{
    struct pygc_type_spec spec = {.name = "collecting",
                                  .size = sizeof(struct node),
                                  .slots = node_slots,
                                  .slot_count = COUNT_OF(node_slots),
                                  .dealloc = collect_at_death};
    pygc_type *collecting = pygc_type_new(&spec);
    begin();
    struct node *head = NULL;
    for (int i = 0; i < 10; i++) {
        struct node *node = make(collecting);
        node->next = head;
        node->other = make(i % 2 == 0 ? types.node : types.big);
        head = node;
    }
    pygc_decref(head);
    CHECK_EQ(seen.deallocated, 20, "dead");
    end();
}

static void long_chains_need_no_stack(void)
{
    const pygc_type *kinds[] = {types.node, types.visited, types.big};
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        int length = kinds[k] == types.big ? 2000 : LONG;
        begin();
        struct node *head = NULL;
        for (int i = 0; i < length; i++) {
            struct node *node = make(kinds[k]);
            node->next = head;
            head = node;
        }
        pygc_decref(head);
        CHECK_EQ(seen.deallocated, length, "of a chain");
        struct node *wide = make(types.node);
        for (int i = 0; i < 3000; i++) { /* two children each, of all sizes */
            struct node *node = make(i % 3 == 0 ? types.big : kinds[k]);
            node->next = wide;
            node->other = make(i % 7 == 0 ? types.big : types.leaf);
            wide = node;
        }
        pygc_decref(wide);
        end();
    }
}

static void releasing_can_be_cut_into_slices(void)
{
    enum { LENGTH = 1000, BUDGET = 7 };
    begin();
    for (int round = 0; round < 2; round++) {
        struct node *head = NULL;
        for (int i = 0; i < LENGTH; i++) {
            struct node *node = make(i % 5 == 0 ? types.big : types.node);
            node->next = head;
            head = node;
        }
        seen.deallocated = 0;
        pygc_set_release_budget(heap, BUDGET);
        pygc_decref(head);
        CHECK_EQ(seen.deallocated, BUDGET, "by the drop itself");
        void *leaf = pygc_alloc(heap, types.leaf);
        CHECK_EQ(seen.deallocated, 2 * BUDGET, "by an allocation");
        CHECK_EQ(pygc_collect(heap, 2), 0, "what waits is no garbage");
        CHECK_EQ(pygc_release(heap, 100), 1, "more is left");
        CHECK_EQ(seen.deallocated, 2 * BUDGET + 100, "when told");
        pygc_set_release_budget(heap, 0);
        if (round == 0) {
            pygc_decref(leaf);
            CHECK_EQ(seen.deallocated, LENGTH + 1, "by a drop without a budget");
        } else {
            CHECK_EQ(pygc_heap_destroy(heap, 0), 1, "the leaf was left");
            CHECK_EQ(seen.deallocated, LENGTH + 1, "with the heap");
        }
    }
}

static void items_are_counted_and_moved(void)
{
    begin();
    CHECK(pygc_alloc_var(heap, types.node, 3) == NULL && errno == EINVAL,
          "items of a type without");
    CHECK(pygc_alloc_var(heap, types.list, SIZE_MAX / 8) == NULL && errno == ENOMEM,
          "more than there can be");
    struct {
        size_t count;
        void *item[];
    } *list = pygc_alloc_var(heap, types.list, 2);
    struct node *node = make(types.node);
    pygc_store(list, &list->item[1], node);
    static const size_t counts[] = {3, 60, 61, 62, 1000, 100000, 500, 40, 2};
    size_t before = 2;
    for (size_t i = 0; i < COUNT_OF(counts); before = counts[i++]) {
        list = pygc_realloc_var(list, counts[i]);
        CHECK_EQ(list->count, counts[i], "items");
        CHECK_EQ(pygc_item_count(list), counts[i], "items");
        CHECK_EQ(pygc_object_size(list), 8 + 8 * counts[i], "bytes");
        CHECK(list->item[1] == node && list->item[0] == NULL, "what was there");
        for (size_t k = before; k < counts[i]; k++) {
            CHECK(list->item[k] == NULL, "a new item is not NULL");
        }
        if (counts[i] > 2) {
            pygc_store(list, &list->item[counts[i] - 1], node);
        }
    }
    CHECK_EQ(pygc_refcnt(node), 2, "references in dropped items were dropped");
    pygc_incref(list);
    CHECK(pygc_realloc_var(list, 9) == NULL && errno == EINVAL, "of a shared object");
    pygc_decref(list);
    pygc_weakref *ref = pygc_weakref_new(list, NULL, NULL);
    CHECK(pygc_realloc_var(list, 9) == NULL && errno == EINVAL, "of one referred to");
    CHECK(pygc_weakref_get(ref) == list, "the weak reference is clear");
    pygc_decref(list);
    pygc_weakref_free(ref);
    void *moved = pygc_realloc_var(list, 9);
    CHECK(moved != NULL, "of one that was referred to");
    list = moved != NULL ? moved : list;
    pygc_store(node, &node->next, list); /* a cycle through an item */
    pygc_decref(node);
    pygc_decref(list);
    CHECK_EQ(pygc_collect(heap, 2), 2, "a cycle through an item");
    end();
}

/* It is looked at again after the collection that its new place may need. */
static void items_stay_when_shared_meanwhile(void)
{
    begin();
    static const unsigned at_once[3] = {1, 1, 1};
    void *list = pygc_alloc_var(heap, types.list, 2);
    seen.saved = list;
    struct node *garbage = make(types.final);
    garbage->value = 7;
    pygc_store(garbage, &garbage->next, garbage);
    pygc_decref(garbage);
    pygc_set_threshold(heap, at_once);
    pygc_enable(heap);
    errno = 0;
    CHECK(pygc_realloc_var(list, 9) == NULL && errno == EINVAL, "it has moved");
    pygc_disable(heap);
    CHECK_EQ(seen.finalized, 1, "finalized");
    CHECK_EQ(pygc_refcnt(list), 2, "references");
    CHECK_EQ(pygc_item_count(list), 2, "items");
    pygc_decref(list);
    pygc_decref(list);
    end();
}

static void bad_types_are_refused(void)
{
    static const struct pygc_slot outside = {24, 2, 0, NULL}, odd = {4, 1, 0, NULL},
                                  kind = {0, 1, 64, NULL},
                                  item = {0, 1, PYGC_ITEMS, NULL},
                                  count = {0, 1, 0, NULL};
    static const struct pygc_slot twice[] = {{16, 1, 0, NULL}, {0, 3, 0, NULL}},
                                  weak_too[] = {{8, 1, PYGC_WEAK, NULL},
                                                {8, 1, 0, NULL}},
                                  items[] = {{0, 2, PYGC_ITEMS, NULL},
                                             {8, 1, PYGC_ITEMS, NULL}};
    const struct {
        const char *what;
        struct pygc_type_spec spec;
    } bad[] = {
        {"no name", {.size = 8}},
        {"a flag", {.name = "x", .size = 8, .flags = PYGC_LEAST_FLAG_FREE}},
        {"a slot outside",
         {.name = "x", .size = 32, .slots = &outside, .slot_count = 1}},
        {"an odd slot", {.name = "x", .size = 32, .slots = &odd, .slot_count = 1}},
        {"a kind", {.name = "x", .size = 32, .slots = &kind, .slot_count = 1}},
        {"no items", {.name = "x", .size = 32, .slots = &item, .slot_count = 1}},
        {"no room for the count", {.name = "x", .size = 0, .item_size = 8}},
        {"a slot in the count's place",
         {.name = "x", .size = 8, .item_size = 8, .slots = &count, .slot_count = 1}},
        {"a slot twice", {.name = "x", .size = 32, .slots = twice, .slot_count = 2}},
        {"a slot that is also weak",
         {.name = "x", .size = 32, .slots = weak_too, .slot_count = 2}},
        {"a slot of an item twice",
         {.name = "x", .size = 8, .item_size = 16, .slots = items, .slot_count = 2}},
        {"clear alone", {.name = "x", .size = 32, .clear = clear_node}},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        errno = 0;
        CHECK(pygc_type_new(&bad[i].spec) == NULL && errno == EINVAL, "%s",
              bad[i].what);
    }
}

static void slots_may_adjoin(void)
{
    static const struct pygc_slot slots[] = {{16, 2, 0, NULL},
                                             {16, 0, 0, NULL},
                                             {8, 1, PYGC_WEAK, NULL},
                                             {8, 1, PYGC_ITEMS, NULL},
                                             {0, 1, PYGC_ITEMS, NULL}};
    struct pygc_type_spec spec = {.name = "adjoining",
                                  .size = 32,
                                  .item_size = 16,
                                  .slots = slots,
                                  .slot_count = COUNT_OF(slots)};
    CHECK(pygc_type_new(&spec) != NULL, "slots side by side");
}

static void types_tell_what_can_be_in_a_cycle(void)
{
    struct pygc_slot slot = {0, 1, PYGC_STRONG, types.leaf};
    struct pygc_type_spec spec = {
        .name = "typed", .size = 16, .slots = &slot, .slot_count = 1};
    pygc_type *to_leaf = pygc_type_new(&spec);
    slot.target = to_leaf;
    pygc_type *to_that = pygc_type_new(&spec);
    slot.target = PYGC_SELF;
    pygc_type *to_self = pygc_type_new(&spec);
    slot.target = to_self;
    pygc_type *to_cycle = pygc_type_new(&spec);
    slot.target = types.node;
    pygc_type *to_any = pygc_type_new(&spec);
    CHECK(!pygc_type_is_cyclic(types.leaf), "a leaf");
    CHECK(!pygc_type_is_cyclic(to_leaf), "to a leaf");
    CHECK(!pygc_type_is_cyclic(to_that), "to that");
    CHECK(pygc_type_is_cyclic(to_self), "to itself");
    CHECK(!pygc_type_is_cyclic(to_cycle), "to what never comes back");
    CHECK(pygc_type_is_cyclic(to_any), "to what goes anywhere");
    begin();
    void *object = pygc_alloc(heap, to_leaf);
    CHECK(!pygc_is_tracked(object), "an acyclic object is tracked");
    pygc_track(object);
    CHECK(!pygc_is_tracked(object), "an acyclic object is tracked when told");
    pygc_decref(object);
    end();
}

/* ---- cycles ---- */

static void cycles_are_found(void)
{
    const pygc_type *kinds[] = {types.node, types.visited, types.final, types.big};
    static const int lengths[] = {1, 2, 3, 10, 1000};
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        for (size_t i = 0; i < COUNT_OF(lengths); i++) {
            begin();
            struct node *first = ring(kinds[k], lengths[i]);
            track_ring(first);
            CHECK_EQ(pygc_collect(heap, 2), 0, "with a reference from outside");
            CHECK_EQ(alive(), lengths[i], "objects");
            pygc_decref(first);
            CHECK_EQ(alive(), lengths[i], "objects in a cycle");
            CHECK_EQ(pygc_collect(heap, 2), lengths[i], "of kind %zu", k);
            CHECK_EQ(seen.deallocated, lengths[i], "deallocated");
            end();
        }
    }
}

static void popular_objects_are_found(void)
{
    static const int many[] = {250, 251, 252, 253, 254, 255, 256, 257, 1000, 70000};
    for (size_t k = 0; k < COUNT_OF(many); k++) {
        begin();
        struct node *star = make(types.node);
        for (int i = 0; i < many[k]; i++) {
            struct node *node = make(types.node);
            pygc_store(node, &node->next, star);
            pygc_store(node, &node->other, star->next);
            pygc_store(star, &star->next, node);
            pygc_decref(node);
        }
        CHECK_EQ(pygc_collect(heap, 2), 0, "%d and one from outside", many[k]);
        pygc_decref(star);
        CHECK_EQ(pygc_collect(heap, 2), many[k] + 1, "%d references", many[k]);
        end();
    }
}

static void only_the_asked_generations_are_looked_at(void)
{
    begin();
    struct node *old = ring(types.node, 4), *middle, *fresh;
    CHECK_EQ(pygc_collect(heap, 1), 0, "generation 1");
    middle = ring(types.big, 3);
    CHECK_EQ(pygc_collect(heap, 0), 0, "generation 0");
    fresh = ring(types.node, 2);
    pygc_decref(old);
    pygc_decref(middle);
    pygc_decref(fresh);
    CHECK_EQ(pygc_collect(heap, 0), 2, "generation 0");
    CHECK_EQ(pygc_collect(heap, 0), 0, "generation 0");
    CHECK_EQ(pygc_collect(heap, 1), 3, "generation 1");
    CHECK_EQ(pygc_collect(heap, 1), 0, "generation 1");
    CHECK_EQ(pygc_collect(heap, 2), 4, "generation 2");
    CHECK(pygc_collect(heap, 3) == -1 && errno == EINVAL, "generation 3");
    CHECK(pygc_collect(heap, -1) == -1 && errno == EINVAL, "generation -1");
    end();
}

static void untracked_objects_are_not_looked_at(void)
{
    begin();
    struct node *first = ring(types.visited, 3);
    CHECK(!pygc_is_tracked(first), "before its references may be visited");
    CHECK(pygc_is_tracked(first) || pygc_collect(heap, 2) == 0, "untracked");
    struct node *slotted = ring(types.node, 1);
    CHECK(pygc_is_tracked(slotted), "slots may always be visited");
    pygc_untrack(slotted);
    pygc_decref(slotted);
    pygc_decref(first);
    CHECK_EQ(pygc_collect(heap, 2), 0, "untracked cycles");
    track_ring(first);
    pygc_track(slotted);
    CHECK_EQ(pygc_collect(heap, 0), 4, "tracked late");
    end();
}

static void late_tracking_is_noticed_by_young_collections(void)
{
    begin();
    struct node *early = ring(types.visited, 500), *large = ring(types.big, 1);
    pygc_untrack(large);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(pygc_collect(heap, 2), 0, "untracked");
    }
    struct node *other = ring(types.big, 1);
    CHECK_EQ(pygc_collect(heap, 2), 0, "referred to");
    track_ring(early);
    pygc_track(large);
    pygc_decref(early);
    pygc_decref(large);
    CHECK_EQ(pygc_collect(heap, 0), 501, "tracked late");
    pygc_decref(other);
    CHECK_EQ(pygc_collect(heap, 2), 1, "the rest");
    end();
}

static void what_clear_leaves_is_counted(void)
{
    struct pygc_stats stats;
    begin();
    struct node *first = ring(types.stubborn, 5);
    track_ring(first);
    pygc_decref(first);
    CHECK_EQ(pygc_collect(heap, 2), 5, "garbage");
    pygc_get_stats(heap, &stats);
    CHECK_EQ(stats.generation[2].uncollectable, 5, "uncollectable");
    CHECK_EQ(stats.generation[2].collected, 0, "collected");
    CHECK_EQ(alive(), 5, "alive");
    CHECK_EQ(pygc_heap_destroy(heap, 0), 5, "left");
}

static void immutable_objects_stop_being_tracked(void)
{
    begin();
    struct node *of_leaves = make(types.pair), *of_nodes = make(types.pair);
    of_leaves->next = pygc_alloc(heap, types.leaf);
    of_nodes->next = make(types.node);
    pygc_collect(heap, 0);
    CHECK(!pygc_is_tracked(of_leaves), "a pair of leaves");
    CHECK(pygc_is_tracked(of_nodes), "a pair with a node");
    pygc_decref(of_leaves);
    pygc_decref(of_nodes);
    end();
}

/* Not if something that they refer to may be tracked later, and they be in a cycle. */
static void immutable_objects_wait_for_what_is_to_be_tracked(void)
{
    begin();
    struct node *pair = make(types.pair), *late = make(types.visited);
    struct node *outer = make(types.pair);
    pygc_store(pair, &pair->next, late);
    pygc_store(outer, &outer->next, pair);
    (void)pygc_collect(heap, 0);
    (void)pygc_collect(heap, 1);
    CHECK(pygc_is_tracked(pair), "a pair with what is tracked later");
    CHECK(pygc_is_tracked(outer), "a pair with that pair");
    pygc_store(late, &late->next, outer);
    pygc_track(late);
    pygc_decref(pair);
    pygc_decref(outer);
    pygc_decref(late);
    CHECK_EQ(pygc_collect(heap, 2), 3, "garbage");
    end();
}

static void immutable_objects_may_refer_to_such(void)
{
    begin();
    struct node *inner = make(types.pair), *outer = make(types.pair);
    pygc_store(outer, &outer->next, inner);
    for (int generation = 0; generation < 2; generation++) {
        (void)pygc_collect(heap, generation);
    }
    CHECK(!pygc_is_tracked(inner), "an empty pair");
    CHECK(!pygc_is_tracked(outer), "a pair with an empty one");
    pygc_decref(inner);
    pygc_decref(outer);
    end();
}

/* In pools that have long ceased to be allocated from. */
static void middle_aged_garbage_is_found(void)
{
    enum { MANY = 5000 };
    begin();
    struct node *first = ring(types.node, MANY);
    CHECK_EQ(pygc_collect(heap, 0), 0, "alive");
    pygc_decref(first);
    CHECK_EQ(pygc_collect(heap, 0), 0, "generation 0");
    CHECK_EQ(pygc_collect(heap, 1), MANY, "generation 1");
    end();
}

/* What garbage refers to may lie where garbage has been. */
static void a_collection_leaves_no_notes(void)
{
    enum { RING = 50 };
    begin();
    for (int round = 0; round < 3; round++) {
        pygc_decref(ring(types.node, RING));
        CHECK_EQ(pygc_collect(heap, round), RING, "garbage");
        struct node *first = ring(types.node, RING), *node = first;
        do {
            node->other = make(types.visited); /* never tracked */
            node = node->next;
        } while (node != first);
        pygc_decref(first);
        CHECK_EQ(pygc_collect(heap, round), RING, "garbage");
        CHECK_EQ(alive(), 0, "objects that only garbage referred to");
    }
    end();
}

/* ---- finalizers ---- */

static struct node *final_ring(int count, long value)
{
    struct node *first = ring(types.final, count);
    first->value = value;
    return first;
}

static void finalizers_run_once(void)
{
    begin();
    struct node *node = make(types.final);
    node->value = 1;
    pygc_decref(node);
    CHECK(seen.finalized == 1 && seen.saved == node, "at the last reference");
    CHECK(pygc_is_finalized(node), "afterwards");
    CHECK_EQ(seen.deallocated, 0, "resurrected");
    CHECK_EQ(pygc_refcnt(node), 1, "references of one that was resurrected");
    pygc_decref(node);
    CHECK_EQ(seen.finalized, 1, "the second time");
    CHECK_EQ(seen.deallocated, 1, "the second time");
    end();
}

static void resurrection_spares_what_is_reached(void)
{
    begin();
    struct node *one = final_ring(3, 1), *two = final_ring(2, 0);
    pygc_store(one, &one->other, make(types.leaf));
    pygc_decref(one->other);
    pygc_decref(one);
    pygc_decref(two);
    CHECK_EQ(pygc_collect(heap, 2), 2, "the ring that stays dead");
    CHECK_EQ(seen.finalized, 5, "finalized");
    CHECK_EQ(alive(), 4, "the ring that came back, and its leaf");
    CHECK_EQ(pygc_collect(heap, 2), 0, "referred to from outside");
    pygc_decref(seen.saved);
    CHECK_EQ(pygc_collect(heap, 2), 3, "garbage again");
    CHECK_EQ(seen.finalized, 5, "finalized twice");
    end();
}

/* What a finalizer saves is reached by way of what one has untracked, or frozen. */
static void finalizers_may_untrack_and_freeze(void)
{
    for (long value = 5; value <= 6; value++) {
        begin();
        struct node *first = final_ring(3, 1);
        struct node *second = first->next, *third = second->next;
        second->value = value;
        pygc_decref(first);
        CHECK_EQ(pygc_collect(heap, 2), 0, "garbage");
        CHECK_EQ(seen.finalized, 3, "finalized");
        CHECK_EQ(seen.deallocated, 0, "deallocated");
        CHECK(second->next == third && third->next == first, "the ring");
        pygc_unfreeze(heap);
        pygc_track(second);
        pygc_decref(seen.saved);
        CHECK_EQ(pygc_collect(heap, 2), 3, "garbage again");
        end();
    }
}

/* With more references to something that is no garbage, since it is not tracked or is
 * frozen, than fit into a byte. */
static void garbage_may_share_what_is_no_candidate(void)
{
    const pygc_type *kinds[] = {types.leaf, types.node};
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        begin();
        struct node *shared = make(kinds[k]);
        pygc_freeze(heap);
        struct node *first = ring(types.node, 300), *node = first;
        pygc_store(first, &first->other, final_ring(2, 0));
        pygc_decref(first->other);
        for (int i = 1; i < 300; i++) {
            node = node->next;
            pygc_store(node, &node->other, shared);
        }
        pygc_decref(shared);
        pygc_decref(first);
        CHECK_EQ(pygc_collect(heap, 2), 302, "garbage");
        CHECK_EQ(seen.finalized, 2, "finalized");
        CHECK_EQ(seen.deallocated, 303, "with what it shared");
        end();
    }
}

static void finalizers_may_break_cycles_and_collect(void)
{
    for (long value = 2; value <= 3; value++) {
        begin();
        struct node *first = final_ring(4, value);
        pygc_decref(first);
        pygc_collect(heap, 2);
        CHECK_EQ(seen.finalized, 4, "finalized");
        CHECK_EQ(alive(), 0, "alive");
        end();
    }
}

/* In arenas that were not there when the collection began. */
static void finalizers_may_allocate_much(void)
{
    for (int generation = 0; generation < 3; generation++) {
        begin();
        pygc_decref(final_ring(3, 4));
        CHECK_EQ(pygc_collect(heap, generation), 3, "generation %d", generation);
        CHECK_EQ(seen.deallocated, MANY_MORE + 3, "with what the finalizer made");
        end();
        (void)pymalloc_purge();
    }
}

static void finalizers_can_be_put_off(void)
{
    begin();
    pygc_finalize_defer(heap, 1);
    pygc_decref(make(types.final));
    pygc_decref(final_ring(3, 0));
    CHECK_EQ(pygc_collect(heap, 2), 0, "garbage with finalizers to come");
    CHECK_EQ(seen.finalized, 0, "finalized");
    CHECK_EQ(alive(), 4, "alive");
    CHECK_EQ(pygc_finalize_run(heap), 4, "run");
    CHECK_EQ(seen.finalized, 4, "finalized");
    CHECK_EQ(pygc_collect(heap, 2), 3, "garbage");
    CHECK_EQ(pygc_finalize_run(heap), 0, "run again");
    end();
}

/* ---- weak references ---- */

static void weak_references_are_cleared(void)
{
    begin();
    CHECK(pygc_weakref_new(make(types.pair), NULL, NULL) == NULL && errno == EINVAL,
          "of a type without");
    struct node *node = make(types.node);
    pygc_weakref *a = pygc_weakref_new(node, on_death, &a),
                 *b = pygc_weakref_new(node, NULL, NULL),
                 *c = pygc_weakref_new(node, on_death, &c);
    CHECK(pygc_weakref_get(a) == node && pygc_weakref_get(b) == node, "alive");
    CHECK_EQ(pygc_refcnt(node), 3, "weak references give references");
    pygc_decref(node);
    pygc_decref(node);
    pygc_weakref_free(c);
    pygc_decref(node);
    CHECK(pygc_weakref_get(a) == NULL && pygc_weakref_get(b) == NULL, "dead");
    CHECK(seen.called == 1 && seen.last == &a, "callbacks: %d", seen.called);
    pygc_weakref_free(a);
    pygc_weakref_free(b);
    pygc_weakref_free(NULL);
    CHECK_EQ(pygc_heap_destroy(heap, 0), 1, "left");
}

static void weak_references_to_garbage_are_cleared(void)
{
    const pygc_type *kinds[] = {types.node, types.visited, types.final, types.big};
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        enum { REFS = 200 };
        pygc_weakref *refs[REFS];
        begin();
        struct node *first = ring(kinds[k], REFS);
        track_ring(first);
        struct node *node = first;
        for (int i = 0; i < REFS; i++, node = node->next) {
            refs[i] = pygc_weakref_new(node, on_death, NULL);
        }
        CHECK_EQ(pygc_collect(heap, 2), 0, "alive");
        pygc_decref(first);
        CHECK_EQ(pygc_collect(heap, 2), REFS, "garbage");
        CHECK_EQ(seen.called, REFS, "callbacks");
        for (int i = 0; i < REFS; i++) {
            CHECK(pygc_weakref_get(refs[i]) == NULL, "weak reference %d", i);
            pygc_weakref_free(refs[i]);
        }
        end();
    }
}

static void on_death_collect(pygc_weakref *ref, void *arg)
{
    (void)ref;
    (void)arg;
    seen.called++;
    CHECK_EQ(pygc_collect(heap, 2), 0, "a collection while an object dies");
}

static void callbacks_may_collect(void)
{
    const pygc_type *kinds[] = {types.node, types.visited, types.big};
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        begin();
        struct node *dying = make(kinds[k]), *other = ring(types.node, 2);
        pygc_store(dying, &dying->next, other);
        pygc_track(dying);
        pygc_weakref *ref = pygc_weakref_new(dying, on_death_collect, NULL);
        pygc_decref(dying);
        CHECK_EQ(seen.called, 1, "callbacks");
        CHECK_EQ(seen.deallocated, 1, "deallocated");
        CHECK_EQ(pygc_verify(heap), 0, "faults");
        pygc_decref(other);
        CHECK_EQ(pygc_collect(heap, 2), 2, "what it referred to");
        pygc_weakref_free(ref);
        end();
    }
}

static int take_last_of_all(void *object, void *arg)
{
    (void)arg;
    seen.saved = object;
    return 0;
}

/* Makes another weak reference to the garbage that it has found, or takes a reference.
 */
static void on_death_look_around(pygc_weakref *ref, void *arg)
{
    (void)ref;
    seen.called++;
    (void)pygc_objects(heap, PYGC_ALL, take_last_of_all, NULL);
    if (arg != NULL) {
        *(pygc_weakref **)arg =
            pygc_weakref_new(seen.saved, on_death_look_around, NULL);
    } else {
        pygc_incref(seen.saved);
    }
}

static void callbacks_may_find_garbage(void)
{
    const pygc_type *kinds[] = {types.node, types.visited, types.final, types.big};
    for (size_t k = 0; k < 2 * COUNT_OF(kinds); k++) {
        begin();
        pygc_weakref *late = NULL;
        struct node *first = ring(kinds[k / 2], 3);
        track_ring(first);
        struct node *second = first->next, *third = second->next;
        pygc_weakref *ref =
            pygc_weakref_new(first, on_death_look_around, k % 2 != 0 ? &late : NULL);
        pygc_decref(first);
        CHECK_EQ(pygc_collect(heap, 0), 0, "garbage that was found");
        CHECK_EQ(seen.called, 1 + k % 2, "callbacks");
        CHECK_EQ(seen.deallocated, 0, "deallocated");
        CHECK(second->next == third && third->next == first, "the ring is broken");
        CHECK(pygc_weakref_get(ref) == NULL, "the weak reference is not clear");
        pygc_decref(seen.saved);
        CHECK_EQ(pygc_collect(heap, 2), 3, "garbage again");
        pygc_weakref_free(ref);
        pygc_weakref_free(late);
        end();
    }
}

static void garbage_is_not_told_of_garbage(void)
{
    begin();
    struct node *first = ring(types.node, 2), *second = first->next;
    first->weak = pygc_weakref_new(second, on_death, NULL);
    second->weak = pygc_weakref_new(first, on_death, NULL);
    pygc_decref(first);
    CHECK_EQ(pygc_collect(heap, 2), 2, "garbage");
    CHECK_EQ(seen.called, 0, "callbacks of weak references that died, too");
    struct node *holder = make(types.node), *target = make(types.node);
    holder->weak = pygc_weakref_new(target, on_death, NULL);
    pygc_decref(holder);
    pygc_decref(target);
    CHECK_EQ(seen.called, 0, "callbacks of a weak reference that died before");
    end();
}

/* Two are due, the second of which belongs to garbage that the first finds by
 * collecting, and that saves itself. */
static void garbage_is_silenced_when_due(void)
{
    begin();
    struct node *target = make(types.node), *owner = final_ring(1, 1);
    pygc_weakref *ref = pygc_weakref_new(target, on_death_collect, NULL);
    owner->weak = pygc_weakref_new(target, on_death, NULL);
    pygc_decref(owner);
    pygc_decref(target);
    CHECK_EQ(seen.called, 1, "callbacks");
    CHECK(seen.saved == owner, "the garbage has not saved itself");
    CHECK(pygc_weakref_get(owner->weak) == NULL, "a weak reference is not clear");
    pygc_weakref_free(ref);
    pygc_decref(owner);
    CHECK_EQ(pygc_collect(heap, 2), 1, "garbage again");
    end();
}

/* ---- steering and seeing ---- */

static int count_visit(void *object, void *arg)
{
    (void)object;
    (*(int *)arg)++;
    return 0;
}

static int visited(int generation)
{
    int count = 0;
    (void)pygc_objects(heap, generation, count_visit, &count);
    return count;
}

static void collections_run_by_themselves(void)
{
    static const unsigned threshold[3] = {10, 2, 2};
    unsigned count[3];
    struct pygc_stats stats;
    begin();
    pygc_set_threshold(heap, threshold);
    for (int i = 0; i < 1000; i++) {
        pygc_decref(ring(types.node, 1));
    }
    CHECK_EQ(alive(), 1000, "while disabled");
    pygc_enable(heap);
    pygc_pause(heap);
    pygc_pause(heap);
    pygc_resume(heap);
    pygc_decref(ring(types.node, 1));
    CHECK_EQ(alive(), 1001, "while paused");
    pygc_resume(heap);
    for (int i = 0; i < 1000; i++) {
        pygc_decref(ring(types.node, 1));
    }
    CHECK(alive() <= 12, "%d objects are alive", (int)alive());
    pygc_get_stats(heap, &stats);
    CHECK(stats.generation[0].collections > 40, "%d of generation 0",
          (int)stats.generation[0].collections);
    CHECK(stats.generation[1].collections > 15, "%d of generation 1",
          (int)stats.generation[1].collections);
    CHECK(stats.generation[2].collections > 5, "%d of generation 2",
          (int)stats.generation[2].collections);
    pygc_collect(heap, 2);
    pygc_get_count(heap, count);
    CHECK_EQ(count[0] + count[1] + count[2], 0, "counts after a full collection");
    struct node *keep = ring(types.node, 3);
    pygc_get_count(heap, count);
    CHECK_EQ(count[0], 3, "allocated");
    pygc_clear(&keep->next);
    pygc_get_count(heap, count);
    CHECK_EQ(count[0], 1, "less freed");
    pygc_add_external(heap, 100 * 256);
    pygc_get_count(heap, count);
    CHECK_EQ(count[0], 101, "with what is outside");
    pygc_decref(keep);
    end();
}

static void freed_objects_do_not_count(void)
{
    struct pygc_stats stats;
    begin();
    pygc_enable(heap);
    for (int i = 0; i < 100000; i++) {
        pygc_decref(make(types.node));
    }
    pygc_get_stats(heap, &stats);
    CHECK_EQ(stats.generation[0].collections, 0, "collections");
    end();
}

static void frozen_objects_are_left_alone(void)
{
    begin();
    struct node *cold = ring(types.node, 5);
    pygc_freeze(heap);
    CHECK_EQ(pygc_freeze_count(heap), 5, "frozen");
    pygc_decref(cold);
    struct node *large = ring(types.big, 2);
    pygc_decref(large);
    CHECK_EQ(pygc_collect(heap, 2), 2, "what is not frozen");
    CHECK_EQ(visited(PYGC_FROZEN), 5, "frozen");
    pygc_unfreeze(heap);
    CHECK_EQ(pygc_freeze_count(heap), 0, "frozen");
    CHECK_EQ(pygc_collect(heap, 2), 5, "thawed");
    end();
}

static int is_same(void *object, void *arg)
{
    return object == arg;
}

static void references_can_be_looked_at(void)
{
    int count = 0;
    begin();
    struct node *a = make(types.node), *b = make(types.big), *c = make(types.visited);
    pygc_store(a, &a->next, b);
    pygc_store(a, &a->other, b);
    pygc_store(c, &c->next, b);
    pygc_referrers(b, count_visit, &count);
    CHECK_EQ(count, 2, "referrers whose references may be visited");
    pygc_track(c);
    pygc_referrers(b, count_visit, &count);
    CHECK_EQ(count, 2 + 3, "referrers");
    CHECK_EQ(pygc_referents(a, is_same, b), 1, "a refers to b");
    CHECK_EQ(pygc_referents(b, is_same, a), 0, "b does not refer to a");
    pygc_untrack(c);
    CHECK_EQ(visited(0), 2, "tracked young objects");
    CHECK_EQ(visited(PYGC_ALL), 3, "all objects");
    pygc_collect(heap, 0);
    CHECK_EQ(visited(0) * 10 + visited(1), 2, "young and middle-aged ones");
    pygc_decref(a);
    pygc_decref(b);
    pygc_decref(c);
    end();
}

static int note_census(const struct pygc_census *census, void *arg)
{
    unsigned *all = arg;
    *all = *all * 10 + (unsigned)census->objects;
    return 0;
}

static void a_census_counts_by_type(void)
{
    unsigned all = 0;
    begin();
    void *objects[] = {make(types.node), make(types.leaf), make(types.node),
                       make(types.big)};
    CHECK_EQ(pygc_take_census(heap, note_census, &all), 0, "census");
    CHECK_EQ(all, 211, "two nodes, a leaf and a big one");
    for (size_t i = 0; i < COUNT_OF(objects); i++) {
        pygc_decref(objects[i]);
    }
    end();
}

static void garbage_can_be_saved(void)
{
    int count = 0;
    begin();
    pygc_set_debug(heap, PYGC_DEBUG_SAVE);
    pygc_decref(ring(types.node, 3));
    CHECK_EQ(pygc_collect(heap, 2), 3, "garbage");
    CHECK_EQ(pygc_garbage(heap, count_visit, &count, 0), 3, "saved");
    CHECK_EQ(count, 3, "visited");
    CHECK_EQ(pygc_collect(heap, 2), 0, "it is referred to");
    pygc_set_debug(heap, 0);
    CHECK_EQ(pygc_garbage(heap, NULL, NULL, 1), 3, "dropped");
    CHECK_EQ(pygc_collect(heap, 2), 3, "garbage again");
    end();
}

static void on_event(pygc_heap *which, int generation, int is_end, size_t found,
                     void *arg)
{
    size_t *log = arg;
    CHECK(which == heap, "heap");
    *log = *log * 100 + (size_t)generation * 10 + (is_end ? found : 9);
}

static void collections_are_told_of(void)
{
    size_t log = 0;
    begin();
    pygc_set_callback(heap, on_event, &log);
    pygc_decref(ring(types.node, 3));
    pygc_collect(heap, 1);
    CHECK_EQ(log, 1913, "start and end");
    pygc_set_callback(heap, NULL, NULL);
    end();
}

static void verify_finds_faults(void)
{
    begin();
    struct node *a = make(types.node), *b = make(types.node);
    a->next = b;
    a->other = b; /* without a reference */
    pid_t child = fork();
    if (child == 0) {
        close(STDERR_FILENO);
        _exit(pygc_verify(heap) == 1 ? 0 : 1);
    }
    int status = -1;
    waitpid(child, &status, 0);
    CHECK_EQ(status, 0, "a count below the slots that refer to it");
    a->other = NULL;
    pygc_decref(a);
    end();
}

struct path {
    void *object[8];
    size_t unaccounted[8];
    int length;
};

static int note_path(void *object, size_t unaccounted, void *arg)
{
    struct path *path = arg;
    path->object[path->length] = object;
    path->unaccounted[path->length++] = unaccounted;
    return 0;
}

static void collections_can_be_made_to_verify(void)
{
    begin();
    struct node *a = make(types.node), *b = make(types.node);
    a->next = b;
    pygc_set_debug(heap, PYGC_DEBUG_VERIFY);
    CHECK_EQ(pygc_collect(heap, 2), 0, "a sound heap");
    a->other = b; /* without a reference */
    pid_t child = fork();
    if (child == 0) {
        close(STDERR_FILENO);
        (void)pygc_collect(heap, 0);
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "status %x", status);
    a->other = NULL;
    pygc_decref(a);
    end();
}

static void pauses_are_counted(void)
{
    struct pygc_stats stats;
    uint64_t pauses = 0;
    begin();
    for (int i = 0; i < 30; i++) {
        (void)pygc_collect(heap, i % 3);
    }
    pygc_get_stats(heap, &stats);
    for (int i = 0; i < PYGC_PAUSES; i++) {
        pauses += stats.pauses[i];
    }
    CHECK_EQ(pauses, 30, "pauses");
    CHECK_EQ(stats.pauses[0], 0, "of a nanosecond");
    end();
}

static void a_living_object_has_a_reason(void)
{
    struct path path = {.length = 0};
    begin();
    struct node *root = make(types.node), *middle = make(types.big),
                *end_of_it = ring(types.visited, 3);
    track_ring(end_of_it);
    pygc_incref(root);
    pygc_store(root, &root->other, middle);
    pygc_store(middle, &middle->next, end_of_it);
    pygc_decref(middle);
    pygc_decref(end_of_it);
    struct node *last = end_of_it->next;
    CHECK_EQ(pygc_why_alive(last, note_path, &path), 4, "objects on the path");
    CHECK(path.object[0] == root && path.object[1] == middle &&
              path.object[2] == end_of_it && path.object[3] == last,
          "the path");
    CHECK_EQ(path.unaccounted[0], 2, "references from outside");
    CHECK_EQ(path.unaccounted[1] + path.unaccounted[3], 0, "references from outside");
    pygc_decref(root);
    pygc_clear(&middle->next);
    CHECK_EQ(pygc_why_alive(last, note_path, &path), 0, "garbage");
    pygc_decref(root);
    CHECK_EQ(pygc_collect(heap, 2), 3, "garbage");
    end();
}

static void a_heap_takes_everything_along(void)
{
    begin();
    struct node *first = ring(types.final, 3);
    struct node *kept = make(types.node);
    (void)pygc_weakref_new(kept, on_death, NULL);
    (void)first;
    CHECK_EQ(pygc_heap_destroy(heap, 0), 4, "left");
    CHECK_EQ(seen.finalized, 3, "finalized");
    CHECK_EQ(seen.deallocated, 4, "deallocated");
    CHECK_EQ(seen.called, 0, "callbacks");
    begin();
    (void)ring(types.final, 3);
    CHECK_EQ(pygc_heap_destroy(heap, PYGC_NO_FINALIZERS), 3, "left");
    CHECK_EQ(seen.finalized, 0, "finalized");
    CHECK(pygc_heap_default() == pygc_heap_default(), "the default heap");
}

static const struct tap_case cases[] = {
    {"objects are zeroed and aligned", objects_are_zeroed_and_aligned},
    {"the header costs 8 bytes", the_header_costs_8_bytes},
    {"counts go up and down", counts_go_up_and_down},
    {"counts stick", counts_stick},
    {"slots own what is in them", slots_own_what_is_in_them},
    {"dealloc may collect", dealloc_may_collect},
    {"long chains need no stack", long_chains_need_no_stack},
    {"releasing can be cut into slices", releasing_can_be_cut_into_slices},
    {"items are counted and moved", items_are_counted_and_moved},
    {"items stay when shared meanwhile", items_stay_when_shared_meanwhile},
    {"bad types are refused", bad_types_are_refused},
    {"slots may adjoin", slots_may_adjoin},
    {"types tell what can be in a cycle", types_tell_what_can_be_in_a_cycle},
    {"cycles are found", cycles_are_found},
    {"popular objects are found", popular_objects_are_found},
    {"only the asked generations are looked at",
     only_the_asked_generations_are_looked_at},
    {"untracked objects are not looked at", untracked_objects_are_not_looked_at},
    {"late tracking is noticed by young collections",
     late_tracking_is_noticed_by_young_collections},
    {"what clear leaves is counted", what_clear_leaves_is_counted},
    {"immutable objects stop being tracked", immutable_objects_stop_being_tracked},
    {"immutable objects wait for what is to be tracked",
     immutable_objects_wait_for_what_is_to_be_tracked},
    {"immutable objects may refer to such", immutable_objects_may_refer_to_such},
    {"middle-aged garbage is found", middle_aged_garbage_is_found},
    {"a collection leaves no notes", a_collection_leaves_no_notes},
    {"finalizers run once", finalizers_run_once},
    {"resurrection spares what is reached", resurrection_spares_what_is_reached},
    {"finalizers may untrack and freeze", finalizers_may_untrack_and_freeze},
    {"garbage may share what is no candidate", garbage_may_share_what_is_no_candidate},
    {"finalizers may break cycles and collect",
     finalizers_may_break_cycles_and_collect},
    {"finalizers may allocate much", finalizers_may_allocate_much},
    {"finalizers can be put off", finalizers_can_be_put_off},
    {"weak references are cleared", weak_references_are_cleared},
    {"weak references to garbage are cleared", weak_references_to_garbage_are_cleared},
    {"callbacks may collect", callbacks_may_collect},
    {"callbacks may find garbage", callbacks_may_find_garbage},
    {"garbage is not told of garbage", garbage_is_not_told_of_garbage},
    {"garbage is silenced when due", garbage_is_silenced_when_due},
    {"collections run by themselves", collections_run_by_themselves},
    {"freed objects do not count", freed_objects_do_not_count},
    {"frozen objects are left alone", frozen_objects_are_left_alone},
    {"references can be looked at", references_can_be_looked_at},
    {"a census counts by type", a_census_counts_by_type},
    {"garbage can be saved", garbage_can_be_saved},
    {"collections are told of", collections_are_told_of},
    {"verify finds faults", verify_finds_faults},
    {"collections can be made to verify", collections_can_be_made_to_verify},
    {"pauses are counted", pauses_are_counted},
    {"a living object has a reason", a_living_object_has_a_reason},
    {"a heap takes everything along", a_heap_takes_everything_along},
};

int main(int argc, char **argv)
{
    make_types();
    return TAP_RUN(cases, argc, argv);
}
