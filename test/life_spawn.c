/* Children of all kinds: of vfork, posix_spawn, and of clone that the C library
 * does not know of, with the memory copied and with it shared; and a storm of
 * forks, whose children fork. */
#include "support.h"

#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/syscall.h>

enum {
    BUSY = 3,
    OWN = 120,
    CHILD_SECONDS = 60,
    EXEC_STATUS = 23,
    STACK = 256 * 1024,
};

extern char **environ;

/* ---- threads that allocate meanwhile */

struct own {
    unsigned char *block[OWN];
    size_t size[OWN];
};

static struct own busy_own[BUSY];
static pthread_t busy[BUSY];
static _Atomic int over, running;

static size_t any_size(struct rng *rng)
{
    return rng_below(rng, rng_below(rng, 8) ? 513 : 20000);
}

/* Checks and renews a few blocks; true if all were sound. */
static int renew(struct own *own, struct rng *rng, int count)
{
    int sound = 1;
    for (; count > 0; count--) {
        size_t i = rng_below(rng, OWN);
        sound &= !own->block[i] || pattern_holds(own->block[i], own->size[i], i);
        free(own->block[i]);
        own->size[i] = any_size(rng);
        own->block[i] = malloc(own->size[i]);
        if (!own->block[i]) {
            return 0;
        }
        pattern_fill(own->block[i], own->size[i], i);
    }
    return sound;
}

static int give_up(struct own *own)
{
    int sound = 1;
    for (size_t i = 0; i < OWN; i++) {
        sound &= !own->block[i] || pattern_holds(own->block[i], own->size[i], i);
        free(own->block[i]);
        own->block[i] = NULL;
    }
    return sound;
}

static void *is_busy(void *arg)
{
    struct own *own = arg;
    struct rng rng = {(uintptr_t)arg};
    uintptr_t sound = 1;
    atomic_fetch_add(&running, 1);
    while (!atomic_load(&over)) {
        sound &= (uintptr_t)renew(own, &rng, 20);
        if (own == busy_own) {
            sound &= pymalloc_verify() == 0; /* a copy finds locks held */
        }
    }
    return (void *)(sound & (uintptr_t)give_up(own));
}

static void start_busy_threads(void)
{
    atomic_store(&over, 0);
    atomic_store(&running, 0);
    for (int i = 0; i < BUSY; i++) {
        if (pthread_create(&busy[i], NULL, is_busy, &busy_own[i]) != 0) {
            tap_bail_out("pthread_create failed");
        }
    }
    while (atomic_load(&running) < BUSY) {
        sleep_ms(1);
    }
}

static void stop_busy_threads(void)
{
    atomic_store(&over, 1);
    for (int i = 0; i < BUSY; i++) {
        void *sound;
        pthread_join(busy[i], &sound);
        CHECK(sound, "thread %d found damage", i);
    }
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
}

/* ---- children that share the memory */

static struct own mine;
static struct rng rng = {1};
static char self[] = "/proc/self/exe", task[] = "--a-child";
static char *const child_argv[] = {self, task, NULL};

/* POSIX allows a child of vfork to call exec or _exit only, but programs search
 * the path and build arguments there: what it allocates is its parent's. */
static void vfork_and_exec(void)
{
    start_busy_threads();
    for (int i = 0; i < 30; i++) {
        volatile int sound = 1;
        renew(&mine, &rng, 20);
        pid_t pid = vfork();
        if (pid == 0) {
            sound = renew(&mine, &rng, 20);
            if (i % 4 == 0) {
                execve(self, child_argv, environ);
            }
            _exit(EXEC_STATUS);
        }
        CHECK_EQ(child_wait(pid, CHILD_SECONDS), EXEC_STATUS, "child %d", i);
        CHECK(sound && renew(&mine, &rng, 20), "damage around child %d", i);
    }
    CHECK(give_up(&mine), "damage");
    stop_busy_threads();
}

static void spawn(void)
{
    start_busy_threads();
    for (int i = 0; i < 20; i++) {
        pid_t pid;
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
        CHECK_EQ(posix_spawn(&pid, self, &actions, NULL, child_argv, environ), 0,
                 "posix_spawn");
        posix_spawn_file_actions_destroy(&actions);
        CHECK_EQ(child_wait(pid, CHILD_SECONDS), EXEC_STATUS, "child %d", i);
        CHECK(renew(&mine, &rng, 20), "damage after child %d", i);
    }
    CHECK(give_up(&mine), "damage");
    stop_busy_threads();
}

/* ---- children that the C library knows nothing of */

static int cloned_sharing(void *arg)
{
    (void)arg;
    return renew(&mine, &rng, 50) && pymalloc_verify() == 0 ? EXEC_STATUS : 1;
}

