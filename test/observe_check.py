"""What observe.sh knows of snapshots.  Prints nothing if all is well.

    observe_check.py FILE [EXPRESSION...]

FILE: a snapshot of the library, or "-".  It must have every member that
doc/OBSERVING.md names, of the right type, and sums that agree.  Each expression must
then be true; "s" is the snapshot and "c" a function from a size to its class.

    observe_check.py --xml FILE SNAPSHOT

What malloc_info wrote, element by element and attribute by attribute, is what the
snapshot tells of the same moment.

    observe_check.py --ask PID WORD [EXPRESSION...]

The same of what the process answers to a word; with --error instead of an expression,
the answer must be an error.  --as UID before that asks as another user; --beside UID
asks while that user says something without an end; --across asks while the process
forks at a signal SIGUSR1.
"""

import contextlib
import json
import os
import signal
import socket
import sys
import time
from xml.etree import ElementTree

NUMBERS = {
    "": "pymalloc pid time_ns uptime_ns",
    "small": "allocs frees remote_frees live_blocks live_bytes held_bytes backlog_blocks",
    "large": "allocs frees live_blocks cache_hits cached_blocks cached_bytes",
    "arenas": "size used peak reserved_bytes",
    "pools": "size used peak dirty_bytes purged_bytes",
    "heaps": "made orphaned live",
    "process": "rss_bytes rss_peak_bytes anon_huge_bytes virtual_bytes swap_bytes threads",
}
BACKEND = "heap_bytes mapped_bytes mapped_blocks used_bytes free_bytes top_bytes"
CLASS = "size allocs live_blocks live_bytes pools capacity_blocks held_bytes"
wrong = []


def want(condition, what):
    if not condition:
        wrong.append(what)


def numbers(where, names, name):
    for member in names.split():
        value = where.get(member)
        want(isinstance(value, int) and 0 <= value < 2**63, f"{name}.{member}: {value!r}")


def check_classes(s):
    classes = s["classes"]
    want([c["size"] for c in classes] == [16 * (i + 1) for i in range(32)], "class sizes")
    for c in classes:
        numbers(c, CLASS, f"class {c['size']}")
        want(c["live_bytes"] == c["live_blocks"] * c["size"], f"live_bytes of {c['size']}")
        want(c["live_blocks"] <= c["capacity_blocks"], f"capacity of {c['size']}")
        want(c["live_blocks"] <= c["allocs"], f"allocs of {c['size']}")
        want(c["held_bytes"] == c["pools"] * s["pools"]["size"], f"held of {c['size']}")
        asked = c["asked_bytes"]
        if s["library"] == "plain":
            want(asked is None, f"asked of {c['size']}")
        else:
            want(asked <= c["live_bytes"], f"asked of {c['size']}: {asked}")
    for member, total in (("live_blocks", "live_blocks"), ("live_bytes", "live_bytes"),
                          ("allocs", "allocs"), ("held_bytes", "held_bytes")):
        want(sum(c[member] for c in classes) == s["small"][total], f"sum of {member}")
    want(sum(c["pools"] for c in classes) == s["pools"]["used"], "sum of pools")


