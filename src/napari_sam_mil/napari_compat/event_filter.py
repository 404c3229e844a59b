"""napari's filter of all events."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.viewer import Viewer


def filter_events_on_demand(viewer: Viewer) -> None:
    """Let napari's window see the events of all widgets only while its menu bar hides itself.

    Why
        napari's window filters every event of every widget in Python. It needs them only while *View > Toggle
        Menubar Visibility* is on. The filter also gets the events of widgets that are not complete yet, and PySide6
        crashes if the filter cannot take what it finds at their address.
    Seen in
        napari 0.9.2 (``_QtMainWindow.eventFilter``, ``toggle_menubar_visibility``) with PySide6 6.11. There is no
        setting.
    Without it
        Every event costs a call of Python. With PySide6, napari may crash when a widget is made.
    """
    from qtpy.QtWidgets import QApplication

    app = QApplication.instance()
    window: Any = getattr(getattr(viewer, "window", None), "_qt_window", None)
    toggle = getattr(type(window), "toggle_menubar_visibility", None)
    if app is None or toggle is None or getattr(window, "_toggle_menubar_visibility", True):
        return
    known = weakref.ref(window)

    def toggled() -> Any:
        hides_itself = toggle(known())
        if hides_itself:
            app.installEventFilter(known())
        else:
            app.removeEventFilter(known())
        return hides_itself

    window.toggle_menubar_visibility = toggled
    app.removeEventFilter(window)
