/* gc.h: what can be seen of a heap: small graphs to the letter, random ones against a
 * simple computation of the test's own. */
#include "gc_heap.h"
#include "support.h"

#include <pthread.h>
#include <pymalloc/gc.h>
#include <stdarg.h>
#include <stdbool.h>

struct node {
    void *next;
    void *other;
};

struct list {
    size_t count;
    void *item[];
};

static struct {
    pygc_type *node, *leaf, *big, *list, *visited, *big_visited, *closure, *scope, *odd;
} types;

static pygc_heap *heap;

/* In a slot of an object that is not ready for traverse. */
#define UNREADY ((void *)8)

static int visit_node(void *object, pygc_visit_fn *visit, void *arg)
{
    struct node *node = object;
    if (!CHECK(node->next != UNREADY, "traverse is called before it may be")) {
        return 0;
    }
    int result = node->next != NULL ? visit(node->next, arg) : 0;
    return result == 0 && node->other != NULL ? visit(node->other, arg) : result;
}

static void clear_node(void *object)
{
    struct node *node = object;
    pygc_clear(&node->next);
    pygc_clear(&node->other);
}

/* Quotes, a backslash, a new line, what is no UTF-8, and what is. */
#define ODD_NAME "a \"b\" \\ \n\xff\xc3\xa9"

static void make_types(void)
{
    static const struct pygc_slot slots = {0, 2, PYGC_STRONG, NULL};
    static const struct pygc_slot item = {0, 1, PYGC_STRONG | PYGC_ITEMS, NULL};
    struct pygc_type_spec spec = {
        .name = "node", .size = sizeof(struct node), .slots = &slots, .slot_count = 1};
    types.node = pygc_type_new(&spec);
    spec.name = "closure";
    types.closure = pygc_type_new(&spec);
    spec.name = "scope";
    types.scope = pygc_type_new(&spec);
    spec.name = ODD_NAME;
    types.odd = pygc_type_new(&spec);
    spec.name = "big";
    spec.size = 10000;
    types.big = pygc_type_new(&spec);
    spec.name = "leaf";
    spec.size = 100;
    spec.slot_count = 0;
    types.leaf = pygc_type_new(&spec);
    spec.name = "visited";
    spec.size = sizeof(struct node);
    spec.traverse = visit_node;
    spec.clear = clear_node;
    types.visited = pygc_type_new(&spec);
    spec.name = "big visited";
    spec.size = 10000;
    types.big_visited = pygc_type_new(&spec);
    spec.size = sizeof(struct node);
    struct pygc_type_spec list = {.name = "list",
                                  .size = sizeof(struct list),
                                  .item_size = sizeof(void *),
                                  .slots = &item,
                                  .slot_count = 1};
    types.list = pygc_type_new(&list);
}

static void begin(unsigned flags)
{
    struct pygc_options options = {.disabled = 1, .flags = flags};
    heap = pygc_heap_new(&options);
    CHECK(heap != NULL, "no heap");
}

static void end(void)
{
    (void)pygc_collect(heap, 2);
    CHECK_EQ(pygc_verify(heap), 0, "faults");
    CHECK_EQ(pygc_heap_destroy(heap, 0), 0, "objects were left");
}

static void *make(const pygc_type *type)
{
    void *object = pygc_alloc(heap, type);
    if (object == NULL) {
        tap_bail_out("no object");
    }
    return object;
}

static struct list *make_list(size_t count)
{
    struct list *list = pygc_alloc_var(heap, types.list, count);
    if (list == NULL) {
        tap_bail_out("no list");
    }
    return list;
}

/* Moves the caller's reference to a slot. */
static void give(void *slot, void *value)
{
    *(void **)slot = value;
}

/* A ring of the types in turn, with a reference to the first. */
static struct node *ring(pygc_type *const *kinds, size_t kind_count, size_t count)
{
    struct node *first = make(kinds[0]), *last = first;
    pygc_track(first);
    for (size_t i = 1; i < count; i++) {
        struct node *node = make(kinds[i % kind_count]);
        pygc_track(node);
        give(&last->next, node);
        last = node;
    }
    pygc_store(last, &last->next, first);
    return first;
}

/* ---- what is written ---- */

static char text[1 << 22];

static int open_text(void)
{
    int fd = memfd_create("text", MFD_CLOEXEC);
    if (fd < 0) {
        tap_bail_out("no file");
    }
    return fd;
}

static const char *read_text(int fd)
{
    read_back(fd, text, sizeof text);
    return text;
}

static const char *census_text(void)
{
    int fd = open_text();
    CHECK_EQ(pygc_print_census(heap, fd), 0, "census");
    return read_text(fd);
}

static const char *cycles_text(ptrdiff_t cycles)
{
    int fd = open_text();
    CHECK_EQ(pygc_print_cycles(heap, fd), cycles, "cycles");
    return read_text(fd);
}

static const char *report_text(void)
{
    int fd = open_text();
    CHECK_EQ(pygc_print_report(heap, fd), 0, "report");
    return read_text(fd);
}

static const char *dot_text(const void *root, size_t limit, ptrdiff_t drawn)
{
    int fd = open_text();
    CHECK_EQ(pygc_dot(heap, root, limit, fd), drawn, "objects drawn");
    return read_text(fd);
}

static const char *reason_text(const void *object, ptrdiff_t length)
{
    int fd = open_text();
    CHECK_EQ(pygc_dot_why_alive(object, fd), length, "objects on the path");
    return read_text(fd);
}

__attribute__((format(printf, 2, 3))) static void wrote(const char *got,
                                                        const char *format, ...)
{
    static char wanted[1 << 16];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(wanted, sizeof wanted, format, args);
    va_end(args);
    CHECK_STR(got, wanted, "written");
}

/* '@' stands for an address. */
static bool matches(const char *got, const char *pattern)
{
    for (; *pattern != '\0'; pattern++) {
        if (*pattern != '@') {
            if (*got++ != *pattern) {
                return false;
            }
            continue;
        }
        size_t digits = strspn(got, "0123456789abcdefx");
        if (strncmp(got, "0x", 2) != 0 || digits < 3) {
            return false;
        }
        got += digits;
    }
    return *got == '\0';
}

static void like(const char *got, const char *pattern)
{
    CHECK(matches(got, pattern), "\"%s\" was written, wanted \"%s\"", got, pattern);
}

static bool has(const char *got, const char *part)
{
    return CHECK(strstr(got, part) != NULL, "\"%.600s\" has no \"%s\"", got, part);
}

static int stop_at_first(const struct pygc_cycles *cycles, void *arg)
{
    *(struct pygc_cycles *)arg = *cycles;
    return 1;
}

/* ---- the census ---- */

#define CENSUS_HEAD                                                                    \
    "     objects       bytes  references   referrers unaccounted immortal    gen 0"   \
    "    gen 1    gen 2   frozen   untracked      age  type\n"

