/*
 * What a heap looks like, for people and as JSON.
 *
 * What needs memory is gathered before the first word is written.
 */
#include "alloc.h"
#include "gc_check.h"
#include "gc_cycles.h"
#include "gc_reference.h"
#include "json.h"
#include "print.h"

#include <errno.h>
#include <string.h>

/* ---- gathering ---- */

struct view {
    struct pygc_heap *heap;
    struct gc_vector types; /* struct pygc_census, the most bytes first */
    struct gc_cycles cycles;
    struct pygc_stats stats;
    struct pygc_generation places[PYGC_PLACES];
    struct pygc_pauses pauses;
};

static int keep_census(const struct pygc_census *census, void *arg)
{
    struct gc_vector *types = arg;
    struct pygc_census *copy = pym_alloc_malloc(sizeof(*copy));
    if (copy == NULL || !gc_vector_push(types, copy)) {
        pym_alloc_free(copy);
        return -1;
    }
    *copy = *census;
    return 0;
}

static bool is_more(const void *a, const void *b)
{
    const struct pygc_census *left = a, *right = b;
    return left->bytes != right->bytes ? left->bytes > right->bytes
                                       : left->type->index < right->type->index;
}

static void free_view(struct view *view)
{
    for (size_t i = 0; i < view->types.count; i++) {
        pym_alloc_free(view->types.at[i]);
    }
    gc_vector_free(&view->types);
    gc_cycles_free(&view->cycles);
}

enum { TYPES = 1, CYCLES = 2, NUMBERS = 4 };

/* False with no memory: then nothing is to be freed. */
static bool take_view(struct view *view, struct pygc_heap *heap, unsigned parts)
{
    *view = (struct view){.heap = heap};
    bool enough =
        (parts & TYPES) == 0 || pygc_take_census(heap, keep_census, &view->types) == 0;
    enough = enough && ((parts & CYCLES) == 0 || gc_cycles_find(&view->cycles, heap));
    if (!enough) {
        free_view(view);
        errno = ENOMEM;
        return false;
    }
    gc_vector_sort(&view->types, is_more);
    if ((parts & NUMBERS) != 0) {
        pygc_get_stats(heap, &view->stats);
        pygc_get_generations(heap, view->places);
        pygc_get_pauses(heap, &view->pauses);
    }
    return true;
}

static const struct pygc_census *type_at(const struct view *view, size_t i)
{
    return view->types.at[i];
}

static const struct pygc_cycles *group_at(const struct view *view, size_t i)
{
    return view->cycles.groups.at[i];
}

/* ---- tables ---- */

/* A word, right-aligned. */
static void put_word(struct pym_writer *writer, size_t width, const char *word)
{
    for (size_t length = strlen(word); length < width; length++) {
        pym_writer_put(writer, " ", 1);
    }
    pym_writer_put(writer, word, strlen(word));
}

static void put_number(struct pym_writer *writer, size_t width, uint64_t number)
{
    char word[24];
    (void)pym_print_text(word, sizeof(word), "%lu", (unsigned long)number);
    put_word(writer, width, word);
}

static void put_bytes(struct pym_writer *writer, size_t width, uint64_t bytes)
{
    char word[32];
    (void)pym_print_text(word, sizeof(word), "%h", (size_t)bytes);
    put_word(writer, width, word);
}

/* "12.3 us" */
static void put_time(struct pym_writer *writer, size_t width, uint64_t ns)
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    char word[32];
    size_t unit = 0;
    uint64_t tenths = ns < UINT64_MAX / 10 ? ns * 10 : UINT64_MAX;
    for (; tenths >= 10000 && unit < 3; unit++) {
        tenths /= 1000;
    }
    (void)pym_print_text(word, sizeof(word), "%lu.%lu %s", (unsigned long)tenths / 10,
                         (unsigned long)tenths % 10, units[unit]);
    put_word(writer, width, word);
}

static void put(struct pym_writer *writer, const char *text)
{
    pym_writer_put(writer, text, strlen(text));
}

static const char *plural(uint64_t count, const char *one, const char *many)
{
    return count == 1 ? one : many;
}

/* ---- the census ---- */

enum { WIDE = 12, NARROW = 9 };

