/*
 * The functions of pymalloc.h.
 */
#include "pymalloc/pymalloc.h"

#include "front.h"
#include "heaps.h"
#include "inspect.h"
#include "options.h"
#include "profile.h"
#include "profile_text.h"
#include "snapshot.h"
#include "stats.h"

#include <errno.h>

_Static_assert(PYMALLOC_SMALL_MAX == PYM_SMALL_MAX, "the header says what is so");
_Static_assert(PYMALLOC_CLASSES == PYM_CLASSES, "the header says what is so");

PYM_EXPORT const char *pymalloc_version(void)
{
    return VERSION;
}

PYM_EXPORT int pymalloc_stats(struct pymalloc_totals *out)
{
    if (out == NULL) {
        return EINVAL;
    }
    pym_stats_get(out);
    return 0;
}

PYM_EXPORT int pymalloc_stats_json(int fd, unsigned flags)
{
    if ((flags & ~(unsigned)PYMALLOC_JSON_MAP) != 0) {
        return EINVAL;
    }
    return pym_snapshot_write(fd, flags, NULL) ? 0 : EIO;
}

PYM_EXPORT int pymalloc_profile_write(int fd)
{
    if (pym_profile_interval == 0) {
        return ENOTSUP;
    }
    return pym_profile_write(fd, "call") ? 0 : EIO;
}

PYM_EXPORT size_t pymalloc_purge(void)
{
    pym_front_flush();
    bool trimmed;
    return pym_heaps_give_back(0, &trimmed);
}

PYM_EXPORT int pymalloc_option_get(const char *name, char *value, size_t size)
{
    pym_options_init();
    return pym_options_get(name, value, size);
}

PYM_EXPORT int pymalloc_option_set(const char *name, const char *value)
{
    pym_options_init();
    int error = pym_options_set(name, value);
    if (error == 0) {
        pym_heaps_purge(); /* what was kept under the old value */
    }
    return error;
}

PYM_EXPORT size_t pymalloc_good_size(size_t size)
{
    if (size > PYM_SMALL_MAX) {
        return size;
    }
    return pym_class_size(pym_class_of(size != 0 ? size : 1));
}

PYM_EXPORT int pymalloc_owns(const void *ptr)
{
    return pym_region_owns(ptr);
}

PYM_EXPORT int pymalloc_walk(int (*visit)(void *block, size_t size, void *arg),
                             void *arg)
{
    return pym_inspect_walk(visit, arg);
}

PYM_EXPORT int pymalloc_verify(void)
{
    return pym_inspect_verify(pym_front_verify);
}
