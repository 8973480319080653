/* RTLD_DEEPBIND binds a library to the C library's malloc past any preload, and
 * its free would then meet our blocks: so dlopen takes the flag off.  Where a
 * library is bound so all the same, the program can free and grow what it hands
 * out. */
#include "support.h"

#include <malloc.h>

static void *(*module_malloc)(size_t);
static void *(*module_memalign)(size_t, size_t);
static char *(*module_strdup)(const char *);
static int (*module_work)(int);

static const size_t sizes[] = {0, 1, 24, 100, 512, 513, 2000, 40000, 200000, 3 << 20};

static void symbol(void *handle, void *function, const char *name)
{
    void *address = dlsym(handle, name);
    if (!address) {
        tap_bail_out("dlsym: %s", dlerror());
    }
    memcpy(function, &address, sizeof address);
}

static const int deep = RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND;

static void bind(void *handle)
{
    if (!handle) {
        tap_bail_out("dlopen: %s", dlerror());
    }
    symbol(handle, &module_malloc, "module_malloc");
    symbol(handle, &module_memalign, "module_memalign");
    symbol(handle, &module_strdup, "module_strdup");
    symbol(handle, &module_work, "module_work");
}

static void the_flag_is_taken_off(void)
{
    bind(dlopen(DEEPBIND_MODULE, deep));
    void *p = module_malloc(100);
    CHECK(pymalloc_owns(p), "the module's malloc is not ours");
    free(p);
    CHECK(module_work(1000), "the module ran out of memory");
}

/* A file is loaded once only, hence a copy of it, without a name. */
static int copy_of_module(void)
{
    char chunk[4096];
    ssize_t n;
    int from = open(DEEPBIND_MODULE, O_RDONLY | O_CLOEXEC);
    int to = memfd_create("module", MFD_CLOEXEC);
    while ((n = read(from, chunk, sizeof chunk)) > 0) {
        if (write(to, chunk, (size_t)n) != n) {
            break;
        }
    }
    close(from);
    return to;
}

/* The C library's dlopen, past ours: the flag counts. */
static void a_module_can_bypass_us(void)
{
    char path[64];
    void *(*libc_dlopen)(const char *, int);
    void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
    if (!libc) {
        tap_bail_out("dlopen: %s", dlerror());
    }
    symbol(libc, &libc_dlopen, "dlopen");
    snprintf(path, sizeof path, "/proc/self/fd/%d", copy_of_module());
    bind(libc_dlopen(path, deep));
    void *p = module_malloc(100);
    CHECK(!pymalloc_owns(p), "the module got a block of ours, so this proves nothing");
    free(p);
}

static void its_blocks_can_be_freed(void)
{
    for (int round = 0; round < 100; round++) {
        for (size_t i = 0; i < COUNT_OF(sizes); i++) {
            void *p = module_malloc(sizes[i]), *q = module_memalign(128, sizes[i]);
            CHECK(malloc_usable_size(p) >= sizes[i], "%zu bytes", sizes[i]);
            CHECK(malloc_usable_size(q) >= sizes[i], "%zu bytes", sizes[i]);
            free(p);
            free(q);
        }
        free(module_strdup("a string of the module"));
    }
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
}

static void its_blocks_can_grow(void)
{
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        void *p = module_malloc(sizes[i]);
        pattern_fill(p, sizes[i], i);
        p = realloc(p, sizes[i] * 2 + 50);
        CHECK(p && pattern_holds(p, sizes[i], i), "%zu bytes", sizes[i]);
        free(p);
    }
}

static void it_works_beside_us(void)
{
    for (int i = 0; i < 20; i++) {
        void *p = malloc(100), *q = malloc(5000);
        CHECK(module_work(1000), "the module ran out of memory");
        free(p);
        free(q);
    }
    malloc_trim(0);
    CHECK(module_work(1000), "the module ran out of memory");
}

static const struct tap_case cases[] = {
    {"RTLD_DEEPBIND is taken off", the_flag_is_taken_off},
    {"a module bypasses libpymalloc", a_module_can_bypass_us},
    {"its blocks can be freed", its_blocks_can_be_freed},
    {"its blocks can grow", its_blocks_can_grow},
    {"it works beside libpymalloc", it_works_beside_us},
};

int main(int argc, char **argv)
{
    require_pymalloc();
    return TAP_RUN(cases, argc, argv);
}