/* As vfork does, on a stack of its own. */
static void clone_with_shared_memory(void)
{
    char *stack = pages(STACK);
    start_busy_threads();
    for (int i = 0; i < 30; i++) {
        renew(&mine, &rng, 20);
        pid_t pid = clone(cloned_sharing, stack + STACK,
                          CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
        CHECK_EQ(child_wait(pid, CHILD_SECONDS), EXEC_STATUS, "child %d", i);
        CHECK(renew(&mine, &rng, 20), "damage after child %d", i);
    }
    CHECK(give_up(&mine), "damage");
    stop_busy_threads();
    munmap(stack, STACK);
}

/* What a child with a copy of the memory does; returns its exit status.  Large
 * blocks are the C library's, whose locks such a child finds as they were. */
static int works_on_copy(int number)
{
    struct rng own_rng = {(uint64_t)number};
    void *p[300];
    if (number % 2 && pymalloc_verify() != 0) {
        return 1;
    }
    for (size_t i = 0; i < OWN; i++) {
        if (mine.block[i] && !pattern_holds(mine.block[i], mine.size[i], i)) {
            return 2;
        }
        if (mine.size[i] <= SMALL_MAX) {
            free(mine.block[i]);
        }
    }
    for (size_t i = 0; i < COUNT_OF(p); i++) {
        size_t size = 1 + rng_below(&own_rng, SMALL_MAX);
        p[i] = malloc(size);
        if (!pymalloc_owns(p[i])) {
            return 3;
        }
        memset(p[i], 1, size);
    }
    for (size_t i = 0; i < COUNT_OF(p); i++) {
        free(p[i]);
    }
    return pymalloc_verify() == 0 ? EXEC_STATUS : 4;
}

static pid_t raw_clone(void)
{
    return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static void clone_with_copied_memory(void)
{
    start_busy_threads();
    renew(&mine, &rng, OWN);
    for (int i = 0; i < 200 && !tap_failures; i++) {
        pid_t pid = raw_clone();
        if (pid == 0) {
            int status = works_on_copy(i);
            if (i % 8 == 0 && status == EXEC_STATUS) {
                pid_t grandchild = raw_clone();
                memset(&mine, 0, sizeof mine);
                if (grandchild == 0) {
                    _exit(works_on_copy(i + 1));
                }
                status = child_wait(grandchild, CHILD_SECONDS);
            }
            _exit(status);
        }
        CHECK_EQ(child_wait(pid, CHILD_SECONDS), EXEC_STATUS, "child %d", i);
        CHECK(renew(&mine, &rng, 5), "damage after child %d", i);
    }
    CHECK(give_up(&mine), "damage");
    stop_busy_threads();
}

/* ---- a storm: some threads fork, by fork and clone, and their children fork */

static int storm_child(int depth, int number)
{
    struct own own = {{NULL}, {0}};
    struct rng own_rng = {(uint64_t)number};
    int sound = renew(&own, &own_rng, 200);
    if (depth > 0) {
        pid_t pid = fork();
        if (pid == 0) {
            _exit(storm_child(depth - 1, number + 1));
        }
        sound &= child_wait(pid, CHILD_SECONDS) == EXEC_STATUS;
    }
    sound &= renew(&own, &own_rng, 200) && give_up(&own);
    return sound && (number % 4 || pymalloc_verify() == 0) ? EXEC_STATUS : 1;
}

static void *storms(void *arg)
{
    uintptr_t bad = 0;
    int first = (int)(uintptr_t)arg;
    for (int i = first; i < first + 20; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            _exit(storm_child(i % 4, i));
        }
        bad += child_wait(pid, CHILD_SECONDS) != EXEC_STATUS;
    }
    return (void *)bad;
}

static void storm(void)
{
    pthread_t thread[BUSY];
    start_busy_threads();
    for (uintptr_t i = 0; i < BUSY; i++) {
        pthread_create(&thread[i], NULL, storms, (void *)(i * 1000));
    }
    for (int i = 0; i < BUSY; i++) {
        void *bad;
        pthread_join(thread[i], &bad);
        CHECK(!bad, "%ju children failed", (uintmax_t)(uintptr_t)bad);
    }
    stop_busy_threads();
}

static const struct tap_case cases[] = {
    {"vfork, allocation, exec", vfork_and_exec},
    {"posix_spawn", spawn},
    {"clone with the memory shared", clone_with_shared_memory},
    {"clone with the memory copied", clone_with_copied_memory},
    {"a storm of forks", storm},
};

static int is_child(void)
{
    struct own own = {{NULL}, {0}};
    int sound = renew(&own, &rng, 500) && give_up(&own);
    return sound && pymalloc_verify() == 0 ? EXEC_STATUS : 1;
}

int main(int argc, char **argv)
{
    require_pymalloc();
    if (argc > 1 && strcmp(argv[1], task) == 0) {
        return is_child();
    }
    return TAP_RUN(cases, argc, argv);
}
