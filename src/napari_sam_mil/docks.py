"""The docks by name: find an open dock, or open one as the menu does."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QWidget

from .napari_compat.dock_frames import frame_of, join_tabs, menu_title
from .napari_compat.event_loop import call_later
from .napari_compat.viewers import real_viewer

if TYPE_CHECKING:
    from napari.viewer import Viewer

#: Name of a dock in the manifest -> its class. A test compares both.
DOCKS: dict[str, str] = {
    "Analyze": "widgets.analyze.dock:AnalyzeDock",
    "Segments": "widgets.segments.dock:SegmentsDock",
    "Annotations": "widgets.annotations.dock:AnnotationsDock",
    "Prompts": "widgets.prompts.dock:PromptsDock",
    "Models": "widgets.models:ModelsDock",
    "Figure": "widgets.figure.dock:FigureDock",
    "Slides": "widgets.slides.dock:SlidesDock",
    "Preferences and keys": "widgets.preferences:PreferencesDock",
}
#: Display name of the plugin in its manifest.
_PLUGIN = "SAM-MIL"


def open_docks(viewer: Viewer) -> Iterator[QWidget]:
    """Yield the docks of this plugin that are open in a viewer, hidden ones too."""
    for widget in viewer.window.dock_widgets.values():
        if type(widget).__module__.startswith(f"{__package__}."):
            yield widget


def find_dock(viewer: Viewer, name: str) -> Any | None:
    """Return a dock of :data:`DOCKS` if it is open, from the menu or from here."""
    wanted = DOCKS[name].partition(":")[2]
    return next((dock for dock in open_docks(viewer) if type(dock).__name__ == wanted), None)


def open_dock(viewer: Viewer, name: str) -> Any:
    """Return a dock of :data:`DOCKS` and bring it to the front. Open it if necessary."""
    viewer = real_viewer(viewer)
    dock = find_dock(viewer, name)
    if dock is None:
        module, _, class_name = DOCKS[name].partition(":")
        dock = getattr(import_module(f"{__package__}.{module}"), class_name)(viewer)
        beside = any(True for _ in open_docks(viewer))
        viewer.window.add_dock_widget(dock, name=menu_title(name, _PLUGIN), area="right", tabify=beside)
        join_others(viewer, dock)
    to_front(dock)
    return dock


def to_front(dock: Any) -> None:
    """Show a dock in front of the other tabs."""
    frame = frame_of(dock)
    if frame is not None:
        frame.show()
        frame.raise_()
        # Qt positions a new tab later, so choose it after that
        call_later(dock.choose_tab)


def join_others(viewer: Viewer, dock: Any) -> None:
    """Tabify a dock that napari's menu opened with the other docks. Stacked docks would have no room."""
    others = [other for other in open_docks(viewer) if other is not dock]
    if join_tabs(dock, others, plugin=_PLUGIN):
        to_front(dock)
