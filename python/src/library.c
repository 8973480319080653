#include "library.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>

/* What the dynamic loader finds in its own places, if all else fails. */
#define SONAME "libpymalloc.so.0"

struct library library;

static bool is_loaded;
static char path[PATH_MAX];

/* A handle of the copy that every object in the process sees: one that was preloaded or
 * that the program is linked with. */
static void *handle_of_present(void)
{
    void *function = dlsym(RTLD_DEFAULT, "pymalloc_version");
    Dl_info info;
    if (function == NULL || dladdr(function, &info) == 0) {
        return NULL;
    }
    return dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
}

/* Never unloaded: the interpreter frees blocks of it until the process ends. */
static void *handle_of(const char *file)
{
    return file != NULL && *file != '\0'
               ? dlopen(file, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE)
               : NULL;
}

/* A library that the user has named is the one, or none is. */
static void *find_handle(void)
{
    void *handle = handle_of_present();
    const char *named = getenv("PYMALLOC_LIBRARY");
    if (handle != NULL || (named != NULL && *named != '\0')) {
        return handle != NULL ? handle : handle_of(named);
    }
    handle = handle_of(LIBRARY_FILE);
    return handle != NULL ? handle : handle_of(SONAME);
}

/* A search from a handle begins with the object itself, so this is the library's malloc
 * and not the process's. */
static bool look_up(void *handle)
{
#define LOOK_UP(member, name) (*(void **)&library.member = dlsym(handle, name)) != NULL
    return LOOK_UP(malloc, "malloc") && LOOK_UP(calloc, "calloc") &&
           LOOK_UP(free, "free") && LOOK_UP(usable_size, "malloc_usable_size") &&
           LOOK_UP(owns, "pymalloc_owns") && LOOK_UP(version, "pymalloc_version") &&
           LOOK_UP(stats_json, "pymalloc_stats_json") &&
           LOOK_UP(purge, "pymalloc_purge") &&
           LOOK_UP(option_get, "pymalloc_option_get") &&
           LOOK_UP(option_set, "pymalloc_option_set") &&
           LOOK_UP(verify, "pymalloc_verify");
#undef LOOK_UP
}

/* Whether malloc, as everybody in the process calls it, is the library's.  The address
 * decides; in a program that is not position-independent it may be that of a jump, and
 * then a block does. */
static bool is_process_malloc(void)
{
    void *volatile block = malloc(1);
    bool owned = block != NULL && library.owns(block);
    free(block);
    return owned || dlsym(RTLD_DEFAULT, "malloc") == *(void **)&library.malloc;
}

static void remember_path(void)
{
    Dl_info info;
    if (dladdr(*(void **)&library.version, &info) != 0 &&
        realpath(info.dli_fname, path) != NULL) {
        library.path = path;
    }
}

const char *library_load(void)
{
    static char reason[1024];
    if (is_loaded) {
        return NULL;
    }
    (void)dlerror();
    void *handle = find_handle();
    if (handle == NULL || !look_up(handle)) {
        const char *error = dlerror();
        (void)snprintf(
            reason, sizeof(reason),
            "libpymalloc cannot be loaded (PYMALLOC_LIBRARY can name it): %s",
            error != NULL ? error : "no such library");
        return reason;
    }
    remember_path();
    library.preloaded = is_process_malloc();
    is_loaded = true;
    return NULL;
}
