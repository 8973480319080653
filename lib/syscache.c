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

/* All caches together are granted this part of the blocks of such sizes that the
 * program has, but each at least an equal share of it, and so many bytes.  The first
 * bytes are granted whatever they are for.  A cache tells the total when it has so many
 * to tell. */
enum {
    GRANT_PART = 6,
    GRANT_LEAST = 3 << 17,
    TELL_BYTES = PYM_SYSAHEAD_STEP,
    START_BYTES = 1 << 15
};
/* The transfer cache holds up to this share of the same, but at least so much. */
enum { TRANSFER_SHIFT = 3, TRANSFER_LEAST = 1 << 19 };
/* So much goes from heap to heap at a time. */
enum { CHAIN_BYTES = 1 << 16 };
/* For others, a cache grows to at least so many of the longest chains. */
enum { CHAINS_KEPT = 4 };
/* A request may be served by so many of the next larger classes. */
enum { COARSER = 2 };
/* When so many blocks could not be kept, idle bins are looked for. */
enum { REFUSALS = 64 };
/* For so many overflows a heap leaves chains after a block of another heap came by. */
enum { TRADES = 64 };
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
    bool is_tuned = pym_systrim_user_has_tuned();
    size_t count = is_tuned ? SIZES : SMALL_SIZES;
    for (size_t i = 0; i < count; i++) {
        if (!probe_size(sizes[i])) {
            return;
        }
    }
    pym_syscache_usable = true;
    if (!is_tuned) {
        pym_systrim_init();
    }
}

void pym_syscache_init(struct pym_syscache *cache)
{
    atomic_fetch_add_explicit(&caches, 1, memory_order_relaxed);
    cache->countdown = cache->armed = 1;
    for (unsigned cls = 0; cls < PYM_CACHED_CLASSES; cls++) {
        cache->bin[cls].bytes = (int64_t)pym_cached_class_size(cls);
    }
    for (size_t i = 0; i < sizeof(cache->map) / sizeof(cache->map[0]); i++) {
        cache->map[i] =
            (uint16_t)(pym_cached_class_table[i] * sizeof(struct pym_syscache_bin));
    }
}

/* Bytes are counted with a sign. */
static int64_t class_bytes(unsigned cls)
{
    return (int64_t)pym_cached_class_size(cls);
}

static unsigned class_of(const struct pym_syscache *cache,
                         const struct pym_syscache_bin *bin)
{
    return (unsigned)(bin - cache->bin);
}

/* How many blocks a bin holds; follows all of them. */
static uint32_t kept_in(const struct pym_syscache_bin *bin)
{
    uint32_t count = 0;
    for (void *block = bin->head; block != NULL; block = pym_chunk_link_get(block)) {
        count++;
    }
    return count;
}

/* ---- giving back ---- */

/* Where other threads' locks may be held for ever, or the memory is another
 * process's. */
static bool is_copy(void)
{
    return pym_sysalloc_may_hang() || pym_os_is_copy();
}

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

/* A thread without a cache tells at once, since it has nowhere to note it. */
static void note_lent(struct pym_syscache *cache, int64_t bytes)
{
    if (PYM_UNLIKELY(cache == NULL)) {
        atomic_fetch_add_explicit(&total_lent, bytes, memory_order_relaxed);
        return;
    }
    int64_t lent = cache->lent += bytes;
    if (lent > TELL_BYTES || lent < -TELL_BYTES) {
        int64_t others =
            atomic_fetch_add_explicit(&total_lent, lent, memory_order_relaxed);
        cache->lent = 0;
        note_peak(others + lent);
        if (!is_copy()) {
            pym_systrim_lent(others + lent);
        }
    }
}

/* By its size word, which must be one. */
static bool is_mapped(const void *block)
{
    return (pym_sysalloc_chunk_word(block) & PYM_CHUNK_MAPPED) != 0;
}

static size_t chunk_bytes(const void *block)
{
    return pym_sysalloc_chunk_word(block) & ~(size_t)PYM_CHUNK_FLAGS;
}

