#include "lock.h"

#include "check.h"
#include "os.h"

enum { FREE, HELD, HELD_SLEEPERS };
enum { SPINS = 64, YIELDS = 16 };

#if PYM_ASSERT_LEVEL > 0
static __thread uint32_t held_ranks __attribute__((tls_model("initial-exec")));
#endif

static void note_held(const struct pym_lock *lock)
{
#if PYM_ASSERT_LEVEL > 0
    PYM_ASSERT((held_ranks >> lock->rank) == 0);
    held_ranks |= 1u << lock->rank;
#else
    (void)lock;
#endif
}

static void note_free(const struct pym_lock *lock)
{
#if PYM_ASSERT_LEVEL > 0
    PYM_ASSERT((held_ranks >> lock->rank) == 1);
    held_ranks &= ~(1u << lock->rank);
#else
    (void)lock;
#endif
}

static void (*recover_copy)(void);

void pym_lock_on_fork(void (*recover)(void))
{
    recover_copy = recover;
}

static void recover_if_copy(void)
{
    if (PYM_UNLIKELY(pym_os_is_copy()) && recover_copy != NULL) {
        recover_copy();
    }
}

static bool take_free(struct pym_lock *lock)
{
    uint32_t expected = FREE;
    /* models/lock.pml: take_free */
    return atomic_compare_exchange_strong_explicit(
        &lock->word, &expected, HELD, memory_order_acquire, memory_order_relaxed);
}

static PYM_COLD void lock_contended(struct pym_lock *lock)
{
    for (int i = 0; i < SPINS; i++) {
        pym_cpu_relax();
        if (atomic_load_explicit(&lock->word, memory_order_relaxed) == FREE &&
            take_free(lock)) {
            return;
        }
    }
    /* models/lock.pml: take_contended */
    while (atomic_exchange_explicit(&lock->word, HELD_SLEEPERS, memory_order_acquire) !=
           FREE) {
        /* models/lock.pml: sleep */
        pym_os_futex_wait(&lock->word, HELD_SLEEPERS);
    }
}

void pym_lock(struct pym_lock *lock)
{
    recover_if_copy();
    if (PYM_UNLIKELY(!take_free(lock))) {
        lock_contended(lock);
    }
    note_held(lock);
}

bool pym_lock_try(struct pym_lock *lock)
{
    recover_if_copy();
    if (!take_free(lock)) {
        return false;
    }
    note_held(lock);
    return true;
}

void pym_unlock(struct pym_lock *lock)
{
    note_free(lock);
    /* models/lock.pml: unlock */
    if (atomic_exchange_explicit(&lock->word, FREE, memory_order_release) ==
        HELD_SLEEPERS) {
        /* models/lock.pml: wake */
        pym_os_futex_wake(&lock->word);
    }
}

/* Yielding is in vain where the holder has a lower priority than the waiter, which
 * is real-time and on the same processor. */
static PYM_COLD void spin_contended(struct pym_lock *lock)
{
    for (unsigned i = 1; !take_free(lock); i++) {
        if (i % SPINS != 0) {
            pym_cpu_relax();
        } else if (i < SPINS * YIELDS) {
            pym_os_yield();
        } else {
            pym_os_nap();
        }
    }
}

void pym_spin_lock(struct pym_lock *lock)
{
    recover_if_copy();
    if (PYM_UNLIKELY(!take_free(lock))) {
        spin_contended(lock);
    }
    note_held(lock);
}

void pym_spin_unlock(struct pym_lock *lock)
{
    note_free(lock);
    atomic_store_explicit(&lock->word, FREE, memory_order_release);
}

bool pym_lock_reset(struct pym_lock *lock)
{
    return atomic_exchange_explicit(&lock->word, FREE, memory_order_acquire) != FREE;
}
