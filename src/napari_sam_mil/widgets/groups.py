"""Table of the groups of the slide: sort, click to see, export."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
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
    QWidget,
)

from sam_mil_engine.errors import SamMilError, SettingsError

from ..group_table import Column, matching
from ..notices import show_error
from ..placement import points_to_world
from ..session import SlideSession, sessions_of
from ..writer import write_segments_geojson, write_table
from .parts import text_label

if TYPE_CHECKING:
    from napari.viewer import Viewer

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
_EMPTY = "Press Segment/Classify in the Analyze dock; the groups of the slide are listed here."


class _Number(QTableWidgetItem):
    """A cell that sorts by its number; what does not exist sorts below everything."""

    def __init__(self, value: float):
        missing = math.isnan(value)
        super().__init__("" if missing else f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}")
        self._value = -math.inf if missing else value
        self.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)

    def __lt__(self, other: QTableWidgetItem) -> bool:
        return self._value < other._value if isinstance(other, _Number) else NotImplemented


class GroupsDock(QWidget):
    """One row a segment; a click selects it in the picture and brings it into view."""

    def __init__(self, napari_viewer: Viewer):
        super().__init__()
        self._sessions = sessions_of(napari_viewer)
        self._columns: dict[str, Column] = {}
        self._kept = np.ones(0, dtype=bool)
        self._hint = text_label(_EMPTY)
        self.table = QTableWidget()
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.verticalHeader().hide()
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.table.setAccessibleName("Groups of the slide")
        self.table.itemSelectionChanged.connect(self._on_selection)
        self.csv = QPushButton("Save as CS&V…")
        self.csv.setToolTip("Save the rows that are shown, with all columns")
        self.csv.clicked.connect(lambda: self._save("CSV (*.csv)", ".csv"))
        self.geojson = QPushButton("Save as Geo&JSON…")
        self.geojson.setToolTip("Save the segments with these numbers as measurements; QuPath opens it")
        self.geojson.clicked.connect(lambda: self._save("GeoJSON (*.geojson)", ".geojson"))
        self.filter = QLineEdit()
        self.filter.setClearButtonEnabled(True)
        self.filter.setPlaceholderText("Filter: probability > 0.5, patches >= 4, gland")
        self.filter.setToolTip(_FILTER_TIP)
        self.filter.setAccessibleName("Filter of the groups")
        self.filter.textChanged.connect(self._filter)
        self.columns = QToolButton()
        self.columns.setText("C&olumns")
        self.columns.setToolTip("Choose which columns are visible")
        self.columns.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.columns.setMenu(QMenu(self.columns))
        self._hidden: set[str] = set()
        above = QHBoxLayout()
        above.addWidget(self.filter, 1)
        above.addWidget(self.columns)
        self._shown = text_label(faint=True)
        buttons = QHBoxLayout()
        buttons.addWidget(self.csv)
        buttons.addWidget(self.geojson)
        layout = QVBoxLayout(self)
        layout.addWidget(self._hint)
        layout.addLayout(above)
        layout.addWidget(self.table, 1)
        layout.addWidget(self._shown)
        layout.addLayout(buttons)
        self._sessions.changed.connect(self._show_current)
        self._show_current()

    def save(self, path: str | Path) -> None:
        """Save the rows that the filter shows: a table (``.csv``) or segments with their numbers (``.geojson``)."""
        session = self._sessions.current
        if session is None or session.analysis is None or session.analysis.processed.segments is None:
            return
        seen = {name: column[self._kept] for name, column in self._columns.items()}
        if Path(path).suffix.lower() == ".csv":
            write_table(path, seen)
        else:
            write_segments_geojson(path, session.analysis.processed.segments, seen, info=session.source.info)

    def _save(self, kinds: str, suffix: str) -> None:
        session = self._sessions.current
        name = "groups" if session is None else f"{session.source.info.slide_id}.groups"
        path, _ = QFileDialog.getSaveFileName(self, "Save the groups", name + suffix, kinds)
        if not path:
            return
        try:
            self.save(path)
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
            header.setToolTip(_TIPS.get(name, ""))
            self.table.setHorizontalHeaderItem(column, header)
            for row, value in enumerate(values.tolist()):
                cell = QTableWidgetItem(value) if isinstance(value, str) else _Number(float(value))
                self.table.setItem(row, column, cell)
        self.table.setSortingEnabled(True)
        if "attention mass" in self._columns:
            self.table.sortItems(list(self._columns).index("attention mass"), Qt.SortOrder.DescendingOrder)
        self.table.blockSignals(False)
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
            said = f"{error.what[:1].upper()}{error.what[1:]}. {error.hint}."
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

    def _on_selection(self) -> None:
        rows = self.table.selectionModel().selectedRows(0)
        session = self._sessions.current
        if not rows or session is None:
            return
        self._go_to(session, self._number(rows[0].row()))

    def _go_to(self, session: SlideSession, number: int) -> None:
        assert session.analysis is not None
        segments, layer = session.analysis.processed.segments, session.layers.get("segments")
        if segments is None:
            return
        x, y, width, height = segments.boxes_raster[number - 1].tolist()
        corners = points_to_world(segments.frame.to_px0([(x, y), (x + width, y + height)]), session.source.mpp)
        viewer = self._sessions.viewer
        viewer.scene.camera.center = tuple(corners.mean(axis=0).tolist())
        sides = np.maximum(np.abs(corners[1] - corners[0]), 1e-6)
        viewer.scene.camera.zoom = float(0.6 * np.min(np.asarray(viewer.canvas.size) / sides))
        if layer is not None:
            layer.selected_label = number
            viewer.layers.selection.active = layer
