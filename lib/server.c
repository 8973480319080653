#include "server.h"

#include "check.h"
#include "heaps.h"
#include "history.h"
#include "options.h"
#include "os.h"
#include "print.h"
#include "process.h"
#include "profile.h"
#include "profile_text.h"
#include "snapshot.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    STACK_SIZE = 256 << 10,
    WAKE_MS = 1000, /* to see what the program has done meanwhile */
    /* A client that is silent, or does not read, holds up the others for so long. */
    RECEIVE_MS = 2000,
    SEND_SECONDS = 10,
    REQUEST_MOST = 64,
};

static void (*write_reports)(void);
static sigset_t programs_signals; /* those blocked where the thread was started */

/* ---- descriptors ---- */

static struct pym_descriptor listener = PYM_NO_DESCRIPTOR;
/* What a signal's handler sends, the thread receives.  A pair of sockets, since these
 * are files that no others can be taken for, as an eventfd can, and since to send harms
 * nobody, even when the program closes or replaces one just then: to write to a pipe
 * whose other end has gone ends the process. */
static struct pym_descriptor ringing = PYM_NO_DESCRIPTOR;
static struct pym_descriptor hearing = PYM_NO_DESCRIPTOR;

/* Moves a new descriptor out of the program's way. */
static void keep(struct pym_descriptor *descriptor, int fd)
{
    pym_process_keep_copy(descriptor, fd);
    if (fd >= 0 && descriptor->fd != fd) {
        pym_os_close(fd);
    }
}

static int listen_as(int process)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    /* A NUL in front makes it a name that no file has. */
    size_t length = pym_print_text(address.sun_path + 1, sizeof(address.sun_path) - 1,
                                   "pymalloc.%d", process);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && (bind(fd, (struct sockaddr *)&address, size) != 0 ||
                    listen(fd, SOMAXCONN) != 0)) {
        pym_os_close(fd);
        fd = -1;
    }
    return fd;
}

static void open_listener(void)
{
    keep(&listener, listen_as(pym_os_process_id()));
}

static bool is_bell_ours(void)
{
    return pym_process_is_ours(&ringing) && pym_process_is_ours(&hearing);
}

static void open_bell(void)
{
    int pair[2] = {-1, -1};
    pym_process_drop(&ringing);
    pym_process_drop(&hearing);
    (void)socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
    keep(&hearing, pair[0]);
    keep(&ringing, pair[1]);
}

/* ---- answers ---- */

static void answer_error(int client, const char *what)
{
    struct pym_json json;
    pym_json_begin(&json, client);
    pym_json_open(&json, NULL, '{');
    pym_json_text(&json, "error", what);
    pym_json_close(&json, '}');
    (void)pym_json_finish(&json);
}

static void answer(int client, const char *request)
{
    if (strcmp(request, "stats") == 0) {
        (void)pym_snapshot_write(client, 0, pym_history_write);
    } else if (strcmp(request, "map") == 0) {
        (void)pym_snapshot_write(client, PYMALLOC_JSON_MAP, pym_history_write);
    } else if (strcmp(request, "purge") == 0) {
        bool trimmed;
        (void)pym_heaps_give_back(0, &trimmed);
        (void)pym_snapshot_write(client, 0, pym_history_write);
    } else if (strcmp(request, "profile") == 0 && pym_profile_interval == 0) {
        answer_error(client, "there is no profile; the option profile:512k makes one");
    } else if (strcmp(request, "profile") == 0) {
        (void)pym_profile_write(client, "served");
    } else {
        answer_error(client,
                     "unknown request; there are stats, map, profile and purge");
    }
}

/* As the kernel decides on /proc/PID/maps, since answers have addresses as well: a
 * process that has changed its user, say, may not be looked at by others of its new
 * one. */
static bool may_look(int client)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);
    return getsockopt(client, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == 0 || (peer.uid == geteuid() && prctl(PR_GET_DUMPABLE) == 1));
}

/* Bytes of what a client says; 0 if there is no more, or not in time. */
static size_t hear(int client, char *to, size_t size, uint64_t deadline_ms)
{
    uint64_t now = pym_os_now_ms();
    struct pollfd wait = {.fd = client, .events = POLLIN};
    if (now >= deadline_ms || poll(&wait, 1, (int)(deadline_ms - now)) <= 0) {
        return 0;
    }
    ssize_t got = recv(client, to, size, MSG_DONTWAIT);
    return got > 0 ? (size_t)got : 0;
}

/* The first line, without its end; false if it is none, or too long, or takes too long:
 * a client that goes on and on may not hold up the others. */
static bool receive(int client, char *request)
{
    uint64_t deadline_ms = pym_os_now_ms() + RECEIVE_MS;
    size_t length = 0;
    char *end = NULL;
    while (end == NULL && length < REQUEST_MOST) {
        char *to = request + length;
        size_t got = hear(client, to, REQUEST_MOST - length, deadline_ms);
        if (got == 0) {
            return false;
        }
        length += got;
        end = memchr(to, '\n', got);
    }
    if (end != NULL) {
        *end = '\0';
    }
    return end != NULL;
}

