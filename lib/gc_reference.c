#include "gc_reference.h"

#include "gc_check.h"

struct each {
    gc_reference_fn *fn;
    void *arg;
};

static void pass_slot(void **slot, void *arg)
{
    const struct each *each = arg;
    if (*slot != NULL) {
        each->fn(slot, *slot, each->arg);
    }
}

static int pass_visited(void *object, void *arg)
{
    const struct each *each = arg;
    each->fn(NULL, object, each->arg);
    return 0;
}

bool gc_is_ready(const struct pygc_header *header)
{
    const struct pygc_type *type = gc_type_of(header);
    return !gc_is_traversed(type) || !type->is_cyclic ||
           (header->bits & (GC_TRACKED | GC_GENERATION)) != 0;
}

void gc_each_reference(struct pygc_header *header, gc_reference_fn *fn, void *arg)
{
    const struct pygc_type *type = gc_type_of(header);
    struct each each = {fn, arg};
    if (!gc_is_traversed(type)) {
        gc_each_strong_slot(type, gc_object_of(header), pass_slot, &each);
    } else if (gc_is_ready(header)) {
        (void)type->traverse(gc_object_of(header), pass_visited, &each);
    }
}

struct place {
    const void *object;
    void *const *slot;
    bool is_found;
};

static void note_place(void *const *slot, const void *object, void *arg)
{
    struct place *place = arg;
    if (!place->is_found && object == place->object) {
        place->slot = slot;
        place->is_found = true;
    }
}

void gc_describe_reference(struct pygc_header *from, const void *object, char *out,
                           size_t size)
{
    struct place place = {.object = object};
    gc_each_reference(from, note_place, &place);
    gc_check_describe_slot(from, place.slot, out, size);
}
