"""Tests of the package pymalloc, built and in sys.path.

    PYTHONPATH=FOLDER python3 test_pymalloc.py [NUMBER OF THE FIRST]     TAP
    PYTHONPATH=FOLDER python3 -m unittest test_pymalloc

Hooks are for good, so each test runs a program of its own.
"""

import os
import signal
import subprocess
import sys
import textwrap
import unittest

import pymalloc

HARDENED = os.path.join(os.path.dirname(pymalloc.library), "libpymalloc-hardened.so")
HAMMER = os.environ.get("PYMALLOC_HAMMER")
TIME_LIMIT = 300


def setUpModule():
    """A shell starts what runs in the background with this signal ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


# For programs that call CPython's functions for memory directly.
PRELUDE = """
import ctypes, os, sys, threading
import pymalloc

class Domain:
    def __init__(self, prefix, library):
        def function(name, result, *arguments):
            f = library[prefix + name]
            f.restype, f.argtypes = result, arguments
            return f
        pointer, size = ctypes.c_void_p, ctypes.c_size_t
        self.malloc = function("Malloc", pointer, size)
        self.calloc = function("Calloc", pointer, size, size)
        self.realloc = function("Realloc", pointer, pointer, size)
        self.free = function("Free", None, pointer)

held = ctypes.pythonapi    # calls with the GIL
domains = {"raw": Domain("PyMem_Raw", held), "mem": Domain("PyMem_", held),
           "obj": Domain("PyObject_", held)}
owns_address = ctypes.CDLL(pymalloc.library).pymalloc_owns
owns_address.argtypes = [ctypes.c_void_p]

PATTERN = bytes(range(251)) * 240

def fill(block, size):
    ctypes.memmove(block, PATTERN, size)

def holds(block, size):
    return ctypes.string_at(block, size) == PATTERN[:size]

class Node:
    def __init__(self, name):
        self.name, self.others = name, []

def churn(rounds=3):
    "Objects of many sizes and kinds come and go, in cycles too."
    kept = []
    for r in range(rounds):
        for i in range(1000):
            node = Node(f"{r} {i}")
            node.others += [node, kept[-1] if kept else None, bytearray(i % 1200)]
            node.others[2].extend(b"x" * (i % 700))
            kept.append(node)
        assert all(n.name.split()[1] == str(i) for i, n in enumerate(kept))
        del kept[::2]
        import gc
        gc.collect()
        kept.clear()
