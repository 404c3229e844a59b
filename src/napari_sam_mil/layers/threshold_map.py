"""Patches above a threshold in cyan, under the blue outlines, as in the paper's Figure 6. Pure functions."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sam_mil_engine.drawing.colours import POSITIVE
from sam_mil_engine.mil.scores import FloatVector
from sam_mil_engine.slide.tile_grid import TileGrid

from ..analysis.placement import PlaceOrMpp, place_raster
from .results import LayerData


def threshold_image(values: FloatVector, threshold: float, grid: TileGrid) -> npt.NDArray[np.float32]:
    """Return one pixel per patch: 1 where the value reaches the threshold, else NaN."""
    image, _ = grid.raster(np.where(values >= threshold, np.float32(1), np.float32(np.nan)))
    return image


def threshold_layer(values: FloatVector, threshold: float, grid: TileGrid, *, mpp: PlaceOrMpp) -> LayerData:
    """Return the patches whose value reaches the threshold, in the paper's cyan."""
    _, frame = grid.raster(values)
    cyan = np.array([*np.asarray(POSITIVE) / 255, 1.0], dtype=np.float32)
    keywords: dict[str, Any] = {
        "name": "above threshold",
        "colormap": {"name": "SAM-MIL above", "display_name": "above threshold", "colors": np.stack([cyan, cyan])},
        "contrast_limits": (0.0, 1.0),
        "interpolation2d": "nearest",
        "blending": "translucent",
        "opacity": 0.45,
        **place_raster(frame, mpp),
    }
    return threshold_image(values, threshold, grid), keywords, "image"
