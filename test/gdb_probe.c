/* Not a test: gdb.sh runs it in gdb.  It makes a heap of which it knows everything,
 * writes down what gdb's commands must say of it, and calls gdb_stop, where gdb has a
 * breakpoint.  The file has these lines:
 *
 *     ? name          a check begins
 *     ! command       of gdb
 *     = expression    a regular one, which lines of the output must match
 *
 * Numbers of the library's are compared as well: gdb has its own copy of them. */
#include "support.h"

#include <malloc.h>
#include <pthread.h>
#include <pymalloc/gc.h>
#include <sys/syscall.h>

#define PYM_HARDENED 1
#include "gc_heap.h"
#include "held.h"
#include "remote.h"

/* Sizes whose blocks are as large in both libraries, which take a byte or none for a
 * canary; of powers of two a thread's first blocks come from a pool of that size. */
enum { MANY = 1200, SIZE = 40, BLOCK = 48, THEIRS = 20, THEIR_SIZE = 120, PAIR = 60 };
/* With remote:200, what a thread has freed goes out when it is more than 200 bytes. */
enum { INBOX = 5, OUTBOX = 3, ORPHANS_INBOX = 2, ORPHANS_OUTBOX = 1 };

void gdb_stop(void);

__attribute__((noinline)) void gdb_stop(void)
{
    __asm__ volatile("" : : : "memory");
}

static int file;
static bool is_hardened;

/* Without malloc, which dprintf calls. */
__attribute__((format(printf, 2, 3))) static void say(char kind, const char *format,
                                                      ...)
{
    char line[1024] = {kind, ' '};
    va_list args;
    va_start(args, format);
    int length = vsnprintf(line + 2, sizeof line - 3, format, args);
    va_end(args);
    line[2 + length] = '\n';
    if (write(file, line, (size_t)length + 3) != length + 3) {
        tap_bail_out("the file of checks: %s", strerror(errno));
    }
}

static unsigned long number(const void *p)
{
    return (unsigned long)(uintptr_t)p;
}

static int thread_id(void)
{
    return (int)syscall(SYS_gettid);
}

/* ------------------------------------------------------- the heap and its threads */

static pthread_barrier_t barrier;
static void *many[MANY], *theirs[THEIRS], *first, *pool_of_first;
static int worker_id;

static void meet(void)
{
    pthread_barrier_wait(&barrier);
}

/* The hardened library holds freed blocks back until so many others were freed. */
static void push_out(void)
{
    for (int i = 0; is_hardened && i < PYM_WAITING_SMALL; i++) {
        free(opaque(malloc(8)));
    }
}

static void *work_and_end(void *arg)
{
    for (int i = 0; i < THEIRS; i++) {
        theirs[i] = malloc(THEIR_SIZE);
    }
    return arg;
}

/* Those of many that another thread frees lie in two pools in turn, so that two chains
 * go out together. */
static void *foreign(int i)
{
    return many[i % 2 * 400 + i / 2];
}

/* Frees what is main's and some of what the other thread's was. */
static void *work_and_stay(void *arg)
{
    worker_id = thread_id();
    first = malloc(250);
    push_out();
    meet();
    meet();
    for (int i = 0; i < ORPHANS_INBOX; i++) {
        free(theirs[i]);
    }
    for (int i = 0; i < INBOX + OUTBOX; i++) {
        free(foreign(i));
    }
    push_out();
    meet();
    meet();
    return arg;
}

static pthread_t start(void *(*work)(void *))
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, work, NULL) != 0) {
        tap_bail_out("no thread");
    }
    return thread;
}

/* ------------------------------------------------------------ small blocks */

enum { LISTED = 500, BINNED = MANY - 1, QUARANTINED = MANY - 2, LIVE = 600 };

/* Pools that are full, and one that is not.  The thread that ends does so when the
 * other has a heap, which it would adopt. */
static void make_blocks(void)
{
    pthread_barrier_init(&barrier, NULL, 2);
    start(work_and_stay);
    meet();
    pthread_join(start(work_and_end), NULL);
    use_all_classes();
    for (int i = 0; i < MANY; i++) {
        many[i] = malloc(SIZE);
    }
    free(many[LISTED]);
    free(many[BINNED]);
    push_out();
}

