"""What libpymalloc is to reach, as bars on the figures of one run of benchmarks."""
from __future__ import annotations

import os
from dataclasses import dataclass

from . import stats
from .allocators import BASELINE, BUILTIN, OURS

# Malloc and free of a small block, and both together of 1 KiB.
INSTRUCTIONS = (
    ("instructions of malloc, 64 bytes", "pair-64", ("malloc",), 11),
    ("instructions of free, 64 bytes", "pair-64", ("free",), 19),
    ("instructions of malloc and free, 1 KiB", "pair-1024", ("malloc", "free"), 45),
)


@dataclass
class Goal:
    what: str
    bar: float
    value: stats.Estimate | None
    note: str = ""

    @property
    def outcome(self):
        if self.value is None:
            return "not measured"
        if self.value.value <= self.bar:
            return "met" if self.value.high <= self.bar else "met, not certainly"
        return "missed" if self.value.low > self.bar else "missed, not certainly"


def exact(value):
    return None if value is None else stats.Estimate(value, value, value)


class Goals:
    def __init__(self, summary):
        self.summary = summary
        self.peers = [a for a in summary.allocators if a not in (OURS, BUILTIN)]

    def all(self):
        found = [*self.means(), *self.worst(), *self.python(), *self.memory()]
        return [*found, *self.heap_size(), *self.threads(), *self.instructions()]

    def means(self):
        for group, metric, text, against, bar in (
            ("scenario", "time", "time, mean over scenarios", BASELINE, 0.70),
            ("scenario", "time", "time, mean over scenarios", None, 0.88),
            ("program", "time", "time, mean over programs", None, 0.95),
            ("scenario", "memory", "peak memory, mean over scenarios", BASELINE, 0.70),
            ("scenario", "memory", "peak memory, mean over scenarios", None, 0.95),
            ("program", "memory", "peak memory, mean over programs", BASELINE, 0.70),
            ("program", "memory", "peak memory, mean over programs", None, 1.00),
        ):
            if against is not None:
                value, name = self.mean(group, metric, against), against
                yield Goal(f"{text}, to {against}", bar, value)
            else:
                value, name = self.to_best_mean(group, metric)
                yield Goal(f"{text}, to the best peer", bar, value, name)

    def mean(self, group, metric, against):
        if group not in self.summary.groups() or against not in self.summary.allocators:
            return None
        return self.summary.mean(group, OURS, metric, against)

    def to_best_mean(self, group, metric):
        """Our mean to that of the peer that comes out best, and its name."""
        found = [(self.mean(group, metric, peer), peer) for peer in self.peers]
        found = [(mean, peer) for mean, peer in found if mean is not None]
        return max(found, key=lambda pair: pair[0].value, default=(None, ""))

    def worst(self):
        """The workload on which we stand worst against the best peer there."""
        for metric, text, bar in (
            ("time", "time, worst workload, to the best peer", 1.05),
            ("memory", "peak memory, worst workload, to the best peer", 1.15),
        ):
            found = []
            groups = self.summary.groups()
            for workload in groups.get("scenario", []) + groups.get("program", []):
                cells = self.summary.cells.get(workload, {})
                peers = [p for p in self.peers if p in cells]
                if OURS in cells and peers:
                    best = min(peers, key=lambda p: cells[p].median(metric))
                    ratio = stats.ratio(cells[OURS].samples[metric], cells[best].samples[metric])
                    if ratio is not None:
                        found.append((ratio, f"{workload}, {best}"))
            value, note = max(found, key=lambda pair: pair[0].value, default=(None, ""))
            yield Goal(text, bar, value, note)

    def python(self):
        for metric, text in (("time", "time"), ("memory", "peak memory")):
            value = self.mean("python", metric, BUILTIN)
            yield Goal(f"Python scripts, {text}, to CPython's own allocator", 1.00, value)

    def to_best(self, workload, key, larger=False):
        """A workload's own figure: ours to the best peer's, as something to be small."""
        found = [(self.summary.extra(workload, p, key), p) for p in self.peers]
        found = [(value, peer) for value, peer in found if value]
        if not found:
            return None, ""
        peer = (max if larger else min)(found)[1]
        pair = (peer, OURS) if larger else (OURS, peer)
        return self.summary.extra_ratio(workload, pair[0], key, against=pair[1]), peer

    def memory(self):
        for text, workload, key in (
            ("ten million blocks, memory per live byte", "tenmillion", "rss_per_live_byte"),
            ("memory one second after most of 1 GiB is freed", "rssdrop", "rss_1s_kb"),
        ):
            value, peer = self.to_best(workload, key)
            yield Goal(f"{text}, to the best peer", 1.00, value, peer)

    def heap_size(self):
        """How our standing against the best peer changes from a small to a large heap."""
        large, peer = self.to_best("bigheap-1g", "ns_per_op")
        small, _ = self.to_best("bigheap-64m", "ns_per_op")
        yield Goal("1 GiB in random order, time, to the best peer", 1.05, large, peer)
        growth = large.value / small.value if large and small else None
        yield Goal("the same, and its growth from a heap of 64 MiB", 1.05, exact(growth))

    def threads(self):
        """The worst point of the throughput of independent threads."""
        for workload in self.summary.groups().get("scaling", []):
            value, peer = self.to_best(workload, "ops_per_sec", larger=True)
            threads = self.summary.meta["workloads"][workload]["attributes"].get("threads")
            text = f"time of {threads} independent threads, to the best peer"
            yield Goal(text, 1.00, value, peer)

    def instructions(self):
        counts = read_instructions()
        for text, case, columns, bar in INSTRUCTIONS:
            found = counts.get(case)
            value = sum(found[column] for column in columns) if found else None
            yield Goal(text, bar, exact(value), "committed count")


def read_instructions():
    """The committed counts, {} if there are none."""
    path = os.path.join(os.path.dirname(os.path.dirname(__file__)), "instructions.expected")
    counts = {}
    if os.path.exists(path):
        with open(path, encoding="ascii") as file:
            for line in file:
                if not line.startswith("#") and line.strip():
                    case, *numbers = line.split()
                    pairs = zip(("malloc", "free"), numbers)  # of hits; means follow
                    counts[case] = {k: float(v) for k, v in pairs if v != "-"}
    return counts
