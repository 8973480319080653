/* fork while other threads are anywhere in the allocator. */
#include "support.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

enum { BUSY = 4, LOCKERS = 3, SLOTS = 256, CHILD_SECONDS = 20 };

/* A block in the open: who takes the pointer out of its slot has the block. */
struct parcel {
    struct parcel *self;
    uint32_t size;
    uint32_t tag;
    unsigned char content[];
};

static _Atomic(struct parcel *) slot[SLOTS];
static _Atomic int stop;
static _Atomic int running;
static pthread_t busy[BUSY + 1 + LOCKERS];

static struct parcel *parcel_new(struct rng *rng)
{
    size_t size = rng_below(rng, rng_below(rng, 3) ? 490 : 12000);
    struct parcel *p = malloc(sizeof *p + size);
    if (p) {
        p->self = p;
        p->size = (uint32_t)size;
        p->tag = (uint32_t)rng_next(rng);
        pattern_fill(p->content, size, p->tag);
    }
    return p;
}

/* Checks and frees; true if it was sound. */
static int parcel_delete(struct parcel *p)
{
    int sound = !p || (p->self == p && pattern_holds(p->content, p->size, p->tag));
    if (p) {
        p->self = NULL;
        free(p);
    }
    return sound;
}

static void *keep_busy(void *arg)
{
    struct rng rng = {(uintptr_t)arg + 1};
    uintptr_t damaged = 0;
    free(opaque(malloc(1)));
    atomic_fetch_add(&running, 1);
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        struct parcel *p = parcel_new(&rng);
        damaged += !parcel_delete(atomic_exchange(&slot[rng_below(&rng, SLOTS)], p));
    }
    return (void *)damaged;
}

/* glibc's fork takes the locks of stdio, then those of its own malloc. */
static void *keep_stdio_busy(void *arg)
{
    (void)arg;
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        char *line = NULL;
        size_t room = 0;
        FILE *f = fopen("/proc/self/comm", "r");
        if (f) {
            (void)!getline(&line, &room, f);
            fclose(f);
        }
        free(line);
    }
    return NULL;
}

static void *do_nothing(void *arg)
{
    free(opaque(malloc(100)));
    return arg;
}

/* Holds the allocator's locks as much of the time as can be, so that many forks
 * catch them held. */
static void *keep_locks_busy(void *arg)
{
    uintptr_t damaged = 0;
    (void)arg;
    while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
        pthread_t thread;
        damaged += pymalloc_verify() != 0;
        malloc_trim(0);
        if (pthread_create(&thread, NULL, do_nothing, NULL) == 0) {
            pthread_join(thread, NULL);
        }
    }
    return (void *)damaged;
}

static void start_busy_threads(int lockers)
{
    atomic_store(&stop, 0);
    atomic_store(&running, 0);
    for (uintptr_t i = 0; i < BUSY; i++) {
        pthread_create(&busy[i], NULL, keep_busy, (void *)i);
    }
    pthread_create(&busy[BUSY], NULL, keep_stdio_busy, NULL);
    for (int i = 0; i < lockers; i++) {
        pthread_create(&busy[BUSY + 1 + i], NULL, keep_locks_busy, NULL);
    }
    while (atomic_load(&running) < BUSY) {
        sleep_ms(1); /* until each has a heap */
    }
}

static void stop_busy_threads(int lockers)
{
    atomic_store(&stop, 1);
    for (int i = 0; i < BUSY; i++) {
        void *damaged;
        pthread_join(busy[i], &damaged);
        CHECK(damaged == NULL, "busy thread %d found damage", i);
    }
    pthread_join(busy[BUSY], NULL);
    for (int i = 0; i < lockers; i++) {
        void *damaged;
        pthread_join(busy[BUSY + 1 + i], &damaged);
        CHECK(damaged == NULL, "pymalloc_verify found damage beside the forks");
    }
    for (int i = 0; i < SLOTS; i++) {
        CHECK(parcel_delete(atomic_exchange(&slot[i], NULL)), "slot %d", i);
    }
    CHECK_EQ(pymalloc_verify(), 0, "the parent's heap is sound");
}

/* Nobody but the forking thread is left, so all heaps but its own wait for a
 * thread; and one more may be shared by all. */
static int other_heaps_are_orphans(void)
{
    struct pymalloc_totals s;
    pymalloc_stats(&s);
    return s.heaps_orphaned > 0 && s.heaps - s.heaps_orphaned <= 2;
}

/* What a child does: all slots are its own now, and no thread but it is left.
 * Returns what went wrong, 0 if nothing. */
static int child_work(int number, int thorough)
{
    enum { OWN = 30 };
    struct rng rng = {(uint64_t)number};
    struct parcel *own[OWN];
    if (thorough && pymalloc_verify() != 0) {
        return 1;
    }
    if (thorough && !other_heaps_are_orphans()) {
        return 8;
    }
    for (int i = 0; i < SLOTS; i++) {
        if ((i + number) % 6 == 0 && !parcel_delete(atomic_exchange(&slot[i], NULL))) {
            return 2;
        }
    }
    for (int i = 0; i < OWN; i++) {
        own[i] = parcel_new(&rng);
        if (!own[i]) {
            return 3;
        }
    }
    for (int i = 0; i < OWN; i++) {
        if (!parcel_delete(own[i])) {
            return 4;
        }
    }
    void *p = realloc(malloc(100), 100000);
    free(realloc(p, 50));
    if (thorough && pymalloc_verify() != 0) {
        return 5;
    }
    return 0;
}

static pid_t fork_worker(int number, int thorough)
{
    pid_t pid = fork();
    if (pid < 0) {
        tap_bail_out("fork: %s", strerror(errno));
    }
    if (pid == 0) {
        _exit(child_work(number, thorough));
    }
    return pid;
}

