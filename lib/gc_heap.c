#include "gc_heap.h"

#include "alloc.h"
#include "arena.h"
#include "gc_check.h"
#include "gc_pace.h"
#include "gc_slice.h"
#include "os.h"
#include "print.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static const unsigned default_threshold[GC_GENERATIONS] = {700, 10, 10};
/* Bytes outside the heap that count as an object. */
enum { EXTERNAL_UNIT = 256 };

/* ---- vectors ---- */

bool gc_vector_reserve(struct gc_vector *vector, size_t capacity)
{
    size_t wanted = vector->capacity != 0 ? vector->capacity * 2 : 64;
    wanted = wanted > capacity ? wanted : capacity;
    if (wanted > PTRDIFF_MAX / sizeof(void *)) {
        return false;
    }
    void **at = pym_alloc_realloc(vector->at, wanted * sizeof(void *));
    if (at == NULL) {
        return false;
    }
    vector->at = at;
    vector->capacity = wanted;
    return true;
}

size_t gc_vector_count(const struct gc_vector *vector, const void *value)
{
    size_t count = 0;
    for (size_t i = 0; i < vector->count; i++) {
        count += vector->at[i] == value;
    }
    return count;
}

/* Lets a value sink to where those below it do not come later. */
static void sink(struct gc_vector *vector, size_t at, size_t count,
                 gc_before_fn *is_before)
{
    void **value = vector->at, *sinking = value[at];
    for (size_t below; (below = 2 * at + 1) < count; at = below) {
        below += below + 1 < count && is_before(value[below], value[below + 1]);
        if (!is_before(sinking, value[below])) {
            break;
        }
        value[at] = value[below];
    }
    value[at] = sinking;
}

/* As a heap; the library's qsort may ask for memory. */
void gc_vector_sort(struct gc_vector *vector, gc_before_fn *is_before)
{
    for (size_t i = vector->count / 2; i-- > 0;) {
        sink(vector, i, vector->count, is_before);
    }
    for (size_t left = vector->count; left-- > 1;) {
        void *last = vector->at[left];
        vector->at[left] = vector->at[0];
        vector->at[0] = last;
        sink(vector, 0, left, is_before);
    }
}

void gc_vector_free(struct gc_vector *vector)
{
    pym_alloc_free(vector->at);
    *vector = (struct gc_vector){NULL, 0, 0};
}

/* ---- lists of pools ---- */

void gc_heap_list_pool(struct pygc_heap *heap, struct pym_pool *pool,
                       unsigned generation)
{
    uint8_t bit = (uint8_t)(1u << generation);
    if ((pool->listed & bit) != 0) {
        return;
    }
    if (gc_vector_push(&heap->pools[generation], pool)) {
        pool->listed |= bit;
    } else {
        heap->lost_pools = true;
    }
}

/* ---- walks ---- */

PYM_RACY bool gc_heap_has_pool(const struct pygc_heap *heap,
                               const struct pym_pool *pool)
{
    return pool->owner == &heap->base && pool->state != PYM_POOL_SPARE;
}

void gc_each_pool(struct pygc_heap *heap, void (*fn)(struct pym_pool *pool, void *arg),
                  void *arg)
{
    size_t end = pym_region_limit() >> PYM_POOL_SHIFT;
    for (size_t i = pym_region.first_arena * PYM_ARENA_POOLS; i < end; i++) {
        struct pym_pool *pool = pym_region_pool_at(i << PYM_POOL_SHIFT);
        if (gc_heap_has_pool(heap, pool)) {
            fn(pool, arg);
        }
    }
}

struct each {
    gc_header_fn *fn;
    void *arg;
};

static void visit_pool(struct pym_pool *pool, void *arg)
{
    const struct each *each = arg;
    gc_each_in_pool(pool, each->fn, each->arg);
}

void gc_each_object(struct pygc_heap *heap, gc_header_fn *fn, void *arg)
{
    struct each each = {fn, arg};
    gc_each_pool(heap, visit_pool, &each);
    struct gc_large *next;
    for (struct gc_large *large = heap->large; large != NULL; large = next) {
        next = large->next;
        if ((large->header.bits & GC_PENDING) == 0) {
            fn(&large->header, arg);
        }
    }
}

/* ---- steering from inside ---- */

void gc_heap_set_trigger(struct pygc_heap *heap)
{
    enum { DEBUG = PYGC_DEBUG_TORTURE | PYGC_DEBUG_FAIL | PYGC_DEBUG_VERIFY };
    bool always = (heap->debug & DEBUG) != 0 || gc_has_pending(heap);
    bool never = !heap->enabled || heap->paused != 0 || heap->threshold[0] == 0;
    heap->trigger = always        ? 0
                    : never       ? UINT32_MAX
                    : heap->cycle ? gc_cycle_interval(heap)
                                  : gc_heap_due_at(heap);
}

void gc_heap_set_birth(struct pygc_heap *heap, unsigned generation)
{
    heap->birth = (heap->birth & (GC_WATCHED | GC_BIRTH)) | GC_LIVE |
                  generation << GC_GENERATION_SHIFT;
}