static size_t usable_bytes(const void *block)
{
    return chunk_bytes(block) -
           (is_mapped(block) ? 2 * PYM_CHUNK_HEADER : PYM_CHUNK_HEADER);
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
            pym_systrim_freed(chunk_bytes(block), is_mapped(block));
        }
    }
    note_lent(cache, -bytes);
    if (PYM_LIKELY(cache != NULL)) {
        cache->passed++;
    } else {
        atomic_fetch_add_explicit(&pym_syscache_stray_passed, 1, memory_order_relaxed);
    }
    int saved = errno;
    pym_sysalloc.free(block);
    errno = saved;
}

/* Gives back blocks of a bin, and what was granted for them. */
static void shed(struct pym_syscache *cache, struct pym_syscache_bin *bin,
                 uint32_t blocks)
{
    cache->shed += blocks;
    cache->granted -= blocks * bin->bytes;
    note_lent(cache, -(int64_t)blocks * bin->bytes);
    int saved = errno;
    for (; blocks > 0; blocks--) {
        void *block = bin->head;
        bin->head = pym_chunk_link_get(block);
        pym_sysalloc.free(block);
    }
    errno = saved;
}

static void grant(struct pym_syscache *cache, int64_t bytes)
{
    cache->left += bytes;
    cache->granted += bytes;
}

/* It changes often, and is told seldom: all heaps share the total. */
static void tell_granted(struct pym_syscache *cache)
{
    int64_t more = cache->granted - cache->told;
    if (more > TELL_BYTES || more < -TELL_BYTES || cache->granted == 0) {
        atomic_fetch_add_explicit(&total_granted, more, memory_order_relaxed);
        cache->told = cache->granted;
    }
}

void pym_syscache_shed_all(struct pym_syscache *cache)
{
    for (unsigned cls = 0; cls < PYM_CACHED_CLASSES; cls++) {
        struct pym_syscache_bin *bin = &cache->bin[cls];
        shed(cache, bin, kept_in(bin));
    }
    grant(cache, -cache->left);
    tell_granted(cache);
}

void pym_syscache_empty(struct pym_syscache *cache)
{
    pym_syscache_shed_all(cache);
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
        pym_systrim_lent(atomic_load_explicit(&total_lent, memory_order_relaxed));
        pym_systrim_look();
    }
}

/* Where bins are looked at early, which of them missed is not forgotten: for them the
 * cache is to grow. */
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

/* Halves the bins that neither missed nor overflowed since the last time. */
static void shed_idle(struct pym_syscache *cache)
{
    for (unsigned cls = 0; cls < PYM_CACHED_CLASSES; cls++) {
        struct pym_syscache_bin *bin = &cache->bin[cls];
        if ((cache->used >> cls & 1) == 0 && bin->head != NULL) {
            shed(cache, bin, (kept_in(bin) + 1) / 2);
        }
    }
    cache->used = 0;
    cache->refused = 0;
}

void pym_syscache_decay(struct pym_syscache *cache, uint64_t now_ms)
{
    if (is_copy() || !is_look_due(cache, now_ms)) {
        return;
    }
    shed_idle(cache);
    tell_granted(cache);
    look_at_shared(cache, now_ms);
}

/* ---- how much it may hold ---- */

static bool has_company(void)
{
    return atomic_load_explicit(&caches, memory_order_relaxed) > 1;
}

/* An equal share of that part, or what other caches leave of it. */
static int64_t grant_limit(const struct pym_syscache *cache)
{
    int64_t most = (int64_t)PYM_OPTION(cache);
    int64_t all = atomic_load_explicit(&total_lent, memory_order_relaxed) / GRANT_PART;
    int64_t part = all / atomic_load_explicit(&caches, memory_order_relaxed);
    int64_t others =
        atomic_load_explicit(&total_granted, memory_order_relaxed) - cache->told;
    int64_t limit = GRANT_LEAST;
    limit = part > limit ? part : limit;
    limit = all - others > limit ? all - others : limit;
    return limit < most ? limit : most;
}

