/*
 * A bounded cache of freed system blocks in front of the system allocator: one
 * a heap, so that a hit takes no lock.
 *
 * Blocks of PYM_SMALL_MAX + 1 to PYM_CACHED_MAX bytes lie in bins, one a class
 * of sizes.  A miss asks the system for a whole class size, so that the block
 * will serve that class again.
 *
 * A cache is granted so many bytes, which any bin may have.  When a block does not fit
 * and its class has missed of late, the cache was too small for the program: it is
 * granted twice as much, as long as all caches together stay within a share of the
 * blocks of such sizes that the program has, and within the option "cache".  Otherwise
 * up to half of the bin is left in the transfer cache, where a heap that lacks such
 * blocks finds them, or the block goes back: no other, since what is in the bins may be
 * asked for as well.  A bin that neither missed nor overflowed for a while gives up
 * half of what it holds.  The while is short as long as the program has more such
 * blocks than ever before.
 *
 * A heap leaves chains as long as blocks come by that lie elsewhere than those which it
 * gets of the system: glibc gives each thread an arena of its own.  If all are its own,
 * nobody lacks them, and chains would only move memory from one processor to another.
 *
 * A class whose bin is empty is served by the transfer cache, then by the bins of
 * the next larger classes, and only then by the system.
 *
 * The cache is on only if the system allocator keeps a block's size in the word
 * before it, as glibc does, which is probed at the start.
 *
 * Used by the thread that has the heap.
 */
#ifndef PYM_SYSCACHE_H
#define PYM_SYSCACHE_H

#include "atomic.h"
#include "sizeclass.h"
#include "sysalloc.h"
#include "track.h"

struct pym_syscache_bin {
    void *head;    /* linked through the first words */
    int64_t bytes; /* of a block; set once */
};

struct pym_syscache {
    struct pym_syscache_bin bin[PYM_CACHED_CLASSES];
    /* pym_cached_class_table, as distances of the class's bin from here: what a
     * hit needs, within reach of one addressing mode. */
    uint16_t map[(PYM_CACHED_MAX >> PYM_CACHED_STEP_SHIFT) + 1];

    int64_t left;     /* bytes that still fit */
    int64_t granted;  /* bytes that fit in all */
    int64_t told;     /* of them, as far as all heaps know */
    uint64_t missed;  /* bins that did so for up to LOOK_MS */
    uint64_t used;    /* that missed or overflowed since the last look at idle ones */
    unsigned refused; /* blocks that did not fit since then */
    uint64_t next_look_ms; /* when to look at the idle ones */
    int64_t peak_seen;     /* pym_syscache_peak, when they were looked at */
    uintptr_t home;  /* where the system's last block lies, as pym_syscache_home */
    unsigned trades; /* overflows for which blocks of others are expected */
    int64_t lent;    /* bytes had from the system less returned, since last told */

    /* Hits until the heap is to look at the clock, as a pool counts frees. */
    uint32_t countdown;
    uint32_t armed;    /* what countdown was set to */
    uint64_t old_hits; /* before that */
    uint64_t misses;   /* blocks asked of the system, cacheable or not */
    uint64_t passed;   /* frees that went to the system at once */
    uint64_t shed;     /* blocks that went to the system from here */
};

/* Whether blocks may be cached at all; false until the probe has said so. */
extern bool pym_syscache_usable PYM_HIDDEN;

/* Finds out, once, at the start. */
void pym_syscache_probe(void);

/* Zeroed memory is made a cache that holds nothing and may hold nothing yet. */
void pym_syscache_init(struct pym_syscache *cache);

PYM_INLINE struct pym_syscache_bin *pym_syscache_bin_at(struct pym_syscache *cache,
                                                        size_t index)
{
    return (struct pym_syscache_bin *)(void *)((char *)cache + cache->map[index]);
}

PYM_INLINE uint64_t pym_syscache_hits(const struct pym_syscache *cache)
{
    return cache->old_hits + (cache->armed - cache->countdown);
}

/* Sets the countdown anew. */
PYM_INLINE void pym_syscache_arm(struct pym_syscache *cache, uint32_t hits)
{
    cache->old_hits = pym_syscache_hits(cache);
    cache->countdown = cache->armed = hits;
}

/* A cached block for a request of last + 1 bytes, PYM_SMALL_MAX < last + 1 <=
 * PYM_CACHED_MAX, or NULL.  After it the countdown may be 0. */
PYM_INLINE void *pym_syscache_take(struct pym_syscache *cache, size_t last)
{
    struct pym_syscache_bin *bin =
        pym_syscache_bin_at(cache, last >> PYM_CACHED_STEP_SHIFT);
    void *block = bin->head;
    if (PYM_LIKELY(block != NULL)) {
        bin->head = pym_chunk_link_get(block);
        cache->left += bin->bytes;
        cache->countdown--;
    }
    return block;
}

