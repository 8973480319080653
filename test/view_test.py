"""The subcommands of pymalloc that show a heap, against made-up snapshots and a server of
our own.  Speaks TAP; test/view.sh runs it."""

import contextlib
import copy
import fcntl
import html.parser
import io
import itertools
import json
import os
import pty
import random
import re
import select
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import types
import unittest
import unittest.mock

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import view_snapshots  # noqa: E402
from tool import PATIENCE, Server, run  # noqa: E402

from pymalloc_tool import census, entry, picture, serve, snapshot, text  # noqa: E402


def serving(document, **more):
    return Server(lambda _: json.dumps(document).encode(), **more)


SMALL = view_snapshots.snapshot(3, seed=5, with_samples=True)


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def file(self, document, name="snapshot.json"):
        path = os.path.join(self.folder, name)
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        with open(path, "wb") as file:
            file.write(content)
        return path

    def succeeds(self, *words):
        status, out, err = run(*words)
        self.assertEqual((status, err), (0, ""))
        return out

    def fails(self, status, words, *command):
        """With one line on standard error that has the words in it, and nothing else."""
        got, out, err = run(*command)
        self.assertEqual((got, out), (status, ""), err)
        self.assertRegex(err, r"\Apymalloc: [^\n]*\n\Z")
        self.assertIn(words, err)


