"""pymalloc diff: what grew from one snapshot to another, or from one profile to another."""

import argparse

from pymalloc_tool import errors, figures, snapshot, text
from pymalloc_tool.errors import Failure
from pymalloc_tool.snapshot import difference
from pymalloc_tool.text import count, signed, size

_PROFILES = (b"heap_v2", b"heap profile:")
# Enough of a file to tell what it is.
_HEAD = 64
# The options of pymalloc profile that have a value, which is no operand of ours.
_WITH_VALUE = "format output value base growth focus depth top interval option".split()


class _PassOn(argparse.Action):
    """Keeps an option for pymalloc profile."""

    def __call__(self, parser, namespace, value, option_string=None):
        # In one word, since the value may look like an option.
        namespace.passed_on = [*namespace.passed_on, f"--{self.dest}={value}"]


def _parser():
    parser = errors.Parser(
        "diff",
        "[OPTION]... A B",
        "Compares two snapshots, A the earlier one: what grew, by size class and in total.\n"
        "Each is a file, or the number of a process that runs with PYMALLOC=serve:1.\n"
        "Two raw profiles are compared by stack; options then are those of\n"
        '"pymalloc profile".',
    )
    parser.add_argument("a", metavar="A")
    parser.add_argument("b", metavar="B")
    parser.set_defaults(passed_on=[])
    for name in _WITH_VALUE:
        names = ["-o"] if name == "output" else []
        parser.add_argument(*names, f"--{name}", action=_PassOn, help=argparse.SUPPRESS)
    return parser


# ----------------------------------------------------------------------------- profiles


def _is_profile(source):
    if snapshot.is_pid(source):
        return False
    try:
        # A pipe is read only once, and so cannot be asked beforehand.
        with open(source, "rb") as file:
            return file.seekable() and file.read(_HEAD).startswith(_PROFILES)
    except (OSError, ValueError):
        # Whoever reads it will say what is wrong.
        return False


def _diff_profiles(a, b, rest):
    try:
        from pymalloc_tool import profile
    except ImportError:
        raise Failure(
            errors.UNABLE, "profiles cannot be compared: profile is not part of this installation"
        ) from None
    return profile.diff_profiles(a, b, rest)


# ---------------------------------------------------------------------------- snapshots


def _totals(snap):
    """Names and bytes of what a process's memory is made of."""
    n = snap.number
    yield "resident", n("process", "rss_bytes")
    yield "live small blocks", n("small", "live_bytes")
    yield "free inside pools", figures.pools_free(snap)
    yield "free pools, still dirty", n("pools", "dirty_bytes")
    yield "live large blocks", figures.backend_live(snap)
    yield "large blocks, cached", n("large", "cached_bytes")
    yield "free in the backend", n("backend", "free_bytes")


def _total_rows(a, b):
    for (name, before), (_, after) in zip(_totals(a), _totals(b)):
        yield name, size(before), size(after), signed(difference(after, before), size)


def _class_changes(a, b):
    """(class's size, before, after) of the classes that changed, most growth first."""
    empty = snapshot.Class(0, 0, 0, 0, 0, 0, 0, 0)
    before = {one.size: one for one in a.classes}
    after = {one.size: one for one in b.classes}
    pairs = [
        (one, before.get(one, empty), after.get(one, empty)) for one in {*before, *after}
    ]
    pairs = [pair for pair in pairs if pair[1][2:6] != pair[2][2:6]]

    def growth(pair):
        live = difference(pair[2].live_bytes, pair[1].live_bytes)
        held = difference(pair[2].held_bytes, pair[1].held_bytes)
        return (-(live or 0), -(held or 0), pair[0])

    return sorted(pairs, key=growth)


def _class_rows(changes):
    for one, before, after in changes:
        yield (
            str(one),
            size(before.live_bytes),
            size(after.live_bytes),
            signed(difference(after.live_bytes, before.live_bytes), size),
            signed(difference(after.live_blocks, before.live_blocks), count),
            signed(difference(after.held_bytes, before.held_bytes), size),
            signed(difference(after.pools, before.pools), count),
        )


def _between(a, b):
    words = f"from {a.origin}: {a.title} to {b.origin}: {b.title}"
    same = a.number("pid") == b.number("pid") and a.program == b.program
    elapsed = difference(b.uptime_ms, a.uptime_ms)
    if not same:
        return words + "\nnote: these are two processes"
    if elapsed is not None and elapsed < 0:
        return words + "\nnote: the first is the later one"
    return words + (f", {text.duration(elapsed)} later" if elapsed is not None else "")


def report(a, b):
    lines = _between(a, b).split("\n") + [""]
    lines += text.table(("", "before", "after", "growth"), _total_rows(a, b))
    changes = _class_changes(a, b)
    lines.append("")
    if changes:
        head = ("size", "live before", "after", "growth", "blocks", "held", "pools")
        lines += text.table(head, _class_rows(changes), left=())
    else:
        lines.append("No size class has changed.")
    return "\n".join(text.clean(line) for line in lines)


def main(arguments):
    options, unknown = _parser().parse_known_args(arguments)
    rest = options.passed_on + unknown
    kinds = (_is_profile(options.a), _is_profile(options.b))
    if all(kinds):
        return _diff_profiles(options.a, options.b, rest)
    if any(kinds):
        raise Failure(errors.DATA, "one is a profile and the other a snapshot")
    if rest:
        raise Failure(errors.USAGE, f"unknown option {rest[0]} (see pymalloc diff --help)")
    print(report(snapshot.load(options.a), snapshot.load(options.b)))
    return 0
