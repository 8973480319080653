#include "syscache.h"

#include "arena.h"
#include "check.h"
#include "options.h"
#include "os.h"
#include "sysahead.h"
#include "syshuge.h"
#include "systrim.h"
#include "track.h"
#include "transfer.h"

#include <errno.h>
#include <string.h>

/* All caches together are granted room up to this share of the blocks of such
 * sizes that the program has, but each at least an equal part of it, and so many bytes;
 * a bin starts with room for so many bytes.  A cache tells the total when it has so
 * many to tell. */
enum {
    SHARE_SHIFT = 2,
    GRANT_LEAST = 1 << 19,
    TELL_BYTES = PYM_SYSAHEAD_STEP,
    START_BYTES = 1 << 14,
    START_LEAST = 4
};
/* The transfer cache holds up to this share of the same, but at least so much. */
enum { TRANSFER_SHIFT = 3, TRANSFER_LEAST = 1 << 19 };
/* So much goes from heap to heap at a time. */
enum { CHAIN_BYTES = 1 << 16 };
/* For others, a bin grows to at least so many of the longest chains. */
enum { CHAINS_KEPT = 4 };
/* A request may be served by so many of the next larger classes. */
enum { COARSER = 2 };
/* For so many overflows a heap leaves chains after a block of another heap came by. */
enum { TRADES = 64 };
/* A full bin that may neither grow nor leave a chain sheds this part. */
enum { SHED_PART = 4 };
/* Milliseconds between two looks at idle bins, unless the blocks of such sizes that the
 * program has are by so many bytes more than ever: then what idle bins hold is missing
 * elsewhere. */
enum { LOOK_MS = 1000, LOOK_BYTES = 1 << 18 };

bool pym_syscache_usable;

/* Of all caches: bytes had from the system less those returned, bytes of room, and how
 * many there are.  Read without order: they only tune. */
static _Atomic int64_t total_lent;
static _Atomic int64_t total_granted;
static _Atomic int64_t caches;
_Atomic int64_t pym_syscache_peak;

_Atomic uint64_t pym_syscache_stray_misses;
_Atomic uint64_t pym_syscache_stray_passed;

/* Whether a block's size word tells what the system allocator tells. */
static bool probe_size(size_t size)
{
    void *block = pym_sysalloc.malloc(size);
    if (block == NULL) {
        return false;
    }
    size_t usable = pym_sysalloc.usable_size(block);
    size_t word = pym_sysalloc_chunk_word(block);
    bool mapped = (word & PYM_CHUNK_MAPPED) != 0;
    bool agrees = usable >= size && !mapped &&
                  (word & ~(size_t)PYM_CHUNK_FLAGS) - PYM_CHUNK_HEADER == usable;
    pym_sysalloc.free(block);
    return agrees;
}

void pym_syscache_probe(void)
{
    /* The larger ones make pages of the system's heap dirty: they are tried only where
     * they might be mapped. */
    static const size_t sizes[] = {520, 1000, 1024, 5000, 32760, 65528};
    enum { SMALL_SIZES = 3, SIZES = sizeof(sizes) / sizeof(sizes[0]) };
    if (PYM_OPTION(cache) == 0 || !pym_sysalloc.has_word ||
        pym_sysalloc.usable_size == NULL || pym_track_stands_aside()) {
        return;
    }
    size_t count = pym_systrim_user_has_tuned() ? SIZES : SMALL_SIZES;
    for (size_t i = 0; i < count; i++) {
        if (!probe_size(sizes[i])) {
            return;
        }
    }
    pym_syscache_usable = true;
    pym_systrim_init();
}

void pym_syscache_init(struct pym_syscache *cache)
{
    atomic_fetch_add_explicit(&caches, 1, memory_order_relaxed);
    cache->countdown = cache->armed = 1;
    for (size_t i = 0; i < sizeof(cache->map) / sizeof(cache->map[0]); i++) {
        cache->map[i] =
            (uint16_t)(pym_cached_class_table[i] * sizeof(struct pym_syscache_bin));
    }
}

