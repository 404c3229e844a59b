"""A first look at a file of unknown origin in a child process: a file that kills or hangs a C library fails alone.

One child serves a whole process, so that a look costs milliseconds. What the look itself raises is not told:
whoever opens the file next meets it again, and says what is wrong.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO

#: Seconds of processor time that a look may take.
MOST_WORK_S = 30.0
#: Seconds without an answer and without work, after which a read counts as hung.
MOST_WAIT_S = 600.0
_POLL_S = 0.2
#: Files of which it is kept how they ended; a changed file is looked at again.
_MOST_KNOWN = 10_000


def keep_waiting() -> None:
    """Do nothing while a look takes its time."""


def problem(function: str, path: Path, *, while_waiting: Callable[[], object] = keep_waiting) -> str | None:
    """Call ``function(path)`` in the child and return what happened to the child, or None if it is well.

    Parameters
    ----------
    function
        ``package.module:name``.
    path
        The file or folder; a file that has not changed since the last look is not looked at again.
    while_waiting
        Called a few times a second until the answer is there. What it raises ends the look and is raised here.
    """
    return _CHILD.look(function, path, while_waiting)


def trust(function: str, path: Path) -> None:
    """Take a file that this process has just written itself as well looked at."""
    _CHILD.trust(function, path)


class _Child:
    """The child of this process, started when it is needed; a forked process has one of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner = 0
        self._process: subprocess.Popen[str] | None = None
        self._answers: SimpleQueue[str] = SimpleQueue()
        self._known: dict[tuple[object, ...], str | None] = {}

    def look(self, function: str, path: Path, while_waiting: Callable[[], object] = keep_waiting) -> str | None:
        while not self._lock.acquire(timeout=_POLL_S):
            while_waiting()
        try:
            key = (function, *identity(path))
            if key not in self._known:
                self._keep(key, self._ask(function, path, while_waiting))
            return self._known[key]
        finally:
            self._lock.release()

    def trust(self, function: str, path: Path) -> None:
        with self._lock:
            self._keep((function, *identity(path)), None)

    def _keep(self, key: tuple[object, ...], ending: str | None) -> None:
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[key] = ending

    def _ask(self, function: str, path: Path, while_waiting: Callable[[], object]) -> str | None:
        process = self._running()
        try:
            return self._wait(process, json.dumps([function, os.path.abspath(path)]), while_waiting)
        except BaseException:  # the answer may come later, to another question
            self.stop()
            raise

    def _wait(
        self, process: subprocess.Popen[str], question: str, while_waiting: Callable[[], object]
    ) -> str | None:
        begun, waiting_since, worked = _work(process), time.monotonic(), 0.0
        with suppress(OSError):
            _pipe(process.stdin).write(f"{question}\n")
            _pipe(process.stdin).flush()
        while True:
            with suppress(Empty):
                if self._answers.get(timeout=_POLL_S):
                    return None
                process.wait()
                found = f"the process that read it crashed ({_ended(process.returncode)})"
                break
            while_waiting()
            now = _work(process) - begun
            if now > worked:
                worked, waiting_since = now, time.monotonic()
            if worked > MOST_WORK_S:
                found = f"reading it did not end within {MOST_WORK_S:.0f} s of processor time"
                break
            if time.monotonic() - waiting_since > MOST_WAIT_S:
                found = f"reading it hangs: no answer for {MOST_WAIT_S:.0f} s"
                break
        self.stop()
        return found

    def _running(self) -> subprocess.Popen[str]:
        if self._owner != os.getpid():  # forked: the other process talks to that child
            self._process, self._owner = None, os.getpid()
        if self._process is None or self._process.poll() is not None:
            self._process, self._answers = _start(), SimpleQueue()
            arguments = (_pipe(self._process.stdout), self._answers)
            threading.Thread(target=_read, args=arguments, name="first-look", daemon=True).start()
        return self._process

    def stop(self) -> None:
        """End the child, wherever it is; the next look starts another."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        process.kill()
        process.wait()
        with suppress(OSError):
            _pipe(process.stdin).close()

    def forked(self) -> None:
        """Start afresh in a forked process, where another thread may have held the lock."""
        self._lock = threading.Lock()


_CHILD = _Child()
atexit.register(_CHILD.stop)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_CHILD.forked)


def _start() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-P", "-c", f"from {__name__} import main; main()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )


def _read(answers: IO[str], queue: SimpleQueue[str]) -> None:
    """Pass on the child's answers; an empty one says that it ended."""
    with answers:
        for line in answers:
            queue.put(line)
    queue.put("")


def identity(path: Path) -> tuple[object, ...]:
    """Return what changes when a file does: its path, and where it exists its inode, bytes and time of change."""
    place = os.path.abspath(path)
    try:
        found = os.stat(place)
    except OSError:
        return (place,)
    return (place, found.st_ino, found.st_size, found.st_mtime_ns)


def _work(process: subprocess.Popen[str]) -> float:
    import psutil

    try:
        times = psutil.Process(process.pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system)


def _ended(code: int) -> str:
    return signal.Signals(-code).name if -code in set(signal.Signals) else f"exit code {code}"


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise OSError("the child has no pipe")
    return pipe


def main() -> None:
    """Serve the parent over standard input and output, until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent stops its child
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever libraries print
    for line in sys.stdin:
        function, path = json.loads(line)
        module, _, name = function.partition(":")
        with suppress(Exception):
            getattr(import_module(module), name)(Path(path))
        answers.write("done\n")
        answers.flush()
