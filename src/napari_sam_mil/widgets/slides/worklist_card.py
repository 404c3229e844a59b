"""Status and note of a slide, and the way to the next and the previous one."""

from __future__ import annotations

from collections import Counter

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QLineEdit, QPushButton
from superqt.utils import signals_blocked

from ...analysis.worklist import NOT_SEEN, STATUSES, TO_DISCUSS, Item
from ...keys import key_of
from ..parts import Card, ShortCombo, text_label

_STATUS_TIPS = {
    "not seen": "You have not opened the slide from this list",
    "seen": "You have opened the slide from this list",
    "agreed": "You agree with the result",
    "to discuss": "You want to discuss the slide with somebody",
}


class WorklistCard(Card):
    """What was noted of the selected slide.

    Signals
    -------
    step_clicked(int)
        1 for the next slide, -1 for the previous one.
    status_chosen(str), note_written(str)
        The user changed a field.
    """

    step_clicked = Signal(int)
    status_chosen = Signal(str)
    note_written = Signal(str)

    def __init__(self) -> None:
        super().__init__("Worklist")
        self.previous, self.next = QPushButton("Previo&us"), QPushButton("Ne&xt")
        self.status, self.note = ShortCombo(), QLineEdit()
        for status in STATUSES:
            self.status.addItem(status.capitalize(), status)
            self.status.setItemData(self.status.count() - 1, _STATUS_TIPS[status], 3)
        self.status.setToolTip("Your status of the selected slide; it is saved in the project")
        self.note.setToolTip("Your note on the selected slide; it is saved in the project when you press Enter")
        self.note.setPlaceholderText("None")
        self.counts = text_label(faint=True)
        row = QHBoxLayout()
        row.addWidget(self.previous)
        row.addWidget(self.next)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("&Status", self.status)
        form.addRow("&Note", self.note)
        self.body.addLayout(row)
        self.body.addLayout(form)
        self.body.addWidget(self.counts)
        self.previous.clicked.connect(lambda: self.step_clicked.emit(-1))
        self.next.clicked.connect(lambda: self.step_clicked.emit(1))
        self.status.currentIndexChanged.connect(lambda _place: self.status_chosen.emit(self.status.currentData()))
        self.note.editingFinished.connect(lambda: self.note_written.emit(self.note.text()))
        self.show_keys()

    def show_item(self, item: Item | None) -> None:
        """Show what was noted of the selected slide; None if none is selected."""
        for widget in (self.status, self.note):
            widget.setEnabled(item is not None)
        item = item or Item()
        with signals_blocked(self.status):
            self.status.setCurrentIndex(STATUSES.index(item.status))
        if self.note.text() != item.note:
            self.note.setText(item.note)

    def show_counts(self, statuses: list[str]) -> None:
        """Say how many slides were seen."""
        count = Counter(statuses)
        seen = f"{len(statuses) - count[NOT_SEEN]} of {len(statuses)} slides seen"
        self.counts.setText(f"{seen}, {count[TO_DISCUSS]} to discuss." if count[TO_DISCUSS] else f"{seen}.")

    def show_keys(self) -> None:
        """Show the keys of both buttons in their tooltips."""
        for button, name, what in (
            (self.previous, "previous_slide", "previous"),
            (self.next, "next_slide", "next"),
        ):
            button.setToolTip(f"Open the {what} slide of the list, as sorted and filtered ({key_of(name)})")
