"""napari's scale bar, shown once, without a stall."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from .viewers import qt_canvas, qt_viewer

if TYPE_CHECKING:
    from napari.viewer import Viewer

#: What napari writes beside it, lengths from nanometres to centimetres and at first "1px", and what vispy measures
#: the height of a line of text by.
_LETTERS = "1px 025.7µmcn" + "ÅÉÑŐjgqy"
#: Milliseconds between two letters, in which the window answers.
_PAUSE = 20

_shown: WeakSet[Viewer] = WeakSet()


def show_scale_bar(viewer: Viewer) -> None:
    """Show the scale bar of a window the first time it is asked for; a user who hides it is obeyed.

    Why
        napari draws a letter when a text first has it, in the window's thread, and all letters of a text at once:
        half a second. Here they are drawn one by one, and the scale bar appears when all are there.
    Seen in
        napari 0.9.2 (``canvas.font_info().font_manager.get_font``), vispy 0.17. There is no public way to prepare
        a font.
    Without it
        The scale bar appears at once, and the window stops for the half second.
    """
    if viewer in _shown:
        return
    _shown.add(viewer)
    overlay = viewer.canvas.overlays.scale_bar
    font = None if overlay.visible else _font(viewer)
    if font is None:
        overlay.visible = True
        return
    from qtpy.QtCore import QTimer

    letters = iter(_LETTERS)
    # A child of the window: it goes with it.
    timer = QTimer(qt_viewer(viewer))

    def draw_next() -> None:
        letter = next(letters, None)
        if letter is not None:
            font[letter]
            return
        timer.stop()
        timer.deleteLater()
        overlay.visible = True

    timer.timeout.connect(draw_next)
    timer.start(_PAUSE)


def _font(viewer: Viewer) -> Any | None:
    """Return the font of the canvas's texts; None where it is not where it was seen."""
    try:
        fonts: Any = qt_canvas(viewer).font_info()  # type: ignore[union-attr]
        return fonts.font_manager.get_font(fonts.face)
    except AttributeError:
        return None