static void serve(int client)
{
    struct timeval limit = {.tv_sec = SEND_SECONDS};
    char request[REQUEST_MOST];
    (void)setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    if (!may_look(client)) {
        answer_error(client, "only root and the process's own user may look at it, "
                             "and only root if it is not dumpable");
    } else if (!receive(client, request)) {
        answer_error(client, "the request is not a short line");
    } else {
        answer(client, request);
    }
}

/* To close a connection with something unread would lose the answer, and only to close
 * it would not end it if the program has forked meanwhile: the child has it, too. */
static void finish(int client)
{
    char rest[REQUEST_MOST];
    (void)shutdown(client, SHUT_RDWR); /* nothing comes any more */
    while (recv(client, rest, sizeof(rest), MSG_DONTWAIT) > 0) {
    }
    pym_os_close(client);
}

/* ---- the thread ---- */

static void take_client(void)
{
    int client = accept4(listener.fd, NULL, NULL, SOCK_CLOEXEC);
    if (client >= 0) {
        serve(client);
        finish(client);
    }
}

static void take_signals(void)
{
    char signals[64]; /* one report will do for all of them */
    if (recv(hearing.fd, signals, sizeof(signals), MSG_DONTWAIT) > 0) {
        write_reports();
    }
}

static int wait_ms(void)
{
    int due_ms = PYM_OPTION(serve) != 0 ? pym_history_wait_ms() : WAKE_MS;
    return due_ms < WAKE_MS ? due_ms : WAKE_MS;
}

/* Waits for what is to be done, and does it.  Descriptors that the program has closed
 * are made anew; the signal's handler finds the new one. */
static void take_turn(void)
{
    if (PYM_OPTION(serve) != 0 && !pym_process_is_ours(&listener)) {
        open_listener();
    }
    if (PYM_OPTION(signal) != 0 && !is_bell_ours()) {
        open_bell();
    }
    struct pollfd wait[] = {{.fd = listener.fd, .events = POLLIN},
                            {.fd = hearing.fd, .events = POLLIN}};
    (void)poll(wait, 2, wait_ms());
    if ((wait[0].revents & POLLIN) != 0 && pym_process_is_ours(&listener)) {
        take_client();
    }
    if ((wait[1].revents & POLLIN) != 0 && is_bell_ours()) {
        take_signals();
    }
    if (PYM_OPTION(serve) != 0) {
        pym_history_note();
    }
}

/* When all threads of the program have ended, this one does as well: else the process
 * would not, which ends with its last thread.  The C library then calls what is to be
 * done at exit in this one, so signals must come again. */
static void *run(void *arg)
{
    (void)pthread_setname_np(pthread_self(), "pymalloc");
    while (!pym_process_is_last_thread()) {
        take_turn();
    }
    (void)pthread_sigmask(SIG_SETMASK, &programs_signals, NULL);
    return arg;
}

/* All signals are the program's; but SIGPIPE, which a client that has gone would cause,
 * must not be. */
static void start_thread(void)
{
    sigset_t all;
    pthread_attr_t attributes;
    pthread_t thread;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &programs_signals);
    int error = pthread_attr_init(&attributes);
    if (error == 0) {
        (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        (void)pthread_attr_setstacksize(&attributes, STACK_SIZE);
        error = pthread_create(&thread, &attributes, run, NULL);
        (void)pthread_attr_destroy(&attributes);
    }
    (void)pthread_sigmask(SIG_SETMASK, &programs_signals, NULL);
    if (error != 0) {
        pym_check_warn("no thread for serve and signal", strerror(error));
    }
}

/* ---- signals ---- */

static void on_signal(int number)
{
    int saved = errno;
    (void)number;
    if (is_bell_ours()) {
        (void)send(ringing.fd, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    errno = saved;
}

static void take_signal(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    if (sigaction((int)PYM_OPTION(signal), &action, NULL) != 0) {
        pym_check_warn("no reports at signals", strerror(errno));
    }
}

/* ---- the start ---- */

static bool is_wanted(void)
{
    return PYM_OPTION(serve) != 0 || PYM_OPTION(signal) != 0;
}

static void start(void)
{
    if (PYM_OPTION(signal) != 0) {
        open_bell();
    }
    if (PYM_OPTION(serve) != 0) {
        open_listener();
        if (listener.fd < 0) {
            pym_check_warn("cannot serve", strerror(errno));
        }
    }
    start_thread();
}

void pym_server_start(void (*report)(void))
{
    if (is_wanted()) {
        int saved = errno;
        write_reports = report;
        start();
        if (PYM_OPTION(signal) != 0) {
            take_signal();
        }
        errno = saved;
    }
}

/* What a signal does is inherited, and the program may have changed it. */
void pym_server_after_fork(void)
{
    if (is_wanted()) {
        int saved = errno;
        pym_process_drop(&listener);
        pym_history_forget();
        start();
        errno = saved;
    }
}
