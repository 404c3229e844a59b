"""Tools of the Prompts dock: which prompt a click gives, undo, candidates, accept."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QButtonGroup, QFormLayout, QHBoxLayout, QProgressBar, QPushButton

from ...analysis.prompting import Answer
from ...keys import key_of
from ..parts import Card, ShortCombo, text_label

_TOOLS = {
    "positive": ("&+ Point", "Click on what belongs to the segment; Shift or the right button says what does not"),
    "negative": ("&− Point", "Click on what does not belong to the segment"),
    "box": ("&Box", "Drag a box around the segment"),
}
NO_SAM = (
    "Prompts need a Segment Anything model (SAM), and none is on this computer. "
    "The Models dock fetches one, or takes a file that you have."
)
_NO_SLIDE = "Open a slide first: drag it into the window."
_START = "Choose a tool: SAM looks at what is in view. Then click in the image; elsewhere it looks again."
_NOT_SEGMENTED = "To accept masks, press Segment in the Analyze dock first: they join its segments."


class PromptCard(Card):
    """``tool_chosen`` carries ``positive``, ``negative``, ``box``, or None."""

    tool_chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__("Prompts")
        self.hint = text_label()
        self.sams = ShortCombo()
        self.sams.setToolTip("The SAM that answers; the largest is the best and the slowest")
        self.models = QPushButton("M&odels on this computer…")
        self.models.setToolTip("Open the Models dock, which fetches a SAM or takes a file that you have")
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
        """The tool that is on."""
        return next((name for name, button in self.tools.items() if button.isChecked()), None)

    @property
    def sam(self) -> str | None:
        """Name of the chosen SAM; None where there is none."""
        return self.sams.currentText() or None

    def show_keys(self) -> None:
        """Tell the keys in the image as they are set now."""
        said = []
        for name, (button, words, tip) in self._keyed.items():
            key = key_of(name)
            button.setToolTip(f"{tip} ({key} in the image)" if key != "none" else tip)
            said += [f"{key} {words}"] if key != "none" else []
        self.keys.setText(f"Keys in the image: {' · '.join(said)}" if said else "")

    @property
    def _keyed(self) -> dict[str, tuple[QPushButton, str, str]]:
        """Name of an action -> its button, what it does in short, and its tip."""
        more = "A click may mean a part or the whole: show SAM's next proposal"
        return {
            "next_candidate": (self.next, "next candidate", more),
            "accept_mask": (self.accept, "accept", "Make the mask a segment; groups and prediction follow"),
            "undo_prompt": (self.undo, "undo", "Take the last prompt back"),
            "redo_prompt": (self.redo, "redo", "Give it again"),
            "clear_prompts": (self.clear, "clear", "Take all prompts away"),
        }

    def release(self) -> None:
        """Put all tools away."""
        for button in self.tools.values():
            button.setChecked(False)

    def show_sams(self, names: list[str]) -> None:
        """Offer the SAMs that are on this computer."""
        if [self.sams.itemText(place) for place in range(self.sams.count())] != names:
            chosen = self.sams.currentText()
            self.sams.clear()
            self.sams.addItems(names)
            self.sams.setCurrentText(chosen)

    def show_answer(self, answer: Answer | None, number: int) -> None:
        """Say which candidate is shown."""
        count = 0 if answer is None else len(answer.masks)
        self.next.setEnabled(count > 1)
        self._answered = ""
        if answer is not None:
            self._answered = f"Candidate {number + 1} of {count}; SAM gives it {answer.scores[number]:.2f} of 1"
        self.facts.setText(self._answered)

    def enable(
        self, *, slide: bool, undo: bool, redo: bool, prompts: bool, accept: bool, segmented: bool, busy: bool
    ) -> None:
        """Let be pressed what can be done now."""
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
