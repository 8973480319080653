/*
 * What the test programs share: whether libpymalloc is in charge, patterns
 * that show damage, random numbers, the process's memory, children.
 *
 * Nothing here allocates through malloc, except where it says so.
 */
#ifndef TEST_SUPPORT_H
#define TEST_SUPPORT_H

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"
#include <pymalloc/pymalloc.h>

/* Of the GNU C library; the library has them everywhere. */
#if !defined(__GLIBC__) && !defined(__cplusplus)
void *pvalloc(size_t size);
int malloc_trim(size_t keep);
#endif

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])
#define UNUSED __attribute__((unused))

enum { ALIGNMENT = 16, SMALL_MAX = PYMALLOC_SMALL_MAX };

/* The compiler knows malloc, and may drop a call whose block it sees unused or
 * fold a size that it sees constant.  What went through here it cannot know. */
static inline void *opaque(void *p)
{
    __asm__ volatile("" : "+r"(p) : : "memory");
    return p;
}

static inline size_t opaque_size(size_t n)
{
    __asm__ volatile("" : "+r"(n));
    return n;
}

/* ------------------------------------------------------ random numbers */

struct rng {
    uint64_t state;
};

static inline uint64_t rng_next(struct rng *r)
{
    r->state += 0x9e3779b97f4a7c15u;
    uint64_t z = r->state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* A number in [0, bound). */
static inline size_t rng_below(struct rng *r, size_t bound)
{
    return (size_t)(rng_next(r) % bound);
}

/* ------------------------------------------------------------ patterns */

/* Word i of the pattern that tag names.  Two tags differ in every word. */
static inline uint64_t pattern_word(uint64_t tag, size_t i)
{
    return (tag + i) * 0x9e3779b97f4a7c15u ^ tag << 32;
}

static inline unsigned char pattern_byte(uint64_t tag, size_t i)
{
    return (unsigned char)(pattern_word(tag, i / 8) >> i % 8 * 8);
}

UNUSED static void pattern_fill(void *block, size_t size, uint64_t tag)
{
    unsigned char *bytes = (unsigned char *)block;
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        uint64_t word = pattern_word(tag, i / 8);
        memcpy(bytes + i, &word, 8);
    }
    for (; i < size; i++) {
        bytes[i] = pattern_byte(tag, i);
    }
}

/* The first of size bytes that is not as pattern_fill wrote it, or size. */
UNUSED static size_t pattern_mismatch(const void *block, size_t size, uint64_t tag)
{
    const unsigned char *bytes = (const unsigned char *)block;
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        uint64_t word = pattern_word(tag, i / 8);
        if (memcmp(bytes + i, &word, 8) != 0) {
            break;
        }
    }
    while (i < size && bytes[i] == pattern_byte(tag, i)) {
        i++;
    }
    return i;
}

UNUSED static int pattern_holds(const void *block, size_t size, uint64_t tag)
{
    return pattern_mismatch(block, size, tag) == size;
}

UNUSED static int all_zero(const void *block, size_t size)
{
    const unsigned char *bytes = (const unsigned char *)block;
    for (size_t i = 0; i < size; i++) {
        if (bytes[i]) {
            return 0;
        }
    }
    return 1;
}

/* ------------------------------------------------- time, environment */

UNUSED static double now_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

UNUSED static void sleep_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&t, &t) != 0 && errno == EINTR) {
        continue;
    }
}

/* A number from the environment, so that longer runs need no other program. */
UNUSED static unsigned long env_number(const char *name, unsigned long otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoul(text, NULL, 0) : otherwise;
}

/* ------------------------------------------------------------- memory */

/* Memory for a test's own records, from the kernel, all zero. */
UNUSED static void *pages(size_t bytes)
{
    void *p =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        tap_bail_out("mmap of %zu bytes for the test itself: %s", bytes,
                     strerror(errno));
    }
    return p;
}

/* The kilobytes that the line beginning with key gives in a file of /proc, or
 * -1.  The kernel's per-thread counters make statm inexact; smaps_rollup is
 * not. */
UNUSED static long proc_kilobytes(const char *file, const char *key)
{
    char text[4096];
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    ssize_t n = 0, got;
    while (n < (ssize_t)sizeof text - 1 &&
           (got = read(fd, text + n, sizeof text - 1 - (size_t)n)) > 0) {
        n += got;
    }
    close(fd);
    text[n] = '\0';
    const char *line = strstr(text, key);
    return line ? strtol(line + strlen(key), NULL, 10) : -1;
}

/* Resident kilobytes of this process. */
UNUSED static long rss_kb(void)
{
    return proc_kilobytes("/proc/self/smaps_rollup", "Rss:");
}

