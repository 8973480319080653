#include "gc_mark.h"

#include "alloc.h"

#include <string.h>

/* Objects that are being fetched while others are visited. */
enum { AHEAD = 8 };

/* ---- objects with many references ---- */

static struct gc_many *find(struct gc_many *table, size_t size,
                            const struct pygc_header *header)
{
    size_t i = gc_hash(header) & (size - 1);
    while (table[i].header != NULL && table[i].header != header) {
        i = (i + 1) & (size - 1);
    }
    return &table[i];
}

static bool grow(struct gc_collection *run)
{
    size_t size = run->many_size != 0 ? run->many_size * 2 : 64;
    struct gc_many *table = pym_alloc_calloc(size, sizeof(*table));
    if (table == NULL) {
        return false;
    }
    for (size_t i = 0; i < run->many_size; i++) {
        if (run->many[i].header != NULL) {
            *find(table, size, run->many[i].header) = run->many[i];
        }
    }
    pym_alloc_free(run->many);
    run->many = table;
    run->many_size = size;
    return true;
}

void gc_many_add(struct gc_collection *run, struct pygc_header *header, size_t count)
{
    if (2 * run->many_count >= run->many_size && !grow(run)) {
        run->failed = true;
        *gc_note_at(run, header) = GC_MANY - 1;
        return;
    }
    struct gc_many *entry = find(run->many, run->many_size, header);
    run->many_count += entry->header == NULL;
    *entry = (struct gc_many){header, count};
}

/* What is no candidate may have its note from before the table was forgotten, and is
 * not in it; the count of an empty entry means nothing. */
void gc_many_count_one(struct gc_collection *run, const struct pygc_header *header)
{
    if (run->many_size != 0) {
        find(run->many, run->many_size, header)->count++;
    }
}

size_t *gc_many_count(struct gc_collection *run, const struct pygc_header *header)
{
    return &find(run->many, run->many_size, header)->count;
}

void gc_many_forget(struct gc_collection *run)
{
    pym_alloc_free(run->many);
    run->many = NULL;
    run->many_count = run->many_size = 0;
}

/* ---- objects whose references are not one run of slots ---- */

static int count_visited(void *object, void *arg)
{
    gc_count_reference(&object, arg);
    return 0;
}

void gc_count_all(const struct pygc_type *type, void *object, struct gc_collection *run)
{
    if (gc_is_traversed(type)) {
        (void)type->traverse(object, count_visited, run);
    } else {
        gc_each_slot_of_runs(type, object, gc_count_reference, run);
    }
}

static int mark_visited(void *object, void *arg)
{
    gc_mark_reference(arg, pygc_header_of(object));
    return 0;
}

void gc_mark_all(const struct pygc_type *type, void *object, struct gc_marking *at_hand)
{
    struct gc_collection *run = at_hand->run;
    if (gc_is_traversed(type)) {
        gc_put_back(at_hand);
        (void)type->traverse(object, mark_visited, run);
        *at_hand = gc_take_at_hand(run);
    } else if (run->generation == GC_GENERATIONS - 1) {
        gc_each_slot_of_runs(type, object, gc_mark_slot_of_full, at_hand);
    } else {
        gc_each_slot_of_runs(type, object, gc_mark_slot, at_hand);
    }
}

void gc_mark_slot_of_part(void **slot, void *arg)
{
    if (*slot != NULL) {
        gc_mark_reference(arg, pygc_header_of(*slot));
    }
}

/* ---- marking ---- */

/* Whether an object is tracked, or may be later: an immutable one that has lived
 * through a collection has stopped being tracked. */
static bool may_be_tracked(const struct pygc_header *header)
{
    const struct pygc_type *type = gc_type_of(header);
    bool has_stopped =
        (type->flags & PYGC_IMMUTABLE) != 0 && gc_generation_of(header) != 0;
    return (header->bits & GC_TRACKED) != 0 || (type->is_cyclic && !has_stopped);
}

static int find_tracked(void *object, void *arg)
{
    bool *found = arg;
    *found |= may_be_tracked(pygc_header_of(object));
    return 0;
}

void gc_untrack_immutable(struct pygc_header *header)
{
    bool found = false;
    (void)pygc_referents(gc_object_of(header), find_tracked, &found);
    if (!found) {
        header->bits &= ~(uint32_t)GC_TRACKED;
    }
}

