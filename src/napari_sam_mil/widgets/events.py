"""Events that a dock sends to the docks of all windows."""

from __future__ import annotations

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import QApplication


class DockEvents(QObject):
    """``models_changed`` is emitted after a model was fetched, added or removed."""

    models_changed = Signal()


def dock_events() -> DockEvents:
    """Return the events of this application. Qt disconnects docks that are closed."""
    application = QApplication.instance()
    found: DockEvents | None = application.findChild(DockEvents)
    return found or DockEvents(application)