/* Room is counted with a sign, and so are its bytes. */
static int64_t class_bytes(unsigned cls)
{
    return (int64_t)pym_cached_class_size(cls);
}

static unsigned class_of(const struct pym_syscache *cache,
                         const struct pym_syscache_bin *bin)
{
    return (unsigned)(bin - cache->bin);
}

static int32_t kept_in(const struct pym_syscache_bin *bin)
{
    return bin->most - bin->room;
}

/* ---- giving back ---- */

/* Memory of free pools is of no use to the system allocator, which grows. */
static void note_peak(int64_t all)
{
    int64_t before = atomic_load_explicit(&pym_syscache_peak, memory_order_relaxed);
    if (all > before) {
        atomic_store_explicit(&pym_syscache_peak, all, memory_order_relaxed);
        pym_arena_make_up_for((size_t)(all - before));
        pym_sysahead_grown((size_t)all);
    }
}

static void note_lent(struct pym_syscache *cache, int64_t bytes)
{
    int64_t lent = cache->lent += bytes;
    if (lent > TELL_BYTES || lent < -TELL_BYTES) {
        int64_t others =
            atomic_fetch_add_explicit(&total_lent, lent, memory_order_relaxed);
        cache->lent = 0;
        note_peak(others + lent);
    }
}

/* By its size word, which must be one. */
static bool is_mapped(const void *block)
{
    return (pym_sysalloc_chunk_word(block) & PYM_CHUNK_MAPPED) != 0;
}

static size_t usable_bytes(const void *block)
{
    size_t header = is_mapped(block) ? 2 * PYM_CHUNK_HEADER : PYM_CHUNK_HEADER;
    return (pym_sysalloc_chunk_word(block) & ~(size_t)PYM_CHUNK_FLAGS) - header;
}

/* What keeping the block would count as; 0 if it is not one to keep. */
static int64_t cacheable_bytes(size_t usable)
{
    if (!pym_syscache_usable || usable < pym_cached_class_size(0) ||
        usable >= PYM_CACHED_MAX + PYM_CACHED_STEP) {
        return 0;
    }
    return class_bytes(pym_cached_class_table[usable >> PYM_CACHED_STEP_SHIFT] - 1u);
}

void pym_syscache_pass(struct pym_syscache *cache, void *block)
{
    int64_t bytes = 0;
    if (pym_syscache_usable) {
        size_t usable = usable_bytes(block);
        bytes = cacheable_bytes(usable);
        if (PYM_UNLIKELY(usable >= PYM_SYSTRIM_LEAST)) {
            pym_systrim_freed(usable, is_mapped(block));
        }
    }
    if (PYM_LIKELY(cache != NULL)) {
        cache->passed++;
        note_lent(cache, -bytes);
    } else {
        atomic_fetch_add_explicit(&pym_syscache_stray_passed, 1, memory_order_relaxed);
        atomic_fetch_sub_explicit(&total_lent, bytes, memory_order_relaxed);
    }
    int saved = errno;
    pym_sysalloc.free(block);
    errno = saved;
}

static void shed(struct pym_syscache *cache, struct pym_syscache_bin *bin,
                 int32_t blocks)
{
    cache->shed += (uint64_t)blocks;
    note_lent(cache, -blocks * class_bytes(class_of(cache, bin)));
    int saved = errno;
    for (; blocks > 0; blocks--) {
        void *block = bin->head;
        bin->head = pym_chunk_link_get(block);
        bin->room++;
        pym_sysalloc.free(block);
    }
    errno = saved;
}

static void give_room(struct pym_syscache *cache, unsigned cls, int32_t blocks)
{
    cache->bin[cls].room += blocks;
    cache->bin[cls].most += blocks;
    cache->granted += blocks * class_bytes(cls);
}

