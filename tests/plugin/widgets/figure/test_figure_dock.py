"""The Figure dock: what is in view, saved for print by clicks."""

from __future__ import annotations

import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def figure(qtbot, analysed):
    """An analysed slide and the Figure dock."""
    viewer, session = analysed
    _, dock = viewer.window.add_plugin_dock_widget("napari-sam-mil", "Figure")
    viewer.reset_view()
    qtbot.wait(100)
    return viewer, session, dock


def save(qtbot, dock, monkeypatch, path):
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args: (str(path), "PNG (*.png)"))
    qtbot.mouseClick(dock.button, LEFT)
    qtbot.waitUntil(lambda: not dock.jobs.busy)


def test_a_png_has_the_width_asked_for_and_the_colours_of_the_view(qtbot, figure, monkeypatch, tmp_path):
    _, session, dock = figure
    assert "stand-in predicts" in dock.caption.toPlainText()
    dock.width_mm.setValue(85)
    dock.dpi.setValue(200)
    for kind in ("segments", "tissue"):
        session.layers[kind].visible = False
    layer = session.layers["probability"]
    layer.opacity = 1.0
    layer.contrast_limits = (-2.0, -1.0)  # all patches at the high end: dark red
    save(qtbot, dock, monkeypatch, tmp_path / "a.png")
    assert dock.said.text().startswith("Saved a.png")
    with Image.open(tmp_path / "a.png") as saved:
        assert saved.info["dpi"][0] == pytest.approx(200, abs=0.1)
        image = np.asarray(saved.convert("RGB")).astype(int)
    assert abs(image.shape[1] - 85 / 25.4 * 200) <= 1
    # slide pixel in the middle of a patch -> the same place in the figure
    left, top = session.analysis.processed.grid.coords_px0[len(session.analysis.processed.grid) // 2]
    scale = image.shape[1] / session.source.info.size_px0[0]
    assert np.abs(image[round((top + 64) * scale), round((left + 64) * scale)] - [103, 0, 13]).max() < 12
    below = image[round(session.source.info.size_px0[1] * scale) + 4 :]
    assert below.shape[0] > 60
    assert (below.min(axis=(1, 2)) < 90).mean() > 0.3, "legend and caption are black on white"


def test_a_pdf_of_a_part_holds_its_caption_as_text(qtbot, figure, monkeypatch, tmp_path):
    viewer, _, dock = figure
    viewer.scene.camera.zoom *= 3
    dock.caption.setFocus()
    qtbot.keyClick(dock.caption, Qt.Key.Key_A, Qt.KeyboardModifier.ControlModifier)
    qtbot.keyClicks(dock.caption, "Only mine")
    save(qtbot, dock, monkeypatch, tmp_path / "a.pdf")
    content = (tmp_path / "a.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert b"TrueType" in content or b"Type42" in content or b"/CIDFontType2" in content
    assert dock.caption.toPlainText() == "Only mine"


def test_a_view_beside_the_slide_is_told(qtbot, figure, monkeypatch, tmp_path):
    viewer, _, dock = figure
    viewer.scene.camera.center = (-9000.0, -9000.0)
    notification_manager.records.clear()
    save(qtbot, dock, monkeypatch, tmp_path / "a.png")
    assert "slide is not in view" in notification_manager.records[0].message
    assert not (tmp_path / "a.png").exists()
