"""pymalloc profile, against profiles by hand, a program of our own, and other programs'
readers.  Speaks TAP; test/profile_tool.sh runs it."""

import contextlib
import gzip
import html.parser
import io
import json
import math
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
import unittest.mock
import xml.etree.ElementTree

sys.dont_write_bytecode = True
TOP = os.environ.get("top_srcdir", os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
LAUNCHER = os.path.join(os.environ.get("top_builddir", TOP), "tools", "pymalloc")
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from tool import PATIENCE, Server  # noqa: E402
from tool import run_raw as run  # noqa: E402

from pymalloc_tool import (  # noqa: E402
    calltree,
    diff,
    entry,
    flame,
    profile,
    rawprofile,
    stacks,
    symbolizer,
)


# ------------------------------------------------------------------- profiles by hand

CODE = 0x7000_0000_0000
MAPS = f"{CODE:x}-{CODE + 0x100000:x} r-xp 00000000 00:00 0 \n"
# Functions as a just-in-time compiler would tell them.  A frame is a return address.
NAMES = ["main", "load", "parse", "malloc", "operator new", "std::vector::grow", "cache", "_start"]
FRAME = {name: CODE + 0x100 * at + 0x10 for at, name in enumerate(NAMES)}


def path(*names):
    """The return addresses of functions, given from the outermost one."""
    return tuple(FRAME[name] for name in reversed(names))


def figures_line(figures):
    (live, live_bytes), (all_, all_bytes) = figures
    return f"  t*: {live}: {live_bytes} [{all_}: {all_bytes}]\n"


def addresses(frames):
    return "@" + "".join(f" {frame:#x}" for frame in frames) + "\n"


def raw_text(found, maps=MAPS, head="heap_v2/1", about=None, peak=None):
    """found: pairs of frames and ((live blocks, bytes), (all blocks, bytes))."""
    sums = [[sum(f[i][j] for _, f in found) for j in (0, 1)] for i in (0, 1)]
    words = [f"{head}\n", figures_line(sums)]
    for frames, figures in found:
        words += [addresses(frames), figures_line(figures)]
    words += ["\nMAPPED_LIBRARIES:\n", maps]
    if about is not None:
        words += ["\nPYMALLOC:\n", json.dumps(about, separators=(",", ":")), "\n"]
    if peak is not None:
        words.append("\nPEAK:\n")
        for frames, (blocks, size) in peak:
            words += [addresses(frames), f"  t*: {blocks}: {size}\n"]
    return "".join(words).encode()


PID = 2_000_000_011
ABOUT = {
    "pymalloc_profile": 1,
    "pid": PID,
    "program": "shop",
    "command": ["./shop", "--all"],
    "time_ns": 1_700_000_005_000_000_000,
    "start_ns": 1_700_000_000_000_000_000,
    "interval_bytes": 1,
    "samples_live": 3,
    "samples_all": 9,
    "peak_bytes": 9000,
    "reason": "exit",
    "build_ids": [["/usr/bin/shop", "00ff00ff"]],
}
LOAD = path("_start", "main", "load", "operator new", "malloc")
PARSE = path("_start", "main", "load", "parse", "std::vector::grow", "operator new")
CACHE = path("_start", "main", "cache")
FOUND = [
    (LOAD, ((30, 3000), (40, 4000))),
    (PARSE, ((10, 6000), (20, 12000))),
    (CACHE, ((0, 0), (500, 64000))),
    ((), ((1, 1000), (1, 1000))),
]
PEAK = [(LOAD, (35, 3500)), (CACHE, (50, 5500))]


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir=os.environ.get("scratch"))
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        here = os.getcwd()
        self.addCleanup(os.chdir, here)
        os.chdir(self.folder)
        self.code = os.path.join(self.folder, "perf-{}.map")
        self.change(symbolizer, "_CODE", self.code)
        self.write_names(NAMES)

    def change(self, module, name, value):
        self.addCleanup(setattr, module, name, getattr(module, name))
        setattr(module, name, value)

    def write_names(self, names, pid=PID):
        with open(self.code.format(pid), "w", encoding="utf-8") as file:
            for at, name in enumerate(names):
                file.write(f"{CODE + 0x100 * at:x} 100 {name}\n")

    def file(self, content, name="a.heap"):
        with open(name, "wb") as file:
            file.write(content)
        return name

    def by_hand(self, found=None, peak=PEAK, **more):
        about = dict(ABOUT, **more)
        return self.file(raw_text(FOUND if found is None else found, about=about, peak=peak))

    def succeeds(self, *words, notes=""):
        status, out, err = run("profile", *words)
        self.assertEqual((status, err), (0, notes))
        return out.decode()

    def fails(self, status, words, *command):
        """With one line on standard error that has the words in it, and nothing else."""
        got, out, err = run("profile", *command)
        self.assertEqual((got, out), (status, b""), err)
        self.assertIn(words, err)
        self.assertEqual(err.count("\n"), 1, err)
        self.assertTrue(err.startswith("pymalloc: "), err)

    def raw(self, content):
        return rawprofile.parse(content, "a.heap")


# --------------------------------------------------------------------------------- parser


