/* heap.h, heaps.h, alloc.h from within: the states of pools, what a thread's end
 * hands on, and that pymalloc_verify finds damage. */
#include "alloc.h"
#include "arena.h"
#include "heaps.h"
#include "os.h"
#include "support.h"

#include <pthread.h>

static struct pym_pool *pool_of(const void *block)
{
    return pym_region_pool_of(block);
}

static struct pym_arena_totals totals(void)
{
    struct pym_arena_totals t;
    pym_arena_totals(&t);
    return t;
}

static void run_thread(void *(*body)(void *), void *arg)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, body, arg) != 0) {
        tap_bail_out("pthread_create failed");
    }
    pthread_join(thread, NULL);
}

/* Whether the block is the only one of its pool that is in use. */
static bool is_alone(const void *block)
{
    const struct pym_pool *pool = pool_of(block);
    unsigned others = 0;
    for (void *other = pym_heap_free_list(pool); other != NULL;
         other = pym_link_get(other)) {
        others++;
    }
    return others + 1 == pool->carved;
}

/* Fills the active pool of a class and a further block after it; returns the
 * blocks of one whole pool, all in use. */
static void **full_pool(unsigned cls, unsigned *count)
{
    static void *block[PYM_POOL_BLOCKS_MAX];
    size_t size = pym_class_size(cls);
    unsigned capacity = pym_class_capacity(cls);
    /* Until a block is the first of a pool. */
    do {
        block[0] = pym_alloc_malloc(size);
    } while (pool_of(block[0])->cls != cls || !is_alone(block[0]));
    for (unsigned i = 1; i < capacity; i++) {
        block[i] = pym_alloc_malloc(size);
        if (pool_of(block[i]) != pool_of(block[0])) {
            tap_bail_out("class %u: block %u of %u is of another pool", cls, i,
                         capacity);
        }
    }
    *count = capacity;
    return block;
}

static void a_pool_goes_through_its_states(void)
{
    unsigned n;
    void **block = full_pool(9, &n);
    struct pym_pool *pool = pool_of(block[0]);
    CHECK_EQ(pool->state, PYM_POOL_ACTIVE, "all blocks handed out, nobody has noticed");
    void *next = pym_alloc_malloc(160);
    CHECK_EQ(pool->state, PYM_POOL_FULL, "after the next block");
    CHECK(pool_of(next) != pool, "the next block is of another pool");
    unsigned wake = pym_class_wake(9);
    for (unsigned i = 0; i < wake; i++) {
        CHECK_EQ(pool->state, PYM_POOL_FULL, "%u blocks free, of %u", i, wake);
        pym_alloc_free(block[i]);
    }
    CHECK_EQ(pool->state, PYM_POOL_AVAILABLE, "so many are free");
    for (unsigned i = wake; i < n; i++) {
        CHECK_EQ(pool->state, PYM_POOL_AVAILABLE, "%u blocks free", i);
        CHECK_EQ(pool->countdown, n - i, "blocks in use");
        pym_alloc_free(block[i]);
    }
    CHECK(pool->state == PYM_POOL_SPARE || pool->state == PYM_POOL_FREE,
          "all blocks are free, the state is %u", pool->state);
    pym_alloc_free(next);
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
}

/* The block that was freed last is the next one, in every state of its pool. */
static void the_last_freed_is_the_next(void)
{
    for (unsigned cls = 0; cls < PYM_CLASSES; cls++) {
        unsigned n;
        void **block = full_pool(cls, &n);
        pym_alloc_free(block[n / 2]);
        CHECK(pym_alloc_malloc(pym_class_size(cls)) == block[n / 2], "class %u", cls);
        for (unsigned i = 0; i < n; i++) {
            pym_alloc_free(block[i]);
        }
    }
}

