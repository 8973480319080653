"""Snapshots of a heap: from a process that serves them, or from a file.

A snapshot is JSON that the library writes.  Nothing in it is trusted: what this module
hands on has the types that it promises, and a member that is missing or null is None.
Members that it does not know are left alone.
"""

import collections
import json
import re
import sys

from pymalloc_tool import errors, serve
from pymalloc_tool.errors import Failure

SCHEMA = 1
LIMIT = 1 << 30
NUMBER_MAX = (1 << 63) - 1

# A pool's states in the map.
NEVER, USED, DIRTY, PURGED = range(4)

_SECTIONS = {
    "small": "allocs frees remote_frees live_blocks live_bytes held_bytes backlog_blocks",
    "large": "allocs frees live_blocks cache_hits cached_blocks cached_bytes",
    "backend": "heap_bytes mapped_bytes mapped_blocks used_bytes free_bytes top_bytes",
    "arenas": "size used peak reserved_bytes",
    "pools": "size used peak dirty_bytes purged_bytes",
    "heaps": "made orphaned live",
    "process": "rss_bytes rss_peak_bytes anon_huge_bytes virtual_bytes swap_bytes threads",
}
_CLASS = "size allocs live_blocks live_bytes pools capacity_blocks held_bytes asked_bytes"
_HISTORY = "uptime_ms rss live held dirty cached"
_ADDRESS = re.compile("0x[0-9a-fA-F]{1,16}")
_ARENA_POOLS_MAX = 64
_CLASSES_MAX = 1024

Pool = collections.namedtuple("Pool", "state size live capacity heap")
Arena = collections.namedtuple("Arena", "address pools")
Class = collections.namedtuple("Class", _CLASS)
Moment = collections.namedtuple("Moment", _HISTORY)
Sample = collections.namedtuple("Sample", "address size weight frames age_ms")

FREE_POOLS = tuple(Pool(state, 0, 0, 0, 0) for state in range(4))


def _is_path(value):
    """Whether a value can be asked of the kernel as a file's name."""
    if not isinstance(value, str) or "\0" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:  # half a character
        return False
    return True


class Snapshot:
    """One snapshot, checked.

    section.name     a number or None, by number("section", "name")
    classes          of Class, those with a size, smallest first
    history          of Moment, oldest first; may be empty
    arenas           of Arena, by address; None if the map was not asked for
    samples          of Sample; None if there was no profiling
    mappings         [start, end, offset, path] of the program's code, or empty
    """

    def __init__(self, data, origin):
        self.data = data
        self.origin = origin
        self._check_head()
        for section, names in _SECTIONS.items():
            self._check_numbers(self._object(section), names.split(), section)
        self.backend_name = self._words(self._object("backend"), "name")
        self.version = self._words(data, "version")
        self.library = self._words(data, "library")
        self.program = self._words(data, "program")
        self._check_numbers(data, ("pid", "time_ns", "uptime_ns"), "")
        self.options = {
            str(name): str(value) for name, value in self._object("options").items()
        }
        self.pool_size = self._unit("pools", 16384)
        self.arena_size = self._unit("arenas", 262144)
        self.classes = self._read_classes()
        self.history = self._read_history()
        self.arenas = self._read_map()
        self.samples = self._read_samples()
        self.mappings = self._read_mappings()

    def number(self, *path):
        """The number at a path of names, None if it is not known."""
        at = self.data
        for name in path:
            at = at.get(name) if isinstance(at, dict) else None
        return at

    def sum_of_classes(self, name):
        return total(getattr(one, name) for one in self.classes)

    @property
    def uptime_ms(self):
        uptime = self.number("uptime_ns")
        return None if uptime is None else uptime // 1000000

    @property
    def title(self):
        pid = self.number("pid")
        return f"{self.program or 'a program'} ({'-' if pid is None else pid})"

    # ------------------------------------------------------------------- reading

    def _bad(self, what):
        return Failure(errors.DATA, f"{self.origin}: damaged snapshot: {what}")

    def _check_head(self):
        schema = self.data.get("pymalloc") if isinstance(self.data, dict) else None
        if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
            raise Failure(errors.DATA, f"{self.origin}: this is no snapshot of libpymalloc")
        if schema > SCHEMA:
            raise Failure(
                errors.DATA,
                f"{self.origin}: a snapshot of version {str(schema)[:20]}, but this tool "
                f"reads up to {SCHEMA}; use the tool that came with the library",
            )

    def _object(self, name):
        value = self.data.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self._bad(f'"{name}" is no object')
        return value

    def _list(self, holder, name):
        value = holder.get(name)
        if value is not None and not isinstance(value, list):
            raise self._bad(f'"{name}" is no list')
        return value

    def _words(self, holder, name):
        value = holder.get(name)
        if value is not None and not isinstance(value, str):
            raise self._bad(f'"{name}" is no text')
        return None if value is None else "".join(
            c if c.isprintable() else "?" for c in value
        )

    def _is_number(self, value):
        return type(value) is int and 0 <= value <= NUMBER_MAX

    def _check_numbers(self, holder, names, where):
        for name in names:
            value = holder.get(name)
            if value is not None and not self._is_number(value):
                place = f"{where}.{name}" if where else name
                raise self._bad(f'"{place}" is no number of 0 or more')

    def _address(self, value):
        if not isinstance(value, str) or not _ADDRESS.fullmatch(value):
            raise self._bad("an address is not of the form 0x...")
        return int(value, 16)

    def _unit(self, section, default):
        value = self.number(section, "size")
        if value is None:
            return default
        if not 1024 <= value <= 1 << 40:
            raise self._bad(f'"{section}.size" cannot be')
        return value

    def _read_classes(self):
        names = _CLASS.split()
        classes = []
        rows = self._list(self.data, "classes") or []
        if len(rows) > _CLASSES_MAX:
            raise self._bad("too many size classes")
        for row in rows:
            if not isinstance(row, dict):
                raise self._bad("a size class is no object")
            self._check_numbers(row, names, "classes")
            if row.get("size"):
                classes.append(Class(*(row.get(name) for name in names)))
        return sorted(classes, key=lambda one: one.size)

    def _read_history(self):
        moments = []
        width = len(Moment._fields)
        for row in self._list(self.data, "history") or []:
            if (
                not isinstance(row, list)
                or len(row) < width
                or not all(self._is_number(value) for value in row[:width])
            ):
                raise self._bad("a point of the history is wrong")
            moments.append(Moment(*row[:width]))
        return sorted(moments, key=lambda moment: moment.uptime_ms)

    def _read_map(self):
        rows = self._list(self.data, "map")
        if rows is None:
            return None
        arenas = []
        for row in rows:
            pools = self._list(row, "pools") if isinstance(row, dict) else None
            if pools is None or not 0 < len(pools) <= _ARENA_POOLS_MAX:
                raise self._bad("an arena of the map has no pools, or too many")
            address = self._address(row.get("address"))
            arenas.append(Arena(address, [self._read_pool(pool) for pool in pools]))
        return sorted(arenas, key=lambda arena: arena.address)

    def _read_pool(self, row):
        if (
            not isinstance(row, list)
            or len(row) < 5
            or not all(self._is_number(value) for value in row[:5])
            or row[0] > PURGED
        ):
            raise self._bad("a pool of the map is wrong")
        state, size, live, capacity, heap = row[:5]
        if state != USED:
            return FREE_POOLS[state]
        if not 0 < size <= self.pool_size or capacity > self.pool_size // size:
            raise self._bad("a pool of the map has blocks of an impossible size")
        capacity = capacity or self.pool_size // size
        # The program ran on while its pools were counted.
        return Pool(USED, size, min(live, capacity), capacity, heap)

    def _read_samples(self):
        rows = self._list(self._object("samples"), "live")
        if rows is None:
            return None
        return [self._read_sample(row) for row in rows]

    def _read_sample(self, row):
        if not isinstance(row, dict):
            raise self._bad("a sample is no object")
        self._check_numbers(row, ("size", "weight_bytes", "age_ms"), "samples.live")
        frames = self._list(row, "frames") or []
        return Sample(
            self._address(row.get("address")),
            row.get("size"),
            row.get("weight_bytes"),
            tuple(self._address(frame) for frame in frames[:256]),
            row.get("age_ms"),
        )

    def _read_mappings(self):
        mappings = []
        for row in self._list(self.data, "tool_mappings") or []:
            if (
                not isinstance(row, list)
                or len(row) != 4
                or not all(self._is_number(value) for value in row[:3])
                or not _is_path(row[3])
            ):
                raise self._bad("a mapping is wrong")
            mappings.append(tuple(row))
        return mappings


