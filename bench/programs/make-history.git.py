"""Makes a git repository with a history of many small commits to text files, by
feeding git fast-import; every commit has the same author and a fixed date."""
import subprocess
import sys

from generate import Random

FILES = 60
COMMITS = 2600
WORDS = ("alloc", "free", "pool", "arena", "block", "class", "thread", "heap", "page")


def line(random):
    return " ".join(random.pick(WORDS) for _ in range(4 + random.below(6)))


def commit(number, path, text):
    data = text.encode("ascii")
    message = f"change {number} to {path}\n".encode("ascii")
    return b"".join(
        (
            b"commit refs/heads/main\n",
            b"committer Bench <bench@example.org> %d +0000\n" % (1700000000 + number * 60),
            b"data %d\n%s" % (len(message), message),
            b"M 100644 inline %s\n" % path.encode("ascii"),
            b"data %d\n%s\n" % (len(data), data),
        )
    )


def main():
    random = Random(5)
    files = [[line(random) for _ in range(600)] for _ in range(FILES)]
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", sys.argv[1]], check=True)
    stream = []
    for number in range(COMMITS):
        which = number % FILES if number < FILES else random.below(FILES)
        content = files[which]
        for _ in range(1 + random.below(40)):
            at = random.below(len(content))
            content[at : at + random.below(3)] = [line(random)]
        path = f"dir{which % 7}/file{which}.txt"
        stream.append(commit(number, path, "\n".join(content) + "\n"))
    subprocess.run(
        ["git", "-C", sys.argv[1], "fast-import", "--quiet"],
        input=b"".join(stream),
        check=True,
    )


main()