class Reading(Case):
    def test_ours(self):
        raw = self.raw(raw_text(FOUND, about=ABOUT, peak=PEAK))
        self.assertEqual(raw.stacks[LOAD], ((30, 3000), (40, 4000), (35, 3500)))
        self.assertEqual(raw.stacks[PARSE], ((10, 6000), (20, 12000), (0, 0)))
        self.assertEqual(raw.stacks[CACHE], ((0, 0), (500, 64000), (50, 5500)))
        self.assertEqual(raw.stacks[()], ((1, 1000), (1, 1000), (0, 0)))
        self.assertEqual(raw.mappings, [(CODE, CODE + 0x100000, 0, "")])
        self.assertEqual((raw.number("pid"), raw.has_peak), (PID, True))

    def test_jemalloc_is_scaled(self):
        """As jeprof does: 2 blocks of 512 KiB in all, sampled at that rate."""
        text = raw_text([(LOAD, ((2, 1 << 20), (0, 0)))], head=f"heap_v2/{1 << 19}").decode()
        # A jemalloc tells of its threads as well.
        text = text.replace("\n@", "\n  t0: 5: 5 [0: 0]\n@", 1)
        factor = 1 / (1 - math.exp(-1))
        figures = self.raw(text.encode()).stacks[LOAD]
        self.assertEqual(figures.live, (round(2 * factor), round((1 << 20) * factor)))
        self.assertEqual(figures.all, (0, 0))

    def test_ours_is_not_scaled_again(self):
        raw = self.raw(raw_text(FOUND, about=dict(ABOUT, interval_bytes=1 << 19)))
        self.assertEqual(raw.stacks[LOAD].live, (30, 3000))
        self.assertEqual(raw.interval, 1 << 19)

    def test_threads_without_their_sum(self):
        text = f"heap_v2/1\n  t1: 1: 10 [1: 10]\n@ 0x5\n  t1: 1: 10 [1: 10]\n  t2: 2: 20 [3: 30]\n"
        raw = self.raw((text + "\nMAPPED_LIBRARIES:\n" + MAPS).encode())
        self.assertEqual(raw.stacks[(5,)][:2], ((3, 30), (4, 40)))

    def test_gperftools(self):
        for head, factor in (("heapprofile", 1), (f"heap_v2/{1 << 10}", 1 / (1 - math.exp(-1)))):
            text = (
                f"heap profile:   2:  2048 [  4:  4096] @ {head}\n"
                "     2:     2048 [     4:     4096] @ 0x00000010 0x20\n"
                f"\nMAPPED_LIBRARIES:\n{MAPS}"
            )
            raw = self.raw(text.encode())
            figures = raw.stacks[(0x10, 0x20)]
            self.assertEqual(figures.live, (round(2 * factor), round(2048 * factor)))
            self.assertEqual(figures.all[1], round(4096 * factor))

    def test_a_stack_that_stands_twice(self):
        raw = self.raw(raw_text([FOUND[0], FOUND[0]]))
        self.assertEqual(raw.stacks[LOAD].live, (60, 6000))

    def test_what_is_wrong_is_told(self):
        whole = raw_text(FOUND, about=ABOUT, peak=PEAK)
        for words, content in (
            ("not a heap profile", b""),
            ("not a heap profile", b"heap_v2/x\n"),
            ("not a heap profile", b"\x7fELF" + bytes(5000)),
            ("not a heap profile", b'{"pymalloc": 1}'),
            ("of kind growthz", b"heap profile: 1: 2 [3: 4] @ growthz\n"),
            ("cut short", whole[: whole.index(b"MAPPED")]),
            ("cut short", whole[: whole.index(b"r-xp")]),
            ("cut short", whole[: whole.index(b'"build')]),
            ("cut short", whole[:-5]),
            ("line 3: addresses", whole.replace(b"@ 0x", b"@ 0y", 1)),
            ("line 4: figures", whole.replace(b"  t*: 30", b"  t*: -3", 1)),
            ("too large", whole.replace(b": 3000 ", b": 99999999999999999999 ", 1)),
            ("too large", whole.replace(b": 3000 ", b": 9223372036854775808 ", 1)),
            ("a mapping was expected", whole.replace(b"r-xp", b"????", 1)),
            ("a mapping was expected", whole.replace(b"00000000 00:00 0 ", b"0 0:0 0 /\0")),
            ("no part of a heap profile", whole.replace(b"PEAK:", b"PEEK:")),
            ("cannot be read", whole.replace(b'"pid":', b'"pid"', 1)),
            ("kind 2", whole.replace(b'profile":1', b'profile":2', 1)),
            ("too many frames", whole.replace(b"@ ", b"@" + b" 0x1" * 5000 + b" ", 1)),
        ):
            with self.subTest(words):
                self.fails(7, words, self.file(content))

    def test_files_that_cannot_be_read(self):
        self.fails(6, 'no such file (to run a program, put "--"', "nothing.heap")
        self.fails(6, "Is a directory", self.folder)
        os.mkdir("b.html")
        self.fails(6, "b.html: Is a directory", self.by_hand(), "-o", "b.html")
        self.fails(6, "nothing.heap", self.by_hand(), "--base", "nothing.heap")

    def test_usage(self):
        name = self.by_hand()
        for command in (
            (),
            ("--",),
            (name, "--", "true"),
            (name, "--format", "gif"),
            (name, "--value", "most"),
            (name, "--depth", "0"),
            (name, "--focus", "("),
            (name, "--interval", "1k"),
            (name, "--leak"),
            ("--interval", "0", "--", "true"),
        ):
            with self.subTest(command):
                self.fails(2, "", *command)

    def test_hostile_profiles(self):
        """Damage at random: one line that says so, or something that can be shown."""
        chance = random.Random(7)
        whole = raw_text(FOUND, about=ABOUT, peak=PEAK)
        for _ in range(250):
            content = bytearray(whole)
            for _ in range(chance.choice((1, 1, 2, 8))):
                at = chance.randrange(len(content))
                kind = chance.randrange(4)
                if kind == 0:
                    content[at] = chance.randrange(256)
                elif kind == 1:
                    del content[at : at + chance.randrange(40)]
                elif kind == 2:
                    content[at:at] = content[chance.randrange(len(content)) :][:60]
                else:
                    del content[at:]
                if not content:
                    break
            name = self.file(bytes(content))
            format_ = chance.choice(("text", "flame", "pprof", "collapsed", "svg", "gperftools"))
            status, _, err = run("profile", name, "--format", format_, "-o", "out")
            self.assertIn((status, err.count("\n")), ((0, 0), (7, 1)), err)


# -------------------------------------------------------------------------------- reports


class Reports(Case):
    maxDiff = None

    def test_the_summary(self):
        self.assertEqual(
            self.succeeds(self.by_hand(), "--format", "text"),
            f"""\
shop ({PID})
at exit: ./shop --all
every block is counted

Live at exit: 9.77 KiB in 41 blocks
     bytes  share  blocks  function    line  object
  5.86 KiB  60.0%      10  parse             [made at run time]
  2.93 KiB  30.0%      30  load              [made at run time]
  0.98 KiB  10.0%       1  (no stack)

Live at the peak: 8.79 KiB in 85 blocks
     bytes  share  blocks  function  line  object
  5.37 KiB  61.1%      50  cache           [made at run time]
  3.42 KiB  38.9%      35  load            [made at run time]

Allocated in all: 79.1 KiB in 561 blocks
     bytes  share  blocks  function    line  object
  62.5 KiB  79.0%     500  cache             [made at run time]
  11.7 KiB  14.8%      20  parse             [made at run time]
  3.91 KiB   4.9%      40  load              [made at run time]
  0.98 KiB   1.2%       1  (no stack)
""",
        )

    def test_blocks_of_one_kind(self):
        out = self.succeeds(
            self.by_hand(), "--format", "text", "--blocks", "--value", "all", "--top", "2"
        )
        self.assertEqual(
            out.partition("\n\n")[2],
            """\
Allocated in all: 79.1 KiB in 561 blocks
  blocks  share     bytes  function  line  object
     500  89.1%  62.5 KiB  cache           [made at run time]
      40   7.1%  3.91 KiB  load            [made at run time]
  and 21 blocks in 2 places more
""",
        )

    def test_leaks(self):
        self.assertEqual(
            self.succeeds(self.by_hand(), "--leaks").partition("\n\n")[2],
            """\
Live at exit: 9.77 KiB in 41 blocks, from 3 stacks

1. 5.86 KiB in 10 blocks (60.0%)
     parse    [made at run time]
     load     [made at run time]
     main     [made at run time]

2. 2.93 KiB in 30 blocks (30.0%)
     load    [made at run time]
     main    [made at run time]

3. 0.98 KiB in 1 block (10.0%)
     (no stack)
""",
        )
        out = self.succeeds(self.by_hand(), "--leaks", "--depth", "1", "--top", "1")
        self.assertIn("(60.0%)\n     parse    [made at run time]\n     ... 2 frames more\n", out)
        self.assertIn("\nand 3.91 KiB from 2 stacks more\n", out)

    def test_how_certain_it_is(self):
        name = self.by_hand(interval_bytes=1 << 17, samples_live=25, samples_all=10000)
        self.assertIn(
            "\nestimated from one sample in 128 KiB: "
            "25 (±20%) of live blocks, 10,000 (±1.0%) in all\n",
            self.succeeds(name, "--format", "text"),
        )
        name = self.by_hand(interval_bytes=1 << 17, samples_live=0, samples_all=0)
        self.assertIn(": 0 of live blocks, 0 in all\n", self.succeeds(name, "--format", "text"))

    def test_no_peak(self):
        name = self.by_hand(peak=None)
        self.assertNotIn("peak", self.succeeds(name, "--format", "text"))
        self.fails(7, "does not tell the peak", name, "--value", "peak")

    def test_nothing_at_all(self):
        for format_ in ("text", "flame", "svg", "pprof", "collapsed", "gperftools"):
            self.succeeds(self.by_hand(found=[], peak=[]), "--format", format_, "-o", "out")
        out = self.succeeds(self.by_hand(found=[], peak=[]), "--format", "text")
        self.assertIn("nothing was sampled", out)

    def test_focus(self):
        name = self.by_hand()
        out = self.succeeds(name, "--format", "collapsed", "--focus", "^par|cach", "--value", "all")
        self.assertEqual(
            out,
            "_start;main;cache 64000\n"
            "_start;main;load;parse;std::vector::grow;operator new 12000\n",
        )
        self.fails(7, "no stack matches nobody", name, "--focus", "nobody")

    def test_collapsed(self):
        out = self.succeeds(self.by_hand(), "--format", "collapsed", "--blocks")
        self.assertEqual(
            out,
            "(no stack) 1\n"
            "_start;main;load;operator new;malloc 30\n"
            "_start;main;load;parse;std::vector::grow;operator new 10\n",
        )
        out = self.succeeds(self.by_hand(), "--format", "collapsed", "--depth", "2")
        self.assertEqual(out, "(no stack) 1000\n_start;main 9000\n")

    def test_a_terminal_obeys_no_name(self):
        self.write_names(["a\x1b[31mb;c\u202ed"] + NAMES[1:])
        for format_ in ("text", "collapsed", "svg", "flame"):
            out = self.succeeds(self.by_hand(), "--format", format_, "--leaks", "-o", "-")
            self.assertNotIn("\x1b", out)
            self.assertNotIn("\u202e", out)
            self.assertIn("a?[31mb:c?d" if format_ == "collapsed" else "a?[31mb;c?d", out)

    def test_the_usual_files(self):
        out = self.succeeds(self.by_hand())
        self.assertIn("Live at exit: 9.77 KiB", out)
        self.assertEqual(out.splitlines()[-1], f"flame graph: pymalloc-profile-{PID}.html")
        self.assertTrue(os.path.exists(f"pymalloc-profile-{PID}.html"))
        self.assertEqual(
            self.succeeds(self.by_hand(), "--format", "pprof", "-o", "of-%p.gz").splitlines()[-1],
            f"profile for pprof: of-{PID}.gz",
        )
        with open("of-%d.gz" % PID, "rb") as file:
            self.assertEqual(file.read(2), b"\x1f\x8b")


