#include "alloc.h"

#include "arena.h"
#include "guard.h"
#include "heaps.h"
#include "lifecycle.h"
#include "mix.h"
#include "probe.h"
#include "profile.h"
#include "report.h"
#include "sysalloc.h"

#include <errno.h>
#include <string.h>

/*
 * What decides whether a small block may be given to a request for alignment, and
 * whether a block of the system stays where it is: the largest size that may, and the
 * room in the block.  0 and NULL before the start, and where the library stands aside
 * and both are the system allocator's affairs.
 */
static size_t aligned_small_max;
static size_t (*room_of)(void *block);

/* Where blocks may be samples. */
static size_t room_of_any(void *block)
{
    if (PYM_UNLIKELY(pym_guard_owns(block))) {
        return pym_guard_usable_size(block);
    }
    if (pym_profile_owns(block)) {
        return pym_profile_header_of(block)->size;
    }
    return pym_sysalloc.usable_size(block);
}

void pym_alloc_init(void)
{
    if (pym_track_stands_aside()) {
        return;
    }
    aligned_small_max = PYM_SMALL_MAX;
    if (pym_sysalloc.usable_size != NULL) {
        /* What an option does not ask for is not even mapped. */
        if (PYM_OPTION(guard) != 0) {
            pym_guard_init();
        }
        if (PYM_OPTION(profile) != 0) {
            pym_profile_init();
        }
    }
    bool has_samples = pym_guard_size != 0 || pym_profile_interval != 0;
    room_of = has_samples ? room_of_any : pym_sysalloc.usable_size;
}

static PYM_NOINLINE void *out_of_memory(void)
{
    errno = ENOMEM;
    return NULL;
}

/* The thread's heap, made if need be; NULL if it has ended. */
static struct pym_heap *own_heap(void)
{
    struct pym_heap *heap = pym_thread.heap;
    return PYM_LIKELY(heap != NULL) ? heap : pym_lifecycle_heap();
}

/* ---- samples ---- */

/* A guarded block in the place of any other, if it is this one's turn. */
static PYM_COLD void *guarded(struct pym_heap *heap, size_t size)
{
    pym_sampler_next(&heap->sampler, PYM_OPTION(guard));
    return pym_guard_allocate(size);
}

static void *guarded_if_due(struct pym_heap *heap, size_t size)
{
    return PYM_UNLIKELY(pym_sampler_is_due(&heap->sampler)) ? guarded(heap, size)
                                                            : NULL;
}

/* A sample of the heap profile; NULL if there is no memory for it. */
static PYM_COLD void *profiled(struct pym_heap *heap, size_t size, size_t alignment,
                               const struct pym_weight *weight)
{
    size_t room = pym_profile_room(size, alignment);
    struct pym_syscache *cache = &heap->cache;
    void *base = room == 0 ? NULL
                 : alignment <= PYM_GRAIN
                     ? pym_syscache_miss(cache, room, false)
                     : pym_syscache_aligned(cache, alignment, room);
    void *block =
        base != NULL ? pym_profile_adopt(base, size, alignment, weight) : NULL;
    if (base != NULL && block == NULL) {
        pym_syscache_pass(cache, base);
    }
    return block;
}

/* A small block, from a heap that counts for the profile. */
static PYM_COLD void *refill_profiled(struct pym_heap *heap, size_t size)
{
    unsigned cls = pym_class_of(size);
    struct pym_weight weight;
    bool again;
    if (pym_poisson_take(&heap->poisson, cls, &weight, &again)) {
        /* As a block of the class would be aligned, which some programs trust in. */
        size_t block_size = pym_class_size(cls);
        void *block = profiled(heap, block_size, block_size & -block_size, &weight);
        if (block != NULL) {
            return block;
        }
    }
    return again ? pym_heap_refill_one(heap, cls) : pym_heap_refill(heap, cls);
}

/* A sample in the place of a block that is none of a size class and stands for so many;
 * or NULL. */
static void *profiled_large(struct pym_heap *heap, size_t size, size_t alignment,
                            unsigned like_it)
{
    struct pym_weight weight;
    return PYM_UNLIKELY(pym_poisson_take_large(&heap->poisson, size, like_it, &weight))
               ? profiled(heap, size, alignment, &weight)
               : NULL;
}

static bool is_profiled(const struct pym_heap *heap)
{
    return PYM_UNLIKELY(heap->poisson.interval != 0);
}

/* A sample of whatever kind is due. */
static void *sampled_large(struct pym_heap *heap, size_t size, unsigned like_it)
{
    void *sample = guarded_if_due(heap, size);
    return PYM_LIKELY(sample == NULL) ? profiled_large(heap, size, PYM_GRAIN, like_it)
                                      : sample;
}

