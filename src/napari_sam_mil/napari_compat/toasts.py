"""napari's notifications in the corner of the canvas: without the sender's repr, and without truncation."""

from __future__ import annotations

import re
from typing import Any

from napari.utils.notifications import Notification
from qtpy.QtCore import QObject, Qt, QTimer
from qtpy.QtWidgets import QApplication

#: Seconds after which an information closes itself. Warnings and errors stay until the user closes them.
CLOSE_AFTER_S = 15
#: Pixels between a notification and the border of the canvas.
_MARGIN = 8
#: Pixels of the width of a notification that are not text: the icon, the close button and their margins.
_NOT_TEXT = 92
#: Longer words, such as paths, may be broken if the text is wider than the notification.
_LONGEST_WORD = 12


class PlainNotification(Notification):
    """A notification that does not show its sender.

    Why
        napari writes the ``repr`` of the sender below the message, next to the buttons.
    Seen in
        napari 0.9.2 (``NapariQtNotification.from_notification`` reads ``notification.source``).
    Without it
        The line ``Source: <napari.utils.notifications.NotificationManager object ...>`` appears.
    """

    @property
    def source(self) -> Any:
        """None, so that no sender is shown."""
        return None


def open_toast(message: str, *, stays: bool) -> None:
    """Expand napari's notifications with this message, in the window's thread.

    Why
        napari shows one line of a message, often without its reason, and removes it after four seconds, even an
        error under the mouse. In a canvas narrower than 400 px, it is also cut on the left.
    Seen in
        napari 0.9.2 (``napari._qt.dialogs.qt_notification.NapariQtNotification``). There is no setting.
    Without it
        The message is truncated, and the arrow next to it expands it.

    Parameters
    ----------
    message
        The dispatched message.
    stays
        Whether it stays until the user closes it. Otherwise, it closes itself after :data:`CLOSE_AFTER_S` seconds,
        or later if the mouse is over it.
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
            continue  # napari's own appearance


def _open(toast: Any, *, stays: bool) -> None:
    """Show the whole message, now and after the canvas is resized."""
    toast.setProperty("samMilOpened", True)
    toast.timer_stop()
    toast.DISMISS_AFTER = 0  # otherwise napari's timer restarts when the mouse leaves it
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
    """Fits a notification to its text and to the canvas; deleted with the notification."""

    def __init__(self, toast: Any):
        super().__init__(toast)
        self._toast, self._text = toast, toast.message.text()

    def fit(self) -> None:
        """Set the width and the height that the text needs."""
        toast, label = self._toast, self._toast.message
        label.ensurePolished()
        width = max(_NOT_TEXT + 40, min(toast.MIN_WIDTH, toast.parent().width() - 2 * _MARGIN))
        room = width - _NOT_TEXT
        text = _breakable(self._text, label.fontMetrics(), room)
        label.setElideMode(Qt.TextElideMode.ElideNone)
        label.setText(text)
        # the height that Qt returns for selectable text is that for its present width
        label.setFixedWidth(room)
        # the font metrics alone may be a line short for selectable text
        height = label.heightForWidth(room) + 8
        label.setFixedHeight(height)
        buttons = toast.row2_widget.maximumHeight() if toast.row2_widget.isVisibleTo(toast) else 0
        toast.setMinimumSize(width, height + buttons + 24)
        toast.setMaximumWidth(width)
        toast.resize(toast.minimumSize())
        toast.move_to_bottom_right()


def _breakable(text: str, metrics: Any, room: int) -> str:
    """Insert break opportunities into words that are wider than the room."""

    def split(match: re.Match[str]) -> str:
        word = match.group()
        return word if metrics.horizontalAdvance(word) <= room else "\u200b".join(word)

    return re.sub(rf"\S{{{_LONGEST_WORD},}}", split, text)