class Differences(Case):
    def setUp(self):
        super().setUp()
        # Another process: everything lies elsewhere.
        away = 0x10_0000
        moved = [
            (tuple(frame + away for frame in LOAD), ((10, 1000), (10, 1000))),
            (tuple(frame + away for frame in CACHE), ((20, 2000), (30, 3000))),
        ]
        maps = f"{CODE + away:x}-{CODE + 2 * away:x} r-xp 00000000 00:00 0 \n"
        with open(self.code.format(9), "w", encoding="utf-8") as file:
            for at, name in enumerate(NAMES):
                file.write(f"{CODE + away + 0x100 * at:x} 100 {name}\n")
        self.base = self.file(
            raw_text(moved, maps=maps, about=dict(ABOUT, pid=9), peak=[]), "base.heap"
        )
        self.name = self.by_hand()

    def test_text(self):
        out = self.succeeds(self.name, "--base", self.base, "--format", "text", "--value", "live")
        self.assertEqual(
            out.partition("\n\n")[2],
            """\
Live: +6.84 KiB in +11 blocks
  more:
        bytes  of before  blocks  function    line  object
    +5.86 KiB    +200.0%     +10  parse             [made at run time]
    +1.95 KiB     +66.7%     +20  load              [made at run time]
    +0.98 KiB     +33.3%      +1  (no stack)
  less:
        bytes  of before  blocks  function  line  object
    -1.95 KiB     -66.7%     -20  cache           [made at run time]
""",
        )

    def test_collapsed_has_both(self):
        out = self.succeeds(
            self.name, "--base", self.base, "--format", "collapsed", "--value", "live"
        )
        self.assertIn("_start;main;load;operator new;malloc 1000 3000\n", out)
        self.assertIn("_start;main;cache 2000 0\n", out)

    def test_leaks_are_what_grew(self):
        out = self.succeeds(self.name, "--base", self.base, "--leaks")
        self.assertIn("More live than before: 8.79 KiB in 31 blocks, from 3 stacks", out)
        self.assertNotIn("cache", out)

    def test_the_picture_has_both_directions(self):
        self.succeeds(self.name, "--base", self.base, "-o", "d.html")
        page = Page.read("d.html")
        self.assertEqual(page.data["measures"][:2], ["Live: more", "Live: less"])
        self.assertEqual(page.data["nodes"][0][2:6], [31, 9000 - 2000 + 2000, 20, 2000])

    def test_pprof_has_signs(self):
        self.succeeds(self.name, "--base", self.base, "--format", "pprof", "-o", "d.gz")
        found = Pprof("d.gz").by_stack("inuse_space")
        self.assertEqual(found[("cache", "main", "_start")], -2000)
        self.assertEqual(found[("malloc", "operator new", "load", "main", "_start")], 2000)

    def test_of_a_profile_and_itself(self):
        out = self.succeeds(self.name, "--base", self.name, "--format", "text")
        self.assertIn("Live: 0 B in 0 blocks\n", out)
        self.succeeds(self.name, "--base", self.name, "-o", "d.html")

    def test_pymalloc_diff(self):
        status, out, err = run("diff", self.base, self.name, "--value", "live")
        self.assertEqual((status, err), (0, ""))
        self.assertIn("Live: +6.84 KiB in +11 blocks\n", out.decode())
        # Options may stand anywhere.
        for words in (
            ("--value", "live", self.base, self.name),
            ("--value=live", "--top", "10", self.base, "--depth", "9", self.name),
        ):
            self.assertEqual(run("diff", *words), (0, out, ""))
        self.assertEqual(run("diff", "-o", "-", "--focus=-|", self.base, self.name)[0], 0)
        self.assertEqual(run("diff", "--base", "x", self.base, self.name)[0], 2)

    def test_pymalloc_diff_knows_which_options_have_values(self):
        known = diff._parser()._option_string_actions
        for action in profile._parser()._actions:
            if action.option_strings and action.nargs is None:
                self.assertLessEqual(set(action.option_strings), set(known))


# ------------------------------------------------------------------------------- pictures


class Page(html.parser.HTMLParser):
    """The tags of a page, in pairs, and the data of its script."""

    EMPTY = ("meta", "input", "br", "i")

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.data, self.titles = [], [], None, []
        self.feed(text)
        self.close()

    @classmethod
    def read(cls, name):
        with open(name, encoding="utf-8") as file:
            return cls(file.read())

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta", "input", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, tag

    def handle_data(self, text):
        if self.open and self.open[-1] == "script" and self.data is None:
            self.data = json.loads(text)
        if self.open and self.open[-1] == "title":
            self.titles.append(text)