static void a_census_is_printed(void)
{
    begin(0);
    struct node *a = make(types.node), *b = make(types.node), *big = make(types.big);
    struct list *list = make_list(3);
    void *leaf = make(types.leaf);
    pygc_store(a, &a->next, b);
    pygc_store(a, &a->other, leaf);
    pygc_store(b, &b->next, leaf);
    pygc_store(big, &big->next, a);
    pygc_store(list, &list->item[0], a);
    pygc_store(list, &list->item[2], big);
    (void)pygc_collect(heap, 0);
    (void)pygc_collect(heap, 0);
    pygc_incref(leaf);
    pygc_immortalize(big);
    wrote(
        census_text(), "%s%s%s%s%s%s", CENSUS_HEAD,
        "           1     9.8 KiB           1           1           0        1        0"
        "        1        0        0           0        2  big\n",
        "           1       112 B           0           2           2        0        0"
        "        0        0        0           1        2  leaf\n",
        "           2        64 B           3           3           2        0        0"
        "        2        0        0           0        2  node\n",
        "           1        48 B           2           0           1        0        0"
        "        1        0        0           0        2  list\n",
        "           5    10.0 KiB           6           6           5        1        0"
        "        4        0        0           1        2  (all)\n");
    pygc_clear(&list->item[2]);
    pygc_clear(&big->next);
    pygc_decref(leaf);
    pygc_decref(leaf);
    pygc_decref(a);
    pygc_decref(b);
    pygc_decref(list);
    (void)pygc_collect(heap, 2);
    CHECK_EQ(pygc_heap_destroy(heap, 0), 1, "the immortal one is left");
}

static void an_empty_heap_is_printed(void)
{
    begin(0);
    wrote(
        census_text(), "%s%s", CENSUS_HEAD,
        "           0         0 B           0           0           0        0        0"
        "        0        0        0           0        0  (all)\n");
    wrote(cycles_text(0), "garbage: 0 objects, 0 B\n");
    wrote(dot_text(NULL, 10, 0), "digraph pygc {\n  rankdir=LR;\n"
                                 "  node [shape=box, style=filled, fillcolor=white];\n"
                                 "}\n");
    has(report_text(), ": 0 objects, 0 B\n\n");
    end();
}

static int note_census(const struct pygc_census *census, void *arg)
{
    *(struct pygc_census *)arg = *census;
    return census->type == types.visited;
}

static struct pygc_census census_of_visited(void)
{
    struct pygc_census census;
    CHECK_EQ(pygc_take_census(heap, note_census, &census), 1, "stopped");
    return census;
}

/* traverse may not be asked before the object is tracked. */
static void a_census_asks_traverse_when_it_may(void)
{
    begin(0);
    struct node *a = make(types.visited);
    a->next = UNREADY;
    CHECK_EQ(census_of_visited().references, 0, "references");
    CHECK_EQ(pygc_find_cycles(heap, stop_at_first, NULL), 0, "cycles");
    has(dot_text(a, 5, 1), "not tracked");
    has(report_text(), ": 1 object, 32 B\n");
    a->next = NULL;
    pygc_track(a);
    pygc_store(a, &a->next, a);
    struct pygc_census census = census_of_visited();
    CHECK_EQ(census.references, 1, "references");
    CHECK_EQ(census.referrers, 1, "referrers");
    CHECK_EQ(census.unaccounted, 1, "unaccounted");
    pygc_decref(a);
    end();
}

static int count_object(void *object, void *arg)
{
    (void)object;
    ++*(size_t *)arg;
    return 0;
}

static int count_step(void *object, size_t unaccounted, void *arg)
{
    (void)unaccounted;
    return count_object(object, arg);
}

/* Nor by anything else that looks at all objects, whenever it was born. */
static void traverse_is_not_asked_before(void)
{
    begin(0);
    size_t referrers = 0, steps = 0;
    struct node *young = make(types.visited);
    young->next = UNREADY;
    pygc_decref(ring(&types.scope, 1, 1));
    CHECK(pygc_step(heap, 1), "it takes more than a slice");
    struct node *between = make(types.visited), *large = make(types.big_visited);
    between->next = large->next = UNREADY;
    CHECK_EQ(pygc_referrers(young, count_object, &referrers), 0, "stopped");
    CHECK_EQ(referrers, 0, "referrers");
    CHECK_EQ(pygc_why_alive(between, count_step, &steps), 1, "steps");
    CHECK_EQ(pygc_verify(heap), 0, "faults");
    CHECK_EQ(census_of_visited().references, 0, "references");
    has(dot_text(NULL, 5, 4), "not tracked");
    while (pygc_step(heap, 1)) {
    }
    CHECK_EQ(pygc_verify(heap), 0, "faults");
    young->next = between->next = large->next = NULL;
    pygc_decref(young), pygc_decref(between), pygc_decref(large);
    end();
}

/* Between what is missing at most, and the truth. */
static void ages_are_bounded(void)
{
    enum { BIRTHS = 600, STEP = 7, LAST = 700 };
    struct pygc_census census = {.age = 0};
    for (uint64_t birth = 0; birth < BIRTHS; birth += birth < 20 ? 1 : 4 * STEP) {
        begin(0);
        for (uint64_t i = 0; i < birth; i++) {
            (void)pygc_collect(heap, (int)(i % 3));
        }
        void *object = make(types.node);
        for (uint64_t now = birth; now < LAST; now++) {
            if (now % STEP == 0 || now < birth + 3) {
                void *young = make(types.node);
                (void)pygc_take_census(heap, note_census, &census);
                pygc_decref(young);
                uint64_t age = now - birth, missing = birth < 8 ? 0 : birth / 4;
                CHECK(census.age <= age && census.age + missing >= age,
                      "age %ju of one that was born after %ju and is %ju",
                      (uintmax_t)census.age, (uintmax_t)birth, (uintmax_t)age);
            }
            (void)pygc_collect(heap, 0);
        }
        pygc_decref(object);
        end();
    }
}

/* Objects born between slices, and ones that are tracked later, have a date as well. */
static void ages_of_those_made_at_other_times(void)
{
    struct pygc_census census = {.age = 0};
    begin(0);
    pygc_decref(ring(&types.scope, 1, 1));
    CHECK(pygc_step(heap, 1), "it takes more than a slice");
    void *object = make(types.node);
    while (pygc_step(heap, 1)) {
    }
    (void)pygc_collect(heap, 2);
    (void)pygc_take_census(heap, note_census, &census);
    CHECK_EQ(census.age, 2, "collections since");
    pygc_decref(object);
    end();
    begin(0);
    object = make(types.visited);
    (void)pygc_collect(heap, 2);
    pygc_track(object);
    for (int i = 0; i < 4; i++) {
        (void)pygc_collect(heap, 2);
    }
    CHECK_EQ(census_of_visited().age, 4, "collections since");
    pygc_decref(object);
    end();
}

/* ---- generations and pauses ---- */

