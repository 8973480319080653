"""pymalloc map: every pool of a heap, drawn as one HTML page that needs nothing else."""

import collections
import html
import json
import os
import sys

from pymalloc_tool import census, errors, figures, map_page, picture, snapshot, text
from pymalloc_tool.snapshot import DIRTY, NEVER, PURGED, USED
from pymalloc_tool.text import count, percent, size

# Beyond so many arenas a cell stands for an arena and not for a pool: the page must stay
# one that a browser opens at once.
_ARENAS_DRAWN = 8192
_ARENAS_IN_ROW = 32

_WIDTH = 900
_HEIGHT = 640
_CELL_LEAST, _CELL_MOST = 5, 16
_GAP = 10
_HEAD = 16
_HEAPS_LISTED = 40

_STATE_NAMES = {
    DIRTY: "free, memory still there (dirty)",
    PURGED: "free, memory given back (purged)",
    NEVER: "never used",
}


def _parser():
    parser = errors.Parser(
        "map",
        "[-o FILE.html] PID|FILE",
        "Draws every pool of a heap as an HTML page: size classes by colour, how full they\n"
        "are by lightness, free ones by texture, heaps on demand, and memory over time.",
    )
    parser.add_argument("source", metavar="PID|FILE")
    parser.add_argument(
        "-o", "--output", metavar="FILE",
        help='the page [pymalloc-map.PID.html in the current folder]; "-": standard output',
    )
    return parser


# --------------------------------------------------------------------------- the cells


