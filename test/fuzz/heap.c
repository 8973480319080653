/*
 * The allocator by operations that bytes decide: sizes at every edge, threads that free
 * each other's blocks, end and are followed by others, time, memory that runs out.
 *
 * One thread works at a time and passes its turn on, so an input always does the same.
 * What happens when several work at once is the stress tests' business.
 */
#include <limits.h>

#include "../stress.h"
#include "inside.h"
#ifndef PYM_FUZZER
#include "replay.h"
#endif

enum {
    BLOCKS = 1024,
    NEAR = 64, /* blocks that operations on single ones reach, so that they meet */
    ACTORS = 4,
    LIVE_MOST = 2 << 20, /* bytes */
    OPERATIONS_MOST = 2000,
    LATE_MOST = 16, /* operations of a thread that is ending */
    SLACK = 64,     /* blocks of the C library itself */
};

static struct {
    struct input in;
    struct model block[BLOCKS];
    size_t live; /* bytes */
    uint64_t tag;
    unsigned operations;
    unsigned forks;
    bool options_set;

    pthread_mutex_t lock;
    pthread_cond_t moved;
    pthread_key_t key; /* whose destructor is a thread's last deed */
    bool key_made;
    int turn; /* whose it is */
    bool has_thread[ACTORS], leaves[ACTORS];
    unsigned late; /* operations of the thread that leaves, in one of its rounds */
    int late_round;
    pthread_t thread[ACTORS];
} fuzz = {.lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER};

static __thread int self;
static __thread int rounds;

/* ---------------------------------------------------------------- blocks */

static size_t decode_size(struct input *in)
{
    unsigned kind = input_byte(in), n = input_byte(in), edge = kind / 8 % 3;
    switch (kind % 8) {
    case 0:
    case 1:
        return n * 2 + kind / 128;
    case 2: /* small classes end here */
        return (n % 32 + 1) * 16 + edge - 1;
    case 3:
        return SMALL_MAX + 1 + n * 257;
    case 4: /* so do the cache's */
        return ((size_t)(9 + n % 8) << (n / 8 % 7 + 6)) + edge - 1;
    case 5: /* pages and arenas */
        return ((size_t)(n + 1) << 12) + edge - 1;
    case 6:
        return SMALL_MAX - 16 + n % 32;
    default:
        return n % 64;
    }
}

/* Sizes that no allocator can serve. */
static size_t decode_huge(struct input *in)
{
    size_t less = input_byte(in);
    switch (input_byte(in) % 6) {
    case 0:
        return SIZE_MAX - less;
    case 1:
        return (size_t)PTRDIFF_MAX + less;
    case 2:
        return (size_t)PTRDIFF_MAX - less;
    case 3:
        return SIZE_MAX - (less << 12);
    case 4:
        return (size_t)1 << 62 | less;
    default:
        return ((size_t)1 << 48) + less;
    }
}

/* Whether an allocation that has failed may have. */
static void check_refusal(const char *what, size_t size)
{
    STRESS_CHECK(inside_failed, "%s of %zu bytes failed with nothing the matter", what,
                 size);
    STRESS_CHECK(errno == ENOMEM, "%s sets errno to %d", what, errno);
}

static void release(struct model *m, unsigned way)
{
    if (!model_check(m) || !model_leave(m)) {
        return;
    }
    fuzz.live -= m->size;
    int before = errno;
    errno = 12345;
    switch (way % 4) {
#ifndef PYM_TEST_CORE
    case 1:
        m->alignment > ALIGNMENT ? free_aligned_sized(m->block, m->alignment, m->size)
                                 : free_sized(m->block, m->size);
        break;
    case 2:
        cfree(m->block);
        break;
#endif
    case 3:
        STRESS_CHECK(a_realloc(m->block, opaque_size(0)) == NULL, "realloc to 0");
        break;
    default:
        a_free(m->block);
    }
    STRESS_CHECK(errno == 12345, "a free sets errno to %d", errno);
    errno = before;
    m->block = NULL;
}

static void *aligned_some_way(size_t alignment, size_t size, unsigned way)
{
#ifndef PYM_TEST_CORE
    void *block = NULL;
    switch (way % 4) {
    case 1:
        return memalign(alignment, size);
    case 2:
        errno = posix_memalign(&block, alignment, size);
        return block;
    default:
        break;
    }
#else
    (void)way;
#endif
    return a_aligned(alignment, size);
}

