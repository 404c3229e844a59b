"""Show napari's scale bar without blocking the window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from .viewers import qt_canvas, qt_viewer

if TYPE_CHECKING:
    from napari.viewer import Viewer

#: The characters of the scale bar (lengths from nanometres to centimetres, and at first "1px"), and those by
#: which vispy measures the height of a line.
_LETTERS = "1px 025.7µmcn" + "ÅÉÑŐjgqy"
#: Milliseconds between two characters, in which the window can respond.
_PAUSE = 20

_shown: WeakSet[Viewer] = WeakSet()


def show_scale_bar(viewer: Viewer) -> None:
    """Show the scale bar of a window on the first call. If the user hides it, it stays hidden.

    Why
        napari draws the glyphs of a text on first use, all at once in the window's thread, which takes half a
        second. Here, they are drawn one by one, and the scale bar appears after the last.
    Seen in
        napari 0.9.2 (``canvas.font_info().font_manager.get_font``), vispy 0.17. There is no public API to prepare
        a font.
    Without it
        The scale bar appears at once, and the window is blocked for half a second.
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
    # a child of the window, deleted with it
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
    """Return the font of the texts on the canvas, or None if napari's internals have changed."""
    try:
        fonts: Any = qt_canvas(viewer).font_info()  # type: ignore[union-attr]
        return fonts.font_manager.get_font(fonts.face)
    except AttributeError:
        return None