static int fork_once(int number, int thorough)
{
    return child_wait(fork_worker(number, thorough), CHILD_SECONDS);
}

enum { FORKS = 10000 };

/* How often, if it is usual with FORKS of them, and PYM_TEST_FORKS says how many. */
static int scaled(int usual)
{
    long n = usual * (long)env_number("PYM_TEST_FORKS", FORKS) / FORKS;
    return n > 2 ? (int)n : 2;
}

/* Some children at a time, or the test would wait most of its time for the busy
 * threads to let a child run.  Ten thousand forks, or, unless PYM_TEST_FORKS says how
 * many, those of some seconds: on some virtual machines one takes many milliseconds. */
static void many_forks_under_load(void)
{
    enum { AT_A_TIME = 16, FORKS_LEAST = 500, SECONDS = 10 };
    int wanted = (int)env_number("PYM_TEST_FORKS", 0);
    int forks = wanted ? wanted : FORKS;
    double end = now_seconds() + SECONDS;
    pid_t pid[AT_A_TIME] = {0};
    start_busy_threads(1);
    for (int i = 0; i < forks + AT_A_TIME && !tap_failures; i++) {
        int k = i % AT_A_TIME;
        if (!wanted && i > FORKS_LEAST && i < forks && now_seconds() > end) {
            forks = i;
            tap_note("%d forks in %d seconds", forks, SECONDS);
        }
        if (pid[k]) {
            CHECK_EQ(child_wait(pid[k], CHILD_SECONDS), 0, "child %d", i - AT_A_TIME);
        }
        pid[k] = i < forks ? fork_worker(i, i % 20 == 0) : 0;
    }
    stop_busy_threads(1);
}

/* Two threads fork at the same time. */
static void *fork_too(void *arg)
{
    uintptr_t bad = 0;
    int forks = scaled(60);
    for (int i = 0; i < forks; i++) {
        bad += fork_once(i + (int)(uintptr_t)arg, 1) != 0;
    }
    return (void *)bad;
}

static void several_threads_fork(void)
{
    pthread_t thread[3];
    start_busy_threads(0);
    for (uintptr_t i = 0; i < 3; i++) {
        pthread_create(&thread[i], NULL, fork_too, (void *)(i * 1000));
    }
    for (int i = 0; i < 3; i++) {
        void *bad;
        pthread_join(thread[i], &bad);
        CHECK(bad == NULL, "%ju children failed", (uintmax_t)(uintptr_t)bad);
    }
    stop_busy_threads(0);
}

/* Children that fork, and that start threads, which adopt what the parent's
 * threads left. */
static int generation(void *arg)
{
    int depth = *(int *)arg;
    int result = child_work(depth, 1);
    if (result != 0 || depth == 0) {
        return result;
    }
    start_busy_threads(0);
    int next = depth - 1;
    int status = in_child(generation, &next, CHILD_SECONDS);
    stop_busy_threads(0);
    result = tap_failures ? 6 : result;
    if (pymalloc_verify() != 0) {
        result = 7;
    }
    return status ? status & 255 : result;
}

static void generations_of_children(void)
{
    int families = scaled(5);
    for (int i = 0; i < families; i++) {
        int depth = 5;
        start_busy_threads(0);
        CHECK_EQ(in_child(generation, &depth, CHILD_SECONDS), 0, "family %d", i);
        stop_busy_threads(0);
    }
}

/* ------------------------------------------------------- atfork handlers */

static _Atomic int handler_calls;
static int handlers_take_locks; /* costs much, so not in all cases */
static _Atomic(void *) handler_block[8];

/* By several threads at a time: glibc does not hold its lock meanwhile. */
static void handler_work(void)
{
    static const size_t size[8] = {10, 100, 400, 600, 3000, 30000, 200000, 0};
    for (int i = 0; i < 8; i++) {
        void *p = realloc(malloc(size[i]), size[i] / 2 + 1);
        free(atomic_exchange(&handler_block[i], p));
    }
    if (handlers_take_locks) {
        pymalloc_purge(); /* takes every lock there is */
    }
    atomic_fetch_add(&handler_calls, 1);
}

/* Registered before libpymalloc can have registered its own, and after. */
static void register_early(int argc, char **argv, char **envp)
{
    (void)argc;
    (void)argv;
    (void)envp;
    pthread_atfork(handler_work, handler_work, handler_work);
}

__attribute__((section(".preinit_array"),
               used)) static void (*const preinits[])(int, char **,
                                                      char **) = {register_early};

static int counts_handler_calls(void *arg)
{
    int before = *(int *)arg;
    return handler_calls == before + 4 ? child_work(1, 1) : 9;
}

static void atfork_handlers_allocate(void)
{
    handlers_take_locks = 1;
    pthread_atfork(handler_work, handler_work, handler_work);
    start_busy_threads(LOCKERS);
    int forks = scaled(80);
    for (int i = 0; i < forks; i++) {
        int before = handler_calls;
        CHECK_EQ(in_child(counts_handler_calls, &before, CHILD_SECONDS), 0, "child %d",
                 i);
        CHECK_EQ(handler_calls, before + 4, "calls in the parent");
    }
    stop_busy_threads(LOCKERS);
    handlers_take_locks = 0;
}

static const struct tap_case cases[] = {
    {"thousands of forks under load", many_forks_under_load},
    {"several threads fork", several_threads_fork},
    {"children of children, with threads", generations_of_children},
    {"atfork handlers allocate", atfork_handlers_allocate},
};

int main(int argc, char **argv)
{
    require_pymalloc();
    return TAP_RUN(cases, argc, argv);
}
