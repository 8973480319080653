"""Counts the pools of a map: by size class, by heap, by how full they are."""

import collections

from pymalloc_tool.snapshot import DIRTY, NEVER, PURGED, USED

# Below this share a pool or an arena counts as nearly empty.
NEARLY_EMPTY = 0.1
DECILES = 10


def decile(live, capacity):
    """0 for below 10% ... 9 for 90% and more; full ones are there as well."""
    return min(live * DECILES // capacity, DECILES - 1)


def is_nearly_empty(pool):
    return pool.state == USED and decile(pool.live, pool.capacity) == 0


class Group:
    """Pools in use that have something in common."""

    def __init__(self):
        self.pools = 0
        self.live_blocks = 0
        self.live_bytes = 0
        self.deciles = [0] * DECILES
        self.live_in_decile = [0] * DECILES
        # Pools that would do if the blocks could move, within their heap.
        self.needed = 0
        # Of the largest pool.  Options such as header cost each pool some blocks, so that
        # the size does not tell it.
        self.capacity = 1

    def add(self, pool):
        self.pools += 1
        self.live_blocks += pool.live
        self.live_bytes += pool.live * pool.size
        self.capacity = max(self.capacity, pool.capacity)
        at = decile(pool.live, pool.capacity)
        self.deciles[at] += 1
        self.live_in_decile[at] += pool.live * pool.size

    @property
    def packed(self):
        """Pools that its blocks would fill, if all are of one size."""
        return -(-self.live_blocks // self.capacity)

    @property
    def nearly_empty(self):
        return self.deciles[0]

    @property
    def spare(self):
        return self.pools - self.needed


class Census:
    """Groups of pools:

    everything, by_class[size], by_heap[heap], by_owner[size, heap]
    states[state]     pools in each state
    packed_pools      pools that would do if blocks could move between heaps as well
    """

    def __init__(self, snapshot):
        self.pool_size = snapshot.pool_size
        self.everything = Group()
        self.by_class = collections.defaultdict(Group)
        self.by_heap = collections.defaultdict(Group)
        self.by_owner = collections.defaultdict(Group)
        self.states = collections.Counter()
        for arena in snapshot.arenas:
            for pool in arena.pools:
                self._add(pool)
        self.packed_pools = sum(group.packed for group in self.by_class.values())
        for (size, heap), group in self.by_owner.items():
            group.needed = group.packed
            for whole in (self.everything, self.by_class[size], self.by_heap[heap]):
                whole.needed += group.needed

    def _add(self, pool):
        self.states[pool.state] += 1
        if pool.state == USED:
            self.everything.add(pool)
            self.by_class[pool.size].add(pool)
            self.by_heap[pool.heap].add(pool)
            self.by_owner[pool.size, pool.heap].add(pool)

    def bytes(self, pools):
        return pools * self.pool_size


class ArenaCount:
    """What lies in one arena."""

    def __init__(self, arena, pool_size):
        self.arena = arena
        self.used = [pool for pool in arena.pools if pool.state == USED]
        states = collections.Counter(pool.state for pool in arena.pools)
        self.dirty, self.purged, self.never = states[DIRTY], states[PURGED], states[NEVER]
        self.live_bytes = sum(pool.live * pool.size for pool in self.used)
        self.held_bytes = len(self.used) * pool_size
        self.size = len(arena.pools) * pool_size

    @property
    def free_bytes(self):
        """In pools in use."""
        return max(self.held_bytes - self.live_bytes, 0)

    @property
    def decile(self):
        return decile(self.live_bytes, self.size)


def count_arenas(snapshot):
    """The ArenaCounts of the arenas in which a pool is in use."""
    counts = (ArenaCount(arena, snapshot.pool_size) for arena in snapshot.arenas)
    return [count for count in counts if count.used]