static void make_some(void **objects, size_t count, const pygc_type *type)
{
    for (size_t i = 0; i < count; i++) {
        objects[i] = make(type);
    }
}

static void generations_are_counted(void)
{
    struct pygc_generation places[PYGC_PLACES];
    const unsigned threshold[3] = {1000, 20, 30};
    void *objects[13];
    begin(0);
    pygc_set_threshold(heap, threshold);
    make_some(objects, 4, types.node);
    (void)pygc_collect(heap, 0);
    (void)pygc_collect(heap, 1);
    make_some(objects + 4, 5, types.node);
    pygc_decref(ring(&types.node, 1, 4));
    CHECK_EQ(pygc_collect(heap, 0), 4, "garbage");
    pygc_get_generations(heap, places);
    CHECK_EQ(places[0].objects * 100 + places[1].objects * 10 + places[2].objects, 54,
             "objects by generation");
    CHECK_EQ(places[2].bytes, 4 * 32, "bytes");
    pygc_freeze(heap);
    make_some(objects + 9, 3, types.node);
    make_some(objects + 12, 1, types.leaf);
    pygc_get_generations(heap, places);
    const size_t wanted[PYGC_PLACES] = {3, 0, 0, 9, 1};
    for (size_t i = 0; i < PYGC_PLACES; i++) {
        CHECK_EQ(places[i].objects, wanted[i], "objects in %zu", i);
    }
    CHECK_EQ(places[PYGC_UNTRACKED].bytes, 112, "bytes");
    CHECK_EQ(places[0].survived, 9, "survived");
    CHECK_EQ(places[1].survived, 4, "survived");
    CHECK_EQ(places[2].survived, 0, "survived");
    CHECK_EQ(places[1].threshold, 20, "threshold");
    CHECK_EQ(places[0].count, 3, "count");
    has(report_text(),
        "\ngeneration 0           3        96 B        1000        3     "
        "      2           9           4           0");
    has(text, "\n      frozen           9       288 B\n   untracked           1       "
              "112 B\n");
    for (size_t i = 0; i < COUNT_OF(objects); i++) {
        pygc_decref(objects[i]);
    }
    end();
}

static struct pygc_stats stats;

/* The upper end of the power of two in which so many of a hundred pauses are. */
static uint64_t bound(unsigned percent, uint64_t count, uint64_t longest)
{
    for (int i = 0; i < PYGC_PAUSES - 1; i++) {
        uint64_t up_to = 0;
        for (int k = 0; k <= i; k++) {
            up_to += stats.pauses[k];
        }
        if (100 * up_to >= percent * count) {
            uint64_t most = ((uint64_t)1 << (i + 1)) - 1;
            return most < longest ? most : longest;
        }
    }
    return longest;
}

static void pauses_are_summed_up(void)
{
    enum { COUNT = 240 };
    struct pygc_pauses pauses;
    begin(0);
    pygc_get_pauses(heap, &pauses);
    CHECK_EQ(pauses.count + pauses.longest_ns + pauses.p99_ns, 0, "before the first");
    CHECK_EQ(pauses.permyriad, 10000, "before the first");
    struct node *all = ring(&types.node, 1, 5000);
    for (int i = 0; i < COUNT; i++) {
        (void)pygc_collect(heap, i % 40 == 0 ? 2 : 0);
    }
    pygc_get_pauses(heap, &pauses);
    pygc_get_stats(heap, &stats);
    uint64_t total = 0, longest = 0;
    for (int i = 0; i < 3; i++) {
        total += stats.generation[i].time_ns;
        longest = stats.generation[i].longest_ns > longest
                      ? stats.generation[i].longest_ns
                      : longest;
    }
    CHECK_EQ(pauses.count, COUNT, "pauses");
    CHECK_EQ(pauses.total_ns, total, "in all");
    CHECK_EQ(pauses.longest_ns, longest, "longest");
    CHECK_EQ(pauses.p50_ns, bound(50, COUNT, longest), "half");
    CHECK_EQ(pauses.p99_ns, bound(99, COUNT, longest), "99 of 100");
    CHECK(pauses.p50_ns <= pauses.p99_ns && pauses.p99_ns <= longest, "in order");
    CHECK(pauses.age_ns >= total, "%ju ns of %ju", (uintmax_t)total,
          (uintmax_t)pauses.age_ns);
    double had = 10000 - 10000.0 * (double)total / (double)pauses.age_ns;
    CHECK(pauses.permyriad < had + 2 && pauses.permyriad > had - 2, "%u of %f",
          pauses.permyriad, had);
    has(report_text(), "pauses: 240, ");
    pygc_decref(all);
    end();
}

/* As if there had been these. */
static void bounds_of_pauses(void)
{
    static const struct {
        int count[3]; /* of 8 to 15, 32 to 63 and 1024 to 2047 ns */
        uint64_t p50, p99;
    } wanted[] = {{{98, 1, 1}, 15, 63},  {{98, 0, 2}, 15, 1500},  {{50, 50, 0}, 15, 63},
                  {{49, 51, 0}, 63, 63}, {{0, 0, 1}, 1500, 1500}, {{99, 0, 1}, 15, 15}};
    for (size_t i = 0; i < COUNT_OF(wanted); i++) {
        struct pygc_pauses pauses;
        begin(0);
        heap->pauses[3] = (uint64_t)wanted[i].count[0];
        heap->pauses[5] = (uint64_t)wanted[i].count[1];
        heap->pauses[10] = (uint64_t)wanted[i].count[2];
        heap->stats[1].longest_ns = 1500;
        pygc_get_pauses(heap, &pauses);
        CHECK_EQ(pauses.p50_ns, wanted[i].p50, "half, of %zu", i);
        CHECK_EQ(pauses.p99_ns, wanted[i].p99, "99 of 100, of %zu", i);
        end();
    }
}

/* ---- cycles ---- */

static void cycles_are_told_by_types(void)
{
    begin(0);
    for (int i = 0; i < 1200; i++) {
        pygc_decref(ring(&types.node, 1, 2));
    }
    pygc_type *const kinds[] = {types.scope, types.closure};
    for (int i = 0; i < 3; i++) {
        struct node *first = ring(kinds, 2, i == 2 ? 6 : 4);
        give(&first->other, make(types.leaf)); /* hangs on it */
        pygc_decref(first);
    }
    struct node *self = make(types.big), *living = ring(&types.node, 1, 3);
    pygc_store(self, &self->other, self);
    pygc_decref(self);
    struct pygc_stats before, after;
    pygc_get_stats(heap, &before);
    like(cycles_text(1204),
         "garbage: 2418 objects, 85.5 KiB; 2415 of them in 1204 cycles\n"
         "node -> node -> node: 1200 cycles of 2 objects, 75.0 KiB\n"
         "  for example @ of type node\n"
         "    -> slot at offset 0 -> @ of type node\n"
         "    -> slot at offset 0 -> @ of type node\n"
         "big -> big: 1 cycle of 1 object, 9.8 KiB\n"
         "  for example @ of type big\n"
         "    -> slot at offset 8 -> @ of type big\n"
         "closure -> scope -> closure -> scope -> closure: 3 cycles of 4 to 6 objects, "
         "448 B\n"
         "  for example @ of type closure\n"
         "    -> slot at offset 0 -> @ of type scope\n"
         "    -> slot at offset 0 -> @ of type closure\n"
         "    -> slot at offset 0 -> @ of type scope\n"
         "    -> slot at offset 0 -> @ of type closure\n");
    pygc_get_stats(heap, &after);
    CHECK(memcmp(&before, &after, sizeof before) == 0, "something has changed");
    CHECK_EQ(pygc_collect(heap, 2), 2415, "garbage that is tracked");
    wrote(cycles_text(0), "garbage: 0 objects, 0 B\n");
    pygc_decref(living);
    end();
}

