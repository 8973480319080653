/* The system begins to refuse memory in the middle of the program: every call
 * that cannot be served says NULL and ENOMEM, nothing that lives is lost, and
 * when the system gives again, so do we. */
#include "support.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

enum {
    LIVE = 4000,
    HOARD = 4 << 20, /* blocks allocated until there is no more */
    HOARD_BYTES = 600 << 20,
    SECONDS = 120,
};

static struct {
    unsigned char *block;
    size_t size;
} live[LIVE];

static void *hoard[HOARD];

static void live_begin(void)
{
    struct rng rng = {21};
    for (size_t i = 0; i < LIVE; i++) {
        live[i].size = rng_below(&rng, i % 8 ? 513 : 9000);
        live[i].block = malloc(live[i].size);
        if (live[i].block) {
            pattern_fill(live[i].block, live[i].size, i);
        }
    }
}

static void live_is_sound(const char *when)
{
    for (size_t i = 0; i < LIVE; i++) {
        CHECK(!live[i].block || pattern_holds(live[i].block, live[i].size, i),
              "%s: a live block of %zu was damaged", when, live[i].size);
    }
    CHECK_EQ(pymalloc_verify(), 0, "%s: the heap is sound", when);
}

static void live_end(void)
{
    for (size_t i = 0; i < LIVE; i++) {
        free(live[i].block);
        live[i].block = NULL;
    }
}

/* Allocates until NULL.  Returns the number of blocks, which hoard has. */
static size_t take_all(size_t size)
{
    size_t n = 0;
    while (n < HOARD && n * (size + 16) < HOARD_BYTES) {
        errno = 0;
        unsigned char *p = n % 3 ? malloc(size) : calloc(1, size);
        if (!p) {
            CHECK_EQ(errno, ENOMEM, "malloc of %zu", size);
            return n;
        }
        if (n % 3 == 0) {
            CHECK(all_zero(p, size), "calloc of %zu is not zero", size);
        }
        memset(p, 0xee, size);
        hoard[n++] = p;
    }
    FAIL("blocks of %zu never ran out: the system did not refuse", size);
    return n;
}

static void give_all(size_t n)
{
    errno = 77;
    for (size_t i = 0; i < n; i++) {
        free(hoard[i]);
    }
    CHECK_EQ(errno, 77, "free changed errno");
}

/* What is freed while the system refuses can be had again: nothing is lost. */
static void freed_blocks_serve_again(size_t size)
{
    size_t n = take_all(size);
    give_all(n);
    size_t again = take_all(size);
    CHECK(again + 64 >= n, "%zu blocks of %zu at first, %zu after freeing", n, size,
          again);
    give_all(again);
}

static void growing_fails_cleanly(void)
{
    for (size_t i = 0; i < LIVE; i += 7) {
        if (!live[i].block || live[i].size == 0) {
            continue;
        }
        errno = 0;
        void *p = realloc(live[i].block, (size_t)300 << 20);
        CHECK(p == NULL, "300 MB were given");
        CHECK_EQ(errno, ENOMEM, "realloc");
    }
}

static void aligned_fails_cleanly(void)
{
    for (size_t a = 16; a <= 65536; a *= 2) {
        void *p = NULL;
        errno = 0;
        CHECK(aligned_alloc(a, (size_t)300 << 20) == NULL, "alignment %zu", a);
        CHECK_EQ(errno, ENOMEM, "alignment %zu", a);
        CHECK_EQ(posix_memalign(&p, a, (size_t)300 << 20), ENOMEM, "alignment %zu", a);
        CHECK(p == NULL, "alignment %zu", a);
    }
}

/* Everything there is to see while the system refuses; least is the smallest
 * size that it refuses. */
static void under_refusal(size_t least)
{
    static const size_t sizes[] = {100, 16, 512, 700, 6000, 40000};
    live_is_sound("at first");
    growing_fails_cleanly();
    aligned_fails_cleanly();
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        if (sizes[i] < least) {
            continue;
        }
        freed_blocks_serve_again(sizes[i]);
        live_is_sound("after running out");
    }
    malloc_trim(0);
    live_is_sound("after malloc_trim");
    for (size_t i = 0; i < LIVE; i += 2) {
        free(live[i].block);
        live[i].block = NULL;
    }
    live_is_sound("after frees");
    size_t n = take_all(least < 100 ? 100 : least);
    live_is_sound("after running out again");
    give_all(n);
    live_end();
    CHECK_EQ(pymalloc_verify(), 0, "the heap is sound at the end");
}

/* ---------------------------------------------------- refusal by seccomp */

