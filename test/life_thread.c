/* The end of a thread: its destructors run in an order that nobody controls,
 * before and after the allocator has taken the thread's heap away. */
#include "support.h"

#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <threads.h>

enum {
    EARLY = 3,  /* keys made before libpymalloc can have made its own */
    LATE = 100, /* more than glibc keeps without allocating */
    WORK = 40,
};

static pthread_key_t early_key[EARLY], late_key[LATE];
static tss_t c11_key;
static _Atomic int destructors_run;
static _Atomic(void *) exchange[64];

/* Allocates, frees own blocks and those of others, leaves some to others. */
static void work(unsigned seed)
{
    struct rng rng = {seed};
    void *own[WORK];
    for (int i = 0; i < WORK; i++) {
        size_t n = rng_below(&rng, i % 8 ? 513 : 20000);
        own[i] = i % 3 ? malloc(n) : calloc(1, n);
        memset(own[i], 0x5a, n);
    }
    for (int i = 0; i < WORK / 4; i++) {
        own[i] =
            atomic_exchange(&exchange[rng_below(&rng, COUNT_OF(exchange))], own[i]);
    }
    own[WORK - 1] = realloc(own[WORK - 1], 100);
    own[WORK - 2] = realloc(own[WORK - 2], 1000);
    for (int i = 0; i < WORK; i++) {
        free(own[i]);
    }
}

static void empty_exchange(void)
{
    for (size_t i = 0; i < COUNT_OF(exchange); i++) {
        free(atomic_exchange(&exchange[i], NULL));
    }
}

struct recurring {
    pthread_key_t key;
    int rounds;
};

/* Sets its key again, so that it runs in every round there is. */
static void recur(void *arg)
{
    struct recurring *r = arg;
    atomic_fetch_add(&destructors_run, 1);
    work((unsigned)r->rounds);
    if (--r->rounds > 0) {
        pthread_setspecific(r->key, r);
    } else {
        free(r);
    }
}

/* Before any constructor: the keys get the lowest numbers. */
static void make_early_keys(int argc, char **argv, char **envp)
{
    (void)argc;
    (void)argv;
    (void)envp;
    for (int i = 0; i < EARLY; i++) {
        pthread_key_create(&early_key[i], recur);
    }
}

__attribute__((section(".preinit_array"),
               used)) static void (*const preinits[])(int, char **,
                                                      char **) = {make_early_keys};

static void set_recurring(pthread_key_t key)
{
    struct recurring *r = malloc(sizeof *r);
    r->key = key;
    r->rounds = PTHREAD_DESTRUCTOR_ITERATIONS;
    pthread_setspecific(key, r);
}

static uint64_t live_blocks(void)
{
    struct pymalloc_totals s;
    pymalloc_stats(&s);
    return s.small_live;
}

/* Threads in a row, two at a time; nothing may be left behind but what glibc
 * itself keeps for a thread, and that is counted by the first few. */
static void run_threads(void *(*body)(void *), int count)
{
    uint64_t before = 0;
    for (int i = 0; i < count; i++) {
        pthread_t a, b;
        pthread_create(&a, NULL, body, (void *)(uintptr_t)i);
        pthread_create(&b, NULL, body, (void *)(uintptr_t)(i + 1000));
        pthread_join(a, NULL);
        pthread_join(b, NULL);
        empty_exchange();
        if (i == 10) {
            before = live_blocks();
        }
    }
    uint64_t left = live_blocks() - before;
    CHECK(left <= 8, "%d threads left %jd blocks", 2 * count, (intmax_t)left);
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
}

static void *with_early_keys(void *arg)
{
    work((unsigned)(uintptr_t)arg);
    for (int i = 0; i < EARLY; i++) {
        set_recurring(early_key[i]);
    }
    return NULL;
}

static void destructors_before_ours(void)
{
    tap_note("the early keys begin at %u, the late ones at %u", early_key[0],
             late_key[0]);
    destructors_run = 0;
    run_threads(with_early_keys, 100);
    CHECK_EQ(destructors_run, 200 * EARLY * PTHREAD_DESTRUCTOR_ITERATIONS,
             "destructor calls");
}

static void *with_late_keys(void *arg)
{
    work((unsigned)(uintptr_t)arg);
    for (int i = 0; i < LATE; i += 9) {
        set_recurring(late_key[i]);
    }
    return NULL;
}

static void destructors_after_ours(void)
{
    destructors_run = 0;
    run_threads(with_late_keys, 100);
    CHECK_EQ(destructors_run, 200 * ((LATE + 8) / 9) * PTHREAD_DESTRUCTOR_ITERATIONS,
             "destructor calls");
}

static void c11_destructor(void *arg)
{
    work(7);
    free(arg);
}

static void *with_c11_key(void *arg)
{
    (void)arg;
    tss_set(c11_key, malloc(100));
    return NULL;
}

static void c11_destructors(void)
{
    run_threads(with_c11_key, 100);
}

int __cxa_thread_atexit_impl(void (*destructor)(void *), void *object, void *dso);
extern void *__dso_handle;

static void thread_local_destructor(void *arg)
{
    work(9);
    free(arg);
}

static void *with_thread_locals(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10; i++) {
        __cxa_thread_atexit_impl(thread_local_destructor, malloc(64), &__dso_handle);
    }
    set_recurring(late_key[LATE - 1]);
    return NULL;
}

static void thread_local_destructors(void)
{
    run_threads(with_thread_locals, 100);
}

static pthread_key_t only_key, plain_key;

/* For a key that is not among the first glibc allocates something, and frees it when
 * all destructors have run. */
