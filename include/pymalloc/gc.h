/*
 * libpymalloc's object layer: reference counts, and a collector for the cycles
 * that counts cannot free.
 *
 * An object is a block of a heap with a type.  It is born with one reference, which
 * its maker owns, and is freed at once when the last reference is dropped.  Objects
 * that refer to each other in a circle never get there; a collector of three
 * generations finds them: it runs by itself as objects are allocated, or when told.
 *
 *     struct node { struct node *next; };
 *     static const struct pygc_slot slots[] = {PYGC_SLOT(struct node, next)};
 *     static const struct pygc_type_spec spec = {
 *         .name = "node", .size = sizeof(struct node),
 *         .slots = slots, .slot_count = 1};
 *
 *     pygc_heap *heap = pygc_heap_new(NULL);
 *     pygc_type *type = pygc_type_new(&spec);
 *     struct node *a = pygc_alloc(heap, type), *b = pygc_alloc(heap, type);
 *     pygc_store(a, &a->next, b), pygc_store(b, &b->next, a);
 *     pygc_decref(a), pygc_decref(b);   // still alive: they hold each other
 *     pygc_collect(heap, 2);            // now they are not
 *     pygc_heap_destroy(heap, 0);
 *
 * In front of an object lies a header of 8 bytes, and nothing else: a node of two
 * pointers and a number takes 32 bytes in all.
 *
 * Threads: a heap, with all its objects, weak references and counts, belongs to one
 * thread at a time.  It may be handed to another thread by any means that orders
 * memory, such as a mutex.  Several heaps may be used by several threads at once;
 * objects of different heaps must not refer to each other.  Types are shared by all
 * heaps and never freed.
 *
 * Callbacks (finalize, clear, dealloc, and those of weak references) may use the
 * whole interface, but for what their description excludes, and must return
 * normally.
 *
 * Functions that can fail return NULL or -1 and set errno; others leave it alone.
 * Misuse that is found ends in one line on standard error and abort().
 */
#ifndef PYMALLOC_GC_H
#define PYMALLOC_GC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pygc_heap pygc_heap;
typedef struct pygc_type pygc_type;
typedef struct pygc_weakref pygc_weakref;

/* ---- types ---- */

enum {
    PYGC_STRONG = 0, /* pointers to objects, each NULL or an owned reference */
    PYGC_WEAK = 1,   /* pointers to weak references (pygc_weakref *) that the object
                        owns: freed, without a callback, when it dies */
    PYGC_ITEMS = 2   /* or-ed to the above: repeated in every item of the object */
};

/* A run of count pointers at offset bytes from the start of the object, or of each
 * item with PYGC_ITEMS.  No pointer may be in two of them. */
struct pygc_slot {
    uint32_t offset;
    uint32_t count;
    unsigned kind;
    /* The type that is all that will ever be stored there, registered before, or
     * PYGC_SELF; NULL for any.  Types that their targets show to be in no cycle are
     * never looked at by the collector. */
    const pygc_type *target;
};

#define PYGC_SELF ((const pygc_type *)1)
#define PYGC_SLOT(structure, member)                                                   \
    {                                                                                  \
        (uint32_t) offsetof(structure, member), 1, 0, NULL                             \
    }

typedef int pygc_visit_fn(void *object, void *arg);

enum {
    PYGC_ACYCLIC = 1,        /* never part of a cycle: never tracked */
    PYGC_WEAKREFABLE = 2,    /* may have weak references to it */
    PYGC_IMMUTABLE = 4,      /* its slots do not change once the object is tracked and
                                has lived through a collection; it stops being tracked
                                if nothing that it refers to is or may be */
    PYGC_LEAST_FLAG_FREE = 8 /* higher bits must be zero */
};

/*
 * What a type is made of.  References are told either by slots, which is better, or
 * by traverse, for objects whose references lie elsewhere: it calls visit(object,
 * arg) for every reference that the object owns, stops when that is not 0 and
 * returns that, else 0.  It must not change anything.
 *
 * A type with strong slots may have traverse as well.  The library goes by the slots
 * then, and does not call clear; but pygc_verify, for every object of the type, however
 * new, finds out whether traverse visits what the slots have, each as often.
 *
 * At an object's death, in this order: finalize, if it has never been called for
 * the object; weak references to it are cleared, then their callbacks are called;
 * its strong slots are dropped and its weak slots freed, or clear is called, which
 * drops every reference that traverse visits; dealloc, which releases what the
 * library does not know of and must not touch references.
 *
 * finalize may do anything to the object, storing new references to it included:
 * it then lives on, and will not be finalized again.
 *
 * Every member but name may be left zero.
 */
