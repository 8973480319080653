"""Pools and heaps: their records, as the library has them.
"""

from .geometry import GRAIN, HEAP_BROKEN, HEAP_STATES
from .geometry import PAGE_SHIFT, POOL_SHIFT, POOL_SIZE, POOL_STATES, class_size
from .memory import Record, locate, plain


class Pool:
    """A pool that a heap has."""

    __slots__ = ("index", "start", "row", "size", "capacity")

    def __init__(self, index, base, row):
        self.index = index
        self.start = base + (index << POOL_SHIFT)
        self.row = row
        self.size = class_size(row.cls)
        self.capacity = (POOL_SIZE - row.first) // self.size

    def block(self, number):
        return self.start + self.row.first + number * self.size

    def number(self, address):
        """Of the block that an address lies in; None: in none."""
        offset = address - self.block(0)
        number = offset // self.size
        return number if 0 <= offset and number < self.capacity else None

    def is_away(self, number):
        """Whether a block reaches into a page whose memory was given back."""
        at = self.row.first + number * self.size
        pages = 1 << (at >> PAGE_SHIFT) | 1 << (at + self.size - 1 >> PAGE_SHIFT)
        return self.row.returned & pages != 0

    @property
    def state(self):
        return POOL_STATES[self.row.state] if self.row.state < 5 else "?"

    @property
    def is_tagged(self):
        """Whether there are objects in it: gc_heap.h."""
        return self.row.first == GRAIN // 2


class Heap:
    """A heap: a thread's, one that waits for a thread, or one of objects."""

    def __init__(self, layout, memory, address):
        self.address = address
        self.data = memory.read(address, layout.record.size)
        self.row = layout.record.of(self.data)
        self.saved = address + layout.offsets["saved"]
        self.is_gc = bool(self.row.is_tagged)

    @property
    def state(self):
        if self.is_gc:
            return "objects"
        return HEAP_STATES[self.row.state] if self.row.state < 3 else "?"

    @property
    def is_broken(self):
        return self.row.state == HEAP_BROKEN


class HeapLayout:
    """Where a heap keeps what."""

    def __init__(self, memory, type_):
        self.record = Record(
            memory,
            type_,
            "inbox.first",
            "state",
            "bins",
            "spares",
            "is_tagged",
            "outbox.bytes",
            "received",
            "next",
        )
        self.offsets = {}
        members = ["active", "available", "cache.bin", "outbox.slot", "saved"]
        names = [field.name for field in plain(type_).fields()]
        self.is_hardened = "quarantine" in names
        if self.is_hardened:
            members += ["quarantine.small", "quarantine.chunk"]
            members += ["quarantine.first_chunk", "quarantine.chunks"]
        for member in members:
            self.offsets[member], found = locate(type_, member)
            if member == "cache.bin":
                self.cached_bin = Record(memory, found.target(), "head")
                self.cached_bins = found.range()[1] + 1
            elif member == "outbox.slot":
                self.slot = Record(memory, found.target(), "pool", "head", "count")
                self.slots = found.range()[1] + 1
            elif member == "quarantine.small":
                self.waiting_small = found.range()[1] + 1
            elif member == "quarantine.chunk":
                self.chunk = Record(memory, found.target(), "block", "size")
                self.chunks = found.range()[1] + 1
        if self.is_hardened:
            self.ring = Record(
                memory, type_, "quarantine.first_chunk", "quarantine.chunks"
            )

    def part(self, heap, member, record, count):
        start = self.offsets[member]
        return record.rows(heap.data[start : start + record.size * count])
