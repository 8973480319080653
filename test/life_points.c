/*
 * fork at every point of the allocator's work.
 *
 * One thread does a piece of work instruction by instruction: the processor traps
 * after each one.  At those that lie in the library a second thread forks, while the
 * first stands still.  So a child can be made between any two stores: in each critical
 * section, and at each step of what needs no lock.  A loop would make too many
 * children, so that at one instruction the 1st, 2nd, 4th, 8th ... visit counts, and of
 * these one in PYM_TEST_SPARSE makes one.
 *
 * What every child must find: each block that was live has its contents; new blocks
 * of all sizes overlap neither those nor each other; threads can be started, and adopt
 * what the parent's threads left; all can be freed; pymalloc_verify finds nothing.
 *
 * Built with the library, and as *_core with the core, where the lock functions go
 * through this file: that makes a child after each place that takes a lock and before
 * each that gives it back, on any processor, and counts them.
 *
 * The kernel takes microseconds for each trap, so that make check steps through the
 * shorter pieces of work only, and the core makes children at its locks only.
 *
 *   PYM_TEST_SPARSE  of the visits that count one in so many makes a child.  With 1, as
 *                    make check-points has it, all work is stepped through, and visits
 *                    are counted for each piece of work anew.
 *   PYM_TEST_WORK    only pieces of work with this in their name
 *
 * With PYMALLOC=profile:4k in the environment the lock of the heap profile is one of
 * those that are held (profile.sh).
 */
#include "c23.h"
#include "support.h"

#include <limits.h>
#include <link.h>
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <sys/ucontext.h>

#ifdef PYM_TEST_CORE
#include "alloc.h"
#include "lock.h"
#include "profile.h"
#include "samples_agree.h"
#define a_malloc(size) pym_alloc_malloc(opaque_size(size))
#define a_calloc pym_alloc_calloc
#define a_realloc pym_alloc_realloc
#define a_free pym_alloc_free
#define a_aligned pym_alloc_aligned
#else
#include "base.h"
#define a_malloc malloc
#define a_calloc calloc
#define a_realloc realloc
#define a_free free
#define a_aligned aligned_alloc
#endif

#if defined __x86_64__ && !PYM_ASAN && !PYM_TSAN
enum { CAN_STEP = 1 };
#else
enum { CAN_STEP = 0 };
#endif

enum {
    CHILD_SECONDS = 60,
    WORK_SECONDS = 1500, /* in a child, with children of its own */
    AT_A_TIME = 6,       /* children */
    MANY = 600,          /* blocks of a piece of work */
};

/* ------------------------------------------------ what must survive a fork */

struct keepsake {
    unsigned char *block;
    size_t size;
    uint64_t tag;
};

enum { KEPT = 400, FILL_EACH = 40, FILL = 33 * FILL_EACH };

static struct keepsake kept[KEPT];

static bool make_keepsake(struct keepsake *k, size_t size, uint64_t tag)
{
    k->block = a_malloc(size);
    k->size = size;
    k->tag = tag;
    if (k->block) {
        pattern_fill(k->block, size, tag);
    }
    return k->block != NULL;
}

static bool keepsake_holds(const struct keepsake *k)
{
    return !k->block || pattern_holds(k->block, k->size, k->tag);
}

static bool kept_hold(void)
{
    for (size_t i = 0; i < KEPT; i++) {
        if (!keepsake_holds(&kept[i])) {
            return false;
        }
    }
    return true;
}

static size_t any_size(size_t i)
{
    return i % 10 ? i * 16 % 512 + 1 : 600 + i * 977 % 60000;
}

/* Of two classes of the cache: what a fork caught twice is to be handed out twice. */
static size_t large_size(size_t i)
{
    return i % 2 ? 5000 : 1000;
}

static void keep_from(size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++) {
        if (!make_keepsake(&kept[i], any_size(i), i)) {
            tap_bail_out("out of memory");
        }
    }
}

/* ------------------------------------------------------------------- a child */

/* What it may find wrong: its exit status. */
enum {
    NO_MEMORY = 1,
    KEPT_DAMAGED,
    FILL_DAMAGED,
    UNSOUND,
    NO_THREAD,
    GRANDCHILD,
    NO_SAMPLES,
};

