"""Writes a profile in the format of pprof: profile.proto in protocol buffers' wire format,
compressed by gzip.  "go tool pprof" and many services read it.

A message is a row of fields: a key, the field's number and its wire type, and then a
number in groups of seven bits, or a length and so many bytes.
"""

import gzip


_VARINT, _BYTES = 0, 2
_INT64_MOST = (1 << 63) - 1

# The types of figures that go's own heap profiles have; ours adds the peak.
_TYPES = {
    "all": ("alloc_objects", "alloc_space"),
    "live": ("inuse_objects", "inuse_space"),
    "peak": ("peak_objects", "peak_space"),
}
_UNITS = ("count", "bytes")


def _varint(number):
    number &= (1 << 64) - 1
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _number(field, number):
    return _varint(field << 3 | _VARINT) + _varint(number) if number else b""


def _bytes(field, content):
    return _varint(field << 3 | _BYTES) + _varint(len(content)) + content


def _packed(field, numbers):
    return _bytes(field, b"".join(map(_varint, numbers)))


class _Writer:
    def __init__(self, profile):
        self._profile = profile
        self._strings = {"": 0}
        self._mappings = {}
        self._with_lines = set()
        self._functions = {}
        self._locations = {}
        self._parts = []

    def _string(self, text):
        return self._strings.setdefault(text or "", len(self._strings))

    def _value_type(self, name, unit):
        return _number(1, self._string(name)) + _number(2, self._string(unit))

    # ---- what samples point to

    def _mapping(self, mapping):
        """The number of a mapping, 0 for none."""
        return self._mappings.setdefault(mapping, len(self._mappings) + 1) if mapping else 0

    def _write_mapping(self, mapping, known):
        has_lines = mapping in self._with_lines
        self._parts.append(
            _bytes(
                3,
                _number(1, known)
                + _number(2, mapping.start)
                + _number(3, mapping.end)
                + _number(4, mapping.offset)
                + _number(5, self._string(mapping.path))
                + _number(6, self._string(self._profile.build_ids.get(mapping.path)))
                # All names that can be had are here: readers are to look for none.
                + _number(7, True)
                + _number(8, has_lines)
                + _number(9, has_lines)
                + _number(10, has_lines),
            )
        )

    def _function(self, frame):
        key = (frame.function, frame.system_name, frame.file)
        known = self._functions.get(key)
        if known is None:
            known = self._functions[key] = len(self._functions) + 1
            self._parts.append(
                _bytes(
                    5,
                    _number(1, known)
                    + _number(2, self._string(frame.function))
                    + _number(3, self._string(frame.system_name or frame.function))
                    + _number(4, self._string(frame.file)),
                )
            )
        return known

    def _location(self, place):
        known = self._locations.get(place)
        if known is None:
            known = self._locations[place] = len(self._locations) + 1
            lines = b"".join(
                _bytes(4, _number(1, self._function(frame)) + _number(2, frame.line))
                for frame in place.frames
            )
            if any(frame.file for frame in place.frames):
                self._with_lines.add(place.mapping)
            self._parts.append(
                _bytes(
                    4,
                    _number(1, known)
                    + _number(2, self._mapping(place.mapping))
                    + _number(3, place.address)
                    + lines,
                )
            )
        return known

    def _main_mapping(self):
        pairs = self._profile.raw.build_ids()
        main = pairs[0][0] if pairs else None
        return next((one for one in self._profile.raw.mappings if one.path == main), None)

    # ---- the message

    def _sample(self, stack, order):
        values = [
            max(min(number, _INT64_MOST), -_INT64_MOST)
            for at in order
            for number in stack.figures[at]
        ]
        locations = [self._location(place) for place in stack.places]
        return _bytes(2, _packed(1, locations) + _packed(2, values))

    def message(self):
        profile, raw = self._profile, self._profile.raw
        kinds = [kind for key in _TYPES for kind in profile.kinds if kind.key == key]
        order = [profile.kinds.index(kind) for kind in kinds]
        for kind in kinds:
            for name, unit in zip(_TYPES[kind.key], _UNITS):
                self._parts.append(_bytes(1, self._value_type(name, unit)))
        # Readers take the first mapping for the program's.
        self._mapping(self._main_mapping())
        for stack in profile.stacks:
            self._parts.append(self._sample(stack, order))
        for mapping, known in self._mappings.items():
            self._write_mapping(mapping, known)
        time, start = raw.number("time_ns") or 0, raw.number("start_ns")
        self._parts += [
            _number(9, time),
            _number(10, max(time - start, 0) if start is not None else 0),
            _bytes(11, self._value_type("space", "bytes")),
            _number(12, raw.interval or 1),
            _number(13, self._string(f"{profile.name}, {profile.moment}")),
            _number(14, self._string("inuse_space")),
        ]
        strings = b"".join(
            _bytes(6, text.encode(errors="replace")) for text in self._strings
        )
        return b"".join(self._parts) + strings


def write(profile):
    """The profile's bytes, the same for the same profile."""
    return gzip.compress(_Writer(profile).message(), mtime=0)


