#include "harden.h"

#if PYM_HARDENED

#include "atomic.h"
#include "check.h"
#include "options.h"
#include "os.h"

/* No pointer, no small number, no text. */
#define JUNK UINT64_C(0xdfdfdfdfdfdfdfdf)

uintptr_t pym_harden_key;
uint64_t pym_harden_filling;
static _Atomic uint64_t sequence;

/* A bijection that leaves no pattern of a counter: the finishing steps of SplitMix64
 * (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014). */
static uint64_t mix(uint64_t value)
{
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

void pym_harden_init(void)
{
    if (PYM_LIKELY(pym_harden_key != 0)) {
        return;
    }
    uint64_t seed[2];
    pym_os_random(seed, sizeof(seed));
    atomic_store_explicit(&sequence, seed[1], memory_order_relaxed);
    pym_harden_filling = PYM_OPTION(zero) != 0 ? 0 : JUNK;
    pym_harden_key = (uintptr_t)seed[0] | 1;
}

uint64_t pym_harden_random(void)
{
    return mix(atomic_fetch_add_explicit(&sequence, UINT64_C(0x9e3779b97f4a7c15),
                                         memory_order_relaxed) ^
               pym_harden_key);
}

void pym_harden_broken_link(const void *block)
{
    pym_check_misuse("broken free list", block, 0);
}

#endif
