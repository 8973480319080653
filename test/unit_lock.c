/* lock.h, os.h: mutual exclusion, and the contract with the kernel. */
#include "lock.h"
#include "os.h"
#include "support.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

enum { THREADS = 8, ROUNDS = 30000, NOT_ALLOWED = 77 };

static struct pym_lock lock = PYM_LOCK_INIT(PYM_RANK_HEAPS);
static struct pym_lock inner = PYM_LOCK_INIT(PYM_RANK_ARENAS);
static struct pym_lock spinning = PYM_LOCK_INIT(PYM_RANK_LEDGER);
static long counter; /* plain on purpose: only the lock guards it */
static long tried;

static void *count(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        if (i % 4 == 0) {
            if (!pym_lock_try(&lock)) {
                continue;
            }
            tried++;
        } else {
            pym_lock(&lock);
        }
        counter++;
        if (i % 512 == 0) {
            sleep_ms(1); /* waiters go to sleep in the kernel */
        }
        pym_unlock(&lock);
    }
    return arg;
}

static void one_at_a_time(void)
{
    pthread_t thread[THREADS];
    counter = tried = 0;
    for (int i = 0; i < THREADS; i++) {
        pthread_create(&thread[i], NULL, count, NULL);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(thread[i], NULL);
    }
    CHECK_EQ(counter, (long)THREADS * ROUNDS * 3 / 4 + tried, "counted under the lock");
}

static void trying_does_not_wait(void)
{
    pym_lock(&lock);
    CHECK(!pym_lock_try(&lock), "a held lock was given");
    pym_unlock(&lock);
    CHECK(pym_lock_try(&lock), "a free lock was not given");
    pym_unlock(&lock);
}

static void a_reset_lock_is_free(void)
{
    CHECK(!pym_lock_reset(&inner), "a free lock was held");
    CHECK(pym_lock_try(&inner), "it was not free after that");
    pym_unlock(&inner);
}

static int finds_the_lock_held(void *arg)
{
    (void)arg;
    return !pym_lock_reset(&lock) || !pym_lock_try(&lock);
}

static _Atomic int holding;

static void *hold_for_a_while(void *arg)
{
    pym_lock(&lock);
    atomic_store(&holding, 1);
    while (atomic_load(&holding) == 1) {
        sleep_ms(1);
    }
    pym_unlock(&lock);
    return arg;
}

/* What a forked child has to cope with. */
static void a_child_inherits_a_held_lock(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, hold_for_a_while, NULL);
    while (atomic_load(&holding) == 0) {
        sleep_ms(1);
    }
    CHECK_EQ(in_child(finds_the_lock_held, NULL, 20), 0, "the child");
    atomic_store(&holding, 2);
    pthread_join(thread, NULL);
}

/* Of two threads on one processor, one of which goes before the other. */
static void *take_urgently(void *arg)
{
    pym_spin_lock(&spinning);
    pym_spin_unlock(&spinning);
    return arg;
}

static bool create_urgent(pthread_t *thread)
{
    struct sched_param urgent = {.sched_priority = 1};
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED);
    pthread_attr_setschedpolicy(&attributes, SCHED_FIFO);
    pthread_attr_setschedparam(&attributes, &urgent);
    bool created = pthread_create(thread, &attributes, take_urgently, NULL) == 0;
    pthread_attr_destroy(&attributes);
    return created;
}

static int let_an_urgent_thread_wait(void *arg)
{
    (void)arg;
    cpu_set_t here;
    CPU_ZERO(&here);
    CPU_SET((size_t)sched_getcpu(), &here);
    sched_setaffinity(0, sizeof here, &here); /* threads inherit it */
    pthread_t thread;
    double start = now_seconds();
    pym_spin_lock(&spinning);
    if (!create_urgent(&thread)) {
        return NOT_ALLOWED;
    }
    pym_spin_unlock(&spinning);
    pthread_join(thread, NULL);
    return now_seconds() - start > 0.5; /* the kernel lets it run after a second */
}

static void waiting_lets_the_holder_run(void)
{
    int status = in_child(let_an_urgent_thread_wait, NULL, 20);
    if (status == NOT_ALLOWED) {
        SKIP("no real-time threads may be had");
    }
    CHECK_EQ(status, 0, "the child");
}

/* ------------------------------------------------------------- the kernel */

