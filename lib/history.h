/*
 * How the process's memory came to be what it is: points in time, at first one a
 * second, fewer as the process grows older, so that they always fit.
 *
 * Used by the server's thread.
 */
#ifndef PYM_HISTORY_H
#define PYM_HISTORY_H

#include "json.h"

/* Milliseconds until the next point is due. */
int pym_history_wait_ms(void);

/* Adds a point if one is due. */
void pym_history_note(void);

/* Adds all points to a snapshot. */
void pym_history_write(struct pym_json *json);

void pym_history_forget(void);

#endif
