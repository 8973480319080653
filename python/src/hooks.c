#include "hooks.h"

#include "library.h"

#include <Python.h>

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define LIKELY(condition) __builtin_expect(!!(condition), 1)
#define UNLIKELY(condition) __builtin_expect(!!(condition), 0)
#define INLINE static inline __attribute__((always_inline))
#define CACHE_LINE 64

const char *const hooks_names[HOOKS_DOMAINS] = {"raw", "mem", "obj"};

static const PyMemAllocatorDomain python_domain[HOOKS_DOMAINS] = {
    PYMEM_DOMAIN_RAW,
    PYMEM_DOMAIN_MEM,
    PYMEM_DOMAIN_OBJ,
};

/*
 * Hooks find their domain here and not by the context that CPython passes: it replaces
 * function by function while other threads call them, so a call can have the old
 * context.  "former" is written before any of them can be called.
 */
static struct hook {
    PyMemAllocatorEx former;
    bool is_set;
    atomic_bool serving;
    atomic_size_t allocs, frees, passed_on, live_bytes, peak_bytes;
} __attribute__((aligned(CACHE_LINE))) hooks[HOOKS_DOMAINS];

static pthread_mutex_t changing = PTHREAD_MUTEX_INITIALIZER;

/* Which functions these are: the compiler knows it, and makes a set of them for each.
 */
struct kind {
    enum hooks_domain domain;
    bool counted;
};

/* ---- counters ---- */