/* Blocks of all classes, more than any list that fork caught can hold. */
static int fill(struct keepsake *own, uint64_t tag)
{
    for (size_t i = 0; i < FILL; i++) {
        size_t cls = i % 33;
        size_t size = cls < 32 ? cls * 16 + 16 : large_size(i);
        if (!make_keepsake(&own[i], size, tag + i)) {
            return NO_MEMORY;
        }
    }
    return 0;
}

static int empty(struct keepsake *own)
{
    int result = 0;
    for (size_t i = 0; i < FILL; i++) {
        if (!keepsake_holds(&own[i])) {
            result = FILL_DAMAGED;
        }
        a_free(own[i].block);
    }
    return result;
}

static void free_kept(void)
{
    for (size_t i = 0; i < KEPT; i++) {
        a_free(kept[i].block);
        kept[i].block = NULL;
    }
}

/* Each thread starts the next before it ends, so that together they adopt all
 * heaps that wait; the last one frees what the parent had. */
static void *adopt(void *arg)
{
    static struct keepsake own[4][FILL];
    uintptr_t depth = (uintptr_t)arg;
    uintptr_t result = (uintptr_t)fill(own[depth], depth << 32);
    if (result == 0 && depth > 0) {
        pthread_t thread;
        void *inner;
        if (pthread_create(&thread, NULL, adopt, (void *)(depth - 1)) != 0) {
            return (void *)NO_THREAD;
        }
        pthread_join(thread, &inner);
        result = (uintptr_t)inner;
    } else if (result == 0) {
        result = kept_hold() ? 0 : KEPT_DAMAGED;
        free_kept();
    }
    uintptr_t own_result = result == NO_MEMORY ? 0 : (uintptr_t)empty(own[depth]);
    return (void *)(result ? result : own_result);
}

/* The heap profile goes on: whether there were samples since, and all agree. */
static uint64_t samples_so_far(void)
{
#ifdef PYM_TEST_CORE
    return pym_samples_totals().samples_all;
#else
    return 0;
#endif
}

static bool samples_are_sound(uint64_t before)
{
#ifdef PYM_TEST_CORE
    return samples_fault() == NULL &&
           (pym_profile_interval == 0 || samples_so_far() > before);
#else
    (void)before;
    return true;
#endif
}

static int child_checks(int number);

static int is_grandchild(void *arg)
{
    return child_checks(*(int *)arg);
}

/* A child that the C library knows nothing of starts no thread. */
static int bare_child_checks(int number)
{
    static struct keepsake own[FILL];
    if (number % 2 == 0 && pymalloc_verify() != 0) {
        return UNSOUND;
    }
    uint64_t samples = samples_so_far();
    int result = fill(own, 1u << 30);
    if (result || !kept_hold()) {
        return result ? result : KEPT_DAMAGED;
    }
    free_kept();
    result = empty(own);
    return result                        ? result
           : !samples_are_sound(samples) ? NO_SAMPLES
           : pymalloc_verify()           ? UNSOUND
                                         : 0;
}

static int child_checks(int number)
{
    static struct keepsake own[FILL];
    if (number % 2 == 0 && pymalloc_verify() != 0) {
        return UNSOUND;
    }
    if (!kept_hold()) {
        return KEPT_DAMAGED;
    }
    if (number % 16 == 5) {
        int other = number + 1;
        if (in_child(is_grandchild, &other, CHILD_SECONDS) != 0) {
            return GRANDCHILD;
        }
    }
    uint64_t samples = samples_so_far();
    int result = number % 4 < 2 ? fill(own, 1u << 30) : 0;
    pthread_t thread;
    void *adopted;
    if (result == 0 && pthread_create(&thread, NULL, adopt, (void *)3) != 0) {
        result = NO_THREAD;
    }
    if (result) {
        return result;
    }
    pthread_join(thread, &adopted);
    result = number % 4 < 2 ? empty(own) : 0;
    return adopted                       ? (int)(uintptr_t)adopted
           : result                      ? result
           : !samples_are_sound(samples) ? NO_SAMPLES
           : pymalloc_verify()           ? UNSOUND
                                         : 0;
}

/* ------------------------------------------------------ the second thread */

enum request { FORK, CALL, OVER };

static struct {
    sem_t asked, answered;
    enum request request;
    void (*function)(void);
    const char *work; /* the piece of work that is done */
    struct {
        pid_t pid;
        uintptr_t pc;
        unsigned held;
    } child[AT_A_TIME];
    long forks;
} beside;