static void print_type_row(struct pym_writer *writer, const struct pygc_census *census,
                           const char *name)
{
    put_number(writer, WIDE, census->objects);
    put_bytes(writer, WIDE, census->bytes);
    put_number(writer, WIDE, census->references);
    put_number(writer, WIDE, census->referrers);
    put_number(writer, WIDE, census->unaccounted);
    put_number(writer, NARROW, census->immortal);
    for (unsigned i = 0; i < PYGC_PLACES; i++) {
        put_number(writer, i < PYGC_UNTRACKED ? NARROW : WIDE, census->places[i]);
    }
    put_number(writer, NARROW, census->age);
    put(writer, "  ");
    put(writer, name);
    put(writer, "\n");
}

static void add(struct pygc_census *total, const struct pygc_census *census)
{
    total->objects += census->objects;
    total->bytes += census->bytes;
    total->references += census->references;
    total->referrers += census->referrers;
    total->unaccounted += census->unaccounted;
    total->immortal += census->immortal;
    for (unsigned i = 0; i < PYGC_PLACES; i++) {
        total->places[i] += census->places[i];
    }
    total->age = census->age > total->age ? census->age : total->age;
}

static void print_types(struct pym_writer *writer, const struct view *view)
{
    struct pygc_census total = {.type = NULL};
    pym_writer_print(writer, "     objects       bytes  references   referrers"
                             " unaccounted immortal    gen 0    gen 1    gen 2   frozen"
                             "   untracked      age  type\n");
    for (size_t i = 0; i < view->types.count; i++) {
        const struct pygc_census *census = type_at(view, i);
        print_type_row(writer, census, census->type->name);
        add(&total, census);
    }
    print_type_row(writer, &total, "(all)");
}

/* ---- cycles ---- */

/* Of an example, so many steps are shown. */
enum { STEPS = 16 };

static size_t steps_of(const struct pygc_cycles *group)
{
    return group->example_length < STEPS ? group->example_length : STEPS;
}

static void *step_at(const struct pygc_cycles *group, size_t i)
{
    return group->example[i % group->example_length];
}

static const char *name_of(void *object)
{
    return pygc_type_of(object)->name;
}

/* "closure -> scope -> closure", with the types that this leaves out. */
static void print_kinds(struct pym_writer *writer, const struct pygc_cycles *group)
{
    const char *between = " (with ";
    for (size_t i = 0; i <= steps_of(group); i++) {
        put(writer, i != 0 ? " -> " : "");
        put(writer, i < STEPS ? name_of(step_at(group, i)) : "...");
    }
    for (size_t i = 0; i < group->type_count; i++) {
        size_t k = 0;
        while (k < steps_of(group) &&
               pygc_type_of(step_at(group, k)) != group->types[i]) {
            k++;
        }
        if (k == steps_of(group)) {
            put(writer, between);
            put(writer, group->types[i]->name);
            between = ", ";
        }
    }
    put(writer, between[0] == ',' ? ")" : "");
}

static void print_example(struct pym_writer *writer, const struct pygc_cycles *group)
{
    char place[GC_WORDS];
    pym_writer_print(writer, "  for example %p of type ", step_at(group, 0));
    put(writer, name_of(step_at(group, 0)));
    for (size_t i = 0; i < steps_of(group); i++) {
        void *to = step_at(group, i + 1);
        gc_describe_reference(pygc_header_of(step_at(group, i)), to, place,
                              sizeof(place));
        pym_writer_print(writer, "\n    -> %s -> %p of type ", place, to);
        put(writer, name_of(to));
    }
    if (group->example_length > STEPS) {
        pym_writer_print(writer, "\n    ... and %zu more",
                         group->example_length - STEPS);
    }
    put(writer, "\n");
}

static void print_group(struct pym_writer *writer, const struct pygc_cycles *group)
{
    print_kinds(writer, group);
    pym_writer_print(writer, ": %lu %s of %lu", (unsigned long)group->cycles,
                     plural(group->cycles, "cycle", "cycles"),
                     (unsigned long)group->least);
    if (group->most != group->least) {
        pym_writer_print(writer, " to %lu", (unsigned long)group->most);
    }
    pym_writer_print(writer, " %s, %h", plural(group->most, "object", "objects"),
                     (size_t)group->bytes);
    if (group->overlooked != 0) {
        pym_writer_print(writer, "; %lu of them no collection finds",
                         (unsigned long)group->overlooked);
    }
    put(writer, "\n");
    print_example(writer, group);
}

