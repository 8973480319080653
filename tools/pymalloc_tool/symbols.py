"""The stacks of a snapshot's samples, with names."""

from pymalloc_tool import rawprofile, stacks, symbolizer


def mappings_of(pid):
    """[start, end, offset, path] of the code that a process has mapped; empty if its maps
    cannot be read."""
    found = []
    try:
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as file:
            for line in file:
                words = line.rstrip("\n").split(None, 5)
                if len(words) == 6 and "x" in words[1] and words[5].startswith("/"):
                    start, end = (int(word, 16) for word in words[0].split("-"))
                    if end < 1 << 63:
                        found.append([start, end, int(words[2], 16), words[5]])
    except OSError:
        return []
    return found


def _name(frame):
    return " ".join(filter(None, (stacks.short(frame.function), stacks.line_of(frame))))


class Namer:
    """Names the stacks of a snapshot.  pid: of the process, while it still runs."""

    def __init__(self, snap, pid=None):
        raw = rawprofile.RawProfile("snapshot")
        raw.mappings = [rawprofile.Mapping(*mapping) for mapping in snap.mappings]
        raw.stacks = {sample.frames: rawprofile.EMPTY for sample in snap.samples}
        raw.about = {"pid": snap.number("pid")}
        if None not in (snap.number("time_ns"), snap.number("uptime_ns")):
            raw.about["start_ns"] = snap.number("time_ns") - snap.number("uptime_ns")
        self._places = symbolizer.Symbolizer(raw, pid).places()

    def stack(self, addresses, most=8):
        """The innermost frames on one line."""
        frames = [frame for address in addresses for frame in self._places[address].frames]
        frames = stacks.interesting(frames)
        if not frames:
            return "(no stack)"
        words = [_name(frame) for frame in frames[:most]]
        return " < ".join(words) + (" < ..." if len(frames) > most else "")