class Reading(Case):
    def test_a_file_that_ends_too_early(self):
        content = json.dumps(SMALL).encode()
        for i in range(1, 40):
            path = self.file(content[: len(content) * i // 40])
            self.fails(7, "it is not complete", "stats", path)

    def test_what_is_no_snapshot(self):
        for content, words in (
            (b"", "empty"),
            (b"\x7fELF\x02\x01\x01\0\xff", "no snapshot"),
            (b"heap_v2/1\n  t*: 1: 1 [1: 1]\n", "no snapshot"),
            (b"[1, 2]", "no snapshot"),
            (b'{"name": "another program"}', "no snapshot"),
            (b'{"pymalloc": "1"}', "no snapshot"),
            (b'{"pymalloc": true}', "no snapshot"),
            (b'{"pymalloc": 1} {"pymalloc": 1}', "damaged at line 1"),
            (b'{"pymalloc": 1, "pid": NaN}', "damaged"),
            (b'{"pymalloc": 1, "pid": ' + b"9" * 100000 + b"}", "damaged"),
            (b'{"pymalloc": 1, "x": ' + b"[" * 200000, "nested too deeply"),
        ):
            with self.subTest(content[:40]):
                self.fails(7, words, "stats", self.file(content))

    def test_a_newer_schema(self):
        self.fails(7, "version 2, but", "stats", self.file({**SMALL, "pymalloc": 2}))

    def test_files_that_cannot_be_read(self):
        self.fails(6, "No such file", "stats", os.path.join(self.folder, "absent"))
        self.fails(6, "Is a directory", "stats", self.folder)

    def test_a_map_is_asked_for_where_there_is_none(self):
        path = self.file(view_snapshots.snapshot(2, with_map=False))
        for command in ("map", "why"):
            self.fails(7, "--save", command, path)

    def test_unknown_members_are_ignored(self):
        more = copy.deepcopy(SMALL)
        more["new"] = {"a": [1.5, None]}
        more["small"]["new"] = "text"
        more["classes"][0]["new"] = -1
        more["map"][0]["pools"][0].append("more")
        self.assertEqual(
            self.succeeds("stats", self.file(more)), self.succeeds("stats", self.file(SMALL))
        )

    def test_missing_members_are_unknown_and_not_zero(self):
        for name in SMALL:
            if name == "pymalloc":
                continue
            for document in ({k: v for k, v in SMALL.items() if k != name},
                             {**SMALL, name: None}):
                with self.subTest(name):
                    self.succeeds("stats", self.file(document))
        out = self.succeeds("stats", self.file({"pymalloc": 1}))
        self.assertNotRegex(out, r"\b0\b")
        self.assertIn("- live in - of pools", out)

    def test_values_that_cannot_be(self):
        for change in (
            lambda s: s["small"].update(live_bytes=-1),
            lambda s: s["small"].update(live_bytes=1 << 63),
            lambda s: s["small"].update(live_bytes=1.5),
            lambda s: s["small"].update(live_bytes=True),
            lambda s: s["small"].update(live_bytes="1"),
            lambda s: s.update(small=[]),
            lambda s: s.update(program=7),
            lambda s: s["classes"].append(7),
            lambda s: s["classes"].extend([{"size": 16}] * 5000),
            lambda s: s["history"].append([1, 2, 3]),
            lambda s: s["pools"].update(size=1),
            lambda s: s["map"].append({"address": "7f00", "pools": [[0, 0, 0, 0, 0]]}),
            lambda s: s["map"].append({"address": "0x-1", "pools": [[0, 0, 0, 0, 0]]}),
            lambda s: s["map"].append({"address": "0x0", "pools": []}),
            lambda s: s["map"][0]["pools"].append([4, 0, 0, 0, 0]),
            lambda s: s["map"][0]["pools"].append([1, 0, 1, 1, 1]),
            lambda s: s["map"][0]["pools"].append([1, 16, 1, 99999, 1]),
            lambda s: s["map"][0]["pools"].append([1, 16, 1]),
            lambda s: s["samples"]["live"].append({"address": 5}),
        ):
            document = copy.deepcopy(SMALL)
            change(document)
            self.fails(7, "damaged snapshot", "stats", self.file(document))

    def test_mappings_that_no_file_can_have(self):
        for name in ("/bin/\0", "/bin/\ud800", None):
            document = copy.deepcopy(BY_HAND)
            document["tool_mappings"][0][3] = name
            self.fails(7, "a mapping is wrong", "why", self.file(document))

    def test_random_damage_is_read_or_refused(self):
        values = (None, -1, 0, 1, 2, 17, 1 << 62, 1 << 70, 0.5, True, "", "0x1", "\ud800\x1b", [],
                  {}, [[]])
        chance = random.Random(7)
        small = view_snapshots.snapshot(1, seed=3, with_samples=True)
        small["history"] = small["history"][:3]
        statuses = set()
        for i in range(120):
            document = copy.deepcopy(small)
            at = document
            while True:
                keys = list(at) if isinstance(at, dict) else list(range(len(at)))
                key = chance.choice(keys)
                if isinstance(at[key], (dict, list)) and at[key] and chance.random() < 0.85:
                    at = at[key]
                    continue
                at[key] = chance.choice(values)
                break
            path = self.file(document)
            for command in (("stats",), ("stats", "--json"), ("why",), ("map", "-o", "-"),
                            ("diff", self.file(small, "small.json"))):
                with self.subTest(i=i, command=command):
                    status, _, err = run(*command, path)
                    statuses.add(status)
                    self.assertIn(status, (0, 7), err)
                    self.assertEqual(err.count("\n"), 1 if status else 0)
        self.assertEqual(statuses, {0, 7})

    def test_names_cannot_steer_a_terminal(self):
        document = copy.deepcopy(SMALL)
        document["program"] = "x\x1b]0;title\x07\n\ud800"
        document["options"] = {"a\x1b[2J": "b\n"}
        document["backend"]["name"] = "\x1b[31m"
        for command in ("stats", "why"):
            out = self.succeeds(command, self.file(document))
            self.assertTrue(all(c.isprintable() or c == "\n" for c in out), repr(out))
        self.assertIn("x?]0;title???", out)


class Asking(Case):
    def test_a_process_is_asked_for_what_is_needed(self):
        with serving(SMALL) as server:
            for command, request in (
                (("stats",), b"stats\n"), (("stats", "--json"), b"stats\n"),
                (("top", "--once"), b"stats\n"), (("why",), b"map\n"),
                (("map", "-o", "-"), b"map\n"),
            ):
                self.succeeds(*command, server.pid)
                self.assertEqual(server.requests.pop(), request)
            self.succeeds("diff", server.pid, server.pid)
            self.assertEqual(server.requests, [b"stats\n"] * 2)

    def test_the_answer_may_come_in_pieces(self):
        with serving(SMALL, piece=100) as server:
            wanted = self.succeeds("stats", self.file(SMALL))
            self.assertEqual(self.succeeds("stats", server.pid), wanted)

    def test_patience_is_with_each_piece(self):
        clock = itertools.count(0, serve.PATIENCE * 0.75)
        serve.time = types.SimpleNamespace(monotonic=lambda: next(clock))
        try:
            with serving(SMALL, piece=2000, pause=0.02) as server:
                self.succeeds("stats", server.pid)
        finally:
            serve.time = time

    def test_a_process_that_is_not_there(self):
        with subprocess.Popen(["true"]) as child:
            child.wait()
        for pid in (str(child.pid), "99999999999", "9" * 6000):
            self.fails(3, "there is no process", "stats", pid)

    def test_a_process_that_does_not_serve(self):
        self.fails(4, "PYMALLOC=serve:1", "stats", str(os.getpid()))

    def test_a_process_that_refuses(self):
        with serving({"error": "another user\x1b\nmore"}) as server:
            self.fails(5, "another user??more", "stats", server.pid)

    def test_a_process_that_refuses_without_listening(self):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(f"\0pymalloc.{os.getpid()}")
        listener.listen()

        def refuse():
            connection, _ = listener.accept()
            # Closed with the request unread: the other side gets an error as its end.
            select.select([connection], [], [], PATIENCE)
            connection.sendall(b'{"error": "not you"}')
            connection.close()

        thread = threading.Thread(target=refuse, daemon=True)
        thread.start()
        with listener:
            self.fails(5, "not you", "stats", str(os.getpid()))
        thread.join(PATIENCE)

    def test_answers_that_are_none(self):
        content = json.dumps(SMALL).encode()
        for answer, status, words in (
            (b"", 4, "no answer"), (content[:1000], 7, "not complete"), (b"\xff\xfe", 7, "not text")
        ):
            with Server(lambda _, answer=answer: answer) as server:
                self.fails(status, words, "stats", server.pid)

    def test_silence_and_endless_answers(self):
        patience, limit = serve.PATIENCE, serve.LIMIT
        try:
            serve.PATIENCE = 0.2
            with Server(lambda _: None) as server:
                self.fails(4, "does not answer", "stats", server.pid)
            serve.PATIENCE, serve.LIMIT = patience, 1000
            with serving(SMALL) as server:
                self.fails(7, "no end", "stats", server.pid)
        finally:
            serve.PATIENCE, serve.LIMIT = patience, limit

    def test_somebody_else_listens_in_its_name(self):
        with subprocess.Popen(["sleep", "1000"]) as child:
            try:
                with serving(SMALL, pid=child.pid) as server:
                    self.fails(4, f"process {os.getpid()} listens in its name", "stats",
                               server.pid)
            finally:
                child.kill()

    def test_saving(self):
        path = os.path.join(self.folder, "saved.json")
        with serving(SMALL) as server:
            self.assertIn(path, self.succeeds("stats", "--save", path, server.pid))
            self.assertEqual(server.requests, [b"map\n"])
        with open(path, encoding="utf-8") as file:
            saved = json.load(file)
        mappings = saved.pop("tool_mappings")
        self.assertEqual(saved, SMALL)
        self.assertTrue(any("python" in mapping[3] for mapping in mappings))
        self.assertEqual(self.succeeds("stats", path), self.succeeds("stats", self.file(SMALL)))

    def test_saving_is_all_or_nothing(self):
        path = self.file(b"as before", "saved.json")
        with serving({"error": "no"}) as server:
            self.fails(5, "no", "stats", "--save", path, server.pid)
        with serving(SMALL) as server:
            self.fails(6, "No such file", "stats", "--save", "/no/such/folder/x", server.pid)
            os.mkdir(os.path.join(self.folder, "folder"))
            self.fails(6, "", "stats", "--save", os.path.join(self.folder, "folder"), server.pid)
        with open(path, "rb") as file:
            self.assertEqual(file.read(), b"as before")
        self.assertEqual(sorted(os.listdir(self.folder)), ["folder", "saved.json"])

    def saves(self, name):
        with serving(SMALL) as server:
            return self.succeeds("stats", "--save", name, server.pid)

    def test_saving_into_what_is_no_regular_file(self):
        pipe = os.path.join(self.folder, "pipe")
        os.mkfifo(pipe)
        got = []

        def read():
            with open(pipe, "rb") as end:
                got.append(end.read())

        # A daemon, since nobody writes to a pipe that was replaced.
        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        self.saves(pipe)
        self.assertTrue(stat.S_ISFIFO(os.stat(pipe).st_mode))
        reader.join(PATIENCE)
        self.assertEqual(json.loads(got[0])["pymalloc"], 1)

    def test_saving_to_standard_output(self):
        here = os.getcwd()
        self.addCleanup(os.chdir, here)
        os.chdir(self.folder)
        self.assertEqual(json.loads(self.saves("-"))["pymalloc"], 1)
        self.assertEqual(os.listdir(self.folder), [])

    def test_saving_keeps_links_and_rights(self):
        path, link = self.file(b"as before", "saved.json"), os.path.join(self.folder, "link")
        os.chmod(path, 0o640)
        os.symlink("saved.json", link)
        self.saves(link)
        self.assertTrue(os.path.islink(link))
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o640)
        self.assertIn("redis-server", self.succeeds("stats", path))

    def test_saving_that_is_interrupted_leaves_nothing(self):
        path = self.file(b"as before", "saved.json")
        with unittest.mock.patch("os.replace", side_effect=KeyboardInterrupt):
            with serving(SMALL) as server:
                self.assertEqual(run("stats", "--save", path, server.pid)[0], 130)
        self.assertEqual(os.listdir(self.folder), ["saved.json"])

    def test_wrong_usage(self):
        for command in (
            ("stats",), ("stats", "--jso", "1"), ("stats", "a", "b"),
            ("stats", "--save", "x", "file"), ("top", "file"), ("top", "--sort", "x", "1"),
            ("top", "--interval", "0", "1"), ("top", "--interval", "nan", "1"),
            ("why", "--worst", "-1", "x"), ("map",), ("diff", "a"), ("check",),
            ("diff", "--unknown", "a", "b"),
        ):
            with self.subTest(command):
                self.fails(2, "", *command)

    def test_help_tells_the_statuses(self):
        for command in ("stats", "top", "map", "why", "diff", "check"):
            out = self.succeeds(command, "--help")
            self.assertTrue(out.startswith(f"usage: pymalloc {command} "), out)
            self.assertIn("exit status:", out)


# A heap small enough to be counted by hand: pools of 16 KiB with 341 blocks of 48, 512
# of 32.
BY_HAND = {
    "pymalloc": 1, "version": "0.1.0", "library": "hardened", "pid": 12, "program": "toy",
    "uptime_ns": 10 * 10**9,
    "small": {"allocs": 1000, "frees": 642, "remote_frees": 5, "live_blocks": 358,
              "live_bytes": 17136, "held_bytes": 65536, "backlog_blocks": 3},
    "classes": [
        {"size": 32, "allocs": 100, "live_blocks": 3, "live_bytes": 96, "pools": 1,
         "capacity_blocks": 512, "held_bytes": 16384, "asked_bytes": 77},
        {"size": 48, "allocs": 900, "live_blocks": 355, "live_bytes": 17040, "pools": 3,
         "capacity_blocks": 1023, "held_bytes": 49152, "asked_bytes": None},
        {"size": 64, "allocs": 0, "live_blocks": 0, "live_bytes": 0, "pools": 0,
         "capacity_blocks": 0, "held_bytes": 0, "asked_bytes": 0},
    ],
    "large": {"allocs": 10, "frees": 4, "live_blocks": 6, "cache_hits": 5,
              "cached_blocks": 1, "cached_bytes": 4096},
    "backend": {"name": "glibc", "heap_bytes": 200000, "mapped_bytes": 20480,
                "mapped_blocks": 1, "used_bytes": 102400, "free_bytes": 10240, "top_bytes": 512},
    "arenas": {"size": 262144, "used": 2, "peak": 2, "reserved_bytes": 1 << 38},
    "pools": {"size": 16384, "used": 4, "peak": 5, "dirty_bytes": 16384, "purged_bytes": 0},
    "heaps": {"made": 2, "orphaned": 0, "live": 2},
    "process": {"rss_bytes": 1 << 20, "rss_peak_bytes": 1 << 21, "anon_huge_bytes": 0,
                "virtual_bytes": 1 << 39, "swap_bytes": 0, "threads": 2},
    "history": [[0, 1000, 100, 200, 0, 0], [5000, 4000, 300, 400, 0, 0]],
    "map": [
        {"address": "0x10000040000",
         "pools": [[1, 48, 341, 341, 1], [1, 48, 7, 341, 1], [2, 0, 0, 0, 0], [3, 0, 0, 0, 0]]
         + [[0, 0, 0, 0, 0]] * 12},
        {"address": "0x10000000000",
         "pools": [[1, 48, 7, 341, 2], [1, 32, 3, 512, 2]] + [[0, 0, 0, 0, 0]] * 14},
    ],
    "samples": {"interval_bytes": 1024, "live": [
        {"address": "0x1030", "size": 33, "weight_bytes": 2048, "age_ms": 61000,
         "frames": ["0x401000", "0x402000"]},
        {"address": "0x2030", "size": 46, "weight_bytes": 2048, "age_ms": 1000,
         "frames": ["0x401000", "0x402000"]},
        {"address": "0x3030", "size": 47, "weight_bytes": 9999, "age_ms": 61000, "frames": []},
        # With the hardened library's byte more one of class 64, which has no pools.
        {"address": "0x4030", "size": 48, "weight_bytes": 1024, "age_ms": 61000,
         "frames": ["0x409000"]},
    ]},
    "tool_mappings": [[0x400000, 0x500000, 0x1000, "/usr/bin/toy"]],
}


class Figures(Case):
    def row(self, out, start):
        found = [line.split() for line in out.splitlines() if line.strip().startswith(start)]
        self.assertEqual(len(found), 1, f"{start} in\n{out}")
        return found[0]

    def test_stats(self):
        out = self.succeeds("stats", self.file(BY_HAND))
        self.assertIn("16.7 KiB live in 64 KiB of pools (74% free); 358 blocks", out)
        self.assertIn("10 allocated (50% from the cache), 4 freed", out)
        self.assertEqual(self.row(out, "32 ")[:9],
                         ["32", "3", "96", "B", "77", "B", "16", "KiB", "1"])
        self.assertEqual(self.row(out, "48 ")[:9],
                         ["48", "355", "16.6", "KiB", "-", "48", "KiB", "3", "65%"])
        self.assertNotIn("\n  64", out)
        for name, figure in (
            ("live small", ["16.7", "KiB", "2%"]), ("free inside", ["47.3", "KiB", "5%"]),
            ("free pools,", ["16", "KiB", "2%"]), ("live large", ["116", "KiB", "11%"]),
            ("large blocks, c", ["4", "KiB", "<1%"]), ("free in the", ["10", "KiB", "<1%"]),
            ("all else", ["814", "KiB", "79%"]),
        ):
            row = self.row(out, name)
            at = next(i for i, word in enumerate(row) if word[0].isdigit())
            self.assertEqual(row[at : at + 3], figure)

    def test_stats_as_json(self):
        document = json.loads(self.succeeds("stats", "--json", self.file(BY_HAND)))
        self.assertEqual(document["small"], BY_HAND["small"])
        self.assertNotIn("map", document)
        derived = document["derived"]
        self.assertEqual(derived["fragmentation_bytes"], 48400)
        self.assertEqual(derived["resident"]["live_large"], 102400 + 20480 - 4096)
        self.assertEqual(sum(derived["resident"].values()), 1 << 20)
        self.assertEqual(derived["not_resident_bytes"], 0)

    def test_parts_that_are_more_than_what_is_resident(self):
        document = copy.deepcopy(BY_HAND)
        document["process"]["rss_bytes"] = 100000
        out = self.succeeds("stats", self.file(document))
        self.assertIn("were never written", out)
        self.assertEqual(self.row(out, "all else")[-3:], ["0", "B", "0%"])

    def test_numbers_for_people(self):
        for number, wanted in (
            (None, "-"), (0, "0 B"), (999, "999 B"), (1000, "0.98 KiB"), (1024, "1 KiB"),
            (1536, "1.50 KiB"), (10 << 20, "10 MiB"), (-2048, "-2 KiB"), (1023 << 10, "1.00 MiB"),
        ):
            self.assertEqual(text.size(number), wanted)
        for part, whole, wanted in (
            (None, 1, "-"), (1, 0, "-"), (0, 9, "0%"), (1, 1000, "<1%"), (999, 1000, "99%"),
            (9, 9, "100%"), (20, 9, "100%"),
        ):
            self.assertEqual(text.percent(part, whole), wanted)

    def test_top_once(self):
        with serving(BY_HAND) as server:
            out = self.succeeds("top", "--once", server.pid)
            self.assertEqual(self.row(out, "48 ")[:9],
                             ["48", "355", "16.6", "KiB", "48", "KiB", "3", "65%", "90"])
            self.assertIn("a second, since the start: 100 small allocs, 64 frees", out)
            for order, first in (("held", "48"), ("live", "48"), ("frag", "48"), ("rate", "48")):
                out = self.succeeds("top", "--once", "--sort", order, server.pid)
                self.assertTrue(out.splitlines()[7].split()[0] == first, out)

    def test_top_sorts(self):
        document = copy.deepcopy(BY_HAND)
        names = ("held_bytes", "live_bytes", "allocs")
        figures = {16: (900, 100, 1), 32: (800, 790, 2), 48: (500, 400, 50), 64: (890, 5, 3)}
        document["classes"] = [
            {"size": size, "pools": 1, "live_blocks": 1, **dict(zip(names, row))}
            for size, row in figures.items()
        ]
        wanted = {"held": "16 64 32 48", "live": "32 48 16 64", "frag": "64 16 48 32",
                  "rate": "48 64 32 16"}
        with serving(document) as server:
            for order, sizes in wanted.items():
                out = self.succeeds("top", "--once", "--sort", order, server.pid)
                rows = [line.split()[0] for line in out.splitlines()[7:]]
                self.assertEqual(" ".join(rows), sizes)

    def test_why(self):
        out = self.succeeds("why", self.file(BY_HAND))
        # Heap 1 needs two pools of 48 for 348 blocks, heap 2 one; all heaps together two.
        self.assertIn("0 B could go back if each heap's blocks were packed, "
                      "16 KiB if all heaps' were", out)
        self.assertEqual([line.split()[1:4] for line in out.splitlines() if "  0-10%" in line],
                         [["3", "48", "KiB"], ["2", "64", "KiB"]])
        self.assertEqual([line.split()[1] for line in out.splitlines() if "  90-100%" in line],
                         ["1", "0"])
        worst = out.index("0x10000000000: 432 B live in 2 pools in use, 14 never used")
        self.assertLess(worst, out.index("0x10000040000: 16.3 KiB live in 2 pools in use, "
                                         "1 free, 1 given back, 12 never used"))
        self.assertIn("3 blocks of 32 in 1 pool of heap 2; 7 blocks of 48 in 1 pool of heap 2",
                      out)
        self.assertIn("class 48: about 9.76 KiB (1 sample, 1 min 1 s old)\n    (no stack)\n"
                      "  class 48: about 4 KiB (2 samples, the oldest 1 min 1 s old)\n"
                      "    toy+0x1fff < toy+0x2fff\n", out)
        self.assertNotIn("toy+0x9fff", out)
        self.assertIn("Nothing stands out.", out)

    def test_what_could_go_back(self):
        document = copy.deepcopy(BY_HAND)
        document["map"] = [{"address": "0x40000", "pools": [[1, 512, 1, 32, 7]] * 16}] * 2
        document["small"]["held_bytes"] = 32 * 16384
        out = self.succeeds("why", self.file(document))
        # 32 blocks fill one pool.
        self.assertIn("496 KiB could go back", out)
        self.assertIn("Class 512 of heap 7 holds 512 KiB in pools below 10% full", out)

    def test_pools_that_hold_fewer_blocks_than_their_size_tells(self):
        document = copy.deepcopy(BY_HAND)
        # As with header:16; 64 blocks of 31 fill three pools, but of 32 two.
        pools = [[1, 512, 16, 31, 7]] * 4
        document["map"] = [{"address": "0x40000", "pools": pools}]
        self.assertIn("16 KiB could go back if each heap's blocks were packed, 16 KiB if all",
                      self.succeeds("why", self.file(document)))
        full = [[1, 512, 31, 31, heap] for heap in range(1, 5)] * 16
        document["map"] = [{"address": "0x40000", "pools": full}]
        self.assertIn("0 B could go back if each heap's blocks were packed, 0 B if all",
                      self.succeeds("why", self.file(document)))

    def test_diff(self):
        after = copy.deepcopy(BY_HAND)
        after["uptime_ns"] += 90 * 10**9
        after["process"]["rss_bytes"] += 1 << 20
        after["classes"][0].update(live_blocks=1003, live_bytes=32096, pools=2, held_bytes=32768)
        after["classes"][1].update(live_blocks=255, live_bytes=12240)
        a, b = self.file(BY_HAND, "a"), self.file(after, "b")
        out = self.succeeds("diff", a, b)
        self.assertIn("1 min 30 s later", out)
        self.assertEqual(self.row(out, "resident")[-2:], ["+1", "MiB"])
        lines = out.splitlines()
        self.assertEqual(lines[-2].split()[0], "32")
        self.assertEqual(lines[-2].split()[5:], ["+31.2", "KiB", "+1,000", "+16", "KiB", "+1"])
        self.assertEqual(lines[-1].split()[0], "48")
        self.assertIn("-4.69 KiB", lines[-1])
        self.assertIn("the first is the later one", self.succeeds("diff", b, a))
        self.assertIn("No size class has changed", self.succeeds("diff", a, a))

    def test_diff_of_profiles_is_profiles_own(self):
        calls = []
        module = types.ModuleType("pymalloc_tool.profile")
        module.diff_profiles = lambda *words: calls.append(words) or 9
        a = self.file(b"heap_v2/1\n  t*: 0: 0 [0: 0]\n", "a")
        b = self.file(b"heap profile:   0: 0 [ 0: 0] @ heap/1\n", "b")
        sys.modules["pymalloc_tool.profile"] = module
        import pymalloc_tool
        before = getattr(pymalloc_tool, "profile", None)
        pymalloc_tool.profile = module
        try:
            self.assertEqual(run("diff", "--alloc", a, b)[0], 9)
        finally:
            del sys.modules["pymalloc_tool.profile"]
            del pymalloc_tool.profile
            if before is not None:
                pymalloc_tool.profile = before
        self.assertEqual(calls, [(a, b, ["--alloc"])])
        self.fails(7, "one is a profile", "diff", a, self.file(BY_HAND, "c"))


class Recorded(Case):
    """What the library wrote, of a Python that has dropped most of its strings."""

    def setUp(self):
        super().setUp()
        folder = os.path.dirname(os.path.abspath(__file__))
        self.path = os.path.join(folder, "view_recorded.json")
        with open(self.path, encoding="utf-8") as file:
            self.document = json.load(file)

    def test_the_map_and_the_totals_agree(self):
        counted = census.Census(snapshot.load(self.path))
        small = self.document["small"]
        self.assertEqual(counted.everything.live_bytes, small["live_bytes"])
        self.assertEqual(counted.everything.live_blocks, small["live_blocks"])
        self.assertEqual(counted.bytes(counted.everything.pools), small["held_bytes"])
        for row in self.document["classes"]:
            self.assertEqual(counted.by_class[row["size"]].pools, row["pools"])

    def test_all_commands_read_it(self):
        out = self.succeeds("stats", self.path)
        self.assertIn("3.60 MiB live in 6.05 MiB of pools (40% free); 38,998 blocks", out)
        self.assertIn("2.14 MiB could go back if each", self.succeeds("why", self.path))
        self.assertIn("Heap of python3", self.succeeds("map", "-o", "-", self.path))
        self.assertIn("No size class has changed", self.succeeds("diff", self.path, self.path))


class _Page(html.parser.HTMLParser):
    """Checks that elements close as they open, and keeps what they have."""

    VOID = {"meta", "br", "link", "img"}

    def __init__(self, content):
        super().__init__()
        self.open, self.elements, self.texts = [], [], []
        self.feed(content)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))

    def paths(self):
        return [attrs for tag, attrs in self.elements if tag == "path" and (
            "data-class" in attrs or "data-state" in attrs)]


