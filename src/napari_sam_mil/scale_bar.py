"""napari's scale bar, shown once, without a stall."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakSet

if TYPE_CHECKING:
    from napari.viewer import Viewer

#: What napari writes beside it, lengths from nanometres to centimetres and at first "1px", and by what vispy
#: measures how tall a line of text is.
_LETTERS = "1px 025.7µmcn" + "ÅÉÑŐjgqy"
#: Milliseconds between two letters, in which the window answers.
_PAUSE = 20

_shown: WeakSet[Viewer] = WeakSet()


def show_scale_bar(viewer: Viewer) -> None:
    """Show the scale bar of a window the first time it is asked for; whoever hides it then is obeyed.

    napari draws a letter when a text has it for the first time, in the thread of the window, and all letters of a
    text at once: half a second. Here they are drawn one after the other, and the scale bar comes when all are
    there.
    """
    if viewer in _shown:
        return
    _shown.add(viewer)
    overlay = viewer.canvas.overlays.scale_bar
    window = getattr(viewer.window, "_qt_viewer", None)
    if window is None or overlay.visible:
        overlay.visible = True
        return
    from qtpy.QtCore import QTimer

    fonts = window.canvas.font_info()
    font: Any = fonts.font_manager.get_font(fonts.face)
    letters = iter(_LETTERS)
    # A child of the window: it goes with it.
    timer = QTimer(window)

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