static void wait_for(sem_t *sem)
{
    while (sem_wait(sem) != 0) {
        if (errno != EINTR) {
            tap_bail_out("sem_wait: %s", strerror(errno));
        }
    }
}

/* Async-signal-safe, but for the waiting. */
static void ask(enum request request)
{
    beside.request = request;
    sem_post(&beside.asked);
    wait_for(&beside.answered);
}

static void in_second_thread(void (*function)(void))
{
    beside.function = function;
    ask(CALL);
}

/* --------------------------------------------- the first thread: when to fork */

static struct {
    bool on, trapped;
    uintptr_t text, text_end; /* the library's code */
    unsigned held;            /* locks: a bit for each rank */
    bool asking;              /* what asks is not to be stepped through */
    long steps;
    unsigned long sparse, counted;
} step;

/* Visits of each instruction, in a table with open addressing. */
enum { TABLE = 1 << 15 };
static struct {
    uintptr_t pc;
    uint32_t visits;
} visited[TABLE];

static uint32_t count_visit(uintptr_t pc)
{
    size_t at = pc * 0x9e3779b97f4a7c15u >> 49;
    while (visited[at].pc && visited[at].pc != pc) {
        at = (at + 1) % TABLE;
    }
    visited[at].pc = pc;
    return ++visited[at].visits;
}

/* Where children were made while locks were held. */
enum { RANKS = 6, SITES = 64 };
static struct {
    long forks;
    uintptr_t site[SITES];
    size_t sites;
} rank_seen[RANKS + 1];
static uintptr_t site_of[RANKS + 1]; /* who took the lock that is held */

static void note_ranks(void)
{
    for (unsigned rank = 1; rank <= RANKS; rank++) {
        if ((step.held >> rank & 1) == 0) {
            continue;
        }
        rank_seen[rank].forks++;
        size_t i = 0;
        while (i < rank_seen[rank].sites && rank_seen[rank].site[i] != site_of[rank]) {
            i++;
        }
        if (i == rank_seen[rank].sites && i < SITES) {
            rank_seen[rank].site[rank_seen[rank].sites++] = site_of[rank];
        }
    }
}

static uintptr_t point; /* where the first thread stands */

static void fork_at(uintptr_t pc)
{
    if (tap_failures) {
        return; /* a second child would hang as long as the first */
    }
    step.asking = true;
    point = pc;
    note_ranks();
    ask(FORK);
    step.asking = false;
}

static void step_to(uintptr_t pc)
{
    uint32_t visits = count_visit(pc);
    if ((visits & (visits - 1)) == 0 && ++step.counted % step.sparse == 0) {
        fork_at(pc);
    }
}

#ifdef __x86_64__
static uintptr_t interrupted_at(const ucontext_t *context)
{
    return (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
}

static inline void set_trap_flag(bool on)
{
    if (on) {
        __asm__ volatile("pushfq\n\torq $0x100, (%%rsp)\n\tpopfq" : : : "cc", "memory");
    } else {
        __asm__ volatile("pushfq\n\tandq $-0x101, (%%rsp)\n\tpopfq"
                         :
                         :
                         : "cc", "memory");
    }
}
#else
static uintptr_t interrupted_at(const ucontext_t *context)
{
    (void)context;
    return 0;
}

static void set_trap_flag(bool on)
{
    (void)on;
}
#endif

static void on_trap(int number, siginfo_t *info, void *context)
{
    int saved = errno;
    uintptr_t pc = interrupted_at(context);
    (void)number;
    (void)info;
    if (!step.asking && pc - step.text < step.text_end - step.text) {
        step.steps++;
        step_to(pc);
    }
    errno = saved;
}

/* Which work is stepped through: any; if all visits count; none, but at its locks. */
enum length { SHORT, LONG, ENDLESS };

static bool steps_through(enum length length)
{
#ifdef PYM_TEST_CORE
    length = length == SHORT ? LONG : length;
#endif
    return CAN_STEP && (length == SHORT || (length == LONG && step.sparse == 1));
}

static void begin_steps(enum length length)
{
    step.on = true;
    step.trapped = steps_through(length);
    if (step.trapped) {
        set_trap_flag(true);
    }
}

static void end_steps(void)
{
    if (step.trapped) {
        set_trap_flag(false);
    }
    step.on = false;
}

static int find_text(struct dl_phdr_info *info, size_t size, void *arg)
{
    uintptr_t inside = *(uintptr_t *)arg;
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + header->p_vaddr;
        if (header->p_type == PT_LOAD && (header->p_flags & PF_X) &&
            inside - start < header->p_memsz) {
            step.text = start;
            step.text_end = start + header->p_memsz;
            return 1;
        }
    }
    return 0;
}

