/*
 * Every call by which the allocator gets memory fails, one after the other: of the
 * kernel, of the system allocator, and of the thread library.
 *
 * The linker puts the functions below between the allocator and os.c (--wrap).  The
 * program runs itself once for each call, so that those made before main fail as well:
 * the same work each time, in which the n-th call fails, or that and all that follow
 * until the work is done.  A request that cannot be served must say NULL and ENOMEM,
 * nothing that lives may be damaged, and then, when nothing fails any more, the work is
 * done once more, every request is served, and as much is left as without a failure.
 *
 * PYM_TEST_TRIES says how many calls are tried from the first on, and how many beside
 * these, all at most, or 2000; PYM_FAULT repeats one try, as a failed one says.  The
 * source is compiled with the core, and with the hardened library's archive.
 */
#include "samples_agree.h"

#include "alloc.h"
#include "known.h"
#include "os.h"
#include "profile.h"
#include "sysalloc.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#ifdef FAULT_GC
#include <pymalloc/gc.h>
#endif

/* ---- failing ---- */

#ifndef PYM_TEST_HARDENED
#define PYM_TEST_HARDENED 0
#endif

#ifdef PYM_TEST_CORE
#define a_malloc pym_alloc_malloc
#define a_calloc pym_alloc_calloc
#define a_realloc pym_alloc_realloc
#define a_aligned pym_alloc_aligned
#define a_free pym_alloc_free
#else
#define a_malloc malloc
#define a_calloc calloc
#define a_realloc realloc
#define a_aligned aligned_alloc
#define a_free free
#endif

/* The last is no kind of call: the system allocator has no word before its blocks. */
enum { KERNEL = 1, SYSTEM = 2, EITHER = KERNEL | SYSTEM, NO_WORD = 4 };

/* Threads of the work run one at a time, but one may end while another begins. */
static struct {
    bool known;     /* what is to fail was read */
    bool armed;     /* the work has not been done yet */
    unsigned kinds; /* of calls that are counted */
    long first;     /* the call that fails, by number from 0 */
    bool once;      /* only that; else all that follow, too */
    _Atomic long calls;
    _Atomic long refused;
} fault;

/* The first calls may come before libc has its environment. */
static void fault_init(void)
{
    extern char **environ;
    if (fault.known || environ == NULL) {
        return;
    }
    fault.known = true;
    const char *text = getenv("PYM_FAULT");
    int once = 0;
    if (text != NULL &&
        sscanf(text, "%u,%ld,%d", &fault.kinds, &fault.first, &once) == 3) {
        fault.once = once != 0;
        fault.armed = true;
    }
}

static bool is_refused(unsigned kind)
{
    fault_init();
    if (!fault.armed || (fault.kinds & kind) == 0) {
        return false;
    }
    long number = fault.calls++;
    bool refused = fault.once ? number == fault.first : number >= fault.first;
    fault.refused += refused;
    return refused;
}

static void *out_of_memory(void)
{
    errno = ENOMEM;
    return NULL;
}

/* Bytes that were mapped and not unmapped again. */
static _Atomic long mapped;

#define DECLARED(type, name, parameters)                                               \
    type __real_##name parameters;                                                     \
    type __wrap_##name parameters;

DECLARED(void *, pym_os_reserve, (size_t size, size_t alignment))
DECLARED(void *, pym_os_map, (size_t size))
DECLARED(void, pym_os_unmap, (void *start, size_t size))
DECLARED(int, pym_os_commit, (void *start, size_t size))
DECLARED(int, pym_os_decommit, (void *start, size_t size))
DECLARED(int, pym_os_purge, (void *start, size_t size))
DECLARED(void, pym_os_mark_process, (void))
DECLARED(void, pym_os_random, (void *out, size_t size))
DECLARED(uint64_t, pym_os_now_ms, (void))
DECLARED(void, pym_sysalloc_init, (void))
DECLARED(int, pthread_key_create, (pthread_key_t * key, void (*destructor)(void *)))
DECLARED(int, pthread_setspecific, (pthread_key_t key, const void *value))