static void pages_come_and_go(void)
{
    size_t page = pym_os_page_size(), size = 64 * page;
    CHECK(pym_is_power_of_two(page) && page >= 4096, "the page size is %zu", page);
    char *p = pym_os_map(size);
    CHECK(p && (uintptr_t)p % page == 0, "pym_os_map gave %p", (void *)p);
    CHECK(all_zero(p, size), "mapped pages are not zero");
    memset(p, 1, size);
    pym_os_unmap(p, size);
    errno = 77;
    CHECK(pym_os_map(SIZE_MAX - page + 1) == NULL,
          "all of the address space was mapped");
    CHECK_EQ(errno, 77, "errno was changed");
}

static void reserved_pages_are_committed_and_purged(void)
{
    size_t size = (size_t)64 << 20, part = (size_t)1 << 20;
    errno = 77;
    for (size_t alignment = 1 << 16; alignment <= 1 << 26; alignment <<= 2) {
        char *p = pym_os_reserve(size, alignment);
        CHECK(p && (uintptr_t)p % alignment == 0, "aligned to %zu: %p", alignment,
              (void *)p);
        CHECK_EQ(pym_os_commit(p + part, part), 0, "commit");
        CHECK(all_zero(p + part, part), "committed memory is not zero");
        memset(p + part, 1, part);
        CHECK_EQ(pym_os_purge(p + part, part / 2), 0, "purge");
        CHECK(all_zero(p + part, part / 2), "purged memory is not zero");
        CHECK(p[part + part / 2] == 1, "a purge went too far");
        pym_os_unmap(p, size);
    }
    CHECK(pym_os_reserve((size_t)1 << 60, 1 << 21) == NULL, "2^60 bytes were reserved");
    CHECK(pym_os_reserve(SIZE_MAX, 1 << 21) == NULL, "all addresses were reserved");
    CHECK(pym_os_commit(NULL, 4096) != 0, "the zero page was committed");
    CHECK_EQ(errno, 77, "errno was changed");
}

static void the_clock_goes_forward(void)
{
    uint64_t start = pym_os_now_ms();
    double before = now_seconds();
    sleep_ms(60);
    uint64_t later = pym_os_now_ms();
    uint64_t passed = (uint64_t)((now_seconds() - before) * 1000);
    CHECK(later >= start + 40 && later <= start + passed + 20,
          "%ju ms passed, the clock says %ju", (uintmax_t)passed,
          (uintmax_t)(later - start));
}

static void resident_memory_is_told(void)
{
    long kb = rss_kb();
    uint64_t told = pym_os_resident() / 1024;
    CHECK(told > 0 && told < (uint64_t)kb * 2 + 4096, "RSS is %ld KiB, told %ju", kb,
          (uintmax_t)told);
}

static int told_of_limit(void *arg)
{
    struct rlimit r;
    (void)arg;
    getrlimit(RLIMIT_AS, &r);
    r.rlim_cur = (rlim_t)1 << 40;
    if (r.rlim_max < r.rlim_cur || setrlimit(RLIMIT_AS, &r) != 0) {
        return 2;
    }
    return pym_os_address_limit() != (size_t)1 << 40;
}

static void the_address_limit_is_told(void)
{
    struct rlimit r;
    getrlimit(RLIMIT_AS, &r);
    size_t wanted = r.rlim_cur == RLIM_INFINITY ? SIZE_MAX : (size_t)r.rlim_cur;
    CHECK(pym_os_address_limit() == wanted, "told %zu", pym_os_address_limit());
    CHECK_EQ(in_child(told_of_limit, NULL, 20), 0, "the child");
}

static const struct tap_case cases[] = {
    {"the lock lets one in at a time", one_at_a_time},
    {"trying does not wait", trying_does_not_wait},
    {"a reset lock is free", a_reset_lock_is_free},
    {"waiting lets the holder run", waiting_lets_the_holder_run},
    {"a child can reset a lock that its parent held", a_child_inherits_a_held_lock},
    {"pages come and go", pages_come_and_go},
    {"reserved pages are committed and purged",
     reserved_pages_are_committed_and_purged},
    {"the clock goes forward", the_clock_goes_forward},
    {"resident memory is told", resident_memory_is_told},
    {"the limit on addresses is told", the_address_limit_is_told},
};

int main(int argc, char **argv)
{
    return TAP_RUN(cases, argc, argv);
}
