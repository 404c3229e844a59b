"""Arrange slides side by side in the world, at the scale of their files.

If the user moves the layer of a slide, its results and outlines follow. If the user scales, rotates or shears it,
it is reset, since results, outlines and measurements would no longer match its pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sam_mil_engine.geometry import Frame

from ..analysis.placement import Place, pixel_size, place_raster
from ..notices import tell

if TYPE_CHECKING:
    from napari.layers import Layer

    from .slide import SlideSession

#: Gap between two slides, as a share of the width of the one on the left.
_GAP = 0.05
RESET_MESSAGE = (
    "{name} was reset: results and outlines refer to its pixels, so slides can be moved but not scaled, rotated or "
    "sheared. Roll or transpose the view instead."
)


def place_beside_others(session: SlideSession, others: Sequence[SlideSession]) -> None:
    """Place a newly opened slide to the right of the visible ones. A second view of a slide stays on the first."""
    shown = [other for other in others if other.layer.visible]
    if not shown or any(other.source is session.source for other in others):
        return
    right = max(shown, key=lambda other: other.source.origin[1] + _width(other))
    session.source.origin = (0.0, right.source.origin[1] + (1 + _GAP) * _width(right))
    apply_placement(session)


def apply_placement(session: SlideSession) -> None:
    """Set scale, translate and units of a slide's layer from its source."""
    layer = session.layer
    placed = place_raster(Frame(), session.source.place)
    layer.scale, layer.translate, layer.units = placed["scale"], placed["translate"], placed["units"]


def rescale_results(layer: Layer, place: Place, *, before: tuple[float, float]) -> None:
    """Scale a result layer about the first pixel of its slide, from pixel size ``before`` (x, y) to the new one."""
    ratio = (np.asarray(pixel_size(place)) / before)[::-1]
    origin = np.asarray(place.origin)
    scale, translate = np.asarray(layer.scale), np.asarray(layer.translate)
    layer.scale, layer.translate = scale * ratio, (translate - origin) * ratio + origin
    layer.units = place_raster(Frame(), place)["units"]


def watch_placement(session: SlideSession) -> None:
    """Move the results with the layer of a slide, and reset the layer if it is scaled, rotated or sheared."""
    working = False

    def restore(_event: Any = None) -> None:
        nonlocal working
        if working:
            return
        working = True
        try:
            _follow(session)
        finally:
            working = False

    events = session.layer.events
    for emitter in (events.scale, events.translate, events.rotate, events.shear, events.affine):
        emitter.connect(restore)


def _follow(session: SlideSession) -> None:
    layer, source = session.layer, session.source
    placed = place_raster(Frame(), source.place)
    unchanged = (
        np.allclose(layer.scale, placed["scale"])
        and np.allclose(layer.rotate, np.eye(2))
        and np.allclose(layer.shear, 0)
        and np.allclose(layer.affine.linear_matrix, np.eye(2))
    )
    moved = np.asarray(layer.translate) + layer.affine.translate - placed["translate"]
    if unchanged and np.allclose(moved, 0):
        return
    layer.affine, layer.rotate, layer.shear = np.eye(3), 0.0, np.zeros(1)
    if unchanged:
        row, column = source.origin
        source.origin = (float(row + moved[0]), float(column + moved[1]))
        for other in session.layers.values():
            other.translate = np.asarray(other.translate) + moved
    else:
        tell(RESET_MESSAGE.format(name=source.info.slide_id), "warning")
    apply_placement(session)


def _width(session: SlideSession) -> float:
    """Return the width of a slide in world units."""
    return session.source.info.size_px0[0] * pixel_size(session.source.place)[0]
