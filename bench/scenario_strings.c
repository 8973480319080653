/*
 * String churn as in a text-handling program: lines are put together word by word with
 * a realloc for each, split again into copies of their words, changed, joined, and some
 * of them kept in a table for a while.  Uses the C library's strdup and strndup, which
 * call malloc from inside of it.
 */
#include "common.h"

enum { WORDS = 2000, KEPT = 20000, LINES = 350000, MAX_WORDS = 24 };

struct state {
    struct bench_rng rng;
    char **vocabulary;
    char **kept;
};

static char *random_word(struct bench_rng *rng)
{
    char text[32];
    size_t length = bench_rng_doubling(rng, 2, 31);

    for (size_t i = 0; i < length; i++)
        text[i] = (char)('a' + bench_rng_below(rng, 26));
    text[length] = '\0';
    return bench_must(strdup(text));
}

/* Appends to a string on the heap, which may move. */
static char *append(char *line, size_t *length, const char *more)
{
    size_t extra = strlen(more);

    line = bench_must(realloc(line, *length + extra + 1));
    memcpy(line + *length, more, extra + 1);
    *length += extra;
    return line;
}

static char *make_line(struct state *s, size_t words)
{
    char *line = NULL;
    size_t length = 0;

    for (size_t i = 0; i < words; i++) {
        if (i > 0)
            line = append(line, &length, " ");
        line = append(line, &length, s->vocabulary[bench_rng_below(&s->rng, WORDS)]);
    }
    return line;
}

/* Copies of the line's words; returns how many. */
static size_t split(const char *line, char *words[MAX_WORDS])
{
    size_t n = 0;

    while (*line != '\0') {
        size_t length = strcspn(line, " ");

        words[n++] = bench_must(strndup(line, length));
        line += length;
        line += *line == ' ';
    }
    return n;
}

static char *join(char *const *words, size_t n)
{
    size_t length = 0;
    size_t at = 0;
    char *line;

    for (size_t i = 0; i < n; i++)
        length += strlen(words[i]) + 1;
    line = bench_must(malloc(length));
    for (size_t i = 0; i < n; i++) {
        at = (size_t)(stpcpy(line + at, words[i]) - line);
        line[at++] = ' ';
    }
    line[at - 1] = '\0';
    return line;
}

static void turn_case(char *word)
{
    for (; *word != '\0'; word++)
        *word ^= 'a' ^ 'A';
}

/* Splits, turns every word's case, and joins again. */
static char *line_with_case_turned(const char *line)
{
    char *words[MAX_WORDS];
    size_t n = split(line, words);
    char *turned;

    for (size_t i = 0; i < n; i++)
        turn_case(words[i]);
    turned = join(words, n);
    for (size_t i = 0; i < n; i++)
        free(words[i]);
    return turned;
}

static void process_line(struct state *s)
{
    char *line = make_line(s, bench_rng_between(&s->rng, 1, MAX_WORDS));
    char *turned = line_with_case_turned(line);
    char *back = line_with_case_turned(turned);
    char **slot = &s->kept[bench_rng_below(&s->rng, KEPT)];

    if (strcmp(line, back) != 0 || strcmp(line, turned) == 0)
        bench_die("a line came back changed");
    free(line);
    free(turned);
    free(*slot);
    *slot = back;
}

static void work(size_t index, void *arg)
{
    size_t lines = *(const size_t *)arg;
    struct state s = {.rng = bench_rng_make(index)};

    s.vocabulary = bench_must(calloc(WORDS, sizeof *s.vocabulary));
    s.kept = bench_must(calloc(KEPT, sizeof *s.kept));
    for (size_t i = 0; i < WORDS; i++)
        s.vocabulary[i] = random_word(&s.rng);
    for (size_t i = 0; i < lines; i++)
        process_line(&s);
    for (size_t i = 0; i < KEPT; i++)
        free(s.kept[i]);
    for (size_t i = 0; i < WORDS; i++)
        free(s.vocabulary[i]);
    free(s.kept);
    free(s.vocabulary);
}

int main(int argc, char **argv)
{
    struct bench_args args = bench_parse_args(argc, argv, NULL, 1);
    size_t lines = bench_scaled(&args, LINES);
    double seconds = bench_run_threads(args.threads, work, &lines);

    bench_result("strings", &args, args.threads * lines, seconds);
    return 0;
}
