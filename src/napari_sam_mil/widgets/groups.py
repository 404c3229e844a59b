"""Table of the groups of the slide: sort, click to see, export."""

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
    QTableWidget,
    QTableWidgetItem,
    QToolButton,
    QVBoxLayout,
)

from sam_mil_engine.errors import Cancelled, SamMilError, SettingsError

from ..group_table import Column, matching
from ..notices import show_error
from ..picking import without_words
from ..slide_session import SlideSession
from ..view import show_px0
from ..words import sentence_case
from ..writer import save_segments
from .dock import Dock
from .parts import Number, text_label
from .picking import Picker
from .prompt_picture import show_chosen

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from sam_mil_engine.segment.segments import Segments

_TIPS = {
    "index": "Number of the segment in the picture",
    "name": "What you called the segment in the Prompts dock",
    "area (µm²)": "Area of the segment",
    "area (px²)": "Area of the segment in level-0 pixels",
    "segmenter score": "How sure the segmenter is of the segment (1 where it does not say)",
    "patches": "Patches that touch the segment",
    "attention mass": "Share of the attention on the segment's patches and its own token",
    "probability": "Mean probability of the segment's patches",
    "evidence": "What the segment adds to the slide's logit; negative speaks against the class",
    "slide without": "Probability of the slide if this segment's patches and token were not there",
    "purity": "Share of the segment inside the outlines",
    "recall": "Share of the outlines that the segment covers",
    "IoU": "Overlap of segment and outlines: intersection over union",
    "in best set": "1 where the segment belongs to the set that matches the outlines best",
}
_FILTER_TIP = (
    "Words to find in the names, or conditions on columns, separated by commas; all must hold.\n"
    "A column may be shortened: area > 5000, prob >= 0.5, attention mass < 0.1"
)
_TABLE_TIP = (
    "A click on a row brings the segment into view, a click on a segment in the picture chooses its row;\n"
    "another click there chooses the segment around it. Ctrl or Shift choose several; a heading sorts"
)
_EMPTY = "Press Segment/Classify in the Analyze dock; the groups of the slide are listed here."


