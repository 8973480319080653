/* Allocation in every stage of a program's life.  The program runs itself with
 * PYM_TEST_STAGES set; each stage writes a letter:
 *
 *   P preinit     E library constructor   C c program's constructors
 *   M main        T thread-local object of the main thread
 *   A atexit      D d program's destructors   F library destructor, last
 */
#include "life_early.h"
#include "support.h"

#include <pthread.h>

static const char *mode;

static void preinit(int argc, char **argv, char **envp)
{
    (void)argc;
    (void)argv;
    /* libc's environment is not set up for sure. */
    for (; envp && *envp; envp++) {
        if (strncmp(*envp, "PYM_TEST_STAGES=", 16) == 0) {
            mode = *envp + 16;
        }
    }
    if (mode) {
        life_stage('P');
    }
}

__attribute__((section(".preinit_array"),
               used)) static void (*const preinits[])(int, char **,
                                                      char **) = {preinit};

#define STAGE(name, attribute, letter)                                                 \
    __attribute__((attribute)) static void name(void)                                  \
    {                                                                                  \
        if (mode) {                                                                    \
            life_stage(letter);                                                        \
        }                                                                              \
    }

STAGE(constructor_101, constructor(101), 'C')
STAGE(constructor_last, constructor, 'c')
STAGE(destructor_first, destructor, 'D')
STAGE(destructor_101, destructor(101), 'd')
STAGE(at_exit, noinline, 'A')
STAGE(at_quick_exit_, noinline, 'Q')

static void of_thread_local(void *arg)
{
    (void)arg;
    life_stage('T');
}

int __cxa_thread_atexit_impl(void (*destructor)(void *), void *object, void *dso);
extern void *__dso_handle;

static void *last_thread(void *arg)
{
    pthread_join(*(pthread_t *)arg, NULL);
    life_stage('X');
    return NULL;
}

static void *never_ending(void *arg)
{
    struct rng rng = {(uintptr_t)arg};
    void *held[100] = {NULL};
    for (;;) {
        size_t i = rng_below(&rng, 100);
        free(held[i]);
        held[i] = malloc(rng_below(&rng, 3000));
    }
    return NULL;
}

/* The ways in which a thread ends the program while others allocate. */
static void *ends_the_program(void *arg)
{
    if (strcmp(mode, "busy-quick") == 0) {
        quick_exit(0);
    }
    if (strcmp(mode, "busy-now") == 0) {
        _exit(0);
    }
    exit(0);
    return arg;
}

static int stages(void)
{
    static pthread_t self, thread;
    life_stage('M');
    atexit(at_exit);
    at_quick_exit(at_quick_exit_);
    /* If the main thread does not call exit, glibc forgets its objects. */
    if (strcmp(mode, "last") != 0) {
        __cxa_thread_atexit_impl(of_thread_local, NULL, &__dso_handle);
    }
    if (strcmp(mode, "quick") == 0) {
        quick_exit(0);
    }
    if (strcmp(mode, "last") == 0) {
        self = pthread_self();
        pthread_create(&thread, NULL, last_thread, &self);
        pthread_exit(NULL);
    }
    if (strncmp(mode, "busy", 4) == 0) {
        for (uintptr_t i = 0; i < 3; i++) {
            pthread_create(&thread, NULL, never_ending, (void *)i);
        }
        sleep_ms(5);
    }
    if (strncmp(mode, "busy-", 5) == 0) {
        pthread_create(&thread, NULL, ends_the_program, NULL);
        never_ending((void *)7);
    }
    return 0;
}

static void runs_through(const char *how, const char *expected)
{
    static struct capture c;
    char setting[64], preload[1024];
    char self[] = "/proc/self/exe";
    char *argv[] = {self, NULL}, *envp[] = {setting, NULL, NULL};
    snprintf(setting, sizeof setting, "PYM_TEST_STAGES=%s", how);
    if (getenv("LD_PRELOAD")) {
        snprintf(preload, sizeof preload, "LD_PRELOAD=%s", getenv("LD_PRELOAD"));
        envp[1] = preload;
    }
    run_program(&c, argv, envp, 20);
    CHECK_EQ(c.status, 0, "exit status");
    CHECK_STR(c.out, expected, "stages");
    CHECK_STR(c.err, "", "standard error");
}

static void all_stages_allocate(void)
{
    runs_through("exit", "PECcMTADdF");
}

static void quick_exit_allocates(void)
{
    runs_through("quick", "PECcMQ");
}

static void the_last_thread_ends_the_program(void)
{
    runs_through("last", "PECcMXADdF");
}

static void exit_while_threads_are_busy(void)
{
    for (int i = 0; i < 50; i++) {
        runs_through("busy", "PECcMTADdF");
    }
}

static void any_thread_exits_while_others_are_busy(void)
{
    for (int i = 0; i < 15; i++) {
        runs_through("busy-exit", "PECcMADdF");
        runs_through("busy-quick", "PECcMQ");
        runs_through("busy-now", "PECcM");
    }
}

static const struct tap_case cases[] = {
    {"every stage from preinit to the last destructor", all_stages_allocate},
    {"quick_exit", quick_exit_allocates},
    {"main ends before its last thread", the_last_thread_ends_the_program},
    {"exit while other threads allocate", exit_while_threads_are_busy},
    {"a thread exits while all others allocate",
     any_thread_exits_while_others_are_busy},
};

int main(int argc, char **argv)
{
    if (mode) {
        return stages();
    }
    require_pymalloc();
    return TAP_RUN(cases, argc, argv);
}
