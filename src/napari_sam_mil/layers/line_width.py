"""Lines of outlines are as wide on the screen at every zoom; napari's are as wide on the slide."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..analysis.source import tag_of

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer

#: Width of a line in pixels of the canvas.
LINE = 2.0
#: A zoom that changes less than by this factor leaves the lines as they are.
_NOTICED = 1.05
#: Milliseconds between two changes of the lines while somebody zooms.
_EVERY = 40
#: Kinds of layers of which the lines are kept thin.
_KINDS = frozenset({"tissue", "annotations"})


def keep_lines_thin(viewer: Viewer, which: Callable[[Layer], bool] | None = None) -> None:
    """Keep the lines of a viewer's outlines thin from now on; once for a viewer.

    Parameters
    ----------
    viewer
        The viewer; it is not kept alive.
    which
        The layers that are meant, of those that hold shapes; tissue and annotations of slides if None.
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
    """Make all lines of a shapes layer :data:`LINE` pixels of the canvas wide; other layers stay as they are.

    Where the user chose another width, the lines keep that width on the screen.

    Parameters
    ----------
    layer
        Shapes; what is drawn next gets the same lines.
    zoom
        Pixels of the canvas along a unit of the world.
    """
    from napari.layers import Shapes

    if not isinstance(layer, Shapes):
        return
    size = float(np.abs(layer.scale[-2:]).max())
    now = layer.edge_width[0] if len(layer.data) else layer.current_edge_width
    last, line = _lines.get(layer, (now, LINE))
    if now != last:  # by the user's hand
        line *= now / last
    width = line / zoom / size
    if not 1 / _NOTICED < now / width < _NOTICED or layer.current_edge_width != now:
        layer.edge_width = width
        layer.current_edge_width = width  # of what is drawn next; napari draws all lines again with this
        now = width
    _lines[layer] = now, line


def _is_ours(layer: Layer) -> bool:
    tag = tag_of(layer.metadata)
    return tag is not None and tag.kind in _KINDS


_watched: weakref.WeakKeyDictionary[Viewer, Any] = weakref.WeakKeyDictionary()
#: Width that a layer was given last, on the slide and on the screen.
_lines: weakref.WeakKeyDictionary[Layer, tuple[float, float]] = weakref.WeakKeyDictionary()
