/*
 * Which of the system's blocks are samples, where that cannot be seen in the word in
 * front of them: a table of their addresses.
 *
 * Who frees a block looks for it: it is his, so its address stays where it is in the
 * table.  Lock-free; thread-safe.
 */
#ifndef PYM_KNOWN_H
#define PYM_KNOWN_H

#include "base.h"

/* Whether there is memory for the table.  Before the others, once. */
bool pym_known_init(void);

/* Whether there was room. */
bool pym_known_add(const void *block);
void pym_known_remove(const void *block);
bool pym_known_has(const void *block);

#endif
