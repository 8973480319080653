#include "samples.h"

#include "lock.h"
#include "os.h"
#include "slab.h"

enum { SLAB_SIZE = 1 << 18 };

static struct pym_lock lock = PYM_LOCK_INIT(PYM_RANK_PROFILE);

/* Everything below is guarded by the lock. */
static struct pym_sample *live; /* the latest first */
static struct pym_sample *unused;
static struct pym_slab slab;
static struct pym_samples_totals totals;
static uint64_t epoch; /* counts the moments at which there was more than ever before */
static uint64_t life;  /* counts forks after which all was begun anew */

/* ---- counting ---- */

static void add(struct pym_weight *sum, const struct pym_weight *more)
{
    sum->blocks += more->blocks;
    sum->bytes += more->bytes;
}

static void subtract(struct pym_weight *sum, const struct pym_weight *less)
{
    sum->blocks -= less->blocks;
    sum->bytes -= less->bytes;
}

/* What a stack had at the last peak: what it has, unless it has changed since. */
static struct pym_weight peak_of(const struct pym_stack *stack)
{
    return stack->epoch == epoch ? stack->peak : stack->live;
}

/* Before its live figures change. */
static void keep_peak(struct pym_stack *stack)
{
    stack->peak = peak_of(stack);
    stack->epoch = epoch;
}

static void count_in(const struct pym_sample *sample)
{
    struct pym_stack *stack = sample->stack;
    keep_peak(stack);
    add(&stack->live, &sample->weight);
    add(&stack->all, &sample->weight);
    add(&totals.live, &sample->weight);
    add(&totals.all, &sample->weight);
    totals.samples_live++;
    totals.samples_all++;
    if (totals.live.bytes > totals.peak_bytes) {
        totals.peak_bytes = totals.live.bytes;
        epoch++;
    }
}

static void count_out(const struct pym_sample *sample)
{
    keep_peak(sample->stack);
    subtract(&sample->stack->live, &sample->weight);
    subtract(&totals.live, &sample->weight);
    totals.samples_live--;
}

/* ---- the list ---- */

static void link_in(struct pym_sample *sample)
{
    sample->prev = NULL;
    sample->next = live;
    if (live != NULL) {
        live->prev = sample;
    }
    live = sample;
}

static void unlink_it(struct pym_sample *sample)
{
    if (sample->prev != NULL) {
        sample->prev->next = sample->next;
    } else {
        live = sample->next;
    }
    if (sample->next != NULL) {
        sample->next->prev = sample->prev;
    }
}

static struct pym_sample *make(void)
{
    struct pym_sample *sample = unused;
    if (sample == NULL) {
        return pym_slab_cut(&slab, pym_round_up(sizeof(*sample), PYM_GRAIN), SLAB_SIZE);
    }
    unused = sample->next;
    return sample;
}

/* ---- the life of a sample ---- */

/* The stack that the caller, whose frame is at a place, is called from.  With the lock,
 * which is given away for the walk. */
static struct pym_stack *current_stack(const void *place)
{
    struct pym_stack *stack = pym_stacks_recall(place);
    if (stack != NULL) {
        return stack;
    }
    struct pym_frame frame[PYM_STACKS_FRAMES];
    pym_unlock(&lock);
    unsigned frames = (unsigned)pym_trace_walk(frame, PYM_STACKS_FRAMES);
    pym_lock(&lock);
    stack = pym_stacks_find(frame, frames);
    if (stack != NULL && frames != 0) {
        pym_stacks_remember(place, stack, frame);
    }
    return stack;
}

PYM_NOINLINE struct pym_sample *pym_samples_begin(const void *block,
                                                  const struct pym_weight *weight)
{
    pym_lock(&lock);
    struct pym_stack *stack = current_stack(__builtin_frame_address(0));
    struct pym_sample *sample = stack != NULL ? make() : NULL;
    if (sample != NULL) {
        sample->stack = stack;
        sample->weight = *weight;
        sample->since_ms = pym_os_now_ms();
        sample->block = block;
        sample->life = life;
        count_in(sample);
        link_in(sample);
    }
    pym_unlock(&lock);
    return sample;
}

void pym_samples_end(struct pym_sample *sample, const void *block)
{
    pym_lock(&lock);
    if (sample->life == life && sample->block == block) {
        count_out(sample);
        unlink_it(sample);
        sample->block = NULL;
        sample->next = unused;
        unused = sample;
    }
    pym_unlock(&lock);
}

void pym_samples_after_fork(void)
{
    if (pym_lock_reset(&lock)) {
        pym_stacks_forget();
        live = unused = NULL;
        slab = (struct pym_slab){NULL, 0};
        totals = (struct pym_samples_totals){0};
        life++;
    }
}

/* ---- reading ---- */

struct pym_samples_totals pym_samples_totals(void)
{
    pym_lock(&lock);
    struct pym_samples_totals copy = totals;
    pym_unlock(&lock);
    return copy;
}

size_t pym_samples_copy(struct pym_sample *copy, size_t most)
{
    size_t count = 0;
    pym_lock(&lock);
    for (const struct pym_sample *sample = live; sample != NULL && count < most;
         sample = sample->next) {
        copy[count++] = *sample;
    }
    pym_unlock(&lock);
    return count;
}

static struct pym_stack *first_stack(size_t i)
{
    pym_lock(&lock);
    struct pym_stack *stack = pym_stacks_bucket(i);
    pym_unlock(&lock);
    return stack;
}

static struct pym_samples_figures figures_of(const struct pym_stack *stack)
{
    pym_lock(&lock);
    struct pym_samples_figures figures = {
        .live = stack->live, .all = stack->all, .peak = peak_of(stack)};
    pym_unlock(&lock);
    return figures;
}

void pym_samples_each_stack(void (*visit)(void *arg, const struct pym_stack *stack,
                                          const struct pym_samples_figures *figures),
                            void *arg)
{
    for (size_t i = 0; i < PYM_STACKS_BUCKETS; i++) {
        for (struct pym_stack *stack = first_stack(i); stack != NULL;
             stack = stack->next) {
            struct pym_samples_figures figures = figures_of(stack);
            visit(arg, stack, &figures);
        }
    }
}
