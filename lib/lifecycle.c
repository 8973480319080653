#include "lifecycle.h"

#include "alloc.h"
#include "arena.h"
#include "guard.h"
#include "ledger.h"
#include "mix.h"
#include "observe.h"
#include "options.h"
#include "os.h"
#include "samples.h"
#include "sysalloc.h"
#include "systrim.h"
#include "track.h"
#include "transfer.h"

#include <limits.h>
#include <pthread.h>

/* How often POSIX runs thread-specific destructors that set their value anew.
 * Ours does so until the last time, and hands the heap on each time: other
 * destructors may allocate and free in between, and get one again.  It cannot wait
 * for the last time with that.  A thread that first uses the library in a destructor
 * has missed some, and nobody tells which time is the last.
 * ThreadSanitizer does the same, and what it watches must have ended before. */
#ifdef PTHREAD_DESTRUCTOR_ITERATIONS
enum { ROUNDS = PTHREAD_DESTRUCTOR_ITERATIONS - PYM_TSAN };
#else
enum { ROUNDS = 4 - PYM_TSAN };
#endif

static pthread_key_t key;
static bool key_made;
static _Atomic bool key_wanted;

static void thread_ends(void *heap)
{
    (void)heap;
    if (pym_thread.heap != NULL) {
        pym_heaps_detach();
    }
    pym_thread.ended =
        ++pym_thread.rounds >= ROUNDS || pthread_setspecific(key, &key) != 0;
}

/* Whether the thread's end will be noticed.  If not, the heap's bins would stay in the
 * memory of a thread that is gone: such a thread does without. */
static bool is_handed_on(struct pym_heap *heap)
{
    /* models/once.pml: set_key */
    return key_made && pthread_setspecific(key, heap) == 0;
}

struct pym_heap *pym_lifecycle_heap(void)
{
    if (pym_thread.ended) {
        return NULL;
    }
    pym_options_init();
    pym_harden_init();
    if (pym_track_stands_aside()) {
        return NULL;
    }
    /* models/once.pml: want_key */
    if (!atomic_exchange_explicit(&key_wanted, true, memory_order_relaxed)) {
        /* models/once.pml: make_key */
        key_made = pthread_key_create(&key, thread_ends) == 0;
    }
    struct pym_heap *heap = pym_heaps_attach();
    if (heap == NULL || is_handed_on(heap)) {
        return heap;
    }
    pym_heaps_detach();
    pym_thread.ended = true;
    return NULL;
}

struct pym_heap *pym_lifecycle_heap_to_free(void)
{
    return pym_thread.rounds == 0 ? pym_lifecycle_heap() : NULL;
}

/* Runs when the child takes its first lock, or as a handler: what comes first. */
static void child_of_fork(void)
{
    if (pym_os_can_tell_copy() && !pym_os_is_copy()) {
        return;
    }
    pym_sysalloc_after_fork(false);
    pym_os_mark_process();
    pym_arena_after_fork();
    pym_heaps_after_fork();
    pym_transfer_after_fork();
    pym_ledger_after_fork();
    pym_guard_after_fork();
    pym_samples_after_fork();
}

/* Only there can a thread be started. */
static void handle_fork_in_child(void)
{
    child_of_fork();
    pym_sysalloc_after_fork(true);
    if (pym_observe_is_wanted()) {
        pym_observe_after_fork();
    }
}

#ifdef __GLIBC__
/* What pthread_atfork calls.  That itself is a copy in every library, which the linker
 * puts behind all other code: a page of ours, and those around it, for it alone. */
extern int __register_atfork(void (*prepare)(void), void (*parent)(void),
                             void (*child)(void), void *library);
extern void *__dso_handle PYM_HIDDEN;

static int register_atfork(void (*child)(void))
{
    return __register_atfork(NULL, NULL, child, &__dso_handle);
}
#else
static int register_atfork(void (*child)(void))
{
    return pthread_atfork(NULL, NULL, child);
}
#endif

static __attribute__((constructor(101))) void start(void)
{
    pym_options_init();
    pym_sysalloc_init();
    pym_syscache_probe();
    pym_systrim_share_decay();
    pym_alloc_init();
    if (pym_thread.heap == NULL) {
        (void)pym_lifecycle_heap();
    } else {
        pym_mix_set(pym_thread.heap);
    }
    pym_heaps_start_sampling(pym_thread.heap); /* made before options were known */
    pym_os_mark_process();
    pym_lock_on_fork(child_of_fork);
    (void)register_atfork(handle_fork_in_child);
    if (pym_observe_is_wanted()) {
        pym_observe_start();
    }
}

static __attribute__((destructor(101))) void finish(void)
{
    if (pym_observe_is_wanted()) {
        pym_observe_finish();
    }
}
