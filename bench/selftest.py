#!/usr/bin/env python3
"""Does the runner measure rightly?  A test in TAP that measures nothing of interest."""
import contextlib
import csv
import glob
import io
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback

sys.dont_write_bytecode = True
SOURCE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, SOURCE)
from lib import callgrind, measure, stats, store, summary, verify, workloads  # noqa: E402
from lib.allocators import Allocator, parse_lib, version_key  # noqa: E402

TOP_BUILD = os.environ.get("top_builddir", os.path.dirname(SOURCE))
SPAWN = os.path.join(os.path.abspath(TOP_BUILD), "bench", "spawn")
GLIBC = Allocator("glibc")
NO_PRELOAD = ("", None, set())


class Skip(Exception):
    pass


def near(value, wanted, share=1e-9):
    assert abs(value - wanted) <= share * abs(wanted), f"{value}, not {wanted}"


@contextlib.contextmanager
def refused(kind):
    """The body has to raise an exception of that kind."""
    try:
        yield
    except kind:
        return
    raise AssertionError(f"no {kind.__name__}")


def workload(*words, **attributes):
    return workloads.Workload(words[0], "test", attributes, {}, list(words))


def run(*words, preload=NO_PRELOAD, allocator=GLIBC, timeout=60, **attributes):
    """Figures of one run of a command."""
    one = measure.Run(SPAWN, timeout)
    found = subprocess.run(
        ["sh", "-c", 'command -v "$1"', "sh", words[0]], capture_output=True, text=True,
        check=True,
    ).stdout.strip()
    command = workloads.Command([found, *words[1:]], {}, found)
    return one.once(workload(*words, **attributes), command, allocator, preload)


# ------------------------------------------------------------------------- statistics


def test_median():
    near(stats.median([3, 1, 2]), 2)
    near(stats.median([4, 1, 3, 2]), 2.5)
    near(stats.median([7]), 7)


def test_geometric_mean():
    near(stats.geometric_mean([1, 100]), 10)
    near(stats.geometric_mean([0.5, 2, 1]), 1)


def test_percentile():
    near(stats.percentile([1, 2, 3, 4, 5], 0.5), 3)
    near(stats.percentile([1, 2], 0.25), 1.25)
    near(stats.percentile([1, 2], 1), 2)


def test_ratio_of_constant_samples():
    found = stats.ratio({0: 2.0, 1: 2.0, 2: 2.0}, {0: 4.0, 1: 4.0, 2: 4.0})
    near(found.value, 0.5)
    near(found.low, 0.5)
    near(found.high, 0.5)
    assert found.verdict == -1


def test_ratio_is_of_common_rounds():
    near(stats.ratio({0: 1.0, 1: 3.0, 2: 99.0}, {0: 1.0, 1: 3.0}).value, 1)
    assert stats.ratio({0: 1.0}, {1: 1.0}) is None


def test_one_round_decides_nothing():
    found = stats.ratio({0: 1.0}, {0: 100.0})
    near(found.value, 0.01)
    assert found.verdict == 0


def test_common_noise_cancels_out():
    """Rounds of very different length, but always the same ratio."""
    base = {i: 1.0 + i for i in range(5)}
    found = stats.ratio({i: 0.9 * x for i, x in base.items()}, base)
    near(found.low, 0.9, 1e-6)
    near(found.high, 0.9, 1e-6)


def test_small_difference_in_noise_is_undecided():
    noise = (1.0, 1.3, 0.8, 1.1, 0.9)
    other = (1.1, 0.9, 1.2, 0.8, 1.02)
    found = stats.ratio(dict(enumerate(noise)), dict(enumerate(other)))
    assert found.low < 1 < found.high and found.verdict == 0 and not found.decided
    assert summary.ratio_text(found).endswith("?")


def simulate(source, workload_count, truth, rounds=5, noise=0.06):
    """Pairs of samples whose true ratio is truth."""
    return [
        tuple(
            {r: factor * math.exp(source.gauss(0, noise)) for r in range(rounds)}
            for factor in (truth, 1.0)
        )
        for _ in range(workload_count)
    ]


