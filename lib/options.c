#include "options.h"

#include "check.h"
#include "print.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct option {
    const char *name;
    const char *meaning;
    _Atomic size_t *value;
    size_t initial, least, most;
    enum pym_option_kind kind;
    bool settable;
};

struct pym_options pym_options = {
#define INITIAL(name, kind, initial, least, most, settable, meaning) .name = (initial),
    PYM_OPTION_LIST(INITIAL)
#undef INITIAL
};

static const struct option options[] = {
#define ROW(name, kind, initial, least, most, settable, meaning)                       \
    {#name, meaning, &pym_options.name, initial, least, most, kind, settable},
    PYM_OPTION_LIST(ROW)
#undef ROW
};

/* Of objects that CPython's garbage collector watches. */
enum { CPYTHON_HEADER = 16 };

enum {
    OPTIONS = sizeof(options) / sizeof(options[0]),
    ITEM_MAX = PYM_OPTION_TEXT_MOST + 65
};

/* A row for every option, of which only those that are texts are ever touched. */
static char texts[OPTIONS][PYM_OPTION_TEXT_MOST + 1] PYM_RARE_TABLE;

#define HOW_TO_LEARN_MORE "PYMALLOC=help lists the options"

static const struct option *find(const char *name, size_t length)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        if (strlen(options[i].name) == length &&
            memcmp(options[i].name, name, length) == 0) {
            return &options[i];
        }
    }
    return NULL;
}

/* The power of two that a size's suffix stands for; -1 if it is none. */
static int suffix_shift(const char *suffix)
{
    if (suffix[0] == '\0') {
        return 0;
    }
    if (suffix[1] != '\0') {
        return -1;
    }
    switch (suffix[0]) {
    case 'k':
    case 'K':
        return 10;
    case 'm':
    case 'M':
        return 20;
    case 'g':
    case 'G':
        return 30;
    default:
        return -1;
    }
}

/* Decimal digits and, for sizes, a suffix. */
static bool read_number(const struct option *option, const char *text, size_t *value)
{
    size_t number = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++) {
        if (__builtin_mul_overflow(number, (size_t)10, &number) ||
            __builtin_add_overflow(number, (size_t)(*at - '0'), &number)) {
            return false;
        }
    }
    int shift = option->kind == PYM_OPTION_BYTES ? suffix_shift(at)
                : *at == '\0'                    ? 0
                                                 : -1;
    if (at == text || shift < 0 || number > (SIZE_MAX >> shift)) {
        return false;
    }
    *value = number << shift;
    return true;
}

static bool read_report(const struct option *option, const char *text, size_t *value)
{
    if (strcmp(text, "json") == 0) {
        *value = PYM_REPORT_JSON;
        return true;
    }
    return read_number(option, text, value) && *value < PYM_REPORT_JSON;
}

/* Returns false for what is no value of the option's, or out of its range. */
static bool read_value(const struct option *option, const char *text, size_t *value)
{
    size_t number = strlen(text);
    bool is_one = option->kind == PYM_OPTION_TEXT ? true
                  : option->kind == PYM_OPTION_REPORT
                      ? read_report(option, text, &number)
                      : read_number(option, text, &number);
    if (!is_one || number < option->least || number > option->most) {
        return false;
    }
    *value = number;
    return true;
}

static size_t load(const struct option *option)
{
    return atomic_load_explicit(option->value, memory_order_relaxed);
}

/* What read_value has read. */
static void store(const struct option *option, const char *text, size_t value)
{
    if (option->kind == PYM_OPTION_TEXT) {
        memcpy(texts[option - options], text, value + 1);
    }
    atomic_store_explicit(option->value, value, memory_order_relaxed);
}

const char *pym_options_text(const _Atomic size_t *value)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        if (options[i].value == value && load(&options[i]) != 0) {
            return texts[i];
        }
    }
    return NULL;
}

/* A value as it can be read, of at most PYM_OPTION_TEXT_MOST characters. */
static size_t write_value(const struct option *option, size_t value, char *text,
                          size_t size)
{
    if (option->kind == PYM_OPTION_TEXT) {
        return pym_print_text(text, size, "%s",
                              value != 0 ? texts[option - options] : "");
    }
    if (option->kind == PYM_OPTION_REPORT && value == PYM_REPORT_JSON) {
        return pym_print_text(text, size, "json");
    }
    return pym_print_text(text, size, "%zu", value);
}

