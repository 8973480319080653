/*
 * What the GNU C library tells of malloc's memory, under its names: malloc_stats,
 * mallinfo, mallinfo2 and malloc_info.
 */
#include "harden.h"
#include "print.h"
#include "process.h"
#include "stats.h"
#include "sysalloc.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

#ifndef __GLIBC__
void malloc_stats(void);
#endif

PYM_EXPORT void malloc_stats(void)
{
    pym_stats_report(STDERR_FILENO);
}

#ifdef __GLIBC__

/* The system allocator's own. */
static struct mallinfo2 backend_info(void)
{
    return pym_sysalloc.info != NULL ? pym_sysalloc.info() : (struct mallinfo2){0};
}

/* The system allocator's figures, and ours added: pools count as its arena,
 * blocks that it lent to our cache as free. */
static struct mallinfo2 add_up(const struct mallinfo2 *backend,
                               const struct pymalloc_totals *stats)
{
    struct mallinfo2 info = *backend;
    size_t cached = stats->large_cached_bytes < info.uordblks
                        ? stats->large_cached_bytes
                        : info.uordblks;
    info.arena += stats->small_held_bytes + stats->dirty_bytes;
    info.ordblks += stats->large_cached;
    info.uordblks += stats->small_live_bytes - cached;
    info.fordblks +=
        stats->small_held_bytes + stats->dirty_bytes - stats->small_live_bytes + cached;
    info.keepcost += stats->dirty_bytes;
    return info;
}

PYM_EXPORT struct mallinfo2 mallinfo2(void)
{
    struct pymalloc_totals stats;
    struct mallinfo2 backend = backend_info();
    pym_stats_get(&stats);
    return add_up(&backend, &stats);
}

static int saturate(size_t value)
{
    return value < INT_MAX ? (int)value : INT_MAX;
}

PYM_EXPORT struct mallinfo mallinfo(void)
{
    struct mallinfo2 info = mallinfo2();
    return (struct mallinfo){
        .arena = saturate(info.arena),
        .ordblks = saturate(info.ordblks),
        .smblks = saturate(info.smblks),
        .hblks = saturate(info.hblks),
        .hblkhd = saturate(info.hblkhd),
        .usmblks = saturate(info.usmblks),
        .fsmblks = saturate(info.fsmblks),
        .uordblks = saturate(info.uordblks),
        .fordblks = saturate(info.fordblks),
        .keepcost = saturate(info.keepcost),
    };
}

/* ---- malloc_info ---- */

/* The part of a document that fits into a buffer. */
static void put(FILE *stream, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    (void)pym_print_vtext(text, sizeof(text), format, args);
    va_end(args);
    (void)fputs(text, stream);
}

static void put_small(FILE *stream, const struct pymalloc_totals *s)
{
    put(stream,
        "<small allocs=\"%lu\" frees=\"%lu\" remote_frees=\"%lu\" live_blocks=\"%lu\" "
        "live_bytes=\"%lu\" held_bytes=\"%lu\" backlog_blocks=\"%lu\"/>\n",
        s->small_allocs, s->small_frees, s->remote_frees, s->small_live,
        s->small_live_bytes, s->small_held_bytes, s->remote_backlog);
    put(stream, "<classes>\n");
    for (size_t i = 0; i < PYMALLOC_CLASSES; i++) {
        size_t size = (i + 1) * PYM_GRAIN;
        put(stream,
            "<class size=\"%zu\" allocs=\"%lu\" live_blocks=\"%lu\" live_bytes=\"%lu\" "
            "pools=\"%lu\" capacity_blocks=\"%lu\" held_bytes=\"%lu\"",
            size, s->class_allocs[i], s->class_live[i], s->class_live[i] * size,
            s->class_pools[i], s->class_capacity[i],
            s->class_pools[i] << PYM_POOL_SHIFT);
        if (PYM_HARDENED) {
            put(stream, " asked_bytes=\"%lu\"", s->class_asked[i]);
        }
        put(stream, "/>\n");
    }
    put(stream, "</classes>\n");
}

static void put_large(FILE *stream, const struct pymalloc_totals *s,
                      const struct mallinfo2 *backend)
{
    put(stream,
        "<large allocs=\"%lu\" frees=\"%lu\" live_blocks=\"%lu\" cache_hits=\"%lu\" "
        "cached_blocks=\"%lu\" cached_bytes=\"%lu\"/>\n",
        s->large_allocs, s->large_frees,
        s->large_allocs > s->large_frees ? s->large_allocs - s->large_frees : 0,
        s->large_cache_hits, s->large_cached, s->large_cached_bytes);
    put(stream,
        "<backend heap_bytes=\"%zu\" mapped_bytes=\"%zu\" mapped_blocks=\"%zu\" "
        "used_bytes=\"%zu\" free_bytes=\"%zu\" top_bytes=\"%zu\"/>\n",
        backend->arena, backend->hblkhd, backend->hblks, backend->uordblks,
        backend->fordblks, backend->keepcost);
}

static void put_places(FILE *stream, const struct pymalloc_totals *s)
{
    put(stream,
        "<arenas size=\"%zu\" used=\"%lu\" peak=\"%lu\" reserved_bytes=\"%lu\"/>\n"
        "<pools size=\"%zu\" used=\"%lu\" peak=\"%lu\" dirty_bytes=\"%lu\" "
        "purged_bytes=\"%lu\"/>\n"
        "<heaps made=\"%lu\" orphaned=\"%lu\" live=\"%lu\"/>\n",
        PYM_ARENA_SIZE, s->arenas, s->arenas_peak, s->reserved_bytes, PYM_POOL_SIZE,
        s->pools, s->pools_peak, s->dirty_bytes, s->purged_bytes, s->heaps,
        s->heaps_orphaned, s->heaps - s->heaps_orphaned);
}

static void put_process(FILE *stream)
{
    struct pym_process p;
    pym_process_get(&p);
    put(stream,
        "<process rss_bytes=\"%lu\" rss_peak_bytes=\"%lu\" anon_huge_bytes=\"%lu\" "
        "virtual_bytes=\"%lu\" swap_bytes=\"%lu\" threads=\"%lu\"/>\n",
        p.resident, p.resident_peak, p.huge, p.virtual_size, p.swapped, p.threads);
}

/* The elements and attributes of the snapshot in JSON; then glibc's own, where they
 * mean the same. */
PYM_EXPORT int malloc_info(int options, FILE *stream)
{
    if (options != 0) {
        return EINVAL;
    }
    struct pymalloc_totals stats;
    struct mallinfo2 backend = backend_info();
    pym_stats_get(&stats);
    struct mallinfo2 info = add_up(&backend, &stats);
    put(stream, "<malloc version=\"1\" allocator=\"libpymalloc " VERSION "\">\n");
    put_small(stream, &stats);
    put_large(stream, &stats, &backend);
    put_places(stream, &stats);
    put_process(stream);
    put(stream,
        "<total type=\"rest\" count=\"%zu\" size=\"%zu\"/>\n"
        "<total type=\"mmap\" count=\"%zu\" size=\"%zu\"/>\n"
        "<system type=\"current\" size=\"%zu\"/>\n"
        "</malloc>\n",
        info.ordblks, info.fordblks, info.hblks, info.hblkhd, info.arena);
    return ferror(stream) ? EIO : 0;
}

#endif
