/*
 * The invariants of a heap: what its pools' records, its lists and the blocks' links
 * must tell alike.
 */
#ifndef PYM_VERIFY_H
#define PYM_VERIFY_H

#include "heap.h"

/* Counts violations in a heap that is not in use, or the caller's own, reporting each.
 */
unsigned pym_verify_heap(const struct pym_heap *heap,
                         void (*report)(const char *what, const void *where));

#endif
