/* A C program, without the C++ runtime, that loads a C++ library late: operator
 * new of libpymalloc has to throw through a runtime that came after it. */
#include "support.h"

static int call(const char *name)
{
    static void *handle;
    int (*function)(void);
    if (!handle && !(handle = dlopen(PLUGIN_MODULE, RTLD_NOW | RTLD_LOCAL))) {
        tap_bail_out("dlopen: %s", dlerror());
    }
    void *address = dlsym(handle, name);
    if (!address) {
        tap_bail_out("dlsym: %s", dlerror());
    }
    memcpy(&function, &address, sizeof address);
    return function();
}

static void starts_without_cxx(void)
{
    CHECK(!dlsym(RTLD_DEFAULT, "__cxa_throw"), "the C++ runtime is there already");
}

static void uses_the_heap(void)
{
    struct pymalloc_totals before, after;
    pymalloc_stats(&before);
    CHECK(call("plugin_uses_the_heap"), "strings in a vector");
    pymalloc_stats(&after);
    CHECK(after.small_allocs > before.small_allocs + 400, "%ju small blocks",
          (uintmax_t)(after.small_allocs - before.small_allocs));
}

static void catches_bad_alloc(void)
{
    CHECK(call("plugin_catches_bad_alloc"), "bad_alloc of the four throwing forms");
}

static void calls_the_handler(void)
{
    CHECK(call("plugin_calls_the_handler"), "the new-handler");
}

static void nothrow_is_null(void)
{
    CHECK(call("plugin_nothrow_is_null"), "nothrow new");
}

static const struct tap_case cases[] = {
    {"the program starts without the C++ runtime", starts_without_cxx},
    {"the plugin's blocks are ours", uses_the_heap},
    {"the plugin can catch bad_alloc", catches_bad_alloc},
    {"the plugin's new-handler is called", calls_the_handler},
    {"the plugin's nothrow new gives null", nothrow_is_null},
};

int main(int argc, char **argv)
{
    require_pymalloc();
    return TAP_RUN(cases, argc, argv);
}