static void spare_pools_are_bounded(void)
{
    enum { POOLS = 100 };
    size_t blocks = POOLS * pym_class_capacity(3), size = pym_class_size(3);
    void **block = pages(blocks * sizeof *block);
    pymalloc_purge();
    size_t before = totals().pools;
    for (size_t i = 0; i < blocks; i++) {
        block[i] = pym_alloc_malloc(size);
    }
    CHECK(totals().pools >= before + POOLS, "%zu pools, then %zu", before,
          totals().pools);
    for (size_t i = 0; i < blocks; i++) {
        pym_alloc_free(block[i]);
    }
    CHECK(totals().pools < before + POOLS / 5, "%zu pools are kept, of %zu before",
          totals().pools, before);
    munmap(block, blocks * sizeof *block);
}

/* At the fourth pool of a class. */
static void a_growing_class_has_its_memory_at_once(void)
{
    unsigned n;
    void *last = NULL;
    pym_heap_purge(pym_thread.heap);
    pym_arena_purge_all();
    for (int i = 0; i < 6; i++) {
        void **block = full_pool(20, &n);
        last = block[n - 1]; /* the next block is the first of its pool */
    }
    struct pym_pool *pool = pool_of(pym_alloc_malloc(pym_class_size(20)));
    CHECK(pool != pool_of(last), "the pool is not full");
    uintptr_t end = (uintptr_t)pym_region_pool_start(pool) + PYM_POOL_SIZE;
    uintptr_t page = (end - 1) & ~(uintptr_t)(pym_os_page_size() - 1);
    CHECK_EQ(pym_os_is_resident((void *)page), 1, "the last page of a new pool");
}

/* While free memory waits: a clock that stands still is not worth reading often, and
 * one that goes on is seen after a few ticks. */
static void a_clock_that_stands_still_is_read_less_often(void)
{
    static void
        *block[12 * PYM_POOL_SIZE / 512]; /* more pools than are kept as spares */
    struct pym_heap *heap = pym_thread.heap;
    for (size_t i = 0; i < COUNT_OF(block); i++) {
        block[i] = pym_alloc_malloc(512);
    }
    for (size_t i = 0; i < COUNT_OF(block); i++) {
        pym_alloc_free(block[i]);
    }
    CHECK(pym_arena_has_dirty(), "no memory waits");
    for (int i = 0; i < 1000000 && !heap->hurries; i++) {
        pym_heap_tick(heap);
    }
    CHECK(heap->hurries, "a million ticks in no hurry");
    int ticks = 0;
    while (heap->hurries && ticks < 1000) {
        sleep_ms(5);
        pym_heap_tick(heap);
        ticks++;
    }
    CHECK(ticks <= 16, "slow after %d ticks", ticks);
    uint64_t before = heap->seen_ms;
    sleep_ms(20);
    pym_heap_tick(heap);
    CHECK(heap->seen_ms > before, "the clock is not read at each tick");
    pym_heap_purge(heap);
}

static void a_purge_leaves_nothing(void)
{
    unsigned n;
    void **block = full_pool(5, &n);
    for (unsigned i = 0; i < n; i++) {
        pym_alloc_free(block[i]);
    }
    pymalloc_purge();
    for (unsigned cls = 0; cls < PYM_CLASSES; cls++) {
        struct pym_heap *heap = pym_thread.heap;
        CHECK(heap->active[cls] == NULL || pym_thread.bin[cls] == NULL ||
                  heap->active[cls]->carved > 0,
              "class %u", cls);
    }
    CHECK(pym_thread.heap->spare == NULL, "a spare pool is kept");
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
}

/* ------------------------------------------------- a little of many pools */

enum { MANY = 600, LITTLE_CLS = 9, LITTLE_SIZE = 160 };

/* So many full pools, of each of which so many blocks are free: too few to wake it. */
static void **nearly_full_pools(unsigned free_blocks)
{
    unsigned capacity = pym_class_capacity(LITTLE_CLS);
    size_t blocks = MANY * (size_t)capacity;
    void **block = pages(blocks * sizeof *block);
    for (size_t i = 0; i < blocks; i++) {
        block[i] = pym_alloc_malloc(LITTLE_SIZE);
    }
    for (size_t i = 0; i < blocks; i++) {
        if (i % capacity < free_blocks) {
            pym_alloc_free(block[i]);
            block[i] = NULL;
        }
    }
    return block;
}

