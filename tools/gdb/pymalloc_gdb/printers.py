"""Pretty-printers for the library's structures.
"""

import gdb
import gdb.printing

from .geometry import CLASSES, GC_HEADER, NOBODY, POOL_FREE, class_size
from .heaps import Heap, Pool
from .library import Library, find_library
from .memory import Unreadable
from .objects import ObjectLayer, plural
from .system import count_cached
from .view import View


class Printer:
    """Of a structure that lies where the library has it; others are printed raw."""

    WANTED = Library.has_heaps

    def __init__(self, value):
        self.value = value

    def to_string(self):
        try:
            library = find_library(type(self).WANTED)
            return self.text(View(library), int(self.value.address))
        except (Unreadable, gdb.error, TypeError):
            return None


class PoolPrinter(Printer):
    def text(self, view, address):
        pool = Pool(
            (address - view.base) // view.pool_record.size,
            view.base,
            view.pool_record.at(address),
        )
        if pool.row.owner <= NOBODY or pool.row.state == POOL_FREE:
            return "free pool at %#x" % pool.start
        return "%s pool at %#x, %d of %d blocks of %d bytes live, of heap %s" % (
            pool.state,
            pool.start,
            view.count_live(pool),
            pool.capacity,
            pool.size,
            view.heap_text(pool.row.owner),
        )


class HeapPrinter(Printer):
    def text(self, view, address):
        heap = Heap(view.heap_layout, view.memory, address)
        count, size = count_cached(view, heap)
        return "heap %s, %s with %d bytes cached" % (
            view.heap_text(address),
            plural(count, "system block"),
            size,
        )

    def children(self):
        """The pools by size of block: the active one, the first of the others."""
        for member in ("active", "available"):
            pools = self.value[member]
            for cls in range(CLASSES):
                if int(pools[cls]) != 0:
                    yield "%s[%d bytes]" % (member, class_size(cls)), pools[cls]
        yield "spare", self.value["spare"]


class OptionsPrinter:
    def __init__(self, value):
        self.value = value

    def to_string(self):
        return None

    def children(self):
        for field in self.value.type.fields():
            yield field.name, int(self.value[field.name])


class HeaderPrinter(Printer):
    WANTED = Library.has_objects

    def text(self, view, address):
        data = view.memory.halves(view.memory.read(address, GC_HEADER))
        return ObjectLayer(view).text(data[0], data[1]) or "no live object"


def make_printers():
    printers = gdb.printing.RegexpCollectionPrettyPrinter("libpymalloc")
    printers.add_printer("pool", "^pym_pool$", PoolPrinter)
    printers.add_printer("heap", "^pym_heap$", HeapPrinter)
    printers.add_printer("options", "^pym_options$", OptionsPrinter)
    printers.add_printer("header", "^pygc_header$", HeaderPrinter)
    return printers
