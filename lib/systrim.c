#include "systrim.h"

#include "atomic.h"
#include "options.h"
#include "sysalloc.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

/* So many times the largest freed block may stay at the top of the heap.  glibc's
 * own factor is 2. */
enum { KEEP = 8 };
/* glibc keeps mapping what is larger. */
#define LARGEST ((size_t)32 << 20)

/* Blocks of up to so many bytes come from the heap; 0: nothing is to be tuned. */
static _Atomic size_t threshold;

/* Whether the heap may hold much free memory, and how long no block was freed. */
enum { TRIMMED, IDLE, BUSY };
static _Atomic int state;

bool pym_systrim_user_has_tuned(void)
{
    static const char *const names[] = {"MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_",
                                        "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (secure_getenv(names[i]) != NULL) {
            return true;
        }
    }
    const char *tunables = secure_getenv("GLIBC_TUNABLES");
    return tunables != NULL && strstr(tunables, "glibc.malloc.") != NULL;
}

void pym_systrim_share_decay(void)
{
    const char *settings = secure_getenv("MALLOC_CONF");
    bool is_set = settings != NULL && strstr(settings, "decay") != NULL;
    if (pym_sysalloc.control == NULL || PYM_OPTION(decay) == 0 || is_set) {
        return;
    }
    /* Of arenas to be made, and of the one that is there. */
    static const char *const names[] = {"arenas.dirty_decay_ms",
                                        "arena.0.dirty_decay_ms"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        ssize_t decay_ms = (ssize_t)PYM_OPTION(decay);
        (void)pym_sysalloc.control(names[i], NULL, NULL, &decay_ms, sizeof(decay_ms));
    }
}

void pym_systrim_init(void)
{
    if (pym_sysalloc.tune != NULL && pym_sysalloc.trim != NULL &&
        PYM_OPTION(decay) != 0 && !pym_systrim_user_has_tuned()) {
        atomic_store_explicit(&threshold, PYM_SYSTRIM_LEAST, memory_order_relaxed);
    }
}

void pym_systrim_stop(void)
{
    atomic_store_explicit(&threshold, 0, memory_order_relaxed);
}

void pym_systrim_freed(size_t size, bool is_mapped)
{
    _Static_assert(KEEP * LARGEST <= INT_MAX, "mallopt takes an int");
    size_t known = atomic_load_explicit(&threshold, memory_order_relaxed);
    if (known == 0) {
        return;
    }
    if (is_mapped && size > known && size <= LARGEST &&
        atomic_compare_exchange_strong_explicit(
            &threshold, &known, size, memory_order_relaxed, memory_order_relaxed)) {
        int saved = errno;
#ifdef __GLIBC__
        (void)pym_sysalloc.tune(M_MMAP_THRESHOLD, (int)size);
        (void)pym_sysalloc.tune(M_TRIM_THRESHOLD, (int)(KEEP * size));
#endif
        errno = saved;
    }
    atomic_store_explicit(&state, BUSY, memory_order_relaxed);
}

void pym_systrim_look(void)
{
    int seen = atomic_load_explicit(&state, memory_order_relaxed);
    if (seen == TRIMMED ||
        !atomic_compare_exchange_strong_explicit(
            &state, &seen, seen - 1, memory_order_relaxed, memory_order_relaxed)) {
        return;
    }
    if (seen == IDLE && atomic_load_explicit(&threshold, memory_order_relaxed) != 0) {
        int saved = errno;
        (void)pym_sysalloc.trim(0);
        errno = saved;
    }
}