void *__wrap_pym_os_reserve(size_t size, size_t alignment)
{
    return is_refused(KERNEL) ? NULL : __real_pym_os_reserve(size, alignment);
}

void *__wrap_pym_os_map(size_t size)
{
    void *start = is_refused(KERNEL) ? NULL : __real_pym_os_map(size);
    mapped += start != NULL ? (long)size : 0;
    return start;
}

/* The kernel may refuse to divide a mapping. */
void __wrap_pym_os_unmap(void *start, size_t size)
{
    mapped -= (long)size;
    if (!is_refused(KERNEL)) {
        __real_pym_os_unmap(start, size);
    }
}

int __wrap_pym_os_commit(void *start, size_t size)
{
    return is_refused(KERNEL) ? ENOMEM : __real_pym_os_commit(start, size);
}

int __wrap_pym_os_decommit(void *start, size_t size)
{
    return is_refused(KERNEL) ? ENOMEM : __real_pym_os_decommit(start, size);
}

int __wrap_pym_os_purge(void *start, size_t size)
{
    return is_refused(KERNEL) ? EINVAL : __real_pym_os_purge(start, size);
}

/* Asks for memory the first time only. */
void __wrap_pym_os_mark_process(void)
{
    if (pym_os_can_tell_copy() || !is_refused(KERNEL)) {
        __real_pym_os_mark_process();
    }
}

int __wrap_pthread_key_create(pthread_key_t *key, void (*destructor)(void *))
{
    return is_refused(KERNEL) ? EAGAIN : __real_pthread_key_create(key, destructor);
}

int __wrap_pthread_setspecific(pthread_key_t key, const void *value)
{
    return is_refused(KERNEL) ? ENOMEM : __real_pthread_setspecific(key, value);
}

/* Neither chance nor time is to change the number of calls. */
void __wrap_pym_os_random(void *out, size_t size)
{
    memset(out, 0x5b, size);
}

static uint64_t now_ms = 1000;

uint64_t __wrap_pym_os_now_ms(void)
{
    return now_ms;
}

/* ---- the system allocator ---- */

static struct pym_sysalloc below;
static _Atomic long lent; /* blocks that the allocator has from it */

static void *counted(void *block)
{
    lent += block != NULL;
    return block;
}

static void *system_malloc(size_t size)
{
    return is_refused(SYSTEM) ? out_of_memory() : counted(below.malloc(size));
}

static void *system_calloc(size_t count, size_t size)
{
    return is_refused(SYSTEM) ? out_of_memory() : counted(below.calloc(count, size));
}

/* From here on it may be another thread's, who has it for no sample. */
static void nothing_freed_is_known(const char *block, const void *moved)
{
    if ((fault.kinds & NO_WORD) != 0 && pym_profile_interval != 0 && block != moved) {
        CHECK(!pym_known_has(block + sizeof(struct pym_profile_header)),
              "a block that was freed is known for a sample");
    }
}

static void *system_realloc(void *block, size_t size)
{
    if (is_refused(SYSTEM)) {
        return out_of_memory();
    }
    void *moved = below.realloc(block, size);
    lent += block == NULL && moved != NULL;
    nothing_freed_is_known(block, moved);
    return moved;
}

static void *system_memalign(size_t alignment, size_t size)
{
    return is_refused(SYSTEM) ? out_of_memory()
                              : counted(below.memalign(alignment, size));
}

static void system_free(void *block)
{
    lent -= block != NULL;
    nothing_freed_is_known(block, NULL);
    below.free(block);
}

void __wrap_pym_sysalloc_init(void)
{
    __real_pym_sysalloc_init();
    if (pym_sysalloc.malloc != system_malloc) {
        fault_init();
        below = pym_sysalloc;
        pym_sysalloc.has_word &= (fault.kinds & NO_WORD) == 0;
        pym_sysalloc.malloc = system_malloc;
        pym_sysalloc.calloc = system_calloc;
        pym_sysalloc.realloc = system_realloc;
        pym_sysalloc.memalign = system_memalign;
        pym_sysalloc.free = system_free;
    }
}

/* ---- the blocks that live ---- */

enum { MOST = 16384, SMALL_BLOCKS = 4600 };

