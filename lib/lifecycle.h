/*
 * The start of the library, the ends of threads, and fork.
 *
 * The library starts when the loader runs its constructor, or at the first
 * call, whichever comes first; both are before the program has threads of its
 * own.
 */
#ifndef PYM_LIFECYCLE_H
#define PYM_LIFECYCLE_H

#include "heaps.h"

/* The heap of a thread that has none yet: made, adopted, and handed on when the
 * thread ends.  NULL if the thread has ended already, there is no memory, or the
 * library stands aside. */
struct pym_heap *pym_lifecycle_heap(void);

/* The same for a thread that frees: NULL also when its destructors run.  When they all
 * have, the C library frees what is its own, and nobody would hand on a heap that was
 * made for that. */
struct pym_heap *pym_lifecycle_heap_to_free(void);

#endif
