/* Not a test: observe.sh looks at what this program tells.  Its arguments are commands:
 *
 *     hold COUNT SIZE   allocates blocks and keeps them
 *     strand COUNT      blocks of 64 bytes, freed by a thread that then sleeps
 *     json FLAGS        writes a snapshot to standard output
 *     fails             checks the errors of pymalloc_stats_json
 *     xml FILE          malloc_info, then a snapshot to standard output
 *     stats             malloc_stats, then a snapshot to standard output
 *     info              what mallinfo2, pymalloc_stats and JSON tell of the same heap
 *     rename NAME       gives the process another name
 *     close             closes all descriptors above standard error
 *     fill FIRST FILE   closes all descriptors from FIRST on; then 200 are of FILE
 *     counters          closes all descriptors above standard error, makes eventfds,
 *                       sends a signal 10 and prints how many have changed
 *     fork              goes on in a child, whose end the parent waits for
 *     forks             from now on a signal SIGUSR1 makes a child that does nothing
 *                       until standard input ends
 *     hide              becomes another user if it is root's; is not dumpable
 *     ignore            ignores signal 10 from now on
 *     leave             ends the first thread; another one ends half a second later
 *     ready             prints the process's id
 *     wait              until standard input ends
 *     signal            a signal 10, and half a second for what it asks for
 */
#include "support.h"

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void **held;
static void *stranded[1000];
static long strandable;

static void hold(long count, size_t size)
{
    for (long i = 0; i < count; i++) {
        void **block = opaque(malloc(size));
        *block = held;
        held = block;
    }
}

static _Noreturn void *free_and_sleep(void *arg)
{
    pthread_barrier_t *barrier = arg;
    for (long i = 0; i < strandable; i++) {
        free(stranded[i]);
    }
    pthread_barrier_wait(barrier);
    for (;;) {
        pause();
    }
}

static void strand(long count)
{
    static pthread_barrier_t barrier;
    pthread_t thread;
    strandable = count;
    for (long i = 0; i < count; i++) {
        stranded[i] = opaque(malloc(64));
    }
    pthread_barrier_init(&barrier, NULL, 2);
    pthread_create(&thread, NULL, free_and_sleep, &barrier);
    pthread_barrier_wait(&barrier);
}

static void fails(void)
{
    printf("flags %d\n", pymalloc_stats_json(1, 2) == EINVAL);
    printf("descriptor %d\n", pymalloc_stats_json(-1, 0) == EIO);
    printf("profile %d\n", pymalloc_profile_write(1) == ENOTSUP);
    fflush(stdout);
}

static void info(void)
{
    struct pymalloc_totals totals;
    struct mallinfo2 whole = mallinfo2();
    pymalloc_stats(&totals);
    printf("%zu %zu %ju %ju\n", whole.uordblks, whole.hblkhd,
           (uintmax_t)totals.small_live_bytes, (uintmax_t)totals.large_cached_bytes);
    fflush(stdout);
}

static void xml(const char *name)
{
    static char buffer[4096]; /* so that writing allocates nothing */
    FILE *file = fopen(name, "w");
    if (!file || setvbuf(file, buffer, _IOFBF, sizeof buffer) != 0) {
        tap_bail_out("%s: %s", name, strerror(errno));
    }
    CHECK_EQ(malloc_info(0, file), 0, "malloc_info");
    CHECK_EQ(pymalloc_stats_json(1, 0), 0, "pymalloc_stats_json");
    fclose(file);
}

static void hide(void)
{
    int is_hidden = geteuid() == 0 ? setgid(65534) == 0 && setuid(65534) == 0
                                   : prctl(PR_SET_DUMPABLE, 0) == 0;
    if (!is_hidden) {
        tap_bail_out("cannot hide: %s", strerror(errno));
    }
}

static void wait_for_end(void)
{
    char c;
    while (read(0, &c, 1) > 0) {
    }
}

static void close_from(int first)
{
    for (int fd = first; fd < 1024; fd++) {
        close(fd);
    }
}

static void fill(int first, const char *name)
{
    close_from(first);
    for (int i = 0; i < 200; i++) {
        if (open(name, O_WRONLY | O_CREAT | O_APPEND, 0666) < 0) {
            tap_bail_out("%s: %s", name, strerror(errno));
        }
    }
}

static void go_on_in_child(void)
{
    pid_t pid = fork();
    if (pid != 0) {
        int status;
        waitpid(pid, &status, 0);
        _exit(0);
    }
}

static void fork_idle_child(int number)
{
    (void)number;
    if (fork() == 0) {
        wait_for_end();
        _exit(0);
    }
}

static void fork_at_signal(void)
{
    struct sigaction action = {.sa_handler = fork_idle_child, .sa_flags = SA_RESTART};
    sigaction(SIGUSR1, &action, NULL);
}

static void ask_by_signal(void)
{
    struct timespec half = {0, 500000000};
    raise(10);
    nanosleep(&half, NULL);
}

static void *sleep_a_little(void *arg)
{
    struct timespec half = {0, 500000000};
    nanosleep(&half, NULL);
    return arg;
}

static _Noreturn void leave(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, sleep_a_little, NULL);
    pthread_detach(thread);
    pthread_exit(NULL);
}

static void count(void)
{
    enum { COUNT = 5 };
    int counter[200];
    int changed = 0;
    close_from(3);
    for (int i = 0; i < 200; i++) {
        counter[i] = eventfd(COUNT, EFD_NONBLOCK);
    }
    ask_by_signal();
    for (int i = 0; i < 200; i++) {
        uint64_t value;
        changed += read(counter[i], &value, sizeof value) < 0 || value != COUNT;
    }
    printf("%d\n", changed);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *command = argv[i];
        if (strcmp(command, "hold") == 0) {
            hold(atol(argv[i + 1]), (size_t)atol(argv[i + 2]));
            i += 2;
        } else if (strcmp(command, "strand") == 0) {
            strand(atol(argv[++i]));
        } else if (strcmp(command, "json") == 0) {
            pymalloc_stats_json(1, (unsigned)atoi(argv[++i]));
        } else if (strcmp(command, "fails") == 0) {
            fails();
        } else if (strcmp(command, "xml") == 0) {
            xml(argv[++i]);
        } else if (strcmp(command, "stats") == 0) {
            malloc_stats();
            pymalloc_stats_json(1, 0);
        } else if (strcmp(command, "info") == 0) {
            info();
        } else if (strcmp(command, "rename") == 0) {
            prctl(PR_SET_NAME, argv[++i]);
        } else if (strcmp(command, "close") == 0) {
            close_from(3);
        } else if (strcmp(command, "fill") == 0) {
            fill(atoi(argv[i + 1]), argv[i + 2]);
            i += 2;
        } else if (strcmp(command, "counters") == 0) {
            count();
        } else if (strcmp(command, "fork") == 0) {
            go_on_in_child();
        } else if (strcmp(command, "forks") == 0) {
            fork_at_signal();
        } else if (strcmp(command, "hide") == 0) {
            hide();
        } else if (strcmp(command, "ignore") == 0) {
            signal(10, SIG_IGN);
        } else if (strcmp(command, "leave") == 0) {
            leave();
        } else if (strcmp(command, "ready") == 0) {
            printf("%d\n", (int)getpid());
            fflush(stdout);
        } else if (strcmp(command, "wait") == 0) {
            wait_for_end();
        } else if (strcmp(command, "signal") == 0) {
            ask_by_signal();
        } else {
            fprintf(stderr, "%s?\n", command);
            return 1;
        }
    }
    return 0;
}