struct pygc_type_spec {
    const char *name; /* copied */
    size_t size;      /* bytes of an object, or of its part before the items */
    /* Bytes of an item; 0: objects of this type have none.  If they have, an object
     * begins with a size_t that holds their number, kept by the library, and the
     * items lie from size on. */
    size_t item_size;
    const struct pygc_slot *slots; /* copied */
    size_t slot_count;
    int (*traverse)(void *object, pygc_visit_fn *visit, void *arg);
    void (*clear)(void *object);
    void (*finalize)(void *object);
    void (*dealloc)(void *object);
    unsigned flags;
};

/* Registers a type; it lasts as long as the process.  NULL with EINVAL if the
 * description contradicts itself, ENOMEM if there is no memory or there are 65,535
 * types already.  Any thread. */
pygc_type *pygc_type_new(const struct pygc_type_spec *spec);

const char *pygc_type_name(const pygc_type *type);

/* Whether objects of the type can be in a cycle as far as the library can tell. */
int pygc_type_is_cyclic(const pygc_type *type);

/* The type of an object. */
const pygc_type *pygc_type_of(const void *object);

/* ---- heaps ---- */

struct pygc_options {
    unsigned threshold[3]; /* as pygc_set_threshold; all zero: 700, 10, 10 */
    int disabled;          /* collections only when told */
    unsigned flags;        /* of those below */
};

enum {
    PYGC_DEBUG_SAVE = 1,  /* keep garbage, for pygc_garbage, instead of freeing it */
    PYGC_DEBUG_LEAKS = 2, /* pygc_heap_destroy reports what is left, by type */
    PYGC_DEBUG_STATS = 4, /* a line on standard error for each collection */
    /* pygc_verify before each collection, and abort() if it finds anything.  Besides,
     * misuse that else may go unseen ends in a line and abort(): the use of a heap by a
     * thread that has not got it (pygc_heap_adopt), and of objects that are dead, whose
     * memory is filled with 0xdd and kept for a while, 4 MiB of it at most. */
    PYGC_DEBUG_VERIFY = 8,
    /* An automatic collection at every allocation, of a generation at random, and
     * garbage disposed of in random order. */
    PYGC_DEBUG_TORTURE = 16,
    /* One in fifty allocations fails with ENOMEM. */
    PYGC_DEBUG_FAIL = 32
};

/* A new, empty heap; options may be NULL.  NULL with ENOMEM. */
pygc_heap *pygc_heap_new(const struct pygc_options *options);

/* Finalizes what lives, unless flags has PYGC_NO_FINALIZERS, as far as there is memory
 * to list it, and frees all objects, weak references and the heap.  References from
 * outside become invalid.  Returns the number of objects that were left. */
enum { PYGC_NO_FINALIZERS = 1 };
size_t pygc_heap_destroy(pygc_heap *heap, unsigned flags);

/* A heap for simple programs: made at the first call, never destroyed.  It belongs
 * to one thread at a time as any other.  NULL with ENOMEM. */
pygc_heap *pygc_heap_default(void);

/* Says that the heap is the calling thread's from now on, after it was handed over.
 * Only PYGC_DEBUG_VERIFY needs to be told: until then the heap is that of the thread
 * that has set the flag. */
void pygc_heap_adopt(pygc_heap *heap);

/* The heap of an object. */
pygc_heap *pygc_heap_of(const void *object);

/* ---- objects ---- */

/* A new object: zeroed, aligned to 16 bytes, with one reference, which is the
 * caller's.  A type with slots, or acyclic, needs no more; one with traverse is
 * tracked when pygc_track says that its references may be visited.  May run a
 * collection, before.  NULL with ENOMEM. */
void *pygc_alloc(pygc_heap *heap, const pygc_type *type);

/* The same with n items.  NULL also with EINVAL if the type has no items. */
void *pygc_alloc_var(pygc_heap *heap, const pygc_type *type, size_t n);

