"""Measuring a distance: a line on the slide, and its length beside it."""

from __future__ import annotations

import numpy as np
import pytest
from by_hand import click, key, pause, undrawn
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_sam_mil.layers.measurements import LENGTH, MEASUREMENTS, length_text, path_length
from napari_sam_mil.layers.view import canvas_pixel_px0
from napari_sam_mil.session.viewer import sessions_of

CTRL, LEFT, NONE = Qt.KeyboardModifier.ControlModifier, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier


@pytest.fixture
def window(make_napari_viewer, tiny_slide):
    """A window with a slide and the Analyze dock."""
    viewer = make_napari_viewer(show=True)
    with undrawn(viewer):
        viewer.window.resize(1200, 800)
        viewer.open(str(tiny_slide), plugin="napari-sam-mil")
        _, dock = viewer.window.add_plugin_dock_widget("napari-sam-mil", "Analyze")
    pause()
    return viewer, dock, sessions_of(viewer).current


def drag(viewer, across, down):
    """Drag a line from the middle of the image."""
    image = viewer.window._qt_viewer.canvas.native
    start = image.rect().center()
    end = start.__class__(start.x() + across, start.y() + down)
    QTest.mousePress(image, LEFT, NONE, start)
    QTest.mouseMove(image, (start + end) / 2)
    pause(0.1)
    QTest.mouseMove(image, end)
    pause(0.1)
    QTest.mouseRelease(image, LEFT, NONE, end)
    pause(0.1)


def test_a_dragged_line_shows_its_length_and_follows_the_resolution(window):
    viewer, dock, session = window
    click(dock.slide_card.measure)
    layer = session.layers[MEASUREMENTS]
    assert viewer.layers.selection.active is layer
    drag(viewer, 60, 80)
    assert len(layer.data) == 1
    expected = 100 * canvas_pixel_px0(viewer, session.source.place) * session.source.mpp[0]
    said = str(layer.features[LENGTH][0])
    assert said.endswith(" µm")
    assert float(said.removesuffix(" µm")) == pytest.approx(expected, rel=0.05)
    assert [str(text) for text in layer.text.values] == [said], "it stands beside the line"
    key(viewer, Qt.Key.Key_5, CTRL)
    assert layer.mode == "pan_zoom", "the tool is put away"
    key(viewer, Qt.Key.Key_5, CTRL)
    assert layer.mode == "add_line"
    # edited lines and drawn paths have new lengths
    layer.add_paths(np.array([(0, 0), (30, 0), (30, 40)]))
    layer.add_rectangles(np.array([(0, 0), (30, 40)]))
    assert list(layer.features[LENGTH]) == [said, length_text(70 * session.source.mpp[0], session.source.place), ""]
    layer.selected_data = {0}
    layer.remove_selected()
    assert layer.features[LENGTH].iloc[0].endswith(" µm")
    assert len(layer.features) == 2


def test_lengths_are_pixels_until_the_resolution_is_entered(make_napari_viewer, tmp_path):
    import tifffile

    path = tmp_path / "unknown.tiff"
    tifffile.imwrite(path, np.full((256, 256, 3), 200, np.uint8), tile=(128, 128), photometric="rgb")
    viewer = make_napari_viewer(show=True)
    viewer.open(str(path), plugin="napari-sam-mil")
    _, dock = viewer.window.add_plugin_dock_widget("napari-sam-mil", "Analyze")
    session = sessions_of(viewer).current
    click(dock.slide_card.measure)
    layer = session.layers[MEASUREMENTS]
    layer.add_lines(np.array([(10, 20), (10, 70)]))
    assert list(layer.features[LENGTH]) == ["50 px"]
    corner = layer.data_to_world((10, 20))
    sessions_of(viewer).set_mpp(session, 0.5)
    assert list(layer.features[LENGTH]) == ["25 µm"]
    np.testing.assert_allclose(layer.data_to_world((10, 20)), np.array(corner) * 0.5, atol=0.3)
    sessions_of(viewer).set_mpp(session, None)
    assert list(layer.features[LENGTH]) == ["50 px"]


def test_lengths_are_those_of_both_axes():
    path = [(0, 0), (30, 0), (30, 40)]
    assert path_length(path, None) == 70
    assert path_length(path, (0.5, 0.25)) == pytest.approx(30 * 0.25 + 40 * 0.5)
    assert length_text(1234.4, (1.0, 1.0)) == "1.23 mm"
    assert length_text(999.4, (1.0, 1.0)) == "999 µm"
    assert length_text(1234.4, None) == "1,234 px"
