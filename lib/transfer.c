#include "transfer.h"

#include "atomic.h"
#include "sysalloc.h"
#include "track.h"

#include <errno.h>

/* As many as there are pointers in a cache line. */
enum { SLOTS = 8 };

struct shelf {
    _Atomic(void *) slot[SLOTS];
} PYM_ALIGNED(PYM_CACHE_LINE);

static struct shelf shelves[PYM_CACHED_CLASSES] PYM_RARE_TABLE;
/* A bit for each class: that was asked for since the last decay, and that was asked
 * for in vain since a chain was left. */
static _Atomic uint64_t wanted PYM_ALIGNED(PYM_CACHE_LINE);
static _Atomic uint64_t lacking;
/* These change with every chain. */
static _Atomic int64_t bytes_here PYM_ALIGNED(PYM_CACHE_LINE);
static _Atomic int64_t blocks_here;
static _Atomic uint64_t shed;

/* What the first block of a chain says; the smallest class has room for it. */
struct chain_head {
    void *next;
    uint32_t count;
};

/* These words are read often and changed rarely. */
static void set_bit(_Atomic uint64_t *word, unsigned cls)
{
    uint64_t bit = (uint64_t)1 << cls;
    if ((atomic_load_explicit(word, memory_order_relaxed) & bit) == 0) {
        atomic_fetch_or_explicit(word, bit, memory_order_relaxed);
    }
}

static void clear_bit(_Atomic uint64_t *word, unsigned cls)
{
    uint64_t bit = (uint64_t)1 << cls;
    if ((atomic_load_explicit(word, memory_order_relaxed) & bit) != 0) {
        atomic_fetch_and_explicit(word, ~bit, memory_order_relaxed);
    }
}

static void note(unsigned cls, int64_t blocks)
{
    int64_t bytes = blocks * (int64_t)pym_cached_class_size(cls);
    /* models/transfer.pml: note */
    atomic_fetch_add_explicit(&bytes_here, bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&blocks_here, blocks, memory_order_relaxed);
}

bool pym_transfer_leave(unsigned cls, void *head, void *tail, uint32_t count,
                        int64_t most)
{
    int64_t bytes = (int64_t)count * (int64_t)pym_cached_class_size(cls);
    /* models/transfer.pml: bound */
    if (atomic_load_explicit(&bytes_here, memory_order_relaxed) + bytes > most) {
        return false;
    }
    pym_chunk_link_set(tail, NULL);
    ((struct chain_head *)head)->count = count;
    for (unsigned i = 0; i < SLOTS; i++) {
        _Atomic(void *) *slot = &shelves[cls].slot[i];
        void *none = NULL;
        /* models/transfer.pml: leave_look, leave */
        if (atomic_load_explicit(slot, memory_order_relaxed) == NULL &&
            atomic_compare_exchange_strong_explicit(
                slot, &none, head, memory_order_release, memory_order_relaxed)) {
            note(cls, count);
            /* models/transfer.pml: lack_ends */
            clear_bit(&lacking, cls);
            return true;
        }
    }
    return false;
}

static void *take(unsigned cls, uint32_t *count)
{
    for (unsigned i = 0; i < SLOTS; i++) {
        _Atomic(void *) *slot = &shelves[cls].slot[i];
        /* models/transfer.pml: take_look */
        if (atomic_load_explicit(slot, memory_order_relaxed) == NULL) {
            continue;
        }
        /* models/transfer.pml: take */
        struct chain_head *head =
            atomic_exchange_explicit(slot, NULL, memory_order_acquire);
        if (head != NULL) {
            *count = head->count;
            note(cls, -(int64_t)head->count);
            return head;
        }
    }
    return NULL;
}

void *pym_transfer_take(unsigned cls, uint32_t *count)
{
    /* models/transfer.pml: want */
    set_bit(&wanted, cls);
    void *chain = take(cls, count);
    if (chain == NULL) {
        /* models/transfer.pml: lack */
        set_bit(&lacking, cls);
    }
    return chain;
}

bool pym_transfer_lacks(unsigned cls)
{
    return (atomic_load_explicit(&lacking, memory_order_relaxed) >> cls & 1) != 0;
}

static int64_t empty_class(unsigned cls)
{
    int64_t blocks = 0;
    uint32_t count;
    for (void *block; (block = take(cls, &count)) != NULL;) {
        blocks += count;
        while (block != NULL) {
            void *next = pym_chunk_link_get(block);
            /* models/transfer.pml: shed */
            pym_sysalloc.free(block);
            block = next;
        }
    }
    atomic_fetch_add_explicit(&shed, (uint64_t)blocks, memory_order_relaxed);
    return blocks * (int64_t)pym_cached_class_size(cls);
}

/* A lack from so long ago is none any more, either. */
static int64_t empty_classes(uint64_t classes)
{
    int64_t bytes = 0;
    atomic_fetch_and_explicit(&lacking, ~classes, memory_order_relaxed);
    int saved = errno;
    for (; classes != 0; classes &= classes - 1) {
        bytes += empty_class((unsigned)__builtin_ctzll(classes));
    }
    errno = saved;
    return bytes;
}

_Static_assert(PYM_CACHED_CLASSES <= 64, "a bit for each class");
static const uint64_t all_classes = UINT64_MAX >> (64 - PYM_CACHED_CLASSES);

int64_t pym_transfer_decay(void)
{
    /* models/transfer.pml: decay */
    uint64_t asked = atomic_exchange_explicit(&wanted, 0, memory_order_relaxed);
    return empty_classes(all_classes & ~asked);
}

int64_t pym_transfer_empty(void)
{
    return empty_classes(all_classes);
}

void pym_transfer_after_fork(void)
{
    atomic_store_explicit(&bytes_here, 0, memory_order_relaxed);
    atomic_store_explicit(&blocks_here, 0, memory_order_relaxed);
    for (unsigned cls = 0; cls < PYM_CACHED_CLASSES; cls++) {
        for (unsigned i = 0; i < SLOTS; i++) {
            const struct chain_head *head =
                atomic_load_explicit(&shelves[cls].slot[i], memory_order_relaxed);
            if (head != NULL) {
                note(cls, head->count);
            }
        }
    }
}

size_t pym_transfer_count(size_t *bytes, uint64_t *gone)
{
    int64_t b = atomic_load_explicit(&bytes_here, memory_order_relaxed);
    int64_t n = atomic_load_explicit(&blocks_here, memory_order_relaxed);
    *bytes = b > 0 ? (size_t)b : 0;
    *gone = atomic_load_explicit(&shed, memory_order_relaxed);
    return n > 0 ? (size_t)n : 0;
}
