"""Looks up what the project holds of a newly opened slide, without computing anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from qtpy.QtWidgets import QWidget

from ...analysis.model import Analysis, Choices, StoredResults
from ...analysis.results import OtherSlide, StoredAnalysis, predict_stored, read_stored
from ...background.dock_jobs import DockJobs
from ...layers.preload import while_loading
from ...notices import tell
from ...session.slide import SlideSession
from ...session.viewer import Sessions


class StoredLookup:
    """Each slide is looked up once for each project and classifier.

    Parameters
    ----------
    dock
        Its jobs end when it is closed.
    sessions
        The open slides.
    choices
        Returns the current choices.
    may_show
        Whether no analysis is running.
    show
        Shows what was found of a slide.
    """

    def __init__(
        self,
        dock: QWidget,
        sessions: Sessions,
        *,
        choices: Callable[[], Choices],
        may_show: Callable[[], bool],
        show: Callable[[SlideSession, StoredAnalysis], None],
    ):
        self._sessions, self.jobs = sessions, DockJobs(dock)
        self._choices, self._may_show, self._show_found = choices, may_show, show
        self._looked_up: list[tuple[SlideSession, StoredResults]] = []

    def look(self) -> None:
        """Show the stored results of the current slide if it has none yet."""
        session = self._sessions.current
        if session is None or session.analysis is not None or not self._may_show() or self.jobs.busy:
            return
        stored, source = session.source.stored, session.source
        if stored is None:
            choices = self._choices()
            stored = StoredResults(choices.project, choices.classifier)
        if (session, stored) in self._looked_up or not stored.bag(source).is_file():
            return
        self._looked_up = [pair for pair in self._looked_up if pair[0] in self._sessions.all()] + [
            (session, stored)
        ]
        self.jobs.start(
            lambda _progress: while_loading(lambda: read_stored(source, stored)),
            doing="Reading the project",
            then=lambda found: self._then(session, stored, found),
        )

    def _then(
        self, session: SlideSession, stored: StoredResults, found: StoredAnalysis | OtherSlide | None
    ) -> None:
        if isinstance(found, OtherSlide) and session in self._sessions.all():
            tell(found.message, "warning")
        elif isinstance(found, StoredAnalysis):
            known = found.analysis.processed.bag is not None
            if session in self._sessions.all():
                self._sessions.take_resolution(session, found.analysis.processed.info)
            self._show(session, replace(found, note="Classifying…" if known else ""), before=None)
            self.jobs.start(
                lambda progress: predict_stored(found, stored, progress=progress),
                doing="Classifying the slide",
                then=lambda full: self._show(session, full, before=found.analysis),
            )
        self.look()

    def _show(self, session: SlideSession, found: StoredAnalysis, *, before: Analysis | None) -> None:
        """Show the results, unless the slide was analysed, edited or closed in the meantime."""
        if self._may_show() and session.analysis is before and session in self._sessions.all():
            self._show_found(session, found)
