"""Table of the segments of the slide: sort, filter, click to see, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QMenu,
    QPushButton,
    QTableView,
    QToolButton,
    QVBoxLayout,
)
from superqt.utils import signals_blocked

from sam_mil_engine.errors import Cancelled, SamMilError, SettingsError

from ...analysis.segment_table import matching_rows
from ...layers.view import show_px0
from ...notices import show_error
from ...session.slide import SlideSession
from ...text import sentence_case
from ...writer import save_segments
from ..dock import Dock
from ..parts import text_label
from ..prompts.prompt_layers import show_chosen
from .model import SegmentTableModel
from .picking import Picker
from .prediction_without import PredictionWithout
from .qupath_button import QuPathButton

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from sam_mil_engine.segment.segments import Segments
_FILTER_TIP = (
    "Words in the names, or conditions on columns, separated by commas; all must hold.\n"
    "Column names may be abbreviated: area > 5000, prob >= 0.5, attention mass < 0.1"
)
_TABLE_TIP = (
    "A click on a row brings the segment into view, a click on a segment in the image chooses its row;\n"
    "another click there chooses the segment around it. Ctrl or Shift choose several; a heading sorts"
)
_EMPTY = "Press Segment/Classify in the Analyze dock. The segments of the slide are then listed here."


class SegmentsDock(Dock):
    """One row per segment; a click selects it in the image and brings it into view."""

    def __init__(self, napari_viewer: Viewer):
        super().__init__(napari_viewer)
        self._hint = text_label(_EMPTY)
        self.model = SegmentTableModel()
        self.table = QTableView()
        self.table.setModel(self.model)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.table.setToolTip(_TABLE_TIP)
        self.table.verticalHeader().hide()
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.table.setAccessibleName("Segments of the slide")
        self.table.selectionModel().selectionChanged.connect(self._on_selection)
        self.csv = QPushButton("Sav&e as CSV…")
        self.csv.setToolTip(
            "Save the rows that are shown, or only the chosen ones where there are several; all columns"
        )
        self.csv.clicked.connect(lambda: self._save("CSV (*.csv)", ".csv"))
        self.geojson = QPushButton("Save as Geo&JSON…")
        self.geojson.setToolTip("Save the same segments with their columns as measurements, for QuPath")
        self.geojson.clicked.connect(lambda: self._save("GeoJSON (*.geojson)", ".geojson"))
        self.qupath = QuPathButton(self._sessions, self)
        self.filter = QLineEdit()
        self.filter.setClearButtonEnabled(True)
        self.filter.setPlaceholderText("Filter: probability > 0.5, patches >= 4, gland")
        self.filter.setToolTip(_FILTER_TIP)
        self.filter.setAccessibleName("Filter of the segments")
        self.filter.textChanged.connect(self._filter)
        self.columns = _columns_button()
        self._hidden: set[str] = set()
        self._moves = True
        above = QHBoxLayout()
        above.addWidget(self.filter, 1)
        above.addWidget(self.columns)
        self._shown, self._saves, self.without = text_label(faint=True), text_label(faint=True), text_label()
        self.predictions = PredictionWithout(self)
        self.predictions.described.connect(self._show_predictions)
        self.picker = Picker(self._sessions, self)
        self.picker.picked.connect(self.choose)
        buttons = QHBoxLayout()
        buttons.addWidget(self.csv)
        buttons.addWidget(self.geojson)
        layout = QVBoxLayout(self)
        layout.addWidget(self._hint)
        layout.addLayout(above)
        layout.addWidget(self.table, 1)
        for text in (self._shown, self.without, self._saves):
            layout.addWidget(text)
        layout.addLayout(buttons)
        layout.addWidget(self.qupath)
        self._sessions.changed.connect(self._show_current)
        self._show_current()

    def leave(self) -> None:
        """Take the chosen segment out of the image, and no more clicks."""
        super().leave()
        self.predictions.cancel()
        self.picker.leave()
        for session in self._sessions.all():
            self._sessions.drop(session, "chosen")

    def choose(self, number: int) -> None:
        """Choose the row of a segment (from 0), where the filter shows it; the view stays where it is."""
        row = self.model.row_of(number)
        if row is None:
            return
        self._moves = False
        self.table.selectRow(row)
        self._moves = True
        self.table.scrollTo(self.model.index(row, 0))

    def save(self, path: str | Path) -> None:
        """Save the rows that are shown, or the chosen ones where there are several.

        The suffix says as what: ``.csv`` the table, ``.geojson`` the segments with their numbers.
        """
        session = self._sessions.current
        if session is None or session.analysis is None or session.analysis.processed.segments is None:
            return
        seen = {name: column[self._saved()] for name, column in self.model.columns.items()}
        save_segments(path, session.analysis.processed.segments, seen, info=session.source.info)

    def _save(self, kinds: str, suffix: str) -> None:
        session = self._sessions.current
        name = "segments" if session is None else f"{session.source.info.slide_id}.segments"
        path, _ = QFileDialog.getSaveFileName(self, "Save the segments", name + suffix, kinds)
        if not path:
            return
        try:
            self.save(path)
        except Cancelled:
            return
        except (SamMilError, OSError) as error:
            show_error(error, doing="Saving the segments")

    def _show_current(self) -> None:
        session = self._sessions.current
        columns = {} if session is None else session.table()
        self._hint.setVisible(not columns)
        self.table.setVisible(bool(columns))
        for widget in (self.csv, self.geojson, self.filter, self.columns):
            widget.setEnabled(bool(columns))
        self.qupath.enable()
        with signals_blocked(self.table.selectionModel()):
            self.model.show_columns(columns)
            self.table.setSortingEnabled(True)
            if "attention mass" in columns:
                self.table.sortByColumn(list(columns).index("attention mass"), Qt.SortOrder.DescendingOrder)
        if self.picker.chosen is not None and session is not None:
            self._sessions.drop(session, "chosen")
        self.picker.chosen = None
        self._say_chosen([])
        self._fill_menu()
        self._filter()

    def _filter(self) -> None:
        """Hide the rows that do not match the filter. An invalid filter hides none, and the error is shown."""
        count = len(self.model.keep)
        try:
            keep = matching_rows(self.model.columns, self.filter.text())
            said = f"{int(keep.sum())} of {count} segments" if self.filter.text().strip() and count else ""
        except SettingsError as error:
            keep = np.ones(count, dtype=bool)
            said = f"{sentence_case(error.what)}. {error.hint}."
        before = self._chosen()
        self.model.filter(keep)
        if self._chosen() != before:
            self._on_selection()
        self._shown.setText(said)
        self._shown.setVisible(bool(said))

    def _fill_menu(self) -> None:
        menu = self.columns.menu()
        menu.clear()
        for place, name in enumerate(self.model.columns):
            self.table.setColumnHidden(place, name in self._hidden)
            if place == 0:  # the number says which segment a row is
                continue
            action = menu.addAction(name)
            action.setCheckable(True)
            action.setChecked(name not in self._hidden)
            action.toggled.connect(lambda on, name=name, place=place: self._show_column(name, place, on=on))

    def _show_column(self, name: str, place: int, *, on: bool) -> None:
        (self._hidden.discard if on else self._hidden.add)(name)
        self.table.setColumnHidden(place, not on)

    def _chosen(self) -> list[int]:
        """Return the numbers (from 0) of the segments whose rows are chosen."""
        return [self.model.segment(index.row()) for index in self.table.selectionModel().selectedRows(0)]

    def _saved(self) -> npt.NDArray[np.bool_]:
        """Return which segments are saved: those that are shown, or the chosen ones where there are several."""
        numbers = self._chosen()
        if len(numbers) < 2:
            return self.model.keep
        chosen = np.zeros(len(self.model.keep), dtype=bool)
        chosen[numbers] = True
        return chosen

    def _on_selection(self) -> None:
        numbers = self._chosen()
        session = self._sessions.current
        single = numbers[0] if len(numbers) == 1 else None
        self.picker.chosen = single
        self._say_chosen(numbers)
        if session is None or session.analysis is None:
            return
        show_chosen(self._sessions, session, single)
        if single is not None and self._moves:
            self._go_to(session, session.analysis.processed.segments, single)

    def _say_chosen(self, numbers: list[int]) -> None:
        """Say which segments are saved, and what the prediction is without them."""
        several = len(numbers) > 1
        self._saves.setText(f"{len(numbers)} segments are chosen; only they are saved." if several else "")
        self._saves.setVisible(several)
        session = self._sessions.current
        self.predictions.ask(None if session is None else session.analysis, numbers)

    def _show_predictions(self, text: str) -> None:
        self.without.setText(text)
        self.without.setVisible(bool(text))

    def _go_to(self, session: SlideSession, segments: Segments | None, number: int) -> None:
        if segments is None:
            return
        layer = session.layers.get("segments")
        x, y, width, height = segments.boxes_raster[number].tolist()
        corners = segments.frame.to_px0([(x, y), (x + width, y + height)])
        viewer = self._sessions.viewer
        show_px0(viewer, corners, session.source.place, share=0.6)
        layer = session.layers.get("segments")
        if layer is not None:
            layer.selected_label = number + 1
            viewer.layers.selection.active = layer


def _columns_button() -> QToolButton:
    button = QToolButton()
    button.setText("C&olumns")
    button.setStyleSheet("QToolButton { padding-right: 14px; }")  # room for the arrow
    button.setToolTip("Choose which columns are visible")
    button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
    button.setMenu(QMenu(button))
    return button