/* What the types of the example leave out; and an example that is longer than what is
 * shown of it. */
static void examples_are_bounded(void)
{
    begin(0);
    struct node *first = ring(&types.node, 1, 100);
    first->other = ring(&types.visited, 1, 1);
    pygc_store(first->other, &((struct node *)first->other)->other, first);
    struct node *closure = ring(&types.closure, 1, 1);
    pygc_store(first->next, &((struct node *)first->next)->other, closure);
    pygc_store(closure, &closure->other, first->next);
    pygc_decref(closure);
    pygc_decref(first);
    struct pygc_cycles cycles;
    CHECK_EQ(pygc_find_cycles(heap, stop_at_first, &cycles), 1, "cycles");
    CHECK_EQ(cycles.objects, 102, "objects");
    CHECK_EQ(cycles.example_length, 2, "a shortest way");
    has(cycles_text(1), "\nnode -> visited -> node (with closure): 1 cycle of 102 "
                        "objects, 3.1 KiB\n");
    has(text, "\n    -> traverse -> 0x");
    (void)pygc_collect(heap, 2);
    pygc_decref(ring(&types.node, 1, 100));
    has(cycles_text(1),
        "node -> node -> node -> node -> node -> node -> node -> node -> "
        "node -> node -> node -> node -> node -> node -> node -> node -> "
        "...: 1 cycle of 100 objects, 3.1 KiB\n");
    has(text, " of type node\n    ... and 84 more\n");
    end();
}

/* The way through one cycle does not go by another that it leads to. */
static void examples_keep_to_their_cycle(void)
{
    begin(0);
    struct node *first = ring(&types.node, 1, 60), *other = ring(&types.scope, 1, 200);
    pygc_store(other, &other->other, other); /* most of it is on no shortest way */
    pygc_store(first, &first->other, ((struct node *)other->next)->next);
    pygc_decref(other);
    pygc_decref(first);
    struct pygc_cycles cycles;
    CHECK_EQ(pygc_find_cycles(heap, stop_at_first, &cycles), 2, "cycles");
    CHECK_EQ(cycles.example_length, 1, "length");
    has(cycles_text(2), "\n    ... and 44 more\n");
    end();
}

static int take_first(void *object, void *arg)
{
    pygc_incref(object);
    *(void **)arg = object;
    return 1;
}

static void kept_garbage_is_garbage(void)
{
    begin(PYGC_DEBUG_SAVE);
    for (int i = 0; i < 5; i++) {
        pygc_decref(ring(&types.node, 1, 2));
    }
    CHECK_EQ(pygc_collect(heap, 2), 10, "garbage");
    pygc_decref(ring(&types.node, 1, 3));
    has(cycles_text(6), "garbage: 13 objects, 416 B; 13 of them in 6 cycles\n");
    has(text, ": 6 cycles of 2 to 3 objects, 416 B\n");
    struct node *taken;
    (void)pygc_garbage(heap, take_first, &taken, 0);
    has(cycles_text(5), "garbage: 11 objects, 352 B; 11 of them in 5 cycles\n");
    pygc_decref(taken);
    pygc_set_debug(heap, 0);
    CHECK_EQ(pygc_garbage(heap, NULL, NULL, 1), 10, "kept");
    end();
}

static void overlooked_cycles_are_told(void)
{
    begin(0);
    pygc_decref(ring(&types.node, 1, 2));
    pygc_freeze(heap);
    struct node *untracked = ring(&types.node, 1, 2);
    pygc_untrack(untracked);
    pygc_decref(untracked);
    pygc_decref(ring(&types.node, 1, 2));
    has(cycles_text(3),
        ": 3 cycles of 2 objects, 192 B; 2 of them no collection finds\n");
    CHECK_EQ(pygc_collect(heap, 2), 2, "garbage");
    pygc_unfreeze(heap);
    pygc_track(untracked);
    CHECK_EQ(pygc_collect(heap, 2), 4, "garbage");
    end();
}

/* What is referred to by what the collector may not ask is alive. */
static void unknown_references_keep_alive(void)
{
    begin(0);
    struct node *visited = make(types.visited), *inner = ring(&types.node, 1, 2);
    visited->next = inner;
    wrote(cycles_text(0), "garbage: 0 objects, 0 B\n");
    visited->next = NULL;
    pygc_decref(inner);
    has(cycles_text(1), "garbage: 2 objects");
    pygc_decref(visited);
    end();
}

/* On a small stack. */
static void *look_at_deep(void *arg)
{
    CHECK_EQ(pygc_find_cycles(heap, stop_at_first, arg), 2, "cycles");
    CHECK_EQ(((struct pygc_cycles *)arg)->example_length, 200000, "length of the ring");
    CHECK_EQ(pygc_print_cycles(heap, open("/dev/null", O_WRONLY | O_CLOEXEC)), 2,
             "cycles");
    return NULL;
}

static void deep_graphs_need_no_stack(void)
{
    enum { DEEP = 200000 };
    struct pygc_cycles cycles;
    pthread_attr_t attributes;
    pthread_t thread;
    begin(0);
    struct node *first = ring(&types.node, 1, DEEP), *chain = NULL;
    for (int i = 0; i < DEEP; i++) {
        struct node *node = make(types.node);
        give(&node->next, chain);
        chain = node;
    }
    give(&first->other, chain);
    pygc_decref(first);
    pygc_decref(ring(&types.scope, 1, 2));
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 1 << 17);
    if (pthread_create(&thread, &attributes, look_at_deep, &cycles) == 0) {
        pthread_join(thread, NULL);
    }
    pthread_attr_destroy(&attributes);
    CHECK_EQ(cycles.least, DEEP, "objects");
    end();
}

/* ---- cycles of random graphs ---- */

enum { NODES = 24, KINDS = 4 };

static struct {
    struct list *object[NODES];
    int kind[NODES];
    uint32_t edges[NODES]; /* a bit for each node that it refers to */
    uint32_t leads[NODES]; /* by any number of references but 0 */
    uint32_t alive;
    uint32_t kept; /* referred to by the test */
} graph;

static pygc_type *kinds[KINDS];

