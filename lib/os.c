#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* musl's compiler wrapper does not see the kernel's headers. */
#if __has_include(<linux/futex.h>)
#include <linux/futex.h>
#else
enum { FUTEX_WAIT_PRIVATE = 128, FUTEX_WAKE_PRIVATE = 129 };
#endif

static long raw_call6(long number, long a, long b, long c, long d, long e, long f)
{
    int saved = errno;
    long result = syscall(number, a, b, c, d, e, f);
    if (result == -1) {
        result = -(long)errno;
    }
    errno = saved;
    return result;
}

static long raw_call3(long number, long a, long b, long c)
{
    return raw_call6(number, a, b, c, 0, 0, 0);
}

size_t pym_os_page_size(void)
{
    /* sysconf tells it, too, but through a table that takes pages of libc's constants.
     */
    return (size_t)getpagesize();
}

static void *map_pages(size_t size, int protection, int flags)
{
    long result = raw_call6(SYS_mmap, 0, (long)size, protection,
                            MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    return result < 0 && result > -4096 ? NULL : (void *)result;
}

/* Whether pages are in a core file.  The kernel leaves out what was never written to,
 * but a debugger that makes one goes by the mappings, and would write all of them. */
static void set_dumped(void *start, size_t size, bool is_dumped)
{
    (void)raw_call3(SYS_madvise, (long)start, (long)size,
                    is_dumped ? MADV_DODUMP : MADV_DONTDUMP);
}

void *pym_os_reserve(size_t size, size_t alignment)
{
    size_t span = size + alignment;
    if (span < size) {
        return NULL;
    }
    char *start = map_pages(span, PROT_NONE, MAP_NORESERVE);
    if (start == NULL) {
        return NULL;
    }
    char *aligned = (char *)pym_round_up((uintptr_t)start, alignment);
    size_t before = (size_t)(aligned - start);
    if (before != 0) {
        pym_os_unmap(start, before);
    }
    if (before != alignment) {
        pym_os_unmap(aligned + size, alignment - before);
    }
    set_dumped(aligned, size, false);
    (void)raw_call3(SYS_madvise, (long)aligned, (long)size, MADV_NOHUGEPAGE);
    return aligned;
}

int pym_os_commit(void *start, size_t size)
{
    long result =
        raw_call3(SYS_mprotect, (long)start, (long)size, PROT_READ | PROT_WRITE);
    if (result == 0) {
        set_dumped(start, size, true);
    }
    return (int)-result;
}

int pym_os_decommit(void *start, size_t size)
{
    long result =
        raw_call6(SYS_mmap, (long)start, (long)size, PROT_NONE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    if (result < 0 && result > -4096) {
        return (int)-result;
    }
    set_dumped(start, size, false);
    return 0;
}

void pym_os_want_huge(void *start, size_t size)
{
    (void)raw_call3(SYS_madvise, (long)start, (long)size, MADV_HUGEPAGE);
}

int pym_os_is_resident(void *page)
{
    unsigned char state = 0;
    return raw_call3(SYS_mincore, (long)page, 1, (long)&state) == 0 ? state & 1 : -1;
}

int pym_os_populate(void *start, size_t size)
{
    enum { POPULATE_WRITE = 23 }; /* of Linux 5.14 */
    return (int)-raw_call3(SYS_madvise, (long)start, (long)size, POPULATE_WRITE);
}

int pym_os_populate_huge(void *start, size_t size)
{
    pym_os_want_huge(start, size);
    int error = pym_os_populate(start, size);
    (void)raw_call3(SYS_madvise, (long)start, (long)size, MADV_NOHUGEPAGE);
    return error;
}

int pym_os_purge(void *start, size_t size)
{
    return (int)-raw_call3(SYS_madvise, (long)start, (long)size, MADV_DONTNEED);
}

void *pym_os_map(size_t size)
{
    return map_pages(size, PROT_READ | PROT_WRITE, 0);
}

void pym_os_unmap(void *start, size_t size)
{
    (void)raw_call3(SYS_munmap, (long)start, (long)size, 0);
}

void pym_os_random(void *out, size_t size)
{
    enum { NONBLOCK = 1 };
    if (raw_call3(SYS_getrandom, (long)out, (long)size, NONBLOCK) == (long)size) {
        return;
    }
    struct timespec now = {0, 0};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t seed = (uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec << 32 ^
                    (uintptr_t)&now ^ (uint64_t)raw_call3(SYS_getpid, 0, 0, 0) << 48;
    for (size_t i = 0; i < size; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        ((unsigned char *)out)[i] = (unsigned char)(seed >> 56);
    }
}

static uint64_t milliseconds(const struct timespec *time)
{
    return (uint64_t)time->tv_sec * 1000 + (uint64_t)time->tv_nsec / 1000000;
}

uint64_t pym_os_now_ms(void)
{
    struct timespec now = {0, 0};
    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return milliseconds(&now);
}

/* The same from the kernel itself: a process that never needs the time again has no
 * pages of libc for it. */
static uint64_t start_ms(void)
{
    struct timespec now = {0, 0};
    (void)raw_call3(SYS_clock_gettime, CLOCK_MONOTONIC_COARSE, (long)&now, 0);
    return milliseconds(&now);
}

static uint64_t nanoseconds(clockid_t clock)
{
    struct timespec now = {0, 0};
    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t pym_os_clock_ns(void)
{
    return nanoseconds(CLOCK_MONOTONIC);
}

uint64_t pym_os_date_ns(void)
{
    return nanoseconds(CLOCK_REALTIME);
}

/* ---- files ---- */

static int open_file(const char *name, int flags)
{
    enum { MODE = 0666 };
    return (int)raw_call6(SYS_openat, AT_FDCWD, (long)name, flags | O_CLOEXEC, MODE, 0,
                          0);
}

int pym_os_open(const char *name)
{
    int fd = open_file(name, O_RDONLY);
    return fd >= 0 ? fd : -1;
}

int pym_os_create(const char *name)
{
    int fd = open_file(name, O_WRONLY | O_CREAT | O_TRUNC | O_NOCTTY);
    return fd >= 0 ? fd : -1;
}

size_t pym_os_read(int fd, char *buf, size_t size)
{
    long got;
    do {
        got = raw_call3(SYS_read, fd, (long)buf, (long)size);
    } while (got == -EINTR);
    return got > 0 ? (size_t)got : 0;
}

bool pym_os_write(int fd, const char *buf, size_t size)
{
    while (size > 0) {
        long written = raw_call3(SYS_write, fd, (long)buf, (long)size);
        if (written == -EINTR) {
            continue;
        }
        if (written <= 0) {
            return false;
        }
        buf += written;
        size -= (size_t)written;
    }
    return true;
}

void pym_os_close(int fd)
{
    (void)raw_call3(SYS_close, fd, 0, 0);
}

PYM_RARE_CODE uint64_t pym_os_resident(void)
{
    char text[128];
    int fd = pym_os_open("/proc/self/statm");
    if (fd < 0) {
        return 0;
    }
    size_t length = pym_os_read(fd, text, sizeof(text) - 1);
    pym_os_close(fd);
    /* The second number is the resident set, in pages. */
    size_t i = 0;
    while (i < length && text[i] != ' ') {
        i++;
    }
    uint64_t pages = 0;
    for (i++; i < length && text[i] >= '0' && text[i] <= '9'; i++) {
        pages = pages * 10 + (uint64_t)(text[i] - '0');
    }
    return pages * pym_os_page_size();
}

size_t pym_os_address_limit(void)
{
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    (void)raw_call6(SYS_prlimit64, 0, RLIMIT_AS, 0, (long)&limit, 0, 0);
    return limit.rlim_cur == RLIM_INFINITY ? SIZE_MAX : (size_t)limit.rlim_cur;
}

int pym_os_thread_id(void)
{
    return (int)raw_call3(SYS_gettid, 0, 0, 0);
}

int pym_os_process_id(void)
{
    return (int)raw_call3(SYS_getpid, 0, 0, 0);
}

/* A page that the kernel wipes in the child of a fork; NULL if it cannot. */
static _Atomic uint8_t *process_mark;
static uint64_t marked_ms;

uint64_t pym_os_uptime_ms(void)
{
    return pym_os_now_ms() - marked_ms;
}

void pym_os_mark_process(void)
{
    marked_ms = start_ms();
    if (process_mark == NULL) {
        size_t size = pym_os_page_size();
        void *page = pym_os_map(size);
        if (page == NULL) {
            return;
        }
        if (raw_call3(SYS_madvise, (long)page, (long)size, MADV_WIPEONFORK) != 0) {
            pym_os_unmap(page, size);
            return;
        }
        process_mark = page;
    }
    *process_mark = 1;
}

bool pym_os_can_tell_copy(void)
{
    return process_mark != NULL;
}

bool pym_os_is_copy(void)
{
    return process_mark != NULL && *process_mark == 0;
}

void pym_os_yield(void)
{
    (void)raw_call3(SYS_sched_yield, 0, 0, 0);
}

void pym_os_nap(void)
{
    struct timespec nap = {0, 20000};
    (void)raw_call3(SYS_nanosleep, (long)&nap, 0, 0);
}

void pym_os_futex_wait(void *word, uint32_t expected)
{
    (void)raw_call6(SYS_futex, (long)word, FUTEX_WAIT_PRIVATE, expected, 0, 0, 0);
}

void pym_os_futex_wake(void *word)
{
    (void)raw_call3(SYS_futex, (long)word, FUTEX_WAKE_PRIVATE, 1);
}
