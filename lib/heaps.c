#include "heaps.h"

#include "arena.h"
#include "check.h"
#include "mix.h"
#include "options.h"
#include "os.h"
#include "profile.h"
#include "slab.h"
#include "track.h"

#include <errno.h>
#include <string.h>

/* Heaps are cut off mappings of this size. */
enum { SLAB_SIZE = 65536 };
/* An orphan keeps what it has cached for so many times the decay.  So often orphans are
 * looked at, and so many are worked on then. */
enum { IDLE_DECAYS = 4, TEND_PAUSE_MS = 100, TEND_MOST = 4 };

static struct pym_lock lock = PYM_LOCK_INIT(PYM_RANK_HEAPS);

/* Guarded by the lock; all_heaps is only ever put to the front of, so that a
 * forked child finds it whole. */
static struct pym_heap *all_heaps;
static struct pym_heap *orphans;
static struct pym_heaps_totals totals;
static struct pym_slab slab;

/* Set when an orphan may have something in its inbox.  Who pushes writes the inbox,
 * then reads the state and this; who works on an orphan writes these, then reads the
 * inbox.  One of them must see what the other wrote: hence sequential consistency of
 * all these, which only stores of the state and of this, being rare, pay for. */
static _Atomic bool orphan_mail;

static struct pym_lock emergency_lock = PYM_LOCK_INIT(PYM_RANK_EMERGENCY);
static struct pym_heap emergency PYM_RARE_TABLE;

/* ---- new heaps ---- */

static void add_heap(struct pym_heap *heap)
{
    heap->bins = heap->saved;
    pym_syscache_init(&heap->cache);
    heap->next = all_heaps;
    pym_snapshot_order();
    all_heaps = heap;
    heap->number = (unsigned)++totals.heaps;
}

static struct pym_heap *make_heap(void)
{
    size_t size = pym_round_up(sizeof(struct pym_heap), PYM_CACHE_LINE);
    struct pym_heap *heap = pym_slab_cut(&slab, size, SLAB_SIZE);
    if (heap != NULL) {
        add_heap(heap);
    }
    return heap;
}

/* ---- changing hands ---- */

static void set_state(struct pym_heap *heap, enum pym_heap_state state)
{
    atomic_store_explicit(&heap->state, state, memory_order_seq_cst);
}

static enum pym_heap_state state_of(const struct pym_heap *heap)
{
    return (enum pym_heap_state)atomic_load_explicit(&heap->state,
                                                     memory_order_seq_cst);
}

/* In a forked child it is left as it is, so that the parent's pages are not copied. */
static void push_orphan(struct pym_heap *heap, enum pym_heap_state state)
{
    heap->idle_since_ms = 0;
    heap->next_orphan = orphans;
    orphans = heap;
    totals.orphans++;
    set_state(heap, state);
}

static struct pym_heap *pop_orphan(void)
{
    struct pym_heap *heap = orphans;
    if (heap != NULL) {
        orphans = heap->next_orphan;
        totals.orphans--;
    }
    return heap;
}

/* Makes a heap that nobody else has the caller's to work on. */
static void claim(struct pym_heap *heap)
{
    bool broken = state_of(heap) == PYM_HEAP_BROKEN;
    /* models/orphans.pml: claim */
    set_state(heap, PYM_HEAP_LIVE);
    if (PYM_UNLIKELY(broken)) {
        pym_heap_recover(heap);
    }
}

void pym_heaps_start_sampling(struct pym_heap *heap)
{
    if (PYM_OPTION(guard) != 0 && heap != NULL) {
        pym_os_random(&heap->sampler.random, sizeof(heap->sampler.random));
        pym_sampler_next(&heap->sampler, PYM_OPTION(guard));
    }
    if (pym_profile_interval != 0 && heap != NULL) {
        uint64_t seed;
        pym_os_random(&seed, sizeof(seed));
        pym_poisson_start(&heap->poisson, pym_profile_interval, seed);
        pym_heap_empty_bins(heap);
    }
}

/* A new thread uses most classes little, whatever those before it did. */
static void hand_to_thread(struct pym_heap *heap)
{
    memset(heap->borrowed, 0, sizeof(heap->borrowed));
    pym_heap_move_bins(heap, pym_thread.bin);
    pym_thread.heap = heap;
    pym_mix_set(heap);
}

