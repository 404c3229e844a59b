"""Windows with two cells side by side, whose views are linked by one camera."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Layer
from qtpy.QtCore import QTimer

from sam_mil_engine.geometry import Frame

from ..analysis.placement import Place, place_raster
from ..layers.line_width import keep_lines_thin
from ..napari_compat.graphics import keep_context

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from qtpy.QtWidgets import QWidget

#: Initial size of a window in pixels.
WINDOW = (1500, 850)
#: Milliseconds after which a new window has its final size.
SETTLED = 250
_MARGIN = 0.94


def linked_window(title: str) -> Viewer:
    """Open an empty window for two cells."""
    from napari.viewer import Viewer

    viewer = Viewer(title=title)
    keep_context(viewer)
    keep_lines_thin(viewer, lambda _layer: True)
    viewer.window.resize(*WINDOW)
    return viewer


def slide_image(levels: Any, place: Place, *, name: str = "") -> Image:
    """Return a slide as a layer of its own, with its name in its corner."""
    layer = Image(levels, rgb=True, multiscale=True, name=name or None, **place_raster(Frame(), place))
    layer.name_overlay.visible = True
    return layer


def show_cells(viewer: Viewer, cells: Sequence[Sequence[Layer]], *, scale_bar: bool) -> None:
    """Show two cells with equally many layers each, from bottom to top."""
    grid = viewer.canvas.grid
    for layers in cells:
        viewer.layers.extend(layers)
    grid.shape, grid.stride = (1, 2), len(cells[0])
    grid.enabled = True
    viewer.canvas.overlays.scale_bar.visible = scale_bar


def fit_cells(viewer: Viewer) -> None:
    """Show the slides of both cells as a whole."""
    viewer.reset_view()
    stride = viewer.canvas.grid.stride
    extents = np.array([viewer.layers[place].extent.world for place in (0, stride)])
    low, high = extents[:, 0].min(axis=0), extents[:, 1].max(axis=0)
    height, width = viewer.canvas.size
    tall, wide = high - low
    viewer.scene.camera.center = tuple(((low + high) / 2).tolist())
    viewer.scene.camera.zoom = _MARGIN * min(height / tall, width / 2 / wide)


def when_settled(parent: QWidget, work: Any) -> None:
    """Call a function when a new window has its final size, unless its widget was closed before."""
    timer = QTimer(parent)
    timer.setSingleShot(True)
    timer.timeout.connect(work)
    timer.start(SETTLED)