def coverage(experiments, workload_count):
    source = random.Random(4)
    hits = 0
    for _ in range(experiments):
        pairs = simulate(source, workload_count, 0.9)
        found = stats.mean_ratio(pairs) if workload_count > 1 else stats.ratio(*pairs[0])
        hits += found.low <= 0.9 <= found.high
    return hits / experiments


def test_interval_of_ratio_holds_the_truth():
    found = coverage(60, 1)
    assert found >= 0.87, f"only in {found:.0%} of all experiments"


def test_interval_of_mean_holds_the_truth():
    found = coverage(25, 8)
    assert found >= 0.84, f"only in {found:.0%} of all experiments"


def test_mean_of_ratios():
    pairs = [({0: 1.0, 1: 1.0}, {0: 4.0, 1: 4.0}), ({0: 1.0, 1: 1.0}, {0: 1.0, 1: 1.0})]
    found = stats.mean_ratio(pairs)
    near(found.value, 0.5)
    near(found.low, 0.5)
    assert stats.mean_ratio([({}, {0: 1.0})]) is None


# ---------------------------------------------------------------- reading and storing


def test_reading_a_line():
    line = "name group short=no A_B=c prog 'two words' x=y # comment"
    found = workloads.parse_line(line, "here")
    assert found.attributes == {"short": "no"} and found.environment == {"A_B": "c"}
    assert found.words == ["prog", "two words", "x=y"]
    assert workloads.parse_line("  # nothing", "here") is None
    with refused(ValueError):
        workloads.parse_line("name group a=b", "here")


def test_reading_the_lists():
    """Every workload of the project's own lists can be read and has a command."""
    names = []
    for path in ("scenarios.list", os.path.join("programs", "programs.list")):
        for found in workloads.read_list(os.path.join(SOURCE, path)):
            assert found.words, found.name
            names.append(found.name)
    assert len(names) == len(set(names)), "a name is there twice"


def test_lib_option():
    found = parse_lib(f"mine={SPAWN},A=b,C=d")
    assert found.name == "mine" and found.environment == {"A": "b", "C": "d"}
    for wrong in ("mine", "mine=", "=x", f"mine={SPAWN}.not-there", f"mine={SPAWN},A"):
        with refused(ValueError):
            parse_lib(wrong)


def test_newest_version_wins():
    assert version_key("/x/llvm-9/y") < version_key("/x/llvm-14/y")


def row(name, allocator, number, time_s, rss):
    return {
        "workload": name, "group": "test", "allocator": allocator, "round": number,
        "status": "ok", "wall_s": time_s, "time_s": time_s, "user_s": time_s, "sys_s": 0.0,
        "cpu_s": time_s, "peak_rss_kb": rss, "minflt": 1, "majflt": 0, "nivcsw": 0,
        "verified": "maps", "output": "x", "extra": {"key": "1.5"},
        "samples": [(0, 10), (5, 20)],
    }


def recorded(directory):
    """Results of three rounds in which x takes half the time and three times the memory."""
    results = store.Results(directory)
    results.begin({"allocators": {"jemalloc": {}, "x": {}}})
    for number in range(3):
        results.add(row("w", "jemalloc", number, 2.0, 1000))
        results.add(row("w", "x", number, 1.0, 3000))
    return results


def test_store_and_summary():
    with tempfile.TemporaryDirectory() as directory:
        results = recorded(directory)
        with open(results.raw, "a") as file:
            file.write("w,test,x,3,ok,1.0")
        results.drop_unfinished_line()
        rows = results.rows()
        assert len(rows) == 6 and rows[5]["round"] == 2
        assert results.samples()["w"]["x"] == [(0, 10), (5, 20)]
        found = summary.Summary(rows, results.read_meta())
        near(found.cells["w"]["x"].ratio["time"].value, 0.5)
        near(found.mean("test", "x", "memory").value, 3)
        near(found.extra("w", "x", "key"), 1.5)
        assert "0.50" in summary.as_text(found) and "3.00" in summary.as_text(found)
        assert len(list(csv.DictReader(io.StringIO(summary.as_csv(found))))) == 2