/* Bytes that may still be granted.  Who is refused again and again gets what other bins
 * did not need meanwhile. */
static int64_t spare_bytes(struct pym_syscache *cache, int64_t wanted)
{
    int64_t limit = grant_limit(cache);
    if (limit - cache->granted < wanted && ++cache->refused == REFUSALS) {
        shed_idle(cache);
        limit = grant_limit(cache);
    }
    return limit - cache->granted;
}

/* Grants twice as much, or what may still be had of it: at least so much that the bytes
 * fit.  False if that may not be. */
static bool grow(struct pym_syscache *cache, int64_t bytes)
{
    int64_t least = bytes - cache->left;
    int64_t spare = spare_bytes(cache, least);
    if (spare < least) {
        return false;
    }
    int64_t more = cache->granted > START_BYTES ? cache->granted : START_BYTES;
    more = more > least ? more : least;
    grant(cache, more < spare ? more : spare);
    tell_granted(cache);
    return true;
}

/* Gives up blocks of a class by which the cache is over what the user allows. */
static void shed_excess(struct pym_syscache *cache, struct pym_syscache_bin *bin)
{
    int64_t excess = cache->granted - (int64_t)PYM_OPTION(cache);
    if (excess > 0) {
        uint32_t kept = kept_in(bin);
        int64_t blocks = (excess + bin->bytes - 1) / bin->bytes;
        shed(cache, bin, blocks < kept ? (uint32_t)blocks : kept);
    }
}

static int64_t transfer_limit(void)
{
    int64_t most = (int64_t)PYM_OPTION(cache);
    int64_t share =
        atomic_load_explicit(&total_lent, memory_order_relaxed) >> TRANSFER_SHIFT;
    int64_t limit = share > TRANSFER_LEAST ? share : TRANSFER_LEAST;
    return limit < most ? limit : most;
}

static void *two_behind(void *block)
{
    void *next = pym_chunk_link_get(block);
    return next != NULL ? pym_chunk_link_get(next) : NULL;
}

/* Cuts up to half of a bin's blocks off, and up to CHAIN_BYTES: those freed last. */
static void *cut_chain(struct pym_syscache_bin *bin, void **tail, uint32_t *count)
{
    uint32_t most = (uint32_t)(CHAIN_BYTES / bin->bytes);
    void *head = bin->head;
    void *ahead = head; /* goes two steps for one of the tail */
    *tail = head;
    *count = 1;
    while (*count < most && (ahead = two_behind(ahead)) != NULL) {
        *tail = pym_chunk_link_get(*tail);
        ++*count;
    }
    bin->head = pym_chunk_link_get(*tail);
    pym_snapshot_order(); /* a copy by fork must not find the chain twice */
    return head;
}

/* Leaves what was freed last of a bin to other heaps' caches. */
static bool leave_chain(struct pym_syscache *cache, struct pym_syscache_bin *bin)
{
    if (!has_company() || bin->head == NULL || cache->trades == 0) {
        return false;
    }
    void *tail;
    uint32_t count;
    void *head = cut_chain(bin, &tail, &count);
    void *rest = bin->head;
    if (!pym_transfer_leave(class_of(cache, bin), head, tail, count,
                            transfer_limit())) {
        pym_chunk_link_set(tail, rest);
        bin->head = head;
        return false;
    }
    cache->left += count * bin->bytes;
    return true;
}

/* For a block of a class that has missed of late, the cache grows.  Otherwise the bin
 * has more than this heap needs, and others get part of it.  If they lack such blocks,
 * a small cache grows first, to have a part worth while and to keep what it may lack
 * itself next. */
