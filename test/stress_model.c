/* Threads that allocate, check, reallocate and free blocks in slots that they
 * share, that die and are born, and now and then fork.
 *
 * PYM_TEST_SEED chooses the sequence, PYM_TEST_OPS the operations of a case. */
#include "stress.h"

enum { SLOTS = 3000, LIFE = 4000, THREADS_MOST = 16, CHILD_SECONDS = 60 };

enum state { EMPTY, FULL, BUSY };

/* Who makes a slot BUSY has it; FULL and EMPTY hand it on. */
struct slot {
    _Atomic uint32_t state;
    struct model model;
} __attribute__((aligned(64)));

static struct slot *slots;

static int forks_of_lives; /* one in so many lives forks; 0: none */

struct life {
    struct rng rng;
    int number;
    long ops;
};

/* Takes a slot that nobody is busy with; NULL if this one is. */
static struct slot *slot_take(size_t index, uint32_t *state)
{
    struct slot *s = &slots[index];
    *state = atomic_load_explicit(&s->state, memory_order_relaxed);
    if (*state == BUSY ||
        !atomic_compare_exchange_strong_explicit(
            &s->state, state, BUSY, memory_order_acquire, memory_order_relaxed)) {
        return NULL;
    }
    return s;
}

static void slot_give(struct slot *s, uint32_t state)
{
    atomic_store_explicit(&s->state, state, memory_order_release);
}

/* Returns the state that the slot has now. */
static uint32_t use_slot(struct slot *s, uint32_t state, struct rng *rng)
{
    if (state == EMPTY) {
        return model_allocate(&s->model, rng) ? FULL : EMPTY;
    }
    if (!model_check(&s->model)) {
        return EMPTY; /* it is lost; the run ends */
    }
    switch (rng_below(rng, 8)) {
    case 0:
        return FULL;
    case 1:
    case 2:
        return model_reallocate(&s->model, rng) ? FULL : EMPTY;
    default:
        model_free(&s->model, rng);
        return EMPTY;
    }
}

/* Mostly a part of the slots of its own, so that frees are local and remote. */
static size_t pick_slot(struct life *life)
{
    size_t share = SLOTS / THREADS_MOST;
    return rng_below(&life->rng, 4) ? share * (size_t)(life->number % THREADS_MOST) +
                                          rng_below(&life->rng, share)
                                    : rng_below(&life->rng, SLOTS);
}

/* ------------------------------------------------------------- children */

/* A sanitizer's own allocator, which is the system's in such a build, may be locked for
 * ever in the child of a process with threads: there the child frees what is not the
 * system's, and takes nothing. */
static uint32_t use_in_child(struct slot *s, uint32_t state, struct rng *rng)
{
#if (defined(PYM_ASAN) && PYM_ASAN) || (defined(PYM_TSAN) && PYM_TSAN)
    if (state == FULL && pymalloc_owns(s->model.block)) {
        model_free(&s->model, rng);
        return EMPTY;
    }
    return state;
#else
    return rng_below(rng, 3) ? use_slot(s, state, rng) : state;
#endif
}

/* The other threads are gone; their slots stay busy for ever, all others are
 * the child's.  Returns what went wrong. */
static int child_life(struct rng *rng)
{
    heap_is_sound("in the child at first");
    for (size_t i = 0; i < SLOTS && !stress_failed(); i++) {
        uint32_t state;
        struct slot *s = slot_take(i, &state);
        if (s) {
            slot_give(s, use_in_child(s, state, rng));
        }
    }
    heap_is_sound("in the child at last");
    return tap_failures != 0;
}

static void have_child(struct rng *rng)
{
    pid_t pid = fork();
    if (pid == 0) {
        _exit(child_life(rng));
    }
    STRESS_CHECK(pid > 0, "fork: %s", strerror(errno));
    int status = child_wait(pid, CHILD_SECONDS);
    STRESS_CHECK(status == 0, "a child ended with %d", status);
}

/* ------------------------------------------------------------- the case */

