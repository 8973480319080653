/*
 * The table of options as text, for the manual page pymalloc-options(7).
 *
 * This file is compiled, but neither linked nor run: the text is read out of the object
 * file (tools/options-page).  So the compiler has evaluated what the table says, and a
 * build for another processor makes the page like any other.
 */
#include "options.h"

/* An option is a row of lines, each a word and its value; between them lie zeroes. */
#define DIGIT(n, unit) (char)('0' + (size_t)(n) / (unit) % 10)
#define DIGITS_5(n, unit)                                                              \
    DIGIT(n, (unit)*10000), DIGIT(n, (unit)*1000), DIGIT(n, (unit)*100),               \
        DIGIT(n, (unit)*10), DIGIT(n, unit)
#define DIGITS(n)                                                                      \
    {                                                                                  \
        DIGITS_5(n, 1000000000000000u), DIGITS_5(n, 10000000000u),                     \
            DIGITS_5(n, 100000u), DIGITS_5(n, 1u)                                      \
    }

enum { TEXT_MOST = 512 };

struct number {
    char word[12], digits[20];
};

struct row {
    char name[TEXT_MOST], kind[TEXT_MOST];
    struct number initial, least, most, settable;
    char meaning[TEXT_MOST];
};

#define FITS(name, kind, initial, least, most, settable, meaning)                      \
    _Static_assert(sizeof(meaning) + sizeof("\n@meaning ") <= TEXT_MOST,               \
                   "the meaning of " #name " is too long");
PYM_OPTION_LIST(FITS)

#define ROW(name, kind, initial, least, most, settable, meaning)                       \
    {"\n@option " #name,                                                               \
     "\n@kind " #kind,                                                                 \
     {"\n@initial ", DIGITS(initial)},                                                 \
     {"\n@least ", DIGITS(least)},                                                     \
     {"\n@most ", DIGITS(most)},                                                       \
     {"\n@settable ", DIGITS(settable)},                                               \
     "\n@meaning " meaning},

extern const struct {
    struct row rows[sizeof(struct pym_options) / sizeof(size_t)];
    char end[8];
} pym_option_table;

const __typeof__(pym_option_table) pym_option_table = {{PYM_OPTION_LIST(ROW)},
                                                       "\n@end\n"};
