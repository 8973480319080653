#include "judge.h"

#if PYM_HARDENED

#include "held.h"
#include "report.h"
#include "sizeclass.h"

PYM_COLD void pym_complain_of_overflow(const void *block, size_t size)
{
    pym_report_misuse("write past the end of a block", block, size);
}

PYM_COLD void pym_complain_of_underflow(const void *block, size_t size)
{
    pym_report_misuse("write before the start of a block", block, size);
}

PYM_COLD void pym_complain_of_write(const void *block, size_t size)
{
    pym_report_misuse("write after free", block, size);
}

static void complain_of_second(enum pym_verb verb, const void *block, size_t size)
{
    pym_report_misuse(verb == PYM_FREE ? "double free" : "realloc of a freed block",
                      block, size);
}

static void complain_of_inside(enum pym_verb verb, const void *block, size_t size)
{
    pym_report_misuse(verb == PYM_FREE ? "free of a pointer into a block"
                                       : "realloc of a pointer into a block",
                      block, size);
}

static void complain_of_stranger(enum pym_verb verb, const void *block)
{
    pym_report_misuse(verb == PYM_FREE ? "free of memory that is no block"
                                       : "realloc of memory that is no block",
                      block, 0);
}

static void judge_small(enum pym_verb verb, const char *pointer)
{
    size_t offset = pym_region_offset(pointer);
    if (offset < pym_region_first_state()) {
        complain_of_stranger(verb, pointer);
        return;
    }
    size_t start = offset & ~(PYM_GRAIN - 1);
    size_t size = 0;
    if (!pym_held_is_empty_place(offset)) {
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
    if (state == PYM_BLOCK_NEVER) {
        complain_of_stranger(verb, pointer);
    } else if (offset == start) { /* even if it has a new owner by now */
        complain_of_second(verb, pointer, size);
    } else {
        complain_of_inside(verb, pointer, size);
    }
}

PYM_COLD void pym_judge(enum pym_verb verb, const void *pointer)
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

#endif
