#include "mix.h"

enum {
    /* Requests that a trial looks at. */
    TRIAL = 64,
    /* Requests before it is first asked whether one is worth while, and from then on.
     */
    FIRST = 1 << 11,
    LATER = 1 << 15,
    /* It is if both kinds are at least this part of them. */
    PART = 8,
    /* Orders that repeat themselves after so many requests are foreseen. */
    LONGEST_PERIOD = 8,
    /* Requests of another kind than an order says, so that a branch costs more than the
     * longer way without it: one large one of six makes as many. */
    WRONG_LEAST = 18
};

/* Where the profile is to see every block, none is a hit. */
void pym_mix_set(struct pym_heap *heap)
{
    bool has_cache = heap != NULL && pym_syscache_usable;
    bool has_hits = has_cache && pym_profile_interval - 1 >= PYM_POISSON_EXACT;
    bool is_trial = heap != NULL && heap->mixer.awaited != 0;
    bool is_mixed = has_hits && !is_trial && heap->mixer.is_mixed;
    bool is_apart = !is_trial && !is_mixed;
    pym_thread.cache = has_cache ? &heap->cache : NULL;
    pym_thread.small_end = is_apart ? PYM_SMALL_MAX : 0;
    pym_thread.cached_end = is_apart && has_hits ? PYM_CACHED_MAX : 0;
    pym_thread.mixed_end = is_mixed ? PYM_CACHED_MAX : 0;
    pym_thread.hits_end = has_hits ? PYM_CACHED_MAX : 0;
}

bool pym_mix_is_random(uint64_t kinds)
{
    for (unsigned period = 1; period <= LONGEST_PERIOD; period++) {
        uint64_t wrong = (kinds ^ kinds >> period) & UINT64_MAX >> period;
        if (pym_count_bits((uint32_t)wrong) + pym_count_bits((uint32_t)(wrong >> 32)) <
            WRONG_LEAST) {
            return false;
        }
    }
    return true;
}

/* Whether both kinds were asked for since the last time. */
static bool asks_for_both(struct pym_heap *heap)
{
    struct pym_mixer *mixer = &heap->mixer;
    uint64_t all = heap->sampler.counted;
    uint64_t large = pym_syscache_hits(&heap->cache) + heap->cache.misses;
    uint64_t all_since = all - mixer->all;
    uint64_t large_since = large - mixer->large;
    mixer->all = all;
    mixer->large = large;
    uint64_t few = all_since / PART;
    return large_since > few && large_since < all_since - few;
}

void pym_mix_look(struct pym_heap *heap)
{
    struct pym_mixer *mixer = &heap->mixer;
    bool is_first = mixer->next_look == 0;
    mixer->next_look = heap->sampler.counted + (is_first ? FIRST : LATER);
    bool both = asks_for_both(heap);
    if (!PYM_MIX || is_first || heap != pym_thread.heap || pym_thread.hits_end == 0 ||
        mixer->awaited != 0) {
        return;
    }
    if (both) {
        mixer->awaited = TRIAL;
        pym_mix_set(heap);
    } else if (mixer->is_mixed) {
        mixer->is_mixed = false;
        pym_mix_set(heap);
    }
}

void pym_mix_note(struct pym_heap *heap, bool is_large)
{
    struct pym_mixer *mixer = &heap->mixer;
    mixer->kinds = mixer->kinds << 1 | is_large;
    if (--mixer->awaited == 0) {
        mixer->is_mixed = pym_mix_is_random(mixer->kinds);
        pym_mix_set(heap);
    }
}
