"""Distances that the user measures: lines with their length beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..analysis.placement import PlaceOrMpp, place_of, place_points
from .results import LayerData

if TYPE_CHECKING:
    from napari.layers import Shapes

#: The kind of the layer, and its column of lengths.
MEASUREMENTS, LENGTH = "measurements", "length"
#: Shapes that have a length; others in the layer get no text.
_LINES = frozenset({"line", "path"})
#: Legible on glass, on stained tissue and on the maps.
_COLOUR = "black"
_TEXT_SIZE = 14


def measurements_layer(size_px0: tuple[int, int], *, mpp: PlaceOrMpp) -> LayerData:
    """Return an empty layer for lines. Their vertices are level-0 points (y, x)."""
    keywords = {
        "name": "measurements",
        "ndim": 2,
        "features": {LENGTH: np.array([], dtype=object)},
        "feature_defaults": {LENGTH: ""},
        "text": {"string": "{length}", "color": _COLOUR, "size": _TEXT_SIZE, "anchor": "upper_left"},
        "edge_color": _COLOUR,
        "face_color": "transparent",
        "edge_width": max(size_px0) / 500,
        "opacity": 1.0,
        **place_points(mpp),
    }
    return [], keywords, "shapes"


def path_length(vertices: npt.ArrayLike, mpp: PlaceOrMpp) -> float:
    """Return the length of a path of level-0 points (n, 2), as (y, x): in µm, or in pixels without a resolution."""
    steps = np.diff(np.asarray(vertices, dtype=np.float64)[:, -2:], axis=0)
    size = place_of(mpp).mpp or (1.0, 1.0)
    return float(np.hypot(*(steps * size[::-1]).T).sum())


def length_text(length: float, mpp: PlaceOrMpp) -> str:
    """Format a length: ``87.4 µm``, ``1.25 mm``, or ``350 px`` without a resolution."""
    if place_of(mpp).mpp is None:
        return f"{length:,.0f} px"
    return f"{length / 1000:.3g} mm" if length >= 999.5 else f"{length:.3g} µm"


def update_lengths(layer: Shapes, mpp: PlaceOrMpp) -> None:
    """Write the length of every line beside it."""
    texts = [
        length_text(path_length(vertices, mpp), mpp) if kind in _LINES else ""
        for vertices, kind in zip(layer.data, layer.shape_type, strict=True)
    ]
    if list(layer.features[LENGTH]) != texts:
        layer.features = {LENGTH: np.array(texts, dtype=object)}
        layer.feature_defaults = {LENGTH: ""}
