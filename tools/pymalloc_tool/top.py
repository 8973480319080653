"""pymalloc top: the size classes of a running program, refreshed."""

import argparse
import collections
import contextlib
import os
import select
import shutil
import signal
import sys
import termios
import time
import tty

from pymalloc_tool import errors, figures, serve, snapshot, text
from pymalloc_tool.errors import Failure
from pymalloc_tool.snapshot import difference
from pymalloc_tool.text import count, percent, plural, size

_ORDERS = ("held", "live", "frag", "rate")
_BAR = 16
_INTERVAL_LEAST = 0.1

# The other screen, no cursor; and back.
_ENTER = "\033[?1049h\033[?25l"
_LEAVE = "\033[?25h\033[?1049l"
_HOME, _CLEAR_LINE, _CLEAR_BELOW = "\033[H", "\033[K", "\033[J"


def _seconds(words):
    try:
        value = float(words)
    except ValueError:
        raise argparse.ArgumentTypeError("no number of seconds") from None
    if not _INTERVAL_LEAST <= value <= 86400:
        raise argparse.ArgumentTypeError(f"not from {_INTERVAL_LEAST} to 86400 seconds")
    return value


def _parser():
    parser = errors.Parser(
        "top",
        "[--interval S] [--once] [--sort held|live|frag|rate] PID",
        "Shows the heap of a process that runs with PYMALLOC=serve:1, by size class.\n"
        "Keys: q ends, s sorts otherwise, space refreshes at once.  If the output is no\n"
        "terminal, it is printed once.",
    )
    parser.add_argument("pid", metavar="PID")
    parser.add_argument(
        "--interval", type=_seconds, default=1.0, metavar="S", help="seconds between two looks [1]"
    )
    parser.add_argument("--once", action="store_true", help="print once, and end")
    parser.add_argument("--sort", choices=_ORDERS, default="held", help="what comes first [held]")
    return parser


# ---------------------------------------------------------------------------- the page


class Rates:
    """What happened a second between two snapshots; since the start, if there is one."""

    def __init__(self, now, before=None):
        self._now, self._before = now, before
        then = None if before is None else before.number("uptime_ns")
        elapsed = difference(now.number("uptime_ns"), 0 if before is None else then)
        self.seconds = elapsed / 1e9 if elapsed is not None and elapsed > 0 else None
        self._old = {} if before is None else {c.size: c.allocs for c in before.classes}

    @property
    def since_start(self):
        return self._before is None

    def _per_second(self, now, then):
        change = difference(now, then)
        if change is None or self.seconds is None:
            return None
        # Counters of running threads may lag, and so seem to go back.
        return max(change, 0) / self.seconds

    def of(self, *path):
        then = 0 if self._before is None else self._before.number(*path)
        return self._per_second(self._now.number(*path), then)

    def of_class(self, one):
        then = 0 if self._before is None else self._old.get(one.size)
        return self._per_second(one.allocs, then)


def _sorted_classes(snap, rates, order):
    keys = {
        "held": lambda one: one.held_bytes,
        "live": lambda one: one.live_bytes,
        "frag": figures.fragmentation,
        "rate": rates.of_class,
    }
    used = [one for one in snap.classes if one.pools or one.live_blocks or one.allocs]
    return sorted(used, key=lambda one: (-(keys[order](one) or 0), one.size))