static void say_blocks(void)
{
    say('?', "live");
    say('!', "pymalloc info %#lx", number(many[LIVE]));
    say('=', "^%#lx is a live block of %d bytes at %#lx\\.$", number(many[LIVE]), BLOCK,
        number(many[LIVE]));
    say('=',
        is_hardened ? "^state live: 40 bytes usable, made by malloc$" : "^state live$");
    say('=', "^pool %#lx, full, 3[0-9]+ of 341 blocks live$",
        number(many[LIVE]) & ~(PYM_POOL_SIZE - 1));
    say('=', "^arena %#lx, pool %lu of 16$", number(many[LIVE]) & ~(PYM_ARENA_SIZE - 1),
        number(many[LIVE]) % PYM_ARENA_SIZE / PYM_POOL_SIZE + 1);
    say('=', "^heap 0x[0-9a-f]+, of thread [0-9]+ \\(LWP %d\\)$", getpid());
    say('?', "inside");
    say('!', "pymalloc info (char *)%#lx + 17", number(many[LIVE]));
    say('=', "^%#lx is 17 bytes into a live block of %d bytes at %#lx\\.$",
        number(many[LIVE]) + 17, BLOCK, number(many[LIVE]));
    say('?', "in the bin");
    say('!', "pymalloc info %#lx", number(many[BINNED]));
    say('=', "is a free block of %d bytes at", BLOCK);
    say('=', "^state free: in its heap's bin$");
    say('?', "in the pool's list");
    say('!', "pymalloc info %#lx", number(many[LISTED]));
    say('=', "is a free block of %d bytes at", BLOCK);
    say('=', "^state free: in the pool's list$");
    say('?', "never used");
    unsigned long last = (number(first) | (PYM_POOL_SIZE - 1)) - 255;
    say('!', "pymalloc info %#lx", last);
    say('=', "^%#lx is a free block of 256 bytes at", last);
    say('=', "^block number 64 of 64$");
    say('=', "^state free: was never used$");
    say('=', "^heap 0x[0-9a-f]+, of thread [0-9]+ \\(LWP %d\\)$", worker_id);
}

static void say_sent(void)
{
    for (int i = 0; i < INBOX; i++) {
        say('?', "in an inbox: %d", i);
        say('!', "pymalloc info %#lx", number(foreign(i)));
        say('=',
            "^state free: on its way to its heap, in the inbox of heap 0x[0-9a-f]+, of "
            "thread [0-9]+ \\(LWP %d\\)$",
            getpid());
    }
    say('?', "in an orphan's inbox");
    say('!', "pymalloc info %#lx", number(theirs[0]));
    say('=', "^state free: .* in the inbox of heap 0x[0-9a-f]+, orphan$");
    for (int i = INBOX; i < INBOX + OUTBOX; i++) {
        say('?', "in an outbox: %d", i - INBOX);
        say('!', "pymalloc info %#lx", number(foreign(i)));
        say('=',
            "^state free: .* in the outbox of heap 0x[0-9a-f]+, of thread .*%d\\)$",
            worker_id);
    }
    if (is_hardened) {
        say('?', "in quarantine");
        say('!', "pymalloc info %#lx", number(many[QUARANTINED]));
        say('=', "is a free block of %d bytes at", BLOCK);
        say('=', "^state free: in the quarantine of heap .* \\(LWP %d\\)$", getpid());
    }
}

/* A block that is in use, and one that is not in another page of its pool, whose memory
 * was given back. */
static void *kept, *gone;

/* After what else may take a pool. */
static void make_free_pool(void)
{
    void *blocks[200];
    for (size_t i = 0; i < COUNT_OF(blocks); i++) {
        blocks[i] = malloc(400);
    }
    kept = blocks[100];
    for (size_t i = 0; i < COUNT_OF(blocks); i++) {
        if (blocks[i] != kept) {
            free(blocks[i]);
        }
    }
    uintptr_t pool = (uintptr_t)kept & ~(PYM_POOL_SIZE - 1);
    gone = (void *)(pool + ((uintptr_t)kept - pool + 20 * 400) % (40 * 400));
    for (size_t i = 0; i < COUNT_OF(blocks); i++) {
        blocks[i] = malloc(500);
    }
    pool_of_first = (void *)((uintptr_t)blocks[100] & ~(PYM_POOL_SIZE - 1));
    for (size_t i = 0; i < COUNT_OF(blocks); i++) {
        free(blocks[i]);
    }
    push_out();
    pymalloc_purge();
}

