/*
 * Constants and attributes that every other file may use.
 *
 * The geometry: a reserved range is cut into arenas, an arena into pools, a
 * pool into blocks of one size class.
 *
 *     arena  |<----------------- 256 KiB, 256 KiB-aligned ---------------->|
 *     pools  |  16 KiB  |  16 KiB  |   ...                    |  16 KiB    |
 *     blocks |b|b|b|b|b |                     one size class per pool
 */
#ifndef PYM_BASE_H
#define PYM_BASE_H

#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PYM_GRAIN_SHIFT 4
#define PYM_GRAIN ((size_t)1 << PYM_GRAIN_SHIFT)
#define PYM_SMALL_MAX ((size_t)512)
#define PYM_CLASSES (PYM_SMALL_MAX >> PYM_GRAIN_SHIFT)

#define PYM_POOL_SHIFT 14
#define PYM_POOL_SIZE ((size_t)1 << PYM_POOL_SHIFT)
#define PYM_ARENA_SHIFT 18
#define PYM_ARENA_SIZE ((size_t)1 << PYM_ARENA_SHIFT)
#define PYM_ARENA_POOLS (PYM_ARENA_SIZE / PYM_POOL_SIZE)
#define PYM_POOL_BLOCKS_MAX (PYM_POOL_SIZE / PYM_GRAIN)

#define PYM_CACHE_LINE 64

#define PYM_LIKELY(x) __builtin_expect(!!(x), 1)
#define PYM_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define PYM_INLINE static inline __attribute__((always_inline))
/* A slow path: out of line, so that the fast path that calls it needs no stack
 * frame, and away from the hot code. */
#define PYM_COLD __attribute__((noinline, cold))
#define PYM_NOINLINE __attribute__((noinline))
#define PYM_EXPORT __attribute__((visibility("default")))
/* For variables that are read on hot paths: the compiler is told at the
 * declaration that they are in this library, and need no table to be found. */
#define PYM_HIDDEN __attribute__((visibility("hidden")))
#define PYM_ALIGNED(n) __attribute__((aligned(n)))
/* For tables that few programs use: behind all other variables, so that those which
 * every process writes lie in as few pages as possible (lib/order.lds). */
#define PYM_RARE_TABLE __attribute__((section(".bss.rare")))
/* For functions that few programs call, in files of those that every process needs:
 * behind all other code. */
#define PYM_RARE_CODE __attribute__((section(".text.rare")))

#if defined(__SANITIZE_ADDRESS__)
#define PYM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PYM_ASAN 1
#endif
#endif
#ifndef PYM_ASAN
#define PYM_ASAN 0
#endif

#if defined(__SANITIZE_THREAD__)
#define PYM_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PYM_TSAN 1
#endif
#endif
#ifndef PYM_TSAN
#define PYM_TSAN 0
#endif

/* For functions that look at other threads' structures without synchronisation
 * and are prepared for any value that they may find there. */
#if defined(__GNUC__) && !defined(__clang__)
#define PYM_RACY __attribute__((noinline, noipa, no_sanitize("thread")))
#else
#define PYM_RACY __attribute__((noinline, no_sanitize("thread")))
#endif

/* How many bits are set.  The compiler's own may be a function, which the linker puts
 * far behind all other code. */
PYM_INLINE unsigned pym_count_bits(uint32_t bits)
{
    bits -= bits >> 1 & UINT32_C(0x55555555);
    bits = (bits & UINT32_C(0x33333333)) + (bits >> 2 & UINT32_C(0x33333333));
    bits = (bits + (bits >> 4)) & UINT32_C(0x0f0f0f0f);
    return bits * UINT32_C(0x01010101) >> 24;
}

/* Spreads numbers that are much alike, such as addresses, over the upper bits:
 * Fibonacci hashing (Knuth, The Art of Computer Programming 3, 6.4). */
PYM_INLINE uint64_t pym_mix(uint64_t number)
{
    return number * UINT64_C(0x9e3779b97f4a7c15);
}

PYM_INLINE size_t pym_round_up(size_t n, size_t alignment)
{
    return (n + alignment - 1) & ~(alignment - 1);
}

PYM_INLINE bool pym_is_power_of_two(size_t n)
{
    return n != 0 && (n & (n - 1)) == 0;
}

_Static_assert(sizeof(void *) == 8, "libpymalloc needs 64-bit pointers");

#endif