static struct {
    unsigned char *block;
    size_t size;
} live[MOST];
static size_t used; /* of these */

/* Judges what a request returned; NULL is right only if something was refused to it. */
static void *judged(void *block, long refused_before, const char *what, size_t size)
{
    if (block == NULL) {
        CHECK_EQ(errno, ENOMEM, "%s of %zu bytes", what, size);
        CHECK(fault.refused > refused_before,
              "%s of %zu bytes is NULL, and nothing was refused", what, size);
    }
    return block;
}

static void enter(void *block, size_t size)
{
    if (used == MOST) {
        tap_bail_out("too many blocks for the test's own table");
    }
    if (block != NULL) {
        pattern_fill(block, size, used);
        live[used].block = block;
        live[used].size = size;
        used++;
    }
}

static void add(size_t size, size_t alignment)
{
    long before = fault.refused;
    errno = 0;
    void *block =
        judged(alignment > ALIGNMENT ? a_aligned(alignment, size) : a_malloc(size),
               before, "malloc", size);
    CHECK(((uintptr_t)block & (alignment - 1)) == 0, "%p, aligned to %zu", block,
          alignment);
    enter(block, size);
}

static void add_zeroed(size_t size)
{
    long before = fault.refused;
    errno = 0;
    void *block = judged(a_calloc(1, size), before, "calloc", size);
    CHECK(block == NULL || all_zero(block, size), "calloc of %zu is not zero", size);
    enter(block, size);
}

static void resize(size_t i, size_t size)
{
    size_t kept = live[i].size < size ? live[i].size : size;
    if (i >= used || live[i].block == NULL) {
        return;
    }
    long before = fault.refused;
    errno = 0;
    void *block = judged(a_realloc(live[i].block, size), before, "realloc", size);
    if (block != NULL) {
        CHECK(pattern_holds(block, kept, i), "realloc of %zu to %zu lost its content",
              live[i].size, size);
        pattern_fill(block, size, i);
        live[i].block = block;
        live[i].size = size;
    }
}

static void drop(size_t i)
{
    if (i >= used) {
        return;
    }
    errno = 77;
    a_free(live[i].block);
    CHECK_EQ(errno, 77, "free changed errno");
    live[i].block = NULL;
}

static void all_is_sound(const char *when)
{
    for (size_t i = 0; i < used; i++) {
        if (live[i].block != NULL) {
            CHECK(pattern_holds(live[i].block, live[i].size, i),
                  "%s: a live block of %zu was damaged", when, live[i].size);
        }
    }
    CHECK_EQ(pymalloc_verify(), 0, "%s: faults of the heap", when);
    const char *fault_of_samples = samples_fault();
    CHECK(fault_of_samples == NULL, "%s: %s", when, fault_of_samples);
}

/* ---- the work ---- */

static const size_t large[] = {513,   600,   1000,  4000,   10000,
                               40000, 65536, 70000, 200000, 300000};

/* Of all classes, and more than the memory that is made usable at once. */
static void small_blocks(void)
{
    for (size_t i = 0; i < SMALL_BLOCKS; i++) {
        size_t size = 1 + i * 37 % SMALL_MAX;
        if (i % 5 == 0) {
            add_zeroed(size);
        } else {
            add(size, 1);
        }
    }
}

static void large_blocks(void)
{
    for (size_t i = 0; i < 6 * COUNT_OF(large); i++) {
        if (i % 3 == 0) {
            add_zeroed(large[i % COUNT_OF(large)]);
        } else {
            add(large[i % COUNT_OF(large)], 1);
        }
        if (i % 4 == 0) {
            drop(used - 1);
        }
    }
}

static void resized_blocks(void)
{
    static const size_t to[] = {600, 30, 100000, 300000, 70000, 5000, 200, 513};
    for (size_t i = 0; i < COUNT_OF(to); i++) {
        for (size_t k = 7; k < used; k += 1 + used / 6) {
            resize(k, to[i]);
        }
        for (size_t k = used - 3; k < used; k++) {
            resize(k, to[i]);
        }
    }
}

