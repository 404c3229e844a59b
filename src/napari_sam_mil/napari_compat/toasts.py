"""napari's notifications in the corner of the canvas: without an object's name, and read to their end."""

from __future__ import annotations

import re
from typing import Any

from napari.utils.notifications import Notification
from qtpy.QtCore import QObject, Qt, QTimer
from qtpy.QtWidgets import QApplication
from superqt.utils import ensure_main_thread

#: Seconds after which information closes itself; warnings and errors stay until they are closed.
CLOSE_AFTER_S = 15
#: Pixels between a notification and the border of the canvas.
_MARGIN = 8
#: Pixels of a notification's width that are not text: the icon, the cross and what is around them.
_NOT_TEXT = 92
#: A word of more letters is broken where the text would be wider than the notification: a path has no spaces.
_LONGEST_WORD = 12


class PlainNotification(Notification):
    """A notification that does not say which object sent it.

    Why
        napari writes the ``repr`` of the sender below the message, next to the buttons.
    Seen in
        napari 0.9.2 (``NapariQtNotification.from_notification`` reads ``notification.source``).
    Without it
        The line ``Source: <napari.utils.notifications.NotificationManager object ...>`` is back.
    """

    @property
    def source(self) -> Any:
        """Nothing: the message says what happened."""
        return None


@ensure_main_thread
def open_toast(message: str, *, stays: bool) -> None:
    """Open the notifications with this message that napari shows, so that all of each is read; from any thread.

    Why
        napari shows one line of a message, cut before its reason, and takes it away after four seconds: also an
        error that the mouse was moved over. In a canvas that is narrower than 400 px, it is cut on the left too.
    Seen in
        napari 0.9.2 (``napari._qt.dialogs.qt_notification.NapariQtNotification``). There is no setting.
    Without it
        The message is cut, and the arrow next to it opens it.

    Parameters
    ----------
    message
        What was dispatched.
    stays
        Whether it stays until it is closed; else it closes itself after :data:`CLOSE_AFTER_S` seconds, later where
        the mouse is on it.
    """
    for widget in QApplication.allWidgets():
        if type(widget).__name__ != "NapariQtNotification" or widget.property("samMilOpened"):
            continue
        label = getattr(widget, "message", None)
        if label is None or label.text() != message:
            continue
        try:
            _open(widget, stays=stays)
        except (AttributeError, TypeError):
            continue  # napari shows it in its own way


def _open(toast: Any, *, stays: bool) -> None:
    """Show the whole message, now and when the canvas changes its size."""
    toast.setProperty("samMilOpened", True)
    toast.timer_stop()
    toast.DISMISS_AFTER = 0  # else napari's own timer starts again when the mouse leaves it
    toast.geom_anim.stop()
    toast.source_label.setText("")
    toast.expand_button.hide()
    fitted = _Fitted(toast)
    fitted.fit()
    if hasattr(toast.parent(), "resized"):
        toast.parent().resized.connect(fitted.fit)
    if stays:
        return
    timer = QTimer(toast)
    timer.setObjectName("samMilCloses")
    timer.setInterval(1000 * CLOSE_AFTER_S)
    timer.timeout.connect(lambda: None if toast.underMouse() else toast.close_with_fade())
    timer.start()


class _Fitted(QObject):
    """Keeps a notification at the size that its text takes in the canvas; ends with the notification."""

    def __init__(self, toast: Any):
        super().__init__(toast)
        self._toast, self._text = toast, toast.message.text()

    def fit(self) -> None:
        """Take the width and the height that the text needs now."""
        toast, label = self._toast, self._toast.message
        label.ensurePolished()
        width = max(_NOT_TEXT + 40, min(toast.MIN_WIDTH, toast.parent().width() - 2 * _MARGIN))
        room = width - _NOT_TEXT
        words = _breakable(self._text, label.fontMetrics(), room)
        label.setElideMode(Qt.TextElideMode.ElideNone)
        label.setText(words)
        # as Qt lays out a text that can be selected; its font's metrics alone may be a line short
        height = label.heightForWidth(room) + 8
        label.setFixedSize(room, height)
        buttons = toast.row2_widget.maximumHeight() if toast.row2_widget.isVisibleTo(toast) else 0
        toast.setMinimumSize(width, height + buttons + 24)
        toast.setMaximumWidth(width)
        toast.resize(toast.minimumSize())
        toast.move_to_bottom_right()


def _breakable(text: str, metrics: Any, room: int) -> str:
    """Return a text whose words can be broken where they are wider than the room."""

    def split(match: re.Match[str]) -> str:
        word = match.group()
        return word if metrics.horizontalAdvance(word) <= room else "\u200b".join(word)

    return re.sub(rf"\S{{{_LONGEST_WORD},}}", split, text)