static void make_kinds(void)
{
    static const struct pygc_slot item = {0, 1, PYGC_STRONG | PYGC_ITEMS, NULL};
    const char *names[KINDS] = {"red", "green", "blue", "large"};
    for (int i = 0; i < KINDS; i++) {
        struct pygc_type_spec spec = {.name = names[i],
                                      .size = i == 3 ? 800 : sizeof(struct list),
                                      .item_size = sizeof(void *),
                                      .slots = &item,
                                      .slot_count = 1};
        kinds[i] = pygc_type_new(&spec);
    }
}

static void **item_of(int node, int i)
{
    char *object = (char *)graph.object[node];
    return (void **)(void *)(object + (graph.kind[node] == 3 ? 800 : 8)) + i;
}

static void close_over(void)
{
    memcpy(graph.leads, graph.edges, sizeof graph.leads);
    for (int k = 0; k < NODES; k++) {
        for (int i = 0; i < NODES; i++) {
            graph.leads[i] |= (graph.leads[i] >> k & 1) != 0 ? graph.leads[k] : 0;
        }
    }
    graph.alive = graph.kept;
    for (int i = 0; i < NODES; i++) {
        graph.alive |= (graph.kept >> i & 1) != 0 ? graph.leads[i] : 0;
    }
}

static void make_random(struct rng *rng)
{
    memset(&graph, 0, sizeof graph);
    for (int i = 0; i < NODES; i++) {
        graph.kind[i] = (int)rng_below(rng, KINDS);
        graph.object[i] = pygc_alloc_var(heap, kinds[graph.kind[i]], NODES);
    }
    size_t edges = rng_below(rng, 2 * NODES);
    for (size_t k = 0; k < edges; k++) {
        int from = (int)rng_below(rng, NODES), to = (int)rng_below(rng, NODES);
        pygc_store(graph.object[from], item_of(from, to), graph.object[to]);
        graph.edges[from] |= UINT32_C(1) << to;
    }
    for (int i = 0; i < NODES; i++) {
        graph.kept |= (uint32_t)(rng_below(rng, 6) == 0) << i;
    }
    close_over();
    /* What dies by its count is none of what is looked for. */
    for (int i = 0; i < NODES; i++) {
        if ((graph.kept >> i & 1) == 0) {
            pygc_decref(graph.object[i]);
        }
    }
}

static bool in_one_cycle(int a, int b)
{
    return (graph.alive >> a & 1) == 0 && (graph.leads[a] >> b & 1) != 0 &&
           (graph.leads[b] >> a & 1) != 0;
}

struct tally {
    int cycles[1 << KINDS]; /* by set of kinds */
    int objects[1 << KINDS];
    size_t least[1 << KINDS];
    size_t most[1 << KINDS];
};

/* Every cycle is counted at its first node. */
static int count_cycles(struct tally *tally)
{
    int all = 0;
    for (int i = 0; i < NODES; i++) {
        unsigned set = 0;
        size_t members = 0;
        int first = i;
        for (int k = NODES; k-- > 0;) {
            if (in_one_cycle(i, k)) {
                set |= 1u << graph.kind[k];
                members++;
                first = k;
            }
        }
        if (members != 0 && first == i) {
            bool is_least = tally->cycles[set] == 0 || members < tally->least[set];
            tally->least[set] = is_least ? members : tally->least[set];
            tally->most[set] = members > tally->most[set] ? members : tally->most[set];
            tally->cycles[set]++;
            tally->objects[set] += (int)members;
            all++;
        }
    }
    return all;
}

static int node_of(const void *object)
{
    int i = 0;
    while (i < NODES && (const void *)graph.object[i] != object) {
        i++;
    }
    return i;
}

/* The fewest references that lead from a node back to itself. */
static size_t way_back(int node)
{
    uint32_t at = graph.edges[node];
    size_t length = 1;
    for (; (at >> node & 1) == 0 && length < NODES; length++) {
        uint32_t next = at;
        for (int i = 0; i < NODES; i++) {
            next |= (at >> i & 1) != 0 ? graph.edges[i] : 0;
        }
        at = next;
    }
    return length;
}

static void check_example(const struct pygc_cycles *cycles)
{
    size_t length = cycles->example_length;
    int first = node_of(cycles->example[0]);
    CHECK_EQ(graph.kind[first],
             cycles->types[0] == kinds[0]   ? 0
             : cycles->types[0] == kinds[1] ? 1
             : cycles->types[0] == kinds[2] ? 2
                                            : 3,
             "kind of the first");
    CHECK_EQ(length, way_back(first), "length of the example");
    size_t members = 0;
    for (int i = 0; i < NODES; i++) {
        members += in_one_cycle(first, i);
    }
    CHECK_EQ(members, cycles->least, "objects of the smallest");
    for (size_t i = 0; i < length; i++) {
        int from = node_of(cycles->example[i]);
        int to = node_of(cycles->example[(i + 1) % length]);
        CHECK((graph.edges[from] >> to & 1) != 0, "no reference from %d to %d", from,
              to);
    }
}

static uint64_t last_bytes;

static int compare_group(const struct pygc_cycles *cycles, void *arg)
{
    struct tally *tally = arg;
    unsigned set = 0;
    int previous = -1;
    for (size_t i = 0; i < cycles->type_count; i++) {
        int kind = 0;
        while (kinds[kind] != cycles->types[i]) {
            kind++;
        }
        CHECK(kind > previous, "order of types");
        previous = kind;
        set |= 1u << kind;
    }
    CHECK_EQ(cycles->cycles, tally->cycles[set], "cycles of %u", set);
    CHECK_EQ(cycles->objects, tally->objects[set], "objects of %u", set);
    CHECK_EQ(cycles->least, tally->least[set], "smallest of %u", set);
    CHECK_EQ(cycles->most, tally->most[set], "largest of %u", set);
    CHECK_EQ(cycles->overlooked, 0, "overlooked");
    CHECK(cycles->bytes <= last_bytes, "order of groups");
    last_bytes = cycles->bytes;
    tally->cycles[set] = 0;
    check_example(cycles);
    return 0;
}

static void drop_random(void)
{
    for (int i = 0; i < NODES; i++) {
        if ((graph.kept >> i & 1) != 0) {
            pygc_decref(graph.object[i]);
        }
    }
}

static void cycles_of_random_graphs(void)
{
    struct rng rng = {4};
    int found = 0;
    for (int round = 0; round < 2000; round++) {
        struct tally tally;
        memset(&tally, 0, sizeof tally);
        begin(0);
        make_random(&rng);
        int cycles = count_cycles(&tally);
        last_bytes = UINT64_MAX;
        CHECK_EQ(pygc_find_cycles(heap, compare_group, &tally), cycles, "cycles");
        for (int i = 0; i < 1 << KINDS; i++) {
            CHECK_EQ(tally.cycles[i], 0, "cycles of %d that were not told", i);
        }
        found += cycles;
        drop_random();
        end();
    }
    CHECK(found > 1000, "there were %d cycles", found);
}

