"""Separate graphics contexts for several windows."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from .viewers import qt_canvas

if TYPE_CHECKING:
    from napari.viewer import Viewer


def keep_context(viewer: Viewer) -> None:
    """Make the graphics context of a window current before a layer is removed from it.

    Why
        When a layer is removed, napari sends all pending commands to the graphics driver in the current context. If
        a second window is open, or was just closed, that may be the context of the other window. Textures are then
        deleted and created in the wrong context, which causes drawing errors or a crash.
    Seen in
        napari 0.9.2 with vispy 0.17. There is no public access to the OpenGL context of a window.
    Without it
        napari's behaviour, which is correct with one window.
    """
    known = weakref.ref(viewer)

    def make_current(_event: Any = None) -> None:
        shown = known()
        native = None if shown is None else getattr(qt_canvas(shown), "native", None)
        make = getattr(native, "makeCurrent", None)
        if make is not None:
            make()

    viewer.layers.events.removing.connect(make_current)
