/* remote.h: blocks on their way back to the heap that they belong to. */
#include "arena.h"
#include "heap.h"
#include "options.h"
#include "support.h"
#include "track.h"

#include <pthread.h>

enum { POOLS = 200 };

/* Heaps that no thread has; only their inboxes count here. */
static struct pym_heap heaps[3];
static struct pym_outbox outbox;
static struct pym_pool *pools[POOLS];

static struct pym_heap *heap_of(size_t i)
{
    return &heaps[i * 7 % 3];
}

static void take_pools(void)
{
    for (size_t i = 0; i < POOLS; i++) {
        pools[i] = pym_arena_take(heap_of(i), false);
        if (!pools[i]) {
            tap_bail_out("no pool can be had");
        }
        pym_pool_prepare(pools[i], (unsigned)(i % PYM_CLASSES), false);
        while (pym_pool_carve(pools[i]) > 0) {
            pools[i]->local = NULL;
        }
    }
}

static void give_pools(void)
{
    for (size_t i = 0; i < POOLS; i++) {
        pym_arena_give(pools[i]);
    }
}

/* Empties a heap's inbox and notes in seen which blocks of which pool came. */
static size_t receive(struct pym_heap *heap, struct pym_pool_bits *seen)
{
    size_t blocks = 0;
    void *rest = pym_inbox_take(&heap->inbox);
    while (rest) {
        struct pym_chain chain;
        rest = pym_inbox_next(rest, &chain);
        CHECK(chain.pool->owner == heap, "a chain came to the wrong heap");
        size_t which = 0;
        while (which < POOLS && pools[which] != chain.pool) {
            which++;
        }
        if (!CHECK(which < POOLS, "a chain of an unknown pool")) {
            return blocks;
        }
        pym_link_set(chain.tail, NULL);
        bool intact;
        unsigned n = pym_pool_mark_list(chain.pool, chain.head, &seen[which], &intact);
        CHECK(intact, "a chain leads out of its pool, or has a block twice");
        CHECK_EQ(n, chain.count, "the chain's count");
        blocks += n;
    }
    return blocks;
}

static size_t receive_all(struct pym_pool_bits *seen)
{
    size_t blocks = 0;
    for (size_t h = 0; h < COUNT_OF(heaps); h++) {
        blocks += receive(&heaps[h], seen);
    }
    return blocks;
}

static struct pym_pool_bits seen[POOLS];

static void one_block_arrives(void)
{
    take_pools();
    for (size_t i = 0; i < POOLS; i++) {
        unsigned last = pym_class_capacity(pools[i]->cls) - 1;
        memset(seen, 0, sizeof seen);
        pym_remote_send(pools[i], pym_pool_block(pools[i], last));
        CHECK_EQ(receive_all(seen), 1, "class %u", pools[i]->cls);
        CHECK(pym_pool_bit(&seen[i], last), "class %u: another block came",
              pools[i]->cls);
    }
    give_pools();
}

/* A chain of a whole pool: the largest count, and every tail. */
static void a_whole_pool_arrives(void)
{
    take_pools();
    pym_options_parse("remote:1m");
    for (size_t i = 0; i < PYM_CLASSES; i++) {
        unsigned capacity = pym_class_capacity(pools[i]->cls);
        memset(seen, 0, sizeof seen);
        for (unsigned k = 0; k < capacity; k++) {
            unsigned block = (k * 7 + (unsigned)i) % capacity;
            if (capacity % 7 == 0) {
                block = (k + (unsigned)i) % capacity;
            }
            pym_remote_collect(&outbox, pools[i], pym_pool_block(pools[i], block));
        }
        CHECK(pym_inbox_empty(&heap_of(i)->inbox), "blocks went out too early");
        pym_remote_flush(&outbox);
        CHECK_EQ(outbox.bytes, 0, "the outbox after a flush");
        CHECK_EQ(receive_all(seen), capacity, "blocks of class %u", pools[i]->cls);
    }
    give_pools();
}