/* ---- small blocks ---- */

/* What a thread without a heap gets, and a program without an address range. */
static PYM_COLD void *small_elsewhere(size_t size)
{
    if (pym_thread.ended) {
        void *block = pym_heaps_emergency_block(pym_class_of(size));
        if (block != NULL) {
            return block;
        }
    }
    struct pym_heap *heap = pym_thread.heap;
    return pym_syscache_miss(heap != NULL ? &heap->cache : NULL, size, false);
}

PYM_NOINLINE void *pym_alloc_refill(size_t size)
{
    struct pym_heap *heap = pym_thread.heap;
    if (PYM_UNLIKELY(heap == NULL)) {
        heap = pym_lifecycle_heap();
        if (heap == NULL) {
            return small_elsewhere(size);
        }
        /* An adopted heap brings its bins. */
        return pym_alloc_malloc(size);
    }
    void *block = guarded_if_due(heap, size);
    if (PYM_LIKELY(block == NULL)) {
        block = is_profiled(heap) ? refill_profiled(heap, size)
                                  : pym_heap_refill(heap, pym_class_of(size));
    }
    return PYM_LIKELY(block != NULL) ? block : small_elsewhere(size);
}

PYM_NOINLINE void pym_alloc_free_remote(void *block, struct pym_pool *pool)
{
    if (PYM_UNLIKELY(pool->owner == PYM_NOBODY || pool->owner == NULL)) {
        pym_report_misuse("free of memory that is no block", block, 0);
        return;
    }
    if (PYM_UNLIKELY(pym_pool_is_tagged(pool))) {
        pym_report_misuse("free of an object, which pygc_decref is for", block,
                          pym_class_size(pool->cls));
        return;
    }
    if (PYM_UNLIKELY((uintptr_t)block % PYM_GRAIN != 0)) {
        pym_report_misuse("free of a pointer into a block", block,
                          pym_class_size(pool->cls));
        return;
    }
    struct pym_heap *heap = pym_thread.heap;
    if (PYM_UNLIKELY(heap == NULL)) {
        heap = pym_lifecycle_heap_to_free();
        if (heap == NULL) {
            pym_remote_send(pool, block);
            return;
        }
        if (heap == pool->owner) { /* adopted just now */
            pym_alloc_free(block);
            return;
        }
    }
    pym_track_freed(block, pym_class_size(pool->cls));
    pym_remote_collect(&heap->outbox, pool, block);
}

/* ---- large blocks ---- */

static PYM_NOINLINE void *large_miss(size_t size, bool zeroed)
{
    if (size > PTRDIFF_MAX) {
        return out_of_memory();
    }
    struct pym_heap *heap = own_heap();
    if (PYM_LIKELY(heap != NULL)) {
        pym_heap_tick(heap);
        pym_sampler_count(&heap->sampler, 1);
        void *block = sampled_large(heap, size, 1);
        if (PYM_UNLIKELY(block != NULL)) {
            /* The system may have refused to take back what was here before. */
            return zeroed ? memset(block, 0, size) : block;
        }
    }
    struct pym_syscache *cache = heap != NULL ? &heap->cache : NULL;
    void *block = pym_syscache_miss(cache, size, zeroed);
    if (PYM_UNLIKELY(block == NULL) && pym_arena_fit()) {
        block = pym_syscache_miss(cache, size, zeroed);
    }
    PYM_PROBE2(pymalloc, large, block, size);
    return PYM_LIKELY(block != NULL) ? block : out_of_memory();
}

PYM_NOINLINE void *pym_alloc_tick(void *block, size_t size)
{
    struct pym_heap *heap = pym_thread.heap;
    pym_heap_tick(heap);
    void *sample = sampled_large(heap, size, PYM_HEAP_HITS_LOOKED_AT);
    if (PYM_LIKELY(sample == NULL)) {
        return block;
    }
    pym_alloc_free(block);
    return sample;
}

/* A thread that only frees comes by the clock here. */
PYM_NOINLINE void pym_alloc_overflow(struct pym_syscache *cache,
                                     struct pym_syscache_bin *bin, void *block)
{
    pym_syscache_overflow(cache, bin, block);
    pym_heap_tick(pym_thread.heap);
}

/* For a request of 0 bytes: a block of one zero byte, unless that would hide errors. */
static void *empty_block(void)
{
    return pym_track_stands_aside() ? pym_sysalloc.malloc(0) : pym_alloc_calloc(1, 1);
}

