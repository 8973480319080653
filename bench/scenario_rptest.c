/*
 * Many sizes across threads, after the description of rpmalloc's benchmark: each
 * thread works through loops in which it frees some of its blocks and allocates new
 * ones of random size; now and then it hands a whole bundle over to whoever takes it,
 * and frees a bundle that another thread has left.
 *
 * Variants: "wide" has blocks of 16 to 16000 bytes, "small" of 16 to 1000.
 */
#include "common.h"

enum { SLOTS = 3000, LOOPS = 12000, REPLACED = 200, BUNDLE = 300, HAND_OVER_EVERY = 8 };

struct bundle {
    struct bundle *next;
    void *block[BUNDLE];
};

struct plan {
    size_t largest;
    size_t loops;
};

static pthread_mutex_t bundles_lock = PTHREAD_MUTEX_INITIALIZER;
static struct bundle *bundles;

static void bundle_leave(struct bundle *bundle)
{
    pthread_mutex_lock(&bundles_lock);
    bundle->next = bundles;
    bundles = bundle;
    pthread_mutex_unlock(&bundles_lock);
}

static struct bundle *bundles_take_all(void)
{
    struct bundle *taken;

    pthread_mutex_lock(&bundles_lock);
    taken = bundles;
    bundles = NULL;
    pthread_mutex_unlock(&bundles_lock);
    return taken;
}

static void bundles_free(struct bundle *bundle)
{
    while (bundle != NULL) {
        struct bundle *next = bundle->next;

        bench_blocks_free(bundle->block, BUNDLE);
        free(bundle);
        bundle = next;
    }
}

static void replace(void **slot, const struct plan *plan, struct bench_rng *rng)
{
    bench_block_free(*slot);
    *slot = bench_block_new(bench_rng_between(rng, 16, plan->largest), 1);
}

/* Moves a run of blocks into a bundle and fills their places anew. */
static void hand_over(void **slots, const struct plan *plan, struct bench_rng *rng)
{
    struct bundle *bundle = bench_must(malloc(sizeof *bundle));
    size_t from = bench_rng_below(rng, SLOTS - BUNDLE);

    memcpy(bundle->block, slots + from, sizeof bundle->block);
    bench_blocks_fill(slots + from, BUNDLE, 16, plan->largest, rng);
    bundles_free(bundles_take_all());
    bundle_leave(bundle);
}

static void work(size_t index, void *arg)
{
    const struct plan *plan = arg;
    struct bench_rng rng = bench_rng_make(index);
    void **slots = bench_map(SLOTS * sizeof *slots);

    bench_blocks_fill(slots, SLOTS, 16, plan->largest, &rng);
    for (size_t loop = 1; loop <= plan->loops; loop++) {
        for (size_t i = 0; i < REPLACED; i++)
            replace(&slots[bench_rng_below(&rng, SLOTS)], plan, &rng);
        if (loop % HAND_OVER_EVERY == 0)
            hand_over(slots, plan, &rng);
    }
    bench_blocks_free(slots, SLOTS);
    bench_unmap(slots, SLOTS * sizeof *slots);
}

int main(int argc, char **argv)
{
    static const char *const variants[] = {"wide", "small", NULL};
    struct bench_args args = bench_parse_args(argc, argv, variants, 2);
    bool small = strcmp(args.variant, "small") == 0;
    struct plan plan = {small ? 1000 : 16000,
                        bench_scaled(&args, small ? 7 * LOOPS : LOOPS)};
    double seconds = bench_run_threads(args.threads, work, &plan);
    size_t blocks =
        SLOTS + plan.loops * REPLACED + plan.loops / HAND_OVER_EVERY * BUNDLE;

    bundles_free(bundles_take_all());
    bench_result("rptest", &args, args.threads * blocks, seconds);
    return 0;
}
