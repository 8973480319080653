"""Figures, bars and tables for people.  What is unknown (None) is printed as "-"."""

import os
import shutil
import sys

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def size(number):
    """Bytes with a unit, three digits."""
    if number is None:
        return "-"
    value = float(abs(number))
    unit = 0
    while value >= 999.5 and unit < len(_UNITS) - 1:
        value /= 1024
        unit += 1
    whole = unit == 0 or value >= 99.95 or value == int(value)
    digits = 0 if whole else 1 if value >= 9.995 else 2
    sign = "-" if number < 0 else ""
    return f"{sign}{value:.{digits}f} {_UNITS[unit]}"


def count(number):
    return "-" if number is None else f"{number:,}"


def rate(number):
    """A number a second, short."""
    if number is None:
        return "-"
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= limit * 0.9995:
            return f"{number / limit:.1f}{unit}"
    return f"{number:.0f}"


def share(part, whole):
    """part of whole as a number from 0 to 1, or None."""
    if part is None or not whole:
        return None
    return min(max(part / whole, 0.0), 1.0)


def percent(part, whole):
    fraction = share(part, whole)
    if fraction is None:
        return "-"
    if 0 < fraction < 0.01:
        return "<1%"
    # Only what is full is called full.
    return f"{min(round(fraction * 100), 100 if fraction == 1 else 99)}%"


def duration(milliseconds):
    if milliseconds is None:
        return "-"
    seconds = milliseconds // 1000
    if seconds < 60:
        return f"{milliseconds / 1000:.1f} s"
    for unit, name, smaller, smaller_name in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if seconds >= unit:
            return f"{seconds // unit} {name} {seconds % unit // smaller} {smaller_name}"
    return "-"


def signed(number, form):
    if number is None:
        return "-"
    return ("+" if number > 0 else "") + form(number)


def clean(words):
    """On one line, and without what a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in words)


def plural(number, noun):
    return f"{count(number)} {noun}{'' if number == 1 else 's'}"


# ------------------------------------------------------------------------ pictures


def _has_blocks():
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def bar(fraction, width):
    """A bar of so many columns, filled by a fraction; blank if that is unknown."""
    if fraction is None:
        return " " * width
    eighths = round(min(max(fraction, 0.0), 1.0) * width * 8)
    if fraction > 0 and eighths == 0:
        eighths = 1
    full, rest = divmod(eighths, 8)
    if _has_blocks():
        return ("█" * full + ("▏▎▍▌▋▊▉"[rest - 1] if rest else "")).ljust(width)
    return ("#" * (full + (rest >= 4 or (rest > 0 and full == 0)))).ljust(width)


def sparkline(values, width):
    """The last values, each a column from the lowest to the highest of them."""
    values = [v for v in values if v is not None][-width:]
    if not values:
        return ""
    steps = "▁▂▃▄▅▆▇█" if _has_blocks() else "_.-=+*#"
    low, high = min(values), max(values)
    if low == high:
        return steps[0] * len(values)
    return "".join(steps[(v - low) * (len(steps) - 1) // (high - low)] for v in values)


def width(default=100):
    """Columns to fill."""
    return shutil.get_terminal_size((default, 24)).columns or default


def is_terminal(stream):
    try:
        return os.isatty(stream.fileno())
    except (OSError, ValueError):
        return False


def table(head, rows, left=(0,)):
    """Lines of columns, right-aligned but for those in left."""
    cells = [list(head)] + [list(row) for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    lines = []
    for row in cells:
        parts = [
            cell.ljust(widths[i]) if i in left else cell.rjust(widths[i])
            for i, cell in enumerate(row)
        ]
        lines.append("  ".join(parts).rstrip())
    return lines
