"""Messages to the user: what happened and what to do, with the traceback one click away."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from napari.utils.notifications import NotificationSeverity, notification_manager
from qtpy.QtCore import Qt
from qtpy.QtGui import QFontDatabase
from qtpy.QtWidgets import QApplication, QDialog, QDialogButtonBox, QPlainTextEdit, QVBoxLayout

from sam_mil_engine.errors import SamMilError

from .napari_compat.toasts import PlainNotification, open_toast
from .napari_compat.window_thread import call_in_window
from .text import sentence_case

Severity = Literal["info", "warning", "error"]
#: Text of a button in a notification, and the function that it calls with the notification.
Action = tuple[str, Callable[[Any], None]]


def tell(message: str, severity: Severity = "info", *, actions: Sequence[Action] = ()) -> None:
    """Show a message in the corner of the canvas, without truncation. It may be called from any thread.

    Parameters
    ----------
    message
        What happened, and what to do, in full sentences.
    severity
        ``info`` closes itself after 15 seconds; ``warning`` and ``error`` stay until the user closes them.
    actions
        Buttons: the text of each, and the function that it calls with the notification.
    """
    notification = PlainNotification(message, NotificationSeverity(severity), actions=list(actions))
    call_in_window(partial(_show, notification, stays=severity != "info"))


def _show(notification: PlainNotification, *, stays: bool) -> None:
    notification_manager.dispatch(notification)
    if QApplication.instance() is not None:
        open_toast(notification.message, stays=stays)


def show_error(error: BaseException, *, doing: str) -> None:
    """Show an error with a button *Show details*.

    Parameters
    ----------
    error
        The exception.
    doing
        The task that failed, for example ``Segment/Classify``. It stands at the end of the message.
    """
    details = "".join(traceback.format_exception(error))
    message = f"{describe(error)} ({doing} did not finish.)"
    tell(message, "error", actions=[("Show details", lambda _notification: show_details(details))])


def describe(error: BaseException) -> str:
    """Describe an error in sentences: what is wrong, where, and what to do."""
    if isinstance(error, SamMilError):
        where = f" ({Path(error.where).name or error.where})" if error.where else ""
        hint = error.for_window().hint
        return f"{sentence_case(error.what)}{where}." + (f" {hint}." if hint else "")
    if isinstance(error, MemoryError):
        return "There was not enough memory. Close other programs or slides, then try again."
    return (
        f"An unexpected error occurred: {type(error).__name__}: {error}. "
        "Finished stages are saved. Try again, and report the details if the error occurs again."
    )


def show_details(text: str, *, title: str = "Error details") -> QDialog:
    """Open a window with a text that the user can scroll, select and copy."""
    dialog = QDialog(QApplication.activeWindow())
    dialog.setWindowTitle(title)
    dialog.resize(820, 460)
    view = QPlainTextEdit(text)
    view.setReadOnly(True)
    view.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
    buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
    copy = buttons.addButton("&Copy", QDialogButtonBox.ButtonRole.ActionRole)
    copy.clicked.connect(lambda: QApplication.clipboard().setText(text))
    buttons.rejected.connect(dialog.reject)
    layout = QVBoxLayout(dialog)
    layout.addWidget(view)
    layout.addWidget(buttons)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    _open_dialogs.add(dialog)
    dialog.finished.connect(lambda _result: _open_dialogs.discard(dialog))
    dialog.show()
    return dialog


#: Open dialogs. Qt deletes a dialog without a parent as soon as nothing refers to it.
_open_dialogs: set[QDialog] = set()
