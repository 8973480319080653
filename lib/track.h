/*
 * What memory checkers are told about blocks.
 *
 * In a build with AddressSanitizer free blocks are poisoned, so that a use
 * after free of a pool's block is found as one of the system's would be.  The
 * allocator's own links lie in free blocks: it reads and writes them through
 * pym_link_get and pym_link_set, which step around the poison.  In other
 * builds all of this is nothing.
 *
 * Others are told nothing.  valgrind and the runtimes of sanitizers have a malloc
 * of their own, which the library finds as the system allocator.  So under them it
 * stands aside: every block is theirs, of the size that the program asked for.
 */
#ifndef PYM_TRACK_H
#define PYM_TRACK_H

#include "harden.h"

#if PYM_ASAN
#include <sanitizer/asan_interface.h>
#define PYM_LINK_ACCESS static __attribute__((noinline, unused, no_sanitize("address")))
#else
#define PYM_LINK_ACCESS PYM_INLINE
#endif

/* The link at the start of a free block.  peek is for blocks that may be in use: what
 * it finds there means nothing then. */
PYM_LINK_ACCESS void *pym_link_peek(void *block)
{
    return (void *)pym_harden_code(block, *(uintptr_t *)block);
}

PYM_LINK_ACCESS void *pym_link_get(void *block)
{
    return pym_harden_check_link(block,
                                 (void *)pym_harden_code(block, *(uintptr_t *)block));
}

PYM_LINK_ACCESS void pym_link_set(void *block, void *next)
{
    *(uintptr_t *)block = pym_harden_code(block, (uintptr_t)next);
}

/* The same of a cached block of the system. */
PYM_INLINE void *pym_chunk_link_get(void *block)
{
    return pym_harden_check_chunk(block,
                                  (void *)pym_harden_code(block, *(uintptr_t *)block));
}

PYM_INLINE void pym_chunk_link_set(void *block, void *next)
{
    *(uintptr_t *)block = pym_harden_code(block, (uintptr_t)next);
}

/* The word after it: what a chain of remote frees says of itself. */
PYM_LINK_ACCESS uint64_t pym_link_note(void *block)
{
    return pym_harden_code((uint64_t *)block + 1, ((uint64_t *)block)[1]);
}

PYM_LINK_ACCESS void pym_link_set_note(void *block, uint64_t note)
{
    ((uint64_t *)block)[1] = pym_harden_code((uint64_t *)block + 1, note);
}

PYM_INLINE void *pym_track_allocated(void *block, size_t size)
{
#if PYM_ASAN
    if (block != NULL) {
        __asan_unpoison_memory_region(block, size);
    }
#else
    (void)size;
#endif
    return block;
}

PYM_INLINE void pym_track_freed(void *block, size_t size)
{
#if PYM_ASAN
    __asan_poison_memory_region(block, size);
#else
    (void)block;
    (void)size;
#endif
}

/* Whether the program runs under valgrind. */
bool pym_track_valgrind(void);

/* Whether the library stands aside.  The option "valgrind", which is not known from
 * the first call on, may end that. */
bool pym_track_stands_aside(void);

#endif