static void only_in_destructor(void *arg)
{
    work(11);
    pthread_setspecific(plain_key, arg);
}

static void *allocates_only_in_destructor(void *arg)
{
    pthread_setspecific(only_key, arg ? arg : (void *)1);
    return NULL;
}

static uint64_t heaps(void)
{
    struct pymalloc_totals s;
    pymalloc_stats(&s);
    return s.heaps;
}

/* But for the caller's, and one that is shared at threads' ends. */
static int heaps_are_of_the_dead(void)
{
    struct pymalloc_totals s;
    pymalloc_stats(&s);
    return s.heaps - s.heaps_orphaned > 2;
}

/* Their heaps are handed on, though our own destructor is not called as often as it
 * would be for others. */
static void threads_that_begin_in_a_destructor(void)
{
    uint64_t before = heaps();
    run_threads(allocates_only_in_destructor, 200);
    CHECK(heaps() <= before + 4, "%jd heaps for two threads at a time",
          (intmax_t)(heaps() - before));
    CHECK(!heaps_are_of_the_dead(), "a heap is a thread's that is gone");
}

static void *is_cancelled(void *arg)
{
    set_recurring(late_key[1]);
    set_recurring(early_key[1]);
    work((unsigned)(uintptr_t)arg);
    for (;;) {
        pause();
    }
    return NULL;
}

static void cancelled_threads(void)
{
    uint64_t before = 0;
    for (int i = 0; i < 100; i++) {
        pthread_t t;
        pthread_create(&t, NULL, is_cancelled, (void *)(uintptr_t)i);
        pthread_cancel(t);
        pthread_join(t, NULL);
        empty_exchange();
        before = i == 10 ? live_blocks() : before;
    }
    CHECK(live_blocks() <= before + 8, "%jd blocks are left",
          (intmax_t)(live_blocks() - before));
}

static void *detached(void *arg)
{
    work((unsigned)(uintptr_t)arg);
    set_recurring(late_key[3]);
    return NULL;
}

static void detached_threads(void)
{
    pthread_attr_t attr;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    destructors_run = 0;
    for (int i = 0; i < 300; i++) {
        pthread_t t;
        atomic_fetch_sub(&destructors_run, PTHREAD_DESTRUCTOR_ITERATIONS);
        if (pthread_create(&t, &attr, detached, (void *)(uintptr_t)i) != 0) {
            tap_bail_out("pthread_create failed");
        }
        while (i % 8 == 7 && destructors_run != 0) {
            sleep_ms(1);
        }
    }
    for (int i = 0; i < 5000 && destructors_run != 0; i++) {
        sleep_ms(1);
    }
    CHECK_EQ(destructors_run, 0, "destructors that did not run");
    empty_exchange();
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
}

/* Blocks allocated after the heap has gone are blocks like any other. */
static pthread_key_t leaving_key;
static struct {
    unsigned char *block;
    size_t size;
} left_behind[WORK];

static void leave_blocks(void *arg)
{
    static int round;
    if (++round < PTHREAD_DESTRUCTOR_ITERATIONS) {
        pthread_setspecific(leaving_key, arg);
        return;
    }
    round = 0;
    for (int i = 0; i < WORK; i++) {
        left_behind[i].size = (size_t)i * (i % 5 ? 12 : 99);
        left_behind[i].block = malloc(left_behind[i].size);
        pattern_fill(left_behind[i].block, left_behind[i].size, (uint64_t)i);
    }
}

static void *leaves_blocks(void *arg)
{
    free(opaque(malloc(10)));
    pthread_setspecific(leaving_key, &leaving_key);
    return arg;
}

static void blocks_of_the_last_round_live_on(void)
{
    pthread_key_create(&leaving_key, leave_blocks);
    uint64_t before = 0;
    for (int i = 0; i < 50; i++) {
        pthread_t t;
        pthread_create(&t, NULL, leaves_blocks, NULL);
        pthread_join(t, NULL);
        work((unsigned)i);
        for (int k = 0; k < WORK; k++) {
            CHECK(pattern_holds(left_behind[k].block, left_behind[k].size, (uint64_t)k),
                  "a block of %zu", left_behind[k].size);
            CHECK(malloc_usable_size(left_behind[k].block) >= left_behind[k].size,
                  "a block of %zu", left_behind[k].size);
            free(left_behind[k].block);
        }
        empty_exchange();
        before = i == 5 ? live_blocks() : before;
    }
    CHECK(live_blocks() <= before + 4, "%jd blocks are left",
          (intmax_t)(live_blocks() - before));
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
}

static const struct tap_case cases[] = {
    {"destructors of keys older than the allocator's", destructors_before_ours},
    {"destructors of keys younger than the allocator's", destructors_after_ours},
    {"C11 thread-specific storage", c11_destructors},
    {"destructors of thread-local objects", thread_local_destructors},
    {"threads that allocate only in a destructor", threads_that_begin_in_a_destructor},
    {"cancelled threads", cancelled_threads},
    {"detached threads", detached_threads},
    {"blocks of the last destructor round live on", blocks_of_the_last_round_live_on},
};

int main(int argc, char **argv)
{
    require_pymalloc();
    /* One of those that glibc keeps without allocating. */
    pthread_key_create(&only_key, only_in_destructor);
    for (int i = 0; i < LATE; i++) {
        pthread_key_create(&late_key[i], recur);
    }
    pthread_key_create(&plain_key, NULL);
    tss_create(&c11_key, c11_destructor);
    return TAP_RUN(cases, argc, argv);
}