/* brk reports failure by an unchanged break, so errno 0 stands for it. */
static int refuse(int call, int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {COUNT_OF(code), code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

enum { NO_SECCOMP = 42 };

static int refuse_all(void)
{
    return refuse(SYS_mmap, ENOMEM) && refuse(SYS_mprotect, ENOMEM) &&
           refuse(SYS_mremap, ENOMEM) && refuse(SYS_brk, 0);
}

static int child_without_memory(void *with_madvise)
{
    live_begin();
    if (!refuse_all() || (with_madvise && !refuse(SYS_madvise, ENOMEM))) {
        return NO_SECCOMP;
    }
    under_refusal(1);
    return tap_failures != 0;
}

static void in_child_or_skip(int (*body)(void *), void *arg)
{
    int status = in_child(body, arg, SECONDS);
    if (status == NO_SECCOMP) {
        SKIP("no seccomp filters here");
    }
    CHECK_EQ(status, 0, "the child");
}

static void all_calls_refused(void)
{
    in_child_or_skip(child_without_memory, NULL);
}

static void madvise_refused_as_well(void)
{
    in_child_or_skip(child_without_memory, (void *)1);
}

/* mprotect alone: what makes reserved addresses usable may have failed while
 * the system allocator can still serve; or NULL, but never a block without
 * memory behind it. */
static int child_without_mprotect(void *arg)
{
    (void)arg;
    live_begin();
    if (!refuse(SYS_mprotect, ENOMEM)) {
        return NO_SECCOMP;
    }
    size_t n = 0;
    while (n < 200000) {
        unsigned char *p = malloc(100);
        if (!p) {
            break;
        }
        memset(p, 1, 100);
        hoard[n++] = p;
    }
    live_is_sound("without mprotect");
    give_all(n);
    live_end();
    return tap_failures != 0;
}

static void mprotect_refused_alone(void)
{
    in_child_or_skip(child_without_mprotect, NULL);
}

/* Only giving memory back fails: a program must not even notice. */
static int child_without_madvise(void *arg)
{
    (void)arg;
    live_begin();
    if (!refuse(SYS_madvise, EINVAL)) {
        return NO_SECCOMP;
    }
    for (int round = 0; round < 5; round++) {
        for (size_t n = 0; n < 200000; n++) {
            hoard[n] = calloc(1, 100);
            CHECK(hoard[n] && all_zero(hoard[n], 100), "calloc after failed madvise");
            memset(hoard[n], 0xff, 100);
        }
        give_all(200000);
        malloc_trim(0);
        pymalloc_purge();
        live_is_sound("without madvise");
    }
    live_end();
    return tap_failures != 0;
}

static void madvise_refused_alone(void)
{
    in_child_or_skip(child_without_madvise, NULL);
}

/* A thread whose very first allocation comes when nothing can be had. */
static pthread_barrier_t refused_now;

static void *late_to_the_table(void *arg)
{
    (void)arg;
    uintptr_t bad = 0;
    pthread_barrier_wait(&refused_now);
    for (int i = 0; i < 1000; i++) {
        errno = 0;
        unsigned char *p = malloc((size_t)i);
        if (p) {
            memset(p, 1, (size_t)i);
        } else {
            bad += errno != ENOMEM;
        }
        free(p);
        /* Another thread's block, freed by a thread that has no heap. */
        free(live[i].block);
        live[i].block = NULL;
    }
    return (void *)bad;
}

static int child_with_late_thread(void *arg)
{
    (void)arg;
    pthread_t thread;
    void *bad;
    pthread_barrier_init(&refused_now, NULL, 2);
    live_begin();
    pthread_create(&thread, NULL, late_to_the_table, NULL);
    int refused = refuse_all();
    size_t n = refused ? take_all(500) : 0;
    pthread_barrier_wait(&refused_now);
    pthread_join(thread, &bad);
    if (!refused) {
        return NO_SECCOMP;
    }
    CHECK(bad == NULL, "the late thread saw another errno");
    live_is_sound("after the late thread");
    give_all(n);
    live_end();
    return tap_failures != 0;
}

static void a_thread_begins_without_memory(void)
{
    in_child_or_skip(child_with_late_thread, NULL);
}

/* ----------------------------------- refusal by limits, which can be undone */

static void limit(__rlimit_resource_t resource, rlim_t bytes)
{
    struct rlimit r;
    getrlimit(resource, &r);
    r.rlim_cur = bytes < r.rlim_max ? bytes : r.rlim_max;
    if (setrlimit(resource, &r) != 0) {
        tap_bail_out("setrlimit: %s", strerror(errno));
    }
}

static int child_with_limit(void *arg)
{
    __rlimit_resource_t resource = *(__rlimit_resource_t *)arg;
    static unsigned char *kept[1000];
    for (int round = 0; round < 4; round++) {
        live_begin();
        limit(resource, 1 << 20); /* less than there is already */
        /* Addresses that are reserved are not refused any more. */
        under_refusal(resource == RLIMIT_AS ? SMALL_MAX + 1 : 1);
        live_begin();
        limit(resource, RLIM_INFINITY);
        live_is_sound("as the system gives again");
        for (size_t n = 0; n < 300000; n++) {
            hoard[n] = malloc(n % 100 ? 100 : 5000);
            if (!CHECK(hoard[n], "the system gives again, we do not")) {
                break;
            }
            memset(hoard[n], 1, 100);
        }
        give_all(300000);
        for (size_t i = 0; i < COUNT_OF(kept); i++) {
            free(kept[i]);
            kept[i] = malloc(i);
        }
        live_is_sound("after the system gave again");
        live_end();
    }
    return tap_failures != 0;
}

static void address_space_comes_and_goes(void)
{
    __rlimit_resource_t resource = RLIMIT_AS;
    CHECK_EQ(in_child(child_with_limit, &resource, SECONDS), 0, "the child");
}

/* This limit hits mprotect, too. */
static void data_limit_comes_and_goes(void)
{
    __rlimit_resource_t resource = RLIMIT_DATA;
    CHECK_EQ(in_child(child_with_limit, &resource, SECONDS), 0, "the child");
}

static const struct tap_case cases[] = {
    {"mmap, mprotect, mremap and brk refused", all_calls_refused},
    {"madvise refused as well", madvise_refused_as_well},
    {"mprotect refused alone", mprotect_refused_alone},
    {"madvise refused alone", madvise_refused_alone},
    {"a thread begins without memory", a_thread_begins_without_memory},
    {"a limit on addresses comes and goes", address_space_comes_and_goes},
    {"a limit on data comes and goes", data_limit_comes_and_goes},
};

int main(int argc, char **argv)
{
    require_pymalloc();
    return TAP_RUN(cases, argc, argv);
}
