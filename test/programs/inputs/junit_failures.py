"""Prints what ran and what failed in a regression test run of CPython.

usage: junit_failures.py RESULTS.xml LOG
"""

import collections
import re
import sys
import xml.etree.ElementTree


def main(results, log):
    ran = collections.Counter()
    failed = []
    for case in xml.etree.ElementTree.parse(results).iter("testcase"):
        name = case.get("name")
        module = ".".join(name.split(".")[:2])
        ran[module] += 1
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(name)
    for module in sorted(ran):
        print(module, ran[module])
    # A process that died left no results, only a line in the log.
    with open(log) as lines:
        for line in lines:
            ended = re.search(r"\] (test_\w+) (crashed|failed|timed out|worker)", line)
            if ended:
                failed.append(f"{ended[1]} {ended[2]}")
    print("failed:", *sorted(set(failed)) or ["none"], sep="\n")


main(*sys.argv[1:])
