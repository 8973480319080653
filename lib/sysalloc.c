#include "sysalloc.h"

#include "atomic.h"
#include "os.h"

#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <string.h>

#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

/* ---- a static buffer for what the lookup allocates ---- */

enum { BOOT_SIZE = 16384 };

static char boot_space[BOOT_SIZE] PYM_ALIGNED(PYM_CACHE_LINE) PYM_RARE_TABLE;
static _Atomic size_t boot_used;

static bool boot_owns(const void *block)
{
    return (uintptr_t)block - (uintptr_t)boot_space < BOOT_SIZE;
}

/* The word before a block says its size, as glibc's does. */
static void *boot_malloc(size_t size)
{
    size_t step = pym_round_up(size, PYM_GRAIN) + PYM_GRAIN;
    /* models/once.pml: boot */
    size_t at = atomic_fetch_add_explicit(&boot_used, step, memory_order_relaxed);
    if (size > BOOT_SIZE || at + step > BOOT_SIZE) {
        errno = ENOMEM;
        return NULL;
    }
    char *block = boot_space + at + PYM_GRAIN;
    ((size_t *)(void *)block)[-1] = (step - PYM_GRAIN + PYM_CHUNK_HEADER);
    return block;
}

static size_t boot_usable_size(const void *block)
{
    return (pym_sysalloc_chunk_word(block) & ~(size_t)PYM_CHUNK_FLAGS) -
           PYM_CHUNK_HEADER;
}

/* ---- a stand-in where no allocator is linked: one mapping a block ---- */

static size_t pages_usable_size(void *block)
{
    return boot_usable_size(block);
}

/* Two words before the block: how far it lies into its mapping, and the word
 * that glibc has there, too. */
