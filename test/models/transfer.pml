/*
 * One shelf of the transfer cache, lib/transfer.c: slots that hold one chain
 * each, left with a compare-and-exchange and taken with an exchange.
 *
 * Proved: a chain is in one place at any time, so none is lost and none is had
 * twice; who takes one sees the count that was written by who left it; what the
 * counters say is, once all is quiet, what lies there.
 *
 * A chain stands for its first block.  Each thread starts with one chain, of as
 * many blocks as its number; decay is the heap whose turn it is.  The counters
 * of bytes and of blocks change in the same places: one stands for both.
 *
 * config quick: -DTHREADS=2 -DOPS=3 -DSLOTS=1 -DMOST=2
 * config large: -DTHREADS=2 -DOPS=5 -DSLOTS=2 -DMOST=3
 * config large: -DTHREADS=3 -DOPS=2 -DSLOTS=1 -DMOST=3
 * config large: -DTHREADS=3 -DOPS=2 -DSLOTS=2 -DMOST=3
 *
 * fault: FAULT_LEAVE_STORE -- a slot that was seen empty is written
 * fault: FAULT_TAKE_STORE -- a slot that was read is emptied by a store
 * fault: FAULT_COUNT_LATE -- the count is written when the chain lies there
 * fault: FAULT_TAKE_UNCOUNTED -- a chain that is taken stays in the counters
 * fault: FAULT_REFUSED_KEPT -- a chain is left although its thread was told no
 */
#define CHAINS THREADS
#define SHELF 100
#define SYSTEM 101
#define NONE 0

byte slot[SLOTS];
bool wanted;
bool lacking;
short here; /* bytes_here and blocks_here */

byte written[CHAINS + 1]; /* the count in the first block of a chain */

/* What is true, whatever the code believes. */
byte place[CHAINS + 1];
byte count[CHAINS + 1];
byte ended;

inline leave(chain)
{
    /* transition: bound */
    refused = (here + count[chain] > MOST);
    i = 0;
    if
    :: refused -> i = SLOTS
    :: else ->
        assert(place[chain] == _pid);
#ifndef FAULT_COUNT_LATE
        written[chain] = count[chain];
#endif
    fi;
    do
    :: i < SLOTS && slot[i] == NONE -> /* transition: leave_look */
#ifdef FAULT_LEAVE_STORE
        slot[i] = chain;
        place[chain] = SHELF;
        got = chain;
#else
        /* transition: leave */
        atomic {
            if
            :: slot[i] == NONE -> slot[i] = chain; place[chain] = SHELF; got = chain
            :: else -> got = NONE
            fi
        };
#endif
        if
        :: got != NONE ->
#ifdef FAULT_COUNT_LATE
            written[chain] = count[chain];
#endif
            /* transition: note */
            here = here + count[chain];
            /* transition: lack_ends */
            lacking = false;
            break
        :: else -> i++
        fi
    :: i < SLOTS && slot[i] != NONE -> i++
    :: i >= SLOTS ->
#ifdef FAULT_REFUSED_KEPT
        slot[0] = chain;
#endif
        break
    od;
    got = NONE;
    refused = false;
    i = 0
}

/* Leaves in got what it took, or NONE. */
inline take()
{
    got = NONE;
    i = 0;
    do
    :: i < SLOTS && slot[i] == NONE -> i++ /* transition: take_look */
    :: i < SLOTS && slot[i] != NONE ->
#ifdef FAULT_TAKE_STORE
        got = slot[i];
        slot[i] = NONE;
#else
        /* transition: take */
        atomic { got = slot[i]; slot[i] = NONE };
#endif
        if
        :: got != NONE ->
            atomic {
                assert(place[got] == SHELF);
                assert(written[got] == count[got]);
                place[got] = _pid
            };
#ifndef FAULT_TAKE_UNCOUNTED
            here = here - written[got];
#endif
            break
        :: else -> i++
        fi
    :: i >= SLOTS -> break
    od;
    i = 0
}

active [THREADS] proctype thread()
{
    byte ops = 0;
    byte i = 0;
    byte got = NONE;
    byte chain = 1;
    bool refused = false;
    atomic { place[_pid + 1] = _pid; count[_pid + 1] = _pid + 1 };
    do
    :: ops < OPS ->
        ops++;
        if
        :: /* leaves one of its chains, if it has any */
            chain = 1;
            do
            :: chain <= CHAINS && place[chain] == _pid && count[chain] != 0 ->
                leave(chain);
                break
            :: chain <= CHAINS -> chain++
            :: chain > CHAINS -> break
            od;
            chain = 1
        :: /* asks for one */
            wanted = true; /* transition: want */
            take();
            if
            :: got == NONE -> lacking = true /* transition: lack */
            :: else
            fi;
            got = NONE
        :: /* decays */
            atomic { refused = wanted; wanted = false }; /* transition: decay */
            if
            :: !refused ->
                lacking = false;
                do
                :: take();
                    if
                    :: got != NONE -> place[got] = SYSTEM /* transition: shed */
                    :: else -> break
                    fi
                od
            :: else
            fi;
            refused = false
        fi
    :: else -> break
    od;
    ended++
}

active proctype end()
{
    byte i = 0;
    byte c = 1;
    short lies = 0;
    byte found = 0;
    ended == THREADS;
    d_step {
        do
        :: c <= CHAINS ->
            found = 0;
            i = 0;
            do
            :: i < SLOTS ->
                found = found + (slot[i] == c -> 1 : 0);
                i++
            :: else -> break
            od;
            assert(found == (place[c] == SHELF -> 1 : 0));
            lies = lies + found * count[c];
            c++
        :: else -> break
        od;
        assert(here == lies)
    }
}
