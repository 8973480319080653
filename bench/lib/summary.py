"""From raw rows to medians, ratios and means, and their tables as text and CSV."""
import csv
import io
from dataclasses import dataclass, field

from . import stats
from .allocators import BASELINE

METRICS = {
    "time": ("time_s", "time"),
    "memory": ("peak_rss_kb", "peak memory"),
    "cpu": ("cpu_s", "processor time"),
}
# The two that are asked about; the third helps to understand them.
MAIN = ("time", "memory")


@dataclass
class Cell:
    """One workload on one allocator."""

    samples: dict = field(default_factory=dict)  # metric -> {round: value}
    ratio: dict = field(default_factory=dict)  # metric -> stats.Estimate or None
    rows: list = field(default_factory=list)

    def values(self, metric):
        return list(self.samples.get(metric, {}).values())

    def median(self, metric):
        values = self.values(metric)
        return stats.median(values) if values else None


class Summary:
    def __init__(self, rows, meta, baseline=BASELINE):
        self.meta = meta
        self.rows = rows
        self.cells = {}  # workload -> allocator -> Cell
        self.group_of = {}
        self.failures = []
        for row in rows:
            self.group_of[row["workload"]] = row["group"]
            if row["status"] == "ok":
                self.add(row)
            else:
                self.failures.append(row)
        present = {allocator for cells in self.cells.values() for allocator in cells}
        order = list(meta.get("allocators", {}))
        self.allocators = [name for name in order if name in present]
        self.allocators += sorted(present - set(order))
        self.baseline = baseline if baseline in present else next(iter(self.allocators), "")
        for cells in self.cells.values():
            self.compare(cells)

    def add(self, row):
        cell = self.cells.setdefault(row["workload"], {}).setdefault(row["allocator"], Cell())
        cell.rows.append(row)
        for metric, (column, _) in METRICS.items():
            cell.samples.setdefault(metric, {})[row["round"]] = row[column]

    def compare(self, cells):
        base = cells.get(self.baseline)
        for cell in cells.values():
            for metric in METRICS:
                if base is None:
                    cell.ratio[metric] = None
                elif cell is base:
                    cell.ratio[metric] = stats.Estimate(1.0, 1.0, 1.0)
                else:
                    cell.ratio[metric] = stats.ratio(
                        cell.samples[metric], base.samples[metric]
                    )

    def groups(self):
        """Every group and "also" mean, with its workloads, in the order of the lists."""
        result = {}
        for name, group in self.group_of.items():
            described = self.meta.get("workloads", {}).get(name, {})
            for one in described.get("groups", [group]):
                result.setdefault(one, []).append(name)
        return result

    def mean(self, group, allocator, metric, against=None):
        """Estimate of the geometric mean of the ratios to the baseline (or to another
        allocator), and over how many workloads; None if the allocator has no figures
        for all that the baseline has figures for."""
        against = against or self.baseline
        wanted = [w for w in self.groups()[group] if against in self.cells.get(w, {})]
        if not wanted or any(allocator not in self.cells[w] for w in wanted):
            return None
        pairs = [
            (self.cells[w][allocator].samples[metric], self.cells[w][against].samples[metric])
            for w in wanted
        ]
        return stats.mean_ratio(pairs)

    def extra_samples(self, workload, allocator, key):
        """{round: value} of a workload's own figure; empty where it is not a number."""
        cell = self.cells.get(workload, {}).get(allocator)
        try:
            return {r["round"]: float(r["extra"][key]) for r in cell.rows} if cell else {}
        except (KeyError, ValueError):
            return {}

    def extra(self, workload, allocator, key):
        """The median of these; None where there are none."""
        values = list(self.extra_samples(workload, allocator, key).values())
        return stats.median(values) if values else None

    def extra_keys(self, workload):
        """The names of a workload's own figures, those apart that only repeat its time."""
        keys = {}
        for cell in self.cells.get(workload, {}).values():
            keys.update(dict.fromkeys(cell.rows[0]["extra"]))
        return [key for key in keys if key not in ("ops", "threads", "ops_per_sec")]

    def extra_ratio(self, workload, allocator, key, against=None):
        """Estimate of the ratio of a workload's own figure to the baseline's, or to that
        of another allocator."""
        ours = self.extra_samples(workload, allocator, key)
        theirs = self.extra_samples(workload, against or self.baseline, key)
        return stats.ratio(ours, theirs) if ours and theirs else None

    def rounds(self):
        return 1 + max((row["round"] for row in self.rows), default=-1)


