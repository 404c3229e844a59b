"""Tissue and patches of many slides side by side: one child process for each core.

A process, and not a thread, since a damaged file can crash the C library that reads it: that slide fails alone.
"""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import IO

from ..bag import h5
from ..bag.hdf5_checks import trust
from ..errors import SlideError
from ..progress import Progress, ProgressCallback
from ..settings import key
from ..slide.entry import SlideEntry
from .child import Reply, Task
from .job import Tools
from .project import Project
from .results import ProcessedSlide, ProcessRow, SlideResult
from .runner import FIRST_HALF

#: Seconds between two calls of the progress callback, which may stop the run.
_POLL = 0.5
_HINT = "The file may be damaged, or the machine short of memory: copy the slide again, or run with --jobs 1"
_WINDOW_HINT = "The file may be damaged, or the computer short of memory: copy the slide again"


def prepare_slides(
    entries: Sequence[SlideEntry],
    project: Project,
    *,
    tools: Tools,
    stages: Sequence[str],
    jobs: int,
    progress: ProgressCallback,
) -> dict[str, SlideResult[ProcessedSlide]]:
    """Find tissue and patches of slides in child processes.

    Slides that seem to be done already are left to the caller.

    Parameters
    ----------
    entries, project, tools, stages
        The slides, and what the whole run is to do with them.
    jobs
        Child processes at once.
    progress
        Called by this thread; raising :class:`Cancelled` in it ends the children.

    Returns
    -------
    slide_id -> how it ended. A slide whose child ended with it is a :class:`SlideError`.
    """
    first = [stage for stage in stages if stage in FIRST_HALF]
    todo = [one for one in entries if not _seems_done(one, project, tools, first)]
    if not first or jobs < 2 or len(todo) < 2:
        return {}
    task = Task(project=project.folder, settings=tools.settings, stages=first, last=list(stages) == first)
    waiting: SimpleQueue[SlideEntry] = SimpleQueue()
    for entry in todo:
        waiting.put(entry)
    ended: SimpleQueue[Reply] = SimpleQueue()
    children = [_Child(task, waiting, ended, project) for _ in range(min(jobs, len(todo)))]
    results: dict[str, SlideResult[ProcessedSlide]] = {}
    try:
        while len(results) < len(todo):
            progress(Progress("tissue and patches", len(results), len(todo), unit="slides"))
            for reply in _within(ended, _POLL):
                results[reply.result.slide_id] = reply.result
                if reply.result.result is not None:
                    trust(reply.result.result.bag_path)
                for message in reply.warned:
                    warnings.warn(message, stacklevel=2)
        progress(Progress("tissue and patches", len(todo), len(todo), unit="slides"))
    finally:
        for child in children:
            child.stop()
    return results


def _seems_done(entry: SlideEntry, project: Project, tools: Tools, stages: Collection[str]) -> bool:
    """Whether the last run of a slide had the same settings; then little is left to do."""
    bag = project.bag(entry.slide_id)
    if not bag.exists():
        return False
    same = h5.read_attributes(bag).get("settings_key") == key(tools.for_slide(entry).settings)
    return same and set(stages) <= set(h5.read_stages(bag))


def _within(queue: SimpleQueue[Reply], seconds: float) -> Iterable[Reply]:
    """Return what a queue holds, after waiting at most so long for the first."""
    try:
        found = [queue.get(timeout=seconds)]
        while not queue.empty():
            found.append(queue.get())
    except Empty:
        return []
    return found


class _Child:
    """A child process and the thread that gives it slides; a child that crashed is followed by another."""

    def __init__(self, task: Task, waiting: SimpleQueue[SlideEntry], ended: SimpleQueue[Reply], project: Project):
        self._task, self._waiting, self._ended, self._project = task, waiting, ended, project
        self._stopped = False
        self._process = self._start()
        self._thread = threading.Thread(target=self._serve, name="tissue-and-patches", daemon=True)
        self._thread.start()

    def _start(self) -> subprocess.Popen[bytes]:
        hidden = getattr(subprocess, "CREATE_NO_WINDOW", 0)
        # not -m: what the module pickles would be of __main__
        command = [sys.executable, "-P", "-c", f"from {__package__}.child import main; main()"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, creationflags=hidden)
        self._send(process, self._task)
        return process

    def _serve(self) -> None:
        while not self._stopped:
            try:
                entry = self._waiting.get_nowait()
            except Empty:
                return
            reply = self._ask(entry)
            if reply is None and not self._stopped:
                code = _end(self._process)
                reply = Reply(_lost(entry, self._project, code), ())
                self._process = self._start()
            if reply is not None:
                self._ended.put(reply)

    def _ask(self, entry: SlideEntry) -> Reply | None:
        """Give the child a slide; None where it ended over it."""
        if not self._send(self._process, entry):
            return None
        try:
            reply: Reply = pickle.load(_open_pipe(self._process.stdout))
        except Exception:  # noqa: BLE001  (whatever it is, this child cannot be talked to any more)
            self._process.kill()
            return None
        return reply

    @staticmethod
    def _send(process: subprocess.Popen[bytes], what: object) -> bool:
        pipe = _open_pipe(process.stdin)
        try:
            pickle.dump(what, pipe)
            pipe.flush()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """End the child, wherever it is, and take its slide from its hands."""
        self._stopped = True
        self._process.kill()
        self._thread.join()
        self._process.kill()  # the thread may have started another one
        _end(self._process)


def _end(process: subprocess.Popen[bytes]) -> int:
    """Wait for a process that is ending, close its pipes, and return its exit code."""
    code = process.wait()
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):
            _open_pipe(pipe).close()
    return code


def _open_pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    if pipe is None:
        raise OSError("the child has no pipe")
    return pipe


def _lost(entry: SlideEntry, project: Project, code: int) -> SlideResult[ProcessedSlide]:
    """Record a slide over which a child ended."""
    how = signal.Signals(-code).name if -code in set(signal.Signals) else f"exit code {code}"
    error = SlideError(
        f"the process that read this slide crashed ({how})",
        where=entry.path,
        hint=_HINT,
        window_hint=_WINDOW_HINT,
    )
    row = project.rows().get(entry.slide_id) or ProcessRow(entry.slide_id, str(entry.path.resolve()), "running")
    project.record(replace(row, state="failed", error=error.without_hint(), hint=error.hint or ""))
    return SlideResult(entry.slide_id, entry.path, error=error)
