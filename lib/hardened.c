#include "hardened.h"

#if PYM_HARDENED

#include "alloc.h"
#include "canary.h"
#include "guard.h"
#include "held.h"
#include "judge.h"
#include "ledger.h"
#include "os.h"
#include "quarantine.h"
#include "report.h"

#include <errno.h>
#include <string.h>

enum { TAIL_MOST = 16, CHUNK_TAIL = 8 };

/* ---- blocks of no bytes ---- */

/* Addresses that nothing can be read from or written to: of an arena that never becomes
 * usable, one after the other. */
static void *empty_block(void)
{
    enum { PLACES = PYM_ARENA_SIZE / PYM_GRAIN, TRIES = 64 };
    static _Atomic uint32_t next;
    if (pym_region_limit() == 0) {
        return NULL;
    }
    size_t first = pym_region_first_state();
    for (int i = 0; i < TRIES; i++) {
        uint32_t place = atomic_fetch_add_explicit(&next, 1, memory_order_relaxed);
        size_t offset = first + place % PLACES * PYM_GRAIN;
        _Atomic uint8_t *state = pym_region_state_at(offset);
        uint8_t was = atomic_load_explicit(state, memory_order_relaxed);
        if ((was & PYM_BLOCK_LIVE) == 0 &&
            atomic_compare_exchange_strong_explicit(
                state, &was, PYM_BLOCK_LIVE | PYM_TAIL_MASK, memory_order_relaxed,
                memory_order_relaxed)) {
            return (void *)(pym_region_base + offset);
        }
    }
    return NULL;
}

/* ---- handing out ---- */

PYM_INLINE void *make_live(char *block, size_t size, size_t block_size, uint64_t first)
{
    *(pym_pair *)(void *)block = (pym_pair){first, first};
    pym_canary_set_small(block, block_size);
    size_t tail = block_size - size;
    uint8_t now = tail <= TAIL_MOST
                      ? (uint8_t)(PYM_BLOCK_LIVE | (tail - 1))
                      : (uint8_t)(PYM_BLOCK_LIVE | PYM_BLOCK_MORE | (TAIL_MOST - 1));
    atomic_store_explicit(pym_region_state_at(pym_region_offset(block)), now,
                          memory_order_release);
    return block;
}

/* A block that nobody had before, or that is not as it was left. */
static PYM_NOINLINE void *admit_unusual(char *block, size_t size, size_t block_size)
{
    uint8_t was = atomic_load_explicit(pym_region_state_at(pym_region_offset(block)),
                                       memory_order_relaxed);
    if (was == PYM_BLOCK_NEVER) {
        return make_live(block, size, block_size, 0);
    }
    if (was != PYM_BLOCK_FREED) {
        pym_harden_broken_link(block);
    }
    pym_complain_of_write(block, block_size);
    return make_live(block, size, block_size, pym_harden_filling);
}

/* What was in use before is as it was left, but for its first 16 bytes, where the free
 * list's link was. */
PYM_INLINE void *admit_small(char *block, size_t size, size_t block_size)
{
    uint8_t was = atomic_load_explicit(pym_region_state_at(pym_region_offset(block)),
                                       memory_order_relaxed);
    if (PYM_UNLIKELY(was != PYM_BLOCK_FREED ||
                     !pym_canary_is_filled(block + 16, block_size - 16))) {
        return admit_unusual(block, size, block_size);
    }
    return make_live(block, size, block_size, pym_harden_filling);
}

static PYM_NOINLINE void *admit_chunk(void *block, size_t size, size_t asked)
{
    size_t tail = asked - size < CHUNK_TAIL ? asked - size : CHUNK_TAIL;
    struct pym_ledger_entry entry = {.block = (uintptr_t)block,
                                     .size = size,
                                     .origin = PYM_BY_MALLOC,
                                     .tail = (uint8_t)tail,
                                     .front = pym_held_front(block)};
    if (!pym_ledger_add(entry)) {
        pym_alloc_free(block);
        errno = ENOMEM;
        return NULL;
    }
    return block;
}

