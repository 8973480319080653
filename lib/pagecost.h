/*
 * What memory costs in huge pages and in small ones, as measured.
 *
 * Which of them is cheaper depends on the machine, by a factor of ten either way, and
 * may change while a program runs.  A huge page is had by one call in the place of 512
 * faults. But the host of a virtual machine may have taken memory back that its
 * programs had freed, in huge pages; who asks for one of these waits for the host,
 * while small pages are had from what is still there.  So both are tried and timed.
 * What came cheaper lately is chosen, and now and then the other, which may have become
 * cheaper: seldom, if it was not again and again.
 *
 * Thread-safe; threads that measure at the same time may lose a measurement.
 */
#ifndef PYM_PAGECOST_H
#define PYM_PAGECOST_H

#include "base.h"

/* What is measured: so many bytes, aligned to as many. */
#define PYM_PAGECOST_UNIT ((size_t)2 << 20)

enum pym_pages { PYM_PAGES_SMALL, PYM_PAGES_HUGE };

/* In which pages a unit should be had. */
enum pym_pages pym_pagecost_choose(void);

/* In which pages more than a unit should be had, which is too much to try: tries that
 * are due are made here, with a unit that is given back. */
enum pym_pages pym_pagecost_choose_for_more(void);

/* Puts memory behind a unit in such pages, and takes the time.  Returns 0 or an errno
 * value. */
int pym_pagecost_get(void *unit, enum pym_pages pages);

/* The same by a function that does it there in such pages. */
int pym_pagecost_populate(void *unit, enum pym_pages pages,
                          int (*populate)(void *start, size_t size));

#endif
