"""Run long engine calls in a worker process, so that the window never waits for Python's global lock.

A thread is not enough: importing torch, and every line of Python that the engine runs, hold the lock that the
window needs for each event. The first call, or :func:`start_worker`, starts the process, and later
calls reuse it.
"""

from __future__ import annotations

import atexit
import os
import pickle
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import IO, Any

from sam_mil_engine.errors import SamMilError
from sam_mil_engine.progress import Progress, ProgressCallback, silent

from .worker_main import PRELOAD, STOP

#: Seconds between two checks that the caller still wants the result.
POLL_EVERY = 0.1
#: Seconds that a cancelled call may take to stop. After that, its process is killed.
GRACE = 1.0


def _python_warning(message: str, category: type[Warning]) -> None:
    warnings.warn(message, category, stacklevel=3)


_warn: Callable[[str, type[Warning]], None] = _python_warning


def show_warnings_with(show: Callable[[str, type[Warning]], None]) -> None:
    """Pass the warnings of the worker process to ``show`` from now on. The default is Python's ``warnings``."""
    global _warn  # noqa: PLW0603
    _warn = show


class RemoteTraceback(Exception):
    """The cause of an error that the worker process raised: its traceback, as text."""


def call_in_worker(
    function: Callable[..., Any], *args: Any, progress: ProgressCallback = silent, **kwargs: Any
) -> Any:
    """Call ``function(*args, progress=..., **kwargs)`` in the worker process and return its result.

    Parameters
    ----------
    function
        A function at module level, with a parameter ``progress``. It and its arguments are pickled.
    progress
        Receives the reports. It is called at least every 0.1 s, and stops the call by
        raising :class:`~sam_mil_engine.errors.Cancelled`.
        If the call does not stop within a second, its process is killed.

    Raises
    ------
    Exception
        The error of the function, with its traceback as the cause, or the error of ``progress``.
    SamMilError
        If the process ended before the call did.
    """
    process = _acquire()
    try:
        return process.call(function, args, kwargs, progress)
    finally:
        _release(process)


def start_worker() -> None:
    """Start the worker process if none is running, and preload what an analysis needs."""
    with _lock:
        if not _idle and not _busy:
            _idle.append(_Process(PRELOAD))


class _Process:
    """A worker process. It answers one call at a time."""

    def __init__(self, *options: str) -> None:
        # no console window on Windows, and no current folder in the module path
        hidden = getattr(subprocess, "CREATE_NO_WINDOW", 0)
        command = [sys.executable, "-P", "-m", f"{__package__}.worker_main", *options]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, creationflags=hidden
        )
        self._calls, self._replies = _pipes(self._process)
        self._answers: SimpleQueue[tuple[Any, ...] | None] = SimpleQueue()
        threading.Thread(target=self._receive, name="sam-mil-worker", daemon=True).start()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def call(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        progress: ProgressCallback,
    ) -> Any:
        last = Progress("starting", 0, 0)
        # pickled separately: the worker needs the module path before it unpickles the function
        self._send((pickle.dumps((function, args, kwargs), pickle.HIGHEST_PROTOCOL), dict(os.environ), sys.path))
        while True:
            try:
                answer = self._answers.get(timeout=POLL_EVERY)
            except Empty:
                answer = ("progress", last)
            if answer is None:
                raise SamMilError(
                    f"the worker process ended unexpectedly (exit code {self._process.wait()})",
                    hint="It may have run out of memory. Finished stages are saved, so try again",
                )
            kind, *content = answer
            if kind == "progress":
                last = content[0]
                self._forward(last, progress)
            elif kind == "warned":
                _warn(*content)
            elif kind == "returned":
                return content[0]
            else:
                error, text = content
                raise error from RemoteTraceback(text)

    def _forward(self, report: Progress, progress: ProgressCallback) -> None:
        try:
            progress(report)
        except BaseException:
            self._stop()
            raise

    def _stop(self) -> None:
        """Stop the call and discard its pending messages."""
        try:
            self._send(STOP)
            while (answer := self._answers.get(timeout=GRACE)) is not None and answer[0] == "progress":
                pass
        except (Empty, OSError):
            self.end()

    def _send(self, call: Any) -> None:
        self._calls.write(pickle.dumps(call, pickle.HIGHEST_PROTOCOL))
        self._calls.flush()

    def _receive(self) -> None:
        with self._replies as answers:
            while True:
                try:
                    self._answers.put(pickle.load(answers))
                except (EOFError, OSError, pickle.UnpicklingError):
                    break
        self._answers.put(None)

    def end(self) -> None:
        """Kill the process. Files are written atomically, so none is left incomplete."""
        self._process.kill()
        self._process.wait()
        with suppress(OSError):  # unsent data
            self._calls.close()


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    """Return the pipe for calls and the pipe for replies."""
    if process.stdin is None or process.stdout is None:
        raise ValueError("the process was started without pipes")
    return process.stdin, process.stdout


#: Idle processes, and the lock for both collections.
_idle: list[_Process] = []
_lock = threading.Lock()
_busy: set[_Process] = set()


def _acquire() -> _Process:
    with _lock:
        while _idle:
            process = _idle.pop()
            if process.alive:
                break
        else:
            process = _Process()
        _busy.add(process)
    return process


def _release(process: _Process) -> None:
    """Keep one idle process for the next call, and end any other."""
    with _lock:
        _busy.discard(process)
        if process.alive and not _idle:
            _idle.append(process)
            return
    process.end()


@atexit.register
def end_all() -> None:
    """End all worker processes, even during a call."""
    with _lock:
        processes = [*_idle, *_busy]
        _idle.clear()
    for process in processes:
        process.end()