/* Room is given and taken often, and told seldom: all heaps share the total. */
static void tell_granted(struct pym_syscache *cache)
{
    int64_t more = cache->granted - cache->told;
    if (more > TELL_BYTES || more < -TELL_BYTES || cache->granted == 0) {
        atomic_fetch_add_explicit(&total_granted, more, memory_order_relaxed);
        cache->told = cache->granted;
    }
}

static int64_t take_room(struct pym_syscache *cache, unsigned cls, int32_t blocks)
{
    give_room(cache, cls, -blocks);
    return blocks * class_bytes(cls);
}

void pym_syscache_empty(struct pym_syscache *cache)
{
    for (unsigned cls = 0; cls < PYM_CACHED_CLASSES; cls++) {
        struct pym_syscache_bin *bin = &cache->bin[cls];
        shed(cache, bin, kept_in(bin));
        bin->room = bin->most = 0;
    }
    cache->granted = 0;
    tell_granted(cache);
    note_lent(cache, -pym_transfer_empty());
}

/* What all heaps share, by the heap whose turn comes first. */
static void look_at_shared(struct pym_syscache *cache, uint64_t now_ms)
{
    static _Atomic uint64_t next;
    uint64_t due = atomic_load_explicit(&next, memory_order_relaxed);
    if (now_ms >= due && atomic_compare_exchange_strong_explicit(
                             &next, &due, now_ms + LOOK_MS, memory_order_relaxed,
                             memory_order_relaxed)) {
        note_lent(cache, -pym_transfer_decay());
        pym_systrim_look();
    }
}

/* In a copy that the C library does not know of. */
static bool is_unknown_copy;

void pym_syscache_after_fork(bool is_known)
{
    is_unknown_copy = !is_known;
}

/* Where bins are looked at early, which of them missed is not forgotten: they are to
 * grow when they are full. */
static bool is_look_due(struct pym_syscache *cache, uint64_t now_ms)
{
    int64_t peak = atomic_load_explicit(&pym_syscache_peak, memory_order_relaxed);
    if (now_ms >= cache->next_look_ms) {
        cache->next_look_ms = now_ms + LOOK_MS;
        cache->missed = 0;
    } else if (peak - cache->peak_seen < LOOK_BYTES) {
        return false;
    }
    cache->peak_seen = peak;
    return true;
}

static bool is_idle(const struct pym_syscache *cache, unsigned cls)
{
    return (cache->used >> cls & 1) == 0;
}

void pym_syscache_decay(struct pym_syscache *cache, uint64_t now_ms)
{
    if (is_unknown_copy || pym_os_is_copy() || !is_look_due(cache, now_ms)) {
        return;
    }
    for (unsigned cls = 0; cls < PYM_CACHED_CLASSES; cls++) {
        struct pym_syscache_bin *bin = &cache->bin[cls];
        if (is_idle(cache, cls) && bin->most != 0) {
            int32_t surplus = (kept_in(bin) + 1) / 2;
            shed(cache, bin, surplus);
            (void)take_room(cache, cls, surplus);
        }
    }
    cache->used = 0;
    tell_granted(cache);
    look_at_shared(cache, now_ms);
}

/* ---- room ---- */

static bool has_company(void)
{
    return atomic_load_explicit(&caches, memory_order_relaxed) > 1;
}

/* An equal part of the share, or what other caches leave of it. */
static int64_t grant_limit(const struct pym_syscache *cache)
{
    int64_t most = (int64_t)PYM_OPTION(cache);
    int64_t all =
        atomic_load_explicit(&total_lent, memory_order_relaxed) / (1 << SHARE_SHIFT);
    int64_t part = all / atomic_load_explicit(&caches, memory_order_relaxed);
    int64_t others =
        atomic_load_explicit(&total_granted, memory_order_relaxed) - cache->told;
    int64_t limit = GRANT_LEAST;
    limit = part > limit ? part : limit;
    limit = all - others > limit ? all - others : limit;
    return limit < most ? limit : most;
}

