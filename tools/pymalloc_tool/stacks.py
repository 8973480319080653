"""A profile with names: stacks of places, and what each holds.

A profile has kinds of figures, each a pair of blocks and bytes: what is live, what was
live at the peak, and what was allocated in all.  The difference of two profiles has the
same kinds, with figures that may be negative.
"""

import collections
import functools
import math
import re

from pymalloc_tool import symbolizer

Kind = collections.namedtuple("Kind", "key title")
KINDS = (
    Kind("live", "Live"),
    Kind("peak", "Live at the peak"),
    Kind("all", "Allocated in all"),
)
BLOCKS, BYTES = 0, 1

_REASONS = {
    "exit": "at exit",
    "signal": "at a signal",
    "call": "when the program asked for it",
    "served": "while it ran",
}

# What hands out memory for its caller, who is of more interest.
_ALLOCATES = re.compile(
    r"""(?:
    operator\ new(?:\[\])? |
    (?:__libc_|__|je_|tc_|mi_|x|g_|sk_)?(?:malloc|calloc|realloc|reallocarray|memalign|
        aligned_alloc|posix_memalign|valloc|pvalloc|strdup|strndup|asprintf|vasprintf|
        malloc0|try_malloc|try_realloc|memdup2?|slice_alloc0?|malloc_n|malloc0_n) |
    _?Py(?:Mem|Object)_(?:Raw)?(?:Malloc|Calloc|Realloc) |
    (?:std|__gnu_cxx)::.*
    )$""",
    re.VERBOSE,
)
# How a program or a thread begins.
_BEGINS = re.compile(r"(?:_start|__libc_start_\w+|start_thread|(?:__)?clone3?|generic_start_main)$")

_OPERATOR = re.compile(r"operator[-<>=]*$")

# Whoever recorded a stack had no room for more than so many frames, at least.
_DEEP = 32

# variances: by kind, of the bytes; 0 if every block was counted.  base: of a difference, the
# figures before.
Stack = collections.namedtuple("Stack", "places figures variances base", defaults=(None,))
# Of one place, or several that are called the same.  error: the standard error of the bytes.
# came: of the difference of two moments, the bytes that were allocated between them.
Row = collections.namedtuple("Row", "frames more blocks size error came")


class Profile:
    """stacks: places innermost first; figures in the order of the kinds.  build_ids: by
    path, where they are known."""

    def __init__(self, raw, kinds, stacks, build_ids, is_difference=False):
        self.raw = raw
        self.build_ids = build_ids
        self.kinds = kinds
        self.stacks = stacks
        self.is_difference = is_difference
        self.focus = None
        # Of a difference: the raw profile before, and its sums by kind.
        self.base = None
        self.base_totals = None

    @property
    def name(self):
        program = self.raw.text("program")
        pid = self.raw.number("pid")
        if program is None and pid is None:
            return self.raw.origin
        return f"{program or 'process'} ({pid if pid is not None else '-'})"

    @property
    def moment(self):
        return _REASONS.get(self.raw.text("reason"), "when it was written")

    def title(self, kind):
        """The name of a kind here."""
        if kind.key == "live" and self.raw.text("reason") == "exit" and not self.is_difference:
            return "Live at exit"
        return kind.title

    def total(self, kind):
        at = self.kinds.index(kind)
        pairs = [stack.figures[at] for stack in self.stacks]
        return sum(pair[BLOCKS] for pair in pairs), sum(pair[BYTES] for pair in pairs)

    def kind(self, key):
        """A kind by its key; None if the profile does not tell it."""
        return next((kind for kind in self.kinds if kind.key == key), None)

    def focused(self, regex):
        """The stacks with a frame whose function, file or object a regex finds."""

        def is_wanted(frame):
            return any(
                regex.search(text) for text in (frame.function, frame.file, frame.object) if text
            )

        wanted = {}
        kept = []
        for stack in self.stacks:
            for place in stack.places:
                if place not in wanted:
                    wanted[place] = any(is_wanted(frame) for frame in place.frames)
            if any(wanted[place] for place in stack.places):
                kept.append(stack)
        focused = Profile(self.raw, self.kinds, kept, self.build_ids, self.is_difference)
        focused.focus = regex.pattern
        focused.base = self.base
        focused.base_totals = self.base_totals
        return focused


