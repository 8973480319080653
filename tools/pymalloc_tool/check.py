"""pymalloc check: whether libpymalloc is active in a process, or would be in a program."""

import os
import re
import struct
import subprocess

from pymalloc_tool import elf, entry, errors, serve, snapshot, text
from pymalloc_tool.errors import Failure

_LIBRARY = re.compile(r"/libpymalloc(-hardened)?[^/]*\.so[^/]*( \(deleted\))?$")
# Allocators that can be preloaded, by the start of their file's name; and what makes
# the library stand aside.
_OTHERS = re.compile(
    r"/lib(jemalloc|tcmalloc|mimalloc|tbbmalloc|hoard|snmalloc|rpmalloc|scudo|hardened_malloc)"
)
_CHECKERS = re.compile(r"/(lib(asan|tsan|lsan|hwasan)\.|vgpreload_)")
_AT_SECURE = 23

_STATUSES = """\
exit status:
  0    libpymalloc is active in the process, or would be in the program
  1    it is not
  2    wrong usage
  3    there is no such process
  4    the process cannot be looked at
  125  the tool cannot run (no python3)
"""


def _parser():
    parser = errors.Parser(
        "check",
        "[--hardened] PID|PROGRAM",
        "Tells whether libpymalloc is active in a process, which one and how it is set; or\n"
        'whether "pymalloc run" could start a program with it, and if not, why.  A name of\n'
        "digits alone is a process.  The program is not run.",
        _STATUSES,
    )
    parser.add_argument("what", metavar="PID|PROGRAM")
    parser.add_argument(
        "--hardened", action="store_true", help="of a program: check with the hardened library"
    )
    return parser


class Facts:
    """What was found, one line each."""

    def __init__(self):
        self._rows = []

    def add(self, name, words):
        self._rows.append((name, words))

    def show(self):
        width = max(len(name) for name, _ in self._rows)
        for name, words in self._rows:
            print(text.clean(f"{name.ljust(width)}  {words}"))


def _describe_library(facts, path, shown=None):
    """A library's file: its kind, version and build."""
    shown = shown or path
    facts.add("library", shown)
    facts.add("kind", "hardened" if "libpymalloc-hardened" in shown else "plain")
    version, build = elf.library_version(path), elf.build_id(path)
    facts.add("version", version or "- (the file cannot be read)")
    facts.add("build", build or "-")


# ---------------------------------------------------------------------------- a program


def _ask_launcher(program, hardened):
    """What "pymalloc run" finds: (facts by name, reason why not or None)."""
    name = "libpymalloc-hardened" if hardened else "libpymalloc"
    try:
        result = subprocess.run(
            [entry.launcher, "internal-check", name, program],
            stdin=subprocess.DEVNULL, capture_output=True, check=False,
        )
    except (OSError, ValueError) as error:
        raise Failure(errors.UNABLE, f"{entry.launcher} cannot be run: {error}") from None
    lines = result.stdout.decode(errors="replace").splitlines()
    found = dict(line.split(" ", 1) for line in lines if " " in line)
    said = result.stderr.decode(errors="replace").strip().splitlines()
    reason = None
    if result.returncode != 0:
        reason = said[-1] if said else f"the launcher ended with {result.returncode}"
    return found, None if reason is None else reason.removeprefix("pymalloc: ")


def _check_program(program, hardened):
    found, reason = _ask_launcher(program, hardened)
    if reason is not None:
        print(text.clean(f"no: {reason}"))
        return errors.NO
    print("yes: pymalloc run would start it on libpymalloc")
    facts = Facts()
    facts.add("program", found["program"])
    _describe_library(facts, found["library"])
    facts.show()
    return 0


# ---------------------------------------------------------------------------- a process


def _proc(pid, name):
    """A file of /proc/PID; None if it cannot be read."""
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read()
    except OSError:
        return None


