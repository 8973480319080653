"""System blocks that the library knows of: cached, in quarantine, in the ledger.
"""

import collections

from .geometry import GRAIN, cached_class_size
from .memory import Record, Unreadable, locate


Cached = collections.namedtuple("Cached", ["block", "size", "heap"])


def heap_lists(view, heap):
    """Head, size of the blocks and heap of each list that a heap keeps."""
    layout = view.heap_layout
    bins = layout.part(heap, "cache.bin", layout.cached_bin, layout.cached_bins)
    for cls, row in enumerate(bins):
        yield row.head, cached_class_size(cls), heap


def transfer_lists(view):
    """The same of the transfer cache; no heap."""
    shelves = view.library.variable("transfer", "shelves")
    shelf = shelves.type.target()
    slots = locate(shelf, "slot")[1].range()[1] + 1
    for cls in range(view.heap_layout.cached_bins):
        heads = view.memory.words(int(shelves.address) + cls * shelf.sizeof, slots)
        for head in heads:
            yield head, cached_class_size(cls), None


def blocks_of(view, lists):
    for at, size, heap in lists:
        seen = set()
        while at and at % GRAIN == 0 and at not in seen:
            seen.add(at)
            yield Cached(at, size, heap)
            try:
                at = view.chunk_link(at)
            except Unreadable:
                break


def cached_blocks(view):
    for heap in view.thread_heaps.values():
        yield from blocks_of(view, heap_lists(view, heap))
    yield from blocks_of(view, transfer_lists(view))


def count_cached(view, heap):
    """Number and bytes of the system blocks that a heap keeps."""
    kept = [cached.size for cached in blocks_of(view, heap_lists(view, heap))]
    return len(kept), sum(kept)


def quarantined_blocks(view):
    """Each block in a quarantine, with the bytes of a system block, and the heap."""
    layout = view.heap_layout
    if not layout.is_hardened:
        return
    for heap in view.thread_heaps.values():
        start = heap.address + layout.offsets["quarantine.small"]
        for block in view.memory.words(start, layout.waiting_small):
            if block:
                yield block, 0, heap
        chunks = layout.part(heap, "quarantine.chunk", layout.chunk, layout.chunks)
        chunks = list(chunks)
        ring = layout.ring.of(heap.data)
        for i in range(min(ring.quarantine_chunks, layout.chunks)):
            place = (ring.quarantine_first_chunk + i) % layout.chunks
            yield chunks[place].block, chunks[place].size, heap


def ledger_entries(view):
    """All entries of the hardened library's ledger."""
    entry_type = view.library.type("ledger", "pym_ledger_entry")
    entry = Record(view.memory, entry_type, "block", "size", "state", "origin", "tail")
    table_type = view.library.type("ledger", "table")
    head = Record(view.memory, table_type, "slots")
    first, _ = locate(table_type, "entry")
    shards = view.library.variable("ledger", "shards")
    offset, _ = locate(shards.type.target(), "table")
    for i in range(shards.type.range()[1] + 1):
        at = int(shards.address) + i * shards.type.target().sizeof
        table = view.memory.word(at + offset)
        if table:
            for row in entry.table(table + first, head.at(table).slots):
                if row.block:
                    yield row
