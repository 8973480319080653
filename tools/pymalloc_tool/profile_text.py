"""A profile as text: for people, and as lines of collapsed stacks."""

import math

from pymalloc_tool import calltree, stacks, text

_DEPTH = 8
_COMMAND_MOST = 200


def about(profile):
    """When and of what the figures are, and what they rest on."""
    raw = profile.raw
    lines = []
    if profile.is_difference:
        lines.append(_span(raw, profile.base))
        lines += [f"before: {line}" for line in _samples(profile.base)]
    elif raw.about:
        command = " ".join(raw.command())
        more = "..." if len(command) > _COMMAND_MOST else ""
        lines.append(f"{profile.moment}: {command[:_COMMAND_MOST]}{more}")
    if profile.focus is not None:
        lines.append(f"only stacks with a frame that matches {profile.focus}")
    if not profile.stacks and profile.focus is None:
        lines.append("nothing was sampled: to count every block, profile with --interval 1")
    return lines + _samples(raw)


def _span(raw, base):
    """What lies between two profiles."""
    times = raw.number("time_ns"), base.number("time_ns")
    if stacks.is_one_process(raw, base) and None not in times and times[0] > times[1]:
        return f"change within {text.duration((times[0] - times[1]) // 1000000)}"
    return f"change from {base.origin} to {raw.origin}"


def _samples(raw):
    if raw.interval is None:
        return []
    if raw.interval == 1:
        return ["every block is counted"]
    live, all_ = raw.number("samples_live"), raw.number("samples_all")
    words = f"estimated from one sample in {text.size(raw.interval)}"
    if live is not None and all_ is not None:
        words += f": {_counted(live)} of live blocks, {_counted(all_)} in all"
    return [words]


def _counted(samples):
    """With the standard error of a total that rests on so many samples."""
    if not samples:
        return "0"
    error = 100 / math.sqrt(samples)
    return f"{text.count(samples)} (±{error:.{0 if error >= 9.5 else 1}f}%)"


def _name(frame):
    return stacks.short(frame.function)


def _place(frame):
    if frame is None:
        return (calltree.NO_STACK.function, "", "")
    return (_name(frame), stacks.line_of(frame), frame.object)


def _figures(unit, blocks, size, total):
    """Columns: the figure that counts, its share, the other one."""
    value = (blocks, size)[unit]
    share = f"{100 * value / total:.1f}%" if total else "-"
    columns = [text.count(blocks), text.size(size)]
    return (columns[unit], share, columns[1 - unit])


def _signed(unit, blocks, size, total):
    columns = [text.signed(blocks, text.count), text.signed(size, text.size)]
    value = (blocks, size)[unit]
    share = f"{100 * value / total:+.1f}%" if total else "-"
    return (columns[unit], share, columns[1 - unit])


def _table(rows, unit, total, most, form):
    names = ("blocks", "bytes")
    share = "share" if form is _figures else "of before"
    head = (names[unit], share, names[1 - unit], "function", "line", "object")
    shown = [
        form(unit, blocks, size, total) + _place(site) for site, blocks, size in rows[:most]
    ]
    lines = ["  " + line for line in text.table(head, shown, left=(3, 4, 5))]
    if len(rows) > most:
        rest = sum(row[1 + unit] for row in rows[most:])
        value = text.count(rest) if unit == stacks.BLOCKS else text.size(rest)
        places = text.plural(len(rows) - most, "place")
        lines.append(f"  and {value} {'blocks ' if unit == stacks.BLOCKS else ''}in {places} more")
    return lines


def _total_words(blocks, size):
    return f"{text.size(size)} in {text.plural(blocks, 'block')}"


def _section(profile, kind, unit, most):
    rows = stacks.by_site(profile, kind, unit)
    pair = profile.total(kind)
    lines = ["", f"{profile.title(kind)}: {_total_words(*pair)}"]
    return lines + (_table(rows, unit, pair[unit], most, _figures) if rows else [])


def _change_section(profile, kind, unit, most):
    rows = stacks.by_site(profile, kind, unit)
    blocks, size = profile.total(kind)
    words = f"{text.signed(size, text.size)} in {text.signed(blocks, text.count)} blocks"
    lines = ["", f"{kind.title}: {words}"]
    base = profile.base_totals[profile.kinds.index(kind)][unit]
    grown = [row for row in rows if row[1 + unit] > 0]
    shrunk = [row for row in rows if row[1 + unit] < 0][::-1]
    for name, part in (("more", grown), ("less", shrunk)):
        if part:
            lines.append(f"  {name}:")
            lines += ["  " + line for line in _table(part, unit, base, most, _signed)]
    return lines


