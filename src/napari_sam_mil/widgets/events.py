"""What one dock tells all others, in every window."""

from __future__ import annotations

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QApplication


class DockEvents(QObject):
    """``models_changed``: a model was fetched, added or forgotten."""

    models_changed = Signal()


def dock_events() -> DockEvents:
    """Return the one object of this program; Qt disconnects docks that are closed."""
    application = QApplication.instance()
    found: DockEvents | None = application.findChild(DockEvents)
    return found or DockEvents(application)
