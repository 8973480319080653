"""Counts instructions by running bench/insn_probe under valgrind's callgrind.

callgrind executes the program's own code, the allocator's included; unlike memcheck it
puts no functions of its own in the place of malloc.  The counts are of the calls out of
the probe's functions, callees included.
"""
import glob
import os
import re
import subprocess
import tempfile
from dataclasses import dataclass, field

# Which column of the table a function of the probe belongs to.
COLUMNS = {
    "probe_alloc": "malloc",
    "probe_calloc": "malloc",
    "probe_aligned": "malloc",
    "probe_realloc": "malloc",
    "probe_free": "free",
}
# libpymalloc keeps no large blocks under valgrind, for memcheck's sake: here it must.
# Which memset the C library chooses depends on the processor: here it may not.
SETTINGS = {
    "PYMALLOC": "valgrind:0",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512VL,-AVX512F,-AVX2,-AVX,-ERMS,-FSRM",
}

NAME = re.compile(r"\((\d+)\)(?: (.*))?$")


class Failed(Exception):
    pass


@dataclass
class Arcs:
    """Calls out of the functions of the probe, from one profile."""

    calls: dict = field(default_factory=dict)  # function -> number
    cost: dict = field(default_factory=dict)  # function -> instructions, inclusive
    objects: dict = field(default_factory=dict)  # function -> {file that was called}


@dataclass
class Count:
    """Instructions of a call: of one that finds what it wants at once, and on average."""

    hit: float
    mean: float

    @classmethod
    def of(cls, parts):
        return cls(min(parts), sum(parts) / len(parts))


class Names:
    """callgrind writes a name in full the first time, as (1) name, and then as (1)."""

    def __init__(self):
        self.known = {}

    def resolve(self, text):
        found = NAME.match(text)
        if found is None:
            return text
        if found[2]:
            self.known[found[1]] = found[2]
        return self.known.get(found[1], "?")


def parse_profile(lines, functions, objects):
    """Arcs of one profile.  The names of functions and files go on from one profile
    of a run to the next."""
    arcs = Arcs()
    caller, own_object, callee_object, calls = "", "", "", 0
    for line in lines:
        line = line.rstrip("\n")
        if calls:
            cost = int(line.split()[-1])
            if caller in COLUMNS:
                arcs.calls[caller] = arcs.calls.get(caller, 0) + calls
                arcs.cost[caller] = arcs.cost.get(caller, 0) + cost
                arcs.objects.setdefault(caller, set()).add(callee_object or own_object)
            calls, callee_object = 0, ""
            continue
        key, equals, value = line.partition("=")
        if not equals:
            continue
        if key == "fn":
            caller = functions.resolve(value).partition("'")[0]
        elif key == "cfn":
            functions.resolve(value)
        elif key == "ob":
            own_object = objects.resolve(value)
        elif key == "cob":
            callee_object = objects.resolve(value)
        elif key == "calls":
            calls = int(value.split()[0])
    return arcs


def count(probe, allocator):
    """{case: {"malloc": Count, "free": Count}} of an allocator."""
    with tempfile.TemporaryDirectory() as directory:
        out = os.path.join(directory, "out")
        environment = {"PATH": os.environ.get("PATH", ""), "LD_BIND_NOW": "1"}
        environment.update(SETTINGS)
        environment.update(allocator.environment)
        words = [
            *("valgrind", "--tool=callgrind", "-q", "--dump-after=probe_end"),
            f"--callgrind-out-file={out}",
        ]
        if allocator.path:
            # Given to the probe alone: valgrind itself must not run on it.
            words.append("--trace-children=no")
            environment["LD_PRELOAD"] = allocator.path
        try:
            done = subprocess.run(
                [*words, probe],
                env=environment,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=300,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Failed(f"{allocator.name}: not finished after 5 minutes") from None
        if done.returncode != 0:
            message = (done.stderr.strip() or "no message").splitlines()
            raise Failed(f"{allocator.name}: exit {done.returncode}: {message[-1]}")
        server, *names = done.stdout.splitlines()
        demand_file(server.removeprefix("server "), allocator)
        paths = sorted(glob.glob(out + ".*"), key=lambda path: int(path.rpartition(".")[2]))
        return read_profiles(names, paths, allocator)


def read_profiles(names, paths, allocator):
    """{case: {"malloc": Count, "free": Count}}"""
    if len(paths) < len(names):
        raise Failed(f"{allocator.name}: {len(names)} parts but {len(paths)} profiles")
    functions, objects = Names(), Names()
    parts = {}
    for name, path in zip(names, paths):
        with open(path, encoding="utf-8", errors="replace") as file:
            arcs = parse_profile(file, functions, objects)
        if name == "-":
            continue
        demand_object(arcs, allocator)
        case = parts.setdefault(name, {})
        for function, calls in arcs.calls.items():
            case.setdefault(COLUMNS[function], []).append(arcs.cost[function] / calls)
    return {
        name: {column: Count.of(values) for column, values in case.items()}
        for name, case in parts.items()
    }


def demand_object(arcs, allocator):
    """Every counted call must have gone into the allocator's own file.  "???" is a file
    whose symbols valgrind cannot read; then the probe's own word has to do."""
    for files in arcs.objects.values():
        for path in files - {"???"}:
            demand_file(path, allocator)


def demand_file(path, allocator):
    if allocator.path is None:
        right = os.path.basename(path).startswith("libc.so")
    else:
        right = os.path.realpath(path) == os.path.realpath(allocator.path)
    if not right:
        raise Failed(f"{allocator.name}: {os.path.basename(path)} serves malloc")
