/*
 * The lock of lib/lock.c: three states of one word, and the kernel's queue.
 *
 * Proved: never two threads inside; no thread sleeps for ever (that would be an
 * end state in which it has not ended); the lock ends free.
 *
 * The kernel compares and queues in one step and wakes any one sleeper, not the
 * first.  A signal may wake a sleeper as well, but only so many times: one that
 * can always come would hide a wake-up that is lost.
 *
 * config quick: -DTHREADS=3 -DROUNDS=2 -DSIGNALS=1
 * config large: -DTHREADS=3 -DROUNDS=4 -DSIGNALS=2
 * config large: -DTHREADS=4 -DROUNDS=2 -DSIGNALS=1
 *
 * fault: FAULT_TAKE_SPLIT -- the lock is looked at, then set
 * fault: FAULT_NO_WAKE -- unlock wakes nobody
 * fault: FAULT_WAKE_FIRST -- unlock wakes, then frees
 * fault: FAULT_FORGET_SLEEPERS -- who was woken takes it as if nobody slept
 * fault: FAULT_WAIT_BLIND -- the kernel does not compare
 */
#define FREE 0
#define HELD 1
#define HELD_SLEEPERS 2

byte word;
byte inside;
byte ended;
byte signals = SIGNALS;
bool asleep[THREADS];

/* One sleeper, whichever; nothing if there is none. */
inline wake_any()
{
    if
    :: asleep[0] -> asleep[0] = false
    :: asleep[1] -> asleep[1] = false
    :: asleep[2] -> asleep[2] = false
#if THREADS > 3
    :: asleep[3] -> asleep[3] = false
#endif
    :: else
    fi
}

inline take_free(taken)
{
    /* transition: take_free */
#ifdef FAULT_TAKE_SPLIT
    taken = (word == FREE);
    if
    :: taken -> word = HELD
    :: else
    fi
#else
    atomic {
        taken = (word == FREE);
        if
        :: taken -> word = HELD
        :: else
        fi
    }
#endif
}

inline lock_contended()
{
    /* The spinning: one try that may or may not be made stands for any number. */
    if
    :: take_free(got)
    :: true -> got = false
    fi;
    do
    :: got -> break
    :: else ->
        /* transition: take_contended */
        atomic {
            got = (word == FREE);
#ifdef FAULT_FORGET_SLEEPERS
            word = (woken -> HELD : HELD_SLEEPERS)
#else
            word = HELD_SLEEPERS
#endif
        };
        if
        :: got -> break
        :: else
        fi;
        /* transition: sleep */
#ifdef FAULT_WAIT_BLIND
        asleep[_pid] = true;
#else
        atomic { asleep[_pid] = (word == HELD_SLEEPERS) };
#endif
        if
        :: !asleep[_pid]
        :: atomic { asleep[_pid] && signals > 0 -> signals--; asleep[_pid] = false }
        fi;
        woken = true
    od;
    woken = false
}

inline unlock()
{
#ifdef FAULT_WAKE_FIRST
    atomic {
        if
        :: word == HELD_SLEEPERS -> wake_any()
        :: else
        fi
    };
    word = FREE
#else
    /* transition: unlock */
    atomic { had = (word == HELD_SLEEPERS); word = FREE };
#ifndef FAULT_NO_WAKE
    /* transition: wake */
    if
    :: atomic { had -> had = false; wake_any() }
    :: else
    fi
#endif
#endif
}

active [THREADS] proctype thread()
{
    byte round = 0;
    bool got = false;
    bool woken = false;
    bool had = false;
    do
    :: round < ROUNDS ->
        round++;
        take_free(got);
        if
        :: !got -> lock_contended()
        :: !got -> goto next /* a try, which gives up */
        :: else
        fi;
        got = false;
        inside++;
        assert(inside == 1);
        inside--;
        unlock();
next:   skip
    :: else -> break
    od;
    ended++
}

/* The last state of all. */
active proctype end()
{
    do
    :: timeout ->
        assert(ended == THREADS); /* a thread that is left sleeps for ever */
        assert(word == FREE);
        break
    od
}