def summary(profile, kinds, unit, most):
    """The places of allocation that matter most."""
    section = _change_section if profile.is_difference else _section
    lines = [profile.name, *about(profile)]
    for kind in kinds:
        lines += section(profile, kind, unit, most)
    return lines


# -------------------------------------------------------------------------------- leaks


# Growth by less than so many standard errors may be chance.
_ERRORS = 2
# Of a leak all that came stays; what is replaced now and then leaves somewhere else.
_STAYS = 0.9


def _certain(row):
    """The bytes that a row has at least, but for chance."""
    return row.size - _ERRORS * row.error


def _looks_like_a_leak(row):
    return row.came is None or row.size >= _STAYS * row.came


def _grown(rows, unit):
    """Those of a difference that grew, what looks like a leak first, then the most certain
    growth; and those of which that cannot be told."""
    grown = [row for row in rows if row[2 + unit] > 0]
    sure = [row for row in grown if _certain(row) > 0]
    if unit == stacks.BYTES:
        sure.sort(key=lambda row: (_looks_like_a_leak(row), _certain(row)), reverse=True)
    return sure, [row for row in grown if _certain(row) <= 0]


def _stack_lines(number, row, total, unit):
    share = f"{100 * row[2 + unit] / total:.1f}%" if total else "-"
    error = f", ± {text.size(round(row.error))}" if row.error >= 1 else ""
    kept = f", {text.percent(row.size, row.came)} of what came" if row.came else ""
    lines = ["", f"{number}. {_total_words(row.blocks, row.size)} ({share}{error}{kept})"]
    cells = [_place(frame) for frame in row.frames] or [_place(None)]
    lines += ["     " + line for line in _aligned(cells)]
    if row.more:
        lines.append(f"     ... {text.plural(row.more, 'frame')} more")
    return lines


def leaks(profile, kind, unit, most, depth):
    """What was not freed, with the stacks that it came from, biggest first."""
    rows = stacks.by_stack(profile, kind, unit, depth or _DEPTH)
    doubtful = []
    if profile.is_difference:
        rows, doubtful = _grown(rows, unit)
    blocks = sum(row.blocks for row in rows)
    size = sum(row.size for row in rows)
    what = "More live than before" if profile.is_difference else profile.title(kind)
    lines = [profile.name, *about(profile)]
    sums = f"{_total_words(blocks, size)}, from {text.plural(len(rows), 'stack')}"
    lines += ["", f"{what}: {sums if rows else 'nothing'}"]
    for number, row in enumerate(rows[:most], 1):
        lines += _stack_lines(number, row, (blocks, size)[unit], unit)
    if len(rows) > most:
        rest = sum(row.size for row in rows[most:])
        lines += ["", f"and {text.size(rest)} from {text.plural(len(rows) - most, 'stack')} more"]
    if doubtful:
        places = text.plural(len(doubtful), "stack")
        lines += ["", f"growth of {places} is within {_ERRORS} standard errors, and left out"]
    return lines


def _aligned(cells):
    widths = [max(len(row[i]) for row in cells) for i in range(2)]
    return [
        f"{name.ljust(widths[0])}  {line.ljust(widths[1])}  {file}".rstrip()
        for name, line, file in cells
    ]


# ---------------------------------------------------------------------------- collapsed


def _folded_name(frame):
    return text.clean(frame.function).replace(";", ":")


def collapsed(profile, kind, unit, depth):
    """A line for each stack: the functions, the outermost first, and the figure; of a
    difference the figures before and after, as differential flame graphs have them."""
    at = profile.kinds.index(kind)
    sums = {}
    for stack in profile.stacks:
        frames = calltree.outermost_first(stack)
        names = ";".join(_folded_name(frame) for frame in frames[:depth])
        before = stack.base[at][unit] if stack.base else 0
        pair = sums.setdefault(names, [0, 0])
        pair[0] += before
        pair[1] += before + stack.figures[at][unit]
    if profile.is_difference:
        return [f"{names} {a} {b}" for names, (a, b) in sorted(sums.items()) if a != b]
    return [f"{names} {value}" for names, (_, value) in sorted(sums.items()) if value]