class GroupsDock(Dock):
    """One row per segment; a click selects it in the picture and brings it into view."""

    def __init__(self, napari_viewer: Viewer):
        super().__init__(napari_viewer)
        self._columns: dict[str, Column] = {}
        self._kept = np.ones(0, dtype=bool)
        self._hint = text_label(_EMPTY)
        self.table = QTableWidget()
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.table.setToolTip(_TABLE_TIP)
        self.table.verticalHeader().hide()
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.table.setAccessibleName("Groups of the slide")
        self.table.itemSelectionChanged.connect(self._on_selection)
        self.csv = QPushButton("Sav&e as CSV…")
        self.csv.setToolTip(
            "Save the rows that are shown, or only the chosen ones where there are several; all columns"
        )
        self.csv.clicked.connect(lambda: self._save("CSV (*.csv)", ".csv"))
        self.geojson = QPushButton("Save as Geo&JSON…")
        self.geojson.setToolTip("Save the same segments with their numbers as measurements; QuPath opens it")
        self.geojson.clicked.connect(lambda: self._save("GeoJSON (*.geojson)", ".geojson"))
        self.filter = QLineEdit()
        self.filter.setClearButtonEnabled(True)
        self.filter.setPlaceholderText("Filter: probability > 0.5, patches >= 4, gland")
        self.filter.setToolTip(_FILTER_TIP)
        self.filter.setAccessibleName("Filter of the groups")
        self.filter.textChanged.connect(self._filter)
        self.columns = _columns_button()
        self._hidden: set[str] = set()
        self._moves = True
        above = QHBoxLayout()
        above.addWidget(self.filter, 1)
        above.addWidget(self.columns)
        self._shown, self.without = text_label(faint=True), text_label()
        self.picker = Picker(self._sessions, self)
        self.picker.picked.connect(self.choose)
        buttons = QHBoxLayout()
        buttons.addWidget(self.csv)
        buttons.addWidget(self.geojson)
        layout = QVBoxLayout(self)
        layout.addWidget(self._hint)
        layout.addLayout(above)
        layout.addWidget(self.table, 1)
        layout.addWidget(self._shown)
        layout.addWidget(self.without)
        layout.addLayout(buttons)
        self._sessions.changed.connect(self._show_current)
        self._show_current()

    def leave(self) -> None:
        """Take the chosen segment out of the picture, and no more clicks."""
        super().leave()
        self.picker.leave()
        for session in self._sessions.all():
            self._sessions.drop(session, "chosen")

    def choose(self, number: int) -> None:
        """Choose the row of a segment (from 0), where the filter shows it; the picture stays where it is."""
        for row in range(self.table.rowCount()):
            if self._number(row) == number + 1 and not self.table.isRowHidden(row):
                self._moves = False
                self.table.selectRow(row)
                self._moves = True
                self.table.scrollToItem(self.table.item(row, 0))

    def save(self, path: str | Path) -> None:
        """Save the rows that are shown, or the chosen ones where there are several.

        The suffix says as what: ``.csv`` the table, ``.geojson`` the segments with their numbers.
        """
        session = self._sessions.current
        if session is None or session.analysis is None or session.analysis.processed.segments is None:
            return
        seen = {name: column[self._saved()] for name, column in self._columns.items()}
        save_segments(path, session.analysis.processed.segments, seen, info=session.source.info)

    def _save(self, kinds: str, suffix: str) -> None:
        session = self._sessions.current
        name = "groups" if session is None else f"{session.source.info.slide_id}.groups"
        path, _ = QFileDialog.getSaveFileName(self, "Save the groups", name + suffix, kinds)
        if not path:
            return
        try:
            self.save(path)
        except Cancelled:
            return
        except (SamMilError, OSError) as error:
            show_error(error, doing="Saving the groups")

    def _show_current(self) -> None:
        session = self._sessions.current
        self._columns = {} if session is None else session.table()
        self._hint.setVisible(not self._columns)
        self.table.setVisible(bool(self._columns))
        for widget in (self.csv, self.geojson, self.filter, self.columns):
            widget.setEnabled(bool(self._columns))
        self.table.blockSignals(True)
        self.table.setSortingEnabled(False)
        self.table.clear()
        self.table.setColumnCount(len(self._columns))
        self.table.setRowCount(len(next(iter(self._columns.values()), ())))
        for column, (name, values) in enumerate(self._columns.items()):
            header = QTableWidgetItem("segment" if name == "index" else name)
            of_class = name.partition(" (")[0]
            header.setToolTip(_TIPS.get(name) or f"{_TIPS[of_class]}: {name.partition(' ')[2]}")
            self.table.setHorizontalHeaderItem(column, header)
            for row, value in enumerate(values.tolist()):
                cell = QTableWidgetItem(value) if isinstance(value, str) else Number(float(value))
                self.table.setItem(row, column, cell)
        self.table.setSortingEnabled(True)
        if "attention mass" in self._columns:
            self.table.sortItems(list(self._columns).index("attention mass"), Qt.SortOrder.DescendingOrder)
        self.table.blockSignals(False)
        if self.picker.chosen is not None and session is not None:
            self._sessions.drop(session, "chosen")
        self.picker.chosen = None
        self._say_chosen(0, None)
        self._fill_menu()
        self._filter()

    def _filter(self) -> None:
        """Hide the rows that do not fit the filter; a filter that makes no sense hides none and says why."""
        count = self.table.rowCount()
        try:
            keep = matching(self._columns, self.filter.text())
            said = f"{int(keep.sum())} of {count} segments" if self.filter.text().strip() and count else ""
        except SettingsError as error:
            keep = np.ones(count, dtype=bool)
            said = f"{sentence_case(error.what)}. {error.hint}."
        self._kept = keep
        for row in range(count):
            self.table.setRowHidden(row, not keep[self._number(row) - 1])
        self._shown.setText(said)
        self._shown.setVisible(bool(said))

    def _fill_menu(self) -> None:
        menu = self.columns.menu()
        menu.clear()
        for place, name in enumerate(self._columns):
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

    def _number(self, row: int) -> int:
        return int(self.table.item(row, 0).text().replace(",", ""))

    def _saved(self) -> npt.NDArray[np.bool_]:
        """Return which segments are saved: those that are shown, or the chosen ones where there are several."""
        rows = [index.row() for index in self.table.selectionModel().selectedRows(0)]
        if len(rows) < 2:
            return self._kept
        chosen = np.zeros(len(self._kept), dtype=bool)
        chosen[[self._number(row) - 1 for row in rows]] = True
        return chosen & self._kept

    def _on_selection(self) -> None:
        rows = self.table.selectionModel().selectedRows(0)
        session = self._sessions.current
        single = self._number(rows[0].row()) if len(rows) == 1 else None
        self.picker.chosen = None if single is None else single - 1
        self._say_chosen(len(rows), single)
        if session is None or session.analysis is None:
            return
        show_chosen(self._sessions, session, self.picker.chosen)
        if single is not None and self._moves:
            self._go_to(session, session.analysis.processed.segments, single)

    def _say_chosen(self, count: int, single: int | None) -> None:
        session = self._sessions.current
        words = f"{count} segments are chosen; only they are saved." if count > 1 else ""
        if single is not None and session is not None and session.analysis is not None:
            words = without_words(session.analysis, single - 1)
        self.without.setText(words)
        self.without.setVisible(bool(words))

    def _go_to(self, session: SlideSession, segments: Segments | None, number: int) -> None:
        if segments is None:
            return
        layer = session.layers.get("segments")
        x, y, width, height = segments.boxes_raster[number - 1].tolist()
        corners = segments.frame.to_px0([(x, y), (x + width, y + height)])
        viewer = self._sessions.viewer
        show_px0(viewer, corners, session.source.place, share=0.6)
        if layer is not None:
            layer.selected_label = number
            viewer.layers.selection.active = layer


def _columns_button() -> QToolButton:
    button = QToolButton()
    button.setText("C&olumns")
    button.setStyleSheet("QToolButton { padding-right: 14px; }")  # room for the arrow
    button.setToolTip("Choose which columns are visible")
    button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
    button.setMenu(QMenu(button))
    return button
