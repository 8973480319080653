/*
 * The boundary with the operating system.
 *
 * Mechanism only: no function here retries, decides or remembers anything but
 * constants of the machine.  Functions that can fail return 0 or an errno
 * value, or NULL; none changes errno, none allocates, all are thread-safe.
 * Memory calls go straight to the kernel, so that a program's own mmap wrapper
 * never runs inside malloc.
 */
#ifndef PYM_OS_H
#define PYM_OS_H

#include "base.h"

#include <sys/types.h>

/* The page size in bytes, a power of two, found at run time. */
size_t pym_os_page_size(void);

/* Reserves size bytes of addresses, aligned, without memory behind them, not in core
 * files, and without huge pages but those that are asked for below. */
void *pym_os_reserve(size_t size, size_t alignment);

/* Makes reserved, page-aligned memory usable; it reads as zero at first. */
int pym_os_commit(void *start, size_t size);

/* Undoes that: gives the memory back, and nothing can be accessed there. */
int pym_os_decommit(void *start, size_t size);

/* Asks for huge pages where memory is not there yet; size may end within a page. */
void pym_os_want_huge(void *start, size_t size);

/* Whether there is memory behind a page: 1 or 0; -1 if nothing is mapped there. */
int pym_os_is_resident(void *page);

/* Puts memory behind a usable range now, all at once. */
int pym_os_populate(void *start, size_t size);

/* The same in huge pages, where the system has them for the asking.  None are asked for
 * there later: one that was given back in part is not filled up again. */
int pym_os_populate_huge(void *start, size_t size);

/* Gives the memory behind a committed range back; it then reads as zero. */
int pym_os_purge(void *start, size_t size);

/* Maps and unmaps readable, writable, zeroed pages. */
void *pym_os_map(size_t size);
void pym_os_unmap(void *start, size_t size);

/* Fills size bytes, at most 256, with random ones.  Before the system has gathered
 * any, they are what differs from process to process all the same. */
void pym_os_random(void *out, size_t size);

/* Milliseconds of a monotonic clock of a few milliseconds' grain; cheap. */
uint64_t pym_os_now_ms(void);

/* The same since the process was marked (below). */
uint64_t pym_os_uptime_ms(void);

/* Nanoseconds of a monotonic clock. */
uint64_t pym_os_clock_ns(void);

/* Nanoseconds since the epoch. */
uint64_t pym_os_date_ns(void);

/* Resident bytes of the process; 0 if the system does not tell. */
uint64_t pym_os_resident(void);

/* The soft limit on the address space in bytes; SIZE_MAX if there is none. */
size_t pym_os_address_limit(void);

/* Files, without cancellation points: to read one, to empty or make one to write, -1 if
 * that cannot be; bytes that were read, 0 at the end.  Write tells whether the
 * descriptor took everything. */
int pym_os_open(const char *name);
int pym_os_create(const char *name);
size_t pym_os_read(int fd, char *buf, size_t size);
bool pym_os_write(int fd, const char *buf, size_t size);
void pym_os_close(int fd);

/* The kernel's ids of the calling thread and of its process. */
int pym_os_thread_id(void);
int pym_os_process_id(void);

/*
 * Tells a process from a copy of it that fork made: mark, then ask.  A child of
 * vfork, which shares the memory, is no copy.  can_tell is false on systems
 * without the means; is_copy is then false as well.
 */
void pym_os_mark_process(void);
bool pym_os_can_tell_copy(void);
bool pym_os_is_copy(void);

/* Lets other threads run. */
void pym_os_yield(void);

/* Sleeps for a few microseconds: unlike yielding, that lets threads of lower
 * priority run. */
void pym_os_nap(void);

/* Sleeps while *word == expected; wakes one sleeper. */
void pym_os_futex_wait(void *word, uint32_t expected);
void pym_os_futex_wake(void *word);

#endif
