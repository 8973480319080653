#include "region.h"

#include "arena.h"
#include "check.h"
#include "os.h"

#if PYM_HARDENED
#include <string.h>
#endif

/* Ranges are aligned so that arenas can share 2 MiB pages. */
#define REGION_ALIGNMENT ((size_t)2 << 20)
#define REGION_LEAST ((size_t)4 << 20)
/* The part of a limited address space that the range may take, as a shift. */
enum { LIMITED_SHARE_SHIFT = 2 };
/* Memory is made usable ahead of need, so that a growing heap costs few calls:
 * an eighth of what there is, within these bounds. */
enum { AHEAD_SHIFT = 3, AHEAD_LEAST = 4, AHEAD_MOST = 32 };

/* In the hardened library nobody knows how far the first arena lies behind the tables:
 * up to this part of the range. */
enum { SPREAD_SHARE = 64 };

struct pym_region pym_region;
union pym_region_start pym_region_start PYM_ALIGNED(PYM_CACHE_LINE) = {PYM_REGION_FAR};
union pym_region_limit pym_region_end PYM_ALIGNED(PYM_CACHE_LINE);

static uintptr_t arena_start(size_t arena)
{
    return pym_region_base + (arena << PYM_ARENA_SHIFT);
}

/* How many bytes of a table are needed for so many entries, in whole pages. */
static size_t table_bytes(size_t entries, size_t entry_size)
{
    return pym_round_up(entries * entry_size, pym_os_page_size());
}

static void lay_out(uintptr_t base, size_t reserved)
{
    size_t arenas = reserved >> PYM_ARENA_SHIFT;
    size_t pool_table = pym_round_up(
        (reserved >> PYM_POOL_SHIFT) * sizeof(struct pym_pool), (size_t)1 << 16);
    size_t arena_table =
        pym_round_up(arenas * sizeof(struct pym_arena), PYM_ARENA_SIZE);
    size_t tables = pym_round_up(pool_table + arena_table, PYM_ARENA_SIZE);
#if PYM_HARDENED
    pym_region_states = (_Atomic uint8_t *)(base + tables);
    tables += pym_round_up(reserved >> PYM_GRAIN_SHIFT, PYM_ARENA_SIZE);
    tables += (size_t)(pym_harden_random() % (arenas / SPREAD_SHARE + 1))
              << PYM_ARENA_SHIFT;
    tables += PYM_ARENA_SIZE; /* for empty blocks */
#endif
    /* models/region.pml: lay_out */
    pym_region_base = base;
    pym_region.reserved = reserved;
    pym_region.arenas = (struct pym_arena *)(base + pool_table);
    pym_region.first_arena = tables >> PYM_ARENA_SHIFT;
    pym_region.end_arena = pym_region.first_arena;
    pym_region.committed_arena = pym_region.first_arena;
}

/* The part of a limited address space that the range may take. */
static size_t allowed_bytes(void)
{
    size_t allowed = pym_os_address_limit();
    return allowed != SIZE_MAX ? allowed >> LIMITED_SHARE_SHIFT : SIZE_MAX;
}

void pym_region_init(size_t most)
{
    size_t allowed = allowed_bytes();
    most = most < allowed ? most : allowed;
    size_t size = (size_t)1 << 62;
    while (size > most) {
        size >>= 1;
    }
    for (; size >= REGION_LEAST; size >>= 1) {
        void *range = pym_os_reserve(size, REGION_ALIGNMENT);
        if (range != NULL) {
            lay_out((uintptr_t)range, size);
            return;
        }
    }
}

/* Makes the part of a table usable that entries from..to lie in. */
static int commit_entries(void *table, size_t entry_size, size_t from, size_t to)
{
    size_t page = pym_os_page_size();
    size_t start = from * entry_size & ~(page - 1);
    return pym_os_commit((char *)table + start, table_bytes(to, entry_size) - start);
}

/* What the hardened library has for each block; at first for empty ones as well. */
static int commit_states(size_t from, size_t to)
{
#if PYM_HARDENED
    enum { STATES = PYM_ARENA_SIZE / PYM_GRAIN };
    from -= from == pym_region.first_arena;
    return commit_entries((void *)(uintptr_t)pym_region_states, 1, from * STATES,
                          to * STATES);
#else
    (void)from;
    (void)to;
    return 0;
#endif
}

static int commit_arenas(size_t count)
{
    size_t from = pym_region.committed_arena;
    size_t to = from + count + pym_region_is_guard(from + count);
    int error = commit_entries((void *)pym_region_base, sizeof(struct pym_pool),
                               from * PYM_ARENA_POOLS, to * PYM_ARENA_POOLS);
    if (error == 0) {
        error = commit_entries(pym_region.arenas, sizeof(struct pym_arena), from, to);
    }
    if (error == 0) {
        error = commit_states(from, to);
    }
    if (error == 0) {
        error = pym_os_commit((void *)arena_start(from), count << PYM_ARENA_SHIFT);
    }
    if (error == 0) {
        pym_region.committed_arena = to;
    }
    return error;
}

bool pym_region_fit(void)
{
    size_t allowed = allowed_bytes() & ~(PYM_ARENA_SIZE - 1);
    size_t needed = pym_region.committed_arena << PYM_ARENA_SHIFT;
    size_t kept = allowed > needed ? allowed : needed;
    if (kept >= pym_region.reserved) {
        return false;
    }
    pym_os_unmap((char *)pym_region_base + kept, pym_region.reserved - kept);
    pym_region.reserved = kept;
    return true;
}

/* Makes more memory usable: ahead of need, or as much as is needed now. */
static bool commit_more(void)
{
    (void)pym_region_fit();
    size_t left = (pym_region.reserved >> PYM_ARENA_SHIFT) - pym_region.committed_arena;
    if (PYM_HARDENED) {
        return left > 1 && commit_arenas(1) == 0; /* each has its own neighbours */
    }
    size_t ahead = (pym_region.end_arena - pym_region.first_arena) >> AHEAD_SHIFT;
    ahead = ahead < AHEAD_LEAST ? AHEAD_LEAST : ahead > AHEAD_MOST ? AHEAD_MOST : ahead;
    ahead = ahead < left ? ahead : left;
    return left > 0 && (commit_arenas(ahead) == 0 || commit_arenas(1) == 0);
}

size_t pym_region_extend(void)
{
    if (pym_region.reserved == 0) {
        return 0;
    }
    if (pym_region.end_arena == pym_region.committed_arena && !commit_more()) {
        return 0;
    }
    /* models/region.pml: extend */
    size_t arena = pym_region.end_arena++;
    pym_region.end_arena += pym_region_is_guard(pym_region.end_arena);
    return arena;
}

#if PYM_HARDENED

_Atomic uint8_t *pym_region_states;

void pym_region_forget_states(const struct pym_pool *pool)
{
    size_t offset = (size_t)(pym_region_pool_start(pool) - (char *)pym_region_base);
    memset((void *)(uintptr_t)pym_region_state_at(offset), 0,
           PYM_POOL_SIZE / PYM_GRAIN);
}

#endif

void pym_region_publish(void)
{
    PYM_ASSERT(pym_region.end_arena <= pym_region.committed_arena);
    /* models/region.pml: publish */
    atomic_store_explicit(&pym_region_end.atomic,
                          pym_region.end_arena << PYM_ARENA_SHIFT,
                          memory_order_release);
}
