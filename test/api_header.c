/* The option "header": where in the cache lines blocks begin. */
#include "support.h"

#include <sys/wait.h>
#include <unistd.h>

enum { BLOCKS = 1000, LINE = 64, HEADER = 16 };

static void *blocks[BLOCKS];

/* The bytes from the start of a cache line to each of many new blocks; -1 if they
 * are not the same for all. */
static int offset_in_line(size_t size)
{
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(size);
        memset(blocks[i], i, size);
    }
    int offset = (int)((uintptr_t)blocks[0] % LINE);
    for (int i = 0; i < BLOCKS; i++) {
        CHECK_EQ(*(unsigned char *)blocks[i], i % 256, "block %d of %zu bytes", i,
                 size);
        if ((int)((uintptr_t)blocks[i] % LINE) != offset) {
            offset = -1;
        }
        free(blocks[i]);
    }
    return offset;
}

static void without_it_blocks_begin_with_lines(void)
{
    CHECK_EQ(pymalloc_option_set("header", "0"), 0, "the option");
    CHECK_EQ(offset_in_line(64), 0, "64 bytes");
    CHECK_EQ(offset_in_line(448), 0, "448 bytes");
}

/* In pools made from now on, that is, with sizes not used so far. */
static void with_it_headers_end_with_lines(void)
{
    CHECK_EQ(pymalloc_option_set("header", "16"), 0, "the option");
    CHECK_EQ(offset_in_line(128), LINE - HEADER, "128 bytes");
    CHECK_EQ(offset_in_line(256), LINE - HEADER, "256 bytes");
    CHECK_EQ(offset_in_line(310), LINE - HEADER, "310 bytes");
    CHECK_EQ(offset_in_line(96), -1, "sizes that are no whole lines");
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
}

static void alignment_is_kept(void)
{
    CHECK_EQ(pymalloc_option_set("header", "16"), 0, "the option");
    for (size_t alignment = 16; alignment <= 512; alignment *= 2) {
        for (size_t size = 1; size <= 512; size += 31) {
            void *p = aligned_alloc(alignment, size);
            CHECK(p != NULL && (uintptr_t)p % alignment == 0, "%zu bytes at %zu: %p",
                  size, alignment, p);
            memset(p, 1, size);
            free(p);
        }
    }
}

static int count_block(void *block, size_t size, void *arg)
{
    size_t *found = arg;
    (void)size;
    for (int i = 0; i < BLOCKS; i++) {
        *found += blocks[i] == block;
    }
    return 0;
}

static void a_walk_finds_such_blocks(void)
{
    size_t found = 0;
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(128);
    }
    CHECK_EQ(pymalloc_walk(count_block, &found), 0, "the walk");
    CHECK_EQ(found, BLOCKS, "blocks found");
    for (int i = 0; i < BLOCKS; i++) {
        free(blocks[i]);
    }
}

/* The header's bytes in a fresh process with a variable set. */
static void expect_default(const char *setting, const char *wanted)
{
    int ends[2];
    char out[32] = "";
    CHECK_EQ(pipe(ends), 0, "pipe");
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], STDOUT_FILENO);
        putenv((char *)(uintptr_t)setting);
        execl("/proc/self/exe", "self", "--print-header", (char *)NULL);
        _exit(1);
    }
    close(ends[1]);
    CHECK(read(ends[0], out, sizeof out - 1) > 0, "nothing came");
    close(ends[0]);
    waitpid(child, NULL, 0);
    CHECK_STR(out, wanted, "with %s", setting);
}

static void cpython_gets_it(void)
{
    expect_default("PYTHONMALLOC=malloc", "16");
    expect_default("PYTHONMALLOC=malloc_debug", "0");
    expect_default("PYTHONMALLOC=pymalloc", "0");
    expect_default("NOTHING=malloc", "0");
}

static const struct tap_case cases[] = {
    {"without it, blocks begin with lines", without_it_blocks_begin_with_lines},
    {"with it, headers end with lines", with_it_headers_end_with_lines},
    {"alignment is kept", alignment_is_kept},
    {"a walk finds such blocks", a_walk_finds_such_blocks},
    {"CPython gets it", cpython_gets_it},
};

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--print-header") == 0) {
        char value[32];
        return pymalloc_option_get("header", value, sizeof value) != 0 ||
               printf("%s", value) < 0;
    }
    return TAP_RUN(cases, argc, argv);
}
