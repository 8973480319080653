"""The report: one HTML page that needs nothing but itself."""
import html
import math

from . import charts, gc_tables
from .allocators import OURS
from .goals import Goals
from .summary import MAIN, METRICS

TITLES = {
    "scenario": "Scenarios",
    "program": "Real programs",
    "python": "Python scripts",
    "scaling": "Scaling with threads",
}
STYLE = """
body { font: 15px/1.5 Helvetica, Arial, sans-serif; color: #222; background: #fff;
       max-width: 960px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.7em; margin-bottom: 0; } h2 { margin-top: 2.2em; font-size: 1.25em; }
h3 { font-size: 1.02em; margin: 1.6em 0 .4em; } p.soft, td.soft { color: #777; }
table { border-collapse: collapse; font-size: .86em; margin: .6em 0; }
div.wide { overflow-x: auto; }
th, td { padding: .22em .65em; text-align: right; white-space: nowrap; }
th { font-weight: 600; border-bottom: 1px solid #bbb; }
th:first-child, td:first-child, td.left, th.left { text-align: left; }
tr:nth-child(even) td { background: #f6f6f6; }
td small { color: #888; } td.ours, th.ours { font-weight: 600; }
td.best { color: #14713a; } td.unsure { color: #888; }
td.met { color: #14713a; } td.missed { color: #b3141f; }
summary { cursor: pointer; color: #1b5fa8; margin: .4em 0; }
svg { width: 100%; height: auto; } code { font-size: .92em; }
"""
UNITS = (("_kb", "KiB"), ("_ns", "ns"), ("_per_sec", "1/s"))


def escape(text):
    return html.escape(str(text))


def title_of(group):
    return TITLES.get(group, group.capitalize())


def number(value):
    """Three digits, with thousands set apart."""
    if value is None:
        return "-"
    if value >= 1000:
        return f"{value:,.0f}".replace(",", "\u202f")
    if value == 0:
        return "0"
    digits = max(0, 2 - int(math.floor(math.log10(abs(value)))))
    return f"{value:.{digits}f}"


def table(head, rows, left=()):
    """Cells are strings that are escaped, or (css class, html) pairs."""
    out = ['<div class="wide"><table><tr>']
    for i, cell in enumerate(head):
        css = "left" if i in left else "ours" if cell == OURS else ""
        out.append(f'<th class="{css}">{escape(cell)}</th>')
    out.append("</tr>\n")
    for row in rows:
        out.append("<tr>")
        for i, cell in enumerate(row):
            css, text = cell if isinstance(cell, tuple) else ("", escape(cell))
            css = f"{css} left" if i in left else css
            out.append(f'<td class="{css}">{text}</td>' if css else f"<td>{text}</td>")
        out.append("</tr>\n")
    out.append("</table></div>\n")
    return "".join(out)


def interval_text(estimate):
    if estimate.high == math.inf:
        return "one round"
    return f"{estimate.low:.3f} to {estimate.high:.3f}"


def outcome_cell(text):
    """Coloured if it says how a bar was met."""
    css = text.partition(",")[0]
    return (css, escape(text)) if css in ("met", "missed") else text


def details(title, content):
    return f"<details><summary>{escape(title)}</summary>\n{content}</details>\n"


