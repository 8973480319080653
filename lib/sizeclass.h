/*
 * Size classes: of small blocks, and of the cache of system blocks.
 *
 * Pure functions of numbers.  A small class holds blocks of a multiple of
 * PYM_GRAIN bytes, one class a multiple.  The cache's classes lie eight to a
 * doubling, all multiples of 64 bytes, so that a table with a byte for every
 * 64 bytes finds them with one load.
 */
#ifndef PYM_SIZECLASS_H
#define PYM_SIZECLASS_H

#include "base.h"

/* The class of a request of 1 to PYM_SMALL_MAX bytes. */
PYM_INLINE unsigned pym_class_of(size_t size)
{
    return (unsigned)((size - 1) >> PYM_GRAIN_SHIFT);
}

PYM_INLINE size_t pym_class_size(unsigned cls)
{
    return ((size_t)cls + 1) << PYM_GRAIN_SHIFT;
}

/* Blocks that a whole pool of the class holds. */
PYM_INLINE unsigned pym_class_capacity(unsigned cls)
{
    return (unsigned)(PYM_POOL_SIZE / pym_class_size(cls));
}

/*
 * A thread's first blocks of a class, up to so many, come from the next coarser
 * class of a power of two, if that is another one: so a program that uses all
 * classes a little does not pay a page for each.
 */
PYM_INLINE unsigned pym_class_borrows(unsigned cls)
{
    return (unsigned)(1024 / pym_class_size(cls));
}

PYM_INLINE unsigned pym_class_coarser(unsigned cls)
{
    unsigned ones = cls | cls >> 1;
    ones |= ones >> 2;
    return ones | ones >> 4;
}

/* The free blocks at which a full pool is used again: a sixteenth, but so many that
 * it is worth while. */
PYM_INLINE unsigned pym_class_wake(unsigned cls)
{
    unsigned sixteenth = pym_class_capacity(cls) / 16;
    return sixteenth > 2 ? sixteenth : 2;
}

#define PYM_CACHED_STEP_SHIFT 6
#define PYM_CACHED_STEP ((size_t)1 << PYM_CACHED_STEP_SHIFT)
#define PYM_CACHED_MAX ((size_t)65536)
#define PYM_CACHED_CLASSES 56

/* For every 64 bytes up to PYM_CACHED_MAX: the class of a request that ends
 * there; and so one more than the largest class that a block which ends there
 * can serve. */
extern const uint8_t PYM_HIDDEN
    pym_cached_class_table[(PYM_CACHED_MAX >> PYM_CACHED_STEP_SHIFT) + 1];

/* The smallest class that fits a request of PYM_SMALL_MAX + 1 to
 * PYM_CACHED_MAX bytes. */
PYM_INLINE unsigned pym_cached_class_for(size_t size)
{
    return pym_cached_class_table[(size - 1) >> PYM_CACHED_STEP_SHIFT];
}

/* The bytes of a class of the cache: what a miss asks of the system. */
PYM_INLINE size_t pym_cached_class_size(unsigned cls)
{
    return (size_t)(9 + cls % 8) << (cls / 8 + PYM_CACHED_STEP_SHIFT);
}

#endif
