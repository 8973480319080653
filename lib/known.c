#include "known.h"

#include "atomic.h"
#include "os.h"

/* A bucket is a cache line. */
enum { BUCKETS = 1 << 14, SLOTS = PYM_CACHE_LINE / sizeof(uintptr_t) };

static _Atomic uintptr_t (*table)[SLOTS];

bool pym_known_init(void)
{
    table = pym_os_map(BUCKETS * sizeof(*table));
    return table != NULL;
}

static _Atomic uintptr_t *bucket_of(const void *block)
{
    return table[pym_mix((uintptr_t)block) >> 40 & (BUCKETS - 1)];
}

static _Atomic uintptr_t *find(const void *block)
{
    _Atomic uintptr_t *slot = bucket_of(block);
    for (size_t i = 0; i < SLOTS; i++) {
        if (atomic_load_explicit(&slot[i], memory_order_relaxed) == (uintptr_t)block) {
            return &slot[i];
        }
    }
    return NULL;
}

bool pym_known_add(const void *block)
{
    _Atomic uintptr_t *slot = bucket_of(block);
    for (size_t i = 0; i < SLOTS; i++) {
        uintptr_t none = 0;
        if (atomic_compare_exchange_strong_explicit(&slot[i], &none, (uintptr_t)block,
                                                    memory_order_relaxed,
                                                    memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

void pym_known_remove(const void *block)
{
    _Atomic uintptr_t *slot = find(block);
    if (slot != NULL) {
        atomic_store_explicit(slot, 0, memory_order_relaxed);
    }
}

bool pym_known_has(const void *block)
{
    return find(block) != NULL;
}
