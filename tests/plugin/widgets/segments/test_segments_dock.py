"""The Segments dock: sort, filter, hide columns, save."""

from __future__ import annotations

import csv
import json
from collections import Counter

import numpy as np
import pytest
from by_hand import headings, texts
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

from napari_sam_mil.analysis.segment_table import matching_rows
from sam_mil_engine.annotations.reading import read_annotations
from sam_mil_engine.slide.place import SlidePlace


def read_csv(path):
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_segment_table_sorts_by_number_and_a_click_shows_the_segment(qtbot, analysed):
    viewer, session = analysed
    _, dock = viewer.window.add_plugin_dock_widget("napari-sam-mil", "Segments")
    table = dock.table
    names = headings(table)
    assert table.model().rowCount() == len(session.analysis.processed.segments)
    areas = names.index("area (µm²)")
    table.sortByColumn(areas, Qt.SortOrder.AscendingOrder)
    shown = [float(text.replace(",", "")) for text in texts(table, areas)]
    assert shown == sorted(shown)
    smallest = int(texts(table, 0)[0])
    qtbot.mouseClick(
        table.viewport(), Qt.MouseButton.LeftButton, pos=table.visualRect(dock.model.index(0, 0)).center()
    )
    assert viewer.layers["segments (tissue-regions)"].selected_label == smallest
    x, y, width, height = session.analysis.processed.segments.boxes_raster[smallest - 1]
    middle = session.analysis.processed.segments.frame.to_px0((x + width / 2, y + height / 2))
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], (middle[::-1] - 0.5) * 0.5, atol=1e-6)


def test_the_segments_dock_saves_its_table(analysed, tmp_path):
    viewer, _ = analysed
    _, dock = viewer.window.add_plugin_dock_widget("napari-sam-mil", "Segments")
    dock.save(tmp_path / "segments.csv")
    assert len(read_csv(tmp_path / "segments.csv")) == dock.model.rowCount()


def test_one_button_sends_the_slide_to_qupath(qtbot, analysed, tmp_path, monkeypatch):
    viewer, session = analysed
    _, dock = viewer.window.add_plugin_dock_widget("napari-sam-mil", "Segments")
    path = tmp_path / "case.qupath.geojson"
    proposed = []

    def choose(_parent, _title, name, kinds):
        proposed.append(name)
        return str(path), kinds

    monkeypatch.setattr(QFileDialog, "getSaveFileName", choose)
    qtbot.mouseClick(dock.qupath, Qt.MouseButton.LeftButton)
    assert proposed == [f"{session.source.info.slide_id}.qupath.geojson"]
    features = json.loads(path.read_text(encoding="utf-8"))["features"]
    processed = session.analysis.processed
    of_kind = Counter(
        (one["properties"].get("classification") or one["properties"])["name"].split(" ")[0] for one in features
    )
    assert of_kind["Segment"] == len(processed.segments)
    assert of_kind["Tissue"] == len(processed.tissue)
    assert of_kind["Patch"] == len(processed.grid)
    segment = next(one for one in features if one["properties"]["name"] == "Segment 1")
    assert segment["properties"]["measurements"]["area (µm²)"] == pytest.approx(session.table()["area (µm²)"][0])
    assert "drop this file onto it" in notification_manager.records[-1].message


def test_the_segments_dock_says_what_to_do_while_there_is_nothing(qtbot, make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    _, dock = viewer.window.add_plugin_dock_widget("napari-sam-mil", "Segments")
    assert not dock._hint.isHidden()
    assert not dock.csv.isEnabled()
    assert not dock.qupath.isEnabled()


def test_the_segments_are_filtered_by_typing_and_saved_as_seen(qtbot, analysed, tmp_path):
    viewer, session = analysed
    _, dock = viewer.window.add_plugin_dock_widget("napari-sam-mil", "Segments")
    table, everything = session.table(), dock.model.rowCount()
    limit = float(np.median(table["area (µm²)"]))
    dock.filter.setFocus()
    qtbot.keyClicks(dock.filter, f"area > {limit}")
    expected = int((table["area (µm²)"] > limit).sum())
    assert dock.model.rowCount() == expected
    assert dock._shown.text() == f"{expected} of {everything} segments"
    areas = headings(dock.table).index("area (µm²)")
    shown = [float(text.replace(",", "")) for text in texts(dock.table, areas)]
    assert min(shown) >= limit * 0.999
    dock.save(tmp_path / "some.csv")
    assert len(read_csv(tmp_path / "some.csv")) == expected
    dock.save(tmp_path / "some.geojson")
    assert len(read_annotations(tmp_path / "some.geojson", info=SlidePlace())) == expected
    qtbot.keyClicks(dock.filter, ", nonsense > 1")
    assert "There is no column 'nonsense'" in dock._shown.text()
    assert dock.model.rowCount() == everything
    dock.filter.clear()
    assert dock.model.rowCount() == everything


def test_columns_are_hidden_by_the_menu_and_stay_hidden(qtbot, analysed):
    viewer, session = analysed
    _, dock = viewer.window.add_plugin_dock_widget("napari-sam-mil", "Segments")
    place = list(session.table()).index("evidence")
    action = next(one for one in dock.columns.menu().actions() if one.text() == "evidence")
    action.trigger()
    assert dock.table.isColumnHidden(place)
    dock._sessions.update_table(session)
    assert dock.table.isColumnHidden(place), "also when the table is made again"
    next(one for one in dock.columns.menu().actions() if one.text() == "evidence").trigger()
    assert not dock.table.isColumnHidden(place)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", [1, 1, 1]),
        ("gland", [0, 1, 0]),
        ("prob>=0.5", [1, 0, 0]),
        ("prob < 1, 3", [0, 0, 0]),
        ("segment = 2", [0, 1, 0]),
    ],
)
def test_filters_of_the_table(text, rows):
    table = {
        "index": np.array([1, 2, 3]),
        "name": np.array(["", "Gland", ""]),
        "probability": np.array([0.5, 0.25, np.nan]),
    }
    np.testing.assert_array_equal(matching_rows(table, text), np.array(rows, bool))