class Page:
    def __init__(self, summary, samples, objects=None):
        self.summary = summary
        self.samples = samples
        self.objects = objects  # gc_tables.Figures
        self.parts = []

    def add(self, text):
        self.parts.append(text)

    # ------------------------------------------------------------------------- head

    def machine_line(self):
        """For the feet of the pictures."""
        meta = self.summary.meta
        machine = meta["machine"]
        virtual = ", virtual" if machine["virtual"] else ""
        return (
            f"{machine['processor']}, {machine['processors']} processors{virtual}, "
            f"Linux {machine['kernel']}, {machine['libc']}; {meta['date'][:10]}"
        )

    def head(self):
        meta, machine = self.summary.meta, self.summary.meta["machine"]
        self.add("<h1>Allocators beside each other</h1>\n")
        self.add(f'<p class="soft">{escape(self.machine_line())}</p>\n')
        caches = ", ".join(f"{name} {size}" for name, size in machine["caches"].items())
        rows = [
            ("command", meta["command"]),
            ("commit", meta["commit"] or "not from a checkout"),
            ("rounds", self.summary.rounds()),
            ("system", f"{machine['distribution']}, {machine['memory_gib']} GiB of memory"),
            ("caches", caches),
            ("huge pages", machine["huge_pages"]),
            ("load at the start", " ".join(map(str, machine["load"]))),
        ]
        for name, identity in meta["allocators"].items():
            if name in self.summary.allocators:
                version = identity["package"] or f"build {identity['sha256'][:12]}"
                settings = identity.get("environment", {})
                extra = "".join(f", {k}={v}" for k, v in settings.items())
                rows.append((name, f"{identity['file']}, {version}{extra}"))
        body = table(("", ""), rows, left=(1,))
        self.add(details("Machine, versions, command", body))

    def reading(self):
        self.add(
            "<p>All figures are ratios of medians to "
            f"{escape(self.summary.baseline)}: 0.80 means four fifths of its time or of its "
            "memory. The interval holds the ratio with 95% certainty, as far as the noise "
            "of this run tells; where it holds 1, the ratio is set in grey with a question "
            "mark, and nothing is decided. Every allocator runs the same binaries, one "
            "process at a time, in turns.</p>\n"
        )

    # ------------------------------------------------------------------------ means

    def mean_charts(self, alone=False):
        """{metric: SVG}"""
        groups = [(g, title_of(g)) for g in ("scenario", "program")]
        result = {}
        for metric, title in (("time", "Time"), ("memory", "Peak memory")):
            text = f"{title} relative to {self.summary.baseline} (smaller is better)"
            foot = f"Diamonds: geometric means, with 95% intervals. {self.machine_line()}"
            result[metric] = charts.means(self.summary, groups, metric, text, foot, alone)
        return result

    def means(self):
        self.add("<h2>Geometric means</h2>\n")
        for svg in self.mean_charts().values():
            self.add(svg or "")
        for group, workloads in self.summary.groups().items():
            rows = []
            for allocator in self.summary.allocators:
                cells = [self.mean_cells(group, allocator, metric) for metric in METRICS]
                if any(cells):
                    rows.append([allocator, *(c for cell in cells for c in cell or ("-", ""))])
            if rows:
                head = [title for _, title in METRICS.values()]
                self.add(f"<h3>{escape(title_of(group))}: {len(workloads)}</h3>\n")
                self.add(table(["", *(t for h in head for t in (h, "interval"))], rows))

    def mean_cells(self, group, allocator, metric):
        found = self.summary.mean(group, allocator, metric)
        if found is None:
            return None
        css = "ours" if allocator == OURS else ""
        return (css, f"{found.value:.3f}"), ("soft", escape(interval_text(found)))

    # ------------------------------------------------------------------------ goals

    def goals(self):
        if OURS not in self.summary.allocators:
            return
        rows = []
        for goal in Goals(self.summary).all():
            value = "-" if goal.value is None else f"{goal.value.value:.3f}"
            known = goal.value is not None and goal.value.low != goal.value.high
            interval = interval_text(goal.value) if known else ""
            css = "soft" if goal.value is None else goal.outcome.partition(",")[0]
            rows.append(
                (goal.what, f"{goal.bar:g}", value, ("soft", interval),
                 (css, escape(goal.outcome)), ("soft", escape(goal.note)))
            )
        self.add(f"<h2>Goals of {OURS}</h2>\n<p>Each value is to be at most its bar.</p>\n")
        head = ("", "bar", "value", "interval", "outcome", "where, whom")
        self.add(table(head, rows, left=(4, 5)))

    # -------------------------------------------------------------------- workloads

    def workloads(self):
        for group, workloads in self.summary.groups().items():
            if group in ("python", "scaling"):
                continue
            for metric in MAIN:
                title = METRICS[metric][1]
                text = f"{title} relative to {self.summary.baseline}"
                svg = charts.by_workload(self.summary, workloads, metric, text)
                if svg is None:
                    continue
                self.add(f"<h2>{escape(title_of(group))}: {escape(title)}</h2>\n{svg}")
                self.add(self.metric_tables(workloads, metric))

    def metric_tables(self, workloads, metric):
        unit = {"time": "seconds", "memory": "MiB"}[metric]
        return details("Ratios", self.ratio_table(workloads, metric)) + details(
            f"Medians, smallest and largest, in {unit}", self.median_table(workloads, metric)
        )

    def ratio_table(self, workloads, metric):
        rows = []
        for workload in workloads:
            cells = self.summary.cells.get(workload, {})
            ratios = {a: cells[a].ratio[metric] for a in cells}
            known = [r.value for r in ratios.values() if r]
            row = [workload]
            for allocator in self.summary.allocators:
                ratio = ratios.get(allocator)
                if ratio is None:
                    row.append("-")
                elif ratio.decided:
                    css = "best" if ratio.value == min(known) else ""
                    row.append((css, f"{ratio.value:.2f}"))
                else:
                    row.append(("unsure", f"{ratio.value:.2f}?"))
            rows.append(row)
        return table(["", *self.summary.allocators], rows)

    def median_table(self, workloads, metric):
        divisor = 1024 if metric == "memory" else 1
        rows = []
        for workload in workloads:
            row = [workload]
            for allocator in self.summary.allocators:
                cell = self.summary.cells.get(workload, {}).get(allocator)
                if cell is None:
                    row.append("-")
                    continue
                values = cell.values(metric)
                few = [number(x / divisor) for x in (min(values), max(values))]
                text = f"{number(cell.median(metric) / divisor)} <small>{' to '.join(few)}</small>"
                row.append(("", text))
            rows.append(row)
        return table(["", *self.summary.allocators], rows)

    # ------------------------------------------------------------ the other pictures

    def rss(self):
        if not self.samples:
            return
        self.add("<h2>Resident memory over time</h2>\n<p>In the first round.</p>\n")
        for workload, series in self.samples.items():
            svg = charts.rss_over_time(series, self.summary.allocators, workload)
            self.add(f"<h3>{escape(workload)}</h3>\n{svg or ''}")

    def scaling(self):
        charts_of = {}
        for workload, described in self.summary.meta.get("workloads", {}).items():
            attributes = described["attributes"]
            if "scaling" not in attributes or workload not in self.summary.cells:
                continue
            points = charts_of.setdefault(attributes["scaling"], {})
            for allocator in self.summary.cells[workload]:
                value = self.summary.extra(workload, allocator, "ops_per_sec")
                if value:
                    points.setdefault(allocator, {})[int(attributes["threads"])] = value
        if charts_of:
            self.add("<h2>Scaling with threads</h2>\n")
        for name, points in charts_of.items():
            svg = charts.scaling(points, self.summary.allocators, name)
            self.add(f"<h3>{escape(name)}</h3>\n{svg or ''}")
            threads = sorted({t for by in points.values() for t in by})
            rows = [
                [f"{t} threads", *(number(points.get(a, {}).get(t)) for a in
                                   self.summary.allocators)]
                for t in threads
            ]
            self.add(table(["operations per second", *self.summary.allocators], rows))

    def own_figures(self):
        """What workloads report beside their time: latencies, memory after a while..."""
        rows = []
        for workload in self.summary.cells:
            for key in self.summary.extra_keys(workload):
                unit = next((u for end, u in UNITS if key.endswith(end)), "")
                values = [self.summary.extra(workload, a, key) for a in self.summary.allocators]
                rows.append([workload, key, ("soft", unit), *map(number, values)])
        if rows:
            self.add("<h2>Figures of the workloads' own</h2>\n<p>Medians.</p>\n")
            self.add(table(["", "figure", "", *self.summary.allocators], rows, left=(1, 2)))

    def object_layer(self):
        if self.objects is None:
            return
        versions = ", ".join(f"{name} {v}" for name, v in self.objects.versions.items())
        self.add(
            f"<h2>Object layer</h2>\n<p>The same nodes under {escape(gc_tables.OURS)} (with a "
            f"pause target of 1 ms: {escape(gc_tables.SLICED)}) and under others, measured by "
            f'bench/gc-compare in {self.objects.rounds()} rounds.</p>\n<p class="soft">'
            f"{escape(versions)}</p>\n"
        )
        for one in gc_tables.tables(self.objects):
            rows = [[outcome_cell(cell) for cell in row] for row in one.rows]
            self.add(f'<h3>{escape(one.title)}</h3>\n<p class="soft">{escape(one.note)}</p>\n')
            self.add(table(one.head, rows, left=one.left))

    def commands(self):
        rows = [
            (name, ", ".join(described["groups"]), described["package"],
             ("", f"<code>{escape(described['command'])}</code>"))
            for name, described in self.summary.meta.get("workloads", {}).items()
        ]
        body = table(("", "groups", "package", "command"), rows, left=(1, 2, 3))
        self.add("<h2>What was run</h2>\n" + details("Command lines", body))

    def left_out(self):
        lines = [f"{name}: skipped: {why}" for name, why in self.summary.meta["skipped"].items()]
        lines += [f"{name}: not found on this machine" for name in self.summary.meta["missing"]]
        lines += [
            f"{row['workload']} on {row['allocator']}: {row['status']}: {row['error']}"
            for row in self.summary.failures
        ]
        lines += self.objects.complaints() if self.objects else []
        self.add("<h2>Left out, failed</h2>\n")
        items = "".join(f"<li>{escape(line)}</li>\n" for line in lines)
        self.add(f"<ul>\n{items}</ul>\n" if lines else "<p>Nothing.</p>\n")

    def text(self):
        for section in (self.head, self.reading, self.means, self.goals, self.workloads,
                        self.rss, self.scaling, self.own_figures, self.object_layer,
                        self.commands, self.left_out):
            section()
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>libpymalloc: benchmarks</title>\n<style>{STYLE}</style>\n</head>\n"
            f"<body>\n{''.join(self.parts)}</body>\n</html>\n"
        )