/* Changes the number of items, keeping what both sizes share; new ones are zeroed, and
 * references in the slots of dropped ones are dropped, but not those that only traverse
 * tells of.  The object must have one reference, which is the caller's, and no weak
 * references to it; it may move.  NULL with EINVAL if that is not so, or with ENOMEM,
 * and the object is as it was. */
void *pygc_realloc_var(void *object, size_t n);

/* The number of items of an object, 0 if its type has none; its size in bytes. */
size_t pygc_item_count(const void *object);
size_t pygc_object_size(const void *object);

/* Whether the collector looks at the object.  Tracking a tracked object, and the
 * other way round, does nothing; an object of an acyclic type stays untracked. */
void pygc_track(void *object);
void pygc_untrack(void *object);
int pygc_is_tracked(const void *object);

/* Whether finalize has been called for it. */
int pygc_is_finalized(const void *object);

/* ---- references ---- */

/* The word before an object; nobody's business but that of the functions below. */
struct pygc_header {
    uint32_t bits;
    uint32_t refs; /* the highest bit set: immortal */
};

/* Drops the last reference, or finds that it is none. */
void pygc_decref_last(void *object);

static inline struct pygc_header *pygc_header_of(const void *object)
{
    return (struct pygc_header *)(uintptr_t)object - 1;
}

/* One reference more.  A count that would pass 2,147,483,647 sticks: the object is
 * immortal then. */
static inline void pygc_incref(void *object)
{
    struct pygc_header *header = pygc_header_of(object);
    header->refs += ~header->refs >> 31;
}

/* One reference less; the object dies with the last. */
static inline void pygc_decref(void *object)
{
    struct pygc_header *header = pygc_header_of(object);
    if ((int32_t)header->refs > 1) {
        header->refs--;
    } else {
        pygc_decref_last(object);
    }
}

/* How many objects the drop of one reference may release; 0, as at first: all that die
 * by it.  With a budget, the others wait and are released by later drops and
 * allocations, as many each time, or by pygc_release, which returns whether there are
 * more: so that dropping a large structure is not one long pause. */
void pygc_set_release_budget(pygc_heap *heap, size_t objects);
int pygc_release(pygc_heap *heap, size_t objects);

/* The same, doing nothing with NULL. */
static inline void pygc_xincref(void *object)
{
    if (object != NULL) {
        pygc_incref(object);
    }
}

static inline void pygc_xdecref(void *object)
{
    if (object != NULL) {
        pygc_decref(object);
    }
}

/* Stores a reference to value, which may be NULL, into a slot of owner and drops
 * what was there; slot is the slot's address. */
static inline void pygc_store(void *owner, void *slot, void *value)
{
    void *old = *(void **)slot;
    (void)owner;
    pygc_xincref(value);
    *(void **)slot = value;
    pygc_xdecref(old);
}

/* Empties a slot, dropping what was there. */
static inline void pygc_clear(void *slot)
{
    void *old = *(void **)slot;
    *(void **)slot = NULL;
    pygc_xdecref(old);
}

/* Empties a slot; the reference that was there is now the caller's. */
static inline void *pygc_take(void *slot)
{
    void *old = *(void **)slot;
    *(void **)slot = NULL;
    return old;
}

/* The number of references; PYGC_IMMORTAL if they are not counted any more. */
#define PYGC_IMMORTAL ((size_t)-1)
static inline size_t pygc_refcnt(const void *object)
{
    uint32_t refs = pygc_header_of(object)->refs;
    return (int32_t)refs < 0 ? PYGC_IMMORTAL : refs;
}

static inline int pygc_is_unique(const void *object)
{
    return pygc_header_of(object)->refs == 1;
}

/* Lets the object, with what it refers to, live as long as its heap. */
static inline void pygc_immortalize(void *object)
{
    pygc_header_of(object)->refs |= UINT32_C(0x80000000);
}

/* ---- weak references ---- */

/* A weak reference to an object of a PYGC_WEAKREFABLE type.  When the object is about
 * to die it is cleared, and callback, unless NULL, is called once with it and arg; but
 * not if it is freed before that, nor once a collection has found the object whose slot
 * it is in (PYGC_WEAK) to be garbage, even if a finalizer brings that back to life.
 * A collection ends when no callback is due any more, so one that made weak references
 * with callbacks to all objects, garbage with them, would keep it from its end.
 * NULL with EINVAL or ENOMEM. */
