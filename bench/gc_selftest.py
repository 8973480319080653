#!/usr/bin/env python3
"""Are the figures of the object layer's benchmarks counted rightly?  A test in TAP that
runs none of them."""
import os
import sys
import tempfile
import traceback

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import gc_tables, page, store  # noqa: E402

BAR = gc_tables.Bar("a", "churn", "standing_share", least=1, most=2)


def near(value, wanted):
    assert abs(value - wanted) <= 1e-9 * abs(wanted), f"{value}, not {wanted}"


def row(workload, backend="pygc", turn="0", seconds="1.0", **more):
    found = dict.fromkeys(gc_tables.FIELDS, "")
    found.update(round=turn, workload=workload, size="1", length="1", backend=backend)
    return {**found, "seconds": seconds, "ops": "1000", "peak_rss_kb": "1024", **more}


def linear(power, turn="0"):
    return [row(name, turn=turn, seconds=str(0.3 * live**power))
            for name, live in gc_tables.LINEAR.items()]


def test_exponent():
    figures = gc_tables.Figures(linear(1) + linear(1.5, "1"))
    found = figures.values("linear", "pygc", "exponent")
    near(found[0], 1)
    near(found[1], 1.5)


def test_exponent_needs_all_sizes():
    assert not gc_tables.Figures(linear(1)[1:]).values("linear", "pygc", "exponent")


def test_figures():
    figures = gc_tables.Figures([row("churn", extra="pause_p999=7;x=y"), row("churn", turn="1")])
    near(figures.values("churn", "pygc", "ns")[0], 1e6)
    near(figures.values("churn", "pygc", "pause_p999")[0], 7)
    assert len(figures.values("churn", "pygc", "pause_p999")) == 1
    assert figures.rounds() == 2


def test_failures_have_no_figures():
    figures = gc_tables.Figures([row("churn", error="exit status 1")])
    assert not figures.values("churn", "pygc", "ns") and len(figures.complaints()) == 1
    assert not figures.backends


def test_outcomes():
    for values, wanted in (
        ([], "not measured"),
        ([1.0], "met"),
        ([2.5], "missed"),
        ([1.0, 1.5, 2.5], "met, not certainly"),
        ([0.5, 1.5, 0.7], "missed, not certainly"),
    ):
        assert BAR.outcome(values) == wanted, values


def test_every_round_counts_where_it_must():
    always = gc_tables.Bar("a", "churn", "standing_share", most=2, always=True)
    assert always.outcome([1.0, 1.0, 2.5]) == "missed, not certainly"


def test_tables():
    rows = linear(1) + [row("churn", "pygc-1ms", extra="pause_p999=2000000")]
    titles = [table.title for table in gc_tables.tables(gc_tables.Figures(rows))]
    assert "Bars" in titles and "Nanoseconds an operation" in titles
    for table in gc_tables.tables(gc_tables.Figures(rows)):
        assert all(len(line) == len(table.head) for line in table.rows), table.title


def test_file_and_page():
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, gc_tables.FILE)
        assert gc_tables.read(path) is None
        store.append(path, store.to_line(gc_tables.FIELDS))
        store.append(path, store.to_line(row("overhead", extra="overhead=8.5").values()))
        found = gc_tables.read(path)
    one = page.Page(None, {}, found)
    one.object_layer()
    text = "".join(one.parts)
    assert '<td class="met left">met</td>' in text and "not measured" in text, text


def main():
    tests = [(name, f) for name, f in globals().items() if name.startswith("test_")]
    print(f"1..{len(tests)}")
    failed = 0
    for number, (name, function) in enumerate(tests, 1):
        problem = ""
        try:
            function()
        except Exception:  # a test that breaks off has failed, whatever the reason
            failed += 1
            problem = traceback.format_exc()
        print(f"{'not ' if problem else ''}ok {number} - {name[5:].replace('_', ' ')}")
        for line in problem.splitlines():
            print(f"# {line}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
