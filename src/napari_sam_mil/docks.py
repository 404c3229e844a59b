"""The docks by name: find the one that is open, or open it, as the menu would."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QTabBar, QWidget

from .napari_compat.viewers import real_viewer

if TYPE_CHECKING:
    from napari.viewer import Viewer

#: What the manifest calls a dock -> the class that it names (a test compares).
DOCKS: dict[str, str] = {
    "Analyze": "widgets.analyze.dock:AnalyzeDock",
    "Groups": "widgets.groups.dock:GroupsDock",
    "Annotations": "widgets.annotations.dock:AnnotationsDock",
    "Prompts": "widgets.prompts.dock:PromptsDock",
    "Models": "widgets.models:ModelsDock",
    "Figure": "widgets.figure.dock:FigureDock",
    "Slides": "widgets.slides:SlidesDock",
    "Preferences and keys": "widgets.preferences:PreferencesDock",
}
#: What napari writes behind the name of a dock that its menu opens.
_TITLE = "{} (SAM-MIL)"


def open_docks(viewer: Viewer) -> Iterator[QWidget]:
    """Yield the docks of this plugin that are open in a viewer, hidden ones too."""
    for widget in viewer.window.dock_widgets.values():
        if type(widget).__module__.startswith(f"{__package__}."):
            yield widget


def find_dock(viewer: Viewer, name: str) -> Any | None:
    """Return a dock of :data:`DOCKS` if it is open, however it was opened."""
    wanted = DOCKS[name].partition(":")[2]
    return next((dock for dock in open_docks(viewer) if type(dock).__name__ == wanted), None)


def open_dock(viewer: Viewer, name: str) -> Any:
    """Return a dock of :data:`DOCKS`, opened where it is not, in front of the others."""
    viewer = real_viewer(viewer)
    dock = find_dock(viewer, name)
    if dock is None:
        module, _, class_name = DOCKS[name].partition(":")
        dock = getattr(import_module(f"{__package__}.{module}"), class_name)(viewer)
        beside = any(True for _ in open_docks(viewer))
        viewer.window.add_dock_widget(dock, name=_TITLE.format(name), area="right", tabify=beside)
        join_others(viewer, dock)
    to_front(dock)
    return dock


def to_front(dock: Any) -> None:
    """Show a dock in front of those that share its place."""
    frame = frame_of(dock)
    if frame is not None:
        frame.show()
        frame.raise_()
        # a tab that was added just before takes its place only later, and comes to the front with it
        QTimer.singleShot(0, dock.choose_tab)


def choose_tab(dock: QWidget) -> None:
    """Press the tab of a dock, where it is one of several: raising what lies above all already does nothing."""
    frame = frame_of(dock)
    window = None if frame is None else frame.parentWidget()
    if frame is None or window is None:
        return
    for bar, place in _tabs_of(window, frame.windowTitle()):
        bar.setCurrentIndex(place)


def join_others(viewer: Viewer, dock: Any) -> None:
    """Put a dock that napari's menu opened into one place with the others, as tabs: below them none had room."""
    frame = frame_of(dock)
    window = None if frame is None else frame.parentWidget()
    if frame is None or not isinstance(window, QMainWindow):
        return
    # a tab has little room, and its neighbours are of this plugin too
    short = frame.windowTitle().removesuffix(_TITLE.format(""))
    if short != frame.windowTitle():
        frame.setWindowTitle(short)
    area = window.dockWidgetArea(frame)
    frames = [frame_of(other) for other in open_docks(viewer) if other is not dock]
    there = [one for one in frames if one is not None and window.dockWidgetArea(one) == area]
    if there and frame not in window.tabifiedDockWidgets(there[-1]):
        window.tabifyDockWidget(there[-1], frame)
        to_front(dock)
    for bar, _ in _tabs_of(window, short):
        if bar.elideMode() != Qt.TextElideMode.ElideNone:
            # arrows at its end rather than names of one letter
            bar.setUsesScrollButtons(True)
            bar.setElideMode(Qt.TextElideMode.ElideNone)


def _tabs_of(window: QWidget, title: str) -> Iterator[tuple[QTabBar, int]]:
    """Every bar of tabs in a window that has a tab of this name, and the tab's place in it."""
    for bar in window.findChildren(QTabBar):
        names = [bar.tabText(place) for place in range(bar.count())]
        if title in names:
            yield bar, names.index(title)


def frame_of(dock: QWidget) -> QDockWidget | None:
    """Return the frame in which napari shows a dock; None where it was taken out."""
    frame = dock.parentWidget()
    while frame is not None and not isinstance(frame, QDockWidget):
        frame = frame.parentWidget()
    return frame
