"""Draws a flame graph, from the root at the top downwards, as a picture in SVG.

The width of a box is what was allocated there and in all that it called.  A colour stands
for an object file; its shade only keeps neighbours apart.
"""

import collections
import html
import zlib

from pymalloc_tool import picture, stacks, text

WIDTH = 1200
ROW = 18
FONT = 'font-family="monospace" font-size="11"'
_LETTER = 6.7
# A box that is narrower is not drawn, nor rows that have only boxes narrower than this
# part of the picture.
_NARROWEST = 0.8
_NARROW_ROW = 0.01

# In OKLCH degrees; neighbours in rank are far apart, also for the colour-blind.
_HUES = (65, 258, 160, 345, 105, 215, 25, 300)
_LIGHTNESS = (0.80, 0.84, 0.88)
_CHROMA = 0.085
GREY = "#d9d9d6"

Box = collections.namedtuple("Box", "node left width")


class Colours:
    """The object files that take most of the picture have hues of their own."""

    def __init__(self, nodes, at):
        sums = collections.Counter()
        for node in nodes:
            sums[node.frame.object] += node.values[at]
        del sums[""]
        # The same order every time, also of equals.
        ranked = sorted(sums, key=lambda name: (-sums[name], name))[: len(_HUES)]
        self._shades = {
            name: [picture.oklch(light, _CHROMA, hue) for light in _LIGHTNESS]
            for name, hue in zip(ranked, _HUES)
        }

    def of(self, frame):
        shades = self._shades.get(frame.object)
        if shades is None:
            return GREY
        return shades[zlib.crc32(frame.function.encode(errors="replace")) % len(shades)]

    def legend(self):
        return [(shades[1], name) for name, shades in self._shades.items()]


def boxes(nodes, at, width):
    """The boxes of a quantity that can be seen.  A box begins where its parent does, or
    where the one before it ends."""
    total = nodes[0].values[at]
    scale = width / total if total else 0
    ends = {}
    found = []
    for node in nodes:
        left = ends.get(id(node.parent), 0.0)
        across = node.values[at] * scale
        ends[id(node.parent)] = left + across
        ends[id(node)] = left
        if across >= _NARROWEST:
            found.append(Box(node, left, across))
    rows = max((box.node.depth for box in found if box.width >= width * _NARROW_ROW), default=0)
    return [box for box in found if box.node.depth <= rows]


def where(node):
    """file:lines, or nothing."""
    file = node.frame.file
    lines = sorted(line for line in node.lines if line)
    if file is None or not lines:
        return file or ""
    return f"{file}:{', '.join(map(str, lines[:4]))}{', ...' if len(lines) > 4 else ''}"


def figures(node, root, at):
    """Bytes, blocks, and which percentage of all, of a quantity."""
    share = f"{100 * node.values[at] / root.values[at]:.3g}%" if root.values[at] else "-"
    size, blocks = node.values[at | 1], node.values[at & ~1]
    return f"{share}: {text.size(size)}, {text.plural(blocks, 'block')}"


def escape(words):
    return html.escape(text.clean(words))


def _label(box):
    room = int((box.width - 6) / _LETTER)
    words = stacks.short(box.node.frame.function)
    if room < 3:
        return ""
    words = words if len(words) <= room else words[: room - 1] + "…"
    top = box.node.depth * ROW + 13
    return f'<text x="{box.left + 3:.1f}" y="{top}">{escape(words)}</text>'


def _draw_box(box, root, at, colours):
    node = box.node
    words = (node.frame.function, where(node), node.frame.object, figures(node, root, at))
    title = "\n".join(escape(line) for line in words if line)
    return (
        f'<g><title>{title}</title><rect x="{box.left:.2f}" y="{node.depth * ROW}" '
        f'width="{max(box.width - 0.5, _NARROWEST):.2f}" height="{ROW - 1}" '
        f'fill="{colours.of(node.frame)}"/>{_label(box)}</g>'
    )


def draw(nodes, at, colours):
    """The boxes of a quantity, and the height of all."""
    found = boxes(nodes, at, WIDTH)
    if not found:
        return '<text x="3" y="13">Nothing.</text>', ROW
    rows = 1 + max(box.node.depth for box in found)
    return "\n".join(_draw_box(box, nodes[0], at, colours) for box in found), rows * ROW


# ---------------------------------------------------------------------------- a whole file


def _legend(colours):
    """The legend, and the height it takes."""
    drawn = []
    left, top = 0, 0
    for colour, name in colours.legend():
        across = 34 + _LETTER * len(name)
        if left and left + across > WIDTH:
            left, top = 0, top + ROW
        drawn.append(
            f'<rect x="{left:.0f}" y="{top}" width="12" height="12" fill="{colour}"/>'
            f'<text x="{left + 16:.0f}" y="{top + 10}">{escape(name)}</text>'
        )
        left += across
    return "\n".join(drawn), top + ROW


def svg(title, nodes, at):
    """A picture of its own."""
    colours = Colours(nodes, at)
    drawn, height = draw(nodes, at, colours)
    legend, legend_height = _legend(colours)
    top = 32 + legend_height
    head = f"{title}: {figures(nodes[0], nodes[0], at).partition(': ')[2]}"
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH + 20}" '
        f'height="{height + top + 10}" {FONT}>\n'
        '<rect width="100%" height="100%" fill="#fff"/>\n'
        f'<text x="10" y="18" font-size="14">{escape(head)}</text>\n'
        f'<g transform="translate(10 28)">\n{legend}\n</g>\n'
        f'<g transform="translate(10 {top})">\n{drawn}\n</g>\n</svg>\n'
    )
