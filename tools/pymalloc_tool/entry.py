"""From the launcher to a subcommand: finds its module, and ends in good order."""

import contextlib
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


def _open_missing():
    """Opens streams that the caller has closed so that using them is an error, as in other
    programs, and not a crash.  No file of ours may get their numbers."""
    for name, mode, flags in (
        ("stdin", "r", os.O_WRONLY),
        ("stdout", "w", os.O_RDONLY),
        # There is nobody left to be told.
        ("stderr", "w", os.O_WRONLY),
    ):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.open(os.devnull, flags), mode, encoding="utf-8"))


def _finish(name, arguments):
    """The subcommand's status, once all that it has written has been taken."""
    try:
        status = _run(name, arguments)
    except SystemExit as end:  # after --help
        status = end.code or 0
    sys.stdout.flush()
    return status


def _tell(failure):
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    with contextlib.suppress(OSError):
        print(f"pymalloc: {text.clean(str(failure))}", file=sys.stderr)
    return failure.status


def _settle():
    """What nobody takes any more goes nowhere: Python would try again when it ends, complain,
    and end with a status of its own."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def main(launcher_file, name, arguments):
    global launcher
    launcher = launcher_file
    _open_missing()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")
    try:
        return _finish(name, arguments)
    except errors.Failure as failure:
        return _tell(failure)
    except BrokenPipeError:
        # The reader of our output has seen enough.
        return 0
    except OSError as error:
        return _tell(errors.os_error(error, error.filename or "standard output"))
    except KeyboardInterrupt:
        return errors.INTERRUPTED
    finally:
        _settle()