/* A block that the cache has, although malloc does not look there first. */
PYM_INLINE void *cached(size_t size)
{
    struct pym_syscache *cache = pym_thread.cache;
    if (size - 1 >= pym_thread.hits_end) {
        return NULL;
    }
    void *block = pym_syscache_take(cache, size - 1);
    return PYM_LIKELY(block != NULL) ? pym_alloc_hit(cache, block, size) : NULL;
}

/* For a request of any size: in a trial, without a heap, or where the lists are empty.
 */
static PYM_NOINLINE void *allocate(size_t size)
{
    if (size == 0) {
        return empty_block();
    }
    struct pym_heap *heap = pym_thread.heap;
    if (heap != NULL && heap->mixer.awaited != 0) {
        pym_mix_note(heap, size > PYM_SMALL_MAX);
    }
    if (size <= PYM_SMALL_MAX) {
        return pym_alloc_small_or(size, size - 1, pym_alloc_refill);
    }
    void *block = cached(size);
    return block != NULL ? block : large_miss(size, false);
}

PYM_NOINLINE void *pym_alloc_large(size_t size)
{
    size_t last = size - 1;
    if (last < pym_thread.mixed_end) {
        struct pym_syscache *cache = pym_thread.cache;
        void *block = pym_mix_take(cache, last);
        if (PYM_LIKELY(block != NULL)) {
            return pym_alloc_hit(cache, block, size);
        }
    }
    return allocate(size);
}

PYM_NOINLINE void pym_alloc_free_foreign(void *block)
{
    if (block == NULL) {
        return;
    }
    if (PYM_UNLIKELY(pym_guard_owns(block))) {
        pym_guard_free(block);
        return;
    }
    if (pym_profile_owns(block)) {
        block = pym_profile_release(block);
        if (pym_thread.cache != NULL && pym_syscache_keep(pym_thread.cache, block)) {
            return;
        }
    }
    bool had_cache = pym_thread.cache != NULL;
    struct pym_heap *heap = PYM_LIKELY(pym_thread.heap != NULL)
                                ? pym_thread.heap
                                : pym_lifecycle_heap_to_free();
    if (PYM_LIKELY(heap != NULL)) {
        pym_heap_tick(heap);
    }
    if (!had_cache && pym_thread.cache != NULL &&
        pym_syscache_keep(pym_thread.cache, block)) {
        return;
    }
    pym_syscache_pass(heap != NULL ? &heap->cache : NULL, block);
}

/* ---- calloc ---- */

static void *large_calloc(size_t size)
{
    void *block = cached(size);
    return block != NULL ? memset(block, 0, size) : large_miss(size, true);
}

void *pym_alloc_calloc(size_t count, size_t size)
{
    size_t bytes;
    if (PYM_UNLIKELY(__builtin_mul_overflow(count, size, &bytes))) {
        return out_of_memory();
    }
    if (PYM_UNLIKELY(bytes - 1 >= PYM_SMALL_MAX)) {
        return bytes != 0 ? large_calloc(bytes) : empty_block();
    }
    void *block = pym_alloc_small_or(bytes, bytes - 1, pym_alloc_refill);
    return PYM_LIKELY(block != NULL) ? memset(block, 0, bytes) : NULL;
}

/* ---- sizes and alignment ---- */

size_t pym_alloc_usable_size(void *block)
{
    if (pym_region_owns(block)) {
        return pym_class_size(pym_region_pool_of(block)->cls);
    }
    size_t (*room)(void *block) = room_of != NULL ? room_of : pym_sysalloc.usable_size;
    return block != NULL && room != NULL ? room(block) : 0;
}

/* A block of a pool has the alignment that its size is a multiple of, unless the
 * option "header" has moved it. */
void *pym_alloc_aligned(size_t alignment, size_t size)
{
    if (!pym_is_power_of_two(alignment)) {
        errno = EINVAL;
        return NULL;
    }
    if (alignment <= PYM_GRAIN) {
        return pym_alloc_malloc(size);
    }
    if (size > PTRDIFF_MAX || alignment > PTRDIFF_MAX) {
        return out_of_memory();
    }
    size_t rounded = pym_round_up(size != 0 ? size : 1, alignment);
    if (rounded <= aligned_small_max) {
        void *block = pym_alloc_small_or(rounded, rounded - 1, pym_alloc_refill);
        if (((uintptr_t)block & (alignment - 1)) == 0) {
            return block;
        }
        pym_alloc_free(block); /* moved, or the system's: there is no address range */
    }
    struct pym_heap *heap = own_heap();
    if (heap != NULL) {
        void *sample = profiled_large(heap, size != 0 ? size : 1, alignment, 1);
        if (sample != NULL) {
            return sample;
        }
    }
    void *block = pym_syscache_aligned(heap != NULL ? &heap->cache : NULL, alignment,
                                       size != 0 ? size : 1);
    return PYM_LIKELY(block != NULL) ? block : out_of_memory();
}

