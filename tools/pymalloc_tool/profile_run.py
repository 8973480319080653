"""Runs a program with the heap profile, and finds what it and its children left."""

import glob
import os
import re
import signal
import subprocess
import sys

from pymalloc_tool import entry, errors, stacks, text
from pymalloc_tool.errors import Failure

# What the library is told.
OPTION_INTERVAL = "profile"
OPTION_FILE = "profile_file"
# The longest value of an option.
_VALUE_MOST = 255
# Our own number tells our profiles from those of a run beside us in the same folder.
_FILE = f"pymalloc-profile-%p.run-{os.getpid()}.heap"

INTERVAL = "128k"
# Statuses of the launcher that say that nothing was run.
_REFUSALS = (125, 126, 127)
# Processes with results of their own; all others have their raw profile.
_MOST = 16


def interval(words):
    """Bytes, as the library reads them."""
    if not re.fullmatch(r"[1-9][0-9]{0,12}[kKmMgG]?", words):
        raise ValueError
    return words


interval.__name__ = "number of bytes"


def _template():
    """Where profiles are written to, as the library wants to be told."""
    folder = os.getcwd()
    template = os.path.join(folder, _FILE)
    if "," in folder or "%" in folder or len(os.fsencode(template)) > _VALUE_MOST:
        raise Failure(
            errors.FILE,
            f"{folder}: profiles cannot be written here, since the folder's name is too long "
            'or has "," or "%" in it: change to another',
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Failure(errors.FILE, f"{folder}: profiles cannot be written here")
    return template


def _left():
    """The raw profiles that lie here, with what tells a new one from an old one."""
    found = {}
    for name in glob.glob(_FILE.replace("%p", "[0-9]*")):
        try:
            status = os.stat(name)
        except OSError:
            continue
        found[name] = (status.st_ino, status.st_mtime_ns, status.st_size)
    return found


def _start_and_wait(words):
    """The program's number and status.  Ctrl-C is the program's: it may want to end in good
    order, and then leaves a profile."""
    process = None

    def pass_on(number, _):
        if process is not None:
            process.send_signal(number)

    handlers = {signal.SIGINT: lambda *_: None, signal.SIGQUIT: lambda *_: None}
    handlers.update({signal.SIGTERM: pass_on, signal.SIGHUP: pass_on})
    before = {}
    try:
        for number, handler in handlers.items():
            # What was ignored stays so, also for the program.
            if signal.getsignal(number) != signal.SIG_IGN:
                before[number] = signal.signal(number, handler)
        process = subprocess.Popen(words)
        return process.pid, process.wait()
    except OSError as error:
        raise errors.os_error(error, words[0]) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _why_none(status):
    if status < 0:
        try:
            name = signal.Signals(-status).name
        except ValueError:
            name = f"signal {-status}"
        return (
            f"the program was ended by {name} and so left no profile: one is written when a "
            "program exits (serve:1 lets it be asked before: pymalloc profile PID)"
        )
    return (
        "the program left no profile: it ended by _exit, became another program that "
        "libpymalloc is not in, or may not write here"
    )


def _load(names, loader):
    """The profiles of files; what cannot be read is told."""
    found = []
    for name in names:
        try:
            with open(name, "rb") as file:
                found.append(loader(file.read(), name))
        except OSError as error:
            _say(str(errors.os_error(error, name)))
        except Failure as failure:
            _say(str(failure))
    return found


def _say(words):
    print(f"pymalloc: note: {text.clean(words)}", file=sys.stderr)


def _sizes(raw):
    """Bytes live, at the peak, and in all."""
    sums = [0, 0, 0]
    for figures in raw.stacks.values():
        for at, pair in enumerate((figures.live, figures.peak, figures.all)):
            sums[at] += pair[stacks.BYTES]
    return sums


def _print_files(loaded, name, runs):
    if name:
        print(f"{runs.kind_of_file()}: {text.clean(name)}", file=sys.stderr)
    print(f"raw profile: {text.clean(loaded.raw.origin)}", file=sys.stderr)


def _print_others(rows):
    print("\nOther processes:", file=sys.stderr)
    cells = [
        (str(one.raw.number("pid")), one.raw.text("program") or "-")
        + tuple(text.size(size) for size in _sizes(one.raw))
        + (name or one.raw.origin,)
        for one, name in rows[: 2 * _MOST]
    ]
    head = ("pid", "program", "live", "peak", "in all", "file")
    for line in text.table(head, cells, left=(1, 5)):
        print("  " + text.clean(line), file=sys.stderr)
    if len(rows) > 2 * _MOST:
        more = text.plural(len(rows) - 2 * _MOST, "process")
        print(f"  and {more} more: {_FILE.replace('%p', 'PID')}", file=sys.stderr)


def _ordered(found, main):
    """The program's own first, or what allocated most if it left none; then by size."""
    return sorted(
        found,
        key=lambda one: (one.raw.number("pid") != main, -_sizes(one.raw)[2], one.raw.origin),
    )


def _write_results(found, main, runs):
    first, *others = _ordered(found, main)
    name = _of_program(first, runs)
    _print_files(first, name, runs)
    rows = []
    for one in others:
        name = None
        if one.raw.stacks and len(rows) < _MOST:
            name = _of_child(one, runs)
        rows.append((one, name))
    if rows:
        _print_others(rows)


def _of_program(one, runs):
    """Shows its report; returns the name of its result.  What cannot be done is only told:
    the program has run, and its status is the one that counts."""
    name, lines = None, []
    try:
        profile, name = runs.write(one, True)
        lines = runs.lines(profile)
    except Failure as failure:
        _say(str(failure))
    for line in ["", *lines, ""] if lines else [""]:
        print(text.clean(line), file=sys.stderr)
    return name


def _of_child(one, runs):
    try:
        return runs.write(one, False)[1]
    except Failure as failure:
        _say(str(failure))
        return None


def run(options, command, loader, runs):
    """Runs a command; returns its status, or how we failed."""
    words = [entry.launcher, "run"]
    words += ["--hardened"] if options.hardened else []
    for option in options.option:
        words += ["--option", option]
    words += ["--option", f"{OPTION_INTERVAL}:{options.interval or INTERVAL}"]
    words += ["--option", f"{OPTION_FILE}:{_template()}", "--", *command]
    before = _left()
    pid, status = _start_and_wait(words)
    found = _load(
        sorted(name for name, state in _left().items() if before.get(name) != state), loader
    )
    if not found:
        if status in _REFUSALS:
            return status
        raise Failure(errors.FILE, _why_none(status))
    _write_results(found, pid, runs)
    return 128 - status if status < 0 else status
