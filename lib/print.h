/*
 * Formatted text without stdio and without allocation: into a buffer, or
 * through a small stack buffer to a descriptor.
 *
 * Understood: %s, %d (int), %u (unsigned), %lu (unsigned long), %zu (size_t),
 * %p, %%, and %h (size_t): bytes for people, such as "12.3 MiB".  Thread-safe;
 * errno is left alone.
 */
#ifndef PYM_PRINT_H
#define PYM_PRINT_H

#include "base.h"

#include <stdarg.h>

/* Writes at most size - 1 bytes and a NUL; returns the length of the whole
 * text, as snprintf does. */
size_t pym_print_text(char *out, size_t size, const char *format, ...);
size_t pym_print_vtext(char *out, size_t size, const char *format, va_list args);

/* One write(2) of at most a line's length: longer text is cut. */
void pym_print(int fd, const char *format, ...);

#endif
