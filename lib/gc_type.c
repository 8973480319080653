#include "gc_type.h"

#include "alloc.h"
#include "atomic.h"
#include "gc_heap.h"

#include <errno.h>
#include <string.h>

const struct pygc_type *gc_types[GC_TYPES_MOST] PYM_RARE_TABLE;

static _Atomic uint32_t last_index;

static const unsigned all_flags = PYGC_ACYCLIC | PYGC_WEAKREFABLE | PYGC_IMMUTABLE;
static const unsigned all_kinds = PYGC_WEAK | PYGC_ITEMS;

static bool slot_fits(const struct pygc_slot *slot, const struct pygc_type_spec *spec)
{
    bool in_items = (slot->kind & PYGC_ITEMS) != 0;
    size_t room = in_items ? spec->item_size : spec->size;
    size_t first = spec->item_size != 0 && !in_items ? sizeof(size_t) : 0;
    return (slot->kind & ~all_kinds) == 0 && slot->offset % sizeof(void *) == 0 &&
           slot->offset >= first && slot->offset <= room &&
           slot->count <= (room - slot->offset) / sizeof(void *);
}

static bool makes_sense(const struct pygc_type_spec *spec)
{
    if (spec->name == NULL || (spec->flags & ~all_flags) != 0 ||
        (spec->traverse == NULL && spec->clear != NULL) ||
        spec->slot_count > UINT16_MAX || spec->size > PTRDIFF_MAX / 2 ||
        spec->item_size > PTRDIFF_MAX / 2) {
        return false;
    }
    if (spec->item_size != 0 &&
        (spec->size < sizeof(size_t) || spec->size % sizeof(void *) != 0 ||
         (spec->slot_count != 0 && spec->item_size % sizeof(void *) != 0))) {
        return false;
    }
    for (size_t i = 0; i < spec->slot_count; i++) {
        if (!slot_fits(&spec->slots[i], spec)) {
            return false;
        }
    }
    return true;
}

static bool is_in_items(const struct pygc_slot *slot)
{
    return (slot->kind & PYGC_ITEMS) != 0;
}

static bool lies_before(const void *a, const void *b)
{
    const struct pygc_slot *left = a, *right = b;
    return is_in_items(left) != is_in_items(right) ? is_in_items(right)
                                                   : left->offset < right->offset;
}

static bool overlap(const struct pygc_slot *slot, const struct pygc_slot *next)
{
    uint64_t end = slot->offset + (uint64_t)slot->count * sizeof(void *);
    return is_in_items(slot) == is_in_items(next) && next->offset < end;
}

/* A pointer in two slots would be dropped twice.  0, EINVAL or ENOMEM. */
static int find_overlap(const struct pygc_type_spec *spec)
{
    struct gc_vector slots = {NULL, 0, 0};
    int error = 0;
    for (size_t i = 0; i < spec->slot_count && error == 0; i++) {
        void *slot = (void *)(uintptr_t)&spec->slots[i];
        if (spec->slots[i].count != 0 && !gc_vector_push(&slots, slot)) {
            error = ENOMEM;
        }
    }
    gc_vector_sort(&slots, lies_before);
    for (size_t i = 1; i < slots.count && error == 0; i++) {
        error = overlap(slots.at[i - 1], slots.at[i]) ? EINVAL : 0;
    }
    gc_vector_free(&slots);
    return error;
}

/* Copies the slots of one kind to runs; their number. */
static uint16_t copy_runs(struct gc_run *runs, const struct pygc_type_spec *spec,
                          unsigned kind)
{
    uint16_t count = 0;
    for (size_t i = 0; i < spec->slot_count; i++) {
        if (spec->slots[i].kind == kind) {
            runs[count].offset = spec->slots[i].offset;
            runs[count].count = spec->slots[i].count;
            count++;
        }
    }
    return count;
}

static void set_runs(struct pygc_type *type, struct gc_run *runs,
                     const struct pygc_type_spec *spec)
{
    type->runs = runs;
    runs += type->strong_runs = copy_runs(runs, spec, PYGC_STRONG);
    runs += type->strong_item_runs = copy_runs(runs, spec, PYGC_STRONG | PYGC_ITEMS);
    runs += type->weak_runs = copy_runs(runs, spec, PYGC_WEAK);
    type->weak_item_runs = copy_runs(runs, spec, PYGC_WEAK | PYGC_ITEMS);
}

/* Strong slots tell all references. */
static void set_traverse(struct pygc_type *type, const struct pygc_type_spec *spec)
{
    if ((type->strong_runs | type->strong_item_runs) != 0) {
        type->compared = spec->traverse;
    } else {
        type->traverse = spec->traverse;
        type->clear = spec->clear;
    }
}

/* A type is in a cycle only if its slots lead back to it.  Types that were there
 * before lead to it only if they lead to any type at all. */
