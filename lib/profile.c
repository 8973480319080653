#include "profile.h"

#include "check.h"
#include "lock.h"
#include "options.h"
#include "os.h"
#include "probe.h"
#include "process.h"
#include "trace.h"

#include <elf.h>
#include <link.h>
#include <string.h>
#include <unistd.h>

enum { FRAMES_MOST = 64, BUCKETS = 1 << 12, SLAB_SIZE = 1 << 18 };

struct tally {
    uint64_t blocks;
    uint64_t bytes;
};

/* A place where samples were allocated.  Lives as long as the process. */
struct stack {
    struct stack *next; /* in its bucket */
    uint64_t hash;
    struct tally live;
    struct tally all;
    struct tally peak; /* what was live in a certain epoch, if that is the last one */
    uint64_t epoch;
    unsigned frames;
    void *frame[];
};

/* A live block. */
struct sample {
    struct sample *next;
    struct sample *prev;
    struct stack *stack;
    struct tally weight;
    uint64_t since_ms;
    const void *block;
};

uint64_t pym_profile_interval;

static struct pym_lock lock = PYM_LOCK_INIT(PYM_RANK_PROFILE);

/* Everything below is guarded by the lock. */
static struct stack *bucket[BUCKETS];
static struct sample *live; /* the latest first */
static struct sample *unused;
static char *slab;
static size_t slab_left;
static struct {
    struct tally live;
    uint64_t peak_bytes;
    uint64_t samples_live;
    uint64_t samples_all;
    /* Counts the moments at which there was more than ever before. */
    uint64_t epoch;
} totals;

static uint64_t start_ns;

/* ---- blocks that are known without a word in front ---- */

/* A bucket is a cache line.  Who frees a block looks for it without the lock: it is
 * his, so it stays where it is. */
enum { KNOWN_BUCKETS = 1 << 14, KNOWN_SLOTS = PYM_CACHE_LINE / sizeof(uintptr_t) };

static _Atomic uintptr_t (*known)[KNOWN_SLOTS]; /* NULL: not needed */

static bool make_known(void)
{
    known = pym_os_map(KNOWN_BUCKETS * sizeof(*known));
    return known != NULL;
}

/* The slot for a block that has a value; NULL if none has. */
static _Atomic uintptr_t *find_known(const void *block, uintptr_t value)
{
    uint64_t hash = (uintptr_t)block * UINT64_C(0x9e3779b97f4a7c15);
    _Atomic uintptr_t *slot = known[hash >> 40 & (KNOWN_BUCKETS - 1)];
    for (size_t i = 0; i < KNOWN_SLOTS; i++) {
        if (atomic_load_explicit(&slot[i], memory_order_relaxed) == value) {
            return &slot[i];
        }
    }
    return NULL;
}

bool pym_profile_knows(const void *block)
{
    return find_known(block, (uintptr_t)block) != NULL;
}

static bool change_known(const void *block, uintptr_t from, uintptr_t to)
{
    if (known == NULL) {
        return true;
    }
    pym_lock(&lock);
    _Atomic uintptr_t *slot = find_known(block, from);
    if (slot != NULL) {
        atomic_store_explicit(slot, to, memory_order_relaxed);
    }
    pym_unlock(&lock);
    return slot != NULL;
}

static bool learn(const void *block)
{
    return change_known(block, 0, (uintptr_t)block);
}

static void forget(const void *block)
{
    (void)change_known(block, (uintptr_t)block, 0);
}

void pym_profile_init(void)
{
    if (!pym_sysalloc.has_word && !make_known()) {
        pym_check_warn("no heap profile", "there is no memory for it");
        return;
    }
    pym_trace_init();
    start_ns = pym_os_date_ns();
    pym_profile_interval = PYM_OPTION(profile);
}

/* ---- memory ---- */

static void *cut_off(size_t size)
{
    size = pym_round_up(size, PYM_GRAIN);
    if (slab_left < size) {
        slab = pym_os_map(SLAB_SIZE);
        slab_left = slab != NULL ? SLAB_SIZE : 0;
        if (slab == NULL) {
            return NULL;
        }
    }
    void *cut = slab;
    slab += size;
    slab_left -= size;
    return cut;
}

static struct sample *make_sample(void)
{
    struct sample *sample = unused;
    if (sample == NULL) {
        return cut_off(sizeof(struct sample));
    }
    unused = sample->next;
    return sample;
}

/* ---- stacks ---- */

