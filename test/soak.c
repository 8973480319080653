/*
 * Everything at once, for a long time: threads that start and end, blocks that one
 * allocates and others free, small and large ones, realloc, alignment, objects with a
 * collector, forks, libraries that come and go, purges.
 *
 * Between rounds exactly the same blocks are live: a stock, each slot of which has its
 * size.  So the memory of the process can be compared from round to round: its drift is
 * the slope of the line that fits best, without the first tenth of the time.
 *
 *   SOAK_SECONDS  3, make soak has 3600
 *   SOAK_SEED     chooses the sequence of operations
 */
#include "support.h"

#include <malloc.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#ifdef SOAK_GC
#include <pymalloc/gc.h>
#endif

#include "base.h"
#ifdef PYM_TEST_CORE
#include "alloc.h"
#define a_malloc(size) pym_alloc_malloc(opaque_size(size))
#define a_calloc pym_alloc_calloc
#define a_realloc pym_alloc_realloc
#define a_free pym_alloc_free
#define a_aligned pym_alloc_aligned
#else
#define a_malloc malloc
#define a_calloc calloc
#define a_realloc realloc
#define a_free free
#define a_aligned aligned_alloc
#endif

enum {
    WORKERS = 4,
    OPERATIONS = 8000, /* of a worker in a round */
    STOCK = 20000,
    POST = 256,
    SHORT_LIVES = 10, /* threads that a round starts one after another */
    FORKS = 2,        /* of a round */
    CHILD_SECONDS = 120,
    REPORTS = 60,
    ROUNDS_LEAST = 4,
    MAY_STAY = 16, /* blocks of the C library's own */
};

/* ---------------------------------------------------------------- the blocks */

/* Begins each block of the stock; the rest is a pattern of the tag. */
struct parcel {
    uint64_t tag;
    uint64_t size; /* of content */
    unsigned char content[];
};

static _Atomic(struct parcel *) stock[STOCK];
static _Atomic(struct parcel *) post[POST]; /* given up: who takes it frees it */
static _Atomic long damaged;

static size_t stock_size(size_t i)
{
    return i % 16 ? i * 41 % 500 : i % 512 ? i * 977 % 40000 : 200000;
}

static struct parcel *seal(struct parcel *p, size_t size, uint64_t tag)
{
    if (!p) {
        tap_bail_out("out of memory");
    }
    p->tag = tag;
    p->size = size;
    pattern_fill(p->content, size, tag);
    return p;
}

static struct parcel *make(struct rng *rng, size_t size)
{
    size_t bytes = sizeof(struct parcel) + size;
    void *p;
    switch (rng_below(rng, 8)) {
    case 0:
        p = a_calloc(1, bytes);
        break;
    case 1:
        p = a_aligned((size_t)16 << rng_below(rng, 9), bytes);
        break;
    default:
        p = a_malloc(bytes);
    }
    return seal(p, size, rng_next(rng));
}

/* Always in the same way: else it might be a small block once and a large one later. */
static struct parcel *make_stock(struct rng *rng, size_t i)
{
    size_t size = stock_size(i);
    return seal(a_malloc(sizeof(struct parcel) + size), size, rng_next(rng));
}

static int is_sound(const struct parcel *p)
{
    int sound = p->size < 1 << 24 && pattern_holds(p->content, p->size, p->tag);
    if (!CHECK(sound, "a block was damaged")) {
        atomic_fetch_add(&damaged, 1);
    }
    return sound;
}

static void discard(struct parcel *p)
{
    if (p && is_sound(p)) {
        a_free(p);
    }
}

/* To another size and back, with what both have checked each time. */
static struct parcel *stretch(struct rng *rng, struct parcel *p)
{
    size_t size = p->size, other = rng_below(rng, rng_below(rng, 8) ? 600 : 50000);
    if (!is_sound(p)) {
        return NULL;
    }
    p = a_realloc(p, sizeof *p + other);
    p->size = size < other ? size : other;
    if (!is_sound(p)) {
        return NULL;
    }
    p = a_realloc(p, sizeof *p + size);
    return is_sound(p) ? seal(p, size, rng_next(rng)) : NULL;
}

static size_t any_size(struct rng *rng)
{
    size_t kind = rng_below(rng, 1000);
    return kind < 900   ? rng_below(rng, 500)
           : kind < 995 ? rng_below(rng, 40000)
                        : rng_below(rng, 400000);
}

/* ---------------------------------------------------------------- the threads */

static void renew_stock(struct rng *rng)
{
    size_t i = rng_below(rng, STOCK);
    struct parcel *p = atomic_exchange(&stock[i], NULL);
    if (p) { /* else somebody else is at it */
        discard(p);
        atomic_store(&stock[i], make_stock(rng, i));
    }
}

