/*
 * Remote frees, lib/remote.c and lib/heap.c: threads collect blocks of others'
 * pools, send them as chains to the owner's inbox with one compare-and-exchange,
 * and the owner takes its inbox with one exchange and splices what it finds into
 * the pools.  Blocks are handed out again at once, so that an inbox may be the
 * same at the second look and yet another one.
 *
 * Proved: no block is lost, in two lists, or handed out twice; nobody writes to
 * a block once it is pushed; a chain's note says how many it has and where it
 * ends; a pool's countdown is what is in use, or free, of it after every step;
 * and once all senders are through and the owner has drained, no pool waits as
 * full or available for a block that will not come.
 *
 * The weak compare-and-exchange may fail for no reason.  What is one thread's
 * own is done in one step.  When an outbox is flushed is not modelled but free:
 * whatever the option "remote" says, it is among the runs.
 *
 * config quick: -DOWNERS=1 -DSENDERS=2 -DPOOLS=2 -DPER=2 -DWAKE=1 -DALLOCS=2
 * config quick: -DOWNERS=1 -DSENDERS=1 -DPOOLS=2 -DPER=3 -DWAKE=2 -DALLOCS=4
 * config quick: -DOWNERS=2 -DSENDERS=1 -DPOOLS=3 -DPER=1 -DWAKE=1 -DALLOCS=2
 * config large: -DOWNERS=1 -DSENDERS=2 -DPOOLS=2 -DPER=2 -DWAKE=1 -DALLOCS=4
 * config large: -DOWNERS=2 -DSENDERS=1 -DPOOLS=2 -DPER=2 -DWAKE=1 -DALLOCS=2
 * config large: -DOWNERS=2 -DSENDERS=1 -DPOOLS=3 -DPER=1 -DWAKE=1 -DALLOCS=3
 * config large: -DOWNERS=1 -DSENDERS=2 -DPOOLS=2 -DPER=3 -DWAKE=2 -DALLOCS=3
 * config large: -DOWNERS=1 -DSENDERS=1 -DPOOLS=3 -DPER=2 -DWAKE=1 -DALLOCS=5
 *
 * fault: FAULT_PUSH_STORE -- the inbox is read, then written
 * fault: FAULT_STALE_NOTE -- a push that failed keeps its note
 * fault: FAULT_NOTE_LATE -- the note is written after the push
 * fault: FAULT_TAKE_SPLIT -- the inbox is read, then emptied
 * fault: FAULT_SLOT_KEPT -- a slot is not emptied when it is sent
 * fault: FAULT_FLUSH_BLIND -DOWNERS=2 -DSENDERS=1 -DALLOCS=2 -- a flush takes all pools for one owner's
 * fault: FAULT_WAKE_FORGETS -DSENDERS=1 -DPER=3 -DWAKE=2 -DALLOCS=4 -- a pool that wakes counts what woke it, not what came along
 */
#define BLOCKS (POOLS * PER) /* at most 6 */
#define SLOTS 2
#define NONE 0
#define NOBODY 255
#define pool_of(b) (((b)-1) / PER)
#define owner_of(p) ((p) % OWNERS)

#define ACTIVE 1
#define FULL 2
#define AVAILABLE 3
#define SPARE 4

byte inbox[OWNERS];

/* The first two words of blocks. */
byte link[7];
byte note_next[7];
byte note_tail[7];
byte note_count[7];

/* Pools' records, each its owner's alone. */
byte free_to[POOLS];
byte pool_state[POOLS] = SPARE;
byte countdown[POOLS];

/* What is true, whatever the code believes: 0 free; a thread's number if it is in
 * use, and that thread will free it; more if it is in that thread's outbox. */
#define ME (_pid + 1)
#define OUTBOX (_pid + 11)
#define SENT 100
byte place[7];
byte through; /* owners that will hand out no more */
byte senders_ended;

#define OWNS                                                                     \
    (place[1] == ME || place[2] == ME || place[3] == ME || place[4] == ME ||     \
     place[5] == ME || place[6] == ME)