static void prepare_steps(void)
{
    int (*inside)(void) = pymalloc_verify;
    dl_iterate_phdr(find_text, &inside);
    if (!step.text) {
        tap_bail_out("the library's code was not found");
    }
    step.sparse = env_number("PYM_TEST_SPARSE", 40);
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
    sigaction(SIGTRAP, &action, NULL);
}

/* ------------------------------------------------------------------- locks */

#ifdef PYM_TEST_CORE
static _Thread_local bool is_first;

void __real_pym_lock(struct pym_lock *lock);
bool __real_pym_lock_try(struct pym_lock *lock);
void __real_pym_unlock(struct pym_lock *lock);
void __wrap_pym_lock(struct pym_lock *lock);
bool __wrap_pym_lock_try(struct pym_lock *lock);
void __wrap_pym_unlock(struct pym_lock *lock);

/* The first times that a place takes a lock or gives it back, whatever else is left
 * out.  Some do so for each of thousands of things. */
static void fork_at_site(void *site)
{
    enum { MOST = 64 };
    uint32_t visits = count_visit((uintptr_t)site);
    if (visits <= (step.sparse == 1 ? MOST : 2)) {
        fork_at((uintptr_t)site);
    }
}

static void taken(const struct pym_lock *lock, void *site)
{
    if (is_first && step.on) {
        step.held |= 1u << lock->rank;
        site_of[lock->rank] = (uintptr_t)site;
        fork_at_site(site);
    }
}

void __wrap_pym_lock(struct pym_lock *lock)
{
    __real_pym_lock(lock);
    taken(lock, __builtin_return_address(0));
}

bool __wrap_pym_lock_try(struct pym_lock *lock)
{
    if (!__real_pym_lock_try(lock)) {
        return false;
    }
    taken(lock, __builtin_return_address(0));
    return true;
}

void __wrap_pym_unlock(struct pym_lock *lock)
{
    if (is_first && step.on) {
        fork_at_site(__builtin_return_address(0));
        step.held &= ~(1u << lock->rank);
    }
    __real_pym_unlock(lock);
}
#endif

/* ---------------------------------------------------------------- the work */

struct work {
    const char *name;
    void (*set_up)(void);
    void (*run)(void); /* under the trap */
    void (*tear_down)(void);
    enum length length;
};

static void *block[MANY];

static void allocate_many(size_t size, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        block[i] = a_malloc(size);
    }
}

static void free_many(void)
{
    for (size_t i = 0; i < MANY; i++) {
        a_free(block[i]);
        block[i] = NULL;
    }
}

static void nothing(void)
{
}

static void first_block(void)
{
    block[0] = a_malloc(100);
}

static void use_512(void)
{
    allocate_many(512, MANY);
}

static void use_16(void)
{
    allocate_many(16, MANY);
}

/* Pools become available, then active again. */
static void make_holes(void)
{
    for (size_t i = 0; i < MANY; i += 2) {
        a_free(block[i]);
        block[i] = NULL;
    }
}

static void refill_holes(void)
{
    for (size_t i = 0; i < MANY; i += 2) {
        block[i] = a_malloc(512);
    }
}

/* One block of three pages stays: most memory of pools goes back at a purge. */
static void use_few_of_512(void)
{
    use_512();
    for (size_t i = 0; i < MANY; i++) {
        if (i % 24 != 5) {
            a_free(block[i]);
            block[i] = NULL;
        }
    }
}

static void use_pages_returned(void)
{
    use_few_of_512();
    pymalloc_purge();
}

static void refill_all(void)
{
    for (size_t i = 0; i < MANY; i++) {
        block[i] = block[i] != NULL ? block[i] : a_malloc(512);
    }
}

static void others_512(void)
{
    in_second_thread(use_512);
}

static void second_frees_and_sends(void)
{
    free_many();
    pymalloc_purge();
}

static void use_512_others_free(void)
{
    use_512();
    in_second_thread(second_frees_and_sends);
}

static void purge(void)
{
    pymalloc_purge();
}

