#include "gc_check.h"

#include "alloc.h"
#include "os.h"
#include "print.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Dead objects are kept until there are so many, or they take so much memory. */
enum { DEAD_MOST = 1 << 14, DEAD_BYTES_MOST = 1 << 22 };
enum { DEAD_BYTE = 0xdd };

enum { HEADER = sizeof(struct pygc_header) };

/* ---- threads ---- */

/* Not the kernel's number, which costs a call, and changes in the child of a fork. */
static const void *this_thread(void)
{
    return &pym_thread;
}

static void take_over(struct pygc_heap *heap)
{
    heap->watch.thread = this_thread();
    heap->watch.thread_id = pym_os_thread_id();
}

PYM_EXPORT void pygc_heap_adopt(pygc_heap *heap)
{
    if (gc_verifies(heap)) {
        take_over(heap);
    }
}

static void check_thread(const struct pygc_heap *heap, const char *does,
                         const void *object, const struct pygc_type *type)
{
    if (heap->watch.thread == this_thread()) {
        return;
    }
    char what[GC_WORDS] = "";
    if (object != NULL) {
        (void)pym_print_text(what, sizeof(what), " %p", object);
    }
    pym_print(STDERR_FILENO,
              "pymalloc: wrong thread: heap %p is thread %d's, but thread %d %s%s%s%s; "
              "see pygc_heap_adopt\n",
              (const void *)heap, heap->watch.thread_id, pym_os_thread_id(), does, what,
              type != NULL ? " of type " : "", type != NULL ? type->name : "");
    abort();
}

void gc_check_thread(const struct pygc_heap *heap, const char *does, const void *object)
{
    check_thread(heap, does, object, object != NULL ? pygc_type_of(object) : NULL);
}

/* ---- free blocks ---- */

/* The block of a pool that an address lies in; NULL if that is none. */
static char *block_around(const struct pym_pool *pool, uintptr_t address)
{
    size_t offset = address - (uintptr_t)pym_pool_block(pool, 0);
    size_t index = offset / pym_class_size(pool->cls);
    return offset < PYM_POOL_SIZE && index < pool->carved
               ? pym_pool_block(pool, (unsigned)index)
               : NULL;
}

/* Whether a link leads to a block of the same pool, or to none. */
static bool is_link(const struct pym_pool *pool, const char *link)
{
    return link == NULL || link == block_around(pool, (uintptr_t)link);
}

static void report_block(const struct pym_pool *pool, const char *block)
{
    pym_print(STDERR_FILENO,
              "pymalloc: verify: %p is a free block of %zu bytes, but its header was "
              "written to, or a reference to it dropped\n",
              (const void *)(block + sizeof(struct pygc_header)),
              pym_class_size(pool->cls));
}

/* Live objects have an odd word there, and dead ones that are kept a multiple of 16,
 * which a link is not. */
static void check_links(struct pym_pool *pool, void *arg)
{
    size_t *faults = arg;
    for (unsigned i = 0; i < pool->carved; i++) {
        char *block = pym_pool_block(pool, i);
        uintptr_t word = (uintptr_t)pym_link_get(block);
        if (word % 2 == 0 && word % PYM_GRAIN != 0 && !is_link(pool, (char *)word)) {
            report_block(pool, block);
            ++*faults;
        }
    }
}

void gc_check_birth(const struct pygc_heap *heap, const struct pygc_type *type,
                    size_t payload)
{
    size_t size = sizeof(struct pygc_header) + payload;
    check_thread(heap, "makes an object", NULL, type);
    if (size > PYM_SMALL_MAX) {
        return;
    }
    unsigned cls = pym_class_of(size);
    char *block = heap->base.bins[cls];
    const struct pym_pool *pool = heap->base.active[cls];
    if (block != NULL &&
        (!is_link(pool, block) || !is_link(pool, pym_link_get(block)))) {
        report_block(pool, block);
        abort();
    }
}

/* ---- dead objects ---- */

static struct pygc_header *dead_at(const struct gc_watch *watch, size_t i)
{
    return watch->dead[(watch->dead_first + i) % DEAD_MOST];
}

static size_t payload_bytes(const struct pygc_header *header)
{
    return gc_block_bytes(header) -
           (gc_is_large(header) ? sizeof(struct gc_large) : sizeof(struct pygc_header));
}

static bool has_ring(struct gc_watch *watch)
{
    if (watch->dead == NULL) {
        int saved = errno;
        watch->dead = pym_alloc_calloc(DEAD_MOST, sizeof(watch->dead[0]));
        errno = saved;
    }
    return watch->dead != NULL;
}

