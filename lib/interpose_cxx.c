/*
 * operator new and operator delete, all forms, under their mangled names.
 *
 * C cannot throw, and the library must not need the C++ runtime.  So when memory
 * runs out, the runtime's own form of the same operator is called: it calls
 * malloc (ours, which fails again), the new-handler and throws, as the standard
 * says.  Compiled with unwind tables, so that exceptions pass through.
 */
#include "front.h"

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

/* A function of the C++ runtime.  A search in link order could find another
 * allocator's instead, or miss a runtime that was loaded for one plug-in. */
static void *runtime_function(const char *name)
{
#ifndef PIC
    if (dlsym == NULL || dlopen == NULL) {
        return NULL;
    }
#endif
    static const char *const runtimes[] = {"libstdc++.so.6", "libc++.so.1"};
    for (size_t i = 0; i < sizeof(runtimes) / sizeof(runtimes[0]); i++) {
        void *runtime = dlopen(runtimes[i], RTLD_LAZY | RTLD_NOLOAD);
        if (runtime != NULL) {
            void *function = dlsym(runtime, name);
            (void)dlclose(runtime);
            return function;
        }
    }
    return NULL;
}

/* The runtime's aligned forms round the size up, and may wrap at its end. */
static bool is_impossible(size_t size)
{
    return size > PTRDIFF_MAX;
}

/* What operator new does when memory runs out, where the runtime's own cannot be
 * called; alignment 0 means none. */
static void *new_by_hand(size_t size, size_t alignment)
{
    for (;;) {
        void *block = alignment != 0 ? PYM_FRONT(aligned)(alignment, size)
                                     : PYM_FRONT(malloc)(size);
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
    if (is_impossible(size)) {
        return new_failed("_Znwm", size);
    }
    aligned_new_function *function;
    *(void **)&function = runtime_function(name);
    return function != NULL ? function(size, alignment) : new_by_hand(size, alignment);
}

/*
 * A program may replace some operators by its own.  The standard defines the
 * others by calls of these, and so do we, by calls that the program's own
 * definitions can take: the array forms call the single ones, and all forms of
 * delete the one without a size.
 *
 * In the archive the program's definitions stand beside ours: there ours are
 * weak.
 */
#ifdef PIC
#define OPERATOR PYM_EXPORT
#else
#define OPERATOR PYM_EXPORT __attribute__((weak))
#endif

typedef void operator_function(void);

/* Compilers take functions of different names to be different: not here, where
 * one is an alias of the other unless the program has its own. */
static bool is_same(operator_function *one, operator_function *other)
{
    __asm__("" : "+r"(one));
    return one == other;
}

#define IS_OURS(name, own)                                                             \
    is_same((operator_function *)(name), (operator_function *)(own))

/* ---- operator new ---- */

void *_Znwm(size_t size);
void *_Znam(size_t size);
void *_ZnwmRKSt9nothrow_t(size_t size, const void *tag);
void *_ZnamRKSt9nothrow_t(size_t size, const void *tag);
void *_ZnwmSt11align_val_t(size_t size, size_t alignment);
void *_ZnamSt11align_val_t(size_t size, size_t alignment);
void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t size, size_t alignment,
                                         const void *tag);
void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t size, size_t alignment,
                                         const void *tag);

void _ZdlPv(void *block);
void _ZdlPvSt11align_val_t(void *block, size_t alignment);
void _ZdaPv(void *block);

/*
 * The hardened library knows of each block which operator made it, and so which must
 * free it; but only where all of them are ours, since a program's own may well call
 * malloc and free.
 */
static void *own_new(size_t size);
static void *own_array_new(size_t size);
static void own_delete(void *block);
static void own_array_delete(void *block);

static bool are_ours(void)
{
    return IS_OURS(_Znwm, own_new) && IS_OURS(_Znam, own_array_new) &&
           IS_OURS(_ZdlPv, own_delete) && IS_OURS(_ZdaPv, own_array_delete);
}

static void *mark(void *block, enum pym_origin from, enum pym_origin to)
{
    return PYM_HARDENED && are_ours() ? pym_front_mark(block, from, to) : block;
}

