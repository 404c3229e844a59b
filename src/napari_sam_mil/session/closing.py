"""Remove the results of a slide that was closed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..notices import tell

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from .slide import SlideSession


def remove_results(viewer_of: Callable[[], Viewer | None], session: SlideSession) -> None:
    """Remove the layers of a closed slide. Unsaved layers stay, and the user is told."""
    viewer = viewer_of()
    if viewer is None:  # the window was closed in the meantime
        return
    layers = viewer.layers
    unsaved = {"annotations"} if session.layers.get("annotations") in layers else set()
    if session.analysis is not session.on_disk:
        unsaved.add("segments")
    left = [layer for kind, layer in session.layers.items() if kind in unsaved and layer in layers]
    with layers.batched_update():  # napari collects garbage once, not once for each layer
        for kind, layer in list(session.layers.items()):
            if kind not in unsaved and layer in layers:
                layers.remove(layer)
    session.layers.clear()
    if left:
        names = " and ".join(f"'{layer.name}'" for layer in left)
        tell(
            f"{session.source.info.slide_id} was closed. {names} may contain unsaved work and stayed open: "
            "save the layer with File › Save Selected Layer(s), or remove it.",
            "warning",
        )
