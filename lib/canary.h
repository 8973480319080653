/*
 * What the hardened library writes into blocks to see whether a program writes where it
 * must not: canaries behind live blocks, and a filling in freed ones.
 *
 * A canary is one byte that depends on the block, repeated: known in advance only to
 * who knows the key.  It is never 0, so that a string that is too long by its end is
 * found.  Small blocks are looked at by 16 bytes a step, from 16-byte boundaries.
 */
#ifndef PYM_CANARY_H
#define PYM_CANARY_H

#include "harden.h"

#include <string.h>

#if PYM_HARDENED

typedef uint64_t pym_pair __attribute__((vector_size(16), may_alias));

PYM_INLINE uint64_t pym_canary(const void *block)
{
    uint64_t mixed = pym_mix((uintptr_t)block ^ pym_harden_key);
    return (mixed >> 56 | 1) * UINT64_C(0x0101010101010101);
}

/* ---- behind blocks of any size: tail bytes after size ---- */

PYM_INLINE void pym_canary_set(void *block, size_t size, size_t tail)
{
    memset((char *)block + size, (int)(pym_canary(block) & 0xff), tail);
}

PYM_INLINE bool pym_canary_is_whole(const void *block, size_t size, size_t tail)
{
    uint8_t expected = (uint8_t)pym_canary(block);
    const uint8_t *at = (const uint8_t *)block + size;
    uint8_t differs = 0;
    for (size_t i = 0; i < tail; i++) {
        differs |= at[i] ^ expected;
    }
    return differs == 0;
}

/* ---- behind small blocks: 1 to 16 bytes at the end of the whole block ---- */

/* Before the program has the block: all 16 bytes mean nothing yet. */
PYM_INLINE void pym_canary_set_small(char *block, size_t block_size)
{
    uint64_t word = pym_canary(block);
    *(pym_pair *)(void *)(block + block_size - 16) = (pym_pair){word, word};
}

/* Reads nothing but the canary: what the program wrote in front of it may be so new
 * that a word of both would have to wait for it. */
PYM_INLINE bool pym_canary_is_small_whole(const char *block, size_t block_size,
                                          unsigned tail)
{
    uint64_t word = pym_canary(block);
    const char *end = block + block_size;
    if (PYM_LIKELY(tail >= 8)) {
        uint64_t first;
        uint64_t last;
        memcpy(&first, end - tail, sizeof(first));
        memcpy(&last, end - sizeof(last), sizeof(last));
        return ((first ^ word) | (last ^ word)) == 0;
    }
    if (tail >= 4) {
        uint32_t first;
        uint32_t last;
        memcpy(&first, end - tail, sizeof(first));
        memcpy(&last, end - sizeof(last), sizeof(last));
        return ((first ^ (uint32_t)word) | (last ^ (uint32_t)word)) == 0;
    }
    uint8_t byte = (uint8_t)word;
    const uint8_t *at = (const uint8_t *)end;
    return ((at[-1] ^ byte) | (at[-(int)(tail / 2 + 1)] ^ byte) |
            (at[-(int)tail] ^ byte)) == 0;
}

/* ---- in freed blocks ---- */

PYM_INLINE pym_pair pym_canary_filling(void)
{
    return (pym_pair){pym_harden_filling, pym_harden_filling};
}

/* size: a multiple of 16. */
PYM_INLINE void pym_canary_fill(void *block, size_t size)
{
    pym_pair filling = pym_canary_filling();
    pym_pair *at = block;
    for (pym_pair *end = at + size / 16; at < end; at++) {
        *at = filling;
    }
}

/* Whether it is as it was left. */
PYM_INLINE bool pym_canary_is_filled(const void *block, size_t size)
{
    pym_pair filling = pym_canary_filling();
    pym_pair differs = {0, 0};
    const pym_pair *at = block;
    for (const pym_pair *end = at + size / 16; at < end; at++) {
        differs |= *at ^ filling;
    }
    return (differs[0] | differs[1]) == 0;
}

#endif

#endif
