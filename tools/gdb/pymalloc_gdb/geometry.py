"""What lib/ has as macros and numbers, which its debug information does not tell.

test/gdb.sh compares these with the headers, or with what the library does.
"""

GRAIN_SHIFT = 4  # base.h
GRAIN = 1 << GRAIN_SHIFT
SMALL_MAX = 512
POOL_SHIFT = 14
POOL_SIZE = 1 << POOL_SHIFT
PAGE_SHIFT = 12  # where a pool is more than one page
ARENA_SHIFT = 18
ARENA_SIZE = 1 << ARENA_SHIFT
ARENA_POOLS = ARENA_SIZE // POOL_SIZE
CLASSES = SMALL_MAX >> GRAIN_SHIFT
CACHED_STEP_SHIFT = 6  # sizeclass.h

NOBODY = 1  # region.h
GUARDS = 4096
POOL_STATES = ("free", "active", "full", "available", "spare")
POOL_FREE, POOL_ACTIVE, POOL_FULL, POOL_AVAILABLE, POOL_SPARE = range(5)

HEAP_STATES = ("live", "orphan", "broken")  # heap.h
HEAP_LIVE, HEAP_ORPHAN, HEAP_BROKEN = range(3)

CHAIN_COUNT_BITS = 10  # remote.c: the note of a chain
CHAIN_NEXT_SHIFT = 20

BLOCK_LIVE = 0x80  # harden.h, held.h: the state of a block in the hardened library
BLOCK_NEVER, BLOCK_FREED, BLOCK_WAITING = range(3)
BLOCK_ORIGIN_SHIFT, BLOCK_ORIGIN_MASK = 5, 3
BLOCK_MORE, BLOCK_TAIL_MASK = 16, 15
ORIGINS = ("malloc", "new", "new[]")  # hardened.h
LEDGER_LIVE, LEDGER_FREED = 1, 2  # ledger.h

CHUNK_PREVIOUS_USED, CHUNK_MAPPED, CHUNK_FLAGS = 1, 2, 7  # sysalloc.h, and glibc

GUARD_SLOT_SHIFT = 17  # guard.c
GUARD_NEVER, GUARD_LIVE, GUARD_FREED = range(3)

GC_LIVE, GC_TRACKED, GC_WEAK = 1, 2, 4  # gc_heap.h: bits of a header
GC_FINALIZED, GC_LARGE, GC_PENDING = 8, 16, 32
GC_GENERATION_SHIFT, GC_GENERATION_MASK, GC_FROZEN = 6, 3, 3
GC_TYPE_SHIFT, GC_TYPE_MASK = 16, 0xFFFF
GC_IMMORTAL = 0x80000000
GC_PENDING_TYPE_SHIFT = 8  # gc_object.c: while an object waits
GC_HEADER = 8

WORD_MASK = (1 << 64) - 1


def class_size(cls):
    return (cls + 1) << GRAIN_SHIFT


def class_wake(cls):
    """The free blocks at which a full pool is used again."""
    return max(POOL_SIZE // class_size(cls) // 16, 2)


def cached_class_size(cls):
    return (9 + cls % 8) << (cls // 8 + CACHED_STEP_SHIFT)
