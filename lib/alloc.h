/*
 * Allocation as a program sees it: small or system, errno, alignment, overflow.
 *
 * These are malloc and its kin without their standard names, with the
 * contracts of those.  The fast paths are inline, so that every entry point
 * has its own copy; they make no call and need no stack frame.
 */
#ifndef PYM_ALLOC_H
#define PYM_ALLOC_H

#include "heap.h"
#include "track.h"

/* Slow paths: for a size whose bin is empty; for one that is not small, or 0, or any if
 * the thread does not tell them apart (mix.h) or has no heap yet; for a block that
 * cannot be cached.  They take the size as the program asked for it, which the system
 * allocator may have to be told exactly. */
void *pym_alloc_refill(size_t size);
void *pym_alloc_large(size_t size);
void *pym_alloc_tick(void *block, size_t size); /* returns the block, or a better */
void pym_alloc_overflow(struct pym_syscache *cache, struct pym_syscache_bin *bin,
                        void *block);
void pym_alloc_free_remote(void *block, struct pym_pool *pool);
void pym_alloc_free_foreign(void *block);

/* Called at the start, when the system allocator is known; right without it. */
void pym_alloc_init(void);

void *pym_alloc_calloc(size_t count, size_t size);
void *pym_alloc_realloc(void *block, size_t size);
size_t pym_alloc_usable_size(void *block);

/* Any power of two as alignment, any size; NULL with EINVAL or ENOMEM. */
void *pym_alloc_aligned(size_t alignment, size_t size);

/* Does nothing.  After it, gcc has nothing in the register where the result is to be.
 */
PYM_INLINE size_t pym_alloc_clear_result(size_t last)
{
#if defined(__x86_64__) && !defined(__clang__)
    __asm__("" : "+r"(last) : : "rax");
#endif
    return last;
}

/* What a hit of the cache gives: the block, unless it is time to look up. */
PYM_INLINE void *pym_alloc_hit(const struct pym_syscache *cache, void *block,
                               size_t size)
{
    return PYM_LIKELY(cache->countdown != 0) ? block : pym_alloc_tick(block, size);
}

/* The hit path for large blocks, and what to call when it is none: for a size and the
 * same less one. */
PYM_INLINE void *pym_alloc_cached_or(size_t size, size_t last,
                                     void *(*large)(size_t size))
{
    if (PYM_UNLIKELY(last >= pym_thread.cached_end)) {
        return large(size);
    }
    struct pym_syscache *cache = pym_thread.cache;
    void *block = pym_syscache_take(cache, last);
    if (PYM_UNLIKELY(block == NULL)) {
        return large(size);
    }
    return pym_alloc_hit(cache, block, size);
}

/* The same for 1 to PYM_SMALL_MAX bytes. */
PYM_INLINE void *pym_alloc_small_or(size_t size, size_t last,
                                    void *(*refill)(size_t size))
{
    size_t cls = last >> PYM_GRAIN_SHIFT;
    void **bin = &pym_thread.bin[cls];
    void *block = *bin;
    if (PYM_UNLIKELY(block == NULL)) {
        return pym_track_allocated(refill(size), size);
    }
    /* models/remote.pml: pop */
    *bin = pym_link_get(block);
    return pym_track_allocated(block, size);
}

/* The hit path, and what to call when it is none. */
PYM_INLINE void *pym_alloc_or(size_t size, void *(*refill)(size_t size),
                              void *(*large)(size_t size))
{
    size_t last = size - 1; /* wraps for 0 */
    if (PYM_UNLIKELY(last >= pym_thread.small_end)) {
        return pym_alloc_cached_or(size, last, large);
    }
    last = pym_alloc_clear_result(last);
    return pym_alloc_small_or(size, last, refill);
}

PYM_INLINE void *pym_alloc_malloc(size_t size)
{
    return pym_alloc_or(size, pym_alloc_refill, pym_alloc_large);
}

/* For what lies in the range of small blocks, at an offset from its base. */
PYM_INLINE void pym_alloc_free_small(void *block, size_t offset)
{
    struct pym_pool *pool = pym_region_pool_at(offset);
    if (PYM_UNLIKELY(pool->owner != pym_thread.heap)) {
        pym_alloc_free_remote(block, pool);
        return;
    }
    void **list = pool->free_to;
    /* models/remote.pml: local_free */
    pym_link_set(block, *list);
    *list = block;
    pym_track_freed(block, pym_class_size(pool->cls));
    if (PYM_UNLIKELY(--pool->countdown == 0)) {
        pym_heap_event(pool);
    }
}

PYM_INLINE void pym_alloc_free(void *block)
{
    size_t offset = pym_region_offset(block);
    if (PYM_LIKELY(offset < pym_region_limit())) {
        pym_alloc_free_small(block, offset);
        return;
    }
    struct pym_syscache *cache = pym_thread.cache;
    if (PYM_UNLIKELY(cache == NULL || block == NULL ||
                     !pym_syscache_keep_or(cache, block, pym_alloc_overflow))) {
        pym_alloc_free_foreign(block);
    }
}

#endif