static void print_garbage(struct pym_writer *writer, const struct view *view)
{
    const struct gc_cycles *cycles = &view->cycles;
    pym_writer_print(writer, "garbage: %lu %s, %h", (unsigned long)cycles->objects,
                     plural(cycles->objects, "object", "objects"),
                     (size_t)cycles->bytes);
    if (cycles->cycles != 0) {
        pym_writer_print(
            writer, "; %lu of them in %lu %s", (unsigned long)cycles->in_cycles,
            (unsigned long)cycles->cycles, plural(cycles->cycles, "cycle", "cycles"));
    }
    put(writer, "\n");
    for (size_t i = 0; i < cycles->groups.count; i++) {
        print_group(writer, group_at(view, i));
    }
}

/* ---- generations and pauses ---- */

static void print_generation(struct pym_writer *writer, const struct view *view,
                             unsigned g)
{
    static const char *const names[PYGC_PLACES] = {
        "generation 0", "generation 1", "generation 2", "frozen", "untracked"};
    const struct pygc_generation *place = &view->places[g];
    put_word(writer, WIDE, names[g]);
    put_number(writer, WIDE, place->objects);
    put_bytes(writer, WIDE, place->bytes);
    if (g < GC_GENERATIONS) {
        const struct pygc_generation_stats *stats = &view->stats.generation[g];
        put_number(writer, WIDE, place->threshold);
        put_number(writer, NARROW, place->count);
        put_number(writer, WIDE, stats->collections);
        put_number(writer, WIDE, place->survived);
        put_number(writer, WIDE, stats->collected);
        put_number(writer, WIDE, stats->uncollectable);
        put_time(writer, WIDE, stats->time_ns);
        put_time(writer, WIDE, stats->longest_ns);
    }
    put(writer, "\n");
}

static void print_generations(struct pym_writer *writer, const struct view *view)
{
    static const char *const heads[] = {"",      "objects",     "bytes",    "threshold",
                                        "count", "collections", "survived", "garbage",
                                        "left",  "time",        "longest"};
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        put_word(writer, i != 4 ? WIDE : NARROW, heads[i]);
    }
    put(writer, "\n");
    for (unsigned g = 0; g < PYGC_PLACES; g++) {
        print_generation(writer, view, g);
    }
}

/* A bar for so many of the most. */
static void print_bar(struct pym_writer *writer, uint64_t count, uint64_t most)
{
    enum { LENGTH = 40 };
    put(writer, "  ");
    for (uint64_t i = 0; i * most < count * LENGTH; i++) {
        put(writer, "#");
    }
    put(writer, "\n");
}

static void print_histogram(struct pym_writer *writer, const struct pygc_stats *stats)
{
    uint64_t most = 0;
    for (unsigned i = 0; i < PYGC_PAUSES; i++) {
        most = stats->pauses[i] > most ? stats->pauses[i] : most;
    }
    for (unsigned i = 0; i < PYGC_PAUSES; i++) {
        if (stats->pauses[i] != 0) {
            put(writer, " from");
            put_time(writer, WIDE, UINT64_C(1) << i);
            put_number(writer, WIDE, stats->pauses[i]);
            print_bar(writer, stats->pauses[i], most);
        }
    }
}

static void print_pauses(struct pym_writer *writer, const struct view *view)
{
    const struct pygc_pauses *pauses = &view->pauses;
    pym_writer_print(writer, "pauses: %lu, ", (unsigned long)pauses->count);
    put_time(writer, 0, pauses->total_ns);
    put(writer, " in all; the longest ");
    put_time(writer, 0, pauses->longest_ns);
    put(writer, ", half at most ");
    put_time(writer, 0, pauses->p50_ns);
    put(writer, ", 99 of 100 at most ");
    put_time(writer, 0, pauses->p99_ns);
    pym_writer_print(writer, "\nthe program had %u.%u%u%% of ", pauses->permyriad / 100,
                     pauses->permyriad / 10 % 10, pauses->permyriad % 10);
    put_time(writer, 0, pauses->age_ns);
    put(writer, "\n");
    print_histogram(writer, &view->stats);
}

/* ---- the calls ---- */

typedef void print_fn(struct pym_writer *writer, const struct view *view);

static ptrdiff_t print_view(pygc_heap *heap, unsigned parts, int fd, print_fn *print)
{
    struct view view;
    struct pym_writer writer;
    if (!take_view(&view, heap, parts)) {
        return -1;
    }
    pym_writer_begin(&writer, fd);
    print(&writer, &view);
    ptrdiff_t result = (ptrdiff_t)view.cycles.cycles;
    free_view(&view);
    if (!pym_writer_finish(&writer)) {
        errno = EIO;
        return -1;
    }
    return result;
}