/* ---- dates of birth ----
 *
 * In the seven bits that a header has left: 0, not known, or 1 more than the number of
 * collections there had been, rounded down to three significant bits.  A heap's newborn
 * get it with the rest of their first bits. */

enum { SIGNIFICANT = 3, STEPS = 1 << (SIGNIFICANT - 1) };

static unsigned code_of(uint64_t collections)
{
    enum { MOST = (GC_BIRTH >> GC_BIRTH_SHIFT) - 1 };
    unsigned shift = 0;
    while (collections >> shift >= 2 * STEPS) {
        shift++;
    }
    uint64_t code = STEPS * shift + (collections >> shift);
    return code < MOST ? (unsigned)code : MOST;
}

/* The fewest collections with that code. */
static uint64_t decode(unsigned code)
{
    return code < 2 * STEPS ? code
                            : (uint64_t)(STEPS + code % STEPS) << (code / STEPS - 1);
}

void gc_heap_date_births(struct pygc_heap *heap)
{
    unsigned code = code_of(gc_heap_collections(heap));
    heap->birth = (heap->birth & ~(uint32_t)GC_BIRTH) | (code + 1) << GC_BIRTH_SHIFT;
}

uint64_t gc_birth_of(const struct pygc_header *header)
{
    unsigned date = (header->bits & GC_BIRTH) >> GC_BIRTH_SHIFT;
    return date == 0 || date == GC_BIRTH >> GC_BIRTH_SHIFT ? UINT64_MAX
                                                           : decode(date) - 1;
}

