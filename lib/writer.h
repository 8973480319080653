/*
 * Text for a descriptor, gathered in a buffer of the caller's structure.  One thread's.
 */
#ifndef PYM_WRITER_H
#define PYM_WRITER_H

#include "base.h"

struct pym_writer {
    int fd;
    bool has_failed; /* the descriptor takes no more */
    size_t length;
    char text[2048];
};

void pym_writer_begin(struct pym_writer *writer, int fd);
void pym_writer_put(struct pym_writer *writer, const char *text, size_t length);

/* A line's length at most; see print.h. */
void pym_writer_print(struct pym_writer *writer, const char *format, ...);

/* Writes what is left; tells whether everything was written. */
bool pym_writer_finish(struct pym_writer *writer);

#endif
