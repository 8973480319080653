/*
 * Atomic operations: C11's, with two additions.
 */
#ifndef PYM_ATOMIC_H
#define PYM_ATOMIC_H

#include "base.h"

#include <stdatomic.h>

/* Tells the processor that this is a spin loop. */
PYM_INLINE void pym_cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/*
 * Orders this thread's stores as a snapshot of its memory sees them.  fork
 * copies the memory of threads that are in the middle of anything; what such a
 * copy holds is a point in each thread's own program order, so a compiler
 * barrier between two stores is all that is needed to know that the second is
 * never seen without the first.
 */
PYM_INLINE void pym_snapshot_order(void)
{
#if defined(__x86_64__)
    atomic_signal_fence(memory_order_seq_cst);
#else
    atomic_thread_fence(memory_order_release);
#endif
}

#endif
