"""A PostgreSQL server under pgbench: two connections that send queries with joins,
sorts, aggregates, arrays and text, each planned anew.

The server is several processes.  Its peak is the sum over them of VmHWM less the
shared memory in it: that is read again and again while the load runs, because the
process of a connection ends with it.  PostgreSQL refuses to run as root, so root
starts it as the user postgres or nobody.
"""
import glob
import os
import pwd
import shutil
import subprocess
import threading
import time

import server

TRANSACTIONS = 400
CONNECTIONS = 2
QUERY = r"""
\set low random(1, 90000)
SELECT count(*), sum(length(x.t)) FROM (
    SELECT a.aid % 97 AS k, string_agg(a.aid::text, ',' ORDER BY a.aid DESC) AS t
    FROM pgbench_accounts a JOIN pgbench_tellers b ON b.tid = 1 + a.aid % 10
    WHERE a.aid BETWEEN :low AND :low + 2500 GROUP BY 1
) x WHERE x.t LIKE '%7%';
SELECT array_length(array_agg(upper(md5(i::text)) ORDER BY i % 13, i), 1)
FROM generate_series(1, 1500) i;
"""


def binaries():
    """The directory of the newest installed server."""
    found = glob.glob("/usr/lib/postgresql/*/bin/postgres")
    found.sort(key=lambda path: float(path.split("/")[4]))
    return os.path.dirname(found[-1] if found else shutil.which("postgres"))


def account():
    """Whom to run the server as: None for ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise SystemExit("there is no user that may run PostgreSQL")


class Peaks(threading.Thread):
    """Watches the processes of the server until it is told to stop."""

    def __init__(self, parent):
        super().__init__(daemon=True)
        self.parent = parent
        self.enough = threading.Event()
        self.seen = {}

    def look(self):
        with open(f"/proc/{self.parent}/task/{self.parent}/children") as file:
            pids = [self.parent] + [int(pid) for pid in file.read().split()]
        for pid in pids:
            peak = server.status_kb(pid, "VmHWM") - server.status_kb(pid, "RssShmem")
            self.seen[pid] = (
                max(peak, self.seen.get(pid, (0,))[0]),
                *(server.stat_figures(pid) if peak > 0 else self.seen[pid][1:]),
            )

    def run(self):
        while not self.enough.wait(0.02):
            self.look()

    def finish(self):
        self.enough.set()
        self.join()
        self.look()
        return [sum(column) for column in zip(*self.seen.values())]


def main():
    user, bindir, directory = account(), binaries(), None
    try:
        directory = server.workspace(user)
        run(user, bindir, directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def run(user, bindir, directory):
    data = os.path.join(directory, "data")
    client = ["-h", directory, "-U", "bench"]

    def tool(name, *arguments):
        subprocess.run(
            [os.path.join(bindir, name), *arguments],
            user=user,
            cwd=directory,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )

    tool("initdb", "-D", data, "-U", "bench", "-A", "trust", "--no-sync", "--no-locale")
    process = subprocess.Popen(
        [os.path.join(bindir, "postgres"), "-D", data, "-k", directory]
        + ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=32MB"]
        + ["-c", "autovacuum=off", "-c", "jit=off"]
        + ["-c", "max_parallel_workers_per_gather=0"],
        env=server.environment(),
        user=user,
        cwd=directory,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        pidfile = os.path.join(data, "postmaster.pid")
        server.wait_until(lambda: is_ready(pidfile), "postgres")
        server.demand_allocator(process.pid)
        tool("pgbench", *client, "-i", "-q", "-s", "1", "postgres")
        with open(os.path.join(directory, "query.sql"), "w", encoding="ascii") as file:
            file.write(QUERY)
        peaks = Peaks(process.pid)
        peaks.start()
        begin = time.monotonic()
        tool(
            *("pgbench", *client, "-n", "-M", "simple", "-f", "query.sql"),
            *("-c", str(CONNECTIONS), "-j", "1", "-t", str(TRANSACTIONS)),
            *("--random-seed=7", "postgres"),
        )
        seconds = time.monotonic() - begin
        peak, cpu, minflt, majflt = peaks.finish()
    finally:
        server.stop(process)
    ops = TRANSACTIONS * CONNECTIONS
    server.report("postgres", seconds, ops, peak, cpu, minflt, majflt)


def is_ready(pidfile):
    try:
        with open(pidfile) as file:
            return "ready" in file.read()
    except OSError:
        return False


main()
