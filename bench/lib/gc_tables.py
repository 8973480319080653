"""The benchmarks of the object layer: what gc-compare measures, the figures in its CSV
file, and the tables and bars that are made of them."""
from __future__ import annotations

import csv
import math
import os
from dataclasses import dataclass

from .stats import median

FIELDS = (
    "round workload size length backend version seconds ops peak_rss_kb extra error"
).split()
FILE = "gc.csv"
OURS, SLICED = "pygc", "pygc-1ms"
FLOOR = "counts"
BACKENDS = (OURS, SLICED, FLOOR, "cpython", "boehm")


@dataclass(frozen=True)
class Workload:
    """A row of the tables; gc_work.c tells what each does."""

    name: str
    # What makes a comparison of an hour one of minutes: part of the size, and of the
    # steps that are done with it.
    short: tuple
    part: float = 1  # of the full size, at any time
    without: tuple = ()  # backends of which it asks nothing
    sliced: bool = False  # whether a pause target matters

    @property
    def program(self):
        """What gc_work.c calls it."""
        return self.name.partition("-")[0]

    def backends(self):
        without = self.without if self.sliced else (*self.without, SLICED)
        return [backend for backend in BACKENDS if backend not in without]


# Millions of live nodes.
LINEAR = {f"linear-{n}": n for n in (1, 2, 4, 8)}
LEAKS = (FLOOR,)
WORKLOADS = (
    Workload("trees", (1, 0.3), sliced=True),
    Workload("gcbench", (1, 1), sliced=True),
    Workload("rings", (1, 0.5), without=LEAKS),
    Workload("ring", (0.3, 1), without=LEAKS),
    Workload("chain", (0.3, 1), without=("boehm",)),
    Workload("wide", (0.2, 1), without=LEAKS, sliced=True),
    Workload("dag", (1, 0.5)),
    Workload("web", (1, 0.5)),
    Workload("live", (0.5, 1), without=LEAKS),
    Workload("liveweb", (0.5, 1), without=LEAKS),
    Workload("churn", (1, 0.2), sliced=True),
    Workload("rewrite", (1, 0.15), sliced=True),
    *(Workload(name, (0.25, 1), part=n / 8, sliced=True) for name, n in LINEAR.items()),
    Workload("overhead", (0.4, 1)),
    Workload("fork", (0.5, 1), without=LEAKS),
)


@dataclass(frozen=True)
class Bar:
    """A figure of a workload that is to lie within bounds."""

    what: str
    workload: str
    key: str
    backend: str = OURS
    least: float = -math.inf
    most: float = math.inf
    unit: float = 1  # what the figure is multiplied with
    always: bool = False  # the worst round counts, not the median

    def holds(self, value):
        return self.least <= value <= self.most

    def text(self):
        low = f"{self.least:g} to " if self.least > -math.inf else "at most "
        return f"{low}{self.most:g}"

    def outcome(self, values):
        if not values:
            return "not measured"
        word = "met" if self.holds(self.value(values)) else "missed"
        sure = len({self.holds(value) for value in values}) == 1
        return word if sure else f"{word}, not certainly"

    def value(self, values):
        return max(values) if self.always else median(values)


PAUSE_BAR = {"backend": SLICED, "most": 1, "unit": 1e-6}
STANDING_BAR = {"key": "standing_share", "most": 0.25, "always": True}
GROWTH_BAR = {"key": "exponent", "least": 0.95, "most": 1.05}
BARS = (
    Bar("bytes of an object beside its payload's size class", "overhead", "overhead", most=9),
    Bar("ms, 99.9% of pauses, ten million live and young ones", "churn", "pause_p999",
        **PAUSE_BAR),
    Bar("the same, own time", "churn", "own_p999", **PAUSE_BAR),
    Bar("ms, 99.9% of pauses, a random graph rewritten", "rewrite", "pause_p999", **PAUSE_BAR),
    Bar("the same, own time", "rewrite", "own_p999", **PAUSE_BAR),
    Bar("garbage above the threshold, of the live, at most ever", "churn", **STANDING_BAR),
    Bar("the same", "churn", backend=SLICED, **STANDING_BAR),
    Bar("the same", "rewrite", **STANDING_BAR),
    Bar("the same", "rewrite", backend=SLICED, **STANDING_BAR),
    Bar("exponent of time by live objects", "linear", **GROWTH_BAR),
    Bar("the same", "linear", backend=SLICED, **GROWTH_BAR),
    Bar("share of a heap that a full collection in a child copies", "fork",
        "dirty_share", most=0.05),
)


