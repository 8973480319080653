/*
 * Random replacement in a large table with very uneven popularity, after the
 * description of the alloc-test program: sizes up to 1 KiB with small ones far more
 * common, slots chosen so that most hits fall on few of them, and every byte of a block
 * written when it is made and read before it is freed.  The threads share nothing.
 */
#include "common.h"

enum { SLOTS = 1 << 16, STEPS = 10000000, LARGEST = 1024 };

struct slot {
    unsigned char *block;
    size_t size;
};

static void slot_empty(struct slot *slot, unsigned char byte)
{
    unsigned char differs = 0;

    for (size_t i = 0; i < slot->size; i++)
        differs |= slot->block[i] ^ byte;
    if (differs != 0)
        bench_die("a block of %zu bytes has wrong data", slot->size);
    free(slot->block);
    slot->block = NULL;
}

static void slot_fill(struct slot *slot, size_t size, unsigned char byte)
{
    slot->block = bench_must(malloc(size));
    slot->size = size;
    memset(slot->block, byte, size);
}

/* The product of two uniform numbers: the first tenth of the table gets a third of all
 * hits. */
static size_t popular_slot(struct bench_rng *rng)
{
    return bench_rng_below(rng, SLOTS) * (bench_rng_below(rng, SLOTS) + 1) / SLOTS;
}

static void work(size_t index, void *arg)
{
    size_t steps = *(const size_t *)arg;
    size_t bytes = SLOTS * sizeof(struct slot);
    struct slot *slots = bench_map(bytes);
    struct bench_rng rng = bench_rng_make(index);

    for (size_t i = 0; i < steps; i++) {
        size_t n = popular_slot(&rng);

        if (slots[n].block != NULL)
            slot_empty(&slots[n], (unsigned char)n);
        else
            slot_fill(&slots[n], bench_rng_pareto(&rng, 16, LARGEST), (unsigned char)n);
    }
    for (size_t n = 0; n < SLOTS; n++) {
        if (slots[n].block != NULL)
            slot_empty(&slots[n], (unsigned char)n);
    }
    bench_unmap(slots, bytes);
}

int main(int argc, char **argv)
{
    struct bench_args args = bench_parse_args(argc, argv, NULL, 1);
    size_t steps = bench_scaled(&args, STEPS);
    double seconds = bench_run_threads(args.threads, work, &steps);

    bench_result("alloctest", &args, args.threads * steps, seconds);
    return 0;
}
