"""The viewer behind a proxy, and its canvas."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.viewer import Viewer


def real_viewer(viewer: Viewer) -> Viewer:
    """Return the viewer itself where napari gave a proxy of it.

    Why
        napari hands docks and commands a proxy that hides private attributes. Two proxies of one viewer are two
        keys of a dictionary, so that each dock would have open slides of its own.
    Seen in
        napari 0.9.2, whose proxy is a wrapt object with ``__wrapped__``. napari has no public way to unwrap it.
    Without it
        The viewer that napari calls current is taken: the same one wherever only one window is open.
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
    """Return the napari canvas of a window, or None where there is no window.

    Why
        The graphics context and the letters of texts belong to the canvas.
    Seen in
        napari 0.9.2 (``viewer.window._qt_viewer.canvas``). The public ``viewer.canvas`` holds only sizes and
        overlays.
    Without it
        None: the callers then leave things as napari does them.
    """
    return getattr(qt_viewer(viewer), "canvas", None)


def qt_viewer(viewer: Viewer) -> Any | None:
    """Return the widget that holds the canvas of a window, or None where there is none.

    See :func:`qt_canvas`.
    """
    return getattr(getattr(viewer, "window", None), "_qt_viewer", None)
