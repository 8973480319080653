/*
 * What all benchmark programs share: arguments, time, random numbers, blocks that
 * check themselves, threads, RSS, and the line that reports the result.
 *
 * Every program calls the plain malloc family; which allocator stands behind it is
 * chosen from outside, by LD_PRELOAD.  What a program needs for its own bookkeeping it
 * takes from bench_map, so that the allocator under test serves the workload alone.
 *
 * A scenario is called as "scenario_x [variant] [threads] [scale]".  It does a fixed
 * amount of work that scale multiplies, exits with 1 when a byte of its data is wrong,
 * and ends with one line on standard output:
 *
 *     result name=<name> ops=<n> seconds=<s> ops_per_sec=<x> threads=<n>
 * peak_rss_kb=<n>
 *
 * followed on that line by more key=value pairs where the scenario has any.  Samples of
 * the resident size come before it, one "rss t=<ms> kb=<n>" a line.
 *
 * Thread-safety: a struct bench_rng and a struct bench_latency belong to one thread;
 * all else may be called from any thread.
 */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define BENCH_CACHE_LINE 64
#define BENCH_KIB ((size_t)1024)
#define BENCH_MIB (1024 * BENCH_KIB)
#define BENCH_COUNT(array) (sizeof(array) / sizeof(array)[0])

/* -------------------------------------------------------------------- failing */

static inline _Noreturn __attribute__((format(printf, 1, 2))) void
bench_die(const char *format, ...)
{
    va_list args;

    fprintf(stderr, "%s: ", program_invocation_short_name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

/* Hides a pointer and what it points to from the optimiser, which may otherwise
 * remove a malloc together with its free. */
static inline void *bench_hide(void *p)
{
    __asm__ volatile("" : "+r"(p) : : "memory");
    return p;
}

/* The result of an allocation: never NULL, and hidden from the optimiser. */
static inline void *bench_must(void *p)
{
    if (p == NULL)
        bench_die("out of memory");
    return bench_hide(p);
}

/* Zeroed memory that does not come from the allocator under test. */
static inline void *bench_map(size_t bytes)
{
    void *p =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        bench_die("cannot map %zu bytes", bytes);
    return p;
}

static inline void bench_unmap(void *p, size_t bytes)
{
    munmap(p, bytes);
}

/* ------------------------------------------------------------------ arguments */

struct bench_args {
    const char *variant; /* one of the known names; NULL where there are none */
    size_t threads;
    double scale;
};

/* Reads "[variant] [threads] [scale]".  variants ends with NULL, its first name is the
 * default; NULL when the program has only one form. */
static inline struct bench_args bench_parse_args(int argc, char **argv,
                                                 const char *const *variants,
                                                 size_t default_threads)
{
    struct bench_args args = {variants == NULL ? NULL : variants[0], default_threads,
                              1.0};
    int i = 1;
    char *end;

    if (variants != NULL && i < argc) {
        for (size_t v = 0; variants[v] != NULL; v++) {
            if (strcmp(argv[i], variants[v]) == 0) {
                args.variant = variants[v];
                i++;
                break;
            }
        }
    }
    if (i < argc) {
        args.threads = strtoul(argv[i], &end, 10);
        if (*end != '\0' || args.threads == 0 || args.threads > 1024)
            bench_die("'%s' is neither a variant nor a number of threads", argv[i]);
        i++;
    }
    if (i < argc) {
        args.scale = strtod(argv[i], &end);
        if (*end != '\0' || !(args.scale > 0))
            bench_die("'%s' is not a scale", argv[i]);
        i++;
    }
    if (i < argc)
        bench_die("too many arguments; usage: [variant] [threads] [scale]");
    return args;
}

/* For scenarios whose work is not divided. */
static inline void bench_require_one_thread(const struct bench_args *args)
{
    if (args->threads != 1)
        bench_die("this scenario has one thread");
}

/* That many units of work at the wanted scale, one at least. */
static inline size_t bench_scaled(const struct bench_args *args, size_t units)
{
    double scaled = (double)units * args->scale;

    return scaled < 1 ? 1 : (size_t)scaled;
}

/* ----------------------------------------------------------------------- time */

static inline uint64_t bench_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline double bench_now(void)
{
    return (double)bench_now_ns() * 1e-9;
}

static inline void bench_sleep_ms(unsigned ms)
{
    struct timespec t = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};

    nanosleep(&t, NULL);
}

/* ------------------------------------------------------------- random numbers */

/* Marsaglia's xorshift with a final multiplication: cheap enough not to be seen beside
 * a malloc, and the same on every machine. */
struct bench_rng {
    uint64_t state;
};

static inline struct bench_rng bench_rng_make(uint64_t seed)
{
    struct bench_rng rng = {(seed + 1) * UINT64_C(0x9e3779b97f4a7c15)};

    if (rng.state == 0)
        rng.state = 1;
    return rng;
}

static inline uint64_t bench_rng_next(struct bench_rng *rng)
{
    uint64_t x = rng->state;

    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    rng->state = x;
    return x * UINT64_C(0x2545f4914f6cdd1d);
}

/* 0 .. n - 1, for n up to 2^32. */
static inline size_t bench_rng_below(struct bench_rng *rng, size_t n)
{
    return (size_t)(((bench_rng_next(rng) >> 32) * n) >> 32);
}

/* lo .. hi, both included. */
static inline size_t bench_rng_between(struct bench_rng *rng, size_t lo, size_t hi)
{
    return lo + bench_rng_below(rng, hi - lo + 1);
}

/* lo .. hi, every doubling as likely as every other: small sizes are the most common,
 * as in most programs. */
static inline size_t bench_rng_doubling(struct bench_rng *rng, size_t lo, size_t hi)
{
    size_t doublings = 1;
    size_t size;

    while (lo << doublings < hi)
        doublings++;
    do {
        size_t base = lo << bench_rng_below(rng, doublings);

        size = base + bench_rng_below(rng, base);
    } while (size > hi);
    return size;
}

/* lo .. hi after Pareto with exponent 1: P(size > x) = lo / x. */
static inline size_t bench_rng_pareto(struct bench_rng *rng, size_t lo, size_t hi)
{
    uint64_t u = (bench_rng_next(rng) >> 32) + 1;
    uint64_t size = ((uint64_t)lo << 32) / u;

    return size > hi ? hi : (size_t)size;
}

static inline void bench_shuffle(void **items, size_t n, struct bench_rng *rng)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = bench_rng_below(rng, i);
        void *item = items[j];

        items[j] = items[i - 1];
        items[i - 1] = item;
    }
}

