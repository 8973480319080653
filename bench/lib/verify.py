"""Which allocator really serves a program.

Two proofs, because a preload can fail in silence: the dynamic linker prints a warning
for a library that it cannot load and goes on without it, and a statically linked or
set-user-id program ignores LD_PRELOAD altogether.

* Before the first measurement, `bound` asks the dynamic linker itself, with the
  program's own binary and the same environment, to which object it binds malloc and
  free.  Nothing of the program runs.
* While a measured process runs, `mapped` reads which files it has mapped.
"""
import os
import re
import subprocess
import tempfile

BINDING = re.compile(
    r"binding file (\S+) \[\d+\] to (\S+) \[\d+\]: normal symbol `(\w+)'"
)
MUST_BE_OURS = ("malloc", "free", "calloc", "realloc")


class NotInEffect(Exception):
    """The allocator that was asked for does not serve the program."""


def bound(binary, environment):
    """The files that malloc and its kin are bound to, {name: {path, ...}}.

    Empty for a program that is not dynamically linked."""
    with tempfile.TemporaryDirectory() as directory:
        ask = dict(environment)
        ask.update(
            LD_TRACE_LOADED_OBJECTS="1",
            LD_WARN="1",
            LD_BIND_NOW="1",
            LD_DEBUG="bindings",
            LD_DEBUG_OUTPUT=os.path.join(directory, "out"),
        )
        # A program without dynamic linker would really run: give it nothing to do.
        subprocess.run(
            [binary, "--version"],
            env=ask,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
        bindings = []
        for name in os.listdir(directory):
            with open(os.path.join(directory, name), errors="replace") as file:
                bindings += BINDING.findall(file.read())
    return targets(bindings, binary)


def targets(bindings, binary):
    """Collects {symbol: files} from (user, file, symbol).

    A program at a fixed address can have an entry for a function that it only uses:
    whoever takes the function's address is bound to that entry, which jumps to where
    the program's own use is bound to.  Such an entry is no allocator."""
    used = {symbol for user, path, symbol in bindings if user == binary != path}
    found = {}
    for _, path, symbol in bindings:
        if symbol in MUST_BE_OURS and not (path == binary and symbol in used):
            found.setdefault(symbol, set()).add(os.path.realpath(path))
    return found


def demand_bound(binary, environment, wanted):
    """Raises NotInEffect unless malloc and its kin are served by the file `wanted`,
    None meaning the C library."""
    found = bound(binary, environment)
    if "malloc" not in found:
        raise NotInEffect(
            f"{os.path.basename(binary)}: the dynamic linker binds no malloc for it "
            "(statically linked, or not a program?)"
        )
    for symbol, paths in sorted(found.items()):
        for path in paths:
            if wanted is None:
                right = os.path.basename(path).startswith("libc.so")
            else:
                right = os.path.realpath(wanted) == path
            if not right:
                name = "libc.so" if wanted is None else os.path.basename(wanted)
                raise NotInEffect(
                    f"{os.path.basename(binary)}: {symbol} is served by "
                    f"{os.path.basename(path)}, not by {name}"
                )


def linked_files(binary):
    """The shared objects that the program loads by itself, as real paths."""
    result = subprocess.run(
        [binary],
        env={"LD_TRACE_LOADED_OBJECTS": "1", "PATH": os.environ.get("PATH", "")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=60,
        check=False,
    )
    return {os.path.realpath(p) for p in re.findall(r"(/\S+) \(0x", result.stdout)}


def mapped(pid):
    """The files that the process has mapped; empty if it is gone."""
    try:
        with open(f"/proc/{pid}/maps", errors="replace") as file:
            return {line.split(None, 5)[5].rstrip() for line in file if "/" in line}
    except (OSError, IndexError):
        return set()


def demand_mapped(pid, wanted, forbidden):
    """True if the process has mapped `wanted` (None: nothing is wanted) and nothing of
    `forbidden`, which it else raises NotInEffect for; False if it cannot be known: the
    process has ended, or is not yet loaded.  A preload is mapped before the C library
    is, so with the C library there and the preload not, it will not come any more."""
    files = mapped(pid)
    if not any(os.path.basename(path).startswith("libc.so") for path in files):
        return False
    for path in sorted(files & forbidden):
        raise NotInEffect(f"{os.path.basename(path)} is mapped too")
    if wanted is not None and os.path.realpath(wanted) not in files:
        raise NotInEffect(f"{os.path.basename(wanted)} is not mapped")
    return True