def _head(snap, rates, order, sparks, columns):
    n = snap.number
    rss = n("process", "rss_bytes")
    held = n("small", "held_bytes")
    span = "since the start" if rates.since_start else "now"
    yield (
        f"{snap.title}  up {text.duration(snap.uptime_ms)}  "
        f"{plural(n('process', 'threads'), 'thread')}  {plural(n('heaps', 'live'), 'heap')}  "
        f"libpymalloc {snap.version or '-'} {snap.library or ''}"
    )
    start = f"resident {size(rss)}, {size(n('process', 'rss_peak_bytes'))} at peak  "
    yield start + text.sparkline(sparks, max(columns - len(start), 8))
    yield (
        f"small    {size(n('small', 'live_bytes'))} live in {size(held)}, "
        f"{percent(figures.pools_free(snap), held)} free; "
        f"{size(n('pools', 'dirty_bytes'))} dirty; "
        f"{plural(n('small', 'backlog_blocks'), 'block')} on the way home"
    )
    yield (
        f"large    {size(figures.backend_live(snap))} live, "
        f"{size(n('large', 'cached_bytes'))} cached, "
        f"{size(n('backend', 'free_bytes'))} free in {snap.backend_name or 'the backend'}"
    )
    yield (
        f"a second, {span}: {text.rate(rates.of('small', 'allocs'))} small allocs, "
        f"{text.rate(rates.of('small', 'frees'))} frees "
        f"({text.rate(rates.of('small', 'remote_frees'))} remote); "
        f"{text.rate(rates.of('large', 'allocs'))} large allocs; sorted by {order}"
    )


def _rows(snap, rates, order):
    for one in _sorted_classes(snap, rates, order):
        yield (
            str(one.size),
            count(one.live_blocks),
            size(one.live_bytes),
            size(one.held_bytes),
            count(one.pools),
            percent(figures.fragmentation(one), one.held_bytes),
            text.rate(rates.of_class(one)),
            text.bar(text.share(one.live_bytes, one.held_bytes), _BAR),
        )


def page(snap, rates, order, sparks, columns):
    """The lines of one look."""
    head = ("size", "blocks", "live", "held", "pools", "free", "allocs/s", "occupancy")
    lines = list(_head(snap, rates, order, sparks, columns)) + [""]
    lines += text.table(head, _rows(snap, rates, order), left=(len(head) - 1,))
    return [text.clean(line) for line in lines]


# ------------------------------------------------------------------------ the terminal


# Of a terminal that does not know its own.
_SIZE = (80, 24)


class _Ended(Exception):
    """The user wants no more, or a signal says so."""

    def __init__(self, status=0):
        super().__init__()
        self.status = status


class Terminal:
    """The screen and the keys, taken over between enter and leave.

    Signals arrive through a pipe, so that every wait is one select."""

    def __init__(self, keyboard, screen):
        self._keyboard = keyboard
        self._screen = screen
        self._saved = None
        self._wake_in, self._wake_out = os.pipe()
        os.set_blocking(self._wake_in, False)
        os.set_blocking(self._wake_out, False)

    def _set_keys(self):
        if self._keyboard is not None:
            # Ctrl-C and Ctrl-Z stay signals.
            tty.setcbreak(self._keyboard, termios.TCSANOW)

    def enter(self):
        if self._keyboard is not None:
            self._saved = termios.tcgetattr(self._keyboard)
        self._set_keys()
        self.write(_ENTER)

    def leave(self):
        with contextlib.suppress(OSError):
            self.write(_LEAVE)
        if self._saved is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._keyboard, termios.TCSANOW, self._saved)

    def write(self, words):
        self._screen.write(words)
        self._screen.flush()

    def size(self):
        sizes = [shutil.get_terminal_size(), _SIZE]
        with contextlib.suppress(OSError):
            sizes.insert(0, os.get_terminal_size(self._screen.fileno()))
        # 0 is what a serial line, or one of a container, says of itself.
        return tuple(next(filter(None, numbers)) for numbers in zip(*sizes))

    def stop(self):
        """Ctrl-Z: hands the terminal to the shell, and takes it back afterwards."""
        self.leave()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._set_keys()
        self.write(_ENTER)

    def wake(self, number, _frame):
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_out, bytes([number]))

    def signals(self):
        with contextlib.suppress(BlockingIOError):
            return os.read(self._wake_in, 64)
        return b""

    def keys(self):
        """What was typed; q if nothing can be typed any more."""
        with contextlib.suppress(OSError):
            return os.read(self._keyboard, 64).decode("ascii", "replace") or "q"
        return "q"

    @property
    def sources(self):
        keyboard = [] if self._keyboard is None else [self._keyboard]
        return [self._wake_in] + keyboard

    def wait(self, seconds):
        """The sources with something to tell, after so many seconds at most."""
        return select.select(self.sources, [], [], max(seconds, 0))[0]


