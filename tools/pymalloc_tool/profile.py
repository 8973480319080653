"""pymalloc profile: where a program allocates.

Runs a program with the heap profile, or reads a raw profile, or asks a process for one;
names the addresses, and writes a flame graph, a report, or another program's format.
"""

import gc
import os
import re
import sys
import time

from pymalloc_tool import (
    calltree,
    errors,
    flame,
    flame_page,
    pprof,
    profile_run,
    profile_text,
    rawprofile,
    serve,
    snapshot,
    stacks,
    text,
)
from pymalloc_tool.errors import Failure

_SUFFIXES = {
    "flame": ".html",
    "svg": ".svg",
    "pprof": ".pb.gz",
    "collapsed": ".collapsed",
    "text": ".txt",
    "raw": ".heap",
    "gperftools": ".gperftools.heap",
}
_NAMES = {
    "flame": "flame graph",
    "svg": "flame graph",
    "pprof": "profile for pprof",
    "collapsed": "collapsed stacks",
    "text": "report",
    "raw": "raw profile",
    "gperftools": "profile for google-pprof",
}
# Without -o these go to standard output.
_TO_READ = ("text", "collapsed")
_TOP = 10
_TOP_LEAKS = 20

_STATUSES = """\
exit status: PROGRAM's, if one was run and left a profile; else
  0    done
  2    wrong usage
  3    there is no such process, or it has ended
  4    the process does not answer: not run with PYMALLOC=serve:1, or out of reach
  5    the process refuses to answer this user, or does not profile
  6    a file cannot be read or written, or PROGRAM left no profile
  7    the data is no profile, damaged, or of a newer version
  125  the tool cannot run (no python3), or libpymalloc cannot take over in PROGRAM
"""


def _whole(least):
    def parse(digits):
        if not (digits.isascii() and digits.isdigit() and least <= int(digits[:10]) < 10**9):
            raise ValueError
        return int(digits)

    parse.__name__ = "number"
    return parse


def _parser():
    parser = errors.Parser(
        "profile",
        "[OPTION]... -- PROGRAM [ARGUMENT]...\n"
        "       pymalloc profile [OPTION]... RAWFILE|PID",
        "Tells where a program allocates: what is live, what was live at the peak, and what\n"
        "was allocated in all, by stack.  With PROGRAM, runs it with the heap profile, and\n"
        "writes a flame graph and the raw profile for it and for its children.  With RAWFILE,\n"
        "does the same for a raw profile, of libpymalloc, jemalloc or gperftools; with PID for\n"
        "a process that runs with PYMALLOC=profile:512k,serve:1.",
        _STATUSES,
    )
    add = parser.add_argument
    add("source", nargs="?", metavar="RAWFILE|PID", help='"-": standard input')
    add(
        "--format",
        choices=tuple(_SUFFIXES),
        help="what is written: flame (an HTML page; the default), svg (the same as a\n"
        "picture), pprof (for go tool pprof), collapsed (for flamegraph.pl), text, raw (for\n"
        "jeprof), gperftools (for google-pprof)",
    )
    add("-o", "--output", metavar="FILE", help='where to; "%%p" is the pid, "-" standard output')
    add(
        "--value",
        choices=tuple(kind.key for kind in stacks.KINDS),
        help="what is live, was live at the peak, or was allocated in all",
    )
    add("--blocks", action="store_true", help="count blocks, not bytes")
    add("--leaks", action="store_true", help="report what is live with its stacks")
    add("--base", metavar="RAWFILE", help="show what changed since this profile")
    add(
        "--growth",
        type=_whole(1),
        metavar="SECONDS",
        help="for PID: what is more after so many seconds, by stack; Ctrl-C ends the wait",
    )
    add("--focus", metavar="REGEX", help="only stacks with a function, file or object like this")
    add("--depth", type=_whole(1), metavar="N", help="at most so many frames of a stack")
    add("--top", type=_whole(1), metavar="N", help="at most so many lines of a report")
    run = parser.add_argument_group("for PROGRAM")
    run.add_argument(
        "--interval",
        metavar="BYTES",
        type=profile_run.interval,
        help=f"one sample in so many bytes (default {profile_run.INTERVAL}; 1: every block)",
    )
    run.add_argument("--hardened", action="store_true", help="use the hardened library")
    run.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME:VALUE",
        help="set another option of the library; may be repeated",
    )
    return parser


# ----------------------------------------------------------------------------- reading