/* Any of the blocks that the thread is to free. */
inline choose()
{
    if
    :: atomic { place[1] == ME -> mine = 1 }
    :: atomic { place[2] == ME -> mine = 2 }
#if BLOCKS > 2
    :: atomic { place[3] == ME -> mine = 3 }
    :: atomic { place[4] == ME -> mine = 4 }
#endif
#if BLOCKS > 4
    :: atomic { place[5] == ME -> mine = 5 }
    :: atomic { place[6] == ME -> mine = 6 }
#endif
    fi
}

/* ---- an owner: lib/heap.c, lib/alloc.h ---- */

/* As pym_verify_heap does. */
inline verify()
{
    d_step {
        p = 0;
        do
        :: p < POOLS ->
            listed = 0;
            b = (owner_of(p) == _pid -> free_to[p] : NONE);
            do
            :: b != NONE ->
                listed++;
                assert(listed <= PER && place[b] == 0 && pool_of(b) == p);
                b = link[b]
            :: else -> break
            od;
            if
            :: owner_of(p) == _pid ->
                assert(pool_state[p] != FULL || WAKE - countdown[p] == listed);
                assert(pool_state[p] != AVAILABLE || PER - countdown[p] == listed);
                assert(pool_state[p] != SPARE || listed == PER)
            :: else
            fi;
            p++
        :: else -> break
        od;
        p = 0;
        listed = 0
    }
}

/* transition: make_available */
inline make_available(in_use)
{
    if
    :: (in_use) == 0 -> pool_state[p] = SPARE
    :: else -> countdown[p] = in_use; pool_state[p] = AVAILABLE
    fi
}

/* transition: account_freed */
inline account_freed(count)
{
    if
    :: pool_state[p] == ACTIVE
    :: pool_state[p] != ACTIVE && pool_state[p] != SPARE && count < countdown[p] ->
        countdown[p] = countdown[p] - count
    :: else ->
        if
        :: pool_state[p] == FULL ->
#ifdef FAULT_WAKE_FORGETS
            rest_in_use = PER - WAKE + count
#else
            rest_in_use = PER - WAKE + countdown[p]
#endif
        :: pool_state[p] == AVAILABLE -> rest_in_use = countdown[p]
        :: else -> rest_in_use = 0
        fi;
        assert(count <= rest_in_use);
        make_available(rest_in_use - count)
    fi;
    rest_in_use = 0
}

/* Puts the chain that starts with rest into its pool; rest is then the next. */
inline splice()
{
    d_step {
        p = pool_of(rest);
        assert(owner_of(p) == _pid);
        b = rest;
        listed = 0;
        do
        :: true ->
            assert(place[b] == SENT && pool_of(b) == p);
            place[b] = 0;
            listed++;
            if
            :: b == note_tail[rest] -> break
            :: else -> b = link[b]
            fi
        od;
        assert(listed == note_count[rest]);
        link[note_tail[rest]] = free_to[p]; /* transition: splice */
        free_to[p] = rest;
        account_freed(listed);
        b = NONE;
        p = 0;
        listed = 0;
        rest = note_next[rest] /* transition: next */
    }
}

inline drain()
{
    if
    :: inbox[_pid] != NONE ->
#ifdef FAULT_TAKE_SPLIT
        rest = inbox[_pid];
        inbox[_pid] = NONE;
#else
        atomic { rest = inbox[_pid]; inbox[_pid] = NONE }; /* transition: take */
#endif
        do
        :: rest != NONE -> splice()
        :: else -> break
        od;
        rest = NONE;
        verify()
    :: else
    fi
}

/* Finds a pool in a state; POOLS if there is none. */
inline find(wanted)
{
    p = 0;
    do
    :: p < POOLS && !(owner_of(p) == _pid && pool_state[p] == wanted) -> p++
    :: else -> break
    od
}

/* Finds a full pool of which blocks are free. */
inline find_waking()
{
    p = 0;
    do
    :: p < POOLS &&
       !(owner_of(p) == _pid && pool_state[p] == FULL && countdown[p] < WAKE) -> p++
    :: else -> break
    od
}

