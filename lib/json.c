#include "json.h"

#include "print.h"

#include <string.h>

void pym_json_begin(struct pym_json *json, int fd)
{
    pym_writer_begin(&json->writer, fd);
    json->follows = false;
}

static void put(struct pym_json *json, const char *text, size_t length)
{
    pym_writer_put(&json->writer, text, length);
}

static void put_word(struct pym_json *json, const char *word)
{
    put(json, word, strlen(word));
}

static void put_key(struct pym_json *json, const char *key)
{
    if (json->follows) {
        put(json, ",", 1);
    }
    json->follows = true;
    if (key != NULL) {
        put(json, "\"", 1);
        put_word(json, key);
        put(json, "\":", 2);
    }
}

void pym_json_open(struct pym_json *json, const char *key, char bracket)
{
    put_key(json, key);
    put(json, &bracket, 1);
    json->follows = false;
}

void pym_json_close(struct pym_json *json, char bracket)
{
    put(json, &bracket, 1);
    json->follows = true;
}

void pym_json_number(struct pym_json *json, const char *key, uint64_t value)
{
    char digits[24];
    put_key(json, key);
    put(json, digits, pym_print_text(digits, sizeof(digits), "%lu", value));
}

void pym_json_address(struct pym_json *json, const char *key, uintptr_t value)
{
    char digits[24];
    put_key(json, key);
    put(json, digits, pym_print_text(digits, sizeof(digits), "\"%p\"", (void *)value));
}

void pym_json_null(struct pym_json *json, const char *key)
{
    put_key(json, key);
    put_word(json, "null");
}

/* None: cut off, longer than need be, half of a pair, or beyond what there is. */
size_t pym_json_character(const char *start)
{
    const unsigned char *text = (const unsigned char *)start;
    enum { TAIL = 0x80, TAIL_MASK = 0xc0 };
    unsigned lead = text[0];
    size_t length = lead < 0x80   ? 1
                    : lead < 0xc2 ? 0
                    : lead < 0xe0 ? 2
                    : lead < 0xf0 ? 3
                    : lead < 0xf5 ? 4
                                  : 0;
    for (size_t i = 1; i < length; i++) {
        if ((text[i] & TAIL_MASK) != TAIL) {
            return 0;
        }
    }
    if ((lead == 0xe0 && text[1] < 0xa0) || (lead == 0xed && text[1] > 0x9f) ||
        (lead == 0xf0 && text[1] < 0x90) || (lead == 0xf4 && text[1] > 0x8f)) {
        return 0;
    }
    return length;
}

static void put_escaped(struct pym_json *json, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    char escape[] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
    put(json, escape, sizeof(escape));
}

void pym_json_text(struct pym_json *json, const char *key, const char *value)
{
    put_key(json, key);
    put(json, "\"", 1);
    while (*value != '\0') {
        unsigned char c = (unsigned char)*value;
        size_t length = pym_json_character(value);
        if (length == 0) {
            put_word(json, "\\ufffd");
            length = 1;
        } else if (c < ' ' || c == '"' || c == '\\') {
            put_escaped(json, c);
        } else {
            put(json, value, length);
        }
        value += length;
    }
    put(json, "\"", 1);
}

bool pym_json_finish(struct pym_json *json)
{
    put(json, "\n", 1);
    return pym_writer_finish(&json->writer);
}
