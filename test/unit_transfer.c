/* transfer.h: chains of blocks between threads. */
#include "support.h"
#include "sysalloc.h"
#include "transfer.h"

#include <pthread.h>
#include <stdatomic.h>

enum { THREADS = 4, ROUNDS = 20000, CLASSES_USED = 3, CHAIN_MOST = 10 };

/* A block of the system's as far as the transfer cache can see. */
struct block {
    void *words[3];    /* links and what a chain says of itself */
    _Atomic int owned; /* by how many threads, or chains, or nobody: never by two */
    unsigned cls;
};

static _Atomic long made;
static _Atomic long freed;
static _Atomic long faults;

static struct block *block_new(unsigned cls)
{
    struct block *block = calloc(1, sizeof *block);
    atomic_store(&block->owned, 1);
    block->cls = cls;
    atomic_fetch_add(&made, 1);
    return block;
}

static void block_free(void *memory)
{
    struct block *block = memory;
    atomic_fetch_add(&faults, atomic_fetch_sub(&block->owned, 1) != 1);
    atomic_fetch_add(&freed, 1);
    free(block);
}

static void give_up(void *chain)
{
    while (chain != NULL) {
        void *next = *(void **)chain;
        block_free(chain);
        chain = next;
    }
}

static void leave_some(unsigned cls, uint32_t count)
{
    void *head = NULL, *tail = NULL;
    for (uint32_t i = 0; i < count; i++) {
        struct block *block = block_new(cls);
        *(void **)block = head;
        head = block;
        tail = tail == NULL ? block : tail;
    }
    if (!pym_transfer_leave(cls, head, tail, count, 1 << 20)) {
        *(void **)tail = NULL;
        give_up(head);
    }
}

static void take_some(unsigned cls)
{
    uint32_t count = 0, found = 0;
    void *chain = pym_transfer_take(cls, &count);
    if (chain == NULL) {
        return;
    }
    for (void *at = chain; at != NULL; at = *(void **)at) {
        struct block *block = at;
        atomic_fetch_add(&faults, block->cls != cls);
        found++;
    }
    atomic_fetch_add(&faults, found != count);
    give_up(chain);
}

static void *leave_and_take(void *arg)
{
    struct rng rng = {(uintptr_t)arg};
    for (int i = 0; i < ROUNDS; i++) {
        unsigned cls = (unsigned)rng_below(&rng, CLASSES_USED);
        if (rng_below(&rng, 2) == 0) {
            leave_some(cls, 1 + (uint32_t)rng_below(&rng, CHAIN_MOST));
        } else {
            take_some(cls);
        }
        if (rng_below(&rng, 500) == 0) {
            (void)pym_transfer_decay();
        }
    }
    return NULL;
}

static size_t here(size_t *bytes)
{
    uint64_t shed;
    return pym_transfer_count(bytes, &shed);
}

static void nothing_is_lost_or_doubled(void)
{
    pthread_t thread[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++) {
        pthread_create(&thread[i], NULL, leave_and_take, (void *)i);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
    }
    size_t bytes;
    CHECK_EQ(here(&bytes), (size_t)(atomic_load(&made) - atomic_load(&freed)),
             "blocks that lie there");
    (void)pym_transfer_empty();
    CHECK_EQ(here(&bytes), 0, "blocks after it was emptied");
    CHECK_EQ(bytes, 0, "bytes after it was emptied");
    CHECK_EQ(atomic_load(&made), atomic_load(&freed), "blocks made and freed");
    CHECK_EQ(atomic_load(&faults), 0, "blocks found twice, or in the wrong place");
}

static void slots_and_bytes_are_limited(void)
{
    unsigned left = 0;
    size_t bytes;
    struct block *block = block_new(0);
    CHECK(!pym_transfer_leave(0, block, block, 1, 1), "a block did not fit in a byte");
    while (pym_transfer_leave(0, block, block, 1, 1 << 20) && left < 100) {
        block = block_new(0);
        left++;
    }
    CHECK(left >= 1 && left < 100, "%u chains of one class", left);
    CHECK_EQ(here(&bytes), left, "blocks");
    CHECK_EQ(bytes, left * pym_cached_class_size(0), "bytes");
    block_free(block);
    CHECK_EQ(pym_transfer_empty(), (int64_t)(left * pym_cached_class_size(0)), "freed");
}

static void a_lack_is_seen_until_a_chain_is_left(void)
{
    uint32_t count;
    CHECK(!pym_transfer_lacks(5), "before anybody asked");
    CHECK(pym_transfer_take(5, &count) == NULL, "a chain from nowhere");
    CHECK(pym_transfer_lacks(5), "after somebody asked in vain");
    leave_some(5, 3);
    CHECK(!pym_transfer_lacks(5), "after a chain was left");
    take_some(5);
}

static void a_child_counts_anew(void)
{
    size_t bytes;
    leave_some(1, 4);
    leave_some(2, 7);
    pym_transfer_after_fork();
    CHECK_EQ(here(&bytes), 11, "blocks");
    CHECK_EQ(bytes, 4 * pym_cached_class_size(1) + 7 * pym_cached_class_size(2),
             "bytes");
    (void)pym_transfer_empty();
}

static const struct tap_case cases[] = {
    {"slots and bytes are limited", slots_and_bytes_are_limited},
    {"a lack is seen until a chain is left", a_lack_is_seen_until_a_chain_is_left},
    {"a child counts anew", a_child_counts_anew},
    {"nothing is lost or doubled between threads", nothing_is_lost_or_doubled},
};

int main(int argc, char **argv)
{
    pym_sysalloc.free = block_free;
    return TAP_RUN(cases, argc, argv);
}