static void some_of_all(void)
{
    for (size_t i = 0; i < MANY; i++) {
        block[i] = a_malloc(i % 33 * 16);
    }
}

static void some_of_all_freed(void)
{
    some_of_all();
    free_many();
}

static int count_block(void *p, size_t size, void *arg)
{
    (void)p;
    (void)size;
    ++*(long *)arg;
    return 0;
}

static void look(void)
{
    struct pymalloc_totals totals;
    pymalloc_stats(&totals);
    pymalloc_verify();
}

static void walk(void)
{
    long count = 0;
    pymalloc_walk(count_block, &count);
}

/* The heap profile is looked at as well, if there is one. */
static void report(void)
{
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    pymalloc_stats_json(nowhere, PYMALLOC_JSON_MAP);
    (void)pymalloc_profile_write(nowhere);
    close(nowhere);
}

/* Fills bins of the cache, overflows them, leaves chains, takes chains. */
static void large(void)
{
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < 60; i++) {
            block[i] = a_malloc(large_size(i));
        }
        for (size_t i = 0; i < 60; i++) {
            a_free(block[i]);
            block[i] = NULL;
        }
    }
}

/* More than a bin holds: chains are left for others. */
static void use_large(void)
{
    in_second_thread(large);
    for (size_t i = 0; i < MANY; i++) {
        block[i] = a_malloc(large_size(i));
    }
}

static void others_large(void)
{
    large();
    in_second_thread(large);
}

static void shapes(void)
{
    static const size_t size[] = {0, 1, 100, 512, 513, 5000, 70000, 200000, 40};
    void *p = NULL;
    for (size_t i = 0; i < COUNT_OF(size); i++) {
        p = a_realloc(p, size[i] + 1);
        a_free(a_calloc(3, size[i]));
        a_free(a_aligned((size_t)16 << i % 9, size[i]));
    }
    a_free(p);
}

static void decay_soon(void)
{
    some_of_all_freed();
    pymalloc_option_set("decay", "1");
    use_512();
    free_many();
    sleep_ms(30);
}

/* A slow path looks at the clock and gives memory back. */
static void slow_path(void)
{
    block[MANY - 1] = a_malloc(opaque_size(200000));
    allocate_many(208, 100);
}

static void decay_later(void)
{
    free_many();
    pymalloc_option_set("decay", "1000");
}

static void set_an_option(void)
{
    pymalloc_option_set("cache", "1m");
}

static void no_room(void)
{
    if (PYM_ASAN) {
        return; /* its malloc does not fail, it aborts */
    }
    block[0] = a_malloc(opaque_size((size_t)PTRDIFF_MAX / 2));
    a_free(block[0]);
    block[0] = NULL;
}

/* Thread-specific data whose key is younger than the library's: its destructor runs
 * after the library's, in each round. */
static pthread_key_t late_key;
enum { FREES_LATE = 20 };

static void late_destructor(void *arg)
{
    uintptr_t round = (uintptr_t)arg;
    if (round < PTHREAD_DESTRUCTOR_ITERATIONS) {
        pthread_setspecific(late_key, (void *)(round + 1));
        return;
    }
    for (size_t i = 0; i < FREES_LATE; i++) {
        a_free(block[i]);
        block[i] = a_malloc(i % 5 ? 48 : 3000);
    }
    end_steps();
}

static void end_thread(void)
{
    for (size_t i = FREES_LATE; i < MANY; i++) {
        a_free(block[i]); /* wait in the outbox */
        block[i] = NULL;
    }
    pthread_setspecific(late_key, (void *)1);
}

static void second_frees(void)
{
    in_second_thread(free_many);
}

