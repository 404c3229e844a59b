"""Show the stored results of a newly opened slide, without computing anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from ...analysis.results import OtherSlide, StoredAnalysis, predict_stored, read_stored
from ...background.dock_jobs import DockJobs
from ...layers.preload import while_loading
from ...notices import tell

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from ...analysis.model import Analysis, StoredResults
    from ...session.slide import SlideSession
    from ...session.viewer import Sessions

#: Shows the stored results of a slide.
Show = Callable[["SlideSession", StoredAnalysis], None]


class StoredReader:
    """Reads the results of a slide once from each project, in the background.

    Parameters
    ----------
    dock
        Its jobs end when it is closed.
    sessions
        The open slides.
    show
        Called with what was found: first the stages, then the same with the prediction.
    """

    def __init__(self, dock: QWidget, sessions: Sessions, show: Show):
        self.jobs = DockJobs(dock)
        self._sessions, self._show = sessions, show
        self._looked_up: list[tuple[SlideSession, StoredResults]] = []

    def look(self, session: SlideSession, stored: StoredResults, *, then: Callable[[], None]) -> None:
        """Read the results of a slide, unless another is being read, or these were read before.

        ``then`` is called when the stages are read, so that another slide can be looked up.
        """
        source = session.source
        if self.jobs.busy or (session, stored) in self._looked_up or not stored.bag(source).is_file():
            return
        open_ones = self._sessions.all()
        self._looked_up = [pair for pair in self._looked_up if pair[0] in open_ones] + [(session, stored)]

        def show(found: StoredAnalysis, before: Analysis | None) -> None:
            """Show the results, unless the slide was analysed, edited or closed in the meantime."""
            if session.analysis is before and session in self._sessions.all():
                self._show(session, found)

        def on_read(found: StoredAnalysis | OtherSlide | None) -> None:
            if isinstance(found, OtherSlide) and session in self._sessions.all():
                tell(found.message, "warning")
            elif isinstance(found, StoredAnalysis):
                known = found.analysis.processed.bag is not None
                show(replace(found, note="Classifying…" if known else ""), None)
                self.jobs.start(
                    lambda progress: predict_stored(found, stored, progress=progress),
                    doing="Classifying the slide",
                    then=lambda full: show(full, found.analysis),
                )
            then()

        self.jobs.start(
            lambda _progress: while_loading(lambda: read_stored(source, stored)),
            doing="Reading the project",
            then=on_read,
        )
