"""The list of segments: select, delete, merge, rename."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QGridLayout, QListWidget, QListWidgetItem, QPushButton
from superqt.utils import signals_blocked

from ...analysis.segment_edits import names_of
from ..parts import Card, text_label

if TYPE_CHECKING:
    from ...session.slide import SlideSession

_NUMBER = Qt.ItemDataRole.UserRole
_EMPTY = "Press Segment or Segment/Classify in the Analyze dock. The segments are then listed here."


class SegmentsCard(Card):
    """One row per segment, the newest first. Numbers count from 0; ``chosen`` carries None for none or several."""

    chosen = Signal(object)
    renamed = Signal(int, str)
    delete_clicked = Signal(list)
    merge_clicked = Signal(list)
    undo_clicked = Signal()
    save_clicked = Signal()

    def __init__(self) -> None:
        super().__init__("Segments")
        self._hint, self._said = text_label(_EMPTY), text_label()
        self._said.hide()
        self.list = QListWidget()
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.list.setEditTriggers(
            QAbstractItemView.EditTrigger.DoubleClicked | QAbstractItemView.EditTrigger.EditKeyPressed
        )
        self.list.setMinimumHeight(140)
        self.list.setAccessibleName("Segments of the slide")
        self.list.setToolTip("Click to select, use Ctrl or Shift to select several, and double-click to rename")
        self.list.itemSelectionChanged.connect(self._on_selection)
        self.list.itemChanged.connect(self._on_item)
        self.delete, self.merge = QPushButton("&Delete"), QPushButton("&Merge")
        self.rename, self.undo = QPushButton("Re&name"), QPushButton("Undo &edit")
        self.delete.setToolTip(
            "Delete the selected segments, and update groups and prediction; patches do not change"
        )
        self.merge.setToolTip("Merge the selected segments into one")
        self.rename.setToolTip("Rename the selected segment")
        self.undo.setToolTip("Undo the last edit of the segments")
        self.delete.clicked.connect(lambda: self.delete_clicked.emit(self.numbers))
        self.merge.clicked.connect(lambda: self.merge_clicked.emit(self.numbers))
        self.rename.clicked.connect(lambda: self.list.editItem(self.list.currentItem()))
        self.undo.clicked.connect(self.undo_clicked)
        self.save = QPushButton("Save edits to the pro&ject")
        self.save.setToolTip("Save the edited segments to the project")
        self.save.clicked.connect(self.save_clicked)
        rows = QGridLayout()
        rows.setSpacing(4)
        for i, button in enumerate((self.delete, self.merge, self.rename, self.undo)):
            rows.addWidget(button, i // 2, i % 2)
        for widget in (self._hint, self.list):
            self.body.addWidget(widget)
        self.body.addLayout(rows)
        self.body.addWidget(self.save)
        self.body.addWidget(self._said)
        self._undoable = self._savable = False

    @property
    def numbers(self) -> list[int]:
        """Numbers of the selected segments, ascending."""
        return sorted(int(item.data(_NUMBER)) for item in self.list.selectedItems())

    def choose_newest(self) -> None:
        """Select the segment that was added last."""
        if self.list.count():
            self.list.setCurrentRow(0)

    def say(self, text: str) -> None:
        """Show a message."""
        self._said.setText(text)
        self._said.setVisible(bool(text))

    def show_session(self, session: SlideSession | None) -> None:
        """List the segments of a slide. The selection is kept if the number of segments is the same."""
        analysis = None if session is None else session.analysis
        names = () if analysis is None else names_of(analysis)
        kept = self.numbers if self.list.count() == len(names) else []
        self._hint.setVisible(not names)
        self.list.setVisible(bool(names))
        self._undoable = session is not None and bool(session.earlier)
        self._savable = session is not None and bool(names) and session.analysis is not session.on_disk
        with signals_blocked(self.list):
            self.list.clear()
            for number in reversed(range(len(names))):
                # Qt makes the item: PySide6 6.11 crashed when the list deleted items that were made in Python
                self.list.addItem(names[number] or f"Segment {number + 1}")
                item = self.list.item(self.list.count() - 1)
                item.setData(_NUMBER, number)
                item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
                item.setSelected(number in kept)
        self._enable()

    def _on_selection(self) -> None:
        self._enable()
        self.chosen.emit(self.numbers[0] if len(self.numbers) == 1 else None)

    def _on_item(self, item: QListWidgetItem) -> None:
        number = int(item.data(_NUMBER))
        text = item.text().strip()
        self.renamed.emit(number, "" if text == f"Segment {number + 1}" else text)

    def _enable(self) -> None:
        count = len(self.numbers)
        self.delete.setEnabled(count > 0)
        self.merge.setEnabled(count > 1)
        self.rename.setEnabled(count == 1)
        self.undo.setEnabled(self._undoable)
        self.save.setEnabled(self._savable)