static void *allocate_by(size_t size, size_t alignment, unsigned way)
{
    switch (way % 8) {
    case 0:
    case 1: {
        size_t count = way / 8 % 8 + 1;
        void *block = a_calloc(count, (size + count - 1) / count);
        STRESS_CHECK(block == NULL || all_zero(block, size),
                     "calloc of %zu is not zero", size);
        return block;
    }
    case 2:
        return a_realloc(NULL, size);
    default:
        return alignment > ALIGNMENT ? aligned_some_way(alignment, size, way / 8)
                                     : a_malloc(size);
    }
}

static void allocate(struct model *m, size_t size, size_t alignment, unsigned way)
{
    if (m->block != NULL) {
        release(m, way / 8);
    }
    if (stress_failed() || fuzz.live + size > LIVE_MOST) {
        return;
    }
    alignment = way % 8 > 2 ? alignment : 0;
    void *block = opaque(allocate_by(size, alignment, way));
    if (block == NULL) {
        check_refusal("an allocation", size);
        return;
    }
    fuzz.live += size;
    model_enter(m, block, size, alignment, ++fuzz.tag);
#ifdef PYM_FUZZ_INSIDE
    STRESS_CHECK(!pymalloc_owns(block) || m->usable == pymalloc_good_size(m->usable),
                 "%zu bytes are usable, which is no class", m->usable);
#endif
}

static struct model *near_block(struct input *in)
{
    return &fuzz.block[input_byte(in) % NEAR];
}

/* ------------------------------------------------------------ operations */

static void do_malloc(struct input *in)
{
    struct model *m = near_block(in);
    allocate(m, decode_size(in), 0, 3);
}

static void do_allocate_some_way(struct input *in)
{
    struct model *m = near_block(in);
    unsigned way = input_byte(in);
    size_t size = decode_size(in);
    allocate(m, size, (size_t)8 << way / 32 * 2, way);
}

static void do_align(struct input *in)
{
    struct model *m = near_block(in);
    unsigned n = input_byte(in);
    allocate(m, decode_size(in), (size_t)8 << n % 16, 3 + n / 16 * 8);
}

static void do_free(struct input *in)
{
    struct model *m = near_block(in);
    if (m->block != NULL) {
        release(m, 0);
    }
}

static void do_free_some_way(struct input *in)
{
    struct model *m = near_block(in);
    unsigned way = input_byte(in);
    if (m->block != NULL) {
        release(m, way);
    } else {
        a_free(NULL);
    }
}

static void do_realloc(struct input *in)
{
    struct model *m = near_block(in);
    size_t size = decode_size(in), old = m->size;
    if (m->block == NULL || size == 0 || fuzz.live + size > LIVE_MOST ||
        !model_check(m) || !model_leave(m)) {
        return;
    }
    void *block = opaque(a_realloc(m->block, size));
    if (block == NULL) {
        check_refusal("realloc", size);
        map_mark(m->block, m->usable, 1);
        model_check(m);
        return;
    }
    size_t kept = size < old ? size : old, at = pattern_mismatch(block, kept, m->tag);
    STRESS_CHECK(at == kept, "realloc of %zu to %zu bytes changed byte %zu", old, size,
                 at);
    fuzz.live += size - old;
    model_enter(m, block, size, 0, ++fuzz.tag);
}

/* Fills a row of places, so that pools and caches fill up. */
static void do_allocate_many(struct input *in)
{
    size_t first = input_byte(in) * (size_t)4, count = input_byte(in) * (size_t)4;
    unsigned way = input_byte(in);
    size_t size = decode_size(in);
    for (size_t i = 0; i < count && !stress_failed(); i++) {
        struct model *m = &fuzz.block[(first + i) % BLOCKS];
        if (m->block == NULL) {
            allocate(m, size, 0, way % 2 ? 3 : 0);
        }
    }
}

