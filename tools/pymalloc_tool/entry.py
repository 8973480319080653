"""From the launcher to a subcommand: finds its module, and ends in good order."""

import importlib
import importlib.util
import os
import sys

from pymalloc_tool import errors, text

# The launcher's file: it knows how to check a program (see check.py).
launcher = None


def _run(name, arguments):
    module = f"pymalloc_tool.{name}"
    if importlib.util.find_spec(module) is None:
        raise errors.Failure(errors.UNABLE, f"{name} is not part of this installation")
    return importlib.import_module(module).main(arguments)


def _leave_quietly():
    """The reader of our output has gone: nothing more can be said there."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(launcher_file, name, arguments):
    global launcher
    launcher = launcher_file
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")
    try:
        status = _run(name, arguments)
        sys.stdout.flush()
        return status
    except errors.Failure as failure:
        sys.stdout.flush()
        print(f"pymalloc: {text.clean(str(failure))}", file=sys.stderr)
        return failure.status
    except BrokenPipeError:
        _leave_quietly()
        return 0
    except KeyboardInterrupt:
        return errors.INTERRUPTED