def _variance_of_a_byte(pair, interval):
    """The variance of the estimated bytes of blocks like these, divided by these bytes: a
    sample of small blocks stands for an interval, a large block for little but itself."""
    blocks, size = pair
    ratio = size / blocks / interval if interval and blocks > 0 else 0
    return size / blocks / math.expm1(ratio) if 0 < ratio < 500 else 0


def named(raw, pid=None):
    """The profile of a raw one, and sentences on what could not be named."""
    symbols = symbolizer.Symbolizer(raw, pid)
    places = symbols.places()
    kinds = [kind for kind in KINDS if kind.key != "peak" or raw.has_peak]
    stacks = []
    for frames, figures in raw.stacks.items():
        pairs = tuple(getattr(figures, kind.key) for kind in kinds)
        if any(pair != (0, 0) for pair in pairs):
            variances = tuple(
                pair[BYTES] * _variance_of_a_byte(pair, raw.interval) for pair in pairs
            )
            stacks.append(Stack(tuple(places[frame] for frame in frames), pairs, variances))
    return Profile(raw, kinds, stacks, symbols.build_ids()), symbols.troubles()


def _plus(a, b, sign=1):
    return a[0] + sign * b[0], a[1] + sign * b[1]


class _Change:
    """The figures of a stack before and after, by kind."""

    def __init__(self, places, kinds):
        self.places = places
        self.kinds = kinds
        self.pairs = [[(0, 0)] * len(kinds) for _ in range(2)]
        self.variances = [[0] * len(kinds) for _ in range(2)]

    def add(self, which, stack, chosen):
        for at, source in enumerate(chosen):
            self.pairs[which][at] = _plus(self.pairs[which][at], stack.figures[source])
            self.variances[which][at] += stack.variances[source]

    def _churn(self, at_live, at_all, grown, interval):
        """In one process blocks that stayed are the same samples in both: only what came
        and what went is uncertain."""
        came = max(grown[at_all][BYTES], 0)
        went = max(came - grown[at_live][BYTES], 0)
        return (came + went) * _variance_of_a_byte(self.pairs[1][at_all], interval)

    def stack(self, interval, is_one_process):
        before, after = self.pairs
        grown = tuple(_plus(b, a, -1) for a, b in zip(before, after))
        variances = [a + b for a, b in zip(*self.variances)]
        by_key = {kind.key: at for at, kind in enumerate(self.kinds)}
        if is_one_process and "all" in by_key:
            variances[by_key["live"]] = self._churn(
                by_key["live"], by_key["all"], grown, interval
            )
        return Stack(self.places, grown, tuple(variances), tuple(before))


def is_one_process(now, base):
    identities = [(raw.number("pid"), raw.number("start_ns")) for raw in (now, base)]
    return None not in identities[0] and identities[0] == identities[1]


def difference(now, base):
    """What grew from base to now.  Stacks are the same if their frames are called the same:
    addresses differ between processes."""
    kinds = [kind for kind in now.kinds if kind in base.kinds]
    changes = {}
    for which, profile in enumerate((base, now)):
        chosen = [profile.kinds.index(kind) for kind in kinds]
        for stack in profile.stacks:
            key = tuple(place.frames for place in stack.places)
            changes.setdefault(key, _Change(stack.places, kinds)).add(which, stack, chosen)
    same = is_one_process(now.raw, base.raw)
    stacks = [change.stack(now.raw.interval, same) for change in changes.values()]
    stacks = [stack for stack in stacks if any(pair != (0, 0) for pair in stack.figures)]
    found = Profile(now.raw, kinds, stacks, now.build_ids, is_difference=True)
    found.base = base.raw
    found.base_totals = [base.total(kind) for kind in kinds]
    return found


