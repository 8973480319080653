/* poisson.h: that samples stand for what they should, whatever the program's rhythm.
 * Bounds are five standard errors, of sequences that are the same each time. */
#include "poisson.h"
#include "support.h"

#include <math.h>

enum { INTERVAL = 1 << 19 };

static struct pym_poisson poisson;

static void start(uint64_t interval, uint64_t seed)
{
    memset(&poisson, 0, sizeof poisson);
    pym_poisson_start(&poisson, interval, seed);
}

/* What a sum of samples may be off by, if samples are worth so much each. */
static void is_about(double sum, double wanted, double worth, const char *what)
{
    double bound = 5 * sqrt(wanted * worth);
    CHECK(fabs(sum - wanted) < bound, "%s: %.0f, not %.0f +- %.0f", what, sum, wanted,
          bound);
}

static void nothing_without_an_interval(void)
{
    struct pym_weight weight;
    bool again;
    memset(&poisson, 0, sizeof poisson);
    for (int i = 0; i < 1000; i++) {
        pym_poisson_count(&poisson, 31, 1000000);
        CHECK(!pym_poisson_is_due(&poisson, 31), "an event");
        CHECK(!pym_poisson_take(&poisson, 31, &weight, &again) && !again, "a sample");
        CHECK(!pym_poisson_take_large(&poisson, 1 << 30, 1, &weight), "a large one");
    }
    CHECK_EQ(pym_poisson_limit(&poisson, 3, 256), 256, "the limit");
}

/* Supplies of many sizes, some taken back; now and then a block comes by. */
static void bytes_of_a_class_are_kept(void)
{
    static const unsigned classes[] = {0, 2, 7, 31};
    for (size_t c = 0; c < COUNT_OF(classes); c++) {
        unsigned cls = classes[c];
        double size = (cls + 1) * 16, bytes = 0, counted = 0, blocks = 0;
        struct rng rng = {c};
        start(INTERVAL, 42 + c);
        while (counted < 4e9) {
            struct pym_weight weight = {0, 0};
            int64_t supplied = 1 + (int64_t)rng_below(&rng, 200);
            int64_t withdrawn = (int64_t)rng_below(&rng, (size_t)supplied);
            bool again = true;
            pym_poisson_count(&poisson, cls, supplied);
            pym_poisson_count(&poisson, cls, -withdrawn);
            counted += (double)(supplied - withdrawn) * size;
            for (int skipped = 0; again; skipped++) {
                CHECK(skipped <= PYM_POISSON_SKIP, "skips %d", skipped);
                if (pym_poisson_take(&poisson, cls, &weight, &again)) {
                    bytes += (double)weight.bytes;
                    blocks += (double)weight.blocks;
                }
            }
        }
        is_about(bytes, counted, INTERVAL, "bytes");
        is_about(blocks, counted / size, INTERVAL / size, "blocks");
    }
}

/* Each block by itself, of sizes far below, near and far above the interval. */
static void single_blocks_are_kept(void)
{
    static const size_t sizes[] = {600, 5000, 100000, 1 << 19, 3000000, 1 << 28};
    for (size_t s = 0; s < COUNT_OF(sizes); s++) {
        size_t size = sizes[s];
        double bytes = 0, blocks = 0;
        long count = (long)(4e9 / (double)size) + 100;
        start(INTERVAL, 7 + s);
        for (long i = 0; i < count; i++) {
            struct pym_weight weight;
            if (pym_poisson_take_large(&poisson, size, 1, &weight)) {
                bytes += (double)weight.bytes;
                blocks += (double)weight.blocks;
            }
        }
        double all = (double)count * (double)size;
        double worth = size > INTERVAL ? (double)size / 50 : INTERVAL;
        is_about(bytes, all, worth, "bytes of single blocks");
        /* The weight in blocks is a whole number. */
        CHECK(fabs(blocks - (double)count) < 0.1 * (double)count + 5,
              "%.0f blocks of %ld", blocks, count);
    }
}

static void small_intervals_miss_nothing(void)
{
    long samples = 0;
    start(1, 3);
    for (unsigned i = 0; i < 10000; i++) {
        struct pym_weight weight;
        bool again;
        if (pym_poisson_take(&poisson, i % PYM_CLASSES, &weight, &again)) {
            samples++;
            CHECK_EQ(weight.blocks, 1, "a block stands for itself");
            CHECK_EQ(weight.bytes, (i % PYM_CLASSES + 1) * 16, "and its bytes");
        }
        CHECK(again, "the next one comes by");
    }
    CHECK_EQ(samples, 10000, "samples");
}

/* Two places that take turns, in rhythm with the supplies: as many samples of each. */
static void no_rhythm_hides_a_place(void)
{
    long of_place[2] = {0, 0};
    long block = 0;
    start(INTERVAL, 99);
    for (long supply = 0; supply < 2000000; supply++) {
        bool again = true;
        pym_poisson_count(&poisson, 3, 64);
        for (long i = 0; again; i++) {
            struct pym_weight weight;
            if (pym_poisson_take(&poisson, 3, &weight, &again)) {
                of_place[(block + i) % 2]++;
            }
        }
        block += 64;
    }
    is_about((double)of_place[0], (double)(of_place[0] + of_place[1]) / 2, 1,
             "samples");
}

static void the_limit_is_near_the_event(void)
{
    start(INTERVAL, 5);
    for (int i = 0; i < 1000; i++) {
        poisson.left[1] = i * 8 + 1;
        unsigned limit = pym_poisson_limit(&poisson, 1, 256);
        CHECK(limit >= 1 && limit <= 256, "limit %u", limit);
        CHECK(limit == 256 || (int64_t)limit * 32 >= poisson.left[1],
              "the event at %ld is passed by %u blocks", (long)poisson.left[1], limit);
    }
    poisson.left[1] = -100;
    CHECK_EQ(pym_poisson_limit(&poisson, 1, 256), 1, "the event is over");
}

static const struct tap_case cases[] = {
    {"nothing without an interval", nothing_without_an_interval},
    {"bytes of a class are kept", bytes_of_a_class_are_kept},
    {"single blocks are kept", single_blocks_are_kept},
    {"small intervals miss nothing", small_intervals_miss_nothing},
    {"no rhythm hides a place", no_rhythm_hides_a_place},
    {"the limit is near the event", the_limit_is_near_the_event},
};

int main(int argc, char **argv)
{
    return TAP_RUN(cases, argc, argv);
}
