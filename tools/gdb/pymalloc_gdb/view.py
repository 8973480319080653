"""The heap as a command sees it: pools, heaps, and the lists of free blocks.
"""

import collections
import functools

import gdb

from .geometry import (
    ARENA_POOLS,
    ARENA_SHIFT,
    BLOCK_LIVE,
    CHAIN_COUNT_BITS,
    CHAIN_NEXT_SHIFT,
    CLASSES,
    GRAIN_SHIFT,
    GUARDS,
    NOBODY,
    POOL_ACTIVE,
    POOL_FREE,
    POOL_FULL,
    POOL_SHIFT,
    POOL_SIZE,
    POOL_SPARE,
    WORD_MASK,
    class_wake,
)
from .heaps import Heap, HeapLayout, Pool
from .memory import Memory, Record, Unreadable, locate
from .threads import nearest_thread, thread_label, thread_pointers


class View:
    """What a command sees of the process; each part is read when it is wanted."""

    def __init__(self, library):
        self.library = library
        self.memory = Memory()
        self.base = int(library.variable("region", "pym_region_start")["base"])
        self.limit = int(library.variable("region", "pym_region_end")["plain"])
        region = library.variable("region", "pym_region")
        self.first_arena = int(region["first_arena"])
        self.reserved = int(region["reserved"])
        self.arenas_at = int(region["arenas"])
        self.key = self.states = 0
        if library.is_hardened:
            self.key = library.number("harden", "pym_harden_key")
            self.states = library.number("region", "pym_region_states")
        pool_type = library.type("region", "pym_pool")
        self.pool_record = Record(
            self.memory,
            pool_type,
            "owner",
            "free_to",
            "local",
            "countdown",
            "carved",
            "cls",
            "state",
            "first",
            "returned",
        )
        heap_type = library.type("heaps", "pym_heap")
        self.heap_layout = HeapLayout(self.memory, heap_type)

    # ---- links in free memory

    def decode(self, address, word):
        """What a word in free memory says; only the hardened library encodes it."""
        if not self.key:
            return word
        return word ^ self.key ^ (address << 32 & WORD_MASK | address >> 32)

    def link(self, block):
        return self.decode(block, self.memory.near_word(block))

    def note(self, block):
        return self.decode(block + 8, self.memory.near_word(block + 8))

    def chunk_link(self, block):
        return self.decode(block, self.memory.word(block))

    # ---- the region

    def offset(self, address):
        return (address - self.base) & WORD_MASK

    def owns(self, address):
        return self.offset(address) < self.limit

    @property
    def arena_numbers(self):
        return range(self.first_arena, self.limit >> ARENA_SHIFT)

    def is_guard_arena(self, arena):
        place = arena - self.first_arena
        return self.library.is_hardened and place < 2 * GUARDS and place % 2 == 1

    @functools.cached_property
    def arenas(self):
        """The records by number, of all arenas that can be used."""
        type_ = self.library.type("region", "pym_arena")
        record = Record(self.memory, type_, "free", "taken", "dirty")
        numbers = self.arena_numbers
        if not numbers:
            return {}
        first = self.arenas_at + numbers[0] * record.size
        rows = record.table(first, len(numbers))
        return {
            number: row
            for number, row in zip(numbers, rows)
            if not self.is_guard_arena(number)
        }

    def arena_start(self, number):
        return self.base + (number << ARENA_SHIFT)

    def pool_of(self, address):
        """The pool of an address in an arena, whether a heap has it or not."""
        index = self.offset(address) >> POOL_SHIFT
        row = self.pool_record.at(self.base + index * self.pool_record.size)
        return Pool(index, self.base, row)

    @functools.cached_property
    def pools(self):
        """Those that heaps have."""
        first = self.first_arena * ARENA_POOLS
        count = (self.limit >> POOL_SHIFT) - first
        if count <= 0:
            return []
        rows = self.pool_record.table(self.base + first * self.pool_record.size, count)
        return [
            Pool(first + i, self.base, row)
            for i, row in enumerate(rows)
            if row.owner > NOBODY and row.state != POOL_FREE and row.cls < CLASSES
        ]

    # ---- heaps

    @functools.cached_property
    def thread_heaps(self):
        """By address, the oldest first; not those of objects."""
        found = []
        at = self.library.number("heaps", "all_heaps")
        seen = set()
        while at and at not in seen:
            seen.add(at)
            found.append(Heap(self.heap_layout, self.memory, at))
            at = found[-1].row.next
        return {heap.address: heap for heap in reversed(found)}

    @functools.cached_property
    def default_gc_heap(self):
        """That of pygc_heap_default, a variable inside of the function."""
        function = self.library.function("pygc_heap_default")
        if function is None:
            return 0
        block = gdb.block_for_pc(int(function.value().address))
        for symbol in block or ():
            if symbol.name == "the_heap":
                return int(symbol.value())
        return 0

    def gc_heap(self, address):
        """A heap of objects, if there is one; its bins are the saved ones."""
        try:
            heap = Heap(self.heap_layout, self.memory, address)
        except Unreadable:
            return None
        return heap if heap.is_gc and heap.row.bins == heap.saved else None

    @functools.cached_property
    def gc_heaps(self):
        """Those that have a pool, and the default one: there is no list of them."""
        owners = {pool.row.owner for pool in self.pools if pool.is_tagged}
        owners |= {self.default_gc_heap} - {0}
        heaps = [self.gc_heap(owner) for owner in sorted(owners)]
        return {heap.address: heap for heap in heaps if heap is not None}

    @property
    def heaps(self):
        """All that are known."""
        return {**self.thread_heaps, **self.gc_heaps}

    def heap(self, address):
        return self.thread_heaps.get(address) or self.gc_heap(address)

    @functools.cached_property
    def heap_threads(self):
        """The threads by the heaps that they have."""
        pointers = thread_pointers()
        offset, _ = locate(self.library.type("heap", "pym_thread"), "heap")
        found = {}
        for heap in self.thread_heaps.values():
            if heap.row.bins in (0, heap.saved):
                continue
            try:
                if self.memory.word(heap.row.bins + offset) != heap.address:
                    continue
            except Unreadable:
                continue
            thread = nearest_thread(pointers, heap.row.bins)
            if thread is not None:
                found[heap.address] = thread
        return found

    def thread_label(self, heap):
        thread = self.heap_threads.get(heap.address)
        if thread is not None:
            return thread_label(thread)
        if heap.address == self.library.address("heaps", "emergency"):
            return "emergency"
        return "-"

    def heap_text(self, address):
        """A heap in words."""
        heap = self.heap(address)
        if heap is None:
            return "%#x, which is no heap" % address
        if heap.is_gc:
            return "%#x, of objects" % address
        thread = self.heap_threads.get(address)
        if thread is not None:
            return "%#x, of thread %s" % (address, thread_label(thread))
        if address == self.library.address("heaps", "emergency"):
            return "%#x, of threads that are ending" % address
        return "%#x, %s" % (address, heap.state)

    # ---- blocks on their way to their heaps

    def chain(self, head, count):
        """Blocks of one pool, linked; the last one's link means nothing."""
        blocks = []
        at = head
        while len(blocks) < count and self.owns(at) and (at ^ head) < POOL_SIZE:
            blocks.append(at)
            at = self.link(at)
        return blocks

    def inbox_chains(self, heap):
        """First block and number of blocks of each chain in the inbox."""
        at = heap.row.inbox_first
        seen = set()
        while self.owns(at) and at not in seen:
            seen.add(at)
            note = self.note(at)
            yield at, (note & ((1 << CHAIN_COUNT_BITS) - 1)) + 1
            offset = note >> CHAIN_NEXT_SHIFT << GRAIN_SHIFT
            at = self.base + offset if offset else 0

    def outbox_chains(self, heap):
        layout = self.heap_layout
        for slot in layout.part(heap, "outbox.slot", layout.slot, layout.slots):
            if slot.pool:
                yield slot.head, slot.count

    @functools.cached_property
    def sent(self):
        """For each block that is on its way to its heap: in which list of which heap."""
        found = {}
        for heap in self.heaps.values():
            for name, chains in (
                ("inbox", self.inbox_chains(heap)),
                ("outbox", self.outbox_chains(heap)),
            ):
                try:
                    for head, count in chains:
                        for block in self.chain(head, count):
                            found[block] = (name, heap.address)
                except Unreadable:
                    continue
        return found

    @functools.cached_property
    def sent_by_pool(self):
        return collections.Counter(
            self.offset(block) >> POOL_SHIFT for block in self.sent
        )

    # ---- the blocks of a pool

    def free_lists(self, pool):
        """The heads of the lists that a pool's free blocks are in, by name.

        A heap that fork has broken may have blocks in both, or in the bin of a thread
        that is gone, which was saved: see recover_pool in heap.c.
        """
        heap = self.thread_heaps.get(pool.row.owner)
        lists = [("pool", pool.row.local)]
        if heap is not None and heap.is_broken:
            lists.append(("bin", self.memory.word(heap.saved + 8 * pool.row.cls)))
        elif pool.row.state == POOL_ACTIVE:
            lists.append(("bin", self.memory.word(pool.row.free_to)))
        return lists

    def free_blocks(self, pool):
        """The lists' names by number of the block; and where a list is broken, or 0."""
        found = {}
        broken = 0
        for name, at in self.free_lists(pool):
            last = 0
            while at:
                number = pool.number(at)
                if number is None or at != pool.block(number) or number in found:
                    # A broken heap's bin may be another pool's, and lists may overlap.
                    broken = broken or last
                    break
                found[number] = name
                last = at
                at = self.link(at)
        return found, broken

    def block_states(self, pool):
        """Of the hardened library: a byte for each block of the pool."""
        start = self.states + (pool.index << POOL_SHIFT >> GRAIN_SHIFT)
        count = POOL_SIZE >> GRAIN_SHIFT
        page = self.memory.page(start // Memory.PAGE)
        if page is None:
            data = self.memory.read(start, count)
        else:
            data = page[start % Memory.PAGE :][:count]
        first = pool.row.first >> GRAIN_SHIFT
        return data[first :: pool.size >> GRAIN_SHIFT][: pool.capacity]

    def live_blocks(self, pool):
        """The numbers of the blocks that the program has."""
        if pool.row.state == POOL_SPARE:
            return []
        carved = min(pool.row.carved, pool.capacity)
        if self.states:
            states = self.block_states(pool)
            return [i for i in range(carved) if states[i] & BLOCK_LIVE]
        free, _ = self.free_blocks(pool)
        return [
            i
            for i in range(carved)
            if i not in free
            and pool.block(i) not in self.sent
            and not pool.is_away(i)
        ]

    def count_live(self, pool):
        """The same number, from the pool's countdown where that says it."""
        row = pool.row
        if row.state == POOL_SPARE:
            return 0
        heap = self.thread_heaps.get(row.owner)
        is_broken = heap is not None and heap.is_broken
        if self.states or is_broken or row.state == POOL_ACTIVE:
            return len(self.live_blocks(pool))
        in_use = row.countdown
        if row.state == POOL_FULL:
            in_use += row.carved - class_wake(row.cls)
        return in_use - self.sent_by_pool[pool.index]
