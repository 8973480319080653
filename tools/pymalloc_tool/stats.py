"""pymalloc stats: the totals of a heap, and a table of its size classes."""

import contextlib
import json
import os
import stat
import sys
import tempfile
import time

from pymalloc_tool import errors, figures, serve, snapshot, symbols, text
from pymalloc_tool.errors import Failure
from pymalloc_tool.text import count, percent, plural, size

_BAR = 20


def _parser():
    parser = errors.Parser(
        "stats",
        "[--json] PID|FILE\n       pymalloc stats --save FILE PID",
        "Reports on the heap of a process that runs with PYMALLOC=serve:1, or on a saved\n"
        'snapshot ("-": standard input).  A name of digits alone is a process.',
    )
    parser.add_argument("source", metavar="PID|FILE")
    parser.add_argument(
        "--json", action="store_true", help="the snapshot and what follows from it, as JSON"
    )
    parser.add_argument(
        "--save",
        metavar="FILE",
        help='save a snapshot with the map of the pools ("-": standard output)',
    )
    return parser


# -------------------------------------------------------------------------- the report


def _since(snap):
    parts = [f"libpymalloc {snap.version or '-'}"]
    if snap.library:
        parts.append(snap.library)
    if snap.uptime_ms is not None:
        parts.append(f"up {text.duration(snap.uptime_ms)}")
    if snap.number("process", "threads") is not None:
        parts.append(plural(snap.number("process", "threads"), "thread"))
    return ", ".join(parts)


def _when(snap):
    moment = snap.number("time_ns")
    with contextlib.suppress(ValueError, OverflowError, OSError):
        if moment is not None:
            local = time.localtime(moment / 1e9)
            return f"at {time.strftime('%Y-%m-%d %H:%M:%S', local)}"
    return ""


def _totals(snap):
    """Pairs of a heading and what there is to say."""
    n = snap.number
    small_free = figures.pools_free(snap)
    yield "small blocks", (
        f"{size(n('small', 'live_bytes'))} live in {size(n('small', 'held_bytes'))} of pools "
        f"({percent(small_free, n('small', 'held_bytes'))} free); "
        f"{plural(n('small', 'live_blocks'), 'block')}"
    )
    yield "", (
        f"{count(n('small', 'allocs'))} allocated, {count(n('small', 'frees'))} freed, "
        f"{count(n('small', 'remote_frees'))} of them by other threads"
    )
    yield "remote backlog", (
        f"{plural(n('small', 'backlog_blocks'), 'block')} freed elsewhere, not yet taken back"
    )
    yield "large blocks", (
        f"{count(n('large', 'live_blocks'))} live; {count(n('large', 'allocs'))} allocated "
        f"({percent(n('large', 'cache_hits'), n('large', 'allocs'))} from the cache), "
        f"{count(n('large', 'frees'))} freed"
    )
    yield "cache", (
        f"{size(n('large', 'cached_bytes'))} in {plural(n('large', 'cached_blocks'), 'block')}"
    )
    yield f"backend {snap.backend_name or '-'}", (
        f"{size(n('backend', 'used_bytes'))} used, {size(n('backend', 'free_bytes'))} free "
        f"({size(n('backend', 'top_bytes'))} at the top) of "
        f"{size(n('backend', 'heap_bytes'))}; {size(n('backend', 'mapped_bytes'))} "
        f"mapped in {plural(n('backend', 'mapped_blocks'), 'block')}"
    )
    yield "arenas", (
        f"{count(n('arenas', 'used'))} of {size(n('arenas', 'size'))} in use, "
        f"{count(n('arenas', 'peak'))} at peak; {size(n('arenas', 'reserved_bytes'))} reserved"
    )
    yield "pools", (
        f"{count(n('pools', 'used'))} of {size(n('pools', 'size'))} in use, "
        f"{count(n('pools', 'peak'))} at peak; {size(n('pools', 'dirty_bytes'))} dirty, "
        f"{size(n('pools', 'purged_bytes'))} given back since the start"
    )
    yield "heaps", (
        f"{count(n('heaps', 'live'))} in use, {count(n('heaps', 'orphaned'))} without a "
        f"thread, {count(n('heaps', 'made'))} made; "
        f"{plural(n('process', 'threads'), 'thread')}"
    )
    yield "process", (
        f"{size(n('process', 'rss_bytes'))} resident, "
        f"{size(n('process', 'rss_peak_bytes'))} at peak; "
        f"{size(n('process', 'anon_huge_bytes'))} in huge pages, "
        f"{size(n('process', 'swap_bytes'))} swapped out, "
        f"{size(n('process', 'virtual_bytes'))} of addresses"
    )


