/* print.h, check.h: formatted text without stdio, and the ways to end. */
#include "check.h"
#include "print.h"
#include "support.h"

#include <limits.h>

/* Formats into a buffer of just the given room, guarded on both sides. */
#define FORMATS(room, expected, full_length, ...)                                      \
    do {                                                                               \
        char guarded[256];                                                             \
        memset(guarded, '#', sizeof guarded);                                          \
        size_t length = pym_print_text(guarded + 1, (room), __VA_ARGS__);              \
        CHECK_EQ(length, (full_length), "the length of \"%s\"", (expected));           \
        CHECK(guarded[0] == '#' && guarded[(room) + 1] == '#', "\"%s\" left its room", \
              (expected));                                                             \
        if ((room) > 0) {                                                              \
            guarded[(room)] = '\0';                                                    \
            CHECK_STR(guarded + 1, (expected), "into %d bytes", (int)(room));          \
        }                                                                              \
    } while (0)

#define SAME_AS_LIBC(...)                                                              \
    do {                                                                               \
        char ours[128], libcs[128];                                                    \
        int wanted = snprintf(libcs, sizeof libcs, __VA_ARGS__);                       \
        size_t length = pym_print_text(ours, sizeof ours, __VA_ARGS__);                \
        CHECK_STR(ours, libcs, "the text");                                            \
        CHECK_EQ(length, wanted, "the length of %s", libcs);                           \
    } while (0)

static void numbers_are_libcs(void)
{
    SAME_AS_LIBC("%d %d %d %d", 0, 1, -1, 123456);
    SAME_AS_LIBC("%d %d", INT_MAX, INT_MIN);
    SAME_AS_LIBC("%u %u", 0u, UINT_MAX);
    SAME_AS_LIBC("%lu %lu", 0ul, ULONG_MAX);
    SAME_AS_LIBC("%zu %zu", (size_t)0, SIZE_MAX);
    SAME_AS_LIBC("%p %p", (void *)numbers_are_libcs, (void *)(uintptr_t)SIZE_MAX);
    SAME_AS_LIBC("%s%s|%s", "", "a", "text of some length");
    SAME_AS_LIBC("100%% of %d%%", 7);
    SAME_AS_LIBC("no directive");
}

static void bytes_are_for_people(void)
{
    FORMATS(64, "0 B", 3, "%h", (size_t)0);
    FORMATS(64, "1023 B", 6, "%h", (size_t)1023);
    FORMATS(64, "1.0 KiB", 7, "%h", (size_t)1024);
    FORMATS(64, "1.5 KiB", 7, "%h", (size_t)1536);
    FORMATS(64, "256.0 KiB", 9, "%h", (size_t)262144);
    FORMATS(64, "1.0 MiB", 7, "%h", (size_t)1 << 20);
    FORMATS(64, "230.0 MiB", 9, "%h", (size_t)230 << 20);
    FORMATS(64, "256.0 GiB", 9, "%h", (size_t)256 << 30);
    FORMATS(64, "3.0 TiB", 7, "%h", (size_t)3 << 40);
}

static void text_is_cut_not_overrun(void)
{
    FORMATS(0, "abcdef", 6, "%s", "abcdef");
    FORMATS(1, "", 6, "%s", "abcdef");
    FORMATS(4, "abc", 6, "%s", "abcdef");
    FORMATS(6, "abcde", 6, "%s", "abcdef");
    FORMATS(7, "abcdef", 6, "%s", "abcdef");
    FORMATS(3, "12", 5, "%d", 12345);
    FORMATS(5, "ab34", 6, "ab%u%s", 34u, "cd");
}

static void null_and_nonsense_are_survived(void)
{
    const char *volatile null = NULL;
    FORMATS(64, "(null)", 6, "%s", null);
    FORMATS(64, "5%", 2, "%d%", 5);
}

/* ------------------------------------------------------- to a descriptor */

static char written[8192];

/* Runs body with standard error going to a file, and returns how it ended. */
static int with_error_output(int (*body)(void *), void *arg)
{
    int fd = memfd_create("stderr", MFD_CLOEXEC), saved = dup(2);
    dup2(fd, 2);
    int status = in_child(body, arg, 20);
    dup2(saved, 2);
    close(saved);
    read_back(fd, written, sizeof written);
    return status;
}

static int is_one_line(void)
{
    const char *newline = strchr(written, '\n');
    return newline && newline[1] == '\0';
}

static int prints(void *arg)
{
    errno = 77;
    pym_print(2, "%s: %d\n", (const char *)arg, 5);
    return errno != 77;
}

static void print_writes_one_line(void)
{
    char word[] = "five";
    CHECK_EQ(with_error_output(prints, word), 0, "errno was changed");
    CHECK_STR(written, "five: 5\n", "what was written");
}

static int prints_to_nowhere(void *arg)
{
    (void)arg;
    errno = 77;
    pym_print(-1, "to nowhere\n");
    return errno != 77;
}

static void a_bad_descriptor_is_survived(void)
{
    CHECK_EQ(with_error_output(prints_to_nowhere, NULL), 0, "the child");
}

static void long_text_is_cut(void)
{
    char word[4096];
    memset(word, 'x', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    CHECK_EQ(with_error_output(prints, word), 0, "the child");
    CHECK(strlen(written) > 100 && strlen(written) < sizeof word,
          "%zu bytes were written", strlen(written));
}

static int warns(void *arg)
{
    (void)arg;
    pym_check_warn("what is wrong", "where");
    return 0;
}

static void a_warning_is_one_line(void)
{
    CHECK_EQ(with_error_output(warns, NULL), 0, "the child");
    CHECK(is_one_line() && strstr(written, "what is wrong") && strstr(written, "where"),
          "it says: %s", written);
}

static int misuses(void *arg)
{
    pym_check_misuse("free of a test", arg, 48);
}

static void misuse_says_what_and_aborts(void)
{
    char place[32];
    static char block;
    snprintf(place, sizeof place, "%p", (void *)&block);
    CHECK_EQ(with_error_output(misuses, &block), CHILD_SIGNALLED + SIGABRT,
             "the child");
    CHECK(is_one_line() && strstr(written, "free of a test") &&
              strstr(written, place) && strstr(written, "48"),
          "it says: %s", written);
}

static int breaks(void *arg)
{
    (void)arg;
    pym_check_broken("a < b", "file.c", 42);
}

static void a_broken_invariant_says_where_and_aborts(void)
{
    CHECK_EQ(with_error_output(breaks, NULL), CHILD_SIGNALLED + SIGABRT, "the child");
    CHECK(is_one_line() && strstr(written, "a < b") && strstr(written, "file.c:42"),
          "it says: %s", written);
}

static const struct tap_case cases[] = {
    {"numbers and strings come out as libc's", numbers_are_libcs},
    {"bytes come out for people", bytes_are_for_people},
    {"text is cut to its room", text_is_cut_not_overrun},
    {"NULL and a lone % are survived", null_and_nonsense_are_survived},
    {"pym_print writes one line and leaves errno", print_writes_one_line},
    {"a bad descriptor is survived", a_bad_descriptor_is_survived},
    {"a line that is too long is cut", long_text_is_cut},
    {"a warning is one line", a_warning_is_one_line},
    {"misuse says what and where, and aborts", misuse_says_what_and_aborts},
    {"a broken invariant says where, and aborts",
     a_broken_invariant_says_where_and_aborts},
};

int main(int argc, char **argv)
{
    return TAP_RUN(cases, argc, argv);
}
