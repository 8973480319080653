/*
 * libpymalloc: a drop-in replacement for malloc.
 *
 * A program needs nothing of this header to run on libpymalloc: preload the
 * library, or link it with -lpymalloc, and malloc, free and their kin (and all
 * forms of operator new and delete) are served by it.  What is declared here
 * is for a program that wants to look inside or to steer.
 *
 * Every function may be called from any thread at any time, before main and
 * after the last destructor included, but not from a signal handler.  None of
 * them changes errno unless its description says so.
 */
#ifndef PYMALLOC_PYMALLOC_H
#define PYMALLOC_PYMALLOC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PYMALLOC_VERSION_MAJOR 0
#define PYMALLOC_VERSION_MINOR 1
#define PYMALLOC_VERSION_PATCH 0

/* The largest request, in bytes, that is served from a pool.  Larger ones are
 * the system allocator's. */
#define PYMALLOC_SMALL_MAX 512

/* Number of size classes: one for every 16 bytes up to PYMALLOC_SMALL_MAX. */
#define PYMALLOC_CLASSES 32

/* The version of the library in the process, "MAJOR.MINOR.PATCH": a constant
 * string, never freed. */
const char *pymalloc_version(void);

/*
 * Totals over the whole process.  Counts are of blocks, everything else is in
 * bytes.  Counters of the calling thread and of threads that have ended are
 * exact; those of other running threads may lag by what fits into the pools
 * and buffers that these threads have in hand.
 */
struct pymalloc_totals {
    /* Small blocks: 1 to PYMALLOC_SMALL_MAX bytes, from pools. */
    uint64_t small_allocs;     /* blocks handed out since the start */
    uint64_t small_frees;      /* blocks freed since the start */
    uint64_t small_live;       /* blocks in use */
    uint64_t small_live_bytes; /* bytes in use, in whole blocks */
    uint64_t small_held_bytes; /* bytes of the pools that heaps hold */
    uint64_t remote_frees;     /* of small_frees: freed by another thread */
    uint64_t remote_backlog;   /* of small_live: freed by another thread, not yet taken
                                  back by the one that has their pools */

    /* Large blocks: the system allocator's. */
    uint64_t large_allocs;       /* blocks handed out since the start */
    uint64_t large_frees;        /* blocks freed since the start */
    uint64_t large_cache_hits;   /* of large_allocs: came from our cache */
    uint64_t large_cached;       /* freed blocks kept in our cache */
    uint64_t large_cached_bytes; /* their bytes */

    /* Where small blocks live. */
    uint64_t reserved_bytes; /* address range reserved for arenas */
    uint64_t arenas;         /* arenas that hold at least one pool in use */
    uint64_t arenas_peak;
    uint64_t pools; /* pools that heaps hold */
    uint64_t pools_peak;
    uint64_t dirty_bytes;  /* in free pools, not yet given back */
    uint64_t purged_bytes; /* given back to the system since the start */

    /* The process. */
    uint64_t heaps;          /* heaps made since the start */
    uint64_t heaps_orphaned; /* of them: waiting for a new thread */
    uint64_t resident_bytes; /* RSS of the process, 0 if unknown */

    /* By size class: class i has blocks of (i + 1) * 16 bytes. */
    uint64_t class_live[PYMALLOC_CLASSES];     /* blocks in use */
    uint64_t class_allocs[PYMALLOC_CLASSES];   /* blocks handed out since the start */
    uint64_t class_pools[PYMALLOC_CLASSES];    /* pools that heaps hold for the class */
    uint64_t class_capacity[PYMALLOC_CLASSES]; /* blocks that these have room for */
    uint64_t class_asked[PYMALLOC_CLASSES];    /* bytes asked for, of blocks in use: the
                                                  hardened library knows; else 0 */
};

/* Fills in *out.  Returns 0, or EINVAL when out is NULL. */
int pymalloc_stats(struct pymalloc_totals *out);

/* What pymalloc_stats_json adds to the totals. */
enum {
    PYMALLOC_JSON_MAP = 1, /* every arena, every pool, and the samples of the profile */
};

/*
 * Writes the totals and more as one JSON object in one line to a descriptor; the page
 * doc/OBSERVING.md describes its members.  The tool pymalloc reads it.  Returns 0;
 * EINVAL for unknown flags; EIO if the descriptor did not take everything.
 */
int pymalloc_stats_json(int fd, unsigned flags);

/*
 * Writes the heap profile to a descriptor, as text that jeprof and "pymalloc profile"
 * read.  Returns 0; ENOTSUP if there is none, since the option
 * "profile" was not set at the start; EIO if the descriptor did not take everything.
 */
int pymalloc_profile_write(int fd);

/*
 * Gives all free memory back to the system now, without waiting for its decay:
 * free pools, pages of other pools in which no block is in use, the calling thread's
 * cache of large blocks, what ended threads left behind, and, by malloc_trim, what is
 * free in the system allocator's heap.  Other running threads give back their own at
 * their next visit to a slow path.  Returns the number of bytes of pools that went back
 * at once.
 */
size_t pymalloc_purge(void);

/*
 * Reads an option's value as text into value, which has room for size bytes.
 * Returns 0; ENOENT if there is no such option; ERANGE if it does not fit.
 */
int pymalloc_option_get(const char *name, char *value, size_t size);

/*
 * Sets an option at run time.  Returns 0; ENOENT if there is no such option;
 * EINVAL if the value is not one of its values, and then nothing changes;
 * EPERM if this option can be set only in the environment, at the start.  So that it
 * applies to all memory, caches are emptied, of other threads as pymalloc_purge does.
 * PYMALLOC=help lists all options.
 */
int pymalloc_option_set(const char *name, const char *value);

/* The largest size that takes no more memory than size does: what a buffer that
 * grows should ask for.  size itself if the request would go to the system
 * allocator.  malloc_usable_size of the block is that or more. */
size_t pymalloc_good_size(size_t size);

/* Nonzero if ptr points into a small block of ours (live or free), 0 for a
 * large block, for memory of anybody else and for NULL. */
int pymalloc_owns(const void *ptr);

/*
 * Calls visit(block, size, arg) for every live small block; size is the
 * block's usable size.  A nonzero result of visit ends the walk and is
 * returned; otherwise 0.  Blocks that other threads allocate or free during
 * the walk may be seen or missed, and so may blocks that one running thread has
 * freed and another has not taken back yet; all others are seen exactly once.
 * visit may allocate and free.
 */
int pymalloc_walk(int (*visit)(void *block, size_t size, void *arg), void *arg);

/*
 * Checks the invariants of the whole heap as far as they can be read while
 * other threads run: everything of the calling thread, of ended threads and of
 * the arenas; the pool records of running threads.  Writes one line to
 * standard error for each violation and returns their number: 0 is sound.
 */
int pymalloc_verify(void);

#ifdef __cplusplus
}
#endif

#endif
