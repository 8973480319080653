"""The commands.  Their documentation strings are what "help pymalloc" prints.
"""

import collections
import struct

import gdb

from .geometry import ARENA_POOLS, GC_LIVE, GC_PENDING, GC_TRACKED, GRAIN
from .geometry import POOL_SIZE, POOL_SPARE, SMALL_MAX, WORD_MASK
from .library import Library, find_libraries, find_library
from .memory import Record, Unreadable, plain
from .objects import ObjectLayer, plural
from .place import Finder
from .system import cached_blocks, count_cached
from .tables import human, print_table
from .view import View


class Group(gdb.Command):
    """Look at the heap of a program that runs with libpymalloc.

    Everything is read from the memory of the process or core file; nothing of the
    program is run.  The library's debug information is needed."""

    def __init__(self):
        super().__init__("pymalloc", gdb.COMMAND_DATA, prefix=True)


class Command(gdb.Command):
    """One of them."""

    NAME = ""
    COMPLETION = gdb.COMPLETE_NONE
    TAKES_NOTHING = True

    def __init__(self):
        super().__init__("pymalloc " + self.NAME, gdb.COMMAND_DATA, self.COMPLETION)

    def view(self):
        return View(find_library())

    def invoke(self, argument, from_tty):
        if self.TAKES_NOTHING and argument:
            raise gdb.GdbError("pymalloc %s takes no argument." % self.NAME)
        try:
            self.run(self.view(), argument)
        except Unreadable as error:
            raise gdb.GdbError("The heap cannot be read: %s." % error) from None


def evaluate(text):
    """The value of an expression; an array or structure stands for its address."""
    try:
        value = gdb.parse_and_eval(text)
        codes = (gdb.TYPE_CODE_ARRAY, gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION)
        if plain(value.type).code in codes:
            value = value.address
        return int(value)
    except (gdb.error, TypeError) as error:
        raise gdb.GdbError("%s: %s" % (text, error)) from None


def address_of(text):
    if not text:
        raise gdb.GdbError("An expression is needed that stands for an address.")
    return evaluate(text) & WORD_MASK


class Info(Command):
    """Say what a pointer points to.
    Usage: pymalloc info EXPRESSION

    For a small block: where it begins, its size, whether the program has it, and if
    not in which list it waits; its pool, arena and heap, and the heap's thread.  For
    other addresses: cached system blocks, system blocks as far as the word before them
    tells, guarded blocks with the stacks that made and freed them, objects of the
    object layer.  An array or structure stands for its address."""

    NAME = "info"
    COMPLETION = gdb.COMPLETE_EXPRESSION
    TAKES_NOTHING = False

    def run(self, view, argument):
        address = address_of(argument)
        views = [View(library) for library in find_libraries()]
        for view in sorted(views, key=lambda view: not view.owns(address)):
            place = Finder(view).find(address)
            if place.is_known:
                break
        print(place.text())


class Pools(Command):
    """List the pools that heaps have.
    Usage: pymalloc pools [SIZE]

    With SIZE only those of blocks that serve requests of so many bytes.  A pool is
    "active" if its blocks go through its heap's bin, "full", "available" if some are
    free, or "spare" if all are.  Blocks that are "sent" were freed by other threads and
    have not come back yet; they are not live."""

    NAME = "pools"
    COMPLETION = gdb.COMPLETE_EXPRESSION
    TAKES_NOTHING = False

    def run(self, view, argument):
        pools = view.pools
        if argument:
            size = evaluate(argument)
            if not 0 < size <= SMALL_MAX:
                raise gdb.GdbError("Pools have blocks of 1 to %d bytes." % SMALL_MAX)
            pools = [p for p in pools if p.size - GRAIN < size <= p.size]
        labels = {at: view.thread_label(heap) for at, heap in view.heaps.items()}
        rows = [
            (
                "%#x" % pool.start,
                pool.size,
                view.count_live(pool),
                view.sent_by_pool[pool.index],
                pool.capacity,
                pool.state,
                "%#x" % pool.row.owner,
                labels.get(pool.row.owner, "?"),
            )
            for pool in pools
        ]
        head = ["pool", "size", "live", "sent", "room", "state", "heap", "thread"]
        print_table(head, rows, left=("state", "heap", "thread"))
        print("%s." % plural(len(pools), "pool"))


