/* Memory goes back to the system: soon while the program does anything at all,
 * at once when it asks. */
#include "support.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/resource.h>

enum { BLOCKS = 2300000, SIZE = 100 };

static void **blocks;

static void allocate_some(int count, size_t size)
{
    for (int i = 0; i < count; i++) {
        blocks[i] = malloc(size);
        memset(blocks[i], 1, size);
    }
}

static void allocate(void)
{
    allocate_some(BLOCKS, SIZE);
}

static void release(void)
{
    for (int i = 0; i < BLOCKS; i++) {
        free(blocks[i]);
    }
}

static void fell(const char *how, long before, long peak, long after, int tenths)
{
    long grown = peak - before, left = after - before;
    tap_note("%s: RSS %ld KiB, at the peak %ld, then %ld", how, before, peak, after);
    CHECK(grown > (long)BLOCKS * SIZE / 1024, "only %ld KiB were ever used", grown);
    CHECK(left <= grown - grown * tenths / 10, "%s: %ld of %ld KiB are left", how, left,
          grown);
}

/* The pages that a program does not touch, free does not touch either, whatever it
 * overwrites (hardened.sh). */
static void free_touches_no_pages(void)
{
    enum { LARGE = 1 << 30, MOST = 100 };
    struct rusage before, after;
    char *block = opaque(malloc(LARGE));
    CHECK(block != NULL, "no memory");
    memset(block, 1, 100);
    block[LARGE - 1] = 1;
    getrusage(RUSAGE_SELF, &before);
    free(opaque(block));
    getrusage(RUSAGE_SELF, &after);
    long faults = after.ru_minflt - before.ru_minflt;
    CHECK(faults < MOST, "free met %ld pages without memory", faults);
}

/* ------------------------------------------------------------ light work */

/* What a program that waits for work does every millisecond or so. */
static void one_small_block(void)
{
    free(opaque(malloc(64)));
}

static void several_sizes(void)
{
    for (size_t n = 16; n < 1000; n *= 3) {
        free(opaque(malloc(n)));
    }
}

static void one_large_block(void)
{
    free(opaque(malloc(5000)));
}

static void one_huge_block(void)
{
    free(opaque(malloc(200000)));
}

static void (*const light_work[])(void) = {one_small_block, several_sizes,
                                           one_large_block, one_huge_block};
static const char *const light_name[] = {"one small block", "several sizes",
                                         "one large block", "one huge block"};
enum { LIGHT = COUNT_OF(light_work), LIGHT_MS = 2900 };

static void *work_lightly(void *arg)
{
    void (*work)(void) = light_work[*(size_t *)arg];
    double end = now_seconds() + LIGHT_MS / 1000.0;
    while (now_seconds() < end) {
        work();
        sleep_ms(1);
    }
    return NULL;
}

/* In every second child the work is another thread's. */
static int child_works_lightly(size_t kind, int in_thread)
{
    pthread_t thread;
    long before = rss_kb();
    allocate();
    long peak = rss_kb();
    release();
    if (in_thread) {
        pthread_create(&thread, NULL, work_lightly, &kind);
        pthread_join(thread, NULL);
    } else {
        work_lightly(&kind);
    }
    fell(light_name[kind], before, peak, rss_kb(), 8);
    return tap_failures != 0;
}

static void falls_during_light_work(void)
{
    pid_t pid[LIGHT];
    for (size_t i = 0; i < LIGHT; i++) {
        pid[i] = fork();
        if (pid[i] == 0) {
            _exit(child_works_lightly(i, i % 2 == 1));
        }
    }
    for (size_t i = 0; i < LIGHT; i++) {
        CHECK_EQ(child_wait(pid[i], 60), 0, "%s every millisecond", light_name[i]);
    }
}

/* --------------------------------------------------------------- at once */

static void falls_at_malloc_trim(void)
{
    long before = rss_kb();
    allocate();
    long peak = rss_kb();
    release();
    CHECK_EQ(malloc_trim(0), 1, "malloc_trim");
    fell("after malloc_trim", before, peak, rss_kb(), 9);
}

/* Freed in an order that empties all pools at the same late moment. */
static void falls_after_scattered_frees(void)
{
    long before = rss_kb();
    allocate();
    long peak = rss_kb();
    for (int stride = 0; stride < 150; stride++) {
        for (int i = stride; i < BLOCKS; i += 150) {
            free(blocks[i]);
        }
    }
    malloc_trim(0);
    fell("after scattered frees", before, peak, rss_kb(), 9);
}

/* One block of about each pool stays: of its four pages, three go back, or two. */
static void falls_under_scattered_blocks(void)
{
    enum { STAYS = 150 };
    char value[32];
    if (pymalloc_option_get("quarantine", value, sizeof value) == 0) {
        SKIP("the hardened library looks at freed blocks again");
    }
    if (sysconf(_SC_PAGESIZE) > 4096) {
        SKIP("a page is as large as a pool");
    }
    long before = rss_kb();
    allocate();
    long peak = rss_kb();
    for (int i = 0; i < BLOCKS; i++) {
        if (i % STAYS != 0) {
            free(blocks[i]);
        }
    }
    CHECK_EQ(malloc_trim(0), 1, "malloc_trim");
    fell("under scattered blocks", before, peak, rss_kb(), 6);
    for (int i = 0; i < BLOCKS; i += STAYS) {
        char *block = blocks[i];
        CHECK(block[0] == 1 && block[SIZE - 1] == 1, "block %d", i);
        free(block);
    }
    malloc_trim(0);
}

static void *allocate_in_thread(void *arg)
{
    (void)arg;
    allocate();
    return NULL;
}