/* Bytes by which the cache would be over its limit with room for more blocks. */
static int64_t over_limit(const struct pym_syscache *cache, unsigned cls,
                          int32_t blocks)
{
    return cache->granted + blocks * class_bytes(cls) - grant_limit(cache);
}

/* Takes room that is not in use away from bins in turn, half of what each has.
 * What it finds is not lost if it is not enough: the next attempt needs less. */
static int64_t reclaim_room(struct pym_syscache *cache, int64_t wanted)
{
    int64_t found = 0;
    for (unsigned i = 0; i < PYM_CACHED_CLASSES && found < wanted; i++) {
        unsigned cls = cache->hand;
        cache->hand = cls != 0 ? cls - 1 : PYM_CACHED_CLASSES - 1;
        if (cache->bin[cls].room > 1) {
            found += take_room(cache, cls, cache->bin[cls].room / 2);
        }
    }
    return found;
}

/* Gives up blocks of other bins for room, the largest first: of all, or of idle ones.
 */
static void evict(struct pym_syscache *cache, int64_t wanted, bool of_all)
{
    for (unsigned cls = PYM_CACHED_CLASSES; cls-- > 0 && wanted > 0;) {
        if (!of_all && !is_idle(cache, cls)) {
            continue;
        }
        int32_t surplus = (kept_in(&cache->bin[cls]) + 1) / 2;
        shed(cache, &cache->bin[cls], surplus);
        wanted -= take_room(cache, cls, surplus);
    }
}

/* Gives up blocks of a class by which the cache is over what the user allows. */
static void shed_excess(struct pym_syscache *cache, unsigned cls)
{
    int64_t excess = cache->granted - (int64_t)PYM_OPTION(cache);
    if (excess > 0) {
        int32_t kept = kept_in(&cache->bin[cls]);
        int64_t blocks = (excess + class_bytes(cls) - 1) / class_bytes(cls);
        int32_t surplus = blocks < kept ? (int32_t)blocks : kept;
        shed(cache, &cache->bin[cls], surplus);
        (void)take_room(cache, cls, surplus);
    }
}

/* What a bin has to start with. */
static int32_t first_room(unsigned cls)
{
    int32_t blocks = (int32_t)(START_BYTES / class_bytes(cls));
    return blocks < START_LEAST ? START_LEAST : blocks;
}

/* Gives a bin its first room, or twice as much. */
static bool grow(struct pym_syscache *cache, struct pym_syscache_bin *bin)
{
    unsigned cls = class_of(cache, bin);
    bool is_first = bin->most == 0;
    int32_t more = is_first ? first_room(cls) : bin->most;
    int64_t over = over_limit(cache, cls, more);
    over -= reclaim_room(cache, over);
    if (over > 0) {
        evict(cache, over, is_first);
        over = over_limit(cache, cls, more);
    }
    if (over <= 0) {
        give_room(cache, cls, more);
    }
    tell_granted(cache);
    return over <= 0;
}

static int64_t transfer_limit(void)
{
    int64_t most = (int64_t)PYM_OPTION(cache);
    int64_t share =
        atomic_load_explicit(&total_lent, memory_order_relaxed) >> TRANSFER_SHIFT;
    int64_t limit = share > TRANSFER_LEAST ? share : TRANSFER_LEAST;
    return limit < most ? limit : most;
}

static int32_t longest_chain(unsigned cls)
{
    return (int32_t)(CHAIN_BYTES / class_bytes(cls));
}

