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
 * And for programs that free many blocks of a few KiB while the top of the heap stays
 * in use, be it by a block that a cache holds: what lies free below would be of no use
 * to anybody but this allocator, and small blocks do not come from there.  So when no
 * more than half of the most is left, it goes back as soon as small blocks take memory
 * that the process did not have, or after a while: not at once, since a program that
 * frees all it has may be about to end, or to begin anew.
 *
 * Nothing is touched until one or the other is seen, nor if the user has tuned the
 * system allocator.
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

/* Once, at the start, if the system allocator is glibc's and its environment does not
 * tune it. */
void pym_systrim_init(void);

/* Once, at the start, whatever the system allocator is. */
void pym_systrim_share_decay(void);

/* The user is about to set a parameter by mallopt.  If it is one of those that are
 * tuned here, all of them are the user's from then on; may come before the start. */
void pym_systrim_user_tunes(int parameter);

/* A block of at least PYM_SYSTRIM_LEAST bytes is about to be freed; its chunk has so
 * many bytes, which for a mapped block are the whole mapping. */
void pym_systrim_freed(size_t chunk, bool is_mapped);

/* Of the blocks that a cache would keep, the program and all caches together have so
 * many bytes now. */
void pym_systrim_lent(int64_t bytes);

/* The process is growing elsewhere.  May take the system allocator's locks. */
void pym_systrim_make_up(void);

/* To be called about once a second. */
void pym_systrim_look(void);

#endif
