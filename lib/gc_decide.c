#include "gc_dispose.h"
#include "gc_phase.h"

/* Moves a suspect to those that are decided on now. */
static void enter_batch(struct gc_cycle *cycle, size_t index)
{
    struct gc_collection *run = &cycle->run;
    struct pygc_header *header = cycle->suspects.at[index];
    cycle->suspects.at[index] = NULL;
    if (gc_take_off_hand(header) && gc_is_still_there(cycle, header) &&
        gc_is_candidate(run, header)) {
        run->failed |= !gc_vector_push(&run->garbage, header);
    }
}

static void enter_group(struct gc_cycle *cycle, size_t index)
{
    uint32_t i = (uint32_t)index;
    do {
        enter_batch(cycle, i);
        i = cycle->groups.next[i];
    } while (i != index);
}

/* How much may be decided on in what is left of the slice, half of which is for the
 * case that it takes longer. */
static uint64_t batch_weight(const struct gc_cycle *cycle)
{
    enum { AT_LEAST = 16 };
    if (cycle->deadline == 0) {
        return AT_LEAST;
    }
    uint64_t now = gc_now();
    uint64_t left = cycle->deadline > now ? cycle->deadline - now : 0;
    uint64_t weight = left / 2 / cycle->run.heap->disposal_cost;
    return weight > AT_LEAST || cycle->has_worked ? weight : AT_LEAST;
}

static void note_if_oversized(struct gc_cycle *cycle, uint64_t weight)
{
    cycle->run.heap->oversized +=
        cycle->deadline != 0 && weight * cycle->run.heap->disposal_cost > cycle->target;
}

/* Fills the batch with whole groups.  False if none fits any more.  A group too large
 * for any slice has one to itself. */
static bool fill_batch(struct gc_cycle *cycle, uint64_t most, uint64_t *weight)
{
    struct gc_vector *suspects = &cycle->suspects;
    *weight = 0;
    for (; cycle->at < suspects->count && !cycle->run.failed; cycle->at++) {
        if (suspects->at[cycle->at] == NULL) {
            continue;
        }
        uint64_t more = cycle->has_groups ? gc_groups_weight(&cycle->groups, cycle->at)
                                          : suspects->count;
        if (*weight + more > most && (*weight > 0 || cycle->has_worked)) {
            return *weight > 0;
        }
        note_if_oversized(cycle, more);
        *weight += more;
        if (cycle->has_groups) {
            enter_group(cycle, cycle->at);
        } else {
            while (cycle->at < suspects->count) {
                enter_batch(cycle, cycle->at++);
            }
        }
    }
    return *weight > 0;
}

/* Of the objects in the batch; nothing else runs meanwhile, but what they have asked
 * for. */
static void decide(struct gc_cycle *cycle)
{
    struct gc_collection *run = &cycle->run;
    run->failed |= !gc_scratch_prepare(run->heap);
    run->scratch = run->heap->scratch;
    run->is_sliced = false;
    gc_keep_garbage(run);
    if (!run->failed) {
        run->kinds = 0;
        for (size_t i = 0; i < run->garbage.count; i++) {
            run->kinds |= gc_kinds_of(run->garbage.at[i]);
        }
        cycle->uncollectable += gc_dispose(run);
        cycle->found += run->garbage.count;
    }
    run->is_sliced = true;
    run->garbage.count = 0;
}

/* A cost that has grown is believed at once. */
static void learn_disposal_cost(struct gc_cycle *cycle, uint64_t measured)
{
    uint64_t before = cycle->run.heap->disposal_cost;
    cycle->run.heap->disposal_cost =
        measured > before ? measured : (7 * before + measured) / 8;
}

bool gc_decide_on_suspects(struct gc_cycle *cycle)
{
    uint64_t weight;
    while (cycle->at < cycle->suspects.count) {
        if (!fill_batch(cycle, batch_weight(cycle), &weight)) {
            return cycle->at == cycle->suspects.count;
        }
        uint64_t begin = gc_now();
        decide(cycle);
        cycle->has_worked = true;
        if (cycle->run.failed) {
            return true;
        }
        learn_disposal_cost(cycle, (gc_now() - begin) / weight + 1);
    }
    return true;
}