/* Leaves up to half of a full bin, what was freed last, to other heaps' caches. */
static bool leave_chain(struct pym_syscache *cache, struct pym_syscache_bin *bin)
{
    if (!has_company() || bin->head == NULL || cache->trades == 0) {
        return false;
    }
    unsigned cls = class_of(cache, bin);
    int32_t half = (bin->most + 1) / 2;
    int32_t count = half < longest_chain(cls) ? half : longest_chain(cls);
    void *head = bin->head;
    void *tail = head;
    for (int32_t i = 1; i < count; i++) {
        tail = pym_chunk_link_get(tail);
    }
    void *rest = pym_chunk_link_get(tail);
    bin->head = rest; /* first: a copy by fork must not find the chain twice */
    pym_snapshot_order();
    if (!pym_transfer_leave(cls, head, tail, (uint32_t)count, transfer_limit())) {
        pym_chunk_link_set(tail, rest);
        bin->head = head;
        return false;
    }
    bin->room += count;
    return true;
}

/* A full bin of a class that has missed here of late grows.  Otherwise it has more than
 * this heap needs: others get part of it, and what they do not need goes back to
 * the system.  If they lack it, a small bin grows first, to have a part worth while
 * and to keep what it may lack itself next. */
static void make_room(struct pym_syscache *cache, struct pym_syscache_bin *bin)
{
    unsigned cls = class_of(cache, bin);
    bool missed = (cache->missed >> cls & 1) != 0;
    if ((bin->most == 0 || missed) && grow(cache, bin)) {
        return;
    }
    bool is_small = bin->most < CHAINS_KEPT * longest_chain(cls);
    if (is_small && pym_transfer_lacks(cls) && grow(cache, bin)) {
        return;
    }
    if (!leave_chain(cache, bin)) {
        shed(cache, bin, (bin->most + SHED_PART - 1) / SHED_PART);
    }
}

static void note_origin(struct pym_syscache *cache, const void *block)
{
    if (pym_syscache_home(block) != cache->home) {
        cache->trades = TRADES;
    } else if (cache->trades != 0) {
        cache->trades--;
    }
}

PYM_NOINLINE void pym_syscache_overflow(struct pym_syscache *cache,
                                        struct pym_syscache_bin *bin, void *block)
{
    unsigned cls = class_of(cache, bin);
    bin->room = 0;
    note_origin(cache, block);
    make_room(cache, bin);
    cache->used |= (uint64_t)1 << cls;
    if (bin->room == 0) { /* there was no room to be had for even one block */
        pym_syscache_pass(cache, block);
        return;
    }
    pym_chunk_link_set(block, bin->head);
    bin->head = block;
    bin->room--;
}

/* ---- asking ---- */

static void *take_from(struct pym_syscache_bin *bin)
{
    void *block = bin->head;
    if (block != NULL) {
        bin->head = pym_chunk_link_get(block);
        bin->room++;
    }
    return block;
}

static void *count_miss(struct pym_syscache *cache, void *block)
{
    if (block == NULL) {
        return NULL;
    }
    if (PYM_LIKELY(cache != NULL)) {
        cache->misses++;
    } else {
        atomic_fetch_add_explicit(&pym_syscache_stray_misses, 1, memory_order_relaxed);
    }
    return block;
}

/* A chain that another heap's cache has left: its first block; the rest goes into
 * the bin, which is empty. */
static void *take_chain(struct pym_syscache *cache, unsigned cls)
{
    uint32_t count;
    void *block = has_company() ? pym_transfer_take(cls, &count) : NULL;
    if (block == NULL) {
        return NULL;
    }
    struct pym_syscache_bin *bin = &cache->bin[cls];
    PYM_ASSERT(bin->head == NULL);
    bin->head = pym_chunk_link_get(block);
    bin->room -= (int32_t)count - 1;
    if (bin->room < 0) { /* it will be used soon, so over the share if need be */
        (void)reclaim_room(cache, over_limit(cache, cls, -bin->room));
        give_room(cache, cls, -bin->room);
        shed_excess(cache, cls);
        tell_granted(cache);
    }
    return block;
}

/* A block for a class whose bin was empty: one of another heap's, or one of the
 * next larger classes. */
