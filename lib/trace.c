#include "trace.h"

#include "os.h"

#ifdef HAVE_EXECINFO_H

#include <execinfo.h>
#include <string.h>

/* A static program need not have them. */
#pragma weak backtrace
#pragma weak backtrace_symbols_fd

/* This library's code, where it is one: who called it is what matters. */
static bool is_own(const void *address)
{
#ifdef PIC
    extern const char __ehdr_start[] PYM_HIDDEN;
    extern const char etext[] PYM_HIDDEN;
    return (const char *)address >= __ehdr_start && (const char *)address < etext;
#else
    (void)address;
    return false;
#endif
}

static bool can_walk;

void pym_trace_init(void)
{
    void *frame[1];
    can_walk = &backtrace != NULL && backtrace(frame, 1) > 0;
}

void pym_trace_take(struct pym_trace *trace)
{
    trace->thread = pym_os_thread_id();
    trace->frames = 0;
    if (!can_walk) {
        return;
    }
    int all = backtrace(trace->frame, PYM_TRACE_FRAMES);
    int own = 0;
    while (own < all && is_own(trace->frame[own])) {
        own++;
    }
    trace->frames = all - own;
    memmove(trace->frame, trace->frame + own,
            (size_t)trace->frames * sizeof(trace->frame[0]));
}

void pym_trace_print(int fd, const struct pym_trace *trace)
{
    if (&backtrace_symbols_fd != NULL) {
        backtrace_symbols_fd(trace->frame, trace->frames, fd);
    }
}

#else

void pym_trace_init(void)
{
}

void pym_trace_take(struct pym_trace *trace)
{
    trace->thread = pym_os_thread_id();
    trace->frames = 0;
}

void pym_trace_print(int fd, const struct pym_trace *trace)
{
    (void)fd;
    (void)trace;
}

#endif
