"""Code addresses of a process as file+offset, for addr2line and for eyes."""

import bisect
import os


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


class Namer:
    """Names addresses by a list of such mappings."""

    def __init__(self, mappings):
        self._mappings = sorted(mappings)
        self._starts = [mapping[0] for mapping in self._mappings]

    def name(self, address):
        at = bisect.bisect_right(self._starts, address) - 1
        if at >= 0:
            start, end, offset, path = self._mappings[at]
            if start <= address < end:
                return f"{os.path.basename(path)}+0x{address - start + offset:x}"
        return f"0x{address:x}"

    def stack(self, frames, most=8):
        """The innermost frames on one line."""
        if not frames:
            return "(no stack)"
        words = [self.name(frame) for frame in frames[:most]]
        return " < ".join(words) + (" < ..." if len(frames) > most else "")
