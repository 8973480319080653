#include "snapshot.h"

#include "arena.h"
#include "heaps.h"
#include "inspect.h"
#include "options.h"
#include "os.h"
#include "process.h"
#include "profile_text.h"
#include "stats.h"
#include "sysalloc.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

enum { SCHEMA = 1 };

/* ---- members ---- */

static void write_identity(struct pym_json *json)
{
    char name[64];
    pym_process_name(name, sizeof(name));
    pym_json_number(json, "pymalloc", SCHEMA);
    pym_json_text(json, "version", VERSION);
    pym_json_text(json, "library", PYM_HARDENED ? "hardened" : "plain");
    pym_json_number(json, "pid", (uint64_t)pym_os_process_id());
    pym_json_text(json, "program", name);
    pym_json_number(json, "time_ns", pym_os_date_ns());
    pym_json_number(json, "uptime_ns", pym_os_uptime_ms() * 1000000);
}

static void write_small(struct pym_json *json, const struct pymalloc_totals *totals)
{
    pym_json_open(json, "small", '{');
    pym_json_number(json, "allocs", totals->small_allocs);
    pym_json_number(json, "frees", totals->small_frees);
    pym_json_number(json, "remote_frees", totals->remote_frees);
    pym_json_number(json, "live_blocks", totals->small_live);
    pym_json_number(json, "live_bytes", totals->small_live_bytes);
    pym_json_number(json, "held_bytes", totals->small_held_bytes);
    pym_json_number(json, "backlog_blocks", totals->remote_backlog);
    pym_json_close(json, '}');
}

static void write_classes(struct pym_json *json, const struct pymalloc_totals *totals)
{
    pym_json_open(json, "classes", '[');
    for (unsigned cls = 0; cls < PYM_CLASSES; cls++) {
        pym_json_open(json, NULL, '{');
        pym_json_number(json, "size", pym_class_size(cls));
        pym_json_number(json, "allocs", totals->class_allocs[cls]);
        pym_json_number(json, "live_blocks", totals->class_live[cls]);
        pym_json_number(json, "live_bytes",
                        totals->class_live[cls] * pym_class_size(cls));
        pym_json_number(json, "pools", totals->class_pools[cls]);
        pym_json_number(json, "capacity_blocks", totals->class_capacity[cls]);
        pym_json_number(json, "held_bytes", totals->class_pools[cls] << PYM_POOL_SHIFT);
        if (PYM_HARDENED) {
            pym_json_number(json, "asked_bytes", totals->class_asked[cls]);
        } else {
            pym_json_null(json, "asked_bytes");
        }
        pym_json_close(json, '}');
    }
    pym_json_close(json, ']');
}

static void write_large(struct pym_json *json, const struct pymalloc_totals *totals)
{
    pym_json_open(json, "large", '{');
    pym_json_number(json, "allocs", totals->large_allocs);
    pym_json_number(json, "frees", totals->large_frees);
    pym_json_number(json, "live_blocks",
                    totals->large_allocs > totals->large_frees
                        ? totals->large_allocs - totals->large_frees
                        : 0);
    pym_json_number(json, "cache_hits", totals->large_cache_hits);
    pym_json_number(json, "cached_blocks", totals->large_cached);
    pym_json_number(json, "cached_bytes", totals->large_cached_bytes);
    pym_json_close(json, '}');
}

/* What the system allocator tells of itself. */
static void write_backend(struct pym_json *json)
{
#ifdef __GLIBC__
    if (pym_sysalloc.info != NULL) {
        struct mallinfo2 info = pym_sysalloc.info();
        pym_json_open(json, "backend", '{');
        pym_json_text(json, "name", "glibc");
        pym_json_number(json, "heap_bytes", info.arena);
        pym_json_number(json, "mapped_bytes", info.hblkhd);
        pym_json_number(json, "mapped_blocks", info.hblks);
        pym_json_number(json, "used_bytes", info.uordblks);
        pym_json_number(json, "free_bytes", info.fordblks);
        pym_json_number(json, "top_bytes", info.keepcost);
        pym_json_close(json, '}');
        return;
    }
#endif
    pym_json_null(json, "backend");
}

