#include "held.h"

#if PYM_HARDENED

#include "sizeclass.h"

size_t pym_held_small_size(size_t offset, uint8_t state)
{
    if (pym_held_is_empty_place(offset)) {
        return 0;
    }
    size_t block_size = pym_class_size(pym_region_pool_at(offset)->cls);
    return block_size - ((state & PYM_TAIL_MASK) + 1u);
}

struct pym_held pym_hold_small(size_t offset)
{
    uint8_t state =
        offset < pym_region_first_state() || offset % PYM_GRAIN != 0
            ? PYM_BLOCK_NEVER
            : atomic_load_explicit(pym_region_state_at(offset), memory_order_relaxed);
    struct pym_held held = {.is_front_whole = true};
    if ((state & PYM_BLOCK_LIVE) != 0) {
        held.is_live = true;
        held.size = pym_held_small_size(offset, state);
        held.tail = pym_held_is_empty_place(offset) ? 0 : (state & PYM_TAIL_MASK) + 1u;
        held.origin = state >> PYM_ORIGIN_SHIFT & PYM_ORIGIN_MASK;
        held.is_exact = (state & PYM_BLOCK_MORE) == 0;
    }
    return held;
}

struct pym_held pym_hold(const void *block)
{
    size_t offset = pym_region_offset(block);
    if (offset < pym_region_limit()) {
        return pym_hold_small(offset);
    }
    struct pym_ledger_entry entry = pym_ledger_find(block);
    bool is_live = entry.state == PYM_LEDGER_LIVE;
    return (struct pym_held){.size = (size_t)entry.size,
                             .tail = entry.tail,
                             .origin = entry.origin,
                             .is_exact = true,
                             .is_front_whole =
                                 is_live && pym_held_is_front_whole(&entry),
                             .is_live = is_live};
}

#endif
