/*
 * operator new and operator delete, all forms, under their mangled names.
 *
 * C cannot throw, and the library must not need the C++ runtime.  So when memory
 * runs out, the runtime's own form of the same operator is called: it calls
 * malloc (ours, which fails again), the new-handler and throws, as the standard
 * says.  Compiled with unwind tables, so that exceptions pass through.
 */
#include "alloc.h"

#include "check.h"

#include <dlfcn.h>
#include <stdlib.h>

typedef void *new_function(size_t size);
typedef void *aligned_new_function(size_t size, size_t alignment);

/*
 * In a static program the runtime's operators are these, not its own; the two
 * functions that they are made of are there by weak reference.
 */
#pragma weak _ZSt15get_new_handlerv
#pragma weak _ZSt17__throw_bad_allocv
extern void (*_ZSt15get_new_handlerv(void))(void);
extern _Noreturn void _ZSt17__throw_bad_allocv(void);
#ifndef PIC
#pragma weak dlsym
#pragma weak dlopen
#endif

/* A function of the C++ runtime, which may have been loaded for one plug-in
 * only, out of sight of a search in link order. */
static void *runtime_function(const char *name)
{
#ifndef PIC
    if (dlsym == NULL || dlopen == NULL) {
        return NULL;
    }
#endif
    static const char *const runtimes[] = {"libstdc++.so.6", "libc++.so.1"};
    void *function = dlsym(RTLD_NEXT, name);
    for (size_t i = 0; function == NULL && i < 2; i++) {
        void *runtime = dlopen(runtimes[i], RTLD_LAZY | RTLD_NOLOAD);
        if (runtime != NULL) {
            function = dlsym(runtime, name);
            (void)dlclose(runtime);
        }
    }
    return function;
}

/* What operator new does when memory runs out, where the runtime's own cannot be
 * called; alignment 0 means none. */
static void *new_by_hand(size_t size, size_t alignment)
{
    for (;;) {
        void *block = alignment != 0 ? pym_alloc_aligned(alignment, size)
                                     : pym_alloc_malloc(size);
        if (block != NULL) {
            return block;
        }
        if (_ZSt15get_new_handlerv == NULL || _ZSt17__throw_bad_allocv == NULL) {
            pym_check_misuse("out of memory in operator new", NULL, size);
        }
        void (*handler)(void) = _ZSt15get_new_handlerv();
        if (handler == NULL) {
            _ZSt17__throw_bad_allocv();
        }
        handler();
    }
}

static PYM_COLD void *new_failed(const char *name, size_t size)
{
    new_function *function;
    *(void **)&function = runtime_function(name);
    return function != NULL ? function(size) : new_by_hand(size, 0);
}

static PYM_COLD void *aligned_new_failed(const char *name, size_t size,
                                         size_t alignment)
{
    aligned_new_function *function;
    *(void **)&function = runtime_function(name);
    return function != NULL ? function(size, alignment) : new_by_hand(size, alignment);
}

/* For the forms that return NULL instead: the runtime's form also catches what
 * the new-handler throws, which C cannot. */
static PYM_COLD void *nothrow_new_failed(const char *name, size_t size, const void *tag)
{
    void *(*function)(size_t, const void *);
    *(void **)&function = runtime_function(name);
    return function != NULL ? function(size, tag) : NULL;
}

static PYM_COLD void *aligned_nothrow_new_failed(const char *name, size_t size,
                                                 size_t alignment, const void *tag)
{
    void *(*function)(size_t, size_t, const void *);
    *(void **)&function = runtime_function(name);
    return function != NULL ? function(size, alignment, tag) : NULL;
}

/* ---- operator new ---- */

