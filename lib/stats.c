#include "stats.h"

#include "arena.h"
#include "heaps.h"
#include "inspect.h"
#include "os.h"
#include "print.h"
#include "sysalloc.h"
#include "transfer.h"

#include <string.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

static PYM_RACY void add_heap(struct pym_heap *heap, bool idle, void *arg)
{
    (void)idle;
    struct pymalloc_totals *out = arg;
    for (unsigned cls = 0; cls < PYM_CLASSES; cls++) {
        uint64_t allocs = pym_heap_handed_out(heap, cls);
        out->class_allocs[cls] += allocs;
        out->small_allocs += allocs;
    }
    const struct pym_syscache *cache = &heap->cache;
    out->remote_frees += heap->received;
    out->purged_bytes += heap->scavenger.bytes;
    out->remote_backlog += pym_remote_freed(&heap->outbox);
    out->large_allocs += pym_syscache_hits(cache) + cache->misses;
    size_t bytes;
    size_t cached = pym_syscache_count(cache, &bytes);
    out->large_frees += pym_syscache_hits(cache) + cached + cache->shed + cache->passed;
    out->large_cache_hits += pym_syscache_hits(cache);
    out->large_cached += cached;
    out->large_cached_bytes += bytes;
}

/* Blocks on their way from one heap's cache to another's. */
static void add_transfer(struct pymalloc_totals *out)
{
    size_t bytes;
    uint64_t shed;
    size_t count = pym_transfer_count(&bytes, &shed);
    out->large_frees += count + shed;
    out->large_cached += count;
    out->large_cached_bytes += bytes;
}

/* Bytes that were asked for, if that is known. */
static uint64_t asked_bytes(const struct pym_pool *pool,
                            const struct pym_pool_bits *live)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; PYM_HARDENED && i < pool->carved; i++) {
        if (pym_pool_bit(live, i)) {
            bytes +=
                pym_class_size(pool->cls) - pym_region_tail(pym_pool_block(pool, i));
        }
    }
    return bytes;
}

static PYM_RACY void add_pool(const struct pym_pool *pool, struct pymalloc_totals *out)
{
    struct pym_pool_bits live;
    unsigned count = pym_inspect_pool(pool, &live);
    unsigned cls = pool->cls;
    out->class_asked[cls] += asked_bytes(pool, &live);
    out->small_live += count;
    out->small_live_bytes += count * pym_class_size(cls);
    out->class_live[cls] += count;
    out->class_pools[cls]++;
    out->class_capacity[cls] += pym_pool_capacity(pool);
}

static PYM_RACY void add_pools(struct pymalloc_totals *out)
{
    size_t end = pym_region_limit() >> PYM_POOL_SHIFT;
    for (size_t i = pym_region.first_arena * PYM_ARENA_POOLS; i < end; i++) {
        const struct pym_pool *pool = pym_region_pool_at(i << PYM_POOL_SHIFT);
        pym_heaps_hold();
        if (pym_arena_use_of(pool) == PYM_ARENA_TAKEN) {
            add_pool(pool, out);
        }
        pym_heaps_release();
    }
}

/* What was sent and has not come; other threads go on sending meanwhile. */
static void settle_backlog(struct pymalloc_totals *out)
{
    uint64_t sent = out->remote_backlog +
                    atomic_load_explicit(&pym_remote_stray, memory_order_relaxed);
    out->remote_backlog = sent > out->remote_frees ? sent - out->remote_frees : 0;
}

void pym_stats_get(struct pymalloc_totals *out)
{
    memset(out, 0, sizeof(*out));
    pym_inspect_settle();
    pym_heaps_each(add_heap, out);
    add_transfer(out);
    settle_backlog(out);
    add_pools(out);
    out->large_allocs +=
        atomic_load_explicit(&pym_syscache_stray_misses, memory_order_relaxed);
    out->large_frees +=
        atomic_load_explicit(&pym_syscache_stray_passed, memory_order_relaxed);
    /* Two looks a moment apart: other threads must not make this negative. */
    if (out->small_allocs >= out->small_live) {
        out->small_frees = out->small_allocs - out->small_live;
    }

    struct pym_arena_totals arenas;
    pym_arena_totals(&arenas);
    out->small_held_bytes = arenas.pools << PYM_POOL_SHIFT;
    out->reserved_bytes = arenas.reserved;
    out->arenas = arenas.used;
    out->arenas_peak = arenas.used_peak;
    out->pools = arenas.pools;
    out->pools_peak = arenas.pools_peak;
    out->dirty_bytes = arenas.dirty << PYM_POOL_SHIFT;
    out->purged_bytes += arenas.purged_bytes;

    struct pym_heaps_totals heaps;
    pym_heaps_totals(&heaps);
    out->heaps = heaps.heaps;
    out->heaps_orphaned = heaps.orphans;
    out->resident_bytes = pym_os_resident();
}

static void report_classes(int fd, const struct pymalloc_totals *s)
{
    for (unsigned cls = 0; cls < PYM_CLASSES; cls++) {
        size_t size = pym_class_size(cls);
        if (s->class_pools[cls] != 0) {
            pym_print(fd, "  of %zu bytes%s %lu live, room for %lu in %lu pools\n",
                      size, size < 100 ? "  " : " ", s->class_live[cls],
                      s->class_capacity[cls], s->class_pools[cls]);
        }
    }
}

static void report_backend(int fd)
{
#ifdef __GLIBC__
    if (pym_sysalloc.info != NULL) {
        struct mallinfo2 info = pym_sysalloc.info();
        pym_print(fd, "  system malloc %h in use, %h free, %h in %zu mappings\n",
                  info.uordblks, info.fordblks, info.hblkhd, info.hblks);
    }
#else
    (void)fd;
#endif
}

void pym_stats_report(int fd)
{
    struct pymalloc_totals s;
    pym_stats_get(&s);
    pym_print(fd, "libpymalloc " VERSION ": report\n");
    pym_print(
        fd, "  small blocks  %lu served, %lu freed (%lu by other threads), %lu live\n",
        s.small_allocs, s.small_frees, s.remote_frees, s.small_live);
    pym_print(fd,
              "  small bytes   %h live in %h of pools; %lu blocks on their way back\n",
              s.small_live_bytes, s.small_held_bytes, s.remote_backlog);
    pym_print(
        fd, "  large blocks  %lu served (%lu from the cache), %lu freed, %lu cached\n",
        s.large_allocs, s.large_cache_hits, s.large_frees, s.large_cached);
    report_backend(fd);
    pym_print(fd, "  arenas        %lu in use, %lu at peak, of 256 KiB; %h reserved\n",
              s.arenas, s.arenas_peak, s.reserved_bytes);
    pym_print(fd, "  pools         %lu in use, %lu at peak, of 16 KiB\n", s.pools,
              s.pools_peak);
    pym_print(fd, "  heaps         %lu made, %lu waiting for a thread\n", s.heaps,
              s.heaps_orphaned);
    pym_print(fd, "  memory        %h resident, %h free and kept, %h given back\n",
              s.resident_bytes, s.dirty_bytes, s.purged_bytes);
    report_classes(fd, &s);
}
