/*
 * libpymalloc as this extension finds it: a copy that is in the process already, or one
 * that it loads.
 *
 * It is loaded by name and its functions are looked up one by one, instead of being
 * linked with, for two reasons.  The extension's own "malloc" is bound to the process's
 * allocator, whatever it is linked with, because the program was there first: so the
 * library's malloc has to be looked up anyway.  And where the hardened library is
 * preloaded, linking would bring the plain one in as well, with a heap of its own.
 *
 * Everything is set by library_load and never changes after it.
 */
#ifndef PYMALLOC_PYTHON_LIBRARY_H
#define PYMALLOC_PYTHON_LIBRARY_H

#include <pymalloc/pymalloc.h>
#include <stdbool.h>
#include <stdlib.h>

struct library {
    const char *path;
    bool preloaded; /* the process's malloc is the library's */

    __typeof__(malloc) *malloc;
    __typeof__(calloc) *calloc;
    __typeof__(free) *free;
    size_t (*usable_size)(void *block);
    __typeof__(pymalloc_owns) *owns;
    __typeof__(pymalloc_version) *version;
    __typeof__(pymalloc_stats_json) *stats_json;
    __typeof__(pymalloc_purge) *purge;
    __typeof__(pymalloc_option_get) *option_get;
    __typeof__(pymalloc_option_set) *option_set;
    __typeof__(pymalloc_verify) *verify;
};

extern struct library library;

/* Fills library in, the first time; interpreters of one process share it.  Returns
 * NULL, or why it could not. */
const char *library_load(void);

#endif
