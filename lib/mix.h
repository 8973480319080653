/*
 * How malloc tells requests for small blocks from those for larger ones.
 *
 * As a rule by a branch, which costs nothing where a processor foresees it.  A thread
 * that asks for both in no order that can be learned pays for a wrong guess at every
 * second request, which is more than all the rest of a hit.  Its requests are served by
 * pym_mix_take, which takes the same steps for both kinds: it finds the list by a mask
 * instead of a branch.
 *
 *   apart ---> trial ---> apart
 *                    ---> mixed ---> trial, apart
 *
 * A trial looks at the kinds of a few requests.  In a trial and in mixed mode the
 * thread's small_end and cached_end are 0, so that every request comes to
 * pym_alloc_large.
 *
 * Used by the thread that has the heap.
 */
#ifndef PYM_MIX_H
#define PYM_MIX_H

#include "heap.h"

/* Not where free blocks are poisoned or links are coded: small blocks otherwise than
 * those of the system. */
#define PYM_MIX (!PYM_HARDENED && !PYM_ASAN)

/* Lets the calling thread be served as the heap says that it now has; NULL: none. */
void pym_mix_set(struct pym_heap *heap);

/* Begins a trial if both kinds are asked for.  Called when so many requests have been
 * counted as the mixer awaits. */
void pym_mix_look(struct pym_heap *heap);

/* A request in a trial, which may be the last of it. */
void pym_mix_note(struct pym_heap *heap, bool is_large);

/* Whether the kinds of 64 requests, a bit each, come in no order that repeats itself.
 */
bool pym_mix_is_random(uint64_t kinds);

/*
 * A block from the bin or from the thread's cache for a request of last + 1 bytes, last
 * < mixed_end; NULL if there is none.  After it the cache's countdown may be 0.
 */
PYM_INLINE void *pym_mix_take(struct pym_syscache *cache, size_t last)
{
    /* Of a bin, "bytes" is what comes behind it, another bin or the thread's heap, and
     * is not used. */
    typedef int64_t number __attribute__((may_alias));
    _Static_assert(offsetof(struct pym_thread, bin) == 0 &&
                       offsetof(struct pym_thread, heap) == sizeof(pym_thread.bin),
                   "something lies behind the last bin");
    /* All bits, or none: a shift of the sign, which compilers make no branch of. */
    uintptr_t large = (uintptr_t)(((intptr_t)PYM_SMALL_MAX - 1 - (intptr_t)last) >>
                                  (sizeof(intptr_t) * 8 - 1));
    uintptr_t bin = (uintptr_t)pym_thread.bin +
                    (last >> PYM_GRAIN_SHIFT) * sizeof(pym_thread.bin[0]);
    uintptr_t cached =
        (uintptr_t)pym_syscache_bin_at(cache, last >> PYM_CACHED_STEP_SHIFT);
    uintptr_t list = bin ^ ((bin ^ cached) & large);
    void **head = (void **)list;
    void *block = *head;
    if (PYM_LIKELY(block != NULL)) {
        /* models/remote.pml: pop */
        *head = pym_chunk_link_get(block);
        cache->left += *(number *)(list + offsetof(struct pym_syscache_bin, bytes)) &
                       (int64_t)large;
        cache->countdown += (uint32_t)large;
    }
    return block;
}

#endif
