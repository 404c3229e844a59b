"""Run an engine call in a thread: progress, cancel, errors; the window never waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from qtpy.QtCore import QObject, Qt, Signal, Slot

from sam_mil_engine.errors import Cancelled
from sam_mil_engine.progress import Progress, ProgressCallback

from ..napari_compat.event_loop import switch_threads_often

#: Seconds between two progress reports that reach the window; the last of a stage always does.
REPORT_EVERY = 0.05

Work = Callable[[ProgressCallback], Any]


class Job(QObject):
    """One engine call in a worker thread. All signals arrive in the thread that made the job.

    Signals
    -------
    progressed(Progress)
        How far it is; thinned out, so that thousands of tiles do not flood the window.
    succeeded(object), failed(Exception), cancelled()
        Exactly one of these ends a job,
    ended()
        and then this one, whatever happened.
    """

    progressed = Signal(object)
    succeeded = Signal(object)
    failed = Signal(object)
    cancelled = Signal()
    ended = Signal()
    _came_back = Signal(object)

    def __init__(self, work: Work):
        super().__init__()
        self._work = work
        self._stop = threading.Event()
        self._last_report = 0.0
        self._future: Future[Any] | None = None
        # Queued, also where the call was over before the callback was added: never before its own reports.
        self._came_back.connect(self._finish, Qt.ConnectionType.QueuedConnection)

    def start(self) -> None:
        """Begin; returns at once."""
        _running.add(self)
        switch_threads_often(on=True)
        with_one_thread = ThreadPoolExecutor(1, thread_name_prefix="sam-mil-job")
        self._future = with_one_thread.submit(self._work, self._report)
        self._future.add_done_callback(self._came_back.emit)
        with_one_thread.shutdown(wait=False)

    def cancel(self) -> None:
        """Ask the engine to stop at its next report. What was finished is kept on disk."""
        self._stop.set()

    @property
    def running(self) -> bool:
        """Whether the engine call has not yet come back."""
        return self._future is not None and not self._future.done()

    @property
    def cancelling(self) -> bool:
        """Whether a stop was asked for."""
        return self._stop.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait until the engine call has come back; False where it took longer than ``seconds``."""
        return self._future is None or bool(wait([self._future], timeout=seconds).done)

    def _report(self, progress: Progress) -> None:
        if self._stop.is_set():
            raise Cancelled("the user asked to stop")
        now = time.monotonic()
        finished = progress.total > 0 and progress.done >= progress.total
        if finished or progress.done == 0 or now - self._last_report >= REPORT_EVERY:
            self._last_report = now
            self.progressed.emit(progress)

    @Slot(object)
    def _finish(self, future: Future[Any]) -> None:
        _running.discard(self)
        if not _running:
            switch_threads_often(on=False)
        error = future.exception()
        if error is None:
            self.succeeded.emit(future.result())
        elif isinstance(error, Cancelled):
            self.cancelled.emit()
        else:
            self.failed.emit(error)
        self.ended.emit()


#: Jobs whose end has not been told yet; kept here so that none is collected while its thread runs.
_running: set[Job] = set()