/* What comes after the inbox: the next pool, if the bin is still ran_out. */
inline supply()
{
    d_step {
        find(ACTIVE);
        if
        :: p < POOLS && free_to[p] == NONE ->
            pool_state[p] = FULL; /* transition: make_full */
            countdown[p] = WAKE;
            p = POOLS
        :: else
        fi;
        if
        :: p == POOLS ->
            find(AVAILABLE);
            if
            :: p == POOLS -> find(SPARE)
            :: else
            fi;
            if
            :: p == POOLS -> find_waking()
            :: else
            fi;
            if
            :: p < POOLS -> pool_state[p] = ACTIVE /* transition: make_active */
            :: else
            fi
        :: else
        fi;
        p = 0
    }
}

inline refill()
{
    d_step { find(ACTIVE); ran_out = (p == POOLS || free_to[p] == NONE); p = 0 };
    if
    :: ran_out ->
        drain();
        supply()
    :: else
    fi;
    ran_out = false
}

/* A block from the bin for a thread; none if all are in use. */
inline pop(thread)
{
    d_step {
        find(ACTIVE);
        if
        :: p < POOLS && free_to[p] != NONE ->
            b = free_to[p];
            assert(place[b] == 0);
            free_to[p] = link[b]; /* transition: pop */
            place[b] = thread
        :: else
        fi;
        p = 0;
        b = NONE
    }
}

inline local_free()
{
    d_step {
        p = pool_of(mine);
        place[mine] = 0;
        link[mine] = free_to[p]; /* transition: local_free */
        free_to[p] = mine;
        mine = NONE;
        if
        :: pool_state[p] != ACTIVE ->
            countdown[p]--;
            if
            :: countdown[p] == 0 && pool_state[p] == FULL ->
                make_available(PER - WAKE) /* transition: event */
            :: countdown[p] == 0 && pool_state[p] != FULL ->
                assert(pool_state[p] == AVAILABLE);
                pool_state[p] = SPARE
            :: else
            fi
        :: else
        fi;
        p = 0
    };
    verify()
}

active [OWNERS] proctype owner()
{
    byte allocs = 0;
    byte b = NONE;
    byte mine = NONE;
    byte p = 0;
    byte listed = 0;
    byte rest = NONE;
    byte rest_in_use = 0;
    bool ran_out = false;
    d_step { /* all blocks are cut off, and free */
        do
        :: p < POOLS && owner_of(p) == _pid ->
            b = p * PER + 1;
            free_to[p] = b;
            do
            :: b < (p + 1) * PER -> link[b] = b + 1; b++
            :: else -> break
            od;
            p++
        :: p < POOLS && owner_of(p) != _pid -> p++
        :: p >= POOLS -> break
        od;
        p = 0;
        b = NONE
    };
    do
    :: allocs < ALLOCS ->
        allocs++;
        refill();
        if
        :: pop(ME)
        :: pop(OWNERS + 1)
#if SENDERS > 1
        :: pop(OWNERS + 2)
#endif
        fi
    :: inbox[_pid] != NONE -> drain() /* a purge */
    :: OWNS -> choose(); local_free()
    :: allocs == ALLOCS && !OWNS -> break
    od;
    through++;
    senders_ended == SENDERS;
    drain();
    d_step {
        do
        :: p < POOLS ->
            assert(owner_of(p) != _pid || pool_state[p] == SPARE ||
                   pool_state[p] == ACTIVE);
            b = 1;
            do
            :: b <= PER ->
                assert(owner_of(p) != _pid || place[p * PER + b] == 0);
                b++
            :: else -> break
            od;
            p++
        :: else -> break
        od
    }
}

/* ---- a sender: lib/remote.c ---- */

typedef chain {
    byte head;
    byte tail;
    byte count
};

inline write_note(what, next)
{
    assert(place[what.head] == OUTBOX);
    note_next[what.head] = next;
    note_tail[what.head] = what.tail;
    note_count[what.head] = what.count
}

/* The blocks from one to another have left the outbox. */
inline mark_sent(from, to)
{
    b = from;
    do
    :: true ->
        assert(place[b] == OUTBOX);
        place[b] = SENT;
        if
        :: b == to -> break
        :: else -> b = link[b]
        fi
    od
}