pygc_weakref *pygc_weakref_new(void *object,
                               void (*callback)(pygc_weakref *ref, void *arg),
                               void *arg);

/* A new reference to the target, which is the caller's; NULL if it is gone. */
void *pygc_weakref_get(const pygc_weakref *ref);

/* May be called from its own callback.  NULL does nothing. */
void pygc_weakref_free(pygc_weakref *ref);

/* ---- finalizers ---- */

/* Puts finalizers off, or (0) no longer: objects that are due wait, alive, until
 * pygc_finalize_run, which returns how many it finalized.  The finalizer of an object
 * whose last reference is dropped is called at once if there is no memory to put it
 * off. */
void pygc_finalize_defer(pygc_heap *heap, int defer);
size_t pygc_finalize_run(pygc_heap *heap);

/* ---- collecting ---- */

/* Collects generation 0, 1 or 2 and all younger ones.  Returns the number of garbage
 * objects that were found; 0 if a collection is running already, or the heap frees its
 * last objects; -1 with ENOMEM if it had to give up, which loses nothing, or EINVAL. */
ptrdiff_t pygc_collect(pygc_heap *heap, int generation);

/*
 * The same in slices, for programs that cannot stop for as long as a whole heap takes.
 *
 * With a target, an automatic collection that would take longer runs in slices of at
 * most so many nanoseconds, one every few hundred allocations, as many as it takes to
 * be done before the heap has grown by another sixteenth; 0, as at first: each runs as
 * a whole.  When the two conflict the bound on the growth wins over the target. Garbage
 * whose objects refer to each other is freed in one slice, together; if it is so much
 * that this takes longer, that is an exception, which pygc_stats counts.
 *
 * One drop then releases at most 4,096 objects, if pygc_set_release_budget has not said
 * how many.
 *
 * pygc_step does some of a collection of everything now, for a program that has
 * nothing else to do: for about budget_ns, or, if there was nothing to do, not at all.
 * It begins one if objects have been made since the last.  Returns 1 if more is left
 * to do, else 0.
 *
 * An object is found by a collection in slices if it was garbage when that began;
 * what has become garbage since waits for the next.  pygc_collect puts an end to one
 * that is under way, and collects everything.
 */
void pygc_set_pause_target(pygc_heap *heap, uint64_t ns);
uint64_t pygc_get_pause_target(const pygc_heap *heap);
int pygc_step(pygc_heap *heap, uint64_t budget_ns);

/* Automatic collections: on or off, and held up while more pauses than resumes. */
void pygc_enable(pygc_heap *heap);
void pygc_disable(pygc_heap *heap);
int pygc_is_enabled(const pygc_heap *heap);
void pygc_pause(pygc_heap *heap);
void pygc_resume(pygc_heap *heap);

/* Generation 0 is collected when threshold[0] more objects that can be in cycles
 * have been allocated than freed; generation 1 when 0 has been collected more than
 * threshold[1] times, 2 when 1 has been collected more than threshold[2] times and the
 * objects that have grown as old since the last full collection, less those that died,
 * make nearly a quarter (15/64; with a pause target 11/64) of those that it left.
 * threshold[0] == 0: never. */
void pygc_set_threshold(pygc_heap *heap, const unsigned threshold[3]);
void pygc_get_threshold(const pygc_heap *heap, unsigned threshold[3]);
void pygc_get_count(const pygc_heap *heap, unsigned count[3]);

/* Memory outside the heap that objects hold, in bytes; negative: that they hold no
 * more.  It counts towards automatic collections, 256 bytes as an object. */
void pygc_add_external(pygc_heap *heap, ptrdiff_t bytes);

/* Moves all objects that are tracked now out of the generations, and back into the
 * oldest: a collection does not look at them. */
void pygc_freeze(pygc_heap *heap);
void pygc_unfreeze(pygc_heap *heap);
size_t pygc_freeze_count(const pygc_heap *heap);

/* ---- seeing ---- */

enum { PYGC_PAUSES = 40 };

struct pygc_generation_stats {
    uint64_t collections;   /* that began with this generation */
    uint64_t candidates;    /* objects looked at */
    uint64_t collected;     /* garbage that was disposed of */
    uint64_t uncollectable; /* garbage that clear left alive */
    uint64_t failed;        /* given up for want of memory */
    uint64_t time_ns;       /* in collections, callbacks included */
    uint64_t longest_ns;
};