static void burst(struct rng *rng)
{
    struct parcel *p[24];
    size_t n = 1 + rng_below(rng, COUNT_OF(p));
    for (size_t i = 0; i < n; i++) {
        p[i] = make(rng, any_size(rng));
        p[i] = rng_below(rng, 4) ? p[i] : stretch(rng, p[i]);
    }
    for (size_t i = 0; i < n; i++) {
        discard(rng_below(rng, 3) ? p[i]
                                  : atomic_exchange(&post[rng_below(rng, POST)], p[i]));
    }
}

static void work(struct rng *rng, long operations)
{
    for (; operations > 0; operations--) {
        if (rng_below(rng, 8) == 0) {
            burst(rng);
        } else {
            renew_stock(rng);
        }
        if (rng_below(rng, 50000) == 0) {
            pymalloc_purge();
        }
    }
}

static void *is_worker(void *arg)
{
    struct rng rng = {(uintptr_t)arg};
    work(&rng, OPERATIONS);
    return NULL;
}

static void *lives_shortly(void *arg)
{
    struct rng rng = {(uintptr_t)arg};
    work(&rng, (long)rng_below(&rng, 500));
    return NULL;
}

static pthread_t start(void *(*body)(void *), uint64_t seed)
{
    pthread_t thread;
    int error = pthread_create(&thread, NULL, body, (void *)(uintptr_t)seed);
    if (error) {
        tap_bail_out("pthread_create: %s", strerror(error));
    }
    return thread;
}

/* ---------------------------------------------------------------- the objects */

#ifdef SOAK_GC
struct node {
    struct node *edge[3];
    uint64_t id;
};

/* Random graphs whose cycles only the collector can free. */
static void *has_objects(void *arg)
{
    static const struct pygc_slot slots[] = {{0, 3, PYGC_STRONG, NULL}};
    static const struct pygc_type_spec spec = {
        .name = "node", .size = sizeof(struct node), .slots = slots, .slot_count = 1};
    static pygc_type *type;
    struct rng rng = {(uintptr_t)arg};
    struct node *held[200] = {NULL};
    type = type ? type : pygc_type_new(&spec);
    pygc_heap *heap = pygc_heap_new(NULL);
    for (uint64_t n = 1; n < 20000; n++) {
        struct node *node = pygc_alloc(heap, type);
        struct node **slot = &held[rng_below(&rng, COUNT_OF(held))];
        struct node *other = held[rng_below(&rng, COUNT_OF(held))];
        node->id = n;
        pygc_track(node);
        pygc_store(node, &node->edge[n % 3], other);
        if (other) {
            CHECK(other->id != 0 && other->id < n, "an object was damaged");
            pygc_store(other, &other->edge[rng_below(&rng, 3)], node);
        }
        pygc_xdecref(*slot);
        *slot = node;
    }
    for (size_t i = 0; i < COUNT_OF(held); i++) {
        pygc_xdecref(held[i]);
    }
    pygc_collect(heap, 2);
    CHECK_EQ(pygc_verify(heap), 0, "the heap of objects is sound");
    CHECK_EQ(pygc_heap_destroy(heap, 0), 0, "objects are left");
    return NULL;
}
#endif

/* ------------------------------------------------------- children, libraries */

static long forks, verified, unsound;

static void verify(void)
{
    verified++;
    if (!CHECK_EQ(pymalloc_verify(), 0, "the heap is sound")) {
        unsound++;
    }
}

static int child(int number)
{
    struct rng rng = {(uint64_t)number};
    for (size_t i = 0; i < STOCK; i++) {
        struct parcel *p = stock[i];
        if (p && i % 8 == 0 && !pattern_holds(p->content, p->size, p->tag)) {
            return 1;
        }
    }
    for (size_t i = 0; i < POST; i += 2) {
        discard(atomic_exchange(&post[i], NULL));
    }
    work(&rng, 500);
    return damaged ? 2 : pymalloc_verify() ? 3 : 0;
}

static void fork_once(int number)
{
    /* These runtimes' own locks are not free in a child of several threads. */
    if (PYM_TSAN || PYM_ASAN) {
        return;
    }
    pid_t pid = fork();
    if (pid < 0) {
        tap_bail_out("fork: %s", strerror(errno));
    }
    if (pid == 0) {
        _exit(child(number));
    }
    forks++;
    if (!CHECK_EQ(child_wait(pid, CHILD_SECONDS), 0, "child %ld", forks)) {
        unsound++;
    }
}

static void use_a_library(void)
{
#ifdef UNLOAD_MODULE
    void *handle = dlopen(UNLOAD_MODULE, RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        tap_bail_out("dlopen: %s", dlerror());
    }
    dlclose(handle);
#endif
}

/* ------------------------------------------------------------------- a round */

