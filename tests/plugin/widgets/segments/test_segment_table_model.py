"""The rows of the segment table, without a window of napari."""

from __future__ import annotations

import numpy as np
import pytest
from by_hand import headings, texts
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QTableView

from napari_sam_mil.widgets.segments.model import SegmentTableModel

RISING, FALLING = Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder


@pytest.fixture
def table(qtbot):
    view = QTableView()
    qtbot.addWidget(view)
    model = SegmentTableModel()
    view.setModel(model)
    view.setSelectionBehavior(QTableView.SelectionBehavior.SelectRows)
    columns = {"index": np.arange(1, 5), "name": np.array(["b", "", "a", ""])}
    model.show_columns(columns | {"IoU": np.array([0.5, np.nan, 12345.6, 0.5])})
    return view


def test_cells_are_written_for_a_reader(table):
    assert headings(table) == ["segment", "name", "IoU"]
    assert texts(table, 2) == ["0.5", "", "12,346", "0.5"]
    tips = [
        table.model().headerData(place, Qt.Orientation.Horizontal, Qt.ItemDataRole.ToolTipRole) for place in (0, 2)
    ]
    assert tips[0].startswith("Number of the segment")
    assert "Intersection over union" in tips[1]


@pytest.mark.parametrize(
    ("column", "order", "numbers"),
    [(2, RISING, [2, 1, 4, 3]), (2, FALLING, [3, 1, 4, 2]), (1, RISING, [2, 4, 3, 1]), (0, FALLING, [4, 3, 2, 1])],
)
def test_rows_are_sorted_and_equal_ones_keep_their_order(table, column, order, numbers):
    table.model().sort(column, order)
    assert [table.model().segment(row) + 1 for row in range(4)] == numbers
    assert [table.model().row_of(number - 1) for number in numbers] == [0, 1, 2, 3]


def test_what_is_chosen_follows_its_segment_and_goes_with_it(table):
    model = table.model()
    table.selectRow(2)
    model.sort(2, FALLING)
    assert [index.row() for index in table.selectionModel().selectedRows(0)] == [0]
    model.filter(np.array([True, True, True, False]))
    assert [index.data() for index in table.selectionModel().selectedRows(0)] == ["3"]
    model.filter(np.array([True, True, False, True]))
    assert table.selectionModel().selectedRows(0) == []
    assert model.row_of(2) is None
    assert texts(table, 0) == ["1", "4", "2"]


def test_a_hundred_thousand_segments_are_sorted_and_filtered_without_a_cell_being_made(table, monkeypatch):
    model = table.model()
    count = 100_000
    made = []
    real = SegmentTableModel.data
    monkeypatch.setattr(SegmentTableModel, "data", lambda *words: made.append(1) or real(*words))
    values = np.random.default_rng(0).random(count)
    model.show_columns({"index": np.arange(1, count + 1), "IoU": values})
    model.sort(1, FALLING)
    model.filter(values > 0.5)
    assert model.rowCount() == int((values > 0.5).sum())
    assert model.segment(0) == int(values.argmax())
    assert len(made) < 1000
