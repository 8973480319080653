/*
 * Random replacement in a table of live blocks that check themselves: one loop, three
 * workloads that differ in sizes and in the size of the live set.
 *
 * Variants:
 *   pareto    Pareto sizes from 24 bytes to 256 KiB over a large live set (some 60 MB)
 *   largemix  513 bytes to 64 KiB, all doublings alike: nothing is small
 *   large     5 to 25 MiB, few blocks: the page faults of fresh memory decide
 *
 * The threads share nothing and have the same work each.
 */
#include "common.h"

struct workload {
    const char *name;
    size_t slots;
    size_t steps;
    size_t (*size)(struct bench_rng *);
};

static size_t pareto_size(struct bench_rng *rng)
{
    return bench_rng_pareto(rng, 24, 256 * BENCH_KIB);
}

static size_t largemix_size(struct bench_rng *rng)
{
    return bench_rng_doubling(rng, 513, 64 * BENCH_KIB);
}

static size_t large_size(struct bench_rng *rng)
{
    return bench_rng_between(rng, 5 * BENCH_MIB, 25 * BENCH_MIB);
}

static const struct workload workloads[] = {
    {"pareto", 220000, 4000000, pareto_size},
    {"largemix", 1000, 4000000, largemix_size},
    {"large", 20, 500, large_size},
};

struct plan {
    const struct workload *load;
    size_t steps;
};

static void work(size_t index, void *arg)
{
    const struct plan *plan = arg;
    const struct workload *load = plan->load;
    struct bench_rng rng = bench_rng_make(index);
    void **slots = bench_map(load->slots * sizeof *slots);

    for (size_t i = 0; i < load->slots; i++)
        slots[i] = bench_block_new(load->size(&rng), (unsigned)i);
    for (size_t i = 0; i < plan->steps; i++) {
        size_t slot = bench_rng_below(&rng, load->slots);

        bench_block_free(slots[slot]);
        slots[slot] = bench_block_new(load->size(&rng), (unsigned)i);
    }
    bench_blocks_free(slots, load->slots);
    bench_unmap(slots, load->slots * sizeof *slots);
}

int main(int argc, char **argv)
{
    const char *variants[BENCH_COUNT(workloads) + 1] = {NULL};
    struct bench_args args;
    struct plan plan = {workloads, 0};
    double seconds;

    for (size_t i = 0; i < BENCH_COUNT(workloads); i++)
        variants[i] = workloads[i].name;
    args = bench_parse_args(argc, argv, variants, 1);
    while (plan.load->name != args.variant)
        plan.load++;
    plan.steps = bench_scaled(&args, plan.load->steps);
    seconds = bench_run_threads(args.threads, work, &plan);
    bench_result("replace", &args, args.threads * (plan.load->slots + plan.steps),
                 seconds);
    return 0;
}