struct pym_heap *pym_heaps_attach(void)
{
    pym_lock(&lock);
    /* models/orphans.pml: adopt */
    struct pym_heap *heap = pop_orphan();
    if (heap == NULL) {
        /* models/orphans.pml: make */
        heap = make_heap();
        pym_heaps_start_sampling(heap);
    }
    if (heap != NULL) {
        claim(heap);
        hand_to_thread(heap);
    }
    pym_unlock(&lock);
    return heap;
}

void pym_heaps_detach(void)
{
    struct pym_heap *heap = pym_thread.heap;
    pym_remote_flush(&heap->outbox);
    pym_heap_drain(heap);
    pym_lock(&lock);
    pym_thread.heap = NULL;
    pym_mix_set(NULL);
    /* models/orphans.pml: let_go */
    pym_heap_move_bins(heap, heap->saved);
    /* models/orphans.pml: hand_on */
    push_orphan(heap, PYM_HEAP_ORPHAN);
    heap->idle_since_ms = pym_os_now_ms();
    pym_unlock(&lock);
    /* models/orphans.pml: look_again */
    /* What came in before the state was set was not announced as an orphan's. */
    pym_heaps_note_mail(heap);
}

void pym_heaps_note_mail(const struct pym_heap *heap)
{
    /* models/orphans.pml: note_mail */
    if (state_of(heap) != PYM_HEAP_LIVE && !pym_inbox_empty(&heap->inbox) &&
        !atomic_load_explicit(&orphan_mail, memory_order_seq_cst)) {
        atomic_store_explicit(&orphan_mail, true, memory_order_seq_cst);
    }
}

/* ---- work on orphans ---- */

/* Works on an orphan, which is the caller's meanwhile.  What comes in after the work,
 * and before the state is set, is not announced as an orphan's: as at a thread's end.
 */
static void work_on(struct pym_heap *heap, void (*work)(struct pym_heap *heap))
{
    claim(heap);
    work(heap);
    /* models/orphans.pml: put_back */
    set_state(heap, PYM_HEAP_ORPHAN);
    /* models/orphans.pml: look_again_after_work */
    pym_heaps_note_mail(heap);
}

static void for_each_orphan(void (*work)(struct pym_heap *heap))
{
    pym_lock(&lock);
    for (struct pym_heap *heap = orphans; heap != NULL; heap = heap->next_orphan) {
        work_on(heap, work);
    }
    pym_unlock(&lock);
}

static void drain(struct pym_heap *heap)
{
    if (!pym_inbox_empty(&heap->inbox)) {
        heap->idle_since_ms = pym_os_now_ms();
        pym_heap_drain(heap);
    }
}

void pym_heaps_drain_orphans(void)
{
    if (PYM_LIKELY(!atomic_load_explicit(&orphan_mail, memory_order_relaxed))) {
        return;
    }
    /* models/orphans.pml: take_down */
    atomic_store_explicit(&orphan_mail, false, memory_order_seq_cst);
    for_each_orphan(drain);
}

/* Those that wait longest are adopted last, if ever. */
static void strip_idle(uint64_t now_ms)
{
    uint64_t wait = IDLE_DECAYS * PYM_OPTION(decay);
    int left = TEND_MOST;
    for (struct pym_heap *heap = orphans; heap != NULL && left > 0;
         heap = heap->next_orphan) {
        uint64_t since = heap->idle_since_ms;
        if (since != 0 && now_ms >= since && now_ms - since >= wait) {
            heap->idle_since_ms = 0;
            work_on(heap, pym_heap_strip);
            left--;
        }
    }
}

void pym_heaps_tend_orphans(uint64_t now_ms)
{
    static _Atomic uint64_t next_ms;
    if (PYM_LIKELY(now_ms < atomic_load_explicit(&next_ms, memory_order_relaxed))) {
        return;
    }
    atomic_store_explicit(&next_ms, now_ms + TEND_PAUSE_MS, memory_order_relaxed);
    pym_heaps_drain_orphans();
    if (pym_lock_try(&lock)) {
        strip_idle(now_ms);
        pym_unlock(&lock);
    }
}

/* In a child of a fork that caught its lock held.  Guarded by that lock. */
static void mend_emergency(void)
{
    if (PYM_UNLIKELY(state_of(&emergency) == PYM_HEAP_BROKEN)) {
        claim(&emergency);
    }
}