static void *pages_memalign(size_t alignment, size_t size)
{
    size_t page = pym_os_page_size();
    size_t offset = alignment > PYM_GRAIN ? alignment : PYM_GRAIN;
    size_t slack = offset > page ? offset : 0;
    if (size > PTRDIFF_MAX || offset > PTRDIFF_MAX - size - slack - page) {
        errno = ENOMEM;
        return NULL;
    }
    size_t span = pym_round_up(size + offset + slack, page);
    char *start = pym_os_map(span);
    if (start == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    char *block = (char *)pym_round_up((uintptr_t)start + PYM_GRAIN, offset);
    size_t before = (size_t)(block - start);
    ((size_t *)(void *)block)[-2] = before;
    ((size_t *)(void *)block)[-1] = (span - before + PYM_CHUNK_HEADER) | 1;
    return block;
}

static void *pages_malloc(size_t size)
{
    return pages_memalign(PYM_GRAIN, size);
}

static void pages_free(void *block)
{
    if (block != NULL) {
        size_t before = ((size_t *)block)[-2];
        pym_os_unmap((char *)block - before, before + pages_usable_size(block));
    }
}

static void *pages_calloc(size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return pages_malloc(bytes);
}

static void *pages_realloc(void *block, size_t size)
{
    if (block == NULL) {
        return pages_malloc(size);
    }
    if (size == 0) {
        pages_free(block);
        return NULL;
    }
    size_t old = pages_usable_size(block);
    if (size <= old && size > old / 2) {
        return block;
    }
    void *moved = pages_malloc(size);
    if (moved != NULL) {
        memcpy(moved, block, old < size ? old : size);
        pages_free(block);
    }
    return moved;
}

/* ---- the lookup ---- */

enum { UNKNOWN, LOOKING, KNOWN };
static _Atomic int progress;
static __thread bool looking __attribute__((tls_model("initial-exec")));

/*
 * In the static archive dlsym is a weak reference: a dynamic program has it, a
 * fully static one does without.  glibc's own names for its functions serve
 * there, and wherever the search in link order finds nothing.
 */
#ifndef PIC
#pragma weak dlsym
#pragma weak dladdr
#endif
#ifdef DLFO_STRUCT_HAS_EH_DBASE /* glibc from 2.35 on */
#pragma weak _dl_find_object
#endif
#pragma weak __libc_malloc
#pragma weak __libc_calloc
#pragma weak __libc_realloc
#pragma weak __libc_free
#pragma weak __libc_memalign
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void __libc_free(void *block);
extern void *__libc_memalign(size_t alignment, size_t size);

static void *next_symbol(const char *name)
{
#ifndef PIC
    if (dlsym == NULL) {
        return NULL;
    }
#endif
    /* A sanitizer's malloc may be the program's own; builds for them have none here. */
    return dlsym(PYM_ASAN || PYM_TSAN ? RTLD_DEFAULT : RTLD_NEXT, name);
}

/* What tells the object that a function lies in from others: where it begins; NULL if
 * unknown.  dladdr reads all symbols of the object each time, a hundred thousand
 * instructions at the start of every process.  (dl_iterate_phdr would do with few, but
 * a sanitizer may have it and not be ready.) */
static void *object_of(void *function)
{
#ifdef DLFO_STRUCT_HAS_EH_DBASE
    struct dl_find_object found;
    if (_dl_find_object != NULL) {
        return _dl_find_object(function, &found) == 0 ? found.dlfo_map_start : NULL;
    }
#endif
#ifndef PIC
    if (dladdr == NULL) {
        return NULL;
    }
#endif
    Dl_info info;
    return function != NULL && dladdr(function, &info) != 0 ? info.dli_fbase : NULL;
}

/* A service that must come from the same object as malloc, or not at all. */
static void *sibling_symbol(const char *name, void *object)
{
    void *function = next_symbol(name);
    return object_of(function) == object ? function : NULL;
}

static bool is_glibc(void *object)
{
#ifdef __GLIBC__
    const char *(*function)(void) = gnu_get_libc_version;
    return object != NULL && object == object_of(*(void **)&function);
#else
    (void)object;
    return false;
#endif
}

/* musl's memalign calls aligned_alloc by its name, which is ours. */
#ifdef __GLIBC__
#define MEMALIGN "memalign"
#else
#define MEMALIGN "aligned_alloc"
#endif

/* jemalloc's.  As a weak reference, since dlsym allocates where it finds nothing. */
#pragma weak mallctl
extern int mallctl(const char *name, void *old, size_t *old_size, void *value,
                   size_t size);

static bool find_next(struct pym_sysalloc *found)
{
    int (*control)(const char *, void *, size_t *, void *, size_t) = mallctl;
    void *malloc_function = next_symbol("malloc");
    if (malloc_function == NULL) {
        return false;
    }
    void *object = object_of(malloc_function);
    *(void **)&found->malloc = malloc_function;
    *(void **)&found->calloc = next_symbol("calloc");
    *(void **)&found->realloc = next_symbol("realloc");
    *(void **)&found->free = next_symbol("free");
    *(void **)&found->memalign = next_symbol(MEMALIGN);
    *(void **)&found->usable_size = sibling_symbol("malloc_usable_size", object);
    *(void **)&found->trim = sibling_symbol("malloc_trim", object);
    *(void **)&found->tune = sibling_symbol("mallopt", object);
    *(void **)&found->info = sibling_symbol("mallinfo2", object);
    found->control = object_of(*(void **)&control) == object ? control : NULL;
    found->has_word = is_glibc(object);
    return found->calloc != NULL && found->realloc != NULL && found->free != NULL &&
           found->memalign != NULL;
}

static size_t chunk_usable_size(void *block)
{
    size_t word = pym_sysalloc_chunk_word(block);
    size_t trailer = word & PYM_CHUNK_MAPPED ? PYM_CHUNK_HEADER : 0;
    return (word & ~(size_t)PYM_CHUNK_FLAGS) - PYM_CHUNK_HEADER - trailer;
}

static bool find_glibc(struct pym_sysalloc *found)
{
    if (__libc_malloc == NULL || __libc_calloc == NULL || __libc_realloc == NULL ||
        __libc_free == NULL || __libc_memalign == NULL) {
        return false;
    }
    *found = (struct pym_sysalloc){
        .malloc = __libc_malloc,
        .calloc = __libc_calloc,
        .realloc = __libc_realloc,
        .free = __libc_free,
        .memalign = __libc_memalign,
        .usable_size = chunk_usable_size,
        .has_word = true,
    };
    return true;
}

static const struct pym_sysalloc pages = {
    .malloc = pages_malloc,
    .calloc = pages_calloc,
    .realloc = pages_realloc,
    .free = pages_free,
    .memalign = pages_memalign,
    .usable_size = pages_usable_size,
    .has_word = true,
};

/* Blocks of the static buffer outlive the lookup, so the three functions that
 * take a block look for them first.  They are never seen on a fast path. */
static struct pym_sysalloc target;

static void *guarded_realloc(void *block, size_t size)
{
    if (PYM_LIKELY(!boot_owns(block))) {
        return target.realloc(block, size);
    }
    size_t old = boot_usable_size(block);
    void *moved = target.malloc(size);
    if (moved != NULL) {
        memcpy(moved, block, old < size ? old : size);
    }
    return moved;
}

static void guarded_free(void *block)
{
    if (PYM_LIKELY(!boot_owns(block))) {
        target.free(block);
    }
}

static size_t guarded_usable_size(void *block)
{
    return boot_owns(block) ? boot_usable_size(block) : target.usable_size(block);
}

static void publish(void)
{
    /* models/once.pml: guard */
    bool guard = atomic_load_explicit(&boot_used, memory_order_relaxed) != 0;
    struct pym_sysalloc public = target;
    if (guard) {
        public.realloc = guarded_realloc;
        public.free = guarded_free;
        public.usable_size = target.usable_size != NULL ? guarded_usable_size : NULL;
    }
    /* models/once.pml: publish */
    pym_sysalloc = public;
}

/* Whether the system allocator can be called; false only for the thread that
 * is looking it up at this moment. */
/* models/once.pml: look_up */
static PYM_COLD bool look_up(void)
{
    if (looking) {
        return false;
    }
    int expected = UNKNOWN;
    /* models/once.pml: begin */
    if (!atomic_compare_exchange_strong_explicit(&progress, &expected, LOOKING,
                                                 memory_order_acquire,
                                                 memory_order_acquire)) {
        /* models/once.pml: wait */
        while (atomic_load_explicit(&progress, memory_order_acquire) != KNOWN) {
            (void)sched_yield();
        }
        return true;
    }
    looking = true;
    int saved = errno;
    /* models/once.pml: find */
    if (!find_next(&target) && !find_glibc(&target)) {
        target = pages;
    }
    errno = saved;
    publish();
    looking = false;
    /* models/once.pml: known */
    atomic_store_explicit(&progress, KNOWN, memory_order_release);
    return true;
}

void pym_sysalloc_init(void)
{
    (void)look_up();
}

/* ---- what the members are before the lookup ---- */

static void *first_malloc(size_t size)
{
    return look_up() ? pym_sysalloc.malloc(size) : boot_malloc(size);
}

static void *first_calloc(size_t count, size_t size)
{
    if (look_up()) {
        return pym_sysalloc.calloc(count, size);
    }
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes)) {
        errno = ENOMEM;
        return NULL;
    }
    return boot_malloc(bytes); /* never used before, so it is zero */
}

