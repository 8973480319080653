/*
 * The process has as many mappings as the system allows (vm.max_map_count), but for a
 * few: then neither mmap nor munmap nor mprotect can be relied upon.  Small and large
 * blocks are had or refused with ENOMEM, in threads that begin then as well; nothing
 * that lives is damaged; and all is well when the mappings are gone.
 *
 * The program runs itself with guarded blocks and on the hardened library, which make
 * more mappings.  PYM_TEST_STEP=2 tries every even number of mappings that are left.
 */
#include "support.h"

#include <pthread.h>
#include <stdbool.h>

enum {
    FREE_MOST = 20, /* mappings that are left, at most */
    THREADS = 3,
    ROOM = 64, /* mappings to start threads with */
    BLOCKS = 3000,
    LIMIT_MOST = 1 << 20,
    SECONDS = 60,
};

/* ---- mappings ---- */

/* Inaccessible pages; where every other one is accessible, each is a mapping. */
static struct {
    char *start;
    size_t page;
    size_t pages;
    size_t made; /* pages made accessible, from the start, each second one */
} hoard;

static bool set_access(size_t n, int protection)
{
    return mprotect(hoard.start + (2 * n + 1) * hoard.page, hoard.page, protection) ==
           0;
}

/* Makes mappings until there can be no more. */
static void exhaust(void)
{
    while (2 * hoard.made + 2 < hoard.pages &&
           set_access(hoard.made, PROT_READ | PROT_WRITE)) {
        hoard.made++;
    }
}

/* Each page that joins its neighbours again is two mappings less. */
static void leave(int count)
{
    for (int i = 0; i < count; i += 2) {
        hoard.made--;
        CHECK(set_access(hoard.made, PROT_NONE), "a page of the hoard: %s",
              strerror(errno));
    }
}

static bool begin_hoard(void)
{
    long limit = proc_kilobytes("/proc/sys/vm/max_map_count", "");
    if (limit <= 0 || limit > LIMIT_MOST) {
        return false;
    }
    hoard.page = (size_t)sysconf(_SC_PAGESIZE);
    hoard.pages = (size_t)limit + 2 * ROOM;
    hoard.start = mmap(NULL, hoard.pages * hoard.page, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return hoard.start != MAP_FAILED;
}

/* ---- work ---- */

struct part {
    uint64_t seed;
    bool must; /* everything is to be had */
    size_t refused;
    struct {
        unsigned char *block;
        size_t size;
    } live[BLOCKS];
};

static struct part parts[THREADS + 1];

static size_t some_size(struct rng *rng)
{
    switch (rng_below(rng, 16)) {
    case 0:
        return 1 + rng_below(rng, 60000);
    case 1:
        return rng_below(rng, 8) ? 600 : 100000 + rng_below(rng, 300000);
    default:
        return 1 + rng_below(rng, SMALL_MAX);
    }
}

static void *judged(struct part *part, void *block, size_t size)
{
    if (block == NULL) {
        part->refused++;
        CHECK_EQ(errno, ENOMEM, "%zu bytes", size);
        CHECK(!part->must, "%zu bytes were refused, with mappings to be had", size);
    }
    return block;
}

static void allocate(struct part *part, struct rng *rng)
{
    for (size_t i = 0; i < BLOCKS; i++) {
        size_t size = some_size(rng);
        errno = 0;
        unsigned char *block = i % 4 ? malloc(size) : calloc(1, size);
        part->live[i].block = judged(part, block, size);
        part->live[i].size = size;
        if (block != NULL) {
            CHECK(i % 4 || all_zero(block, size), "calloc of %zu is not zero", size);
            pattern_fill(block, size, part->seed + i);
        }
    }
}

static void resize(struct part *part, struct rng *rng)
{
    for (size_t i = 0; i < BLOCKS; i += 3) {
        size_t size = some_size(rng);
        size_t kept = part->live[i].size < size ? part->live[i].size : size;
        if (part->live[i].block == NULL) {
            continue;
        }
        errno = 0;
        unsigned char *block = judged(part, realloc(part->live[i].block, size), size);
        if (block != NULL) {
            CHECK(pattern_holds(block, kept, part->seed + i), "realloc from %zu to %zu",
                  part->live[i].size, size);
            pattern_fill(block, size, part->seed + i);
            part->live[i].block = block;
            part->live[i].size = size;
        }
    }
}

static void give_back(struct part *part)
{
    for (size_t i = 0; i < BLOCKS; i++) {
        unsigned char *block = part->live[i].block;
        CHECK(!block || pattern_holds(block, part->live[i].size, part->seed + i),
              "a live block of %zu was damaged", part->live[i].size);
        free(block);
        part->live[i].block = NULL;
    }
}

static pthread_barrier_t scarce;

static void *begins_late(void *arg)
{
    struct part *part = arg;
    struct rng rng = {part->seed};
    pthread_barrier_wait(&scarce);
    allocate(part, &rng);
    resize(part, &rng);
    return NULL;
}

/* What a thread has allocated another one frees. */
static void work(int left)
{
    pthread_t thread[THREADS];
    pthread_barrier_init(&scarce, NULL, THREADS + 1);
    for (int i = 0; i <= THREADS; i++) {
        parts[i].seed = (uint64_t)(i + 1) << 32;
        if (i < THREADS &&
            pthread_create(&thread[i], NULL, begins_late, &parts[i]) != 0) {
            tap_bail_out("no thread");
        }
    }
    if (hoard.made != 0) {
        exhaust();
        leave(left);
    }
    (void)begins_late(&parts[THREADS]);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
    }
    CHECK_EQ(pymalloc_verify(), 0, "faults of the heap");
    for (int i = 0; i <= THREADS; i++) {
        give_back(&parts[i]);
    }
    (void)pymalloc_purge();
    CHECK_EQ(pymalloc_verify(), 0, "faults of the heap, empty");
}

