#include "track.h"

#include "options.h"

#ifdef HAVE_VALGRIND_VALGRIND_H
#include <valgrind/valgrind.h>
#endif

/*
 * Every runtime of a sanitizer that has a malloc has this function, and no other
 * library. Builds with a sanitizer of their own test the library's blocks under it.
 */
#ifndef PYM_SANITIZER
#pragma weak __sanitizer_get_allocated_size
extern size_t __sanitizer_get_allocated_size(const volatile void *block);
#endif

static bool is_under_sanitizer(void)
{
#ifndef PYM_SANITIZER
    return __sanitizer_get_allocated_size != NULL;
#else
    return false;
#endif
}

static bool ask_valgrind(void)
{
#ifdef HAVE_VALGRIND_VALGRIND_H
    return RUNNING_ON_VALGRIND != 0;
#else
    return false;
#endif
}

bool pym_track_valgrind(void)
{
    enum { UNKNOWN, NO, YES };
    static _Atomic int answer;
    int known = atomic_load_explicit(&answer, memory_order_relaxed);
    if (known == UNKNOWN) {
        known = ask_valgrind() ? YES : NO;
        atomic_store_explicit(&answer, known, memory_order_relaxed);
    }
    return known == YES;
}

bool pym_track_stands_aside(void)
{
    return (is_under_sanitizer() || pym_track_valgrind()) && PYM_OPTION(valgrind) != 0;
}