/* The hardened library may have taken it again, since it takes any. */
static void say_free_pool(void)
{
    say('?', "a free pool");
    say('!', "pymalloc info %#lx", number(pool_of_first));
    say('=', "is in a free pool, which has no memory behind it\\.$");
    if (!is_hardened) {
        say('?', "a page of a pool");
        say('!', "pymalloc info %#lx", number(gone));
        say('=', "^state free: the memory of its page was given back$");
        say('=', "^pool .*, 1 of 40 blocks live$");
    }
}

static void say_range(void)
{
    say('?', "a table");
    say('!', "pymalloc info pym_region_start.base + 64");
    say('=', "is in a table of the library\\.$");
    say('?', "reserved");
    say('!', "pymalloc info pym_region_start.base + pym_region.reserved - 1");
    say('=', "is in the address range for small blocks, where no arena is yet\\.$");
}

/* ------------------------------------------------------------- system blocks */

static char *large, *huge, *cached;

static void make_system_blocks(void)
{
    large = malloc(5000);
    huge = malloc(1 << 20);
    cached = malloc(7000);
    free(cached);
}

static void say_system_blocks(void)
{
    say('?', "a system block");
    say('!', "pymalloc info %#lx", number(large));
    say('=', is_hardened ? "is a live system block of 5000 bytes at"
                         : "is a live system block of 5... bytes, it seems\\.$");
    say('=', is_hardened ? "^state live: made by malloc, as the ledger says$"
                         : "^state live, as the words before and behind it say$");
    say('?', "a mapped block");
    say('!', "pymalloc info %#lx", number(huge));
    say('=', is_hardened ? "is a live system block of 1048576 bytes at"
                         : "^state live, as the word before it says: a mapping");
    say('?', "a cached block");
    say('!', "pymalloc info %#lx", number(cached) + 8);
    say('=', "is 8 bytes into a free system block of 7... bytes at %#lx\\.$",
        number(cached));
    say('=', "^state free: in the %s of heap 0x[0-9a-f]+, of thread .*%d\\)$",
        is_hardened ? "quarantine" : "cache", getpid());
    say('?', "a variable");
    say('!', "pymalloc info many");
    say('=', "is not ours, .*: many in section .bss");
    say('?', "the stack");
    say('!', "pymalloc info $sp");
    say('=', "is not ours, as far as can be told");
}

/* ------------------------------------------------------------------- objects */

struct node {
    struct node *next;
};
struct wide {
    void *twig[20];
};

static void *node, *big;

static pygc_type *make_type(const char *name, size_t size, uint32_t slots)
{
    struct pygc_slot run = {0, slots, PYGC_STRONG, NULL};
    struct pygc_type_spec spec = {.name = name,
                                  .size = size,
                                  .slots = &run,
                                  .slot_count = slots != 0,
                                  .flags = slots != 0 ? 0 : PYGC_ACYCLIC};
    return pygc_type_new(&spec);
}

/* Of a wide object that dies more twigs die than are released at once. */
static void make_objects(void)
{
    pygc_heap *heap = pygc_heap_default();
    pygc_type *nodes = make_type("node", sizeof(struct node), 1);
    pygc_type *leaves = make_type("leaf", 24, 0);
    pygc_type *bigs = make_type("big", 2000, 0);
    pygc_type *wides = make_type("wide", sizeof(struct wide), 20);
    pygc_type *twigs = make_type("twig", sizeof(struct node), 1);
    for (int i = 0; i < 30; i++) {
        node = pygc_alloc(heap, nodes);
    }
    for (int i = 0; i < 7; i++) {
        (void)pygc_alloc(heap, leaves);
    }
    for (int i = 0; i < 3; i++) {
        big = pygc_alloc(heap, bigs);
    }
    struct wide *wide = pygc_alloc(heap, wides);
    for (int i = 0; i < 20; i++) {
        wide->twig[i] = pygc_alloc(heap, twigs);
    }
    pygc_set_release_budget(heap, 5);
    pygc_decref(wide);
}