static void aligned_blocks(void)
{
    for (size_t alignment = 32; alignment <= 65536; alignment *= 4) {
        add(1, alignment);
        add(100, alignment);
        add(5000, alignment);
    }
}

/* All alive at once, more than one mapping has heaps for, and each frees blocks of
 * others. */
static void *thread_of_many(void *arg)
{
    intptr_t more = (intptr_t)arg;
    pthread_t next;
    for (size_t i = 0; i < 60; i++) {
        add(1 + i * 67 % 700, 1);
        drop((size_t)more * 97 + i);
    }
    add_zeroed(5000);
    if (more > 0 &&
        pthread_create(&next, NULL, thread_of_many, (void *)(more - 1)) == 0) {
        pthread_join(next, NULL);
    }
    add(3000, 1);
    drop(used - 1);
    return NULL;
}

static void threads(int count)
{
    pthread_t first;
    if (pthread_create(&first, NULL, thread_of_many, (void *)(intptr_t)count) == 0) {
        pthread_join(first, NULL);
    }
}

static int in_copy(void *arg)
{
    (void)arg;
    all_is_sound("in a child");
    threads(2);
    small_blocks();
    all_is_sound("in a child at its end");
    return tap_failures != 0;
}

static void fork_of_it(void)
{
    enum { SECONDS = 60 };
    CHECK_EQ(in_child(in_copy, NULL, SECONDS), 0, "the child");
}

static void half_is_freed(void)
{
    for (size_t i = 0; i < used; i += 2) {
        drop(i);
    }
    for (size_t i = 0; i < used / 2; i++) {
        drop(i);
    }
    now_ms += 60000;
    add(600, 1);
    for (size_t i = 0; i < 100; i++) {
        add_zeroed(2000);
    }
    (void)pymalloc_purge();
}

static void all_is_freed(void)
{
    for (size_t i = 0; i < used; i++) {
        drop(i);
    }
    used = 0;
    (void)pymalloc_purge();
    CHECK_EQ(pymalloc_verify(), 0, "faults of the empty heap");
}

#ifdef FAULT_GC

static pygc_heap *heap;
static pygc_type *type;

/* Objects lie in pools only. */
static bool has_range(void)
{
    struct pymalloc_totals totals;
    pymalloc_stats(&totals);
    return totals.reserved_bytes != 0;
}

/* Rings of garbage, and a collection of it. */
static void objects(void)
{
    static const struct pygc_slot slots = {0, 1, PYGC_STRONG, NULL};
    static const struct pygc_type_spec spec = {
        .name = "pair", .size = 32, .slots = &slots, .slot_count = 1};
    long before = fault.refused;
    errno = 0;
    heap =
        heap != NULL ? heap : judged(pygc_heap_new(NULL), before, "pygc_heap_new", 0);
    type =
        type != NULL ? type : judged(pygc_type_new(&spec), before, "pygc_type_new", 0);
    if (heap == NULL || type == NULL || !has_range()) {
        return;
    }
    for (int i = 0; i < 1000; i++) {
        before = fault.refused;
        errno = 0;
        void **one = judged(pygc_alloc(heap, type), before, "pygc_alloc", 32);
        void **two = judged(pygc_alloc(heap, type), before, "pygc_alloc", 32);
        if (one != NULL && two != NULL) {
            pygc_track(one);
            pygc_track(two);
            pygc_store(one, one, two);
            pygc_store(two, two, one);
        }
        pygc_decref(one);
        pygc_decref(two);
    }
    before = fault.refused;
    errno = 0;
    if (pygc_collect(heap, 2) < 0) {
        (void)judged(NULL, before, "pygc_collect", 0);
    }
    ptrdiff_t faults = pygc_verify(heap);
    CHECK(faults == 0 || (faults < 0 && fault.refused > before),
          "%td faults of objects", faults);
}

static void no_objects(void)
{
    if (heap != NULL) {
        CHECK(pygc_collect(heap, 2) >= 0, "a collection");
        CHECK_EQ(pygc_heap_destroy(heap, 0), 0, "objects that are left");
        heap = NULL;
    }
}

#else

static void objects(void)
{
}

static void no_objects(void)
{
}

