"""Pieces of SVG: colours, the cells of the map, a chart of memory over time.

Colour carries three things that stay apart for colour-blind eyes: a hue names a class,
but only the eight classes that hold the most have one; lightness tells how full a pool
is, on the same scale for every hue; and free pools are told by texture.
"""

import html
import itertools
import math

from pymalloc_tool import text

# In OKLCH degrees; neighbours in rank are far apart, also for the colour-blind.
_HUES = (258, 65, 160, 345, 105, 215, 25, 300)
HUES = len(_HUES)
_CHROMA = 0.15
_OTHER_CHROMA = 0.02

# The least share of blocks in use for each step of lightness.
STEPS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9)
_LIGHTNESS = (0.93, 0.86, 0.78, 0.70, 0.61, 0.52)


def _linear_from_oklch(lightness, chroma, degrees):
    a = chroma * math.cos(math.radians(degrees))
    b = chroma * math.sin(math.radians(degrees))
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )


def oklch(lightness, chroma, degrees):
    """#rrggbb; with as much of the chroma as a screen can show."""
    while True:
        linear = _linear_from_oklch(lightness, chroma, degrees)
        if chroma <= 0 or all(-0.0005 <= part <= 1.0005 for part in linear):
            break
        chroma -= 0.005
    codes = []
    for part in linear:
        part = min(max(part, 0.0), 1.0)
        part = 12.92 * part if part <= 0.0031308 else 1.055 * part ** (1 / 2.4) - 0.055
        codes.append(round(part * 255))
    return "#%02x%02x%02x" % tuple(codes)


def step(live, capacity):
    """The index of STEPS for a pool."""
    share = live / capacity
    return max(i for i, least in enumerate(STEPS) if share >= least)


def step_name(index):
    if index == len(STEPS) - 1:
        return f"{STEPS[index]:.0%} and more"
    return f"{STEPS[index]:.0%} to {STEPS[index + 1]:.0%}"


def colours(rank):
    """The six colours of the class of a rank, from nearly empty to full."""
    if rank >= HUES:
        return [oklch(light, _OTHER_CHROMA, 258) for light in _LIGHTNESS]
    # The palest step needs some colour to be told from a page.
    return [
        oklch(light, _CHROMA * (0.6 if i == 0 else 1.0), _HUES[rank])
        for i, light in enumerate(_LIGHTNESS)
    ]


TEXTURES = """\
<pattern id="dirty" width="4" height="4" patternUnits="userSpaceOnUse">\
<rect width="4" height="4" fill="#fff"/>\
<path d="M-1,1l2,-2M0,4l4,-4M3,5l2,-2" stroke="#222" stroke-width="1.1"/></pattern>
<pattern id="purged" width="3" height="3" patternUnits="userSpaceOnUse">\
<rect width="3" height="3" fill="#fff"/><rect width="1" height="1" fill="#999"/></pattern>
"""
DIRTY_FILL, PURGED_FILL, NEVER_FILL = "url(#dirty)", "url(#purged)", "#f3f3f1"


def cells(places, side):
    """One path of squares at places (x, y)."""
    square = f"h{side}v{side}h-{side}z"
    return "".join(f"M{x},{y}{square}" for x, y in places)


def swatch(fill, title):
    """A cell for a legend."""
    return (
        f'<svg class="swatch" viewBox="0 0 14 14" aria-hidden="true"><title>'
        f'{html.escape(title)}</title><rect width="14" height="14" fill="{fill}" '
        'stroke="#888" stroke-width=".5"/></svg>'
    )


# ------------------------------------------------------------------------- the chart

_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 130, 12, 30


