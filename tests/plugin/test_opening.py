"""What opening a slide does to the window, seen from outside: readout, scale bar, background, colours, damage."""

from __future__ import annotations

import gc
import re
import threading
import weakref
from pathlib import Path

import numpy as np
import pytest
import tifffile
from napari.settings import get_settings
from napari.utils.notifications import notification_manager
from PIL import ImageCms
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QEnterEvent
from qtpy.QtWidgets import QApplication

from napari_sam_mil.analysis.source import SlideSource, tag_of
from napari_sam_mil.preferences import preferences
from napari_sam_mil.session.cursor_readout import where_in_slide
from sam_mil_engine.slide.reader import open_slide
from tiny_slides import write_tiny_slide

LEFT = Qt.MouseButton.LeftButton


@pytest.fixture
def window(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1200, 800)
    return viewer


@pytest.mark.own_window  # its scale bar has not been shown yet
def test_a_slide_opens_in_micrometres_with_a_scale_bar(qtbot, window, cmu_slide, tmp_path):
    assert not window.canvas.overlays.scale_bar.visible
    (layer,) = window.open(str(cmu_slide), plugin="napari-sam-mil")
    assert tag_of(layer.metadata).source.info.size_px0 == (2220, 2967)
    assert not window.canvas.overlays.scale_bar.visible, "its letters are drawn first, one by one"
    qtbot.waitUntil(lambda: window.canvas.overlays.scale_bar.visible)
    assert {str(unit) for unit in layer.units} == {"micrometer"}
    np.testing.assert_allclose(layer.extent.world[1], (2966.5 * 0.499, 2219.5 * 0.499), atol=0.5)
    window.canvas.overlays.scale_bar.visible = False
    window.open(str(write_tiny_slide(tmp_path / "tiny.tiff")), plugin="napari-sam-mil")
    assert len(window.layers) == 2
    assert not window.canvas.overlays.scale_bar.visible, "what the user hid stays hidden"