def compare(*words, **more):
    """(status, standard error) of bench/compare."""
    done = subprocess.run(
        [sys.executable, os.path.join(SOURCE, "compare"), *words],
        stderr=subprocess.PIPE, text=True, check=False, **more,
    )
    return done.returncode, done.stderr


def test_compare_tells_errors_from_changes():
    with tempfile.TemporaryDirectory() as directory:
        recorded(directory)
        same = (directory, directory)
        assert compare(*same, stdout=subprocess.DEVNULL) == (0, "")
        status, said = compare(directory, os.path.join(directory, "nosuch"))
        assert (status, said.count("\n")) == (2, 1) and "nosuch" in said, said
        reader, writer = os.pipe()
        os.close(reader)
        with open(writer, "wb") as nobody:
            assert compare(*same, stdout=nobody) == (2, "")


# ---------------------------------------------------------------------------- spawning


def test_exit_status():
    with refused(measure.Failed):
        run("sh", "-c", "exit 3")
    with refused(measure.Failed):
        run("sh", "-c", "kill -9 $$")


def test_time_and_output():
    found = run("sh", "-c", "sleep 0.3; echo some text")
    assert 0.29 < found["wall_s"] < 5 and found["user_s"] < 0.29
    assert found["output"] == run("echo", "some text")["output"]
    assert found["output"] != run("echo", "other text")["output"]


def test_result_line():
    found = run("echo", "rss t=3 kb=5\nresult name=x seconds=1.25 peak_rss_kb=7 deep=4")
    near(found["time_s"], 1.25)
    assert found["extra"] == {"deep": "4"} and found["samples"] == [(3, 5)]
    assert found["peak_rss_kb"] > 100, "only a server's own peak is taken over"


def test_peak_of_a_tiny_process():
    """The runner holds 300 MB; the process that it measures must not inherit that."""
    ballast = bytearray(300 << 20)
    ballast[:: 1 << 12] = b"x" * len(ballast[:: 1 << 12])
    with open("/proc/self/status") as file:
        own = next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))
    found = run("true")["peak_rss_kb"]
    assert own > 300 << 10, f"the test itself has only {own} KiB"
    assert found < 6 << 10, f"{found} KiB"
    del ballast


def test_peak_of_a_large_process():
    found = run("python3", "-S", "-c", "x = b'x' * (200 << 20)")["peak_rss_kb"]
    assert 200 << 10 < found < 280 << 10, f"{found} KiB"


def test_timeout_leaves_nothing_behind():
    begin = time.monotonic()
    with refused(measure.Failed):
        run("sh", "-c", "sleep 987 & sleep 987", timeout=0.4)
    assert time.monotonic() - begin < 9
    for _ in range(100):  # what was killed is gone a little later
        if not any_process(b"sleep\x00987\x00"):
            return
        time.sleep(0.05)
    raise AssertionError("a child is still there")


def any_process(command):
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        with contextlib.suppress(OSError), open(path, "rb") as file:
            if file.read() == command:
                return True
    return False


# ------------------------------------------------- is the wanted allocator in effect?


def some_library():
    """A library without malloc in it."""
    found = glob.glob("/lib/*/libm.so.6") + glob.glob("/lib64/libm.so.6")
    if not found:
        raise Skip("no libm.so.6")
    return os.path.realpath(found[0])


def environment(preload):
    return {**measure.base_environment(), "LD_PRELOAD": preload}


def test_plain_program_has_the_c_library():
    verify.demand_bound("/bin/sh", measure.base_environment(), None)


def test_missing_preload_is_found_by_the_linker():
    with refused(verify.NotInEffect):
        verify.demand_bound("/bin/sh", environment("/no/such.so"), "/no/such.so")


def test_preload_without_malloc_is_found():
    path = some_library()
    with refused(verify.NotInEffect):
        verify.demand_bound("/bin/sh", environment(path), path)