def _ticks(most, count, steps):
    """Round numbers from 0 up to most, not more than count."""
    unit = next(unit for unit in steps() if most / unit <= count)
    return [unit * i for i in range(int(most // unit) + 1)]


def _byte_steps():
    return (1 << power for power in itertools.count())


def _time_steps():
    for seconds in (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 43200):
        yield seconds
    days = 1
    while True:
        yield days * 86400
        days *= 2


def _time_name(seconds):
    for unit, name in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit and seconds % unit == 0:
            return f"{seconds // unit} {name}"
    if seconds >= 60:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds} s"


class Chart:
    """Lines over time.  rows: (milliseconds, value, value, ...); lines: (name, colour,
    dashes) for each value."""

    def __init__(self, rows, lines, width=1180, height=230):
        self._rows, self._lines = rows, lines
        self._width, self._height = width, height
        self._start = rows[0][0]
        self._span = max(rows[-1][0] - self._start, 1)
        self._most = max(max(row[1:]) for row in rows) or 1

    def _x(self, milliseconds):
        room = self._width - _LEFT - _RIGHT
        return round(_LEFT + (milliseconds - self._start) / self._span * room, 1)

    def _y(self, value):
        room = self._height - _TOP - _BOTTOM
        return round(_TOP + (1 - value / (self._most * 1.04)) * room, 1)

    def _axes(self):
        right = self._width - _RIGHT
        for value in _ticks(self._most * 1.04, 5, _byte_steps):
            y = self._y(value)
            yield f'<path class="grid" d="M{_LEFT},{y}H{right}"/>'
            yield f'<text x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{text.size(value)}</text>'
        bottom = self._height - _BOTTOM
        first = self._start / 1000
        for seconds in _ticks(first + self._span / 1000, 10, self._time_steps):
            if seconds >= first:
                x = self._x(seconds * 1000)
                yield f'<path class="axis" d="M{x},{bottom}v5"/>'
                yield (
                    f'<text x="{x}" y="{bottom + 19}" text-anchor="middle">'
                    f"{_time_name(seconds)}</text>"
                )
        yield f'<path class="axis" d="M{_LEFT},{bottom}H{right}"/>'

    def _time_steps(self):
        # A tenth of what is shown, though the program may be older.
        least = self._span / 1000 / 10
        return (seconds for seconds in _time_steps() if seconds >= least)

    def _label_places(self):
        """Where the names at the right end go: at their lines, but not over each other."""
        order = sorted(range(len(self._lines)), key=lambda i: self._y(self._rows[-1][i + 1]))
        places = {}
        lowest = _TOP + 4.0
        for i in order:
            places[i] = max(self._y(self._rows[-1][i + 1]) + 4, lowest)
            lowest = places[i] + 14
        beyond = max(0.0, lowest - 14 - (self._height - _BOTTOM + 4))
        return {i: round(y - beyond, 1) for i, y in places.items()}

    def _curves(self):
        places = self._label_places()
        for i, (name, colour, dashes) in enumerate(self._lines):
            points = " ".join(f"{self._x(row[0])},{self._y(row[i + 1])}" for row in self._rows)
            last = self._rows[-1][i + 1]
            yield (
                f'<polyline points="{points}" fill="none" stroke="{colour}" '
                f'stroke-width="2" stroke-dasharray="{dashes}"/>'
                f'<text class="name" x="{self._width - _RIGHT + 8}" y="{places[i]}" '
                f'style="fill:{colour}">{html.escape(name)} {text.size(last)}</text>'
            )

    def _words(self):
        parts = []
        for i, (name, _, _) in enumerate(self._lines):
            values = [row[i + 1] for row in self._rows]
            parts.append(
                f"{name}: {text.size(values[0])} at first, {text.size(max(values))} at most, "
                f"{text.size(values[-1])} at last"
            )
        return "; ".join(parts)

    def svg(self, label):
        words = html.escape(f"{label}. {self._words()}")
        return (
            f'<svg class="chart" viewBox="0 0 {self._width} {self._height}" role="img" '
            f'aria-label="{words}">' + "".join(self._axes()) + "".join(self._curves()) + "</svg>"
        )