/* Every so-many-th of a row, in either direction. */
static void do_free_many(struct input *in)
{
    size_t first = input_byte(in) * (size_t)4, count = input_byte(in) * (size_t)4;
    unsigned how = input_byte(in);
    size_t stride = how % 128 % 37 + 1;
    for (size_t i = 0; i < count && !stress_failed(); i++) {
        size_t at = (first + i * stride) % BLOCKS;
        struct model *m = &fuzz.block[how < 128 ? at : BLOCKS - 1 - at];
        if (m->block != NULL) {
            release(m, 0);
        }
    }
}

static void do_check(struct input *in)
{
    (void)in;
    for (size_t i = 0; i < BLOCKS && !stress_failed(); i++) {
        if (fuzz.block[i].block != NULL) {
            model_check(&fuzz.block[i]);
        }
    }
}

/* What cannot be is refused, and changes nothing. */
static void do_ask_too_much(struct input *in)
{
    unsigned way = input_byte(in);
    struct model *m = near_block(in);
    size_t size = opaque_size(decode_huge(in));
    void *block;
    errno = 0;
    switch (way % 5) {
    case 0:
        block = a_malloc(size);
        break;
    case 1:
        block = a_calloc(way / 5 + 1, size);
        break;
    case 2:
        block = a_calloc(size / 16, opaque_size(17 + way));
        break;
    case 3:
        block = a_aligned((size_t)8 << way / 5 % 16, size);
        break;
    default:
        block = m->block != NULL ? a_realloc(m->block, size) : a_malloc(size);
    }
    STRESS_CHECK(block == NULL, "%zu bytes were had in way %u", size, way);
    STRESS_CHECK(errno == ENOMEM, "errno is %d in way %u", errno, way);
    if (m->block != NULL && !stress_failed()) {
        model_check(m);
    }
}

static void do_align_to_nonsense(struct input *in)
{
    size_t alignment = opaque_size(input_byte(in) * (size_t)3);
    void *none = NULL;
#ifdef PYM_TEST_CORE
    errno = 0;
    if ((alignment & (alignment - 1)) != 0) {
        none = a_aligned(alignment, 100);
        STRESS_CHECK(none == NULL && errno == EINVAL, "an alignment of %zu", alignment);
    }
#else
    if (alignment < sizeof(void *) || (alignment & (alignment - 1)) != 0) {
        STRESS_CHECK(posix_memalign(&none, alignment, 100) == EINVAL && none == NULL,
                     "an alignment of %zu", alignment);
    }
#endif
}

static void do_purge(struct input *in)
{
    (void)in;
    pymalloc_purge();
}

static void do_trim(struct input *in)
{
#ifdef PYM_TEST_CORE
    (void)in;
#else
    malloc_trim(input_byte(in));
#endif
}

static void do_verify(struct input *in)
{
    (void)in;
    heap_is_sound("between two operations");
}

static int count_ours(void *block, size_t size, void *arg)
{
    size_t *seen = arg;
    for (size_t i = 0; i < NEAR; i++) {
        const struct model *m = &fuzz.block[i];
        if (m->block == block) {
            STRESS_CHECK(m->usable == size, "a walk says %zu, %zu are usable", size,
                         m->usable);
            (*seen)++;
        }
    }
    return 0;
}

static void do_walk(struct input *in)
{
    (void)in;
    size_t seen = 0, ours = 0;
    for (size_t i = 0; i < NEAR; i++) {
        const struct model *m = &fuzz.block[i];
        ours += m->block != NULL && pymalloc_owns(m->block);
    }
    pymalloc_walk(count_ours, &seen);
    STRESS_CHECK(seen == ours, "a walk sees %zu of %zu blocks", seen, ours);
}

static void do_set_option(struct input *in)
{
    static const char *const setting[][2] = {
        {"cache", "0"},    {"cache", "100000"}, {"cache", "16m"}, {"decay", "0"},
        {"decay", "10"},   {"decay", "250"},    {"remote", "0"},  {"remote", "500"},
        {"remote", "32k"}, {"header", "0"},     {"header", "16"}, {"header", "48"},
    };
    const char *const *one = setting[input_below(in, COUNT_OF(setting))];
    STRESS_CHECK(pymalloc_option_set(one[0], one[1]) == 0, "%s:%s", one[0], one[1]);
    fuzz.options_set = true;
}

static void do_pass_time(struct input *in)
{
    inside_pass_time((uint64_t)1 << input_byte(in) % 20);
}

