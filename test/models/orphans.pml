/*
 * Heaps that change hands, lib/heaps.c: a thread adopts an orphan or makes a
 * heap, uses it, and hands it on; others push to its inbox all the while, and
 * whoever is about to grow looks into the inboxes of orphans.
 *
 * Proved: a heap is never in two hands, nor twice in the list; what was pushed
 * to an inbox is taken out once; and when all is quiet, an orphan that has
 * something in its inbox is announced, so that whoever grows next will find it.
 *
 * A push (remote.pml) counts one here.  Locks are as lock.pml has them: taken in
 * one step.  Each thread lives LIVES times, does OPS things each time, and once it
 * has handed its heap on may free one block more, which is sent at once.
 *
 * config quick: -DTHREADS=2 -DOPS=2 -DLIVES=1
 * config large: -DTHREADS=2 -DOPS=2 -DLIVES=2
 * config large: -DTHREADS=3 -DOPS=1 -DLIVES=1
 *
 * fault: FAULT_DETACH_SILENT -- who hands on does not look at the inbox again
 * fault: FAULT_WORK_SILENT -- nor does who looked into an orphan
 * fault: FAULT_CLEAR_LATE -- the announcement is taken down after the work
 * fault: FAULT_STATE_EARLY -- who pushes asks for the state before the push
 * fault: FAULT_POP_UNLOCKED -- the list is popped without the lock
 * fault: FAULT_LISTED_EARLY -- an orphan is in the list before it is let go
 */
#define HEAPS THREADS
#define NONE 255
#define UNMADE 0
#define LIVE 1
#define ORPHAN 2

byte lock = NONE; /* who holds it */
bool mail;        /* orphan_mail */
byte orphans = NONE;
byte made;
byte inbox[HEAPS];
byte state[HEAPS];
byte next[HEAPS];

/* What is true, whatever the code believes. */
byte hand[HEAPS]; /* one more than the thread that works on a heap; 0: none */
byte pushed;
byte taken;
byte ended;

inline acquire() { atomic { lock == NONE -> lock = _pid } }
inline release() { assert(lock == _pid); lock = NONE }

inline into_hand(h) { atomic { assert(hand[h] == 0); hand[h] = _pid + 1 } }
inline out_of_hand(h) { atomic { assert(hand[h] == _pid + 1); hand[h] = 0 } }

inline note_mail(h)
{
    /* transition: note_mail */
    if
    :: state[h] == ORPHAN ->
        if
        :: inbox[h] != 0 ->
            if
            :: !mail -> mail = true
            :: else
            fi
        :: else
        fi
    :: else
    fi
}

inline push(h)
{
    /* Other threads have blocks of any heap that was ever made. */
#ifdef FAULT_STATE_EARLY
    early = (state[h] == ORPHAN);
    atomic { inbox[h]++; pushed++ };
    if
    :: early -> mail = true
    :: else
    fi;
    early = false
#else
    atomic { inbox[h]++; pushed++ }; /* transition: push */
    note_mail(h)
#endif
}

inline drain(h)
{
    /* transition: drain */
    if
    :: inbox[h] != 0 ->
        atomic {
            assert(hand[h] == _pid + 1);
            taken = taken + inbox[h];
            inbox[h] = 0
        }
    :: else
    fi
}

inline attach()
{
#ifndef FAULT_POP_UNLOCKED
    acquire();
#endif
    /* transition: adopt */
    own = orphans;
    if
    :: own != NONE -> orphans = next[own]
    :: else -> own = made; assert(own < HEAPS); made++ /* transition: make */
    fi;
    into_hand(own);
    state[own] = LIVE; /* transition: claim */
#ifndef FAULT_POP_UNLOCKED
    release()
#endif
}

inline detach()
{
    drain(own);
    acquire();
#ifndef FAULT_LISTED_EARLY
    /* transition: let_go */
    out_of_hand(own);
#endif
    /* transition: hand_on */
    next[own] = orphans;
    orphans = own;
    state[own] = ORPHAN;
    release();
#ifdef FAULT_LISTED_EARLY
    out_of_hand(own);
#endif
#ifndef FAULT_DETACH_SILENT
    /* transition: look_again */
    note_mail(own);
#endif
    own = NONE
}

inline for_each_orphan()
{
    acquire();
    at = orphans;
    do
    :: at != NONE ->
        into_hand(at);
        state[at] = LIVE;
        drain(at);
        out_of_hand(at);
        state[at] = ORPHAN; /* transition: put_back */
#ifndef FAULT_WORK_SILENT
        /* transition: look_again_after_work */
        note_mail(at);
#endif
        at = next[at]
    :: else -> break
    od;
    release()
}

inline drain_orphans()
{
    if
    :: mail ->
#ifndef FAULT_CLEAR_LATE
        mail = false; /* transition: take_down */
#endif
        for_each_orphan();
#ifdef FAULT_CLEAR_LATE
        mail = false
#endif
    :: else
    fi
}

active [THREADS] proctype thread()
{
    byte lives = 0;
    byte ops = 0;
    byte own = NONE;
    byte at = NONE;
#ifdef FAULT_STATE_EARLY
    bool early = false;
#endif
    do
    :: lives < LIVES ->
        lives++;
        attach();
        do
        :: ops < OPS ->
            ops++;
            if
            :: made > 0 && own != 0 -> push(0)
            :: made > 1 && own != 1 -> push(1)
            :: true -> drain(own)
            :: true -> drain_orphans()
            :: for_each_orphan() /* a purge, which waits for no announcement */
            fi
        :: else -> break
        od;
        ops = 0;
        detach();
        if
        :: true -> push(0)
        :: made > 1 -> push(1)
        :: true
        fi
    :: else -> break
    od;
    ended++
}

active proctype end()
{
    byte h = 0;
    byte left = 0;
    byte listed = 0;
    byte at = NONE;
    ended == THREADS;
    d_step {
        at = orphans;
        do
        :: at != NONE -> listed++; assert(listed <= made); at = next[at]
        :: else -> break
        od;
        assert(listed == made);
        do
        :: h < made ->
            assert(hand[h] == 0 && state[h] == ORPHAN);
            assert(inbox[h] == 0 || mail);
            left = left + inbox[h];
            h++
        :: else -> break
        od;
        assert(taken + left == pushed)
    }
}
