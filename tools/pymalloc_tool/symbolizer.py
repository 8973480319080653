"""From the return addresses of a raw profile to functions and lines.

Nothing is asked of the network.  An address is found in the mappings of the profile, so
in a file; the file's symbol tables tell the function.  If the file, or the one with its
debugging information, has lines, llvm-symbolizer or addr2line tells them, and which
functions were inlined.  A file that is not the one that ran names nothing.
"""

import bisect
import collections
import contextlib
import os
import re
import shutil
import subprocess

from pymalloc_tool import elf

# function: as shown to people; object: the file's name without folders.
Frame = collections.namedtuple("Frame", "function system_name file line object")

_DEBUG_FOLDER = "/usr/lib/debug"
_DELETED = " (deleted)"
# What just-in-time compilers tell of their code, by the process's number.
_CODE = "/tmp/perf-{}.map"
_PATIENCE = 120
# The tools that know lines, best first, with what makes them write the same.
_TOOLS = (
    ("llvm-symbolizer", "--output-style=GNU", "--no-demangle"),
    ("addr2line",),
)
_DISCRIMINATOR = re.compile(r" \(discriminator \d+\)$")
_HEX = re.compile(r"0x[0-9a-f]+$")


def _unversioned(name):
    """Some names end in "@" and the version of the symbol."""
    return name.partition("@")[0] or name


class Place:
    """An address of the program: where the call was, with what the compiler inlined there,
    innermost first."""

    __slots__ = ("address", "mapping", "frames")

    def __init__(self, address, mapping, frames):
        self.address = address
        self.mapping = mapping
        self.frames = frames


# ------------------------------------------------------------------------ other programs


