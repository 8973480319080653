"""The results of a run of benchmarks: a directory with

    raw.csv     a line for every measured process, appended as soon as it is known;
                it is the checkpoint that a broken-off run goes on from
    rss.csv     samples of RSS over time, of the workloads that take them
    meta.json   machine, versions, commit, command line, the workloads' command lines
    summary.*   written at the end, from the three above
"""
import csv
import datetime
import io
import json
import os

FIELDS = (
    "workload group allocator round status wall_s time_s user_s sys_s cpu_s peak_rss_kb "
    "minflt majflt nivcsw verified output extra error"
).split()
SAMPLE_FIELDS = ("workload", "allocator", "t_ms", "kb")
NUMBERS = ("wall_s", "time_s", "user_s", "sys_s", "cpu_s")
COUNTS = ("round", "peak_rss_kb", "minflt", "majflt", "nivcsw")


def new_directory(parent, suffix):
    """A directory named by the day; a number is added to a second one."""
    day = datetime.date.today().isoformat()
    for number in range(1, 1000):
        name = f"{day}{suffix}" + (f"-{number}" if number > 1 else "")
        path = os.path.join(parent, name)
        try:
            os.makedirs(path)
            return path
        except FileExistsError:
            continue
    raise SystemExit(f"too many results of {day}")


def newest_directory(parent):
    """The results that were written to last; None if there are none."""
    found = []
    for name in os.listdir(parent) if os.path.isdir(parent) else ():
        path = os.path.join(parent, name, "raw.csv")
        if os.path.exists(path):
            found.append((os.stat(path).st_mtime, os.path.dirname(path)))
    return max(found)[1] if found else None


def to_line(values):
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerow(values)
    return buffer.getvalue()


def append(path, text):
    with open(path, "a", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


class Results:
    def __init__(self, directory):
        self.directory = directory
        self.raw = os.path.join(directory, "raw.csv")
        self.rss = os.path.join(directory, "rss.csv")
        self.meta = os.path.join(directory, "meta.json")

    def exists(self):
        return os.path.exists(self.raw)

    def begin(self, meta):
        os.makedirs(self.directory, exist_ok=True)
        self.write_meta(meta)
        append(self.raw, to_line(FIELDS))
        append(self.rss, to_line(SAMPLE_FIELDS))

    def write_meta(self, meta):
        with open(self.meta + ".new", "w", encoding="utf-8") as file:
            json.dump(meta, file, indent=1)
            file.write("\n")
        os.replace(self.meta + ".new", self.meta)

    def read_meta(self):
        with open(self.meta, encoding="utf-8") as file:
            return json.load(file)

    def drop_unfinished_line(self):
        """Removes what a power cut or a kill may have left of a last line."""
        for path in (self.raw, self.rss):
            with open(path, "rb+") as file:
                whole = file.read()
                file.truncate(whole.rfind(b"\n") + 1)

    def add(self, row):
        row = dict(row)
        samples = row.pop("samples", ())
        row["extra"] = ";".join(f"{k}={v}" for k, v in row.get("extra", {}).items())
        for name in NUMBERS:
            if name in row:
                row[name] = f"{row[name]:.6f}"
        append(self.raw, to_line([row.get(name, "") for name in FIELDS]))
        if samples and row["round"] == 0:
            lines = (to_line((row["workload"], row["allocator"], t, kb)) for t, kb in samples)
            append(self.rss, "".join(lines))

    def rows(self):
        result = []
        with open(self.raw, encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                for name in NUMBERS:
                    row[name] = float(row[name]) if row[name] else None
                for name in COUNTS:
                    row[name] = int(row[name]) if row[name] else None
                pairs = filter(None, row["extra"].split(";"))
                row["extra"] = dict(pair.split("=", 1) for pair in pairs)
                result.append(row)
        return result

    def samples(self):
        """{workload: {allocator: [(ms, KiB), ...]}}"""
        result = {}
        with open(self.rss, encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                series = result.setdefault(row["workload"], {})
                point = (int(row["t_ms"]), int(row["kb"]))
                series.setdefault(row["allocator"], []).append(point)
        return result
