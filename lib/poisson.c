#include "poisson.h"

#include "random.h"
#include "sizeclass.h"

/* The natural logarithm of 0 < x < 1, to five digits: without the mathematical library.
 */
static double logarithm(double x)
{
    const double of_two = 0.69314718055994531;
    int halvings = 0;
    while (x < 0.5) {
        x *= 2;
        halvings++;
    }
    double t = (x - 1) / (x + 1);
    double square = t * t;
    double sum = 2 * t * (1 + square * (1.0 / 3 + square * (1.0 / 5 + square / 7)));
    return sum - halvings * of_two;
}

/* 1 - exp(-x) for x > 0. */
static double inclusion(double x)
{
    enum { PARTS = 5 };
    if (x > 32) {
        return 1;
    }
    double part = x / (1 << PARTS);
    double power = 1 - part * (1 - part / 2 * (1 - part / 3 * (1 - part / 4)));
    for (int i = 0; i < PARTS; i++) {
        power *= power;
    }
    return x < 0.001 ? x * (1 - x / 2) : 1 - power;
}

/* Bytes from one event to the next. */
static int64_t gap(struct pym_poisson *poisson)
{
    double uniform = ((double)pym_random_next(&poisson->random) + 1) /
                     ((double)(UINT64_C(1) << 53) + 1);
    return (int64_t)(-logarithm(uniform) * (double)poisson->interval) + 1;
}

void pym_poisson_start(struct pym_poisson *poisson, uint64_t interval, uint64_t seed)
{
    poisson->interval = interval;
    poisson->random = seed;
    for (unsigned cls = 0; cls <= PYM_POISSON_LARGE; cls++) {
        poisson->left[cls] = gap(poisson);
    }
}

void pym_poisson_advance(struct pym_poisson *poisson, unsigned cls, int64_t bytes)
{
    poisson->left[cls] -= bytes;
    if (poisson->left[cls] > 0) {
        return;
    }
    if (poisson->events[cls] == 0) {
        poisson->to_skip[cls] =
            (uint8_t)(pym_random_next(&poisson->random) % PYM_POISSON_SKIP);
    }
    while (poisson->left[cls] <= 0) {
        poisson->events[cls]++;
        poisson->left[cls] += gap(poisson);
    }
}

/* A block of so many bytes has met an event: it stands for as many bytes as would have
 * to come by until one is met. */
static void weigh(struct pym_poisson *poisson, unsigned cls, size_t size,
                  struct pym_weight *weight)
{
    poisson->left[cls] = gap(poisson);
    double blocks = 1 / inclusion((double)size / (double)poisson->interval);
    weight->bytes = (uint64_t)(blocks * (double)size + 0.5);
}

/* Up or down at random, so that sums stay right. */
static uint64_t blocks_in(struct pym_poisson *poisson, uint64_t bytes, size_t size)
{
    return (bytes + pym_random_next(&poisson->random) % size) / size;
}

static bool falls_on_small(struct pym_poisson *poisson, unsigned cls,
                           struct pym_weight *weight)
{
    size_t size = pym_class_size(cls);
    poisson->left[cls] -= (int64_t)size;
    if (poisson->left[cls] > 0) {
        return false;
    }
    weigh(poisson, cls, size, weight);
    weight->blocks = blocks_in(poisson, weight->bytes, size);
    return true;
}

/* A sample for all events that are due. */
static void settle(struct pym_poisson *poisson, unsigned cls, struct pym_weight *weight)
{
    size_t size = pym_class_size(cls);
    weight->bytes = poisson->events[cls] * poisson->interval;
    weight->blocks = blocks_in(poisson, weight->bytes, size);
    poisson->events[cls] = 0;
}

bool pym_poisson_take(struct pym_poisson *poisson, unsigned cls,
                      struct pym_weight *weight, bool *again)
{
    *again = false;
    if (poisson->interval == 0) {
        return false;
    }
    if (poisson->interval <= PYM_POISSON_EXACT) {
        *again = true;
        return falls_on_small(poisson, cls, weight);
    }
    if (poisson->events[cls] == 0) {
        return false;
    }
    if (poisson->to_skip[cls] != 0) {
        poisson->to_skip[cls]--;
        *again = true;
        return false;
    }
    settle(poisson, cls, weight);
    return true;
}

void pym_poisson_weigh_large(struct pym_poisson *poisson, size_t size, unsigned like_it,
                             struct pym_weight *weight)
{
    weigh(poisson, PYM_POISSON_LARGE, size * like_it, weight);
    weight->blocks = blocks_in(poisson, weight->bytes, size);
}

unsigned pym_poisson_about(struct pym_poisson *poisson, unsigned mean)
{
    return 1 + (unsigned)(pym_random_next(&poisson->random) % (2 * mean - 1));
}