#endif

/* What there is no memory for is left out. */
static void reports(void)
{
    int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (pym_profile_interval != 0) {
        CHECK_EQ(pymalloc_profile_write(nowhere), 0, "a heap profile");
        CHECK_EQ(pymalloc_stats_json(nowhere, PYMALLOC_JSON_MAP), 0, "a snapshot");
    }
    close(nowhere);
}

static void work(void)
{
    small_blocks();
    large_blocks();
    all_is_sound("with blocks of all sizes");
    resized_blocks();
    aligned_blocks();
    all_is_sound("after realloc and alignment");
    threads(14);
    all_is_sound("after threads");
    half_is_freed();
    all_is_sound("after free and purge");
    objects();
    reports();
    threads(3);
    fork_of_it();
    small_blocks();
    all_is_sound("in the end");
}

/* ---- one try, which is a process ---- */

struct left {
    long calls;  /* that were counted until the work was done */
    long blocks; /* in use, small ones */
    long pools;  /* that heaps hold */
    long lent;   /* by the system allocator */
    long samples;
    long mapped;
};

#define LEFT_FORMAT "left: %ld %ld %ld %ld %ld %ld\n"

static void print_left(void)
{
    struct pymalloc_totals totals;
    char line[128];
    pymalloc_stats(&totals);
    int n = snprintf(line, sizeof line, LEFT_FORMAT, (long)fault.calls,
                     (long)totals.small_live, (long)totals.pools, (long)lent,
                     (long)pym_samples_totals().samples_live, (long)mapped);
    tap_write(line, (size_t)n);
}

static int one_try(void)
{
    alarm(120);
    work();
    fault.armed = false; /* all can be had again */
    fault.refused = 0;
    all_is_sound("as memory can be had again");
    all_is_freed();
    work();
    no_objects();
    all_is_freed();
    print_left();
    return tap_failures != 0;
}

/* ---- all of them ---- */

enum { SECONDS = 130, NO_CALL_FAILS = 1 << 30, MOST_TRIES = 2000 };

/* Blocks and pools that the hardened library holds back in heaps without a thread are
 * not lost; which they are depends on what failed. */
#if PYM_TEST_HARDENED
enum { HELD_BACK = 20 * 64 };
#else
enum { HELD_BACK = 0 };
#endif

/* What the object layer has for good, and otherwise in a pool. */
enum { TABLE = 1 };

static struct capture seen;

static bool try_one(const char *options, unsigned kinds, long first, bool once,
                    struct left *left)
{
    char self[512], try[64], with[64];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n < 0 ? 0 : n] = '\0';
    snprintf(try, sizeof try, "PYM_FAULT=%u,%ld,%d", kinds, first, once);
    snprintf(with, sizeof with, "PYMALLOC=%s", options);
    char *argv[] = {self, NULL};
    char *envp[] = {try, with, NULL};
    run_program(&seen, argv, envp, SECONDS);
    const char *line = strstr(seen.out, "left: ");
    bool told = line != NULL &&
                sscanf(line, LEFT_FORMAT, &left->calls, &left->blocks, &left->pools,
                       &left->lent, &left->samples, &left->mapped) == 6;
    if (CHECK(seen.status == 0 && told, "to repeat: %s %s %s; status %d\n%s%s", with,
              try, self, seen.status, seen.out, seen.err)) {
        return true;
    }
    return false;
}

/* What is a sample one time lies in a pool another time. */
static void nothing_is_left(const struct left *is, const struct left *was, long first)
{
    long blocks = was->blocks + was->samples - is->samples;
    long pools = was->pools + was->samples;
    CHECK(is->blocks <= blocks + HELD_BACK, "call %ld: %ld blocks, not %ld", first,
          is->blocks, blocks);
    CHECK(is->pools <= pools + HELD_BACK, "call %ld: %ld pools, not %ld", first,
          is->pools, pools);
    CHECK(is->lent <= was->lent + TABLE + HELD_BACK,
          "call %ld: %ld blocks of the system, not %ld", first, is->lent, was->lent);
    CHECK(PYM_TEST_HARDENED || is->mapped <= was->mapped,
          "call %ld: %ld bytes are mapped, not %ld", first, is->mapped, was->mapped);
}

