/* Threads that are cancelled, and computations that a signal handler leaves by
 * siglongjmp: neither is a way out of the allocator, and nothing is lost.
 *
 * Built with the library, and as *_core with the core. */
#include "base.h"
#include "stress.h"

#include <setjmp.h>

enum { VICTIMS = 4, OWN = 60, LEFT = 64, ROUNDS = 24 };

static uint64_t live_blocks(void)
{
    struct pymalloc_totals s;
    pymalloc_stats(&s);
    return s.small_live;
}

static uint64_t heaps_made(void)
{
    struct pymalloc_totals s;
    pymalloc_stats(&s);
    return s.heaps;
}

/* ---- what a cancelled thread leaves */

struct victim {
    pthread_t thread;
    struct rng rng;
    struct model own[OWN];
    _Atomic int ready;
    int cleaned;
    volatile uint64_t computed;
};

static struct victim victims[VICTIMS];

static void use_slot(struct victim *v)
{
    struct model *m = &v->own[rng_below(&v->rng, OWN)];
    if (!m->block) {
        model_allocate(m, &v->rng);
    } else if (model_check(m) && rng_below(&v->rng, 4) == 0) {
        model_reallocate(m, &v->rng);
    } else {
        model_free(m, &v->rng);
    }
}

static void free_all(struct victim *v)
{
    for (size_t i = 0; i < OWN; i++) {
        if (v->own[i].block) {
            model_check(&v->own[i]);
            model_free(&v->own[i], &v->rng);
        }
    }
}

/* A cancellation handler may allocate as anybody may. */
static void clean_up(void *arg)
{
    struct victim *v = arg;
    for (int i = 0; i < OWN; i++) {
        use_slot(v);
    }
    v->cleaned++;
}

static void *is_cancelled_between_calls(void *arg)
{
    struct victim *v = arg;
    pthread_cleanup_push(clean_up, v);
    for (;;) {
        for (int i = 0; i < 50; i++) {
            use_slot(v);
        }
        atomic_store(&v->ready, 1);
        pthread_testcancel();
    }
    pthread_cleanup_pop(0);
    return NULL;
}

/* malloc may not be called while cancellation is asynchronous: a computation
 * may be left anywhere. */
static void *is_cancelled_while_it_computes(void *arg)
{
    struct victim *v = arg;
    int before;
    for (int i = 0; i < 200; i++) {
        use_slot(v);
    }
    pthread_cleanup_push(clean_up, v);
    pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &before);
    atomic_store(&v->ready, 1);
    for (;;) {
        v->computed += 3;
    }
    pthread_cleanup_pop(0);
    return NULL;
}

static void *is_cancelled_asleep(void *arg)
{
    struct victim *v = arg;
    for (int i = 0; i < 200; i++) {
        use_slot(v);
    }
    v->cleaned++;
    atomic_store(&v->ready, 1);
    for (;;) {
        pause();
    }
    return NULL;
}

static void cancel(struct victim *v)
{
    void *result;
    while (!atomic_load(&v->ready)) {
        sleep_ms(1);
    }
    pthread_cancel(v->thread);
    pthread_join(v->thread, &result);
    STRESS_CHECK(result == PTHREAD_CANCELED, "the thread was not cancelled");
    STRESS_CHECK(v->cleaned == 1, "%d cancellation handlers", v->cleaned);
}

/* What the threads of one round leave, those of the next take over and free,
 * with the heaps: so both are bounded. */
static void cancel_rounds(const char *name, void *(*body)(void *))
{
    uint64_t seed = stress_begin(name), blocks = 0, heaps = 0;
    for (int round = 0; round < ROUNDS && !stress_failed(); round++) {
        for (size_t i = 0; i < VICTIMS; i++) {
            victims[i].rng.state = seed + (uint64_t)round * VICTIMS + i;
            victims[i].cleaned = 0;
            atomic_store(&victims[i].ready, 0);
            victims[i].thread = start_thread(body, &victims[i]);
        }
        for (size_t i = 0; i < VICTIMS; i++) {
            cancel(&victims[i]);
        }
        heap_is_sound(name);
        if (round % 8 == 7) {
            for (size_t i = 0; i < VICTIMS; i++) {
                free_all(&victims[i]);
            }
            uint64_t live = live_blocks();
            blocks = round == 7 ? live : blocks;
            heaps = round == 7 ? heaps_made() : heaps;
            STRESS_CHECK(live <= blocks + 8, "%ju blocks are left in round %d",
                         (uintmax_t)(live - blocks), round);
        }
    }
    for (size_t i = 0; i < VICTIMS; i++) {
        free_all(&victims[i]);
    }
    CHECK_EQ(heaps_made(), heaps, "new heaps, though orphans wait");
    CHECK(!stress_failed(), "see above");
}

static void cancelled_between_calls(void)
{
    cancel_rounds("cancelled between calls", is_cancelled_between_calls);
}

static void cancelled_while_computing(void)
{
    cancel_rounds("cancelled in a computation", is_cancelled_while_it_computes);
}

static void cancelled_asleep(void)
{
    if (PYM_TSAN) {
        SKIP("ThreadSanitizer does not see atomics of a thread cancelled in a call");
    }
    cancel_rounds("cancelled asleep", is_cancelled_asleep);
}

/* ---- no cancellation point in the allocator */

static _Atomic int reached;

