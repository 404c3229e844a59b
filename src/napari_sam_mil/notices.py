"""Tell the user what went wrong and what to do, with the traceback one click away."""

from __future__ import annotations

import traceback

from napari.utils.notifications import Notification, NotificationSeverity, notification_manager
from qtpy.QtCore import Qt
from qtpy.QtGui import QFontDatabase
from qtpy.QtWidgets import QApplication, QDialog, QDialogButtonBox, QPlainTextEdit, QVBoxLayout

from sam_mil_engine.errors import SamMilError

from .words import sentence_case


def show_error(error: BaseException, *, doing: str) -> None:
    """Show an error as a napari notification with a button *Show details*.

    Parameters
    ----------
    error
        What was raised.
    doing
        What was tried, for example ``Segment/Classify``; begins the message.
    """
    details = "".join(traceback.format_exception(error))
    notification = Notification(
        f"{doing} did not finish. {describe(error)}",
        NotificationSeverity.ERROR,
        actions=[("Show details", lambda _notification: show_details(details))],
    )
    notification_manager.dispatch(notification)


def describe(error: BaseException) -> str:
    """Say in sentences what is wrong, where, and what to do."""
    if isinstance(error, SamMilError):
        what = sentence_case(error.what)
        where = f" ({error.where})" if error.where else ""
        hint = f" {error.hint}." if error.hint else ""
        return f"{what}{where}.{hint}"
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
