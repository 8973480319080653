/* mallinfo, mallinfo2, malloc_info, malloc_stats, mallopt, malloc_trim: under a
 * preload other allocators' read zero; ours count pools, cache and system. */
#include "support.h"

#include <malloc.h>

enum { SMALL = 20000, CACHED = 60, LARGE = 60, HUGE_COUNT = 4 };

static void *blocks[SMALL];

static void allocate(int count, size_t size)
{
    for (int i = 0; i < count; i++) {
        blocks[i] = malloc(size);
    }
}

static void release(int count)
{
    for (int i = 0; i < count; i++) {
        free(blocks[i]);
    }
}

/* Bytes in use, as everybody who reads mallinfo2 adds them up. */
static size_t in_use(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

/* Whether count blocks of size bytes show while they live, and are gone after
 * that, within a tolerance of a sixteenth for rounding. */
static void shows_in_use(int count, size_t size)
{
    size_t bytes = (size_t)count * size, slack = bytes / 16 + 4096;
    size_t before = in_use();
    allocate(count, size);
    size_t during = in_use();
    release(count);
    size_t after = in_use();
    CHECK(during >= before + bytes, "%d blocks of %zu: %zu, then only %zu bytes in use",
          count, size, before, during);
    CHECK(during <= before + bytes + bytes / 4 + 65536,
          "%d blocks of %zu: %zu, then %zu bytes in use", count, size, before, during);
    CHECK(after <= before + slack, "%d blocks of %zu freed: %zu, then %zu bytes in use",
          count, size, before, after);
}

static void mallinfo2_counts_small_blocks(void)
{
    shows_in_use(SMALL, 112);
    shows_in_use(SMALL, 512);
}

static void mallinfo2_counts_system_blocks(void)
{
    shows_in_use(LARGE, 100000);
    shows_in_use(HUGE_COUNT, 20 << 20);
}

/* Cached blocks are free to the program, whatever the system thinks. */
static void mallinfo2_counts_cached_blocks_as_free(void)
{
    shows_in_use(CACHED, 8000);
    shows_in_use(CACHED * 4, 600);
    allocate(CACHED, 8000);
    struct mallinfo2 before = mallinfo2();
    release(CACHED);
    struct mallinfo2 after = mallinfo2();
    struct pymalloc_totals totals;
    pymalloc_stats(&totals);
    CHECK(totals.large_cached > CACHED / 2, "%zu blocks are cached",
          (size_t)totals.large_cached);
    CHECK(after.fordblks >= before.fordblks + CACHED * 8000,
          "free bytes: %zu before, %zu after caching %d blocks", before.fordblks,
          after.fordblks, CACHED);
}

static void mallinfo2_counts_free_pools(void)
{
    malloc_trim(0);
    size_t before = mallinfo2().fordblks;
    allocate(SMALL, 500);
    release(SMALL);
    size_t after = mallinfo2().fordblks;
    CHECK(after >= before + (size_t)SMALL * 500 / 2,
          "free bytes: %zu before, %zu after 10 MB of small blocks were freed", before,
          after);
}

static void mallinfo2_sums_up(void)
{
    allocate(SMALL, 64);
    struct mallinfo2 m = mallinfo2();
    CHECK(m.arena > 0, "arena is 0");
    CHECK(m.arena + m.hblkhd >= m.uordblks, "arena %zu, mapped %zu, but %zu in use",
          m.arena, m.hblkhd, m.uordblks);
    CHECK(m.arena >= m.uordblks, "arena %zu is less than %zu in use", m.arena,
          m.uordblks);
    release(SMALL);
}

static void mallinfo_is_mallinfo2_cut_down(void)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    struct mallinfo old = mallinfo();
#pragma GCC diagnostic pop
    struct mallinfo2 m = mallinfo2();
    CHECK_EQ(old.uordblks, (int)m.uordblks, "bytes in use");
    CHECK_EQ(old.arena, (int)m.arena, "bytes from the system");
    CHECK_EQ(old.hblks, (int)m.hblks, "mapped blocks");
}

/* What malloc_info writes, in a static buffer. */
static const char *malloc_info_text(void)
{
    static char text[65536];
    FILE *stream = fmemopen(text, sizeof text - 1, "w");
    if (!stream) {
        tap_bail_out("fmemopen: %s", strerror(errno));
    }
    CHECK_EQ(malloc_info(0, stream), 0, "malloc_info");
    fclose(stream);
    return text;
}

/* True if the text is one element with properly nested ones inside. */
static int is_well_formed(const char *text)
{
    const char *open[32];
    int depth = 0, roots = 0;
    for (const char *at = text; (at = strchr(at, '<')) != NULL;) {
        const char *end = strchr(at, '>');
        if (!end) {
            return 0;
        }
        size_t length = strcspn(at + 1, " />\n");
        if (at[1] == '/') {
            length = strcspn(at + 2, ">");
            if (depth == 0 || strncmp(open[--depth], at + 2, length) != 0 ||
                strcspn(open[depth], " />\n") != length) {
                return 0;
            }
        } else if (end[-1] != '/' && at[1] != '?' && at[1] != '!') {
            if (depth == 32 || length == 0) {
                return 0;
            }
            roots += depth == 0;
            open[depth++] = at + 1;
        }
        at = end;
    }
    return depth == 0 && roots == 1;
}

