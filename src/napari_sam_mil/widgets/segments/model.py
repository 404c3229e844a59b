"""The rows of the segment table, sorted and filtered as arrays, so that 100,000 segments are as fast as ten."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt

from ...analysis.segment_table import Column
from ..parts import number_text

_TIPS = {
    "index": "Number of the segment in the image",
    "name": "Name of the segment, given in the Prompts dock",
    "area (µm²)": "Area of the segment",
    "area (px²)": "Area of the segment in level-0 pixels",
    "segmenter score": "The segmenter's confidence (1 if it gives none)",
    "patches": "Patches that touch the segment",
    "attention mass": "Share of the attention on the segment's patches and its group token",
    "probability": "Mean probability of the segment's patches",
    "evidence": "Contribution of the segment to the slide's logit; negative values count against the class",
    "slide without": "Probability of the slide without the patches and the token of this segment",
    "purity": "Share of the segment inside the outlines",
    "recall": "Share of the outlines that the segment covers",
    "IoU": "Intersection over union of the segment and the outlines",
    "in best set": "1 if the segment belongs to the set that matches the outlines best",
}
_DISPLAY, _ALIGNMENT, _TIP = (
    Qt.ItemDataRole.DisplayRole,
    Qt.ItemDataRole.TextAlignmentRole,
    Qt.ItemDataRole.ToolTipRole,
)
_RIGHT = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
_NOWHERE = QModelIndex()


class SegmentTableModel(QAbstractTableModel):
    """One row per segment that matches the filter, sorted by a column."""

    def __init__(self) -> None:
        super().__init__()
        self.columns: dict[str, Column] = {}
        self._values: list[Column] = []
        self._keep = np.ones(0, dtype=bool)
        self._order = np.zeros(0, dtype=np.int64)
        self._rows = self._order
        self._row_of = self._order

    @property
    def keep(self) -> npt.NDArray[np.bool_]:
        """(S,) which segments match the filter."""
        return self._keep

    def show_columns(self, columns: Mapping[str, Column]) -> None:
        """Show a new table: name -> (S,) column. The first column is the number of the segment, from 1."""
        self.beginResetModel()
        self.columns = dict(columns)
        self._values = list(self.columns.values())
        count = len(next(iter(self.columns.values()), ()))
        self._keep, self._order = np.ones(count, dtype=bool), np.arange(count)
        self._set_rows()
        self.endResetModel()

    def filter(self, keep: npt.NDArray[np.bool_]) -> None:
        """Show only these segments, (S,). Order and selection are kept."""
        self._keep = keep
        self._rearrange()

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column. NaN sorts below all numbers."""
        if not 0 <= column < len(self.columns):
            return
        values = self._values[column]
        if np.issubdtype(values.dtype, np.floating):
            values = np.where(np.isnan(values), -np.inf, values)
        rising = np.argsort(values, kind="stable")
        if order == Qt.SortOrder.DescendingOrder:  # ties stay in the order of the segments
            rising = len(values) - 1 - np.argsort(values[::-1], kind="stable")[::-1]
        self._order = rising
        self._rearrange()

    def segment(self, row: int) -> int:
        """Return the number (from 0) of the segment in a row."""
        return int(self._rows[row])

    def row_of(self, segment: int) -> int | None:
        """Return the row of a segment (from 0), or None if the filter hides it."""
        row = int(self._row_of[segment]) if 0 <= segment < len(self._row_of) else -1
        return None if row < 0 else row

    def rowCount(self, parent: QModelIndex = _NOWHERE) -> int:  # noqa: N802 - Qt's name
        """Return the number of shown segments."""
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: QModelIndex = _NOWHERE) -> int:  # noqa: N802 - Qt's name
        """Return the number of columns, including hidden ones."""
        return 0 if parent.isValid() else len(self.columns)

    def data(self, index: QModelIndex, role: int = _DISPLAY) -> Any:
        """Return the text of a cell, or its alignment."""
        if not index.isValid() or role not in (_DISPLAY, _ALIGNMENT):
            return None
        value = self._values[index.column()][self._rows[index.row()]]
        if isinstance(value, str):
            return str(value) if role == _DISPLAY else None
        return number_text(float(value)) if role == _DISPLAY else _RIGHT

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = _DISPLAY) -> Any:  # noqa: N802
        """Return the name of a column, or its tooltip."""
        if orientation != Qt.Orientation.Horizontal or not 0 <= section < len(self.columns):
            return None
        name = list(self.columns)[section]
        if role == _DISPLAY:
            return "segment" if name == "index" else name
        if role == _TIP:
            of_class = name.partition(" (")[0]
            return _TIPS.get(name) or f"{_TIPS[of_class]}: {name.partition(' ')[2]}"
        return None

    def _set_rows(self) -> None:
        self._rows = self._order[self._keep[self._order]]
        self._row_of = np.full(len(self._order), -1)
        self._row_of[self._rows] = np.arange(len(self._rows))

    def _rearrange(self) -> None:
        """Update the rows. The selection of the view follows its segments."""
        self.layoutAboutToBeChanged.emit()
        before = self.persistentIndexList()
        segments = [self.segment(index.row()) for index in before]
        self._set_rows()
        rows = [self.row_of(segment) for segment in segments]
        after = [
            QModelIndex() if row is None else self.index(row, index.column())
            for row, index in zip(rows, before, strict=True)
        ]
        self.changePersistentIndexList(before, after)
        self.layoutChanged.emit()
