/*
 * What the system tells of the process: memory, name, names of files; and descriptors
 * that outlive what programs do to theirs.  Thread-safe, but for a descriptor's owner,
 * who alone keeps and drops it; nothing else is kept.
 */
#ifndef PYM_PROCESS_H
#define PYM_PROCESS_H

#include "base.h"

#include <sys/types.h>

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

/* Whether the calling thread, not the first, is the only one left: the first has ended
 * by pthread_exit, and all others are gone.  false if the system does not tell. */
bool pym_process_is_last_thread(void);

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

void pym_process_close(int fd);

/* A program may close all descriptors, and get ours for files of its own: so which file
 * it was is remembered, and looked at before each use. */
struct pym_descriptor {
    int fd; /* -1: none */
    dev_t device;
    ino_t inode;
};

#define PYM_NO_DESCRIPTOR                                                              \
    {                                                                                  \
        .fd = -1                                                                       \
    }

/* Remembers the file that fd is, which may be -1. */
void pym_process_keep(struct pym_descriptor *descriptor, int fd);

/* The same of a copy, out of the way of those that programs expect to get; of fd itself
 * if there can be no copy. */
void pym_process_keep_copy(struct pym_descriptor *descriptor, int fd);

bool pym_process_is_ours(const struct pym_descriptor *descriptor);

/* Closes it if it is still ours. */
void pym_process_drop(struct pym_descriptor *descriptor);

#endif
