#include "pagecost.h"

#include "atomic.h"
#include "os.h"

/* A page in so many is read after it was populated: some virtual machines have it ready
 * only then. */
enum { PAGES_A_LOOK = 8 };
/* Choices until the other kind of pages is tried again: at first, and after a try that
 * has changed nothing so many times as many, up to the most. */
enum { PATIENCE = 16, PATIENCE_TIMES = 4, PATIENCE_MOST = 256 };

/* Nanoseconds for a unit; 0: not known yet. */
static _Atomic uint64_t cost[2];
static _Atomic enum pym_pages preferred;
static _Atomic uint32_t patience;
static _Atomic uint32_t choices; /* since they became the preferred, or the last try */

static uint64_t cost_of(enum pym_pages pages)
{
    return atomic_load_explicit(&cost[pages], memory_order_relaxed);
}

/* What lies in huge pages is found faster, for as long as it is there. */
static enum pym_pages cheaper(void)
{
    uint64_t small = cost_of(PYM_PAGES_SMALL);
    return cost_of(PYM_PAGES_HUGE) <= small + small / 2 ? PYM_PAGES_HUGE
                                                        : PYM_PAGES_SMALL;
}

static bool are_known(void)
{
    return cost_of(PYM_PAGES_HUGE) != 0 && cost_of(PYM_PAGES_SMALL) != 0;
}

static void prefer(enum pym_pages pages, uint32_t new_patience)
{
    atomic_store_explicit(&preferred, pages, memory_order_relaxed);
    atomic_store_explicit(&patience, new_patience, memory_order_relaxed);
    atomic_store_explicit(&choices, 0, memory_order_relaxed);
}

enum pym_pages pym_pagecost_choose(void)
{
    if (!are_known()) {
        return cost_of(PYM_PAGES_HUGE) == 0 ? PYM_PAGES_HUGE : PYM_PAGES_SMALL;
    }
    enum pym_pages now = cheaper();
    uint32_t wait = atomic_load_explicit(&patience, memory_order_relaxed);
    if (wait == 0 || now != atomic_load_explicit(&preferred, memory_order_relaxed)) {
        prefer(now, PATIENCE);
        return now;
    }
    if (atomic_fetch_add_explicit(&choices, 1, memory_order_relaxed) < wait) {
        return now;
    }
    prefer(now, wait < PATIENCE_MOST ? wait * PATIENCE_TIMES : wait);
    return now == PYM_PAGES_HUGE ? PYM_PAGES_SMALL : PYM_PAGES_HUGE;
}

static void look_at(const char *unit)
{
    size_t step = pym_os_page_size() * PAGES_A_LOOK;
    for (size_t at = 0; at < PYM_PAGECOST_UNIT; at += step) {
        (void)*(const volatile char *)(unit + at);
    }
}

/* The latest counts for half, or for more if it tells that something changed for the
 * better: such pages may not be tried again for long. */
static void learn(enum pym_pages pages, uint64_t ns)
{
    uint64_t before = cost_of(pages);
    uint64_t now = before == 0   ? ns
                   : ns < before ? ns + (before - ns) / 4
                                 : before + (ns - before) / 2;
    atomic_store_explicit(&cost[pages], now | 1, memory_order_relaxed);
}

int pym_pagecost_populate(void *unit, enum pym_pages pages,
                          int (*populate)(void *start, size_t size))
{
    uint64_t start = pym_os_clock_ns();
    int error = populate(unit, PYM_PAGECOST_UNIT);
    if (error != 0) {
        return error;
    }
    uint64_t populated = pym_os_clock_ns();
    look_at(unit);
    /* What was not looked at has yet to be paid for. */
    uint64_t ns = populated - start + (pym_os_clock_ns() - populated) * PAGES_A_LOOK;
    learn(pages, ns);
    return 0;
}

int pym_pagecost_get(void *unit, enum pym_pages pages)
{
    return pym_pagecost_populate(
        unit, pages, pages == PYM_PAGES_HUGE ? pym_os_populate_huge : pym_os_populate);
}

static void try_out(enum pym_pages pages)
{
    size_t size = 2 * PYM_PAGECOST_UNIT;
    char *memory = pym_os_map(size);
    if (memory != NULL) {
        uintptr_t unit = pym_round_up((uintptr_t)memory, PYM_PAGECOST_UNIT);
        (void)pym_pagecost_get((void *)unit, pages);
        pym_os_unmap(memory, size);
    }
}

enum pym_pages pym_pagecost_choose_for_more(void)
{
    for (int i = 0; i < 2 && !are_known(); i++) {
        try_out(pym_pagecost_choose());
    }
    if (!are_known()) {
        return PYM_PAGES_SMALL;
    }
    enum pym_pages pages = pym_pagecost_choose();
    if (pages != cheaper()) {
        try_out(pages);
    }
    return cheaper();
}
