"""Reads raw heap profiles: those of libpymalloc, and those of jemalloc and gperftools,
whose text form they share.

    heap_v2/1                                       bytes for a sample; 1: scaled already
      t*: LIVE BLOCKS: BYTES [ALL BLOCKS: BYTES]    the sums
    @ 0x55d0c0de1234 0x55d0c0de2345 ...             return addresses, innermost first
      t*: LIVE BLOCKS: BYTES [ALL BLOCKS: BYTES]
    MAPPED_LIBRARIES:                               /proc/PID/maps
    PYMALLOC:                                       a JSON object, ours only
    PEAK:                                           more stacks, ours only
"""

import collections
import json
import math
import re

from pymalloc_tool import errors
from pymalloc_tool.errors import Failure

# What is longer than this is no profile.
_LINE_MOST = 1 << 20
_FRAMES_MOST = 4096
_NUMBER_MOST = 1 << 63

Mapping = collections.namedtuple("Mapping", "start end offset path")
# Each is a pair of blocks and bytes.
Figures = collections.namedtuple("Figures", "live all peak")
NOTHING = (0, 0)
EMPTY = Figures(NOTHING, NOTHING, NOTHING)

_COUNTS = rb"(\d+): *(\d+) *\[ *(\d+): *(\d+)\]"
_HEAP_V2 = re.compile(rb"heap_v2/(\d+)$")
_GPERFTOOLS = re.compile(rb"heap profile: *" + _COUNTS + rb" *@ *(\w+)(?:/(\d+))?$")
_THREAD = re.compile(rb" *t(\*|\d+): *" + _COUNTS + rb"$")
_STACK_OF_GPERFTOOLS = re.compile(rb" *" + _COUNTS + rb" *@((?: +0x[0-9a-fA-F]{1,16})*) *$")
_FRAMES = re.compile(rb"@((?: +0x[0-9a-fA-F]{1,16})*) *$")
_PEAK = re.compile(rb" *t\*: *(\d+): *(\d+)$")
_MAPPING = re.compile(
    rb"([0-9a-f]{1,16})-([0-9a-f]{1,16}) ([-r][-w][-x][-ps]) ([0-9a-f]{1,16}) "
    rb"[0-9a-f]+:[0-9a-f]+ \d+ *(.*)$"
)


class RawProfile:
    """stacks: from a tuple of return addresses to its Figures.  mappings: those of code.
    bases: where each file's first byte was mapped.  about: what the library tells, empty in
    a profile of others.  interval: mean bytes between two samples, None if that is not
    known.  has_peak: whether figures for the peak are."""

    def __init__(self, origin):
        self.origin = origin
        self.stacks = {}
        self.mappings = []
        self.bases = {}
        self.about = {}
        self.interval = None
        self.has_peak = False

    def text(self, name):
        value = self.about.get(name)
        return value if isinstance(value, str) else None

    def number(self, name):
        value = self.about.get(name)
        is_number = isinstance(value, int) and not isinstance(value, bool)
        return value if is_number and 0 <= value < _NUMBER_MOST else None

    def command(self):
        words = self.about.get("command")
        if not isinstance(words, list):
            return []
        return [word for word in words if isinstance(word, str)]

    def build_ids(self):
        """(path, build ID) of what was loaded, or None if that is not told."""
        pairs = self.about.get("build_ids")
        if not isinstance(pairs, list):
            return None
        return [
            tuple(pair)
            for pair in pairs
            if isinstance(pair, list)
            and len(pair) == 2
            and all(isinstance(word, str) and "\0" not in word for word in pair)
        ]


class _Lines:
    """The lines of a profile, and where we are."""

    def __init__(self, content, origin):
        self._lines = content.split(b"\n")
        self._origin = origin
        self._ends = content.endswith(b"\n")
        self.at = 0

    def peek(self):
        """The next line, None at the end."""
        if self.at >= len(self._lines) - self._ends:
            return None
        return self._lines[self.at]

    def next(self):
        line = self.peek()
        self.at += 1
        return line

    def wrong(self, what):
        if self.peek() is None or self.at >= len(self._lines) - 1:
            raise Failure(errors.DATA, f"{self._origin}: the profile is cut short")
        raise Failure(errors.DATA, f"{self._origin}: line {self.at + 1}: {what}")