@dataclass(frozen=True)
class Table:
    """Cells are text."""

    title: str
    note: str
    head: list
    rows: list
    left: tuple = ()  # columns beside the first that are set to the left


def slope(points):
    """Of the straight line that fits best through the logarithms."""
    logs = [(math.log(x), math.log(y)) for x, y in points]
    mean_x = sum(x for x, _ in logs) / len(logs)
    mean_y = sum(y for _, y in logs) / len(logs)
    across = sum((x - mean_x) * (y - mean_y) for x, y in logs)
    return across / sum((x - mean_x) ** 2 for x, _ in logs)


def parse_extra(text):
    return dict(pair.split("=", 1) for pair in filter(None, text.split(";")))


def read(path):
    """Figures of a file, None if it is not there."""
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8", newline="") as file:
        return Figures(list(csv.DictReader(file)))


class Figures:
    """Rows as FIELDS says, all of them text."""

    def __init__(self, rows):
        self.failures = [row for row in rows if row["error"]]
        self.cells = {}
        self.versions = {}
        for row in rows:
            if not row["error"]:
                self.cells.setdefault((row["workload"], row["backend"]), []).append(row)
                self.versions[row["backend"]] = row["version"]
        self.backends = [backend for backend in BACKENDS if backend in self.versions]

    def complaints(self):
        return [f"{row['workload']} under {row['backend']}: {row['error']}"
                for row in self.failures]

    def rounds(self):
        return len({row["round"] for rows in self.cells.values() for row in rows})

    def values(self, workload, backend, key):
        """A figure, of each round that has it."""
        if key == "exponent":
            return self.exponents(backend)
        return [value for _, value in self.by_round(workload, backend, key)]

    def by_round(self, workload, backend, key):
        for row in self.cells.get((workload, backend), ()):
            found = {**row, **parse_extra(row["extra"])}
            if key == "ns":
                yield row["round"], float(row["seconds"]) / int(row["ops"]) * 1e9
            elif key in found:
                yield row["round"], float(found[key])

    def exponents(self, backend):
        """Of the time by the number of live objects, in each round that has them all."""
        rounds = {}
        for workload, live in LINEAR.items():
            for number, seconds in self.by_round(workload, backend, "seconds"):
                rounds.setdefault(number, []).append((live, seconds))
        return [slope(points) for points in rounds.values() if len(points) == len(LINEAR)]

    def size(self, workload):
        """Of the full one, and the length, as text."""
        names = LINEAR if workload == "linear" else (workload,)
        rows = [row for (name, _), rows in self.cells.items() if name in names for row in rows]
        return "/".join(sorted({f"{row['size']} x{row['length']}" for row in rows})) or "-"

    def measured(self, key):
        """(workload, backend) of all that have a figure, in the order of the tables."""
        return [(workload.name, backend) for workload in WORKLOADS for backend in self.backends
                if self.values(workload.name, backend, key)]


# ----------------------------------------------------------------------------- tables


def number(value):
    """Three digits."""
    if value == 0:
        return "0"
    digits = max(0, 2 - int(math.floor(math.log10(abs(value)))))
    return f"{value:.{digits}f}"


def spread(values):
    if not values:
        return "-"
    if len(values) == 1:
        return number(values[0])
    return f"{number(median(values))} [{number(min(values))}..{number(max(values))}]"


def middle(values, unit):
    return number(median(values) * unit) if values else "-"