#define DEFINE_NEW(name)                                                               \
    void *name(size_t size);                                                           \
    PYM_EXPORT void *name(size_t size)                                                 \
    {                                                                                  \
        void *block = pym_alloc_malloc(size);                                          \
        return PYM_LIKELY(block != NULL) ? block : new_failed(#name, size);            \
    }

#define DEFINE_NEW_NOTHROW(name)                                                       \
    void *name(size_t size, const void *tag);                                          \
    PYM_EXPORT void *name(size_t size, const void *tag)                                \
    {                                                                                  \
        void *block = pym_alloc_malloc(size);                                          \
        return PYM_LIKELY(block != NULL) ? block                                       \
                                         : nothrow_new_failed(#name, size, tag);       \
    }

#define DEFINE_NEW_ALIGNED(name)                                                       \
    void *name(size_t size, size_t alignment);                                         \
    PYM_EXPORT void *name(size_t size, size_t alignment)                               \
    {                                                                                  \
        void *block = pym_alloc_aligned(alignment, size);                              \
        return PYM_LIKELY(block != NULL) ? block                                       \
                                         : aligned_new_failed(#name, size, alignment); \
    }

#define DEFINE_NEW_ALIGNED_NOTHROW(name)                                               \
    void *name(size_t size, size_t alignment, const void *tag);                        \
    PYM_EXPORT void *name(size_t size, size_t alignment, const void *tag)              \
    {                                                                                  \
        void *block = pym_alloc_aligned(alignment, size);                              \
        return PYM_LIKELY(block != NULL)                                               \
                   ? block                                                             \
                   : aligned_nothrow_new_failed(#name, size, alignment, tag);          \
    }

DEFINE_NEW(_Znwm)
DEFINE_NEW(_Znam)
DEFINE_NEW_NOTHROW(_ZnwmRKSt9nothrow_t)
DEFINE_NEW_NOTHROW(_ZnamRKSt9nothrow_t)
DEFINE_NEW_ALIGNED(_ZnwmSt11align_val_t)
DEFINE_NEW_ALIGNED(_ZnamSt11align_val_t)
DEFINE_NEW_ALIGNED_NOTHROW(_ZnwmSt11align_val_tRKSt9nothrow_t)
DEFINE_NEW_ALIGNED_NOTHROW(_ZnamSt11align_val_tRKSt9nothrow_t)

/* ---- operator delete: size, alignment and tag are not needed ---- */

#define DEFINE_DELETE(name, ...)                                                       \
    void name(void *block, ##__VA_ARGS__);                                             \
    PYM_EXPORT void name(void *block, ##__VA_ARGS__)                                   \
    {                                                                                  \
        pym_alloc_free(block);                                                         \
    }

DEFINE_DELETE(_ZdlPv)
DEFINE_DELETE(_ZdaPv)
DEFINE_DELETE(_ZdlPvm, size_t __attribute__((unused)) size)
DEFINE_DELETE(_ZdaPvm, size_t __attribute__((unused)) size)
DEFINE_DELETE(_ZdlPvRKSt9nothrow_t, const void *tag __attribute__((unused)))
DEFINE_DELETE(_ZdaPvRKSt9nothrow_t, const void *tag __attribute__((unused)))
DEFINE_DELETE(_ZdlPvSt11align_val_t, size_t alignment __attribute__((unused)))
DEFINE_DELETE(_ZdaPvSt11align_val_t, size_t alignment __attribute__((unused)))
DEFINE_DELETE(_ZdlPvmSt11align_val_t, size_t size __attribute__((unused)),
              size_t alignment __attribute__((unused)))
DEFINE_DELETE(_ZdaPvmSt11align_val_t, size_t size __attribute__((unused)),
              size_t alignment __attribute__((unused)))
DEFINE_DELETE(_ZdlPvSt11align_val_tRKSt9nothrow_t,
              size_t alignment __attribute__((unused)),
              const void *tag __attribute__((unused)))
DEFINE_DELETE(_ZdaPvSt11align_val_tRKSt9nothrow_t,
              size_t alignment __attribute__((unused)),
              const void *tag __attribute__((unused)))
