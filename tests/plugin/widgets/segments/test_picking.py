"""The Segments table and the image are linked both ways; what is chosen is saved, and what it changes is said."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from by_hand import chosen_segments, click_row
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QLabel

from napari_sam_mil.analysis.hit_testing import next_segment, segments_at
from napari_sam_mil.analysis.placement import points_to_world
from napari_sam_mil.docks import open_dock
from sam_mil_engine.geometry import Frame
from sam_mil_engine.segment.segments import Segments

LEFT = Qt.MouseButton.LeftButton


def test_a_click_in_the_image_chooses_the_row_and_another_the_segment_around_it(qtbot, groups):
    viewer, session, dock, canvas = groups
    segments = session.analysis.processed.segments
    smallest = int(segments.area.argmin())
    row, column = np.argwhere(segments.mask(smallest))[int(segments.area[smallest]) // 2]
    place = segments.frame.to_px0([(column + 0.5, row + 0.5)])[0]
    there = segments_at(segments, *place.tolist())
    assert there[0] == smallest
    camera = viewer.scene.camera
    camera.center = tuple(points_to_world([place], session.source.mpp)[0].tolist())
    camera.zoom *= 4
    qtbot.wait(100)
    before = (tuple(camera.center), camera.zoom)
    qtbot.mouseClick(canvas, LEFT, pos=canvas.rect().center())
    qtbot.waitUntil(lambda: chosen_segments(dock.table) == [there[0] + 1])
    assert viewer.layers["segments (tissue-regions)"].selected_label == there[0] + 1
    np.testing.assert_array_equal(viewer.layers["chosen segment"].data, segments.mask(there[0]))
    assert (tuple(camera.center), camera.zoom) == before, "what was clicked on is in view already"
    qtbot.mouseClick(canvas, LEFT, pos=canvas.rect().center())
    qtbot.waitUntil(lambda: chosen_segments(dock.table) == [there[1 % len(there)] + 1])
    qtbot.mousePress(canvas, LEFT, pos=canvas.rect().center())
    qtbot.mouseMove(canvas, canvas.rect().center() + QPoint(60, 0))
    qtbot.mouseRelease(canvas, LEFT, pos=canvas.rect().center() + QPoint(60, 0))
    qtbot.wait(100)
    assert chosen_segments(dock.table) == [there[1 % len(there)] + 1], "a drag pans and chooses nothing"


def test_several_chosen_rows_are_what_is_saved(qtbot, groups, tmp_path):
    _, _, dock, _ = groups
    click_row(dock.table, 0)
    click_row(dock.table, 1, Qt.KeyboardModifier.ControlModifier)
    wanted = sorted(chosen_segments(dock.table))
    assert len(wanted) == 2
    assert "2 segments are chosen; only they are saved." in [one.text() for one in dock.findChildren(QLabel)]
    dock.save(tmp_path / "two.csv")
    with (tmp_path / "two.csv").open(encoding="utf-8") as file:
        assert sorted(int(row["index"]) for row in csv.DictReader(file)) == wanted
    click_row(dock.table, 2)
    dock.save(tmp_path / "all.csv")
    assert len((tmp_path / "all.csv").read_text().splitlines()) == dock.model.rowCount() + 1


@pytest.mark.parametrize("name", ["Segments", "Prompts"])
def test_closing_a_dock_takes_the_chosen_segment_away(qtbot, groups, name):
    viewer, _, dock, canvas = groups
    if name == "Segments":
        click_row(dock.table, 0)
    else:
        dock = open_dock(viewer, "Prompts")
        dock.segments.choose_newest()
    assert "chosen segment" in viewer.layers
    frame = dock.parentWidget()
    qtbot.mouseClick(frame.title.close_button, LEFT)
    assert "chosen segment" not in viewer.layers
    assert dock not in viewer.window.dock_widgets.values()
    if name == "Segments":
        qtbot.mouseClick(canvas, LEFT, pos=canvas.rect().center())
        qtbot.wait(100)
        assert "chosen segment" not in viewer.layers, "a closed dock takes no clicks"


def test_the_smallest_segment_comes_first_and_the_round_begins_again():
    masks = [np.zeros((8, 8), bool) for _ in range(3)]
    masks[0][:, :] = True
    masks[1][2:6, 2:6] = True
    masks[2][0:2, 0:2] = True
    segments = Segments.from_masks(masks, frame=Frame((100.0, 0.0), (10.0, 10.0)), size_raster=(8, 8))
    assert segments_at(segments, 135, 35) == [1, 0]
    assert segments_at(segments, 105, 5) == [2, 0]
    assert segments_at(segments, 99, 5) == []
    assert [next_segment([1, 0], one) for one in (None, 1, 0, 2)] == [1, 0, 1, 1]
    assert next_segment([], 1) is None