static void do_run_out_of_memory(struct input *in)
{
    inside_fail_in(input_byte(in) % 64);
}

/* ----------------------------------------------------------------- fork */

static int live_as_child(void)
{
    heap_is_sound("in the child at first");
    do_check(&fuzz.in);
    for (size_t i = 0; i < BLOCKS && !stress_failed(); i++) {
        if (fuzz.block[i].block != NULL) {
            release(&fuzz.block[i], 0);
        } else if (i < NEAR) {
            allocate(&fuzz.block[i], i * 16, 0, 3);
        }
    }
    heap_is_sound("in the child at last");
    return tap_failures != 0;
}

static void do_fork(struct input *in)
{
    (void)in;
    if (fuzz.forks++ != 0) {
        return; /* one is enough for what it costs */
    }
    unsigned fails_in = inside_fails_in;
    inside_fail_in(0);
    pid_t pid = fork();
    if (pid == 0) {
        _exit(live_as_child());
    }
    int status = pid < 0 ? -1 : child_wait(pid, 60);
    STRESS_CHECK(status == 0, "a child ended with %d", status);
    inside_fail_in(fails_in);
}

/* -------------------------------------------------------------- threads */

static void do_move(struct input *in);
static void do_end_thread(struct input *in);

static void (*const operations[])(struct input *) = {
    do_malloc,
    do_malloc,
    do_malloc,
    do_malloc,
    do_malloc,
    do_malloc,
    do_free,
    do_free,
    do_free,
    do_free,
    do_free_some_way,
    do_allocate_some_way,
    do_align,
    do_realloc,
    do_realloc,
    do_realloc,
    do_realloc,
    do_allocate_many,
    do_allocate_many,
    do_allocate_many,
    do_free_many,
    do_free_many,
    do_free_many,
    do_move,
    do_move,
    do_move,
    do_move,
    do_end_thread,
    do_end_thread,
    do_ask_too_much,
    do_purge,
    do_check,
    do_verify,
    do_walk,
    do_set_option,
    do_pass_time,
    do_pass_time,
    do_run_out_of_memory,
    do_align_to_nonsense,
    do_trim,
};

enum { FORK = 255 };

/* After an operation the turn may be another thread's, whose failure is not to be
 * forgotten. */
static void operate(void)
{
    inside_forget_failure();
    unsigned code = input_byte(&fuzz.in);
    fuzz.operations++;
    if (code == FORK) {
        do_fork(&fuzz.in);
    } else {
        operations[code % COUNT_OF(operations)](&fuzz.in);
    }
}

static bool is_over(void)
{
    return input_ended(&fuzz.in) || stress_failed() ||
           fuzz.operations >= OPERATIONS_MOST;
}

static void pass_turn(int to)
{
    pthread_mutex_lock(&fuzz.lock);
    fuzz.turn = to;
    pthread_cond_broadcast(&fuzz.moved);
    pthread_mutex_unlock(&fuzz.lock);
}

/* False if the thread is to leave instead. */
static bool wait_for_turn(void)
{
    pthread_mutex_lock(&fuzz.lock);
    while (fuzz.turn != self && !fuzz.leaves[self]) {
        pthread_cond_wait(&fuzz.moved, &fuzz.lock);
    }
    bool leaves = fuzz.leaves[self];
    pthread_mutex_unlock(&fuzz.lock);
    return !leaves;
}

/* Until the turn is somebody else's: at the end, the first thread's. */
static void work(void)
{
    while (fuzz.turn == self && !is_over()) {
        operate();
    }
    if (fuzz.turn == self) {
        pass_turn(0);
    }
}

static bool starts_early(int actor)
{
    return actor % 2 != 0;
}

static void *live(void *arg)
{
    self = *(int *)arg;
    if (starts_early(self)) {
        a_free(opaque(a_malloc(1)));
    }
    pthread_setspecific(fuzz.key, &fuzz);
    while (wait_for_turn()) {
        work();
    }
    return NULL;
}

/* What a thread does in one of its rounds of destructors, when its heap has been handed
 * on; for some threads it is the first that the library hears of them.  In the last
 * round that would be too late to hand on what they get. */