bool gc_check_keep(struct pygc_heap *heap, struct pygc_header *header)
{
    struct gc_watch *watch = &heap->watch;
    size_t bytes = gc_block_bytes(header);
    bool in_hand = gc_is_large(header) && gc_large_of(header)->in_hand != 0;
    if (!gc_verifies(heap) || in_hand || bytes > DEAD_BYTES_MOST || !has_ring(watch)) {
        return false;
    }
    header->bits &= GC_LARGE | UINT32_MAX << GC_TYPE_SHIFT;
    header->refs = 0;
    size_t size = payload_bytes(header);
    memset(pym_track_allocated(header + 1, size), DEAD_BYTE, size);
    pym_track_freed(header + 1, size);
    watch->dead[(watch->dead_first + watch->dead_count) % DEAD_MOST] = header;
    watch->dead_count++;
    watch->dead_bytes += bytes;
    return true;
}

/* Whether nobody has used a dead object; reports it if somebody has. */
static bool is_untouched(const struct pygc_header *header)
{
    const unsigned char *object = (const unsigned char *)(header + 1);
    size_t size = payload_bytes(header), i = 0;
    while (i < size && object[i] == DEAD_BYTE) {
        i++;
    }
    if (header->refs != 0) {
        pym_print(STDERR_FILENO,
                  "pymalloc: verify: %p is a dead object of type %s, but a reference "
                  "to it was made\n",
                  (const void *)object, gc_type_of(header)->name);
    } else if (i < size) {
        pym_print(STDERR_FILENO,
                  "pymalloc: verify: %p is a dead object of type %s, but was written "
                  "to at offset %zu\n",
                  (const void *)object, gc_type_of(header)->name, i);
    }
    return header->refs == 0 && i == size;
}

struct pygc_header *gc_check_let_go(struct pygc_heap *heap, bool all)
{
    struct gc_watch *watch = &heap->watch;
    bool fits = watch->dead_count < DEAD_MOST && watch->dead_bytes <= DEAD_BYTES_MOST;
    if (watch->dead_count == 0 || (fits && !all)) {
        return NULL;
    }
    struct pygc_header *header = dead_at(watch, 0);
    watch->dead_first = (watch->dead_first + 1) % DEAD_MOST;
    watch->dead_count--;
    watch->dead_bytes -= gc_block_bytes(header);
    (void)pym_track_allocated(header + 1, payload_bytes(header));
    if (!is_untouched(header)) {
        abort();
    }
    return header;
}

bool gc_check_has_kept(const struct pygc_heap *heap, const struct pygc_header *header)
{
    size_t i = 0;
    while (i < heap->watch.dead_count && dead_at(&heap->watch, i) != header) {
        i++;
    }
    return i < heap->watch.dead_count;
}

size_t gc_check_memory(struct pygc_heap *heap)
{
    size_t faults = 0;
    gc_each_pool(heap, check_links, &faults);
    for (size_t i = 0; i < heap->watch.dead_count; i++) {
        struct pygc_header *header = dead_at(&heap->watch, i);
        size_t size = payload_bytes(header);
        (void)pym_track_allocated(header + 1, size);
        faults += !is_untouched(header);
        pym_track_freed(header + 1, size);
    }
    return faults;
}

/* ---- words ---- */

/* The heap that an address lies in; NULL if that cannot be told. */
static const struct pygc_heap *heap_around(const void *address)
{
    if (!pym_region_owns(address)) {
        return NULL;
    }
    const struct pym_pool *pool = pym_region_pool_of(address);
    bool is_ours = pool->state != PYM_POOL_FREE && pym_pool_is_tagged(pool);
    return is_ours ? (const struct pygc_heap *)(const void *)pool->owner : NULL;
}

/* The heap to look in for what should be an object and is none.  Where its header looks
 * like that of a large object, it most likely was one. */
static const struct pygc_heap *heap_to_search(const struct pygc_header *header)
{
    if (pym_region_owns(header)) {
        return heap_around(header);
    }
    bool has_date = (header->bits & GC_BIRTH) != 0,
         lives = (header->bits & GC_LIVE) != 0;
    bool was_large =
        gc_is_large(header) && (lives || !has_date) && gc_type_of(header) != NULL;
    return was_large ? gc_large_of(header)->heap : NULL;
}

/* The header of the object, dead or alive, that an address lies in. */
static struct pygc_header *find_small(uintptr_t address)
{
    char *block =
        block_around(pym_region_pool_of((const void *)address), address - HEADER);
    return (struct pygc_header *)(void *)block;
}

static struct pygc_header *find_large(const struct pygc_heap *heap, uintptr_t address)
{
    for (struct gc_large *large = heap->large; large != NULL; large = large->next) {
        if (address - (uintptr_t)(large + 1) < large->size - sizeof(*large)) {
            return &large->header;
        }
    }
    struct pygc_header *header = (struct pygc_header *)(address - HEADER);
    return gc_check_has_kept(heap, header) ? header : NULL;
}

