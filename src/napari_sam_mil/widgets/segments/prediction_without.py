"""The line below the table: the prediction without the chosen segments, and for them alone."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QObject, QTimer, Signal
from qtpy.QtWidgets import QWidget

from sam_mil_engine.progress import ProgressCallback

from ...analysis.model import Analysis
from ...analysis.without_segments import (
    Predictions,
    describe_predictions,
    find_groups,
    predict_without_segments,
    stored_predictions,
)
from ...background.jobs import Job
from ...notices import show_error

#: Milliseconds that a choice must last before it is computed: Shift and an arrow key pass through many.
AFTER = 150
_NO_MODEL = "Press Segment/Classify in the Analyze dock to see the prediction without these segments."


class PredictionWithout(QObject):
    """Predicts without the chosen segments; a newer choice cancels the older one.

    Signals
    -------
    described(str)
        What the choice changes; ends in … while it is being computed, empty where nothing is known.
    """

    described = Signal(str)

    def __init__(self, dock: QWidget):
        super().__init__(dock)
        self.job: Job | None = None
        self._asked: tuple[Analysis, list[int]] | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._begin)

    def ask(self, analysis: Analysis | None, numbers: Sequence[int]) -> None:
        """Describe what these segments (from 0) change; one segment is known already, several are computed."""
        self.cancel()
        if analysis is None or analysis.scores is None or not numbers:
            self.described.emit("")
            return
        known = stored_predictions(analysis, numbers[0]) if len(numbers) == 1 else None
        if known is not None or not find_groups(analysis, numbers):
            self.described.emit(describe_predictions(analysis, numbers, known))
        elif analysis.model is None:
            self.described.emit(_NO_MODEL)
        else:
            self.described.emit(describe_predictions(analysis, numbers, None))
            self._asked = analysis, sorted(numbers)
            self._timer.start(AFTER)

    def cancel(self) -> None:
        """Stop the computation; its result is no longer shown."""
        self._timer.stop()
        self._asked = None
        if self.job is not None:
            self.job.cancel()
            self.job = None

    def _begin(self) -> None:
        if self._asked is None:
            return
        analysis, numbers = self._asked

        def work(progress: ProgressCallback) -> Predictions:
            return predict_without_segments(analysis, numbers, progress=progress)

        job = Job(work)
        self.job = job
        job.succeeded.connect(lambda found: self._on_end(job, describe_predictions(analysis, numbers, found)))
        job.failed.connect(lambda error: self._on_failure(job, error))
        job.start()

    def _on_end(self, job: Job, text: str) -> None:
        if job is self.job:
            self.job = None
            self.described.emit(text)

    def _on_failure(self, job: Job, error: Exception) -> None:
        if job is self.job:
            self._on_end(job, "")
            show_error(error, doing="Predicting without the chosen segments")
