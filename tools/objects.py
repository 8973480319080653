"""Builds and tears down a few million small objects, and checks their content.

Three quarters of the objects die in another order than they were born in, as
in a server that has been up for a while.  With libpymalloc in the process the
last line says how many of the objects lie in its blocks; CPython asks malloc
for them only with PYTHONMALLOC=malloc in the environment.
"""

import ctypes
import sys
import zlib

ROUNDS = 4
RECORDS = 60_000


def record(number):
    """A record as a program would parse one: a dict with strings and lists."""
    return {
        "name": f"record number {number}",
        "tags": [f"tag{number % 97}", f"group{number % 13}"],
        "points": [(number + i) / 7 for i in range(6)],
        "parent": {"id": number // 10, "path": ["root", str(number // 10)]},
    }


def checksum(records, sum_so_far):
    for one in records:
        text = "%s %s %s" % (one["name"], one["tags"][1], one["points"][5])
        sum_so_far = zlib.crc32(text.encode(), sum_so_far)
    return sum_so_far


def work():
    result = 0
    kept = []
    for _ in range(ROUNDS):
        records = kept + [record(number) for number in range(RECORDS)]
        result = checksum(records, result)
        # Every fourth survives a round, so its neighbours leave holes.
        kept = records[::4]
    return result, kept


def served_by_libpymalloc(objects):
    """How many of the objects lie in small blocks of libpymalloc; None: it is
    not in this process."""
    try:
        owns = ctypes.CDLL(None).pymalloc_owns
    except AttributeError:
        return None
    owns.argtypes = [ctypes.c_void_p]
    return sum(owns(id(one)) != 0 for one in objects)


def main():
    result, kept = work()
    print(f"checksum {result:08x}")
    sample = [text for one in kept[:1000] for text in [one["name"], *one["points"]]]
    owned = served_by_libpymalloc(sample)
    if owned is None:
        print("libpymalloc is not in this process")
    else:
        print(f"{owned} of {len(sample)} sampled objects lie in blocks of libpymalloc")
        return 0 if owned == len(sample) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