PYM_EXPORT int pygc_print_census(pygc_heap *heap, int fd)
{
    return (int)print_view(heap, TYPES, fd, print_types);
}

PYM_EXPORT ptrdiff_t pygc_print_cycles(pygc_heap *heap, int fd)
{
    return print_view(heap, CYCLES, fd, print_garbage);
}

static void print_all(struct pym_writer *writer, const struct view *view)
{
    pym_writer_print(writer, "heap %p: %lu %s, %h", (const void *)view->heap,
                     (unsigned long)view->stats.objects,
                     plural(view->stats.objects, "object", "objects"),
                     (size_t)view->stats.bytes);
    if (view->stats.external != 0) {
        pym_writer_print(writer, "; %h outside", (size_t)view->stats.external);
    }
    put(writer, "\n\n");
    print_types(writer, view);
    put(writer, "\n");
    print_generations(writer, view);
    put(writer, "\n");
    print_pauses(writer, view);
    put(writer, "\n");
    print_garbage(writer, view);
}

PYM_EXPORT int pygc_print_report(pygc_heap *heap, int fd)
{
    return print_view(heap, TYPES | CYCLES | NUMBERS, fd, print_all) < 0 ? -1 : 0;
}

/* ---- JSON ---- */

static void write_type(struct pym_json *json, const struct pygc_census *census)
{
    pym_json_open(json, NULL, '{');
    pym_json_text(json, "name", census->type->name);
    pym_json_number(json, "objects", census->objects);
    pym_json_number(json, "bytes", census->bytes);
    pym_json_number(json, "references", census->references);
    pym_json_number(json, "referrers", census->referrers);
    pym_json_number(json, "unaccounted", census->unaccounted);
    pym_json_number(json, "immortal", census->immortal);
    pym_json_open(json, "generations", '[');
    for (unsigned g = 0; g < GC_GENERATIONS; g++) {
        pym_json_number(json, NULL, census->places[g]);
    }
    pym_json_close(json, ']');
    pym_json_number(json, "frozen", census->places[PYGC_FROZEN]);
    pym_json_number(json, "untracked", census->places[PYGC_UNTRACKED]);
    pym_json_number(json, "age", census->age);
    pym_json_close(json, '}');
}

static void write_types(struct pym_json *json, const struct view *view)
{
    pym_json_open(json, "types", '[');
    for (size_t i = 0; i < view->types.count; i++) {
        write_type(json, type_at(view, i));
    }
    pym_json_close(json, ']');
}

static void write_place(struct pym_json *json, const char *key,
                        const struct pygc_generation *place)
{
    pym_json_open(json, key, '{');
    pym_json_number(json, "objects", place->objects);
    pym_json_number(json, "bytes", place->bytes);
}

static void write_generation(struct pym_json *json, const struct view *view, unsigned g)
{
    const struct pygc_generation_stats *stats = &view->stats.generation[g];
    write_place(json, NULL, &view->places[g]);
    pym_json_number(json, "threshold", view->places[g].threshold);
    pym_json_number(json, "count", view->places[g].count);
    pym_json_number(json, "collections", stats->collections);
    pym_json_number(json, "candidates", stats->candidates);
    pym_json_number(json, "survived", view->places[g].survived);
    pym_json_number(json, "collected", stats->collected);
    pym_json_number(json, "uncollectable", stats->uncollectable);
    pym_json_number(json, "failed", stats->failed);
    pym_json_number(json, "time_ns", stats->time_ns);
    pym_json_number(json, "longest_ns", stats->longest_ns);
    pym_json_close(json, '}');
}

static void write_generations(struct pym_json *json, const struct view *view)
{
    pym_json_open(json, "generations", '[');
    for (unsigned g = 0; g < GC_GENERATIONS; g++) {
        write_generation(json, view, g);
    }
    pym_json_close(json, ']');
    write_place(json, "frozen", &view->places[PYGC_FROZEN]);
    pym_json_close(json, '}');
    write_place(json, "untracked", &view->places[PYGC_UNTRACKED]);
    pym_json_close(json, '}');
}

