/* Not a test: a small shop that leaks 2 MiB beside 200 MiB that are in order, for those
 * who look for it with "pymalloc profile" (leak.sh).
 *
 *     leak_probe end    serves its customers, closes, and gives everything back
 *     leak_probe stay   serves some, prints its process's id, and serves on until its
 *                       standard input ends
 *
 * Orders come and go, and goods on the shelves are exchanged at random: so most of what
 * is allocated while it runs is no leak.  What is forgotten is 1% of it.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { GOODS = 1 << 19, CUSTOMERS = 1 << 15 };

struct good {
    char *label;
    char *picture;
};

struct session {
    char customer[64];
};

static struct good shelf[GOODS];
static unsigned long long state = 1;

static unsigned below(unsigned limit)
{
    state = state * 6364136223846793005 + 1442695040888963407;
    return (unsigned)(state >> 33) % limit;
}

static void *get(size_t size)
{
    void *block = malloc(size);
    if (!block) {
        abort();
    }
    return block;
}

__attribute__((noinline)) static void put_on_shelf(unsigned place)
{
    struct good *good = &shelf[place];
    free(good->label);
    free(good->picture);
    good->label = get(16 + below(64));
    good->picture = get(256 + below(160));
    memset(good->picture, 1, 256);
    good->label[0] = good->picture[0];
}

__attribute__((noinline)) static void serve_order(void)
{
    char *lines[32];
    for (int i = 0; i < 32; i++) {
        lines[i] = get(16 + below(400));
        lines[i][0] = (char)i;
    }
    for (int i = 0; i < 32; i++) {
        free(lines[i]);
    }
}

/* The leak: every session is opened, and none is closed. */
__attribute__((noinline)) static void open_session(unsigned number)
{
    struct session *session = get(sizeof *session);
    snprintf(session->customer, sizeof session->customer, "customer %u", number);
}

static void serve_customer(unsigned number)
{
    open_session(number);
    serve_order();
    for (int i = 0; i < 16; i++) {
        put_on_shelf(below(GOODS));
    }
}

static void close_shop(void)
{
    for (unsigned i = 0; i < GOODS; i++) {
        free(shelf[i].label);
        free(shelf[i].picture);
    }
}

/* 4 MiB of sessions a second: no test can wait for what a server forgets in a day. */
static void stay(void)
{
    struct pollfd input = {.fd = 0, .events = POLLIN | POLLHUP};
    unsigned number = 0;
    while (number < 4 * CUSTOMERS) {
        serve_customer(number++);
    }
    printf("%d\n", (int)getpid());
    fflush(stdout);
    while (poll(&input, 1, 1) == 0) {
        for (int i = 0; i < 64; i++) {
            serve_customer(number++);
        }
    }
}

int main(int argc, char **argv)
{
    for (unsigned i = 0; i < GOODS; i++) {
        put_on_shelf(i);
    }
    if (argc > 1 && strcmp(argv[1], "stay") == 0) {
        stay();
        return 0;
    }
    for (unsigned i = 0; i < CUSTOMERS; i++) {
        serve_customer(i);
    }
    close_shop();
    return 0;
}