static void check_array(void *block)
{
    if (PYM_HARDENED && are_ours()) {
        pym_front_check_array(block);
    }
}

static void check_size(void *block, size_t size)
{
    if (PYM_HARDENED && are_ours()) {
        pym_front_check_size("wrong size given to sized delete", block, size);
    }
}

#if PYM_HARDENED

static void *own_new(size_t size)
{
    void *block = pym_hardened_malloc(size);
    return mark(PYM_LIKELY(block != NULL) ? block : new_failed("_Znwm", size),
                PYM_BY_MALLOC, PYM_BY_NEW);
}

#else

static PYM_NOINLINE void *new_refill(size_t size)
{
    void *block = pym_alloc_refill(size);
    return PYM_LIKELY(block != NULL) ? block : new_failed("_Znwm", size);
}

static PYM_NOINLINE void *new_large(size_t size)
{
    void *block = pym_alloc_large(size);
    return PYM_LIKELY(block != NULL) ? block : new_failed("_Znwm", size);
}

static void *own_new(size_t size)
{
    return pym_alloc_or(size, new_refill, new_large);
}

#endif

static void *own_aligned_new(size_t size, size_t alignment)
{
    void *block = PYM_FRONT(aligned)(alignment, size);
    return mark(PYM_LIKELY(block != NULL)
                    ? block
                    : aligned_new_failed("_ZnwmSt11align_val_t", size, alignment),
                PYM_BY_MALLOC, PYM_BY_NEW);
}

OPERATOR void *_Znwm(size_t size) __attribute__((alias("own_new")));
OPERATOR void *_ZnwmSt11align_val_t(size_t size, size_t alignment)
    __attribute__((alias("own_aligned_new")));

static void *own_array_new(size_t size)
{
    return mark(_Znwm(size), PYM_BY_NEW, PYM_BY_ARRAY_NEW);
}

static void *own_aligned_array_new(size_t size, size_t alignment)
{
    return mark(_ZnwmSt11align_val_t(size, alignment), PYM_BY_NEW, PYM_BY_ARRAY_NEW);
}

OPERATOR void *_Znam(size_t size) __attribute__((alias("own_array_new")));
OPERATOR void *_ZnamSt11align_val_t(size_t size, size_t alignment)
    __attribute__((alias("own_aligned_array_new")));

/*
 * The forms that return NULL call the throwing ones and catch what they throw.
 * C cannot catch: when memory runs out, the runtime's own form does it.  The
 * archive leaves these forms to the runtime altogether, whose forms the linker
 * puts into the program and which call ours.
 */
#ifdef PIC
static PYM_COLD void *nothrow_new_failed(const char *name, size_t size, const void *tag)
{
    void *(*function)(size_t, const void *);
    *(void **)&function = runtime_function(name);
    return function != NULL ? function(size, tag) : NULL;
}

static PYM_COLD void *aligned_nothrow_new_failed(const char *name, size_t size,
                                                 size_t alignment, const void *tag)
{
    if (is_impossible(size)) {
        return nothrow_new_failed("_ZnwmRKSt9nothrow_t", size, tag);
    }
    void *(*function)(size_t, size_t, const void *);
    *(void **)&function = runtime_function(name);
    return function != NULL ? function(size, alignment, tag) : NULL;
}

/* ours: whether the throwing forms that the form stands for are not replaced. */
static void *nothrow_new(const char *name, bool ours, size_t size, const void *tag)
{
    void *block = ours ? PYM_FRONT(malloc)(size) : NULL;
    return PYM_LIKELY(block != NULL) ? block : nothrow_new_failed(name, size, tag);
}

static void *aligned_nothrow_new(const char *name, bool ours, size_t size,
                                 size_t alignment, const void *tag)
{
    void *block = ours ? PYM_FRONT(aligned)(alignment, size) : NULL;
    return PYM_LIKELY(block != NULL)
               ? block
               : aligned_nothrow_new_failed(name, size, alignment, tag);
}

OPERATOR void *_ZnwmRKSt9nothrow_t(size_t size, const void *tag)
{
    void *block =
        nothrow_new("_ZnwmRKSt9nothrow_t", IS_OURS(_Znwm, own_new), size, tag);
    return mark(block, PYM_BY_MALLOC, PYM_BY_NEW);
}

