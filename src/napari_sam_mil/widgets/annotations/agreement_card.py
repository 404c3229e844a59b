"""Metrics of the comparison of segments with outlines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ...analysis.agreement import list_metrics
from ...analysis.segment_table import Column
from ...layers.recolour import scale_of
from ...napari_compat.layout_items import contents_of
from ..parts import Card, ColourBar, ShortCombo, clear, text_label

if TYPE_CHECKING:
    from ...session.slide import SlideSession

#: Title of a colouring -> column of the segment table.
COLOURS: dict[str, str | None] = {
    "Individual colours": None,
    "Area": "area",
    "Purity": "purity",
    "Recall": "recall",
    "IoU": "IoU",
    "Best set": "in best set",
    "Probability": "probability",
    "Attention mass": "attention mass",
    "Evidence": "evidence",
}
_NO_SEGMENTS = "Press Segment/Classify in the Analyze dock. The segments are then compared with the outlines."
_NO_OUTLINES = "Load or draw outlines. The segments are then compared with them."
_WAIT = "Comparing…"


class AgreementCard(Card):
    """Class, metrics, colours of the segments, and export."""

    class_chosen = Signal(str)
    colour_chosen = Signal(object)
    save_clicked = Signal(object)

    def __init__(self) -> None:
        super().__init__("Agreement")
        self._hint = text_label(_NO_SEGMENTS)
        self._body = QWidget()
        body = QVBoxLayout(self._body)
        body.setContentsMargins(0, 0, 0, 0)
        # two forms: the names of the metrics would leave the class no room
        class_form, self._form = QFormLayout(), QFormLayout()
        for form in (class_form, self._form):
            form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
            body.addLayout(form)
        self.classes, self.colours = ShortCombo(), ShortCombo()
        self.classes.setToolTip("Compare with the outlines of this class, here and in the Segments dock")
        self.colours.setToolTip("How the segments are coloured in the image")
        for text, column in COLOURS.items():
            self.colours.addItem(text, column)
        self.classes.activated.connect(lambda _: self.class_chosen.emit(self.chosen))
        self.colours.activated.connect(lambda _: self.colour_chosen.emit(self._column()))
        class_form.addRow("&Class", self.classes)
        colour_form = QFormLayout()
        colour_form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        colour_form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        colour_form.addRow("Colour segments &by", self.colours)
        self._legend_place = QVBoxLayout()
        self.csv, self.geojson = QPushButton("Sav&e CSV…"), QPushButton("Save &GeoJSON…")
        self.csv.setToolTip("Save the segment table, one row per segment with all its metrics")
        self.geojson.setToolTip("Save the segments with their metrics as measurements, for QuPath")
        self.csv.clicked.connect(lambda: self._ask("CSV (*.csv)", ".csv"))
        self.geojson.clicked.connect(lambda: self._ask("GeoJSON (*.geojson)", ".geojson"))
        buttons = QHBoxLayout()
        buttons.addWidget(self.csv)
        buttons.addWidget(self.geojson)
        self.body.addWidget(self._hint)
        self.body.addWidget(self._body)
        self.body.addLayout(colour_form)
        self.body.addLayout(self._legend_place)
        self.body.addLayout(buttons)
        self._name = "segments"
        self._area = "area"

    @property
    def chosen(self) -> str:
        """The selected class."""
        return str(self.classes.currentText())

    def metrics(self) -> dict[str, str]:
        """Return the shown metrics: name -> value."""
        parts = contents_of(self._form)
        return {name.text(): value.text() for name, value in zip(parts[::2], parts[1::2], strict=True)}

    def show_session(self, session: SlideSession | None) -> None:
        """Show the comparison for a slide."""
        agreement = None if session is None else session.agreement
        table = {} if session is None else session.table()
        self._name = "segments" if session is None else f"{session.source.info.slide_id}.segments"
        outlined = session is not None and bool(session.outline_layers())
        self._hint.setText(_NO_SEGMENTS if not table else _WAIT if outlined else _NO_OUTLINES)
        self._hint.setVisible(agreement is None)
        self._body.setVisible(agreement is not None)
        for widget in (self.csv, self.geojson, self.colours):
            widget.setEnabled(bool(table))
        while self._form.rowCount():
            self._form.removeRow(0)
        if agreement is not None:
            self.classes.clear()
            self.classes.addItems(list(agreement.by_class))
            self.classes.setCurrentText(agreement.chosen)
            for name, value, tip in list_metrics(agreement.comparison):
                label, shown = QLabel(name), text_label(value)
                label.setToolTip(tip)
                shown.setToolTip(tip)
                self._form.addRow(label, shown)
        self._show_colour(session, table)

    def _column(self) -> str | None:
        """Return the column of the selected colouring. The name of the area column contains its unit."""
        chosen = self.colours.currentData()
        return self._area if chosen == "area" else chosen

    def _show_colour(self, session: SlideSession | None, table: Mapping[str, Column]) -> None:
        self._area = next((name for name in table if name.startswith("area")), "area")
        for place in range(self.colours.count()):
            column = self.colours.itemData(place)
            self.colours.model().item(place).setEnabled(column is None or column == "area" or column in table)
        column = None if session is None else session.colour_by
        shown = "area" if column == self._area else column
        self.colours.setCurrentIndex(max(0, self.colours.findData(shown) if shown is not None else 0))
        clear(self._legend_place)
        if column is not None and column in table:
            colormap, low, high = scale_of(np.asarray(table[column], dtype=np.float64), column)
            self._legend_place.addWidget(text_label(f"Segments: {column}", faint=True))
            self._legend_place.addWidget(ColourBar(colormap, _end(low), _end(high)))

    def _ask(self, kinds: str, suffix: str) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save the segments", self._name + suffix, kinds)
        if path:
            self.save_clicked.emit(Path(path))


def _end(value: float) -> str:
    """Format a limit of the scale: areas are large, shares are small."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
