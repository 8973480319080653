"""python3 -m pymalloc: runs Python on libpymalloc.

The process becomes another python3, with libpymalloc preloaded and PYTHONMALLOC=malloc in
its environment, so that everything else is as without this module: arguments, standard
input, signals, the exit status, tracebacks.  With --domains it stays the same process, and
the program is run here.
"""

import atexit
import io
import os
import runpy
import sys

import pymalloc

USAGE = """\
Usage: python3 [PYTHON'S OPTION]... -m pymalloc [OPTION]...
               SCRIPT | -m MODULE | -c CODE [ARGUMENT]...

Runs Python with libpymalloc in the place of malloc and of Python's own pools.

  --stats              print a report on memory when the process ends
  --option NAME:VALUE  set an option of the library; may be repeated
  --hardened           use the library that looks for misuse of the heap
  --domains LIST       preload nothing; let libpymalloc serve these memory domains of
                       Python's: raw,mem,obj or some of them
  --version            print the library's version and file
  --help               this text
"""

# As the launcher pymalloc has it.
REFUSED = 125


def refuse(reason):
    print(f"pymalloc: {reason}", file=sys.stderr)
    sys.exit(REFUSED)


class Request:
    """What the command line asks for; "rest" is Python's."""

    def __init__(self, arguments):
        self.stats = False
        self.hardened = False
        self.options = []
        self.domains = None
        self.rest = list(arguments)
        while self.rest and self.rest[0].startswith("--"):
            name, is_joined, value = self.rest.pop(0).partition("=")
            if name == "--":
                break
            if name in ("--option", "--domains") and not is_joined:
                value = self.rest.pop(0) if self.rest else ""
            elif name not in ("--option", "--domains") and is_joined:
                refuse(f"{name} takes no value")
            self.take(name, value)

    def take(self, name, value):
        if name == "--stats":
            self.stats = True
        elif name == "--hardened":
            self.hardened = True
        elif name == "--option":
            if not value or "," in value:
                refuse(f"--option takes one NAME:VALUE, not {value!r}")
            self.options.append(value)
        elif name == "--domains":
            self.domains = value.split(",")
        elif name == "--version":
            show_version()
        elif name == "--help":
            print(USAGE, end="")
            sys.exit()
        else:
            refuse(f"unknown option {name} (see python3 -m pymalloc --help)")


def show_version():
    print(f"libpymalloc {pymalloc.version} ({pymalloc.library})")
    sys.exit()


# ------------------------------------------------------------------ a process of its own


def library_file(hardened):
    folder = os.path.dirname(pymalloc.library)
    names = ["libpymalloc-hardened.so.0", "libpymalloc-hardened.so"]
    files = [os.path.join(folder, name) for name in names] if hardened else [pymalloc.library]
    for file in map(os.path.realpath, filter(os.path.exists, files)):
        if ":" in file or " " in file:
            refuse(f"{file}: LD_PRELOAD cannot hold a name with a colon or a space")
        return file
    return refuse(f"there is no {names[0]} in {folder}")


def joined(separator, *parts):
    return separator.join(filter(None, parts))


def environment(request):
    """That of the process to be."""
    file = library_file(request.hardened)
    result = dict(os.environ)
    others = [f for f in result.get("LD_PRELOAD", "").split(":") if f and f != file]
    result["LD_PRELOAD"] = ":".join([file, *others])
    if result.get("PYTHONMALLOC") != "malloc_debug":
        result["PYTHONMALLOC"] = "malloc"
    added = request.options + ["stats:1"] * request.stats
    options = joined(",", result.get("PYMALLOC"), *added)
    if options:
        result["PYMALLOC"] = options
    return result


def python_options():
    """What stood before "-m pymalloc", in whatever way that was written."""
    words = sys.orig_argv[1 : len(sys.orig_argv) - len(sys.argv) + 1]
    last = words.pop()
    if last == "pymalloc":
        last = words.pop()
    else:
        last = last.removesuffix("pymalloc")
    last = last.removesuffix("m")
    return words + [last] * (last != "-")


def become(request):
    if sys.flags.ignore_environment:
        refuse("with -E or -I Python ignores PYTHONMALLOC; --domains does without it")
    if not sys.executable:
        refuse("Python does not know its own program file")
    arguments = [sys.executable, *python_options(), *request.rest]
    try:
        os.execve(sys.executable, arguments, environment(request))
    except OSError as error:
        refuse(f"{sys.executable}: {error.strerror}")


# --------------------------------------------------------------------- in this process


def print_counts():
    columns = "allocs", "frees", "passed_on", "live_blocks", "live_bytes", "peak_bytes"
    widths = [max(12, len(column)) for column in columns]
    lines = ["domain" + "".join(f"{c:>{w}}" for c, w in zip(columns, widths))]
    for name, counts in pymalloc.stats()["domains"].items():
        lines.append(f"{name:6}" + "".join(f"{counts[c]:{w}}" for c, w in zip(columns, widths)))
    print("\n".join(lines), file=sys.stderr)


def install(request):
    if request.hardened:
        refuse("--hardened does not go with --domains")
    try:
        for option in request.options:
            name, _, value = option.partition(":")
            pymalloc.option(name, value)
        pymalloc.install(request.domains, count=request.stats)
        if request.stats:
            pymalloc.option("stats", 1)
            atexit.register(print_counts)
    except KeyError as error:
        refuse(f"there is no option {error.args[0]}")
    except (OSError, RuntimeError, ValueError) as error:
        refuse(str(error))


def run_code(code, **names):
    """Runs code as the module __main__."""
    space = sys.modules["__main__"].__dict__
    builtins = space["__builtins__"]
    space.clear()
    space.update(__name__="__main__", __builtins__=builtins, __doc__=None, __package__=None)
    space.update(__loader__=None, __spec__=None, **names)
    exec(code, space)


def run_script(script):
    if os.path.isdir(script):
        runpy.run_path(script, run_name="__main__")
        return
    if not getattr(sys.flags, "safe_path", False):
        sys.path[0] = os.path.dirname(os.path.realpath(script))
    try:
        with io.open_code(os.path.abspath(script)) as file:
            text = file.read()
    except OSError as error:
        refuse(f"{script}: {error.strerror}")
    run_code(compile(text, script, "exec", dont_inherit=True), __file__=script, __cached__=None)


def run(rest):
    """Runs a program here, as far as that can be done as python3 does it."""
    first = rest[0] if rest else ""
    if first[:2] not in ("-m", "-c"):
        if first.startswith("-") or not rest:
            refuse("--domains needs a script, -m MODULE or -c CODE")
        sys.argv[:] = rest
        run_script(first)
        return
    words = [first[2:], *rest[1:]] if len(first) > 2 else rest[1:]
    if not words:
        refuse(f"{first} needs a value")
    sys.argv[:] = [first[:2], *words[1:]]
    if first.startswith("-m"):
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    else:
        if sys.path and not getattr(sys.flags, "safe_path", False):
            sys.path[0] = ""
        run_code(compile(words[0] + "\n", "<string>", "exec", dont_inherit=True))


def main():
    request = Request(sys.argv[1:])
    if request.domains is None:
        become(request)
    install(request)
    run(request.rest)
