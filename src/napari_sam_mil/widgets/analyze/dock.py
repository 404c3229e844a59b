"""The main dock: one button analyses the open slide and shows layers and a result."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from sam_mil_engine.errors import SamMilError

from ...analysis.model import Analysis, ResolutionQuestion, StoredResults
from ...analysis.results import OtherSlide, StoredAnalysis, predict_stored, read_stored
from ...analysis.run import STEPS, analyse_in_worker
from ...background.activity import Activity
from ...background.dock_jobs import DockJobs
from ...background.jobs import Job
from ...background.worker import start_worker
from ...keys import key_of
from ...layers.preload import while_loading
from ...napari_compat.event_loop import call_later
from ...napari_compat.scale_bar import show_scale_bar
from ...notices import describe, show_error, tell
from ...preferences import preferences
from ...session.slide import SlideSession
from ..dock import Dock
from ..parts import Card, scrolling
from .choices_card import ChoicesCard
from .fold import Fold
from .progress_card import ProgressCard
from .region import project_of
from .region_card import RegionCard
from .result_card import ResultCard
from .run_buttons import main_button, step_buttons
from .slide_card import SlideCard
from .tissue_card import TissueCard

if TYPE_CHECKING:
    from napari.viewer import Viewer

#: Title of the button that runs all steps.
EVERYTHING = "Segment/Classify"


class AnalyzeDock(Dock):
    """Slide, models, button, progress and result. Each block is a card."""

    def __init__(self, napari_viewer: Viewer):
        super().__init__(napari_viewer)
        start_worker()
        self._job: Job | None = None
        self._analysed: SlideSession | None = None
        #: The slide that the progress card refers to.
        self._progress_of: SlideSession | None = None
        #: The slide and the step that start after the running job.
        self._waiting: tuple[SlideSession, str] | None = None
        self._step = ""
        self.reader = DockJobs(self)
        self._looked_up: list[tuple[SlideSession, StoredResults]] = []
        self.slide_card, self.choices_card, self.region_card = SlideCard(), ChoicesCard(), RegionCard()
        self.progress_card, self.result_card = ProgressCard(), ResultCard(self._sessions)
        self.tissue_card = TissueCard(self._sessions)
        self.tissue_card.changed.connect(self.run)
        self.fold = Fold("Show or hide the choice of models, tissue and region, and the individual steps")
        self._use_preferences()
        self.button, self.steps = main_button(), step_buttons()
        self.button.clicked.connect(lambda: self.run("Classify"))
        for name, button in self.steps.items():
            button.clicked.connect(lambda _checked, step=name: self.run(step))
        self._show_key()
        self.keys_changed.connect(self._show_key)
        self._lay_out()
        self.slide_card.mpp_entered.connect(self._on_mpp)
        self.progress_card.cancel_clicked.connect(self.cancel)
        self._sessions.changed.connect(self._show_current)
        self.choices_card.changed.connect(self._look_for_stored)
        self.choices_card.changed.connect(self._show_choices)
        self.region_card.choice.currentIndexChanged.connect(self._show_choices)
        self._show_choices()
        self._show_current()

    @property
    def job(self) -> Job | None:
        """The running job, or None."""
        return self._job

    def run(self, step: str, session: SlideSession | None = None) -> Job | None:
        """Do what a button does: start a step of :data:`~napari_sam_mil.analysis.run.STEPS` on a slide.

        *Segment/Classify* starts the step ``Classify``. Without ``session``, the step runs on the current slide.

        Returns the job, or None if no slide is open, another job is running, or the chosen region does not exist.
        """
        session = session or self._sessions.current
        if session is None or self._job is not None:
            return None
        source, choices = session.source, self.choices_card.choices()
        try:
            region = self.region_card.region(self._sessions.viewer, source)
            choices = replace(choices, project=project_of(choices.project, region))
        except SamMilError as error:
            show_error(error, doing=EVERYTHING if step == "Classify" else step)
            return None
        session.question = None
        self.slide_card.show_slide(self._sessions.current)
        self.reader.cancel()
        job = Job(
            lambda progress: while_loading(lambda: analyse_in_worker(source, choices, step=step, progress=progress))
        )
        self._job, self._analysed, self._step = job, session, step
        self._progress_of = session
        # the job may outlive the dock, so closing the window cancels it
        self.destroyed.connect(job.cancel)
        job.progressed.connect(self.progress_card.report)
        job.succeeded.connect(self._on_success)
        job.failed.connect(self._on_failure)
        job.cancelled.connect(self._on_cancelled)
        job.ended.connect(self._on_end)
        Activity(job, EVERYTHING if step == "Classify" else step)
        stages = STEPS[step] if step != "Classify" else (*STEPS[step], "classify")
        self.progress_card.begin(stages)
        self._put_first(self.progress_card)
        self._enable()
        job.start()
        return job

    def cancel(self) -> None:
        """Ask the running job to stop."""
        if self._job is not None:
            self._job.cancel()
            self.progress_card.cancelling()

    def leave(self) -> None:
        """Cancel the running job. Finished stages stay in the project."""
        super().leave()
        self.cancel()

    def _use_preferences(self) -> None:
        try:
            values = preferences()
            self.choices_card.set_project(Path(values.project))
            self.choices_card.set_changes(values.changes)
        except SamMilError as error:
            show_error(error, doing="Reading the preferences")

    def _on_success(self, analysis: Analysis) -> None:
        session = self._analysed
        if session is None:
            return
        processed = analysis.processed
        if analysis.asks is not None:
            self._ask_resolution(session, analysis, analysis.asks)
            return
        self.progress_card.finish(seconds=processed.seconds, reused=processed.reused)
        self._put_first(self.result_card)
        self._show(session, replace(analysis.after(session.analysis), names=analysis.names))

    def _ask_resolution(self, session: SlideSession, analysis: Analysis, asked: ResolutionQuestion) -> None:
        """Show the results that need no resolution, ask for it, and continue when the user enters it."""
        self.progress_card.stop(
            "Waiting for the resolution", "Tissue and segments are done. The other steps need the resolution."
        )
        self._show(session, replace(analysis, asks=None))
        session.question = (self._step, asked)
        if session is self._sessions.current:
            self.slide_card.show_slide(session)
            self.slide_card.take_answer()

    def _show(self, session: SlideSession, analysis: Analysis) -> None:
        self._sessions.show(session, analysis)
        segments = session.layers.get("segments")
        if segments is not None:
            # hovering describes the selected layer, and the segments layer has the most information
            self._sessions.viewer.layers.selection.active = segments

    def _look_for_stored(self) -> None:
        """Show the stored results of a newly opened slide, without computing anything."""
        session = self._sessions.current
        if session is None or session.analysis is not None or self._job is not None or self.reader.busy:
            return
        stored, source = session.source.stored, session.source
        if stored is None:
            choices = self.choices_card.choices()
            stored = StoredResults(choices.project, choices.classifier)
        if (session, stored) in self._looked_up or not stored.bag(source).is_file():
            return
        self._looked_up = [pair for pair in self._looked_up if pair[0] in self._sessions.all()] + [
            (session, stored)
        ]

        def show(found: StoredAnalysis, before: Analysis | None) -> None:
            """Show the results, unless the slide was analysed, edited or closed in the meantime."""
            if self._job is None and session.analysis is before and session in self._sessions.all():
                self._progress_of = session
                self.progress_card.show_stored(found.analysis.processed.reused, found.note)
                self._put_first(self.result_card)
                self._show(session, found.analysis)

        def then(found: StoredAnalysis | OtherSlide | None) -> None:
            if isinstance(found, OtherSlide) and session in self._sessions.all():
                tell(found.message, "warning")
            elif isinstance(found, StoredAnalysis):
                known = found.analysis.processed.bag is not None
                show(replace(found, note="Classifying…" if known else ""), None)
                self.reader.start(
                    lambda progress: predict_stored(found, stored, progress=progress),
                    doing="Classifying the slide",
                    then=lambda full: show(full, found.analysis),
                )
            self._look_for_stored()

        self.reader.start(
            lambda _progress: while_loading(lambda: read_stored(source, stored)),
            doing="Reading the project",
            then=then,
        )

    def _on_failure(self, error: Exception) -> None:
        self.progress_card.stop("Stopped by an error", describe(error))
        show_error(error, doing=EVERYTHING if self._step == "Classify" else self._step)

    def _on_cancelled(self) -> None:
        self.progress_card.stop("Cancelled; finished stages are saved")

    def _on_end(self) -> None:
        self._job = self._analysed = None
        self._enable()
        self._hide_other_progress()
        call_later(self._run_waiting)

    def _on_mpp(self, mpp: float) -> None:
        session = self._sessions.current
        if session is None:
            return
        if mpp and session.question is not None:
            self._waiting, session.question = (session, session.question[0]), None
        self._sessions.set_mpp(session, mpp or None)
        call_later(self._run_waiting)

    def _run_waiting(self) -> None:
        """Run a step that waited for the resolution. If another job is running, wait for its end."""
        if self._waiting is None or self._job is not None:
            return
        (session, step), self._waiting = self._waiting, None
        if session in self._sessions.all():
            self.run(step, session)

    def _show_current(self) -> None:
        session = self._sessions.current
        if session is not None and session.source.stored is not None:
            self.choices_card.use(session.source.stored)
        self.slide_card.show_slide(session)
        self.region_card.show_session(session)
        analysis = None if session is None else session.analysis
        self.slide_card.warn_of(None if analysis is None else analysis.processed)
        self.result_card.show_result(analysis)
        if session is not None and session.source.mpp is not None:
            show_scale_bar(self._sessions.viewer)
        self._enable()
        self._hide_other_progress()
        self._look_for_stored()

    def _hide_other_progress(self) -> None:
        """Hide the progress of a finished job if its slide is not current."""
        if self._job is None and self._progress_of is not self._sessions.current:
            self._progress_of = None
            self.progress_card.hide()

    def _enable(self) -> None:
        ready = self._sessions.current is not None and self._job is None
        for button in (self.button, *self.steps.values()):
            button.setEnabled(ready)
        self.tissue_card.project = self.choices_card.choices().project
        self.tissue_card.show_session(self._sessions.current, ready=ready)
        self.choices_card.setEnabled(self._job is None)
        self.region_card.choice.setEnabled(self._job is None)

    def _show_key(self) -> None:
        what = "Find the tissue, segment it, compute patch features and classify the slide"
        self.button.setToolTip(f"{what} ({key_of('segment_classify')})")

    def _lay_out(self) -> None:
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(6, 6, 6, 6)
        column.setSpacing(8)
        row = QHBoxLayout()
        row.setSpacing(4)
        for button in self.steps.values():
            row.addWidget(button)
        self.fold.body.addWidget(self.choices_card)
        self.fold.body.addWidget(self.region_card)
        self.fold.body.addLayout(row)
        self.fold.body.addWidget(self.tissue_card)
        for widget in (self.slide_card, self.button, self.fold, self.region_card.facts):
            column.addWidget(widget)
        column.addWidget(self.progress_card)
        column.addWidget(self.result_card)
        column.addStretch(1)
        self._column = column
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        self._area = scrolling(content)
        outer.addWidget(self._area)

    def _put_first(self, card: Card) -> None:
        """Move the progress or the result directly below the choices, and scroll to it."""
        self._column.insertWidget(self._column.indexOf(self.region_card.facts) + 1, card)
        call_later(lambda: self._area.verticalScrollBar().setValue(0))

    def _show_choices(self) -> None:
        self.fold.set_text(f"{self.choices_card.summary()} · {self.region_card.choice.currentText().lower()}")