static void find_cycles(struct pygc_type *type, const struct pygc_type_spec *spec)
{
    bool acyclic = (spec->flags & PYGC_ACYCLIC) != 0;
    type->reaches_any = type->traverse != NULL && !acyclic;
    type->is_cyclic = type->reaches_any;
    for (size_t i = 0; i < spec->slot_count && !acyclic; i++) {
        const struct pygc_slot *slot = &spec->slots[i];
        if ((slot->kind & PYGC_WEAK) != 0) {
            continue;
        }
        if (slot->target == PYGC_SELF) {
            type->is_cyclic = true;
        } else if (slot->target == NULL || slot->target->reaches_any) {
            type->is_cyclic = type->reaches_any = true;
        }
    }
}

static bool add(struct pygc_type *type)
{
    uint32_t last = atomic_load_explicit(&last_index, memory_order_relaxed);
    do {
        if (last + 1 >= GC_TYPES_MOST) {
            return false;
        }
    } while (!atomic_compare_exchange_weak_explicit(
        &last_index, &last, last + 1, memory_order_relaxed, memory_order_relaxed));
    type->index = last + 1;
    type->birth = type->index << GC_TYPE_SHIFT |
                  (type->is_cyclic && type->traverse == NULL ? GC_TRACKED : 0);
    bool is_untracked = type->is_cyclic && type->traverse != NULL;
    type->birth_mask = ~(is_untracked ? (uint32_t)GC_GENERATION : 0);
    gc_types[type->index] = type;
    return true;
}

PYM_EXPORT pygc_type *pygc_type_new(const struct pygc_type_spec *spec)
{
    int error = makes_sense(spec) ? find_overlap(spec) : EINVAL;
    if (error != 0) {
        errno = error;
        return NULL;
    }
    size_t runs = spec->slot_count * sizeof(struct gc_run);
    size_t name = strlen(spec->name) + 1;
    struct pygc_type *type = pym_alloc_calloc(1, sizeof(*type) + runs + name);
    if (type == NULL) {
        return NULL;
    }
    type->size = spec->size;
    type->item_size = spec->item_size;
    type->flags = spec->flags;
    type->finalize = spec->finalize;
    type->dealloc = spec->dealloc;
    type->name = memcpy((char *)(type + 1) + runs, spec->name, name);
    set_runs(type, (struct gc_run *)(type + 1), spec);
    set_traverse(type, spec);
    find_cycles(type, spec);
    type->is_single =
        type->traverse == NULL && type->strong_runs <= 1 && type->strong_item_runs == 0;
    if (type->strong_runs == 1) {
        type->single = type->runs[0];
    }
    type->is_small = spec->size <= PYM_SMALL_MAX - sizeof(struct pygc_header);
    type->cls =
        (uint8_t)(type->is_small ? pym_class_of(sizeof(struct pygc_header) + spec->size)
                                 : 0);
    type->is_plain = type->traverse == NULL && spec->finalize == NULL &&
                     spec->dealloc == NULL && !gc_has_weak_slots(type);
    if (!add(type)) {
        pym_alloc_free(type);
        errno = ENOMEM;
        return NULL;
    }
    return type;
}

PYM_EXPORT const char *pygc_type_name(const pygc_type *type)
{
    return type->name;
}

PYM_EXPORT int pygc_type_is_cyclic(const pygc_type *type)
{
    return type->is_cyclic;
}

/* ---- parts of an object ---- */

/* How many pointers some runs have. */
static size_t slots_in(const struct gc_run *runs, unsigned count)
{
    size_t slots = 0;
    for (unsigned i = 0; i < count; i++) {
        slots += runs[i].count;
    }
    return slots;
}

static void each_own_slot(const struct pygc_type *type, char *object, size_t at,
                          size_t most, gc_slot_fn *fn, void *arg)
{
    for (unsigned i = 0; i < type->strong_runs && most > 0; i++) {
        const struct gc_run *run = &type->runs[i];
        if (at >= run->count) {
            at -= run->count;
            continue;
        }
        size_t count = run->count - at < most ? run->count - at : most;
        struct gc_run part = {run->offset, (uint32_t)count};
        gc_each_slot_in(object + at * sizeof(void *), &part, 1, fn, arg);
        most -= count;
        at = 0;
    }
}

size_t gc_each_slot_from(const struct pygc_type *type, void *object, size_t at,
                         size_t most, gc_slot_fn *fn, void *arg)
{
    const struct gc_run *item_runs = type->runs + type->strong_runs;
    size_t own = slots_in(type->runs, type->strong_runs);
    size_t in_item = slots_in(item_runs, type->strong_item_runs);
    size_t items = in_item != 0 ? gc_item_count(type, object) : 0;
    if (at < own) {
        each_own_slot(type, object, at, most, fn, arg);
        at = own - at < most ? own : at + most;
        return at < own + items ? at : 0;
    }
    size_t item = at - own, end = item + most / (in_item + 1) + 1;
    for (; item < items && item < end; item++) {
        char *start = (char *)object + type->size + item * type->item_size;
        gc_each_slot_in(start, item_runs, type->strong_item_runs, fn, arg);
    }
    return item < items ? own + item : 0;
}
