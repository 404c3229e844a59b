"""What one dock tells all others, in every window."""

from __future__ import annotations

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QApplication


class News(QObject):
    """``models_changed``: a model was fetched, added or forgotten."""

    models_changed = Signal()


def news() -> News:
    """Return the one object of this program; Qt disconnects docks that are closed."""
    application = QApplication.instance()
    found: News | None = application.findChild(News)
    return found or News(application)
