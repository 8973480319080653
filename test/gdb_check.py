"""Run in gdb by gdb.sh: gives the commands in a file of gdb_probe.c's, and compares what
they print with what the file says.  Spaces are taken as one, and at the ends as none.
"""

import os
import re

import gdb


def read_checks(path):
    """Names, and for each its lines: commands, and what their output is to match."""
    checks = {}
    with open(path, encoding="ascii") as lines:
        for line in lines:
            kind, text = line[0], line[2:].rstrip("\n")
            if kind == "?":
                checks[text] = []
            else:
                list(checks.values())[-1].append((kind, text))
    return checks


def output_of(command):
    try:
        text = gdb.execute(command, to_string=True)
    except gdb.error as error:
        text = str(error)
    return "\n".join(" ".join(line.split()) for line in text.split("\n"))


def differences(lines):
    output = ""
    for kind, text in lines:
        if kind == "!":
            output = output_of(text)
        elif not re.search(text, output, re.MULTILINE):
            yield "wanted: %s\n%s" % (text, output)


def compare(path):
    for name, lines in read_checks(path).items():
        found = list(differences(lines))
        print("%s: %s" % ("differs" if found or not lines else "same", name))
        for difference in found:
            print(re.sub("^", "  ", difference, flags=re.MULTILINE))
    print("compared")


compare(os.environ["PYM_GDB_CHECKS"])
