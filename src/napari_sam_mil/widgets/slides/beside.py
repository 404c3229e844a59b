"""The button that shows two slides side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QPushButton, QWidget

from sam_mil_engine.errors import SamMilError

from ...analysis.collection import Collection, Entry
from ...analysis.pair import PairSide, read_side
from ...analysis.source import tag_of
from ...background.dock_jobs import DockJobs
from ...folders import slide_layers
from ...notices import show_error
from ...session.slide import SlideSession
from .pair_window import PairDock, open_pair

if TYPE_CHECKING:
    from ...session.viewer import Sessions

#: A slide of a list, which is opened, or one that is open already.
Other = SlideSession | tuple[Collection, Entry]
_TIP = "Show the open slide and the selected one in a new window, with linked views"


class BesideButton(QPushButton):
    """Shows the current slide beside another one.

    Parameters
    ----------
    dock
        Its jobs end when it is closed.
    sessions
        The open slides.
    other
        Returns the other slide, or None.
    """

    def __init__(self, dock: QWidget, sessions: Sessions, other: Callable[[], Other | None]):
        super().__init__("Side &by side")
        self._sessions, self._other = sessions, other
        self.pair: PairDock | None = None
        self.jobs = DockJobs(dock)
        self.jobs.changed.connect(self.enable)
        self.clicked.connect(self.show_pair)

    def enable(self) -> None:
        """Enable the button if there are two slides."""
        ready = self._other() is not None
        self.setEnabled(ready and not self.jobs.busy)
        self.setToolTip(_TIP if ready else f"{_TIP}. First open a slide, then select another one")

    def show_pair(self) -> None:
        """Open the window, after the other slide is opened and its results are read."""
        left, other = self._sessions.current, self._other()
        if left is None or other is None:
            return
        mine = PairSide(left.source, left.layer.data, left.analysis)
        if isinstance(other, SlideSession):
            self._open(mine, PairSide(other.source, other.layer.data, other.analysis))
            return
        try:
            levels, keywords, _ = slide_layers(*other)[0]
        except SamMilError as error:
            show_error(error, doing="Opening the slide")
            return
        tag = tag_of(keywords["metadata"])
        if tag is not None:
            self.jobs.start(
                lambda progress: read_side(tag.source, levels, progress=progress),
                doing="Opening two slides side by side",
                then=lambda right: self._open(mine, right),
            )

    def _open(self, left: PairSide, right: PairSide) -> None:
        self.pair = open_pair(left, right)
