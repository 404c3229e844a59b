"""Keep a fully visible slide fully visible when the canvas becomes smaller, for example when a dock opens."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.viewer import Viewer


class WholeView:
    """Watches the canvas of one viewer.

    Parameters
    ----------
    viewer
        The viewer; it outlives this object.
    sees_all
        Returns whether the whole current slide is in view; False if no slide is open.
    """

    def __init__(self, viewer: Viewer, sees_all: Callable[[], bool]):
        self._viewer = weakref.ref(viewer)
        self._sees_all = sees_all
        self._whole = False
        camera = viewer.scene.camera.events
        camera.center.connect(self.remember)
        camera.zoom.connect(self.remember)
        viewer.canvas.events.size.connect(self._resized)

    def remember(self, _event: Any = None) -> None:
        """Remember whether the whole slide is in view, after a movement or a change of the current slide."""
        self._whole = self._sees_all()

    def _resized(self, _event: Any = None) -> None:
        viewer = self._viewer()
        if viewer is not None and self._whole and not self._sees_all():
            viewer.reset_view()