class Loaded:
    """The bytes of a raw profile, what they say, and the process while it runs."""

    def __init__(self, content, origin, pid=None):
        self.content = content
        self.raw = rawprofile.parse(content, origin)
        self.pid = pid

    def named(self):
        """The profile with names; tells on standard error what could not be named."""
        profile, troubles = stacks.named(self.raw, self.pid)
        for trouble in troubles:
            print(f"pymalloc: note: {text.clean(trouble)}", file=sys.stderr)
        return profile

    @property
    def stem(self):
        """What the names of result files begin with."""
        pid = self.raw.number("pid")
        if pid is not None:
            return f"pymalloc-profile-{pid}"
        stem = re.sub(r"\.heap$", "", os.path.basename(self.raw.origin))
        return stem if stem not in ("", "-") else "pymalloc-profile"


def _ask(digits):
    pid = serve.number(digits)
    content = serve.ask(pid, "profile")
    if content.startswith(b"{"):
        raise Failure(
            errors.REFUSED,
            f"process {pid} gives no profile: run it with PYMALLOC=profile:512k,serve:1 "
            f"(it answered {content[:200].decode(errors='replace').strip()})",
        )
    return Loaded(content, f"process {pid}", pid)


def load(source):
    """Of a process (a number) or a file (any other name)."""
    if snapshot.is_pid(source):
        return _ask(source)
    if source != "-" and not os.path.exists(source):
        raise Failure(
            errors.FILE, f'{source}: no such file (to run a program, put "--" in front of it)'
        )
    return Loaded(snapshot.read_file(source), source)


# ----------------------------------------------------------------------------- writing


class Report:
    """What the options ask for, of profiles."""

    def __init__(self, options):
        self.options = options
        self.unit = stacks.BLOCKS if options.blocks else stacks.BYTES
        self.focus = _regex(options.focus)
        self.base = load(options.base).named() if options.base else None

    def prepared(self, loaded):
        profile = loaded.named()
        if self.base is not None:
            profile = stacks.difference(profile, self.base)
        if self.focus is not None:
            profile = profile.focused(self.focus)
            if not profile.stacks:
                raise Failure(errors.DATA, f"{profile.name}: no stack matches {self.focus.pattern}")
        return profile

    def kind(self, profile):
        """The one to show where only one can be shown: by default the first that is not
        empty."""
        if self.options.value:
            return self._wanted(profile)
        for kind in profile.kinds:
            if any(stack.figures[profile.kinds.index(kind)] != (0, 0) for stack in profile.stacks):
                return kind
        return profile.kinds[0]

    def _wanted(self, profile):
        kind = profile.kind(self.options.value)
        if kind is None:
            raise Failure(errors.DATA, f"{profile.name}: the profile does not tell the peak")
        return kind

    def _kinds(self, profile):
        return [self._wanted(profile)] if self.options.value else profile.kinds

    def lines(self, profile):
        """The report for people."""
        if self.options.leaks:
            kind = self._wanted(profile) if self.options.value else profile.kinds[0]
            most = self.options.top or _TOP_LEAKS
            return profile_text.leaks(profile, kind, self.unit, most, self.options.depth)
        most = self.options.top or _TOP
        return profile_text.summary(profile, self._kinds(profile), self.unit, most)

    def _tree(self, profile):
        """Title, tree, and which of its values is shown first."""
        kind = self.kind(profile)
        measures, nodes = calltree.build(profile, self.options.depth)
        first = next(at for at, measure in enumerate(measures) if measure.kind is kind)
        return measures, nodes, 2 * first + self.unit

    def content(self, profile, loaded, format_):
        """The bytes of a result file."""
        if format_ == "raw":
            return loaded.content
        if format_ == "gperftools":
            return rawprofile.for_google_pprof(loaded.raw, loaded.content)
        if format_ == "pprof":
            return pprof.write(profile)
        if format_ == "text":
            lines = [text.clean(line) for line in self.lines(profile)]
        elif format_ == "collapsed":
            kind = self.kind(profile)
            lines = profile_text.collapsed(profile, kind, self.unit, self.options.depth)
        else:
            measures, nodes, at = self._tree(profile)
            if format_ == "svg":
                title = f"{profile.name}, {measures[at // 2].title}"
                lines = [flame.svg(title, nodes, at)]
            else:
                subtitle = profile_text.about(profile)
                lines = [flame_page.page(profile, subtitle, measures, nodes, at)]
        return "".join(line.rstrip("\n") + "\n" for line in lines).encode(errors="replace")


def _regex(pattern):
    try:
        return None if pattern is None else re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise Failure(errors.USAGE, f"--focus {pattern}: {error}") from None


def _write(name, content):
    """To a file, or to standard output for "-"."""
    try:
        if name == "-":
            sys.stdout.flush()
            sys.stdout.buffer.write(content)
            sys.stdout.flush()
        else:
            with open(name, "wb") as file:
                file.write(content)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise errors.os_error(error, name) from None


def _print_lines(lines, stream):
    for line in lines:
        print(text.clean(line), file=stream)


