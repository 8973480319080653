"""Writes some megabytes of text that compresses like text."""
import sys

from generate import Random

SYLLABLES = ("ba", "co", "den", "fi", "gul", "ha", "jor", "ki", "lem", "mu", "na", "per")
BYTES = 2_000_000


def main():
    random = Random(9)
    words = [
        "".join(random.pick(SYLLABLES) for _ in range(1 + random.below(4)))
        for _ in range(3000)
    ]
    size = 0
    with open(sys.argv[1], "w", encoding="ascii") as out:
        while size < BYTES:
            count = 5 + random.below(12)
            some = [words[random.below(1 + random.below(len(words)))] for _ in range(count)]
            size += out.write(" ".join(some) + ".\n")


main()