static void one_round(uint64_t seed)
{
    pthread_t worker[WORKERS];
    for (size_t i = 0; i < WORKERS; i++) {
        worker[i] = start(is_worker, seed + i);
    }
#ifdef SOAK_GC
    pthread_t objects = start(has_objects, seed);
#endif
    for (int i = 0; i < SHORT_LIVES; i++) {
        pthread_t other = start(lives_shortly, seed + WORKERS + (uint64_t)i);
        if (i < FORKS) {
            fork_once((int)(seed % 1000) + i);
        }
        pthread_join(other, NULL);
    }
    use_a_library();
    verify();
    for (size_t i = 0; i < WORKERS; i++) {
        pthread_join(worker[i], NULL);
    }
#ifdef SOAK_GC
    pthread_join(objects, NULL);
#endif
    for (size_t i = 0; i < POST; i++) {
        discard(atomic_exchange(&post[i], NULL));
    }
}

/* ------------------------------------------------------- the memory over time */

/* Sums for the line that fits best. */
struct line {
    double n, t, y, tt, ty, yy;
};

static void add_point(struct line *line, double t, double y)
{
    line->n += 1;
    line->t += t;
    line->y += y;
    line->tt += t * t;
    line->ty += t * y;
    line->yy += y * y;
}

/* Percent an hour, and the standard error of that. */
struct drift {
    double percent, error;
};

static struct drift drift_of(const struct line *line)
{
    struct drift drift = {0, 0};
    double spread = line->tt - line->t * line->t / line->n;
    if (line->n < 3 || spread <= 0) {
        return drift;
    }
    double product = line->ty - line->t * line->y / line->n;
    double slope = product / spread;
    double rest = line->yy - line->y * line->y / line->n - slope * product;
    double to_percent = 3600 * 100 / (line->y / line->n);
    drift.percent = slope * to_percent;
    drift.error = sqrt(fmax(rest, 0) / (line->n - 2) / spread) * to_percent;
    return drift;
}

static struct line as_it_is, after_purge;
static uint64_t live_first, live_last;
static long rounds;

static void measure(double now, double seconds, double *next_report)
{
    struct pymalloc_totals s;
    long rss = rss_kb();
    pymalloc_purge();
    long purged = rss_kb();
    verify();
    pymalloc_stats(&s);
    live_last = s.small_live;
    if (now > seconds / 10) {
        add_point(&as_it_is, now, (double)rss);
        add_point(&after_purge, now, (double)purged);
    }
    if (now >= *next_report) {
        tap_note("%6.0f s: round %ld, %ld KiB, %ld KiB after a purge, %ju small blocks "
                 "live in %ju KiB of pools, %ju heaps",
                 now, rounds, rss, purged, (uintmax_t)s.small_live,
                 (uintmax_t)s.small_held_bytes / 1024, (uintmax_t)s.heaps);
        *next_report += seconds / REPORTS > 1 ? seconds / REPORTS : 1;
    }
}

static void fill_stock(uint64_t seed)
{
    struct rng rng = {seed};
    for (size_t i = 0; i < STOCK; i++) {
        stock[i] = make_stock(&rng, i);
    }
}

static double soak_seconds(void)
{
    return (double)env_number("SOAK_SECONDS", 3);
}

static void soak(void)
{
    double seconds = soak_seconds(), begin = now_seconds(), next_report = 0, now = 0;
    uint64_t seed = env_number("SOAK_SEED", 20240229);
    fill_stock(seed);
    for (; (now < seconds || rounds < ROUNDS_LEAST) && !tap_failures; rounds++) {
        one_round(seed + (uint64_t)rounds * 1000);
        now = now_seconds() - begin;
        measure(now, seconds, &next_report);
        live_first = rounds == 1 ? live_last : live_first;
    }
    for (size_t i = 0; i < STOCK; i++) {
        discard(stock[i]);
    }
    verify();
    struct drift drift = drift_of(&as_it_is), purged = drift_of(&after_purge);
    tap_note("soak: %.0f s, %ld rounds, %ld forks; drift %+.2f%% (standard error "
             "%.2f) per hour, after purges %+.2f%% (%.2f); contents: %s; verify: %s",
             now, rounds, forks, drift.percent, drift.error, purged.percent,
             purged.error, damaged ? "FAIL" : "pass", unsound ? "FAIL" : "pass");
}

static void every_heap_was_sound(void)
{
    CHECK_EQ(unsound, 0, "of %ld verifications and %ld children", verified, forks);
}

/* The stock has the same sizes each time, so what else is live was lost. */
static void nothing_is_lost(void)
{
    CHECK(live_last <= live_first + MAY_STAY, "%ju small blocks were live, now %ju",
          (uintmax_t)live_first, (uintmax_t)live_last);
}

static const struct tap_case cases[] = {
    {"contents", soak},
    {"every heap was sound", every_heap_was_sound},
    {"nothing is lost", nothing_is_lost},
};

int main(int argc, char **argv)
{
    char timeout[32];
    snprintf(timeout, sizeof timeout, "%.0f", soak_seconds() + TAP_SECONDS);
    setenv("PYM_TEST_TIMEOUT", timeout, 0);
#ifndef PYM_TEST_CORE
    require_pymalloc();
#endif
    return TAP_RUN(cases, argc, argv);
}
