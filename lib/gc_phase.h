/*
 * The phases of a collection in slices, each of which can be left and resumed at any
 * object: see gc_slice.c for what they are for.
 */
#ifndef PYM_GC_PHASE_H
#define PYM_GC_PHASE_H

#include "gc_group.h"
#include "gc_pace.h"

enum gc_phase {
    GC_COUNTING,
    GC_COUNTING_LARGE,
    GC_SWEEPING_LARGE,
    GC_SWEEPING,
    GC_GATHERING,
    GC_GATHERING_LARGE,
    /* The same among the suspects. */
    GC_NOTING,
    GC_RECOUNTING,
    GC_REMARKING,
    GC_KEEPING,
    GC_ENTERING, /* into groups */
    GC_JOINING,
    GC_DISPOSING,
    GC_RESETTING,
    GC_RESETTING_LARGE,
    GC_DONE
};

struct gc_cycle {
    struct gc_collection run;
    enum gc_phase phase;
    bool has_begun; /* the phase */

    /* Where the phase goes on. */
    size_t pool_at;
    size_t pool_end;
    uintptr_t block_at; /* in that pool: blocks before it are done */
    struct gc_large *large_at;
    size_t at; /* in the suspects, or the arenas to reset */
    size_t kept;
    struct gc_large *partial; /* whose references are being looked at */
    size_t slot_at;

    struct gc_vector suspects;
    struct gc_groups groups;
    bool has_groups;
    unsigned rounds;

    /* The slice that is being done: until the clock says so, which is looked at when
     * the fuel has been used up. */
    uint64_t deadline; /* ns; 0: until the fuel has been used up */
    int64_t fuel;      /* objects */
    bool has_worked;   /* done with a phase, or a batch */

    /* Pace. */
    uint64_t target;    /* ns: the longest slice */
    uint64_t slice;     /* ns: the usual one */
    unsigned interval;  /* allocations between two */
    uint64_t allowance; /* allocations until it is to be done */
    uint64_t allocated;

    /* Result. */
    uint64_t found;
    uint64_t uncollectable;
    uint64_t candidates;
    uint64_t seen; /* and not dead by then */
    uint64_t time; /* ns */
    bool is_abandoned;
};

/* ---- the budget ---- */

enum { GC_REFUEL = 64 };

/* Whether the clock says that the slice may go on. */
bool gc_refuel(struct gc_cycle *cycle);

/* Whether the slice is over; takes fuel for so much work. */
PYM_INLINE bool gc_is_over(struct gc_cycle *cycle, int64_t work)
{
    cycle->fuel -= work;
    return PYM_UNLIKELY(cycle->fuel < 0) && !gc_refuel(cycle);
}

/* Whether an entry of a list of suspects is what it was.  The caller may have it no
 * longer in hand after this. */
PYM_INLINE bool gc_is_still_there(const struct gc_cycle *cycle,
                                  const struct pygc_header *header)
{
    if (!pym_region_owns(header)) {
        return (header->bits & GC_LIVE) != 0;
    }
    return gc_heap_has_pool(cycle->run.heap, pym_region_pool_of(header)) &&
           *gc_note_at(&cycle->run, header) != GC_NO_CANDIDATE;
}

/* Goes on with the phase.  Whether it is done. */
bool gc_do_phase(struct gc_cycle *cycle);

/* The last of them that matters: decides on suspects, as many as the slice has time
 * for, and disposes of what is garbage. */
bool gc_decide_on_suspects(struct gc_cycle *cycle);

#endif
