/*
 * Lets the system allocator's heap grow by more than a block at a time.
 *
 * glibc extends the heap of a thread that is not the first by just what the next block
 * needs, a system call a page, and then the kernel hands the page out at the first
 * touch, a fault a page.  While the program's blocks are more than ever before, a
 * larger block is asked for and freed at once: what comes next is cut from it.  In a
 * program that has many blocks, memory is put behind it, too, all at once.
 *
 * Thread-safe.
 */
#ifndef PYM_SYSAHEAD_H
#define PYM_SYSAHEAD_H

#include "base.h"

#define PYM_SYSAHEAD_STEP ((size_t)1 << 16)

/* What is asked for and freed: less than what makes glibc trim its heap as it is freed.
 */
#define PYM_SYSAHEAD_BYTES (PYM_SYSAHEAD_STEP - 4088)

/* The program's blocks from the system have become so many bytes, more than ever; to be
 * called at each PYM_SYSAHEAD_STEP more. */
void pym_sysahead_grown(size_t bytes);

#endif
