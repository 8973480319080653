#include "hardened.h"

#if PYM_HARDENED

#include "alloc.h"
#include "canary.h"
#include "guard.h"
#include "ledger.h"
#include "lifecycle.h"
#include "report.h"

#include <errno.h>
#include <string.h>

/*
 * The state of a small block:
 *
 *     | live | origin | more | canary bytes - 1 |
 *     7      6        5      4                  0
 *
 * or, with the first bit clear, one of these.  "more": the bytes in front of the canary
 * are not all the program's; the block was made larger for an alignment.
 */
enum {
    NEVER = 0,   /* no block was ever here */
    FREED = 1,   /* and may be handed out */
    WAITING = 2, /* in quarantine */
    LIVE = PYM_BLOCK_LIVE,
    ORIGIN_SHIFT = 5,
    ORIGIN_MASK = 3,
    MORE = 16,
    TAIL_MASK = 15,
};

enum { TAIL_MOST = 16, CHUNK_TAIL = 8 };

/* A block, wherever it lies, as its owner has it. */
struct held {
    size_t size; /* bytes that the program may use */
    size_t tail; /* bytes of canary that are known to follow */
    uint8_t origin;
    bool is_live;
    bool is_exact; /* size is what was asked for */
    bool is_front_whole;
};

/* ---- reports ---- */

static PYM_COLD void complain_of_overflow(const void *block, size_t size)
{
    pym_report_misuse("write past the end of a block", block, size);
}

static PYM_COLD void complain_of_underflow(const void *block, size_t size)
{
    pym_report_misuse("write before the start of a block", block, size);
}

static PYM_COLD void complain_of_write(const void *block, size_t size)
{
    pym_report_misuse("write after free", block, size);
}

/* ---- the word before a system block ---- */

/* The system allocator keeps the block's size there, where that is known to be so; one
 * of its bits tells of the block before and may change.  0: it is not known. */
static uint32_t front_of(const void *block)
{
    enum { NEIGHBOUR = 1 };
    if (!pym_syscache_usable) {
        return 0;
    }
    uint64_t word = pym_sysalloc_chunk_word(block) & ~(size_t)NEIGHBOUR;
    return (uint32_t)(word ^ word >> 32);
}

/* Of a live block. */
static bool is_front_whole(const struct pym_ledger_entry *entry)
{
    return entry->front == 0 || entry->front == front_of((void *)entry->block);
}

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
        if ((was & LIVE) == 0 && atomic_compare_exchange_strong_explicit(
                                     state, &was, LIVE | TAIL_MASK,
                                     memory_order_relaxed, memory_order_relaxed)) {
            return (void *)(pym_region_base + offset);
        }
    }
    return NULL;
}

static bool is_empty_block(size_t offset)
{
    return offset - pym_region_first_state() < PYM_ARENA_SIZE;
}

/* ---- handing out ---- */

PYM_INLINE void *make_live(char *block, size_t size, size_t block_size, uint64_t first)
{
    *(pym_pair *)(void *)block = (pym_pair){first, first};
    pym_canary_set_small(block, block_size);
    size_t tail = block_size - size;
    uint8_t now = tail <= TAIL_MOST ? (uint8_t)(LIVE | (tail - 1))
                                    : (uint8_t)(LIVE | MORE | (TAIL_MOST - 1));
    atomic_store_explicit(pym_region_state_at(pym_region_offset(block)), now,
                          memory_order_release);
    return block;
}

/* A block that nobody had before, or that is not as it was left. */
static PYM_NOINLINE void *admit_unusual(char *block, size_t size, size_t block_size)
{
    uint8_t was = atomic_load_explicit(pym_region_state_at(pym_region_offset(block)),
                                       memory_order_relaxed);
    if (was == NEVER) {
        return make_live(block, size, block_size, 0);
    }
    if (was != FREED) {
        pym_harden_broken_link(block);
    }
    complain_of_write(block, block_size);
    return make_live(block, size, block_size, pym_harden_filling);
}

/* What was in use before is as it was left, but for its first 16 bytes, where the free
 * list's link was. */