static void drop_nearly_full(void **block)
{
    size_t blocks = MANY * (size_t)pym_class_capacity(LITTLE_CLS);
    for (size_t i = 0; i < blocks; i++) {
        pym_alloc_free(block[i]);
    }
    munmap(block, blocks * sizeof *block);
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
}

/* By how many pools the heap grows for some more blocks. */
static unsigned growth_for(unsigned blocks, size_t size)
{
    static void *more[4 * MANY];
    struct pym_heap *heap = pym_thread.heap;
    unsigned before = heap->pools;
    for (unsigned i = 0; i < blocks; i++) {
        more[i] = pym_alloc_malloc(size);
        CHECK(pool_of(more[i])->owner == heap, "a block of another heap");
    }
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
    unsigned after = heap->pools;
    for (unsigned i = 0; i < blocks; i++) {
        pym_alloc_free(more[i]);
    }
    return after - before;
}

/* For 2,400 free blocks in full pools the heap would grow by 23 pools; one for each 256
 * pools that it looked at is its due. */
static void full_pools_serve_before_the_heap_grows(void)
{
    unsigned grown, wake = pym_class_wake(LITTLE_CLS);
    void **block = nearly_full_pools(wake - 2);
    pymalloc_purge();
    grown = growth_for((wake - 2) * MANY, LITTLE_SIZE);
    CHECK(grown <= 8, "the heap grew by %u pools", grown);
    drop_nearly_full(block);
}

/* A pool of which too little is free would soon be full again. */
static void too_little_of_a_full_pool_is_left(void)
{
    void **block = nearly_full_pools(1);
    pymalloc_purge();
    unsigned grown = growth_for(MANY, LITTLE_SIZE);
    CHECK(grown >= MANY / pym_class_capacity(LITTLE_CLS), "the heap grew by %u pools",
          grown);
    drop_nearly_full(block);
}

static void full_pools_serve_their_class_alone(void)
{
    void **block = nearly_full_pools(pym_class_wake(LITTLE_CLS) - 2);
    pymalloc_purge();
    unsigned grown = growth_for(MANY, LITTLE_SIZE + 16);
    CHECK(grown >= MANY / pym_class_capacity(LITTLE_CLS), "the heap grew by %u pools",
          grown);
    drop_nearly_full(block);
}

static void *leave_nearly_full_pools(void *arg)
{
    *(void ***)arg = nearly_full_pools(pym_class_wake(LITTLE_CLS) - 2);
    return NULL;
}

static void full_pools_of_others_are_theirs(void)
{
    void **own = nearly_full_pools(0), **others = NULL;
    run_thread(leave_nearly_full_pools, &others);
    unsigned grown = growth_for(MANY, LITTLE_SIZE);
    CHECK(grown > 0, "the heap did not grow");
    drop_nearly_full(others);
    drop_nearly_full(own);
}

/* ------------------------------------------------- memory of pools in use */

enum { PARTLY = 200 };

/* So many full pools of a class, of whose blocks all were freed but a few. */
static unsigned char **partly_used_pools(unsigned cls, size_t *kept)
{
    size_t size = pym_class_size(cls), capacity = pym_class_capacity(cls);
    size_t blocks = PARTLY * capacity;
    unsigned char **block = pages(blocks * sizeof *block);
    for (size_t i = 0; i < blocks; i++) {
        block[i] = pym_alloc_malloc(size);
        memset(block[i], (int)(i % 255), size);
    }
    *kept = 0;
    for (size_t i = 0; i < blocks; i++) {
        if (i % capacity == 7) {
            block[(*kept)++] = block[i];
        } else {
            pym_alloc_free(block[i]);
        }
    }
    return block;
}

static void are_whole(unsigned char **block, size_t kept, size_t size)
{
    for (size_t i = 0; i < kept; i++) {
        CHECK(memcmp(block[i], block[i] + 1, size - 1) == 0, "block %zu", i);
    }
}

