"""The tools of the Prompts dock: kind of prompt, undo, candidates, accept."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QButtonGroup, QFormLayout, QHBoxLayout, QProgressBar, QPushButton

from ...analysis.prompting import Answer
from ...keys import key_of
from ..parts import Card, ShortCombo, text_label

_TOOLS = {
    "positive": ("&+ Point", "Click what belongs to the segment; use Shift or the right button for what does not"),
    "negative": ("&− Point", "Click what does not belong to the segment"),
    "box": ("&Box", "Drag a box around the segment"),
}
NO_SAM = (
    "Prompts need a Segment Anything model (SAM), and there is none on this computer. "
    "Fetch one in the Models dock, or add a file there."
)
_NO_SLIDE = "Open a slide first, for example by dragging it into the window."
_START = "Choose a tool, then click in the image. The first click in a new part of the slide takes longer."
_NOT_SEGMENTED = "To accept masks, first press Segment in the Analyze dock: masks are added to its segments."


class PromptCard(Card):
    """``tool_chosen`` carries ``positive``, ``negative``, ``box``, or None."""

    tool_chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__("Prompts")
        self.hint = text_label()
        self.sams = ShortCombo()
        self.sams.setToolTip("The SAM to use; larger models are better and slower")
        self.models = QPushButton("M&odels on this computer…")
        self.models.setToolTip("Open the Models dock to fetch a SAM or add a file")
        self._sams_row = QFormLayout()
        self._sams_row.addRow("&SAM", self.sams)
        self.tools: dict[str, QPushButton] = {}
        self._group = QButtonGroup(self)
        self._group.setExclusive(False)
        row = QHBoxLayout()
        for name, (text, tip) in _TOOLS.items():
            button = QPushButton(text)
            button.setCheckable(True)
            button.setToolTip(tip)
            button.clicked.connect(lambda checked, name=name: self._on_clicked(name, checked))
            self._group.addButton(button)
            self.tools[name] = button
            row.addWidget(button)
        self.undo, self.redo, self.clear = QPushButton("&Undo"), QPushButton("&Redo"), QPushButton("&Clear")
        steps = QHBoxLayout()
        for button in (self.undo, self.redo, self.clear):
            steps.addWidget(button)
        self.next, self.accept = QPushButton("Ne&xt candidate"), QPushButton("&Accept")
        ends = QHBoxLayout()
        ends.addWidget(self.next)
        ends.addWidget(self.accept)
        self.facts, self.keys = text_label(), text_label(faint=True)
        self.show_keys()
        self.bar = QProgressBar()
        self.bar.setRange(0, 0)
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(8)
        self.body.addWidget(self.hint)
        self.body.addWidget(self.models)
        self.body.addLayout(self._sams_row)
        for layout in (row, steps):
            self.body.addLayout(layout)
        self.body.addWidget(self.facts)
        self.body.addWidget(self.bar)
        self.body.addLayout(ends)
        self.body.addWidget(self.keys)
        self._answered = ""

    @property
    def tool(self) -> str | None:
        """The active tool, or None."""
        return next((name for name, button in self.tools.items() if button.isChecked()), None)

    @property
    def sam(self) -> str | None:
        """Name of the chosen SAM, or None if there is none."""
        return self.sams.currentText() or None

    def show_keys(self) -> None:
        """Show the current keys for the image."""
        said = []
        for name, (button, words, tip) in self._keyed.items():
            key = key_of(name)
            button.setToolTip(f"{tip} ({key} in the image)" if key != "none" else tip)
            said += [f"{key} {words}"] if key != "none" else []
        self.keys.setText(f"Keys in the image: {' · '.join(said)}" if said else "")

    @property
    def _keyed(self) -> dict[str, tuple[QPushButton, str, str]]:
        """Name of an action -> its button, a short description, and its tooltip."""
        more = "Show SAM's next candidate, since a click may mean a part or the whole"
        return {
            "next_candidate": (self.next, "next candidate", more),
            "accept_mask": (self.accept, "accept", "Add the mask as a segment, and update groups and prediction"),
            "undo_prompt": (self.undo, "undo", "Undo the last prompt"),
            "redo_prompt": (self.redo, "redo", "Redo the last undone prompt"),
            "clear_prompts": (self.clear, "clear", "Remove all prompts"),
        }

    def release(self) -> None:
        """Deactivate all tools."""
        for button in self.tools.values():
            button.setChecked(False)

    def show_sams(self, names: list[str]) -> None:
        """List the SAMs on this computer."""
        if [self.sams.itemText(place) for place in range(self.sams.count())] != names:
            chosen = self.sams.currentText()
            self.sams.clear()
            self.sams.addItems(names)
            self.sams.setCurrentText(chosen)

    def show_answer(self, answer: Answer | None, number: int) -> None:
        """Show which candidate is shown."""
        count = 0 if answer is None else len(answer.masks)
        self.next.setEnabled(count > 1)
        self._answered = ""
        if answer is not None:
            self._answered = f"Candidate {number + 1} of {count}; SAM's score is {answer.scores[number]:.2f} of 1"
        self.facts.setText(self._answered)

    def enable(
        self, *, slide: bool, undo: bool, redo: bool, prompts: bool, accept: bool, segmented: bool, busy: bool
    ) -> None:
        """Enable the buttons whose actions are possible now."""
        usable = slide and self.sam is not None
        for button in self.tools.values():
            button.setEnabled(usable)
        self._sams_row.setRowVisible(0, self.sams.count() > 0)
        self.undo.setEnabled(undo)
        self.redo.setEnabled(redo)
        self.clear.setEnabled(prompts)
        self.accept.setEnabled(accept)
        self.bar.setVisible(busy)
        self.models.setVisible(not self.sams.count())
        if not self.sams.count():
            self.hint.setText(NO_SAM)
        else:
            self.hint.setText(_NO_SLIDE if not slide else _START if segmented else f"{_START} {_NOT_SEGMENTED}")

    def _on_clicked(self, name: str, checked: bool) -> None:
        for other, button in self.tools.items():
            if other != name:
                button.setChecked(False)
        self.tool_chosen.emit(name if checked else None)