static bool make_room(struct pym_syscache *cache, struct pym_syscache_bin *bin)
{
    unsigned cls = class_of(cache, bin);
    bool missed = (cache->missed >> cls & 1) != 0;
    if ((cache->granted < START_BYTES || missed) && grow(cache, bin->bytes)) {
        return true;
    }
    bool is_small = cache->granted < CHAINS_KEPT * CHAIN_BYTES;
    if (is_small && pym_transfer_lacks(cls) && grow(cache, bin->bytes)) {
        return true;
    }
    return leave_chain(cache, bin);
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
    cache->left += bin->bytes;
    note_origin(cache, block);
    cache->used |= (uint64_t)1 << class_of(cache, bin);
    if (!make_room(cache, bin)) {
        pym_syscache_pass(cache, block);
        return;
    }
    pym_chunk_link_set(block, bin->head);
    bin->head = block;
    cache->left -= bin->bytes;
}

/* ---- asking ---- */

static void *take_from(struct pym_syscache *cache, struct pym_syscache_bin *bin)
{
    void *block = bin->head;
    if (block != NULL) {
        bin->head = pym_chunk_link_get(block);
        cache->left += bin->bytes;
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
    cache->left -= ((int64_t)count - 1) * bin->bytes;
    if (cache->left < 0) { /* it will be used soon, so over the share if need be */
        grant(cache, -cache->left);
        shed_excess(cache, bin);
        tell_granted(cache);
    }
    return block;
}

/* A block for a class whose bin was empty: one of another heap's, or one of the
 * next larger classes. */
static void *take_elsewhere(struct pym_syscache *cache, unsigned cls)
{
    void *block = take_from(cache, &cache->bin[cls]); /* of a heap just adopted */
    if (block != NULL) {
        return block;
    }
    cache->missed |= (uint64_t)1 << cls;
    cache->used |= (uint64_t)1 << cls;
    block = take_chain(cache, cls);
    for (unsigned i = 1; i <= COARSER && block == NULL && cls + i < PYM_CACHED_CLASSES;
         i++) {
        block = take_from(cache, &cache->bin[cls + i]);
    }
    return block;
}

static bool is_cacheable(size_t size)
{
    return pym_syscache_usable && size > PYM_SMALL_MAX && size <= PYM_CACHED_MAX;
}

void *pym_syscache_miss(struct pym_syscache *cache, size_t size, bool zeroed)
{
    bool cacheable = is_cacheable(size);
    if (cacheable && cache != NULL) {
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
        if (cache != NULL) {
            cache->home = pym_syscache_home(block);
        }
        note_lent(cache, class_bytes(pym_cached_class_for(size)));
    } else if (PYM_UNLIKELY(size >= PYM_SYSHUGE_LEAST) && block != NULL) {
        pym_syshuge_made(block, size);
    }
    return count_miss(cache, block);
}

void *pym_syscache_aligned(struct pym_syscache *cache, size_t alignment, size_t size)
{
    void *block = count_miss(cache, pym_sysalloc.memalign(alignment, size));
    if (block != NULL && pym_sysalloc.usable_size != NULL) {
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
    if (moved != NULL && pym_sysalloc.usable_size != NULL) {
        note_lent(cache, cacheable_bytes(pym_sysalloc.usable_size(moved)) -
                             cacheable_bytes(usable));
    }
    if (PYM_UNLIKELY(size >= PYM_SYSHUGE_LEAST) && moved != NULL) {
        pym_syshuge_made(moved, size);
    }
    return moved;
}

/* ---- looking ---- */

PYM_RARE_CODE size_t pym_syscache_count(const struct pym_syscache *cache, size_t *bytes)
{
    size_t count = 0;
    *bytes = 0;
    for (unsigned cls = 0; cls < PYM_CACHED_CLASSES; cls++) {
        size_t kept = kept_in(&cache->bin[cls]);
        count += kept;
        *bytes += kept * pym_cached_class_size(cls);
    }
    return count;
}

PYM_RARE_CODE void pym_syscache_recover(struct pym_syscache *cache)
{
    pym_syscache_arm(cache, 1);
    cache->left = 0;
    cache->granted = 0;
    for (unsigned cls = 0; cls < PYM_CACHED_CLASSES; cls++) {
        struct pym_syscache_bin *bin = &cache->bin[cls];
        cache->granted += kept_in(bin) * bin->bytes;
    }
}
