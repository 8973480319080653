"""Deterministic work for CPython: prints a line of digests for each part."""

import collections
import decimal
import gc
import hashlib
import json
import multiprocessing
import pickle
import queue
import random
import re
import sqlite3
import threading
import weakref
import xml.etree.ElementTree
import zlib


def digest(value):
    text = value if isinstance(value, bytes) else repr(value).encode()
    return hashlib.sha256(text).hexdigest()[:16]


def containers():
    draw = random.Random(1)
    table = {}
    for i in range(400_000):
        key = f"key{draw.randrange(60_000)}"
        if draw.random() < 0.4:
            table.pop(key, None)
        else:
            table.setdefault(key, []).append((i, i / 3, str(i)))
    flat = sorted(item for items in table.values() for item in items)
    counts = collections.Counter(len(items) for items in table.values())
    ring = collections.deque(maxlen=1000)
    for item in flat:
        ring.append([item, *item])
    sets = [set(range(i % 50, i % 90)) for i in range(5000)]
    return len(table), digest(flat), sorted(counts.items())[:4], len(ring), len(set.union(*sets))


class Node:
    def __init__(self, name, parent=None):
        self.name = name
        self.parent = parent
        self.children = []


class Slotted:
    __slots__ = ("left", "right", "__weakref__")

    def __init__(self, left, right):
        self.left = left
        self.right = right


def classes():
    draw = random.Random(2)
    sizes = []
    for _ in range(4):
        nodes = [Node("root")]
        for i in range(40_000):
            parent = draw.choice(nodes)
            nodes.append(Node("n" * draw.randrange(60), parent))
            parent.children.append(nodes[-1])
        sizes.append(sum(len(node.name) for node in nodes))
        del nodes, parent
        gc.collect()
    slotted = [Slotted(i, str(i)) for i in range(50_000)]
    references = [weakref.ref(item) for item in slotted]
    del slotted[::2]
    made = [type(f"Made{i}", (Node,), {"value": i})(str(i)) for i in range(800)]
    return sizes, sum(r() is not None for r in references), sum(m.value for m in made)


def text():
    draw = random.Random(3)
    words = ["".join(draw.choices("abcdefgäöü漢", k=draw.randrange(1, 14))) for _ in range(80_000)]
    whole = " ".join(words)
    swapped = re.sub(r"(\w)(\w+)", r"\2\1", whole)
    found = re.findall(r"\b(\w*(\w)\2\w*)\b", whole)
    formatted = "".join(f"{word:>15}|{len(word):04d}\n" for word in words)
    parts = [digest(w) for w in (whole, swapped, len(found), formatted, whole.encode("utf-16"))]
    grown = bytearray()
    for word in words:
        grown += word.encode()
        if len(grown) % 7 == 0:
            del grown[: len(grown) // 3]
    return parts, digest(bytes(grown)), re.escape(whole[:20])


def serialisers():
    draw = random.Random(4)
    data = [
        {"id": i, "name": "n" * draw.randrange(40), "tags": [draw.random() for _ in range(i % 6)]}
        for i in range(40_000)
    ]
    encoded = json.dumps(data)
    pickled = pickle.dumps(data)
    root = xml.etree.ElementTree.Element("root")
    for item in data[:15_000]:
        child = xml.etree.ElementTree.SubElement(root, "item", id=str(item["id"]))
        child.text = item["name"]
    tree = xml.etree.ElementTree.tostring(root)
    parsed = xml.etree.ElementTree.fromstring(tree)
    packed = zlib.compress(encoded.encode(), 6)
    return (
        digest(encoded), json.loads(encoded) == data, pickle.loads(pickled) == data, len(pickled),
        digest(tree), len(parsed), len(packed), zlib.decompress(packed).decode() == encoded,
    )


def database():
    connection = sqlite3.connect("work.db")
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, value REAL)")
    rows = ((i, f"name{i * 7919 % 10007}", i / 7) for i in range(60_000))
    connection.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
    connection.execute("CREATE INDEX i ON t (name, value)")
    connection.create_function("twist", 1, lambda name: name[::-1])
    connection.commit()
    query = "SELECT twist(name), count(*), sum(value) FROM t GROUP BY name ORDER BY name"
    grouped = connection.execute(query).fetchall()
    dumped = "\n".join(connection.iterdump())
    connection.close()
    return digest(grouped), digest(dumped)


def numbers():
    with decimal.localcontext() as context:
        context.prec = 400
        x = decimal.Decimal(2)
        roots = [str((x + i).sqrt())[-10:] for i in range(800)]
        total = sum((decimal.Decimal(1) / i for i in range(1, 3000)), decimal.Decimal(0))
    factorial = 1
    for i in range(1, 3000):
        factorial *= i
    return digest(roots), str(total)[:30], digest(hex(factorial)), pow(3, 10**5, 10**60 + 7)


def threads():
    """Objects made in one thread die in another."""
    results = queue.Queue()
    work = queue.Queue(maxsize=50)

    def produce(number):
        draw = random.Random(number)
        for i in range(1500):
            work.put([{"from": number, "text": "t" * draw.randrange(200)} for _ in range(i % 30)])

    def consume():
        count = length = 0
        while (batch := work.get()) is not None:
            count += len(batch)
            length += sum(len(item["text"]) for item in batch)
        results.put((count, length))

    consumers = [threading.Thread(target=consume) for _ in range(3)]
    producers = [threading.Thread(target=produce, args=(n,)) for n in range(4)]
    for thread in consumers + producers:
        thread.start()
    for thread in producers:
        thread.join()
    for _ in consumers:
        work.put(None)
    for thread in consumers:
        thread.join()
    totals = [results.get() for _ in consumers]
    short = []
    for i in range(1000):
        thread = threading.Thread(target=lambda: short.append([0] * 50))
        thread.start()
        thread.join()
    return sum(c for c, _ in totals), sum(n for _, n in totals), len(short)


SHARED = [{"number": i, "text": str(i)} for i in range(100_000)]


def task(number):
    """Runs in a forked child: frees part of what it inherited."""
    SHARED[:] = [item for item in SHARED if item["number"] % 7 != number % 7]
    gc.collect()
    return number, len(SHARED), digest([str(i) * (i % 20) for i in range(20_000)])


def processes():
    """Forks while threads of the parent allocate."""
    stop = threading.Event()

    def disturb():
        while not stop.is_set():
            [str(i) for i in range(1000)]

    noise = [threading.Thread(target=disturb) for _ in range(2)]
    for thread in noise:
        thread.start()
    context = multiprocessing.get_context("fork")
    with context.Pool(3, maxtasksperchild=2) as pool:
        results = pool.map(task, range(8), chunksize=1)
    stop.set()
    for thread in noise:
        thread.join()
    return digest([(number, made) for number, _, made in results])


def main():
    parts = (containers, classes, text, serialisers, database, numbers, threads, processes)
    for part in parts:
        print(part.__name__, part(), flush=True)


main()
