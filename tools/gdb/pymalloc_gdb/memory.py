"""The inferior's memory, and structures in it as the debug information lays them out.
"""

import array
import collections
import struct
import sys

import gdb

from .geometry import POOL_SIZE, WORD_MASK


class Unreadable(Exception):
    """The process has no such memory, or the core file does not hold it."""


class Memory:
    """The inferior's memory, which stays as it is while a command runs."""

    PAGE = POOL_SIZE

    def __init__(self):
        self.inferior = gdb.selected_inferior()
        is_big = "big endian" in gdb.execute("show endian", to_string=True)
        self.order = ">" if is_big else "<"
        self.is_swapped = (sys.byteorder == "big") != is_big
        self.pages = {}

    def read(self, address, size):
        try:
            return self.inferior.read_memory(address & WORD_MASK, size).tobytes()
        except (gdb.error, OverflowError) as error:
            raise Unreadable("cannot read %d bytes at %#x" % (size, address)) from error

    def page(self, number):
        """Kept, for lists, whose links lie close to one another; None: unreadable."""
        if number not in self.pages:
            try:
                self.pages[number] = self.read(number * self.PAGE, self.PAGE)
            except Unreadable:
                self.pages[number] = None
        return self.pages[number]

    def near_word(self, address):
        """A word among others that will be wanted as well."""
        page = self.page(address // self.PAGE)
        at = address % self.PAGE
        if page is None or at > self.PAGE - 8:
            return self.word(address)
        return struct.unpack_from(self.order + "Q", page, at)[0]

    def word(self, address):
        return self.words(address, 1)[0]

    def words(self, address, count):
        data = self.read(address, 8 * count)
        return struct.unpack("%s%dQ" % (self.order, count), data)

    def text(self, address, most=256):
        found = b""
        while len(found) < most and b"\0" not in found:
            found += self.read(address + len(found), 8)
        return found.split(b"\0")[0].decode("utf-8", "replace")

    def halves(self, data):
        """Bytes as numbers of 32 bits."""
        numbers = array.array("I", data)
        if self.is_swapped:
            numbers.byteswap()
        return numbers


def plain(type_):
    """A type without typedefs and qualifiers."""
    return type_.strip_typedefs().unqualified()


def locate(type_, path):
    """The offset of a member such as "outbox.bytes", and its type."""
    offset = 0
    for name in path.split("."):
        field = plain(type_)[name]
        offset += field.bitpos // 8
        type_ = field.type
    return offset, plain(type_)


class Record:
    """Takes members that are numbers or pointers out of a structure."""

    CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}

    def __init__(self, memory, type_, *paths):
        members = []
        for path in paths:
            offset, member = locate(type_, path)
            members.append((offset, member.sizeof, path.replace(".", "_")))
        members.sort()
        code, end = memory.order, 0
        for offset, size, _ in members:
            code += "%dx%s" % (offset - end, self.CODES[size])
            end = offset + size
        self.memory = memory
        self.size = plain(type_).sizeof
        self.code = struct.Struct("%s%dx" % (code, self.size - end))
        self.row = collections.namedtuple("Row", [name for _, _, name in members])

    def at(self, address):
        return self.of(self.memory.read(address, self.size))

    def of(self, data, offset=0):
        return self.row._make(self.code.unpack_from(data, offset))

    def table(self, address, count):
        return self.rows(self.memory.read(address, self.size * count))

    def rows(self, data):
        return map(self.row._make, self.code.iter_unpack(data))