static uint64_t hash_of(const struct pym_frame *frame, unsigned frames)
{
    uint64_t hash = frames;
    for (unsigned i = 0; i < frames; i++) {
        hash = (hash ^ (uintptr_t)frame[i].address) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    return hash;
}

static bool is_stack(const struct stack *stack, uint64_t hash,
                     const struct pym_frame *frame, unsigned frames)
{
    bool same = stack->hash == hash && stack->frames == frames;
    for (unsigned i = 0; same && i < frames; i++) {
        same = stack->frame[i] == frame[i].address;
    }
    return same;
}

static struct stack *make_stack(uint64_t hash, const struct pym_frame *frame,
                                unsigned frames)
{
    struct stack *stack = cut_off(sizeof(*stack) + frames * sizeof(stack->frame[0]));
    if (stack != NULL) {
        *stack = (struct stack){
            .next = bucket[hash % BUCKETS], .hash = hash, .frames = frames};
        for (unsigned i = 0; i < frames; i++) {
            stack->frame[i] = frame[i].address;
        }
        bucket[hash % BUCKETS] = stack;
    }
    return stack;
}

static struct stack *find_stack(const struct pym_frame *frame, unsigned frames)
{
    uint64_t hash = hash_of(frame, frames);
    struct stack *stack = bucket[hash % BUCKETS];
    while (stack != NULL && !is_stack(stack, hash, frame, frames)) {
        stack = stack->next;
    }
    return stack != NULL ? stack : make_stack(hash, frame, frames);
}

/*
 * Walking a stack takes microseconds, and the same few come again and again.  So it is
 * remembered for a place on the stack where the return addresses of its frames were; if
 * they are all still there, it is the same stack.  Each of them, from the inside out,
 * shows that the frame of its caller lies above it, with the next one in its place: so
 * nothing is read that is not there.
 */
enum { REMEMBERED = 256 };

static struct memory {
    const void *place;
    struct stack *stack;
    void **slot[FRAMES_MOST];
} remembered[REMEMBERED];

static struct memory *memory_of(const void *place)
{
    uint64_t hash = (uintptr_t)place * UINT64_C(0x9e3779b97f4a7c15);
    return &remembered[hash >> 56];
}

static struct stack *recall(const void *place)
{
    const struct memory *memory = memory_of(place);
    struct stack *stack = memory->place == place ? memory->stack : NULL;
    for (unsigned i = 0; stack != NULL && i < stack->frames; i++) {
        if (*memory->slot[i] != stack->frame[i]) {
            return NULL;
        }
    }
    return stack;
}

static void remember(const void *place, struct stack *stack,
                     const struct pym_frame *frame)
{
    struct memory *memory = memory_of(place);
    memory->place = NULL;
    for (unsigned i = 0; i < stack->frames; i++) {
        memory->slot[i] = frame[i].slot;
        if (frame[i].slot == NULL) {
            return;
        }
    }
    memory->stack = stack;
    memory->place = place;
}

/* ---- counting ---- */

/* What a stack had at the last peak: what it has, unless it has changed since. */
static struct tally peak_of(const struct stack *stack)
{
    return stack->epoch == totals.epoch ? stack->peak : stack->live;
}

static void add(struct tally *tally, const struct tally *more)
{
    tally->blocks += more->blocks;
    tally->bytes += more->bytes;
}

static void subtract(struct tally *tally, const struct tally *less)
{
    tally->blocks -= less->blocks;
    tally->bytes -= less->bytes;
}

/* Before its live figures change. */
static void keep_peak(struct stack *stack)
{
    stack->peak = peak_of(stack);
    stack->epoch = totals.epoch;
}

static void count_in(struct sample *sample)
{
    struct stack *stack = sample->stack;
    keep_peak(stack);
    add(&stack->live, &sample->weight);
    add(&stack->all, &sample->weight);
    add(&totals.live, &sample->weight);
    totals.samples_live++;
    totals.samples_all++;
    if (totals.live.bytes > totals.peak_bytes) {
        totals.peak_bytes = totals.live.bytes;
        totals.epoch++;
    }
    sample->prev = NULL;
    sample->next = live;
    if (live != NULL) {
        live->prev = sample;
    }
    live = sample;
}

static void count_out(struct sample *sample)
{
    keep_peak(sample->stack);
    subtract(&sample->stack->live, &sample->weight);
    subtract(&totals.live, &sample->weight);
    totals.samples_live--;
    if (sample->prev != NULL) {
        sample->prev->next = sample->next;
    } else {
        live = sample->next;
    }
    if (sample->next != NULL) {
        sample->next->prev = sample->prev;
    }
    sample->next = unused;
    unused = sample;
}

/* The stack that the caller, whose frame is at a place, is called from.  With the lock,
 * which is given away for the walk. */
static struct stack *current_stack(const void *place)
{
    struct stack *stack = recall(place);
    if (stack != NULL) {
        return stack;
    }
    struct pym_frame frame[FRAMES_MOST];
    pym_unlock(&lock);
    unsigned frames = (unsigned)pym_trace_walk(frame, FRAMES_MOST);
    pym_lock(&lock);
    stack = find_stack(frame, frames);
    if (stack != NULL && frames != 0) {
        remember(place, stack, frame);
    }
    return stack;
}

/* NULL if there is no memory: then the block is in no profile. */
static PYM_NOINLINE struct sample *begin_sample(const void *block,
                                                const struct pym_weight *weight)
{
    pym_lock(&lock);
    struct stack *stack = current_stack(__builtin_frame_address(0));
    struct sample *sample = stack != NULL ? make_sample() : NULL;
    if (sample != NULL) {
        sample->stack = stack;
        sample->weight = (struct tally){weight->blocks, weight->bytes};
        sample->since_ms = pym_os_now_ms();
        sample->block = block;
        count_in(sample);
    }
    pym_unlock(&lock);
    return sample;
}

/* ---- blocks ---- */

static size_t distance_for(size_t alignment)
{
    return pym_round_up(sizeof(struct pym_profile_header), alignment);
}

size_t pym_profile_room(size_t size, size_t alignment)
{
    size_t room;
    return __builtin_add_overflow(size, distance_for(alignment), &room) ||
                   room > PTRDIFF_MAX
               ? 0
               : room;
}

void *pym_profile_adopt(void *base, size_t size, size_t alignment,
                        const struct pym_weight *weight)
{
    size_t distance = distance_for(alignment);
    char *block = (char *)base + distance;
    if (!learn(block)) {
        return NULL;
    }
    *pym_profile_header_of(block) = (struct pym_profile_header){
        .sample = weight != NULL ? begin_sample(block, weight) : NULL,
        .magic = PYM_PROFILE_MAGIC,
        .distance = (uint32_t)distance,
        .size = size,
    };
    if (weight != NULL) {
        PYM_PROBE3(otel_memory, alloc, block, size, weight->bytes);
    }
    return block;
}

/* The header may lie elsewhere by now. */
static void end_sample(const struct pym_profile_header *header, const void *block)
{
    struct sample *sample = header->sample;
    if (sample != NULL) {
        pym_lock(&lock);
        PYM_PROBE1(otel_memory, free, block);
        if (sample->block == block) { /* else it was forgotten in a fork */
            count_out(sample);
            sample->block = NULL;
        }
        pym_unlock(&lock);
    }
}

void *pym_profile_release(void *block)
{
    struct pym_profile_header *header = pym_profile_header_of(block);
    end_sample(header, block);
    forget(block);
    header->magic = 0; /* a second free is the system allocator's to find */
    return pym_profile_base(block);
}

void *pym_profile_readopt(void *base, const void *old_block, size_t size,
                          const struct pym_weight *weight)
{
    end_sample(base, old_block);
    forget(old_block);
    return pym_profile_adopt(base, size, PYM_GRAIN, weight);
}

void pym_profile_after_fork(void)
{
    if (pym_lock_reset(&lock)) { /* as the parent's thread was changing it */
        memset(bucket, 0, sizeof(bucket));
        memset(remembered, 0, sizeof(remembered));
        memset(&totals, 0, sizeof(totals));
        live = unused = NULL;
        slab_left = 0;
    }
}

/* ---- the profile's text ---- */

static void write_stack(struct pym_writer *writer, const struct stack *stack)
{
    pym_writer_put(writer, "@", 1);
    for (unsigned i = 0; i < stack->frames; i++) {
        pym_writer_print(writer, " %p", stack->frame[i]);
    }
    pym_writer_put(writer, "\n", 1);
}

static void write_live(struct pym_writer *writer, struct tally now, struct tally all)
{
    pym_writer_print(writer, "  t*: %lu: %lu [%lu: %lu]\n", now.blocks, now.bytes,
                     all.blocks, all.bytes);
}

/* Stacks do not go away and their frames do not change, so that the lock is needed only
 * to read figures that belong together. */
static struct stack *first_stack(size_t i)
{
    pym_lock(&lock);
    struct stack *stack = bucket[i];
    pym_unlock(&lock);
    return stack;
}

static struct stack figures_of(const struct stack *stack)
{
    pym_lock(&lock);
    struct stack copy = *stack;
    copy.peak = peak_of(stack);
    pym_unlock(&lock);
    return copy;
}

static void write_totals(struct pym_writer *writer)
{
    struct tally now = {0, 0};
    struct tally all = {0, 0};
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct stack *stack = first_stack(i); stack != NULL; stack = stack->next) {
            struct stack figures = figures_of(stack);
            add(&now, &figures.live);
            add(&all, &figures.all);
        }
    }
    write_live(writer, now, all);
}

