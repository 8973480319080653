/*
 * The heap profile: for a sample of the blocks (poisson.h) it is known where they were
 * allocated, so that it can be told which places hold the live memory, held it at its
 * peak, or ask for the most of it.
 *
 * A sampled block, of whatever size, is a block of the system with a header in front:
 *
 *     | system block ...  | sample | magic, distance | size | 0 | the program's block
 *     ^ base                                                   ^ aligned as it must be
 *
 * The word before the block is 0, which no size is: so free takes it for one that
 * cannot be cached and comes by here without a test on its fast path.
 *
 * samples.h counts them.  Thread-safe.
 */
#ifndef PYM_PROFILE_H
#define PYM_PROFILE_H

#include "known.h"
#include "poisson.h"
#include "sysalloc.h"

/* Bytes between two samples on average; 0 while there is no profile. */
extern uint64_t pym_profile_interval PYM_HIDDEN;

/* Begins.  At the start only. */
void pym_profile_init(void);

/* The bytes to ask of the system for a sampled block, 0 if there are too many; then
 * what makes one of them, or returns NULL if it cannot be known for one. */
size_t pym_profile_room(size_t size, size_t alignment);
void *pym_profile_adopt(void *base, size_t size, size_t alignment,
                        const struct pym_weight *weight);

/* Ends a sample; returns the system's block. */
void *pym_profile_release(void *block);

/* The system has resized, and perhaps moved, what is now at base and was the block:
 * that is no sample any more; the new block is one of a weight, or for NULL, none.
 * Only where blocks have a word in front. */
void *pym_profile_readopt(void *base, const void *old_block, size_t size,
                          const struct pym_weight *weight);

struct pym_profile_header {
    void *sample;
    uint32_t magic;
    uint32_t distance; /* from base */
    size_t size;       /* that the program may use */
    uint64_t word;     /* 0 */
};

enum { PYM_PROFILE_MAGIC = 0x53616d70 };

PYM_INLINE struct pym_profile_header *pym_profile_header_of(void *block)
{
    return (struct pym_profile_header *)block - 1;
}

/* Of a block of the system. */
PYM_INLINE bool pym_profile_owns(void *block)
{
    if (PYM_LIKELY(pym_profile_interval == 0)) {
        return false;
    }
    return pym_sysalloc.has_word
               ? pym_sysalloc_chunk_word(block) == 0 &&
                     pym_profile_header_of(block)->magic == PYM_PROFILE_MAGIC
               : pym_known_has(block);
}

PYM_INLINE void *pym_profile_base(void *block)
{
    return (char *)block - pym_profile_header_of(block)->distance;
}

#endif