static void *live(void *arg)
{
    struct life *life = arg;
    for (long i = 0; i < life->ops && !stress_failed(); i++) {
        uint32_t state;
        struct slot *s = slot_take(pick_slot(life), &state);
        if (s) {
            slot_give(s, use_slot(s, state, &life->rng));
        }
        if (i % 2048 == 2047) {
            heap_is_sound("now and then");
        }
    }
    if (forks_of_lives && rng_below(&life->rng, (size_t)forks_of_lives) == 0) {
        have_child(&life->rng);
    }
    return NULL;
}

static int visit(void *block, size_t size, void *arg)
{
    size_t *live = arg;
    (void)block;
    (void)size;
    (*live)++;
    return 0;
}

/* With no other thread about, the walk and the statistics have to agree with
 * the model exactly.  Blocks of no bytes need not lie in a pool. */
static void agrees_with_model(void)
{
    struct pymalloc_totals stats;
    size_t walked = 0, live = 0;
    for (size_t i = 0; i < SLOTS; i++) {
        const struct model *model = &slots[i].model;
        live +=
            slots[i].state == FULL && pymalloc_owns(model->block) && model->size > 0;
    }
    pymalloc_walk(visit, &walked);
    pymalloc_stats(&stats);
    STRESS_CHECK(walked == stats.small_live, "a walk sees %zu blocks, %ju are live",
                 walked, (uintmax_t)stats.small_live);
    STRESS_CHECK(walked >= live, "a walk sees %zu blocks, of %zu at least", walked,
                 live);
}

static uint64_t live_blocks(void)
{
    struct pymalloc_totals stats;
    pymalloc_stats(&stats);
    return stats.small_live;
}

static void empty_slots(uint64_t seed)
{
    struct rng rng = {seed};
    for (size_t i = 0; i < SLOTS; i++) {
        if (slots[i].state == FULL && model_check(&slots[i].model)) {
            model_free(&slots[i].model, &rng);
        }
        slots[i].state = EMPTY;
    }
}

/* In each of the threads' places one life follows the other. */
static void live_all(uint64_t seed, int threads, long lives)
{
    pthread_t thread[THREADS_MOST];
    struct life life[THREADS_MOST];
    for (long n = 0; n < lives + threads; n++) {
        int place = (int)(n % threads);
        if (n >= threads && n - threads < lives) {
            pthread_join(thread[place], NULL);
        }
        if (n < lives) {
            uint64_t own_seed = seed * 1000003 + (uint64_t)n;
            life[place] =
                (struct life){{own_seed}, (int)n, LIFE / 2 + (long)(own_seed % LIFE)};
            thread[place] = start_thread(live, &life[place]);
        }
    }
}

static void run(const char *test, int threads, int forks, unsigned long ops)
{
    uint64_t seed = stress_begin(test), before = live_blocks();
    forks_of_lives = forks;
    live_all(seed, threads, (long)(env_number("PYM_TEST_OPS", ops) / LIFE));
    if (stress_failed()) {
        return; /* the model is not to be trusted any more */
    }
    agrees_with_model();
    heap_is_sound("at the end");
    empty_slots(seed);
    heap_is_sound("when all is freed");
    uint64_t left = live_blocks();
    STRESS_CHECK(left <= before + 64, "%ju blocks are left",
                 (uintmax_t)(left - before));
}

static void one_thread(void)
{
    run("one thread", 1, 0, 300000);
}

static void two_threads(void)
{
    run("two threads", 2, 0, 300000);
}

static void four_threads(void)
{
    run("four threads", 4, 0, 300000);
}

static void sixteen_threads(void)
{
    run("sixteen threads", 16, 0, 400000);
}

static void threads_that_fork(void)
{
    run("threads that fork", 4, 2, 200000);
}

static const struct tap_case cases[] = {
    {"one thread", one_thread},
    {"two threads", two_threads},
    {"four threads", four_threads},
    {"sixteen threads", sixteen_threads},
    {"threads that fork", threads_that_fork},
};

int main(int argc, char **argv)
{
    stress_require();
    slots = pages(SLOTS * sizeof *slots);
    return TAP_RUN(cases, argc, argv);
}