def test_static_program_is_found():
    if not os.path.exists("/sbin/ldconfig"):
        raise Skip("no statically linked program at hand")
    if verify.linked_files("/sbin/ldconfig"):
        raise Skip("ldconfig is dynamically linked here")
    with refused(verify.NotInEffect):
        verify.demand_bound("/sbin/ldconfig", measure.base_environment(), None)


def test_missing_preload_is_found_in_the_process():
    missing = os.path.realpath("/no/such.so")
    with refused(verify.NotInEffect):
        run("sleep", "0.2", preload=(missing, missing, set()))


def test_unset_preload_is_found_in_the_process():
    """What the dynamic linker of the program never heard of."""
    path = some_library()
    with refused(verify.NotInEffect):
        run("sleep", "0.2", preload=("", path, set()))


def test_preload_is_seen_in_the_process():
    path = some_library()
    assert run("sleep", "0.2", preload=(path, path, set()))["verified"] == "maps"


def test_another_allocator_is_found_in_the_process():
    path = some_library()
    with refused(verify.NotInEffect):
        run("sleep", "0.2", preload=(path, None, {path}))


def test_entry_in_the_program_is_no_allocator():
    bindings = [("/p", "/libc", "free"), ("/lib", "/p", "free"), ("/p", "/libc", "malloc")]
    assert verify.targets(bindings, "/p") == {"free": {"/libc"}, "malloc": {"/libc"}}
    bindings = [("/lib", "/p", "free"), ("/lib", "/p", "malloc")]
    assert verify.targets(bindings, "/p") == {"free": {"/p"}, "malloc": {"/p"}}


# ----------------------------------------------------------------- the runner as a whole


def write_list(directory, *lines):
    path = os.path.join(directory, "test.list")
    with open(path, "w") as file:
        file.write("".join(line + "\n" for line in lines))
    return path


def runner(directory, path, *options):
    return [
        *(sys.executable, os.path.join(SOURCE, "run"), "--allocators", "glibc"),
        *("--scenarios", path, "--programs", "/dev/null"),
        *("--out", os.path.join(directory, "out"), *options),
    ]


def call_runner(directory, path, *options):
    return subprocess.run(
        runner(directory, path, *options), capture_output=True, text=True, check=False
    )


def read_rows(directory):
    return store.Results(os.path.join(directory, "out")).rows()


def test_resume():
    with tempfile.TemporaryDirectory() as directory:
        path = write_list(directory, "a test true", "b test true", "c test sleep 0.01")
        done = call_runner(directory, path, "--repeats", "2")
        assert done.returncode == 0, done.stderr
        raw = os.path.join(directory, "out", "raw.csv")
        with open(raw) as file:
            lines = file.readlines()
        assert len(lines) == 7, lines
        with open(raw, "w") as file:
            file.write("".join(lines[:4]) + lines[4][:9])
        assert call_runner(directory, path, "--repeats", "2").returncode == 2
        done = call_runner(directory, path, "--repeats", "3", "--resume")
        assert done.returncode == 0, done.stderr
        with open(raw) as file:
            again = file.readlines()
        assert again[:4] == lines[:4], "what was measured before has changed"
        keys = [(r["workload"], r["round"]) for r in read_rows(directory)]
        assert sorted(keys) == [(w, r) for w in "abc" for r in range(3)], keys


def test_resume_refuses_other_work():
    with tempfile.TemporaryDirectory() as directory:
        path = write_list(directory, "a test true")
        assert call_runner(directory, path, "--repeats", "1").returncode == 0
        path = write_list(directory, "a test true again")
        done = call_runner(directory, path, "--repeats", "2", "--resume")
        assert done.returncode == 2 and "another command" in done.stderr, done.stderr


