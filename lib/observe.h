/*
 * Reports, as the options want them: in which form, where to, and when.
 */
#ifndef PYM_OBSERVE_H
#define PYM_OBSERVE_H

#include "base.h"

/* When the options are known; at the process's end; in a forked child, as a handler. */
void pym_observe_start(void);
void pym_observe_finish(void);
void pym_observe_after_fork(void);

#endif
