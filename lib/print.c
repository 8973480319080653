#include "print.h"

#include "os.h"

#include <string.h>

enum { LINE = 512 };

struct text {
    char *out;
    size_t size;
    size_t length;
};

static void put_char(struct text *text, char c)
{
    if (text->length + 1 < text->size) {
        text->out[text->length] = c;
    }
    text->length++;
}

static void put_string(struct text *text, const char *string)
{
    for (; *string != '\0'; string++) {
        put_char(text, *string);
    }
}

static void put_number(struct text *text, uint64_t value, unsigned base)
{
    char digits[24];
    size_t count = 0;
    do {
        digits[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value != 0);
    while (count > 0) {
        put_char(text, digits[--count]);
    }
}

static void put_bytes(struct text *text, uint64_t bytes)
{
    static const char *const unit[] = {" B", " KiB", " MiB", " GiB", " TiB"};
    size_t scale = 0;
    uint64_t tenths = bytes * 10;
    while (tenths >= 10240 && scale + 1 < sizeof(unit) / sizeof(unit[0])) {
        tenths /= 1024;
        scale++;
    }
    put_number(text, tenths / 10, 10);
    if (scale > 0) {
        put_char(text, '.');
        put_number(text, tenths % 10, 10);
    }
    put_string(text, unit[scale]);
}

static void put_int(struct text *text, int value)
{
    if (value < 0) {
        put_char(text, '-');
        put_number(text, (uint64_t)(-(int64_t)value), 10);
    } else {
        put_number(text, (uint64_t)value, 10);
    }
}

/* Formats the directive at *at, which follows a '%', and steps over it. */
static void put_directive(struct text *text, const char **at, va_list *args)
{
    char kind = *(*at)++;
    switch (kind) {
    case 's': {
        const char *string = va_arg(*args, const char *);
        put_string(text, string != NULL ? string : "(null)");
        return;
    }
    case 'd':
        put_int(text, va_arg(*args, int));
        return;
    case 'u':
        put_number(text, va_arg(*args, unsigned), 10);
        return;
    case 'l':
    case 'z':
        (*at)++; /* the 'u' */
        put_number(text, va_arg(*args, unsigned long), 10);
        return;
    case 'h':
        put_bytes(text, va_arg(*args, size_t));
        return;
    case 'p':
        put_string(text, "0x");
        put_number(text, (uintptr_t)va_arg(*args, void *), 16);
        return;
    default:
        put_char(text, kind);
        return;
    }
}

size_t pym_print_vtext(char *out, size_t size, const char *format, va_list args)
{
    struct text text = {out, size, 0};
    va_list rest;
    va_copy(rest, args);
    while (*format != '\0') {
        if (*format == '%' && format[1] != '\0') {
            format++;
            put_directive(&text, &format, &rest);
        } else {
            put_char(&text, *format++);
        }
    }
    va_end(rest);
    if (size > 0) {
        out[text.length < size ? text.length : size - 1] = '\0';
    }
    return text.length;
}

size_t pym_print_text(char *out, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t length = pym_print_vtext(out, size, format, args);
    va_end(args);
    return length;
}

void pym_print(int fd, const char *format, ...)
{
    char line[LINE];
    va_list args;
    va_start(args, format);
    (void)pym_print_vtext(line, sizeof(line), format, args);
    va_end(args);
    pym_os_write(fd, line, strlen(line));
}
