/*
 * The allocator as the standard names call it: alloc.h's, or in the hardened library
 * hardened.h's.
 */
#ifndef PYM_FRONT_H
#define PYM_FRONT_H

#include "alloc.h"
#include "harden.h"
#include "hardened.h"
#include "quarantine.h"

#if PYM_HARDENED
#define PYM_FRONT(name) pym_hardened_##name
#else
#define PYM_FRONT(name) pym_alloc_##name
#endif

/* What only the hardened library does, at the places where it is to be done. */

PYM_INLINE void *pym_front_mark(void *block, enum pym_origin from, enum pym_origin to)
{
#if PYM_HARDENED
    return pym_hardened_mark(block, from, to);
#else
    (void)from;
    (void)to;
    return block;
#endif
}

/* What operator new made. */
PYM_INLINE void pym_front_delete(void *block)
{
#if PYM_HARDENED
    pym_hardened_delete(block);
#else
    pym_alloc_free(block);
#endif
}

PYM_INLINE void pym_front_check_array(void *block)
{
#if PYM_HARDENED
    pym_hardened_check_array(block);
#else
    (void)block;
#endif
}

PYM_INLINE void pym_front_check_size(const char *complaint, void *block, size_t size)
{
#if PYM_HARDENED
    pym_hardened_check_size(complaint, block, size);
#else
    (void)complaint;
    (void)block;
    (void)size;
#endif
}

PYM_INLINE void pym_front_flush(void)
{
#if PYM_HARDENED
    pym_quarantine_flush();
#endif
}

PYM_INLINE unsigned pym_front_verify(void (*report)(const char *what,
                                                    const void *where))
{
#if PYM_HARDENED
    return pym_hardened_verify(report);
#else
    (void)report;
    return 0;
#endif
}

#endif
