"""The tissue layer while it is edited: every ring is a shape of its own, tissue or a hole."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sam_mil_engine.annotations.drawn_tissue import HOLE_CLASS, TISSUE_CLASS
from sam_mil_engine.drawing.colours import HOLE, css

from .annotations import CLASS, drop_extra_rows
from .colours import TISSUE_EDGE

#: Class -> colour of its lines: green and orange, as in ``masks/``.
_COLOURS = {TISSUE_CLASS: TISSUE_EDGE, HOLE_CLASS: css(HOLE)}
_Ring = npt.NDArray[np.float64]


def begin_editing(layer: Any) -> None:
    """Make every outline and every hole of the tissue a shape that can be moved and removed by itself.

    Later shapes lie over earlier ones: a hole comes after its piece, and a piece that lies in a hole after that.
    """
    pieces = [_piece(ring, kind) for ring, kind in zip(layer.data, layer.shape_type, strict=True)]
    pieces.sort(key=lambda piece: -float(np.ptp(piece[0][0], axis=0).prod()))
    shapes = [shape for piece in pieces for shape in piece]
    layer.selected_data = set()
    layer.data = ([ring for ring, _, _ in shapes], [kind for _, kind, _ in shapes])
    layer.features = {CLASS: np.array([name for _, _, name in shapes], dtype=object)}
    if shapes:
        layer.edge_color = [_COLOURS[name] for _, _, name in shapes]
    draw_next(layer, TISSUE_CLASS)
    drop_extra_rows(layer)


def draw_next(layer: Any, name: str) -> None:
    """Make the shapes that are drawn next tissue or holes: ``Tissue`` or ``Hole``."""
    layer.selected_data = set()
    layer.feature_defaults = {CLASS: name}
    layer.current_edge_color = _COLOURS[name]


def _piece(vertices: _Ring, kind: str) -> list[tuple[_Ring, str, str]]:
    """Return outline and holes of a shape, each with its type and class; a path through holes becomes rings."""
    import shapely

    from sam_mil_engine.annotations.model import polygons_of

    polygons = polygons_of(shapely.make_valid(shapely.Polygon(vertices))) if kind == "polygon" else []
    if not any(polygon.interiors for polygon in polygons):
        return [(np.asarray(vertices), kind, TISSUE_CLASS)]
    rings = [(polygon.exterior, TISSUE_CLASS) for polygon in polygons]
    rings += [(hole, HOLE_CLASS) for polygon in polygons for hole in polygon.interiors]
    return [(shapely.get_coordinates(ring)[:-1], "polygon", name) for ring, name in rings]