/* -------------------------------------------------- blocks that check themselves */

/*
 * A block of at least BENCH_BLOCK_MIN bytes knows its own size and can be checked by
 * whoever holds it:
 *
 *     +--------------------+----- ... -----+- ... -+---------------------+
 *     | head: size, tag,   |               | head  |  seal: made from    |
 *     | check of the two   |               |       |  the head           |
 *     +--------------------+----- ... -----+- ... -+---------------------+
 *      0                  8                 n * 4096            size - 8
 *
 * The head is repeated in every page of a large block, so that its memory is really
 * used, as a program would use it.  A block under 16 bytes has no seal.
 *
 * A block that was handed out twice would still look sound to both of its owners.  So
 * every thread keeps the sum of the heads that it has written less those that it has
 * freed: over all threads it must be zero in the end.
 */
#define BENCH_BLOCK_MIN 8

static _Thread_local uint64_t bench_balance;
static atomic_uint_fast64_t bench_balance_of_ended;

/* To be called by a thread that made or freed blocks, before it ends.  Threads of
 * bench_run_threads need not. */
static inline void bench_blocks_settle(void)
{
    atomic_fetch_add(&bench_balance_of_ended, bench_balance);
    bench_balance = 0;
}

/* When all blocks have been freed and all threads have settled. */
static inline void bench_blocks_audit(void)
{
    bench_blocks_settle();
    if (atomic_load(&bench_balance_of_ended) != 0)
        bench_die("the blocks that were freed are not those that were allocated");
}

static inline uint64_t bench_block_head(size_t size, unsigned tag)
{
    uint64_t low = (uint64_t)(uint32_t)size | (uint64_t)(tag & 0xffffu) << 32;

    return low | (low * UINT64_C(0x9e3779b97f4a7c15)) >> 48 << 48;
}

static inline uint64_t bench_block_seal(uint64_t head)
{
    return ~head * UINT64_C(0xd6e8feb86659fd93);
}

static inline void bench_block_write(void *block, size_t size, unsigned tag)
{
    char *p = block;
    uint64_t head = bench_block_head(size, tag);

    bench_balance += head;
    memcpy(p, &head, sizeof head);
    for (size_t at = 4096; at + 16 <= size; at += 4096)
        memcpy(p + at, &head, sizeof head);
    if (size >= 16) {
        uint64_t seal = bench_block_seal(head);

        memcpy(p + size - 8, &seal, sizeof seal);
    }
}