static void say_objects(void)
{
    say('?', "objects");
    say('!', "pymalloc objects");
    say('=', "^node 30 %zu 30 0$", 30 * sizeof(struct node) * 2);
    say('=', "^leaf 7 %d 0 0$", 7 * 32);
    say('=', "^big 3 %zu 0 0$", 3 * (sizeof(struct gc_large) + 2000));
    say('=', "^twig ([1-9][0-9]*) [0-9]+ [0-9]+ \\1$");
    say('?', "an object");
    say('!', "pymalloc info %#lx", number(node));
    say('=', "is 8 bytes into a live block of 16 bytes at");
    say('=', "^object node, 1 reference, tracked, generation 0$");
    say('=', "^heap 0x[0-9a-f]+, of objects$");
    say('?', "a large object");
    say('!', "pymalloc info %#lx", number(big));
    say('=', "is 64 bytes into a live system block of 2064 bytes at");
    say('=', "^object big, 1 reference, not tracked$");
    say('?', "a header, printed");
    say('!', "print *((struct pygc_header *)%#lx - 1)", number(node));
    say('=', "^\\$[0-9]+ = node, 1 reference, tracked, generation 0$");
}

/* -------------------------------------------------------------------- tables */

static struct pymalloc_totals totals;
static void **holder, *target;

static void make_pair(void)
{
    target = malloc(PAIR);
    holder = malloc(PAIR);
    void **freed = malloc(PAIR);
    memset(holder, 0, PAIR);
    holder[2] = freed[3] = target;
    free(freed);
}

static unsigned long live_now(unsigned cls, unsigned long *sent)
{
    *sent = pym_class_size(cls) == BLOCK      ? INBOX + OUTBOX
            : cls == pym_class_of(THEIR_SIZE) ? ORPHANS_INBOX + ORPHANS_OUTBOX
                                              : 0;
    bool has_one_more = is_hardened && pym_class_size(cls) == BLOCK;
    return totals.class_live[cls] - *sent - has_one_more;
}

static void say_stats(void)
{
    say('?', "stats");
    say('!', "pymalloc stats");
    for (unsigned cls = 0; cls < PYM_CLASSES; cls++) {
        unsigned long sent, live = live_now(cls, &sent);
        if (totals.class_live[cls] != 0) {
            say('=', "^%zu [0-9]+ [0-9]+ %lu %lu %lu$", pym_class_size(cls), live, sent,
                live * pym_class_size(cls));
        }
    }
    say('?', "arenas");
    say('!', "pymalloc arenas");
    say('=', "^%#lx [0-9]+ [0-9]+ [0-9]+ [#+.-]{16}$",
        number(many[LIVE]) & ~(PYM_ARENA_SIZE - 1));
    say('=', "^[0-9]+ arenas?, %.1f KiB of pools used,",
        (double)totals.pools * (double)PYM_POOL_SIZE / 1024);
}

static void say_heaps(void)
{
    int left = THEIRS - ORPHANS_INBOX - ORPHANS_OUTBOX;
    say('?', "heaps");
    say('!', "pymalloc heaps");
    say('=', "^0x[0-9a-f]+ live [0-9]+ \\(LWP %d\\) [0-9]+ [0-9]+ [0-9]+ [0-9]+ %d %d$",
        getpid(), INBOX, ORPHANS_OUTBOX);
    say('=', "^0x[0-9a-f]+ live [0-9]+ \\(LWP %d\\) [0-9]+ [0-9]+ [0-9]+ [0-9]+ 0 %d$",
        worker_id, OUTBOX);
    say('=', "^0x[0-9a-f]+ orphan - 1 %d 0 0 %d 0$", left * 128, ORPHANS_INBOX);
    say('?', "pools");
    say('!', "pymalloc pools 128");
    say('=', "^0x[0-9a-f]+ 128 %d %d 128 active 0x[0-9a-f]+ -$", left,
        ORPHANS_INBOX + ORPHANS_OUTBOX);
    say('?', "find");
    say('!', "pymalloc find %#lx", number(target));
    say('=', "^%#lx is 16 bytes into a live block of 64 bytes at %#lx\\.$",
        number(holder) + 16, number(holder));
    say('=', "^1 place\\.$");
    say('?', "options");
    say('!', "pymalloc options");
    say('=', "^\\*decay 1234 milliseconds");
    say('=', "^ ?cache 16777216 bytes of freed");
}