static void be_late(void *arg)
{
    if (++rounds < PTHREAD_DESTRUCTOR_ITERATIONS) {
        pthread_setspecific(fuzz.key, arg);
    } else if (!starts_early(self)) {
        return;
    }
    if (rounds == fuzz.late_round) {
        for (; fuzz.late > 0 && !is_over(); fuzz.late--) {
            operate();
        }
        fuzz.late = 0;
    }
}

static void do_move(struct input *in)
{
    static int name[ACTORS] = {0, 1, 2, 3};
    int to = (int)(input_byte(in) % ACTORS);
    if (fuzz.late > 0 || to == self) {
        return;
    }
    if (to != 0 && !fuzz.has_thread[to]) {
        unsigned fails_in = inside_fails_in;
        inside_fail_in(0);
        fuzz.thread[to] = start_thread(live, &name[to]);
        fuzz.has_thread[to] = true;
        inside_fail_in(fails_in);
    }
    pass_turn(to);
}

static void end_thread(int which, unsigned late, int late_round)
{
    pthread_mutex_lock(&fuzz.lock);
    fuzz.late_round = late_round;
    fuzz.late = late;
    fuzz.leaves[which] = true;
    pthread_cond_broadcast(&fuzz.moved);
    pthread_mutex_unlock(&fuzz.lock);
    pthread_join(fuzz.thread[which], NULL);
    fuzz.late = 0;
    fuzz.has_thread[which] = fuzz.leaves[which] = false;
}

static void do_end_thread(struct input *in)
{
    unsigned how = input_byte(in);
    int which = (int)(how % ACTORS);
    if (fuzz.late == 0 && which != self && fuzz.has_thread[which]) {
        end_thread(which, how / ACTORS % LATE_MOST,
                   (int)(how / (ACTORS * LATE_MOST)) + 1);
    }
}

/* ------------------------------------------------------------ the input */

static uint64_t small_live(struct pymalloc_totals *stats)
{
    pymalloc_stats(stats);
    return stats->small_live;
}

static void set_defaults(void)
{
    pymalloc_option_set("cache", "16m");
    pymalloc_option_set("decay", "250");
    pymalloc_option_set("remote", "32k");
    pymalloc_option_set("header", "0");
}

static void begin(const uint8_t *data, size_t size)
{
    if (!fuzz.key_made) {
        fuzz.key_made = pthread_key_create(&fuzz.key, be_late) == 0;
        a_free(opaque(a_malloc(1))); /* makes the library ready */
        stress_require();
    }
    inside_init();
    inside_fail_in(0);
    fuzz.in = (struct input){data, data + size};
    fuzz.operations = fuzz.forks = 0;
    fuzz.turn = 0;
    fuzz.tag = 0;
}

static void finish(uint64_t before)
{
    struct pymalloc_totals stats;
    inside_fail_in(0);
    for (int i = 1; i < ACTORS; i++) {
        if (fuzz.has_thread[i]) {
            end_thread(i, 0, 0);
        }
    }
    do_check(&fuzz.in);
    for (size_t i = 0; i < BLOCKS && !stress_failed(); i++) {
        if (fuzz.block[i].block != NULL) {
            release(&fuzz.block[i], 0);
        }
    }
    if (fuzz.options_set) {
        set_defaults();
        fuzz.options_set = false;
    }
    heap_is_sound("at the end");
    uint64_t left = small_live(&stats);
    pymalloc_purge();
    heap_is_sound("after a purge");
#ifdef PYM_TEST_CORE
    STRESS_CHECK(left == before, "%ju blocks were live, %ju are", (uintmax_t)before,
                 (uintmax_t)left);
#else
    STRESS_CHECK(left <= before + SLACK, "%ju blocks were live, %ju are",
                 (uintmax_t)before, (uintmax_t)left);
#endif
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pymalloc_totals stats;
    begin(data, size);
    uint64_t before = small_live(&stats);
    while (!is_over()) {
        work();
        wait_for_turn();
    }
    finish(before);
    return input_verdict();
}

#ifndef PYM_FUZZER
int main(int argc, char **argv)
{
#if defined(PYM_TSAN) && PYM_TSAN
    puts("1..0 # SKIP ThreadSanitizer knows no threads of forked children; one works "
         "at a time here anyway");
    return 0;
#endif
    return replay(FUZZ_CORPUS, argc, argv);
}
#endif
