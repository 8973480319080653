#include "quarantine.h"

#if PYM_HARDENED

#include "judge.h"
#include "lifecycle.h"

/* ---- small blocks ---- */

/* Of two frees at the same time, the one that is seen here is the second. */
PYM_COLD void pym_quarantine_leave_faulty(void *block, size_t offset)
{
    if (atomic_load_explicit(pym_region_state_at(offset), memory_order_relaxed) !=
        PYM_BLOCK_WAITING) {
        pym_judge(PYM_FREE, block);
        return;
    }
    pym_complain_of_write(block, pym_class_size(pym_region_pool_at(offset)->cls));
    pym_quarantine_end(block, offset);
}

/* The heap's of a thread that may have one. */
static PYM_NOINLINE struct pym_quarantine *make_quarantine(void)
{
    struct pym_heap *heap = pym_lifecycle_heap_to_free();
    return heap != NULL ? &heap->quarantine : NULL;
}

static struct pym_quarantine *own_quarantine(void)
{
    struct pym_heap *heap = pym_thread.heap;
    return PYM_LIKELY(heap != NULL) ? &heap->quarantine : make_quarantine();
}

PYM_NOINLINE void pym_quarantine_elsewhere(void *block)
{
    struct pym_quarantine *quarantine = own_quarantine();
    if (quarantine != NULL && pym_quarantine_is_on()) {
        block = pym_quarantine_exchange(quarantine, block);
    }
    if (block != NULL) {
        pym_quarantine_leave(block);
    }
}

/* ---- system blocks ---- */

size_t pym_quarantine_part(size_t size)
{
    enum { PART = 256 };
    bool whole = PYM_OPTION(zero) != 0 || size < PART;
    return whole ? size & ~(size_t)15 : PART;
}

static void leave_chunk(void *block, size_t size)
{
    if (PYM_UNLIKELY(!pym_canary_is_filled(block, pym_quarantine_part(size)))) {
        pym_complain_of_write(block, size);
    }
    pym_alloc_free(block);
}

/* A place is emptied first: what leaves may be missing in a forked child, but is never
 * there twice.  So there are fewer before the first one is another: between the two the
 * latest is missing, and not one there that left long ago. */
static void let_oldest_leave(struct pym_quarantine *quarantine)
{
    unsigned place = quarantine->first_chunk;
    void *block = quarantine->chunk[place].block;
    size_t size = quarantine->chunk[place].size;
    quarantine->chunks--;
    pym_snapshot_order();
    quarantine->first_chunk = (place + 1) % PYM_WAITING_CHUNKS;
    quarantine->chunk_bytes -= size;
    pym_snapshot_order();
    leave_chunk(block, size);
}

bool pym_quarantine_takes(size_t size)
{
    return size <= PYM_OPTION(quarantine) / 2;
}

void pym_quarantine_chunk(void *block, size_t size)
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

void pym_quarantine_flush(void)
{
    if (pym_thread.heap == NULL) {
        return;
    }
    struct pym_quarantine *quarantine = &pym_thread.heap->quarantine;
    for (unsigned i = 0; i < PYM_WAITING_SMALL; i++) {
        void *block = quarantine->small[i];
        quarantine->small[i] = NULL;
        if (block != NULL) {
            pym_quarantine_leave(block);
        }
    }
    while (quarantine->chunks > 0) {
        let_oldest_leave(quarantine);
    }
}

/* ---- looking ---- */

void pym_quarantine_verify(void (*look)(const void *block, void *arg), void *arg)
{
    if (pym_thread.heap == NULL) {
        return;
    }
    const struct pym_quarantine *quarantine = &pym_thread.heap->quarantine;
    for (unsigned i = 0; i < PYM_WAITING_SMALL; i++) {
        const void *block = quarantine->small[i];
        if (block != NULL &&
            !pym_canary_is_filled(block,
                                  pym_class_size(pym_region_pool_of(block)->cls))) {
            look(block, arg);
        }
    }
    for (unsigned i = 0; i < quarantine->chunks; i++) {
        unsigned place = (quarantine->first_chunk + i) % PYM_WAITING_CHUNKS;
        const void *block = quarantine->chunk[place].block;
        size_t part = pym_quarantine_part(quarantine->chunk[place].size);
        if (!pym_canary_is_filled(block, part)) {
            look(block, arg);
        }
    }
}

#endif