/* Makes what alloc.h returned for asked bytes a block of size bytes. */
static PYM_NOINLINE void *admit(void *block, size_t size, size_t asked)
{
    if (PYM_UNLIKELY(block == NULL)) {
        return NULL;
    }
    if (!pym_region_owns(block)) {
        return admit_chunk(block, size, asked);
    }
    return admit_small(block, size, pym_class_size(pym_region_pool_of(block)->cls));
}

static bool is_impossible(size_t size)
{
    if (PYM_UNLIKELY(size > PTRDIFF_MAX - CHUNK_TAIL)) {
        errno = ENOMEM;
        return true;
    }
    return false;
}

static PYM_NOINLINE void *refill(size_t size)
{
    return admit(pym_alloc_refill(size + 1), size, size + 1);
}

/* One byte more than asked for is a small block as well. */
PYM_INLINE void *small(size_t size)
{
    size_t cls = size >> PYM_GRAIN_SHIFT;
    void **bin = &pym_thread.bin[cls];
    void *block = *bin;
    if (PYM_UNLIKELY(block == NULL)) {
        return refill(size);
    }
    *bin = pym_link_get(block);
    return admit_small(block, size, pym_class_size((unsigned)cls));
}

static PYM_NOINLINE void *large_or_empty(size_t size)
{
    if (size == 0) {
        void *block = empty_block();
        return block != NULL ? block : small(0);
    }
    if (is_impossible(size)) {
        return NULL;
    }
    return admit(pym_alloc_malloc(size + CHUNK_TAIL), size, size + CHUNK_TAIL);
}

static bool is_small(size_t size)
{
    return size - 1 < PYM_SMALL_MAX - 1;
}

void *pym_hardened_malloc(size_t size)
{
    return PYM_LIKELY(is_small(size)) ? small(size) : large_or_empty(size);
}

void *pym_hardened_calloc(size_t count, size_t size)
{
    size_t bytes;
    if (PYM_UNLIKELY(__builtin_mul_overflow(count, size, &bytes))) {
        errno = ENOMEM;
        return NULL;
    }
    if (bytes == 0) {
        return pym_hardened_malloc(0);
    }
    if (is_small(bytes)) {
        void *block = small(bytes);
        return block != NULL ? memset(block, 0, bytes) : NULL;
    }
    if (is_impossible(bytes)) {
        return NULL;
    }
    return admit(pym_alloc_calloc(1, bytes + CHUNK_TAIL), bytes, bytes + CHUNK_TAIL);
}

void *pym_hardened_aligned(size_t alignment, size_t size)
{
    if (pym_is_power_of_two(alignment) && alignment <= PYM_GRAIN && size != 0) {
        return pym_hardened_malloc(size);
    }
    if (is_impossible(size)) {
        return NULL;
    }
    size_t asked = size + CHUNK_TAIL;
    return admit(pym_alloc_aligned(alignment, asked), size, asked);
}

/* ---- taking back ---- */

/* Whether a block may be freed by whom it is freed by. */
static bool check_origin(const void *block, size_t size, unsigned made_by,
                         unsigned freed_by)
{
    if (PYM_LIKELY(made_by == freed_by || PYM_OPTION(mismatch) == 0)) {
        return true;
    }
    pym_report_misuse(freed_by == PYM_BY_MALLOC ? "free of memory from operator new"
                      : made_by == PYM_BY_MALLOC
                          ? "delete of memory from malloc"
                          : "delete of memory from operator new[]",
                      block, size);
    return false;
}

/* Returns whether the block, in a state that its free does not expect, is to be freed.
 */
static bool examine(void *block, size_t offset, uint8_t state, unsigned freed_by)
{
    if ((state & PYM_BLOCK_LIVE) == 0) {
        pym_judge(PYM_FREE, block);
        return false;
    }
    return check_origin(block, pym_held_small_size(offset, state),
                        state >> PYM_ORIGIN_SHIFT & PYM_ORIGIN_MASK, freed_by);
}

PYM_INLINE void retire(char *block, size_t offset, size_t block_size)
{
    atomic_store_explicit(pym_region_state_at(offset), PYM_BLOCK_WAITING,
                          memory_order_relaxed);
    pym_canary_fill(block, block_size);
    pym_quarantine_small(block);
}

