"""Layers in micrometres and in pixels in one viewer, for slides with and without a resolution."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from .viewers import qt_canvas

if TYPE_CHECKING:
    from napari.viewer import Viewer


def silence_unit_warnings(viewer: Viewer) -> None:
    """Let napari draw layers in micrometres and in pixels without a warning.

    Why
        napari warns at every change of the layer list while units differ. Only the resolution of the slide resolves
        this, and the slide card asks for it.
    Seen in
        napari 0.9.2 (``VispyCanvas._update_world_units`` calls ``show_warning`` of its module); no setting.
    Without it
        The warning *Inconsistent units across layers* appears.
    """
    canvas = qt_canvas(viewer)
    module = sys.modules.get(type(canvas).__module__)
    update, warn = getattr(canvas, "_update_world_units", None), getattr(module, "show_warning", None)
    if canvas is None or module is None or update is None or warn is None:
        return

    def quietly() -> None:
        module.__dict__["show_warning"] = lambda _message: None
        try:
            update()
        finally:
            module.__dict__["show_warning"] = warn

    canvas._update_world_units = quietly