/* gdb takes a variable of the library that it finds first, if there are two. */
static void say_printers(void)
{
    say('?', "a heap, printed");
    say('!', "print *all_heaps");
    say('=', "^\\$[0-9]+ = heap 0x[0-9a-f]+, orphan, 0 system blocks with 0 bytes");
    say('=', "active\\[128 bytes\\] = 0x");
    say('?', "a pool, printed");
    say('!', "print *all_heaps->active[7]");
    say('=', "= active pool at %#lx, %d of 128 blocks of 128 bytes live, of heap 0x",
        number(theirs[0]) & ~(PYM_POOL_SIZE - 1),
        THEIRS - ORPHANS_INBOX - ORPHANS_OUTBOX);
    say('?', "the options, printed");
    say('!', "print pym_options");
    say('=', "decay = 1234,");
}

static void show_heap(void)
{
    make_objects();
    make_blocks();
    make_free_pool();
    make_system_blocks();
    make_pair();
    push_out();
    (void)pymalloc_stats(&totals);
    for (int i = ORPHANS_INBOX; i < ORPHANS_INBOX + ORPHANS_OUTBOX; i++) {
        free(theirs[i]);
    }
    push_out();
    if (is_hardened) {
        free(many[QUARANTINED]);
    }
    meet();
    meet();
    say_blocks();
    say_sent();
    say_range();
    say_system_blocks();
    say_objects();
    say_stats();
    say_heaps();
    if (!is_hardened) {
        say_free_pool();
        say_printers();
    }
    gdb_stop();
}

/* ------------------------------------------------------------ other programs */

/* Some of so many are guarded, with guard:50. */
void *make_guarded(void);
void drop_guarded(void *p);

__attribute__((noinline)) void *make_guarded(void)
{
    for (;;) {
        char *p = opaque(malloc(24));
        if (!pymalloc_owns(p) && number(p) % 4096 == 4096 - 32) {
            return p;
        }
    }
}

__attribute__((noinline)) void drop_guarded(void *p)
{
    free(opaque(p));
    gdb_stop(); /* not a tail call above, which would leave no frame */
}

static void show_guarded(void)
{
    void *live = make_guarded();
    void *freed = make_guarded();
    say('?', "a guarded block");
    say('!', "pymalloc info %#lx", number(live) + 5);
    say('=', "is 5 bytes into a live guarded block of 24 bytes at %#lx\\.$",
        number(live));
    say('=', "^made by the thread with LWP %d, at$", getpid());
    say('=', "^0x[0-9a-f]+ make_guarded \\(.*gdb_probe\\.c:[0-9]+\\)$");
    say('?', "a freed guarded block");
    say('!', "pymalloc info %#lx", number(freed));
    say('=', "is a freed guarded block of 24 bytes at");
    say('=', "^freed by the thread with LWP %d, at$", getpid());
    say('=', "^0x[0-9a-f]+ drop_guarded \\(");
    say('?', "beside a guarded block");
    say('!', "pymalloc info %#lx", number(live) + 24);
    say('=', "is beside a live guarded block of 24 bytes at");
    drop_guarded(freed);
}

/* The child of a fork has a heap without a thread, as it was caught. */
static void show_child(void)
{
    pthread_barrier_init(&barrier, NULL, 2);
    start(work_and_stay);
    meet();
    if (fork() != 0) {
        _exit(0);
    }
    say('?', "a broken heap");
    say('!', "pymalloc heaps");
    say('=', "^0x[0-9a-f]+ broken - [1-9]");
    say('=', "^0x[0-9a-f]+ live [0-9]+ \\(LWP %d\\)", getpid());
    say('?', "a block of a broken heap");
    say('!', "pymalloc info %#lx", number(first));
    say('=', "is a live block of 256 bytes at");
    say('=', "^pool .*, active, 1 of 64 blocks live$");
    say('=', "^heap 0x[0-9a-f]+, broken$");
    say('?', "its free block");
    say('!', "pymalloc info %#lx", number(first) ^ 256);
    say('=', "^state free: in its heap's bin$");
    gdb_stop();
}

/* A block that is written to after it was freed breaks the list that it is in. */
static void show_overwritten(void)
{
    enum { BLOCKS = 400, FREED = 4, WRITTEN = FREED - 2 };
    char *blocks[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(64);
    }
    for (int i = 0; i < FREED; i++) {
        free(blocks[i]);
    }
    memset(opaque(blocks[WRITTEN]), 'a', 24);
    say('?', "an overwritten block");
    say('!', "pymalloc info %#lx", number(blocks[WRITTEN]));
    say('=', "^state free: in the pool's list, which ends here: the first word, "
             "0x6161616161616161, is no link$");
    say('?', "a block behind it");
    say('!', "pymalloc info %#lx", number(blocks[0]));
    say('=', "^state live, or lost: the list of free blocks ends at %#lx$",
        number(blocks[WRITTEN]));
    gdb_stop();
}

