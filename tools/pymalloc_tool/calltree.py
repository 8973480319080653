"""The stacks of a profile, merged from the outermost frame inwards: what a flame graph
draws.

The calls of a function from one place are one node, whatever their lines; but where the
memory was asked for, each line is a node.
"""

import collections

from pymalloc_tool import stacks
from pymalloc_tool.symbolizer import Frame

# Less than this share of a total cannot be seen.
SMALLEST = 0.0005
OTHER = Frame("(other)", None, None, 0, "")
NO_STACK = Frame("(no stack)", None, None, 0, "")
CUT_OFF = Frame("(stack cut off)", None, None, 0, "")


class Measure:
    """A quantity that is drawn: a kind of figures; of a difference, only what grew (sign 1)
    or only what shrank (sign -1)."""

    def __init__(self, profile, at, sign=0):
        self.kind = profile.kinds[at]
        self.at = at
        self.sign = sign
        self.title = profile.title(self.kind) + {0: "", 1: ": more", -1: ": less"}[sign]

    def pair(self, figures):
        blocks, size = figures[self.at]
        if self.sign:
            return max(self.sign * blocks, 0), max(self.sign * size, 0)
        return blocks, size


def measures_of(profile):
    signs = (1, -1) if profile.is_difference else (0,)
    return [Measure(profile, at, sign) for at in range(len(profile.kinds)) for sign in signs]


class Node:
    """values: blocks and bytes for each measure, one after the other; with all below.
    lines: those of the calls."""

    __slots__ = ("frame", "lines", "parent", "depth", "values")

    def __init__(self, frame, lines, parent, values):
        self.frame = frame
        self.lines = lines
        self.parent = parent
        self.depth = 0 if parent is None else parent.depth + 1
        self.values = values


# What has lost its outer frames is put together, so that they are not taken for the
# beginnings of programs.
def _root_of(stack):
    if not stack.places:
        return [NO_STACK]
    return [CUT_OFF] if stacks.is_cut_off(stack) else []


def outermost_first(stack):
    """The frames of a stack; never none."""
    return _root_of(stack) + stacks.frames_of(stack)[::-1]


# frames: from the outermost one; keys: what frames of one node have in common.
_Path = collections.namedtuple("_Path", "frames keys values")


def _paths(profile, measures, depth):
    callers = {}
    for stack in profile.stacks:
        frames = outermost_first(stack)
        keys = _root_of(stack)
        for place in reversed(stack.places):
            # A caller's line does not count.
            if place not in callers:
                callers[place] = [frame._replace(line=-1) for frame in reversed(place.frames)]
            keys += callers[place]
        keys[-1] = frames[-1]
        values = [number for measure in measures for number in measure.pair(stack.figures)]
        yield _Path(frames[:depth], keys[:depth], values)


def _sum(paths):
    return [sum(column) for column in zip(*(path.values for path in paths))]


def _grow(node, paths, least):
    """The nodes below one, each with its paths; what is too small is put together."""
    groups = collections.defaultdict(list)
    for path in paths:
        if len(path.keys) > node.depth:
            groups[path.keys[node.depth]].append(path)
    kept, small = [], []
    for group in groups.values():
        sums = _sum(group)
        if any(value >= limit and value for value, limit in zip(sums, least)):
            frame = group[0].frames[node.depth]
            lines = {path.frames[node.depth].line for path in group}
            kept.append((Node(frame, lines, node, sums), group))
        else:
            small += group
    # In the order of names: so that the same functions are at the same place.
    kept.sort(key=lambda pair: (pair[0].frame.function, pair[0].frame.object, pair[0].frame.line))
    return kept + ([(Node(OTHER, set(), node, _sum(small)), [])] if small else [])


def build(profile, depth=None):
    """(measures, nodes): depth first, the root first.  depth: frames from the outermost
    one, None for all."""
    measures = measures_of(profile)
    paths = list(_paths(profile, measures, depth))
    root_frame = Frame(profile.name, None, None, 0, "")
    root = Node(root_frame, set(), None, _sum(paths) or [0] * (2 * len(measures)))
    least = [value * SMALLEST for value in root.values]
    nodes = []
    waiting = [(root, paths)]
    while waiting:
        node, inside = waiting.pop()
        nodes.append(node)
        waiting += reversed(_grow(node, inside, least))
    return measures, nodes
