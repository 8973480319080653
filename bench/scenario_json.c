/*
 * JSON-like trees: a document of some megabytes is parsed into a tree of small nodes,
 * strings and growing arrays, written out again into a growing buffer, and freed.  What
 * is written must be what was read, byte for byte.
 */
#include "common.h"

enum { DOCUMENT = 2 * 1024 * 1024, DOCUMENTS = 36, MAX_DEPTH = 8 };

enum kind { NUMBER, STRING, ARRAY, OBJECT };

/* An object has names and items, an array only items. */
struct value {
    enum kind kind;
    uint32_t n;
    uint32_t room;
    union {
        uint64_t number;
        char *string;
        struct {
            struct value **item;
            char **name;
        };
    };
};

/* ------------------------------------------------------- the text to be parsed */

struct writer {
    char *text;
    size_t at;
    struct bench_rng rng;
};

static void write_text(struct writer *w, const char *text)
{
    size_t length = strlen(text);

    memcpy(w->text + w->at, text, length);
    w->at += length;
}

static void write_number(struct writer *w)
{
    char digits[24];

    snprintf(digits, sizeof digits, "%" PRIu64,
             bench_rng_next(&w->rng) >> bench_rng_below(&w->rng, 64));
    write_text(w, digits);
}

static void write_string(struct writer *w, size_t shortest, size_t longest)
{
    size_t length = bench_rng_doubling(&w->rng, shortest, longest);

    w->text[w->at++] = '"';
    for (size_t i = 0; i < length; i++)
        w->text[w->at++] = (char)('a' + bench_rng_below(&w->rng, 26));
    w->text[w->at++] = '"';
}

static void write_value(struct writer *w, size_t depth)
{
    size_t dice = bench_rng_below(&w->rng, 10);
    bool is_object = dice < 3;
    size_t n = bench_rng_doubling(&w->rng, 2, 20);

    if (depth > 1 && (depth == MAX_DEPTH || dice >= 5)) {
        if (dice % 2 == 0)
            write_number(w);
        else
            write_string(w, 4, 120);
        return;
    }
    w->text[w->at++] = is_object ? '{' : '[';
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            w->text[w->at++] = ',';
        if (is_object) {
            write_string(w, 3, 16);
            w->text[w->at++] = ':';
        }
        write_value(w, depth + 1);
    }
    w->text[w->at++] = is_object ? '}' : ']';
}

/* One array of many records; returns its length. */
static size_t write_document(char *text, size_t wanted)
{
    struct writer w = {text, 0, bench_rng_make(1)};

    text[w.at++] = '[';
    while (w.at < wanted) {
        if (w.at > 1)
            text[w.at++] = ',';
        write_value(&w, 1);
    }
    text[w.at++] = ']';
    text[w.at] = '\0';
    return w.at;
}

/* -------------------------------------------------------------------- parsing */

static struct value *parse_value(const char **text);

static void expect(const char **text, char c)
{
    if (**text != c)
        bench_die("the document has '%c' in place of '%c'", **text, c);
    ++*text;
}

static char *parse_string(const char **text)
{
    const char *begin;
    char *string;

    expect(text, '"');
    begin = *text;
    *text = strchr(begin, '"');
    string = bench_must(strndup(begin, (size_t)(*text - begin)));
    expect(text, '"');
    return string;
}

static struct value *value_new(enum kind kind)
{
    struct value *value = bench_must(calloc(1, sizeof *value));

    value->kind = kind;
    return value;
}

static void make_room(struct value *value)
{
    if (value->n < value->room)
        return;
    value->room = value->room == 0 ? 4 : 2 * value->room;
    value->item = bench_must(realloc(value->item, value->room * sizeof *value->item));
    if (value->kind == OBJECT)
        value->name =
            bench_must(realloc(value->name, value->room * sizeof *value->name));
}

