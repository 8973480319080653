/*
 * How much freed memory the system allocator keeps, for programs whose blocks are
 * large.
 *
 * glibc maps a large block by itself until such a block has been freed; from then on
 * blocks of its size come from the heap, and the top of the heap goes back to the
 * kernel as soon as twice that much is free there.  A program that frees and
 * allocates such blocks in turn then spends its time on fresh pages.  Here more may
 * stay, and it goes back when no such block has been freed for a while: so less is
 * kept in the end, not more.
 *
 * Nothing is touched until a mapped block of PYM_SYSTRIM_LEAST bytes is freed, nor if
 * the user has tuned the system allocator.
 *
 * jemalloc, where that is the system allocator, keeps freed memory for ten seconds, and
 * looks at the clock once in a thousand calls.  With small blocks served elsewhere it
 * gets so few calls that it would never come to it.  So it is told the option "decay".
 *
 * Thread-safe.
 */
#ifndef PYM_SYSTRIM_H
#define PYM_SYSTRIM_H

#include "base.h"

#define PYM_SYSTRIM_LEAST ((size_t)1 << 17)

/* Whether the environment tells glibc when to map blocks, or what to keep. */
bool pym_systrim_user_has_tuned(void);

/* Once, at the start, if the system allocator is glibc's. */
void pym_systrim_init(void);

/* Once, at the start, whatever the system allocator is. */
void pym_systrim_share_decay(void);

/* The user has called mallopt: hands off. */
void pym_systrim_stop(void);

/* A block of at least PYM_SYSTRIM_LEAST bytes is about to be freed. */
void pym_systrim_freed(size_t size, bool is_mapped);

/* To be called about once a second. */
void pym_systrim_look(void);

#endif
