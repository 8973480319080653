#include "gc_backend.h"
#include "gc_work.h"

#include <pymalloc/pymalloc.h>

const char *const backend = "pygc";
struct backend_events backend_events;
pygc_heap *backend_heap;
pygc_type *backend_type;

static pygc_type *type_of(const char *name, size_t size)
{
    static const struct pygc_slot slots[] = {{0, 2, PYGC_STRONG, NULL}};
    struct pygc_type_spec spec = {
        .name = name, .size = size, .slots = slots, .slot_count = 1};
    return bench_must(pygc_type_new(&spec));
}

void backend_start(void)
{
    backend_heap = bench_must(pygc_heap_new(NULL));
    backend_type = type_of("node", sizeof(node));
}

const char *backend_version(void)
{
    static char text[32];
    snprintf(text, sizeof text, "%d.%d.%d", PYMALLOC_VERSION_MAJOR,
             PYMALLOC_VERSION_MINOR, PYMALLOC_VERSION_PATCH);
    return text;
}

void backend_collect(void)
{
    (void)pygc_collect(backend_heap, 2);
}

void backend_automatic(int on)
{
    (on ? pygc_enable : pygc_disable)(backend_heap);
}

int backend_set_pause_target(uint64_t ns)
{
    pygc_set_pause_target(backend_heap, ns);
    return 0;
}

void *backend_table(size_t bytes)
{
    return bench_map(bytes);
}

void *backend_data(size_t bytes)
{
    static const struct pygc_type_spec spec = {
        .name = "data", .size = sizeof(size_t), .item_size = 1, .flags = PYGC_ACYCLIC};
    return bench_must(
        pygc_alloc_var(backend_heap, bench_must(pygc_type_new(&spec)), bytes));
}

void *backend_object(size_t payload)
{
    static pygc_type *types[PAYLOAD_MAX + 1];
    if (types[payload] == NULL) {
        types[payload] = type_of("object", payload);
    }
    return bench_must(pygc_alloc(backend_heap, types[payload]));
}

wide *wide_new(size_t n)
{
    static const struct pygc_slot slots[] = {{0, 1, PYGC_STRONG | PYGC_ITEMS, NULL}};
    static const struct pygc_type_spec spec = {.name = "wide",
                                               .size = sizeof(wide),
                                               .item_size = sizeof(node *),
                                               .slots = slots,
                                               .slot_count = 1};
    return bench_must(
        pygc_alloc_var(backend_heap, bench_must(pygc_type_new(&spec)), n));
}

static void on_event(pygc_heap *heap, int generation, int is_end, size_t collected,
                     void *arg)
{
    (void)heap, (void)arg;
    if (!is_end) {
        return;
    }
    backend_events.collected += collected;
    if (generation == 2) {
        backend_events.fulls++;
        backend_events.last_full = collected;
    }
}

int backend_watch(void)
{
    pygc_set_callback(backend_heap, on_event, NULL);
    return 1;
}

size_t backend_nodes(void)
{
    struct pygc_stats stats;
    pygc_get_stats(backend_heap, &stats);
    return stats.objects;
}

void backend_report(void)
{
    struct pygc_stats stats;
    uint64_t longest = 0, time = 0;
    pygc_get_stats(backend_heap, &stats);
    for (int i = 0; i < 3; i++) {
        const struct pygc_generation_stats *one = &stats.generation[i];
        longest = one->longest_ns > longest ? one->longest_ns : longest;
        time += one->time_ns;
        result_add("collections%d=%" PRIu64, i, one->collections);
    }
    result_add("collector_ns=%" PRIu64 " collector_longest_ns=%" PRIu64, time, longest);
}
