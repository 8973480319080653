/* samples.h: sums stay right whatever the order of births and deaths, also in a child
 * whose parent was in the middle of a change; and stacks.h, known.h, and the room that
 * profile.h wants. */
#include "known.h"
#include "lock.h"
#include "profile.h"
#include "samples_agree.h"

#include <alloca.h>
#include <pthread.h>

/* What it says of the lock in a forked child. */
static bool was_held;

bool __wrap_pym_lock_reset(struct pym_lock *lock);
bool __wrap_pym_lock_reset(struct pym_lock *lock)
{
    lock->word = 0;
    return was_held;
}

static char memory[64];

static struct pym_sample *begin(size_t i)
{
    struct pym_weight weight = {.blocks = i + 1, .bytes = 100 * (i + 1)};
    struct pym_sample *sample = pym_samples_begin(&memory[i], &weight);
    CHECK(sample != NULL, "no sample");
    return sample;
}

static void is_total(uint64_t samples, uint64_t blocks, uint64_t bytes)
{
    struct pym_samples_totals totals = pym_samples_totals();
    CHECK_EQ(totals.samples_live, samples, "samples");
    CHECK_EQ(totals.live.blocks, blocks, "blocks");
    CHECK_EQ(totals.live.bytes, bytes, "bytes");
    const char *fault = samples_fault();
    CHECK(fault == NULL, "%s", fault);
}

static void sums_of_stacks_are_totals(void)
{
    struct pym_sample *sample[8];
    for (size_t i = 0; i < 8; i++) {
        sample[i] = begin(i);
    }
    is_total(8, 36, 3600);
    pym_samples_end(sample[3], &memory[3]);
    pym_samples_end(sample[7], &memory[7]);
    pym_samples_end(sample[0], &memory[0]);
    is_total(5, 23, 2300);
    CHECK_EQ(pym_samples_totals().peak_bytes, 3600, "the peak");
    pym_samples_end(sample[3], &memory[3]); /* it is not live */
    is_total(5, 23, 2300);

    struct pym_sample copy[8];
    CHECK_EQ(pym_samples_copy(copy, 2), 2, "some of the copies");
    CHECK_EQ(pym_samples_copy(copy, 8), 5, "copies");
    CHECK(copy[0].stack->frames > 0, "no frames");
    CHECK_EQ((uintptr_t)copy[0].block, (uintptr_t)&memory[6], "the latest is first");
    for (size_t i = 0; i < 8; i++) {
        pym_samples_end(sample[i], &memory[i]);
    }
    is_total(0, 0, 0);
}

static void a_child_goes_on(void)
{
    struct pym_sample *sample = begin(1);
    was_held = false;
    pym_samples_after_fork();
    is_total(1, 2, 200);
    pym_samples_end(sample, &memory[1]);
    is_total(0, 0, 0);
}

/* Old samples may be half linked: the child begins anew, and their ends are none. */
static void a_child_begins_anew(void)
{
    struct pym_sample *old[3] = {begin(0), begin(1), begin(2)};
    was_held = true;
    pym_samples_after_fork();
    is_total(0, 0, 0);
    struct pym_sample *sample = begin(4);
    for (size_t i = 0; i < 3; i++) {
        pym_samples_end(old[i], &memory[i]);
    }
    is_total(1, 5, 500);
    pym_samples_end(sample, &memory[4]);
    is_total(0, 0, 0);
    struct pym_sample *next = begin(5);
    CHECK(next == sample, "an old one came back");
    pym_samples_end(next, &memory[5]);
}

/* ---- stacks that were mapped where others had been ---- */

enum { STACK = 1 << 22, PLACE = 1 << 16 };

static char *stacks;

/* Calls from the same place on any stack. */
static void *begin_at_place(void *arg)
{
    char *frame = __builtin_frame_address(0);
    volatile char *room = alloca((size_t)(frame - stacks) - PLACE);
    *room = 1;
    pym_samples_end(begin(0), &memory[0]);
    return arg;
}

static void run_on_stack(size_t size)
{
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, stacks, size);
    CHECK_EQ(pthread_create(&thread, &attributes, begin_at_place, NULL), 0, "a thread");
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
}

/* The second one ends before the places where the first had its outer frames. */
static void shorter_stacks_are_not_read_beyond(void)
{
    stacks = pages(STACK);
    run_on_stack(STACK);
    CHECK_EQ(mprotect(stacks + STACK / 2, STACK / 2, PROT_NONE), 0, "mprotect");
    run_on_stack(STACK / 2);
    munmap(stacks, STACK);
}

/* Blocks whose addresses fall on one bucket find their way in and out. */
static void addresses_are_known(void)
{
    enum { MANY = 20000 };
    static char blocks[MANY][16];
    static bool added[MANY];
    size_t count = 0;
    CHECK(pym_known_init(), "no memory");
    for (size_t i = 0; i < MANY; i++) {
        added[i] = pym_known_add(blocks[i]);
        count += added[i];
    }
    CHECK(count > MANY * 3 / 4, "only %zu of %d found room", count, MANY);
    for (size_t i = 0; i < MANY; i++) {
        CHECK(pym_known_has(blocks[i]) == added[i], "block %zu", i);
        pym_known_remove(blocks[i]);
        CHECK(!pym_known_has(blocks[i]), "block %zu is still known", i);
    }
}

/* A header can tell distances of less than 4 GiB. */
static void room_is_had_for_what_can_be_told(void)
{
    CHECK(pym_profile_room(100, 16) > 100, "a small block");
    CHECK(pym_profile_room(100, (size_t)1 << 31) > (size_t)1 << 31, "an aligned one");
    CHECK_EQ(pym_profile_room(100, (size_t)1 << 32), 0, "one aligned to 4 GiB");
    CHECK_EQ(pym_profile_room(SIZE_MAX - 8, 16), 0, "one that is too large");
    CHECK_EQ(pym_profile_room(PTRDIFF_MAX, 16), 0, "one that is a bit too large");
}

static const struct tap_case cases[] = {
    {"sums of stacks are totals", sums_of_stacks_are_totals},
    {"a child goes on", a_child_goes_on},
    {"a child begins anew", a_child_begins_anew},
    {"shorter stacks are not read beyond", shorter_stacks_are_not_read_beyond},
    {"addresses are known", addresses_are_known},
    {"room is had for what can be told", room_is_had_for_what_can_be_told},
};

int main(int argc, char **argv)
{
    pym_trace_init();
    return TAP_RUN(cases, argc, argv);
}
