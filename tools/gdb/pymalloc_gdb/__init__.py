"""gdb commands for libpymalloc: what an address is, and how the heap looks.

Everything is read out of the memory of the process or core file, in large pieces, and
no function of the program is called.  Where the library's structures lie and what they
look like, its debug information says.

Threads may have been stopped in the middle of anything, and a program that is looked
at has often gone wrong.  So what is found is believed only after a check: a list ends
where a link leads astray or in a circle, and what cannot be read is said to be so.

    memory, library   bytes, structures and variables
    threads, heaps    records of threads, pools and heaps
    view              which blocks are where
    system, objects   the same of system blocks and of the object layer
    place             what an address is
    commands, printers, tables
"""

import gdb.printing

from .commands import make_commands
from .printers import make_printers


def load(objfile):
    """Makes the commands, and the pretty-printers for a library, or for all."""
    make_commands()
    gdb.printing.register_pretty_printer(objfile, make_printers(), replace=True)