void pym_heaps_purge(void)
{
    pym_heap_request_purge();
    if (pym_thread.heap != NULL) {
        pym_heap_purge(pym_thread.heap);
    }
    for_each_orphan(pym_heap_purge);
    pym_lock(&emergency_lock);
    if (emergency.bins != NULL) {
        mend_emergency();
        pym_heap_purge(&emergency);
    }
    pym_unlock(&emergency_lock);
}

/* Bytes of all heaps; other threads may be adding theirs. */
static PYM_RACY size_t pages_returned(void)
{
    size_t bytes = 0;
    pym_lock(&lock);
    for (struct pym_heap *heap = all_heaps; heap != NULL; heap = heap->next) {
        bytes += heap->scavenger.bytes;
    }
    pym_unlock(&lock);
    return bytes;
}

size_t pym_heaps_give_back(size_t keep, bool *trimmed)
{
    size_t before = pages_returned();
    pym_heaps_purge();
    size_t bytes = pages_returned() - before + pym_arena_purge_all();
    int saved = errno;
    *trimmed = pym_sysalloc.trim != NULL && pym_sysalloc.trim(keep) != 0;
    errno = saved;
    return bytes;
}

/* ---- the emergency heap ---- */

void *pym_heaps_emergency_block(unsigned cls)
{
    pym_lock(&emergency_lock);
    if (emergency.bins == NULL) {
        pym_lock(&lock);
        add_heap(&emergency);
        pym_unlock(&lock);
    }
    mend_emergency();
    void **bin = &emergency.bins[cls];
    void *block = *bin;
    if (block != NULL) {
        *bin = pym_link_get(block);
    } else {
        block = pym_heap_refill(&emergency, cls);
    }
    pym_unlock(&emergency_lock);
    return block;
}

/* ---- looking ---- */

void pym_heaps_hold(void)
{
    pym_lock(&emergency_lock);
    pym_lock(&lock);
}

void pym_heaps_release(void)
{
    pym_unlock(&lock);
    pym_unlock(&emergency_lock);
}

void pym_heaps_each(void (*look)(struct pym_heap *heap, bool idle, void *arg),
                    void *arg)
{
    pym_heaps_hold();
    for (struct pym_heap *heap = all_heaps; heap != NULL; heap = heap->next) {
        if (state_of(heap) == PYM_HEAP_BROKEN) {
            pym_heap_recover(heap);
            set_state(heap, heap == &emergency ? PYM_HEAP_LIVE : PYM_HEAP_ORPHAN);
        }
        bool idle = heap == pym_thread.heap || heap == &emergency ||
                    state_of(heap) == PYM_HEAP_ORPHAN;
        look(heap, idle, arg);
    }
    pym_heaps_release();
}

void pym_heaps_totals(struct pym_heaps_totals *out)
{
    pym_lock(&lock);
    *out = totals;
    pym_unlock(&lock);
}

/* ---- fork ---- */

/*
 * The memory of a thread that is gone is still there, so its bins can be read.
 * Whole orphans go to the front of the list, so that they are adopted first and
 * most children never have to recover a heap.
 */
static void orphan_after_fork(struct pym_heap *heap)
{
    if (heap->bins != heap->saved) {
        memcpy(heap->saved, heap->bins, sizeof(heap->saved));
        heap->bins = heap->saved;
    }
    push_orphan(heap, PYM_HEAP_BROKEN);
}

void pym_heaps_after_fork(void)
{
    bool emergency_held = pym_lock_reset(&emergency_lock);
    bool held = pym_lock_reset(&lock);
    orphans = NULL;
    totals.heaps = totals.orphans = 0;
    for (struct pym_heap *heap = all_heaps; heap != NULL; heap = heap->next) {
        totals.heaps++;
        if (heap == &emergency) {
            if (emergency_held) {
                set_state(heap, PYM_HEAP_BROKEN);
            }
        } else if (heap != pym_thread.heap &&
                   (held || state_of(heap) != PYM_HEAP_ORPHAN)) {
            orphan_after_fork(heap);
        }
    }
    for (struct pym_heap *heap = all_heaps; heap != NULL; heap = heap->next) {
        if (heap != pym_thread.heap && heap != &emergency &&
            state_of(heap) == PYM_HEAP_ORPHAN) {
            push_orphan(heap, PYM_HEAP_ORPHAN);
        }
    }
}