def across(figures, key, unit=1):
    """A row for each workload, a column for each backend."""
    rows = []
    for workload in WORKLOADS:
        found = [[value * unit for value in figures.values(workload.name, backend, key)]
                 for backend in figures.backends]
        if any(found):
            size = figures.size(workload.name)
            rows.append([workload.name, size, *(spread(values) for values in found)])
    return ["", "size", *figures.backends], rows


def time_table(figures):
    note = ("Median [least..most].  Size x length: 1 x1 is the full one.  Of live, liveweb and "
            "wide: a full collection, by objects that live; of fork: the same in a child.")
    return Table("Nanoseconds an operation", note, *across(figures, "ns"))


def memory_table(figures):
    return Table("Peak memory, MiB", "Of the process.", *across(figures, "peak_rss_kb", 1 / 1024))


# Columns of the table of pauses: title, key, factor.
PAUSE_COLUMNS = (
    ("batch 50%", "batch_p50", 1e-3),
    ("99%", "batch_p99", 1e-3),
    ("99.9%", "batch_p999", 1e-3),
    ("pauses", "pauses", 1),
    ("50%", "pause_p50", 1e-3),
    ("99%", "pause_p99", 1e-3),
    ("99.9%", "pause_p999", 1e-3),
    ("longest", "pause_max", 1e-3),
    ("own 99.9%", "own_p999", 1e-3),
    ("own longest", "own_max", 1e-3),
)


def pause_table(figures):
    note = ("A batch is 16 operations; a pause is a batch that took more than 20 us, whatever "
            "the reason.  Own: without the time in which the thread was not running, as far as "
            f"it can know.  Pauses under {FLOOR} are the machine's and the allocator's.")
    rows = []
    for prefix, when in (("grow_", "growing"), ("", "")):
        for workload, backend in figures.measured(prefix + "pause_p999"):
            cells = [middle(figures.values(workload, backend, prefix + key), unit)
                     for _, key, unit in PAUSE_COLUMNS]
            rows.append([f"{workload} {when}".strip(), backend, *cells])
    head = ["", "under", *(title for title, _, _ in PAUSE_COLUMNS)]
    title = "Pauses, microseconds: medians over the rounds"
    return Table(title, note, head, rows, left=(1,))


# Rows of the table of garbage and memory: title, workload, key, factor.
SHARES = (
    ("standing garbage, objects", "churn", "standing", 1),
    ("above the threshold, % of the live", "churn", "standing_share", 100),
    ("standing garbage, objects", "rewrite", "standing", 1),
    ("above the threshold, % of the live", "rewrite", "standing_share", 100),
    ("bytes beside the payload's size class", "overhead", "overhead", 1),
    ("% of a heap that a child copies", "fork", "dirty_share", 100),
    ("exponent of time by live objects", "linear", "exponent", 1),
)


def share_table(figures):
    rows = []
    for title, workload, key, unit in SHARES:
        found = [[value * unit for value in figures.values(workload, backend, key)]
                 for backend in figures.backends]
        if any(found):
            rows.append([f"{workload}: {title}", figures.size(workload), *map(spread, found)])
    note = "The most garbage at any moment; Boehm's collector does not tell."
    return Table("Garbage and memory", note, ["", "size", *figures.backends], rows)


def bar_table(figures):
    rows = []
    for bar in BARS:
        values = [value * bar.unit
                  for value in figures.values(bar.workload, bar.backend, bar.key)]
        rows.append([bar.what, bar.workload, bar.backend, figures.size(bar.workload),
                     bar.text(), spread(values), bar.outcome(values)])
    head = ["", "workload", "under", "size", "bar", "measured", "outcome"]
    note = "At another size than 1 x1 a bar is not what it was set for."
    return Table("Bars", note, head, rows, left=(1, 2, 6))


def tables(figures):
    made = [make(figures) for make in (time_table, memory_table, pause_table, share_table,
                                       bar_table)]
    return [table for table in made if table.rows]
