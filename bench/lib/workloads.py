"""The workloads: reading their lists, finding what they need, making their inputs.

The format of a list is described at the top of programs/programs.list.
"""
import glob
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass

SHORT_SCALE = "0.15"


class Unavailable(Exception):
    """Something that the workload needs is not on this machine."""


@dataclass
class Workload:
    name: str
    group: str
    attributes: dict
    environment: dict
    words: list

    @property
    def server(self):
        return self.attributes.get("kind") == "server"

    @property
    def groups(self):
        """Every mean that the workload takes part in."""
        return [self.group, *filter(None, self.attributes.get("also", "").split(","))]

    @property
    def command_line(self):
        """As in the list: free of this machine's paths."""
        settings = [f"{k}={v}" for k, v in self.environment.items()]
        return shlex.join(settings + self.words)


@dataclass
class Command:
    """A workload made ready to be run here."""

    argv: list
    environment: dict
    binary: str


def parse_line(line, place):
    words = shlex.split(line, comments=True)
    if not words:
        return None
    attributes, environment = {}, {}
    for at in range(2, len(words)):
        if found := re.match(r"([a-z]+)=(.*)$", words[at], re.S):
            attributes[found[1]] = found[2]
        elif found := re.match(r"([A-Z_][A-Z0-9_]*)=(.*)$", words[at], re.S):
            environment[found[1]] = found[2]
        else:
            return Workload(words[0], words[1], attributes, environment, words[at:])
    raise ValueError(f"{place}: expected a name, a group and a command")


def read_list(path):
    result = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            workload = parse_line(line, f"{os.path.basename(path)}:{number}")
            if workload is not None:
                result.append(workload)
    names = [workload.name for workload in result]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{os.path.basename(path)}: two workloads are named {name}")
    return result


class Preparer:
    """Turns workloads into commands of this machine."""

    def __init__(self, source, build, data, scale):
        self.source = source
        self.build = build
        self.data = data
        self.programs = os.path.join(source, "programs")
        self.fixed = {
            "programs": self.programs,
            "scale": scale,
            "cpus": str(len(os.sched_getaffinity(0))),
        }
        self.finders = {
            "python3": find_python,
            "cc1": find_cc1,
            "postgres": find_postgres,
        }

    def prepare(self, workload):
        """The command of a workload; raises Unavailable."""
        for program in filter(None, workload.attributes.get("needs", "").split(",")):
            if self.find_program(program) is None:
                raise Unavailable(f"{program} is not installed")
        values = dict(self.fixed)
        for name in filter(None, workload.attributes.get("input", "").split(",")):
            values[name] = self.make_input(name)
        argv = [self.expand(word, values) for word in workload.words]
        binary = self.expand(workload.attributes.get("binary", argv[0]), values)
        found = self.find_program(binary)
        if found is None:
            raise Unavailable(f"{os.path.basename(binary)} is not there")
        if not workload.server:
            argv[0] = found
        return Command(argv, dict(workload.environment), found)

    def expand(self, word, values):
        def value(match):
            name = match[1]
            if name in values:
                return values[name]
            if name in self.finders:
                values[name] = self.finders[name]()
                return values[name]
            raise ValueError(f"{{{name}}} means nothing")

        return re.sub(r"\{([a-z0-9_.-]+)\}", value, word)

    def find_program(self, name):
        if "/" in name:
            return name if os.access(name, os.X_OK) else None
        built = os.path.join(self.build, name)
        if os.path.isfile(built) and os.access(built, os.X_OK):
            return libtool_real(built)
        # Debian's own before what a user has put in front of it.
        return shutil.which(name, path=f"/usr/bin:/bin:{os.environ.get('PATH', '')}")

    def make_input(self, name):
        """Makes an input once; a change of its generator makes it anew."""
        generator = os.path.join(self.programs, f"make-{name}.py")
        with open(generator, "rb") as file:
            version = hashlib.sha256(file.read()).hexdigest()[:12]
        target = os.path.join(self.data, version, name)
        if os.path.exists(target):
            return target
        for old in glob.glob(os.path.join(self.data, "*", glob.escape(name))):
            shutil.rmtree(os.path.dirname(old))
        unfinished = target + ".new"
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.rmtree(unfinished, ignore_errors=True)
        subprocess.run([sys.executable, "-B", generator, unfinished], check=True)
        os.rename(unfinished, target)
        return target


def libtool_real(path):
    """The program itself where libtool has put a script in front of it: the script
    would be measured with it, and would carry LD_LIBRARY_PATH into it."""
    real = os.path.join(os.path.dirname(path), ".libs", os.path.basename(path))
    with open(path, "rb") as file:
        script = file.read(2) == b"#!"
    return real if script and os.access(real, os.X_OK) else path


def find_python():
    for path in ("/usr/bin/python3.11", "/usr/bin/python3"):
        if os.access(path, os.X_OK):
            return path
    raise Unavailable("python3 is not installed in /usr/bin")


def find_cc1():
    try:
        path = subprocess.run(
            ["gcc", "-print-prog-name=cc1"], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        path = ""
    if not os.path.isabs(path):
        raise Unavailable("gcc has no cc1")
    return path


def find_postgres():
    found = glob.glob("/usr/lib/postgresql/*/bin/postgres")
    if not found:
        raise Unavailable("postgres is not installed")
    return max(found, key=lambda path: float(path.split("/")[4]))
