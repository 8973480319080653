"""The little that is wanted of ELF files: the build ID, and which libpymalloc is in one."""

import re
import struct

# More than any program's; a file that is larger is read in part.
_READ_MOST = 1 << 28
_PT_NOTE = 4
_NT_GNU_BUILD_ID = 3
# The library's report begins with it.
_VERSION = re.compile(rb"libpymalloc (\d+\.\d+\.\d+[^:\0]{0,20}): report")


def _content(path):
    """A file's bytes, none if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(_READ_MOST)
    except OSError:
        return b""


def library_version(path):
    """The version of the libpymalloc in a library or a static program, or None."""
    found = _VERSION.search(_content(path))
    return found.group(1).decode(errors="replace") if found else None


def _notes(data):
    """(name, type, description) of the notes of a 64-bit little-endian file."""
    headers, size, number = struct.unpack_from("<Q", data, 32) + struct.unpack_from(
        "<HH", data, 54
    )
    for i in range(number):
        kind, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", data, headers + i * size)
        end = min(offset + length, len(data))
        while kind == _PT_NOTE and offset + 12 <= end:
            name_size, size_, type_ = struct.unpack_from("<III", data, offset)
            name = data[offset + 12 : offset + 12 + name_size]
            start = offset + 12 + (name_size + 3 & ~3)
            yield name, type_, data[start : start + size_]
            offset = start + (size_ + 3 & ~3)


def build_id(path):
    """The build ID in hexadecimal digits, or None."""
    data = _content(path)
    if data[:6] != b"\x7fELF\x02\x01":
        return None
    try:
        for name, kind, description in _notes(data):
            if name == b"GNU\0" and kind == _NT_GNU_BUILD_ID:
                return description.hex()
    except struct.error:
        pass
    return None
