"""All that the window tells the user: what happened and what to do, with the traceback one click away."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from napari.utils.notifications import NotificationSeverity, notification_manager
from qtpy.QtCore import Qt
from qtpy.QtGui import QFontDatabase
from qtpy.QtWidgets import QApplication, QDialog, QDialogButtonBox, QPlainTextEdit, QVBoxLayout

from sam_mil_engine.errors import SamMilError

from .napari_compat.toasts import PlainNotification, open_toast
from .text import sentence_case

Severity = Literal["info", "warning", "error"]
#: What stands on a button of a notification, and what it calls with the notification.
Action = tuple[str, Callable[[Any], None]]


def tell(message: str, severity: Severity = "info", *, actions: Sequence[Action] = ()) -> None:
    """Tell the user something in the corner of the canvas, whole; from any thread.

    Parameters
    ----------
    message
        What happened, and what to do, in whole sentences.
    severity
        ``info`` closes itself after 15 seconds; ``warning`` and ``error`` stay until they are closed.
    actions
        Buttons: what stands on each, and what is called with the notification.
    """
    level = NotificationSeverity(severity)
    notification_manager.dispatch(PlainNotification(message, level, actions=list(actions)))
    if QApplication.instance() is not None:
        open_toast(message, stays=severity != "info")


def show_error(error: BaseException, *, doing: str) -> None:
    """Show an error with a button *Show details*.

    Parameters
    ----------
    error
        What was raised.
    doing
        What was tried, for example ``Segment/Classify``; ends the message.
    """
    details = "".join(traceback.format_exception(error))
    message = f"{describe(error)} ({doing} did not finish.)"
    tell(message, "error", actions=[("Show details", lambda _notification: show_details(details))])


def describe(error: BaseException) -> str:
    """Say in sentences what is wrong, where, and what to do."""
    if isinstance(error, SamMilError):
        where = f" ({Path(error.where).name or error.where})" if error.where else ""
        hint = error.for_window().hint
        return f"{sentence_case(error.what)}{where}." + (f" {hint}." if hint else "")
    if isinstance(error, MemoryError):
        return "There was not enough memory. Close other programs or slides and try again."
    return (
        f"Something unexpected happened: {type(error).__name__}: {error}. "
        "What was finished is kept; try again, and report the details if it comes back."
    )


def show_details(text: str, *, title: str = "Details of the error") -> QDialog:
    """Open a window with text that can be scrolled, selected and copied."""
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


#: Windows that are open: a window without a parent lives only as long as somebody holds it.
_open_dialogs: set[QDialog] = set()