class Grid:
    """Where the cells are: rows of cells, stacked in columns from left to right."""

    def __init__(self, rows, cells_in_row):
        self.rows = rows
        self.cells_in_row = cells_in_row
        for self.cell in range(_CELL_MOST, _CELL_LEAST - 1, -1):
            self.row_width = cells_in_row * self.cell + _GAP
            columns = max((_WIDTH + _GAP) // self.row_width, 1)
            # One column, unless it gets long.
            self.in_column = max(-(-rows // columns), min(rows, 24), 1)
            if self.in_column * self.cell <= _HEIGHT:
                break
        self.columns = max(-(-rows // self.in_column), 1)
        self.width = max(self.columns * self.row_width - _GAP, 300)
        self.height = _HEAD + self.in_column * self.cell
        # What is left between cells.
        self.side = self.cell - 1

    def place(self, index):
        row, at = divmod(index, self.cells_in_row)
        column, down = divmod(row, self.in_column)
        return column * self.row_width + at * self.cell, _HEAD + down * self.cell


def _arena_cell(one):
    """A whole arena as if it were a pool: of the class and the heap that have the most in
    it, with bytes for blocks."""
    if not one.used:
        state = DIRTY if one.dirty else PURGED if one.purged else NEVER
        return snapshot.FREE_POOLS[state]
    sizes = collections.Counter(pool.size for pool in one.used).most_common(1)
    heaps = collections.Counter(pool.heap for pool in one.used).most_common(1)
    return snapshot.Pool(
        USED, sizes[0][0], min(one.live_bytes, one.held_bytes), one.held_bytes, heaps[0][0]
    )


class Map:
    """The cells of a snapshot, with their places and colours."""

    def __init__(self, snap):
        self.by_arena = len(snap.arenas) > _ARENAS_DRAWN
        self.addresses = [arena.address for arena in snap.arenas]
        if self.by_arena:
            self.in_row = _ARENAS_IN_ROW
            self.cells = [
                _arena_cell(census.ArenaCount(arena, snap.pool_size)) for arena in snap.arenas
            ]
        else:
            self.in_row = max((len(arena.pools) for arena in snap.arenas), default=1)
            self.cells = [pool for arena in snap.arenas for pool in self._row(arena)]
        self.grid = Grid(-(-len(self.cells) // self.in_row), self.in_row)

    def _row(self, arena):
        missing = self.in_row - len(arena.pools)
        return arena.pools + [snapshot.FREE_POOLS[NEVER]] * missing

    def _groups(self):
        """Places of cells that look the same, by (state, class, step)."""
        groups = collections.defaultdict(list)
        for i, pool in enumerate(self.cells):
            shade = picture.step(pool.live, pool.capacity) if pool.state == USED else 0
            groups[pool.state, pool.size, shade].append(self.grid.place(i))
        return groups

    def _path(self, key, places, palette):
        state, one, shade = key
        if state == USED:
            fill = palette[one][shade]
            unit = "arenas, mostly" if self.by_arena else "pools"
            title = f"{len(places)} {unit} of class {one}, {picture.step_name(shade)} full"
            marks = f'data-class="{one}" data-step="{shade}"'
        else:
            fill = {
                DIRTY: picture.DIRTY_FILL, PURGED: picture.PURGED_FILL, NEVER: picture.NEVER_FILL
            }[state]
            title = f"{len(places)} {_STATE_NAMES[state]}"
            marks = f'data-state="{state}"'
        path = picture.cells(places, self.grid.side)
        return f'<path {marks} fill="{fill}" d="{path}"><title>{title}</title></path>'

    def _heads(self):
        """The distance of each column from the start, over it."""
        grid = self.grid
        for column in range(grid.columns if self.cells else 0):
            index = column * grid.in_column * (self.in_row if self.by_arena else 1)
            distance = self.addresses[index] - self.addresses[0]
            words = f"0x{self.addresses[0]:x}" if column == 0 and grid.row_width > 90 else (
                f"+{size(distance)}"
            )
            yield f'<text x="{column * grid.row_width}" y="11">{words}</text>'

    def svg(self, palette, label):
        groups = self._groups()
        paths = [self._path(key, groups[key], palette) for key in sorted(groups)]
        grid = self.grid
        return (
            f'<svg id="map" viewBox="0 0 {grid.width} {grid.height}" role="img" tabindex="0" '
            f'style="max-width:{round(grid.width * 1.25)}px" '
            f'aria-label="{html.escape(label)}"><defs>{picture.TEXTURES}</defs>'
            + "".join(self._heads()) + "\n".join(paths)
            + '<path id="veil"/><path id="mark"/></svg>'
        )

    def data(self, pool_size):
        """What the page's script needs to tell about a cell."""
        fields = []
        for pool in self.cells:
            if pool.state == USED:
                fields.append(f"{pool.size}.{pool.live}.{pool.capacity}.{pool.heap}")
            else:
                fields.append("nudp"[pool.state])
        grid = self.grid
        return {
            "byArena": self.by_arena,
            "inRow": self.in_row,
            "inColumn": grid.in_column,
            "rowWidth": grid.row_width,
            "cell": grid.cell,
            "side": grid.side,
            "head": _HEAD,
            "poolSize": pool_size,
            # Numbers of 64 bits are more than a script's can be.
            "addresses": [f"{address:x}" for address in self.addresses],
            "cells": " ".join(fields),
        }


# ------------------------------------------------------------------- what is around it


def _ranks(counted):
    """Size classes by the bytes that they hold: the first get a hue of their own."""
    order = sorted(counted.by_class, key=lambda one: (-counted.by_class[one].pools, one))
    return {one: rank for rank, one in enumerate(order)}


def _tiles(snap, counted):
    n = snap.number
    group = counted.everything
    held = counted.bytes(group.pools)
    yield "resident", size(n("process", "rss_bytes")), "of the whole process"
    yield "live", size(group.live_bytes), f"{count(group.live_blocks)} small blocks"
    yield "held", size(held), f"{count(group.pools)} pools, {percent(group.live_bytes, held)} full"
    yield "below 10% full", size(counted.bytes(group.nearly_empty)), (
        f"{count(group.nearly_empty)} pools"
    )
    yield "free, dirty", size(counted.bytes(counted.states[DIRTY])), "goes back after a while"
    yield "could go back", size(counted.bytes(group.spare)), "if each heap's blocks were packed"
    yield "arenas", count(len(snap.arenas)), f"of {size(snap.arena_size)}"


def _class_rows(counted, ranks, palette):
    for one, rank in sorted(ranks.items(), key=lambda item: item[1]):
        group = counted.by_class[one]
        held = counted.bytes(group.pools)
        swatch = picture.swatch(palette[one][-1], f"class {one}")
        yield map_page.row(
            "class", one, swatch, f"class {one}", size(held), percent(group.live_bytes, held),
            size(counted.bytes(group.nearly_empty)) if group.nearly_empty else "",
        )
        if rank == picture.HUES - 1 and len(ranks) > picture.HUES:
            yield map_page.divider("the others, in grey")


def _heap_rows(counted):
    order = sorted(counted.by_heap, key=lambda heap: (-counted.by_heap[heap].pools, heap))
    for heap in order[:_HEAPS_LISTED]:
        group = counted.by_heap[heap]
        held = counted.bytes(group.pools)
        yield map_page.row(
            "heap", heap, "", f"heap {heap}" if heap else "no heap", size(held),
            percent(group.live_bytes, held),
            size(counted.bytes(group.nearly_empty)) if group.nearly_empty else "",
        )
    if len(order) > _HEAPS_LISTED:
        yield map_page.divider(f"and {len(order) - _HEAPS_LISTED} smaller ones")


def _scale():
    """The legend of lightness and texture."""
    ramp = picture.colours(0)
    steps = [
        picture.swatch(colour, picture.step_name(i)) + f"{picture.STEPS[i]:.0%}"
        for i, colour in enumerate(ramp)
    ]
    return "".join(f"<span>{words}</span>" for words in ["blocks in use, from", *steps])


def _states(counted):
    for state, fill in (
        (DIRTY, picture.DIRTY_FILL), (PURGED, picture.PURGED_FILL), (NEVER, picture.NEVER_FILL)
    ):
        name = _STATE_NAMES[state]
        yield f"<span>{picture.swatch(fill, name)}{name}: {count(counted.states[state])}</span>"


def _chart(snap):
    n = snap.number
    rows = [(m.uptime_ms, m.rss, m.held, m.live) for m in snap.history]
    now = (
        snap.uptime_ms, n("process", "rss_bytes"), n("small", "held_bytes"),
        n("small", "live_bytes"),
    )
    if rows and None not in now and now[0] > rows[-1][0]:
        rows.append(now)
    if len(rows) < 2:
        return "<p>No history: only a process that serves snapshots keeps one.</p>"
    lines = (
        ("resident", "#333333", ""),
        ("held", picture.oklch(0.5, 0.15, 258), "7 4"),
        ("live", picture.oklch(0.6, 0.15, 50), "2 3"),
    )
    return picture.Chart(rows, lines).svg("Memory over the time since the start")


def _resident(snap):
    rss = snap.number("process", "rss_bytes")
    for part in figures.resident_parts(snap):
        yield map_page.bar_row(part.name, size(part.bytes), text.share(part.bytes, rss))


def page(snap):
    """The whole page, as text."""
    counted = census.Census(snap)
    ranks = _ranks(counted)
    palette = {one: picture.colours(rank) for one, rank in ranks.items()}
    drawing = Map(snap)
    group = counted.everything
    label = (
        f"Map of {text.plural(len(snap.arenas), 'arena')}: {text.plural(group.pools, 'pool')} "
        f"in use, {percent(group.live_bytes, counted.bytes(group.pools))} full; "
        f"{counted.states[DIRTY]} free and dirty, {counted.states[PURGED]} given back, "
        f"{counted.states[NEVER]} never used. The tables give the figures; arrow keys move "
        "from cell to cell."
    )
    subtitle = f"libpymalloc {snap.version or '-'} {snap.library or ''}"
    if snap.uptime_ms is not None:
        subtitle += f", up {text.duration(snap.uptime_ms)}"
    unit = "an arena" if drawing.by_arena else "a pool"
    row = f"{drawing.in_row} arenas" if drawing.by_arena else "an arena"
    return map_page.PAGE.substitute(
        title=html.escape(snap.title),
        subtitle=html.escape(subtitle),
        tiles="".join(map_page.tile(*one) for one in _tiles(snap, counted)),
        chart=_chart(snap),
        resident="".join(_resident(snap)),
        unit=f"A cell is {unit}, a row {row}; rows go down by address, then right.",
        scale=_scale(),
        states="".join(_states(counted)),
        map=drawing.svg(palette, label),
        classes="".join(_class_rows(counted, ranks, palette)),
        heaps="".join(_heap_rows(counted)),
        # Numbers alone: nothing in it could end the element that it stands in.
        data=json.dumps(drawing.data(snap.pool_size), separators=(",", ":")),
    )


def main(arguments):
    options = _parser().parse_args(arguments)
    snap = snapshot.load_map(options.source)
    content = page(snap)
    if options.output == "-":
        sys.stdout.write(content)
        return 0
    pid = snap.number("pid")
    name = options.output or f"pymalloc-map.{'x' if pid is None else pid}.html"
    try:
        with open(name, "w", encoding="utf-8") as file:
            file.write(content)
    except OSError as error:
        raise errors.os_error(error, name) from None
    print(f"{name}: {size(os.path.getsize(name))}, {text.plural(len(snap.arenas), 'arena')}")
    return 0
