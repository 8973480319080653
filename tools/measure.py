"""Runs commands in turns and prints the time and the peak memory of each.

measure.py [--runs N] LABEL=COMMAND...

Every command runs N times (default 3), in turns, so that a busy moment of the
machine does not hit one of them only.  Medians are printed.  The first run of
each shows its output; the others have to print the same to standard output.
"""

import argparse
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time


def run_once(command):
    """Returns seconds, peak resident KiB and the output, or exits if it fails."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        start = time.monotonic()
        child = subprocess.Popen(command, stdout=output, stderr=errors)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.monotonic() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        texts = output.read().decode(), errors.read().decode()
    if child.returncode != 0:
        sys.stderr.write("".join(texts))
        sys.exit(f"measure: {shlex.join(command)}: exit status {child.returncode}")
    return seconds, usage.ru_maxrss, texts


def main():
    parser = argparse.ArgumentParser(usage="measure.py [--runs N] LABEL=COMMAND...")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("commands", nargs="+")
    arguments = parser.parse_args()

    labels, commands = [], []
    for text in arguments.commands:
        label, _, command = text.partition("=")
        labels.append(label)
        commands.append(shlex.split(command))

    seconds = [[] for _ in commands]
    peaks = [[] for _ in commands]
    first = [""] * len(commands)
    for turn in range(arguments.runs):
        for i, command in enumerate(commands):
            took, peak, (output, errors) = run_once(command)
            seconds[i].append(took)
            peaks[i].append(peak)
            if turn == 0:
                first[i] = output
                print(f"--- {labels[i]}: {shlex.join(command)}")
                print(output + errors, flush=True)
            elif output != first[i]:
                sys.exit(f"measure: {labels[i]}: prints something else in run {turn + 1}")

    width = max(map(len, labels))
    print(f"{'':{width}}  {'wall time':>10}  {'peak memory':>11}"
          f"   (medians of {arguments.runs} runs in turns)")
    for label, times, kibs in zip(labels, seconds, peaks):
        print(f"{label:{width}}  {statistics.median(times):8.2f} s"
              f"  {statistics.median(kibs) / 1024:7.1f} MiB")


if __name__ == "__main__":
    main()
