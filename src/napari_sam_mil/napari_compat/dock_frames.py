"""The frames and tabs in which napari shows docks."""

from __future__ import annotations

from collections.abc import Iterator

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QMainWindow, QTabBar, QWidget


def menu_title(name: str, plugin: str) -> str:
    """Return the title of a dock that is opened from napari's menu.

    Seen in
        napari 0.9.2. No public function returns it.
    Without it
        A dock has a different title if the plugin opens it than if the menu does.
    """
    return f"{name} ({plugin})"


def frame_of(dock: QWidget) -> QDockWidget | None:
    """Return the frame in which napari shows a widget, or None if it was removed from it.

    Why
        napari returns the frame only to the code that adds the dock, and its menu adds docks too.
    Seen in
        napari 0.9.2, which puts a widget with its scroll area into a ``QDockWidget``.
    Without it
        None: the dock stays where napari put it.
    """
    frame = dock.parentWidget()
    while frame is not None and not isinstance(frame, QDockWidget):
        frame = frame.parentWidget()
    return frame


def choose_tab(dock: QWidget) -> bool:
    """Select the tab of a dock, if it is one of several; return whether the dock is in front.

    Why
        Raising a dock that is already on top does nothing, although a different tab may be selected. On a busy
        machine Qt places a new tab some time after it was asked to.
    Seen in
        Qt 6.
    Without it
        The selected tab may not be that of the dock in front.
    """
    frame = frame_of(dock)
    window = None if frame is None else frame.parentWidget()
    if frame is None or window is None:
        return True
    for bar, place in _tabs_of(window, frame.windowTitle()):
        bar.setCurrentIndex(place)
    return not frame.visibleRegion().isEmpty()


def join_tabs(dock: QWidget, others: list[QWidget], *, plugin: str) -> bool:
    """Tabify a dock with others, with short titles; return whether it was moved.

    Why
        napari puts a dock from its menu below the others, where none has room, and names the plugin in every tab.
        Qt shortens the titles of many tabs to one letter.
    Seen in
        napari 0.9.2, Qt 6.
    Without it
        The docks are stacked vertically.
    """
    frame = frame_of(dock)
    window = None if frame is None else frame.parentWidget()
    if frame is None or not isinstance(window, QMainWindow):
        return False
    short = frame.windowTitle().removesuffix(menu_title("", plugin))
    if short != frame.windowTitle():
        frame.setWindowTitle(short)
    area = window.dockWidgetArea(frame)
    frames = [frame_of(other) for other in others]
    there = [one for one in frames if one is not None and window.dockWidgetArea(one) == area]
    moved = bool(there) and frame not in window.tabifiedDockWidgets(there[-1])
    if moved:
        window.tabifyDockWidget(there[-1], frame)
    for bar, _ in _tabs_of(window, short):
        if bar.elideMode() != Qt.TextElideMode.ElideNone:
            bar.setUsesScrollButtons(True)
            bar.setElideMode(Qt.TextElideMode.ElideNone)
    return moved


def _tabs_of(window: QWidget, title: str) -> Iterator[tuple[QTabBar, int]]:
    """Yield every tab bar in a window that has a tab with this title, and the index of the tab."""
    for bar in window.findChildren(QTabBar):
        names = [bar.tabText(place) for place in range(bar.count())]
        if title in names:
            yield bar, names.index(title)