def _filter(command, lines):
    """The lines that a program makes of lines, or None if it fails."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DEBUGINFOD")}
    environment["LC_ALL"] = "C"
    # The tool itself may run where libpymalloc is preloaded and profiles.
    environment.pop("PYMALLOC", None)
    try:
        done = subprocess.run(
            command,
            input="".join(line + "\n" for line in lines).encode(errors="surrogateescape"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            timeout=_PATIENCE,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace").split("\n")[:-1]


def _tool(tools):
    for name, *options in tools:
        found = shutil.which(name)
        if found:
            return [found, *options]
    return None


def demangled(names):
    """A dictionary from mangled names to what people wrote."""
    mangled = sorted(name for name in names if name.startswith(("_Z", "_R")) and "\n" not in name)
    command = _tool((("c++filt", "-p"), ("llvm-cxxfilt", "-p")))
    lines = _filter(command, mangled) if command and mangled else None
    if lines is None or len(lines) != len(mangled):
        return {}
    return dict(zip(mangled, lines))


def _parse_lines(lines):
    """From address to [(function, file, line), ...], innermost first.  The format has an
    address, and for each frame a line with the function and one with file and line."""
    found = {}
    frames = []
    lines = iter(lines)
    for line in lines:
        if _HEX.match(line):
            frames = found.setdefault(int(line, 16), [])
            continue
        file, _, number = _DISCRIMINATOR.sub("", next(lines, "")).rpartition(":")
        known = file not in ("", "??")
        frames.append(
            (
                None if line == "??" else line,
                file if known else None,
                int(number) if known and number.isascii() and number.isdigit() else 0,
            )
        )
    return found


def _lines_of(path, addresses):
    """The same for addresses in a file; None if no tool can tell."""
    command = _tool(_TOOLS)
    if command is None:
        return None
    lines = _filter(
        command + ["-f", "-i", "-a", "-e", path], [f"0x{address:x}" for address in addresses]
    )
    return None if lines is None else _parse_lines(lines)


# --------------------------------------------------------------------------------- files


def _open(path):
    try:
        return elf.load(path)
    except (OSError, elf.NotElf):
        return None


class Binary:
    """A file that was mapped, if it is still there and the same."""

    def __init__(self, path, build_id, made_before=None, other_places=()):
        self.path = path
        self.build_id = build_id
        self.object = os.path.basename(path.replace(_DELETED, "")) or path
        self.trouble = None
        self.elf = None
        self.file = None
        self._find(other_places, made_before)
        self.debug, self.debug_file = self._find_debug()
        self._tables = [one.functions() for one in (self.debug, self.elf) if one]

    def _find(self, other_places, made_before):
        where = [*other_places, self.path]
        if self.path.endswith(_DELETED):
            where.append(self.path[: -len(_DELETED)])
        for path in where:
            found = _open(path)
            if found is None:
                continue
            if self._is_it(found, path, made_before):
                self.elf, self.file, self.trouble = found, path, None
                return
        self.trouble = self.trouble or "cannot be read"

    def _is_it(self, found, path, made_before):
        if self.build_id is not None:
            if found.build_id != self.build_id:
                self.trouble = "is not the file that ran: its build ID is another one"
            return found.build_id == self.build_id
        if self.path.endswith(_DELETED) and path == self.path[: -len(_DELETED)]:
            self.trouble = "was replaced, and has no build ID to tell it by"
            return False
        if made_before is not None and os.stat(path).st_mtime_ns > made_before:
            self.trouble = "has changed since the program was started"
            return False
        return True

    def _debug_files(self):
        build_id = self.build_id or (self.elf.build_id if self.elf else None)
        if build_id and re.fullmatch("[0-9a-f]{4,}", build_id):
            yield f"{_DEBUG_FOLDER}/.build-id/{build_id[:2]}/{build_id[2:]}.debug"
        if self.elf and self.elf.debug_link:
            folder = os.path.dirname(self.file)
            yield os.path.join(folder, self.elf.debug_link)
            yield os.path.join(folder, ".debug", self.elf.debug_link)
            yield f"{_DEBUG_FOLDER}{os.path.realpath(folder)}/{self.elf.debug_link}"

    def _find_debug(self):
        wanted = self.build_id or (self.elf.build_id if self.elf else None)
        for path in self._debug_files():
            found = _open(path)
            if found is not None and wanted is not None and found.build_id == wanted:
                return found, path
        return None, None

    @property
    def is_known(self):
        return self.elf is not None or self.debug is not None

    def address_of(self, offset, from_base):
        """The file's own address for a byte at an offset in it, which was mapped so far
        behind its first byte (None if that is not known)."""
        if self.elf is not None:
            return self.elf.address_of(offset)
        # The debugging information alone does not have the file's offsets.
        if self.debug is not None and from_base is not None:
            return self.debug.first_address + from_base
        return None

    def function_at(self, address):
        for table in self._tables:
            name = table.at(address)
            if name is not None:
                return name
        return None

    def lines_of(self, addresses):
        for one, path in ((self.debug, self.debug_file), (self.elf, self.file)):
            if one is not None and one.has_lines:
                return _lines_of(path, addresses) or {}
        return {}


# ----------------------------------------------------------------------- code made at run


class _Code:
    """What a just-in-time compiler tells of the code that it made, in the file that perf
    reads."""

    _LINE = re.compile(r"([0-9a-fA-F]{1,16}) ([0-9a-fA-F]{1,16}) (.+)$")

    def __init__(self, path, started, owners):
        self._code = []
        try:
            status = os.stat(path)
            # One that is older tells of another process that had the number; and everybody
            # may put a file there.
            if status.st_uid in owners and (started is None or status.st_mtime_ns >= started):
                text = bytes(elf.content(path)).decode(errors="replace")
                self._code = sorted(self._parse(text))
        except OSError:
            pass
        self._starts = [start for start, _, _ in self._code]

    def _parse(self, text):
        for line in text.split("\n"):
            found = self._LINE.match(line)
            if found:
                start = int(found.group(1), 16)
                yield start, start + int(found.group(2), 16), found.group(3)

    def at(self, address):
        index = bisect.bisect_right(self._starts, address) - 1
        if index >= 0 and address < self._code[index][1]:
            return self._code[index][2]
        return None


# ------------------------------------------------------------------------------ profiles


class Symbolizer:
    """Of the addresses of one profile.  pid: the process, while it still runs; then its
    files are found even if they were deleted, or are in a container."""

    def __init__(self, raw, pid=None):
        self._raw = raw
        self._pid = pid
        self._mappings = sorted(raw.mappings)
        self._starts = [mapping.start for mapping in self._mappings]
        self._binaries = {}
        self._code = None

    def _mapping(self, address):
        index = bisect.bisect_right(self._starts, address) - 1
        if index >= 0 and address < self._mappings[index].end:
            return self._mappings[index]
        return None

    def _build_id(self, path):
        """What the profile tells of a file.  The loader may know it by another name than
        the kernel."""
        pairs = self._raw.build_ids() or []
        path = path[: -len(_DELETED)] if path.endswith(_DELETED) else path
        for same in (
            lambda name: name == path,
            lambda name: os.path.realpath(name) == os.path.realpath(path),
            lambda name: os.path.basename(name) == os.path.basename(path),
        ):
            found = {build_id for name, build_id in pairs if same(name)}
            if len(found) == 1:
                return found.pop()
        return None

    def _other_places(self, mapping):
        if self._pid is None:
            return []
        area = f"{mapping.start:x}-{mapping.end:x}"
        return [f"/proc/{self._pid}/map_files/{area}", f"/proc/{self._pid}/root{mapping.path}"]

    def binary(self, mapping):
        binary = self._binaries.get(mapping.path)
        if binary is None:
            binary = self._binaries[mapping.path] = Binary(
                mapping.path,
                self._build_id(mapping.path),
                self._raw.number("start_ns"),
                self._other_places(mapping),
            )
        return binary

    def _made_code(self):
        if self._code is None:
            number = self._raw.number("pid")
            root = f"/proc/{self._pid}/root" if self._pid is not None else ""
            path = root + _CODE.format(number)
            self._code = _Code(path, self._raw.number("start_ns"), self._trusted())
        return self._code

    def _trusted(self):
        """The users who may tell of the process's code: root, we, and who runs it."""
        users = {0, os.getuid()}
        if self._pid is not None:
            with contextlib.suppress(OSError):
                users.add(os.stat(f"/proc/{self._pid}").st_uid)
        return users

    def build_ids(self):
        """By path, of the files that were looked at."""
        return {
            binary.path: binary.build_id or (binary.elf and binary.elf.build_id)
            for binary in self._binaries.values()
        }

    def troubles(self):
        """Sentences on the files that named nothing."""
        return [
            f"{binary.path} {binary.trouble}; its functions have no names"
            for binary in self._binaries.values()
            if not binary.is_known and binary.trouble
        ]

    def _without_file(self, address, mapping):
        """The frame of an address that is in no file that can be read."""
        if mapping is not None and mapping.path.startswith("["):
            return Frame(mapping.path, None, None, 0, mapping.path)
        name = self._made_code().at(address)
        if name is not None:
            return Frame(name, None, None, 0, "[made at run time]")
        return Frame("[unknown]", None, None, 0, "[unknown]")

    def _frames_in(self, binary, calls):
        """From a call's address to its frames.  calls: their offsets in the file."""
        base = self._raw.bases.get(binary.path)
        addresses = {
            call: binary.address_of(offset, None if base is None else call - base)
            for call, offset in calls.items()
        }
        lines = binary.lines_of(sorted({a for a in addresses.values() if a is not None}))
        found = {}
        for call, address in addresses.items():
            frames = lines.get(address, []) if address is not None else []
            function = binary.function_at(address) if address is not None else None
            if not any(file for _, file, _ in frames):
                shown = address if address is not None else calls[call]
                frames = [(function or f"{binary.object}+0x{shown:x}", None, 0)]
            found[call] = [
                Frame(None, _unversioned(name or function or "??"), file, line, binary.object)
                for name, file, line in frames
            ]
        return found

    def _find_frames(self, places):
        """Of places that are in one file."""
        binary = self.binary(places[0].mapping)
        if not binary.is_known and self._made_code().at(places[0].address):
            # Memory with a name, such as of memfd_create(2).
            binary.trouble = None
            for place in places:
                place.frames = (self._without_file(place.address, None),)
            return
        calls = {
            place.address: place.address - place.mapping.start + place.mapping.offset
            for place in places
        }
        frames = self._frames_in(binary, calls)
        for place in places:
            place.frames = frames[place.address]

    def places(self):
        """From each return address in the profile to its Place."""
        wanted = {frame for stack in self._raw.stacks for frame in stack}
        places = {}
        in_file = collections.defaultdict(list)
        for address in wanted:
            # A return address is behind the call; the call is what has a line.
            call = max(address - 1, 0)
            mapping = self._mapping(call)
            if mapping is not None and mapping.path.startswith("/"):
                in_file[mapping.path].append(address)
                places[address] = Place(call, mapping, None)
            else:
                places[address] = Place(call, mapping, (self._without_file(call, mapping),))
        for inside in in_file.values():
            self._find_frames([places[address] for address in inside])
        _name(place for place in places.values() if isinstance(place.frames, list))
        return places


def _name(places):
    """Fills the names in that people know the functions by."""
    places = list(places)
    names = demangled({frame.system_name for place in places for frame in place.frames})
    for place in places:
        place.frames = tuple(
            frame._replace(function=names.get(frame.system_name, frame.system_name))
            for frame in place.frames
        )