static inline void *bench_block_new(size_t size, unsigned tag)
{
    void *block = bench_must(malloc(size));

    bench_block_write(block, size, tag);
    return block;
}

static inline _Noreturn __attribute__((cold)) void bench_block_wrong(const void *block,
                                                                     size_t at)
{
    bench_die("block %p: wrong data at offset %zu", block, at);
}

/* Checks a block and returns its head. */
static inline uint64_t bench_block_check(const void *block)
{
    const char *p = block;
    uint64_t head, word;
    size_t size;

    memcpy(&head, p, sizeof head);
    size = (size_t)(uint32_t)head;
    if (head != bench_block_head(size, (unsigned)(head >> 32)))
        bench_block_wrong(block, 0);
    for (size_t at = 4096; at + 16 <= size; at += 4096) {
        memcpy(&word, p + at, sizeof word);
        if (word != head)
            bench_block_wrong(block, at);
    }
    if (size >= 16) {
        memcpy(&word, p + size - 8, sizeof word);
        if (word != bench_block_seal(head))
            bench_block_wrong(block, size - 8);
    }
    return head;
}

/* Checks and frees; returns the size that the block had. */
static inline size_t bench_block_free(void *block)
{
    uint64_t head = bench_block_check(block);

    bench_balance -= head;
    free(block);
    return (size_t)(uint32_t)head;
}

/* Fills slots[0 .. n - 1] with blocks of lo .. hi bytes; returns their bytes. */
static inline size_t bench_blocks_fill(void **slots, size_t n, size_t lo, size_t hi,
                                       struct bench_rng *rng)
{
    size_t bytes = 0;

    for (size_t i = 0; i < n; i++) {
        size_t size = bench_rng_between(rng, lo, hi);

        slots[i] = bench_block_new(size, (unsigned)i);
        bytes += size;
    }
    return bytes;
}

/* Frees slots[0 .. n - 1]; returns the bytes that they had. */
static inline size_t bench_blocks_free(void **slots, size_t n)
{
    size_t bytes = 0;

    for (size_t i = 0; i < n; i++)
        bytes += bench_block_free(slots[i]);
    return bytes;
}

/* -------------------------------------------------------------------- threads */

typedef void bench_thread_fn(size_t index, void *arg);

struct bench_thread {
    pthread_t id;
    pthread_barrier_t *start;
    bench_thread_fn *fn;
    size_t index;
    void *arg;
};

static inline void bench_spawn(pthread_t *id, void *(*fn)(void *), void *arg)
{
    int error = pthread_create(id, NULL, fn, arg);

    if (error != 0)
        bench_die("pthread_create: %s", strerror(error));
}

static inline void *bench_thread_main(void *arg)
{
    struct bench_thread *self = arg;

    pthread_barrier_wait(self->start);
    self->fn(self->index, self->arg);
    bench_blocks_settle();
    return NULL;
}

/* Runs fn(0 .. threads - 1, arg) at the same time and waits for all; returns the
 * seconds that it took.  One thread is the main thread itself: a program without
 * threads is measured as one. */
static inline double bench_run_threads(size_t threads, bench_thread_fn *fn, void *arg)
{
    size_t bytes = threads * sizeof(struct bench_thread);
    struct bench_thread *all;
    pthread_barrier_t start;
    double begin;

    if (threads == 1) {
        begin = bench_now();
        fn(0, arg);
        return bench_now() - begin;
    }
    all = bench_map(bytes);
    pthread_barrier_init(&start, NULL, (unsigned)threads + 1);
    for (size_t i = 0; i < threads; i++) {
        all[i] =
            (struct bench_thread){.start = &start, .fn = fn, .index = i, .arg = arg};
        bench_spawn(&all[i].id, bench_thread_main, &all[i]);
    }
    begin = bench_now();
    pthread_barrier_wait(&start);
    for (size_t i = 0; i < threads; i++)
        pthread_join(all[i].id, NULL);
    begin = bench_now() - begin;
    pthread_barrier_destroy(&start);
    bench_unmap(all, bytes);
    return begin;
}

/* ------------------------------------------------------------------------ RSS */

static inline size_t bench_read_file(const char *path, char *buffer, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buffer, size - 1);

    if (fd >= 0)
        close(fd);
    if (n < 0)
        bench_die("cannot read %s", path);
    buffer[n] = '\0';
    return (size_t)n;
}