OPERATOR void *_ZnamRKSt9nothrow_t(size_t size, const void *tag)
{
    bool ours = IS_OURS(_Znwm, own_new) && IS_OURS(_Znam, own_array_new);
    void *block = nothrow_new("_ZnamRKSt9nothrow_t", ours, size, tag);
    return mark(block, PYM_BY_MALLOC, PYM_BY_ARRAY_NEW);
}

OPERATOR void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t size, size_t alignment,
                                                  const void *tag)
{
    bool ours = IS_OURS(_ZnwmSt11align_val_t, own_aligned_new);
    void *block = aligned_nothrow_new("_ZnwmSt11align_val_tRKSt9nothrow_t", ours, size,
                                      alignment, tag);
    return mark(block, PYM_BY_MALLOC, PYM_BY_NEW);
}

OPERATOR void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t size, size_t alignment,
                                                  const void *tag)
{
    bool ours = IS_OURS(_ZnwmSt11align_val_t, own_aligned_new) &&
                IS_OURS(_ZnamSt11align_val_t, own_aligned_array_new);
    void *block = aligned_nothrow_new("_ZnamSt11align_val_tRKSt9nothrow_t", ours, size,
                                      alignment, tag);
    return mark(block, PYM_BY_MALLOC, PYM_BY_ARRAY_NEW);
}
#endif

/* ---- operator delete: the size is not needed ---- */

static void own_delete(void *block)
{
    if (PYM_HARDENED && !are_ours()) {
        PYM_FRONT(free)(block);
    } else {
        pym_front_delete(block);
    }
}

static void own_aligned_delete(void *block, size_t alignment)
{
    (void)alignment;
    own_delete(block);
}

static void own_array_delete(void *block)
{
    check_array(block);
    _ZdlPv(block);
}

OPERATOR void _ZdlPv(void *block) __attribute__((alias("own_delete")));
OPERATOR void _ZdlPvSt11align_val_t(void *block, size_t alignment)
    __attribute__((alias("own_aligned_delete")));
OPERATOR void _ZdaPv(void *block) __attribute__((alias("own_array_delete")));

#define UNUSED __attribute__((unused))

#define DEFINE_DELETE(name, check, ...)                                                \
    void name(void *block, ##__VA_ARGS__);                                             \
    OPERATOR void name(void *block, ##__VA_ARGS__)                                     \
    {                                                                                  \
        check;                                                                         \
        _ZdlPv(block);                                                                 \
    }

#define DEFINE_ALIGNED_DELETE(name, check, ...)                                        \
    void name(void *block, ##__VA_ARGS__);                                             \
    OPERATOR void name(void *block, ##__VA_ARGS__)                                     \
    {                                                                                  \
        check;                                                                         \
        _ZdlPvSt11align_val_t(block, alignment);                                       \
    }

#define NO_CHECK (void)0
#define BOTH_CHECKS (check_size(block, size), check_array(block))

DEFINE_DELETE(_ZdlPvm, check_size(block, size), size_t size)
DEFINE_DELETE(_ZdaPvm, BOTH_CHECKS, size_t size)
DEFINE_DELETE(_ZdlPvRKSt9nothrow_t, NO_CHECK, const void *tag UNUSED)
DEFINE_DELETE(_ZdaPvRKSt9nothrow_t, check_array(block), const void *tag UNUSED)
DEFINE_ALIGNED_DELETE(_ZdaPvSt11align_val_t, check_array(block), size_t alignment)
DEFINE_ALIGNED_DELETE(_ZdlPvmSt11align_val_t, check_size(block, size), size_t size,
                      size_t alignment)
DEFINE_ALIGNED_DELETE(_ZdaPvmSt11align_val_t, BOTH_CHECKS, size_t size,
                      size_t alignment)
DEFINE_ALIGNED_DELETE(_ZdlPvSt11align_val_tRKSt9nothrow_t, NO_CHECK, size_t alignment,
                      const void *tag UNUSED)
DEFINE_ALIGNED_DELETE(_ZdaPvSt11align_val_tRKSt9nothrow_t, check_array(block),
                      size_t alignment, const void *tag UNUSED)