class Process:
    """What /proc tells of a process."""

    def __init__(self, pid):
        self.pid = pid
        serve.inner_pid(pid)  # fails if there is no such process
        maps = _proc(pid, "maps")
        if maps is None:
            raise Failure(
                errors.NOT_SERVED,
                f"process {pid} cannot be looked at: /proc/{pid}/maps is not ours to read",
            )
        lines = (line.split(None, 5) for line in maps.decode(errors="replace").splitlines())
        # In the order of addresses, each once.
        self.files = list(dict.fromkeys(words[5] for words in lines if len(words) == 6))
        self.libraries = [name for name in self.files if _LIBRARY.search(name)]
        self.environment = self._read_environment()

    def _read_environment(self):
        content = _proc(self.pid, "environ")
        if content is None:
            return None
        pairs = (item.partition("=") for item in content.decode(errors="replace").split("\0"))
        return {name: value for name, _, value in pairs}

    def variable(self, name):
        return (self.environment or {}).get(name, "")

    @property
    def program(self):
        """Its file, as it can be opened from here, whatever its root is."""
        return f"/proc/{self.pid}/exe"

    @property
    def program_name(self):
        try:
            return os.readlink(self.program)
        except OSError:
            return "-"

    def here(self, name):
        """A file that the process names, as it can be opened from here."""
        return f"/proc/{self.pid}/root{name.removesuffix(' (deleted)')}"

    def is_secure(self):
        """Whether the loader ignores its environment; None if that is unknown."""
        content = _proc(self.pid, "auxv") or b""
        words = struct.unpack(f"{len(content) // 16 * 2}Q", content[: len(content) // 16 * 16])
        pairs = dict(zip(words[::2], words[1::2]))
        return bool(pairs[_AT_SECURE]) if _AT_SECURE in pairs else None


def _in_front(process):
    """An allocator that comes before libpymalloc in LD_PRELOAD, or None."""
    for name in re.split(r"[: ]+", process.variable("LD_PRELOAD")):
        if "libpymalloc" in name:
            return None
        if _OTHERS.search("/" + name):
            return name
    return None


def _doubts(process):
    """Reasons why a library that is there may serve nothing."""
    front = _in_front(process)
    if front:
        yield f"{front} is before libpymalloc in LD_PRELOAD: its malloc is used"
    if process.variable("PYMALLOC").find("valgrind:0") < 0:
        for name in process.files:
            if _CHECKERS.search(name):
                yield f"{os.path.basename(name)} is there: libpymalloc leaves all blocks to it"


def _notes(process):
    for name in process.files:
        if _OTHERS.search(name):
            yield f"another allocator is mapped: {name}"
    for name in process.libraries:
        if name.endswith(" (deleted)"):
            yield "the library's file was removed or replaced since the process started"
    if re.search(r"(^|,)deepbind(:1)?(,|$)", process.variable("PYMALLOC")):
        yield "deepbind is set: a plug-in opened with RTLD_DEEPBIND has glibc's malloc and free"
    elsewhere = serve.other_namespaces(process.pid)
    if elsewhere:
        yield f"it is in other namespaces than this tool: {', '.join(elsewhere)}"
    if "net" in elsewhere:
        yield f"to look into it: nsenter -t {process.pid} -n pymalloc stats {process.pid}"


def _served(process):
    answer = serve.is_served(process.pid)
    if answer is None:
        return "unknown"
    return "yes" if answer else "no (PYMALLOC=serve:1 at its start would)"


def _show_active(process, path, shown, doubts):
    if doubts:
        print(text.clean(f"no: {doubts[0]}"))
    else:
        print(f"yes: libpymalloc is active in process {process.pid}")
    facts = Facts()
    facts.add("program", process.program_name)
    _describe_library(facts, path, shown)
    facts.add("served", _served(process))
    options = "unknown" if process.environment is None else process.variable("PYMALLOC")
    facts.add("PYMALLOC", options or "not set")
    for words in [*doubts[1:], *_notes(process)]:
        facts.add("note", words)
    facts.show()
    return errors.NO if doubts else 0


def _reasons(process):
    """Why libpymalloc is not in a process, likeliest first."""
    preload = process.variable("LD_PRELOAD")
    wanted = [name for name in re.split(r"[: ]+", preload) if "libpymalloc" in name]
    if process.is_secure():
        yield "it runs with more rights than its caller (setuid or file capabilities): the " \
            "loader ignores LD_PRELOAD"
    for name in wanted:
        if name.startswith("/") and not os.path.exists(process.here(name)):
            yield f"LD_PRELOAD names {name}, which is not there in its own file system"
    if process.environment is not None and not wanted:
        yield "LD_PRELOAD did not name it when the process started, and the program is not " \
            "linked with it"
    _, reason = _ask_launcher(process.program, False)
    if reason is not None:
        yield "pymalloc run would refuse it: " + reason.replace(
            process.program, process.program_name
        )


def _show_inactive(process):
    reasons = list(_reasons(process)) or ["libpymalloc is not mapped"]
    print(text.clean(f"no: {reasons[0]}"))
    facts = Facts()
    facts.add("program", process.program_name)
    for words in [*reasons[1:], *_notes(process)]:
        facts.add("note", words)
    facts.show()
    return errors.NO


def _check_process(pid):
    process = Process(pid)
    if process.libraries:
        name = process.libraries[0]
        return _show_active(process, process.here(name), name, list(_doubts(process)))
    if elf.library_version(process.program):
        shown = f"{process.program_name} (linked statically)"
        return _show_active(process, process.program, shown, [])
    return _show_inactive(process)


def main(arguments):
    options = _parser().parse_args(arguments)
    if snapshot.is_pid(options.what):
        if options.hardened:
            raise Failure(errors.USAGE, "--hardened is for programs, not for processes")
        return _check_process(serve.number(options.what))
    return _check_program(options.what, options.hardened)
