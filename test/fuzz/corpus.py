#!/usr/bin/env python3
"""Corpora: one text file each, an input a line; see test/fuzz/replay.h.

    corpus.py unpack FILE DIR   writes each input to a file of its own, for a fuzzer
    corpus.py pack DIR... FILE  writes the inputs in the folders to one file
    corpus.py choose MAPS DIR   leaves only a few inputs in the folder, which together
                                reach what all do: afl-showmap has written to MAPS what
                                each reaches
"""
import hashlib
import os
import sys


def encode(data):
    return "".join(
        chr(byte) if 0x20 < byte < 0x7F and byte not in b"%#" else f"%{byte:02x}"
        for byte in data
    )


def decode(line):
    parts = line.rstrip("\n").split("%")
    data = bytearray(parts[0].encode("latin-1"))
    for part in parts[1:]:
        data.append(int(part[:2], 16))
        data += part[2:].encode("latin-1")
    return bytes(data)


def comments(path):
    """What stands at the head of a corpus file stays there."""
    if not os.path.exists(path):
        return []
    with open(path, encoding="latin-1") as text:
        return [line for line in text if line.startswith("#")]


def unpack(path, folder):
    os.makedirs(folder, exist_ok=True)
    with open(path, encoding="latin-1") as text:
        for line in text:
            if line.startswith("#") or line == "\n":
                continue
            data = decode(line)
            name = hashlib.sha1(data).hexdigest()
            with open(os.path.join(folder, name), "wb") as out:
                out.write(data)


def pack(folders, path):
    inputs = set()
    for folder in folders:
        for name in os.listdir(folder):
            with open(os.path.join(folder, name), "rb") as data:
                inputs.add(data.read())
    head = comments(path)
    with open(path, "w", encoding="latin-1") as out:
        out.writelines(head)
        for data in sorted(inputs, key=lambda data: (len(data), data)):
            if data:
                out.write(encode(data) + "\n")


def choose(maps, folder):
    """Greedy: the input that adds most is next, the smaller of two that add the same."""
    reached, size = {}, {}
    for name in os.listdir(folder):
        path = os.path.join(maps, name)
        size[name] = os.path.getsize(os.path.join(folder, name))
        reached[name] = set()
        if os.path.exists(path):
            with open(path, encoding="ascii") as text:
                # "edge:count"; how often would take many more inputs
                reached[name] = {word.split(":")[0] for word in text.read().split()}
    missing = set().union(*reached.values()) if reached else set()
    chosen = set()
    while missing:
        best = max(reached, key=lambda name: (len(reached[name] & missing), -size[name]))
        chosen.add(best)
        missing -= reached[best]
    for name in set(reached) - chosen:
        os.remove(os.path.join(folder, name))


def main(words):
    if len(words) == 3 and words[0] == "unpack":
        unpack(words[1], words[2])
    elif len(words) == 3 and words[0] == "choose":
        choose(words[1], words[2])
    elif len(words) >= 3 and words[0] == "pack":
        pack(words[1:-1], words[-1])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
