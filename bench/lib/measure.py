"""One measured run of one workload on one allocator."""
import hashlib
import os
import re
import select
import signal
import subprocess
import tempfile
import threading
import time

from . import verify

# A measured process sees nothing of the user's environment but the path.
BASE_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": "/nonexistent"}
PAIR = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(\S+)")
# When to look which files a process has mapped, in seconds after its start.
LOOKS = (0.002, 0.01, 0.03, 0.1, 0.3, 1.0)


class Failed(Exception):
    """The run gives no figures."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def base_environment():
    # Debian's own programs before what a user has put in front of them.
    return {**BASE_ENVIRONMENT, "PATH": f"/usr/bin:/bin:{os.environ.get('PATH', '')}"}


def preload_of(allocator, command, c_library, others):
    """LD_PRELOAD for an allocator, and the files that must not be mapped.

    A program may itself be linked with an allocator (Debian's redis-server is, with
    jemalloc).  Then the C library is named after the one under test: so that the row
    of glibc is glibc, and that what an allocator passes on ends there in every row."""
    linked = verify.linked_files(command.binary) & others
    files = [allocator.path] if allocator.path else []
    if linked:
        files.append(c_library)
    wanted = os.path.realpath(files[0]) if files else None
    return ":".join(files), wanted, others - linked - {wanted}


class Run:
    """Runs commands through the spawn program."""

    def __init__(self, spawn, timeout, scratch=None):
        self.spawn = spawn
        self.timeout = timeout
        self.scratch = scratch

    def once(self, workload, command, allocator, preload, cpus=""):
        """Figures of one run as a dict; raises Failed or verify.NotInEffect.

        preload is what preload_of returned."""
        files, wanted, forbidden = preload
        environment = allocator.apply({**base_environment(), **command.environment})
        if workload.server:
            environment["BENCH_PRELOAD"] = files
            environment["BENCH_FORBIDDEN"] = ":".join(sorted(forbidden))
            watch = None
        else:
            if files:
                environment["LD_PRELOAD"] = files
            watch = (wanted, forbidden)
        with tempfile.TemporaryDirectory(dir=self.scratch) as directory:
            paths = [os.path.join(directory, name) for name in ("out", "err")]
            usage, seen = self.execute(command.argv, environment, paths, watch, cpus)
            result = read_output(paths[0])
            with open(paths[1], errors="replace") as file:
                errors = file.read().strip()
        if usage["signal"] or usage["exit"]:
            last = errors.splitlines()[-1] if errors else "no message"
            how = f"signal {usage['signal']:.0f}" if usage["signal"] else f"exit {usage['exit']:.0f}"
            raise Failed("failed", f"{how}: {last}")
        if "ld.so: object" in errors:
            raise verify.NotInEffect("the dynamic linker could not preload it")
        return figures(workload, usage, result, seen)

    def execute(self, argv, environment, paths, watch, cpus):
        report, report_write = os.pipe()
        words = [self.spawn, str(report_write)]
        if cpus:
            words += ["-c", cpus]
        words += [f"{name}={value}" for name, value in environment.items()]
        with open(paths[0], "wb") as out, open(paths[1], "wb") as err:
            process = subprocess.Popen(
                words + ["--", *argv],
                env={"PATH": environment["PATH"]},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                pass_fds=(report_write,),
                start_new_session=True,
            )
        os.close(report_write)
        watcher = Watcher(watch)
        try:
            text = self.listen(report, watcher)
            process.wait()
        finally:
            os.close(report)
            end_group(process)
            watcher.finish()
        if watcher.error is not None:
            raise watcher.error
        end = re.search(r"^end (.*)$", text, re.M)
        if end is None:
            raise Failed("failed", "the process could not be started")
        return {k: float(v) for k, v in PAIR.findall(end[1])}, watcher.seen

    def listen(self, report, watcher):
        """Reads spawn's lines until it closes the pipe."""
        text = ""
        deadline = time.monotonic() + self.timeout
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Failed("timeout", f"not finished after {self.timeout:.0f} s")
            if not select.select([report], [], [], left)[0]:
                continue
            data = os.read(report, 4096).decode("ascii")
            if not data:
                return text
            text += data
            if found := re.search(r"^pid (\d+)$", text, re.M):
                watcher.start(int(found[1]))


class Watcher:
    """Looks once, early, at what a running process has mapped."""

    def __init__(self, watch):
        self.watch = watch
        self.seen = False
        self.error = None
        self.thread = None
        self.enough = threading.Event()

    def start(self, pid):
        if self.watch is None or self.thread is not None:
            return
        self.thread = threading.Thread(target=self.look, args=(pid,), daemon=True)
        self.thread.start()

    def look(self, pid):
        before = 0.0
        for moment in LOOKS:
            if self.enough.wait(moment - before):
                return
            before = moment
            try:
                if verify.demand_mapped(pid, *self.watch):
                    self.seen = True
                    return
            except verify.NotInEffect as error:
                self.error = error
                return

    def finish(self):
        self.enough.set()
        if self.thread is not None:
            self.thread.join()


def end_group(process):
    """Nothing of a measured run may outlive it."""
    for what, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, None)):
        try:
            os.killpg(process.pid, what)
        except ProcessLookupError:
            pass
        try:
            process.wait(seconds)
            return
        except subprocess.TimeoutExpired:
            continue


def read_output(path):
    """The result line, the samples of RSS and a digest of all other output."""
    digest = hashlib.sha256()
    result, samples = {}, []
    with open(path, "rb") as file:
        for line in file:
            if line.startswith(b"result "):
                result = dict(PAIR.findall(line.decode("utf-8", "replace")))
            elif line.startswith(b"rss t="):
                found = dict(PAIR.findall(line.decode("ascii", "replace")))
                samples.append((int(found["t"]), int(found["kb"])))
            else:
                digest.update(line)
    return result, samples, digest.hexdigest()[:16]


def figures(workload, usage, output, seen):
    """Joins what the system says of a process with what the process says itself."""
    result, samples, digest = output
    row = {
        "wall_s": usage["wall"],
        "time_s": float(result.get("seconds", usage["wall"])),
        "user_s": usage["user"],
        "sys_s": usage["sys"],
        "cpu_s": usage["user"] + usage["sys"],
        "peak_rss_kb": int(usage["maxrss_kb"]),
        "minflt": int(usage["minflt"]),
        "majflt": int(usage["majflt"]),
        "nivcsw": int(usage["nivcsw"]),
        "verified": "maps" if seen else "linker",
        "output": digest,
        "samples": samples,
    }
    if workload.server:
        if result.get("loaded") != "yes":
            raise Failed("failed", "the server workload gave no result")
        row.update(
            peak_rss_kb=int(result["peak_rss_kb"]),
            cpu_s=float(result["cpu_s"]),
            minflt=int(result["minflt"]),
            majflt=int(result["majflt"]),
            verified="maps",
        )
    known = {"name", "seconds", "peak_rss_kb", "cpu_s", "minflt", "majflt", "loaded"}
    row["extra"] = {k: v for k, v in result.items() if k not in known}
    return row
