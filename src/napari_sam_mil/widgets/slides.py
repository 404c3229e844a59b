"""List the slides of a project, a run or predictions. A double click opens a slide."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Layer
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QFileDialog,
    QHeaderView,
    QLineEdit,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
)

from sam_mil_engine.errors import SamMilError

from ..analysis.collection import Collection, Entry, find_slide, open_collection
from ..folders import places_of, slide_layers
from ..notices import show_error
from ..session.slide import SlideSession
from .dock import Dock
from .parts import Number, text_label

if TYPE_CHECKING:
    from napari.viewer import Viewer

_EMPTY = "Choose the folder of a project, a run or predictions. Its slides are then listed here."
_TRY_AGAIN = "To try again, open the slide and press Segment/Classify in the Analyze dock"
_TIPS = {
    "slide": "Name of the slide; a double click or Enter opens it with its results",
    "state": "How preprocessing ended; hover over a failed row to see the reason",
    "label": "The label of the slide in the run",
    "predicted": "The prediction of a model that was not trained on this slide",
    "patches": "Number of tissue patches",
    "segments": "Number of tissue segments",
}


class SlidesDock(Dock):
    """The table of a collection."""

    def __init__(self, napari_viewer: Viewer):
        super().__init__(napari_viewer)
        self._collection: Collection | None = None
        self._hidden_slides: list[tuple[SlideSession, list[Layer]]] = []
        self.folder, self.open = QPushButton("&Choose folder…"), QPushButton("&Open slide")
        self.folder.setToolTip("Open the folder of a project, of a trained run or of predictions")
        self.open.setToolTip("Open the selected slide with its results, and close the slides without unsaved work")
        self.filter, self.wrong = QLineEdit(), QCheckBox("Only w&rong predictions")
        self.filter.setPlaceholderText("Filter by words in a row")
        self.filter.setToolTip("Show only the rows that contain all of these words")
        self.filter.setAccessibleName("Filter of the slides")
        self.filter.setClearButtonEnabled(True)
        self.wrong.setToolTip("Show only the slides whose prediction differs from their label")
        self.table = QTableWidget()
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.verticalHeader().hide()
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.table.setAccessibleName("Slides")
        self.table.setToolTip(_TIPS["slide"])
        self.title = text_label(_EMPTY)
        self._lay_out()
        self.folder.clicked.connect(self._ask)
        self.open.clicked.connect(self.open_chosen)
        self.table.itemActivated.connect(self.open_chosen)
        self.table.itemSelectionChanged.connect(self._enable)
        self.filter.textChanged.connect(self._filter)
        self.wrong.toggled.connect(self._filter)
        self._enable()

    def show_folder(self, folder: Path) -> None:
        """List the slides of a folder."""
        try:
            self._collection = open_collection(folder)
        except SamMilError as error:
            show_error(error, doing="Opening the folder")
            return
        self._fill(self._collection)

    def open_chosen(self) -> None:
        """Open the slide of the selected row, or show it if it is already open."""
        entry = self._chosen()
        if entry is None or self._collection is None:
            return
        layers, open_ones = self._sessions.viewer.layers, self._sessions.all()
        path = find_slide(entry, places_of(self._collection))
        there = None if path is None else next((one for one in open_ones if one.source.is_file(path)), None)
        if there is None:
            try:
                added = [Layer.create(*data) for data in slide_layers(self._collection, entry)]
            except SamMilError as error:
                show_error(error, doing="Opening the slide")
                return
        for session in open_ones:
            if session is not there:
                self._close_or_hide(session)
        if there is None:
            layers.extend(added)
            layers.selection.active = added[0]
        else:
            self._show_hidden(there)
        self._sessions.viewer.reset_view()

    def _close_or_hide(self, session: SlideSession) -> None:
        """Close a slide, or hide it if it has outlines or unsaved edits."""
        layers = self._sessions.viewer.layers
        own = [session.layer, *session.layers.values()]
        if session.analysis is not session.on_disk or session.outline_layers():
            self._hidden_slides.append((session, [layer for layer in own if layer.visible]))
            for layer in own:
                layer.visible = False
        else:
            for layer in own:
                layers.remove(layer)

    def _show_hidden(self, session: SlideSession) -> None:
        """Show a hidden slide again, with the same visible layers."""
        shown = [layer for hidden, layers in self._hidden_slides if hidden is session for layer in layers]
        self._hidden_slides = [pair for pair in self._hidden_slides if pair[0] is not session]
        for layer in [session.layer, *shown]:
            layer.visible = True
        self._sessions.viewer.layers.selection.active = session.layer

    def _fill(self, collection: Collection) -> None:
        columns = ["slide", "label", "predicted", collection.positive, "state", "patches", "segments"]
        rows = [_cells(entry) for entry in collection.entries]
        shown = [place for place in range(len(columns)) if any(row[place] not in ("", None) for row in rows)]
        self.table.setSortingEnabled(False)
        self.table.clear()
        self.table.setColumnCount(len(shown))
        self.table.setRowCount(len(rows))
        for column, place in enumerate(shown):
            header = QTableWidgetItem(columns[place] if place != 3 else f"p({columns[place]})")
            header.setToolTip(_TIPS.get(columns[place], f"Probability of {columns[place]}"))
            self.table.setHorizontalHeaderItem(column, header)
            for row, entry in enumerate(collection.entries):
                value = rows[row][place]
                if isinstance(value, str):
                    cell = QTableWidgetItem(value)
                else:
                    cell = Number(math.nan if value is None else value)
                    if place == 3 and value is not None:
                        cell.setText(f"{value:.3f}")
                cell.setData(Qt.ItemDataRole.UserRole, entry)
                cell.setToolTip(f"{entry.error}. {_TRY_AGAIN}" if entry.error else "")
                self.table.setItem(row, column, cell)
        self.table.setSortingEnabled(True)
        self.title.setText(_title(collection))
        self.title.setToolTip(str(collection.folder))
        self.wrong.setVisible(any(_is_wrong(entry) for entry in collection.entries))
        self.wrong.setChecked(False)
        self._filter()

    def _filter(self) -> None:
        words = self.filter.text().lower().split()
        for row in range(self.table.rowCount()):
            cells = [self.table.item(row, column) for column in range(self.table.columnCount())]
            text = " ".join(cell.text().lower() for cell in cells)
            wrong = _is_wrong(cells[0].data(Qt.ItemDataRole.UserRole))
            fits = all(word in text for word in words) and (wrong or not self.wrong.isChecked())
            self.table.setRowHidden(row, not fits)
        self._enable()

    def _chosen(self) -> Entry | None:
        rows = self.table.selectionModel().selectedRows(0)
        return self.table.item(rows[0].row(), 0).data(Qt.ItemDataRole.UserRole) if rows else None

    def _enable(self) -> None:
        listed = self._collection is not None
        self.open.setEnabled(self._chosen() is not None)
        for widget in (self.filter, self.table):
            widget.setVisible(listed)
        if not listed:
            self.wrong.hide()

    def _ask(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Choose a project, a run or predictions")
        if folder:
            self.show_folder(Path(folder))

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.addWidget(self.folder)
        column.addWidget(self.title)
        column.addWidget(self.filter)
        column.addWidget(self.wrong)
        column.addWidget(self.table, 1000)
        column.addWidget(self.open)
        column.addStretch(1)


def _cells(entry: Entry) -> tuple[str | float | None, ...]:
    return (
        *(entry.slide_id, entry.label, entry.predicted, entry.probability),
        *(entry.state, entry.patches, entry.segments),
    )


def _is_wrong(entry: Entry) -> bool:
    return bool(entry.label and entry.predicted) and entry.label != entry.predicted


def _title(collection: Collection) -> str:
    count = len(collection.entries)
    parts = [f"{collection.title}: {count} slide{'' if count == 1 else 's'}"]
    failed = sum(entry.state == "failed" for entry in collection.entries)
    judged = [entry for entry in collection.entries if entry.label and entry.predicted]
    if failed:
        parts.append(f"{failed} failed")
    if judged:
        right = sum(not _is_wrong(entry) for entry in judged)
        parts.append(f"{right} of {len(judged)} predictions are correct")
    if collection.project is None:
        parts.append("its project was not found, so slides open without results")
    return "; ".join(parts) + "."