/* In a process of its own. */
static int with_few_left(void *left)
{
    leave(ROOM);
    work(*(int *)left);
    munmap(hoard.start, hoard.pages * hoard.page);
    hoard.made = 0;
    size_t refused = 0;
    for (int i = 0; i <= THREADS; i++) {
        refused += parts[i].refused;
        parts[i].must = true;
    }
    work(0);
    tap_note("%d mappings left: %zu requests of %d were refused", *(int *)left, refused,
             (THREADS + 1) * BLOCKS);
    return tap_failures != 0;
}

enum { NO_LIMIT = 42 };

static int all_in_turn(void)
{
    int step = (int)env_number("PYM_TEST_MAPS", 2);
    if (!begin_hoard()) {
        return NO_LIMIT;
    }
    exhaust();
    if (2 * hoard.made + 2 >= hoard.pages) {
        return NO_LIMIT;
    }
    for (int left = 0; left <= FREE_MOST; left += step) {
        CHECK_EQ(in_child(with_few_left, &left, SECONDS), 0, "%d mappings left", left);
    }
    return tap_failures != 0;
}

/* ---- the libraries ---- */

static void run_on(const char *library, const char *options)
{
    static struct capture seen;
    char self[512], with[64], maps[64], preload[512];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n < 0 ? 0 : n] = '\0';
    snprintf(with, sizeof with, "PYMALLOC=%s", options);
    snprintf(maps, sizeof maps, "PYM_TEST_MAPS=%lu", env_number("PYM_TEST_STEP", 6));
    snprintf(preload, sizeof preload, "LD_PRELOAD=%s", library);
    char *argv[] = {self, NULL};
    char *envp[] = {with, maps, preload, NULL};
    run_program(&seen, argv, envp, 4 * SECONDS);
    if (seen.status == NO_LIMIT) {
        SKIP("the number of mappings has no limit that can be reached");
    }
    CHECK(seen.status == 0 && seen.err[0] == '\0', "status %d\n%s%s", seen.status,
          seen.out, seen.err);
    tap_write(seen.out, strlen(seen.out));
}

static void plain(void)
{
    run_on("", "");
}

static void plain_with_guards(void)
{
    run_on("", "guard:20");
}

static void hardened(void)
{
    run_on(HARDENED_LIBRARY, "");
}

static void hardened_with_guards(void)
{
    run_on(HARDENED_LIBRARY, "guard:20");
}

static const struct tap_case cases[] = {
    {"mappings run out", plain},
    {"with guard:20", plain_with_guards},
    {"on the hardened library", hardened},
    {"on the hardened library with guard:20", hardened_with_guards},
};

int main(int argc, char **argv)
{
    require_pymalloc();
    return getenv("PYM_TEST_MAPS") ? all_in_turn() : TAP_RUN(cases, argc, argv);
}
