"""A session of measuring: what is chosen, prepared, verified, measured and written."""
import fnmatch
import json
import os
import shlex
import signal
import time

from . import allocators, machine, measure, store, summary, verify, workloads
from .progress import Progress, clock

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOP_SOURCE = os.path.dirname(SOURCE)
TOP_BUILD = os.path.abspath(os.environ.get("top_builddir", TOP_SOURCE))
SHORT_ALLOCATORS = "glibc,jemalloc,mimalloc,tcmalloc,libpymalloc"


def chosen_workloads(options):
    lists = (
        options.scenarios or os.path.join(SOURCE, "scenarios.list"),
        options.programs or os.path.join(SOURCE, "programs", "programs.list"),
    )
    result = [w for path in lists if os.path.exists(path) for w in workloads.read_list(path)]
    if options.only:
        result = [w for w in result if any(fnmatch.fnmatch(w.name, p) for p in options.only)]
    if options.group:
        result = [w for w in result if set(options.group) & set(w.groups)]
    if options.short:
        result = [w for w in result if w.attributes.get("short") != "no"]
    return result


def chosen_allocators(options):
    libs = [allocators.parse_lib(text) for text in options.lib]
    found, missing = allocators.discover(TOP_BUILD, libs)
    wanted = options.allocators or (SHORT_ALLOCATORS if options.short else "")
    if not wanted:
        return found, missing
    names = wanted.split(",") + [lib.name for lib in libs]
    for name in names:
        if name not in [a.name for a in found] + missing:
            raise ValueError(f"there is no allocator {name}; see --list")
    if options.allocators and set(names) & set(missing):
        raise ValueError(f"not found: {', '.join(sorted(set(names) & set(missing)))}")
    return [a for a in found if a.name in names], [n for n in missing if n in names]


def recorded_command(argv):
    """The command line without directories of this machine."""
    words = []
    for word in argv:
        head, equals, tail = word.rpartition("=")
        words.append(head + equals + os.path.basename(tail) if "/" in tail else word)
    return shlex.join(["bench/run", *words])


