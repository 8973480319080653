"""Says how far a run is and how long it will still take."""
import sys
import time


def clock(seconds):
    seconds = int(seconds + 0.5)
    if seconds >= 3600:
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"{seconds // 60}:{seconds % 60:02}"


class Progress:
    """The time left is estimated from what each workload has taken up to now, start,
    input and check included; for one that has not run yet, from the mean of the rest."""

    def __init__(self, out=sys.stderr):
        self.out = out
        self.terminal = out.isatty()
        self.taken = {}
        self.begin = time.monotonic()

    def learn(self, workload, seconds):
        self.taken.setdefault(workload, []).append(seconds)

    def typical(self, workload):
        known = self.taken.get(workload)
        if known:
            return sum(known) / len(known)
        means = [sum(values) / len(values) for values in self.taken.values()]
        return sum(means) / len(means) if means else 1.0

    def left(self, names):
        """Seconds for the given workloads, one entry for every run to come."""
        return sum(self.typical(name) for name in names)

    def show(self, done, total, text, left):
        line = f"[{done:4}/{total}] {100 * done // max(total, 1):3}%  {text}  left {clock(left)}"
        if self.terminal:
            self.out.write(f"\r\033[K{line[:118]}")
        else:
            self.out.write(line + "\n")
        self.out.flush()

    def note(self, text):
        """A line that stays."""
        if self.terminal:
            self.out.write("\r\033[K")
        self.out.write(text + "\n")
        self.out.flush()

    def elapsed(self):
        return time.monotonic() - self.begin