/* ---- graphs: their language ---- */

struct edge {
    char from, to; /* letters of the nodes' names */
    unsigned from_number, to_number;
    char label[64];
    char style[16];
};

static struct {
    struct edge edge[4096];
    size_t edges;
    size_t nodes;             /* that are objects */
    unsigned long refs[4096]; /* of them, as their labels tell */
    char label[1024];
} parsed;

static const char *skip_space(const char *at)
{
    return at + strspn(at, " \n\t");
}

/* A quoted string or a word; NULL if there is none. */
static const char *parse_value(const char *at, char *out, size_t room)
{
    size_t length = 0;
    if (*at != '"') {
        size_t word = strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "0123456789_.");
        if (word == 0) {
            return NULL;
        }
        snprintf(out, room, "%.*s", (int)word, at);
        return at + word;
    }
    for (at++; *at != '"'; at++) {
        if (*at == '\0' || *at == '\n' || (*at == '\\' && *++at == '\0')) {
            return NULL;
        }
        if (length + 1 < room) {
            out[length++] = *at;
        }
    }
    out[length] = '\0';
    return at + 1;
}

/* What stands in brackets, from behind the first. */
static const char *parse_attributes(const char *at, struct edge *edge)
{
    char key[64], value[1024];
    while (at != NULL && *at != ']') {
        at = parse_value(skip_space(at), key, sizeof key);
        at = at != NULL ? skip_space(at) : NULL;
        if (at == NULL || *at++ != '=') {
            return NULL;
        }
        at = parse_value(skip_space(at), value, sizeof value);
        at = at != NULL ? skip_space(at) : NULL;
        if (at == NULL || (*at != ',' && *at != ']')) {
            return NULL;
        }
        at += *at == ',';
        if (strcmp(key, "label") == 0) {
            snprintf(edge->label, sizeof edge->label, "%.60s", value);
            snprintf(parsed.label, sizeof parsed.label, "%s", value);
        } else if (strcmp(key, "style") == 0) {
            snprintf(edge->style, sizeof edge->style, "%.15s", value);
        }
    }
    return at != NULL ? at + 1 : NULL;
}

static void split_name(const char *name, char *letter, unsigned *number)
{
    *letter = name[0];
    *number = (unsigned)strtoul(name + 1, NULL, 10);
}

/* "2 references" stands in the label of an object that is drawn. */
static void note_node(const char *name)
{
    char letter;
    unsigned number;
    const char *at = strstr(parsed.label, " reference");
    split_name(name, &letter, &number);
    while (at != NULL && at > parsed.label && at[-1] >= '0' && at[-1] <= '9') {
        at--;
    }
    CHECK_EQ(number, parsed.nodes, "number of the node");
    if (number < COUNT_OF(parsed.refs)) {
        parsed.refs[number] = at != NULL ? strtoul(at, NULL, 10) : 0;
    }
    parsed.nodes++;
}

/* A node, an edge or an assignment; what follows it, or NULL. */
static const char *parse_statement(const char *at)
{
    char from[64], to[64] = "";
    struct edge edge = {.label = "", .style = ""};
    at = parse_value(at, from, sizeof from);
    at = at != NULL ? skip_space(at) : NULL;
    if (at != NULL && *at == '=') {
        at = parse_value(skip_space(at + 1), to, sizeof to);
        return at != NULL && *at == ';' ? at + 1 : NULL;
    }
    if (at != NULL && strncmp(at, "->", 2) == 0) {
        at = parse_value(skip_space(at + 2), to, sizeof to);
        at = at != NULL ? skip_space(at) : NULL;
    }
    if (at != NULL && *at == '[') {
        at = parse_attributes(at + 1, &edge);
    }
    if (at == NULL || *at != ';') {
        return NULL;
    }
    if (to[0] != '\0' && parsed.edges < COUNT_OF(parsed.edge)) {
        split_name(from, &edge.from, &edge.from_number);
        split_name(to, &edge.to, &edge.to_number);
        parsed.edge[parsed.edges++] = edge;
    } else if (from[0] == 'n' && from[1] != 'o') {
        note_node(from);
    }
    return at + 1;
}

/* Whether it is in the language, as far as the library uses it. */
static bool parse(const char *dot)
{
    static const char start[] = "digraph pygc {";
    const char *at = dot;
    memset(&parsed, 0, sizeof parsed);
    if (strncmp(at, start, strlen(start)) != 0) {
        return false;
    }
    for (at = skip_space(at + strlen(start)); at != NULL && *at != '}';) {
        at = parse_statement(at);
        at = at != NULL ? skip_space(at) : NULL;
    }
    return at != NULL && strcmp(at, "}\n") == 0;
}

static void the_syntax_check_can_fail(void)
{
    static const char *const wrong[] = {
        "graph pygc {\n}\n",
        "digraph pygc {\n  n0 [label=\"a\"]\n}\n",
        "digraph pygc {\n  n0 [label=\"a\" b\"];\n}\n",
        "digraph pygc {\n  n0 [label=\"a\nb\"];\n}\n",
        "digraph pygc {\n  n0 [label=\"a\\\"];\n}\n",
        "digraph pygc {\n  n0 -> ;\n}\n",
        "digraph pygc {\n  n0 -> n1 [label];\n}\n",
        "digraph pygc {\n  n0;\n",
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        CHECK(!parse(wrong[i]), "\"%s\" is taken for right", wrong[i]);
    }
    CHECK(parse("digraph pygc {\n  n0 -> n1 [label=\"a\\\"\\\\\", style=dashed];\n}\n"),
          "it is right");
    CHECK_EQ(parsed.edges, 1, "edges");
    CHECK_STR(parsed.edge[0].label, "a\"\\", "label");
}

/* ---- graphs ---- */

#define DOT_HEAD                                                                       \
    "digraph pygc {\n  rankdir=LR;\n"                                                  \
    "  node [shape=box, style=filled, fillcolor=white];\n"