def ratio_text(estimate):
    """0.87, with a "?" when it is undecided whether it differs from 1."""
    if estimate is None:
        return "-"
    return f"{estimate.value:.2f}" + (" " if estimate.decided else "?")


def mean_text(estimate):
    if estimate is None:
        return "-"
    if estimate.high == float("inf"):
        return f"{estimate.value:.3f} [one round]"
    return f"{estimate.value:.3f} [{estimate.low:.3f} {estimate.high:.3f}]"


def text_table(head, rows):
    table = [head, *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(head))]
    lines = []
    for row in table:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def as_text(summary):
    parts = []
    groups = summary.groups()
    for metric in MAIN:
        title = METRICS[metric][1]
        parts.append(f"{title.capitalize()} relative to {summary.baseline}; smaller is better")
        parts.append("(a question mark: the noise is too large to tell it from 1)\n")
        for group, workloads in groups.items():
            rows = []
            for workload in workloads:
                cells = summary.cells.get(workload, {})
                texts = [
                    ratio_text(cells[a].ratio[metric]) if a in cells else "-"
                    for a in summary.allocators
                ]
                rows.append([workload, *texts])
            if any(set(row[1:]) != {"-"} for row in rows):
                parts.append(text_table([group, *summary.allocators], rows) + "\n")
    head = ["geometric mean", *(title for _, title in METRICS.values())]
    for group in groups:
        rows = []
        for allocator in summary.allocators:
            means = [mean_text(summary.mean(group, allocator, m)) for m in METRICS]
            if set(means) != {"-"}:
                rows.append([allocator, *means])
        if rows:
            parts.append(f"{group} ({len(groups[group])})\n" + text_table(head, rows) + "\n")
    for row in summary.failures:
        parts.append(
            f"{row['workload']} on {row['allocator']}: {row['status']}: {row['error']}"
        )
    for name, reason in summary.meta.get("skipped", {}).items():
        parts.append(f"{name}: skipped: {reason}")
    return "\n".join(parts).rstrip() + "\n"


def as_csv(summary):
    buffer = io.StringIO()
    out = csv.writer(buffer, lineterminator="\n")
    head = ["workload", "group", "allocator", "rounds"]
    for metric in METRICS:
        head += [f"{metric}_{x}" for x in ("median", "min", "max", "ratio", "low", "high")]
    out.writerow([*head, "minflt", "majflt"])
    for workload, cells in summary.cells.items():
        for allocator in summary.allocators:
            if allocator not in cells:
                continue
            cell = cells[allocator]
            line = [workload, summary.group_of[workload], allocator, len(cell.rows)]
            for metric in METRICS:
                values, ratio = cell.values(metric), cell.ratio[metric]
                line += [f"{x:.6g}" for x in (cell.median(metric), min(values), max(values))]
                line += (
                    [f"{x:.4f}" for x in (ratio.value, ratio.low, ratio.high)]
                    if ratio
                    else ["", "", ""]
                )
            line += [stats.median([row[k] for row in cell.rows]) for k in ("minflt", "majflt")]
            out.writerow(line)
    return buffer.getvalue()


def as_json(summary):
    """The means; everything else is in the CSV."""
    means = {}
    for group in summary.groups():
        for allocator in summary.allocators:
            for metric in METRICS:
                found = summary.mean(group, allocator, metric)
                if found is not None:
                    entry = means.setdefault(group, {}).setdefault(allocator, {})
                    high = None if found.high == float("inf") else round(found.high, 4)
                    entry[metric] = [round(found.value, 4), round(found.low, 4), high]
    return {"baseline": summary.baseline, "rounds": summary.rounds(), "means": means}
