"""Talks to a memcached on a Unix socket; prints what it read, as digests."""

import hashlib
import random
import socket
import sys
import threading

THREADS = 4
ROUNDS = 15000


class Client:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.file = self.socket.makefile("rwb")

    def line(self, text, data=None):
        self.file.write(text.encode() + b"\r\n")
        if data is not None:
            self.file.write(data + b"\r\n")
        self.file.flush()
        return self.file.readline().strip()

    def get(self, keys):
        header = self.line("get " + " ".join(keys))
        values = {}
        while header != b"END":
            _, key, _, size = header.split()
            values[key.decode()] = self.file.read(int(size))
            self.file.read(2)
            header = self.file.readline().strip()
        return values

    def stats(self, *wanted):
        header = self.line("stats")
        found = {}
        while header != b"END":
            _, name, value = header.decode().split(" ", 2)
            found[name] = value
            header = self.file.readline().strip()
        return [f"{name} {found[name]}" for name in wanted]


def work(path, number, results):
    """Works on keys of its own, against a model."""
    client = Client(path)
    draw = random.Random(number)
    model = {}
    digest = hashlib.sha256()
    for _ in range(ROUNDS):
        key = f"client{number}-{draw.randrange(600)}"
        action = draw.random()
        if action < 0.4:
            model[key] = draw.randbytes(draw.choice((10, 100, 1000, 20000)))
            reply = client.line(f"set {key} 0 0 {len(model[key])}", model[key])
            assert reply == b"STORED", reply
        elif action < 0.5:
            reply = client.line(f"delete {key}")
            assert reply == (b"DELETED" if model.pop(key, None) is not None else b"NOT_FOUND")
        elif action < 0.6 and key in model and len(model[key]) < 30000:
            model[key] += b"appended"
            assert client.line(f"append {key} 0 0 8", b"appended") == b"STORED"
        else:
            keys = sorted({key, *draw.sample(sorted(model), min(5, len(model)))})
            values = client.get(keys)
            assert values == {k: model[k] for k in keys if k in model}
            for k in keys:
                digest.update(values.get(k, b"-"))
    results[number] = digest.hexdigest()


def main(path):
    results = {}
    threads = [
        threading.Thread(target=work, args=(path, number, results)) for number in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(THREADS):
        print(number, results[number])  # a KeyError if that client failed
    client = Client(path)
    print(*client.stats("curr_items", "cmd_set", "get_hits", "get_misses", "delete_hits", "threads"),
          sep="\n")
    client.line("flush_all")


main(sys.argv[1])