class Session:
    """One call of this program that measures."""

    def __init__(self, options, argv):
        self.options = options
        self.repeats = options.repeats or (3 if options.short else 5)
        self.list, self.missing = chosen_allocators(options)
        self.scale = workloads.SHORT_SCALE if options.short else "1"
        self.preparer = workloads.Preparer(
            SOURCE, os.path.join(TOP_BUILD, "bench"), input_directory(), self.scale
        )
        self.run = measure.Run(find_spawn(), options.timeout)
        self.progress = Progress()
        self.argv = argv
        self.skipped = {}
        self.commands = {}
        self.preloads = {}
        self.warm = set()
        self.interrupted = False
        self.given_up = set()
        self.outputs = {}

    # ------------------------------------------------------------- before the runs

    def prepare(self):
        self.progress.note("preparing inputs")
        ready = []
        for workload in chosen_workloads(self.options):
            try:
                self.commands[workload.name] = self.preparer.prepare(workload)
                ready.append(workload)
            except workloads.Unavailable as reason:
                self.skipped[workload.name] = str(reason)
                self.progress.note(f"{workload.name}: skipped: {reason}")
        if not ready:
            raise ValueError("no workload is left to be measured")
        self.workloads = ready

    def verify(self):
        """Asks the dynamic linker about every program on every allocator."""
        self.progress.note("verifying that every allocator takes effect")
        others = {os.path.realpath(a.path) for a in self.list if a.path}
        others |= {os.path.realpath(p) for p in map(allocators.find_peer,
                   (pattern for _, pattern in allocators.PEERS)) if p}
        asked = {}
        for workload in self.workloads:
            command = self.commands[workload.name]
            for allocator in self.list:
                preload = measure.preload_of(
                    allocator, command, allocators.c_library(), others
                )
                self.preloads[workload.name, allocator.name] = preload
                key = command.binary, allocator.name
                if key not in asked:
                    asked[key] = self.ask(command, preload)
                if asked[key]:
                    raise SystemExit(f"{allocator.name}: not in effect: {asked[key]}")

    @staticmethod
    def ask(command, preload):
        environment = measure.base_environment()
        if preload[0]:
            environment["LD_PRELOAD"] = preload[0]
        try:
            verify.demand_bound(command.binary, environment, preload[1])
        except verify.NotInEffect as error:
            return str(error)
        return ""

    def meta(self):
        return {
            "date": time.strftime("%Y-%m-%d %H:%M", time.localtime()),
            "command": recorded_command(self.argv),
            "short": self.options.short,
            "repeats": self.repeats,
            "pin": self.options.pin,
            "commit": machine.commit_of(TOP_SOURCE),
            "machine": machine.describe(),
            "allocators": {a.name: allocators.identity(a) for a in self.list},
            "missing": self.missing,
            "skipped": self.skipped,
            "workloads": {
                w.name: {
                    "groups": w.groups,
                    "attributes": w.attributes,
                    "command": w.command_line.replace("{scale}", self.scale),
                    "package": allocators.package_version(self.commands[w.name].binary),
                }
                for w in self.workloads
            },
        }

    def open_results(self):
        """A new directory, or the one to go on with."""
        parent = os.path.join(SOURCE, "results")
        directory = self.options.out
        if self.options.resume:
            directory = directory or store.newest_directory(parent)
            if directory is None or not store.Results(directory).exists():
                raise ValueError("there are no results to go on with")
        elif directory is None:
            directory = store.new_directory(parent, "-short" if self.options.short else "")
        self.results = store.Results(directory)
        meta = self.meta()
        if not self.results.exists():
            self.results.begin(meta)
        elif not self.options.resume:
            raise ValueError(f"{directory} holds results already; --resume goes on with them")
        else:
            self.results.drop_unfinished_line()
            self.demand_same(self.results.read_meta(), meta)
        self.started = self.results.read_meta()

    @staticmethod
    def demand_same(old, new):
        """Figures of different builds or of different work must not be mixed."""
        for name, identity in old["allocators"].items():
            now = new["allocators"].get(name)
            if now is not None and now != identity:
                raise ValueError(f"cannot go on: {name} is not the same file any more")
        if new["allocators"].keys() - old["allocators"].keys():
            raise ValueError("cannot go on: there are more allocators than before")
        for key in ("processor", "kernel"):
            if old["machine"][key] != new["machine"][key]:
                raise ValueError(f"cannot go on: another {key}")
        for name, described in new["workloads"].items():
            if old["workloads"].get(name, described)["command"] != described["command"]:
                raise ValueError(f"cannot go on: {name} has another command line now")

    # -------------------------------------------------------------------- the runs

    def plan(self, number):
        """The runs of a round: all allocators of a workload one after the other, each
        round beginning with another one."""
        for workload in self.workloads:
            serving = [a for a in self.list if a.serves(workload)]
            turn = number % len(serving)
            for allocator in serving[turn:] + serving[:turn]:
                yield workload, allocator

    def interrupt(self, *_):
        self.interrupted = True
        raise KeyboardInterrupt

    def measure_all(self):
        # An exception alone may be lost, where Python calls something and ignores it.
        signal.signal(signal.SIGINT, self.interrupt)
        done = {}
        for row in self.results.rows():
            done[row["workload"], row["allocator"], row["round"]] = row["status"]
            if row["status"] == "ok":
                self.outputs.setdefault(row["workload"], row["output"])
            else:
                self.given_up.add((row["workload"], row["allocator"]))
        todo = [
            [(w, a) for w, a in self.plan(number) if (w.name, a.name, number) not in done]
            for number in range(self.repeats)
        ]
        total = sum(map(len, todo))
        count = 0
        for number, runs in enumerate(todo):
            expected = self.progress.left([w.name for w, _ in runs])
            if self.options.budget and number > 0 and runs:
                if self.progress.elapsed() + expected > self.options.budget:
                    self.progress.note(f"stopping after {number} rounds: out of time")
                    return
            for at, (workload, allocator) in enumerate(runs):
                later = [w.name for w, _ in runs[at:]]
                later += [w.name for rest in todo[number + 1 :] for w, _ in rest]
                self.progress.show(
                    count,
                    total,
                    f"round {number + 1}/{self.repeats}  {workload.name} on {allocator.name}",
                    self.progress.left(later),
                )
                self.one(workload, allocator, number)
                count += 1

    def one(self, workload, allocator, number):
        if (workload.name, allocator.name) in self.given_up:
            return
        if workload.name not in self.warm:
            # Unmeasured: brings programs and inputs into the page cache.
            self.warm.add(workload.name)
            self.attempt(workload, self.list[0])
        begin = time.monotonic()
        row = {
            "workload": workload.name,
            "group": workload.group,
            "allocator": allocator.name,
            "round": number,
            "status": "ok",
        }
        row.update(self.attempt(workload, allocator))
        if row["status"] == "ok" and not workload.server:
            if self.outputs.setdefault(workload.name, row["output"]) != row["output"]:
                row.update(status="differs", error="its output is not that of the others")
        self.results.add(row)
        if row["status"] != "ok":
            self.given_up.add((workload.name, allocator.name))
            self.progress.note(
                f"{workload.name} on {allocator.name}: {row['status']}: {row['error']}"
            )
        self.progress.learn(workload.name, time.monotonic() - begin)

    def attempt(self, workload, allocator):
        try:
            result = self.run.once(
                workload,
                self.commands[workload.name],
                allocator,
                self.preloads[workload.name, allocator.name],
                self.cpus(workload),
            )
        except measure.Failed as error:
            result = {"status": error.status, "error": without_directories(str(error))}
        except verify.NotInEffect as error:
            raise SystemExit(f"\n{workload.name} on {allocator.name}: {error}") from None
        if self.interrupted:
            raise KeyboardInterrupt
        return result

    def cpus(self, workload):
        pin = self.options.pin
        single = workload.attributes.get("pin") == "one"
        if pin == "auto":
            return str(max(os.sched_getaffinity(0))) if single else ""
        return pin.rpartition(",")[2] if single else pin

    def finish(self):
        found = summary.Summary(self.results.rows(), self.started)
        text = summary.as_text(found)
        write = {
            "summary.txt": text,
            "summary.csv": summary.as_csv(found),
            "summary.json": json.dumps(summary.as_json(found), indent=1) + "\n",
        }
        for name, content in write.items():
            path = os.path.join(self.results.directory, name)
            with open(path, "w", encoding="utf-8") as file:
                file.write(content)
        print(text, end="")
        self.progress.note(
            f"{os.path.relpath(self.results.directory)}: {found.rounds()} rounds, "
            f"{clock(self.progress.elapsed())}"
        )


def without_directories(text):
    for directory in sorted({TOP_SOURCE, TOP_BUILD}, key=len, reverse=True):
        text = text.replace(directory + "/", "")
    return text[:300]


def input_directory():
    return os.path.join(TOP_BUILD, "bench", "inputs")


def find_spawn():
    path = os.path.join(TOP_BUILD, "bench", "spawn")
    if not os.access(path, os.X_OK):
        raise ValueError("bench/spawn is not built; run `make bench/spawn` first")
    return path
