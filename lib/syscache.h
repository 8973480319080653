/*
 * A bounded cache of freed system blocks in front of the system allocator: one
 * a heap, so that a hit takes no lock.
 *
 * Blocks of PYM_SMALL_MAX + 1 to PYM_CACHED_MAX bytes lie in classes; a miss
 * asks the system for a whole class size, so that the block will serve that
 * class again.  When the bytes pass the budget (the option "cache"), blocks of
 * the largest classes go back first until half of it is left.
 *
 * The cache is on only if the system allocator keeps a block's size in the word
 * before it, as glibc does, which is probed at the start.
 *
 * Used by the thread that has the heap.
 */
#ifndef PYM_SYSCACHE_H
#define PYM_SYSCACHE_H

#include "options.h"
#include "sizeclass.h"
#include "sysalloc.h"

struct pym_syscache {
    void *bin[PYM_CACHED_CLASSES]; /* linked through the first words */
    size_t bytes;                  /* of all blocks, by class sizes */
    uint64_t hits;
    uint64_t misses; /* blocks asked of the system, cacheable or not */
    uint64_t kept;   /* frees that ended here */
    uint64_t passed; /* frees that went to the system at once */
    uint64_t shed;   /* blocks that went to the system from here */
};

/* Whether blocks may be cached at all; false until the probe has said so. */
extern bool pym_syscache_usable PYM_HIDDEN;

/* Finds out, once, at the start. */
void pym_syscache_probe(void);

/* A cached block for a request of PYM_SMALL_MAX + 1 to PYM_CACHED_MAX bytes, or
 * NULL. */
PYM_INLINE void *pym_syscache_take(struct pym_syscache *cache, size_t size)
{
    unsigned cls = pym_cached_class_for(size);
    void *block = cache->bin[cls];
    if (PYM_LIKELY(block != NULL)) {
        cache->bin[cls] = *(void **)block;
        cache->bytes -= pym_cached_class_size(cls);
        cache->hits++;
    }
    return block;
}

void pym_syscache_shrink(struct pym_syscache *cache, size_t keep);

/* Keeps a block of the system allocator; false if it is not one to keep. */
PYM_INLINE bool pym_syscache_keep(struct pym_syscache *cache, void *block)
{
    size_t word = pym_sysalloc_chunk_word(block);
    size_t usable = (word & ~(size_t)PYM_CHUNK_FLAGS) - PYM_CHUNK_HEADER;
    unsigned cls = pym_cached_class_within(usable);
    if (PYM_UNLIKELY(cls == 0 || (word & PYM_CHUNK_MAPPED) != 0)) {
        return false;
    }
    cls--;
    *(void **)block = cache->bin[cls];
    cache->bin[cls] = block;
    cache->bytes += pym_cached_class_size(cls);
    cache->kept++;
    size_t budget = PYM_OPTION(cache);
    if (PYM_UNLIKELY(cache->bytes > budget)) {
        pym_syscache_shrink(cache, budget / 2);
    }
    return true;
}

/* Number of cached blocks. */
PYM_INLINE size_t pym_syscache_count(const struct pym_syscache *cache)
{
    return cache->kept - cache->hits - cache->shed;
}

/* In a forked child, for the cache of a thread that is gone: counts anew. */
void pym_syscache_recover(struct pym_syscache *cache);

#endif
