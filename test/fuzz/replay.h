/*
 * Runs a harness with inputs: those of the kept corpus, or the files named on the
 * command line, such as the one that a fuzzer has left after a finding.
 *
 * A corpus is one text file, an input a line: bytes that are printable stand for
 * themselves, others, and '%', are %XX; a line that begins with '#' is a comment.
 *
 * Each input runs in a child of its own: what it finds does not depend on the inputs
 * before it, and its death is one failed case.
 */
#ifndef TEST_FUZZ_REPLAY_H
#define TEST_FUZZ_REPLAY_H

#include "input.h"

enum { INPUT_MOST = 1 << 16, INPUT_SECONDS = 120 };

struct replay {
    uint8_t bytes[INPUT_MOST];
    size_t size;
};

static int replay_input(void *arg)
{
    const struct replay *input = arg;
    LLVMFuzzerTestOneInput(input->bytes, input->size);
    return tap_failures != 0;
}

static int replay_failed(struct replay *input, int number, const char *name)
{
    int status = in_child(replay_input, input, INPUT_SECONDS);
    if (status != 0) {
        tap_note("the process of this input ended with %d", status);
    }
    tap_result(status == 0 ? "ok" : "not ok", number, name, "", "");
    return status != 0;
}

static int replay_hex(int digit)
{
    return digit >= '0' && digit <= '9'   ? digit - '0'
           : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
           : digit >= 'A' && digit <= 'F' ? digit - 'A' + 10
                                          : -1;
}

static void replay_decode(struct replay *input, const char *line)
{
    input->size = 0;
    for (; *line != '\0' && *line != '\n' && input->size < INPUT_MOST; line++) {
        int byte = (unsigned char)*line;
        if (byte == '%') {
            int high = replay_hex(line[1]), low = high < 0 ? -1 : replay_hex(line[2]);
            if (low < 0) {
                tap_bail_out("the corpus has a bad escape: %.20s", line);
            }
            byte = high << 4 | low;
            line += 2;
        }
        input->bytes[input->size++] = (uint8_t)byte;
    }
}

/* Whole files in memory of their own, which is not the subject's. */
static char *replay_read(const char *path, size_t *size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    off_t length = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
    if (length < 0) {
        tap_bail_out("%s: %s", path, strerror(errno));
    }
    char *text = pages((size_t)length + 1);
    if (pread(fd, text, (size_t)length, 0) != length) {
        tap_bail_out("%s: cannot be read as a whole", path);
    }
    close(fd);
    *size = (size_t)length;
    return text;
}

static bool replay_is_input(const char *line)
{
    return *line != '#' && *line != '\n' && *line != '\0';
}

static const char *replay_next(const char *line)
{
    const char *end = strchr(line, '\n');
    return end != NULL ? end + 1 : line + strlen(line);
}

static int replay_corpus(struct replay *input, const char *path)
{
    size_t size;
    const char *text = replay_read(path, &size);
    int count = 0, number = 0, red = 0;
    for (const char *line = text; *line != '\0'; line = replay_next(line)) {
        count += replay_is_input(line);
    }
    if (count == 0) {
        tap_bail_out("%s has no inputs", path);
    }
    tap_note("the corpus has %d inputs", count);
    printf("1..%d\n", count);
    fflush(stdout);
    for (const char *line = text; *line != '\0'; line = replay_next(line)) {
        if (replay_is_input(line)) {
            char name[64];
            replay_decode(input, line);
            number++;
            snprintf(name, sizeof name, "input %d, %zu bytes", number, input->size);
            red |= replay_failed(input, number, name);
        }
    }
    return red;
}

static int replay_files(struct replay *input, int count, char **paths)
{
    int red = 0;
    printf("1..%d\n", count);
    fflush(stdout);
    for (int i = 0; i < count; i++) {
        const char *text = replay_read(paths[i], &input->size);
        if (input->size > INPUT_MOST) {
            tap_bail_out("%s is longer than %d bytes", paths[i], INPUT_MOST);
        }
        memcpy(input->bytes, text, input->size);
        red |= replay_failed(input, i + 1, paths[i]);
    }
    return red;
}

static int replay(const char *corpus, int argc, char **argv)
{
    struct replay *input = pages(sizeof *input);
    alarm((unsigned)env_number("PYM_TEST_TIMEOUT", TAP_SECONDS));
    return argc > 1 ? replay_files(input, argc - 1, argv + 1)
                    : replay_corpus(input, corpus);
}

#endif
