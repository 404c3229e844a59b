"""A screen of 1024 pixels: room for the slide whatever it is called, and choices that can be read."""

from __future__ import annotations

import pytest
from by_hand import pause, until
from qtpy.QtWidgets import QComboBox

from napari_sam_mil.napari_compat.layer_controls import WIDEST_CHOICE, narrow_layer_controls
from napari_sam_mil.napari_compat.viewers import qt_viewer
from napari_sam_mil.widgets.analyze.fold import Fold
from sparse_slides import write_sparse_slide


def test_a_large_slide_with_a_long_name_leaves_room_for_its_image(open_dock, tmp_path):
    path = tmp_path / f"{'a-slide-with-a-very-long-name-' * 6}.tif"
    write_sparse_slide(path, side=40_000, radius=4_000, pieces=[(0.5, 0.5)])
    viewer, _dock = open_dock(path)
    viewer.window.resize(1024, 768)
    until(lambda: viewer.window._qt_window.width() == 1024, "the small window")
    pause(0.3)
    assert viewer.canvas.size[1] >= 370
    (resolutions,) = [
        box
        for box in qt_viewer(viewer).dockLayerControls.findChildren(QComboBox)
        if box.itemText(1).startswith("0: 40000 ×")
    ]
    assert resolutions.width() < resolutions.sizeHint().width() <= resolutions.view().minimumWidth()
    viewer.layers.selection.update({viewer.add_shapes(), viewer.layers[0]})  # controls of several layers
    pause(0.3)
    assert viewer.canvas.size[1] >= 370


def test_without_the_private_name_the_controls_stay_as_napari_makes_them(make_napari_viewer, monkeypatch):
    viewer = make_napari_viewer()
    monkeypatch.delattr(type(qt_viewer(viewer)), "dockLayerControls")
    narrow_layer_controls(viewer)
    viewer.add_points()
    boxes = viewer.window._qt_viewer._controls.findChildren(QComboBox)
    assert all(box.minimumWidth() != WIDEST_CHOICE for box in boxes)


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("segmenter", ["regions", "stain-regions"])
def test_classifier_and_region_can_be_read_in_a_narrow_dock(make_napari_viewer, theme, segmenter):
    viewer = make_napari_viewer(show=True)
    viewer.theme = theme
    fold = Fold("Show or hide")
    fold.setParent(viewer.window._qt_window)
    fold.show()

    def lines_of(width, text):
        fold.set_text(text)
        fold.setFixedWidth(width)
        fold.adjustSize()
        pause(0.02)
        metrics, lines = fold.line.fontMetrics(), fold.line.text().split("\n")
        assert max(map(metrics.horizontalAdvance, lines)) <= width - 12, "nothing is cut by the button"
        assert fold.line.height() >= len(lines) * metrics.height()
        return lines

    for classifier in ("colon", "sam-mil (colon)", "run-of-a-cross-validation"):
        for region in ("whole slide", "selected shape"):
            for width in (270, 280, 420):
                text = f"biopsy · {segmenter} · efficientnet-lite0 · {classifier} · {region}"
                lines = lines_of(width, text)
                assert f"{classifier} · {region}" in " ".join(" ".join(lines).split())
                assert len(lines) == 2 or width < 420
    first, name, region = lines_of(270, f"{segmenter} · efficientnet-lite0 · {'run-' * 40}x · current view")
    assert segmenter in first
    assert "…" in name
    assert name.strip(" ·").endswith("x")
    assert region.strip() == "current view"
