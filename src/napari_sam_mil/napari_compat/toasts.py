"""napari's notifications in the corner of the canvas: without an object's name, and open to their end."""

from __future__ import annotations

from typing import Any

from napari.utils.notifications import Notification


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


def open_toast(message: str) -> bool:
    """Open the notification with this message, so that all of it is read, and keep it until it is closed.

    Why
        napari shows one line of a message, cut before its reason, and takes it away after four seconds.
    Seen in
        napari 0.9.2 (``napari._qt.dialogs.qt_notification.NapariQtNotification``). There is no setting.
    Without it
        The message is cut, and the arrow next to it opens it.

    Returns
    -------
    bool
        Whether it was found.
    """
    from qtpy.QtWidgets import QApplication

    for widget in QApplication.allWidgets():
        label = getattr(widget, "message", None)
        if type(widget).__name__ != "NapariQtNotification" or getattr(label, "text", str)() != message:
            continue
        try:
            _fit(widget, label, message)
        except (AttributeError, TypeError):
            return False
        return True
    return False


def _fit(toast: Any, label: Any, message: str) -> None:
    """Show the whole message, in a canvas that is narrower than napari's notifications too, until it is closed."""
    from qtpy.QtCore import Qt

    toast.timer_stop()
    toast.geom_anim.stop()
    label.setElideMode(Qt.TextElideMode.ElideNone)
    width = min(toast.width(), toast.parent().width() - 16)
    room = width - 130
    wrap = Qt.TextFlag.TextWordWrap
    height = label.fontMetrics().boundingRect(0, 0, room, 2000, wrap, message).height() + 8
    label.setFixedSize(room, height)
    buttons = toast.row2_widget.maximumHeight() if toast.row2_widget.isVisibleTo(toast) else 0
    toast.setMinimumSize(width, height + buttons + 24)
    toast.setMaximumWidth(width)
    toast.resize(toast.minimumSize())
    toast.move_to_bottom_right()