static void malloc_info_is_xml(void)
{
    const char *text = malloc_info_text();
    CHECK(strncmp(text, "<malloc", 7) == 0, "begins with \"%.20s\"", text);
    CHECK(is_well_formed(text), "not well-formed: %.700s", text);
}

static void malloc_info_counts(void)
{
    char before[65536];
    strcpy(before, malloc_info_text());
    allocate(SMALL, 112);
    CHECK(strcmp(before, malloc_info_text()) != 0, "2 MB of small blocks do not show");
    release(SMALL);
    malloc_trim(0);
    strcpy(before, malloc_info_text());
    allocate(LARGE, 100000);
    CHECK(strcmp(before, malloc_info_text()) != 0, "6 MB of large blocks do not show");
    release(LARGE);
    allocate(CACHED, 8000);
    strcpy(before, malloc_info_text());
    release(CACHED);
    CHECK(strcmp(before, malloc_info_text()) != 0,
          "480 KB of cached blocks do not show");
}

static void malloc_info_refuses_other_options(void)
{
    CHECK_EQ(malloc_info(1, stderr), EINVAL, "malloc_info(1, stream)");
}

static void malloc_stats_reports(void)
{
    char text[8192];
    int saved = dup(2), fd = memfd_create("stderr", MFD_CLOEXEC);
    dup2(fd, 2);
    malloc_stats();
    fflush(stderr);
    dup2(saved, 2);
    close(saved);
    read_back(fd, text, sizeof text);
    CHECK(strlen(text) > 40, "malloc_stats wrote \"%s\"", text);
    CHECK(strchr(text, '\n') != NULL, "malloc_stats wrote no line");
}

/* What was freed once is not mapped anew each time, whatever the kernel's page leaves
 * between the request and the mapping.  Each is larger than what the one before left at
 * the top of the heap. */
static void freed_blocks_are_not_mapped_again(void)
{
    for (size_t i = 1; i <= 16; i++) {
        size_t size = (i << 20) - i % 8 * 8;
        free(opaque(malloc(size)));
        size_t before = mallinfo2().hblks;
        void *p = malloc(size);
        CHECK_EQ(mallinfo2().hblks, before, "mappings with a block of %zu", size);
        free(p);
    }
}

/* A parameter meant for the system allocator has to reach it. */
static void mallopt_reaches_the_system(void)
{
    /* Free memory would serve before a new mapping: so much is not left after this. */
    enum { MUCH = 3 << 20 };
    malloc_trim(0);
    CHECK_EQ(mallopt(M_MMAP_THRESHOLD, 256 * 1024), 1, "M_MMAP_THRESHOLD");
    size_t before = mallinfo2().hblks;
    void *p = malloc(MUCH);
    CHECK_EQ(mallinfo2().hblks, before + 1, "a block over the threshold");
    free(p);
    CHECK_EQ(mallopt(M_MMAP_THRESHOLD, 4 << 20), 1, "M_MMAP_THRESHOLD");
    before = mallinfo2().hblks;
    p = malloc(MUCH);
    CHECK_EQ(mallinfo2().hblks, before, "a block under the threshold");
    free(p);
}

static void malloc_trim_tells_if_it_gave_back(void)
{
    allocate(SMALL, 500);
    memset(blocks[0], 1, 500);
    release(SMALL);
    CHECK_EQ(malloc_trim(0), 1, "after 10 MB were freed");
}

static void the_calls_leave_errno(void)
{
    errno = 77;
    (void)mallinfo2();
    malloc_trim(0);
    CHECK_EQ(errno, 77, "mallinfo2, malloc_trim");
}

static const struct tap_case cases[] = {
    /* First: no larger block may have been freed. */
    {"blocks that were freed are not mapped again", freed_blocks_are_not_mapped_again},
    {"mallinfo2 counts small blocks", mallinfo2_counts_small_blocks},
    {"mallinfo2 counts system blocks", mallinfo2_counts_system_blocks},
    {"mallinfo2 counts cached blocks as free", mallinfo2_counts_cached_blocks_as_free},
    {"mallinfo2 counts free pools as free", mallinfo2_counts_free_pools},
    {"mallinfo2's sums are consistent", mallinfo2_sums_up},
    {"mallinfo is mallinfo2 cut to int", mallinfo_is_mallinfo2_cut_down},
    {"malloc_info writes well-formed XML", malloc_info_is_xml},
    {"malloc_info counts small, system and cached blocks", malloc_info_counts},
    {"malloc_info refuses other options", malloc_info_refuses_other_options},
    {"malloc_stats writes a report", malloc_stats_reports},
    {"mallopt reaches the system allocator", mallopt_reaches_the_system},
    {"malloc_trim tells whether memory went back", malloc_trim_tells_if_it_gave_back},
    {"the calls leave errno alone", the_calls_leave_errno},
};

int main(int argc, char **argv)
{
    require_pymalloc();
    return TAP_RUN(cases, argc, argv);
}
