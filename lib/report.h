/*
 * Misuse of the heap by a call that can be left out: the option "abort" decides whether
 * the program goes on without it.
 */
#ifndef PYM_REPORT_H
#define PYM_REPORT_H

#include "check.h"
#include "options.h"

#include <stdlib.h>

/* See pym_check_describe.  Returns only if the option "abort" is 0. */
PYM_INLINE void pym_report_misuse(const char *what, const void *block, size_t size)
{
    pym_check_describe(what, block, size);
    if (PYM_OPTION(abort) != 0) {
        abort();
    }
}

#endif
