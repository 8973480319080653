"""Objects of the object layer.
"""

import functools

from .geometry import (
    GC_FINALIZED,
    GC_FROZEN,
    GC_GENERATION_MASK,
    GC_GENERATION_SHIFT,
    GC_IMMORTAL,
    GC_LARGE,
    GC_LIVE,
    GC_PENDING,
    GC_PENDING_TYPE_SHIFT,
    GC_TRACKED,
    GC_TYPE_MASK,
    GC_TYPE_SHIFT,
    GC_WEAK,
)
from .memory import Record, Unreadable, locate


def plural(count, noun):
    return "%d %s%s" % (count, noun, "" if count == 1 else "s")


class ObjectLayer:
    """What a view shows of it; exists is False if the library is without it."""

    def __init__(self, view):
        self.view = view
        self.memory = view.memory
        library = view.library
        self.exists = library.has_objects()
        if not self.exists:
            return
        self.types = library.address("gc_type", "gc_types")
        type_ = library.type("gc_type", "pygc_type")
        self.type_record = Record(self.memory, type_, "name")
        large = library.type("gc_heap", "gc_large")
        self.large_record = Record(
            self.memory, large, "next", "size", "header.bits", "header.refs"
        )
        heap = library.type("gc_heap", "pygc_heap")
        self.large_at = locate(heap, "large")[0]

    @functools.lru_cache(maxsize=None)
    def type_name(self, index):
        """None if there is no such type."""
        try:
            at = self.memory.word(self.types + 8 * index)
            return self.memory.text(self.type_record.at(at).name) if at else None
        except Unreadable:
            return None

    def type_of(self, bits):
        """The name of an object's type.  One that waits has a link where it was."""
        is_linked = bits & GC_PENDING and not bits & GC_LARGE
        shift = GC_PENDING_TYPE_SHIFT if is_linked else GC_TYPE_SHIFT
        return self.type_name(bits >> shift & GC_TYPE_MASK)

    def large_objects(self, heap):
        """The address and the record of each object that is a system block."""
        at = self.memory.word(heap.address + self.large_at)
        seen = set()
        while at and at not in seen:
            seen.add(at)
            row = self.large_record.at(at)
            yield at, row
            at = row.next

    def text(self, bits, refs):
        """A header in words; None: it is not a live object's."""
        name = self.type_of(bits) if bits & GC_LIVE else None
        if name is None:
            return None
        if bits & GC_PENDING:
            return "%s, dead, waits for its release" % name
        generation = bits >> GC_GENERATION_SHIFT & GC_GENERATION_MASK
        words = [name]
        if refs & GC_IMMORTAL:
            words.append("immortal")
        else:
            words.append(plural(refs, "reference"))
        if bits & GC_TRACKED and generation == GC_FROZEN:
            words.append("frozen")
        elif bits & GC_TRACKED:
            words.append("tracked, generation %d" % generation)
        else:
            words.append("not tracked")
        if bits & GC_WEAK:
            words.append("has weak references")
        if bits & GC_FINALIZED:
            words.append("finalized")
        return ", ".join(words)
