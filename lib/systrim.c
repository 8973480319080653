#include "systrim.h"

#include "atomic.h"
#include "options.h"
#include "os.h"
#include "sysalloc.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

/* So many times the largest freed block may stay at the top of the heap. */
enum { KEEP = 8, GLIBCS_KEEP = 2 };
/* glibc keeps mapping what is larger. */
#define LARGEST ((size_t)32 << 20)

/* Chunks of less than so many bytes come from the heap; 0: nothing is to be tuned. */
static _Atomic size_t threshold;
static _Atomic bool is_users; /* the user has called mallopt */

/* By so many bytes the blocks in use have to fall for a trim to be worth while.  If
 * they had grown by as much since the last time, this is a program that goes up and
 * down, and so many milliseconds have to lie between: what is given back costs a fault
 * a page when it is wanted again. */
#define FALL_LEAST ((int64_t)2 << 20)
enum { FALL_MS = 1000 };

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
    bool tunes = pym_sysalloc.tune != NULL && pym_sysalloc.trim != NULL &&
                 PYM_OPTION(decay) != 0 &&
                 !atomic_load_explicit(&is_users, memory_order_relaxed);
    atomic_store_explicit(&threshold, tunes ? PYM_SYSTRIM_LEAST : 0,
                          memory_order_relaxed);
}

#ifdef __GLIBC__
static bool is_tuned_here(int parameter)
{
    return parameter == M_MMAP_THRESHOLD || parameter == M_MMAP_MAX ||
           parameter == M_TRIM_THRESHOLD || parameter == M_TOP_PAD;
}

/* What was let stay at the top of the heap goes back at the next free there, by glibc's
 * own rule, if the user does not set another. */
void pym_systrim_user_tunes(int parameter)
{
    if (!is_tuned_here(parameter)) {
        return;
    }
    atomic_store_explicit(&is_users, true, memory_order_relaxed);
    size_t known = atomic_exchange_explicit(&threshold, 0, memory_order_relaxed);
    if (known > PYM_SYSTRIM_LEAST) {
        (void)pym_sysalloc.tune(M_TRIM_THRESHOLD, (int)(GLIBCS_KEEP * known));
    }
}

static void tune(size_t chunk)
{
    int saved = errno;
    (void)pym_sysalloc.tune(M_MMAP_THRESHOLD, (int)chunk);
    (void)pym_sysalloc.tune(M_TRIM_THRESHOLD, (int)(KEEP * chunk));
    errno = saved;
}
#else
void pym_systrim_user_tunes(int parameter)
{
    (void)parameter;
}

static void tune(size_t chunk)
{
    (void)chunk;
}
#endif

void pym_systrim_freed(size_t chunk, bool is_mapped)
{
    _Static_assert(KEEP * LARGEST <= INT_MAX, "mallopt takes an int");
    size_t known = atomic_load_explicit(&threshold, memory_order_relaxed);
    if (known == 0) {
        return;
    }
    if (is_mapped && chunk > known && chunk <= LARGEST &&
        atomic_compare_exchange_strong_explicit(
            &threshold, &known, chunk, memory_order_relaxed, memory_order_relaxed)) {
        tune(chunk);
    }
    atomic_store_explicit(&state, BUSY, memory_order_relaxed);
}

static void trim(void)
{
    int saved = errno;
    (void)pym_sysalloc.trim(0);
    errno = saved;
}

/* The most bytes since memory last went back, what was in use then, and when. */
static _Atomic int64_t most;
static _Atomic int64_t left;
static _Atomic uint64_t went_ms;
/* What is in use, if that is half of the most. */
#define NOT_FALLEN INT64_MAX
static _Atomic int64_t fallen_to = NOT_FALLEN;

void pym_systrim_lent(int64_t bytes)
{
    int64_t seen = atomic_load_explicit(&most, memory_order_relaxed);
    if (bytes > seen) {
        atomic_store_explicit(&most, bytes, memory_order_relaxed);
    }
    bool has_fallen = bytes <= seen / 2 && seen - bytes >= FALL_LEAST;
    int64_t now = has_fallen ? bytes : NOT_FALLEN;
    if (now != atomic_load_explicit(&fallen_to, memory_order_relaxed)) {
        atomic_store_explicit(&fallen_to, now, memory_order_relaxed);
    }
}

static bool is_too_soon(int64_t fallen_from, uint64_t now)
{
    return fallen_from - atomic_load_explicit(&left, memory_order_relaxed) >=
               FALL_LEAST &&
           now - atomic_load_explicit(&went_ms, memory_order_relaxed) < FALL_MS;
}

/* Of two threads that see the same fall, one gives back. */
void pym_systrim_make_up(void)
{
    int64_t bytes = atomic_load_explicit(&fallen_to, memory_order_relaxed);
    if (PYM_LIKELY(bytes == NOT_FALLEN) || pym_sysalloc_may_hang() ||
        atomic_load_explicit(&threshold, memory_order_relaxed) == 0) {
        return;
    }
    uint64_t now = pym_os_now_ms();
    int64_t from = atomic_load_explicit(&most, memory_order_relaxed);
    if (!is_too_soon(from, now) && atomic_compare_exchange_strong_explicit(
                                       &fallen_to, &bytes, NOT_FALLEN,
                                       memory_order_relaxed, memory_order_relaxed)) {
        atomic_store_explicit(&most, bytes, memory_order_relaxed);
        atomic_store_explicit(&left, bytes, memory_order_relaxed);
        atomic_store_explicit(&went_ms, now, memory_order_relaxed);
        trim();
    }
}

void pym_systrim_look(void)
{
    pym_systrim_make_up();
    int seen = atomic_load_explicit(&state, memory_order_relaxed);
    if (seen == TRIMMED ||
        !atomic_compare_exchange_strong_explicit(
            &state, &seen, seen - 1, memory_order_relaxed, memory_order_relaxed)) {
        return;
    }
    if (seen == IDLE && atomic_load_explicit(&threshold, memory_order_relaxed) != 0) {
        trim();
    }
}