class Drawing(Case):
    def page(self, document):
        self.content = self.succeeds("map", "-o", "-", self.file(document))
        return _Page(self.content)

    def drawn(self, page):
        """Cells by what they are drawn as."""
        cells = {}
        for attrs in page.paths():
            key = (attrs.get("data-class"), attrs.get("data-step"), attrs.get("data-state"))
            cells[key] = re.findall(r"M(\d+),(\d+)h", attrs["d"])
        return cells

    def test_every_pool_is_drawn_once_as_what_it_is(self):
        for document in (BY_HAND, SMALL, view_snapshots.snapshot(150, seed=9)):
            cells = self.drawn(self.page(document))
            wanted = {}
            for arena in document["map"]:
                for state, size, live, capacity, _ in arena["pools"]:
                    key = (None, None, str(state))
                    if state == 1:
                        steps = [s for s in (0, 10, 25, 50, 75, 90) if 100 * live >= s * capacity]
                        key = (str(size), str(len(steps) - 1), None)
                    wanted[key] = wanted.get(key, 0) + 1
            self.assertEqual({key: len(places) for key, places in cells.items()}, wanted)
            places = list(itertools.chain(*cells.values()))
            self.assertEqual(len(places), len(set(places)))

    def test_where_cells_are_and_what_the_script_knows(self):
        document = view_snapshots.snapshot(150, seed=9)
        page = self.page(document)
        cells = {(int(x), int(y)): key for key, places in self.drawn(page).items()
                 for x, y in places}
        data = json.loads(next(words for tag, words in page.texts if words.startswith('{"byAr')))
        told = data["cells"].split(" ")
        self.assertEqual(len(told), 150 * 16)
        self.assertEqual([f"0x{a}" for a in data["addresses"]],
                         [arena["address"] for arena in document["map"]])
        for row, arena in enumerate(document["map"]):
            column, down = divmod(row, data["inColumn"])
            for at, (state, size, live, capacity, heap) in enumerate(arena["pools"]):
                place = (column * data["rowWidth"] + at * data["cell"],
                         data["head"] + down * data["cell"])
                key = cells[place]
                cell = told[row * 16 + at]
                if state == 1:
                    self.assertEqual(cell, f"{size}.{live}.{capacity}.{heap}")
                    self.assertEqual(key[0], str(size))
                else:
                    self.assertEqual((cell, key[2]), ("n dp"[state], str(state)))

    def test_the_page_needs_nothing_else(self):
        page = self.page(SMALL)
        for tag, attrs in page.elements:
            self.assertFalse({"src", "href", "xlink:href", "srcset"} & set(attrs), (tag, attrs))
        self.assertNotRegex(self.content, r"https?://|@import|url\((?!#)")
        self.assertIn("default-src 'none'", self.content)

    def test_a_page_can_be_read_aloud(self):
        page = self.page(BY_HAND)
        pictures = [attrs for tag, attrs in page.elements if tag == "svg" and "role" in attrs]
        self.assertEqual(len(pictures), 2)
        labels = " ".join(attrs["aria-label"] for attrs in pictures)
        self.assertIn("Map of 2 arenas: 4 pools in use, 26% full; 1 free and dirty, "
                      "1 given back, 26 never used", labels)
        self.assertIn("resident: 0.98 KiB at first, 1 MiB at most", labels)

    def test_names_stay_text(self):
        document = copy.deepcopy(SMALL)
        document["program"] = document["version"] = "</title><script>alert('$title')</script>&"
        document["library"] = "\x1b\ud800"
        page = self.page(document)
        self.assertEqual(sum(tag == "script" for tag, _ in page.elements), 2)
        self.assertIn("$title", self.content)

    def test_a_gibibyte_is_a_page_of_few_megabytes(self):
        page = self.page(view_snapshots.snapshot(4000))
        self.assertLess(len(self.content), 3 << 20)
        self.assertLess(len(page.elements), 1500)
        self.assertEqual(sum(len(places) for places in self.drawn(page).values()), 64000)

    def test_more_arenas_than_can_be_drawn_pool_by_pool(self):
        arena = BY_HAND["map"][0]
        free = {"address": "0x0", "pools": [[3, 0, 0, 0, 0], [2, 0, 0, 0, 0]]}
        page = self.page({**BY_HAND, "map": [arena] * 9000 + [free]})
        # 348 blocks of 48 in two pools: 51%.
        self.assertEqual({key: len(places) for key, places in self.drawn(page).items()},
                         {("48", "3", None): 9000, (None, None, "2"): 1})
        self.assertLess(len(self.content), 1 << 20)

    def test_more_live_blocks_than_fit(self):
        # The program ran on while they were counted.
        arena = {"address": "0x0", "pools": [[1, 48, 400, 341, 1]]}
        page = self.page({**BY_HAND, "map": [arena]})
        self.assertEqual(list(self.drawn(page)), [("48", "5", None)])
        self.assertIn("48.341.341.1", self.content)

    def test_an_empty_heap(self):
        page = self.page({**BY_HAND, "map": [], "history": []})
        self.assertEqual(page.paths(), [])
        self.assertIn("No history", self.content)

    def test_files(self):
        source = self.file(BY_HAND)
        self.fails(6, "No such file", "map", "-o", "/no/such/folder/x.html", source)
        path = os.path.join(self.folder, "x.html")
        self.assertIn("2 arenas", self.succeeds("map", "-o", path, source))
        with open(path, encoding="utf-8") as file:
            self.assertEqual(file.read(), self.succeeds("map", "-o", "-", source))

    def test_colours_are_told_apart_by_lightness(self):
        def light(colour):
            red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
            return 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2

        for rank in range(picture.HUES + 1):
            shades = [light(colour) for colour in picture.colours(rank)]
            for lighter, darker in zip(shades, shades[1:]):
                self.assertGreater((lighter + 0.05) / (darker + 0.05), 1.15)

    def test_the_chart_ends_now(self):
        self.page(BY_HAND)
        # From the history, and then what the snapshot itself says of 10 s.
        self.assertIn("resident: 0.98 KiB at first, 1 MiB at most, 1 MiB at last", self.content)
        self.assertIn("live: 100 B at first, 16.7 KiB at most", self.content)
        self.assertIn(">8 s</text>", self.content)

    def test_deciles(self):
        for live, capacity, wanted in (
            (0, 341, 0), (34, 341, 0), (35, 341, 1), (9, 100, 0), (10, 100, 1), (89, 100, 8),
            (90, 100, 9), (100, 100, 9),
        ):
            self.assertEqual(census.decile(live, capacity), wanted)

    def test_counts(self):
        snap = snapshot.Snapshot(SMALL, "test")
        counted = census.Census(snap)
        self.assertEqual(counted.everything.live_bytes, SMALL["small"]["live_bytes"])
        self.assertEqual(counted.bytes(counted.everything.pools), SMALL["small"]["held_bytes"])
        self.assertEqual(sum(counted.states.values()), 48)


