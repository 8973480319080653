"""Makes snapshots of plausible heaps, for the tests and for eyes.

As a program: view_snapshots.py ARENAS [SEED] prints one.
"""

import json
import random
import sys

POOL = 16384
ARENA_POOLS = 16
SIZES = [16 * (i + 1) for i in range(32)]
MIB = 1 << 20

# How much of a heap the sizes take: a few do most of the work.
WEIGHTS = {16: 3, 32: 9, 48: 14, 64: 11, 80: 5, 96: 6, 112: 2, 128: 6, 160: 2, 192: 2,
           208: 1, 256: 3, 320: 1, 384: 1, 512: 2}


class Maker:
    """A heap whose older part has drained, and left blocks here and there."""

    def __init__(self, arenas, seed=1, heaps=6):
        self.random = random.Random(seed)
        self.heaps = heaps
        self.map = [self._arena(i, arenas) for i in range(arenas)]

    def _arena(self, index, arenas):
        age = 1 - index / max(arenas, 1)
        address = 0x7F3A00000000 + index * POOL * ARENA_POOLS
        runs = []
        while len(runs) < ARENA_POOLS:
            pool = self._kind(age)
            runs += [pool] * self.random.choice((1, 1, 2, 3, 6))
        pools = [self._pool(kind, age) for kind in runs[:ARENA_POOLS]]
        return {"address": f"0x{address:x}", "pools": pools}

    def _kind(self, age):
        chance = self.random.random()
        if age < 0.06:
            return 0 if chance < 0.7 else self._size()
        if chance < 0.05 + 0.12 * age:
            return 3 if age > 0.3 else 2
        if chance < 0.10 + 0.10 * age:
            return 2
        return self._size()

    def _size(self):
        return self.random.choices(list(WEIGHTS), WEIGHTS.values())[0]

    def _pool(self, kind, age):
        if kind < 16:
            return [kind, 0, 0, 0, 0]
        capacity = POOL // kind
        if age > 0.45 and self.random.random() < 0.75:
            part = self.random.betavariate(0.7, 6)
        else:
            part = min(1.0, self.random.betavariate(9, 1) + 0.02)
        live = max(1, int(part * capacity))
        return [1, kind, live, capacity, self.random.randint(1, self.heaps)]


def classes_of(arenas):
    """The rows of "classes" that a map adds up to."""
    rows = {size: [0, 0, 0] for size in SIZES}
    for arena in arenas:
        for state, size, live, capacity, _ in arena["pools"]:
            if state == 1:
                row = rows[size]
                row[0] += live
                row[1] += 1
                row[2] += capacity
    return [
        {
            "size": size, "allocs": live * 7 + pools, "live_blocks": live,
            "live_bytes": live * size, "pools": pools, "capacity_blocks": capacity,
            "held_bytes": pools * POOL, "asked_bytes": None,
        }
        for size, (live, pools, capacity) in rows.items()
    ]


def history(live, held, points=300, every_ms=24600):
    """A load that climbs, peaks and leaves, second by second."""
    rows = []
    peak = held * 1.25
    for i in range(points):
        at = i / points
        level = min(1.0, at * 2.2) if at < 0.6 else max(0.0, 1 - (at - 0.6) * 3)
        now_live = live + (peak - live) * level * 0.9
        now_held = max(now_live * 1.04, held if at > 0.75 else 0, 1)
        dirty = held * 0.08 if 0.62 < at < 0.8 else held * 0.02
        rows.append([i * every_ms, int(now_held + dirty + 40 * MIB), int(now_live),
                     int(now_held), int(dirty), 3 * MIB])
    return rows


def samples(seed=2, most=400):
    """Live blocks from a few places in the program."""
    maker = random.Random(seed)
    stacks = [[f"0x{0x55d0c0de0000 + maker.randrange(1 << 16):x}" for _ in range(6)]
              for _ in range(12)]
    found = [
        {"address": f"0x{0x55d0d0000000 + i * 1024:x}", "weight_bytes": 524288,
         "size": maker.choices(list(WEIGHTS), WEIGHTS.values())[0] - maker.randrange(16),
         "frames": maker.choice(stacks), "age_ms": maker.randrange(4000000)}
        for i in range(most)
    ]
    return {"interval_bytes": 524288, "live": found}


def snapshot(arenas=40, seed=1, with_map=True, with_samples=False, pid=4711):
    area = Maker(arenas, seed).map
    classes = classes_of(area)
    live = sum(row["live_bytes"] for row in classes)
    held = sum(row["held_bytes"] for row in classes)
    pools = [pool for arena in area for pool in arena["pools"]]
    dirty = POOL * sum(pool[0] == 2 for pool in pools)
    allocs = sum(row["allocs"] for row in classes)
    blocks = sum(row["live_blocks"] for row in classes)
    result = {
        "pymalloc": 1, "version": "0.1.0", "library": "plain", "pid": pid,
        "program": "redis-server", "time_ns": 1700000000123456789,
        "uptime_ns": 7384000000000,
        "small": {"allocs": allocs, "frees": allocs - blocks, "remote_frees": allocs // 9,
                  "live_blocks": blocks, "live_bytes": live, "held_bytes": held,
                  "backlog_blocks": 1234},
        "classes": classes,
        "large": {"allocs": 88211, "frees": 80111, "live_blocks": 8100,
                  "cache_hits": 71102, "cached_blocks": 211, "cached_bytes": 3 * MIB},
        "backend": {"name": "glibc", "heap_bytes": 60 * MIB, "mapped_bytes": 8 * MIB,
                    "mapped_blocks": 3, "used_bytes": 51 * MIB, "free_bytes": 9 * MIB,
                    "top_bytes": 131072},
        "arenas": {"size": 262144, "used": sum(any(p[0] == 1 for p in a["pools"])
                                               for a in area),
                   "peak": arenas, "reserved_bytes": 256 << 30},
        "pools": {"size": POOL, "used": held // POOL, "peak": held // POOL + 100,
                  "dirty_bytes": dirty, "purged_bytes": 12345 * POOL},
        "heaps": {"made": 9, "orphaned": 3, "live": 6},
        "process": {"rss_bytes": held + dirty + 80 * MIB,
                    "rss_peak_bytes": held * 5 // 4 + 80 * MIB, "anon_huge_bytes": 2 * MIB,
                    "virtual_bytes": 257 << 30, "swap_bytes": 0, "threads": 7},
        "options": {"decay": "250", "serve": "1"},
        "history": history(live, held),
    }
    if with_map:
        result["map"] = area
    if with_samples:
        result["samples"] = samples()
    return result


if __name__ == "__main__":
    json.dump(snapshot(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1,
                       with_samples=True), sys.stdout)
