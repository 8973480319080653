#include "profile_text.h"

#include "os.h"
#include "process.h"
#include "profile.h"
#include "samples.h"

#include <elf.h>
#include <link.h>
#include <string.h>
#include <unistd.h>

static uint64_t start_ns;

void pym_profile_text_init(void)
{
    start_ns = pym_os_date_ns();
}

static void write_stack(struct pym_writer *writer, const struct pym_stack *stack)
{
    pym_writer_put(writer, "@", 1);
    for (unsigned i = 0; i < stack->frames; i++) {
        pym_writer_print(writer, " %p", stack->frame[i]);
    }
    pym_writer_put(writer, "\n", 1);
}

static void write_live(struct pym_writer *writer, const struct pym_weight *now,
                       const struct pym_weight *all)
{
    pym_writer_print(writer, "  t*: %lu: %lu [%lu: %lu]\n", now->blocks, now->bytes,
                     all->blocks, all->bytes);
}

static void write_stack_live(void *writer, const struct pym_stack *stack,
                             const struct pym_samples_figures *figures)
{
    write_stack(writer, stack);
    write_live(writer, &figures->live, &figures->all);
}

static void write_stack_peak(void *writer, const struct pym_stack *stack,
                             const struct pym_samples_figures *figures)
{
    if (figures->peak.bytes != 0) {
        write_stack(writer, stack);
        pym_writer_print(writer, "  t*: %lu: %lu\n", figures->peak.blocks,
                         figures->peak.bytes);
    }
}

static void write_maps(struct pym_writer *writer)
{
    char part[1024];
    int fd = pym_os_open("/proc/self/maps");
    for (size_t got; fd >= 0 && (got = pym_os_read(fd, part, sizeof(part))) != 0;) {
        pym_writer_put(writer, part, got);
    }
    pym_process_close(fd);
}

/* ---- what the readers of others skip ---- */

/* The note's bytes; NULL if there is none. */
static const unsigned char *find_build_id(const struct dl_phdr_info *info,
                                          size_t *length)
{
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &info->dlpi_phdr[i];
        if (header->p_type != PT_NOTE) {
            continue;
        }
        const char *at = (const char *)(info->dlpi_addr + header->p_vaddr);
        const char *end = at + header->p_memsz;
        while (at + sizeof(ElfW(Nhdr)) <= end) {
            ElfW(Nhdr) note;
            memcpy(&note, at, sizeof(note));
            const char *name = at + sizeof(note);
            const char *value = name + pym_round_up(note.n_namesz, 4);
            if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof("GNU") &&
                memcmp(name, "GNU", sizeof("GNU")) == 0) {
                *length = note.n_descsz;
                return (const unsigned char *)value;
            }
            at = value + pym_round_up(note.n_descsz, 4);
        }
    }
    return NULL;
}

enum { LONGEST_ID = 32 };

/* An object that is loaded: the one after as many others as are to be skipped. */
struct loaded {
    unsigned skip;
    char path[512]; /* "": the program itself */
    char id[2 * LONGEST_ID + 1];
};

static void copy_build_id(char *text, const struct dl_phdr_info *info)
{
    static const char digit[] = "0123456789abcdef";
    size_t length = 0;
    const unsigned char *id = find_build_id(info, &length);
    length = length <= LONGEST_ID ? length : 0;
    for (size_t i = 0; i < length; i++) {
        text[2 * i] = digit[id[i] >> 4];
        text[2 * i + 1] = digit[id[i] & 15];
    }
    text[2 * length] = '\0';
}

/* Copies only: the loader holds its lock, and a file that is written to may wait for
 * whoever reads it. */
static int copy_loaded(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct loaded *loaded = arg;
    (void)size;
    if (loaded->skip != 0) {
        loaded->skip--;
        return 0;
    }
    const char *name = info->dlpi_name != NULL ? info->dlpi_name : "";
    size_t length = strnlen(name, sizeof(loaded->path) - 1);
    memcpy(loaded->path, name, length);
    loaded->path[length] = '\0';
    copy_build_id(loaded->id, info);
    return 1;
}

static bool find_loaded(struct loaded *loaded, unsigned nth)
{
    loaded->skip = nth;
    return dl_iterate_phdr(copy_loaded, loaded) != 0;
}

