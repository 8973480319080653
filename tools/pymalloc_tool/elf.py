"""What is wanted of ELF files: the build ID, segments, the symbols of functions, and where
debugging information is; and which libpymalloc is in one."""

import bisect
import collections
import lzma
import mmap
import os
import re
import struct

_PT_LOAD = 1
_PT_NOTE = 4
_NT_GNU_BUILD_ID = 3
_SHT_SYMTAB = 2
_SHT_NOBITS = 8
_SHT_DYNSYM = 11
_SHN_UNDEF = 0
_STT_FUNC = 2
_STT_GNU_IFUNC = 10
# The library's report begins with it.
_VERSION = re.compile(rb"libpymalloc (\d+\.\d+\.\d+[^:\0]{0,20}): report")
# No name of a function is longer; a damaged table has no end of them.
_NAME_MOST = 1 << 16
_UNPACKED_MOST = 1 << 26

_Segment = collections.namedtuple("_Segment", "offset address size")
_Section = collections.namedtuple("_Section", "name type offset size link")


class NotElf(Exception):
    """The file is no 64-bit ELF file, or a damaged one."""


def content(path):
    """A file's bytes, as something like bytes.  Fails with OSError."""
    # A name may come from anywhere: opening must not wait for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        # So have pipes and devices.
        if os.fstat(descriptor).st_size == 0:
            return b""
        return mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    except ValueError as error:
        raise OSError(0, str(error)) from None
    finally:
        os.close(descriptor)


def _text_at(data, start):
    """The bytes there, up to the next 0."""
    if start >= len(data):
        return b""
    end = data.find(b"\0", start, min(start + _NAME_MOST, len(data)))
    return bytes(data[start:end]) if end >= 0 else b""


class Elf:
    """A file's headers; everything else is read when it is asked for."""

    def __init__(self, data):
        self._data = data
        if data[:4] != b"\x7fELF" or data[4:5] != b"\x02" or data[5:6] not in (b"\x01", b"\x02"):
            raise NotElf
        self._order = "<" if data[5:6] == b"\x01" else ">"
        try:
            self._read_headers()
        except (struct.error, IndexError, OverflowError):
            raise NotElf from None

    def _unpack(self, form, offset):
        return struct.unpack_from(self._order + form, self._data, offset)

    def _read_headers(self):
        program_headers, section_headers = self._unpack("QQ", 32)
        size, number, section_size, sections, names = self._unpack("HHHHH", 54)
        self._notes = []
        self.segments = []
        for i in range(number):
            kind, _, offset, address, _, length = self._unpack(
                "IIQQQQ", program_headers + i * size
            )
            if kind == _PT_LOAD:
                self.segments.append(_Segment(offset, address, length))
            elif kind == _PT_NOTE:
                self._notes.append((offset, length))
        raw = [
            self._unpack("IIQQQQI", section_headers + i * section_size)
            for i in range(sections if section_headers else 0)
        ]
        strings = raw[names][4] if raw and names < len(raw) else 0
        self._sections = [
            _Section(self._string(strings, one[0]), one[1], one[4], one[5], one[6])
            for one in raw
        ]

    def _string(self, table, offset):
        return _text_at(self._data, table + offset)

    def _section(self, name):
        """The bytes of a section, or None."""
        for section in self._sections:
            if section.name == name and section.type != _SHT_NOBITS:
                return bytes(self._data[section.offset : section.offset + section.size])
        return None

    def _find_build_id(self):
        for offset, length in self._notes:
            end = min(offset + length, len(self._data))
            while offset + 12 <= end:
                name_size, size, kind = self._unpack("III", offset)
                start = offset + 12 + (name_size + 3 & ~3)
                name = self._data[offset + 12 : offset + 12 + name_size]
                if name == b"GNU\0" and kind == _NT_GNU_BUILD_ID:
                    return bytes(self._data[start : start + size]).hex()
                offset = start + (size + 3 & ~3)
        return None

    @property
    def build_id(self):
        """In hexadecimal digits, or None."""
        try:
            return self._find_build_id()
        except struct.error:
            return None

    def address_of(self, offset):
        """The virtual address that a byte of the file is loaded to, or None."""
        for segment in self.segments:
            if segment.offset <= offset < segment.offset + segment.size:
                return offset - segment.offset + segment.address
        return None

    @property
    def first_address(self):
        """The virtual address of the file's first byte, as it is mapped."""
        return min((segment.address for segment in self.segments), default=0) & ~0xFFF

    @property
    def has_lines(self):
        return any(
            section.name in (b".debug_line", b".zdebug_line") and section.type != _SHT_NOBITS
            for section in self._sections
        )

    @property
    def debug_link(self):
        """The name of the file that has the debugging information, or None."""
        section = self._section(b".gnu_debuglink")
        name = section.partition(b"\0")[0] if section else b""
        return os.fsdecode(name) if name and b"/" not in name else None

    def _table(self, section):
        """(address, size, place of the name) of the functions in a symbol table."""
        strings = self._sections[section.link].offset
        entry = struct.Struct(self._order + "IBBHQQ")
        end = min(section.offset + section.size, len(self._data))
        table = self._data[section.offset : end - (end - section.offset) % entry.size]
        return [
            (address, size, strings + name)
            for name, info, _, index, address, size in entry.iter_unpack(table)
            if info & 15 in (_STT_FUNC, _STT_GNU_IFUNC) and index != _SHN_UNDEF and name
        ]

    def _tables(self):
        for section in self._sections:
            if section.type in (_SHT_SYMTAB, _SHT_DYNSYM) and section.link < len(self._sections):
                yield from self._table(section)
        # Distributions keep a small table for stripped programs.
        packed = self._section(b".gnu_debugdata")
        if packed:
            try:
                inner = Elf(lzma.LZMADecompressor().decompress(packed, _UNPACKED_MOST))
            except (lzma.LZMAError, NotElf):
                return
            for address, size, name in inner.functions().found():
                yield address, size, name

    def functions(self):
        return Functions(self._tables(), self._data)


class Functions:
    """The functions of a file, by address."""

    def __init__(self, symbols, data):
        self._data = data
        self._symbols = sorted(symbols, key=lambda one: one[:2])
        self._starts = [one[0] for one in self._symbols]

    def _name(self, place):
        return place if isinstance(place, bytes) else _text_at(self._data, place)

    def found(self):
        for address, size, place in self._symbols:
            yield address, size, self._name(place)

    def at(self, address):
        """The name of the function there, or None.  One without a size goes on to the
        next; of several at an address, the largest comes last."""
        index = bisect.bisect_right(self._starts, address) - 1
        if index < 0:
            return None
        start, size, place = self._symbols[index]
        if size != 0 and address >= start + size:
            return None
        return self._name(place).decode(errors="replace") or None


def load(path):
    """The ELF file of a name.  Fails with OSError or NotElf."""
    return Elf(content(path))


def build_id(path):
    """The build ID in hexadecimal digits, or None."""
    try:
        return load(path).build_id
    except (OSError, NotElf):
        return None


def library_version(path):
    """The version of the libpymalloc in a library or a static program, or None."""
    try:
        found = _VERSION.search(content(path))
    except OSError:
        return None
    return found.group(1).decode(errors="replace") if found else None