def _scaled(blocks, size, rate):
    """What a sample stands for, as jeprof has it: a block of so many bytes is a sample
    with a probability that is told by the mean distance of samples."""
    if rate is None or blocks == 0 or size == 0:
        return blocks, size
    factor = -1 / math.expm1(-(size / blocks) / rate)
    return round(blocks * factor), round(size * factor)


def _numbers(words, lines):
    numbers = [int(word) for word in words if len(word) <= 19]
    if len(numbers) != len(words) or max(numbers) >= _NUMBER_MOST:
        lines.wrong("a figure is too large")
    return numbers


def _frames(words, lines):
    frames = tuple(int(word, 16) for word in words.split())
    if len(frames) > _FRAMES_MOST:
        lines.wrong("the stack has too many frames")
    return frames


def _add(raw, frames, live, all_, peak=NOTHING):
    """The same stack may stand in a file twice."""
    old = raw.stacks.get(frames)
    new = Figures(live, all_, peak)
    if old is not None:
        new = Figures(*((a[0] + b[0], a[1] + b[1]) for a, b in zip(old, new)))
    raw.stacks[frames] = new


# ----------------------------------------------------------------------------- sections


def _read_counts(lines):
    """The figures of all threads, from lines of which the first is often the sum."""
    sums = [0, 0, 0, 0]
    seen = False
    while (found := _THREAD.match(lines.peek() or b"")) is not None:
        numbers = _numbers(found.groups()[1:], lines)
        if found.group(1) == b"*":
            sums = numbers
            lines.next()
            while _THREAD.match(lines.peek() or b""):
                lines.next()
            return sums
        sums = [a + b for a, b in zip(sums, numbers)]
        seen = True
        lines.next()
    if not seen:
        lines.wrong("figures were expected")
    return sums


def _read_heap_v2(raw, lines):
    _read_counts(lines)
    while (line := lines.peek()) is not None and line.startswith(b"@"):
        found = _FRAMES.match(line)
        if found is None:
            lines.wrong("addresses were expected")
        frames = _frames(found.group(1), lines)
        lines.next()
        numbers = _read_counts(lines)
        _add(
            raw,
            frames,
            _scaled(numbers[0], numbers[1], raw.interval),
            _scaled(numbers[2], numbers[3], raw.interval),
        )


def _read_gperftools(raw, lines):
    while (found := _STACK_OF_GPERFTOOLS.match(lines.peek() or b"")) is not None:
        numbers = _numbers(found.groups()[:4], lines)
        _add(
            raw,
            _frames(found.group(5), lines),
            _scaled(numbers[0], numbers[1], raw.interval),
            _scaled(numbers[2], numbers[3], raw.interval),
        )
        lines.next()


def _unescape(path):
    """The kernel writes a line's end in a name as \\012."""
    return path.replace(b"\\012", b"\n").decode(errors="surrogateescape")


def _read_maps(raw, lines):
    while lines.peek():
        found = _MAPPING.match(lines.peek())
        if found is None or b"\0" in found.group(5):
            lines.wrong("a mapping was expected")
        start, end, flags, offset, path = found.groups()
        mapping = Mapping(int(start, 16), int(end, 16), int(offset, 16), _unescape(path))
        if mapping.offset == 0:
            raw.bases.setdefault(mapping.path, mapping.start)
        if b"x" in flags and mapping.start < mapping.end:
            raw.mappings.append(mapping)
        lines.next()