/* ----------------------------------------------- is it really active? */

/* Stops the program unless malloc is libpymalloc's: without this every rule
 * might be proven of glibc. */
UNUSED static void require_pymalloc(void)
{
    int owned = 0;
    for (int i = 0; i < 100 && !owned; i++) { /* samples are blocks of the system */
        void *p = opaque(malloc(opaque_size(16)));
        owned = pymalloc_owns(p);
        free(p);
    }
    if (!owned) {
        tap_bail_out("malloc is not libpymalloc's, or it has no address range");
    }
}

/* A thread's first few blocks of a size may come from a coarser class.  After
 * this each size has had its own. */
UNUSED static void use_all_classes(void)
{
    for (size_t n = 1; n <= SMALL_MAX; n += ALIGNMENT) {
        void *p[1024 / ALIGNMENT];
        for (size_t i = 0; i < COUNT_OF(p); i++) {
            p[i] = opaque(malloc(n));
        }
        for (size_t i = 0; i < COUNT_OF(p); i++) {
            free(p[i]);
        }
    }
}

/* A function of the C library itself, past libpymalloc. */
UNUSED static void *libc_function(const char *name)
{
    void *f = dlsym(RTLD_DEFAULT, name);
    if (!f) {
        tap_bail_out("the C library has no %s", name);
    }
    return f;
}

/* ------------------------------------------------------------ children */

enum { CHILD_SIGNALLED = 256 };

/* Waits for a child, and kills it after that many seconds: its own alarm does
 * not help while it is still in fork.  Returns its exit status, or
 * CHILD_SIGNALLED plus the signal that ended it. */
UNUSED static int child_wait(pid_t pid, unsigned seconds)
{
    double end = now_seconds() + seconds;
    struct timespec pause = {0, 50000};
    pid_t done;
    int status;
    while ((done = waitpid(pid, &status, WNOHANG)) == 0) {
        if (now_seconds() > end) {
            kill(pid, SIGKILL);
        }
        nanosleep(&pause, NULL);
        pause.tv_nsec += pause.tv_nsec < 5000000 ? pause.tv_nsec / 2 : 0;
    }
    if (done < 0) {
        return -1;
    }
    return WIFSIGNALED(status) ? CHILD_SIGNALLED + WTERMSIG(status)
                               : WEXITSTATUS(status);
}

/* Runs body(arg) in a forked child that is killed after that many seconds; the
 * child ends with what body returns, without running exit handlers. */
UNUSED static int in_child(int (*body)(void *), void *arg, unsigned seconds)
{
    pid_t pid = fork();
    if (pid < 0) {
        tap_bail_out("fork: %s", strerror(errno));
    }
    if (pid == 0) {
        _exit(body(arg));
    }
    return child_wait(pid, seconds);
}

UNUSED static int run_body(void *arg)
{
    void (*body)(void);
    memcpy(&body, arg, sizeof body);
    body();
    return tap_failures != 0;
}

/* Makes child_BODY, a case that runs BODY, another, in a child. */
#define IN_CHILD(body, seconds)                                                        \
    static void child_##body(void)                                                     \
    {                                                                                  \
        void (*function)(void) = body;                                                 \
        CHECK_EQ(in_child(run_body, &function, seconds), 0, "the child");              \
    }

struct capture {
    int status; /* as of child_wait */
    char out[16384];
    char err[16384];
};

UNUSED static void read_back(int fd, char *text, size_t room)
{
    size_t n = 0;
    ssize_t got;
    lseek(fd, 0, SEEK_SET);
    while (n < room - 1 && (got = read(fd, text + n, room - 1 - n)) > 0) {
        n += (size_t)got;
    }
    text[n] = '\0';
    close(fd);
}

/* Runs a program with the given environment (NULL: ours) and collects what it
 * wrote.  The output goes through files, so that a program that writes much
 * cannot block. */
UNUSED static void run_program(struct capture *c, char *const argv[],
                               char *const envp[], unsigned seconds)
{
    extern char **environ;
    int out = memfd_create("stdout", MFD_CLOEXEC);
    int err = memfd_create("stderr", MFD_CLOEXEC);
    if (out < 0 || err < 0) {
        tap_bail_out("memfd_create: %s", strerror(errno));
    }
    pid_t pid = fork();
    if (pid < 0) {
        tap_bail_out("fork: %s", strerror(errno));
    }
    if (pid == 0) {
        dup2(out, 1);
        dup2(err, 2);
        execve(argv[0], argv, envp ? envp : environ);
        _exit(127);
    }
    c->status = child_wait(pid, seconds);
    read_back(out, c->out, sizeof c->out);
    read_back(err, c->err, sizeof c->err);
}

#endif
