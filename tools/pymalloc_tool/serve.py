"""Asks a process that serves snapshots: PYMALLOC=serve:1 in its environment.

The process listens on the abstract unix socket pymalloc.PID.  It is asked one line, and
answers until it closes the connection.
"""

import os
import select
import socket
import struct
import time

from pymalloc_tool import errors
from pymalloc_tool.errors import Failure

LIMIT = 1 << 30
# Without a word from the process for so long, nothing more is to be expected: it is
# stopped, perhaps.
PATIENCE = 20.0


def number(digits):
    """The process's number that digits stand for."""
    if len(digits) > 10 or int(digits) > 0x7FFFFFFF:
        raise Failure(errors.NO_PROCESS, f"there is no process {digits[:20]}")
    return int(digits)


def _status(pid):
    """The lines of /proc/PID/status by name; fails if there is no such process."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
            lines = (line.partition(":") for line in file)
            return {name: value.strip() for name, _, value in lines}
    except (FileNotFoundError, ProcessLookupError):
        raise Failure(errors.NO_PROCESS, f"there is no process {pid}") from None
    except OSError as error:
        raise Failure(
            errors.NOT_SERVED, f"process {pid}: /proc cannot be read: {error.strerror}"
        ) from None


def inner_pid(pid):
    """The number that the process knows itself by: another one in a container."""
    status = _status(pid)
    if status.get("State", "").startswith("Z"):
        raise Failure(errors.NO_PROCESS, f"process {pid} has ended (its parent has not noticed)")
    words = status.get("NSpid", "").split()
    return int(words[-1]) if words and words[-1].isdigit() else pid


def other_namespaces(pid, kinds=("net", "pid", "mnt", "user")):
    """The kinds of namespace in which a process is elsewhere than we are."""
    found = []
    for kind in kinds:
        try:
            theirs = os.readlink(f"/proc/{pid}/ns/{kind}")
            if theirs != os.readlink(f"/proc/self/ns/{kind}"):
                found.append(kind)
        except OSError:
            pass
    return found


def _why_not(pid):
    if other_namespaces(pid, ("net",)):
        return Failure(
            errors.NOT_SERVED,
            f"process {pid} is in another network namespace (a container?); "
            f"try: nsenter -t {pid} -n pymalloc ...",
        )
    return Failure(
        errors.NOT_SERVED,
        f"process {pid} serves no snapshots: run it with PYMALLOC=serve:1 "
        f'on libpymalloc ("pymalloc check {pid}" tells more)',
    )


def _connect(pid):
    name = f"\0pymalloc.{inner_pid(pid)}".encode()
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    connection.settimeout(PATIENCE)
    try:
        connection.connect(name)
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    except (TimeoutError, socket.timeout, BlockingIOError):
        connection.close()
        raise Failure(errors.NOT_SERVED, f"process {pid} does not answer") from None
    except OSError:
        connection.close()
        raise _why_not(pid) from None
    owner = struct.unpack("3i", credentials)[0]
    # Anybody may listen under any name.  0: a process that we cannot see.
    if owner not in (0, pid):
        connection.close()
        raise Failure(
            errors.NOT_SERVED, f"process {pid} serves no snapshots, but process {owner} "
            "listens in its name"
        )
    return connection


def _broken(pid, error):
    if not os.path.exists(f"/proc/{pid}"):
        return Failure(errors.NO_PROCESS, f"process {pid} has ended")
    return Failure(
        errors.NOT_SERVED, f"process {pid} broke the connection: {error.strerror}"
    )


def _receive(connection, pid, watcher):
    """Everything until the end.  watcher: None, or has sources, file descriptors, and
    watch, which is called when one of them can be read."""
    chunks = []
    received = 0
    deadline = time.monotonic() + PATIENCE
    sources = [connection] + (watcher.sources if watcher else [])
    while received <= LIMIT:
        ready = select.select(sources, [], [], max(deadline - time.monotonic(), 0))[0]
        if not ready:
            raise Failure(errors.NOT_SERVED, f"process {pid} does not answer")
        if ready != [connection] and watcher:
            watcher.watch()
        if connection in ready:
            try:
                chunk = connection.recv(1 << 20)
            except OSError as error:
                # One that refuses us closes without reading what we ask.
                if not (chunks and isinstance(error, ConnectionResetError)):
                    raise _broken(pid, error) from None
                chunk = b""
            if not chunk:
                return b"".join(chunks)
            chunks.append(chunk)
            received += len(chunk)
            deadline = time.monotonic() + PATIENCE
    raise Failure(errors.DATA, f"process {pid}: the answer has no end")


def ask(pid, request, watcher=None):
    """The answer of a process to a line, as bytes."""
    with _connect(pid) as connection:
        try:
            connection.sendall(request.encode() + b"\n")
        except OSError:
            # A process that refuses us may have answered and closed already.
            pass
        answer = _receive(connection, pid, watcher)
    if not answer:
        raise Failure(errors.NOT_SERVED, f"process {pid} gave no answer")
    return answer


def is_served(pid):
    """Whether a socket of the process's name is listening, without asking it."""
    try:
        wanted = f"@pymalloc.{inner_pid(pid)}"
        with open(f"/proc/{pid}/net/unix", encoding="utf-8", errors="replace") as file:
            return any(line.split()[-1] == wanted for line in file)
    except OSError:
        return None