/* With the cancellation pending, the first cancellation point is the last. */
static void *calls_everything(void *arg)
{
    static void *block[2000];
    struct pymalloc_totals totals;
    char value[64];
    pthread_cancel(pthread_self());
    for (size_t i = 0; i < COUNT_OF(block); i++) {
        block[i] = a_malloc(i % 33 * 16 + (i % 50 ? 0 : 4000));
    }
    atomic_store(&reached, 1);
    for (size_t i = 0; i < COUNT_OF(block); i += 3) {
        block[i] = a_realloc(block[i], i * 10 + 1);
    }
    atomic_store(&reached, 2);
    for (size_t i = 0; i < COUNT_OF(block); i++) {
        a_free(block[i]);
    }
    a_free(a_calloc(100, 10000));
    a_free(a_aligned(4096, 100));
    a_free(opaque(a_malloc(opaque_size(64 << 20))));
    atomic_store(&reached, 3);
    pymalloc_purge();
    atomic_store(&reached, 4);
    pymalloc_verify();
    atomic_store(&reached, 5);
    pymalloc_option_get("decay", value, sizeof value);
    pymalloc_option_set("decay", value);
    atomic_store(&reached, 6);
    pymalloc_stats(&totals);
    atomic_store(&reached, 7);
    pthread_testcancel();
    atomic_store(&reached, 8);
    return arg;
}

static void nothing_is_a_cancellation_point(void)
{
    void *result;
    pthread_t thread = start_thread(calls_everything, NULL);
    pthread_join(thread, &result);
    CHECK(result == PTHREAD_CANCELED, "the thread was not cancelled");
    CHECK_EQ(reached, 7, "the part of the work that was done");
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
    pymalloc_purge(); /* takes every lock */
}

/* ---- a thread ends while others allocate and free what is its */

static _Atomic(void *) shelf[LEFT];
static _Atomic int enough;

static void *swaps(void *arg)
{
    struct rng rng = {(uintptr_t)arg};
    while (!atomic_load_explicit(&enough, memory_order_relaxed)) {
        void *p = a_malloc(rng_below(&rng, 600));
        a_free(atomic_exchange(&shelf[rng_below(&rng, LEFT)], p));
    }
    return NULL;
}

static void *swaps_and_ends(void *arg)
{
    struct rng rng = {(uintptr_t)arg};
    for (size_t n = rng_below(&rng, 400); n > 0; n--) {
        void *p = a_malloc(rng_below(&rng, 600));
        a_free(atomic_exchange(&shelf[rng_below(&rng, LEFT)], p));
    }
    return NULL;
}

static void ends_beside_others(void)
{
    pthread_t busy[2];
    uint64_t before = live_blocks();
    atomic_store(&enough, 0);
    for (uintptr_t i = 0; i < COUNT_OF(busy); i++) {
        busy[i] = start_thread(swaps, (void *)i);
    }
    for (uintptr_t i = 0; i < 500; i++) {
        pthread_join(start_thread(swaps_and_ends, (void *)(i + 10)), NULL);
    }
    atomic_store(&enough, 1);
    for (size_t i = 0; i < COUNT_OF(busy); i++) {
        pthread_join(busy[i], NULL);
    }
    for (size_t i = 0; i < LEFT; i++) {
        a_free(atomic_exchange(&shelf[i], NULL));
    }
    CHECK(live_blocks() <= before + 8, "%ju blocks are left",
          (uintmax_t)(live_blocks() - before));
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
}

/* ---- a handler that leaves a computation by siglongjmp */

static sigjmp_buf out;
static volatile sig_atomic_t computing, interrupted;

/* What it interrupts in the allocator it returns to: leaving that would be
 * undefined. */
static void on_timer(int number)
{
    (void)number;
    interrupted++;
    if (computing) {
        computing = 0;
        siglongjmp(out, 1);
    }
}

static void compute(void)
{
    if (sigsetjmp(out, 1) == 0) {
        computing = 1;
        for (;;) {
            victims[0].computed += 7;
        }
    }
}

static void left_by_siglongjmp(void)
{
    struct victim *v = &victims[0];
    struct itimerspec often = {{0, 400000}, {0, 400000}};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    timer_t timer;
    if (PYM_TSAN) {
        SKIP("ThreadSanitizer holds signals back from a computation");
    }
    v->rng.state = stress_begin("siglongjmp");
    signal(SIGUSR1, on_timer);
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 ||
        timer_settime(timer, 0, &often, NULL) != 0) {
        SKIP("no timers");
    }
    for (int i = 0; i < 400 && !stress_failed(); i++) {
        for (int k = 0; k < 100; k++) {
            use_slot(v);
        }
        compute();
    }
    timer_delete(timer);
    signal(SIGUSR1, SIG_IGN);
    free_all(v);
    heap_is_sound("after siglongjmp");
    tap_note("%d signals", (int)interrupted);
    CHECK(!stress_failed() && interrupted >= 400, "see above");
}

static const struct tap_case cases[] = {
    {"cancelled between calls", cancelled_between_calls},
    {"cancelled in a computation", cancelled_while_computing},
    {"cancelled asleep", cancelled_asleep},
    {"no function is a cancellation point", nothing_is_a_cancellation_point},
    {"a thread ends while others use its blocks", ends_beside_others},
    {"a computation is left by siglongjmp", left_by_siglongjmp},
};

#if PYM_ASAN
/* Its handling of a thread's end takes the stack of a cancelled one for poisoned. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "use_sigaltstack=0";
}
#endif

int main(int argc, char **argv)
{
    stress_require();
    return TAP_RUN(cases, argc, argv);
}
