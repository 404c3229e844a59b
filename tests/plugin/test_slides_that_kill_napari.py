"""A slide over which a C library ends its process: the window says so and lives."""

from __future__ import annotations

import pytest
from napari._qt.dialogs.qt_notification import NapariQtNotification
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication, QPushButton

from napari_sam_mil.reader import read_slides
from sam_mil_engine.errors import Cancelled, SlideError
from slides_that_kill import slides_kill_by_name
from tiny_slides import write_tiny_slide


@pytest.fixture
def child(tmp_path, monkeypatch):
    with slides_kill_by_name(tmp_path, monkeypatch) as child:
        yield child


def shown_messages():
    """Texts of the notifications in the window, without the signs at which Qt may break a word."""
    found = [one for one in QApplication.allWidgets() if isinstance(one, NapariQtNotification) and one.isVisible()]
    return [one.message.text().replace("\u200b", "") for one in found]


def test_a_slide_that_crashes_its_reader_is_named_and_the_window_opens_the_next(
    qtbot, make_napari_viewer, child, tmp_path
):
    viewer = make_napari_viewer(show=True)
    with pytest.raises(SlideError) as caught:
        viewer.open(str(write_tiny_slide(tmp_path / "crash.tiff")), plugin="napari-sam-mil")
    assert "crashed" in caught.value.what
    assert "crash.tiff" in str(caught.value.where)
    assert "copy it again" in caught.value.hint
    assert not viewer.layers
    notification_manager.receive_error(caught.type, caught.value, caught.tb)  # as napari does after a drop
    qtbot.waitUntil(lambda: any("crash.tiff" in text and "crashed" in text for text in shown_messages()))
    (layer,) = viewer.open(str(write_tiny_slide(tmp_path / "good.tiff")), plugin="napari-sam-mil")
    assert viewer.layers == [layer]


def test_while_a_slide_is_looked_at_the_window_lives_and_cancel_ends_it(qtbot, make_napari_viewer, child, tmp_path):
    window = make_napari_viewer(show=True).window._qt_window
    timer, pressed = QTimer(), []

    def press_cancel():
        """Called by the event loop of the window, or never."""
        for button in window.findChildren(QPushButton):
            if button.text() == "Cancel" and child._process is not None and not pressed:
                pressed.append(child._process)
                button.click()

    timer.timeout.connect(press_cancel)
    timer.start(50)
    with pytest.raises(Cancelled):
        read_slides(str(write_tiny_slide(tmp_path / "endless.tiff")))
    timer.stop()
    (process,) = pressed
    assert process.poll() is not None, "the process that read it has ended"


def test_a_slide_is_looked_at_once(qtbot, make_napari_viewer, child, tmp_path, monkeypatch):
    make_napari_viewer(show=True)
    path = write_tiny_slide(tmp_path / "good.tiff")
    read_slides(str(path))
    child.stop()
    read_slides(str(path))
    assert child._process is None
    write_tiny_slide(path, seed=1, size=(900, 700))
    read_slides(str(path))
    assert child._process is not None, "it is another slide now"
