"""Edit segments, update groups, group features and the prediction, and report the result in the card."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject

from sam_mil_engine.progress import ProgressCallback

from ...analysis.model import Analysis
from ...analysis.prompting import Answer
from ...analysis.segment_edits import (
    add_segment,
    delete_segments,
    merge_segments,
    names_of,
    rename_segment,
    save_edits,
)
from ...analysis.segment_table import shown_class
from ...background.dock_jobs import DockJobs
from ...session.slide import SlideSession
from ...session.viewer import Sessions
from .segments_card import SegmentsCard

if TYPE_CHECKING:
    from ..dock import Dock


class SegmentEdits(QObject):
    """Edits the segments of the current slide, one edit at a time.

    Parameters
    ----------
    sessions
        The slides of the viewer.
    card
        The list of segments, with the buttons for the edits.
    """

    def __init__(self, sessions: Sessions, card: SegmentsCard, dock: Dock):
        super().__init__(dock)
        self._sessions, self._card = sessions, card
        self.jobs = DockJobs(dock)
        card.delete_clicked.connect(self.delete)
        card.merge_clicked.connect(self.merge)
        card.renamed.connect(self.rename)
        card.undo_clicked.connect(self.undo)
        card.save_clicked.connect(self.save)

    def add(self, answer: Answer, number: int, *, then: Callable[[], None]) -> None:
        """Add one of SAM's masks as a segment. ``then`` is called after that, before the segment is shown."""
        mask, score = answer.masks[number], float(answer.scores[number])

        def change(analysis: Analysis, mpp: Any, progress: ProgressCallback) -> Analysis:
            return add_segment(analysis, mask, answer.region.frame, score=score, mpp=mpp, progress=progress)

        def keep(session: SlideSession, before: Analysis, after: Analysis) -> None:
            then()
            self._keep(session, before, after, "Segment added")
            self._card.choose_newest()

        self._edit(change, "Adding the segment", keep)

    def delete(self, numbers: list[int]) -> None:
        """Delete segments."""
        words = "Segment deleted" if len(numbers) == 1 else f"{len(numbers)} segments deleted"
        self._edit(
            lambda analysis, mpp, p: delete_segments(analysis, numbers, mpp=mpp, progress=p),
            "Deleting the segments",
            lambda session, before, after: self._keep(session, before, after, words),
        )

    def merge(self, numbers: list[int]) -> None:
        """Merge segments into one."""
        words = f"{len(numbers)} segments merged"
        self._edit(
            lambda analysis, mpp, p: merge_segments(analysis, numbers, mpp=mpp, progress=p),
            "Merging the segments",
            lambda session, before, after: self._keep(session, before, after, words),
        )

    def rename(self, number: int, name: str) -> None:
        """Rename a segment."""
        session = self._sessions.current
        analysis = None if session is None else session.analysis
        # the signal is also emitted when the user leaves the field without a change
        if session is not None and analysis is not None and names_of(analysis)[number] != name.strip():
            session.analysis = rename_segment(analysis, number, name)
            self._sessions.update_table(session)

    def undo(self) -> None:
        """Undo the last edit."""
        session = self._sessions.current
        if session is not None:
            self._sessions.undo_edit(session)
            self._card.say("The last edit was undone")

    def save(self) -> None:
        """Save the edited segments to the project."""
        session = self._sessions.current
        if session is None or session.analysis is None:
            return
        analysis = session.analysis

        def then(words: str) -> None:
            session.on_disk = analysis
            self._card.say(words)
            self._card.show_session(self._sessions.current)

        self.jobs.start(
            lambda progress: save_edits(analysis, progress=progress), doing="Saving the segments", then=then
        )

    def _edit(
        self,
        change: Callable[[Analysis, Any, ProgressCallback], Analysis],
        doing: str,
        then: Callable[[SlideSession, Analysis, Analysis], None],
    ) -> None:
        session = self._sessions.current
        if session is None or session.analysis is None:
            return
        analysis, mpp = session.analysis, session.source.mpp
        self.jobs.start(
            lambda progress: change(analysis, mpp, progress),
            doing=doing,
            then=lambda after: then(session, analysis, after),
        )

    def _keep(self, session: SlideSession, before: Analysis, after: Analysis, words: str) -> None:
        if session.analysis is not before:
            self._card.say("The slide was analysed again in the meantime, so the edit was discarded")
            return
        if before.scores is not None and after.scores is not None:
            column = shown_class(after.scores)
            old, new = before.scores.probabilities[column], after.scores.probabilities[column]
            words += f"; probability of {after.scores.classes[column]}: {old:.3f} → {new:.3f}"
        self._card.say(words)
        self._sessions.edit(session, after)
