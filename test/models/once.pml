/*
 * What is done once: lib/sysalloc.c looks up the next allocator when it is first
 * needed, by whichever thread, and is called by its own lookup; lib/lifecycle.c
 * makes the key whose destructor hands a thread's heap on.
 *
 * Proved: the allocator is looked up once, nobody calls it before it is known,
 * the thread that looks it up does not wait for itself, and blocks of the static
 * buffer never reach it; every thread with a heap will hand it on.
 *
 * The last holds because the first thread that gets a heap is alone: it is the
 * one that loads the library or that starts the second thread.  FAULT_NOT_ALONE
 * shows what depends on it.
 *
 * config quick: -DTHREADS=2
 * config large: -DTHREADS=3
 *
 * fault: FAULT_TWO_LOOK -- progress is read, then set
 * fault: FAULT_WAITS_FOR_ITSELF -- the thread that looks up is not told apart
 * fault: FAULT_KNOWN_EARLY -- progress says known before the functions are published
 * fault: FAULT_GUARD_EARLY -- whether the buffer was used is read before the lookup
 * fault: FAULT_NOT_ALONE -- threads are there before the first heap
 */
#define UNKNOWN 0
#define LOOKING 1
#define KNOWN 2

byte progress;
bool target;    /* the functions that were found */
bool public;    /* pym_sysalloc is no longer what it is at the start */
bool guarded;   /* ... and tells blocks of the buffer */
bool boot_used; /* the static buffer */
byte lookups;

bool key_wanted;
bool key_made;
bool alone;

/* pym_sysalloc.malloc.  Tells by in_buffer where the block came from. */
inline first_malloc()
{
    /* transition: look_up */
    if
    :: public -> assert(target)
    :: !public ->
        /* transition: begin */
#ifdef FAULT_TWO_LOOK
        turn = (progress == UNKNOWN);
        progress = (turn -> LOOKING : progress);
#else
        atomic {
            turn = (progress == UNKNOWN);
            progress = (turn -> LOOKING : progress)
        };
#endif
        if
        :: turn ->
            lookups++;
            assert(lookups == 1);
#ifndef FAULT_WAITS_FOR_ITSELF
            looking = true;
#endif
#ifdef FAULT_GUARD_EARLY
            guarded = boot_used;
#endif
            find();
            target = true; /* transition: find */
#ifdef FAULT_KNOWN_EARLY
            progress = KNOWN;
#endif
#ifndef FAULT_GUARD_EARLY
            guarded = boot_used; /* transition: guard */
#endif
            public = true; /* transition: publish */
            looking = false;
            progress = KNOWN /* transition: known */
        :: else ->
            progress == KNOWN; /* transition: wait */
            assert(target && public)
        fi;
        turn = false
    fi
}

/* What dlsym does: it may allocate, and free what it has got. */
inline find()
{
    if
    :: looking -> boot_used = true; in_buffer = true /* transition: boot */
#ifdef FAULT_WAITS_FOR_ITSELF
    :: !looking -> progress == KNOWN
#endif
    :: true
    fi
}

inline first_free()
{
    if
    :: in_buffer -> assert(!public || guarded)
    :: else -> assert(public)
    fi;
    in_buffer = false
}

/* pym_lifecycle_heap, and the thread's end. */
inline heap()
{
    turn = false;
    /* transition: want_key */
    atomic { turn = !key_wanted; key_wanted = true };
    if
    :: turn -> key_made = true /* transition: make_key */
    :: else
    fi;
    handed_on = key_made; /* transition: set_key */
    turn = false
}

active [THREADS] proctype thread()
{
    bool turn = false;
    bool looking = false;
    bool in_buffer = false;
    bool handed_on = false;
#ifndef FAULT_NOT_ALONE
    alone || _pid == 0;
#endif
    heap();
    alone = true;
    assert(handed_on);
    first_malloc();
    first_free()
}