static void *take_elsewhere(struct pym_syscache *cache, unsigned cls)
{
    void *block = take_from(&cache->bin[cls]); /* of a heap just adopted */
    if (block != NULL) {
        return block;
    }
    cache->missed |= (uint64_t)1 << cls;
    cache->used |= (uint64_t)1 << cls;
    block = take_chain(cache, cls);
    for (unsigned i = 1; i <= COARSER && block == NULL && cls + i < PYM_CACHED_CLASSES;
         i++) {
        block = take_from(&cache->bin[cls + i]);
    }
    return block;
}

static bool is_cacheable(size_t size)
{
    return pym_syscache_usable && size > PYM_SMALL_MAX && size <= PYM_CACHED_MAX;
}

void *pym_syscache_miss(struct pym_syscache *cache, size_t size, bool zeroed)
{
    bool cacheable = cache != NULL && is_cacheable(size);
    if (cacheable) {
        void *block = take_elsewhere(cache, pym_cached_class_for(size));
        if (block != NULL) {
            cache->old_hits++;
            return zeroed ? memset(block, 0, size) : block;
        }
    }
    size_t request = pym_syscache_request(size);
    void *block =
        zeroed ? pym_sysalloc.calloc(1, request) : pym_sysalloc.malloc(request);
    if (cacheable && block != NULL) {
        cache->home = pym_syscache_home(block);
        note_lent(cache, class_bytes(pym_cached_class_for(size)));
    } else if (PYM_UNLIKELY(size >= PYM_SYSHUGE_LEAST) && block != NULL) {
        pym_syshuge_made(block, size);
    }
    return count_miss(cache, block);
}

void *pym_syscache_aligned(struct pym_syscache *cache, size_t alignment, size_t size)
{
    void *block = count_miss(cache, pym_sysalloc.memalign(alignment, size));
    if (cache != NULL && block != NULL && pym_sysalloc.usable_size != NULL) {
        note_lent(cache, cacheable_bytes(pym_sysalloc.usable_size(block)));
    }
    if (PYM_UNLIKELY(size >= PYM_SYSHUGE_LEAST) && block != NULL) {
        pym_syshuge_made(block, size);
    }
    return block;
}

void *pym_syscache_resize(struct pym_syscache *cache, void *block, size_t usable,
                          size_t size)
{
    if (PYM_UNLIKELY(usable >= PYM_SYSHUGE_LEAST)) {
        pym_syshuge_resizing(block, usable);
    }
    void *moved = pym_sysalloc.realloc(block, pym_syscache_request(size));
    if (cache != NULL && moved != NULL && pym_sysalloc.usable_size != NULL) {
        note_lent(cache, cacheable_bytes(pym_sysalloc.usable_size(moved)) -
                             cacheable_bytes(usable));
    }
    if (PYM_UNLIKELY(size >= PYM_SYSHUGE_LEAST) && moved != NULL) {
        pym_syshuge_made(moved, size);
    }
    return moved;
}

/* ---- looking ---- */

size_t pym_syscache_count(const struct pym_syscache *cache, size_t *bytes)
{
    size_t count = 0;
    *bytes = 0;
    for (unsigned cls = 0; cls < PYM_CACHED_CLASSES; cls++) {
        size_t kept = (size_t)kept_in(&cache->bin[cls]);
        count += kept;
        *bytes += kept * pym_cached_class_size(cls);
    }
    return count;
}

void pym_syscache_recover(struct pym_syscache *cache)
{
    pym_syscache_arm(cache, 1);
    cache->granted = 0;
    for (unsigned cls = 0; cls < PYM_CACHED_CLASSES; cls++) {
        struct pym_syscache_bin *bin = &cache->bin[cls];
        bin->room = bin->most = 0;
        for (void *block = bin->head; block != NULL;
             block = pym_chunk_link_get(block)) {
            bin->most++;
        }
        cache->granted += bin->most * class_bytes(cls);
    }
}