"""


def run(arguments, environment=None, status=0, text_in="", python=()):
    """Runs Python; returns its output, and its standard error, which may be empty."""
    env = {k: v for k, v in os.environ.items() if k not in ("PYMALLOC", "LD_PRELOAD")}
    env.update(environment or {})
    done = subprocess.run(
        [sys.executable, "-B", *python, *arguments],
        env=env,
        input=text_in,
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT,
    )
    if done.returncode != status:
        raise AssertionError(
            f"status {done.returncode}, not {status}\n{done.stdout}{done.stderr}"
        )
    return done.stdout, done.stderr


def program(text, **how):
    """Runs a program after the prelude; returns what it prints, in words."""
    out, err = run(["-c", PRELUDE + textwrap.dedent(text)], **how)
    if err:
        raise AssertionError(err)
    return out.split()


class Module(unittest.TestCase):
    def test_says_what_it_found(self):
        with open(pymalloc.library, "rb") as file:
            self.assertEqual(file.read(4), b"\x7fELF")
        self.assertRegex(pymalloc.version, r"^\d+\.\d+\.\d+$")
        self.assertFalse(pymalloc.is_preloaded())
        self.assertEqual(pymalloc.DOMAINS, ("raw", "mem", "obj"))
        self.assertEqual(pymalloc.serving(), ())
        self.assertFalse(pymalloc.owns(Module()))

    def test_says_why_it_cannot_be_imported(self):
        out, err = run(["-c", "import pymalloc"], {"PYMALLOC_LIBRARY": "/no/lib.so"}, 1)
        self.assertIn("ImportError: libpymalloc cannot be loaded", err)
        self.assertIn("/no/lib.so", err)

    def test_reports(self):
        words = program(
            """
            stats = pymalloc.stats()
            assert stats["version"] == pymalloc.version and stats["pid"] == os.getpid()
            assert len(stats["classes"]) == 32 and stats["process"]["rss_bytes"] > 1 << 20
            assert stats["small"]["live_blocks"] < 1000, stats["small"]
            pymalloc.install()
            kept = [object() for _ in range(5000)]
            print(pymalloc.stats()["small"]["live_blocks"] >= 5000, *pymalloc.stats()["domains"])
            """
        )
        self.assertEqual(words, ["True", "raw", "mem", "obj"])

    def test_purges(self):
        words = program(
            """
            pymalloc.install()
            kept = [Node(str(i)) for i in range(50000)]
            del kept
            dirty = lambda: pymalloc.stats()["pools"]["dirty_bytes"]
            before = dirty()
            print(before > 1 << 20, pymalloc.purge() >= before, dirty())
            """,
            environment={"PYMALLOC": "decay:3600000"},
        )
        self.assertEqual(words, ["True", "True", "0"])

    def test_has_options(self):
        words = program(
            """
            def error(*arguments):
                try:
                    return pymalloc.option(*arguments)
                except Exception as e:
                    return type(e).__name__
            print(pymalloc.option("decay"), pymalloc.option("decay", 7), pymalloc.option("decay"))
            print(pymalloc.option("deepbind", True), pymalloc.option("deepbind"))
            print(error("nothing"), error("nothing", 1), error("decay", "x"), error("guard", 5))
            """,
            environment={"PYMALLOC": "decay:9"},
        )
        self.assertEqual(
            words,
            "9 None 7 None 1 KeyError KeyError ValueError PermissionError".split(),
        )


class Hooks(unittest.TestCase):
    def test_serve_what_is_small_and_new(self):
        words = program(
            """
            make = lambda i: [Node("n"), b"x" * i, "y" * (i + 200)]
            before = make(100)
            pymalloc.install()
            print(*map(pymalloc.owns, before + make(100) + make(1000)[1:]))
            print(*pymalloc.serving())
            """
        )
        wanted = ["False"] * 3 + ["True"] * 3 + ["False"] * 2 + ["raw", "mem", "obj"]
        self.assertEqual(words, wanted)

    def test_serve_the_domains_that_are_named(self):
        for domain in pymalloc.DOMAINS:
            with self.subTest(domain):
                words = program(
                    f"""
                    pymalloc.install("{domain}")
                    for name, d in domains.items():
                        block = d.malloc(100)
                        print(name, bool(owns_address(block)))
                        d.free(block)
                    pymalloc.install(["raw", "mem", "obj"])
                    churn()
                    print(pymalloc.verify(), len(pymalloc.serving()))
                    """
                )
                wanted = [w for d in pymalloc.DOMAINS for w in (d, str(d == domain))]
                self.assertEqual(words, wanted + ["0", "3"])

    def test_refuse_what_is_no_domain(self):
        for value in ('"object"', '["raw", "cooked"]'):
            out, err = run(["-c", f"import pymalloc; pymalloc.install({value})"], status=1)
            self.assertIn("ValueError: no such domain", err)

    # Sizes on both sides of what either allocator takes from pools.
    RESIZE = """
        sizes = [0, 1, 16, 17, 100, 256, 257, 500, 512, 513, 1000, 5000, 20000]
        for name, d in domains.items():
            old = {n: d.malloc(n) for n in sizes}
            olds = [(d.malloc(n), n, m) for n in sizes for m in sizes]
            for block, n, m in olds:
                fill(block, n)
            START
            news = [(d.malloc(n), n, m) for n in sizes for m in sizes]
            for block, n, m in news:
                assert block, n
                fill(block, n)
            assert len({block for block, n, m in olds + news}) == 2 * len(sizes) ** 2
            for block, n, m in olds + news:
                assert holds(block, n), (name, n)
            for block, n, m in olds + news:
                block = d.realloc(block, m)
                assert block and holds(block, min(n, m)), (name, n, m)
                fill(block, m)
                d.free(block)
            for n in sizes:
                block = d.calloc(3, n)
                assert ctypes.string_at(block, 3 * n) == bytes(3 * n), (name, n)
                fill(block, 3 * n)
                d.free(block)
                d.free(old[n])
            assert not d.malloc(1 << 63) and not d.calloc(1 << 40, 1 << 40)
            block = d.malloc(200)
            fill(block, 200)
            assert not d.realloc(block, 1 << 62) and holds(block, 200)
            d.free(block)
            d.free(None)
            d.free(d.realloc(None, 50))
        churn()
        assert pymalloc.verify() == 0
        print("done")
        """

    def resize(self, start, **environment):
        text = textwrap.dedent(self.RESIZE).replace("START", start)
        self.assertEqual(program(text, environment=environment), ["done"])

    def test_resize_old_and_new_blocks(self):
        for name in (*pymalloc.DOMAINS, None):
            with self.subTest(name):
                self.resize(f'pymalloc.install("{name}")' if name else "pymalloc.install()")

    def test_resize_without_counting(self):
        self.resize("pymalloc.install(count=False)")

    def test_resize_blocks_of_other_former_allocators(self):
        for former in ("malloc", "debug", "malloc_debug"):
            with self.subTest(former):
                self.resize("pymalloc.install()", PYTHONMALLOC=former)

    def test_resize_while_they_leave_all_to_the_former(self):
        self.resize("pymalloc.install(); pymalloc.uninstall()")

    def test_keep_no_block_that_lies_outside_of_pools(self):
        # Guarded blocks; and no pools at all.
        for option in ("guard:30", "reserve:0"):
            with self.subTest(option):
                self.resize("pymalloc.install()", PYMALLOC=option)

    @unittest.skipUnless(os.path.exists(HARDENED), "there is no hardened library")
    def test_work_with_the_hardened_library(self):
        self.resize("pymalloc.install()", PYMALLOC_LIBRARY=HARDENED)

    def test_count(self):
        words = program(
            """
            pymalloc.install()
            def moved(name, action):
                before = pymalloc.stats()["domains"][name]
                action()
                after = pymalloc.stats()["domains"][name]
                return [after[key] - before[key] for key in after if key != "peak_bytes"]
            for name, d in domains.items():
                blocks = []
                def make():
                    blocks.extend([d.malloc(100) for _ in range(1000)])
                    blocks.extend([d.malloc(1000) for _ in range(50)])
                def drop():
                    while blocks:
                        d.free(blocks.pop())
                idle = moved(name, lambda: None)
                made = moved(name, make)
                peak = pymalloc.stats()["domains"][name]["peak_bytes"]
                dropped = moved(name, drop)
                still = pymalloc.stats()["domains"][name]
                # allocs, frees, passed_on, live_blocks, live_bytes
                if name == "raw":   # which nobody else leaves blocks in
                    print(*made[3:], *dropped[3:], made[0] < 1100)
                assert made[0] >= 1000 and made[2] >= 50 and made[4] >= 112000, made
                assert dropped[1] >= 1000 and dropped[4] <= -112000 + abs(idle[4]), dropped
                assert still["peak_bytes"] >= peak >= 112000 and peak > still["live_bytes"], still
                assert still["live_blocks"] == still["allocs"] - still["frees"]
            """
        )
        self.assertEqual(words, "1000 112000 -1000 -112000 True".split())

    @unittest.skipUnless(HAMMER, "PYMALLOC_HAMMER does not name test_hammer.c, compiled")
    def test_count_without_the_gil(self):
        words = program(
            """
            pymalloc.install()
            hammer = ctypes.CDLL(os.environ["PYMALLOC_HAMMER"]).hammer
            raw = held.PyMem_RawMalloc, held.PyMem_RawRealloc, held.PyMem_RawFree
            def work_together():
                threads = [threading.Thread(target=hammer, args=(*raw, 200000)) for _ in range(4)]
                for t in threads: t.start()
                for t in threads: t.join()
            work_together()    # and what Python keeps for threads is there
            before = pymalloc.stats()["domains"]["raw"]
            for _ in range(3):
                work_together()
            after = pymalloc.stats()["domains"]["raw"]
            # Each turn takes a block and moves it to a second one.
            for key in "allocs", "frees":
                assert after[key] - before[key] >= 3 * 4 * 2 * 200000, (before, after)
            # A thread's own block may go a moment after its end.
            print(abs(after["live_blocks"] - before["live_blocks"]) <= 4,
                  abs(after["live_bytes"] - before["live_bytes"]) <= 4 * 512)
            print(pymalloc.verify())
            """
        )
        self.assertEqual(words, ["True", "True", "0"])

    def test_stop_and_start_again(self):
        words = program(
            """
            pymalloc.install()
            ours = [Node(str(i)) for i in range(1000)]
            pymalloc.uninstall("obj")
            print(*pymalloc.serving(), pymalloc.owns(Node("x")), pymalloc.owns(ours[7]))
            pymalloc.uninstall()
            print(len(pymalloc.serving()))
            before = pymalloc.stats()["domains"]["obj"]["live_blocks"]
            del ours
            print(before - pymalloc.stats()["domains"]["obj"]["live_blocks"] >= 1000)
            churn()
            pymalloc.install("obj")
            print(*pymalloc.serving(), pymalloc.owns(Node("x")))
            churn()
            print(pymalloc.verify())
            """
        )
        self.assertEqual(words, "raw mem False True 0 True obj True 0".split())

    def test_place_objects_for_the_collector(self):
        show = 'pymalloc.install({}); print(pymalloc.option("header"))'
        self.assertEqual(program(show.format("")), ["16"])
        self.assertEqual(program(show.format('"mem"')), ["0"])
        chosen = {"PYMALLOC": "header:0"}
        self.assertEqual(program(show.format(""), environment=chosen), ["0"])

    def test_survive_fork(self):
        words = program(
            """
            pymalloc.install()
            import warnings
            warnings.simplefilter("ignore")
            stop = False
            def work():
                while not stop:
                    churn(1)
            threads = [threading.Thread(target=work) for _ in range(2)]
            for t in threads: t.start()
            inherited = [Node(str(i)) for i in range(3000)]
            for _ in range(10):
                child = os.fork()
                if child == 0:
                    inherited.clear()
                    churn()
                    os._exit(pymalloc.verify() != 0)
                assert os.waitpid(child, 0)[1] == 0
            stop = True
            for t in threads: t.join()
            print(pymalloc.verify())
            """
        )
        self.assertEqual(words, ["0"])

    def test_serve_other_interpreters(self):
        words = program(
            """
            try:
                import _interpreters as interpreters
            except ImportError:
                import _xxsubinterpreters as interpreters
            other = interpreters.create()
            interpreters.run_string(other, "kept = [[i] for i in range(5000)]")
            pymalloc.install()
            served = pymalloc.stats()["domains"]["obj"]["allocs"]
            text = "kept = [[i, str(i)] for i in range(20000)]"
            thread = threading.Thread(target=interpreters.run_string, args=(other, text))
            thread.start()
            churn()
            thread.join()
            interpreters.destroy(other)
            print(pymalloc.verify(), pymalloc.stats()["domains"]["obj"]["allocs"] - served > 20000)
            """
        )
        self.assertEqual(words, ["0", "True"])

    def test_do_not_mix_with_tracemalloc_that_ends_later(self):
        words = program(
            """
            import tracemalloc
            tracemalloc.start()
            try:
                pymalloc.install()
            except RuntimeError as error:
                print("tracemalloc" in str(error), len(pymalloc.serving()))
            tracemalloc.stop()
            pymalloc.install()
            kept = [Node(str(i)) for i in range(1000)]
            tracemalloc.start()
            churn(1)
            kept += [Node(str(i)) for i in range(1000)]
            print(tracemalloc.get_traced_memory()[0] > 50000)
            tracemalloc.stop()
            del kept
            churn(1)
            print(pymalloc.verify())
            """
        )
        self.assertEqual(words, ["True", "0", "True", "0"])

    def test_do_not_come_over_a_strangers(self):
        words = program(
            """
            class Allocator(ctypes.Structure):
                _fields_ = [(n, ctypes.c_void_p) for n in "ctx malloc calloc realloc free".split()]
            stranger = Allocator()
            held.PyMem_GetAllocator(0, ctypes.byref(stranger))
            stranger.ctx = ctypes.addressof(stranger)   # which these functions do not look at
            held.PyMem_SetAllocator(0, ctypes.byref(stranger))
            try:
                pymalloc.install()
                print("installed")
            except RuntimeError as error:
                print("hooks" in str(error))
            """
        )
        self.assertEqual(words, ["True"])

    def test_end_with_the_interpreter(self):
        self.assertEqual(run(["-c", PRELUDE + "pymalloc.install(); churn()"]), ("", ""))


class Preloaded(unittest.TestCase):
    ENVIRONMENT = {"LD_PRELOAD": pymalloc.library, "PYTHONMALLOC": "malloc"}

    def test_is_seen(self):
        words = program(
            """
            print(pymalloc.is_preloaded(), pymalloc.owns(Node("x")), pymalloc.option("header"))
            churn()
            print(pymalloc.verify())
            """,
            environment=self.ENVIRONMENT,
        )
        self.assertEqual(words, ["True", "True", "16", "0"])

    def test_needs_no_hooks(self):
        out, err = run(
            ["-c", "import pymalloc; pymalloc.install()"], self.ENVIRONMENT, status=1
        )
        self.assertIn("RuntimeError: libpymalloc is the process's malloc already", err)

    @unittest.skipUnless(os.path.exists(HARDENED), "there is no hardened library")
    def test_brings_no_second_library(self):
        words = program(
            """
            with open("/proc/self/maps") as file:
                files = {line.split()[-1] for line in file if "libpymalloc" in line}
            name = os.path.basename(pymalloc.library).split(".")[0]
            print(len(files), name, pymalloc.owns(Node("x")))
            """,
            environment={"LD_PRELOAD": HARDENED, "PYTHONMALLOC": "malloc"},
        )
        self.assertEqual(words, ["1", "libpymalloc-hardened", "True"])


class Command(unittest.TestCase):
    """python3 -m pymalloc, in a process that becomes another."""

    SHOW = """if True:
        import sys, os, pymalloc
        print(sys.argv, __name__, pymalloc.is_preloaded(), pymalloc.owns(sys.argv))
        print(os.environ.get("PYTHONMALLOC"), sys.flags.optimize, sys.dont_write_bytecode)
        """

    def test_runs_code(self):
        out, err = run(["-m", "pymalloc", "-c", self.SHOW, "a b", "--stats"])
        self.assertEqual(out, "['-c', 'a b', '--stats'] __main__ True True\nmalloc 0 True\n")
        self.assertEqual(err, "")

    def test_is_plain_python_otherwise(self):
        script = os.path.join(os.environ.get("TMPDIR", "/tmp"), f"pymalloc-test-{os.getpid()}.py")
        with open(script, "w") as file:
            file.write(
                "import sys, traceback\n"
                "print(sys.argv, sys.path[0], __file__, __spec__, len(vars()))\n"
                "print(sys.stdin.read())\n"
                "raise ValueError('the end')\n"
            )
        try:
            plain = run([script, "x"], {"PYTHONMALLOC": "malloc"}, status=1, text_in="abc")
            ours = run(["-m", "pymalloc", script, "x"], status=1, text_in="abc")
        finally:
            os.unlink(script)
        self.assertEqual(ours, plain)
        self.assertIn("abc", ours[0])

    def test_runs_modules_and_standard_input(self):
        out, err = run(["-m", "pymalloc", "-m", "json.tool"], text_in="[1]")
        self.assertEqual(out.split(), ["[", "1", "]"])
        out, err = run(["-m", "pymalloc", "-", "x"], text_in="import sys; print(sys.argv)")
        self.assertEqual(out, "['-', 'x']\n")

    def test_passes_pythons_options(self):
        for words in (["-O", "-m", "pymalloc"], ["-Om", "pymalloc"], ["-Ompymalloc"]):
            out, err = run([*words, "-c", self.SHOW])
            self.assertIn("malloc 1 True", out, words)
        out, err = run(["-m", "pymalloc", "-O", "-c", self.SHOW])
        self.assertIn("malloc 1 True", out)

    def test_ends_as_the_program_ends(self):
        run(["-m", "pymalloc", "-c", "raise SystemExit(7)"], status=7)
        end = "import os, signal; os.kill(os.getpid(), signal.{})"
        for name in ("SIGTERM", "SIGINT", "SIGKILL"):
            run(["-m", "pymalloc", "-c", end.format(name)], status=-getattr(signal, name))

    def test_is_the_same_process(self):
        code = "import os; print(os.getpid())"
        with subprocess.Popen(
            [sys.executable, "-m", "pymalloc", "-c", code], stdout=subprocess.PIPE, text=True
        ) as child:
            self.assertEqual(child.stdout.read(), f"{child.pid}\n")

    def test_sets_the_librarys_options(self):
        code = "import pymalloc; print(pymalloc.option('decay'), pymalloc.option('cache'))"
        out, err = run(
            ["-m", "pymalloc", "--stats", "--option", "decay:5", "--option=cache:0", "-c", code],
            {"PYMALLOC": "decay:8"},
        )
        self.assertEqual(out, "5 0\n")
        self.assertIn("report", err)
        self.assertRegex(err, r"small blocks +\d{4,} served")

    def test_keeps_other_preloads_and_adds_itself_once(self):
        code = "import os; print(os.environ['LD_PRELOAD'])"
        out, err = run(
            ["-m", "pymalloc", "-c", code], {"LD_PRELOAD": f"{pymalloc.library}:libm.so.6"}
        )
        self.assertEqual(out, f"{pymalloc.library}:libm.so.6\n")

    def test_keeps_debug_hooks(self):
        out, err = run(["-m", "pymalloc", "-c", self.SHOW], {"PYTHONMALLOC": "malloc_debug"})
        self.assertIn("malloc_debug", out)
        out, err = run(["-m", "pymalloc", "-c", self.SHOW], {"PYTHONMALLOC": "pymalloc"})
        self.assertIn("\nmalloc ", out)

    @unittest.skipUnless(os.path.exists(HARDENED), "there is no hardened library")
    def test_hardened(self):
        code = "import pymalloc; print(pymalloc.library, pymalloc.is_preloaded())"
        out, err = run(["-m", "pymalloc", "--hardened", "-c", code])
        self.assertIn("libpymalloc-hardened", out)
        self.assertIn("True", out)

    def test_says_what_is_wrong(self):
        for words, text in (
            (["--nothing"], "unknown option --nothing"),
            (["--stats=1"], "--stats takes no value"),
            (["--option"], "--option takes one NAME:VALUE"),
            (["--option", "a:1,b:2"], "--option takes one NAME:VALUE"),
            (["--domains"], "no such domain"),
            (["--domains", "raw,x", "-c", ""], "no such domain: 'x'"),
            (["--domains", "raw", "--option", "x:1", "-c", ""], "there is no option x"),
            (["--domains", "raw", "--option", "guard:1", "-c", ""], "only at the start"),
            (["--domains", "raw", "--hardened", "-c", ""], "does not go with"),
            (["--domains", "raw"], "needs a script"),
            (["--domains", "raw", "-c"], "-c needs a value"),
            (["--domains", "raw", "/no/script"], "No such file"),
        ):
            with self.subTest(words):
                out, err = run(["-m", "pymalloc", *words], status=125)
                self.assertEqual((out, err.count("\n")), ("", 1))
                self.assertRegex(err, "^pymalloc: ")
                self.assertIn(text, err)

    def test_needs_pythons_environment(self):
        folder = os.path.dirname(os.path.dirname(pymalloc.__file__))
        start = f"import sys, runpy; sys.path.insert(0, {folder!r}); "
        start += "sys.argv[1:] = ['-c', '']; runpy.run_module('pymalloc', alter_sys=True)"
        out, err = run(["-E", "-c", start], status=125)
        self.assertIn("Python ignores PYTHONMALLOC", err)

    def test_helps(self):
        out, err = run(["-m", "pymalloc", "--help"])
        self.assertIn("--domains LIST", out)
        out, err = run(["-m", "pymalloc", "--version"])
        self.assertEqual(out, f"libpymalloc {pymalloc.version} ({pymalloc.library})\n")


class InProcess(unittest.TestCase):
    """python3 -m pymalloc --domains."""

    SHOW = """
