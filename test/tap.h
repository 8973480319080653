/*
 * A small producer of TAP, the Test Anything Protocol, for C and C++.
 *
 * A program is a table of cases; each case is one line of the plan.  Inside a
 * case CHECK and its kin stay silent while they hold, so a loop may check a
 * million things; a check that fails prints where, what and why, and the case
 * goes on.  A case that cannot run here calls SKIP.
 *
 *     static void sum(void) { CHECK_EQ(1 + 1, 2, "arithmetic"); }
 *     static const struct tap_case cases[] = {{"sums are right", sum}};
 *     int main(int argc, char **argv) { return TAP_RUN(cases, argc, argv); }
 *
 * Arguments that do not begin with '-' select cases by a part of their name.
 * PYM_TEST_TIMEOUT changes the seconds after which a hanging program dies.
 *
 * The allocator is what is under test, so nothing here calls it: lines are
 * built on the stack and go out with write(2), one call for each line, and
 * CHECK may therefore be used by several threads at once.
 */
#ifndef TEST_TAP_H
#define TEST_TAP_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct tap_case {
    const char *name;
    void (*run)(void);
};

enum {
    TAP_SHOWN = 20,    /* failed checks of one case that are printed */
    TAP_SECONDS = 300, /* a program that hangs dies by SIGALRM after so long */
};

static int tap_failures;         /* failed checks of the current case */
static const char *tap_skipping; /* why the current case was skipped */

static void tap_write(const char *line, size_t length)
{
    while (length > 0) {
        ssize_t n = write(1, line, length);
        if (n <= 0) {
            return;
        }
        line += n;
        length -= (size_t)n;
    }
}

__attribute__((format(printf, 2, 0))) static void
tap_line(const char *prefix, const char *format, va_list args)
{
    char line[1024];
    size_t room = sizeof line - 1;
    size_t n = (size_t)snprintf(line, room, "%s", prefix);
    int added = vsnprintf(line + n, room - n, format, args);
    n += added < 0 ? 0 : (size_t)added;
    if (n > room - 1) {
        n = room - 1;
    }
    line[n++] = '\n';
    tap_write(line, n);
}

__attribute__((format(printf, 1, 2), unused)) static void tap_note(const char *format,
                                                                   ...)
{
    va_list args;
    va_start(args, format);
    tap_line("# ", format, args);
    va_end(args);
}

__attribute__((format(printf, 1, 2), unused, noreturn)) static void
tap_bail_out(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tap_line("Bail out! ", format, args);
    va_end(args);
    _exit(1);
}

__attribute__((format(printf, 3, 4), unused)) static void
tap_failed(const char *file, int line, const char *format, ...)
{
    if (__atomic_fetch_add(&tap_failures, 1, __ATOMIC_RELAXED) >= TAP_SHOWN) {
        return;
    }
    char prefix[128];
    const char *base = strrchr(file, '/');
    snprintf(prefix, sizeof prefix, "#   %s:%d: ", base ? base + 1 : file, line);
    va_list args;
    va_start(args, format);
    tap_line(prefix, format, args);
    va_end(args);
}

/* Lets a verdict go unused without a warning. */
static inline int tap_verdict(int holds)
{
    return holds;
}

/* Each of these is an expression: true if the check held.  The text after the
 * operands is a printf format with its arguments. */
#define CHECK(condition, ...)                                                          \
    tap_verdict((condition) ? 1 : (tap_failed(__FILE__, __LINE__, __VA_ARGS__), 0))

#define FAIL(...) tap_failed(__FILE__, __LINE__, __VA_ARGS__)

#define CHECK_EQ(got, want, ...)                                                       \
    tap_same_number(__FILE__, __LINE__, (intmax_t)(got), (intmax_t)(want), #got,       \
                    __VA_ARGS__)

#define CHECK_STR(got, want, ...)                                                      \
    tap_same_text(__FILE__, __LINE__, (got), (want), #got, __VA_ARGS__)

__attribute__((format(printf, 6, 7), unused)) static int
tap_same_number(const char *file, int line, intmax_t got, intmax_t want,
                const char *what, const char *format, ...)
{
    if (got == want) {
        return 1;
    }
    char why[256];
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    tap_failed(file, line, "%s: %s is %jd, wanted %jd", why, what, got, want);
    return 0;
}

__attribute__((format(printf, 6, 7), unused)) static int
tap_same_text(const char *file, int line, const char *got, const char *want,
              const char *what, const char *format, ...)
{
    if (got && want ? strcmp(got, want) == 0 : got == want) {
        return 1;
    }
    char why[256];
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    tap_failed(file, line, "%s: %s is \"%s\", wanted \"%s\"", why, what,
               got ? got : "(null)", want ? want : "(null)");
    return 0;
}

/* Leaves the case, which is then reported as skipped.  A case that has already
 * failed stays failed. */
#define SKIP(why)                                                                      \
    do {                                                                               \
        tap_skipping = (why);                                                          \
        return;                                                                        \
    } while (0)

static int tap_selected(const char *name, int argc, char **argv)
{
    int asked = 0;
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] == '-') {
            continue;
        }
        asked = 1;
        if (strstr(name, argv[i])) {
            return 1;
        }
    }
    return !asked;
}

static void tap_result(const char *verdict, int number, const char *name,
                       const char *directive, const char *why)
{
    char line[512];
    int n = snprintf(line, sizeof line, "%s %d - %s%s%s\n", verdict, number, name,
                     directive, why);
    tap_write(line, n < (int)sizeof line ? (size_t)n : sizeof line - 1);
}

__attribute__((unused)) static int tap_run(const struct tap_case *cases, size_t count,
                                           int argc, char **argv)
{
    char plan[32];
    int selected = 0, number = 0, red = 0;
    const char *timeout = getenv("PYM_TEST_TIMEOUT");
    unsigned long seconds = timeout ? strtoul(timeout, NULL, 10) : 0;
    alarm(seconds ? (unsigned)seconds : (unsigned)TAP_SECONDS);
    for (size_t i = 0; i < count; i++) {
        selected += tap_selected(cases[i].name, argc, argv);
    }
    tap_write(plan, (size_t)snprintf(plan, sizeof plan, "1..%d\n", selected));
    for (size_t i = 0; i < count; i++) {
        if (!tap_selected(cases[i].name, argc, argv)) {
            continue;
        }
        tap_failures = 0;
        tap_skipping = NULL;
        cases[i].run();
        number++;
        if (tap_failures > TAP_SHOWN) {
            tap_note("and %d more failed checks", tap_failures - TAP_SHOWN);
        }
        red += tap_failures != 0;
        if (tap_failures) {
            tap_result("not ok", number, cases[i].name, "", "");
        } else if (tap_skipping) {
            tap_result("ok", number, cases[i].name, " # SKIP ", tap_skipping);
        } else {
            tap_result("ok", number, cases[i].name, "", "");
        }
    }
    return red != 0;
}

#define TAP_RUN(cases, argc, argv)                                                     \
    tap_run((cases), sizeof(cases) / sizeof(cases)[0], (argc), (argv))

#endif
