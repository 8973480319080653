#include "ledger.h"

#if PYM_HARDENED

#include "canary.h"
#include "lock.h"
#include "os.h"

#include <stddef.h>

enum { SHARDS = 64, LEAST = 128 };

/* A mapping: published by one store, so that a forked child finds the old or the new.
 */
struct table {
    size_t slots; /* a power of two */
    size_t used;  /* entries, of freed blocks as well */
    struct pym_ledger_entry entry[];
};

static struct shard {
    struct pym_lock lock;
    struct table *table;
    bool has_room; /* as was counted below */
} PYM_ALIGNED(PYM_CACHE_LINE) shards[SHARDS];

static _Atomic unsigned full_shards = SHARDS;

static uint64_t hash(uintptr_t block)
{
    return pym_mix(block >> PYM_GRAIN_SHIFT);
}

/* From other bits of the hash than the place in the shard's table. */
static struct shard *lock_shard(const void *block)
{
    struct shard *shard = &shards[hash((uintptr_t)block) >> 58];
    shard->lock.rank = PYM_RANK_LEDGER;
    pym_spin_lock(&shard->lock);
    return shard;
}

/* The entry of a block, or the empty one where it would be. */
static struct pym_ledger_entry *place(struct table *table, uintptr_t block)
{
    size_t at = (size_t)(hash(block) >> 20);
    for (;; at++) {
        struct pym_ledger_entry *entry = &table->entry[at & (table->slots - 1)];
        if (entry->block == block || entry->block == 0) {
            return entry;
        }
    }
}

static struct pym_ledger_entry *find(struct shard *shard, const void *block)
{
    if (shard->table == NULL) {
        return NULL;
    }
    struct pym_ledger_entry *entry = place(shard->table, (uintptr_t)block);
    return entry->block != 0 ? entry : NULL;
}

static size_t table_bytes(size_t slots)
{
    return offsetof(struct table, entry) + slots * sizeof(struct pym_ledger_entry);
}

static size_t count_kept(const struct table *table)
{
    size_t kept = 0;
    for (size_t i = 0; table != NULL && i < table->slots; i++) {
        const struct pym_ledger_entry *entry = &table->entry[i];
        kept += entry->block != 0 && entry->state != PYM_LEDGER_FREED;
    }
    return kept;
}

/* A new table without what was freed, at most a quarter full. */
static bool renew(struct shard *shard)
{
    struct table *old = shard->table;
    size_t kept = count_kept(old);
    size_t slots = LEAST;
    while (slots / 4 < kept + 1) {
        slots *= 2;
    }
    struct table *table = pym_os_map(table_bytes(slots));
    if (table == NULL) {
        return false;
    }
    table->slots = slots;
    for (size_t i = 0; old != NULL && i < old->slots; i++) {
        if (old->entry[i].block != 0 && old->entry[i].state != PYM_LEDGER_FREED) {
            *place(table, old->entry[i].block) = old->entry[i];
        }
    }
    table->used = kept;
    shard->table = table;
    if (old != NULL) {
        pym_os_unmap(old, table_bytes(old->slots));
    }
    return true;
}

static bool has_room(const struct table *table)
{
    return table != NULL && table->used < table->slots / 4 * 3;
}

/* One entry stays empty, where a search ends. */
static bool has_last_room(const struct table *table)
{
    return table != NULL && table->used + 1 < table->slots;
}

static void count_room(struct shard *shard)
{
    bool now = has_room(shard->table);
    if (now != shard->has_room) {
        shard->has_room = now;
        atomic_fetch_add_explicit(&full_shards, now ? -1u : 1u, memory_order_relaxed);
    }
}

bool pym_ledger_reserve(void)
{
    bool reserved = true;
    if (atomic_load_explicit(&full_shards, memory_order_relaxed) == 0) {
        return true;
    }
    for (size_t i = 0; i < SHARDS && reserved; i++) {
        struct shard *shard = &shards[i];
        shard->lock.rank = PYM_RANK_LEDGER;
        pym_spin_lock(&shard->lock);
        reserved = has_room(shard->table) || renew(shard);
        count_room(shard);
        pym_spin_unlock(&shard->lock);
    }
    return reserved;
}

