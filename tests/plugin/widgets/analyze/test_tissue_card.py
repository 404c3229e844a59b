"""The outline of the tissue: edited in its layer, used, and found again."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_sam_mil.layers.annotations import shape_annotations
from napari_sam_mil.session.viewer import sessions_of
from sam_mil_engine.annotations.drawn_tissue import read_tissue_file
from sam_mil_engine.annotations.model import polygons_of

LEFT = Qt.MouseButton.LeftButton


def click(qtbot, dock, button):
    qtbot.mouseClick(button, LEFT)
    assert dock.job is not None, "the click starts a job"
    with qtbot.waitSignal(dock.job.ended):
        pass


@pytest.fixture
def own_project(processed, tmp_path):
    shutil.copytree(processed[1], tmp_path / "own")
    return tmp_path / "own"


def test_a_corrected_outline_is_used_and_tissue_is_found_again(qtbot, open_dock, processed, own_project):
    viewer, dock = open_dock(processed[0])
    dock.choices_card.set_project(own_project)
    qtbot.waitUntil(lambda: not dock.stored.jobs.busy)  # else the click would start a second worker process
    qtbot.mouseClick(dock.fold.line, LEFT)
    click(qtbot, dock, dock.steps["Tissue"])
    session, card = sessions_of(viewer).current, dock.tissue_card
    found = session.analysis.processed
    assert not card.use.isEnabled()
    assert not card.again.isEnabled()
    qtbot.mouseClick(card.edit, LEFT)
    layer = session.layers["tissue"]
    assert viewer.layers.selection.active is layer
    assert layer.mode == "direct"
    layer.data = [np.minimum(shape, [1024, 500]) for shape in layer.data]
    sessions_of(viewer).refresh(session)
    assert session.layers["tissue"] is layer, "what is being edited is left alone"
    click(qtbot, dock, card.use)
    used = session.analysis.processed
    assert used.tissue.method == "drawn"
    assert used.tissue.bounds_px0[2] <= 500 < found.tissue.bounds_px0[2]
    assert "tissue" in used.seconds
    assert (own_project / "tissue" / "finished.geojson").is_file()
    click(qtbot, dock, card.again)
    again = session.analysis.processed
    np.testing.assert_allclose(again.tissue.bounds_px0, found.tissue.bounds_px0)
    assert not card.again.isEnabled()


def test_segments_and_features_without_a_prediction_are_both_computed_again(
    qtbot, open_dock, processed, own_project
):
    viewer, dock = open_dock(processed[0])
    dock.choices_card.set_project(own_project)
    session, card = sessions_of(viewer).current, dock.tissue_card
    qtbot.waitUntil(lambda: session.analysis is not None, timeout=60_000)
    session.analysis = replace(session.analysis, scores=None)
    card.changed.disconnect()
    qtbot.mouseClick(dock.fold.line, LEFT)
    qtbot.mouseClick(card.edit, LEFT)
    with qtbot.waitSignal(card.changed) as asked:
        qtbot.mouseClick(card.use, LEFT)
    assert asked.args == ["Groups"]


def test_tissue_can_be_drawn_where_none_was_found(qtbot, open_dock, processed):
    viewer, dock = open_dock(processed[0])
    qtbot.mouseClick(dock.fold.line, LEFT)
    qtbot.mouseClick(dock.tissue_card.edit, LEFT)
    layer = sessions_of(viewer).current.layers["tissue"]
    assert layer.mode == "add_polygon"
    qtbot.mouseClick(dock.tissue_card.use, LEFT)
    assert dock.job is None, "nothing is drawn, which is said"
    layer.add_polygons([np.asarray([[100, 100], [100, 400], [400, 400], [400, 100]])])
    with qtbot.waitSignal(dock.tissue_card.changed):
        qtbot.mouseClick(dock.tissue_card.use, LEFT)
    with qtbot.waitSignal(dock.job.ended):
        pass
    tissue = sessions_of(viewer).current.analysis.processed.tissue
    assert (tissue.method, tissue.bounds_px0) == ("drawn", (100, 100, 400, 400))


def square(left, top, side):
    return np.asarray([[top, left], [top, left + side], [top + side, left + side], [top + side, left]], float)


def shown_holes(layer):
    """Return how many holes the polygons of the layer that shows results have."""
    shapes = shape_annotations(layer.data, layer.as_layer_data_tuple()[1] | {"features": {}}, mpp=None)
    return sum(len(polygon.interiors) for shape in shapes for polygon in polygons_of(shape.polygon))


def test_holes_are_cut_kept_in_files_shown_again_and_taken_away(qtbot, open_dock, processed, own_project):
    """Also a piece that lies in a hole, and a hole in that one."""
    viewer, dock = open_dock(processed[0])
    dock.choices_card.set_project(own_project)
    qtbot.mouseClick(dock.fold.line, LEFT)
    session, card = sessions_of(viewer).current, dock.tissue_card
    qtbot.mouseClick(card.edit, LEFT)
    layer = session.layers["tissue"]
    layer.selected_data = set(range(len(layer.data)))
    layer.remove_selected()
    layer.add_polygons([square(100, 100, 500)])
    qtbot.mouseClick(card.cut, LEFT)
    assert layer.mode == "add_polygon"
    assert viewer.layers.selection.active is layer
    layer.add_polygons([square(200, 200, 300)])
    qtbot.mouseClick(card.edit, LEFT)
    assert layer.mode == "direct"
    layer.add_polygons([square(300, 300, 100)])
    qtbot.mouseClick(card.cut, LEFT)
    layer.add_polygons([square(320, 320, 20)])
    assert list(layer.features["class"]) == ["Tissue", "Hole", "Tissue", "Hole"]
    assert len({tuple(colour) for colour in layer.edge_color}) == 2
    area = 500**2 - 300**2 + 100**2 - 20**2
    click(qtbot, dock, card.use)
    used = session.analysis.processed
    assert used.tissue.area_px0.sum() == pytest.approx(area)
    for name in ("tissue", "masks"):
        file = own_project / name / "finished.geojson"
        assert read_tissue_file(file, session.source.info).area_px0.sum() == pytest.approx(area), name
    assert shown_holes(session.layers["tissue"]) == 2
    qtbot.mouseClick(card.edit, LEFT)
    layer = session.layers["tissue"]
    assert list(layer.features["class"]) == ["Tissue", "Hole", "Tissue", "Hole"]
    click(qtbot, dock, card.use)
    assert session.analysis.processed.tissue.area_px0.sum() == pytest.approx(area)
    assert "tissue" in session.analysis.processed.reused, "nothing was changed"
    qtbot.mouseClick(card.edit, LEFT)
    layer = session.layers["tissue"]
    layer.selected_data = {1}
    layer.remove_selected()
    click(qtbot, dock, card.use)
    assert session.analysis.processed.tissue.area_px0.sum() == pytest.approx(500**2 - 20**2)
