"""Run an engine call in a thread, with progress, cancellation and errors. The window never waits for it."""

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

#: Seconds between two progress reports to the window. The first and last report of a stage are always sent.
#: Without a graphics card, drawing a report takes some hundredths of a second of a processor that the job needs.
REPORT_EVERY = 0.2

Work = Callable[[ProgressCallback], Any]


class Job(QObject):
    """One engine call in a worker thread. All signals arrive in the thread that made the job.

    superqt's workers report and stop only between the yields of a generator; the engine calls back instead.

    Signals
    -------
    progressed(Progress)
        Progress; throttled, so that thousands of tiles do not flood the window.
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
    _returned = Signal(object)

    def __init__(self, work: Work):
        super().__init__()
        self._work = work
        self._stop = threading.Event()
        self._last_report = 0.0
        self._last: Progress | None = None
        self._future: Future[Any] | None = None
        # Queued: the end never arrives before the reports, even if the call ends before the callback is added.
        self._returned.connect(self._finish, Qt.ConnectionType.QueuedConnection)

    def start(self) -> None:
        """Start the job and return at once."""
        _running_jobs.add(self)
        switch_threads_often(on=True)
        with_one_thread = ThreadPoolExecutor(1, thread_name_prefix="sam-mil-job")
        self._future = with_one_thread.submit(self._work, self._report)
        self._future.add_done_callback(self._returned.emit)
        with_one_thread.shutdown(wait=False)

    def cancel(self) -> None:
        """Ask the engine to stop at its next report. Finished stages stay on disk."""
        self._stop.set()

    @property
    def running(self) -> bool:
        """Whether the engine call is still running."""
        return self._future is not None and not self._future.done()

    @property
    def cancelling(self) -> bool:
        """Whether the job was asked to stop."""
        return self._stop.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait for the engine call to return; return False after ``seconds``."""
        return self._future is None or bool(wait([self._future], timeout=seconds).done)

    def _report(self, progress: Progress) -> None:
        if self._stop.is_set():
            raise Cancelled("the user cancelled the job")
        now = time.monotonic()
        finished = progress.total > 0 and progress.done >= progress.total
        begins = progress.done == 0 and progress != self._last
        if finished or begins or now - self._last_report >= REPORT_EVERY:
            self._last_report, self._last = now, progress
            self.progressed.emit(progress)

    @Slot(object)
    def _finish(self, future: Future[Any]) -> None:
        _running_jobs.discard(self)
        if not _running_jobs:
            switch_threads_often(on=False)
        error = future.exception()
        if error is None:
            self.succeeded.emit(future.result())
        elif isinstance(error, Cancelled):
            self.cancelled.emit()
        else:
            self.failed.emit(error)
        self.ended.emit()


#: Jobs that have not signalled their end. This set keeps them alive while their threads run.
_running_jobs: set[Job] = set()