/* Whether such a request would be a hit. */
PYM_INLINE bool pym_syscache_has(struct pym_syscache *cache, size_t last)
{
    return pym_syscache_bin_at(cache, last >> PYM_CACHED_STEP_SHIFT)->head != NULL;
}

/* What to ask of the system for a request: a whole class, if the block can be
 * cached. */
PYM_INLINE size_t pym_syscache_request(size_t size)
{
    return pym_syscache_usable && size > PYM_SMALL_MAX && size <= PYM_CACHED_MAX
               ? pym_cached_class_size(pym_cached_class_for(size))
               : size;
}

/* A block that was no hit: of another heap's cache, of a larger class, or of the
 * system.  And what else asks the system for a block, to resize one, or passes one to
 * it; all count that.  cache
 * may be NULL: for threads that have no heap any more. */
void *pym_syscache_aligned(struct pym_syscache *cache, size_t alignment, size_t size);
void *pym_syscache_resize(struct pym_syscache *cache, void *block, size_t usable,
                          size_t size); /* usable: the block's bytes so far */
void pym_syscache_pass(struct pym_syscache *cache, void *block);
void *pym_syscache_miss(struct pym_syscache *cache, size_t size, bool zeroed);

/* Blocks with different ones are of different arenas, or of an arena that is larger
 * than this: glibc's lie in mappings of so many bytes, aligned. */
enum { PYM_SYSCACHE_HOME_SHIFT = 26 };
PYM_INLINE uintptr_t pym_syscache_home(const void *block)
{
    return (uintptr_t)block >> PYM_SYSCACHE_HOME_SHIFT;
}

/* Makes room for the block of a bin and keeps it, or returns it.  What is left has been
 * counted down. */
void pym_syscache_overflow(struct pym_syscache *cache, struct pym_syscache_bin *bin,
                           void *block);

/* Keeps a block of the system allocator; false if it is not one to keep.  What to
 * call when it does not fit: pym_syscache_overflow, or what calls that. */
PYM_INLINE bool pym_syscache_keep_or(struct pym_syscache *cache, void *block,
                                     void (*overflow)(struct pym_syscache *cache,
                                                      struct pym_syscache_bin *bin,
                                                      void *block))
{
    enum {
        STEP = PYM_CACHED_STEP,
        LEAST = PYM_SMALL_MAX + STEP, /* the size of the first class */
        LAST = PYM_CACHED_MAX + STEP - 1,
    };
    size_t word = pym_sysalloc_chunk_word(block);
    /* The flags do not matter to the index: a size is a multiple of 8 that is
     * no multiple of STEP, so they carry nothing over.  Nor does it matter that
     * a mapping's last word is not usable: no class ends there. */
    size_t above = word - PYM_CHUNK_HEADER - LEAST;
    if (PYM_UNLIKELY(above > LAST - LEAST)) {
        return false;
    }
    size_t index = (above >> PYM_CACHED_STEP_SHIFT) + (LEAST >> PYM_CACHED_STEP_SHIFT);
    struct pym_syscache_bin *bin = pym_syscache_bin_at(cache, index) - 1;
    int64_t bytes = bin->bytes;
    /* From a register, so that what is left is counted down in place. */
    __asm__("" : "+r"(bytes));
    if (PYM_UNLIKELY((cache->left -= bytes) < 0)) {
        overflow(cache, bin, block);
        return true;
    }
    pym_chunk_link_set(block, bin->head);
    bin->head = block;
    return true;
}

PYM_INLINE bool pym_syscache_keep(struct pym_syscache *cache, void *block)
{
    return pym_syscache_keep_or(cache, block, pym_syscache_overflow);
}

/* Blocks asked of and passed to the system by threads without a cache. */
extern _Atomic uint64_t pym_syscache_stray_misses PYM_HIDDEN;
extern _Atomic uint64_t pym_syscache_stray_passed PYM_HIDDEN;

/* The most bytes that all caches had from the system so far, to some 64 KiB. */
extern _Atomic int64_t pym_syscache_peak PYM_HIDDEN;

/* Returns all blocks that it keeps to the system, or those that wait for any heap as
 * well. */
void pym_syscache_shed_all(struct pym_syscache *cache);
void pym_syscache_empty(struct pym_syscache *cache);

/* Returns what has not been wanted for a while; called now and then.  Not in a copy of
 * the process that the C library does not know of: see pym_sysalloc_may_hang. */
void pym_syscache_decay(struct pym_syscache *cache, uint64_t now_ms);

/* Number and bytes of the cached blocks. */
size_t pym_syscache_count(const struct pym_syscache *cache, size_t *bytes);

/* In a forked child, for the cache of a thread that is gone: counts anew. */
void pym_syscache_recover(struct pym_syscache *cache);

#endif
