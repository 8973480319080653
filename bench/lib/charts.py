"""Charts as SVG, drawn by gnuplot.

Every function returns the text of an SVG element, or of a file when it is told so by
`alone`; None if there is nothing to draw.
"""
import html
import math
import re
import shutil
import subprocess

from .allocators import OURS

# Colours that people with any colour vision tell apart; ours is the strong one.
COLOURS = {
    "glibc": "#8a8a8a",
    "jemalloc": "#1b5fa8",
    "mimalloc": "#e6a10f",
    "tcmalloc": "#2f8f5b",
    "tbb": "#8d6bb8",
    "scudo": "#9c6b4e",
    "cpython-builtin": "#3aa6c9",
    OURS: "#d1202f",
}
OTHERS = ("#c9579b", "#5c7f1e", "#4a4ad1", "#00807a")
INK, GRID, SOFT = "#222222", "#e4e4e4", "#777777"
FONT = "Helvetica"
FAMILY = 'font-family="Helvetica, Arial, sans-serif"'
WIDTH = 860


class Failed(Exception):
    pass


def colours(allocators):
    """A colour for each; those that are not known beforehand get one of OTHERS."""
    spare = iter(OTHERS * 4)
    return {name: COLOURS.get(name) or next(spare) for name in allocators}


def draw(script, title, width, height, alone):
    """Runs gnuplot; the title is for those who cannot see the picture."""
    if shutil.which("gnuplot") is None:
        raise Failed("gnuplot is not installed")
    head = (
        f'set terminal svg size {width},{height} dynamic background "#ffffff" '
        f'font "{FONT},13" noenhanced\n'
        f'set border 0 lc rgb "{SOFT}"\nset tics nomirror scale 0 textcolor rgb "{INK}"\n'
        f'set grid x lc rgb "{GRID}" lw 1 lt 1\nset key off\n'
    )
    done = subprocess.run(
        ["gnuplot"], input=head + script, capture_output=True, text=True, check=False
    )
    if done.returncode != 0 or "<svg" not in done.stdout:
        raise Failed(f"gnuplot: {done.stderr.strip()}")
    svg = done.stdout
    svg = re.sub(r"<title>.*?</title>", f"<title>{html.escape(title)}</title>", svg, flags=re.S)
    svg = re.sub(r"<desc>.*?</desc>\s*", "", svg, flags=re.S)
    svg = re.sub(f'font-family="{FONT}"', FAMILY, svg)
    svg = re.sub(f'font-family="{FONT}:Bold"', f'{FAMILY} font-weight="bold"', svg)
    return svg if alone else svg[svg.index("<svg") :]


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def block(name, rows):
    """A gnuplot data block."""
    lines = [" ".join(str(value) for value in row) for row in rows]
    return f"${name} << EOD\n" + "\n".join(lines) + "\nEOD\n"


# Marks for axes that span less than so many times their start, the finest first.
MARKS = (
    (1.9, (0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.8)),
    (4, (0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1, 1.2, 1.5, 2, 2.5, 3, 4)),
    (40, (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.4, 2, 3, 5, 10, 20)),
    (math.inf, (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500)),
)


def ratio_axis(values, least=(0.87, 1.15)):
    """Range and marks of a logarithmic axis for ratios, with some air on both sides."""
    low = min([*values, least[0]]) / 1.04
    high = max([*values, least[1]]) * 1.04
    marks = next(marks for span, marks in MARKS if high / low < span)
    inside = [mark for mark in marks if low <= mark <= high]
    ticks = ", ".join(f'"{mark:g}" {mark}' for mark in inside)
    return (
        f"set logscale x 2\nset xrange [{low}:{high}]\nset xtics ({ticks})\n"
        f'set arrow from 1, graph 0 to 1, graph 1 nohead lc rgb "{SOFT}" lw 1.4 back\n'
    )


def rows_axis(labels, bands):
    """Names of rows, the first at the top; a soft band behind every other row."""
    count = len(labels)
    names = ", ".join(f"{quoted(label)} {count - 1 - i}" for i, label in enumerate(labels))
    script = f"set yrange [-0.6:{count - 0.4}]\nset ytics ({names})\n"
    for i in range(0, count if bands else 0, 2):
        y = count - 1 - i
        script += (
            f"set object rectangle from graph 0, first {y - 0.5} to graph 1, "
            f'first {y + 0.5} fc rgb "#f6f6f6" fs solid noborder behind\n'
        )
    return script


