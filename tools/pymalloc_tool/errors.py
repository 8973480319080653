"""How a subcommand fails: one line on standard error, and a status that tells why."""

import argparse

NO = 1
USAGE = 2
NO_PROCESS = 3
NOT_SERVED = 4
REFUSED = 5
FILE = 6
DATA = 7
UNABLE = 125
INTERRUPTED = 130

STATUSES = """\
exit status:
  0    done
  2    wrong usage
  3    there is no such process, or it has ended
  4    the process does not answer: not run with PYMALLOC=serve:1, or out of reach
  5    the process refuses to answer this user, or this question
  6    a file cannot be read or written
  7    the data is no snapshot, damaged, or of a newer version
  125  the tool cannot run (no python3)
  130  ended by Ctrl-C (top ends so with 0)
"""


class Failure(Exception):
    """Ends the tool with a message and one of the statuses above."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are a line like all others."""

    def __init__(self, name, usage, description, epilog=STATUSES):
        super().__init__(
            prog=f"pymalloc {name}",
            usage=f"pymalloc {name} {usage}",
            description=description,
            epilog=epilog,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def error(self, message):
        raise Failure(USAGE, f"{message} (see {self.prog} --help)")


def os_error(error, doing):
    """The failure that an OSError stands for."""
    return Failure(FILE, f"{doing}: {error.strerror or error}")
