"""pymalloc why: what keeps nearly empty pools and arenas from going back."""

import argparse
import collections

from pymalloc_tool import census, errors, snapshot, symbols, text
from pymalloc_tool.text import count, percent, plural, size

_BAR = 24
_STACKS = 3
_STACK_CLASSES = 3
_GRAIN = 16
_CLASSES = 12
_MIB = 1 << 20


def _few(words):
    try:
        value = int(words)
    except ValueError:
        raise argparse.ArgumentTypeError("no number") from None
    if not 0 <= value <= 100000:
        raise argparse.ArgumentTypeError("not from 0 to 100000")
    return value


def _parser():
    parser = errors.Parser(
        "why",
        "[--worst N] PID|FILE",
        "Tells what pins memory that is nearly free: pools and arenas by how full they are,\n"
        "the memory that could go back if the rest were packed, the worst arenas with the\n"
        "blocks that hold them, and what can be done.",
    )
    parser.add_argument("source", metavar="PID|FILE")
    parser.add_argument(
        "--worst", type=_few, default=5, metavar="N", help="list so many of the worst arenas [5]"
    )
    return parser


# ----------------------------------------------------------------------- how full it is


def _histogram(heading, counts, held, live):
    """held and live: bytes in each decile."""
    most = max(counts) or 1
    rows = [
        (
            f"  {i * 10}-{i * 10 + 10}%",
            count(number),
            size(held[i]),
            size(live[i]),
            text.bar(number / most, _BAR),
        )
        for i, number in enumerate(counts)
    ]
    return text.table((heading, "number", "held", "live", ""), rows, left=(0, 4))


def _full_lines(counted, arenas):
    group = counted.everything
    held = [counted.bytes(pools) for pools in group.deciles]
    yield from _histogram(
        "Pools by blocks in use", group.deciles, held, group.live_in_decile
    )
    yield ""
    counts, held, live = ([0] * census.DECILES for _ in range(3))
    for arena in arenas:
        counts[arena.decile] += 1
        held[arena.decile] += arena.held_bytes
        live[arena.decile] += arena.live_bytes
    yield from _histogram("Arenas by live bytes", counts, held, live)


def _class_lines(counted):
    groups = sorted(counted.by_class.items(), key=lambda item: -item[1].spare)
    groups = [(one, group) for one, group in groups if group.spare > 0]
    rows = [
        (
            f"  {one}",
            count(group.pools),
            percent(group.live_bytes, counted.bytes(group.pools)),
            count(group.nearly_empty),
            size(counted.bytes(group.spare)),
        )
        for one, group in groups[:_CLASSES]
    ]
    if not rows:
        return ["No class would need fewer pools if its blocks were packed."]
    head = ("Could go back by class", "pools", "full", "below 10%", "bytes if packed")
    lines = text.table(head, rows)
    if len(groups) > _CLASSES:
        rest = sum(group.spare for _, group in groups[_CLASSES:])
        lines.append(f"  and {size(counted.bytes(rest))} in {len(groups) - _CLASSES} more")
    return lines


# -------------------------------------------------------------------- what holds it


def _arena_lines(one):
    n = len(one.used)
    states = [(one.dirty, "free"), (one.purged, "given back"), (one.never, "never used")]
    rest = "".join(f", {number} {name}" for number, name in states if number)
    yield (
        f"  0x{one.arena.address:x}: {size(one.live_bytes)} live in "
        f"{plural(n, 'pool')} in use{rest}"
    )
    owners = collections.Counter()
    pools = collections.Counter()
    for pool in one.used:
        owners[pool.size, pool.heap] += pool.live
        pools[pool.size, pool.heap] += 1
    ranked = sorted(owners, key=lambda owner: (-pools[owner], owner))
    words = [
        f"{plural(owners[owner], 'block')} of {owner[0]} in {plural(pools[owner], 'pool')} "
        f"of heap {owner[1]}"
        for owner in ranked
    ]
    yield "    " + "; ".join(words[:6]) + ("; ..." if len(words) > 6 else "")


def _worst_lines(arenas, most):
    # What would be won, were the arena's few blocks elsewhere.
    worst = sorted(arenas, key=lambda one: (-one.free_bytes, one.live_bytes))[:most]
    if worst:
        yield f"The {len(worst)} worst arenas" if len(worst) > 1 else "The worst arena"
        for one in worst:
            yield from _arena_lines(one)