bool pym_ledger_add(struct pym_ledger_entry added)
{
    struct shard *shard = lock_shard((void *)added.block);
    bool has_place =
        has_room(shard->table) || renew(shard) || has_last_room(shard->table);
    if (has_place) {
        struct pym_ledger_entry *entry = place(shard->table, added.block);
        shard->table->used += entry->block == 0;
        /* In the lock, since who looks at the entry looks at the canary; and behind
         * taking it, which else would have to wait for the canary's cache line. */
        pym_canary_set((void *)added.block, (size_t)added.size, added.tail);
        pym_snapshot_order();
        entry->size = added.size;
        entry->origin = added.origin;
        entry->tail = added.tail;
        entry->front = added.front;
        entry->state = PYM_LEDGER_LIVE;
        pym_snapshot_order();
        entry->block = added.block;
        count_room(shard);
    }
    pym_spin_unlock(&shard->lock);
    return has_place;
}

struct pym_ledger_entry pym_ledger_find(const void *block)
{
    struct shard *shard = lock_shard(block);
    struct pym_ledger_entry *entry = find(shard, block);
    struct pym_ledger_entry copy = {0};
    if (entry != NULL) {
        copy = *entry;
    }
    pym_spin_unlock(&shard->lock);
    return copy;
}

struct pym_ledger_entry pym_ledger_change(void *block, enum pym_ledger_state from,
                                          enum pym_ledger_state to)
{
    struct shard *shard = lock_shard(block);
    struct pym_ledger_entry *entry = find(shard, block);
    struct pym_ledger_entry before = {0};
    if (entry != NULL) {
        before = *entry;
        entry->state = (uint8_t)(before.state == from ? to : before.state);
    }
    pym_spin_unlock(&shard->lock);
    return before;
}

bool pym_ledger_mark(void *block, uint8_t from, uint8_t to)
{
    struct shard *shard = lock_shard(block);
    struct pym_ledger_entry *entry = find(shard, block);
    bool marked =
        entry != NULL && entry->state == PYM_LEDGER_LIVE && entry->origin == from;
    if (marked) {
        entry->origin = to;
    }
    pym_spin_unlock(&shard->lock);
    return marked;
}

void pym_ledger_each(void (*look)(const struct pym_ledger_entry *entry, void *arg),
                     void *arg)
{
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &shards[i];
        shard->lock.rank = PYM_RANK_LEDGER;
        pym_spin_lock(&shard->lock);
        const struct table *table = shard->table;
        for (size_t slot = 0; table != NULL && slot < table->slots; slot++) {
            const struct pym_ledger_entry *entry = &table->entry[slot];
            if (entry->block != 0 && entry->state == PYM_LEDGER_LIVE) {
                look(entry, arg);
            }
        }
        pym_spin_unlock(&shard->lock);
    }
}

struct search {
    uintptr_t address;
    struct pym_ledger_entry found;
};

static void look_around(const struct pym_ledger_entry *entry, void *arg)
{
    struct search *search = arg;
    if (search->address - entry->block < entry->size + entry->tail) {
        search->found = *entry;
    }
}

struct pym_ledger_entry pym_ledger_around(const void *address)
{
    struct search search = {(uintptr_t)address, {0}};
    pym_ledger_each(look_around, &search);
    return search.found;
}

/* An entry is whole at any point; only how many there are may be one behind. */
void pym_ledger_after_fork(void)
{
    for (size_t i = 0; i < SHARDS; i++) {
        struct table *table = shards[i].table;
        if (!pym_lock_reset(&shards[i].lock) || table == NULL) {
            continue;
        }
        table->used = 0;
        for (size_t slot = 0; slot < table->slots; slot++) {
            table->used += table->entry[slot].block != 0;
        }
    }
}

#endif
