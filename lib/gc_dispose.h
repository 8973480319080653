/*
 * The end of garbage, in CPython's order (PEP 442): weak references, finalizers, what
 * these have brought back to life, and then the objects themselves.
 */
#ifndef PYM_GC_DISPOSE_H
#define PYM_GC_DISPOSE_H

#include "gc_mark.h"

/* Disposes of the objects in run->garbage, which are known to be garbage and noted as
 * such; none of them if there is no memory to put their finalizers off.  How many of
 * them could not be freed; what was resurrected is not in the list
 * any more. */
uint64_t gc_dispose(struct gc_collection *run);

/* Keeps in run->garbage what is garbage if the program has references to no other
 * objects of it than have more references than others of the list account for.  The
 * others come to lie behind the end of the list, noted as reachable: all of them if
 * there is no memory. */
void gc_keep_garbage(struct gc_collection *run);

#endif
