"""redis-server in memory, under redis-benchmark over a Unix socket: strings, numbers,
lists, sets, hashes and sorted sets under fifty thousand keys."""
import os
import shutil
import subprocess
import sys
import time

import server

REQUESTS = 90_000
TESTS = ("set", "get", "incr", "lpush", "sadd", "hset", "zadd", "rpop", "spop", "mset")


def start(directory, socket):
    return subprocess.Popen(
        ["redis-server", "--port", "0", "--unixsocket", socket, "--dir", directory]
        + ["--save", "", "--appendonly", "no", "--daemonize", "no", "--loglevel"]
        + ["warning", "--enable-debug-command", "no"],
        env=server.environment(),
        stdout=subprocess.DEVNULL,
    )


def load(socket, requests):
    subprocess.run(
        ["redis-benchmark", "-s", socket, "-q", "-c", "20", "-P", "16", "-d", "100"]
        + ["-n", str(requests), "-r", "50000", "-t", ",".join(TESTS)],
        stdout=subprocess.DEVNULL,
        check=True,
    )


def main():
    requests = int(REQUESTS * float(sys.argv[1] if len(sys.argv) > 1 else 1))
    directory = server.workspace()
    socket = os.path.join(directory, "s")
    process = start(directory, socket)
    try:
        server.wait_until(lambda: os.path.exists(socket), "redis-server's socket")
        server.demand_allocator(process.pid)
        begin = time.monotonic()
        load(socket, requests)
        seconds = time.monotonic() - begin
        cpu, minflt, majflt = server.stat_figures(process.pid)
        peak = server.status_kb(process.pid, "VmHWM")
    finally:
        server.stop(process)
        shutil.rmtree(directory, ignore_errors=True)
    server.report("redis", seconds, requests * len(TESTS), peak, cpu, minflt, majflt)


main()