/* Tries every call, or so many before main and at the beginning of the work, and then
 * as many in all of it. */
static void refuse_each(const char *options, unsigned kinds, bool once)
{
    struct left whole, left;
    /* Each time a process, for which the hardened library and sanitizers take their
     * time; a detector of races has little to see here. */
    enum { USUAL = PYM_TSAN ? 1 : PYM_TEST_HARDENED || PYM_ASAN ? 3 : 5 };
    long wanted = (long)env_number("PYM_TEST_TRIES", USUAL);
    long tries = 0;
    wanted = wanted < MOST_TRIES ? wanted : MOST_TRIES;
    if (!try_one(options, kinds, NO_CALL_FAILS, true, &whole)) {
        return;
    }
    CHECK(whole.calls > 20, "only %ld calls were made", whole.calls);
    long stride = whole.calls / wanted + (whole.calls < wanted);
    for (long first = 0; first < whole.calls; first += first < wanted ? 1 : stride) {
        tries++;
        if (try_one(options, kinds, first, once, &left)) {
            nothing_is_left(&left, &whole, first);
        }
    }
    tap_note("%ld calls, %ld tries; left are %ld blocks, %ld pools, %ld of the system",
             whole.calls, tries, whole.blocks, whole.pools, whole.lent);
}

static void each_call_of_the_kernel(void)
{
    refuse_each("", KERNEL, true);
}

static void each_call_of_the_system_allocator(void)
{
    refuse_each("", SYSTEM, true);
}

static void each_and_all_that_follow(void)
{
    refuse_each("", EITHER, false);
}

static void the_kernel_refuses_from_one_on(void)
{
    refuse_each("", KERNEL, false);
}

static void the_system_allocator_refuses_from_one_on(void)
{
    refuse_each("", SYSTEM, false);
}

static void each_call_with_guards(void)
{
    refuse_each("guard:4", KERNEL, true);
}

static void all_that_follow_with_guards(void)
{
    refuse_each("guard:4", KERNEL, false);
}

/* Samples of blocks that may not be had, in records that may not be had. */
static void each_call_with_a_profile(void)
{
    refuse_each("profile:4k,profile_file:/dev/null", EITHER, true);
}

static void all_that_follow_with_a_profile(void)
{
    refuse_each("profile:4k,profile_file:/dev/null", EITHER, false);
}

static void all_that_follow_with_all_in_a_profile(void)
{
    refuse_each("profile:1,profile_file:/dev/null", EITHER, false);
}

static void each_call_with_a_coarse_profile(void)
{
    refuse_each("profile:64k,profile_file:/dev/null", EITHER, true);
}

static void each_call_with_a_profile_and_no_words(void)
{
    refuse_each("profile:4k,profile_file:/dev/null", EITHER | NO_WORD, true);
}

static const struct tap_case cases[] = {
    {"each call of the kernel fails once", each_call_of_the_kernel},
    {"each call of the system allocator fails once", each_call_of_the_system_allocator},
    {"each call and all that follow fail", each_and_all_that_follow},
    {"the kernel's calls fail from one on", the_kernel_refuses_from_one_on},
    {"the system allocator's calls fail from one on",
     the_system_allocator_refuses_from_one_on},
    {"each call of the kernel fails once, with guard:4", each_call_with_guards},
    {"the kernel's calls fail from one on, with guard:4", all_that_follow_with_guards},
    {"each call fails once, with a heap profile", each_call_with_a_profile},
    {"each call and all that follow fail, with a heap profile",
     all_that_follow_with_a_profile},
    {"each call and all that follow fail, and every block is to be a sample",
     all_that_follow_with_all_in_a_profile},
    {"each call fails once, with a coarse heap profile",
     each_call_with_a_coarse_profile},
    {"each call fails once, with a heap profile and no words before blocks",
     each_call_with_a_profile_and_no_words},
};

int main(int argc, char **argv)
{
    fault_init();
    return fault.armed ? one_try() : TAP_RUN(cases, argc, argv);
}
