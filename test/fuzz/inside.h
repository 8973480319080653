/*
 * What a fuzzer decides in the place of the system, where the library's own objects are
 * in the program (PYM_FUZZ_INSIDE): what time it is, and that memory runs out.  The
 * program is linked with -Wl,--wrap for each function that is defined here.
 *
 * With the shared library time is real, and nothing fails.
 */
#ifndef TEST_FUZZ_INSIDE_H
#define TEST_FUZZ_INSIDE_H

#include "input.h"

/* What AddressSanitizer's malloc is to do when it cannot: what malloc does. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

/* Calls of the system until one fails; 0: none does.  And whether one has. */
static unsigned inside_fails_in;
static bool inside_failed;

/* Between two operations: a failure excuses only the one that met it, unless another
 * is to come. */
static inline void inside_forget_failure(void)
{
    if (inside_fails_in == 0) {
        inside_failed = false;
    }
}

#ifdef PYM_FUZZ_INSIDE

#include "os.h"
#include "sysalloc.h"

/* Not 0, which would be long before anything that the library has noted. */
static uint64_t inside_now_ms = 1000;

uint64_t __wrap_pym_os_now_ms(void);
void *__wrap_pym_os_map(size_t size);
int __wrap_pym_os_commit(void *start, size_t size);
void *__real_pym_os_map(size_t size);
int __real_pym_os_commit(void *start, size_t size);

uint64_t __wrap_pym_os_now_ms(void)
{
    return inside_now_ms;
}

static bool inside_fails(void)
{
    if (inside_fails_in == 0 || --inside_fails_in != 0) {
        return false;
    }
    inside_failed = true;
    return true;
}

void *__wrap_pym_os_map(size_t size)
{
    return inside_fails() ? NULL : __real_pym_os_map(size);
}

int __wrap_pym_os_commit(void *start, size_t size)
{
    return inside_fails() ? ENOMEM : __real_pym_os_commit(start, size);
}

/* ---- the system allocator ---- */

static struct pym_sysalloc inside_system;

static void *inside_out_of_memory(void)
{
    errno = ENOMEM;
    return NULL;
}

static void *inside_malloc(size_t size)
{
    return inside_fails() ? inside_out_of_memory() : inside_system.malloc(size);
}

static void *inside_calloc(size_t count, size_t size)
{
    return inside_fails() ? inside_out_of_memory() : inside_system.calloc(count, size);
}

static void *inside_realloc(void *block, size_t size)
{
    return inside_fails() ? inside_out_of_memory() : inside_system.realloc(block, size);
}

static void *inside_memalign(size_t alignment, size_t size)
{
    return inside_fails() ? inside_out_of_memory()
                          : inside_system.memalign(alignment, size);
}

static inline void inside_init(void)
{
    pym_sysalloc_init();
    if (pym_sysalloc.malloc != inside_malloc) {
        inside_system = pym_sysalloc;
        pym_sysalloc.malloc = inside_malloc;
        pym_sysalloc.calloc = inside_calloc;
        pym_sysalloc.realloc = inside_realloc;
        pym_sysalloc.memalign = inside_memalign;
    }
}

static inline void inside_pass_time(uint64_t ms)
{
    inside_now_ms += ms;
}

static inline void inside_fail_in(unsigned calls)
{
    inside_fails_in = calls;
}

#else

static inline void inside_init(void)
{
}

static inline void inside_pass_time(uint64_t ms)
{
    (void)ms;
}

static inline void inside_fail_in(unsigned calls)
{
    (void)calls;
}

#endif

#endif