def finite(estimate):
    """Low and high to be drawn: no interval is drawn as one without length."""
    if estimate.high == math.inf:
        return estimate.value, estimate.value
    return estimate.low, estimate.high


def legend(names, palette, height):
    """A row of coloured names at the top of a chart."""
    script = ""
    x = 24.0
    for name in names:
        script += (
            f"set label {quoted(name)} at screen {x / WIDTH:.4f}, "
            f"screen {1 - 18 / height:.4f} offset 0.6,-0.25 left "
            f'textcolor rgb "{INK}" point pt 7 ps 0.8 lc rgb "{palette[name]}"\n'
        )
        x += 36 + 7.4 * len(name)
    return script


# ------------------------------------------------------------------- ratios by workload


def by_workload(summary, workloads, metric, title, alone=False):
    """A row for each workload, in it a dot with its interval for each allocator."""
    names = [a for a in summary.allocators if a != summary.baseline]
    rows = [w for w in workloads if any(a in summary.cells.get(w, {}) for a in names)]
    if not rows:
        return None
    palette = colours(summary.allocators)
    names = [a for a in names if any(a in summary.cells[w] for w in rows)]
    step = 0.76 / max(len(names), 2)
    script, values, plots = "", [], []
    for index, name in enumerate(names):
        points = []
        for i, workload in enumerate(rows):
            cell = summary.cells[workload].get(name)
            ratio = cell.ratio[metric] if cell else None
            if ratio is not None:
                low, high = finite(ratio)
                y = len(rows) - 1 - i + 0.38 - step * (index + 0.5)
                points.append((ratio.value, y, low, high))
                values += [ratio.value, low, high]
        if points:
            script += block(f"d{index}", points)
            size = 0.62 if name == OURS else 0.46
            colour = f'lc rgb "{palette[name]}"'
            plots.append(f"$d{index} using 1:2:3:4 with xerrorbars pt 0 ps 0 lw 1.2 {colour}")
            plots.append(f"$d{index} using 1:2 with points pt 7 ps {size} {colour}")
    if not plots:
        return None
    height = 94 + len(rows) * (10 + 4 * len(names))
    script += ratio_axis(values) + rows_axis(rows, bands=True)
    script += f"set lmargin at screen {130 / WIDTH:.4f}\nset rmargin at screen 0.985\n"
    script += f"set tmargin at screen {1 - 36 / height:.4f}\n"
    script += f"set bmargin at screen {54 / height:.4f}\n"
    script += f'set xlabel {quoted(title)} textcolor rgb "{INK}" offset 0,0.3\n'
    script += "set bars 0\n" + legend(names, palette, height)
    script += "plot " + ", ".join(plots) + "\n"
    return draw(script, title, WIDTH, height, alone)


# ----------------------------------------------------------------------- geometric means


def panel(summary, group, metric, names, palette):
    """Script of one panel of means(): its data, its plots and all values in it."""
    script, plots, values, labels = "", [], [], []
    for i, name in enumerate(names):
        mean = summary.mean(group, name, metric)
        if mean is None:
            continue
        y = len(names) - 1 - i
        colour = f'lc rgb "{palette[name]}"'
        dots = []
        for workload in summary.groups()[group]:
            cell = summary.cells.get(workload, {}).get(name)
            if cell and cell.ratio[metric]:
                dots.append((cell.ratio[metric].value, y))
        values += [x for x, _ in dots]
        tag = re.sub(r"\W", "_", f"{group}_{metric}_{i}")
        if dots and name != summary.baseline:
            faint = f'lc rgb "#b0{palette[name][1:]}"'
            script += block(f"w{tag}", dots)
            plots.append(f"$w{tag} using 1:2 with points pt 7 ps 0.42 {faint}")
        low, high = finite(mean)
        script += block(f"m{tag}", [(mean.value, y, low, high)])
        plots.append(f"$m{tag} using 1:2:3:4 with xerrorbars pt 0 ps 0 lw 2.4 {colour}")
        plots.append(f"$m{tag} using 1:2 with points pt 13 ps 1.25 {colour}")
        font = f'{FONT}{":Bold" if name == OURS else ""},12'
        labels.append(
            f'set label "{mean.value:.2f}" at graph 1.02, first {y} left '
            f'font "{font}" textcolor rgb "{palette[name]}"\n'
        )
    return script, plots, values, labels


