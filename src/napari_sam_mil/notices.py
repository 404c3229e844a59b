"""Tell the user what went wrong and what to do, with the traceback one click away."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

from napari.utils.notifications import NotificationSeverity, notification_manager
from qtpy.QtCore import Qt
from qtpy.QtGui import QFontDatabase
from qtpy.QtWidgets import QApplication, QDialog, QDialogButtonBox, QPlainTextEdit, QVBoxLayout

from sam_mil_engine.errors import SamMilError

from .napari_compat.event_loop import later
from .napari_compat.toasts import PlainNotification, open_toast
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
    message = f"{describe(error)} ({doing} did not finish.)"
    notification = PlainNotification(
        message,
        NotificationSeverity.ERROR,
        actions=[("Show details", lambda _notification: show_details(details))],
    )
    notification_manager.dispatch(notification)
    later(lambda: open_toast(message))


def describe(error: BaseException) -> str:
    """Say in sentences what is wrong, where, and what to do."""
    if isinstance(error, SamMilError):
        what = in_window_words(sentence_case(error.what))
        where = f" ({Path(error.where).name or error.where})" if error.where else ""
        hint = in_window_words(error.hint or "")
        return f"{what}{where}." + (f" {hint}." if hint else "")
    if isinstance(error, MemoryError):
        return "There was not enough memory. Close other programs or slides and try again."
    return (
        f"Something unexpected happened: {type(error).__name__}: {error}. "
        "What was finished is kept; try again, and report the details if it comes back."
    )


def in_window_words(text: str) -> str:
    """Return what an error says without words of the command line: the window has boxes and buttons for them.

    A sentence that speaks of an option or a command which the window has no word for is left out.
    """
    for pattern, words in _WINDOW_WORDS:
        text = re.sub(pattern, words, text)
    sentences = re.split(r"(?<=[.;]) ", text)
    return " ".join(one for one in sentences if not _COMMAND_LINE.search(one)).rstrip(".; ")


#: What errors say on the command line -> what the window says.
_WINDOW_WORDS = (
    (
        r"try --preset biopsy or another --preset",
        "try another tissue preset, for example Biopsy, in the Analyze dock",
    ),
    (r"Choose a smaller --patch-size, or look at", "Choose a classifier with smaller patches, or look at"),
    (r"State it with --source-mpp, in µm (?:a|per) level-0 pixel", "Enter the resolution in the Analyze dock"),
    (r"Try --device cpu", "Close other programs that use the graphics card, and try again"),
)
_COMMAND_LINE = re.compile(r"(?:^|[\s(`])--\w|sam-mil-engine|`[a-z]+ [^`]*`")


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
