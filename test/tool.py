"""For the tests of tools/pymalloc_tool: runs a command in this process, and plays a process
that serves snapshots and profiles."""

import contextlib
import io
import os
import socket
import sys
import threading
import time

sys.path.insert(
    0, os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "tools")
)

from pymalloc_tool import entry  # noqa: E402

# Only against a hang.
PATIENCE = 60


def run_raw(*words):
    """(status, standard output as bytes, standard error) of the tool."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = entry.main("no-launcher", words[0], list(words[1:]))
        except SystemExit as end:
            status = end.code
    for stream in (out, err):
        stream.flush()
    return status, out.buffer.getvalue(), err.buffer.getvalue().decode()


def run(*words):
    """The same, with all output as text."""
    status, out, err = run_raw(*words)
    return status, out.decode(), err


class Server:
    """Serves as this process, as the library would: answers(request) gives the bytes."""

    def __init__(self, answers, pid=None, piece=None, pause=0):
        self.answers, self.piece, self.pause = answers, piece, pause
        self.requests = []
        self.pid = str(pid or os.getpid())
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(f"\0pymalloc.{self.pid}")
        self.socket.listen()
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join(PATIENCE)

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                self.requests.append(connection.makefile("rb").readline())
                answer = self.answers(self.requests[-1])
                if answer is None:
                    connection.recv(1)  # silent until the other side gives up
                    continue
                step = self.piece or max(len(answer), 1)
                for at in range(0, len(answer), step):
                    connection.sendall(answer[at : at + step])
                    time.sleep(self.pause)
