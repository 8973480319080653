/*
 * malloc and its kin under their standard names.  Contracts are those of C, POSIX and
 * the GNU C library.
 */
#include "front.h"

#include "heaps.h"
#include "os.h"
#include "sysalloc.h"
#include "systrim.h"

#include <errno.h>
#include <malloc.h>
#include <stdlib.h>

/* Declared by newer C libraries only, or by none. */
void cfree(void *block);
void free_sized(void *block, size_t size);
void free_aligned_sized(void *block, size_t alignment, size_t size);
#ifndef __GLIBC__
void *pvalloc(size_t size);
int malloc_trim(size_t keep);
int mallopt(int parameter, int value);
#endif

/*
 * The functions that have a name of their own in every C library allocate and
 * free by themselves.  The others call these, by calls that can be taken over:
 * so a program or a tool that replaces some gets all.
 */

/* ---- C and POSIX ---- */

PYM_EXPORT void *malloc(size_t size)
{
    return PYM_FRONT(malloc)(size);
}

PYM_EXPORT void free(void *block)
{
    PYM_FRONT(free)(block);
}

PYM_EXPORT void *calloc(size_t count, size_t size)
{
    return PYM_FRONT(calloc)(count, size);
}

PYM_EXPORT void *realloc(void *block, size_t size)
{
    return PYM_FRONT(realloc)(block, size);
}

PYM_EXPORT void *reallocarray(void *block, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return realloc(block, bytes);
}

PYM_EXPORT void cfree(void *block)
{
    free(block);
}

/* The size is not needed, and but for the hardened library's check not looked at. */
PYM_EXPORT void free_sized(void *block, size_t size)
{
    pym_front_check_size("wrong size given to free_sized", block, size);
    free(block);
}

PYM_EXPORT void free_aligned_sized(void *block, size_t alignment, size_t size)
{
    (void)alignment;
    pym_front_check_size("wrong size given to free_aligned_sized", block, size);
    free(block);
}

PYM_EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
    return PYM_FRONT(aligned)(alignment, size);
}

PYM_EXPORT void *memalign(size_t alignment, size_t size)
{
    return PYM_FRONT(aligned)(alignment, size);
}

PYM_EXPORT int posix_memalign(void **out, size_t alignment, size_t size)
{
    if (!pym_is_power_of_two(alignment) || alignment % sizeof(void *) != 0) {
        return EINVAL;
    }
    int saved = errno;
    void *block = PYM_FRONT(aligned)(alignment, size);
    errno = saved;
    if (block == NULL) {
        return ENOMEM;
    }
    *out = block;
    return 0;
}

PYM_EXPORT void *valloc(size_t size)
{
    return memalign(pym_os_page_size(), size);
}

PYM_EXPORT void *pvalloc(size_t size)
{
    size_t page = pym_os_page_size();
    if (size > PTRDIFF_MAX) {
        errno = ENOMEM;
        return NULL;
    }
    return memalign(page, pym_round_up(size, page));
}

PYM_EXPORT size_t malloc_usable_size(void *block)
{
    return PYM_FRONT(usable_size)(block);
}

/* ---- the GNU C library's ---- */

PYM_EXPORT int malloc_trim(size_t keep)
{
    pym_front_flush();
    bool trimmed;
    size_t bytes = pym_heaps_give_back(keep, &trimmed);
    return bytes > 0 || trimmed;
}

PYM_EXPORT int mallopt(int parameter, int value)
{
    pym_sysalloc_init();
    pym_systrim_user_tunes(parameter);
    return pym_sysalloc.tune != NULL ? pym_sysalloc.tune(parameter, value) : 0;
}
