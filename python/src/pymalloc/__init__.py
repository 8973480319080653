"""libpymalloc in a Python process: memory domains, figures, options.

install() lets libpymalloc serve the interpreter's own requests for small blocks.
"python3 -m pymalloc script.py" runs a whole process on it, which is faster; see the page
README.md of this package.
"""

import errno
import os

from . import _pymalloc

__all__ = [
    "DOMAINS",
    "install",
    "is_preloaded",
    "library",
    "option",
    "owns",
    "purge",
    "serving",
    "stats",
    "uninstall",
    "verify",
    "version",
]

#: CPython's memory domains, as PyMem_SetAllocator has them.
DOMAINS = _pymalloc.domains

#: The version of the libpymalloc in this process, and the file that it comes from.
version = _pymalloc.version
library = _pymalloc.library

# What CPython puts in front of an object that its garbage collector watches.
_HEADER = 16


def _bits(domains):
    if isinstance(domains, str):
        domains = (domains,)
    bits = 0
    for name in domains:
        if name not in DOMAINS:
            raise ValueError(f"no such domain: {name!r} (there are {', '.join(DOMAINS)})")
        bits |= 1 << DOMAINS.index(name)
    return bits


def _is_tracing():
    try:
        import _tracemalloc
    except ImportError:
        return False
    return _tracemalloc.is_tracing()


def is_preloaded():
    """Whether the process's malloc is libpymalloc's."""
    return _pymalloc.preloaded


def install(domains=DOMAINS, count=True):
    """Let libpymalloc serve new requests of up to 512 bytes of these domains.

    Larger ones, and all blocks that there are already, stay with the allocator that the
    domain had before.  count says whether stats() is to tell what comes and goes in them;
    it stays as it was when a domain was first installed.  RuntimeError says why it cannot
    be done: libpymalloc is preloaded, or somebody else (tracemalloc) has hooks in place.
    """
    bits = _bits(domains)
    if _is_tracing():
        raise RuntimeError("stop tracemalloc first: when it stops later, it takes these hooks out")
    _pymalloc.start(bits, count)
    # As the library does by itself with PYTHONMALLOC=malloc.
    if bits & _bits("obj") and "header:" not in os.environ.get("PYMALLOC", ""):
        option("header", _HEADER)


def uninstall(domains=DOMAINS):
    """Leave new requests of these domains to their former allocator again.

    Blocks that libpymalloc has served are still its own, and the hooks stay, to free them.
    """
    _pymalloc.stop(_bits(domains))


def serving():
    """The domains whose new requests libpymalloc serves by install()."""
    bits = _pymalloc.serving()
    return tuple(name for name in DOMAINS if bits & _bits(name))


def stats():
    """Everything that the library knows, as a dictionary.

    The members are those of the library's report in JSON; "domains" is added, with what
    install() has counted.
    """
    import json

    domains = _pymalloc.counts()
    fd = os.memfd_create("pymalloc")
    with open(fd, "rb") as file:
        _pymalloc.stats_json(fd)
        file.seek(0)
        totals = json.load(file)
    totals["domains"] = domains
    return totals


def purge():
    """Give free memory back to the system now.  Returns how many bytes went back at once."""
    return _pymalloc.purge()


def option(name, value=None):
    """Return the value of an option of the library, as text; or set it.

    KeyError: there is none of this name; ValueError: it has no such value;
    PermissionError: it is set only at the start, by the variable PYMALLOC.
    """
    try:
        if value is None:
            return _pymalloc.option_get(name)
        return _pymalloc.option_set(name, str(int(value) if isinstance(value, bool) else value))
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise KeyError(name) from None
        if error.errno == errno.EINVAL:
            raise ValueError(f"option {name} cannot be {value!r}") from None
        if error.errno == errno.EPERM:
            raise PermissionError(f"option {name} is set only at the start, by PYMALLOC") from None
        raise


def owns(object):
    """Whether an object lies in a small block of libpymalloc."""
    return _pymalloc.owns(object)


def verify():
    """Check the heap; complaints go to standard error.  Returns their number."""
    return _pymalloc.verify()
