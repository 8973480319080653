/* Blocks that travel: allocated by one thread, checked and grown by others,
 * freed by the last.  Rings of threads, chains, many to one and one to many,
 * and whole sets of blocks that a dying thread leaves to the next.
 *
 * PYM_TEST_SEED chooses the sequence, PYM_TEST_OPS the blocks of a case. */
#include "stress.h"

enum { QUEUE = 256, THREADS_MOST = 16, ESTATE = 500 };

/* A bounded queue of blocks with any number of threads at each end. */
struct queue {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct model item[QUEUE];
    size_t head, count;
    int writers; /* that are still to come; with none, empty means the end */
};

static struct queue queues[THREADS_MOST];

static void queue_init(struct queue *q, int writers)
{
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->changed, NULL);
    q->head = q->count = 0;
    q->writers = writers;
}

static void queue_put(struct queue *q, const struct model *m)
{
    pthread_mutex_lock(&q->lock);
    while (q->count == QUEUE && !stress_failed()) {
        pthread_cond_wait(&q->changed, &q->lock);
    }
    if (q->count < QUEUE) {
        q->item[(q->head + q->count++) % QUEUE] = *m;
    }
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->lock);
}

/* False at the end. */
static int queue_get(struct queue *q, struct model *m)
{
    pthread_mutex_lock(&q->lock);
    while (q->count == 0 && q->writers > 0 && !stress_failed()) {
        pthread_cond_wait(&q->changed, &q->lock);
    }
    int got = q->count > 0;
    if (got) {
        *m = q->item[q->head];
        q->head = (q->head + 1) % QUEUE;
        q->count--;
    }
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->lock);
    return got;
}

static void queue_close(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->writers--;
    pthread_cond_broadcast(&q->changed);
    pthread_mutex_unlock(&q->lock);
}

/* Nobody is to wait for a thread that has given up. */
static void queues_give_up(void)
{
    for (int i = 0; i < THREADS_MOST; i++) {
        pthread_mutex_lock(&queues[i].lock);
        pthread_cond_broadcast(&queues[i].changed);
        pthread_mutex_unlock(&queues[i].lock);
    }
}

/* --------------------------------------------------------------- workers */

struct worker {
    struct rng rng;
    struct queue *from, *to; /* no from: it makes blocks; no to: it frees them */
    long blocks;
};

static int next_block(struct worker *w, struct model *m)
{
    if (w->from) {
        return queue_get(w->from, m);
    }
    return w->blocks-- > 0 && model_allocate(m, &w->rng);
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct model m;
    for (long i = 1; !stress_failed() && next_block(w, &m); i++) {
        if (!model_check(&m)) {
            break;
        }
        if (w->from && rng_below(&w->rng, 4) == 0 && !model_reallocate(&m, &w->rng)) {
            break;
        }
        if (w->to) {
            queue_put(w->to, &m);
        } else {
            model_free(&m, &w->rng);
        }
        if (i % 4096 == 0) {
            heap_is_sound("on the way");
        }
    }
    if (w->to) {
        queue_close(w->to);
    }
    if (stress_failed()) {
        queues_give_up();
    }
    return NULL;
}

static uint64_t live_blocks(void)
{
    struct pymalloc_totals stats;
    pymalloc_stats(&stats);
    return stats.small_live;
}

static void run(struct worker *workers, int count)
{
    pthread_t thread[THREADS_MOST];
    uint64_t before = live_blocks();
    for (int i = 0; i < count; i++) {
        workers[i].rng.state = stress.seed + (uint64_t)i;
        thread[i] = start_thread(work, &workers[i]);
    }
    for (int i = 0; i < count; i++) {
        pthread_join(thread[i], NULL);
    }
    heap_is_sound("at the end");
    uint64_t left = live_blocks();
    STRESS_CHECK(stress_failed() || left <= before + 64, "%ju blocks are left",
                 (uintmax_t)(left - before));
}

static long blocks_of_case(unsigned long otherwise)
{
    return (long)env_number("PYM_TEST_OPS", otherwise);
}

static void a_chain(void)
{
    enum { LINKS = 6 };
    struct worker w[LINKS] = {{{0}, NULL, NULL, 0}};
    stress_begin("a chain of threads");
    for (int i = 0; i < LINKS; i++) {
        queue_init(&queues[i], 1);
        w[i].from = i > 0 ? &queues[i - 1] : NULL;
        w[i].to = i < LINKS - 1 ? &queues[i] : NULL;
    }
    w[0].blocks = blocks_of_case(20000);
    run(w, LINKS);
}

static void many_to_one(void)
{
    enum { MAKERS = 7 };
    struct worker w[MAKERS + 1] = {{{0}, NULL, NULL, 0}};
    stress_begin("many to one");
    queue_init(&queues[0], MAKERS);
    for (int i = 0; i < MAKERS; i++) {
        w[i].to = &queues[0];
        w[i].blocks = blocks_of_case(50000) / MAKERS;
    }
    w[MAKERS].from = &queues[0];
    run(w, MAKERS + 1);
}

static void one_to_many(void)
{
    enum { TAKERS = 7 };
    struct worker w[TAKERS + 1] = {{{0}, NULL, NULL, 0}};
    stress_begin("one to many");
    queue_init(&queues[0], 1);
    for (int i = 0; i < TAKERS; i++) {
        w[i].from = &queues[0];
    }
    w[TAKERS].to = &queues[0];
    w[TAKERS].blocks = blocks_of_case(50000);
    run(w, TAKERS + 1);
}

static void pairs(void)
{
    enum { PAIRS = 4 };
    struct worker w[2 * PAIRS] = {{{0}, NULL, NULL, 0}};
    stress_begin("pairs");
    for (int i = 0; i < PAIRS; i++) {
        queue_init(&queues[i], 1);
        w[2 * i].to = &queues[i];
        w[2 * i].blocks = blocks_of_case(50000) / PAIRS;
        w[2 * i + 1].from = &queues[i];
    }
    run(w, 2 * PAIRS);
}

/* ------------------------------------------------------------ generations */

/* Each thread inherits all blocks, renews most of them, and dies. */
static struct model estate[ESTATE];

static void *inherit(void *arg)
{
    struct rng rng = {stress.seed + (uintptr_t)arg};
    for (int i = 0; i < ESTATE && !stress_failed(); i++) {
        if (estate[i].block) {
            if (!model_check(&estate[i])) {
                break;
            }
            if (rng_below(&rng, 8) == 0) {
                continue; /* an heirloom */
            }
            model_free(&estate[i], &rng);
        }
        model_allocate(&estate[i], &rng);
    }
    return NULL;
}

static void generations(void)
{
    struct rng rng = {stress_begin("generations")};
    uint64_t before = live_blocks();
    long count = blocks_of_case(150000) / ESTATE;
    for (long i = 0; i < count && !stress_failed(); i++) {
        pthread_join(start_thread(inherit, (void *)i), NULL);
    }
    heap_is_sound("after the last generation");
    for (int i = 0; i < ESTATE && !stress_failed(); i++) {
        model_free(&estate[i], &rng);
    }
    uint64_t left = live_blocks();
    STRESS_CHECK(stress_failed() || left <= before + 64, "%ju blocks are left",
                 (uintmax_t)(left - before));
}

static const struct tap_case cases[] = {
    {"a chain of threads", a_chain}, {"many to one", many_to_one},
    {"one to many", one_to_many},    {"pairs", pairs},
    {"generations", generations},
};

int main(int argc, char **argv)
{
    stress_require();
    return TAP_RUN(cases, argc, argv);
}
