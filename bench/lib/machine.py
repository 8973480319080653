"""What is recorded of the machine and of the sources.  Nothing that names the machine
itself: no host name, no user, no directory."""
import os
import platform
import re

from .allocators import ask


def read(path, default=""):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return default


def processor():
    """Its name, and its family and model where the name alone says little."""
    info = read("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", info, re.M)
    name = found[1] if found else platform.machine()
    numbers = [re.search(rf"^{key}\s*:\s*(\d+)$", info, re.M) for key in ("cpu family", "model")]
    if all(numbers):
        name += f" (family {numbers[0][1]}, model {numbers[1][1]})"
    return re.sub(r"\s+", " ", name)


def distribution():
    found = re.search(r'^PRETTY_NAME="?([^"\n]+)', read("/etc/os-release"), re.M)
    return found[1] if found else ""


def memory_gib():
    found = re.search(r"^MemTotal:\s*(\d+)", read("/proc/meminfo"), re.M)
    return round(int(found[1]) / 2**20, 1) if found else 0


def caches():
    """Sizes of the caches of processor 0, such as {"L2": "1024K"}."""
    base = "/sys/devices/system/cpu/cpu0/cache"
    result = {}
    for entry in sorted(os.listdir(base)) if os.path.isdir(base) else ():
        level = read(f"{base}/{entry}/level")
        kind = read(f"{base}/{entry}/type")
        if level and kind != "Instruction":
            result[f"L{level}"] = read(f"{base}/{entry}/size")
    return result


def describe():
    return {
        "processor": processor(),
        "processors": len(os.sched_getaffinity(0)),
        "caches": caches(),
        "memory_gib": memory_gib(),
        "virtual": "hypervisor" in read("/proc/cpuinfo"),
        "kernel": platform.release().partition("-")[0],
        "distribution": distribution(),
        "libc": " ".join(platform.libc_ver()),
        "huge_pages": read("/sys/kernel/mm/transparent_hugepage/enabled"),
        "governor": read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "load": [round(load, 2) for load in os.getloadavg()],
    }


def commit_of(directory):
    """The commit of the sources, "" outside a checkout; "+" when files differ."""
    if not os.path.exists(os.path.join(directory, ".git")):
        return ""
    commit = ask("git", "-C", directory, "rev-parse", "--short=12", "HEAD")
    changed = ask("git", "-C", directory, "status", "--porcelain", "--untracked-files=no")
    return commit + ("+" if commit and changed else "")
