/*
 * Producers and consumers, after the test of Lever and Boreham ("malloc() Performance
 * in a Multithreaded Linux Environment", 2000): half of the threads only allocate, the
 * other half only free.  Blocks travel in batches through a bounded queue, and a batch
 * is a block itself.
 */
#include "common.h"

enum { BATCH = 512, QUEUE = 32, BATCHES = 24000 };

struct batch {
    struct batch *next;
    void *block[BATCH];
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t not_full;
    pthread_cond_t not_empty;
    struct batch *first;
    struct batch **last;
    size_t length;
    size_t to_make;
    size_t to_take;
} queue = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .not_full = PTHREAD_COND_INITIALIZER,
    .not_empty = PTHREAD_COND_INITIALIZER,
};

static void queue_put(struct batch *batch)
{
    batch->next = NULL;
    pthread_mutex_lock(&queue.lock);
    while (queue.length == QUEUE)
        pthread_cond_wait(&queue.not_full, &queue.lock);
    *queue.last = batch;
    queue.last = &batch->next;
    queue.length++;
    pthread_cond_signal(&queue.not_empty);
    pthread_mutex_unlock(&queue.lock);
}

/* The oldest batch; NULL when all have been taken. */
static struct batch *queue_take(void)
{
    struct batch *batch = NULL;

    pthread_mutex_lock(&queue.lock);
    if (queue.to_take > 0) {
        queue.to_take--;
        while (queue.length == 0)
            pthread_cond_wait(&queue.not_empty, &queue.lock);
        batch = queue.first;
        queue.first = batch->next;
        if (queue.first == NULL)
            queue.last = &queue.first;
        queue.length--;
        pthread_cond_signal(&queue.not_full);
    }
    pthread_mutex_unlock(&queue.lock);
    return batch;
}

/* Claims the making of one more batch. */
static bool queue_claim(void)
{
    bool claimed;

    pthread_mutex_lock(&queue.lock);
    claimed = queue.to_make > 0;
    if (claimed)
        queue.to_make--;
    pthread_mutex_unlock(&queue.lock);
    return claimed;
}

static void produce(size_t index)
{
    struct bench_rng rng = bench_rng_make(index);

    while (queue_claim()) {
        struct batch *batch = bench_must(malloc(sizeof *batch));

        for (size_t i = 0; i < BATCH; i++) {
            size_t largest = i % 32 == 0 ? 4096 : 512;

            batch->block[i] =
                bench_block_new(bench_rng_doubling(&rng, 16, largest), (unsigned)i);
        }
        queue_put(batch);
    }
}

static void consume(void)
{
    struct batch *batch;

    while ((batch = queue_take()) != NULL) {
        bench_blocks_free(batch->block, BATCH);
        free(batch);
    }
}

static void work(size_t index, void *arg)
{
    (void)arg;
    if (index % 2 == 0)
        produce(index);
    else
        consume();
}

int main(int argc, char **argv)
{
    struct bench_args args = bench_parse_args(argc, argv, NULL, 2);
    size_t batches = bench_scaled(&args, BATCHES);
    double seconds;

    args.threads += args.threads % 2;
    queue.last = &queue.first;
    queue.to_make = batches;
    queue.to_take = batches;
    seconds = bench_run_threads(args.threads, work, NULL);
    bench_result("xmalloc", &args, batches * BATCH, seconds);
    return 0;
}