class Terminal(Case):
    """top on a terminal of its own."""

    size = (30, 100)

    def start(self, pid, *words):
        self.master, slave = pty.openpty()
        self.addCleanup(os.close, self.master)
        self.resize(*self.size)
        self.before = termios.tcgetattr(slave)
        main = os.path.join(os.environ["top_srcdir"], "tools/pymalloc_tool/__main__.py")
        self.child = subprocess.Popen(
            [sys.executable, "-I", "-B", main, "no-launcher", "top", *words, pid],
            stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            env={**os.environ, "TERM": "xterm"},
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        self.addCleanup(self.child.kill)
        self.slave = slave
        self.addCleanup(os.close, slave)
        self.seen = ""

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def until(self, words):
        end = time.monotonic() + PATIENCE
        while words not in self.seen and time.monotonic() < end:
            if select.select([self.master], [], [], 1)[0]:
                self.seen += os.read(self.master, 65536).decode(errors="replace")
        self.assertIn(words, self.seen)
        before, _, self.seen = self.seen.partition(words)
        return before

    def type(self, keys):
        os.write(self.master, keys.encode())

    def ends(self, status):
        self.until("\033[?1049l")
        self.assertEqual(self.child.wait(PATIENCE), status)
        self.assertEqual(termios.tcgetattr(self.slave), self.before)

    def test_q_ends(self):
        with serving(BY_HAND) as server:
            self.start(server.pid)
            self.until("\033[?1049h")
            self.until("sorted by held")
            self.type("s")
            self.until("sorted by live")
            self.type("q")
            self.until("\033[?25h")
            self.ends(0)

    def test_control_c_ends(self):
        with serving(BY_HAND) as server:
            self.start(server.pid)
            self.until("sorted by held")
            self.type("\x03")
            self.ends(0)

    def test_q_ends_while_there_is_no_answer(self):
        with Server(lambda _: None) as server:
            self.start(server.pid)
            self.until("\033[?1049h")
            self.type("q")
            self.ends(0)

    def test_a_signal_ends(self):
        with serving(BY_HAND) as server:
            self.start(server.pid)
            self.until("sorted by held")
            self.child.send_signal(signal.SIGTERM)
            self.ends(128 + signal.SIGTERM)

    def test_rates_are_of_the_last_interval(self):
        looks = itertools.count()

        def answer(_):
            look = next(looks)
            document = copy.deepcopy(BY_HAND)
            document["uptime_ns"] += look * 10**9
            document["small"]["allocs"] += look * 777
            return json.dumps(document).encode()

        with Server(answer) as server:
            self.start(server.pid, "--interval", "0.1")
            self.until("since the start: 100 small allocs")
            self.until("now: 777 small allocs")
            self.type("q")
            self.ends(0)

    def test_a_narrow_terminal(self):
        with serving(BY_HAND) as server:
            self.start(server.pid)
            self.until("sorted by held")
            self.resize(5, 40)
            self.seen = ""
            self.until("\033[J")
            self.type(" ")
            page = self.until("\033[J")
            lines = re.sub(r"\033\[[?0-9]*[A-Za-z]", "", page).replace("\r", "").split("\n")
            self.assertEqual(len(lines), 4)
            self.assertLessEqual(max(map(len, lines)), 40, lines)
            self.type("q")
            self.ends(0)

    def test_a_terminal_that_does_not_know_its_size(self):
        self.size = (0, 0)
        with serving(BY_HAND) as server:
            self.start(server.pid)
            self.until("occupancy")
            self.type("q")
            self.ends(0)

    def test_the_process_ends(self):
        with subprocess.Popen([sys.executable, "-c", _SERVER, json.dumps(BY_HAND)]) as served:
            try:
                while not serve.is_served(served.pid):
                    self.assertIsNone(served.poll())
                    time.sleep(0.01)
                self.start(str(served.pid), "--interval", "0.1")
                self.until("sorted by held")
            finally:
                served.kill()
        self.ends(3)
        self.until(f"pymalloc: process {served.pid} has ended")


# Another process that serves.
_SERVER = """
import os, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(f"\\0pymalloc.{os.getpid()}")
listener.listen()
while True:
    connection, _ = listener.accept()
    connection.recv(100)
    connection.sendall(sys.argv[1].encode())
    connection.close()
"""


# ---------------------------------------------------------------------------------- TAP


class _Tap(unittest.TestResult):
    def __init__(self, first):
        super().__init__()
        self.number = first - 1
        self.red = False

    def _say(self, test, problem=None):
        self.number += 1
        name = test.id().partition(".")[2].replace(".test_", ": ").replace("_", " ")
        if problem:
            self.red = True
            for line in problem.splitlines():
                print(f"# {line}")
        print(f"{'not ok' if problem else 'ok'} {self.number} - {name}", flush=True)

    def startTest(self, test):
        super().startTest(test)
        self._problems = []

    def addError(self, test, err):
        self._problems.append(self._exc_info_to_string(err, test))

    addFailure = addError

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self._problems.append(f"{subtest.id()}\n{self._exc_info_to_string(err, test)}")

    def addSkip(self, test, reason):
        self._problems.append(f"skipped: {reason}")

    def stopTest(self, test):
        self._say(test, "\n".join(self._problems))


def main():
    first = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    result = _Tap(first)
    unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__]).run(result)
    print(f"1..{result.number}")
    return 1 if result.red else 0


if __name__ == "__main__":
    sys.exit(main())