class Top:
    """The loop: look, show, wait."""

    def __init__(self, pid, options, terminal):
        self._pid = pid
        self._interval = options.interval
        self._order = options.sort
        self._terminal = terminal
        self._snapshot = self._before = None
        self._resident = collections.deque(maxlen=512)
        self._due = 0.0

    def _obey_signals(self):
        for number in self._terminal.signals():
            if number == signal.SIGTSTP:
                self._terminal.stop()
            elif number in (signal.SIGTERM, signal.SIGHUP):
                raise _Ended(128 + number)
            elif number == signal.SIGINT:
                raise _Ended
        self._show()

    def _obey_keys(self):
        for key in self._terminal.keys():
            if key in "qQ\x03":
                raise _Ended
            if key in "sS":
                self._order = _ORDERS[(_ORDERS.index(self._order) + 1) % len(_ORDERS)]
            if key == " ":
                self._due = 0.0
        self._show()

    def _obey(self, ready):
        for source in ready:
            if source in self._terminal.sources[1:]:
                self._obey_keys()
            else:
                self._obey_signals()

    def _look(self):
        """Asks the process, while keys and signals are obeyed."""
        try:
            answer = serve.ask(self._pid, "stats", self)
        except Failure as failure:
            if self._snapshot is None or os.path.exists(f"/proc/{self._pid}"):
                raise
            status = errors.NO_PROCESS
            raise Failure(status, f"process {self._pid} has ended") from failure
        self._before = self._snapshot
        self._snapshot = snapshot.parse(answer, f"process {self._pid}")
        if self._before is None:
            self._resident.extend(moment.rss for moment in self._snapshot.history)
        self._resident.append(self._snapshot.number("process", "rss_bytes"))

    def _show(self):
        if self._snapshot is None:
            return
        columns, rows = self._terminal.size()
        rates = Rates(self._snapshot, self._before)
        lines = page(self._snapshot, rates, self._order, self._resident, columns)
        shown = [line[:columns] + _CLEAR_LINE for line in lines[: max(rows - 1, 1)]]
        self._terminal.write(_HOME + "\r\n".join(shown) + _CLEAR_BELOW)

    # What serve.ask looks after while it waits.
    @property
    def sources(self):
        return self._terminal.sources

    def watch(self):
        self._obey(self._terminal.wait(0))

    def run(self):
        while True:
            self._look()
            self._due = time.monotonic() + self._interval
            self._show()
            while (left := self._due - time.monotonic()) > 0:
                self._obey(self._terminal.wait(left))


_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP, signal.SIGWINCH)


def _live(pid, options):
    keyboard = sys.stdin.fileno() if text.is_terminal(sys.stdin) else None
    terminal = Terminal(keyboard, sys.stdout)
    old = [(number, signal.signal(number, terminal.wake)) for number in _SIGNALS]
    terminal.enter()
    try:
        Top(pid, options, terminal).run()
    except _Ended as ended:
        return ended.status
    finally:
        terminal.leave()
        for number, handler in old:
            signal.signal(number, handler)
    return 0


def _once(pid, options):
    snap = snapshot.load(str(pid))
    resident = [moment.rss for moment in snap.history] + [snap.number("process", "rss_bytes")]
    columns = text.width()
    print("\n".join(page(snap, Rates(snap), options.sort, resident, columns)))
    return 0


def main(arguments):
    options = _parser().parse_args(arguments)
    if not snapshot.is_pid(options.pid):
        raise Failure(errors.USAGE, f"{options.pid} is no process (see pymalloc top --help)")
    pid = serve.number(options.pid)
    if options.once or not text.is_terminal(sys.stdout):
        return _once(pid, options)
    return _live(pid, options)
