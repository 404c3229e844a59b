"""The main dock: one button analyses the open slide and shows layers and a result."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QVBoxLayout, QWidget

from sam_mil_engine.errors import SamMilError

from ...analysis.model import Analysis, ResolutionQuestion
from ...analysis.results import StoredAnalysis
from ...analysis.run import STEPS, analyse_in_worker
from ...background.activity import Activity
from ...background.jobs import Job
from ...background.worker import start_worker
from ...keys import key_of
from ...layers.preload import while_loading
from ...napari_compat.event_loop import call_later
from ...napari_compat.scale_bar import show_scale_bar
from ...notices import describe, show_error
from ...session.slide import SlideSession
from ..dock import Dock
from ..parts import Card, scrolling
from .choices_card import ChoicesCard
from .fold import Fold
from .limits_card import LimitsCard
from .map_card import MapCard
from .progress_card import ProgressCard
from .region import project_of
from .region_card import RegionCard
from .result_card import ResultCard
from .run_buttons import EVERYTHING_TIP, in_a_row, main_button, step_buttons
from .slide_card import SlideCard
from .stored_lookup import StoredLookup
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
        self.slide_card, self.choices_card, self.region_card = SlideCard(), ChoicesCard(), RegionCard()
        self.progress_card, self.result_card = ProgressCard(), ResultCard(self._sessions)
        self.stored = StoredLookup(
            self,
            self._sessions,
            choices=self.choices_card.choices,
            may_show=lambda: self._job is None,
            show=self._show_stored,
        )
        self.limits_card, self.tissue_card = LimitsCard(), TissueCard(self._sessions)
        self.tissue_card.changed.connect(self.run)
        self.map_card = MapCard(self._sessions)
        self.fold = Fold("Show or hide the choice of models, tissue and region, and the individual steps")
        self.choices_card.use_preferences()
        self.button, self.steps = main_button(), step_buttons()
        self.button.clicked.connect(lambda: self.run("Classify"))
        for name, button in self.steps.items():
            button.clicked.connect(lambda _checked, step=name: self.run(step))
        self._show_key()
        self.keys_changed.connect(self._show_key)
        self._lay_out()
        self.slide_card.add_measuring(self._sessions, self.keys_changed)
        self.slide_card.mpp_entered.connect(self._on_mpp)
        self.progress_card.cancel_clicked.connect(self.cancel)
        self._sessions.changed.connect(self._show_current)
        self.choices_card.download.ended.connect(self._on_download)
        self.choices_card.changed.connect(self.stored.look)
        region_chosen = self.region_card.choice.currentIndexChanged
        for signal in (self.choices_card.changed, self.limits_card.changed, region_chosen):
            signal.connect(self._show_choices)
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
        During the download of a SAM the step waits for its end.
        """
        session = session or self._sessions.current
        if session is None or self._job is not None:
            return None
        title = _title(step)
        if self.choices_card.download.busy:
            self._waiting = (session, step)
            self.choices_card.download.say_next(title)
            self._enable()
            return None
        source, choices = session.source, self.choices_card.choices()
        try:
            region = self.region_card.region(self._sessions.viewer, source)
            choices = self.limits_card.applied_to(replace(choices, project=project_of(choices.project, region)))
        except SamMilError as error:
            show_error(error, doing=title)
            return None
        session.question = None
        self.slide_card.show_slide(self._sessions.current)
        self.stored.jobs.cancel()
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
        Activity(job, title)
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
        self.choices_card.download.cancel()
        self.cancel()

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

    def _show_stored(self, session: SlideSession, found: StoredAnalysis) -> None:
        self._progress_of = session
        self.progress_card.show_stored(found.analysis.processed.reused, found.note)
        self._put_first(self.result_card)
        self._show(session, found.analysis)

    def _on_failure(self, error: Exception) -> None:
        self.progress_card.stop("Stopped by an error", describe(error))
        show_error(error, doing=_title(self._step))

    def _on_cancelled(self) -> None:
        self.progress_card.stop("Cancelled; finished stages are saved")

    def _on_end(self) -> None:
        self._job = self._analysed = None
        self._enable()
        self._hide_other_progress()
        call_later(self._run_waiting)

    def _on_download(self, outcome: str) -> None:
        """Go on with the step that waited for the download, also where it failed, but not where it was stopped."""
        self._waiting = None if outcome == "cancelled" else self._waiting
        self._enable()
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
        """Run a step that waited for the resolution or a download. If either still runs, wait for its end."""
        if self._waiting is None or self._job is not None or self.choices_card.download.busy:
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
        self.map_card.show_session(session)
        if session is not None and session.source.mpp is not None:
            show_scale_bar(self._sessions.viewer)
        self._enable()
        self._hide_other_progress()
        self.stored.look()

    def _hide_other_progress(self) -> None:
        """Hide the progress of a finished job if its slide is not current."""
        if self._job is None and self._progress_of is not self._sessions.current:
            self._progress_of = None
            self.progress_card.hide()

    def _enable(self) -> None:
        waits = self.choices_card.download.busy and self._waiting is not None
        ready = self._sessions.current is not None and self._job is None and not waits
        for button in (self.button, *self.steps.values()):
            button.setEnabled(ready)
        self.tissue_card.project = self.choices_card.choices().project
        self.tissue_card.show_session(self._sessions.current, ready=ready)
        for card in (self.choices_card, self.region_card.choice, self.limits_card):
            card.setEnabled(self._job is None)

    def _show_key(self) -> None:
        self.button.setToolTip(f"{EVERYTHING_TIP} ({key_of('segment_classify')})")

    def _lay_out(self) -> None:
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(6, 6, 6, 6)
        column.setSpacing(8)
        self.fold.body.addWidget(self.choices_card)
        self.fold.body.addWidget(self.region_card)
        self.fold.body.addWidget(self.limits_card)
        self.fold.body.addLayout(in_a_row(self.steps.values()))
        self.fold.body.addWidget(self.tissue_card)
        choices = (self.slide_card, self.button, self.fold, self.region_card.facts)
        for widget in (*choices, self.progress_card, self.result_card, self.map_card):
            column.addWidget(widget)
        column.addStretch(1)
        self._column = column
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        self._area = scrolling(content)
        outer.addWidget(self._area)

    def _put_first(self, card: Card) -> None:
        """Move the progress or the result directly below the choices, and scroll to it."""
        below = self._column.indexOf(self.region_card.facts) + 1
        for one in (self.map_card, card) if card is self.result_card else (card,):
            self._column.insertWidget(below, one)
        call_later(self._scroll_up)

    def _scroll_up(self) -> None:
        self._area.verticalScrollBar().setValue(0)

    def _show_choices(self) -> None:
        self.limits_card.show_project(self.choices_card.choices().project)
        region, limits = self.region_card.choice.currentText().lower(), self.limits_card.summary()
        self.fold.set_text(" · ".join(filter(None, (self.choices_card.summary(), region, limits))))


def _title(step: str) -> str:
    return EVERYTHING if step == "Classify" else step