/* ---- realloc ---- */

/* Whether a block stays where it is: the new size fits, and uses more than half
 * of it or has the same class. */
static bool fits_in_place(size_t size, size_t usable)
{
    return size <= usable && (size > usable / 2 || usable - size < PYM_GRAIN);
}

static void *move(void *block, size_t usable, size_t size)
{
    void *moved = pym_alloc_malloc(size);
    if (PYM_UNLIKELY(moved == NULL)) {
        return size <= usable ? block : NULL;
    }
    memcpy(moved, pym_track_allocated(block, usable), usable < size ? usable : size);
    pym_alloc_free(block);
    return moved;
}

/* Whether a block of the new size lies ready: copying to it costs less than the
 * system allocator's lock. */
static bool is_cached(size_t size)
{
    return size <= PYM_CACHED_MAX && pym_thread.cache != NULL &&
           pym_syscache_has(pym_thread.cache, size - 1);
}

/* Makes what has room for a header in front of its contents a block without one. */
static void *without_header(char *base, size_t size)
{
    return memmove(base, base + sizeof(struct pym_profile_header), size);
}

/* Whether a block with a header may be left to the system to resize.  Not if it is
 * aligned; and not if it is known by its address, which may be another thread's block
 * as soon as the system has moved it. */
static bool is_resizable(void *block)
{
    return pym_sysalloc.has_word &&
           pym_profile_header_of(block)->distance == sizeof(struct pym_profile_header);
}

/* With a heap profile, a large block that is resized is one that is allocated anew.  It
 * may have a header from now on, or from before; the system copies it, if it can. */
static PYM_COLD void *resize_profiled(void *block, size_t usable, size_t size)
{
    bool has_header = pym_profile_owns(block);
    if (has_header && !is_resizable(block)) {
        return move(block, usable, size);
    }
    struct pym_heap *heap = own_heap();
    struct pym_weight weight;
    bool is_sample =
        heap != NULL && pym_poisson_take_large(&heap->poisson, size, 1, &weight);
    size_t distance = has_header ? sizeof(struct pym_profile_header) : 0;
    size_t room = has_header || is_sample ? pym_profile_room(size, PYM_GRAIN) : size;
    if (room == 0) {
        return out_of_memory();
    }
    void *base = has_header ? pym_profile_base(block) : block;
    void *moved = pym_syscache_resize(heap != NULL ? &heap->cache : NULL, base,
                                      usable + distance, room);
    if (moved == NULL) {
        return out_of_memory();
    }
    size_t kept = usable < size ? usable : size;
    if (has_header) {
        return pym_profile_readopt(moved, block, size, is_sample ? &weight : NULL);
    }
    if (!is_sample) {
        return moved;
    }
    memmove((char *)moved + sizeof(struct pym_profile_header), moved, kept);
    void *sample = pym_profile_adopt(moved, size, PYM_GRAIN, &weight);
    return sample != NULL ? sample : without_header(moved, kept);
}

static void *realloc_foreign(void *block, size_t size)
{
    if (size > PTRDIFF_MAX) {
        return out_of_memory();
    }
    size_t usable = 0;
    if (room_of != NULL) {
        usable = room_of(block);
        if (fits_in_place(size, usable)) {
            return block;
        }
        if (size <= PYM_SMALL_MAX || is_cached(size)) {
            return move(block, usable, size);
        }
    }
    if (PYM_UNLIKELY(pym_guard_owns(block))) {
        return move(block, usable, size);
    }
    if (PYM_UNLIKELY(pym_profile_interval != 0)) {
        return resize_profiled(block, usable, size);
    }
    struct pym_syscache *cache = pym_thread.cache;
    void *moved = pym_syscache_resize(cache, block, usable, size);
    return PYM_LIKELY(moved != NULL) ? moved : out_of_memory();
}

void *pym_alloc_realloc(void *block, size_t size)
{
    if (block == NULL) {
        return pym_alloc_malloc(size);
    }
    if (size == 0) {
        pym_alloc_free(block);
        return NULL;
    }
    if (!pym_region_owns(block)) {
        return realloc_foreign(block, size);
    }
    size_t usable = pym_class_size(pym_region_pool_of(block)->cls);
    if (fits_in_place(size, usable)) {
        return pym_track_allocated(block, usable);
    }
    return move(block, usable, size);
}
