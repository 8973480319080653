/*
 * One pool: cutting it into blocks, and reading its lists.
 *
 * Blocks lie side by side from the start of the pool, so that a block whose
 * size is a multiple of an alignment has that alignment, but for "header" below.  They
 * are cut off page by page as they are needed: a page that no block was taken from
 * costs no memory.
 *
 * With the option "header", blocks of 64 bytes and multiples start so many bytes
 * before a cache line: what a program puts behind its objects' headers is then
 * aligned to one, and the header shares a line with the object before.  A walk
 * along links in the headers, in the order of allocation, thus finds each link
 * in a line that it has just loaded: CPython's collector runs a quarter faster.
 *
 * Called by the thread that has the pool's heap, unless said otherwise.
 */
#ifndef PYM_POOL_H
#define PYM_POOL_H

#include "region.h"
#include "sizeclass.h"

/* A bit for each block of a pool. */
struct pym_pool_bits {
    uint64_t word[PYM_POOL_BLOCKS_MAX / 64];
};

PYM_INLINE bool pym_pool_bit(const struct pym_pool_bits *bits, unsigned index)
{
    return (bits->word[index / 64] >> index % 64 & 1) != 0;
}

PYM_INLINE void pym_pool_set_bit(struct pym_pool_bits *bits, unsigned index)
{
    bits->word[index / 64] |= (uint64_t)1 << index % 64;
}

PYM_INLINE void pym_pool_clear_bit(struct pym_pool_bits *bits, unsigned index)
{
    bits->word[index / 64] &= ~((uint64_t)1 << index % 64);
}

PYM_INLINE char *pym_pool_block(const struct pym_pool *pool, unsigned index)
{
    return pym_region_pool_start(pool) + pool->first +
           index * pym_class_size(pool->cls);
}

PYM_INLINE unsigned pym_pool_capacity(const struct pym_pool *pool)
{
    return (unsigned)((PYM_POOL_SIZE - pool->first) / pym_class_size(pool->cls));
}

PYM_INLINE bool pym_pool_fully_carved(const struct pym_pool *pool)
{
    return pool->carved == pym_pool_capacity(pool) && pool->returned == 0;
}

/* Blocks that are free or in use. */
PYM_INLINE unsigned pym_pool_present(const struct pym_pool *pool)
{
    return (unsigned)pool->carved - pool->away;
}

/* Makes a free or spare pool one of a class, with no block cut off yet.  Blocks of
 * a tagged pool start 8 bytes before a multiple of 16: with the header of an object
 * that is aligned (gc_heap.h). */
void pym_pool_prepare(struct pym_pool *pool, unsigned cls, bool is_tagged);

PYM_INLINE bool pym_pool_is_tagged(const struct pym_pool *pool)
{
    return pool->first == PYM_GRAIN / 2;
}

/* Cuts the blocks off that lie in a page that was given back, or that start in the next
 * untouched one, and makes them the pool's free list, which must be empty.  Returns
 * their number. */
unsigned pym_pool_carve(struct pym_pool *pool);

/* Makes blocks that lie side by side the pool's free list. */
void pym_pool_cut(struct pym_pool *pool, unsigned from, unsigned to);

/*
 * Marks the blocks of a free list in *bits, up to the first link that is no
 * block of this pool or that is marked already, and returns how many it
 * marked.  *intact tells whether the list was followed to its end.  Safe, if
 * of doubtful worth, while the owner is changing the list.
 */
unsigned pym_pool_mark_list(const struct pym_pool *pool, void *list,
                            struct pym_pool_bits *bits, bool *intact);

/* Makes the marked blocks the pool's own free list. */
void pym_pool_relink(struct pym_pool *pool, const struct pym_pool_bits *bits);

#endif