class Pictures(Case):
    def page(self, *options, **more):
        self.succeeds(self.by_hand(**more), "-o", "f.html", *options)
        page = Page.read("f.html")
        self.assertEqual(page.open, [])
        return page

    def test_the_nodes_add_up(self):
        page = self.page()
        names = [page.data["frames"][node[1]][0] for node in page.data["nodes"]]
        depths = [node[0] for node in page.data["nodes"]]
        self.assertEqual(names[0], f"shop ({PID})")
        self.assertEqual(
            list(zip(depths, names))[1:],
            [
                (1, "(no stack)"),
                (1, "_start"),
                (2, "main"),
                (3, "cache"),
                (3, "load"),
                (4, "operator new"),
                (5, "malloc"),
                (4, "parse"),
                (5, "std::vector::grow"),
                (6, "operator new"),
            ],
        )
        by_name = {name: node[2:] for name, node in zip(names, page.data["nodes"])}
        self.assertEqual(by_name["main"], [40, 9000, 85, 9000, 560, 80000])
        self.assertEqual(by_name["load"], [40, 9000, 35, 3500, 60, 16000])
        self.assertEqual(by_name["cache"], [0, 0, 50, 5500, 500, 64000])
        self.assertEqual(
            page.data["measures"], ["Live at exit", "Live at the peak", "Allocated in all"]
        )

    def test_it_is_complete_without_a_script(self):
        page = self.page("--value", "all")
        self.assertEqual(page.data["at"], 5)
        rects = [attrs for tag, attrs in page.seen if tag == "rect"]
        self.assertEqual(len(rects), len(page.data["nodes"]))
        buttons = [attrs for tag, attrs in page.seen if tag == "button" and "data-measure" in attrs]
        self.assertEqual([one["aria-pressed"] for one in buttons], ["false", "false", "true"])
        titles = [title for title in page.titles if title.startswith("cache")]
        self.assertEqual(titles, ["cache\n[made at run time]\n79%: 62.5 KiB, 500 blocks"])

    def test_nothing_is_loaded(self):
        self.page()
        with open("f.html", encoding="utf-8") as file:
            text = file.read()
        self.assertIn("default-src 'none'", text)
        self.assertEqual(
            set(re.findall(r"https?://[^\"' ]+", text)), {"http://www.w3.org/2000/svg"}
        )

    def test_names_stay_text(self):
        bad = "x</script><script>alert(1)</script><!--&\"'"
        self.write_names([bad] + NAMES[1:])
        page = self.page()
        self.assertEqual(sum(tag == "script" for tag, _ in page.seen), 2)
        self.assertIn(bad, [frame[0] for frame in page.data["frames"]])

    def test_starts_with_what_is_not_empty(self):
        page = self.page(found=[(CACHE, ((0, 0), (500, 64000)))])
        self.assertEqual(page.data["at"] // 2, 1)
        page = self.page(found=[(CACHE, ((0, 0), (500, 64000)))], peak=[])
        self.assertEqual(page.data["at"] // 2, 2)

    def test_svg(self):
        out = self.succeeds(self.by_hand(), "--format", "svg", "--value", "live", "-o", "-")
        root = xml.etree.ElementTree.fromstring(out)
        space = "{http://www.w3.org/2000/svg}"
        boxes = {}
        for group in root.iter(f"{space}g"):
            title, rect = group.find(f"{space}title"), group.find(f"{space}rect")
            if title is not None:
                boxes[title.text.split("\n")[0]] = [
                    float(rect.get(name)) for name in ("x", "y", "width")
                ]
        whole = flame.WIDTH
        self.assertAlmostEqual(boxes["main"][2], whole * 0.9, delta=0.6)
        self.assertAlmostEqual(boxes["parse"][2], whole * 0.6, delta=0.6)
        self.assertAlmostEqual(boxes["parse"][0], whole * 0.4, delta=0.01)
        self.assertEqual(boxes["parse"][1], 4 * flame.ROW)
        self.assertNotIn("cache", boxes)

    def test_depth(self):
        page = self.page("--depth", "3")
        self.assertEqual(max(node[0] for node in page.data["nodes"]), 3)
        self.assertEqual(page.data["nodes"][0][2:4], [41, 10000])

    def test_stacks_that_lost_their_outer_end(self):
        deep = tuple(FRAME["parse"] for _ in range(64))
        page = self.page(found=[*FOUND, (deep, ((1, 5), (1, 5)))])
        self.assertIn("(stack cut off)", [frame[0] for frame in page.data["frames"]])

    def test_lines_count_only_where_memory_is_asked_for(self):
        def place(function, line):
            frame = symbolizer.Frame(function, function, "a.c", line, "shop")
            return symbolizer.Place(0, None, (frame,))

        found = [
            stacks.Stack((place("get", get), place("main", main)), ((1, 10),), (0,))
            for get, main in ((5, 1), (5, 2), (6, 3))
        ]
        raw = self.raw(raw_text(FOUND, about=ABOUT))
        _, nodes = calltree.build(stacks.Profile(raw, stacks.KINDS[:1], found, {}))
        self.assertEqual(
            [(node.frame.function, flame.where(node), node.values) for node in nodes[1:]],
            [
                ("main", "a.c:1, 2, 3", [3, 30]),
                ("get", "a.c:5", [2, 20]),
                ("get", "a.c:6", [1, 10]),
            ],
        )

    def test_the_rest_has_its_figures(self):
        self.write_names([*NAMES, *(f"small_{at}" for at in range(100))])
        small = [CODE + 0x100 * (len(NAMES) + at) + 0x10 for at in range(100)]
        found = [((one, FRAME["main"]), ((1, 1), (1, 1))) for one in small]
        page = self.page(found=[*found, (LOAD, ((10**6, 10**6), (10**6, 10**6)))], peak=[])
        values = {page.data["frames"][node[1]][0]: node[2:4] for node in page.data["nodes"]}
        self.assertEqual(values["(other)"], [100, 100])
        self.assertNotIn("small_1", values)

    def test_what_is_small_is_put_together(self):
        chance = random.Random(3)
        many = {}
        while len(many) < 20000:
            names = [chance.choice(NAMES[:7]) for _ in range(chance.randrange(8, 30))]
            size = chance.randrange(1, 1000)
            many[path("_start", *names)] = ((1, size), (2, 2 * size))
        raw = self.raw(raw_text(list(many.items()), about=ABOUT))
        named, _ = stacks.named(raw)
        measures, nodes = calltree.build(named)
        self.assertEqual(len(measures), 2)
        self.assertEqual(nodes[0].values[0], 20000)
        self.assertLess(len(nodes), 5000)
        sums = {}
        for node in nodes[1:]:
            sums[id(node.parent)] = sums.get(id(node.parent), 0) + node.values[1]
            shares = [value / whole for value, whole in zip(node.values, nodes[0].values)]
            self.assertTrue(node.frame is calltree.OTHER or max(shares) >= 1 / 2000)
        for node in nodes:
            self.assertLessEqual(sums.get(id(node), 0), node.values[1])
        self.assertEqual(sums[id(nodes[0])], nodes[0].values[1])


# ---------------------------------------------------------------------------------- pprof


def fields(data):
    """(number, value) of a message in the wire format: the specification, read anew."""

    def varint(at):
        value = shift = 0
        while True:
            value |= (data[at] & 0x7F) << shift
            shift += 7
            at += 1
            if data[at - 1] < 0x80:
                return value, at

    at = 0
    while at < len(data):
        key, at = varint(at)
        value, at = varint(at)
        if key & 7 == 2:
            value, at = data[at : at + value], at + value
        else:
            assert key & 7 == 0, key
        yield key >> 3, value


def numbers(data):
    """Packed varints, as signed numbers of 64 bits."""
    return [(n ^ 1 << 63) - (1 << 63) for _, n in fields(b"".join(b"\x08" + p for p in re.findall(
        rb"[\x80-\xff]*[\x00-\x7f]", data, re.DOTALL)))]


class Pprof:
    def __init__(self, name):
        with gzip.open(name) as file:
            self.all = list(fields(file.read()))
        self.strings = [value.decode() for number, value in self.all if number == 6]
        self.types = [
            tuple(self.strings[dict(fields(v)).get(i, 0)] for i in (1, 2)) for v in self.get(1)
        ]
        self.functions = {f[1]: f for f in map(dict, map(fields, self.get(5)))}
        self.mappings = {m[1]: m for m in map(dict, map(fields, self.get(3)))}
        self.locations = {}
        for content in self.get(4):
            found = list(fields(content))
            lines = [dict(fields(value)) for number, value in found if number == 4]
            self.locations[dict(found)[1]] = (dict(found), lines)
        self.samples = []
        for content in self.get(2):
            sample = dict(fields(content))
            self.samples.append((numbers(sample.get(1, b"")), numbers(sample[2])))

    def get(self, field):
        return [value for number, value in self.all if number == field]

    def name_of(self, function):
        return self.strings[self.functions[function][2]]

    def by_stack(self, type_):
        at = [name for name, _ in self.types].index(type_)
        return {
            tuple(
                self.name_of(line[1]) for place in places for line in self.locations[place][1]
            ): values[at]
            for places, values in self.samples
        }


class ForPprof(Case):
    def write(self, **more):
        self.succeeds(self.by_hand(**more), "--format", "pprof", "-o", "p.gz")
        return Pprof("p.gz")

    def test_the_message(self):
        found = self.write()
        self.assertEqual(found.strings[0], "")
        self.assertEqual(
            found.types,
            [
                ("alloc_objects", "count"),
                ("alloc_space", "bytes"),
                ("inuse_objects", "count"),
                ("inuse_space", "bytes"),
                ("peak_objects", "count"),
                ("peak_space", "bytes"),
            ],
        )
        load = ("malloc", "operator new", "load", "main", "_start")
        for type_, value in zip(
            (name for name, _ in found.types), (40, 4000, 30, 3000, 35, 3500)
        ):
            self.assertEqual(found.by_stack(type_)[load], value, type_)
        self.assertEqual(found.by_stack("inuse_space")[()], 1000)
        self.assertEqual(found.get(9), [ABOUT["time_ns"]])
        self.assertEqual(found.get(10), [5_000_000_000])
        self.assertEqual(found.get(12), [1])
        self.assertEqual(found.strings[found.get(14)[0]], "inuse_space")
        mapping = next(iter(found.mappings.values()))
        self.assertEqual((mapping[2], mapping[3]), (CODE, CODE + 0x100000))
        calls = {
            found.name_of(lines[0][1]): place[3] for place, lines in found.locations.values()
        }
        self.assertEqual(calls["load"], FRAME["load"] - 1)

    def test_without_a_peak(self):
        self.assertEqual(len(self.write(peak=None).types), 4)

    def test_the_same_bytes_every_time(self):
        self.write()
        with open("p.gz", "rb") as file:
            first = file.read()
        with unittest.mock.patch("time.time", return_value=5.0):
            self.write()
        with open("p.gz", "rb") as file:
            self.assertEqual(file.read(), first)

    def test_figures_that_do_not_fit(self):
        text = raw_text([(LOAD, ((1, 1), (0, 0)))], head=f"heap_v2/{(1 << 63) - 1}")
        self.succeeds(self.file(text), "--format", "pprof", "-o", "p.gz")
        self.assertEqual(max(Pprof("p.gz").samples[0][1]), (1 << 63) - 1)

    def test_go_tool_pprof(self):
        if shutil.which("go") is None:
            self.skipTest("go is not installed")
        self.write()
        out = subprocess.run(
            ["go", "tool", "pprof", "-top", "-sample_index=inuse_space", "-unit=B", "p.gz"],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
            env=dict(os.environ, HOME=self.folder),
        ).stdout
        rows = [line.split() for line in out.splitlines() if line.count("%") == 3][1:]
        self.assertEqual(
            {(" ".join(row[5:]), row[0], row[3]) for row in rows if row[0] != "0"},
            {("operator new", "6000B", "9000B"), ("malloc", "3000B", "3000B")},
        )


# ------------------------------------------------------------------------ a real program


class Built:
    """The probe, built in several ways, and what it tells of itself."""

    folder = None

    @classmethod
    def make(cls):
        """The folder, or None if the compiler's programs do not run here."""
        if cls.folder is not None:
            return cls.folder or None
        cls.folder = ""
        folder = tempfile.mkdtemp(dir=os.environ.get("scratch"))
        source = os.path.join(TOP, "test", "profile_tool_probe.c")
        cc = os.environ.get("CC", "cc").split()
        build = ["-O1", "-g", "-gdwarf-4", "-Wl,--build-id", source, "-o"]

        def compile_(*words):
            subprocess.run([*cc, *words], cwd=folder, check=True, timeout=PATIENCE)

        name = "libprobe.so"
        compile_("-shared", "-fPIC", "-DPART_OF_A_LIBRARY", *build, name, f"-Wl,-soname,{name}")
        library = [name, "-Wl,-rpath,$ORIGIN"]
        compile_("-pie", "-fPIE", *build, "probe", *library)
        compile_("-no-pie", "-fno-pie", *build, "probe-fixed", *library)
        compile_("-pie", "-fPIE", *build, "probe-plain", *library, "-Wl,--build-id=none")
        compile_("-pie", "-fPIE", "-DOTHER", *build, "probe-other", *library, "-O2")
        with open(os.path.join(folder, "empty.c"), "w", encoding="utf-8") as file:
            file.write("int main(void) { return 0; }\n")
        compile_("empty.c", "-o", "empty")
        try:
            subprocess.run([os.path.join(folder, "empty")], check=True, timeout=PATIENCE)
        except (OSError, subprocess.SubprocessError):
            return None
        cls.folder = folder
        return folder


class Walk:
    """A stack that a program told: pairs of function and line, addresses, and its maps."""

    def __init__(self, program):
        out = subprocess.run(
            [program, "walk"], capture_output=True, text=True, check=True, timeout=PATIENCE
        ).stdout
        lines = out.splitlines()
        self.maps = "".join(line[5:] + "\n" for line in lines if line.startswith("maps "))
        told = [line.split() for line in lines if not line.startswith("maps ")]
        self.frames = tuple(int(address, 16) for _, _, address in told)
        self.calls = [(name, int(line)) for name, line, _ in told]

    def raw(self, **about):
        """about: of a profile of ours; none makes it one of others."""
        found = [(self.frames, ((3, 3000), (6, 6000)))]
        # Started after the files were built.
        about = {**ABOUT, "start_ns": 1 << 62, **about} if about else None
        return raw_text(found, maps=self.maps, about=about)


def build_id(name):
    """By another's reading."""
    out = subprocess.run(["readelf", "-n", name], capture_output=True, text=True, check=True).stdout
    return re.search(r"Build ID: ([0-9a-f]+)", out).group(1)


ALL_NAMED = [
    ("inlined", "shop::fill"),
    ("hidden",),
    ("exported",),
    ("library_calls",),
]


class WithProgram(Case):
    def setUp(self):
        super().setUp()
        if Built.make() is None:
            self.skipTest("programs of this compiler do not run here")
        for name in os.listdir(Built.folder):
            shutil.copy2(os.path.join(Built.folder, name), self.folder)
        self.probe = os.path.join(self.folder, "probe")

    def needs(self, *tools):
        for tool in tools:
            if shutil.which(tool) is None:
                self.skipTest(f"{tool} is not installed")

    def do(self, *words):
        subprocess.run(words, check=True, timeout=PATIENCE)

    def frames(self, content):
        """The frames of each address of the only stack, and the notes."""
        raw = self.raw(content)
        named, notes = stacks.named(raw)
        return [place.frames for place in named.stacks[0].places], notes

    def names(self, content):
        places, notes = self.frames(content)
        return [tuple(frame.function for frame in frames) for frames in places], notes


class Names(WithProgram):
    def lines_are_right(self, program):
        walk = Walk(program)
        places, notes = self.frames(walk.raw())
        self.assertEqual(notes, [])
        self.assertEqual([tuple(f.function for f in frames) for frames in places], ALL_NAMED)
        for frames, (_, line) in zip(places, walk.calls):
            self.assertEqual(os.path.basename(frames[0].file), "profile_tool_probe.c")
            self.assertEqual(frames[0].line, line)
        self.assertEqual(places[0][1].system_name, "_ZN4shop4fillEi")
        self.assertEqual(places[3][0].object, "libprobe.so")

    def test_addr2line(self):
        self.needs("addr2line", "c++filt")
        self.change(symbolizer, "_TOOLS", symbolizer._TOOLS[-1:])
        self.lines_are_right(self.probe)

    def test_llvm_symbolizer(self):
        self.needs("llvm-symbolizer", "c++filt")
        self.change(symbolizer, "_TOOLS", symbolizer._TOOLS[:1])
        self.lines_are_right(self.probe)

    def test_a_program_that_lies_fixed(self):
        self.needs("addr2line", "c++filt")
        self.lines_are_right(self.probe + "-fixed")

    def test_without_any_tool(self):
        self.change(symbolizer, "_TOOLS", ())
        with unittest.mock.patch.dict(os.environ, PATH=self.folder):
            names, notes = self.names(Walk(self.probe).raw())
        self.assertEqual(
            (names, notes),
            ([("_ZN4shop4fillEi",), ("hidden",), ("exported",), ("library_calls",)], []),
        )

    def test_a_tool_that_fails(self):
        for script in ("exit 1", "echo 0x5; echo", "echo x; echo y:z; cat", "head -c 1 /dev/zero"):
            with self.subTest(script):
                for tool in ("llvm-symbolizer", "addr2line", "c++filt"):
                    with open(tool, "w", encoding="utf-8") as file:
                        file.write(f"#!/bin/sh\n{script}\n")
                    os.chmod(tool, 0o755)
                path = self.folder + ":" + os.environ["PATH"]
                with unittest.mock.patch.dict(os.environ, PATH=path):
                    names, _ = self.names(Walk(self.probe).raw())
                self.assertEqual([name[-1] for name in names][1:3], ["hidden", "exported"])

    def test_debugging_information_by_build_id(self):
        self.needs("objcopy", "strip", "readelf")
        self.change(symbolizer, "_DEBUG_FOLDER", os.path.join(self.folder, "debug"))
        number = build_id(self.probe)
        folder = os.path.join(self.folder, "debug", ".build-id", number[:2])
        os.makedirs(folder)
        walk = Walk(self.probe)
        self.do("objcopy", "--only-keep-debug", self.probe, f"{folder}/{number[2:]}.debug")
        self.do("strip", self.probe)
        names, _ = self.names(walk.raw(build_ids=[[self.probe, number]]))
        self.assertEqual(names, ALL_NAMED)
        with unittest.mock.patch.object(symbolizer, "_TOOLS", ()):
            names, _ = self.names(walk.raw(build_ids=[[self.probe, number]]))
        self.assertEqual(names[1], ("hidden",))
        # Even if the program itself has gone.
        os.remove(self.probe)
        names, notes = self.names(walk.raw(build_ids=[[self.probe, number]]))
        self.assertEqual((names, notes), (ALL_NAMED, []))

    def test_debugging_information_beside_the_file(self):
        self.needs("objcopy", "strip")
        self.do("objcopy", "--only-keep-debug", self.probe, "probe.debug")
        self.do("strip", self.probe)
        self.do("objcopy", "--add-gnu-debuglink=probe.debug", self.probe)
        names, _ = self.names(Walk(self.probe).raw())
        self.assertEqual(names, ALL_NAMED)
        # That of another program is of no use.
        self.do("objcopy", "--only-keep-debug", self.probe + "-other", "probe.debug")
        names, _ = self.names(Walk(self.probe).raw())
        self.assertEqual((names[0], names[1][0][:8]), (("shop::fill",), "probe+0x"))

    def test_a_stripped_file(self):
        self.needs("strip")
        self.do("strip", self.probe, "libprobe.so")
        walk = Walk(self.probe)
        names, notes = self.names(walk.raw())
        self.assertEqual((names[3], notes), (("library_calls",), []))
        # The nearest exported function is not the one.
        self.assertRegex(names[1][0], r"^probe\+0x[0-9a-f]+$")

    def test_another_build_is_not_taken_for_it(self):
        self.needs("readelf")
        walk = Walk(self.probe)
        old = build_id(self.probe)
        shutil.copy2(self.probe + "-other", self.probe)
        name = self.file(walk.raw(build_ids=[[self.probe, old]]))
        out = self.succeeds(
            name,
            "--format",
            "collapsed",
            notes=f"pymalloc: note: {self.probe} is not the file that ran: its build ID is another "
            "one; its functions have no names\n",
        )
        self.assertIn("probe+0x", out)
        self.assertNotIn("hidden", out)
        self.assertIn("library_calls", out)

    def test_a_build_without_an_id(self):
        program = self.probe + "-plain"
        walk = Walk(program)
        after = os.stat(program).st_mtime_ns + 1
        names, notes = self.names(walk.raw(start_ns=after, build_ids=[]))
        self.assertEqual((names[1], notes), (("hidden",), []))
        names, notes = self.names(walk.raw(start_ns=after - 2, build_ids=[]))
        self.assertEqual(names[1][0][:14], "probe-plain+0x")
        self.assertIn("has changed since the program was started", notes[0])

    def test_a_deleted_file(self):
        self.needs("readelf")
        walk = Walk(self.probe)
        number = build_id(self.probe)
        walk.maps = walk.maps.replace(self.probe + "\n", self.probe + " (deleted)\n")
        names, notes = self.names(walk.raw(build_ids=[[self.probe, number]]))
        self.assertEqual((names[1], notes), (("hidden",), []))
        names, notes = self.names(walk.raw(build_ids=[[self.probe, "00" * 20]]))
        self.assertIn("its build ID is another one", notes[0])
        os.remove(self.probe)
        names, notes = self.names(walk.raw(build_ids=[[self.probe, number]]))
        self.assertEqual(names[1][0][:8], "probe+0x")
        self.assertIn("cannot be read", notes[0])

    def test_the_loader_knows_a_file_by_another_name(self):
        self.needs("readelf")
        walk = Walk(self.probe)
        os.symlink("probe", "link")
        for name in ("/moved/to/probe", os.path.join(self.folder, "link")):
            pairs = [["/other/probe-other", "11"], [name, "00"]]
            _, notes = self.names(walk.raw(build_ids=pairs))
            self.assertIn("its build ID is another one", notes[0])

    def test_addresses_in_no_file(self):
        walk = Walk(self.probe)
        vdso = re.search(r"^([0-9a-f]+)-\S+ r-xp .*\[vdso\]$", walk.maps, re.MULTILINE)
        if vdso is None:
            self.skipTest("there is no vdso")
        # What is no code is in no file, either.
        data = int(walk.maps.partition("-")[0], 16) + 1
        walk.frames = (int(vdso.group(1), 16) + 1, 0, 1, (1 << 64) - 1, data)
        names, _ = self.names(walk.raw())
        self.assertEqual(names, [("[vdso]",)] + [("[unknown]",)] * 4)

    def test_code_made_at_run_time_in_memory_with_a_name(self):
        maps = MAPS.replace("00:00 0 ", "00:01 5 /memfd:code (deleted)")
        names, notes = self.names(raw_text(FOUND[:1], maps=maps, about=ABOUT))
        self.assertEqual((names[2], notes), (("load",), []))

    def test_a_map_of_code_that_is_older_than_the_process(self):
        names, _ = self.names(raw_text(FOUND[:1], about=dict(ABOUT, start_ns=1 << 62)))
        self.assertEqual(names[0], ("[unknown]",))

    def test_a_map_of_code_of_another_user(self):
        file = self.code.format(PID)
        if os.getuid() == 0:
            os.chown(file, 65534, -1)
        owner = os.stat(file).st_uid
        with unittest.mock.patch("os.getuid", return_value=owner + 1):
            names, _ = self.names(raw_text(FOUND[:1], about=ABOUT))
            self.assertEqual(names[0], ("[unknown]",))
        with unittest.mock.patch("os.getuid", return_value=owner):
            names, _ = self.names(raw_text(FOUND[:1], about=ABOUT))
            self.assertNotEqual(names[0], ("[unknown]",))

    def test_hostile_files(self):
        """Damage at random to the file that the addresses are in."""
        chance = random.Random(11)
        walk = Walk(self.probe)
        self.change(symbolizer, "_TOOLS", ())
        with open(self.probe, "rb") as file:
            whole = file.read()
        tables = section_headers(whole)
        for _ in range(150):
            content = bytearray(whole)
            for _ in range(chance.choice((1, 4, 40))):
                start = chance.choice((0, 64, tables, chance.randrange(len(content))))
                at = min(start + chance.randrange(64), len(content) - 1)
                content[at] = chance.choice((0, 255, chance.randrange(256)))
            if chance.random() < 0.2:
                del content[chance.randrange(len(content)) :]
            # Never into the file: an earlier one may still be mapped.
            self.file(bytes(content), "damaged")
            os.replace("damaged", self.probe)
            names, _ = self.names(walk.raw())
            self.assertEqual(len(names), 4)
        for at in range(tables, len(whole) - 7, 8):
            with self.subTest(at):
                content = bytearray(whole)
                content[at : at + 8] = b"\xff" * 8
                self.file(bytes(content), "damaged")
                os.replace("damaged", self.probe)
                self.names(walk.raw())

    def test_a_pipe_in_the_place_of_a_file(self):
        walk = Walk(self.probe)
        os.remove(self.probe)
        os.mkfifo(self.probe)
        _, notes = self.names(walk.raw())
        self.assertIn("cannot be read", notes[0])


def section_headers(data):
    """Where those of an ELF file are."""
    return int.from_bytes(data[40:48], "little")


# -------------------------------------------------------------------- the readers of others


class OtherReaders(WithProgram):
    """They read files whose stacks are of a program, with names and figures told before."""

    def two_stacks(self):
        walk = Walk(self.probe)
        fill, hidden, exported, library = walk.frames
        found = [
            ((hidden, exported), ((3, 3000), (6, 60000))),
            ((library, exported), ((7, 1000), (8, 5000))),
        ]
        about = dict(ABOUT, start_ns=1 << 62)
        self.file(raw_text(found, maps=walk.maps, about=about, peak=[]), "two.heap")

    def rows(self, *command):
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
        rows = [line.split() for line in done.stdout.splitlines()]
        return {row[-1]: (int(row[0]), int(row[3])) for row in rows if len(row) == 6}

    def test_jeprof(self):
        self.needs("jeprof", "objdump", "nm")
        self.two_stacks()
        self.assertEqual(
            self.rows("jeprof", "--text", "--show_bytes", self.probe, "two.heap"),
            {"hidden": (3000, 3000), "library_calls": (1000, 1000), "exported": (0, 4000)},
        )
        self.assertEqual(
            self.rows("jeprof", "--text", "--alloc_objects", self.probe, "two.heap"),
            {"library_calls": (8, 8), "hidden": (6, 6), "exported": (0, 14)},
        )

    def test_google_pprof(self):
        self.needs("google-pprof", "objdump", "nm")
        self.two_stacks()
        self.succeeds("two.heap", "--format", "gperftools", "-o", "google.heap")
        self.assertEqual(
            self.rows("google-pprof", "--text", "--show_bytes", self.probe, "google.heap"),
            {"hidden": (3000, 3000), "library_calls": (1000, 1000), "exported": (0, 4000)},
        )

    def test_we_read_what_google_pprof_reads(self):
        self.two_stacks()
        self.succeeds("two.heap", "--format", "gperftools", "-o", "google.heap")
        for value in ("live", "all"):
            ours, theirs = (
                self.succeeds(name, "--format", "collapsed", "--value", value)
                for name in ("two.heap", "google.heap")
            )
            self.assertEqual(ours, theirs)


# ------------------------------------------------------------------------- the library's


class Served(Case):
    def test_a_process_is_asked(self):
        with Server(lambda _: raw_text(FOUND, about=ABOUT, peak=PEAK)) as server:
            out = self.succeeds(str(os.getpid()))
        self.assertEqual(server.requests, [b"profile\n"])
        self.assertEqual(
            out.splitlines()[-2:],
            [
                f"flame graph: pymalloc-profile-{PID}.html",
                f"raw profile: pymalloc-profile-{PID}.heap",
            ],
        )

    def test_an_earlier_moment_is_not_lost(self):
        for expected in (f"pymalloc-profile-{PID}.heap", f"pymalloc-profile-{PID}-2.heap"):
            with Server(lambda _: raw_text(FOUND, about=ABOUT, peak=PEAK)):
                out = self.succeeds(str(os.getpid()), "--format", "raw")
            self.assertEqual(out.splitlines()[-1], f"raw profile: {expected}")
            with open(expected, "rb") as file:
                self.assertEqual(file.read(), raw_text(FOUND, about=ABOUT, peak=PEAK))

    def growth(self, *moments):
        """The report on two moments, a second apart."""
        answers = iter(
            raw_text(found, about=dict(ABOUT, interval_bytes=4096, time_ns=at * 10**9), peak=[])
            for at, found in enumerate(moments, 1)
        )
        with Server(lambda _: next(answers)) as server:
            out = self.succeeds(
                str(os.getpid()), "--growth", "1", notes="pymalloc: waiting 1 s for what grows\n"
            )
        self.assertEqual(server.requests, [b"profile\n"] * 2)
        return out.split("\n\n")

    def test_growth_is_told_from_chance(self):
        """LOAD grew, and nothing went; CACHE has more, of much that came and went."""
        before = [(LOAD, ((1000, 100000), (1000, 100000))), (CACHE, ((1000, 100000), (9000, 900000)))]
        after = [
            (LOAD, ((2000, 200000), (2000, 200000))),
            (CACHE, ((1200, 120000), (99000, 9900000))),
        ]
        head, more, first, rest = self.growth(before, after)
        self.assertIn("change within 1.0 s", head)
        self.assertEqual(more, "More live than before: 97.7 KiB in 1,000 blocks, from 1 stack")
        # 100,000 bytes in samples worth 4,096 - 50 each.
        self.assertTrue(first.startswith("1. 97.7 KiB in 1,000 blocks (100.0%, ± 19.6 KiB, 100% of what came)\n"), first)
        self.assertIn("load", first)
        self.assertEqual(rest, "growth of 1 stack is within 2 standard errors, and left out\n")

    def test_what_looks_like_a_leak_is_first(self):
        """Then the surest growth."""
        before = [(frames, ((0, 0), (0, 0))) for frames in (LOAD, CACHE, PARSE)]
        after = [
            (CACHE, ((10000, 1000000), (150000, 15000000))),
            (PARSE, ((9000, 900000), (18000, 1800000))),
            (LOAD, ((5000, 500000), (5000, 500000))),
        ]
        _, _, *found = self.growth(before, after)
        self.assertIn("load", found[0])
        self.assertIn("1. 488 KiB in 5,000 blocks (20.8%, ± 43.9 KiB, 100% of what came)", found[0])
        self.assertIn("(37.5%, ± 102 KiB, 50% of what came)", found[1])
        self.assertIn("(41.7%, ± 335 KiB, 7% of what came)", found[2])

    def test_large_blocks_are_certain(self):
        head, _, first = self.growth([], [(LOAD, ((1, 1 << 20), (1, 1 << 20)))])
        self.assertTrue(first.startswith("1. 1 MiB in 1 block (100.0%, 100% of what came)\n"), first)

    def test_growth_is_for_processes(self):
        self.by_hand()
        for words in (["a.heap"], ["1", "--base", "a.heap"]):
            status, _, err = run("profile", *words, "--growth", "5")
            self.assertEqual(status, 2)
            self.assertIn("--growth is for a process", err)

    def test_one_that_does_not_profile(self):
        with Server(lambda _: b'{"error": "there is no profile"}'):
            self.fails(5, "there is no profile", str(os.getpid()))

    def test_nobody(self):
        self.fails(3, "there is no process", "2147483646")


class Runs(WithProgram):
    def setUp(self):
        super().setUp()
        if not os.access(LAUNCHER, os.X_OK):
            self.skipTest("there is no tools/pymalloc")
        # Only what the runs write.
        os.mkdir("out")
        os.chdir("out")

    def run_it(self, *words, status=0, interval="1"):
        done = subprocess.run(
            [LAUNCHER, "profile", "--interval", interval, *words],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def only(self, pattern):
        found = [name for name in os.listdir() if re.fullmatch(pattern, name)]
        self.assertEqual(len(found), 1, os.listdir())
        return found[0]

    def test_a_program(self):
        done = self.run_it("--", self.probe, "work")
        self.assertEqual(done.stdout, "")
        sections = done.stderr.split("\n\n")
        rows = [
            [line.split()[:2] + line.split()[3:6] for line in text.splitlines()[2:4]]
            for text in sections[1:4]
        ]
        line = self.line_of("malloc(size)", 0)
        kept = ["97.7", "KiB", "100", "keeps", f"profile_tool_probe.c:{line}"]
        self.assertEqual(rows[0][0], kept, done.stderr)
        self.assertIn("drops", rows[1][0] + rows[1][1])
        raw, page = self.only(r"pymalloc-profile-\d+\.run-\d+\.heap"), self.only(r".*\.html")
        self.assertIn(f"flame graph: {page}\nraw profile: {raw}\n", done.stderr)
        self.assertEqual(len(os.listdir()), 2)
        out = self.succeeds(raw, "--format", "collapsed")
        found = {line.rpartition(" ")[0]: line.rpartition(" ")[2] for line in out.splitlines()}
        kept = [value for names, value in found.items() if names.endswith("main;work;keeps")]
        self.assertEqual(kept, ["100000"])

    def line_of(self, words, which):
        with open(os.path.join(TOP, "test", "profile_tool_probe.c"), encoding="utf-8") as file:
            return [at for at, line in enumerate(file, 1) if words in line][which]

    def test_children_have_their_own(self):
        done = self.run_it("--value", "live", "--", self.probe, "fork", status=7)
        parent, others = done.stderr.split("\nOther processes:\n")
        pages = sorted(name for name in os.listdir() if name.endswith(".html"))
        self.assertEqual(len(pages), 2)
        self.assertIn("97.7 KiB", parent)
        child = others.splitlines()[1].split()
        self.assertEqual(child[1:4], ["probe", "103", "KiB"], done.stderr)
        self.assertIn(child[-1], pages)

    def test_two_runs_in_one_folder(self):
        with subprocess.Popen(
            [LAUNCHER, "profile", "--", self.probe, "wait"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as first:
            self.assertEqual(first.stdout.readline(), b"ready\n")
            self.run_it("--", self.probe, "work")
            _, said = first.communicate(timeout=PATIENCE)
        self.assertIn(b"\nraw profile: ", said)
        self.assertNotIn(b"Other processes:", said)

    def test_what_one_run_added(self):
        self.run_it("--format", "raw", "--", self.probe, "work")
        raw = self.only(r".*\.heap")
        done = self.run_it("--base", raw, "--leaks", "--", self.probe, "work", "20")
        self.assertNotIn("Other processes", done.stderr)
        self.assertIn("1. 19.5 KiB in 20 blocks", done.stderr)
        self.assertIn("keeps", done.stderr)

    def test_a_file_for_the_result(self):
        self.run_it("--format", "pprof", "-o", "x.pb.gz", "--", self.probe, "fork", status=7)
        self.only(r"x\.pb\.gz")
        child = self.only(r"x-\d+\.pb\.gz")
        found = Pprof(child)
        self.assertIn(5000, found.by_stack("inuse_space").values())
        self.assertIn(1, [mapping.get(8) for mapping in found.mappings.values()])
        ids = [found.strings[mapping.get(6, 0)] for mapping in found.mappings.values()]
        self.assertTrue(all(re.fullmatch("[0-9a-f]+", one) for one in ids[:1]), ids)

    def test_a_folder_with_a_dot_for_the_result(self):
        os.mkdir("v1.2")
        for name in ("./.a.html", "v1.2/b"):
            done = self.run_it("-o", name, "--", self.probe, "fork", status=7)
            self.assertNotIn("note:", done.stderr)
        self.only(r"\.a\.html")
        self.only(r"\.a-\d+\.html")
        self.assertRegex(" ".join(sorted(os.listdir("v1.2"))), r"\Ab b-\d+\Z")

    def test_the_status_is_the_programs_if_results_fail(self):
        for words, note in (
            (("--focus", "zzzz"), "no stack matches zzzz"),
            (("-o", "no/such/x"), "No such file"),
        ):
            done = self.run_it(*words, "--", self.probe, "fork", status=7)
            self.assertIn(note, done.stderr)
            self.assertRegex(done.stderr, r"\nraw profile: pymalloc-profile-\d+\.run-\d+\.heap\n")
            self.assertIn("Other processes:", done.stderr)

    def test_one_that_leaves_no_profile(self):
        done = self.run_it("--", self.probe, "die", status=6)
        self.assertIn("ended by SIGABRT and so left no profile", done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)

    def test_one_that_cannot_be_run(self):
        done = self.run_it("--", os.path.join(self.folder, "nothing"), status=127)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)

    def test_a_folder_that_the_library_cannot_be_told(self):
        os.mkdir("a,b")
        os.chdir("a,b")
        done = self.run_it("--", self.probe, "work", status=6)
        self.assertIn("change to another", done.stderr)

    def test_samples(self):
        done = self.run_it("--", self.probe, "work", interval="1g")
        self.assertIn("estimated from one sample in 1 GiB", done.stderr)

    def test_a_process_that_runs(self):
        environment = dict(os.environ, PYMALLOC="")
        with subprocess.Popen(
            [LAUNCHER, "run", "--option", "profile:1", "--option", "serve:1", "--option",
             "profile_file:/dev/null", "--", self.probe, "wait"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        ) as process:
            self.assertEqual(process.stdout.readline(), b"ready\n")
            out = self.succeeds(str(process.pid), "--leaks", "--top", "1")
            # Its file is found even when it has gone.
            os.remove(self.probe)
            again = self.succeeds(str(process.pid), "--leaks", "--top", "1")
            process.stdin.close()
            process.wait(PATIENCE)
        self.assertIn("while it ran: ", out)
        self.assertIn("1. 97.7 KiB in 100 blocks", out)
        if os.getuid() == 0:
            self.assertIn("keeps", again)


# ------------------------------------------------------------------------------------ TAP


class Tap(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.number = 0
        self.red = False

    def startTest(self, test):
        super().startTest(test)
        self.problems, self.reason = [], None

    def addError(self, test, err):
        self.problems.append(self._exc_info_to_string(err, test))

    addFailure = addError

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.problems.append(f"{subtest.id()}\n{self._exc_info_to_string(err, test)}")

    def addSkip(self, test, reason):
        self.reason = reason

    def stopTest(self, test):
        self.number += 1
        name = test.id().partition(".")[2].replace(".test_", ": ").replace("_", " ")
        for line in "\n".join(self.problems).splitlines():
            print(f"# {line}")
        self.red = self.red or bool(self.problems)
        skip = f" # SKIP {self.reason}" if self.reason and not self.problems else ""
        print(f"{'not ok' if self.problems else 'ok'} {self.number} - {name}{skip}", flush=True)


def main():
    result = Tap()
    loader = unittest.defaultTestLoader
    if len(sys.argv) > 1:
        loader.testNamePatterns = [f"*{word}*" for word in sys.argv[1:]]
    loader.loadTestsFromModule(sys.modules[__name__]).run(result)
    print(f"1..{result.number}")
    return 1 if result.red else 0


if __name__ == "__main__":
    sys.exit(main())