static void write_stacks(struct pym_writer *writer)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct stack *stack = first_stack(i); stack != NULL; stack = stack->next) {
            struct stack figures = figures_of(stack);
            write_stack(writer, stack);
            write_live(writer, figures.live, figures.all);
        }
    }
}

static void write_peak(struct pym_writer *writer)
{
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct stack *stack = first_stack(i); stack != NULL; stack = stack->next) {
            struct tally peak = figures_of(stack).peak;
            if (peak.bytes != 0) {
                write_stack(writer, stack);
                pym_writer_print(writer, "  t*: %lu: %lu\n", peak.blocks, peak.bytes);
            }
        }
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

static int write_build_id(struct dl_phdr_info *info, size_t size, void *arg)
{
    static const char digit[] = "0123456789abcdef";
    enum { LONGEST = 32 };
    char text[2 * LONGEST + 1];
    char program[512];
    const char *name = info->dlpi_name;
    size_t length;
    const unsigned char *id = find_build_id(info, &length);
    (void)size;
    if (id == NULL || length > LONGEST) {
        return 0;
    }
    for (size_t i = 0; i < length; i++) {
        text[2 * i] = digit[id[i] >> 4];
        text[2 * i + 1] = digit[id[i] & 15];
    }
    text[2 * length] = '\0';
    if (name == NULL || name[0] == '\0') { /* the program itself */
        ssize_t got = readlink("/proc/self/exe", program, sizeof(program) - 1);
        program[got > 0 ? got : 0] = '\0';
        name = program;
    }
    pym_json_open(arg, NULL, '[');
    pym_json_text(arg, NULL, name);
    pym_json_text(arg, NULL, text);
    pym_json_close(arg, ']');
    return 0;
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

static void write_about(struct pym_json *json, const char *reason)
{
    char name[64];
    pym_process_name(name, sizeof(name));
    pym_lock(&lock);
    uint64_t samples_live = totals.samples_live;
    uint64_t samples_all = totals.samples_all;
    uint64_t peak_bytes = totals.peak_bytes;
    pym_unlock(&lock);
    pym_json_open(json, NULL, '{');
    pym_json_number(json, "pymalloc_profile", 1);
    pym_json_text(json, "version", VERSION);
    pym_json_number(json, "pid", (uint64_t)pym_os_process_id());
    pym_json_text(json, "program", name);
    write_command(json);
    pym_json_number(json, "time_ns", pym_os_date_ns());
    pym_json_number(json, "start_ns", start_ns);
    pym_json_number(json, "interval_bytes", pym_profile_interval);
    pym_json_number(json, "samples_live", samples_live);
    pym_json_number(json, "samples_all", samples_all);
    pym_json_number(json, "peak_bytes", peak_bytes);
    pym_json_text(json, "reason", reason);
    pym_json_open(json, "build_ids", '[');
    (void)dl_iterate_phdr(write_build_id, json);
    pym_json_close(json, ']');
    pym_json_close(json, '}');
}

/* The weights are in the figures already: so the readers are told a rate of 1, at which
 * there is nothing to scale. */
bool pym_profile_write(int fd, const char *reason)
{
    struct pym_json json;
    struct pym_writer *writer = &json.writer;
    pym_json_begin(&json, fd);
    pym_writer_print(writer, "heap_v2/1\n");
    write_totals(writer);
    write_stacks(writer);
    pym_writer_print(writer, "\nMAPPED_LIBRARIES:\n");
    write_maps(writer);
    pym_writer_print(writer, "\nPYMALLOC:\n");
    write_about(&json, reason);
    pym_writer_print(writer, "\nPEAK:\n");
    write_peak(writer);
    return pym_writer_finish(writer);
}

/* ---- the samples of a snapshot ---- */

/* Copies the live samples, at most so many. */
static size_t copy_live(struct sample *copy, size_t most)
{
    size_t count = 0;
    pym_lock(&lock);
    for (const struct sample *sample = live; sample != NULL && count < most;
         sample = sample->next) {
        copy[count++] = *sample;
    }
    pym_unlock(&lock);
    return count;
}

static size_t count_live(void)
{
    pym_lock(&lock);
    size_t count = totals.samples_live;
    pym_unlock(&lock);
    return count;
}

static void write_sample(struct pym_json *json, const struct sample *sample)
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
    size_t most = count_live();
    size_t size = (most + 1) * sizeof(struct sample);
    struct sample *copy = pym_os_map(size);
    size_t count = copy != NULL ? copy_live(copy, most) : 0;
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