static void a_small_graph_is_drawn(void)
{
    begin(0);
    struct node *a = make(types.node), *b = make(types.node);
    struct list *list = make_list(2);
    void *leaf = make(types.leaf);
    pygc_store(a, &a->next, b);
    pygc_store(a, &a->other, list);
    pygc_store(list, &list->item[1], leaf);
    pygc_store(b, &b->next, a);
    pygc_store(b, &b->other, leaf);
    pygc_decref(b);
    pygc_decref(list);
    (void)pygc_collect(heap, 0);
    like(dot_text(a, 3, 3),
         DOT_HEAD "  n0 [label=\"node\\n@\\n2 references, generation 1\", "
                  "fillcolor=\"#ffd27f\"];\n"
                  "  o0 [label=\"outside\", shape=plaintext];\n"
                  "  o0 -> n0 [style=dashed, label=\"1\"];\n"
                  "  n1 [label=\"node\\n@\\n1 reference, generation 1\", "
                  "fillcolor=\"#ffd27f\"];\n"
                  "  n2 [label=\"list\\n@\\n1 reference, generation 1\", "
                  "fillcolor=\"#ffd27f\"];\n"
                  "  n0 -> n1 [edgetooltip=\"slot at offset 0\"];\n"
                  "  n0 -> n2 [edgetooltip=\"slot at offset 8\"];\n"
                  "  n1 -> n0 [edgetooltip=\"slot at offset 0\"];\n"
                  "  m1 [label=\"not drawn\", shape=plaintext, fontcolor=gray];\n"
                  "  n1 -> m1 [style=dotted, label=\"1\"];\n"
                  "  m2 [label=\"not drawn\", shape=plaintext, fontcolor=gray];\n"
                  "  n2 -> m2 [style=dotted, label=\"1\"];\n"
                  "}\n");
    like(dot_text(leaf, 9, 1),
         DOT_HEAD "  n0 [label=\"leaf\\n@\\n3 references, not tracked\", "
                  "fillcolor=\"#e9ecef\"];\n"
                  "  o0 [label=\"outside\", shape=plaintext];\n"
                  "  o0 -> n0 [style=dashed, label=\"1\"];\n"
                  "  x0 [label=\"others\", shape=plaintext];\n"
                  "  x0 -> n0 [style=dashed, label=\"2\"];\n"
                  "}\n");
    pygc_decref(leaf);
    pygc_decref(a);
    end();
}

static void colours_are_generations(void)
{
    begin(PYGC_DEBUG_SAVE);
    struct node *immortal = make(types.node);
    pygc_immortalize(immortal);
    pygc_freeze(heap);
    pygc_decref(ring(&types.big, 1, 1));
    (void)pygc_collect(heap, 2);
    void *young = make(types.node);
    like(dot_text(NULL, 9, 3),
         DOT_HEAD "  n0 [label=\"node\\n@\\nfrozen\", fillcolor=\"#a8dadc\"];\n"
                  "  o0 [label=\"immortal\", shape=plaintext];\n"
                  "  o0 -> n0 [style=dashed];\n"
                  "  n1 [label=\"node\\n@\\n1 reference, generation 0\", "
                  "fillcolor=\"#fff3b0\"];\n"
                  "  o1 [label=\"outside\", shape=plaintext];\n"
                  "  o1 -> n1 [style=dashed, label=\"1\"];\n"
                  "  n2 [label=\"big\\n@\\n2 references, generation 2\", "
                  "fillcolor=\"#f4a261\"];\n"
                  "  h2 [label=\"the heap\", shape=plaintext];\n"
                  "  h2 -> n2 [style=dashed, label=\"1\"];\n"
                  "  n2 -> n2 [edgetooltip=\"slot at offset 0\"];\n"
                  "}\n");
    pygc_decref(young);
    (void)pygc_garbage(heap, NULL, NULL, 1);
    pygc_set_debug(heap, 0);
    (void)pygc_collect(heap, 2);
    CHECK_EQ(pygc_heap_destroy(heap, 0), 1, "objects that were left");
}

static void reasons_are_drawn(void)
{
    begin(0);
    struct node *a = make(types.node), *b = make(types.visited), *c = make(types.node);
    pygc_track(b);
    pygc_store(a, &a->other, b);
    pygc_store(a, &a->next, b);
    pygc_store(b, &b->next, c);
    pygc_store(c, &c->next, a);
    pygc_decref(b);
    pygc_decref(c);
    like(reason_text(c, 3),
         DOT_HEAD "  n0 [label=\"node\\n@\\n2 references, generation 0\", "
                  "fillcolor=\"#fff3b0\"];\n"
                  "  o0 [label=\"outside\", shape=plaintext];\n"
                  "  o0 -> n0 [style=dashed, label=\"1\"];\n"
                  "  n1 [label=\"visited\\n@\\n2 references, generation 0\", "
                  "fillcolor=\"#fff3b0\"];\n"
                  "  n2 [label=\"node\\n@\\n1 reference, generation 0\", "
                  "fillcolor=\"#fff3b0\"];\n"
                  "  n0 -> n1 [label=\"slot at offset 0\", penwidth=2];\n"
                  "  n0 -> n1 [label=\"slot at offset 8\", penwidth=2];\n"
                  "  n1 -> n2 [label=\"traverse\", penwidth=2];\n"
                  "  n2 -> n0 [label=\"slot at offset 0\"];\n"
                  "}\n");
    like(reason_text((char *)c + 8, 0),
         DOT_HEAD "  n0 [label=\"@ is 8 bytes into @, an object of type node\"];\n}\n");
    pygc_decref(a);
    like(reason_text(a, 0),
         DOT_HEAD "  n0 [label=\"node\\n@\\n1 reference, generation 0\", "
                  "fillcolor=\"#fff3b0\"];\n"
                  "  x0 [label=\"others\", shape=plaintext];\n"
                  "  x0 -> n0 [style=dashed, label=\"1\"];\n"
                  "  m0 [label=\"not drawn\", shape=plaintext, fontcolor=gray];\n"
                  "  n0 -> m0 [style=dotted, label=\"2\"];\n"
                  "}\n");
    end();
}

/* Every reference is drawn once: where it comes from, or that this is not drawn. */
static void check_sources(ptrdiff_t drawn)
{
    static unsigned long in[COUNT_OF(parsed.refs)];
    memset(in, 0, sizeof in);
    CHECK_EQ(parsed.nodes, drawn, "objects");
    for (size_t i = 0; i < parsed.edges; i++) {
        const struct edge *edge = &parsed.edge[i];
        if (edge->to == 'n') {
            CHECK(edge->to_number < parsed.nodes, "an edge to node %u",
                  edge->to_number);
            in[edge->to_number] +=
                edge->from == 'n' ? 1 : strtoul(edge->label, NULL, 10);
        } else {
            CHECK(edge->to == 'm' && edge->from_number == edge->to_number,
                  "an edge to %c%u", edge->to, edge->to_number);
        }
    }
    for (size_t i = 0; i < parsed.nodes; i++) {
        CHECK_EQ(in[i], parsed.refs[i], "references to node %zu", i);
    }
}

/* What is no living object is left out, and not read. */
static void damaged_references_are_left_out(void)
{
    begin(0);
    struct node *a = make(types.node), *b = make(types.node), *big = make(types.big),
                *dead = make(types.node);
    pygc_heap *another = pygc_heap_new(NULL);
    void *stranger = pygc_alloc(another, types.node);
    pygc_decref(dead);
    void *damaged[] = {(char *)b + 8, (char *)b + 3, (char *)big + 800, dead,
                       stranger,      &heap,         (void *)1,         (void *)-1};
    for (size_t i = 0; i < COUNT_OF(damaged); i++) {
        a->other = damaged[i];
        CHECK(parse(dot_text(a, 9, 1)), "not in the language: %s", text);
        check_sources(1);
        wrote(cycles_text(0), "garbage: 0 objects, 0 B\n");
    }
    a->other = NULL;
    pygc_decref(a);
    pygc_decref(b);
    pygc_decref(big);
    pygc_decref(stranger);
    pygc_heap_destroy(another, 0);
    end();
}