import sys, __main__, pymalloc, pickle
class Local: pass
print(sys.argv, __name__, vars(__main__) is globals(), pymalloc.is_preloaded())
print(*pymalloc.serving(), type(pickle.loads(pickle.dumps(Local()))) is Local)
"""

    def test_runs_code_scripts_and_modules(self):
        folder = os.path.join(os.environ.get("TMPDIR", "/tmp"), f"pymalloc-test-{os.getpid()}")
        os.mkdir(folder)
        script = os.path.join(folder, "shown.py")
        try:
            with open(script, "w") as file:
                file.write(self.SHOW + "\nimport shown_too\nprint(sys.path[0], __file__)\n")
            with open(os.path.join(folder, "shown_too.py"), "w") as file:
                file.write("")
            shown = "__main__ True False\nraw obj True\n"
            how = ["-m", "pymalloc", "--domains", "raw,obj"]
            out, err = run([*how, "-c", self.SHOW, "x"])
            self.assertEqual((out, err), (f"['-c', 'x'] {shown}", ""))
            out, err = run([*how, script, "x"])
            self.assertEqual((out, err), (f"['{script}', 'x'] {shown}{folder} {script}\n", ""))
            folders = {"PYTHONPATH": f"{os.environ['PYTHONPATH']}:{folder}"}
            out, err = run([*how, "-m", "shown"], folders)
            self.assertIn(f"['{script}'] __main__", out)
        finally:
            for name in os.listdir(folder):
                os.unlink(os.path.join(folder, name))
            os.rmdir(folder)

    def test_ends_as_the_program_ends(self):
        how = ["-m", "pymalloc", "--domains=raw,mem,obj", "-c"]
        run([*how, "raise SystemExit(7)"], status=7)
        out, err = run([*how, "1/0"], status=1)
        self.assertTrue(err.endswith("ZeroDivisionError: division by zero\n"))
        end = "import os, signal; os.kill(os.getpid(), signal.{})"
        for name in ("SIGTERM", "SIGINT"):
            run([*how, end.format(name)], status=-getattr(signal, name))

    def test_counts(self):
        code = "kept = [str(i) for i in range(3000)]"
        out, err = run(["-m", "pymalloc", "--domains", "obj", "--stats", "-c", code])
        rows = {line.split()[0]: line.split()[1:] for line in err.splitlines()}
        self.assertEqual(rows["domain"][0], "allocs")
        self.assertEqual(rows["mem"], ["0"] * 6)
        self.assertGreater(int(rows["obj"][0]), 3000)
        self.assertIn("report", err)


# ---------------------------------------------------------------------------------- TAP


class Tap(unittest.TestResult):
    """Prints a line for each test, with what went wrong before it."""

    def __init__(self, number):
        super().__init__()
        self.number = number
        self.is_red = False

    def startTest(self, test):
        super().startTest(test)
        self.problems, self.reason = [], ""

    def addError(self, test, err):
        self.problems.append(self._exc_info_to_string(err, test))

    addFailure = addError

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.problems.append(f"{subtest}\n{self._exc_info_to_string(err, test)}")

    def addSkip(self, test, reason):
        self.reason = f" # SKIP {reason}"

    def stopTest(self, test):
        for line in "\n".join(self.problems).splitlines():
            print(f"#   {line}")
        self.is_red = self.is_red or bool(self.problems)
        name = test.id().partition(".")[2].replace(".test_", ": ").replace("_", " ")
        verdict = "not ok" if self.problems else "ok"
        print(f"{verdict} {self.number} - {name}{self.reason}", flush=True)
        self.number += 1


def main():
    result = Tap(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__]).run(result)
    print(f"1..{result.number - 1}")
    return result.is_red


if __name__ == "__main__":
    sys.exit(main())
