"""Long engine calls in a process beside napari's: the window never waits for Python's global lock.

A thread is not enough: importing torch, and every line of Python that the engine runs, hold the lock that the
window needs for each event. The other process is started at the first call, or before it by :func:`make_ready`, and
kept for the next ones.
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

from .worker_main import LOAD, STOP

#: Seconds between two looks whether the caller still wants the result.
LOOK_EVERY = 0.1
#: Seconds in which a call that was cancelled must end by itself; after them its process is ended.
GRACE = 1.0


def _python_warning(message: str, category: type[Warning]) -> None:
    warnings.warn(message, category, stacklevel=3)


_warn: Callable[[str, type[Warning]], None] = _python_warning


def show_warnings_with(show: Callable[[str, type[Warning]], None]) -> None:
    """Let ``show`` give the warnings of the other process from now on; they are Python's before."""
    global _warn  # noqa: PLW0603
    _warn = show


class RemoteTraceback(Exception):
    """The cause of an error that came from the other process: its traceback there, as text."""


def in_other_process(
    function: Callable[..., Any], *args: Any, progress: ProgressCallback = silent, **words: Any
) -> Any:
    """Call ``function(*args, progress=..., **words)`` in another process and return its result.

    Parameters
    ----------
    function
        A function of a module, with a parameter ``progress``; it and the arguments travel by pickle.
    progress
        Takes the reports; called at least every 0.1 s, so that it can stop the call by
        raising :class:`~sam_mil_engine.errors.Cancelled`.
        A call that does not stop within a second is ended with its process.

    Raises
    ------
    Exception
        What the function raised (its traceback there is the cause), or ``progress``.
    SamMilError
        If the process ended in the middle.
    """
    process = _take()
    try:
        return process.call(function, args, words, progress)
    finally:
        _give_back(process)


def make_ready() -> None:
    """Start the process, if there is none, and let it load what an analysis takes: the first call begins sooner."""
    with _lock:
        if not _idle and not _at_work:
            _idle.append(_Process(LOAD))


class _Process:
    """One process; answers one call at a time."""

    def __init__(self, *options: str) -> None:
        # without a console window on Windows, and without the current folder in the path of modules
        hidden = getattr(subprocess, "CREATE_NO_WINDOW", 0)
        command = [sys.executable, "-P", "-m", f"{__package__}.worker_main", *options]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, creationflags=hidden
        )
        self._calls, self._replies = _pipes(self._process)
        self._answers: SimpleQueue[tuple[Any, ...] | None] = SimpleQueue()
        threading.Thread(target=self._listen, name="sam-mil-other-process", daemon=True).start()

    @property
    def works(self) -> bool:
        return self._process.poll() is None

    def call(
        self, function: Callable[..., Any], args: tuple[Any, ...], words: dict[str, Any], progress: ProgressCallback
    ) -> Any:
        last = Progress("starting", 0, 0)
        # apart from the rest, so that the other process knows where modules are before it reads what names them
        self._ask((pickle.dumps((function, args, words), pickle.HIGHEST_PROTOCOL), dict(os.environ), sys.path))
        while True:
            try:
                answer = self._answers.get(timeout=LOOK_EVERY)
            except Empty:
                answer = ("progress", last)
            if answer is None:
                raise SamMilError(
                    f"the process that does the work ended in the middle (exit code {self._process.wait()})",
                    hint="It may have run out of memory; what was finished is kept, so try again",
                )
            kind, *content = answer
            if kind == "progress":
                last = content[0]
                self._pass_on(last, progress)
            elif kind == "warned":
                _warn(*content)
            elif kind == "returned":
                return content[0]
            else:
                error, text = content
                raise error from RemoteTraceback(text)

    def _pass_on(self, report: Progress, progress: ProgressCallback) -> None:
        try:
            progress(report)
        except BaseException:
            self._stop()
            raise

    def _stop(self) -> None:
        """Stop the call: what is on the way is thrown away."""
        try:
            self._ask(STOP)
            while (answer := self._answers.get(timeout=GRACE)) is not None and answer[0] == "progress":
                pass
        except (Empty, OSError):
            self.end()

    def _ask(self, call: Any) -> None:
        self._calls.write(pickle.dumps(call, pickle.HIGHEST_PROTOCOL))
        self._calls.flush()

    def _listen(self) -> None:
        with self._replies as answers:
            while True:
                try:
                    self._answers.put(pickle.load(answers))
                except (EOFError, OSError, pickle.UnpicklingError):
                    break
        self._answers.put(None)

    def end(self) -> None:
        """End the process at once; files are never left half, and what was finished is kept."""
        self._process.kill()
        self._process.wait()
        with suppress(OSError):  # what was not sent any more
            self._calls.close()


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    """Return where calls are written and replies are read."""
    if process.stdin is None or process.stdout is None:
        raise ValueError("the process was started without pipes")
    return process.stdin, process.stdout


#: Processes that wait for the next call, and the lock of the list.
_idle: list[_Process] = []
_lock = threading.Lock()
_at_work: set[_Process] = set()


def _take() -> _Process:
    with _lock:
        while _idle:
            process = _idle.pop()
            if process.works:
                break
        else:
            process = _Process()
        _at_work.add(process)
    return process


def _give_back(process: _Process) -> None:
    """Keep one process for the next call; a second one, of two calls at once, ends."""
    with _lock:
        _at_work.discard(process)
        if process.works and not _idle:
            _idle.append(process)
            return
    process.end()


@atexit.register
def end_all() -> None:
    """End the processes, whatever they do."""
    with _lock:
        processes = [*_idle, *_at_work]
        _idle.clear()
    for process in processes:
        process.end()
