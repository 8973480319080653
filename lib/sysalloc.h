/*
 * The system allocator: the next malloc in link order, glibc's as a rule.
 *
 * Blocks over PYM_SMALL_MAX bytes are its blocks, and so is every pointer that
 * is not ours.  It is looked up once, when the library is loaded or at the
 * first call, whichever comes first; before that the members below are stubs
 * that look it up and then forward, so calling through them is always right.
 * What the lookup itself allocates comes from a small static buffer.
 *
 * Where there is no such allocator (a static program that did not link one in)
 * every block is a mapping of its own.
 *
 * Thread-safe.  Functions have the contracts of their namesakes in libc, with
 * errno set by them.
 */
#ifndef PYM_SYSALLOC_H
#define PYM_SYSALLOC_H

#include "base.h"

struct mallinfo2;

struct pym_sysalloc {
    void *(*malloc)(size_t size);
    void *(*calloc)(size_t count, size_t size);
    void *(*realloc)(void *block, size_t size);
    void (*free)(void *block);
    void *(*memalign)(size_t alignment, size_t size);
    /* NULL if the allocator cannot tell. */
    size_t (*usable_size)(void *block);
    /* The rest may be NULL: optional services. */
    int (*trim)(size_t keep);
    int (*tune)(int parameter, int value);
    struct mallinfo2 (*info)(void);
    int (*control)(const char *name, void *old, size_t *old_size, void *value,
                   size_t size); /* jemalloc's mallctl */
    /* Whether the word before a block can be read, and may hold its size. */
    bool has_word;
};

extern struct pym_sysalloc pym_sysalloc PYM_HIDDEN;

/* Looks the system allocator up now.  Idempotent. */
void pym_sysalloc_init(void);

/*
 * In a forked child: whether the C library knows that it is one, and has freed the
 * allocator's locks; that it does may turn out later.  If not (clone), they may be held
 * by threads that are not there, and a call may hang: then the program's own calls are
 * left, and the library must do without.
 */
void pym_sysalloc_after_fork(bool is_known);
bool pym_sysalloc_may_hang(void);

/*
 * glibc's malloc, and our own page-wise stand-in, keep a block's size with
 * three flag bits in the word before it:
 *
 *     | size of block + 8, flags |  block ...
 *
 * Whether the system allocator really does so must have been probed before.
 * With other allocators the word before a block may not even be mapped.
 */
enum { PYM_CHUNK_MAPPED = 2, PYM_CHUNK_FLAGS = 7, PYM_CHUNK_HEADER = 8 };

PYM_INLINE size_t pym_sysalloc_chunk_word(const void *block)
{
    return ((const size_t *)block)[-1];
}

#endif