/* Pushes chains that start with first and end with last. */
inline push(target, first, last)
{
    before = inbox[target]; /* transition: look */
#ifdef FAULT_STALE_NOTE
    d_step { write_note(last, before) };
#endif
    again = true;
    do
    :: again ->
#if !defined(FAULT_NOTE_LATE) && !defined(FAULT_STALE_NOTE)
        d_step { write_note(last, before) }; /* transition: note */
#endif
        /* transition: push */
        atomic {
            if
#ifdef FAULT_PUSH_STORE
            :: true ->
#else
            :: inbox[target] == before ->
#endif
                inbox[target] = first;
                c = first;
                do
                :: c != last.head ->
                    mark_sent(c, note_tail[c]);
                    c = note_next[c]
                :: else -> break
                od;
                mark_sent(last.head, last.tail);
                b = NONE;
                c = NONE;
                again = false
            :: before = inbox[target]
            fi
        }
    :: else -> break
    od;
    c = NONE;
#ifdef FAULT_NOTE_LATE
    d_step { write_note(last, before) };
#endif
    d_step {
        before = NONE;
        last.head = NONE;
        last.tail = NONE;
        last.count = 0
    }
}

/* transition: take_slot */
inline take_slot(into)
{
    d_step {
        into.head = slot[i].head;
        into.tail = slot[i].tail;
        into.count = slot[i].count;
#ifndef FAULT_SLOT_KEPT
        slot[i].head = NONE;
        slot[i].tail = NONE;
        slot[i].count = 0
#endif
    }
}

inline flush()
{
    i = 0;
    do
    :: i < SLOTS ->
        if
        :: slot[i].head != NONE ->
            take_slot(one);
            if
#ifdef FAULT_FLUSH_BLIND
            :: first != NONE ->
#else
            :: owner_of(pool_of(one.head)) == whose ->
#endif
                d_step { write_note(one, first); first = one.head } /* transition: join */
            :: else ->
                if
                :: first != NONE -> push(whose, first, last)
                :: else
                fi;
                d_step {
                    whose = owner_of(pool_of(one.head));
                    last.head = one.head;
                    last.tail = one.tail;
                    last.count = one.count;
                    first = one.head
                }
            fi
        :: else
        fi;
        i++
    :: else -> break
    od;
    if
    :: first != NONE -> push(whose, first, last)
    :: else
    fi;
    d_step {
        i = 0;
        first = NONE;
        whose = NOBODY;
        one.head = NONE;
        one.tail = NONE;
        one.count = 0
    }
}

inline collect()
{
    i = pool_of(mine) % SLOTS;
    if
    :: slot[i].head != NONE && pool_of(slot[i].head) == pool_of(mine) ->
        d_step {
            link[mine] = slot[i].head; /* transition: collect */
            slot[i].head = mine;
            slot[i].count++;
            place[mine] = OUTBOX
        }
    :: else ->
        if
        :: slot[i].head != NONE -> /* transition: send_slot */
            take_slot(last);
            whose = owner_of(pool_of(last.head));
            first = last.head;
            push(whose, first, last);
            first = NONE;
            whose = NOBODY
        :: else
        fi;
        d_step {
            slot[i].head = mine; /* transition: collect_first */
            slot[i].tail = mine;
            slot[i].count = 1;
            place[mine] = OUTBOX
        }
    fi;
    d_step { mine = NONE; i = 0 }
}

/* transition: send */
inline send()
{
    d_step {
        place[mine] = OUTBOX;
        last.head = mine;
        last.tail = mine;
        last.count = 1
    };
    push(owner_of(pool_of(mine)), mine, last);
    mine = NONE
}

active [SENDERS] proctype sender()
{
    chain slot[SLOTS];
    chain last;
    chain one;
    byte i = 0;
    byte b = NONE;
    byte c = NONE;
    byte mine = NONE;
    byte first = NONE;
    byte before = NONE;
    byte whose = NOBODY;
    bool again = false;
    do
    :: OWNS ->
        choose();
        if
        :: true ->
            collect();
            if
            :: true -> flush()
            :: true
            fi
        :: true -> send() /* of a thread that has no outbox */
        fi
    :: through == OWNERS && !OWNS -> break
    od;
    flush();
    senders_ended++
}
