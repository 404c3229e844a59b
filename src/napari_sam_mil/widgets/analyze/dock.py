"""The main dock: open slide in, one button, layers and a result out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from sam_mil_engine.errors import SamMilError

from ...analysis.model import BUNDLED, Analysis, ResolutionAsked, StoredResults
from ...analysis.results import Found, OtherSlide, predict_stored, read_stored
from ...analysis.run import STEPS, analyse_elsewhere
from ...background.activity import Activity
from ...background.jobs import Job
from ...background.work import Worker
from ...background.worker import make_ready
from ...keys import key_of
from ...layers.preload import while_loading
from ...napari_compat.event_loop import later
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

if TYPE_CHECKING:
    from napari.viewer import Viewer

#: Name of the button that does everything.
EVERYTHING = "Segment/Classify"


class AnalyzeDock(Dock):
    """Slide, models, button, progress, result; each block is a card of its own."""

    def __init__(self, napari_viewer: Viewer):
        super().__init__(napari_viewer)
        make_ready()
        self._job: Job | None = None
        self._analysed: SlideSession | None = None
        #: The slide that the progress card speaks of.
        self._told: SlideSession | None = None
        #: What goes on once the job that runs has ended.
        self._next: tuple[SlideSession, str] | None = None
        self._step = ""
        self.reader = Worker(self)
        self._looked: list[tuple[SlideSession, StoredResults]] = []
        self.slide_card, self.choices_card, self.region_card = SlideCard(), ChoicesCard(), RegionCard()
        self.progress_card, self.result_card = ProgressCard(), ResultCard(self._sessions)
        self.fold = Fold("Show or hide the choice of models, tissue and region, and the single steps")
        self._take_preferences()
        self.button, self.steps = main_button(), step_buttons()
        self.button.clicked.connect(lambda: self.run("Classify"))
        for name, button in self.steps.items():
            button.clicked.connect(lambda _checked, step=name: self.run(step))
        self._tell_key()
        self.keys_changed.connect(self._tell_key)
        self._lay_out()
        self.slide_card.mpp_entered.connect(self._on_mpp)
        self.progress_card.cancel_clicked.connect(self.cancel)
        self._sessions.changed.connect(self._show_current)
        self.choices_card.changed.connect(self._look_for_stored)
        self.choices_card.changed.connect(self._say_choices)
        self.region_card.choice.currentIndexChanged.connect(self._say_choices)
        self._say_choices()
        self._show_current()

    @property
    def job(self) -> Job | None:
        """The job that runs now, or None."""
        return self._job

    def run(self, step: str, session: SlideSession | None = None) -> Job | None:
        """Start a step of :data:`~napari_sam_mil.analysis.run.STEPS` on a slide, or the current one.

        Returns the job, or None where no slide is open, another job runs, or the chosen region is not there.
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
            lambda progress: while_loading(lambda: analyse_elsewhere(source, choices, step=step, progress=progress))
        )
        self._job, self._analysed, self._step = job, session, step
        self._told = session
        # the job outlives the dock: whoever closes the window during work ends the work
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
        """Stop what runs; what was finished is kept."""
        super().leave()
        self.cancel()

    def _take_preferences(self) -> None:
        try:
            self.choices_card.set_project(Path(preferences().project))
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

    def _ask_resolution(self, session: SlideSession, analysis: Analysis, asked: ResolutionAsked) -> None:
        """Show what needs no resolution, ask for it, and go on with the step once it is given."""
        self.progress_card.stop("Waiting for the resolution", "Tissue and segments are done; the rest needs it.")
        self._show(session, replace(analysis, asks=None))
        session.question = (self._step, asked)
        if session is self._sessions.current:
            self.slide_card.show_slide(session)
            self.slide_card.take_answer()

    def _show(self, session: SlideSession, analysis: Analysis) -> None:
        self._sessions.show(session, analysis)
        segments = session.layers.get("segments")
        if segments is not None:
            # hovering tells of the selected layer, and the segments have the most to tell
            self._sessions.viewer.layers.selection.active = segments

    def _look_for_stored(self) -> None:
        """Show at once what the project knows of a slide that was just opened; nothing is computed for it."""
        session = self._sessions.current
        if session is None or session.analysis is not None or self._job is not None or self.reader.busy:
            return
        stored, source = session.source.stored, session.source
        if stored is None:
            choices = self.choices_card.choices()
            stored = StoredResults(choices.project, choices.classifier)
        if (session, stored) in self._looked or not stored.bag(source).is_file():
            return
        self._looked = [pair for pair in self._looked if pair[0] in self._sessions.all()] + [(session, stored)]

        def show(found: Found, before: Analysis | None) -> None:
            """Show it, unless the slide was analysed, edited or closed in the meantime."""
            if self._job is None and session.analysis is before and session in self._sessions.all():
                self._told = session
                self.progress_card.show_kept(found.analysis.processed.reused, found.note)
                self._put_first(self.result_card)
                self._show(session, found.analysis)

        def then(found: Found | OtherSlide | None) -> None:
            if isinstance(found, OtherSlide) and session in self._sessions.all():
                tell(found.message, "warning")
            elif isinstance(found, Found):
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
        self.progress_card.stop("Cancelled; what was finished is kept")

    def _on_end(self) -> None:
        self._job = self._analysed = None
        self._enable()
        self._tell_of_current()
        later(self._go_on)

    def _on_mpp(self, mpp: float) -> None:
        session = self._sessions.current
        if session is None:
            return
        if mpp and session.question is not None:
            self._next, session.question = (session, session.question[0]), None
        self._sessions.set_mpp(session, mpp or None)
        later(self._go_on)

    def _go_on(self) -> None:
        """Go on with a step that waited for its slide's resolution, unless a job runs: then at its end."""
        if self._next is None or self._job is not None:
            return
        (session, step), self._next = self._next, None
        if session in self._sessions.all():
            self.run(step, session)

    def _show_current(self) -> None:
        session = self._sessions.current
        if session is not None and session.source.stored is not None:
            self._take_choices(session.source.stored)
        self.slide_card.show_slide(session)
        self.region_card.show_session(session)
        analysis = None if session is None else session.analysis
        self.slide_card.tell_tissue(None if analysis is None else analysis.processed.tissue)
        self.result_card.show_result(analysis)
        if session is not None and session.source.mpp is not None:
            show_scale_bar(self._sessions.viewer)
        self._enable()
        self._tell_of_current()
        self._look_for_stored()

    def _tell_of_current(self) -> None:
        """Hide the progress of a slide that is not the current one, once its work has ended."""
        if self._job is None and self._told is not self._sessions.current:
            self._told = None
            self.progress_card.hide()

    def _take_choices(self, stored: StoredResults) -> None:
        """Go on with the project and the classifier with which a slide was opened."""
        if self.choices_card.choices().project != stored.project:
            self.choices_card.set_project(stored.project)
        if stored.classifier != BUNDLED and self.choices_card.choices().classifier != stored.classifier:
            self.choices_card.set_classifier(Path(stored.classifier))

    def _enable(self) -> None:
        ready = self._sessions.current is not None and self._job is None
        for button in (self.button, *self.steps.values()):
            button.setEnabled(ready)
        self.choices_card.setEnabled(self._job is None)
        self.region_card.choice.setEnabled(self._job is None)

    def _tell_key(self) -> None:
        what = "Find tissue, divide it into segments, describe its patches, classify the slide"
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
        """Put the progress, or the result, first below the button and the choices, and bring it into view."""
        self._column.insertWidget(self._column.indexOf(self.region_card.facts) + 1, card)
        later(lambda: self._area.verticalScrollBar().setValue(0))

    def _say_choices(self) -> None:
        self.fold.set_text(f"{self.choices_card.in_words()} · {self.region_card.choice.currentText().lower()}")
