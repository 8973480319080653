"""What an address is, in words.
"""

import gdb

from .geometry import (
    ARENA_POOLS,
    ARENA_SHIFT,
    BLOCK_LIVE,
    BLOCK_MORE,
    BLOCK_ORIGIN_MASK,
    BLOCK_ORIGIN_SHIFT,
    BLOCK_TAIL_MASK,
    BLOCK_WAITING,
    CHUNK_FLAGS,
    CHUNK_MAPPED,
    CHUNK_PREVIOUS_USED,
    GC_HEADER,
    GRAIN,
    GRAIN_SHIFT,
    GUARD_FREED,
    GUARD_LIVE,
    GUARD_NEVER,
    GUARD_SLOT_SHIFT,
    LEDGER_LIVE,
    NOBODY,
    ORIGINS,
    POOL_FREE,
    POOL_SPARE,
)
from .memory import Record, Unreadable, locate
from .objects import ObjectLayer, plural
from .system import cached_blocks, ledger_entries, quarantined_blocks


def into(address, start):
    """What to say between an address and the block that it lies in."""
    offset = address - start
    return "is" if offset == 0 else "is %s into" % plural(offset, "byte")


def code_place(address):
    """The function and line that a return address leads back to."""
    block = gdb.block_for_pc(address - 1)
    while block is not None and block.function is None:
        block = block.superblock
    line = gdb.find_pc_line(address - 1)
    name = block.function.name if block is not None else "?"
    if block is None:
        text = gdb.execute("info symbol %#x" % address, to_string=True).strip()
        return "%#x  %s" % (address, text)
    if line.symtab is not None:
        name += " (%s:%d)" % (line.symtab.filename, line.line)
    return "%#x  %s" % (address, name)


class Place:
    """What there is to say of an address: a sentence, and lines with a label each."""

    def __init__(self, address):
        self.address = address
        self.is_known = True
        self.sentence = ""
        self.lines = []

    def add(self, label, text):
        self.lines.append((label, text))

    def brief(self):
        object_ = [text for label, text in self.lines if label == "object"]
        return "%#x %s" % (self.address, "  ".join([self.sentence] + object_))

    def text(self):
        lines = ["%#x %s" % (self.address, self.sentence)]
        lines += ["  %-8s %s" % line for line in self.lines]
        return "\n".join(lines)