/* ------------------------------------------------------------------- numbers */

static void say_number(const char *name, size_t value)
{
    say('!', "python print('%s', pymalloc_gdb.geometry.%s)", name, name);
    say('=', "^%s %zu$", name, value);
}

#define SAY(prefix, name) say_number(#name, (size_t)prefix##name)

static void say_numbers(void)
{
    SAY(PYM_, GRAIN_SHIFT);
    SAY(PYM_, SMALL_MAX);
    SAY(PYM_, POOL_SHIFT);
    SAY(PYM_, ARENA_SHIFT);
    SAY(PYM_, CLASSES);
    SAY(PYM_, CACHED_STEP_SHIFT);
    SAY(PYM_, NOBODY);
    SAY(PYM_REGION_, GUARDS);
    SAY(PYM_, POOL_FREE);
    SAY(PYM_, POOL_ACTIVE);
    SAY(PYM_, POOL_FULL);
    SAY(PYM_, POOL_AVAILABLE);
    SAY(PYM_, POOL_SPARE);
    SAY(PYM_, HEAP_LIVE);
    SAY(PYM_, HEAP_ORPHAN);
    SAY(PYM_, HEAP_BROKEN);
    SAY(PYM_, BLOCK_LIVE);
    SAY(PYM_, BLOCK_WAITING);
    SAY(PYM_, BLOCK_MORE);
    say_number("BLOCK_ORIGIN_SHIFT", PYM_ORIGIN_SHIFT);
    say_number("BLOCK_ORIGIN_MASK", PYM_ORIGIN_MASK);
    say_number("BLOCK_TAIL_MASK", PYM_TAIL_MASK);
    SAY(PYM_, LEDGER_LIVE);
    SAY(PYM_, CHUNK_MAPPED);
    SAY(PYM_, CHUNK_FLAGS);
    SAY(, GC_LIVE);
    SAY(, GC_TRACKED);
    SAY(, GC_WEAK);
    SAY(, GC_FINALIZED);
    SAY(, GC_LARGE);
    SAY(, GC_PENDING);
    SAY(, GC_GENERATION_SHIFT);
    SAY(, GC_FROZEN);
    SAY(, GC_TYPE_SHIFT);
    SAY(, GC_IMMORTAL);
    say_number("GC_GENERATION_MASK", GC_GENERATION >> GC_GENERATION_SHIFT);
    say_number("GC_HEADER", sizeof(struct pygc_header));
}

static void say_classes(void)
{
    char call[32];
    for (unsigned cls = 0; cls < PYM_CLASSES; cls++) {
        snprintf(call, sizeof call, "class_wake(%u)", cls);
        say('!', "python print('%s', pymalloc_gdb.geometry.%s)", call, call);
        say('=', "^class_wake\\(%u\\) %u$", cls, pym_class_wake(cls));
    }
    for (unsigned cls = 0; cls < PYM_CACHED_CLASSES; cls++) {
        snprintf(call, sizeof call, "cached_class_size(%u)", cls);
        say('!', "python print('%s', pymalloc_gdb.geometry.%s)", call, call);
        say('=', "^cached_class_size\\(%u\\) %zu$", cls, pym_cached_class_size(cls));
    }
}

static void show_numbers(void)
{
    say('?', "numbers");
    say('!', "python import pymalloc_gdb.geometry");
    say_numbers();
    say_classes();
    gdb_stop();
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        return 1;
    }
    char value[32];
    is_hardened = pymalloc_option_get("quarantine", value, sizeof value) == 0;
    file = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    alarm(120);
    require_pymalloc();
    if (strcmp(argv[1], "heap") == 0) {
        show_heap();
    } else if (strcmp(argv[1], "guarded") == 0) {
        show_guarded();
    } else if (strcmp(argv[1], "child") == 0) {
        show_child();
    } else if (strcmp(argv[1], "overwritten") == 0) {
        show_overwritten();
    } else if (strcmp(argv[1], "numbers") == 0) {
        show_numbers();
    }
    return 0;
}