class Heaps(Command):
    """List the heaps.
    Usage: pymalloc heaps

    A heap is "live" if a thread has it, "orphan" if it waits for one, "broken" if fork
    has caught it at work and nobody has mended it yet; "objects" are the heaps of the
    object layer.  "cached" are system blocks that the heap keeps, "inbox" are blocks
    that other threads have freed and the heap has not taken back, "outbox" are blocks of
    other heaps that its thread has freed and not sent yet."""

    NAME = "heaps"

    def run(self, view, argument):
        pools = collections.Counter(pool.row.owner for pool in view.pools)
        live = collections.Counter()
        for pool in view.pools:
            live[pool.row.owner] += view.count_live(pool) * pool.size
        rows = []
        for heap in view.heaps.values():
            cached, cached_bytes = count_cached(view, heap)
            rows.append(
                (
                    "%#x" % heap.address,
                    heap.state,
                    view.thread_label(heap),
                    pools[heap.address],
                    live[heap.address],
                    cached,
                    cached_bytes,
                    sum(count for _, count in view.inbox_chains(heap)),
                    sum(count for _, count in view.outbox_chains(heap)),
                )
            )
        head = ["heap", "state", "thread", "pools", "live bytes", "cached"]
        head += ["cached bytes", "inbox", "outbox"]
        print_table(head, rows, left=("heap", "state", "thread"))
        print("%s." % plural(len(rows), "heap"))


class Arenas(Command):
    """List the arenas.
    Usage: pymalloc arenas

    The map has a sign for each of the pools: "#" a heap has it, "+" it is free and
    still has memory, "." it is free without memory, "-" its memory is being given back.
    """

    NAME = "arenas"

    SIGNS = (("taken", "#"), ("dirty", "+"), ("free", "."))

    def sign(self, row, bit):
        for member, sign in self.SIGNS:
            if getattr(row, member) & bit:
                return sign
        return "-"

    def run(self, view, argument):
        rows = []
        for number, row in view.arenas.items():
            signs = "".join(self.sign(row, 1 << i) for i in range(ARENA_POOLS))
            counts = [signs.count(sign) for sign in "#+."]
            rows.append(["%#x" % view.arena_start(number)] + counts + [signs])
        head = ["arena", "used", "dirty", "clean", "pools"]
        print_table(head, rows, left=("arena", "pools"))
        used = sum(row[1] for row in rows)
        dirty = sum(row[2] for row in rows)
        print(
            "%s, %s of pools used, %s free with memory, %s of addresses reserved."
            % (
                plural(len(rows), "arena"),
                human(used * POOL_SIZE),
                human(dirty * POOL_SIZE),
                human(view.reserved),
            )
        )


class Stats(Command):
    """Add up the small blocks by size, and the cached system blocks.
    Usage: pymalloc stats

    "room" is the number of blocks that the pools of a size have place for, "sent" are
    blocks on their way back to their heaps, which are not live."""

    NAME = "stats"

    def run(self, view, argument):
        pools, live, sent, room = (collections.Counter() for _ in range(4))
        for pool in view.pools:
            pools[pool.size] += 1
            live[pool.size] += view.count_live(pool)
            sent[pool.size] += view.sent_by_pool[pool.index]
            room[pool.size] += pool.capacity
        sizes = sorted(pools)
        rows = [
            (size, pools[size], room[size], live[size], sent[size], live[size] * size)
            for size in sizes
        ]
        total = sum(row[5] for row in rows)
        rows.append(["all"] + [sum(row[i] for row in rows) for i in range(1, 6)])
        print_table(["size", "pools", "room", "live", "sent", "live bytes"], rows)
        held = sum(pools.values()) * POOL_SIZE
        print("%s live in %s of pools." % (human(total), human(held)))
        counts = [count_cached(view, heap) for heap in view.thread_heaps.values()]
        between = sum(1 for cached in cached_blocks(view) if cached.heap is None)
        print(
            "%s cached in heaps, %s; %d between heaps."
            % (
                plural(sum(count for count, _ in counts), "system block"),
                human(sum(size for _, size in counts)),
                between,
            )
        )


class Options(Command):
    """List the library's options with their values.
    Usage: pymalloc options

    Those that have not their default value are marked with "*"."""

    NAME = "options"

    def run(self, view, argument):
        options = view.library.variable("options", "options")
        type_ = options.type.target()
        record = Record(view.memory, type_, "name", "meaning", "value", "initial")
        count = options.type.range()[1] + 1
        rows = []
        for row in record.table(int(options.address), count):
            value = view.memory.word(row.value)
            mark = "*" if value != row.initial else " "
            name = view.memory.text(row.name)
            rows.append((mark + name, value, view.memory.text(row.meaning)))
        print_table([" option", "value", "meaning"], rows, (" option", "meaning"))