/* Pools of many heaps in any order: each block arrives once, at its heap. */
static void many_pools_arrive(void)
{
    struct rng rng = {5};
    take_pools();
    pym_options_parse("remote:32k");
    memset(seen, 0, sizeof seen);
    unsigned next[POOLS] = {0};
    size_t sent = 0, got = 0;
    for (int i = 0; i < 200000; i++) {
        size_t p = rng_below(&rng, POOLS);
        if (next[p] < pym_class_capacity(pools[p]->cls)) {
            pym_remote_collect(&outbox, pools[p], pym_pool_block(pools[p], next[p]++));
            sent++;
            CHECK(outbox.bytes <= PYM_OPTION(remote), "the outbox holds %zu bytes",
                  outbox.bytes);
        }
        if (i % 5000 == 0) {
            got += receive_all(seen);
        }
    }
    pym_remote_flush(&outbox);
    got += receive_all(seen);
    CHECK_EQ(got, sent, "blocks that arrived");
    for (size_t p = 0; p < POOLS; p++) {
        for (unsigned i = 0; i < pym_class_capacity(pools[p]->cls); i++) {
            CHECK_EQ(pym_pool_bit(&seen[p], i), i < next[p], "pool %zu, block %u", p,
                     i);
        }
    }
    give_pools();
}

static void a_budget_of_nothing_sends_at_once(void)
{
    take_pools();
    pym_options_parse("remote:0");
    for (unsigned i = 0; i < 20; i++) {
        memset(seen, 0, sizeof seen);
        pym_remote_collect(&outbox, pools[i], pym_pool_block(pools[i], i));
        CHECK_EQ(receive_all(seen), 1, "pool %u", i);
    }
    pym_remote_flush(&outbox);
    CHECK_EQ(receive_all(seen), 0, "an empty flush");
    pym_options_parse("remote:32k");
    give_pools();
}

/* ------------------------------------------------- senders at the same time */

enum { SENDERS = 4 };

static void *send_share(void *arg)
{
    static struct pym_outbox boxes[SENDERS];
    size_t number = (uintptr_t)arg;
    for (unsigned k = 0; k < PYM_POOL_BLOCKS_MAX; k++) {
        for (size_t p = 0; p < POOLS; p++) {
            if (k % SENDERS == number && k < pym_class_capacity(pools[p]->cls)) {
                pym_remote_collect(&boxes[number], pools[p],
                                   pym_pool_block(pools[p], k));
            }
        }
    }
    pym_remote_flush(&boxes[number]);
    return NULL;
}

static void senders_do_not_disturb_each_other(void)
{
    pthread_t thread[SENDERS];
    size_t sent = 0, got = 0;
    take_pools();
    memset(seen, 0, sizeof seen);
    for (size_t p = 0; p < POOLS; p++) {
        sent += pym_class_capacity(pools[p]->cls);
    }
    for (uintptr_t i = 0; i < SENDERS; i++) {
        pthread_create(&thread[i], NULL, send_share, (void *)i);
    }
    for (int i = 0; i < 1000; i++) {
        got += receive_all(seen);
    }
    for (int i = 0; i < SENDERS; i++) {
        pthread_join(thread[i], NULL);
    }
    got += receive_all(seen);
    CHECK_EQ(got, sent, "blocks that arrived");
    give_pools();
}

static const struct tap_case cases[] = {
    {"one block arrives", one_block_arrives},
    {"a whole pool arrives", a_whole_pool_arrives},
    {"blocks of many pools arrive, each once", many_pools_arrive},
    {"a budget of nothing sends at once", a_budget_of_nothing_sends_at_once},
    {"senders do not disturb each other", senders_do_not_disturb_each_other},
};

int main(int argc, char **argv)
{
    return TAP_RUN(cases, argc, argv);
}
