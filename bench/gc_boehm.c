#include "gc_backend.h"
#include "gc_work.h"

const char *const backend = "boehm";
struct backend_events backend_events;

void backend_start(void)
{
    GC_set_handle_fork(1);
    GC_INIT();
}

const char *backend_version(void)
{
    static char text[32];
    unsigned version = GC_get_version();
    snprintf(text, sizeof text, "%u.%u.%u", version >> 16, version >> 8 & 0xff,
             version & 0xff);
    return text;
}

void backend_collect(void)
{
    GC_gcollect();
}

void backend_automatic(int on)
{
    (on ? GC_enable : GC_disable)();
}

int backend_set_pause_target(uint64_t ns)
{
    (void)ns;
    return -1;
}

void *backend_table(size_t bytes)
{
    return bench_must(GC_MALLOC_UNCOLLECTABLE(bytes));
}

void *backend_data(size_t bytes)
{
    return memset(bench_must(GC_MALLOC_ATOMIC_UNCOLLECTABLE(bytes)), 0, bytes);
}

void *backend_object(size_t payload)
{
    return bench_must(GC_MALLOC(payload));
}

wide *wide_new(size_t n)
{
    wide *object;
    return bench_must(
        GC_MALLOC_IGNORE_OFF_PAGE(sizeof *object + n * sizeof object->items[0]));
}

int backend_watch(void)
{
    return 0;
}

size_t backend_nodes(void)
{
    return 0;
}

void backend_report(void)
{
    result_add("collections2=%zu", (size_t)GC_get_gc_no());
}
