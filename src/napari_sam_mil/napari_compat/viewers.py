"""The viewer behind a proxy, and its canvas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.viewer import Viewer


def real_viewer(viewer: Viewer) -> Viewer:
    """Return the viewer behind a proxy.

    Why
        napari passes docks and commands a proxy that hides private attributes. Two proxies of one viewer are
        different dictionary keys, so each dock would have its own set of open slides.
    Seen in
        napari 0.9.2, whose proxy is a wrapt object with ``__wrapped__``. napari has no public API to unwrap it.
    Without it
        napari's current viewer is used, which is the same if only one window is open.
    """
    wrapped = getattr(viewer, "__wrapped__", None)
    if wrapped is not None:
        found: Viewer = wrapped
        return found
    if type(viewer).__name__ != "PublicOnlyProxy":
        return viewer
    from napari import current_viewer

    return current_viewer() or viewer


def qt_canvas(viewer: Viewer) -> Any | None:
    """Return the napari canvas of a window, or None if there is no window.

    Why
        The graphics context and the fonts belong to the canvas.
    Seen in
        napari 0.9.2 (``viewer.window._qt_viewer.canvas``). The public ``viewer.canvas`` holds only sizes and
        overlays.
    Without it
        None: the callers then keep napari's behaviour.
    """
    return getattr(qt_viewer(viewer), "canvas", None)


def qt_viewer(viewer: Viewer) -> Any | None:
    """Return the widget that holds the canvas of a window, or None if there is none.

    See :func:`qt_canvas`.
    """
    return getattr(getattr(viewer, "window", None), "_qt_viewer", None)