def test_interrupt_and_resume():
    with tempfile.TemporaryDirectory() as directory:
        path = write_list(directory, "a test true", "b test sleep 5")
        command = runner(directory, path, "--repeats", "1")
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        raw = os.path.join(directory, "out", "raw.csv")
        end = time.monotonic() + 60
        while time.monotonic() < end:
            if os.path.exists(raw) and len(read_rows(directory)) == 1:
                break
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert [r["workload"] for r in read_rows(directory)] == ["a"]
        assert call_runner(directory, path, "--repeats", "1", "--resume").returncode == 0
        assert [r["workload"] for r in read_rows(directory)] == ["a", "b"]


def test_failures_are_told():
    with tempfile.TemporaryDirectory() as directory:
        path = write_list(
            directory,
            "bad test sh -c 'echo oh no >&2; exit 1'",
            "slow test sleep 50",
            "vague test sh -c 'echo $$'",
            "none test needs=no-such-program true",
            "good test true",
        )
        done = call_runner(directory, path, "--repeats", "2", "--timeout", "0.5")
        rows = {(r["workload"], r["round"]): r for r in read_rows(directory)}
        assert rows["bad", 0]["status"] == "failed" and "oh no" in rows["bad", 0]["error"]
        assert rows["slow", 0]["status"] == "timeout"
        assert rows["vague", 1]["status"] == "differs"
        assert rows["good", 1]["status"] == "ok"
        assert ("bad", 1) not in rows, "a failure is not repeated"
        assert "none: skipped: no-such-program is not installed" in done.stdout


def test_no_directory_of_the_machine_is_recorded():
    with tempfile.TemporaryDirectory() as directory:
        path = write_list(directory, f"a test sh -c '{SPAWN} nonsense'", "b test true")
        call_runner(directory, path, "--repeats", "1")
        for name in ("raw.csv", "summary.txt"):
            with open(os.path.join(directory, "out", name)) as file:
                assert directory not in file.read(), name
        with open(os.path.join(directory, "out", "meta.json")) as file:
            text = file.read()
        assert directory not in text.replace(SPAWN, ""), "meta.json"
        assert os.uname().nodename not in text or len(os.uname().nodename) < 4


# ----------------------------------------------------------------------------- callgrind

PROFILE = """\
events: Ir
ob=(1) /probe
fl=(1) probe.c
fn=(1) main
10 5
cfn=(2) probe_alloc
calls=3 20
11 60
fn=(2)
20 6
cob=(2) /liba.so
cfi=(2) a.c
cfn=(3) malloc
calls=3 100
+1 33
-1 3
fn=(4) probe_free
30 4
cob=(2)
cfn=(5) free
calls=2 100
* 40
"""


def test_profile():
    arcs = callgrind.parse_profile(
        PROFILE.splitlines(), callgrind.Names(), callgrind.Names()
    )
    assert arcs.calls == {"probe_alloc": 3, "probe_free": 2}
    assert arcs.cost == {"probe_alloc": 33, "probe_free": 40}
    assert arcs.objects["probe_free"] == {"/liba.so"}
    with refused(callgrind.Failed):
        callgrind.demand_object(arcs, Allocator("b", "/libb.so"))
    callgrind.demand_object(arcs, Allocator("a", "/liba.so"))


def test_hit_and_mean():
    found = callgrind.Count.of([20.0, 19.0, 21.0])
    near(found.hit, 19)
    near(found.mean, 20)


# -------------------------------------------------------------------------------- harness


def main():
    if not os.access(SPAWN, os.X_OK):
        print("1..0 # SKIP bench/spawn is not built")
        return 0
    tests = [(name, f) for name, f in globals().items() if name.startswith("test_")]
    print(f"1..{len(tests)}", flush=True)
    failed = 0
    for number, (name, function) in enumerate(tests, 1):
        title = name[5:].replace("_", " ")
        try:
            function()
            print(f"ok {number} - {title}", flush=True)
        except Skip as reason:
            print(f"ok {number} # SKIP {reason}", flush=True)
        except Exception:  # a test that breaks off has failed, whatever the reason
            failed += 1
            print(f"not ok {number} - {title}")
            for line in traceback.format_exc().splitlines():
                print(f"# {line}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
