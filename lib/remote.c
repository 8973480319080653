#include "remote.h"

#include "heaps.h"
#include "options.h"
#include "sizeclass.h"
#include "track.h"

enum { COUNT_BITS = 10, TAIL_BITS = 10, NEXT_SHIFT = COUNT_BITS + TAIL_BITS };

_Static_assert(PYM_POOL_BLOCKS_MAX <= (size_t)1 << COUNT_BITS, "a count fits its bits");
_Static_assert(PYM_POOL_SIZE / PYM_GRAIN <= (size_t)1 << TAIL_BITS,
               "a tail fits its bits");

_Atomic uint64_t pym_remote_stray;

static uint64_t note_of(const struct pym_chain *chain, void *next)
{
    uint64_t tail = ((uintptr_t)chain->tail & (PYM_POOL_SIZE - 1)) >> PYM_GRAIN_SHIFT;
    uint64_t offset = next != NULL ? pym_region_offset(next) >> PYM_GRAIN_SHIFT : 0;
    return offset << NEXT_SHIFT | tail << COUNT_BITS | (uint64_t)(chain->count - 1);
}

/* Pushes chains, linked from first to last, whose last one's note is still to
 * be written. */
static void push(struct pym_heap *owner, void *first, const struct pym_chain *last)
{
    _Atomic(void *) *inbox = &owner->inbox.first;
    /* models/remote.pml: look */
    void *before = atomic_load_explicit(inbox, memory_order_relaxed);
    /* models/remote.pml: note, push */
    /* models/orphans.pml: push */
    do {
        pym_link_set_note(last->head, note_of(last, before));
    } while (!atomic_compare_exchange_weak_explicit(
        inbox, &before, first, memory_order_seq_cst, memory_order_relaxed));
    pym_heaps_note_mail(owner);
}

/* A slot is emptied before its chain goes out: a copy of this memory in a
 * forked child may lose the chain, but never has it twice. */
/* models/remote.pml: take_slot */
static struct pym_chain take_slot(struct pym_outbox *outbox, struct pym_chain *slot)
{
    struct pym_chain chain = *slot;
    slot->pool = NULL;
    outbox->sent += chain.count;
    pym_snapshot_order();
    return chain;
}

/* models/remote.pml: send_slot */
static void send_slot(struct pym_outbox *outbox, struct pym_chain *slot)
{
    struct pym_chain chain = take_slot(outbox, slot);
    outbox->bytes -= chain.count * pym_class_size(chain.pool->cls);
    push(chain.pool->owner, chain.head, &chain);
}

void pym_remote_flush(struct pym_outbox *outbox)
{
    struct pym_heap *owner = NULL;
    struct pym_chain last = {NULL, NULL, NULL, 0};
    void *first = NULL;
    if (outbox->bytes == 0) {
        return;
    }
    for (int i = 0; i < PYM_REMOTE_SLOTS; i++) {
        if (outbox->slot[i].pool == NULL) {
            continue;
        }
        struct pym_chain chain = take_slot(outbox, &outbox->slot[i]);
        if (chain.pool->owner == owner) {
            /* models/remote.pml: join */
            pym_link_set_note(chain.head, note_of(&chain, first));
        } else {
            if (first != NULL) {
                push(owner, first, &last);
            }
            owner = chain.pool->owner;
            last = chain;
        }
        first = chain.head;
    }
    if (first != NULL) {
        push(owner, first, &last);
    }
    outbox->bytes = 0;
}

void pym_remote_collect(struct pym_outbox *outbox, struct pym_pool *pool, void *block)
{
    struct pym_chain *slot =
        &outbox->slot[pym_region_pool_index(pool) % PYM_REMOTE_SLOTS];
    if (PYM_LIKELY(slot->pool == pool)) {
        /* models/remote.pml: collect */
        pym_link_set(block, slot->head);
        slot->head = block;
        slot->count++;
    } else {
        if (slot->pool != NULL) {
            send_slot(outbox, slot);
        }
        /* models/remote.pml: collect_first */
        slot->head = slot->tail = block;
        slot->count = 1;
        slot->pool = pool;
    }
    outbox->bytes += pym_class_size(pool->cls);
    if (PYM_UNLIKELY(outbox->bytes > PYM_OPTION(remote))) {
        pym_remote_flush(outbox);
    }
}

void pym_remote_send(struct pym_pool *pool, void *block)
{
    /* models/remote.pml: send */
    atomic_fetch_add_explicit(&pym_remote_stray, 1, memory_order_relaxed);
    struct pym_chain chain = {pool, block, block, 1};
    push(pool->owner, block, &chain);
}

void *pym_inbox_take(struct pym_inbox *inbox)
{
    /* models/remote.pml: take */
    return atomic_exchange_explicit(&inbox->first, NULL, memory_order_acquire);
}

void *pym_inbox_next(void *first, struct pym_chain *chain)
{
    /* models/remote.pml: next */
    uint64_t note = pym_link_note(first);
    uintptr_t start = (uintptr_t)first & ~(uintptr_t)(PYM_POOL_SIZE - 1);
    size_t tail = note >> COUNT_BITS & (((size_t)1 << TAIL_BITS) - 1);
    size_t next = (size_t)(note >> NEXT_SHIFT) << PYM_GRAIN_SHIFT;
    chain->pool = pym_region_pool_of(first);
    chain->head = first;
    chain->tail = (void *)(start + (tail << PYM_GRAIN_SHIFT));
    chain->count = (size_t)(note & (((uint64_t)1 << COUNT_BITS) - 1)) + 1;
    return next != 0 ? (void *)(pym_region_base + next) : NULL;
}

PYM_RACY uint64_t pym_remote_freed(const struct pym_outbox *outbox)
{
    uint64_t blocks = outbox->sent;
    for (int i = 0; i < PYM_REMOTE_SLOTS; i++) {
        blocks += outbox->slot[i].pool != NULL ? outbox->slot[i].count : 0;
    }
    return blocks;
}
