/*
 * Where a thread is: the return addresses on its stack, and the thread's id.
 *
 * A walk may allocate, and take a lock of the unwinder's, where the program has
 * registered tables of code that it made itself (__register_frame).  What is allocated
 * within a walk has a trace without addresses.  But a walk within the program's own use
 * of the unwinder may wait for a lock that its thread has: doc/PROFILING.md.  Without
 * the C library's backtrace(3), or what it loads at the start, no trace has addresses.
 */
#ifndef PYM_TRACE_H
#define PYM_TRACE_H

#include "base.h"

enum { PYM_TRACE_FRAMES = 24 };

struct pym_trace {
    void *frame[PYM_TRACE_FRAMES];
    int frames;
    int thread;
};

/* Loads a library.  To try it again later could be in the middle of a dlopen. */
void pym_trace_init(void);

void pym_trace_take(struct pym_trace *trace);

/* A return address, and where on the stack it is; NULL if that is not known. */
struct pym_frame {
    void *address;
    void **slot;
};

/* At most so many, innermost first; returns how many. */
int pym_trace_walk(struct pym_frame *frame, int most);

/* Writes a line for each address, with the names that the program exports. */
void pym_trace_print(int fd, const struct pym_trace *trace);

#endif