/* What is no block, or an empty one, or not freed as it was made, or damaged. */
static PYM_NOINLINE void release_unusual(char *block, size_t offset, unsigned freed_by)
{
    if (offset % PYM_GRAIN != 0 || offset < pym_region_first_state()) {
        pym_judge(PYM_FREE, block);
        return;
    }
    _Atomic uint8_t *state = pym_region_state_at(offset);
    uint8_t was = atomic_load_explicit(state, memory_order_acquire);
    if ((was & ~(PYM_BLOCK_MORE | PYM_TAIL_MASK)) !=
            (PYM_BLOCK_LIVE | freed_by << PYM_ORIGIN_SHIFT) &&
        !examine(block, offset, was, freed_by)) {
        return;
    }
    if (pym_held_is_empty_place(offset)) {
        atomic_store_explicit(state, PYM_BLOCK_FREED, memory_order_relaxed);
        return;
    }
    size_t block_size = pym_class_size(pym_region_pool_at(offset)->cls);
    if (!pym_canary_is_small_whole(block, block_size, (was & PYM_TAIL_MASK) + 1u)) {
        pym_complain_of_overflow(block, block_size);
    }
    retire(block, offset, block_size);
}

PYM_INLINE void release_small(char *block, size_t offset, unsigned freed_by)
{
    if (PYM_UNLIKELY(offset % PYM_GRAIN != 0 || offset < pym_region.first_arena
                                                             << PYM_ARENA_SHIFT)) {
        release_unusual(block, offset, freed_by);
        return;
    }
    unsigned was =
        atomic_load_explicit(pym_region_state_at(offset), memory_order_acquire);
    size_t block_size = pym_class_size(pym_region_pool_at(offset)->cls);
    unsigned expected = PYM_BLOCK_LIVE | freed_by << PYM_ORIGIN_SHIFT;
    if (PYM_UNLIKELY((was & ~(unsigned)(PYM_BLOCK_MORE | PYM_TAIL_MASK)) != expected ||
                     !pym_canary_is_small_whole(block, block_size,
                                                (was & PYM_TAIL_MASK) + 1u))) {
        release_unusual(block, offset, freed_by);
        return;
    }
    retire(block, offset, block_size);
}

/* Which need not be a multiple of 16 bytes. */
static void fill(char *start, const char *end)
{
    memset(start, (int)(pym_harden_filling & 0xff), (size_t)(end - start));
}

/* Pages read as zero if the system takes the memory behind them.  It does not if they
 * are shared, or part of a huge one: the last byte shows it. */
static bool is_purged(char *start, char *end)
{
    end[-1] = 1;
    return pym_os_purge(start, (size_t)(end - start)) == 0 && end[-1] == 0;
}

/* All of a system block.  What a program never touched of a large one has no memory,
 * and should get none here. */
static void wipe(char *block, size_t size)
{
    size_t page = pym_os_page_size();
    char *end = block + size;
    char *first = (char *)pym_round_up((uintptr_t)block, page);
    char *last = end - (uintptr_t)end % page;
    if (size > PYM_CACHED_MAX && first < last && pym_harden_filling == 0 &&
        is_purged(first, last)) {
        fill(block, first);
        fill(last, end);
        return;
    }
    fill(block, end);
}

static PYM_NOINLINE void release_chunk(void *block, unsigned freed_by)
{
    struct pym_ledger_entry entry =
        pym_ledger_change(block, PYM_LEDGER_LIVE, PYM_LEDGER_FREED);
    size_t size = (size_t)entry.size;
    if (entry.state != PYM_LEDGER_LIVE) {
        pym_judge(PYM_FREE, block);
        return;
    }
    if (!check_origin(block, size, entry.origin, freed_by)) {
        (void)pym_ledger_change(block, PYM_LEDGER_FREED, PYM_LEDGER_LIVE);
        return;
    }
    if (!pym_held_is_front_whole(
            &entry)) { /* the system allocator would not know its size */
        pym_complain_of_underflow(block, size);
        return;
    }
    if (!pym_canary_is_whole(block, size, entry.tail)) {
        pym_complain_of_overflow(block, size);
    }
    bool is_to_wait = pym_quarantine_takes(size) && !pym_guard_owns(block);
    if (PYM_OPTION(zero) != 0) {
        wipe(block, size);
    } else if (is_to_wait) {
        pym_canary_fill(block, pym_quarantine_part(size));
    }
    if (is_to_wait) {
        pym_quarantine_chunk(block, size);
    } else {
        pym_alloc_free(block);
    }
}

