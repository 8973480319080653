/*
 * What bench/instructions counts the instructions of.
 *
 * The program runs one case after the other.  In each, blocks are allocated and freed
 * by probe_alloc, probe_free and their like, which do nothing else, so that in
 * callgrind's profile the cost of the calls out of probe_alloc is the cost of malloc
 * itself, without the loop around it.  What comes before a case, to bring the allocator
 * into its steady state, goes through other functions.
 *
 * A case consists of several parts.  probe_end marks the end of each: callgrind writes
 * a profile and begins a new one.  The part with the lowest count is the one in which
 * nothing but hits happened; the mean of all has the events in it that come round now
 * and then.  The name of its case is printed at the end of every part, and "-" at the
 * end of what does not count.
 *
 * Built with -fno-plt: a stub would be counted as part of what it jumps to.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include <pymalloc/pymalloc.h>

#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PARTS = 10,
    ROUNDS = 100,
    WARM_UP = 3000,
    BATCH = 64,
    REMOTE_ROUNDS = 8,
    SMALL_MAX = 512
};

/* Out of line, under these very names, and no tail calls: bench/instructions looks for
 * calls out of functions of these names. */
#define PROBE __attribute__((noinline, noclone, used))

static void *hidden(void *p)
{
    __asm__ volatile("" : "+r"(p) : : "memory");
    return p;
}

PROBE static void *probe_alloc(size_t size)
{
    return hidden(malloc(size));
}

PROBE static void *probe_calloc(size_t size)
{
    return hidden(calloc(1, size));
}

PROBE static void *probe_realloc(void *block, size_t size)
{
    return hidden(realloc(block, size));
}

PROBE static void *probe_aligned(size_t size)
{
    return hidden(aligned_alloc(64, size));
}

PROBE static void probe_free(void *block)
{
    free(block);
    __asm__ volatile("" : : : "memory");
}

PROBE static void probe_end(void)
{
    __asm__ volatile("" : : : "memory");
}

static void end_part(const char *name)
{
    puts(name);
    fflush(stdout);
    probe_end();
}

/* Each allocator has caches that fill and events that come round: the warm-up is long
 * enough for them. */
static void warm_up(size_t size)
{
    static void *blocks[BATCH];

    for (size_t i = 0; i < WARM_UP / BATCH; i++) {
        for (size_t k = 0; k < BATCH; k++)
            blocks[k] = hidden(malloc(size));
        for (size_t k = 0; k < BATCH; k++)
            free(blocks[k]);
    }
    /* Leaves every other block in use: a page whose only block comes and goes would
     * be opened and given up each time, and that is not what programs do. */
    for (size_t k = 0; k < BATCH; k++)
        blocks[k] = hidden(malloc(size));
    for (size_t k = 0; k < BATCH; k += 2)
        free(blocks[k]);
    for (size_t i = 0; i < WARM_UP; i++)
        free(hidden(malloc(size)));
}

/* ------------------------------------------------- is it libpymalloc's own code? */

/* A function of the library's interface, NULL when another allocator is in effect. */
static void *find(const char *name)
{
    return dlsym(RTLD_DEFAULT, name);
}

/* The file that malloc comes from, for bench/instructions to check. */
static void tell_server(void)
{
    Dl_info info;

    if (dladdr(find("malloc"), &info) == 0)
        abort();
    printf("server %s\n", info.dli_fname);
}

/* libpymalloc hands small requests to the system allocator where it cannot reserve its
 * address range.  Counts of that would be counts of the wrong code. */
static void demand_pools(void)
{
    int (*owns)(const void *) = NULL;
    void *found = find("pymalloc_owns");
    void *block = hidden(malloc(SMALL_MAX));

    if (found != NULL) {
        memcpy(&owns, &found, sizeof owns);
        if (!owns(block)) {
            fputs("insn_probe: libpymalloc serves no small blocks here\n", stderr);
            exit(1);
        }
    }
    free(block);
}

/* How many large blocks have come from libpymalloc's cache.  Another allocator is taken
 * to have cached whatever it can: the number differs at every call. */
static unsigned long long cache_hits(void)
{
    static unsigned long long calls;
    int (*stats)(struct pymalloc_totals *) = NULL;
    struct pymalloc_totals now;
    void *found = find("pymalloc_stats");

    if (found == NULL)
        return ++calls;
    memcpy(&stats, &found, sizeof stats);
    stats(&now);
    return now.large_cache_hits;
}

/* --------------------------------------------------------------------- the cases */

