"""Keep the graphics of several windows apart."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.viewer import Viewer


def keep_context(viewer: Viewer) -> None:
    """Make the window's own graphics context current whenever a layer is about to leave it.

    When a layer is gone, napari (0.9) sends all waiting commands to the graphics driver, in whatever context is
    current: with a second window open, or just closed, that of the other one. Textures are then deleted and made in
    the wrong place, which ends in drawing errors or in a crash.
    """
    known = weakref.ref(viewer)

    def make_current(_event: Any = None) -> None:
        shown = known()
        window = None if shown is None else getattr(shown.window, "_qt_viewer", None)
        if window is not None:
            window.canvas.native.makeCurrent()

    viewer.layers.events.removing.connect(make_current)
