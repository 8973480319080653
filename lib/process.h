/*
 * What the system tells of the process: memory, name, names of files.  Thread-safe;
 * nothing is kept.
 */
#ifndef PYM_PROCESS_H
#define PYM_PROCESS_H

#include "base.h"

/* Bytes; 0 for what the system does not tell. */
struct pym_process {
    uint64_t resident;
    uint64_t resident_peak;
    uint64_t virtual_size;
    uint64_t swapped;
    uint64_t huge; /* of anonymous memory: in huge pages */
    uint64_t threads;
};

void pym_process_get(struct pym_process *out);

/* The text of a file, cut to size - 1 bytes and ended by a NUL; its length.  0 if it
 * cannot be read. */
size_t pym_process_read(const char *file, char *text, size_t size);

/* The name that the kernel has for the process, without its end of line. */
void pym_process_name(char *name, size_t size);

/*
 * Opens the file that a pattern names, emptied, or a new one: in it %p stands for the
 * process's id, %n for number, and %% for a percent sign.  -1 if it cannot be opened,
 * after a warning.
 */
int pym_process_create(const char *pattern, unsigned number);

/* A copy of a descriptor, out of the way of those that programs expect to get; -1 if
 * there can be none. */
int pym_process_copy(int fd);
void pym_process_close(int fd);

#endif