def total(numbers):
    """The sum; None if there is nothing to add or a part is unknown."""
    numbers = list(numbers)
    if not numbers or any(number is None for number in numbers):
        return None
    return sum(numbers)


def difference(a, b):
    return None if a is None or b is None else a - b


# --------------------------------------------------------------------- from outside


def _int(digits):
    # Converting a number of a million digits would take its time.
    if len(digits) > 40:
        raise ValueError("a number is too long")
    return int(digits)


def _constant(name):
    raise ValueError(f"{name} is no number")


def parse(content, origin):
    """A Snapshot from the bytes of its JSON."""
    try:
        words = content.decode("utf-8")
    except UnicodeDecodeError:
        raise Failure(errors.DATA, f"{origin}: this is no snapshot: not text") from None
    if not words.strip():
        raise Failure(errors.DATA, f"{origin}: empty")
    try:
        data = json.loads(words, parse_int=_int, parse_constant=_constant)
    except json.JSONDecodeError as error:
        if not words.lstrip().startswith("{"):
            what = "this is no snapshot of libpymalloc"
        elif error.pos >= len(words.rstrip()) or error.msg.startswith("Unterminated"):
            what = "ends in the middle; it is not complete"
        else:
            what = f"damaged at line {error.lineno}, column {error.colno}: {error.msg}"
        raise Failure(errors.DATA, f"{origin}: {what}") from None
    except (ValueError, RecursionError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else error
        raise Failure(errors.DATA, f"{origin}: damaged: {what}") from None
    if isinstance(data, dict) and "pymalloc" not in data and "error" in data:
        raise Failure(errors.REFUSED, f"{origin}: {str(data['error'])[:300]}")
    return Snapshot(data, origin)


def is_pid(source):
    return source.isascii() and source.isdigit()


def read_file(name):
    """The bytes of a file, or of standard input for "-"."""
    try:
        if name == "-":
            content = sys.stdin.buffer.read(LIMIT + 1)
        else:
            with open(name, "rb") as file:
                content = file.read(LIMIT + 1)
    except OSError as error:
        raise errors.os_error(error, name) from None
    if len(content) > LIMIT:
        raise Failure(errors.DATA, f"{name}: too large for a snapshot")
    return content


def load(source, request="stats"):
    """The Snapshot of a process (a number) or of a file (any other name)."""
    if not is_pid(source):
        return parse(read_file(source), source)
    pid = serve.number(source)
    return parse(serve.ask(pid, request), f"process {pid}")


def load_map(source):
    """The same, with the map."""
    snapshot = load(source, "map")
    if snapshot.arenas is None:
        raise Failure(
            errors.DATA,
            f"{snapshot.origin}: the snapshot has no map of the pools "
            '(make one with "pymalloc stats --save FILE PID")',
        )
    return snapshot