/* Of an object that waits, a link may be in the place of a part of the type. */
static bool has_type(const struct pygc_heap *heap, const struct pygc_header *header)
{
    return (header->bits & GC_PENDING) == 0 || gc_is_large(header) ||
           gc_vector_count(&heap->watch.pending, header) != 0;
}

static void describe_header(const struct pygc_heap *heap, struct pygc_header *header,
                            char *out, size_t size)
{
    bool is_live = ((uintptr_t)pym_link_get(header) & GC_LIVE) != 0;
    if (gc_check_has_kept(heap, header)) {
        (void)pym_print_text(out, size, "a dead object of type %s",
                             gc_type_of(header)->name);
    } else if (!is_live) {
        (void)pym_print_text(out, size, "a free block of %zu bytes",
                             pym_class_size(pym_region_pool_of(header)->cls));
    } else if (!has_type(heap, header)) {
        (void)pym_print_text(out, size, "a dead object, not yet released");
    } else {
        bool is_dead = (header->bits & GC_PENDING) != 0 || header->refs == 0;
        (void)pym_print_text(out, size, "%s object of type %s%s",
                             is_dead ? "a dead" : "an", gc_type_of(header)->name,
                             is_dead ? ", not yet released" : "");
    }
}

static void describe_in(const struct pygc_heap *heap, struct pygc_header *header,
                        uintptr_t address, char *out, size_t size)
{
    uintptr_t object = (uintptr_t)gc_object_of(header);
    size_t length = 0;
    if (address != object) {
        length = pym_print_text(out, size, "%zu bytes into %p, ", address - object,
                                (void *)object);
    }
    describe_header(heap, header, out + length, size - length);
}

void gc_check_describe(const struct pygc_heap *heap, const void *object, char *out,
                       size_t size)
{
    const struct pygc_heap *around = heap_around(object);
    struct pygc_header *header = NULL;
    if (heap == NULL) {
        heap = heap_to_search(pygc_header_of(object));
    }
    if (around != heap && around != NULL) {
        (void)pym_print_text(out, size, "in another heap, %p", (const void *)around);
        return;
    }
    if (around != NULL) {
        header = find_small((uintptr_t)object);
    } else if (heap != NULL) {
        header = find_large(heap, (uintptr_t)object);
    }
    if (header != NULL) {
        describe_in(heap, header, (uintptr_t)object, out, size);
    } else {
        (void)pym_print_text(out, size, "no object of the heap");
    }
}

void gc_check_describe_slot(const struct pygc_header *header, void *const *slot,
                            char *out, size_t size)
{
    const struct pygc_type *type = gc_type_of(header);
    size_t offset = (uintptr_t)slot - (uintptr_t)(header + 1);
    if (slot == NULL) {
        (void)pym_print_text(out, size, "traverse");
    } else if (type->item_size == 0 || offset < type->size) {
        (void)pym_print_text(out, size, "slot at offset %zu", offset);
    } else {
        offset -= type->size;
        (void)pym_print_text(out, size, "slot at offset %zu of item %zu",
                             offset % type->item_size, offset / type->item_size);
    }
}

/* ---- drops ---- */

void gc_check_drop(const struct pygc_header *header)
{
    enum { WANTED = GC_LIVE, MASK = GC_LIVE | GC_PENDING };
    const void *object = header + 1;
    if (header->refs != 0 && (header->bits & MASK) == WANTED) {
        gc_check_use(gc_heap_of(header), "drops", object);
        return;
    }
    char what[GC_WORDS];
    gc_check_describe(NULL, object, what, sizeof(what));
    pym_print(STDERR_FILENO, "pymalloc: dropped reference to a dead object: %p is %s\n",
              object, what);
    abort();
}

/* ---- objects that wait ---- */

bool gc_check_push(struct pygc_heap *heap, struct pygc_header *header)
{
    int saved = errno;
    bool pushed = gc_vector_push(&heap->watch.pending, header);
    errno = saved;
    return pushed;
}

struct pygc_header *gc_check_pop(struct pygc_heap *heap)
{
    struct gc_vector *pending = &heap->watch.pending;
    return pending->count != 0 ? pending->at[--pending->count] : NULL;
}

/* ---- the mode ---- */

static void watch_object(struct pygc_header *header, void *arg)
{
    (void)arg;
    header->bits |= GC_WATCHED;
}

void gc_check_switch(struct pygc_heap *heap)
{
    if (gc_verifies(heap)) {
        take_over(heap);
        heap->birth |= GC_WATCHED;
        gc_each_object(heap, watch_object, NULL);
    } else {
        heap->birth &= ~(uint32_t)GC_WATCHED;
        gc_free_dead(heap, true);
    }
}

void gc_check_free(struct pygc_heap *heap)
{
    pym_alloc_free(heap->watch.dead);
    gc_vector_free(&heap->watch.pending);
}
