/*
 * Memory for the library's own structures that live as long as the process: pieces cut
 * off mappings, zeroed.  Guarded by the caller.  All zero is an empty slab.
 */
#ifndef PYM_SLAB_H
#define PYM_SLAB_H

#include "base.h"

struct pym_slab {
    char *at;
    size_t left;
};

/* The size is a multiple of the alignment that the structure needs, and at most that of
 * a new mapping.  NULL if there is no memory. */
void *pym_slab_cut(struct pym_slab *slab, size_t size, size_t mapping);

#endif
