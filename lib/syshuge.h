/*
 * Huge pages for the system allocator's largest blocks, in programs that use all of
 * such blocks.
 *
 * A block of megabytes is fresh memory as a rule, and a program that fills it meets the
 * kernel at every page.  With huge pages it does so hundreds of times less.  But
 * huge pages of a block that is mostly left untouched would be memory wasted.  So what
 * the program did with such blocks before decides: the latest is watched, and when the
 * next is asked for, a few of its pages are asked after.  If they were all there, blocks of
 * up to a few times that size have huge pages from now on, where these are the cheaper
 * ones (pagecost.h).
 *
 * The option "huge" turns it off.  Thread-safe.
 */
#ifndef PYM_SYSHUGE_H
#define PYM_SYSHUGE_H

#include "base.h"

#define PYM_SYSHUGE_LEAST ((size_t)2 << 20)

/* The system has made or resized a block of at least PYM_SYSHUGE_LEAST bytes, which the
 * program does not have yet. */
void pym_syshuge_made(void *block, size_t size);

/* The program wants another size for such a block. */
void pym_syshuge_resizing(void *block, size_t size);

#endif