struct pygc_stats {
    struct pygc_generation_stats generation[3];
    uint64_t pauses[PYGC_PAUSES]; /* collections that took 2^i to 2^(i+1) - 1 ns */
    uint64_t objects;             /* alive */
    uint64_t bytes;               /* of them, in whole blocks */
    uint64_t external;            /* as pygc_add_external told */
    /* Pauses beyond the target: for garbage too much of which refers to each other, and
     * for the bound on the heap's growth. */
    uint64_t oversized;
    uint64_t overdue;
};

void pygc_get_stats(const pygc_heap *heap, struct pygc_stats *out);

/* Pauses: the time that collections and slices of them took, by the clock that their
 * pace is measured with.  Bounds are those of the powers of two in pygc_stats. */
struct pygc_pauses {
    uint64_t count;
    uint64_t total_ns;
    uint64_t longest_ns;
    uint64_t p50_ns; /* half of them, and 99 of 100, took no longer than this */
    uint64_t p99_ns;
    uint64_t age_ns;    /* since the heap was made: the program had the rest of it */
    unsigned permyriad; /* of that time that the program had: 10,000 is all of it */
};

void pygc_get_pauses(const pygc_heap *heap, struct pygc_pauses *out);

/* What is in a generation (0 to 2), frozen (3), or looked at by no collection (4). */
enum { PYGC_UNTRACKED = 4, PYGC_PLACES = 5 };

struct pygc_generation {
    uint64_t objects;
    uint64_t bytes; /* of them, in whole blocks */
    /* Zero but for generations 0 to 2: objects that collections beginning with it have
     * left alive, in the next generation if there is one; pygc_get_threshold and
     * pygc_get_count. */
    uint64_t survived;
    unsigned threshold;
    unsigned count;
};

void pygc_get_generations(const pygc_heap *heap,
                          struct pygc_generation out[PYGC_PLACES]);

/* Called before and after every collection; NULL takes it away.  collected is 0 at
 * the start, and the number of garbage objects at the end.  It must not allocate from
 * the heap nor collect. */
void pygc_set_callback(pygc_heap *heap,
                       void (*callback)(pygc_heap *heap, int generation, int is_end,
                                        size_t collected, void *arg),
                       void *arg);

/* PYGC_DEBUG_ flags. */
void pygc_set_debug(pygc_heap *heap, unsigned flags);
unsigned pygc_get_debug(const pygc_heap *heap);

/* Calls visit with every tracked object of a generation (0 to 2), of the frozen ones
 * (3), or with every object, tracked or not (-1); stops when it returns what is not
 * 0, and returns that.  visit may take references, but must not allocate or free. */
enum { PYGC_ALL = -1, PYGC_FROZEN = 3 };
int pygc_objects(pygc_heap *heap, int generation, pygc_visit_fn *visit, void *arg);

/* The same with everything that the object refers to, once for each reference, and
 * with every object that refers to it, once for each reference.  The first calls
 * traverse in any case; the second, and all that follows, not for what was never
 * tracked. */
int pygc_referents(void *object, pygc_visit_fn *visit, void *arg);
int pygc_referrers(void *object, pygc_visit_fn *visit, void *arg);

/* Objects that PYGC_DEBUG_SAVE has kept: visits each, and drops them all if drop is not
 * 0.  Returns their number.  (What could not be freed is counted in pygc_stats.) */
size_t pygc_garbage(pygc_heap *heap, pygc_visit_fn *visit, void *arg, int drop);

/* Calls visit for every type of which the heap has objects, in the order of
 * registration; stops when it returns what is not 0, and returns that.  -1 with ENOMEM.
 */
struct pygc_census {
    const pygc_type *type;
    uint64_t objects;
    uint64_t bytes;      /* in whole blocks */
    uint64_t references; /* to objects, that its objects have */
    uint64_t referrers;  /* references to its objects, that objects have */
    /* References to its objects that no object accounts for; but not of those that are
     * immortal, whose number is the next. */
    uint64_t unaccounted;
    uint64_t immortal;
    uint64_t places[PYGC_PLACES]; /* objects by generation, frozen, untracked */
    /* How many collections its oldest object has lived through, since it was made or
     * tracked: at least so many.  What is missing is at most a quarter of the
     * collections that there were before. */
    uint64_t age;
};
typedef int pygc_census_fn(const struct pygc_census *census, void *arg);
int pygc_take_census(pygc_heap *heap, pygc_census_fn *visit, void *arg);

