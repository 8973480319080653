#include "trace.h"

#include "os.h"

#ifdef HAVE_EXECINFO_H

#include <dlfcn.h>
#include <execinfo.h>

/* A static program need not have it. */
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

/* The compiler's unwinder, which the C library would load itself for its backtrace(3);
 * that tells no slots. */
struct unwind_context;
typedef int unwind_step(struct unwind_context *context, void *arg);
static int (*unwind)(unwind_step *step, void *arg);
static uintptr_t (*unwind_address)(struct unwind_context *context);
static uintptr_t (*unwind_cfa)(struct unwind_context *context);

#ifndef PIC
#pragma weak dlopen
#pragma weak dlsym
#endif

/* In a static program there may be no loader. */
static void *load_unwinder(void)
{
#ifndef PIC
    if (dlopen == NULL || dlsym == NULL) {
        return NULL;
    }
#endif
    return dlopen("libgcc_s.so.1", RTLD_NOW);
}

void pym_trace_init(void)
{
    void *library = load_unwinder();
    if (library == NULL || unwind != NULL) {
        return;
    }
    *(void **)&unwind_address = dlsym(library, "_Unwind_GetIP");
    *(void **)&unwind_cfa = dlsym(library, "_Unwind_GetCFA");
    if (unwind_address != NULL && unwind_cfa != NULL) {
        *(void **)&unwind = dlsym(library, "_Unwind_Backtrace");
    }
}

struct walk {
    struct pym_frame *frame;
    int frames;
    int most;
};

/* At the first frames the walk is still in this library. */
static int step(struct unwind_context *context, void *arg)
{
    enum { GO_ON = 0, STOP = 5 };
    struct walk *walk = arg;
    void *address = (void *)unwind_address(context);
    if (address == NULL || walk->frames == walk->most) {
        return STOP;
    }
    if (walk->frames == 0 && is_own(address)) {
        return GO_ON;
    }
    void **slot = NULL;
#ifdef __x86_64__
    /* A call pushes it, right below what the caller's frame begins with. */
    void **pushed = (void **)unwind_cfa(context) - 1;
    slot = *pushed == address ? pushed : NULL;
#endif
    walk->frame[walk->frames++] = (struct pym_frame){address, slot};
    return GO_ON;
}

/* The unwinder allocates when it meets tables that were registered since its last walk,
 * with a lock held: another walk from there would wait for that lock for ever. */
static __thread bool is_walking __attribute__((tls_model("initial-exec")));

int pym_trace_walk(struct pym_frame *frame, int most)
{
    struct walk walk = {frame, 0, most};
    if (unwind != NULL && !is_walking) {
        is_walking = true;
        (void)unwind(step, &walk);
        is_walking = false;
    }
    return walk.frames;
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

int pym_trace_walk(struct pym_frame *frame, int most)
{
    (void)frame;
    (void)most;
    return 0;
}

void pym_trace_print(int fd, const struct pym_trace *trace)
{
    (void)fd;
    (void)trace;
}

#endif

void pym_trace_take(struct pym_trace *trace)
{
    trace->thread = pym_os_thread_id();
    struct pym_frame frame[PYM_TRACE_FRAMES];
    trace->frames = pym_trace_walk(frame, PYM_TRACE_FRAMES);
    for (int i = 0; i < trace->frames; i++) {
        trace->frame[i] = frame[i].address;
    }
}