static uint64_t pages_returned(void)
{
    return pym_thread.heap->scavenger.bytes;
}

static bool has_pages_to_return(void)
{
    return !PYM_HARDENED && pym_os_page_size() < PYM_POOL_SIZE;
}

static void drop(unsigned char **block, size_t kept, unsigned cls)
{
    for (size_t i = 0; i < kept; i++) {
        pym_alloc_free(block[i]);
    }
    munmap(block, PARTLY * pym_class_capacity(cls) * sizeof *block);
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
}

/* Of each pool all pages but one, or two if the block lies in two. */
static void a_purge_returns_pages(void)
{
    enum { CLS = 4, SIZE = 80 };
    size_t kept, all = PARTLY * PYM_POOL_SIZE;
    if (!has_pages_to_return()) {
        SKIP("freed blocks are looked at again, or a pool is one page");
    }
    unsigned char **block = partly_used_pools(CLS, &kept);
    uint64_t before = pages_returned();
    pymalloc_purge();
    uint64_t bytes = pages_returned() - before;
    CHECK(bytes > all * 6 / 10 && bytes < all, "%ju of %zu bytes", (uintmax_t)bytes,
          all);
    are_whole(block, kept, SIZE);
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
    /* The pools serve as many blocks as ever. */
    size_t pools = totals().pools, more = PARTLY * pym_class_capacity(CLS) * 9 / 10;
    unsigned char **again = pages(more * sizeof *again);
    for (size_t i = 0; i < more; i++) {
        again[i] = pym_alloc_malloc(SIZE);
        memset(again[i], 1, SIZE);
    }
    CHECK(totals().pools <= pools + 1, "%zu pools, then %zu", pools, totals().pools);
    are_whole(block, kept, SIZE);
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
    for (size_t i = 0; i < more; i++) {
        pym_alloc_free(again[i]);
    }
    munmap(again, more * sizeof *again);
    drop(block, kept, CLS);
}

/* Nothing grows, and the program does little: pages go back with time. */
static void an_idle_heap_returns_pages(void)
{
    enum { CLS = 11, SIZE = 192 };
    size_t kept;
    if (!has_pages_to_return()) {
        SKIP("freed blocks are looked at again, or a pool is one page");
    }
    unsigned char **block = partly_used_pools(CLS, &kept);
    uint64_t before = pages_returned(), bytes = 0;
    double end = now_seconds() + 20;
    while (bytes < PARTLY * PYM_POOL_SIZE / 2 && now_seconds() < end) {
        for (int i = 0; i < 5000; i++) {
            pym_alloc_free(opaque(pym_alloc_malloc(64)));
        }
        sleep_ms(1);
        bytes = pages_returned() - before;
    }
    CHECK(bytes >= PARTLY * PYM_POOL_SIZE / 2, "%ju bytes", (uintmax_t)bytes);
    are_whole(block, kept, SIZE);
    drop(block, kept, CLS);
}

/* --------------------------------------------------------- threads that end */

static void *left[64];

static void *leave_blocks(void *arg)
{
    struct pym_heap **heap = arg;
    for (size_t i = 0; i < COUNT_OF(left); i++) {
        left[i] = pym_alloc_malloc(i * 8 + 1);
    }
    *heap = pym_thread.heap;
    return NULL;
}

static void *tell_heap(void *arg)
{
    pym_alloc_free(pym_alloc_malloc(8));
    *(struct pym_heap **)arg = pym_thread.heap;
    return NULL;
}