static struct value *parse_items(const char **text, enum kind kind, char open,
                                 char close)
{
    struct value *value = value_new(kind);

    expect(text, open);
    for (;;) {
        make_room(value);
        if (kind == OBJECT) {
            value->name[value->n] = parse_string(text);
            expect(text, ':');
        }
        value->item[value->n] = parse_value(text);
        value->n++;
        if (**text != ',')
            break;
        ++*text;
    }
    expect(text, close);
    return value;
}

static struct value *parse_value(const char **text)
{
    struct value *value;
    char *end;

    switch (**text) {
    case '{':
        return parse_items(text, OBJECT, '{', '}');
    case '[':
        return parse_items(text, ARRAY, '[', ']');
    case '"':
        value = value_new(STRING);
        value->string = parse_string(text);
        return value;
    default:
        value = value_new(NUMBER);
        value->number = strtoull(*text, &end, 10);
        *text = end;
        return value;
    }
}

static size_t value_free(struct value *value)
{
    size_t nodes = 1;

    if (value->kind == STRING)
        free(value->string);
    if (value->kind == ARRAY || value->kind == OBJECT) {
        for (size_t i = 0; i < value->n; i++) {
            if (value->kind == OBJECT)
                free(value->name[i]);
            nodes += value_free(value->item[i]);
        }
        free(value->item);
        free(value->name);
    }
    free(value);
    return nodes;
}

/* -------------------------------------------------------------------- printing */

struct buffer {
    char *text;
    size_t n;
    size_t room;
};

static void put(struct buffer *out, const char *text, size_t length)
{
    while (out->n + length > out->room) {
        out->room = out->room == 0 ? 256 : 2 * out->room;
        out->text = bench_must(realloc(out->text, out->room));
    }
    memcpy(out->text + out->n, text, length);
    out->n += length;
}

static void put_string(struct buffer *out, const char *string)
{
    put(out, "\"", 1);
    put(out, string, strlen(string));
    put(out, "\"", 1);
}

static void put_value(struct buffer *out, const struct value *value)
{
    bool is_object = value->kind == OBJECT;
    char digits[24];

    if (value->kind == NUMBER) {
        put(out, digits,
            (size_t)snprintf(digits, sizeof digits, "%" PRIu64, value->number));
        return;
    }
    if (value->kind == STRING) {
        put_string(out, value->string);
        return;
    }
    put(out, is_object ? "{" : "[", 1);
    for (size_t i = 0; i < value->n; i++) {
        if (i > 0)
            put(out, ",", 1);
        if (is_object) {
            put_string(out, value->name[i]);
            put(out, ":", 1);
        }
        put_value(out, value->item[i]);
    }
    put(out, is_object ? "}" : "]", 1);
}

/* ------------------------------------------------------------------------ work */

struct plan {
    const char *text;
    size_t length;
    size_t documents;
    size_t *nodes; /* for each thread */
};

static void work(size_t index, void *arg)
{
    struct plan *plan = arg;
    size_t nodes = 0;

    for (size_t i = 0; i < plan->documents; i++) {
        const char *text = plan->text;
        struct value *tree = parse_value(&text);
        struct buffer out = {NULL, 0, 0};

        put_value(&out, tree);
        if (out.n != plan->length || memcmp(out.text, plan->text, out.n) != 0)
            bench_die("the document was written other than it was read");
        free(out.text);
        nodes += value_free(tree);
    }
    plan->nodes[index] = nodes;
}

int main(int argc, char **argv)
{
    struct bench_args args = bench_parse_args(argc, argv, NULL, 1);
    char *text = bench_map(2 * DOCUMENT);
    struct plan plan = {text, write_document(text, DOCUMENT),
                        bench_scaled(&args, DOCUMENTS), NULL};
    size_t nodes = 0;
    double seconds;

    plan.nodes = bench_map(args.threads * sizeof *plan.nodes);
    seconds = bench_run_threads(args.threads, work, &plan);
    for (size_t i = 0; i < args.threads; i++)
        nodes += plan.nodes[i];
    bench_result("json", &args, nodes, seconds);
    return 0;
}