class Finder:
    """Finds out what an address is."""

    def __init__(self, view):
        self.view = view
        self.objects = ObjectLayer(view)

    def find(self, address):
        place = Place(address)
        view = self.view
        if view.owns(address):
            self.in_region(place)
        elif view.offset(address) < view.reserved:
            place.sentence = (
                "is in the address range for small blocks, where no arena is yet."
            )
        else:
            found = (
                self.guarded(place)
                or self.cached(place)
                or self.quarantined(place)
                or self.in_ledger(place)
                or self.large_object(place)
                or self.symbol(place)
                or self.chunk(place)
            )
            if not found:
                place.is_known = False
                place.sentence = (
                    "is not ours, as far as can be told: no small block, and no start"
                    " of a system block."
                )
        return place

    # ---- in the region

    def in_region(self, place):
        view = self.view
        arena = view.offset(place.address) >> ARENA_SHIFT
        if arena < view.first_arena:
            self.before_arenas(place, arena)
            return
        if view.is_guard_arena(arena):
            place.sentence = "is in an unreadable arena between others."
            return
        pool = view.pool_of(place.address)
        row = pool.row
        if row.owner <= NOBODY or row.state == POOL_FREE:
            self.free_pool(place, arena, pool)
        elif pool.number(place.address) is None:
            place.sentence = "is in a pool, but in none of its blocks."
            self.add_pool(place, pool)
        else:
            self.in_pool(place, pool)

    def before_arenas(self, place, arena):
        view = self.view
        if not view.states or arena != view.first_arena - 1:
            place.sentence = "is in a table of the library."
            return
        at = view.states + (view.offset(place.address) >> GRAIN_SHIFT)
        state = view.memory.read(at, 1)[0]
        kind = "live" if state & BLOCK_LIVE else "free"
        place.sentence = "is a %s block of no bytes." % kind

    def free_pool(self, place, arena, pool):
        row = self.view.arenas.get(arena)
        bit = 1 << pool.index % ARENA_POOLS
        has_memory = row is not None and row.dirty & bit
        memory = "still has" if has_memory else "has no"
        place.sentence = "is in a free pool, which %s memory behind it." % memory
        self.add_arena(place, pool)

    def in_pool(self, place, pool):
        number = pool.number(place.address)
        start = pool.block(number)
        state, is_live = self.block_state(pool, number)
        place.sentence = "%s a %s block of %d bytes at %#x." % (
            into(place.address, start),
            "live" if is_live else "free",
            pool.size,
            start,
        )
        place.add("block", "number %d of %d" % (number + 1, pool.capacity))
        place.add("state", state)
        if pool.is_tagged and is_live:
            header = self.view.memory.halves(self.view.memory.read(start, GC_HEADER))
            text = self.objects.text(header[0], header[1])
            place.add("object", text or "none yet, or none any more")
        self.add_pool(place, pool)

    def block_state(self, pool, number):
        """In words, and whether the program has it."""
        view = self.view
        block = pool.block(number)
        if number >= pool.row.carved:
            return "free: was never used", False
        if pool.is_away(number):
            return "free: the memory of its page was given back", False
        if block in view.sent:
            name, heap = view.sent[block]
            text = "free: on its way to its heap, in the %s of heap %s"
            return text % (name, view.heap_text(heap)), False
        free, broken = view.free_blocks(pool)
        if number in free:
            lists = {"bin": "in its heap's bin", "pool": "in the pool's list"}
            text = "free: %s" % lists[free[number]]
            if broken == block:
                word = view.memory.near_word(block)
                text += ", which ends here: the first word, %#x, is no link" % word
            return text, False
        if pool.row.state == POOL_SPARE:
            return "free: its whole pool is", False
        if view.states:
            return self.hardened_state(pool, number)
        if broken:
            return "live, or lost: the list of free blocks ends at %#x" % broken, True
        return "live", True

    def hardened_state(self, pool, number):
        view = self.view
        state = view.block_states(pool)[number]
        if state & BLOCK_LIVE:
            size = pool.size - (state & BLOCK_TAIL_MASK) - 1
            about = "at most " if state & BLOCK_MORE else ""
            origin = ORIGINS[min(state >> BLOCK_ORIGIN_SHIFT & BLOCK_ORIGIN_MASK, 2)]
            text = "live: %s%s, made by %s"
            return text % (about, plural(size, "byte") + " usable", origin), True
        if state == BLOCK_WAITING:
            for block, _, heap in quarantined_blocks(view):
                if block == pool.block(number):
                    where = view.heap_text(heap.address)
                    return "free: in the quarantine of heap %s" % where, False
            return "free: in quarantine", False
        return "free: in no list that is known", False

    def add_pool(self, place, pool):
        text = "%#x, %s, %d of %d blocks live" % (
            pool.start,
            pool.state,
            self.view.count_live(pool),
            pool.capacity,
        )
        place.add("pool", text)
        self.add_arena(place, pool)
        place.add("heap", self.view.heap_text(pool.row.owner))

    def add_arena(self, place, pool):
        arena, number = divmod(pool.index, ARENA_POOLS)
        text = "%#x, pool %d of %d"
        place.add(
            "arena", text % (self.view.arena_start(arena), number + 1, ARENA_POOLS)
        )

    # ---- elsewhere

    def guarded(self, place):
        library, memory = self.view.library, self.view.memory
        offset = place.address - library.number("guard", "pym_guard_base")
        if not 0 <= offset < library.number("guard", "pym_guard_size"):
            return False
        slots = library.variable("guard", "slots")
        type_ = slots.type.target()
        record = Record(memory, type_, "block", "size", "state")
        at = int(slots) + (offset >> GUARD_SLOT_SHIFT) * record.size
        slot = record.at(at)
        if slot.state == GUARD_NEVER:
            place.sentence = "is in the place for guarded blocks, where none was yet."
            return True
        kind = "live" if slot.state == GUARD_LIVE else "freed"
        of_block = "a %s guarded block of %s at %#x." % (
            kind,
            plural(slot.size, "byte"),
            slot.block,
        )
        if slot.block <= place.address < slot.block + slot.size:
            place.sentence = "%s %s" % (into(place.address, slot.block), of_block)
        else:
            place.sentence = "is beside %s" % of_block
        self.add_trace(place, "made", type_, at, "allocated")
        if slot.state == GUARD_FREED:
            self.add_trace(place, "freed", type_, at, "freed")
        return True

    def add_trace(self, place, label, type_, slot, member):
        offset, trace = locate(type_, member)
        record = Record(self.view.memory, trace, "frames", "thread")
        row = record.at(slot + offset)
        frames = self.view.memory.words(
            slot + offset + locate(trace, "frame")[0], min(row.frames, 24)
        )
        place.add(label, "by the thread with LWP %d, at" % row.thread)
        for frame in frames:
            place.add("", code_place(frame))

    def cached(self, place):
        for cached in cached_blocks(self.view):
            if cached.block <= place.address < cached.block + cached.size:
                place.sentence = "%s a free system block of %d bytes at %#x." % (
                    into(place.address, cached.block),
                    cached.size,
                    cached.block,
                )
                if cached.heap is None:
                    where = "free: in the transfer cache"
                else:
                    where = "free: in the cache of heap %s" % self.view.heap_text(
                        cached.heap.address
                    )
                place.add("state", where)
                return True
        return False

    def quarantined(self, place):
        for block, size, heap in quarantined_blocks(self.view):
            if size and block <= place.address < block + size:
                place.sentence = "%s a free system block of %d bytes at %#x." % (
                    into(place.address, block),
                    size,
                    block,
                )
                where = self.view.heap_text(heap.address)
                place.add("state", "free: in the quarantine of heap %s" % where)
                return True
        return False

    def in_ledger(self, place):
        if not self.view.library.is_hardened:
            return False
        found = None
        for row in ledger_entries(self.view):
            if row.block <= place.address < row.block + max(row.size + row.tail, 1):
                found = row
                if row.state == LEDGER_LIVE:
                    break
        if found is None:
            return False
        kind = "live" if found.state == LEDGER_LIVE else "free"
        place.sentence = "%s a %s system block of %s at %#x." % (
            into(place.address, found.block),
            kind,
            plural(found.size, "byte"),
            found.block,
        )
        origin = ORIGINS[min(found.origin, 2)]
        if kind == "live":
            place.add("state", "live: made by %s, as the ledger says" % origin)
        else:
            place.add("state", "free: given back to the system allocator, once ours")
        return True

    def large_object(self, place):
        view = self.view
        if not self.objects.exists:
            return False
        for heap in view.gc_heaps.values():
            for at, row in self.objects.large_objects(heap):
                if at <= place.address < at + row.size:
                    place.sentence = "%s a live system block of %d bytes at %#x." % (
                        into(place.address, at),
                        row.size,
                        at,
                    )
                    text = self.objects.text(row.header_bits, row.header_refs)
                    place.add("object", text or "none")
                    place.add("heap", view.heap_text(heap.address))
                    return True
        return False

    def symbol(self, place):
        text = gdb.execute("info symbol %#x" % place.address, to_string=True).strip()
        if text.startswith("No symbol"):
            return False
        place.sentence = "is not ours, but the program's or a library's: %s." % text
        return True

    def chunk(self, place):
        """By what glibc writes before its blocks, and behind them for their neighbours."""
        view = self.view
        address = place.address
        if address % GRAIN or not view.library.number(
            "syscache", "pym_syscache_usable"
        ):
            return False
        try:
            before, word = view.memory.words(address - 16, 2)
            size = word & ~CHUNK_FLAGS
            if size % GRAIN or size < 32:
                return False
            if word & CHUNK_MAPPED:
                if (address - 16 - before) % 4096 or (size + before) % 4096:
                    return False
                is_live, usable = True, size - 16
                state = "live, as the word before it says: a mapping of its own"
            else:
                behind = view.memory.word(address - 8 + size)
                if behind & ~CHUNK_FLAGS < 16 or behind >> 48:
                    return False
                is_live, usable = behind & CHUNK_PREVIOUS_USED, size - 8
                state = "%s, as the words before and behind it say" % (
                    "live" if is_live else "free"
                )
        except Unreadable:
            return False
        place.sentence = "is a %s system block of %d bytes, it seems." % (
            "live" if is_live else "free",
            usable,
        )
        place.add("state", state)
        return True