static void a_heap_is_handed_on(void)
{
    struct pym_heap *first = NULL, *second = NULL;
    struct pym_heaps_totals t;
    run_thread(leave_blocks, &first);
    CHECK(first && first != pym_thread.heap, "the thread had a heap of its own");
    CHECK_EQ(first->state, PYM_HEAP_ORPHAN, "its state after the end");
    CHECK(first->bins == first->saved, "its bins are not saved");
    pym_heaps_totals(&t);
    CHECK(t.orphans >= 1 && t.heaps >= 2, "%zu heaps, %zu orphans", t.heaps, t.orphans);
    for (size_t i = 0; i < COUNT_OF(left); i++) {
        CHECK(pool_of(left[i])->owner == first, "a block changed hands");
    }
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
    run_thread(tell_heap, &second);
    CHECK(first == second, "the orphan was not adopted");
    for (size_t i = 0; i < COUNT_OF(left); i++) {
        pym_alloc_free(left[i]);
    }
    pymalloc_purge();
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
    struct pymalloc_totals s;
    pymalloc_stats(&s);
    CHECK_EQ(s.heaps_orphaned, t.orphans, "orphans");
}

static void *use_every_class_once(void *arg)
{
    for (unsigned cls = 0; cls < PYM_CLASSES; cls++) {
        pym_alloc_free(opaque(pym_alloc_malloc(pym_class_size(cls))));
    }
    *(unsigned *)arg = pym_thread.heap->pools;
    return NULL;
}

/* That earlier ones have used a class does not mean that the next needs a pool of it. */
static void short_threads_share_few_pools(void)
{
    enum { THREADS = 100 };
    unsigned first, last = 0;
    pymalloc_purge();
    run_thread(use_every_class_once, &first);
    for (int i = 0; i < THREADS; i++) {
        run_thread(use_every_class_once, &last);
    }
    CHECK(first < PYM_CLASSES / 2, "%u pools after a thread", first);
    CHECK_EQ(last, first, "pools after all threads");
}

/* Many heaps wait for a thread; all their blocks are freed to them, but nobody
 * reads their inboxes until another heap wants to grow. */
enum { ORPHANS = 6, ORPHAN_BLOCKS = 5000 };

static void *orphaned[ORPHANS][ORPHAN_BLOCKS];
static pthread_barrier_t together;

static void *fill_and_end(void *arg)
{
    for (int i = 0; i < ORPHAN_BLOCKS; i++) {
        orphaned[(uintptr_t)arg][i] = pym_alloc_malloc(200);
    }
    pthread_barrier_wait(&together);
    return NULL;
}

static void mail_of_orphans_is_read(void)
{
    pthread_t thread[ORPHANS];
    pthread_barrier_init(&together, NULL, ORPHANS);
    for (uintptr_t i = 0; i < ORPHANS; i++) {
        pthread_create(&thread[i], NULL, fill_and_end, (void *)i);
    }
    for (int i = 0; i < ORPHANS; i++) {
        pthread_join(thread[i], NULL);
    }
    size_t full = totals().pools;
    for (int i = 0; i < ORPHANS * ORPHAN_BLOCKS; i++) {
        pym_alloc_free(orphaned[i / ORPHAN_BLOCKS][i % ORPHAN_BLOCKS]);
    }
    for (int i = 0; i < ORPHANS * ORPHAN_BLOCKS; i++) {
        orphaned[i / ORPHAN_BLOCKS][i % ORPHAN_BLOCKS] = pym_alloc_malloc(200);
    }
    CHECK(totals().pools < full + full / 4, "%zu pools at first, %zu for as much again",
          full, totals().pools);
    for (int i = 0; i < ORPHANS * ORPHAN_BLOCKS; i++) {
        pym_alloc_free(orphaned[i / ORPHAN_BLOCKS][i % ORPHAN_BLOCKS]);
    }
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound");
}

/* ----------------------------------------------------------------- verify */

enum damage {
    LINK_OUTSIDE,
    LINK_IN_CIRCLE,
    WRONG_COUNTDOWN_AVAILABLE,
    WRONG_COUNTDOWN_FULL,
    WRONG_OWNER,
    WRONG_STATE,
    LIST_OF_POOLS,
    DAMAGES
};

static const char *const damage_name[DAMAGES] = {
    "a free block's link leads outside",
    "a free list is a circle",
    "the number of blocks in use of an available pool",
    "the number of free blocks of a full pool",
    "the owner of a pool",
    "the state of a pool",
    "the list of available pools",
};