static void write_build_ids(struct pym_json *json)
{
    struct loaded loaded;
    char *path = loaded.path;
    for (unsigned nth = 0; find_loaded(&loaded, nth); nth++) {
        if (loaded.id[0] == '\0') {
            continue;
        }
        if (path[0] == '\0') {
            ssize_t got = readlink("/proc/self/exe", path, sizeof(loaded.path) - 1);
            path[got > 0 ? got : 0] = '\0';
        }
        pym_json_open(json, NULL, '[');
        pym_json_text(json, NULL, path);
        pym_json_text(json, NULL, loaded.id);
        pym_json_close(json, ']');
    }
}

static void write_command(struct pym_json *json)
{
    char text[4096];
    size_t length = pym_process_read("/proc/self/cmdline", text, sizeof(text));
    pym_json_open(json, "command", '[');
    for (size_t at = 0; at < length; at += strlen(text + at) + 1) {
        pym_json_text(json, NULL, text + at);
    }
    pym_json_close(json, ']');
}

static void write_about(struct pym_json *json, const char *reason,
                        const struct pym_samples_totals *totals)
{
    char name[64];
    pym_process_name(name, sizeof(name));
    pym_json_open(json, NULL, '{');
    pym_json_number(json, "pymalloc_profile", 1);
    pym_json_text(json, "version", VERSION);
    pym_json_number(json, "pid", (uint64_t)pym_os_process_id());
    pym_json_text(json, "program", name);
    write_command(json);
    pym_json_number(json, "time_ns", pym_os_date_ns());
    pym_json_number(json, "start_ns", start_ns);
    pym_json_number(json, "interval_bytes", pym_profile_interval);
    pym_json_number(json, "samples_live", totals->samples_live);
    pym_json_number(json, "samples_all", totals->samples_all);
    pym_json_number(json, "peak_bytes", totals->peak_bytes);
    pym_json_text(json, "reason", reason);
    pym_json_open(json, "build_ids", '[');
    write_build_ids(json);
    pym_json_close(json, ']');
    pym_json_close(json, '}');
}

/* The weights are in the figures already: so the readers are told a rate of 1, at which
 * there is nothing to scale. */
bool pym_profile_write(int fd, const char *reason)
{
    struct pym_json json;
    struct pym_writer *writer = &json.writer;
    struct pym_samples_totals totals = pym_samples_totals();
    pym_json_begin(&json, fd);
    pym_writer_print(writer, "heap_v2/1\n");
    write_live(writer, &totals.live, &totals.all);
    pym_samples_each_stack(write_stack_live, writer);
    pym_writer_print(writer, "\nMAPPED_LIBRARIES:\n");
    write_maps(writer);
    pym_writer_print(writer, "\nPYMALLOC:\n");
    write_about(&json, reason, &totals);
    pym_writer_print(writer, "\nPEAK:\n");
    pym_samples_each_stack(write_stack_peak, writer);
    return pym_writer_finish(writer);
}

/* ---- the samples of a snapshot ---- */

static void write_sample(struct pym_json *json, const struct pym_sample *sample)
{
    uint64_t blocks = sample->weight.blocks != 0 ? sample->weight.blocks : 1;
    pym_json_open(json, NULL, '{');
    pym_json_address(json, "address", (uintptr_t)sample->block);
    pym_json_number(json, "size", sample->weight.bytes / blocks);
    pym_json_number(json, "weight_bytes", sample->weight.bytes);
    pym_json_number(json, "age_ms", pym_os_now_ms() - sample->since_ms);
    pym_json_open(json, "frames", '[');
    for (unsigned i = 0; i < sample->stack->frames; i++) {
        pym_json_address(json, NULL, (uintptr_t)sample->stack->frame[i]);
    }
    pym_json_close(json, ']');
    pym_json_close(json, '}');
}

void pym_profile_write_samples(struct pym_json *json)
{
    if (pym_profile_interval == 0) {
        return;
    }
    size_t most = pym_samples_totals().samples_live;
    size_t size = (most + 1) * sizeof(struct pym_sample);
    struct pym_sample *copy = pym_os_map(size);
    size_t count = copy != NULL ? pym_samples_copy(copy, most) : 0;
    pym_json_open(json, "samples", '{');
    pym_json_number(json, "interval_bytes", pym_profile_interval);
    pym_json_open(json, "live", '[');
    for (size_t i = 0; i < count; i++) {
        write_sample(json, &copy[i]);
    }
    pym_json_close(json, ']');
    pym_json_close(json, '}');
    if (copy != NULL) {
        pym_os_unmap(copy, size);
    }
}