PYM_INLINE void release(void *block, unsigned freed_by)
{
    size_t offset = pym_region_offset(block);
    if (PYM_LIKELY(offset < pym_region_limit())) {
        release_small(block, offset, freed_by);
    } else if (block != NULL) {
        release_chunk(block, freed_by);
    }
}

void pym_hardened_free(void *block)
{
    release(block, PYM_BY_MALLOC);
}

void pym_hardened_delete(void *block)
{
    release(block, PYM_BY_NEW);
}

/* ---- sizes ---- */

size_t pym_hardened_usable_size(void *block)
{
    struct pym_held held = block != NULL ? pym_hold(block) : (struct pym_held){0};
    return held.is_live ? held.size : 0; /* none invites to use what is freed */
}

static void *move(void *block, const struct pym_held *held, size_t size)
{
    void *moved = pym_hardened_malloc(size);
    if (moved == NULL) {
        return NULL;
    }
    memcpy(moved, block, held->size < size ? held->size : size);
    release(block, held->origin);
    return moved;
}

/* Blocks so large may be moved by the system without copying.  There is no way back
 * then, so there must be room to enter the new one, wherever it lies. */
static void *resize_chunk(void *block, const struct pym_held *held, size_t size)
{
    if (!pym_ledger_reserve()) {
        return move(block, held, size);
    }
    (void)pym_ledger_change(block, PYM_LEDGER_LIVE, PYM_LEDGER_FREED);
    size_t asked = size + CHUNK_TAIL;
    void *moved = pym_alloc_realloc(block, asked);
    if (moved == NULL) {
        (void)pym_ledger_change(block, PYM_LEDGER_FREED, PYM_LEDGER_LIVE);
        return NULL;
    }
    moved = admit(moved, size, asked);
    return moved != NULL ? pym_hardened_mark(moved, PYM_BY_MALLOC, held->origin) : NULL;
}

/* Whether a small block stays where it is; then it ends elsewhere. */
static bool resize_in_place(char *block, const struct pym_held *held, size_t size)
{
    size_t block_size = held->size + held->tail;
    if (size >= block_size || block_size - size > TAIL_MOST || !held->is_exact ||
        !pym_region_owns(block) || held->size == 0) {
        return false;
    }
    size_t tail = block_size - size;
    pym_canary_set(block, size, tail);
    uint8_t state =
        (uint8_t)((unsigned)PYM_BLOCK_LIVE |
                  (unsigned)held->origin << PYM_ORIGIN_SHIFT | (unsigned)(tail - 1));
    atomic_store_explicit(pym_region_state_at(pym_region_offset(block)), state,
                          memory_order_release);
    return true;
}

void *pym_hardened_realloc(void *block, size_t size)
{
    if (block == NULL) {
        return pym_hardened_malloc(size);
    }
    if (size == 0) {
        pym_hardened_free(block);
        return NULL;
    }
    if (is_impossible(size)) {
        return NULL;
    }
    struct pym_held held = pym_hold(block);
    if (PYM_UNLIKELY(!held.is_live)) {
        pym_judge(PYM_REALLOC, block);
        errno = EINVAL;
        return NULL;
    }
    if (PYM_UNLIKELY(!held.is_front_whole)) {
        pym_complain_of_underflow(block, held.size);
        errno = EINVAL;
        return NULL;
    }
    if (PYM_UNLIKELY(!pym_canary_is_whole(block, held.size, held.tail))) {
        pym_complain_of_overflow(block, held.size);
        pym_canary_set(block, held.size, held.tail); /* reported once */
    }
    if (size == held.size || resize_in_place(block, &held, size)) {
        return block;
    }
    /* The system would not wipe what it leaves behind. */
    bool is_large = held.size > PYM_CACHED_MAX && size > PYM_CACHED_MAX;
    return is_large && PYM_OPTION(zero) == 0 ? resize_chunk(block, &held, size)
                                             : move(block, &held, size);
}

/* ---- C++ ---- */