def means(summary, groups, metric, title, footer, alone=False):
    """A panel for each group: a diamond with its interval for an allocator's geometric
    mean, and a faint dot for each workload in it."""
    groups = [(g, text) for g, text in groups if g in summary.groups()]
    names = [
        a for a in summary.allocators
        if any(summary.mean(g, a, metric) is not None for g, _ in groups)
    ]
    if not groups or not names:
        return None
    palette = colours(summary.allocators)
    height = 128 + 27 * len(names)
    left, gap, right = 112, 74, 52
    each = (WIDTH - left - right - gap * (len(groups) - 1)) / len(groups)
    script = f"set multiplot\nset bars 0\nset tmargin at screen {1 - 66 / height:.4f}\n"
    script += f"set bmargin at screen {56 / height:.4f}\n"
    script += (
        f'set label 900 {quoted(title)} at screen {14 / WIDTH:.4f}, screen 1 offset 0,-1.2 '
        f'left font "{FONT}:Bold,16" textcolor rgb "{INK}"\n'
        f'set label 901 {quoted(footer)} at screen {14 / WIDTH:.4f}, screen 0 offset 0,0.9 '
        f'left font "{FONT},11" textcolor rgb "{SOFT}"\n'
    )
    panels = [panel(summary, group, metric, names, palette) for group, _ in groups]
    for number, ((_, text), (data, plots, values, labels)) in enumerate(zip(groups, panels)):
        start = (left + number * (each + gap)) / WIDTH
        script += data + "unset label 902\nunset object\nunset arrow\n"
        script += ratio_axis(values) + rows_axis(names, bands=True)
        if number > 0:
            script += 'set ytics format ""\nset ytics ("" 0)\n'
        script += f"set lmargin at screen {start:.4f}\n"
        script += f"set rmargin at screen {start + each / WIDTH:.4f}\n"
        script += (
            f"set label 902 {quoted(text)} at graph 0, graph 1 offset 0,0.9 left "
            f'font "{FONT},13" textcolor rgb "{INK}"\n'
        )
        script += "".join(labels)
        script += "plot " + ", ".join(plots) + "\n"
        script += "".join(f"unset label {i + 1}\n" for i in range(len(labels)))
        script += "unset label 900\nunset label 901\n"
    return draw(script + "unset multiplot\n", title, WIDTH, height, alone)


# --------------------------------------------------------------------------------- lines


def lines(series, order, title, xlabel, ylabel, options="", marks=False, height=330):
    """series: {allocator: [(x, y), ...]}"""
    names = [name for name in order if series.get(name)]
    if not names:
        return None
    palette = colours(order)
    script = "".join(block(f"s{i}", sorted(series[n])) for i, n in enumerate(names))
    style = "linespoints pt 7 ps 0.6" if marks else "lines"
    plots = [
        f"$s{i} using 1:2 with {style} lw {2.8 if n == OURS else 1.6} "
        f'lc rgb "{palette[n]}"'
        for i, n in enumerate(names)
    ]
    script += (
        f'set grid y lc rgb "{GRID}" lw 1 lt 1\nset yrange [0:*]\n'
        f"set tmargin at screen {1 - 40 / height:.4f}\nset lmargin at screen 0.09\n"
        f"set rmargin at screen 0.985\n{options}\n"
        f'set xlabel {quoted(xlabel)} textcolor rgb "{INK}"\n'
        f'set ylabel {quoted(ylabel)} textcolor rgb "{INK}"\n'
    )
    script += legend(names, palette, height) + "plot " + ", ".join(plots) + "\n"
    return draw(script, title, WIDTH, height, False)


def rss_over_time(samples, order, workload):
    series = {
        name: [(ms / 1000, kb / 1024) for ms, kb in points]
        for name, points in samples.items()
    }
    return lines(series, order, f"{workload}: resident memory", "seconds", "MiB")


def scaling(points, order, name):
    """points: {allocator: {threads: operations per second}}"""
    series = {a: [(t, y / 1e6) for t, y in by.items()] for a, by in points.items()}
    threads = sorted({t for by in points.values() for t in by})
    ticks = ", ".join(f'"{t}" {t}' for t in threads)
    edges = f"[{0.94 * threads[0]}:{1.06 * threads[-1]}]"
    options = f"set logscale x 2\nset xrange {edges}\nset xtics ({ticks})"
    title = f"{name}: throughput by number of threads"
    return lines(series, order, title, "threads", "million operations per second", options,
                 marks=True)