/* Verifies with standard error closed to it. */
static int verify_quietly(void)
{
    int saved = dup(2), null = open("/dev/null", O_WRONLY);
    dup2(null, 2);
    int wrong = pymalloc_verify();
    dup2(saved, 2);
    close(saved);
    close(null);
    return wrong;
}

/* In a child that then ends, so that nothing has to be mended.  Returns 0 if
 * the damage was found. */
static int do_damage(void *arg)
{
    enum damage damage = *(enum damage *)arg;
    unsigned n;
    void **block = full_pool(7, &n);
    struct pym_pool *pool = pool_of(block[0]);
    void *other = pym_alloc_malloc(pym_class_size(7));
    unsigned frees = damage == WRONG_COUNTDOWN_FULL ? 3 : n / 2;
    for (unsigned i = 0; i < frees; i++) {
        pym_alloc_free(block[i]);
    }
    if (verify_quietly() != 0) {
        return 2;
    }
    switch (damage) {
    case LINK_OUTSIDE:
        pym_link_set(block[1], &damage);
        break;
    case LINK_IN_CIRCLE:
        pym_link_set(block[1], block[3]);
        break;
    case WRONG_COUNTDOWN_AVAILABLE:
    case WRONG_COUNTDOWN_FULL:
        pool->countdown--;
        break;
    case WRONG_OWNER:
        pool->owner = PYM_NOBODY;
        break;
    case WRONG_STATE:
        pool->state = PYM_POOL_ACTIVE;
        break;
    default:
        pool->prev = pool_of(other);
    }
    return verify_quietly() == 0;
}

static void damage_is_found(void)
{
    for (int d = 0; d < DAMAGES; d++) {
        CHECK_EQ(in_child(do_damage, &d, 30), 0, "not found: %s", damage_name[d]);
    }
}

/* ----------------------------------------------------------------- misuse */

static int free_twice(void *arg)
{
    (void)arg;
    unsigned n;
    int null = open("/dev/null", O_WRONLY);
    dup2(null, 2);
    void **block = full_pool(7, &n);
    void *next = pym_alloc_malloc(pym_class_size(7));
    for (unsigned i = 0; i < n; i++) {
        pym_alloc_free(block[i]);
    }
    pym_alloc_free(block[0]); /* its pool is spare, or gone */
    return next == NULL;
}

static void a_double_free_of_an_empty_pool_aborts(void)
{
    CHECK_EQ(in_child(free_twice, NULL, 30), CHILD_SIGNALLED + SIGABRT, "the child");
}

static const struct tap_case cases[] = {
    {"a pool goes through its states", a_pool_goes_through_its_states},
    {"the block freed last is the next one", the_last_freed_is_the_next},
    {"spare pools are bounded", spare_pools_are_bounded},
    {"a growing class has its memory at once", a_growing_class_has_its_memory_at_once},
    {"a clock that stands still is read less often",
     a_clock_that_stands_still_is_read_less_often},
    {"a purge leaves nothing", a_purge_leaves_nothing},
    {"full pools serve before the heap grows", full_pools_serve_before_the_heap_grows},
    {"too little of a full pool is left alone", too_little_of_a_full_pool_is_left},
    {"full pools serve their class alone", full_pools_serve_their_class_alone},
    {"full pools of others are theirs", full_pools_of_others_are_theirs},
    {"a purge returns pages of pools in use", a_purge_returns_pages},
    {"an idle heap returns pages", an_idle_heap_returns_pages},
    {"a heap is handed on", a_heap_is_handed_on},
    {"short threads share few pools", short_threads_share_few_pools},
    {"mail of orphans is read", mail_of_orphans_is_read},
    {"pymalloc_verify finds damage", damage_is_found},
    {"a double free into an empty pool aborts", a_double_free_of_an_empty_pool_aborts},
};

int main(int argc, char **argv)
{
    return TAP_RUN(cases, argc, argv);
}
