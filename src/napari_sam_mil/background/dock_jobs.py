"""The jobs of a dock, one at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QWidget

from sam_mil_engine.progress import Progress

from ..notices import show_error
from .activity import Activity
from .jobs import Job, Work


class DockJobs(QObject):
    """Runs the jobs of a dock, one at a time. It shows their errors, and closing the dock cancels the job.

    Signals
    -------
    changed()
        A job started or ended.
    progressed(Progress)
        The progress of the job.
    """

    changed = Signal()
    progressed = Signal(object)

    def __init__(self, dock: QWidget):
        super().__init__(dock)
        self.job: Job | None = None
        self._doing = ""
        self._then: Callable[[Any], None] | None = None
        self._otherwise: Callable[[], None] | None = None

    @property
    def busy(self) -> bool:
        """Whether a job is running."""
        return self.job is not None

    def start(
        self,
        work: Work,
        *,
        doing: str,
        then: Callable[[Any], None],
        otherwise: Callable[[], None] | None = None,
    ) -> Job | None:
        """Run ``work`` in a thread and pass its result to ``then``; return None if another job is running.

        Parameters
        ----------
        doing
            What the job does, for error messages: ``Loading the outlines``.
        otherwise
            Called if there is no result: after an error or a cancellation.
        """
        if self.job is not None:
            return None
        job = Job(work)
        self.job, self._doing, self._then, self._otherwise = job, doing, then, otherwise
        self.destroyed.connect(job.cancel)
        job.progressed.connect(self._on_progress)
        job.succeeded.connect(self._on_success)
        job.failed.connect(self._on_failure)
        job.cancelled.connect(self._on_cancelled)
        Activity(job, doing)
        self.changed.emit()
        job.start()
        return job

    def cancel(self) -> None:
        """Ask the running job to stop."""
        if self.job is not None:
            self.job.cancel()

    def _on_progress(self, progress: Progress) -> None:
        self.progressed.emit(progress)

    def _on_success(self, result: object) -> None:
        then = self._then
        self._finish()
        if then is not None:
            then(result)

    def _on_failure(self, error: Exception) -> None:
        doing, otherwise = self._doing, self._otherwise
        self._finish()
        show_error(error, doing=doing)
        if otherwise is not None:
            otherwise()

    def _on_cancelled(self) -> None:
        otherwise = self._otherwise
        self._finish()
        if otherwise is not None:
            otherwise()

    def _finish(self) -> None:
        self.job = self._then = self._otherwise = None
        self.changed.emit()