def test_the_status_bar_tells_micrometres_and_pixels(qtbot, window, tiny_slide):
    window.open(str(tiny_slide), plugin="napari-sam-mil")
    canvas = window.window._qt_viewer.canvas
    window.reset_view()
    middle = QPoint(canvas.native.width() // 2, canvas.native.height() // 2)
    place = QPointF(middle)
    qtbot.mouseClick(canvas.native, LEFT, pos=middle)
    # 640 x 512 px of 0.5 µm: the middle is at 160 µm, 128 µm
    bar = window.window._qt_window.statusBar()._coordinates

    def near_the_middle():
        # the pointer comes in, wherever the display has it, and however often another window takes it away
        QApplication.sendEvent(window.window._qt_viewer, QEnterEvent(place, place, place))
        # napari's tests run without the thread that keeps the status up to date
        window.update_status_from_cursor()
        found = re.match(r"x ([\d.]+) µm, y ([\d.]+) µm · px (\d+), (\d+)", bar.text())
        assert found is not None
        np.testing.assert_allclose([float(one) for one in found.groups()], (160, 128, 320, 256), atol=8)

    qtbot.waitUntil(near_the_middle)


def test_places_in_words(tiny_slide, tmp_path):
    with open_slide(tiny_slide) as slide:
        assert where_in_slide((0.0, 0.0), SlideSource(slide)) == "x 0.2 µm, y 0.2 µm · px 0, 0"
        assert where_in_slide((50.0, 1000.0), SlideSource(slide)) == "x 1,000.2 µm, y 50.2 µm · px 2000, 100"
    path = tmp_path / "plain.png"
    tifffile.imwrite(path.with_suffix(".tif"), np.zeros((300, 300, 3), np.uint8), photometric="rgb")
    with open_slide(path.with_suffix(".tif")) as slide:
        assert where_in_slide((7.0, 9.0), SlideSource(slide)) == "px 9, 7"


def test_background_loading_is_switched_on_once_said_and_undone(qtbot, window, tiny_slide, in_background):
    settings = get_settings().experimental
    assert not settings.async_
    notification_manager.records.clear()
    window.open(str(tiny_slide), plugin="napari-sam-mil")
    assert settings.async_
    assert preferences().background_offered
    (notification,) = notification_manager.records
    assert "asynchronous slicing was switched on" in notification.message
    ((text, action),) = notification.actions
    assert text == "Switch it off"
    action(notification)
    assert not settings.async_
    window.open(str(tiny_slide), plugin="napari-sam-mil")
    assert not settings.async_, "the second slide leaves the choice to the user"
    assert len(notification_manager.records) == 1


def test_in_the_background_the_image_sharpens_and_the_window_lives(qtbot, window, generated_slide, in_background):
    (layer,) = window.open(str(generated_slide), plugin="napari-sam-mil")
    assert get_settings().experimental.async_
    window.scene.camera.center, window.scene.camera.zoom = (256 * layer.scale[0], 256 * layer.scale[1]), 4
    qtbot.waitUntil(lambda: layer.data_level == 0 and layer.loaded)
    image = window.window._qt_viewer.canvas.screenshot()
    assert image is not None
    shown = np.asarray(layer._slice.image.raw)
    (top, left), (bottom, right) = layer.corner_pixels[:, :2]
    np.testing.assert_array_equal(shown, np.asarray(layer.data[0][top : bottom + 1, left : right + 1]))


def profiled(path):
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    tifffile.imwrite(
        path,
        np.full((600, 700, 3), (200, 40, 60), np.uint8),
        tile=(128, 128),
        photometric="rgb",
        metadata=None,
        extratags=[(34675, 7, len(profile), bytes(profile), True)],
    )
    return path


def test_colours_by_the_profile_at_a_tick_and_back(qtbot, window, tmp_path):
    (layer,) = window.open(str(profiled(tmp_path / "swapped.tif")), plugin="napari-sam-mil")
    _, page = window.window.add_plugin_dock_widget("napari-sam-mil", "Preferences and keys")

    def shown():
        return layer._slice.image.raw[300, 300].astype(int)

    np.testing.assert_array_equal(shown(), (200, 40, 60))
    qtbot.mouseClick(page.srgb, LEFT, pos=QPoint(8, page.srgb.height() // 2))
    assert preferences().srgb
    np.testing.assert_allclose(shown(), (40, 200, 60), atol=2)
    (later,) = window.open(str(tmp_path / "swapped.tif"), plugin="napari-sam-mil")
    np.testing.assert_allclose(later._slice.image.raw[300, 300].astype(int), (40, 200, 60), atol=2)
    qtbot.mouseClick(page.reset, LEFT)
    assert not page.srgb.isChecked()
    np.testing.assert_array_equal(shown(), (200, 40, 60))


def test_a_damaged_tile_is_magenta_and_told_once(qtbot, window, tmp_path):
    path = tmp_path / "damaged.tif"
    noise = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), dtype=np.uint8)
    tifffile.imwrite(path, noise, tile=(256, 256), compression="jpeg", photometric="ycbcr")
    with tifffile.TiffFile(path, mode="r+b") as file:
        page = file.pages[0]
        for number in (0, 15):
            file.filehandle.seek(page.dataoffsets[number])
            file.filehandle.write(bytes(page.databytecounts[number]))
    notification_manager.records.clear()
    (layer,) = window.open(str(path), plugin="napari-sam-mil")
    assert (np.asarray(layer.data[0])[:256, :256] == (255, 0, 255)).all()
    assert not (np.asarray(layer.data[0])[:512, 512:] == (255, 0, 255)).all(axis=2).any()
    seen = [one for one in notification_manager.records if "magenta" in one.message]
    assert len(seen) == 1
    assert "damaged.tif" in seen[0].message


def test_slides_opened_looked_at_and_closed_leave_nothing(qtbot, window, tiny_slide):
    def threads() -> set[str]:
        return {thread.name for thread in threading.enumerate() if thread.name.startswith("slide-")}

    def files() -> list[str]:
        links = Path("/proc/self/fd").glob("*") if Path("/proc/self/fd").is_dir() else ()
        return [link for link in map(_target, links) if link == str(tiny_slide)]

    gc.unfreeze()  # what earlier tests left goes too; what stays is not looked at again
    gc.collect()
    gc.freeze()
    slides = []
    for _ in range(5):
        (layer,) = window.open(str(tiny_slide), plugin="napari-sam-mil")
        layer.data[0][:]
        slides.append(weakref.ref(tag_of(layer.metadata).source.slide))
        assert threads()
        window.layers.clear()
        QApplication.processEvents()
    del layer
    qtbot.waitUntil(lambda: gc.collect() >= 0 and [slide() for slide in slides] == [None] * 5)
    qtbot.waitUntil(lambda: not threads())
    assert files() == []


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:  # closed in the meantime
        return ""