def _samples_by_class(snap):
    """The sampled live blocks of each small size class.

    A sampled block does not lie in a pool itself, but what is sampled is like the rest: so
    they tell of a class which stacks its live blocks come from, and how old those are."""
    # The hardened library asks for a byte more.
    more = 1 if snap.library == "hardened" else 0
    found = collections.defaultdict(list)
    for sample in snap.samples:
        if sample.size is not None:
            found[max(-(-(sample.size + more) // _GRAIN), 1) * _GRAIN].append(sample)
    return found


def _ages(samples):
    ages = [sample.age_ms for sample in samples if sample.age_ms is not None]
    if not ages:
        return ""
    words = text.duration(max(ages))
    return f", {words} old" if len(ages) == 1 else f", the oldest {words} old"


def _stacks_of_class(one, samples, namer):
    by_stack = collections.defaultdict(list)
    for sample in samples:
        by_stack[namer.stack(sample.frames)].append(sample)
    weights = {stack: sum(s.weight or 0 for s in by_stack[stack]) for stack in by_stack}
    ranked = sorted(by_stack, key=lambda stack: (-weights[stack], stack))
    for stack in ranked[:_STACKS]:
        there = by_stack[stack]
        yield (
            f"  class {one}: about {size(weights[stack])} "
            f"({plural(len(there), 'sample')}{_ages(there)})"
        )
        yield f"    {stack}"
    if len(ranked) > _STACKS:
        yield f"  class {one}: {len(ranked) - _STACKS} more"


def _stack_lines(snap, counted, pid):
    """Where the live blocks come from, of the classes with most in nearly empty pools."""
    samples = _samples_by_class(snap)
    namer = symbols.Namer(snap, pid)
    classes = sorted(counted.by_class, key=lambda one: (-counted.by_class[one].nearly_empty, one))
    lines = []
    for one in classes[:_STACK_CLASSES]:
        if counted.by_class[one].nearly_empty and one in samples:
            lines += _stacks_of_class(one, samples[one], namer)
    if lines:
        yield "Where the live blocks of these classes were allocated, by samples"
        yield from lines
    else:
        yield "No live block of a class with nearly empty pools has been sampled."


# ------------------------------------------------------------------------------- advice


def _matters(snap, number):
    """Whether it is worth a line: some megabytes, or a good part of a small heap."""
    held = snap.number("small", "held_bytes") or 0
    return number is not None and number >= max(_MIB // 4, min(_MIB * 4, held // 50))


def _where(counted, one):
    """In which heaps the nearly empty pools of a class are."""
    owners = {
        heap: group.nearly_empty
        for (size_, heap), group in counted.by_owner.items()
        if size_ == one and group.nearly_empty
    }
    heap = max(owners, key=lambda heap: (owners[heap], -heap))
    name = f"heap {heap}" if heap else "no heap"
    if len(owners) == 1:
        return f"of {name} holds"
    most = size(counted.bytes(owners[heap]))
    return f"in {len(owners)} heaps ({name} has the most, {most}) holds"


def _pinned_advice(snap, counted):
    classes = sorted(counted.by_class.items(), key=lambda item: -item[1].nearly_empty)
    for one, group in classes[:3]:
        held = counted.bytes(group.nearly_empty)
        if _matters(snap, held):
            yield (
                f"Class {one} {_where(counted, one)} {size(held)} in pools below 10% full: "
                f"for {size(group.live_in_decile[0])} of blocks of {max(one - 15, 1)} to "
                f"{one} bytes that outlived their neighbours."
            )


def _between_heaps_advice(snap, counted):
    more = counted.bytes(counted.everything.needed - counted.packed_pools)
    if _matters(snap, more):
        yield (
            f"{size(more)} is free inside pools because {plural(len(counted.by_heap), 'heap')} "
            "each have their own: fewer threads would share them."
        )


def _other_advice(snap):
    n = snap.number
    backlog = n("small", "backlog_blocks")
    if backlog and backlog * 20 > (n("small", "live_blocks") or 0):
        yield (
            f"{count(backlog)} blocks were freed by other threads and wait for their owners, "
            "which take them back when they next allocate; the option remote bounds a part."
        )
    if _matters(snap, n("pools", "dirty_bytes")):
        yield (
            f"{size(n('pools', 'dirty_bytes'))} in free pools goes back by itself after the "
            "option decay's time; pymalloc_purge() does it at once."
        )
    if _matters(snap, n("large", "cached_bytes")):
        yield (
            f"{size(n('large', 'cached_bytes'))} of freed large blocks is cached; the option "
            "cache bounds it."
        )
    if _matters(snap, n("backend", "free_bytes")):
        yield (
            f"{size(n('backend', 'free_bytes'))} is free in {snap.backend_name or 'the backend'}, "
            "between large blocks in use; malloc_trim(0) gives back what it can."
        )


def _advice_lines(snap, counted):
    lines = list(_pinned_advice(snap, counted))
    if lines:
        lines.append(
            "What lasts would pin less if it were allocated together, before what does not; "
            'profiling ("pymalloc profile --help") tells where it comes from.'
        )
    lines += _between_heaps_advice(snap, counted)
    lines += _other_advice(snap)
    yield "What to do"
    for line in lines or ["Nothing stands out."]:
        yield f"  - {line}"


# ---------------------------------------------------------------------------- the whole


def _summary(snap, counted):
    group = counted.everything
    held = counted.bytes(group.pools)
    yield (
        f"{snap.title}: {size(group.live_bytes)} live in {size(held)} of pools "
        f"({percent(group.live_bytes, held)} full), {plural(len(snap.arenas), 'arena')}"
    )
    yield (
        f"{size(counted.bytes(group.spare))} could go back if each heap's blocks were packed, "
        f"{size(counted.bytes(group.pools - counted.packed_pools))} if all heaps' were"
    )


def report(snap, most, pid=None):
    counted = census.Census(snap)
    arenas = census.count_arenas(snap)
    sections = [
        _summary(snap, counted),
        _full_lines(counted, arenas),
        _class_lines(counted),
        _worst_lines(arenas, most),
        () if snap.samples is None else _stack_lines(snap, counted, pid),
        _advice_lines(snap, counted),
    ]
    texts = ["\n".join(text.clean(line) for line in section) for section in sections]
    return "\n\n".join(section for section in texts if section)


def main(arguments):
    options = _parser().parse_args(arguments)
    snap = snapshot.load_map(options.source)
    pid = int(options.source) if snapshot.is_pid(options.source) else None
    if pid is not None and snap.samples:
        snap.mappings = symbols.mappings_of(pid)
    print(report(snap, options.worst, pid))
    return 0