INLINE size_t load(atomic_size_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* Returns the new value.  Only the raw domain is used without the GIL. */
INLINE size_t add(enum hooks_domain domain, atomic_size_t *counter, size_t amount)
{
    if (domain == HOOKS_RAW) {
        return atomic_fetch_add_explicit(counter, amount, memory_order_relaxed) +
               amount;
    }
    size_t sum = load(counter) + amount;
    atomic_store_explicit(counter, sum, memory_order_relaxed);
    return sum;
}

static void raise_peak(struct hook *hook, size_t bytes)
{
    size_t peak = load(&hook->peak_bytes);
    while (peak < bytes && !atomic_compare_exchange_weak_explicit(
                               &hook->peak_bytes, &peak, bytes, memory_order_relaxed,
                               memory_order_relaxed)) {
    }
}

INLINE void count_alloc(struct kind kind, void *block)
{
    if (!kind.counted) {
        return;
    }
    enum hooks_domain domain = kind.domain;
    struct hook *hook = &hooks[domain];
    (void)add(domain, &hook->allocs, 1);
    size_t bytes = add(domain, &hook->live_bytes, library.usable_size(block));
    if (UNLIKELY(bytes > load(&hook->peak_bytes))) {
        raise_peak(hook, bytes);
    }
}

INLINE void count_free(struct kind kind, void *block)
{
    if (!kind.counted) {
        return;
    }
    enum hooks_domain domain = kind.domain;
    struct hook *hook = &hooks[domain];
    (void)add(domain, &hook->frees, 1);
    (void)add(domain, &hook->live_bytes, 0 - library.usable_size(block));
}

INLINE void count_passed_on(struct kind kind)
{
    if (kind.counted) {
        (void)add(kind.domain, &hooks[kind.domain].passed_on, 1);
    }
}

/* ---- the domain's four functions ---- */

INLINE bool is_served(struct kind kind, size_t size)
{
    return LIKELY(size <= PYMALLOC_SMALL_MAX) &&
           LIKELY(
               atomic_load_explicit(&hooks[kind.domain].serving, memory_order_relaxed));
}

/* What the library has handed out, if it is to be kept; else NULL. */
INLINE void *keep(struct kind kind, void *block)
{
    if (UNLIKELY(!library.owns(block))) {
        library.free(block);
        return NULL;
    }
    count_alloc(kind, block);
    return block;
}

/* CPython wants an address of its own for 0 bytes, too. */
INLINE void *hook_malloc(struct kind kind, size_t size)
{
    if (is_served(kind, size)) {
        void *block = keep(kind, library.malloc(size + (size == 0)));
        if (LIKELY(block != NULL)) {
            return block;
        }
    }
    count_passed_on(kind);
    const PyMemAllocatorEx *former = &hooks[kind.domain].former;
    return former->malloc(former->ctx, size);
}

INLINE void *hook_calloc(struct kind kind, size_t count, size_t each)
{
    size_t size;
    if (!__builtin_mul_overflow(count, each, &size) && is_served(kind, size)) {
        void *block = keep(kind, library.calloc(1, size + (size == 0)));
        if (LIKELY(block != NULL)) {
            return block;
        }
    }
    count_passed_on(kind);
    const PyMemAllocatorEx *former = &hooks[kind.domain].former;
    return former->calloc(former->ctx, count, each);
}

INLINE void hook_free(struct kind kind, void *block)
{
    if (LIKELY(library.owns(block))) {
        count_free(kind, block);
        library.free(block);
        return;
    }
    const PyMemAllocatorEx *former = &hooks[kind.domain].former;
    former->free(former->ctx, block);
}

/* A block of ours that the new size neither fits into nor leaves mostly empty is moved:
 * wherever the new one comes from, the old one's size is known.  That of the former
 * allocator's blocks is not, so they stay there. */
INLINE void *hook_realloc(struct kind kind, void *block, size_t size)
{
    if (block == NULL) {
        return hook_malloc(kind, size);
    }
    if (!library.owns(block)) {
        count_passed_on(kind);
        const PyMemAllocatorEx *former = &hooks[kind.domain].former;
        return former->realloc(former->ctx, block, size);
    }
    size_t usable = library.usable_size(block);
    if (size <= usable && size >= usable / 2) {
        return block;
    }
    void *moved = hook_malloc(kind, size);
    if (moved != NULL) {
        memcpy(moved, block, usable < size ? usable : size);
        hook_free(kind, block);
    }
    return moved;
}

#define DEFINE(name, ...)                                                              \
    static void *name##_malloc(void *context, size_t size)                             \
    {                                                                                  \
        (void)context;                                                                 \
        return hook_malloc((struct kind){__VA_ARGS__}, size);                          \
    }                                                                                  \
    static void *name##_calloc(void *context, size_t count, size_t each)               \
    {                                                                                  \
        (void)context;                                                                 \
        return hook_calloc((struct kind){__VA_ARGS__}, count, each);                   \
    }                                                                                  \
    static void *name##_realloc(void *context, void *block, size_t size)               \
    {                                                                                  \
        (void)context;                                                                 \
        return hook_realloc((struct kind){__VA_ARGS__}, block, size);                  \
    }                                                                                  \
    static void name##_free(void *context, void *block)                                \
    {                                                                                  \
        (void)context;                                                                 \
        hook_free((struct kind){__VA_ARGS__}, block);                                  \
    }
#define SET(name)                                                                      \
    {                                                                                  \
        NULL, name##_malloc, name##_calloc, name##_realloc, name##_free                \
    }
DEFINE(raw, HOOKS_RAW, false)
DEFINE(mem, HOOKS_MEM, false)
DEFINE(obj, HOOKS_OBJ, false)
DEFINE(counted_raw, HOOKS_RAW, true)
DEFINE(counted_mem, HOOKS_MEM, true)
DEFINE(counted_obj, HOOKS_OBJ, true)

static PyMemAllocatorEx plain[HOOKS_DOMAINS] = {SET(raw), SET(mem), SET(obj)};
static PyMemAllocatorEx counted[HOOKS_DOMAINS] = {
    SET(counted_raw),
    SET(counted_mem),
    SET(counted_obj),
};
#undef SET
#undef DEFINE

/* ---- setting them ---- */

/*
 * Whether somebody else's hooks are in a domain.  Who has put them there may take them
 * out again by setting what was there before, and ours would be gone with them while
 * blocks are live.  CPython has a name for each of its own allocators and none for a
 * stranger's; a version that does not tell is trusted.
 */
static bool has_strangers(void)
{
    const char *(*name_of_current)(void);
    *(void **)&name_of_current = dlsym(RTLD_DEFAULT, "_PyMem_GetCurrentAllocatorName");
    for (size_t i = 0; i < HOOKS_DOMAINS; i++) {
        if (hooks[i].is_set) {
            return false; /* no name either; the first time has answered this */
        }
    }
    return name_of_current != NULL && name_of_current() == NULL;
}

static const char *reason_against(unsigned domains)
{
#ifdef Py_GIL_DISABLED
    if ((domains & ~(1u << HOOKS_RAW)) != 0) {
        return "a free-threaded Python walks its own pools to find garbage: only the "
               "domain raw can be another allocator's";
    }
#else
    (void)domains;
#endif
    if (library.preloaded) {
        return "libpymalloc is the process's malloc already; with PYTHONMALLOC=malloc "
               "in "
               "the environment it serves all domains";
    }
    if (has_strangers()) {
        return "another allocator's hooks are in use";
    }
    return NULL;
}

static void set(enum hooks_domain domain, bool is_counted)
{
    struct hook *hook = &hooks[domain];
    atomic_store(&hook->serving, true);
    if (!hook->is_set) {
        PyMem_GetAllocator(python_domain[domain], &hook->former);
        atomic_thread_fence(memory_order_seq_cst);
        PyMem_SetAllocator(python_domain[domain],
                           is_counted ? &counted[domain] : &plain[domain]);
        hook->is_set = true;
    }
}

const char *hooks_start(unsigned domains, bool is_counted)
{
    (void)pthread_mutex_lock(&changing);
    const char *reason = reason_against(domains);
    for (unsigned i = 0; reason == NULL && i < HOOKS_DOMAINS; i++) {
        if ((domains >> i & 1) != 0) {
            set((enum hooks_domain)i, is_counted);
        }
    }
    (void)pthread_mutex_unlock(&changing);
    return reason;
}

void hooks_stop(unsigned domains)
{
    for (unsigned i = 0; i < HOOKS_DOMAINS; i++) {
        if ((domains >> i & 1) != 0) {
            atomic_store(&hooks[i].serving, false);
        }
    }
}

bool hooks_are_serving(enum hooks_domain domain)
{
    return atomic_load(&hooks[domain].serving);
}

struct hooks_counts hooks_count(enum hooks_domain domain)
{
    struct hook *hook = &hooks[domain];
    return (struct hooks_counts){
        .allocs = load(&hook->allocs),
        .frees = load(&hook->frees),
        .passed_on = load(&hook->passed_on),
        .live_bytes = load(&hook->live_bytes),
        .peak_bytes = load(&hook->peak_bytes),
    };
}