/* Tells why an object is alive: visit is called with every object on a shortest path
 * from one that is referred to from outside the heap's objects to the object itself,
 * and with the number of references to each that no object accounts for
 * (PYGC_IMMORTAL: any number); it stops when that returns what is not 0.  Returns the
 * length of the path; 0 if there is none, and the object is garbage that has not been
 * collected; -1 with ENOMEM. */
typedef int pygc_path_fn(void *object, size_t unaccounted, void *arg);
ptrdiff_t pygc_why_alive(void *object, pygc_path_fn *visit, void *arg);

/* Writes the same to a file descriptor, a line for each step, with the slot that the
 * next object is in; or that the object is garbage.  Returns what pygc_why_alive does.
 */
ptrdiff_t pygc_print_why_alive(const void *object, int fd);

/*
 * Cycles of garbage: objects each of which leads to every other.  Garbage is what a
 * collection would find, if it looked at all objects, tracked or not, and what
 * PYGC_DEBUG_SAVE has kept, unless the program has taken a reference to it.  Nothing is
 * collected or changed by asking.
 *
 * Cycles of the same types are told together, those with the most bytes first.
 */
struct pygc_cycles {
    const pygc_type *const *types; /* each once, in the order of registration */
    size_t type_count;
    uint64_t cycles;
    uint64_t objects;
    uint64_t bytes; /* in whole blocks */
    uint64_t least; /* objects of the smallest cycle, and of the largest */
    uint64_t most;
    /* Cycles that no collection finds: some object in them is not tracked, or frozen.
     */
    uint64_t overlooked;
    /* A shortest way from an object of the smallest cycle back to itself: each object
     * has a reference to the next, the last to the first. */
    void *const *example;
    size_t example_length;
};

/* Calls visit for every such group; stops when it returns what is not 0.  Returns the
 * number of all cycles; -1 with ENOMEM. */
typedef int pygc_cycles_fn(const struct pygc_cycles *cycles, void *arg);
ptrdiff_t pygc_find_cycles(pygc_heap *heap, pygc_cycles_fn *visit, void *arg);

/*
 * What the heap looks like, in words and tables, to a file descriptor: the objects of
 * each type, those with the most bytes first; the cycles of its garbage, with an
 * example of each group and the slots that it goes through; generations, pauses and
 * both of these. The number of cycles in the second, 0 in the others.  All of this as
 * one JSON object in one line: GC.md describes its members.
 *
 * Each returns -1 with ENOMEM, having written nothing, or with EIO if the descriptor
 * did not take everything.
 */
int pygc_print_census(pygc_heap *heap, int fd);
ptrdiff_t pygc_print_cycles(pygc_heap *heap, int fd);
int pygc_print_report(pygc_heap *heap, int fd);
int pygc_write_json(pygc_heap *heap, int fd);

/*
 * Objects and references as a graph in the language of graphviz's dot: the path of
 * pygc_why_alive; and what can be reached from root in the fewest steps, or, with NULL,
 * from all objects to which there are references that no object accounts for, and then
 * the garbage, limit objects at most.
 *
 * Every reference that an object's count tells is there: from objects that are drawn;
 * from ones that are not ("others"); the heap's own, for garbage that is kept
 * and finalizers that are put off; and those that no object accounts for ("outside").
 * Colours are generations.  Returns the number of objects drawn, 0 if the object is
 * garbage (of pygc_dot_why_alive); -1 with ENOMEM or EIO as above.
 */
ptrdiff_t pygc_dot_why_alive(const void *object, int fd);
ptrdiff_t pygc_dot(pygc_heap *heap, const void *root, size_t limit, int fd);

/* Counts faults of the heap: objects with fewer references than objects that refer to
 * them; references to what is no living object of the heap; traverse and slots that
 * disagree; with PYGC_DEBUG_VERIFY, dead objects that have been written to.  Reports
 * each in a line on standard error that names type, object and slot.  -1 with ENOMEM.
 */
ptrdiff_t pygc_verify(pygc_heap *heap);

#ifdef __cplusplus
}
#endif

#endif