bool gc_prepare_stack(struct gc_collection *run)
{
    return run->stack.capacity >= 2 * GC_STACK_ENOUGH ||
           gc_vector_reserve(&run->stack, 2 * GC_STACK_ENOUGH);
}

PYM_NOINLINE void gc_mark_by_the_way(struct gc_marking *at_hand,
                                     struct pygc_header *header)
{
    struct gc_collection *run = at_hand->run;
    gc_put_back(at_hand);
    gc_mark_reference(run, header);
    *at_hand = gc_take_at_hand(run);
}

/* Whether an object that was pushed in an earlier slice is still there, and has not
 * been visited since it died and was born again. */
static bool is_still_marked(const struct gc_collection *run,
                            const struct pygc_header *header)
{
    return !pym_region_owns(header) ||
           (gc_heap_has_pool(run->heap, pym_region_pool_of(header)) &&
            gc_is_reachable(run, header));
}

/* The next object to be visited; NULL if it has died. */
static struct pygc_header *pop(struct gc_collection *run)
{
    struct pygc_header *header = run->stack.at[--run->stack.count];
    if (PYM_UNLIKELY(run->stack.count < run->stale)) {
        run->stale = run->stack.count;
        if (!is_still_marked(run, header)) {
            return NULL;
        }
    }
    if (PYM_LIKELY(!run->is_sliced)) {
        return header;
    }
    if (!gc_take_off_hand(header)) {
        return NULL;
    }
    if (!pym_region_owns(header) && gc_is_huge(header)) {
        run->huge = header;
        return NULL;
    }
    return header;
}

/* An object comes off the stack some time before it is visited, so that it is in the
 * cache by then. */
PYM_NOINLINE void gc_follow(struct gc_collection *run, size_t most)
{
    struct pygc_header *ahead[AHEAD];
    unsigned first = 0, count = 0;
    for (;;) {
        while (count < AHEAD && run->stack.count > 0 && most > 0 && run->huge == NULL) {
            struct pygc_header *header = pop(run);
            most--;
            if (header != NULL) {
                __builtin_prefetch(header);
                ahead[(first + count++) % AHEAD] = header;
            }
        }
        if (count == 0) {
            return;
        }
        /* In a full collection it is not noted what is no candidate. */
        if (gc_is_candidate(run, ahead[first])) {
            gc_mark_from(ahead[first], run);
        }
        first = (first + 1) % AHEAD;
        count--;
    }
}

void gc_mark_root(struct pygc_header *header, struct gc_collection *run)
{
    if (!gc_is_reachable(run, header) && gc_is_root(run, header)) {
        *gc_note_at(run, header) = GC_REACHABLE;
        gc_mark_from(header, run);
    }
}

void gc_follow_root(struct pygc_header *header, struct gc_collection *run)
{
    gc_mark_root(header, run);
    gc_follow(run, SIZE_MAX);
}

/* ---- garbage ---- */

/* Neither nothing nor reachable: the bits of a byte differ.  Takes eight at once. */
PYM_INLINE bool may_be_garbage(const uint8_t *notes)
{
    uint64_t word;
    memcpy(&word, notes, sizeof(word));
    return ((word ^ word >> 1) & UINT64_C(0x7f7f7f7f7f7f7f7f)) != 0;
}

void gc_gather_pool(struct gc_collection *run, const struct pym_pool *pool)
{
    enum { NOTES = PYM_POOL_SIZE >> PYM_GRAIN_SHIFT, AT_ONCE = 8 };
    size_t index = pym_region_pool_index(pool);
    const uint8_t *notes = run->scratch + index * NOTES;
    char *start = (char *)(pym_region_base + (index << PYM_POOL_SHIFT));
    for (size_t i = 0; i < NOTES; i += AT_ONCE) {
        if (PYM_LIKELY(!may_be_garbage(notes + i))) {
            continue;
        }
        for (size_t k = i; k < i + AT_ONCE; k++) {
            /* A block starts in the middle of its grain. */
            void *block = start + (k << PYM_GRAIN_SHIFT) + sizeof(struct pygc_header);
            if (gc_is_count(notes[k]) && gc_is_candidate(run, block)) {
                gc_gather(block, run);
            }
        }
    }
}
