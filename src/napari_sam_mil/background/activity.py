"""Show jobs in napari's activity panel at the bottom right: stage, rate, time left, and a Cancel button."""

from __future__ import annotations

from napari.utils.progress import cancelable_progress
from qtpy.QtCore import QObject, QTimer

from sam_mil_engine.progress import Progress

from ..napari_compat.spinner import slow_spinner
from .jobs import Job

#: Milliseconds after which a job is shown.
AFTER = 300


class _Bar(cancelable_progress):
    """A bar whose Cancel button stops a job. napari's own bar stops a loop, and a job has none."""

    def __init__(self, job: Job, title: str):
        self._job = job  # first, since napari processes events while it creates the bar: Cancel may be pressed
        super().__init__(total=0, desc=title, leave=False)

    def cancel(self) -> None:
        """Stop the job. Finished stages stay in the project."""
        super().cancel()
        self._job.cancel()


class Activity(QObject):
    """Shows one job while it runs. A job that ends at once is not shown.

    Parameters
    ----------
    job
        Not yet started.
    title
        What the job does, for example ``Segment/Classify``.
    """

    def __init__(self, job: Job, title: str):
        super().__init__(job)
        self._job, self._title = job, title
        self._bar: _Bar | None = None
        self._last: Progress | None = None
        self._over = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._begin)
        self._timer.start(AFTER)
        job.progressed.connect(self._on_progress)
        job.ended.connect(self._on_end)

    def _begin(self) -> None:
        slow_spinner()
        bar = _Bar(self._job, self._title)
        if self._over:  # napari processes events while it creates the bar, and the job may end in the meantime
            bar.close()
            return
        self._bar = bar
        if self._last is not None:
            self._show(bar, self._last, fresh=True)

    def _on_progress(self, progress: Progress) -> None:
        fresh = self._last is None or self._last.stage != progress.stage
        self._last = progress
        if self._bar is not None:
            self._show(self._bar, progress, fresh=fresh)

    def _show(self, bar: _Bar, progress: Progress, *, fresh: bool) -> None:
        if fresh or bar.total != progress.total:
            bar.reset(total=progress.total)
            bar.events.value(value=0)
            bar.set_description(f"{self._title}: {progress.stage}")
        if progress.done > bar.n:
            bar.update(progress.done - bar.n)

    def _on_end(self) -> None:
        self._over = True
        self._timer.stop()
        if self._bar is not None:
            self._bar.close()
            self._bar = None
