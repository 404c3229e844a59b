"""Keep outlines equally wide on the screen at every zoom. napari keeps them equally wide on the slide."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..analysis.source import tag_of
from .measurements import MEASUREMENTS

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer

#: Width of a line in pixels of the canvas.
LINE = 2.0
#: Zoom changes below this factor do not change the lines.
_NOTICED = 1.05
#: Milliseconds between two updates of the lines during zooming.
_EVERY = 40
#: Kinds of layers whose lines are kept thin.
_KINDS = frozenset({"tissue", "annotations", MEASUREMENTS})


def keep_lines_thin(viewer: Viewer, which: Callable[[Layer], bool] | None = None) -> None:
    """Keep the outlines of a viewer thin from now on; only the first call per viewer has an effect.

    Parameters
    ----------
    viewer
        The viewer, held by a weak reference.
    which
        Selects the shapes layers. By default, tissue, annotations and measurements of slides.
    """
    from qtpy.QtCore import QTimer

    if viewer in _watched:
        return
    seen = weakref.ref(viewer)
    timer = QTimer()
    timer.setSingleShot(True)
    timer.setInterval(_EVERY)
    _watched[viewer] = timer
    meant = which or _is_ours

    def draw() -> None:
        viewer = seen()
        if viewer is not None:
            for layer in viewer.layers:
                if meant(layer):
                    set_line_width(layer, viewer.scene.camera.zoom)

    def on_zoom(_event: Any) -> None:
        if not timer.isActive():
            timer.start()

    def on_layer(event: Any) -> None:
        viewer = seen()
        if viewer is not None and meant(event.value):
            set_line_width(event.value, viewer.scene.camera.zoom)

    timer.timeout.connect(draw)
    viewer.scene.camera.events.zoom.connect(on_zoom)
    viewer.layers.events.inserted.connect(on_layer)
    draw()


def set_line_width(layer: Layer, zoom: float) -> None:
    """Make all lines of a shapes layer :data:`LINE` canvas pixels wide; other layers do not change.

    If the user chose another width, the lines keep that width on the screen.

    Parameters
    ----------
    layer
        The shapes layer. Shapes that are drawn next get the same lines.
    zoom
        Canvas pixels per world unit.
    """
    from napari.layers import Shapes

    if not isinstance(layer, Shapes):
        return
    size = float(np.abs(layer.scale[-2:]).max())
    now = layer.edge_width[0] if len(layer.data) else layer.current_edge_width
    last, line = _lines.get(layer, (now, LINE))
    if now != last:  # the user changed it
        line *= now / last
    width = line / zoom / size
    if not 1 / _NOTICED < now / width < _NOTICED or layer.current_edge_width != now:
        layer.edge_width = width
        layer.current_edge_width = width  # for new shapes; it also makes napari redraw all lines
        now = width
    _lines[layer] = now, line


def _is_ours(layer: Layer) -> bool:
    tag = tag_of(layer.metadata)
    return tag is not None and tag.kind in _KINDS


_watched: weakref.WeakKeyDictionary[Viewer, Any] = weakref.WeakKeyDictionary()
#: The last width of the lines of a layer, on the slide and on the screen.
_lines: weakref.WeakKeyDictionary[Layer, tuple[float, float]] = weakref.WeakKeyDictionary()
