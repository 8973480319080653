"""What the workloads that are servers share.

bench/run starts such a workload under no allocator in particular and hands the one to
be measured over in BENCH_PRELOAD, so that it serves the server alone and neither this
script nor the program that makes the load.  The server's own figures are reported: the
peak is its VmHWM, read before it is stopped, because the peak that wait4 gives would
include that of the Python process that it was forked from.
"""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from lib import verify  # noqa: E402


# So that a run that is broken off still stops its server and removes its files.
signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))


def environment():
    """The server's environment: ours, with the allocator under test."""
    result = {k: v for k, v in os.environ.items() if not k.startswith("BENCH_")}
    preload = os.environ.get("BENCH_PRELOAD", "")
    if preload:
        result["LD_PRELOAD"] = preload
    return result


def status_kb(pid, key):
    """A line of /proc/PID/status in KiB; 0 if the process is gone."""
    try:
        with open(f"/proc/{pid}/status") as file:
            for line in file:
                if line.startswith(key + ":"):
                    return int(line.split()[1])
    except (OSError, ValueError):
        pass
    return 0


def stat_figures(pid):
    """CPU seconds, minor and major faults of a process up to now."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return 0.0, 0, 0
    tick = os.sysconf("SC_CLK_TCK")
    return (int(fields[11]) + int(fields[12])) / tick, int(fields[7]), int(fields[9])


def demand_allocator(pid):
    """Ends the workload unless the server runs on the allocator under test."""
    wanted = os.environ.get("BENCH_PRELOAD", "").split(":")[0] or None
    forbidden = set(filter(None, os.environ.get("BENCH_FORBIDDEN", "").split(":")))
    try:
        if verify.demand_mapped(pid, wanted, forbidden):
            return
        sys.exit(f"process {pid}: {wanted} is not mapped")
    except verify.NotInEffect as error:
        sys.exit(f"process {pid}: {error}")


def wait_until(ready, what, seconds=30):
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            sys.exit(f"{what} did not come within {seconds} seconds")
        time.sleep(0.02)


def workspace(owner=None):
    """A new directory, with a path short enough for a socket in it."""
    directory = tempfile.mkdtemp(prefix="pymb-")
    if owner is not None:
        shutil.chown(directory, owner)
    return directory


def stop(process):
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def report(name, seconds, ops, peak_kb, cpu, minflt, majflt):
    print(
        f"result name={name} ops={ops} seconds={seconds:.6f} "
        f"ops_per_sec={ops / seconds:.0f} peak_rss_kb={peak_kb} cpu_s={cpu:.2f} "
        f"minflt={minflt} majflt={majflt} loaded=yes"
    )