def runs_of(pools, most=256):
    """Pools in groups that lie side by side, so that few reads are needed."""
    run = []
    for pool in pools:
        if run and (pool.index != run[-1].index + 1 or len(run) == most):
            yield run
            run = []
        run.append(pool)
    if run:
        yield run


def read_pools(view, pools):
    """Each pool with its memory; None for what cannot be read."""
    for run in runs_of(pools):
        try:
            data = view.memory.read(run[0].start, len(run) * POOL_SIZE)
        except Unreadable:
            data = None
        for i, pool in enumerate(run):
            yield pool, data and data[i * POOL_SIZE : (i + 1) * POOL_SIZE]


class Find(Command):
    """List the live small blocks that contain a pointer.
    Usage: pymalloc find EXPRESSION

    Looks for the value in every word of the live small blocks.  An array or structure
    stands for its address."""

    NAME = "find"
    COMPLETION = gdb.COMPLETE_EXPRESSION
    TAKES_NOTHING = False

    def hits(self, data, wanted):
        """Where in a pool a word is."""
        at = data.find(wanted)
        while at >= 0:
            if at % 8 == 0:
                yield at
            at = data.find(wanted, at + 1)

    def look_into(self, finder, pool, data, wanted):
        """Prints the blocks of a pool that have it; their number."""
        live = None
        count = 0
        for at in self.hits(data, wanted):
            number = pool.number(pool.start + at)
            if live is None:
                live = set(finder.view.live_blocks(pool))
            if number in live:
                count += 1
                print(finder.find(pool.start + at).brief())
        return count

    def run(self, view, argument):
        value = address_of(argument)
        wanted = struct.pack(view.memory.order + "Q", value)
        finder = Finder(view)
        count = unread = 0
        for pool, data in read_pools(view, view.pools):
            if data is None:
                unread += 1
            else:
                count += self.look_into(finder, pool, data, wanted)
        print("%s." % plural(count, "place"))
        if unread:
            print("%s could not be read." % plural(unread, "pool"))


class Objects(Command):
    """Count the objects of the object layer by type.
    Usage: pymalloc objects

    Of all heaps of objects that have a pool, and the default one.  "tracked" objects
    are watched by the collector; "dead" ones wait for their release."""

    NAME = "objects"

    def __init__(self):
        super().__init__()
        self.counts = {}

    def view(self):
        return View(find_library(Library.has_objects))

    def add(self, layer, bits, objects, size):
        """Counts objects of one size that have the same bits in their headers."""
        name = layer.type_of(bits) if bits & GC_LIVE else None
        if name is not None:
            row = self.counts.setdefault(name, [0, 0, 0, 0])
            row[0] += objects
            row[1] += objects * size
            row[2] += objects if bits & GC_TRACKED else 0
            row[3] += objects if bits & GC_PENDING else 0

    def add_pool(self, layer, pool, data):
        """The blocks' first halves of words; a free block's is no live header's."""
        halves = layer.memory.halves(data)
        first, step = pool.row.first // 4, pool.size // 4
        end = first + min(pool.row.carved, pool.capacity) * step
        for bits, count in collections.Counter(halves[first:end:step]).items():
            self.add(layer, bits, count, pool.size)

    def run(self, view, argument):
        layer = ObjectLayer(view)
        if not layer.exists:
            raise gdb.GdbError("This libpymalloc is without the object layer.")
        self.counts = {}
        unread = 0
        pools = [pool for pool in view.pools if pool.is_tagged]
        for pool, data in read_pools(view, pools):
            if data is None:
                unread += 1
            elif pool.row.state != POOL_SPARE:
                self.add_pool(layer, pool, data)
        for heap in view.gc_heaps.values():
            for _, row in layer.large_objects(heap):
                self.add(layer, row.header_bits, 1, row.size)
        counts = sorted(self.counts.items(), key=lambda item: -item[1][1])
        rows = [[name] + row for name, row in counts]
        rows.append(["all"] + [sum(row[i] for row in rows) for i in range(1, 5)])
        head = ["type", "objects", "bytes", "tracked", "dead"]
        print_table(head, rows, left=("type",))
        if unread:
            print("%s could not be read." % plural(unread, "pool"))


def make_commands():
    Group()
    for command in (Info, Pools, Heaps, Arenas, Stats, Options, Find, Objects):
        command()
