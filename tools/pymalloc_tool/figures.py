"""What follows from the figures of a snapshot; None wherever a part is unknown."""

import collections

from pymalloc_tool.snapshot import difference, total

Part = collections.namedtuple("Part", "key name bytes")


def pools_free(snapshot):
    """Bytes in pools in use that no live block takes."""
    return difference(
        snapshot.number("small", "held_bytes"), snapshot.number("small", "live_bytes")
    )


def backend_live(snapshot):
    """Bytes of large blocks in use: what the backend gave, less what lies cached."""
    used = total(
        (snapshot.number("backend", "used_bytes"), snapshot.number("backend", "mapped_bytes"))
    )
    live = difference(used, snapshot.number("large", "cached_bytes"))
    return None if live is None else max(live, 0)


def resident_parts(snapshot):
    """Where the resident memory is: each part is at most so large, since pages that were
    never written take none.  The last, all else of the process, is what is left."""
    parts = [
        Part("live_small", "live small blocks", snapshot.number("small", "live_bytes")),
        Part("fragmentation", "free inside pools", pools_free(snapshot)),
        Part("dirty", "free pools, still dirty", snapshot.number("pools", "dirty_bytes")),
        Part("live_large", "live large blocks", backend_live(snapshot)),
        Part("cached", "large blocks, cached", snapshot.number("large", "cached_bytes")),
        Part("backend_free", "free in the backend", snapshot.number("backend", "free_bytes")),
    ]
    known = sum(part.bytes for part in parts if part.bytes is not None)
    rss = snapshot.number("process", "rss_bytes")
    other = None if rss is None else max(rss - known, 0)
    return parts + [Part("other", "all else of the process", other)]


def beyond_resident(snapshot):
    """Bytes of the parts above that cannot be resident; 0 if all can."""
    rss = snapshot.number("process", "rss_bytes")
    if rss is None:
        return None
    parts = resident_parts(snapshot)[:-1]
    return max(sum(part.bytes or 0 for part in parts) - rss, 0)


def fragmentation(one):
    """The free bytes of a class's pools; one is a Class."""
    return difference(one.held_bytes, one.live_bytes)
