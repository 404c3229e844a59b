"""The region of the Analyze dock: whole slide, current view, selected shape; by clicks and keys."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QPoint, Qt

from napari_sam_mil.session.viewer import sessions_of
from sam_mil_engine.bag import h5

LEFT = Qt.MouseButton.LeftButton


def pick(qtbot, dock, text):
    box = dock.region_card.choice
    box.setFocus()
    qtbot.keyClick(box, Qt.Key.Key_Home)
    while box.currentText() != text:
        qtbot.keyClick(box, Qt.Key.Key_Down)


def click(qtbot, dock, button):
    qtbot.mouseClick(button, LEFT)
    assert dock.job is not None, "the click starts a job"
    with qtbot.waitSignal(dock.job.ended):
        pass


@pytest.fixture
def whole(qtbot, open_dock, processed):
    """A window whose slide is analysed as a whole, its dock and its project."""
    viewer, dock = open_dock(processed[0])
    dock.choices_card.set_project(processed[1])
    qtbot.waitUntil(lambda: not dock.stored.jobs.busy)  # else the click would start a second worker process
    click(qtbot, dock, dock.button)
    return viewer, dock, processed[1]


def test_the_current_view_is_analysed_and_the_whole_slide_is_kept(qtbot, whole):
    viewer, dock, project = whole
    session = sessions_of(viewer).current
    before, bag = session.analysis, session.analysis.processed.bag_path
    content = bag.read_bytes()
    viewer.scene.camera.zoom *= 2.2
    qtbot.wait(100)
    pick(qtbot, dock, "Current view")
    click(qtbot, dock, dock.button)
    part = session.analysis
    assert part.processed.bag_path != bag
    assert part.processed.bag_path.parent.parent.parent == project / "regions"
    assert bag.read_bytes() == content
    assert "those of a region" in dock.region_card.facts.text()
    assert dock.region_card.facts.isVisible()
    # the same grid: every patch of the part is a patch of the whole
    ours = set(map(tuple, part.processed.grid.coords_px0.tolist()))
    assert ours < set(map(tuple, before.processed.grid.coords_px0.tolist()))
    canvas = np.asarray(viewer.canvas.size) / viewer.scene.camera.zoom / 0.5
    left, top, right, bottom = part.processed.tissue.bounds_px0
    assert right - left <= canvas[1] + 2
    assert bottom - top <= canvas[0] + 2
    pick(qtbot, dock, "Whole slide")
    click(qtbot, dock, dock.button)
    assert len(session.analysis.processed.reused) == 5, "nothing is computed again"
    assert not dock.region_card.facts.isVisible()


def test_a_drawn_shape_is_analysed(qtbot, whole):
    viewer, dock, _ = whole
    session = sessions_of(viewer).current
    layer = viewer.add_shapes(ndim=2, name="mine", scale=session.layer.scale, units=session.layer.units)
    layer.mode = "add_rectangle"
    canvas = viewer.window._qt_viewer.canvas.native
    qtbot.wait(200)
    middle = canvas.rect().center()
    qtbot.mousePress(canvas, LEFT, pos=middle + QPoint(-70, -60))
    for x, y in ((0, 0), (40, 30), (70, 60)):
        qtbot.mouseMove(canvas, middle + QPoint(x, y))
        qtbot.wait(20)
    qtbot.mouseRelease(canvas, LEFT, pos=middle + QPoint(70, 60))
    assert len(layer.data) == 1
    pick(qtbot, dock, "Selected shape")
    click(qtbot, dock, dock.steps["Segment"])
    processed = session.analysis.processed
    drawn = shapely.Polygon(layer.data[0][:, ::-1] + 0.5)
    tissue = shapely.union_all([shapely.Polygon(outer, holes) for outer, holes in processed.tissue.polygons_px0])
    assert 0 < tissue.area <= drawn.area
    assert drawn.buffer(0.5).covers(tissue)
    assert h5.read_tissue(processed.bag_path).method.endswith("cut to a region")


def test_without_a_shape_or_tissue_a_notification_says_what_to_do(qtbot, whole):
    viewer, dock, _ = whole
    notification_manager.records.clear()
    pick(qtbot, dock, "Selected shape")
    qtbot.mouseClick(dock.button, LEFT)
    assert dock.job is None
    assert "No shape is selected" in notification_manager.records[0].message
    viewer.scene.camera.center = (3.0, 3.0)
    viewer.scene.camera.zoom = 60
    pick(qtbot, dock, "Current view")
    click(qtbot, dock, dock.button)
    assert "no tissue was found in the region" in notification_manager.records[-1].message.lower()
    viewer.scene.camera.center = (-9000.0, -9000.0)
    qtbot.mouseClick(dock.button, LEFT)
    assert "slide is not in view" in notification_manager.records[-1].message