void *pym_hardened_mark(void *block, enum pym_origin from, enum pym_origin to)
{
    size_t offset = pym_region_offset(block);
    if (offset >= pym_region_limit()) {
        if (block != NULL) {
            (void)pym_ledger_mark(block, (uint8_t)from, (uint8_t)to);
        }
        return block;
    }
    struct pym_held held = pym_hold_small(offset);
    if (held.is_live && held.origin == from) {
        _Atomic uint8_t *state = pym_region_state_at(offset);
        uint8_t was = atomic_load_explicit(state, memory_order_relaxed);
        uint8_t marked =
            (uint8_t)((was & ~((unsigned)PYM_ORIGIN_MASK << PYM_ORIGIN_SHIFT)) |
                      (unsigned)to << PYM_ORIGIN_SHIFT);
        atomic_store_explicit(state, marked, memory_order_relaxed);
    }
    return block;
}

void pym_hardened_check_array(void *block)
{
    struct pym_held held = pym_hold(block);
    if (held.is_live && held.origin == PYM_BY_NEW && PYM_OPTION(mismatch) != 0) {
        pym_report_misuse("delete[] of memory from operator new", block, held.size);
    }
    (void)pym_hardened_mark(block, PYM_BY_ARRAY_NEW, PYM_BY_NEW);
}

void pym_hardened_check_size(const char *complaint, void *block, size_t size)
{
    struct pym_held held = pym_hold(block);
    if (held.is_live && (held.is_exact ? size != held.size : size > held.size)) {
        pym_report_misuse(complaint, block, held.size);
    }
}

/* ---- looking at everything ---- */

struct verification {
    void (*report)(const char *what, const void *where);
    unsigned wrong;
};

static void note(struct verification *verification, const char *what, const void *where)
{
    verification->report(what, where);
    verification->wrong++;
}

static void verify_chunk(const struct pym_ledger_entry *entry, void *arg)
{
    struct verification *verification = arg;
    const void *block = (const void *)entry->block;
    if (!pym_canary_is_whole(block, (size_t)entry->size, entry->tail)) {
        note(verification, "write past the end of a block", block);
    }
    if (!pym_held_is_front_whole(entry)) {
        note(verification, "write before the start of a block", block);
    }
}

/* Another thread may free the block while it is looked at: then its state changes.  It
 * may even have been free and be back, but not twice in a row. */
static bool is_small_whole(size_t offset, uint8_t was)
{
    _Atomic uint8_t *state = pym_region_state_at(offset);
    const char *block = (const char *)pym_region_base + offset;
    size_t block_size = pym_class_size(pym_region_pool_at(offset)->cls);
    bool whole =
        pym_canary_is_small_whole(block, block_size, (was & PYM_TAIL_MASK) + 1u);
    atomic_thread_fence(memory_order_acquire);
    return whole || atomic_load_explicit(state, memory_order_relaxed) != was;
}

/* A free block of the thread's own pools: nobody else hands these out, and those who
 * bring them back change no more than their first 16 bytes. */
static bool is_own_free_untouched(size_t offset, uint8_t was)
{
    const struct pym_pool *pool = pym_region_pool_at(offset);
    const char *block = (const char *)pym_region_base + offset;
    return was != PYM_BLOCK_FREED || pool->owner != pym_thread.heap ||
           pym_canary_is_filled(block + 16, pym_class_size(pool->cls) - 16);
}

static void note_write(const void *block, void *arg)
{
    note(arg, "write after free", block);
}

unsigned pym_hardened_verify(void (*report)(const char *what, const void *where))
{
    struct verification verification = {report, 0};
    size_t from = pym_region.first_arena << PYM_ARENA_SHIFT;
    size_t end = pym_region_limit();
    for (size_t offset = from; offset < end; offset += PYM_GRAIN) {
        uint8_t was =
            atomic_load_explicit(pym_region_state_at(offset), memory_order_acquire);
        const char *block = (const char *)pym_region_base + offset;
        if ((was & PYM_BLOCK_LIVE) != 0 && !is_small_whole(offset, was) &&
            !is_small_whole(offset, was)) {
            note(&verification, "write past the end of a block", block);
        } else if (!is_own_free_untouched(offset, was)) {
            note(&verification, "write after free", block);
        }
    }
    pym_quarantine_verify(note_write, &verification);
    pym_ledger_each(verify_chunk, &verification);
    return verification.wrong;
}

#endif
