"""The table of the slides of a collection, with what was noted of each."""

from __future__ import annotations

import math
from collections.abc import Iterator

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeyEvent
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from ...analysis.collection import Collection, Entry
from ...analysis.worklist import Item
from ..parts import Number

_TRY_AGAIN = "To try again, open the slide and press Segment/Classify in the Analyze dock"
_TIPS = {
    "slide": "Name of the slide; a double click or Enter opens it with its results",
    "status": "The status in the worklist: not seen, seen, agreed or to discuss",
    "state": "How preprocessing ended; hover over a failed row to see the reason",
    "label": "The label of the slide in the run",
    "predicted": "The prediction of a model that was not trained on this slide",
    "patches": "Number of tissue patches",
    "segments": "Number of tissue segments",
    "note": "Your note in the worklist",
}
#: Columns that are shown in any case; the others are shown where a slide has something in them.
_ALWAYS = ("slide", "status", "note")
_STEPS = (Qt.Key.Key_Left, Qt.Key.Key_Right)


class SlideTable(QTableWidget):
    """One row per slide. Rows are sorted by a click on a heading, and hidden by a filter."""

    def __init__(self) -> None:
        super().__init__()
        self._columns: list[str] = []
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.verticalHeader().hide()
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.setAccessibleName("Slides")
        self.setToolTip(_TIPS["slide"])

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """Leave Alt+Left and Alt+Right to the window, where they open the previous and the next slide."""
        if event.key() in _STEPS and event.modifiers() & Qt.KeyboardModifier.AltModifier:
            event.ignore()
        else:
            super().keyPressEvent(event)

    def fill(self, collection: Collection, noted: dict[str, Item]) -> None:
        """List the slides of a collection, with the item of each by its name."""
        rows = [_cells(entry, noted.get(entry.slide_id, Item())) for entry in collection.entries]
        names = list(_cells(Entry(""), Item()))
        shown = [name for name in names if name in _ALWAYS or any(row[name] not in ("", None) for row in rows)]
        self._columns = shown
        self.setSortingEnabled(False)
        self.clear()
        self.setColumnCount(len(shown))
        self.setRowCount(len(rows))
        for column, name in enumerate(shown):
            header = QTableWidgetItem(f"p({collection.positive})" if name == "probability" else name)
            header.setToolTip(_TIPS.get(name, f"Probability of {collection.positive}"))
            self.setHorizontalHeaderItem(column, header)
            for row, entry in enumerate(collection.entries):
                cell = _cell(rows[row][name], is_probability=name == "probability")
                cell.setData(Qt.ItemDataRole.UserRole, entry)
                cell.setToolTip(f"{entry.error}. {_TRY_AGAIN}" if entry.error else "")
                self.setItem(row, column, cell)
        self.setSortingEnabled(True)

    def show_item(self, entry: Entry, item: Item) -> None:
        """Show what was noted of a slide."""
        for name, text in (("status", item.status), ("note", item.note)):
            row = self.row_of(entry)  # again: the table may be sorted by the column that changed
            if row is not None:
                self.item(row, self._columns.index(name)).setText(text)

    def entry(self, row: int) -> Entry:
        """Return the slide of a row."""
        found: Entry = self.item(row, 0).data(Qt.ItemDataRole.UserRole)
        return found

    def row_of(self, entry: Entry) -> int | None:
        """Return the row of a slide, or None."""
        return next((row for row in range(self.rowCount()) if self.entry(row) is entry), None)

    def chosen(self) -> Entry | None:
        """Return the slide of the selected row."""
        rows = self.selectionModel().selectedRows(0)
        return self.entry(rows[0].row()) if rows else None

    def neighbour(self, step: int) -> Entry | None:
        """Return the slide ``step`` shown rows after the selected one; without a selection, the first or last."""
        shown = list(self._shown())
        chosen = self.chosen()
        here = None if chosen is None else self.row_of(chosen)
        after = [row for row in shown if here is None or (row - here) * step > 0]
        return self.entry(after[0 if step > 0 else -1]) if after else None

    def choose(self, entry: Entry) -> None:
        """Select the row of a slide and scroll to it."""
        row = self.row_of(entry)
        if row is not None:
            self.selectRow(row)
            self.scrollToItem(self.item(row, 0))

    def filter(self, words: list[str], *, only_wrong: bool) -> None:
        """Show only the rows that contain all words, and, if asked, whose prediction is wrong."""
        for row in range(self.rowCount()):
            text = " ".join(self.item(row, column).text().lower() for column in range(self.columnCount()))
            fits = all(word in text for word in words) and (not only_wrong or is_wrong(self.entry(row)))
            self.setRowHidden(row, not fits)

    def _shown(self) -> Iterator[int]:
        return (row for row in range(self.rowCount()) if not self.isRowHidden(row))


def is_wrong(entry: Entry) -> bool:
    """Whether the prediction of a slide differs from its label."""
    return bool(entry.label and entry.predicted) and entry.label != entry.predicted


def _cells(entry: Entry, item: Item) -> dict[str, str | float | None]:
    return {
        "slide": entry.slide_id,
        "status": item.status,
        "label": entry.label,
        "predicted": entry.predicted,
        "probability": entry.probability,
        "state": entry.state,
        "patches": entry.patches,
        "segments": entry.segments,
        "note": item.note,
    }


def _cell(value: str | float | None, *, is_probability: bool) -> QTableWidgetItem:
    if isinstance(value, str):
        return QTableWidgetItem(value)
    cell = Number(math.nan if value is None else value)
    if is_probability and value is not None:
        cell.setText(f"{value:.3f}")
    return cell
