"""Prompt SAM with clicks and boxes; accepted masks become segments of the slide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QVBoxLayout, QWidget

from ...analysis.prompting import Answer, Prompt, PromptHistory, answer_prompts, embed_view, sams_on_disk
from ...background.dock_jobs import DockJobs
from ...background.worker import start_worker
from ...docks import open_dock
from ...layers.view import view_px0
from ...session.slide import SlideSession
from ..dock import Dock
from ..events import dock_events
from ..parts import scrolling
from .prompt_card import PromptCard
from .prompt_layers import PromptLayers, show_chosen
from .segment_edits import SegmentEdits
from .segments_card import SegmentsCard

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer


class PromptsDock(Dock):
    """Tools, candidates, and the list of segments. The history of prompts belongs to the current slide."""

    def __init__(self, napari_viewer: Viewer):
        super().__init__(napari_viewer)
        start_worker()
        self._session: SlideSession | None = None
        self.history = PromptHistory()
        self.answer: Answer | None = None
        self._number = 0
        self._again = False
        self._view_embedded: tuple[float, ...] | None = None
        self.card, self.segments = PromptCard(), SegmentsCard()
        self.edits = SegmentEdits(self._sessions, self.segments, self)
        self.jobs, self.editor = DockJobs(self), self.edits.jobs
        keys = {
            "next_candidate": self.next_candidate,
            "accept_mask": self.accept,
            "undo_prompt": self.undo,
            "redo_prompt": self.redo,
            "clear_prompts": self.clear,
        }
        self.layers = PromptLayers(self._sessions, lambda: self.card.tool, keys, self)
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(6, 6, 6, 6)
        column.setSpacing(8)
        column.addWidget(self.card)
        column.addWidget(self.segments, 1)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scrolling(content))
        self._connect()
        self._show_current()

    def _connect(self) -> None:
        self.layers.prompted.connect(self.add)
        self.keys_changed.connect(self.card.show_keys)
        self.card.tool_chosen.connect(self._on_tool)
        self.card.models.clicked.connect(lambda: open_dock(self._sessions.viewer, "Models"))
        self.card.undo.clicked.connect(self.undo)
        self.card.redo.clicked.connect(self.redo)
        self.card.clear.clicked.connect(self.clear)
        self.card.next.clicked.connect(self.next_candidate)
        self.card.accept.clicked.connect(self.accept)
        self.segments.chosen.connect(self._on_chosen)
        self.jobs.changed.connect(self._enable)
        self.editor.changed.connect(self._enable)
        self._sessions.changed.connect(self._show_current)
        dock_events().models_changed.connect(self._show_current)

    def leave(self) -> None:
        """Remove the prompts, the candidate and the selected segment from the viewer."""
        super().leave()
        dock_events().models_changed.disconnect(self._show_current)
        for session in self._sessions.all():
            for kind in ("candidate", "prompts", "chosen"):
                self._sessions.drop(session, kind)

    def add(self, prompt: Prompt) -> None:
        """Add a prompt and run SAM again."""
        self.segments.list.clearSelection()
        self.history.add(prompt)
        self._ask()

    def undo(self) -> None:
        """Undo the last prompt."""
        self.history.undo()
        self._ask()

    def redo(self) -> None:
        """Redo the last undone prompt."""
        self.history.redo()
        self._ask()

    def clear(self) -> None:
        """Remove all prompts."""
        self.history.clear()
        self._ask()

    def next_candidate(self) -> None:
        """Show the next candidate mask."""
        if self.answer is not None:
            self._number = (self._number + 1) % len(self.answer.masks)
            self._show_answer()

    def accept(self) -> None:
        """Add the shown mask as a segment, and update groups, group features and the prediction."""
        session, answer = self._session, self.answer
        if session is not None and answer is not None and not self.jobs.busy:
            self.edits.add(answer, self._number, then=lambda: self._reset_prompts(session))

    def _ask(self) -> None:
        session, prompts = self._session, self.history.prompts
        if session is None:
            return
        if not prompts:
            self.answer = None
            self._show_prompts(session)
            self._show_answer()
            return
        self._show_prompts(session)
        view = view_px0(self._sessions.viewer, session.source.place)
        if self.jobs.busy:
            self._again = True
            if self._view_embedded not in (None, view):  # the user has left the view that is being embedded
                self.jobs.cancel()
            return
        sam = self.card.sam
        if sam is None:
            return
        slide, regions = session.source.slide, session.regions

        def then(answer: Answer) -> None:
            if session is not self._session:
                return
            self.answer, self._number = answer, 0
            self._show_prompts(session)
            self._show_answer()
            self._catch_up()

        self.jobs.start(
            lambda progress: answer_prompts(slide, regions, prompts, view, sam=sam, progress=progress),
            doing="Prompting",
            then=then,
            otherwise=self._catch_up,
        )

    def _catch_up(self) -> None:
        self._view_embedded = None
        if self._again:
            self._again = False
            self._ask()

    def _on_tool(self, tool: str | None) -> None:
        session = self._session
        layer = None if session is None else session.layers.get("prompts")
        if tool is None and layer is not None:
            layer.mouse_pan = True
        elif tool is not None and session is not None:
            self.layers.activate_tool(session, layer or self._show_prompts(session))
            if not self.history.prompts:
                self._embed_view()

    def _embed_view(self) -> None:
        """Embed the view before the user clicks, so that the first click is fast."""
        session, sam = self._session, self.card.sam
        if session is None or sam is None:
            return
        view = view_px0(self._sessions.viewer, session.source.place)
        slide, regions = session.source.slide, session.regions
        job = self.jobs.start(
            lambda progress: embed_view(slide, regions, view, sam=sam, progress=progress),
            doing="Embedding the view",
            then=lambda _region: self._catch_up(),
            otherwise=self._catch_up,
        )
        if job is not None:
            self._view_embedded = view

    def _show_prompts(self, session: SlideSession) -> Layer:
        return self.layers.show_prompts(session, self.history.prompts, self.answer)

    def _show_answer(self) -> None:
        if self._session is not None:
            self.layers.show_answer(self._session, self.answer, self._number)
            self.card.show_answer(self.answer, self._number)
            self._enable()

    def _on_chosen(self, number: int | None) -> None:
        if self._session is not None:
            show_chosen(self._sessions, self._session, number)

    def _reset_prompts(self, session: SlideSession | None) -> None:
        self.history, self.answer, self._again = PromptHistory(), None, False
        if session is not None:
            self.layers.show_answer(session, None, 0)
            if session is self._session and "prompts" in session.layers:
                self._show_prompts(session)
        self.card.show_answer(None, 0)

    def _show_current(self) -> None:
        session = self._sessions.current
        if session is not self._session:
            if self._session is not None and self._session in self._sessions.all():
                for kind in ("candidate", "prompts", "chosen"):
                    self._sessions.drop(self._session, kind)
            self._session = session
            self.card.release()
            self._reset_prompts(session)
        self.card.show_sams(sams_on_disk())
        self.segments.show_session(session)
        if session is not None and not self.segments.numbers:
            show_chosen(self._sessions, session, None)
        self._enable()

    def _enable(self) -> None:
        session, history = self._session, self.history
        analysis = None if session is None else session.analysis
        segmented = analysis is not None and analysis.processed.segments is not None
        self.card.enable(
            slide=session is not None,
            undo=history.can_undo,
            redo=history.can_redo,
            prompts=bool(history.prompts),
            accept=segmented and self.answer is not None and not self.editor.busy and not self.jobs.busy,
            segmented=segmented,
            busy=self.jobs.busy,
        )
        self.segments.setEnabled(not self.editor.busy)