static const struct work works[] = {
    {"a thread's first block", nothing, first_block, free_many, SHORT},
    {"new pools and arenas", nothing, use_512, free_many, SHORT},
    {"small blocks of new pools", nothing, use_16, free_many, SHORT},
    {"frees until pools go back", use_512, free_many, nothing, SHORT},
    {"frees from full pools", use_512, make_holes, free_many, SHORT},
    {"blocks from pools with holes", use_512, refill_holes, free_many, SHORT},
    {"frees of another thread's blocks", others_512, free_many, nothing, SHORT},
    {"frees that another thread takes in", use_512_others_free, use_512, free_many,
     SHORT},
    {"purge", some_of_all_freed, purge, nothing, LONG},
    {"pages of pools go back", use_few_of_512, purge, free_many, LONG},
    {"blocks from pages that went back", use_pages_returned, refill_all, free_many,
     SHORT},
    {"statistics and verification", some_of_all, look, free_many, LONG},
    {"a walk", some_of_all, walk, free_many, LONG},
    {"reports", some_of_all, report, free_many, ENDLESS},
    {"large blocks", others_large, large, second_frees, SHORT},
    {"frees of large blocks", use_large, free_many, second_frees, SHORT},
    {"realloc, calloc, alignment", nothing, shapes, nothing, LONG},
    {"decay", decay_soon, slow_path, decay_later, SHORT},
    {"an option is set", some_of_all_freed, set_an_option, nothing, LONG},
    {"a request that fails", nothing, no_room, nothing, SHORT},
};

/* The end of a thread is stepped through as well, up to the late destructor. */
static const struct work thread_end = {"a thread's end", others_512, end_thread, NULL,
                                       SHORT};

static void *do_work(void *arg)
{
    const struct work *work = arg;
#ifdef PYM_TEST_CORE
    is_first = true;
#endif
    if (work->set_up != nothing) {
        keep_from(KEPT / 2, KEPT / 2); /* else the thread has no heap yet */
        work->set_up();
    }
    begin_steps(work->length);
    work->run();
    if (work->tear_down) {
        end_steps();
        work->tear_down();
    }
    return NULL;
}

/* ---------------------------------------------------------- serving requests */

static void collect(size_t i)
{
    if (beside.child[i].pid) {
        CHECK_EQ(child_wait(beside.child[i].pid, CHILD_SECONDS), 0,
                 "%s: the child made at %#jx, locks held %#x", beside.work,
                 (uintmax_t)(beside.child[i].pc - step.text), beside.child[i].held);
        beside.child[i].pid = 0;
    }
}

static void make_child(void)
{
    size_t i = (size_t)beside.forks++ % AT_A_TIME;
    collect(i);
    bool bare = beside.forks % 3 == 0;
    pid_t pid = bare ? (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) : fork();
    if (pid < 0) {
        tap_bail_out("fork: %s", strerror(errno));
    }
    if (pid == 0) {
        int number = (int)(beside.forks % 1000);
        step.on = false;
        alarm(CHILD_SECONDS);
        _exit(bare ? bare_child_checks(number) : child_checks(number));
    }
    beside.child[i].pid = pid;
    beside.child[i].pc = point;
    beside.child[i].held = step.held;
}

/* The end of the first thread is a request like others: it is made when the thread
 * has been joined. */
static void *join_first(void *arg)
{
    pthread_join(*(pthread_t *)arg, NULL);
    ask(OVER);
    return NULL;
}

static void serve(void)
{
    enum request request;
    do {
        wait_for(&beside.asked);
        request = beside.request; /* the next may come with the answer */
        if (request == FORK) {
            make_child();
        } else if (request == CALL) {
            beside.function();
        }
        sem_post(&beside.answered);
    } while (request != OVER);
}

static long do_stepwise(const struct work *work)
{
    pthread_t first, joiner;
    long before = beside.forks, steps = step.steps;
    beside.work = work->name;
    if (step.sparse == 1 || !steps_through(work->length)) {
        memset(visited, 0, sizeof visited);
    }
    step.held = 0;
    if (pthread_create(&first, NULL, do_work, (void *)(uintptr_t)work) != 0 ||
        pthread_create(&joiner, NULL, join_first, &first) != 0) {
        tap_bail_out("pthread_create failed");
    }
    serve();
    pthread_join(joiner, NULL);
    for (size_t i = 0; i < AT_A_TIME; i++) {
        collect(i);
    }
    CHECK(kept_hold(), "%s: a block in the parent was damaged", work->name);
    for (size_t i = KEPT / 2; i < KEPT; i++) {
        a_free(kept[i].block);
        kept[i].block = NULL;
    }
    CHECK_EQ(pymalloc_verify(), 0, "%s: the parent's heap", work->name);
    tap_note("%s: %ld children, %ld instructions", work->name, beside.forks - before,
             step.steps - steps);
    return beside.forks - before;
}

/* ------------------------------------------------------------------- cases */

static bool is_wanted(const struct work *work)
{
    const char *only = getenv("PYM_TEST_WORK");
    return !only || strstr(work->name, only);
}

