/*
 * Whether an address is ours, lib/region.c and lib/arena.c: free reads base and
 * limit with no lock, while other threads make the range and its arenas.
 *
 * Proved: a block that was handed over is taken for ours, with an owner in its
 * pool's record, and no other address is ever taken for ours: not while the range
 * is made either, whichever of the two is read first.
 *
 * An address is a small number here: the range is at 100, its tables take 30, an
 * arena 10; there are others' blocks below and above.  FAR stands for the base
 * before there is a range: with it all addresses are too far away to be ours.
 *
 * config quick: -DTHREADS=2 -DOPS=2
 * config large: -DTHREADS=3 -DOPS=1
 * config large: -DTHREADS=2 -DOPS=3
 *
 * fault: FAULT_BASE_ZERO -- before there is a range, the base is 0
 * fault: FAULT_PUBLISH_LATE -- a block is handed out before the limit is published
 * fault: FAULT_UNLOCKED -- arenas are made without the lock
 */
#define START 100
#define TABLES 30
#define ARENA 10
#define FAR 1000
#define NOBODY 255
#define UNFILLED 0

#ifdef FAULT_BASE_ZERO
short base = 0;
#else
short base = FAR;
#endif
short limit = 0;

/* Guarded by the lock of the arenas. */
bool lock;
bool initialised;
byte arenas;
byte owner[THREADS * OPS + 1];

/* Blocks on their way from who allocated them to who frees them. */
chan handed = [THREADS * OPS] of { short };

inline is_ours(address)
{
    /* Plain loads, which the compiler may turn round.  transition: owns */
    if
    :: at_base = base; at_limit = limit
    :: at_limit = limit; at_base = base
    fi;
    ours = (address - at_base >= 0 && address - at_base < at_limit);
    d_step { at_base = 0; at_limit = 0 }
}

inline malloc()
{
#ifndef FAULT_UNLOCKED
    atomic { !lock -> lock = true };
#endif
    if
    :: !initialised ->
        initialised = true;
        base = START /* transition: lay_out */
    :: else
    fi;
    /* transition: extend */
    mine = arenas;
    arenas = mine + 1;
    assert(owner[mine] == UNFILLED);
    owner[mine] = NOBODY; /* transition: fill */
#ifndef FAULT_PUBLISH_LATE
    limit = TABLES + arenas * ARENA; /* transition: publish */
#endif
    owner[mine] = _pid + 1; /* transition: take_from */
#ifdef FAULT_PUBLISH_LATE
    handed!(START + TABLES + mine * ARENA);
    limit = TABLES + arenas * ARENA;
#endif
#ifndef FAULT_UNLOCKED
    lock = false;
#endif
#ifndef FAULT_PUBLISH_LATE
    handed!(START + TABLES + mine * ARENA);
#endif
    mine = 0
}

active [THREADS] proctype thread()
{
    byte ops = 0;
    byte mine = 0;
    short block = 0;
    short at_base = 0;
    short at_limit = 0;
    bool ours = false;
    do
    :: ops < OPS -> ops++; malloc()
    :: handed?block ->
        is_ours(block);
        assert(ours);
        assert(owner[(block - START - TABLES) / ARENA] != UNFILLED);
        assert(owner[(block - START - TABLES) / ARENA] != NOBODY);
        block = 0;
        ours = false
    :: ops < OPS -> /* frees what is another allocator's, in place of a malloc */
        ops++;
        if
        :: is_ours(20)
        :: is_ours(START + TABLES + THREADS * OPS * ARENA)
        fi;
        assert(!ours)
    :: ops == OPS && empty(handed) -> break
    od
}
