"""One napari window that tests use in turn: making and closing one takes half a second, and each keeps memory.

A test gets it empty: without layers, docks and dialogs, seen and sized as a new one. What the plugin attached to
the window itself stays, as it does for a person who closes one slide and opens another. A window that does not come
back as new is closed, and the next test gets another; so is the window of a test that failed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from app_model import Application
from by_hand import undrawn, until
from napari._app_model._app import NapariApplication, _napari_names
from napari._qt._qapp_model.qactions import init_qactions
from napari._qt.qt_main_window import _QtMainWindow
from napari._qt.qt_viewer import QtViewer
from napari.plugins import _initialize_plugins
from napari.settings import get_settings
from napari.viewer import Viewer
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication, QDialog, QDockWidget

from napari_sam_mil.background.jobs import _running_jobs

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot

#: Parts of a viewer, and what of each a test may change.
_PARTS = {
    "canvas": ("background_color_override",),
    "canvas.grid": ("enabled", "stride", "shape", "spacing"),
    "scene.camera": ("zoom", "angles", "perspective", "mouse_pan", "mouse_zoom", "center"),
    "dims": ("ndim", "ndisplay", "order", "axis_labels", "range", "point", "units"),
    "cursor": ("scaled", "size", "style", "position"),
    "tooltip": ("visible", "text"),
    "": ("theme", "title", "help", "status"),
}
_CALLBACKS = (
    "mouse_move_callbacks",
    "mouse_wheel_callbacks",
    "mouse_drag_callbacks",
    "mouse_double_click_callbacks",
)


class SharedWindow:
    """The window, if there is one, and how it was when it was new."""

    def __init__(self) -> None:
        self._app: NapariApplication | None = None
        self._viewer: Viewer | None = None
        self._new: _State | None = None

    @contextmanager
    def as_application(self) -> Iterator[None]:
        """Let napari's commands be those of this window."""
        with patch.object(NapariApplication, "get_app_model", lambda *_: self._app):
            yield

    def lend(self, bot: QtBot, *, show: bool) -> Viewer:
        """Return the window, seen or not; from now on it is napari's current one."""
        if self._viewer is None:
            self._make(show=show)
        viewer = self._viewer
        window = viewer.window._qt_window
        if window not in _QtMainWindow._instances:
            _QtMainWindow._instances.append(window)
        if show:
            viewer.show()
            bot.wait_exposed(window)
        else:
            window.hide()
        return viewer

    def take_back(self, *, keep: bool) -> None:
        """Empty the window and keep it, unless the test closed it or changed what cannot be put back."""
        viewer, as_new = self._viewer, False
        try:
            if keep and hasattr(viewer.window, "_qt_window"):
                self._new.put_back(viewer)
                as_new = self._new == _State(viewer)
        finally:
            if as_new:
                _QtMainWindow._instances.remove(viewer.window._qt_window)
            else:
                self.close()

    def close(self) -> None:
        """Close the window, if there is one and no test has closed it."""
        viewer, self._viewer, self._new = self._viewer, None, None
        if viewer is not None and hasattr(viewer.window, "_qt_window"):
            viewer.window._qt_window.setUpdatesEnabled(False)
            with patch.object(viewer.window._qt_window, "_save_current_window_settings"):
                viewer.close()

    def _make(self, *, show: bool) -> None:
        """Make the window as napari's fixture does: with an application of its own, and napari's own settings."""
        if self._app is not None:
            Application.destroy(self._app.name)
        self._app = NapariApplication("shared_window")
        self._app.injection_store.namespace = _napari_names
        init_qactions.cache_clear()
        _initialize_plugins.cache_clear()
        get_settings().reset()
        self._viewer = Viewer(show=show, show_welcome_screen=False)
        QtViewer._instances.discard(self._viewer.window._qt_viewer)  # napari's fixture allows none
        self._new = _State(self._viewer)


class _State:
    """How a window is that nobody has used; two are equal if the windows look and act alike."""

    def __init__(self, viewer: Viewer):
        window, canvas = viewer.window._qt_window, viewer.window._qt_viewer.canvas.native
        self._values = {
            path: {name: getattr(_part(viewer, path), name) for name in names} for path, names in _PARTS.items()
        }
        self._overlays = {name: overlay.visible for name, overlay in viewer.canvas.overlays.items()}
        self._callbacks = {name: list(getattr(viewer, name)) for name in _CALLBACKS}
        self._dialogs = set(window.findChildren(QDialog))
        self._size, self._layout = window.size(), window.saveState()
        self._rest = (
            len(viewer.layers),
            sorted(dock.objectName() for dock in window.findChildren(QDockWidget)),
            (canvas.minimumSize(), canvas.maximumSize(), window.maximumSize()),
        )

    def __eq__(self, other: object) -> bool:
        """Say whether all of it is the same but for the layout, whose bytes say more than can be seen."""
        mine, others = dict(vars(self)), dict(vars(other))
        return mine | {"_layout": None} == others | {"_layout": None}

    __hash__ = None

    def put_back(self, viewer: Viewer) -> None:
        """Empty the window, and set everything that can be set."""
        window = viewer.window._qt_window
        with undrawn(viewer):
            for widget in QApplication.topLevelWidgets():
                if widget.isVisible() and widget is not window:
                    widget.close()
            for dialog in set(window.findChildren(QDialog)) - self._dialogs:
                dialog.deleteLater()
            viewer.window.remove_dock_widget("all")
            for job in set(_running_jobs):
                job.cancel()
            viewer.layers.clear()
            until(lambda: not _running_jobs, "the end of what the test has begun")
            QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
            get_settings().reset()
            for name, callbacks in self._callbacks.items():
                getattr(viewer, name)[:] = callbacks
            for name, visible in self._overlays.items():
                viewer.canvas.overlays[name].visible = visible
            for path, values in self._values.items():
                viewer_part = _part(viewer, path)
                for name, value in values.items():
                    setattr(viewer_part, name, value)
            window.restoreState(self._layout)
            window.resize(self._size)


def _part(viewer: Viewer, path: str) -> Any:
    part: Any = viewer
    for name in path.split(".") if path else ():
        part = getattr(part, name)
    return part