static void write_arenas(struct pym_json *json, const struct pymalloc_totals *totals)
{
    pym_json_open(json, "arenas", '{');
    pym_json_number(json, "size", PYM_ARENA_SIZE);
    pym_json_number(json, "used", totals->arenas);
    pym_json_number(json, "peak", totals->arenas_peak);
    pym_json_number(json, "reserved_bytes", totals->reserved_bytes);
    pym_json_close(json, '}');
    pym_json_open(json, "pools", '{');
    pym_json_number(json, "size", PYM_POOL_SIZE);
    pym_json_number(json, "used", totals->pools);
    pym_json_number(json, "peak", totals->pools_peak);
    pym_json_number(json, "dirty_bytes", totals->dirty_bytes);
    pym_json_number(json, "purged_bytes", totals->purged_bytes);
    pym_json_close(json, '}');
    pym_json_open(json, "heaps", '{');
    pym_json_number(json, "made", totals->heaps);
    pym_json_number(json, "orphaned", totals->heaps_orphaned);
    pym_json_number(json, "live", totals->heaps - totals->heaps_orphaned);
    pym_json_close(json, '}');
}

static void write_process(struct pym_json *json)
{
    struct pym_process process;
    pym_process_get(&process);
    pym_json_open(json, "process", '{');
    pym_json_number(json, "rss_bytes", process.resident);
    pym_json_number(json, "rss_peak_bytes", process.resident_peak);
    pym_json_number(json, "anon_huge_bytes", process.huge);
    pym_json_number(json, "virtual_bytes", process.virtual_size);
    pym_json_number(json, "swap_bytes", process.swapped);
    pym_json_number(json, "threads", process.threads);
    pym_json_close(json, '}');
}

static void write_option(const char *name, const char *value, void *arg)
{
    pym_json_text(arg, name, value);
}

/* ---- the map ---- */

struct pool_line {
    enum pym_arena_use use;
    size_t size;
    unsigned live;
    unsigned capacity;
    unsigned heap;
};

static PYM_RACY struct pool_line look_at(const struct pym_pool *pool)
{
    struct pool_line line = {.use = pym_arena_use_of(pool)};
    if (line.use == PYM_ARENA_TAKEN) {
        struct pym_pool_bits live;
        struct pym_heap *owner = pool->owner;
        line.live = pym_inspect_pool(pool, &live);
        line.size = pym_class_size(pool->cls);
        line.capacity = pym_pool_capacity(pool);
        line.heap = owner != NULL && owner != PYM_NOBODY ? owner->number : 0;
    }
    return line;
}

static void write_pool(struct pym_json *json, const struct pym_pool *pool)
{
    pym_heaps_hold();
    struct pool_line line = look_at(pool);
    pym_heaps_release();
    pym_json_open(json, NULL, '[');
    pym_json_number(json, NULL, line.use);
    pym_json_number(json, NULL, line.size);
    pym_json_number(json, NULL, line.live);
    pym_json_number(json, NULL, line.capacity);
    pym_json_number(json, NULL, line.heap);
    pym_json_close(json, ']');
}

static void write_map(struct pym_json *json)
{
    pym_json_open(json, "map", '[');
    size_t end = pym_region_limit() >> PYM_ARENA_SHIFT;
    for (size_t arena = pym_region.first_arena; arena < end; arena++) {
        size_t offset = arena << PYM_ARENA_SHIFT;
        if (pym_region_is_guard(arena)) {
            continue;
        }
        pym_json_open(json, NULL, '{');
        pym_json_address(json, "address", pym_region_base + offset);
        pym_json_open(json, "pools", '[');
        for (size_t i = 0; i < PYM_ARENA_POOLS; i++) {
            write_pool(json, pym_region_pool_at(offset + (i << PYM_POOL_SHIFT)));
        }
        pym_json_close(json, ']');
        pym_json_close(json, '}');
    }
    pym_json_close(json, ']');
}

bool pym_snapshot_write(int fd, unsigned flags, void (*more)(struct pym_json *json))
{
    struct pymalloc_totals totals;
    pym_stats_get(&totals);
    struct pym_json json;
    pym_json_begin(&json, fd);
    pym_json_open(&json, NULL, '{');
    write_identity(&json);
    write_small(&json, &totals);
    write_classes(&json, &totals);
    write_large(&json, &totals);
    write_backend(&json);
    write_arenas(&json, &totals);
    write_process(&json);
    pym_json_open(&json, "options", '{');
    pym_options_each(write_option, &json);
    pym_json_close(&json, '}');
    if ((flags & PYMALLOC_JSON_MAP) != 0) {
        write_map(&json);
        pym_profile_write_samples(&json);
    }
    if (more != NULL) {
        more(&json);
    }
    pym_json_close(&json, '}');
    return pym_json_finish(&json);
}
