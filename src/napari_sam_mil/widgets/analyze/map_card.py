"""How the maps are drawn, and a finer map of the current view."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Qt, Signal, Slot
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QPushButton

from sam_mil_engine.errors import SamMilError
from sam_mil_engine.progress import Progress, ProgressCallback

from ...analysis.finer import FinerMap, grow_map
from ...background.dock_jobs import DockJobs
from ...background.eta import Eta
from ...layers.view import view_px0
from ...notices import show_error
from ...preferences import preferences, save_preferences
from ..parts import Card, text_label

if TYPE_CHECKING:
    from ...analysis.model import Analysis
    from ...session.slide import SlideSession
    from ...session.viewer import Sessions

_TIP = "Predict overlapping patches at a quarter of the step in the current view; the map appears as it grows"


class _Growth(QObject):
    """Brings a growing map from the thread of the job into the window's thread."""

    grown = Signal(object)

    def __init__(self, parent: QObject, show: Callable[[FinerMap], None]):
        super().__init__(parent)
        self._show = show
        self.grown.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    @Slot(object)
    def _deliver(self, found: FinerMap) -> None:
        self._show(found)


class MapCard(Card):
    """Smooth or blocky maps, and *Finer map here*; hidden without a prediction."""

    def __init__(self, sessions: Sessions) -> None:
        super().__init__("Maps")
        self._sessions = sessions
        #: The slide and the results whose map grows.
        self._growing: tuple[SlideSession, Analysis] | None = None
        self._eta: Eta | None = None
        self.smooth = QCheckBox("Smooth")
        self.smooth.setToolTip("Interpolate the maps between the centres of patches instead of drawing squares")
        self.finer, self.cancel = QPushButton("Finer map here"), QPushButton("Stop")
        self.cancel.setToolTip("Stop; what is predicted so far stays in the image")
        self.said = text_label(faint=True)
        self.said.hide()
        self.jobs = DockJobs(self)
        row = QHBoxLayout()
        for widget in (self.finer, self.cancel):
            row.addWidget(widget)
        self.body.addWidget(self.smooth)
        self.body.addLayout(row)
        self.body.addWidget(self.said)
        self._use_preferences()
        self.smooth.toggled.connect(self._on_smooth)
        self.finer.clicked.connect(self.grow)
        self.cancel.clicked.connect(self.jobs.cancel)
        self.jobs.changed.connect(self._enable)
        self.jobs.progressed.connect(self._on_progress)
        self.hide()

    def show_session(self, session: SlideSession | None) -> None:
        """Show the card for a slide with a prediction."""
        if self._growing is not None and not self._is_current(*self._growing):
            self.jobs.cancel()
        analysis = None if session is None else session.analysis
        self.setVisible(analysis is not None and analysis.scores is not None)
        self._enable()

    def grow(self) -> None:
        """Predict the finer map of the current view of the current slide."""
        session = self._sessions.current
        if session is None or session.analysis is None:
            return
        source, analysis = session.source, session.analysis
        window = view_px0(self._sessions.viewer, source.place)
        growth = _Growth(self, lambda found: self._show(session, analysis, found))

        def work(progress: ProgressCallback) -> FinerMap:
            return grow_map(source, analysis, window, growth.grown.emit, progress=progress)

        self._growing, self._eta = (session, analysis), None
        self.said.setText("Starting…")
        self.said.show()
        self.jobs.start(
            work,
            doing="Finer map",
            then=lambda found: self._end(growth, f"{int(found.inside.sum()):,} patches at a quarter of the step."),
            otherwise=lambda: self._end(growth, "Not finished; what is predicted so far is shown."),
        )

    def _show(self, session: SlideSession, analysis: Analysis, found: FinerMap) -> None:
        if self._is_current(session, analysis):
            self._sessions.show_finer(session, found)

    def _is_current(self, session: SlideSession, analysis: Analysis) -> bool:
        """Whether a slide is still open with the results whose map grows."""
        return session in self._sessions.all() and session.analysis is analysis

    def _on_progress(self, progress: Progress) -> None:
        now = time.monotonic()
        self._eta = self._eta or Eta(progress, now=now)
        self.said.setText(self._eta.describe(progress, now=now))

    def _end(self, growth: _Growth, text: str) -> None:
        self._growing = None
        growth.deleteLater()
        self.said.setText(text)

    def _use_preferences(self) -> None:
        try:
            self._sessions.smooth = preferences().smooth_maps
        except SamMilError:
            return  # the dock has told it
        self.smooth.setChecked(self._sessions.smooth)

    def _on_smooth(self, on: bool) -> None:
        self._sessions.smooth = on
        for session in self._sessions.all():
            self._sessions.refresh(session)
        try:
            save_preferences(replace(preferences(), smooth_maps=on))
        except SamMilError as error:
            show_error(error, doing="Saving the preferences")

    def _enable(self) -> None:
        session = self._sessions.current
        known = session is not None and session.analysis is not None and session.analysis.model is not None
        self.finer.setEnabled(known and not self.jobs.busy)
        missing = ". Press Segment/Classify first: the classifier of this result is not known"
        self.finer.setToolTip(_TIP if known else _TIP + missing)
        self.cancel.setVisible(self.jobs.busy)