static void names_are_escaped(void)
{
    begin(0);
    struct node *odd = ring(&types.odd, 1, 1);
    const char *dot = dot_text(odd, 1, 1);
    CHECK(parse(dot), "not in the language: %s", dot);
    has(dot, "  n0 [label=\"a \\\"b\\\" \\\\ \\\\x0a\\\\xff\xc3\xa9\\n0x");
    CHECK(parse(reason_text(odd, 1)), "not in the language: %s", text);
    pygc_decref(odd);
    end();
}

static int bits_of(uint32_t word)
{
    return __builtin_popcount(word);
}

/* References in nodes that are alive, or part of garbage that is not freed by counts.
 */
static uint32_t existing(void)
{
    uint32_t there = 0;
    for (int i = 0; i < NODES; i++) {
        bool leads_from_cycle = false;
        for (int k = 0; k < NODES; k++) {
            leads_from_cycle |= (graph.leads[k] >> k & 1) != 0 &&
                                ((graph.leads[k] >> i & 1) != 0 || k == i);
        }
        there |= (uint32_t)(leads_from_cycle || (graph.alive >> i & 1) != 0) << i;
    }
    return there;
}

static void random_graphs_are_drawn(void)
{
    struct rng rng = {11};
    for (int round = 0; round < 1000; round++) {
        begin(0);
        make_random(&rng);
        uint32_t there = existing();
        int root = 0;
        while (root < NODES - 1 && (there >> root & 1) == 0) {
            root++;
        }
        if ((there >> root & 1) != 0) {
            int from_root = bits_of(graph.leads[root] | UINT32_C(1) << root);
            int limit = (int)rng_below(&rng, NODES + 4);
            int drawn = from_root < limit ? from_root : limit;
            CHECK(parse(dot_text(graph.object[root], (size_t)limit, drawn)),
                  "not in the language: %s", text);
            check_sources(drawn);
        }
        CHECK(parse(dot_text(NULL, SIZE_MAX, bits_of(there))),
              "not in the language: %s", text);
        check_sources(bits_of(there));
        CHECK(strstr(text, "not drawn") == NULL && strstr(text, "others") == NULL,
              "all is drawn: %s", text);
        drop_random();
        end();
    }
}

/* ---- at other times ---- */

/* Between the slices of a collection, whose notes are not to be disturbed. */
static void between_slices(void)
{
    enum { RINGS = 3000 };
    begin(0);
    for (int i = 0; i < RINGS; i++) {
        pygc_decref(ring(&types.node, 1, 3));
    }
    struct node *living = ring(&types.big, 1, 30);
    size_t slices = 0;
    while (pygc_step(heap, 1)) {
        if (slices++ % 16 == 0) {
            int fd = open_text();
            CHECK_EQ(pygc_print_report(heap, fd), 0, "report");
            CHECK_EQ(pygc_dot(heap, living, 5, fd), 5, "drawn");
            close(fd);
        }
    }
    CHECK(slices > 16, "%zu slices", slices);
    pygc_get_stats(heap, &stats);
    CHECK_EQ(stats.objects, 30, "objects");
    CHECK_EQ(stats.generation[2].collected, 3 * RINGS, "collected");
    pygc_decref(living);
    end();
}

static int looks;

static void look(pygc_heap *which, int generation, int is_end, size_t found, void *arg)
{
    int fd = *(int *)arg;
    (void)generation;
    (void)is_end;
    (void)found;
    looks += pygc_print_report(which, fd) == 0 && pygc_write_json(which, fd) == 0 &&
             pygc_dot(which, NULL, 100, fd) >= 0;
}

static void in_callbacks(void)
{
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    begin(0);
    pygc_set_callback(heap, look, &fd);
    pygc_decref(ring(&types.visited, 1, 10));
    CHECK_EQ(pygc_collect(heap, 2), 10, "garbage");
    CHECK_EQ(looks, 2, "looks");
    pygc_set_callback(heap, NULL, NULL);
    close(fd);
    end();
}

static void descriptors_may_be_full(void)
{
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    if (full < 0) {
        SKIP("there is no /dev/full");
    }
    begin(0);
    struct node *a = ring(&types.node, 1, 2);
    for (int k = 0; k < 2; k++) {
        int fd = k == 0 ? full : -1;
        for (int i = 0; i < 6; i++) {
            errno = 0;
            ptrdiff_t result = i == 0   ? pygc_print_census(heap, fd)
                               : i == 1 ? pygc_print_cycles(heap, fd)
                               : i == 2 ? pygc_print_report(heap, fd)
                               : i == 3 ? pygc_write_json(heap, fd)
                               : i == 4 ? pygc_dot(heap, NULL, 5, fd)
                                        : pygc_dot_why_alive(a, fd);
            CHECK_EQ(result, -1, "call %d", i);
            CHECK_EQ(errno, EIO, "errno of call %d", i);
        }
    }
    close(full);
    pygc_decref(a);
    end();
}

static const struct tap_case cases[] = {
    {"a census is printed", a_census_is_printed},
    {"an empty heap is printed", an_empty_heap_is_printed},
    {"a census asks traverse when it may", a_census_asks_traverse_when_it_may},
    {"traverse is not asked before", traverse_is_not_asked_before},
    {"ages are bounded", ages_are_bounded},
    {"ages of those made at other times", ages_of_those_made_at_other_times},
    {"generations are counted", generations_are_counted},
    {"pauses are summed up", pauses_are_summed_up},
    {"bounds of pauses", bounds_of_pauses},
    {"cycles are told by types", cycles_are_told_by_types},
    {"examples are bounded", examples_are_bounded},
    {"examples keep to their cycle", examples_keep_to_their_cycle},
    {"kept garbage is garbage", kept_garbage_is_garbage},
    {"overlooked cycles are told", overlooked_cycles_are_told},
    {"unknown references keep alive", unknown_references_keep_alive},
    {"deep graphs need no stack", deep_graphs_need_no_stack},
    {"cycles of random graphs", cycles_of_random_graphs},
    {"the syntax check can fail", the_syntax_check_can_fail},
    {"a small graph is drawn", a_small_graph_is_drawn},
    {"colours are generations", colours_are_generations},
    {"reasons are drawn", reasons_are_drawn},
    {"damaged references are left out", damaged_references_are_left_out},
    {"names are escaped", names_are_escaped},
    {"random graphs are drawn", random_graphs_are_drawn},
    {"between slices", between_slices},
    {"in callbacks", in_callbacks},
    {"descriptors may be full", descriptors_may_be_full},
};

int main(int argc, char **argv)
{
    make_types();
    make_kinds();
    return TAP_RUN(cases, argc, argv);
}