PYM_INLINE void *admit_small(char *block, size_t size, size_t block_size)
{
    uint8_t was = atomic_load_explicit(pym_region_state_at(pym_region_offset(block)),
                                       memory_order_relaxed);
    if (PYM_UNLIKELY(was != FREED ||
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
                                     .front = front_of(block)};
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

/* ---- looking at a pointer ---- */

static size_t size_of_small(size_t offset, uint8_t state)
{
    if (is_empty_block(offset)) {
        return 0;
    }
    size_t block_size = pym_class_size(pym_region_pool_at(offset)->cls);
    return block_size - ((state & TAIL_MASK) + 1u);
}

static struct held hold_small(size_t offset)
{
    uint8_t state =
        offset < pym_region_first_state() || offset % PYM_GRAIN != 0
            ? NEVER
            : atomic_load_explicit(pym_region_state_at(offset), memory_order_relaxed);
    struct held held = {.is_front_whole = true};
    if ((state & LIVE) != 0) {
        held.is_live = true;
        held.size = size_of_small(offset, state);
        held.tail = is_empty_block(offset) ? 0 : (state & TAIL_MASK) + 1u;
        held.origin = state >> ORIGIN_SHIFT & ORIGIN_MASK;
        held.is_exact = (state & MORE) == 0;
    }
    return held;
}

static struct held hold(const void *block)
{
    size_t offset = pym_region_offset(block);
    if (offset < pym_region_limit()) {
        return hold_small(offset);
    }
    struct pym_ledger_entry entry = pym_ledger_find(block);
    bool is_live = entry.state == PYM_LEDGER_LIVE;
    return (struct held){.size = (size_t)entry.size,
                         .tail = entry.tail,
                         .origin = entry.origin,
                         .is_exact = true,
                         .is_front_whole = is_live && is_front_whole(&entry),
                         .is_live = is_live};
}

/* ---- what is wrong with a pointer that is no live block ---- */

enum verb { FREE, REALLOC };

static void complain_of_second(enum verb verb, const void *block, size_t size)
{
    pym_report_misuse(verb == FREE ? "double free" : "realloc of a freed block", block,
                      size);
}

static void complain_of_inside(enum verb verb, const void *block, size_t size)
{
    pym_report_misuse(verb == FREE ? "free of a pointer into a block"
                                   : "realloc of a pointer into a block",
                      block, size);
}

static void complain_of_stranger(enum verb verb, const void *block)
{
    pym_report_misuse(verb == FREE ? "free of memory that is no block"
                                   : "realloc of memory that is no block",
                      block, 0);
}

static void judge_small(enum verb verb, const char *pointer)
{
    size_t offset = pym_region_offset(pointer);
    if (offset < pym_region_first_state()) {
        complain_of_stranger(verb, pointer);
        return;
    }
    size_t start = offset & ~(PYM_GRAIN - 1);
    size_t size = 0;
    if (!is_empty_block(offset)) {
        const struct pym_pool *pool = pym_region_pool_at(offset);
        size_t first = (size_t)pym_region_pool_index(pool) << PYM_POOL_SHIFT;
        if (pool->owner == NULL) { /* between two arenas */
            complain_of_stranger(verb, pointer);
            return;
        }
        size = pym_class_size(pool->cls);
        start = first + pool->first;
        start += offset >= start ? (offset - start) / size * size : 0;
    }
    uint8_t state =
        atomic_load_explicit(pym_region_state_at(start), memory_order_relaxed);
    if (state == NEVER) {
        complain_of_stranger(verb, pointer);
    } else if (offset == start) { /* even if it has a new owner by now */
        complain_of_second(verb, pointer, size);
    } else {
        complain_of_inside(verb, pointer, size);
    }
}

static PYM_COLD void judge(enum verb verb, const void *pointer)
{
    if (pym_region_owns(pointer)) {
        judge_small(verb, pointer);
        return;
    }
    struct pym_ledger_entry entry = pym_ledger_find(pointer);
    if (entry.state != PYM_LEDGER_UNKNOWN) {
        complain_of_second(verb, pointer, (size_t)entry.size);
        return;
    }
    entry = pym_ledger_around(pointer);
    if (entry.state != PYM_LEDGER_UNKNOWN) {
        complain_of_inside(verb, pointer, (size_t)entry.size);
    } else {
        complain_of_stranger(verb, pointer);
    }
}

/* ---- quarantine ---- */

/* Room for small blocks is there or not. */
PYM_INLINE bool is_quarantine_on(void)
{
    return PYM_OPTION(quarantine) >= PYM_WAITING_SMALL * PYM_SMALL_MAX;
}

/* Released to the thread whose pool it is, which may look at it: its filling. */
PYM_INLINE void make_free(void *block, size_t offset)
{
    atomic_store_explicit(pym_region_state_at(offset), FREED, memory_order_release);
    pym_alloc_free_small(block, offset);
}

/* Of two frees at the same time, the one that is seen here is the second. */
static PYM_COLD void leave_faulty(void *block, size_t offset)
{
    if (atomic_load_explicit(pym_region_state_at(offset), memory_order_relaxed) !=
        WAITING) {
        judge(FREE, block);
        return;
    }
    complain_of_write(block, pym_class_size(pym_region_pool_at(offset)->cls));
    make_free(block, offset);
}

/* The rest of the block is looked at when it is handed out again. */
PYM_INLINE void leave_small(void *block)
{
    size_t offset = pym_region_offset(block);
    uint8_t was =
        atomic_load_explicit(pym_region_state_at(offset), memory_order_relaxed);
    if (PYM_UNLIKELY(was != WAITING || !pym_canary_is_filled(block, 16))) {
        leave_faulty(block, offset);
        return;
    }
    make_free(block, offset);
}

/* The heap's of a thread that has not ended. */
static PYM_NOINLINE struct pym_quarantine *make_quarantine(void)
{
    struct pym_heap *heap = pym_lifecycle_heap();
    return heap != NULL ? &heap->quarantine : NULL;
}

PYM_INLINE struct pym_quarantine *own_quarantine(void)
{
    struct pym_heap *heap = pym_thread.heap;
    return PYM_LIKELY(heap != NULL) ? &heap->quarantine : make_quarantine();
}

/* Holds a freed block back; returns the one that leaves in its place, if any. */
PYM_INLINE void *exchange_small(struct pym_quarantine *quarantine, void *block)
{
    unsigned place = quarantine->next_small;
    void *oldest = quarantine->small[place];
    quarantine->next_small = (place + 1) % PYM_WAITING_SMALL;
    quarantine->small[place] = block;
    return oldest;
}

/* The thread has no quarantine yet, or no more, or none is wanted. */
static PYM_NOINLINE void wait_elsewhere(void *block)
{
    struct pym_quarantine *quarantine = own_quarantine();
    if (quarantine != NULL && is_quarantine_on()) {
        block = exchange_small(quarantine, block);
    }
    if (block != NULL) {
        leave_small(block);
    }
}

PYM_INLINE void wait_small(void *block)
{
    struct pym_heap *heap = pym_thread.heap;
    if (PYM_UNLIKELY(heap == NULL || !is_quarantine_on())) {
        wait_elsewhere(block);
        return;
    }
    block = exchange_small(&heap->quarantine, block);
    if (PYM_LIKELY(block != NULL)) {
        leave_small(block);
    }
}

/* How much of a system block is overwritten when it is freed: of larger ones the start,
 * where errors are likely; but nothing is left to be read if that is what is wanted. */
static size_t filled_part(size_t size)
{
    enum { PART = 256 };
    bool whole = PYM_OPTION(zero) != 0 || size < PART;
    return whole ? size & ~(size_t)15 : PART;
}

static void leave_chunk(void *block, size_t size)
{
    if (PYM_UNLIKELY(!pym_canary_is_filled(block, filled_part(size)))) {
        complain_of_write(block, size);
    }
    pym_alloc_free(block);
}

/* A place is emptied first: what leaves may be missing in a forked child, but is never
 * there twice. */
static void let_oldest_leave(struct pym_quarantine *quarantine)
{
    unsigned place = quarantine->first_chunk;
    void *block = quarantine->chunk[place].block;
    size_t size = quarantine->chunk[place].size;
    quarantine->first_chunk = (place + 1) % PYM_WAITING_CHUNKS;
    quarantine->chunks--;
    quarantine->chunk_bytes -= size;
    pym_snapshot_order();
    leave_chunk(block, size);
}

/* Larger blocks do not wait: the system unmaps the largest at once. */
static bool waits(size_t size)
{
    return size <= PYM_OPTION(quarantine) / 2;
}

static void wait_chunk(void *block, size_t size)
{
    struct pym_quarantine *quarantine = own_quarantine();
    if (quarantine == NULL) {
        leave_chunk(block, size);
        return;
    }
    while (quarantine->chunks == PYM_WAITING_CHUNKS ||
           (quarantine->chunks > 0 &&
            quarantine->chunk_bytes + size > PYM_OPTION(quarantine))) {
        let_oldest_leave(quarantine);
    }
    unsigned place =
        (quarantine->first_chunk + quarantine->chunks) % PYM_WAITING_CHUNKS;
    quarantine->chunk[place].block = block;
    quarantine->chunk[place].size = size;
    quarantine->chunk_bytes += size;
    pym_snapshot_order();
    quarantine->chunks++;
}

void pym_hardened_flush(void)
{
    if (pym_thread.heap == NULL) {
        return;
    }
    struct pym_quarantine *quarantine = &pym_thread.heap->quarantine;
    for (unsigned i = 0; i < PYM_WAITING_SMALL; i++) {
        void *block = quarantine->small[i];
        quarantine->small[i] = NULL;
        if (block != NULL) {
            leave_small(block);
        }
    }
    while (quarantine->chunks > 0) {
        let_oldest_leave(quarantine);
    }
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
    if ((state & LIVE) == 0) {
        judge(FREE, block);
        return false;
    }
    return check_origin(block, size_of_small(offset, state),
                        state >> ORIGIN_SHIFT & ORIGIN_MASK, freed_by);
}

PYM_INLINE void retire(char *block, size_t offset, size_t block_size)
{
    atomic_store_explicit(pym_region_state_at(offset), WAITING, memory_order_relaxed);
    pym_canary_fill(block, block_size);
    wait_small(block);
}

/* What is no block, or an empty one, or not freed as it was made, or damaged. */
static PYM_NOINLINE void release_unusual(char *block, size_t offset, unsigned freed_by)
{
    if (offset % PYM_GRAIN != 0 || offset < pym_region_first_state()) {
        judge(FREE, block);
        return;
    }
    _Atomic uint8_t *state = pym_region_state_at(offset);
    uint8_t was = atomic_load_explicit(state, memory_order_acquire);
    if ((was & ~(MORE | TAIL_MASK)) != (LIVE | freed_by << ORIGIN_SHIFT) &&
        !examine(block, offset, was, freed_by)) {
        return;
    }
    if (is_empty_block(offset)) {
        atomic_store_explicit(state, FREED, memory_order_relaxed);
        return;
    }
    size_t block_size = pym_class_size(pym_region_pool_at(offset)->cls);
    if (!pym_canary_is_small_whole(block, block_size, (was & TAIL_MASK) + 1u)) {
        complain_of_overflow(block, block_size);
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
    unsigned expected = LIVE | freed_by << ORIGIN_SHIFT;
    if (PYM_UNLIKELY(
            (was & ~(unsigned)(MORE | TAIL_MASK)) != expected ||
            !pym_canary_is_small_whole(block, block_size, (was & TAIL_MASK) + 1u))) {
        release_unusual(block, offset, freed_by);
        return;
    }
    retire(block, offset, block_size);
}

static PYM_NOINLINE void release_chunk(void *block, unsigned freed_by)
{
    struct pym_ledger_entry entry =
        pym_ledger_change(block, PYM_LEDGER_LIVE, PYM_LEDGER_FREED);
    size_t size = (size_t)entry.size;
    if (entry.state != PYM_LEDGER_LIVE) {
        judge(FREE, block);
        return;
    }
    if (!check_origin(block, size, entry.origin, freed_by)) {
        (void)pym_ledger_change(block, PYM_LEDGER_FREED, PYM_LEDGER_LIVE);
        return;
    }
    if (!is_front_whole(&entry)) { /* the system allocator would not know its size */
        complain_of_underflow(block, size);
        return;
    }
    if (!pym_canary_is_whole(block, size, entry.tail)) {
        complain_of_overflow(block, size);
    }
    bool is_to_wait = waits(size) && !pym_guard_owns(block);
    if (is_to_wait || PYM_OPTION(zero) != 0) {
        pym_canary_fill(block, filled_part(size));
    }
    if (is_to_wait) {
        wait_chunk(block, size);
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
    struct held held = block != NULL ? hold(block) : (struct held){0};
    return held.is_live ? held.size : 0; /* none invites to use what is freed */
}

static void *move(void *block, const struct held *held, size_t size)
{
    void *moved = pym_hardened_malloc(size);
    if (moved == NULL) {
        return NULL;
    }
    memcpy(moved, block, held->size < size ? held->size : size);
    release(block, held->origin);
    return moved;
}

/* Blocks so large may be moved by the system without copying. */
static void *resize_chunk(void *block, const struct held *held, size_t size)
{
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
static bool resize_in_place(char *block, const struct held *held, size_t size)
{
    size_t block_size = held->size + held->tail;
    if (size >= block_size || block_size - size > TAIL_MOST || !held->is_exact ||
        !pym_region_owns(block) || held->size == 0) {
        return false;
    }
    size_t tail = block_size - size;
    pym_canary_set(block, size, tail);
    uint8_t state = (uint8_t)((unsigned)LIVE | (unsigned)held->origin << ORIGIN_SHIFT |
                              (unsigned)(tail - 1));
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
    struct held held = hold(block);
    if (PYM_UNLIKELY(!held.is_live)) {
        judge(REALLOC, block);
        errno = EINVAL;
        return NULL;
    }
    if (PYM_UNLIKELY(!held.is_front_whole)) {
        complain_of_underflow(block, held.size);
        errno = EINVAL;
        return NULL;
    }
    if (PYM_UNLIKELY(!pym_canary_is_whole(block, held.size, held.tail))) {
        complain_of_overflow(block, held.size);
        pym_canary_set(block, held.size, held.tail); /* reported once */
    }
    if (size == held.size || resize_in_place(block, &held, size)) {
        return block;
    }
    bool is_large = held.size > PYM_CACHED_MAX && size > PYM_CACHED_MAX;
    return is_large ? resize_chunk(block, &held, size) : move(block, &held, size);
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
    struct held held = hold_small(offset);
    if (held.is_live && held.origin == from) {
        _Atomic uint8_t *state = pym_region_state_at(offset);
        uint8_t was = atomic_load_explicit(state, memory_order_relaxed);
        uint8_t marked = (uint8_t)((was & ~((unsigned)ORIGIN_MASK << ORIGIN_SHIFT)) |
                                   (unsigned)to << ORIGIN_SHIFT);
        atomic_store_explicit(state, marked, memory_order_relaxed);
    }
    return block;
}

void pym_hardened_check_array(void *block)
{
    struct held held = hold(block);
    if (held.is_live && held.origin == PYM_BY_NEW && PYM_OPTION(mismatch) != 0) {
        pym_report_misuse("delete[] of memory from operator new", block, held.size);
    }
    (void)pym_hardened_mark(block, PYM_BY_ARRAY_NEW, PYM_BY_NEW);
}

void pym_hardened_check_size(const char *complaint, void *block, size_t size)
{
    struct held held = hold(block);
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
    if (!is_front_whole(entry)) {
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
    bool whole = pym_canary_is_small_whole(block, block_size, (was & TAIL_MASK) + 1u);
    atomic_thread_fence(memory_order_acquire);
    return whole || atomic_load_explicit(state, memory_order_relaxed) != was;
}

/* A free block of the thread's own pools: nobody else hands these out, and those who
 * bring them back change no more than their first 16 bytes. */
static bool is_own_free_untouched(size_t offset, uint8_t was)
{
    const struct pym_pool *pool = pym_region_pool_at(offset);
    const char *block = (const char *)pym_region_base + offset;
    return was != FREED || pool->owner != pym_thread.heap ||
           pym_canary_is_filled(block + 16, pym_class_size(pool->cls) - 16);
}

/* Other threads' quarantines change meanwhile. */
static void verify_own_quarantine(struct verification *verification)
{
    const struct pym_quarantine *quarantine = &pym_thread.heap->quarantine;
    for (unsigned i = 0; i < PYM_WAITING_SMALL; i++) {
        const void *block = quarantine->small[i];
        if (block != NULL &&
            !pym_canary_is_filled(block,
                                  pym_class_size(pym_region_pool_of(block)->cls))) {
            note(verification, "write after free", block);
        }
    }
    for (unsigned i = 0; i < quarantine->chunks; i++) {
        unsigned place = (quarantine->first_chunk + i) % PYM_WAITING_CHUNKS;
        const void *block = quarantine->chunk[place].block;
        size_t part = filled_part(quarantine->chunk[place].size);
        if (!pym_canary_is_filled(block, part)) {
            note(verification, "write after free", block);
        }
    }
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
        if ((was & LIVE) != 0 && !is_small_whole(offset, was) &&
            !is_small_whole(offset, was)) {
            note(&verification, "write past the end of a block", block);
        } else if (!is_own_free_untouched(offset, was)) {
            note(&verification, "write after free", block);
        }
    }
    if (pym_thread.heap != NULL) {
        verify_own_quarantine(&verification);
    }
    pym_ledger_each(verify_chunk, &verification);
    return verification.wrong;
}

#endif
