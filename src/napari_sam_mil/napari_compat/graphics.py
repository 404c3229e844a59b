"""Keep the graphics of several windows apart."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from .viewers import qt_canvas

if TYPE_CHECKING:
    from napari.viewer import Viewer


def keep_context(viewer: Viewer) -> None:
    """Make the window's own graphics context current whenever a layer is about to leave it.

    Why
        When a layer is removed, napari sends all waiting commands to the graphics driver in whatever context is
        current: with a second window open, or just closed, that of the other one. Textures are then deleted and
        made in the wrong place, which ends in drawing errors or in a crash.
    Seen in
        napari 0.9.2 with vispy 0.17. There is no public way to a window's OpenGL context.
    Without it
        napari's own behaviour: right with one window.
    """
    known = weakref.ref(viewer)

    def make_current(_event: Any = None) -> None:
        shown = known()
        native = None if shown is None else getattr(qt_canvas(shown), "native", None)
        make = getattr(native, "makeCurrent", None)
        if make is not None:
            make()

    viewer.layers.events.removing.connect(make_current)
