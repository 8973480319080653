/*
 * The option parser on any text: values that the table allows, exactly one warning for
 * each item that is none, no allocation.  What a text means is worked out a second time
 * here, from the manual's words alone.
 */
#include "options.h"

#include "input.h"
#ifndef PYM_FUZZER
#include "replay.h"
#endif

enum { TEXT_MOST = 4096 };

/* What the library keeps of an item, beyond which it is cut. */
enum { ITEM_KEPT = 319 };

struct expected {
    const char *name;
    _Atomic size_t *value;
    size_t initial, least, most;
    enum pym_option_kind kind;
    bool settable;
    size_t want;
};

static struct expected option[] = {
#define ROW(name, kind, initial, least, most, settable, meaning)                       \
    {#name, &pym_options.name, initial, least, most, kind, settable, initial},
    PYM_OPTION_LIST(ROW)
#undef ROW
};

/* ------------------------------------------- in the place of the library's */

static size_t warnings, allocations;
static bool watching;

void __wrap_pym_check_warn(const char *what, const char *detail);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);

void __wrap_pym_check_warn(const char *what, const char *detail)
{
    CHECK(what[0] != '\0', "a warning without words");
    CHECK(strlen(detail) <= ITEM_KEPT, "a warning of %zu bytes", strlen(detail));
    warnings++;
}

void *__wrap_malloc(size_t size)
{
    allocations += watching;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    allocations += watching;
    return __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size)
{
    allocations += watching;
    return __real_realloc(block, size);
}

/* -------------------------------------------------------- what text means */

static struct expected *find(const char *name, size_t length)
{
    for (size_t i = 0; i < COUNT_OF(option); i++) {
        if (strlen(option[i].name) == length &&
            strncmp(option[i].name, name, length) == 0) {
            return &option[i];
        }
    }
    return NULL;
}

/* A decimal number, of bytes with k, m or g behind it; false if it is none, or out of
 * the option's range. */
static bool understand(const struct expected *o, const char *text, size_t length,
                       size_t *value)
{
    static const char suffixes[] = "kmg";
    if (o->kind == PYM_OPTION_TEXT) {
        *value = length;
        return length <= o->most;
    }
    if (o->kind == PYM_OPTION_REPORT && length == 4 && memcmp(text, "json", 4) == 0) {
        *value = PYM_REPORT_JSON;
        return true;
    }
    size_t digits = 0;
    unsigned __int128 number = 0;
    for (; digits < length && strchr("0123456789", text[digits]) && text[digits];
         digits++) {
        number = number * 10 + (unsigned)(text[digits] - '0');
        if (number > SIZE_MAX) {
            return false; /* however it goes on */
        }
    }
    if (digits == 0 || length > digits + 1) {
        return false;
    }
    if (length == digits + 1) {
        const char *suffix = strchr(suffixes, text[digits] | 0x20);
        if (o->kind != PYM_OPTION_BYTES || suffix == NULL || *suffix == '\0') {
            return false;
        }
        number <<= 10 * (suffix - suffixes + 1);
    }
    *value = (size_t)number;
    return number >= o->least && number <= o->most &&
           !(o->kind == PYM_OPTION_REPORT && number > 1);
}

/* One item; false if it deserves a warning. */
static bool expect_item(const char *item, size_t length)
{
    length = length < ITEM_KEPT ? length : ITEM_KEPT;
    const char *colon = memchr(item, ':', length);
    size_t name = colon != NULL ? (size_t)(colon - item) : length, value = 1;
    struct expected *o = find(item, name);
    if (o == NULL ||
        (colon == NULL && o->kind != PYM_OPTION_FLAG && o->kind != PYM_OPTION_REPORT) ||
        (colon != NULL && !understand(o, colon + 1, length - name - 1, &value))) {
        return false;
    }
    o->want = value;
    return true;
}

static size_t expect_text(const char *text)
{
    size_t bad = 0;
    for (;;) {
        size_t length = strcspn(text, ",");
        bad += length != 0 && !expect_item(text, length);
        if (text[length] == '\0') {
            return bad;
        }
        text += length + 1;
    }
}

/* ---------------------------------------------------------------- the checks */

static void check_values(const char *when)
{
    for (size_t i = 0; i < COUNT_OF(option); i++) {
        const struct expected *o = &option[i];
        size_t got = atomic_load(o->value);
        char text[PYM_OPTION_TEXT_MOST + 1];
        CHECK(got >= o->least && got <= o->most, "%s: %s is %zu, out of range", when,
              o->name, got);
        CHECK(got == o->want, "%s: %s is %zu, not %zu", when, o->name, got, o->want);
        CHECK_EQ(pym_options_get(o->name, text, sizeof text), 0, "%s", o->name);
        if (o->kind == PYM_OPTION_TEXT) {
            CHECK_EQ(strlen(text), got, "the length of %s", o->name);
        } else if (o->kind == PYM_OPTION_REPORT && got == PYM_REPORT_JSON) {
            CHECK_STR(text, "json", "%s", o->name);
        } else {
            CHECK(strtoull(text, NULL, 10) == got, "%s is got as %s", o->name, text);
        }
    }
}

static void parse(const char *text)
{
    warnings = allocations = 0;
    size_t bad = expect_text(text);
    watching = true;
    pym_options_parse(text);
    watching = false;
    CHECK_EQ(warnings, bad, "warnings");
    CHECK_EQ(allocations, 0, "allocations");
    check_values("after parsing");
}

/* The same text at run time: name and value are divided by the first colon. */
static void set(char *text)
{
    char *colon = strchr(text, ':');
    if (colon == NULL) {
        return;
    }
    *colon = '\0';
    struct expected *o = find(text, strlen(text));
    size_t value = 0;
    int want = o == NULL                                              ? ENOENT
               : !understand(o, colon + 1, strlen(colon + 1), &value) ? EINVAL
               : !o->settable                                         ? EPERM
                                                                      : 0;
    if (want == 0) {
        o->want = value;
    }
    warnings = allocations = 0;
    watching = true;
    int got = pym_options_set(text, colon + 1);
    watching = false;
    CHECK_EQ(got, want, "setting");
    CHECK_EQ(warnings + allocations, 0, "warnings and allocations");
    check_values("after setting");
}

static void reset(void)
{
    for (size_t i = 0; i < COUNT_OF(option); i++) {
        option[i].want = option[i].initial;
        atomic_store(option[i].value, option[i].initial);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* Its end is the end of an array, so that reading beyond it is seen. */
    char text[TEXT_MOST];
    size_t length = size < sizeof text - 1 ? size : sizeof text - 1;
    char *start = text + sizeof text - 1 - length;
    memcpy(start, data, length);
    start[length] = '\0';
    reset();
    parse(start);
    set(start);
    reset();
    return input_verdict();
}

#ifndef PYM_FUZZER
int main(int argc, char **argv)
{
    return replay(FUZZ_CORPUS, argc, argv);
}
#endif