def check_map(s):
    live = {c["size"]: 0 for c in s["classes"]}
    for arena in s["map"]:
        want(int(arena["address"], 16) % s["arenas"]["size"] == 0, arena["address"])
        want(len(arena["pools"]) == 16, f"pools of {arena['address']}")
        for state, size, blocks, capacity, heap in arena["pools"]:
            if state == 1:
                want(blocks <= capacity <= s["pools"]["size"] // size, "a pool's blocks")
                want(1 <= heap <= s["heaps"]["made"], f"heap {heap}")
                live[size] += blocks
            else:
                want([size, blocks, capacity, heap] == [0] * 4 and state in (0, 2, 3),
                     f"state {state}")
    want(live == {c["size"]: c["live_blocks"] for c in s["classes"]}, "the map's sums")
    used = sum(1 for a in s["map"] if any(p[0] == 1 for p in a["pools"]))
    want(used == s["arenas"]["used"], f"{used} arenas of the map are used")


def check(text, expressions):
    want(text.endswith("\n") and text.count("\n") == 1, "one line")
    s = json.loads(text)
    for name, names in NUMBERS.items():
        numbers(s[name] if name else s, names, name)
    want(s["library"] in ("plain", "hardened"), "library")
    if s["backend"] is not None:
        numbers(s["backend"], BACKEND, "backend")
    want(s["small"]["allocs"] - s["small"]["frees"] == s["small"]["live_blocks"], "frees")
    want(all(isinstance(v, str) for v in s["options"].values()), "options")
    check_classes(s)
    if "map" in s:
        check_map(s)
    for expression in expressions:
        want(eval(expression, {"s": s, "c": lambda size: s["classes"][size // 16 - 1]}),
             f"{expression} is not so")


# What the kernel counts goes on meanwhile.
MOVING = {"rss_bytes", "rss_peak_bytes", "anon_huge_bytes", "virtual_bytes"}


def same_members(element, members, name):
    attributes = dict(element.attrib)
    members = {key: value for key, value in members.items()
               if value is not None and isinstance(value, int)}
    want(attributes.keys() == members.keys(), f"members of {name}: {attributes}")
    for key, value in members.items():
        want(key in MOVING or attributes.get(key) == str(value),
             f"{name}.{key}: {attributes.get(key)}, not {value}")


def check_xml(text, snapshot):
    s = json.loads(snapshot)
    root = ElementTree.fromstring(text)
    for name in ("small", "large", "backend", "arenas", "pools", "heaps", "process"):
        same_members(root.find(name), s[name], name)
    for element, members in zip(root.find("classes"), s["classes"], strict=True):
        same_members(element, members, f"class {members['size']}")
    heap = s["small"]["held_bytes"] + s["pools"]["dirty_bytes"] + s["backend"]["heap_bytes"]
    want(int(root.find("system").get("size")) == heap, f"the system's {heap} bytes")


def read(name):
    if name == "-":
        return sys.stdin.read()
    with open(name, encoding="utf-8") as file:
        return file.read()


ACROSS = False


def ask_once(pid, word):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(20)
    client.connect(f"\0pymalloc.{pid}")
    if ACROSS:
        time.sleep(0.5)
        os.kill(int(pid), signal.SIGUSR1)
        time.sleep(0.5)
    with contextlib.suppress(BrokenPipeError):  # refused already
        client.sendall(word.encode() + b"\n")
    answer = b""
    while part := client.recv(65536):
        answer += part
    return answer.decode()


def ask(pid, word):
    """Where the socket was closed, another one comes within a second."""
    for _ in range(20):
        try:
            return ask_once(pid, word)
        except ConnectionError as error:
            failure = error
            time.sleep(0.1)
    raise failure


@contextlib.contextmanager
def endless_client(pid, user):
    child = os.fork()
    if child == 0:
        os.setuid(user)
        client = socket.socket(socket.AF_UNIX)
        client.connect(f"\0pymalloc.{pid}")
        with contextlib.suppress(BrokenPipeError):
            while True:
                client.sendall(b"x")
                time.sleep(0.3)
        os._exit(0)
    time.sleep(1)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def main(arguments):
    if arguments[0] == "--beside":
        with endless_client(arguments[3], int(arguments[1])):
            return main(arguments[2:])
    if arguments[0] == "--across":
        global ACROSS
        ACROSS = True
        arguments = arguments[1:]
    if arguments[0] == "--as":
        os.setuid(int(arguments[1]))
        arguments = arguments[2:]
    if arguments[0] == "--ask":
        text = ask(arguments[1], arguments[2])
        arguments = arguments[2:]
        if arguments[1:2] == ["--error"]:
            want(list(json.loads(text)) == ["error"], text)
            arguments = []
    elif arguments[0] == "--xml":
        check_xml(read(arguments[1]), read(arguments[2]))
        arguments = []
    else:
        text = read(arguments[0])
    if arguments:
        check(text, arguments[1:])
    for line in wrong:
        print(line)
    return 1 if wrong else 0


sys.exit(main(sys.argv[1:]))