/* A case of `rounds` calls of body in each part. */
static void count(const char *kind, size_t size, size_t rounds, void (*body)(size_t))
{
    unsigned long long before;
    char name[64];

    snprintf(name, sizeof name, "%s-%zu", kind, size);
    warm_up(size);
    end_part("-");
    before = cache_hits();
    for (size_t part = 0; part < PARTS; part++) {
        for (size_t i = 0; i < rounds; i++)
            body(size);
        if (size > SMALL_MAX && cache_hits() == before && strcmp(kind, "realloc") != 0)
            snprintf(name, sizeof name, "%s-%zu-uncached", kind, size);
        end_part(name);
    }
}

static void do_pair(size_t size)
{
    probe_free(probe_alloc(size));
}

static void do_calloc(size_t size)
{
    probe_free(probe_calloc(size));
}

static void do_aligned(size_t size)
{
    probe_free(probe_aligned(size));
}

/* Blocks are freed in the order of their allocation, as most lists are. */
static void do_batch(size_t size)
{
    static void *blocks[BATCH];

    for (size_t k = 0; k < BATCH; k++)
        blocks[k] = probe_alloc(size);
    for (size_t k = 0; k < BATCH; k++)
        probe_free(blocks[k]);
}

/* Between two sizes so close that the block need not move. */
static void do_realloc(size_t size)
{
    void *block = hidden(malloc(size));
    void *other = probe_realloc(block, size - 1);

    free(probe_realloc(other, size));
}

/* One thread allocates, the other frees; they take turns, so that the order of events
 * is always the same. */
struct exchange {
    void *blocks[BATCH];
    sem_t full;
    sem_t empty;
    bool counts;
    bool last;
};

static void *free_remotely(void *arg)
{
    struct exchange *exchange = arg;
    bool last;

    do {
        sem_wait(&exchange->full);
        for (size_t k = 0; k < BATCH; k++) {
            if (exchange->counts)
                probe_free(exchange->blocks[k]);
            else
                free(exchange->blocks[k]);
        }
        last = exchange->last; /* it may be set for the next turn after the post */
        sem_post(&exchange->empty);
    } while (!last);
    return NULL;
}

static void exchange_once(struct exchange *exchange, size_t size)
{
    for (size_t k = 0; k < BATCH; k++)
        exchange->blocks[k] =
            exchange->counts ? probe_alloc(size) : hidden(malloc(size));
    sem_post(&exchange->full);
    sem_wait(&exchange->empty);
}

static void count_remote(size_t size)
{
    static struct exchange exchange;
    pthread_t thread;
    char name[64];

    exchange.counts = exchange.last = false;
    sem_init(&exchange.full, 0, 0);
    sem_init(&exchange.empty, 0, 0);
    if (pthread_create(&thread, NULL, free_remotely, &exchange) != 0)
        abort();
    for (size_t i = 0; i < WARM_UP / BATCH; i++)
        exchange_once(&exchange, size);
    end_part("-");
    exchange.counts = true;
    snprintf(name, sizeof name, "remote-%zu", size);
    for (size_t part = 0; part < PARTS; part++) {
        for (size_t i = 0; i < REMOTE_ROUNDS; i++)
            exchange_once(&exchange, size);
        end_part(name);
    }
    exchange.counts = false;
    exchange.last = true;
    exchange_once(&exchange, size);
    pthread_join(thread, NULL);
    end_part("-");
}

int main(void)
{
    static const size_t large[] = {1024, 4096, 32768};

    demand_pools();
    tell_server();
    end_part("-");
    for (size_t size = 16; size <= SMALL_MAX; size += 16)
        count("pair", size, ROUNDS, do_pair);
    for (size_t i = 0; i < sizeof large / sizeof *large; i++)
        count("pair", large[i], ROUNDS, do_pair);
    count("batch", 64, ROUNDS / BATCH + 1, do_batch);
    count("batch", 1024, ROUNDS / BATCH + 1, do_batch);
    count("calloc", 64, ROUNDS, do_calloc);
    count("calloc", 512, ROUNDS, do_calloc);
    count("calloc", 4096, ROUNDS, do_calloc);
    count("aligned", 256, ROUNDS, do_aligned);
    count("realloc", 64, ROUNDS, do_realloc);
    count("realloc", 512, ROUNDS, do_realloc);
    count("realloc", 4096, ROUNDS, do_realloc);
    count_remote(64);
    count_remote(1024);
    return 0;
}