static void *first_realloc(void *block, size_t size)
{
    if (look_up()) {
        return pym_sysalloc.realloc(block, size);
    }
    void *moved = boot_malloc(size);
    if (moved != NULL && block != NULL) {
        size_t old = boot_usable_size(block);
        memcpy(moved, block, old < size ? old : size);
    }
    return moved;
}

static void first_free(void *block)
{
    if (look_up()) {
        pym_sysalloc.free(block);
    }
}

static void *first_memalign(size_t alignment, size_t size)
{
    if (look_up()) {
        return pym_sysalloc.memalign(alignment, size);
    }
    if (alignment > PYM_GRAIN) {
        errno = ENOMEM;
        return NULL;
    }
    return boot_malloc(size);
}

static size_t first_usable_size(void *block)
{
    return look_up() && pym_sysalloc.usable_size != NULL
               ? pym_sysalloc.usable_size(block)
               : boot_usable_size(block);
}

struct pym_sysalloc pym_sysalloc = {
    .malloc = first_malloc,
    .calloc = first_calloc,
    .realloc = first_realloc,
    .free = first_free,
    .memalign = first_memalign,
    .usable_size = first_usable_size,
};

/* ---- after a fork ---- */

static bool may_hang;

void pym_sysalloc_after_fork(bool is_known)
{
    may_hang = !is_known;
}

bool pym_sysalloc_may_hang(void)
{
    return may_hang;
}