/* The number after the first occurrence of key in /proc/self/status, in KiB. */
static inline size_t bench_status_kb(const char *key)
{
    char text[8192];
    const char *found;

    bench_read_file("/proc/self/status", text, sizeof text);
    found = strstr(text, key);
    if (found == NULL)
        bench_die("no %s in /proc/self/status", key);
    return strtoul(found + strlen(key), NULL, 10);
}

static inline size_t bench_rss_kb(void)
{
    return bench_status_kb("VmRSS:");
}

/* The peak of this program alone: unlike getrusage's, it starts anew at exec. */
static inline size_t bench_peak_rss_kb(void)
{
    return bench_status_kb("VmHWM:");
}

/* Samples of the RSS over time, kept apart from the allocator and printed at the
 * end. */
#define BENCH_RSS_SAMPLES 1024

struct bench_rss_log {
    uint64_t begin_ns;
    size_t n;
    struct {
        unsigned ms;
        size_t kb;
    } sample[BENCH_RSS_SAMPLES];
};

static inline size_t bench_rss_sample(struct bench_rss_log *log)
{
    size_t kb = bench_rss_kb();

    if (log->n == 0)
        log->begin_ns = bench_now_ns();
    if (log->n < BENCH_RSS_SAMPLES) {
        log->sample[log->n].ms = (unsigned)((bench_now_ns() - log->begin_ns) / 1000000);
        log->sample[log->n].kb = kb;
        log->n++;
    }
    return kb;
}

static inline void bench_rss_print(const struct bench_rss_log *log)
{
    for (size_t i = 0; i < log->n; i++)
        printf("rss t=%u kb=%zu\n", log->sample[i].ms, log->sample[i].kb);
}

/* ------------------------------------------------------------------ latencies */

/* Counts of durations, eight buckets to a doubling: percentiles to within an eighth. */
struct bench_latency {
    uint64_t total;
    uint64_t bucket[64 * 8];
};

static inline void bench_latency_add(struct bench_latency *latency, uint64_t ns)
{
    unsigned top = 63u - (unsigned)__builtin_clzll(ns | 8);

    latency->bucket[top * 8 + (ns >> (top - 3) & 7)]++;
    latency->total++;
}

static inline void bench_latency_merge(struct bench_latency *into,
                                       const struct bench_latency *from)
{
    for (size_t i = 0; i < BENCH_COUNT(into->bucket); i++)
        into->bucket[i] += from->bucket[i];
    into->total += from->total;
}

/* The duration that the given share (0 to 1) of all durations does not exceed. */
static inline uint64_t bench_latency_ns(const struct bench_latency *latency,
                                        double share)
{
    uint64_t wanted = (uint64_t)((double)latency->total * share);
    uint64_t seen = 0;

    for (size_t i = 3 * 8; i < BENCH_COUNT(latency->bucket); i++) {
        seen += latency->bucket[i];
        if (seen > wanted || seen == latency->total)
            return ((i % 8) + 9) << (i / 8 - 3);
    }
    return 0;
}

/* --------------------------------------------------------------------- result */

/* The result line up to where a scenario may add to it. */
static inline void bench_result_begin(const char *name, const struct bench_args *args,
                                      uint64_t ops, double seconds)
{
    bool variant = args->variant != NULL;

    bench_blocks_audit();
    printf("result name=%s%s%s ops=%" PRIu64
           " seconds=%.6f ops_per_sec=%.0f threads=%zu "
           "peak_rss_kb=%zu",
           name, variant ? "-" : "", variant ? args->variant : "", ops, seconds,
           (double)ops / seconds, args->threads, bench_peak_rss_kb());
}

static inline void bench_result_end(void)
{
    putchar('\n');
    if (fflush(stdout) != 0)
        bench_die("cannot write the result");
}

static inline void bench_result(const char *name, const struct bench_args *args,
                                uint64_t ops, double seconds)
{
    bench_result_begin(name, args, ops, seconds);
    bench_result_end();
}

/* The same with more key=value pairs. */
static inline __attribute__((format(printf, 5, 6))) void
bench_result_with(const char *name, const struct bench_args *args, uint64_t ops,
                  double seconds, const char *format, ...)
{
    va_list extra;

    bench_result_begin(name, args, ops, seconds);
    putchar(' ');
    va_start(extra, format);
    vprintf(format, extra);
    va_end(extra);
    bench_result_end();
}

#endif
