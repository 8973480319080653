/* What a core file has of the heap, by the kernel's flags of its mappings: all blocks,
 * and none of the addresses that are only reserved.  Debuggers that make a core file go
 * by these flags, and would write hundreds of gigabytes. */
#include "support.h"

enum { BLOCKS = 20000, SIZE = 100, GUARDED_EACH = 10, RESERVED_LEAST = 1 << 30 };

static char *blocks[BLOCKS];

struct mapping {
    uintptr_t start, end;
    char access[5];
    int is_anonymous;
    int is_dumped;
};

/* Calls look for each of the process's mappings. */
static void each_mapping(void (*look)(const struct mapping *mapping))
{
    static char line[4096];
    struct mapping mapping = {0, 0, "", 0, 0};
    FILE *smaps = fopen("/proc/self/smaps", "re");
    if (!smaps) {
        tap_bail_out("/proc/self/smaps: %s", strerror(errno));
    }
    while (fgets(line, sizeof line, smaps)) {
        unsigned long start, end, inode;
        char access[5];
        if (sscanf(line, "%lx-%lx %4s %*s %*s %lu", &start, &end, access, &inode) ==
            4) {
            mapping.start = start;
            mapping.end = end;
            memcpy(mapping.access, access, sizeof access);
            mapping.is_anonymous = inode == 0;
        } else if (strncmp(line, "VmFlags:", 8) == 0) {
            mapping.is_dumped = strstr(line, " dd ") == NULL;
            look(&mapping);
        }
    }
    fclose(smaps);
}

static uintptr_t reserved; /* bytes that cannot be accessed */

static void check_reserved(const struct mapping *mapping)
{
    if (strcmp(mapping->access, "---p") == 0 && mapping->is_anonymous) {
        reserved += mapping->end - mapping->start;
        CHECK(!mapping->is_dumped, "%lx-%lx is dumped, and only reserved",
              (unsigned long)mapping->start, (unsigned long)mapping->end);
    }
}

static size_t seen; /* blocks that lie in some mapping */

static void check_blocks(const struct mapping *mapping)
{
    for (int i = 0; i < BLOCKS; i++) {
        uintptr_t at = (uintptr_t)blocks[i];
        if (at >= mapping->start && at < mapping->end) {
            seen++;
            CHECK(mapping->is_dumped && strncmp(mapping->access, "rw", 2) == 0,
                  "block %d is in a mapping that is not dumped", i);
        }
    }
}

static void allocate(void)
{
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(SIZE);
        memset(blocks[i], 1, SIZE);
    }
}

static void release(void)
{
    for (int i = 0; i < BLOCKS; i++) {
        free(blocks[i]);
    }
}

static void blocks_are_dumped(void)
{
    allocate();
    each_mapping(check_blocks);
    CHECK_EQ(seen, BLOCKS, "blocks that were found");
    release();
}

static void reserved_is_not_dumped(void)
{
    reserved = 0;
    each_mapping(check_reserved);
    CHECK(reserved > RESERVED_LEAST, "only %lu bytes are reserved",
          (unsigned long)reserved);
}

/* Guarded blocks have been made and freed: their places are as the range again. */
static const struct tap_case cases[] = {
    {"reserved addresses are not dumped", reserved_is_not_dumped},
    {"blocks are dumped", blocks_are_dumped},
    {"reserved addresses are not dumped after use", reserved_is_not_dumped},
};

int main(int argc, char **argv)
{
    if (!getenv("PYMALLOC")) {
        char option[32];
        snprintf(option, sizeof option, "guard:%d", GUARDED_EACH);
        setenv("PYMALLOC", option, 1);
        execv("/proc/self/exe", argv);
        tap_bail_out("exec: %s", strerror(errno));
    }
    require_pymalloc();
    return TAP_RUN(cases, argc, argv);
}
