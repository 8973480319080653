"""The library in the process.
"""

import os

import gdb


NO_PROCESS = (
    "There is no process to look at: run or attach to a program, or open a core file."
)
NO_LIBRARY = (
    "libpymalloc is not in this process: start the program with it"
    ' ("pymalloc run PROGRAM", or LD_PRELOAD), or link it.'
)
NO_SYMBOLS = (
    "%s has no debug information, which these commands need: install its package of"
    " debugging symbols (libpymalloc0-dbgsym, libpymalloc-debuginfo), let gdb fetch"
    ' them ("set debuginfod enabled on"), or build the library with -g and do not'
    " strip it."
)


OTHER_VERSION = "%s has no %s: are these commands of another version of libpymalloc?"


class Library:
    """The library in the process: its variables and types.

    A variable is looked for in the unit of a function, since others may have static
    variables of the same name, and declarations of theirs are nowhere.
    """

    KEY = "pym_region_init"
    UNITS = {
        "gc_heap": "pygc_heap_new",
        "gc_type": "pygc_type_new",
        "guard": "pym_guard_init",
        "harden": "pym_harden_init",
        "heap": "pym_heap_refill",
        "heaps": "pym_heaps_attach",
        "ledger": "pym_ledger_find",
        "options": "pym_options_init",
        "region": KEY,
        "syscache": "pym_syscache_probe",
        "transfer": "pym_transfer_take",
    }

    def __init__(self, objfile):
        self.objfile = objfile
        self.units = {}
        self.is_hardened = self.unit("harden") is not None

    def function(self, name):
        return self.objfile.lookup_global_symbol(name)

    def unit(self, name):
        """The variables of a source file by name, and its block; None: it is not in."""
        if name not in self.units:
            function = self.function(self.UNITS[name])
            self.units[name] = None
            if function is not None and function.symtab is not None:
                blocks = (
                    function.symtab.static_block(),
                    function.symtab.global_block(),
                )
                variables = {
                    symbol.name: symbol
                    for block in blocks
                    for symbol in block
                    if symbol.is_variable
                    and symbol.addr_class != gdb.SYMBOL_LOC_UNRESOLVED
                }
                self.units[name] = (variables, blocks[0])
        return self.units[name]

    def symbol(self, unit, name):
        found = self.unit(unit)
        symbol = found[0].get(name) if found is not None else None
        if symbol is None:
            raise gdb.GdbError(OTHER_VERSION % (self.objfile.filename, name))
        return symbol

    def variable(self, unit, name):
        return self.symbol(unit, name).value()

    def address(self, unit, name):
        return int(self.variable(unit, name).address)

    def number(self, unit, name):
        return int(self.variable(unit, name))

    def has_heaps(self):
        return self.number("heaps", "all_heaps") != 0

    def has_objects(self):
        return self.unit("gc_type") is not None

    def type(self, unit, name):
        """A structure as a unit has it: gdb.lookup_type would find the program's own."""
        block = self.unit(unit)[1]
        found = gdb.lookup_symbol(name, block, gdb.SYMBOL_STRUCT_DOMAIN)[0]
        if found is None:
            raise gdb.GdbError(OTHER_VERSION % (self.objfile.filename, name))
        return found.type


def name_of(objfile):
    return os.path.basename(objfile.filename or "")


def load_libraries():
    """All that have debug information, those first that have heaps."""
    found = [
        Library(objfile)
        for objfile in gdb.objfiles()
        if objfile.is_valid()
        and objfile.owner is None
        and objfile.lookup_global_symbol(Library.KEY) is not None
    ]
    return sorted(found, key=lambda library: not library.has_heaps())


def complain_of_none():
    for objfile in gdb.objfiles():
        if "libpymalloc" in name_of(objfile) and objfile.owner is None:
            raise gdb.GdbError(NO_SYMBOLS % name_of(objfile))
    try:
        gdb.parse_and_eval("(char *)&" + Library.KEY)
    except gdb.error:
        raise gdb.GdbError(NO_LIBRARY) from None
    raise gdb.GdbError(NO_SYMBOLS % "The libpymalloc in this program")


def find_libraries():
    """At least one; several where one is preloaded, and the program has another."""
    if not gdb.selected_inferior().threads():
        raise gdb.GdbError(NO_PROCESS)
    libraries = load_libraries()
    if not libraries:
        complain_of_none()
    return libraries


def find_library(is_wanted=Library.has_heaps):
    """That which is wanted, or else the first."""
    libraries = find_libraries()
    wanted = [library for library in libraries if is_wanted(library)]
    return (wanted or libraries)[0]