uint64_t gc_heap_random(struct pygc_heap *heap)
{
    uint64_t z = heap->torture += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* ---- making ---- */

static void set_up(struct pygc_heap *heap, const struct pygc_options *options)
{
    struct pym_heap *base = &heap->base;
    base->bins = base->saved;
    base->is_tagged = true;
    memset(base->borrowed, UINT8_MAX, sizeof(base->borrowed));
    heap->enabled = true;
    gc_heap_set_birth(heap, 0);
    gc_heap_date_births(heap);
    heap->made_ns = gc_now();
    memcpy(heap->threshold, default_threshold, sizeof(default_threshold));
    if (options != NULL) {
        const unsigned *threshold = options->threshold;
        if ((threshold[0] | threshold[1] | threshold[2]) != 0) {
            memcpy(heap->threshold, threshold, sizeof(heap->threshold));
        }
        heap->enabled = !options->disabled;
        pygc_set_debug(heap, options->flags);
    }
    gc_heap_set_trigger(heap);
}

PYM_EXPORT pygc_heap *pygc_heap_new(const struct pygc_options *options)
{
    struct pygc_heap *heap = pym_os_map(sizeof(*heap));
    if (heap == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    set_up(heap, options);
    return heap;
}

PYM_EXPORT pygc_heap *pygc_heap_default(void)
{
    static _Atomic(struct pygc_heap *) the_heap;
    struct pygc_heap *known = atomic_load_explicit(&the_heap, memory_order_acquire);
    if (known != NULL) {
        return known;
    }
    struct pygc_heap *fresh = pygc_heap_new(NULL);
    if (fresh != NULL &&
        !atomic_compare_exchange_strong_explicit(
            &the_heap, &known, fresh, memory_order_acq_rel, memory_order_acquire)) {
        pym_os_unmap(fresh, sizeof(*fresh));
        return known;
    }
    return fresh;
}

/* ---- destroying ---- */

static void push_if_final(struct pygc_header *header, void *arg)
{
    struct gc_vector *due = arg;
    if (gc_awaits_finalizer(header) && gc_vector_push(due, gc_object_of(header))) {
        pygc_incref(gc_object_of(header));
    }
}

/* Finalizers may make objects that have finalizers, but not for ever. */
static void finalize_all(struct pygc_heap *heap)
{
    enum { ROUNDS = 10 };
    (void)pygc_finalize_run(heap);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct gc_vector due = {NULL, 0, 0};
        gc_each_object(heap, push_if_final, &due);
        size_t count = due.count;
        for (size_t i = 0; i < count; i++) {
            gc_finalize(pygc_header_of(due.at[i]));
        }
        for (size_t i = 0; i < count; i++) {
            pygc_decref(due.at[i]);
        }
        gc_vector_free(&due);
        if (count == 0) {
            return;
        }
    }
}

static void end_cycle(struct pygc_heap *heap)
{
    if (heap->cycle != NULL) {
        gc_cycle_abandon(heap);
    }
}

static void dealloc_one(struct pygc_header *header, void *arg)
{
    size_t *count = arg;
    (*count)++;
    if (gc_type_of(header)->dealloc != NULL) {
        gc_type_of(header)->dealloc(gc_object_of(header));
    }
}

static int report_leak(const struct pygc_census *census, void *arg)
{
    (void)arg;
    pym_print(STDERR_FILENO, "pymalloc: leak: %lu objects of type %s, %h\n",
              (unsigned long)census->objects, pygc_type_name(census->type),
              (size_t)census->bytes);
    return 0;
}

static void give_pool(struct pym_pool *pool, void *arg)
{
    (void)arg;
    pym_arena_give(pool);
}

static void free_memory(struct pygc_heap *heap)
{
    gc_weak_free_all(heap);
    while (heap->base.spare != NULL) {
        struct pym_pool *pool = heap->base.spare;
        heap->base.spare = pool->next;
        pym_arena_give(pool);
    }
    gc_each_pool(heap, give_pool, NULL);
    while (heap->large != NULL) {
        struct gc_large *large = heap->large;
        heap->large = large->next;
        pym_alloc_free(large);
    }
    gc_check_free(heap);
    gc_vector_free(&heap->pools[0]);
    gc_vector_free(&heap->pools[1]);
    gc_vector_free(&heap->garbage);
    gc_vector_free(&heap->deferred);
    for (size_t i = 0; i < sizeof(heap->lent) / sizeof(heap->lent[0]); i++) {
        gc_vector_free(&heap->lent[i]);
    }
}

PYM_EXPORT size_t pygc_heap_destroy(pygc_heap *heap, unsigned flags)
{
    size_t left = 0;
    gc_check_use(heap, "destroys it", NULL);
    heap->enabled = false;
    end_cycle(heap);
    heap->debug &= PYGC_DEBUG_LEAKS;
    (void)pygc_release(heap, 0);
    gc_free_dead(heap, true);
    if ((heap->debug & PYGC_DEBUG_LEAKS) != 0) {
        (void)gc_count_types(heap, report_leak, NULL);
    }
    if ((flags & PYGC_NO_FINALIZERS) == 0) {
        finalize_all(heap);
        (void)pygc_release(heap, 0);
    }
    end_cycle(heap);         /* that one of these has begun */
    heap->collecting = true; /* so that no dealloc begins any more */
    heap->releasing = true;  /* what a dealloc drops goes with the rest */
    gc_each_object(heap, dealloc_one, &left);
    free_memory(heap);
    pym_os_unmap(heap, sizeof(*heap));
    return left;
}

/* ---- steering ---- */

PYM_EXPORT void pygc_enable(pygc_heap *heap)
{
    heap->enabled = true;
    gc_heap_set_trigger(heap);
}

PYM_EXPORT void pygc_disable(pygc_heap *heap)
{
    heap->enabled = false;
    gc_heap_set_trigger(heap);
}

PYM_EXPORT int pygc_is_enabled(const pygc_heap *heap)
{
    return heap->enabled;
}

PYM_EXPORT void pygc_pause(pygc_heap *heap)
{
    heap->paused++;
    gc_heap_set_trigger(heap);
}

PYM_EXPORT void pygc_resume(pygc_heap *heap)
{
    if (heap->paused > 0) {
        heap->paused--;
    }
    gc_heap_set_trigger(heap);
}

PYM_EXPORT void pygc_set_threshold(pygc_heap *heap, const unsigned threshold[3])
{
    memcpy(heap->threshold, threshold, sizeof(heap->threshold));
    gc_heap_set_trigger(heap);
}

PYM_EXPORT void pygc_get_threshold(const pygc_heap *heap, unsigned threshold[3])
{
    memcpy(threshold, heap->threshold, sizeof(heap->threshold));
}

PYM_EXPORT void pygc_get_count(const pygc_heap *heap, unsigned count[3])
{
    memcpy(count, heap->count, sizeof(heap->count));
}

PYM_EXPORT void pygc_add_external(pygc_heap *heap, ptrdiff_t bytes)
{
    if (bytes < 0) {
        uint64_t less = (uint64_t)-bytes;
        heap->external -= less < heap->external ? less : heap->external;
        return;
    }
    heap->external += (uint64_t)bytes;
    heap->external_unit += (uint64_t)bytes;
    uint64_t objects = heap->external_unit / EXTERNAL_UNIT;
    heap->external_unit %= EXTERNAL_UNIT;
    uint64_t count = heap->count[0] + objects;
    heap->count[0] = count < UINT32_MAX / 2 ? (unsigned)count : UINT32_MAX / 2;
}

PYM_EXPORT void pygc_set_debug(pygc_heap *heap, unsigned flags)
{
    unsigned changed = heap->debug ^ flags;
    heap->debug = flags;
    if ((changed & PYGC_DEBUG_VERIFY) != 0) {
        gc_check_switch(heap);
    }
    gc_heap_set_trigger(heap);
}

PYM_EXPORT unsigned pygc_get_debug(const pygc_heap *heap)
{
    return heap->debug;
}

PYM_EXPORT void pygc_set_callback(pygc_heap *heap, gc_event_fn *callback, void *arg)
{
    heap->event = callback;
    heap->event_arg = arg;
}

PYM_EXPORT void pygc_set_pause_target(pygc_heap *heap, uint64_t ns)
{
    heap->pause_target = ns;
}

PYM_EXPORT uint64_t pygc_get_pause_target(const pygc_heap *heap)
{
    return heap->pause_target;
}
