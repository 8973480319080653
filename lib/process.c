#include "process.h"

#include "check.h"
#include "os.h"
#include "print.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { STATUS_MOST = 4096, FILE_NAME_MOST = 512 };

size_t pym_process_read(const char *file, char *text, size_t size)
{
    int fd = pym_os_open(file);
    size_t length = 0;
    while (fd >= 0 && length + 1 < size) {
        size_t got = pym_os_read(fd, text + length, size - 1 - length);
        if (got == 0) {
            break;
        }
        length += got;
    }
    text[length] = '\0';
    pym_process_close(fd);
    return length;
}

/* The number behind a name at the start of a line; 0 if there is none. */
static uint64_t number_of(const char *text, const char *name)
{
    size_t length = strlen(name);
    const char *line = text;
    while (line != NULL && strncmp(line, name, length) != 0) {
        line = strchr(line, '\n');
        line += line != NULL;
    }
    if (line == NULL) {
        return 0;
    }
    line += length;
    line += strspn(line, " \t");
    uint64_t number = 0;
    for (; *line >= '0' && *line <= '9'; line++) {
        number = number * 10 + (uint64_t)(*line - '0');
    }
    return number;
}

static uint64_t bytes_of(const char *text, const char *name)
{
    return number_of(text, name) << 10;
}

void pym_process_get(struct pym_process *out)
{
    char text[STATUS_MOST];
    (void)pym_process_read("/proc/self/status", text, sizeof(text));
    out->resident = bytes_of(text, "VmRSS:");
    out->resident_peak = bytes_of(text, "VmHWM:");
    out->virtual_size = bytes_of(text, "VmSize:");
    out->swapped = bytes_of(text, "VmSwap:");
    out->threads = number_of(text, "Threads:");
    (void)pym_process_read("/proc/self/smaps_rollup", text, sizeof(text));
    out->huge = bytes_of(text, "AnonHugePages:");
}

bool pym_process_is_last_thread(void)
{
    char text[STATUS_MOST];
    (void)pym_process_read("/proc/self/status", text, sizeof(text));
    /* The state is that of the first thread, which counts as long as there are others.
     */
    return strstr(text, "\nState:\tZ") != NULL && number_of(text, "Threads:") == 2;
}

void pym_process_name(char *name, size_t size)
{
    (void)pym_process_read("/proc/self/comm", name, size);
    name[strcspn(name, "\n")] = '\0';
}

/* Writes the text that a directive of a pattern stands for. */
static size_t expand(char directive, unsigned number, char *out, size_t size)
{
    switch (directive) {
    case 'p':
        return pym_print_text(out, size, "%d", pym_os_process_id());
    case 'n':
        return pym_print_text(out, size, "%u", number);
    default:
        return pym_print_text(out, size, "%s", "%");
    }
}

int pym_process_create(const char *pattern, unsigned number)
{
    char name[FILE_NAME_MOST];
    size_t length = 0;
    for (const char *at = pattern; *at != '\0'; at++) {
        bool is_directive = *at == '%' && at[1] != '\0' && strchr("pn%", at[1]) != NULL;
        char as_it_is[2] = {*at, '\0'};
        size_t room = sizeof(name) - length;
        size_t added = is_directive
                           ? expand(*++at, number, name + length, room)
                           : pym_print_text(name + length, room, "%s", as_it_is);
        if (added >= room) {
            pym_check_warn("a file's name is too long", pattern);
            return -1;
        }
        length += added;
    }
    int fd = pym_os_create(name);
    if (fd < 0) {
        pym_check_warn("cannot write to the file", name);
    }
    return fd;
}

void pym_process_close(int fd)
{
    if (fd >= 0) {
        pym_os_close(fd);
    }
}

void pym_process_keep(struct pym_descriptor *descriptor, int fd)
{
    struct stat status;
    descriptor->fd = fd >= 0 && fstat(fd, &status) == 0 ? fd : -1;
    if (descriptor->fd >= 0) {
        descriptor->device = status.st_dev;
        descriptor->inode = status.st_ino;
    }
}

void pym_process_keep_copy(struct pym_descriptor *descriptor, int fd)
{
    enum { LEAST = 100 };
    int saved = errno;
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, LEAST);
    pym_process_keep(descriptor, copy >= 0 ? copy : fd);
    errno = saved;
}

bool pym_process_is_ours(const struct pym_descriptor *descriptor)
{
    struct stat status;
    return descriptor->fd >= 0 && fstat(descriptor->fd, &status) == 0 &&
           status.st_dev == descriptor->device && status.st_ino == descriptor->inode;
}

void pym_process_drop(struct pym_descriptor *descriptor)
{
    if (pym_process_is_ours(descriptor)) {
        pym_os_close(descriptor->fd);
    }
    descriptor->fd = -1;
}