def _unused(stem, suffix):
    """A name that nothing has yet, so that an earlier moment is not lost."""
    name = stem + suffix
    number = 2
    while os.path.exists(name):
        name = f"{stem}-{number}{suffix}"
        number += 1
    return name


def _output(options, loaded, format_):
    """The name of the result file, "-" for standard output."""
    if options.output:
        return options.output.replace("%p", str(loaded.raw.number("pid") or "unknown"))
    if format_ == "raw" and loaded.pid is not None:
        return _unused(loaded.stem, _SUFFIXES["raw"])
    if format_ == "raw" or format_ in _TO_READ:
        return "-"
    return loaded.stem + _SUFFIXES[format_]


def _wait(seconds):
    print(f"pymalloc: waiting {seconds} s for what grows", file=sys.stderr)
    try:
        time.sleep(seconds)
    except KeyboardInterrupt:
        pass


def _report_source(options):
    """A raw profile, or a process."""
    report = Report(options)
    if options.growth:
        report.base = load(options.source).named()
        _wait(options.growth)
    loaded = load(options.source)
    profile = report.prepared(loaded)
    format_ = options.format or ("text" if options.leaks else "flame")
    output = _output(options, loaded, format_)
    _write(output, report.content(profile, loaded, format_))
    if output == "-":
        return 0
    if format_ != "text":
        _print_lines([*report.lines(profile), ""], sys.stdout)
    print(f"{_NAMES[format_]}: {text.clean(output)}")
    if loaded.pid is not None and format_ not in ("raw", *_TO_READ):
        # The moment does not come again.
        name = _unused(loaded.stem, _SUFFIXES["raw"])
        _write(name, loaded.content)
        print(f"{_NAMES['raw']}: {text.clean(name)}")
    return 0


# ----------------------------------------------------------------------------- running


def _with_pid(path, pid):
    """The name of a file with a number before its suffixes; its folder may have dots."""
    folder, name = os.path.split(path)
    # A dot in front is no suffix.
    stem, dot, suffix = name[1:].partition(".")
    return os.path.join(folder, f"{name[:1]}{stem}-{pid}{dot}{suffix}")


class _Runs:
    """Writes the results of a program and its children."""

    def __init__(self, options):
        self._options = options
        self._report = Report(options)
        self._format = options.format or "flame"

    def _name(self, loaded, is_main):
        pid = loaded.raw.number("pid")
        if not self._options.output:
            return loaded.stem + _SUFFIXES[self._format]
        if self._options.output == "-" or "%p" in self._options.output:
            return self._options.output.replace("%p", str(pid))
        return self._options.output if is_main else _with_pid(self._options.output, pid)

    def write(self, loaded, is_main):
        """Writes the result of one process; returns its profile and the file's name."""
        profile = self._report.prepared(loaded)
        output = self._options.output
        if self._format == "raw" or (self._format == "text" and not output):
            return profile, None
        if output == "-" and not is_main:
            return profile, None
        name = self._name(loaded, is_main)
        _write(name, self._report.content(profile, loaded, self._format))
        return profile, name

    def lines(self, profile):
        return self._report.lines(profile)

    def kind_of_file(self):
        return _NAMES[self._format]


def _run(options, command):
    runs = _Runs(options)
    return profile_run.run(options, command, Loaded, runs)


def _parse(argv, ending=""):
    command = None
    if "--" in argv:
        at = argv.index("--")
        argv, command = argv[:at], argv[at + 1 :]
    parser = _parser()
    options = parser.parse_args(argv)
    if command is not None and options.source is not None:
        parser.error(f'"{options.source}" before "--" is not expected')
    if command == [] or (command is None and options.source is None):
        parser.error("a program, a raw profile or a process is wanted")
    if options.growth:
        if not snapshot.is_pid(options.source or "") or options.base:
            parser.error("--growth is for a process, without --base")
        options.leaks = True
    if command is None and (options.interval or options.hardened or options.option):
        parser.error("--interval, --hardened and --option are for programs")
    return options, command


def main(argv):
    # Nothing here goes round in circles, and there may be a lot of it.
    gc.disable()
    options, command = _parse(argv)
    return _report_source(options) if command is None else _run(options, command)


def diff_profiles(path_a, path_b, argv):
    """For pymalloc diff: what changed from one raw profile to another."""
    if "--" in argv or any(word.startswith("--base") for word in argv):
        raise Failure(errors.USAGE, "options of pymalloc profile for two files are expected")
    # "./": the name of a file may look like a number or an option.
    names = [name if os.path.isabs(name) else os.path.join(".", name) for name in (path_a, path_b)]
    options, _ = _parse(["--format", "text", *argv, f"--base={names[0]}", names[1]])
    return _report_source(options)