def _read_about(raw, lines):
    try:
        about = json.loads(lines.peek() or b"")
    except (ValueError, RecursionError):
        lines.wrong("the object of section PYMALLOC cannot be read")
    if not isinstance(about, dict):
        lines.wrong("an object was expected")
    version = about.get("pymalloc_profile")
    if version != 1 or isinstance(version, bool):
        raise Failure(
            errors.DATA, f"{raw.origin}: a profile of kind {str(version)[:20]}: this tool reads 1"
        )
    lines.next()
    raw.about = about
    # The figures were scaled by the library; this is for people.
    raw.interval = raw.number("interval_bytes") or None


def _read_peak(raw, lines):
    raw.has_peak = True
    while lines.peek():
        found = _FRAMES.match(lines.peek())
        if found is None:
            lines.wrong("addresses were expected")
        frames = _frames(found.group(1), lines)
        lines.next()
        found = _PEAK.match(lines.peek() or b"")
        if found is None:
            lines.wrong("figures were expected")
        _add(raw, frames, NOTHING, NOTHING, tuple(_numbers(found.groups(), lines)))
        lines.next()


_SECTIONS = {
    b"MAPPED_LIBRARIES:": _read_maps,
    b"PYMALLOC:": _read_about,
    b"PEAK:": _read_peak,
}


def _read_head(raw, lines):
    """Sets the interval, and returns what reads the stacks."""
    line = lines.peek() or b""
    found = _HEAP_V2.match(line)
    if found is not None:
        rate = _numbers(found.groups(), lines)[0]
        raw.interval = rate if rate > 1 else None
        lines.next()
        return _read_heap_v2
    found = _GPERFTOOLS.match(line)
    if found is None:
        raise Failure(errors.DATA, f"{raw.origin}: not a heap profile")
    kind, rate = found.group(5), found.group(6)
    if kind != b"heapprofile" and not kind.endswith(b"_v2"):
        raise Failure(
            errors.DATA, f"{raw.origin}: a profile of kind {kind.decode()[:20]} cannot be read"
        )
    rate = _numbers((rate,), lines)[0] if rate else 0
    raw.interval = rate if kind.endswith(b"_v2") and rate > 1 else None
    lines.next()
    return _read_gperftools


def parse(content, origin):
    """The profile in some bytes; origin is what they are called in messages."""
    raw = RawProfile(origin)
    lines = _Lines(content, origin)
    if any(len(line) > _LINE_MOST for line in content.split(b"\n", 2)[:2]):
        raise Failure(errors.DATA, f"{origin}: not a heap profile")
    _read_head(raw, lines)(raw, lines)
    seen = set()
    while (line := lines.peek()) is not None:
        if line in _SECTIONS and line not in seen:
            seen.add(line)
            lines.next()
            _SECTIONS[line](raw, lines)
        elif line == b"":
            lines.next()
        else:
            lines.wrong("this is no part of a heap profile")
    # Nothing comes after the maps in a profile of others; without them, addresses mean
    # nothing.
    if not raw.mappings:
        raise Failure(errors.DATA, f"{origin}: the profile is cut short (no MAPPED_LIBRARIES)")
    return raw


def for_google_pprof(raw, content):
    """The profile in the form of gperftools, which google-pprof wants."""

    def line(figures, rest):
        (live, live_bytes), (all_, all_bytes) = figures.live, figures.all
        return f"{live}: {live_bytes} [{all_}: {all_bytes}] @{rest}\n".encode()

    columns = zip(*raw.stacks.values())
    sums = Figures(*(tuple(map(sum, zip(*pairs))) for pairs in columns)) if raw.stacks else EMPTY
    body = [
        line(figures, "".join(f" {address:#x}" for address in frames))
        for frames, figures in raw.stacks.items()
    ]
    maps = content.partition(b"\nMAPPED_LIBRARIES:\n")[2].partition(b"\n\n")[0]
    head = b"heap profile: " + line(sums, " heapprofile")
    return head + b"".join(body) + b"\nMAPPED_LIBRARIES:\n" + maps.rstrip(b"\n") + b"\n"
