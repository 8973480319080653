#include "writer.h"

#include "os.h"
#include "print.h"

#include <string.h>

void pym_writer_begin(struct pym_writer *writer, int fd)
{
    writer->fd = fd;
    writer->has_failed = false;
    writer->length = 0;
}

static void flush(struct pym_writer *writer)
{
    writer->has_failed =
        writer->has_failed || !pym_os_write(writer->fd, writer->text, writer->length);
    writer->length = 0;
}

void pym_writer_put(struct pym_writer *writer, const char *text, size_t length)
{
    while (length > 0) {
        size_t room = sizeof(writer->text) - writer->length;
        size_t part = length < room ? length : room;
        memcpy(writer->text + writer->length, text, part);
        writer->length += part;
        text += part;
        length -= part;
        if (writer->length == sizeof(writer->text)) {
            flush(writer);
        }
    }
}

void pym_writer_print(struct pym_writer *writer, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    (void)pym_print_vtext(line, sizeof(line), format, args);
    va_end(args);
    pym_writer_put(writer, line, strlen(line));
}

bool pym_writer_finish(struct pym_writer *writer)
{
    flush(writer);
    return !writer->has_failed;
}
