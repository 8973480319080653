/*
 * The thread that lets a running process be looked into: it listens on the abstract
 * socket "pymalloc.PID" and answers the tool pymalloc (option "serve"), and it writes
 * the reports that a signal asks for (option "signal"), which the signal's handler
 * could not, since it may have interrupted anything.
 *
 * A client sends one line with a word and gets a JSON object, then the end of the
 * connection.  Only processes of the same user, and of root, are answered, and only
 * those of root if the process is not dumpable (prctl).
 *
 * There is no such thread unless an option asks for it.
 */
#ifndef PYM_SERVER_H
#define PYM_SERVER_H

#include "base.h"

/* Starts the thread if the options say so.  report: writes the reports. */
void pym_server_start(void (*report)(void));

/* In a forked child, which has no such thread: starts its own. */
void pym_server_after_fork(void);

#endif
