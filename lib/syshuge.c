#include "syshuge.h"

#include "atomic.h"
#include "options.h"
#include "os.h"
#include "pagecost.h"

/* How many pages of a block are asked after, evenly spread from its first to its last.
 */
enum { ASKED = 8 };
/* A block of up to so many times the largest that was used up is trusted to be, too:
 * twice as many for each further one, up to the most. */
enum { TRUSTED_TIMES = 4, TRUSTED_TIMES_MOST = 16 };
/* After so many blocks more, one that is still not used up is taken not to be. */
enum { PATIENCE = 4 };

/* The block that is watched, and how often it was found not to be used up.  Threads may
 * mix these up, and the block may be gone: then a wrong guess is made. */
static _Atomic uintptr_t watched;
static _Atomic size_t watched_size;
static _Atomic unsigned unused;
/* The largest that was used up, 0 if the latest was not; and the times. */
static _Atomic size_t trusted;
static _Atomic unsigned trusted_times;

static uintptr_t page_of(uintptr_t address)
{
    return address & ~(uintptr_t)(pym_os_page_size() - 1);
}

/* 1 or 0; -1 if the block is gone. */
static int is_used_up(uintptr_t block, size_t size)
{
    int resident = 1;
    for (size_t i = 0; i < ASKED && resident == 1; i++) {
        resident =
            pym_os_is_resident((void *)page_of(block + (size - 1) / (ASKED - 1) * i));
    }
    return resident;
}

static bool is_trusted(size_t size)
{
    unsigned times = atomic_load_explicit(&trusted_times, memory_order_relaxed);
    return times != 0 &&
           size / times <= atomic_load_explicit(&trusted, memory_order_relaxed);
}

static void trust(size_t size)
{
    unsigned times = atomic_load_explicit(&trusted_times, memory_order_relaxed);
    times = times == 0 ? TRUSTED_TIMES : times * 2;
    if (times <= TRUSTED_TIMES_MOST) {
        atomic_store_explicit(&trusted_times, times, memory_order_relaxed);
    }
    if (size > atomic_load_explicit(&trusted, memory_order_relaxed)) {
        atomic_store_explicit(&trusted, size, memory_order_relaxed);
    }
}

/* Looks at the block that is watched.  Tells whether the next may be. */
static bool judge(void)
{
    uintptr_t block = atomic_load_explicit(&watched, memory_order_relaxed);
    size_t size = atomic_load_explicit(&watched_size, memory_order_relaxed);
    int used_up = block != 0 ? is_used_up(block, size) : -1;
    if (used_up == 1) {
        trust(size);
    } else if (used_up == 0) {
        atomic_store_explicit(&trusted, 0, memory_order_relaxed);
        atomic_store_explicit(&trusted_times, 0, memory_order_relaxed);
        return atomic_fetch_add_explicit(&unused, 1, memory_order_relaxed) >= PATIENCE;
    }
    return true;
}

void pym_syshuge_resizing(void *block, size_t size)
{
    if (PYM_OPTION(huge) != 0 && is_used_up((uintptr_t)block, size) == 1) {
        trust(size);
    }
}

/* Has the block in the pages that are cheaper, and its first unit at once, to see what
 * that costs. */
static void want_pages(uintptr_t block, uintptr_t end)
{
    enum pym_pages pages = pym_pagecost_choose_for_more();
    if (pages == PYM_PAGES_HUGE) {
        pym_os_want_huge((void *)page_of(block), end - page_of(block));
    }
    uintptr_t unit = pym_round_up(block, PYM_PAGECOST_UNIT);
    if (unit + PYM_PAGECOST_UNIT <= end && pym_os_is_resident((void *)unit) == 0) {
        (void)pym_pagecost_populate((void *)unit, pages, pym_os_populate);
    }
}

void pym_syshuge_made(void *block, size_t size)
{
    if (PYM_OPTION(huge) == 0) {
        return;
    }
    if (judge()) {
        atomic_store_explicit(&watched, (uintptr_t)block, memory_order_relaxed);
        atomic_store_explicit(&watched_size, size, memory_order_relaxed);
        atomic_store_explicit(&unused, 0, memory_order_relaxed);
    }
    if (is_trusted(size)) {
        want_pages((uintptr_t)block, (uintptr_t)block + size);
    }
}
