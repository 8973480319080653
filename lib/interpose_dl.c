/*
 * dlopen without RTLD_DEEPBIND.
 *
 * A library loaded with that flag finds libc's malloc and free before ours.
 * What libc itself allocates for it, by strdup say, is still ours, and goes to
 * the wrong free; PHP's extensions crash on that under any preloaded
 * allocator.  So the flag is taken off, unless the option "deepbind" says
 * otherwise.
 */
#include "options.h"

#include <dlfcn.h>

/* A static program has no dlopen to speak of, and musl no such flag. */
#if defined(PIC) && defined(RTLD_DEEPBIND)

static void *(*find_dlopen(void))(const char *path, int mode)
{
    static _Atomic(void *) found;
    void *function = atomic_load_explicit(&found, memory_order_relaxed);
    if (function == NULL) {
        function = dlsym(RTLD_NEXT, "dlopen");
        atomic_store_explicit(&found, function, memory_order_relaxed);
    }
    void *(*next)(const char *path, int mode);
    *(void **)&next = function;
    return next;
}

/*
 * libc takes the return address for the caller, whose search path and namespace
 * count.  This must remain a jump, not a call: only then is that address the
 * program's.
 */
PYM_EXPORT void *dlopen(const char *path, int mode)
{
    int taken_off = PYM_OPTION(deepbind) != 0 ? 0 : RTLD_DEEPBIND;
    return find_dlopen()(path, mode & ~taken_off);
}

#endif
