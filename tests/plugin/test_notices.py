"""What the window tells: whole, what, where, what to do; no words of the command line, no object's name."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from by_hand import until
from napari._qt.dialogs.qt_notification import NapariQtNotification
from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QApplication

import napari_sam_mil
from napari_sam_mil.notices import describe, show_error, tell
from napari_sam_mil.warning import warn
from sam_mil_engine.errors import SlideError

PLUGIN = Path(napari_sam_mil.__file__).parent
LONG = "the slide cannot be opened, since its tiles are stored in a way that no reader knows"
PATH = "/a/folder/whose/name/has/no/space/and_is_wider_than/any/notification/of_a_narrow_canvas/slide.svs"


def test_the_window_shows_its_own_hint_or_the_only_one_there_is() -> None:
    both = SlideError(
        "no patch", where="a/b.svs", hint="Choose a smaller --patch-size", window_hint="Choose another"
    )
    assert describe(both) == "No patch (b.svs). Choose another."
    assert describe(SlideError("no patch", hint="Copy it again")) == "No patch. Copy it again."
    assert describe(SlideError("no patch")) == "No patch."


def test_nothing_in_the_plugin_speaks_to_napari_past_the_one_function() -> None:
    """napari's own functions show the repr of an object, cut the text and take it away after four seconds."""
    names = {"show_info", "show_warning", "show_debug", "notification_manager", "Notification"}
    allowed = {"notices.py", "toasts.py"}
    for path in PLUGIN.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("napari.utils.notifications"):
                assert path.name in allowed or not names & {one.name for one in node.names}, path
            # the worker process has no window: its default is a Python warning
            if path.name not in {"warning.py", "worker.py"} and isinstance(node, ast.Attribute):
                assert ast.unparse(node) != "warnings.warn", f"{path.name}: use warning.warn"


@pytest.fixture
def window(make_napari_viewer):
    def build(canvas_width: int | None = None, width: int = 1400):
        viewer = make_napari_viewer(show=True)
        viewer.window.resize(width, 768)
        canvas = viewer.window._qt_viewer.canvas.native
        if canvas_width is not None:
            canvas.setFixedWidth(canvas_width)
        QApplication.processEvents()
        return viewer

    return build


def toasts(words: str) -> list[NapariQtNotification]:
    """Notifications that are shown and hold these words."""
    found = [one for one in QApplication.allWidgets() if isinstance(one, NapariQtNotification)]
    return [one for one in found if one.isVisible() and words in read(one)]


def read(toast: NapariQtNotification) -> str:
    """Return the text of a notification, without the signs at which Qt may break a word."""
    return toast.message.text().replace("\u200b", "")


def shown_whole(toast: NapariQtNotification) -> None:
    """Assert that no line of a notification is cut, and that all of it lies in the canvas."""
    label = toast.message
    assert label.heightForWidth(label.width()) <= label.height(), "no line is cut below"
    needed = label.fontMetrics().boundingRect(0, 0, label.width(), 100_000, 0x1000, label.text())
    assert needed.width() <= label.width(), "no line is cut at its end"
    inside = toast.rect().contains(label.geometry().translated(label.parentWidget().pos()))
    assert inside, "the text lies in the notification"
    assert toast.parent().rect().contains(toast.geometry()), "the notification lies in the canvas"
    assert toast.source_label.text() == "", "no object's name"


@pytest.mark.parametrize("canvas", [None, 345, 230])
@pytest.mark.parametrize("severity", ["info", "warning", "error"])
def test_a_notification_is_read_to_its_end(window, canvas: int | None, severity: str) -> None:
    window(canvas)
    message = f"{LONG}. It lies in {PATH}, and it was copied there by somebody else. This is the end."
    tell(message, severity)
    until(lambda: toasts("This is the end"), "the notification")
    (toast,) = toasts("This is the end")
    until(lambda: toast.opacity_anim.state() == toast.opacity_anim.State.Stopped, "the end of the movement")
    assert read(toast) == message
    shown_whole(toast)
    toast.close()


def test_a_second_notification_in_a_narrow_canvas_is_read_to_its_end(window) -> None:
    """Nothing has changed the width of the canvas since the first one, which would fit it anew."""
    window(230)
    for words in ("It is the first one", "It is the second one"):
        tell(f"{LONG}. It lies in {PATH}. {words}.", "info")
        until(lambda: toasts(words), "the notification")  # noqa: B023  (called at once)
        (toast,) = toasts(words)
        shown_whole(toast)
        toast.close()


@pytest.mark.parametrize("width", [1400, 1024])
def test_an_error_says_what_was_tried_and_has_its_details_behind_a_button(window, width: int) -> None:
    window(width=width)
    name = "TCGA-02-0001-01Z-00-DX1.83fce43e-42ac-4dcd-b156-2908e75f2e47.svs"
    hint = "Look at the slide; if it does hold tissue, try another tissue preset in the Analyze dock, as Biopsy"
    show_error(SlideError("no tissue was found", where=name, hint=hint), doing="Segment/Classify")
    until(lambda: toasts("did not finish"), "the notification")
    (toast,) = toasts("did not finish")
    shown_whole(toast)
    assert read(toast).endswith("(Segment/Classify did not finish.)")
    toast.close()


def test_the_text_follows_a_canvas_that_becomes_narrow(window) -> None:
    viewer = window()
    tell(f"{LONG}. This is the end.", "warning")
    (toast,) = toasts("This is the end")
    viewer.window._qt_viewer.canvas.native.setFixedWidth(300)
    until(lambda: toast.width() < 300, "the narrow notification")
    shown_whole(toast)
    toast.close()


@pytest.mark.parametrize("severity", ["warning", "error"])
def test_warnings_and_errors_stay_until_they_are_closed(window, severity: str) -> None:
    window()
    tell("It stays.", severity)
    (toast,) = toasts("It stays")
    tell("Another one.", "warning")
    toasts("Another one")[0].close()  # napari starts the timer of the one before it
    QApplication.sendEvent(toast, QEvent(QEvent.Type.Leave))  # and of the one that the mouse leaves
    assert not toast.timer.isActive()
    assert toast.findChild(QTimer, "samMilCloses") is None
    toast.close()


def test_information_closes_itself_after_a_while(window) -> None:
    window()
    tell("It goes.")
    (toast,) = toasts("It goes")
    timer = toast.findChild(QTimer, "samMilCloses")
    assert (timer.interval(), timer.isActive(), toast.timer.isActive()) == (15_000, True, False)
    timer.timeout.emit()
    until(lambda: not toasts("It goes"), "its end")


def test_a_warning_of_the_engine_is_told_in_the_window_where_there_is_one(window) -> None:
    with pytest.warns(UserWarning, match="too small"):
        warn("a piece of tissue is too small")
    window()
    warn("a piece of tissue is too small")
    (toast,) = toasts("too small")
    assert read(toast).endswith("too small.")
    toast.close()


def test_an_error_that_napari_shows_itself_has_the_hint_of_the_window(window) -> None:
    from napari_sam_mil.background.waiting import wait_for

    def work(_progress: object) -> None:
        raise SlideError("no tiles", where="a.svs", hint="Use `vips tiffsave --tile`", window_hint="Convert it")

    window()
    with pytest.raises(SlideError, match=re.escape("a.svs: no tiles. Convert it")):
        wait_for(work, "Opening a.svs")