static void each_piece_of_work(void)
{
    long forks = 0;
    for (size_t i = 0; i < COUNT_OF(works) && !tap_failures; i++) {
        if (is_wanted(&works[i])) {
            forks += do_stepwise(&works[i]);
        }
    }
    tap_note("%ld children", forks);
    CHECK(forks > 0, "no child was made");
}

static void the_end_of_a_thread(void)
{
    CHECK(do_stepwise(&thread_end) > 0, "no child was made");
}

/* ---- in a child, where a heap that fork caught in use is still to be recovered */

static sem_t resting;

/* Has pools of all kinds, a cache and an outbox, and stays so. */
static void *rest(void *arg)
{
    static void *mine[MANY];
    for (size_t i = 0; i < MANY; i++) {
        mine[i] = a_malloc(any_size(i));
    }
    for (size_t i = 0; i < MANY; i += 3) {
        a_free(mine[i]);
    }
    sem_post(&resting);
    wait_for(&beside.answered); /* of whom nobody asks: until it is cancelled */
    return arg;
}

static int works_with_broken_heaps(void *arg)
{
    static const size_t chosen[] = {0, 6, 8, 9, 10};
    (void)arg;
    sem_init(&beside.answered, 0, 0);
    for (size_t i = 0; i < COUNT_OF(chosen) && !tap_failures; i++) {
        if (!is_wanted(&works[chosen[i]])) {
            continue;
        }
        pid_t pid = fork(); /* so that each finds the heap broken */
        if (pid == 0) {
            (void)do_stepwise(&works[chosen[i]]);
            _exit(tap_failures ? 1 : 0);
        }
        CHECK_EQ(child_wait(pid, WORK_SECONDS), 0, "%s", works[chosen[i]].name);
    }
    return tap_failures != 0;
}

static void in_a_child(void)
{
    pthread_t thread;
    sem_init(&resting, 0, 0);
    if (pthread_create(&thread, NULL, rest, NULL) != 0) {
        tap_bail_out("pthread_create failed");
    }
    wait_for(&resting);
    CHECK_EQ(in_child(works_with_broken_heaps, NULL, 5 * WORK_SECONDS), 0, "the child");
    pthread_cancel(thread);
    pthread_join(thread, NULL);
}

#ifdef PYM_TEST_CORE
/* The places in lib/ that take a lock of a rank, or fewer. */
static void each_lock_was_held(void)
{
    static const char *const name[RANKS + 1] = {
        "", "emergency", "heaps", "arenas", "ledger", "guard", "profile"};
    bool is_profiled = pym_profile_interval != 0;
    size_t least[RANKS + 1] = {0, 3, 6, 7, 0, 0, is_profiled ? 7 : 0};
    for (unsigned rank = 1; rank <= RANKS; rank++) {
        tap_note("under the lock of rank %s: %ld children, taken at %zu places",
                 name[rank], rank_seen[rank].forks, rank_seen[rank].sites);
        CHECK(rank_seen[rank].sites >= least[rank], "rank %s: only %zu places of %zu",
              name[rank], rank_seen[rank].sites, least[rank]);
    }
}
#endif

static const struct tap_case cases[] = {
    {"at every point of each piece of work", each_piece_of_work},
    {"at every point of a thread's end", the_end_of_a_thread},
    {"at every point, in a child with heaps to recover", in_a_child},
#ifdef PYM_TEST_CORE
    {"each lock was held", each_lock_was_held},
#endif
};

static int skip_all(const char *why)
{
    char line[128];
    tap_write(line, (size_t)snprintf(line, sizeof line, "1..0 # SKIP %s\n", why));
    return 0;
}

int main(int argc, char **argv)
{
    if (PYM_TSAN) {
        return skip_all("ThreadSanitizer wants no threads in children");
    }
    if (PYM_ASAN) {
        return skip_all("children find AddressSanitizer's locks held");
    }
#ifdef PYM_TEST_CORE
    a_free(opaque(a_malloc(1)));
#else
    require_pymalloc();
    if (!CAN_STEP) {
        return skip_all("the processor does not trap each instruction");
    }
#endif
    pthread_key_create(&late_key, late_destructor);
    sem_init(&beside.asked, 0, 0);
    sem_init(&beside.answered, 0, 0);
    prepare_steps();
    keep_from(0, KEPT / 2);
    return TAP_RUN(cases, argc, argv);
}
