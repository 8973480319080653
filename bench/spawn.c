/*
 * Starts one process to be measured, waits for it and says what it used.
 *
 *     spawn FD [-c CPU,CPU...] [NAME=VALUE...] -- program [argument...]
 *
 * Two lines go to the descriptor FD.  The first comes as soon as the program has been
 * executed, the second when it has ended:
 *
 *     pid 1234
 *     end wall=1.234567 user=1.200000 sys=0.010000 maxrss_kb=12345 minflt=3000
 *         majflt=0 nvcsw=1 nivcsw=12 exit=0 signal=0             (all on one line)
 *
 * Why this is a program and not a few lines of the runner: a process starts with the
 * peak RSS of the process that it was forked from, and keeps it across exec.  A child
 * of a Python interpreter could never report less than the interpreter's own size.
 * This program is as small as a process can be, so that only peaks under about 1.5 MB
 * are hidden.  Figures include those descendants that the program itself waited for;
 * the peak is that of the largest single process among them.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "spawn: %s: %s\n", what, strerror(errno));
    exit(125);
}

static _Noreturn void usage(void)
{
    fputs("usage: spawn FD [-c CPU,CPU...] [NAME=VALUE...] -- program [argument...]\n",
          stderr);
    exit(125);
}

/* Affinity survives fork and exec, so it is enough to set our own. */
static void pin_to(const char *list)
{
    cpu_set_t cpus;
    char *end;

    CPU_ZERO(&cpus);
    for (;;) {
        unsigned long cpu = strtoul(list, &end, 10);

        if (end == list || cpu >= CPU_SETSIZE)
            usage();
        CPU_SET(cpu, &cpus);
        if (*end == '\0')
            break;
        if (*end != ',')
            usage();
        list = end + 1;
    }
    if (sched_setaffinity(0, sizeof cpus, &cpus) != 0)
        fail("sched_setaffinity");
}

static int parse_fd(const char *text)
{
    char *end;
    long fd = strtol(text, &end, 10);

    if (*text == '\0' || *end != '\0' || fd < 1 || fd > 1 << 20)
        usage();
    if (fcntl((int)fd, F_SETFD, FD_CLOEXEC) != 0)
        fail("the report's descriptor");
    return (int)fd;
}

/* Applies everything in front of "--"; returns the index of what follows it. */
static int parse_arguments(int argc, char **argv)
{
    int i;

    for (i = 2; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "-c") == 0 && i + 1 < argc)
            pin_to(argv[++i]);
        else if (strchr(argv[i], '=') != NULL)
            putenv(argv[i]);
        else
            usage();
    }
    if (i + 1 >= argc)
        usage();
    return i + 1;
}

/* vfork and not fork: the child must not wait for a copy of anything, and it must not
 * go on without us, so it asks to be killed when we die. */
static pid_t start(char **argv)
{
    pid_t pid = vfork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execvp(argv[0], argv);
        _exit(127);
    }
    if (pid < 0)
        fail("vfork");
    return pid;
}

/* The runner ends a run by a signal to the whole group.  We stay until the program has
 * gone, because it would be killed with us and could not clean up after itself; a
 * handler and not SIG_IGN, which the program would inherit. */
static void stay(int signal_number)
{
    (void)signal_number;
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec * 1e-6;
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void report_end(int fd, double wall, int status, const struct rusage *used)
{
    dprintf(fd,
            "end wall=%.6f user=%.6f sys=%.6f maxrss_kb=%ld minflt=%ld majflt=%ld "
            "nvcsw=%ld nivcsw=%ld exit=%d signal=%d\n",
            wall, seconds(used->ru_utime), seconds(used->ru_stime), used->ru_maxrss,
            used->ru_minflt, used->ru_majflt, used->ru_nvcsw, used->ru_nivcsw,
            WIFEXITED(status) ? WEXITSTATUS(status) : 0,
            WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

int main(int argc, char **argv)
{
    struct rusage used;
    double begin;
    pid_t pid;
    int first, fd, status;

    if (argc < 2)
        usage();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    fd = parse_fd(argv[1]);
    first = parse_arguments(argc, argv);
    signal(SIGTERM, stay);
    signal(SIGINT, stay);
    begin = now();
    pid = start(argv + first);
    dprintf(fd, "pid %ld\n", (long)pid);
    while (wait4(pid, &status, 0, &used) < 0) {
        if (errno != EINTR)
            fail("wait4");
    }
    report_end(fd, now() - begin, status, &used);
    return 0;
}