# -------------------------------------------------------------------------------- frames


def frames_of(stack):
    """All frames, innermost first."""
    return [frame for place in stack.places for frame in place.frames]


def is_cut_off(stack):
    """Whether the outermost frames are likely to be missing."""
    return len(stack.places) >= _DEEP and not _BEGINS.match(stack.places[-1].frames[-1].function)


@functools.lru_cache(maxsize=None)
def _allocates(function):
    return _ALLOCATES.match(function) is not None


def interesting(frames):
    """Without what only hands memory out at the inner end, and how programs begin at the
    outer one."""
    first, last = 0, len(frames)
    while first < last and _allocates(frames[first].function):
        first += 1
    while last > first and _BEGINS.match(frames[last - 1].function):
        last -= 1
    return frames[first:last] or frames


def _site(stack):
    """The frame that asked for memory; None of a stack without frames."""
    inner = None
    for place in stack.places:
        for frame in place.frames:
            inner = inner or frame
            if not _allocates(frame.function):
                return frame
    return inner


@functools.lru_cache(maxsize=None)
def short(function):
    """Without the arguments of templates, of a name that is long."""
    if len(function) <= 60:
        return function
    depth = 0
    kept = []
    for at, letter in enumerate(function):
        # operator<, operator<<, operator->: no brackets.
        is_bracket = letter in "<>" and not _OPERATOR.search(function[max(at - 12, 0) : at])
        if is_bracket and letter == "<":
            depth += 1
            if depth == 1:
                kept.append("<...>")
        elif is_bracket:
            depth = max(depth - 1, 0)
        elif depth == 0:
            kept.append(letter)
    return "".join(kept)


def line_of(frame, folders=False):
    """file:line, or nothing."""
    if frame.file is None:
        return ""
    file = frame.file if folders else frame.file.rpartition("/")[2]
    return f"{file}:{frame.line}" if frame.line else file


def by_site(profile, kind, unit):
    """(frame, blocks, bytes) for each place of allocation, the largest growth of a unit
    first."""
    at = profile.kinds.index(kind)
    sums = {}
    for stack in profile.stacks:
        pair = stack.figures[at]
        if pair == (0, 0):
            continue
        total = sums.setdefault(_site(stack), [0, 0])
        total[BLOCKS] += pair[BLOCKS]
        total[BYTES] += pair[BYTES]
    rows = [(site, blocks, size) for site, (blocks, size) in sums.items() if blocks or size]
    return sorted(rows, key=lambda row: (-row[1 + unit], -row[1 + BYTES], str(row[0])))


def by_stack(profile, kind, unit, depth):
    """Rows for the stacks, as far as they are of interest and so deep: what only differs
    farther out is one."""
    at = profile.kinds.index(kind)
    sums = {}
    variances = collections.Counter()
    came = collections.Counter()
    is_one = profile.is_difference and is_one_process(profile.raw, profile.base)
    at_all = next((i for i, kind in enumerate(profile.kinds) if kind.key == "all"), at)
    more = collections.defaultdict(set)
    for stack in profile.stacks:
        pair = stack.figures[at]
        if pair == (0, 0):
            continue
        frames = interesting(frames_of(stack))
        key = tuple(frames[:depth])
        more[key].add(len(frames) - len(key))
        variances[key] += stack.variances[at]
        came[key] += stack.figures[at_all][BYTES]
        total = sums.setdefault(key, [0, 0])
        total[BLOCKS] += pair[BLOCKS]
        total[BYTES] += pair[BYTES]
    rows = [
        Row(
            frames,
            max(more[frames]),
            blocks,
            size,
            math.sqrt(variances[frames]),
            came[frames] if is_one else None,
        )
        for frames, (blocks, size) in sums.items()
        if blocks or size
    ]
    return sorted(rows, key=lambda row: (-row[2 + unit], -row.size, str(row.frames)))
