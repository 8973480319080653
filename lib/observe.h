/*
 * Reports, as the options want them: in which form, where to, and when.
 */
#ifndef PYM_OBSERVE_H
#define PYM_OBSERVE_H

#include "options.h"

/* Whether there will be any; else nothing of this is to be touched. */
PYM_INLINE bool pym_observe_is_wanted(void)
{
    return (PYM_OPTION(stats) | PYM_OPTION(serve) | PYM_OPTION(signal) |
            PYM_OPTION(profile)) != 0;
}

/* When the options are known; at the process's end; in a forked child, as a handler. */
void pym_observe_start(void);
void pym_observe_finish(void);
void pym_observe_after_fork(void);

#endif
