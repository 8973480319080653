"""The allocators that take part: how each is found, named and put into effect."""
from __future__ import annotations

import glob
import hashlib
import os
import subprocess
from dataclasses import dataclass, field

BASELINE = "jemalloc"
OURS = "libpymalloc"
BUILTIN = "cpython-builtin"

# In the order of the tables.  A pattern may match several releases; the last one in
# order of version wins.
PEERS = (
    ("jemalloc", "libjemalloc.so.2"),
    ("mimalloc", "libmimalloc.so.2"),
    ("tcmalloc", "libtcmalloc_minimal.so.4"),
    ("tbb", "libtbbmalloc_proxy.so.2"),
    ("scudo", "llvm-*/lib/clang/*/lib/linux/libclang_rt.scudo_standalone-{arch}.so"),
)


@dataclass
class Allocator:
    """A row of the comparison.  path None is the C library's own malloc."""

    name: str
    path: str | None = None
    environment: dict = field(default_factory=dict)
    # CPython's own allocator is a row beside the others, but only for the workloads
    # that set PYTHONMALLOC; it is in effect when that is not set.
    builtin: bool = False

    def serves(self, workload):
        return not self.builtin or "PYTHONMALLOC" in workload.environment

    def apply(self, environment):
        """The environment of a measured process."""
        result = dict(environment)
        if self.builtin:
            result.pop("PYTHONMALLOC", None)
        result.update(self.environment)
        return result


def library_directories():
    arch = os.uname().machine
    return (f"/usr/lib/{arch}-linux-gnu", f"/lib/{arch}-linux-gnu", "/usr/lib64")


def version_key(path):
    """Orders llvm-9 before llvm-14."""
    parts = []
    digits = ""
    for char in path + "/":
        if char.isdigit():
            digits += char
            continue
        if digits:
            parts.append((1, int(digits), ""))
            digits = ""
        parts.append((0, 0, char))
    return parts


def find_peer(pattern):
    pattern = pattern.replace("{arch}", os.uname().machine)
    for directory in (*library_directories(), "/usr/lib", "/usr/local/lib"):
        found = sorted(glob.glob(os.path.join(directory, pattern)), key=version_key)
        if found:
            return found[-1]
    return None


def find_ours(top_builddir):
    for place in ("lib/.libs", ".libs"):
        path = os.path.join(top_builddir, place, "libpymalloc.so")
        if os.path.exists(path):
            return path
    return None


def c_library():
    """The C library's file, which must be named to win over an allocator that a
    program is linked with."""
    for directory in library_directories():
        path = os.path.join(directory, "libc.so.6")
        if os.path.exists(path):
            return path
    return "libc.so.6"


def parse_lib(text):
    """NAME=PATH[,VARIABLE=VALUE...] of --lib."""
    name, _, rest = text.partition("=")
    path, *settings = rest.split(",")
    if not name or not path or not all("=" in setting for setting in settings):
        raise ValueError(f"--lib {text}: not NAME=PATH[,VARIABLE=VALUE...]")
    if not os.path.exists(path):
        raise ValueError(f"--lib {text}: there is no such file")
    environment = dict(setting.split("=", 1) for setting in settings)
    return Allocator(name, os.path.abspath(path), environment)


def discover(top_builddir, libs=()):
    """All allocators of this machine, and the names of those that are missing."""
    result = [Allocator("glibc")]
    missing = []
    for name, pattern in PEERS:
        path = find_peer(pattern)
        if path is None:
            missing.append(name)
        else:
            result.append(Allocator(name, path))
    ours = find_ours(top_builddir)
    if ours is None:
        missing.append(OURS)
    else:
        result.append(Allocator(OURS, os.path.abspath(ours)))
    result.append(Allocator(BUILTIN, builtin=True))
    for lib in libs:
        result = [a for a in result if a.name != lib.name] + [lib]
        missing = [name for name in missing if name != lib.name]
    return result, missing


def package_version(path):
    """"package version" of the Debian package that owns a file, or ""."""
    for candidate in dict.fromkeys((path, os.path.realpath(path))):
        for name in (candidate, candidate.removeprefix("/usr")):
            owner = ask("dpkg-query", "-S", name).partition(":")[0]
            if owner and "\n" not in owner:
                return ask("dpkg-query", "-W", "-f", "${Package} ${Version}\n", owner)
    return ""


def ask(*command):
    """The first line that a command prints, "" if it fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.partition("\n")[0].strip()


def identity(allocator):
    """What is recorded of an allocator beside its figures: no directory of this
    machine, but enough to know whether two results are of the same build."""
    path = allocator.path or c_library()
    with open(path, "rb") as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    result = {
        "file": os.path.basename(path),
        "package": package_version(path),
        "sha256": digest,
    }
    if allocator.environment:
        result["environment"] = allocator.environment
    return result