static void write_histogram(struct pym_json *json, const struct pygc_stats *stats)
{
    pym_json_open(json, "histogram", '[');
    for (unsigned i = 0; i < PYGC_PAUSES; i++) {
        if (stats->pauses[i] != 0) {
            pym_json_open(json, NULL, '{');
            pym_json_number(json, "from_ns", UINT64_C(1) << i);
            pym_json_number(json, "count", stats->pauses[i]);
            pym_json_close(json, '}');
        }
    }
    pym_json_close(json, ']');
}

static void write_pauses(struct pym_json *json, const struct view *view)
{
    const struct pygc_pauses *pauses = &view->pauses;
    pym_json_open(json, "pauses", '{');
    pym_json_number(json, "count", pauses->count);
    pym_json_number(json, "total_ns", pauses->total_ns);
    pym_json_number(json, "longest_ns", pauses->longest_ns);
    pym_json_number(json, "p50_ns", pauses->p50_ns);
    pym_json_number(json, "p99_ns", pauses->p99_ns);
    pym_json_number(json, "age_ns", pauses->age_ns);
    pym_json_number(json, "permyriad", pauses->permyriad);
    pym_json_number(json, "target_ns", view->heap->pause_target);
    pym_json_number(json, "oversized", view->stats.oversized);
    pym_json_number(json, "overdue", view->stats.overdue);
    write_histogram(json, &view->stats);
    pym_json_close(json, '}');
}

static void write_step(struct pym_json *json, void *from, void *to)
{
    char place[GC_WORDS];
    gc_describe_reference(pygc_header_of(from), to, place, sizeof(place));
    pym_json_open(json, NULL, '{');
    pym_json_address(json, "object", (uintptr_t)from);
    pym_json_text(json, "type", name_of(from));
    pym_json_text(json, "to_next", place);
    pym_json_close(json, '}');
}

static void write_group(struct pym_json *json, const struct pygc_cycles *group)
{
    pym_json_open(json, NULL, '{');
    pym_json_open(json, "types", '[');
    for (size_t i = 0; i < group->type_count; i++) {
        pym_json_text(json, NULL, group->types[i]->name);
    }
    pym_json_close(json, ']');
    pym_json_number(json, "cycles", group->cycles);
    pym_json_number(json, "objects", group->objects);
    pym_json_number(json, "bytes", group->bytes);
    pym_json_number(json, "least", group->least);
    pym_json_number(json, "most", group->most);
    pym_json_number(json, "overlooked", group->overlooked);
    pym_json_number(json, "example_length", group->example_length);
    pym_json_open(json, "example", '[');
    for (size_t i = 0; i < steps_of(group); i++) {
        write_step(json, step_at(group, i), step_at(group, i + 1));
    }
    pym_json_close(json, ']');
    pym_json_close(json, '}');
}

static void write_garbage(struct pym_json *json, const struct view *view)
{
    const struct gc_cycles *cycles = &view->cycles;
    pym_json_open(json, "garbage", '{');
    pym_json_number(json, "objects", cycles->objects);
    pym_json_number(json, "bytes", cycles->bytes);
    pym_json_number(json, "kept", view->heap->garbage.count);
    pym_json_number(json, "cycles", cycles->cycles);
    pym_json_number(json, "in_cycles", cycles->in_cycles);
    pym_json_open(json, "groups", '[');
    for (size_t i = 0; i < cycles->groups.count; i++) {
        write_group(json, group_at(view, i));
    }
    pym_json_close(json, ']');
    pym_json_close(json, '}');
}

PYM_EXPORT int pygc_write_json(pygc_heap *heap, int fd)
{
    enum { SCHEMA = 1 };
    struct view view;
    struct pym_json json;
    if (!take_view(&view, heap, TYPES | CYCLES | NUMBERS)) {
        return -1;
    }
    pym_json_begin(&json, fd);
    pym_json_open(&json, NULL, '{');
    pym_json_number(&json, "pygc", SCHEMA);
    pym_json_text(&json, "version", VERSION);
    pym_json_address(&json, "heap", (uintptr_t)heap);
    pym_json_number(&json, "objects", view.stats.objects);
    pym_json_number(&json, "bytes", view.stats.bytes);
    pym_json_number(&json, "external", view.stats.external);
    write_types(&json, &view);
    write_generations(&json, &view);
    write_pauses(&json, &view);
    write_garbage(&json, &view);
    pym_json_close(&json, '}');
    free_view(&view);
    if (!pym_json_finish(&json)) {
        errno = EIO;
        return -1;
    }
    return 0;
}