static void *release_in_thread(void *arg)
{
    (void)arg;
    release();
    return NULL;
}

static void in_thread(void *(*body)(void *))
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, body, NULL) != 0) {
        tap_bail_out("pthread_create failed");
    }
    pthread_join(thread, NULL);
}

/* The heap of an ended thread is everybody's business. */
static void falls_when_threads_are_gone(void)
{
    long before = rss_kb();
    in_thread(allocate_in_thread);
    long peak = rss_kb();
    in_thread(release_in_thread);
    malloc_trim(0);
    fell("after a thread freed another's blocks", before, peak, rss_kb(), 9);
}

/* ------------------------------------------------- what ended threads had cached */

enum { ENDING = 8, CACHED = 100, CACHED_SIZE = 2000 };

static pthread_barrier_t all_are_there;

static void *fill_cache(void *arg)
{
    void **mine = blocks + (size_t)arg * CACHED;
    for (int i = 0; i < CACHED; i++) {
        mine[i] = malloc(CACHED_SIZE);
    }
    pthread_barrier_wait(&all_are_there);
    for (int i = 0; i < CACHED; i++) {
        free(mine[i]);
    }
    return NULL;
}

static uint64_t cached_blocks(void)
{
    struct pymalloc_totals totals;
    pymalloc_stats(&totals);
    return totals.large_cached;
}

/* Which has other places for freed blocks. */
static int is_hardened(void)
{
    char value[32];
    return pymalloc_option_get("quarantine", value, sizeof value) == 0;
}

/* No thread comes to adopt their heaps; one that is busy with small blocks sees to it.
 */
static void caches_of_ended_threads_go_back(void)
{
    pthread_t thread[ENDING];
    if (is_hardened()) {
        tap_note("the hardened library caches none");
        return;
    }
    malloc_trim(0);
    pthread_barrier_init(&all_are_there, NULL, ENDING);
    for (size_t i = 0; i < ENDING; i++) {
        pthread_create(&thread[i], NULL, fill_cache, (void *)i);
    }
    for (size_t i = 0; i < ENDING; i++) {
        pthread_join(thread[i], NULL);
    }
    uint64_t kept = cached_blocks();
    CHECK(kept > ENDING * CACHED / 2, "only %ju blocks were cached", (uintmax_t)kept);
    double end = now_seconds() + 10;
    uint64_t left = kept;
    while (left > kept / 10 && now_seconds() < end) {
        allocate_some(20000, SIZE);
        for (int i = 0; i < 20000; i++) {
            free(blocks[i]);
        }
        left = cached_blocks();
    }
    tap_note("%ju blocks, then %ju", (uintmax_t)kept, (uintmax_t)left);
    CHECK(left <= kept / 10, "%ju of %ju blocks are left", (uintmax_t)left,
          (uintmax_t)kept);
}

static void large_blocks_go_back_too(void)
{
    enum { COUNT = 8000, LARGE = 20000 };
    long before = rss_kb();
    allocate_some(COUNT, LARGE);
    long peak = rss_kb();
    for (int i = 0; i < COUNT; i++) {
        free(blocks[i]);
    }
    malloc_trim(0);
    long left = rss_kb() - before;
    CHECK(left <= (peak - before) / 10, "%ld of %ld KiB are left", left, peak - before);
}

/* The topmost is in use: the system allocator cannot shrink. */
static void large_blocks_go_back_below_one_in_use(void)
{
    enum { COUNT = 8000, LARGE = 5000, WORK_MS = 2500 };
    long before = rss_kb();
    allocate_some(COUNT, LARGE);
    long peak = rss_kb();
    for (int i = 0; i < COUNT - 1; i++) {
        free(blocks[i]);
    }
    double end = now_seconds() + WORK_MS / 1000.0;
    while (now_seconds() < end) {
        one_large_block();
    }
    long late = rss_kb();
    free(blocks[COUNT - 1]);
    tap_note("RSS %ld KiB, at the peak %ld, then %ld", before, peak, late);
    CHECK(late - before <= (peak - before) / 10 * 2, "%ld of %ld KiB are left",
          late - before, peak - before);
}

/* What is given back is used again, and again is zero where it must be. */
static void released_memory_is_used_again(void)
{
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < BLOCKS / 8; i++) {
            blocks[i] = calloc(1, SIZE);
            CHECK(all_zero(blocks[i], SIZE), "round %d, block %d", round, i);
            memset(blocks[i], 0xff, SIZE);
        }
        for (int i = 0; i < BLOCKS / 8; i++) {
            free(blocks[i]);
        }
        malloc_trim(0);
    }
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
}

static const struct tap_case cases[] = {
    {"RSS falls by four fifths within 3 seconds of light work",
     falls_during_light_work},
    {"RSS falls by nine tenths at malloc_trim", falls_at_malloc_trim},
    {"RSS falls after scattered frees", falls_after_scattered_frees},
    {"RSS falls under scattered blocks", falls_under_scattered_blocks},
    {"RSS falls when the threads are gone", falls_when_threads_are_gone},
    {"what ended threads had cached goes back", caches_of_ended_threads_go_back},
    {"large blocks go back while the topmost is in use",
     large_blocks_go_back_below_one_in_use},
    {"large blocks go back at malloc_trim", large_blocks_go_back_too},
    {"released memory is used again, zeroed", released_memory_is_used_again},
    {"free touches no pages", free_touches_no_pages},
};

int main(int argc, char **argv)
{
    require_pymalloc();
    blocks = pages(BLOCKS * sizeof *blocks);
    memset(blocks, 0xff, BLOCKS * sizeof *blocks); /* so that it counts before */
    return TAP_RUN(cases, argc, argv);
}