def resident_lines(snap):
    rss = snap.number("process", "rss_bytes")
    rows = [
        (
            "  " + part.name,
            size(part.bytes),
            percent(part.bytes, rss),
            text.bar(text.share(part.bytes, rss), _BAR),
        )
        for part in figures.resident_parts(snap)
    ]
    head = (f"Where the {size(rss)} resident are (at most)", "", "", "")
    lines = text.table(head, rows, left=(0, 3))
    beyond = figures.beyond_resident(snap)
    if beyond:
        lines.append(f"  {size(beyond)} of it are pages that were never written, or swapped out")
    return lines


def class_rows(classes, with_asked):
    """Cells of the table by size class; the last one is the bar."""
    for one in classes:
        free = figures.fragmentation(one)
        yield (
            str(one.size),
            count(one.live_blocks),
            size(one.live_bytes),
            *((size(one.asked_bytes),) if with_asked else ()),
            size(one.held_bytes),
            count(one.pools),
            percent(free, one.held_bytes),
            text.bar(text.share(one.live_bytes, one.held_bytes), _BAR),
        )


def class_lines(snap):
    used = [one for one in snap.classes if one.pools or one.live_blocks or one.held_bytes]
    if not used:
        return ["Size classes: none in use" if snap.classes else "Size classes: -"]
    with_asked = any(one.asked_bytes is not None for one in used)
    head = ["size", "blocks", "live", "held", "pools", "free", "occupancy"]
    rows = list(class_rows(used, with_asked))
    held, live = snap.number("small", "held_bytes"), snap.number("small", "live_bytes")
    last = ["all", count(snap.number("small", "live_blocks")), size(live), size(held)]
    last += [count(snap.number("pools", "used")), percent(figures.pools_free(snap), held)]
    last.append(text.bar(text.share(live, held), _BAR))
    if with_asked:
        head.insert(3, "asked")
        last.insert(3, size(snap.sum_of_classes("asked_bytes")))
    lines = text.table(head, rows + [last], left=(len(head) - 1,))
    return lines


def report(snap):
    lines = [f"{snap.title}: {_since(snap)}", _when(snap), ""]
    heading_width = max(len(heading) for heading, _ in _totals(snap))
    lines += [f"{heading.ljust(heading_width)}  {words}" for heading, words in _totals(snap)]
    lines += [""] + resident_lines(snap) + [""] + class_lines(snap)
    if snap.options:
        pairs = ",".join(f"{name}:{value}" for name, value in sorted(snap.options.items()))
        lines += ["", f"options  {pairs}"]
    return "\n".join(text.clean(line) for line in lines)


# ------------------------------------------------------------------------ as a document


def document(snap):
    """The snapshot, without the parts of many megabytes, and what follows from it."""
    bulky = ("map", "samples", "tool_mappings")
    result = {name: value for name, value in snap.data.items() if name not in bulky}
    result["derived"] = {
        "fragmentation_bytes": figures.pools_free(snap),
        "resident": {part.key: part.bytes for part in figures.resident_parts(snap)},
        "not_resident_bytes": figures.beyond_resident(snap),
        "classes": [
            {"size": one.size, "fragmentation_bytes": figures.fragmentation(one)}
            for one in snap.classes
        ],
    }
    return json.dumps(result, indent=1)


def _replace(name, mode, content):
    """Puts bytes into a regular file, all or nothing."""
    # A link stays, and what it leads to is written.
    name = os.path.realpath(name)
    descriptor, temporary = tempfile.mkstemp(prefix=".pymalloc-", dir=os.path.dirname(name))
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
        if mode is not None:
            os.chmod(temporary, stat.S_IMODE(mode) & 0o777)
        os.replace(temporary, name)
    except BaseException:
        # Ctrl-C as well must leave nothing behind.
        os.unlink(temporary)
        raise


def _write(name, content):
    """To a file; to what is none, such as a device or a pipe, as it is."""
    try:
        mode = os.stat(name).st_mode if os.path.exists(name) else None
        if mode is None or stat.S_ISREG(mode):
            _replace(name, mode, content)
        else:
            with open(name, "wb") as file:
                file.write(content)
    except OSError as error:
        raise errors.os_error(error, name) from None


def _save(pid, name):
    """Asks for the whole snapshot and writes it down."""
    answer = serve.ask(pid, "map")
    snap = snapshot.parse(answer, f"process {pid}")
    if snap.samples:
        snap.data["tool_mappings"] = symbols.mappings_of(pid)
        answer = json.dumps(snap.data).encode()
    if name == "-":
        sys.stdout.buffer.write(answer)
        return
    _write(name, answer)
    print(f"{name}: {size(len(answer))}, {plural(len(snap.arenas or ()), 'arena')}")


def main(arguments):
    options = _parser().parse_args(arguments)
    if options.save is not None:
        if not snapshot.is_pid(options.source):
            raise Failure(errors.USAGE, "--save wants the number of a process")
        if options.json:
            raise Failure(errors.USAGE, "--save and --json do not go together")
        _save(serve.number(options.source), options.save)
        return 0
    snap = snapshot.load(options.source)
    sys.stdout.write((document(snap) if options.json else report(snap)) + "\n")
    return 0
