/*
 * malloc and its kin under their standard names: the only file that defines
 * them.  Contracts are those of C, POSIX and the GNU C library.
 */
#include "front.h"

#include "heaps.h"
#include "os.h"
#include "print.h"
#include "stats.h"
#include "sysalloc.h"
#include "systrim.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Declared by newer C libraries only, or by none. */
void cfree(void *block);
void free_sized(void *block, size_t size);
void free_aligned_sized(void *block, size_t alignment, size_t size);
#ifndef __GLIBC__
void *pvalloc(size_t size);
int malloc_trim(size_t keep);
int mallopt(int parameter, int value);
void malloc_stats(void);
#endif

/*
 * The functions that have a name of their own in every C library allocate and
 * free by themselves.  The others call these, by calls that can be taken over:
 * so a program or a tool that replaces some gets all.
 */

/* ---- C and POSIX ---- */

PYM_EXPORT void *malloc(size_t size)
{
    return PYM_FRONT(malloc)(size);
}

PYM_EXPORT void free(void *block)
{
    PYM_FRONT(free)(block);
}

PYM_EXPORT void *calloc(size_t count, size_t size)
{
    return PYM_FRONT(calloc)(count, size);
}

PYM_EXPORT void *realloc(void *block, size_t size)
{
    return PYM_FRONT(realloc)(block, size);
}

PYM_EXPORT void *reallocarray(void *block, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(block, bytes);
}

PYM_EXPORT void cfree(void *block)
{
    free(block);
}

/* The size is not needed, and but for the hardened library's check not looked at. */
PYM_EXPORT void free_sized(void *block, size_t size)
{
    pym_front_check_size("wrong size given to free_sized", block, size);
    free(block);
}

PYM_EXPORT void free_aligned_sized(void *block, size_t alignment, size_t size)
{
    (void)alignment;
    pym_front_check_size("wrong size given to free_aligned_sized", block, size);
    free(block);
}

PYM_EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
    return PYM_FRONT(aligned)(alignment, size);
}

PYM_EXPORT void *memalign(size_t alignment, size_t size)
{
    return PYM_FRONT(aligned)(alignment, size);
}

PYM_EXPORT int posix_memalign(void **out, size_t alignment, size_t size)
{
    if (!pym_is_power_of_two(alignment) || alignment % sizeof(void *) != 0) {
        return EINVAL;
    }
    int saved = errno;
    void *block = PYM_FRONT(aligned)(alignment, size);
    errno = saved;
    if (block == NULL) {
        return ENOMEM;
    }
    *out = block;
    return 0;
}

PYM_EXPORT void *valloc(size_t size)
{
    return memalign(pym_os_page_size(), size);
}

PYM_EXPORT void *pvalloc(size_t size)
{
    size_t page = pym_os_page_size();
    if (size > PTRDIFF_MAX) {
        errno = ENOMEM;
        return NULL;
    }
    return memalign(page, pym_round_up(size, page));
}

PYM_EXPORT size_t malloc_usable_size(void *block)
{
    return PYM_FRONT(usable_size)(block);
}

/* ---- the GNU C library's ---- */

PYM_EXPORT int malloc_trim(size_t keep)
{
    pym_front_flush();
    bool trimmed;
    size_t bytes = pym_heaps_give_back(keep, &trimmed);
    return bytes > 0 || trimmed;
}

PYM_EXPORT int mallopt(int parameter, int value)
{
    pym_systrim_stop();
    return pym_sysalloc.tune != NULL ? pym_sysalloc.tune(parameter, value) : 0;
}

PYM_EXPORT void malloc_stats(void)
{
    pym_stats_report(STDERR_FILENO);
}

#ifdef __GLIBC__

/* The system allocator's figures, and ours added: pools count as its arena,
 * blocks that it lent to our cache as free. */
static struct mallinfo2 total_info(struct pymalloc_totals *stats)
{
    struct mallinfo2 info = {0};
    struct mallinfo2 (*system_info)(void);
    *(void **)&system_info = pym_sysalloc.mallinfo2;
    if (system_info != NULL) {
        info = system_info();
    }
    pym_stats_get(stats);
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
    return total_info(&stats);
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

/* The elements have glibc's names where they mean the same. */
PYM_EXPORT int malloc_info(int options, FILE *stream)
{
    if (options != 0) {
        return EINVAL;
    }
    struct pymalloc_totals stats;
    struct mallinfo2 info = total_info(&stats);
    char text[2048];
    (void)pym_print_text(
        text, sizeof(text),
        "<malloc version=\"1\" allocator=\"libpymalloc " VERSION "\">\n"
        "<small allocs=\"%lu\" frees=\"%lu\" live=\"%lu\" bytes=\"%lu\" "
        "held=\"%lu\"/>\n"
        "<cached count=\"%lu\" size=\"%lu\"/>\n"
        "<large allocs=\"%lu\" frees=\"%lu\"/>\n"
        "<arenas count=\"%lu\" peak=\"%lu\" pools=\"%lu\" dirty=\"%lu\" "
        "purged=\"%lu\"/>\n"
        "<total type=\"rest\" count=\"%zu\" size=\"%zu\"/>\n"
        "<total type=\"mmap\" count=\"%zu\" size=\"%zu\"/>\n"
        "<system type=\"current\" size=\"%zu\"/>\n"
        "</malloc>\n",
        stats.small_allocs, stats.small_frees, stats.small_live, stats.small_live_bytes,
        stats.small_held_bytes, stats.large_cached, stats.large_cached_bytes,
        stats.large_allocs, stats.large_frees, stats.arenas, stats.arenas_peak,
        stats.pools, stats.dirty_bytes, stats.purged_bytes, info.ordblks, info.fordblks,
        info.hblks, info.hblkhd, info.arena);
    return fputs(text, stream) < 0 ? EIO : 0;
}

#endif