/* One item of the environment's list; a flag may stand without a value. */
static void parse_item(char *item)
{
    char *colon = strchr(item, ':');
    size_t length = colon != NULL ? (size_t)(colon - item) : strlen(item);
    const struct option *option = find(item, length);
    bool may_stand_alone = option != NULL && (option->kind == PYM_OPTION_FLAG ||
                                              option->kind == PYM_OPTION_REPORT);
    size_t value = 1;
    if (option == NULL) {
        pym_check_warn("unknown option (" HOW_TO_LEARN_MORE ")", item);
    } else if (colon != NULL ? !read_value(option, colon + 1, &value)
                             : !may_stand_alone) {
        pym_check_warn("bad value, the default stays (" HOW_TO_LEARN_MORE ")", item);
    } else {
        store(option, colon != NULL ? colon + 1 : "", value);
    }
}

void pym_options_parse(const char *text)
{
    char item[ITEM_MAX];
    while (*text != '\0') {
        size_t length = strcspn(text, ",");
        size_t kept = length < ITEM_MAX ? length : ITEM_MAX - 1;
        memcpy(item, text, kept);
        item[kept] = '\0';
        if (length != 0) {
            parse_item(item);
        }
        text += length + (text[length] == ',');
    }
}

/* What every process reads of all texts here, which lie far behind (order.lds): no
 * strings on their own, which would lie with them. */
static const struct {
    char ours[sizeof("PYMALLOC")];
    char pythons[sizeof("PYTHONMALLOC")];
} variables = {"PYMALLOC", "PYTHONMALLOC"};

void pym_options_init(void)
{
    static _Atomic bool done;
    /* The loader may allocate before libc knows its environment. */
    if (environ == NULL ||
        atomic_exchange_explicit(&done, true, memory_order_relaxed)) {
        return;
    }
    const char *python = secure_getenv(variables.pythons);
    if (python != NULL && strcmp(python, "malloc") == 0) {
        atomic_store_explicit(&pym_options.header, CPYTHON_HEADER,
                              memory_order_relaxed);
    }
    const char *text = secure_getenv(variables.ours);
    if (text != NULL) {
        pym_options_parse(text);
    }
    if (PYM_OPTION(help) != 0) {
        pym_options_list(STDERR_FILENO);
    }
}

PYM_RARE_CODE int pym_options_get(const char *name, char *value, size_t size)
{
    const struct option *option = find(name, strlen(name));
    if (option == NULL) {
        return ENOENT;
    }
    char text[PYM_OPTION_TEXT_MOST + 1];
    size_t length = write_value(option, load(option), text, sizeof(text));
    if (length >= size) {
        return ERANGE;
    }
    memcpy(value, text, length + 1);
    return 0;
}

PYM_RARE_CODE int pym_options_set(const char *name, const char *value)
{
    const struct option *option = find(name, strlen(name));
    size_t number;
    if (option == NULL) {
        return ENOENT;
    }
    if (!read_value(option, value, &number)) {
        return EINVAL;
    }
    if (!option->settable) {
        return EPERM;
    }
    store(option, value, number);
    return 0;
}

static void list_option(int fd, const struct option *option)
{
    char now[PYM_OPTION_TEXT_MOST + 1];
    (void)write_value(option, load(option), now, sizeof(now));
    const char *when = option->settable ? "" : ", only at the start";
    if (option->kind == PYM_OPTION_TEXT) {
        pym_print(fd, "  %s:%s  %s (default none, at most %zu bytes%s)\n", option->name,
                  now, option->meaning, option->most, when);
        return;
    }
    char most[16];
    (void)write_value(option, option->most, most, sizeof(most));
    pym_print(fd, "  %s:%s  %s (default %zu, %zu to %s%s)\n", option->name, now,
              option->meaning, option->initial, option->least, most, when);
}

PYM_RARE_CODE void pym_options_list(int fd)
{
    pym_print(fd, "libpymalloc: PYMALLOC=name:value,name:value sets options "
                  "(sizes may end in k, m or g)\n");
    for (size_t i = 0; i < OPTIONS; i++) {
        list_option(fd, &options[i]);
    }
}

PYM_RARE_CODE void pym_options_each(void (*look)(const char *name, const char *value,
                                                 void *arg),
                                    void *arg)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        char value[PYM_OPTION_TEXT_MOST + 1];
        (void)write_value(&options[i], load(&options[i]), value, sizeof(value));
        look(options[i].name, value, arg);
    }
}
