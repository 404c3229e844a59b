"""Layers of one classifier in the comparison window."""

from __future__ import annotations

import numpy as np

from sam_mil_engine.errors import DataError
from sam_mil_engine.mil.scores import FloatVector

from ..analysis.comparison import Side
from ..analysis.model import Analysis
from ..analysis.placement import Mpp
from .results import LayerData, attention_layer, probability_layer
from .threshold_map import threshold_layer


def cell_layers(
    side: Side, analysis: Analysis, *, quantity: str, threshold: float, shown: str, mpp: Mpp
) -> list[LayerData]:
    """Return the layers between the slide and the outlines of one cell: the map, and the patches above.

    ``shown`` is ``map``, ``patches`` or ``both``. If the model does not define the quantity, the map is empty.
    """
    grid = analysis.processed.grid
    if grid is None:
        raise DataError("the slide has no patches yet", hint="Press Segment/Classify in the Analyze dock")
    numbers = side.quantity(quantity)
    values: FloatVector = np.full(len(grid), np.nan, np.float32) if numbers is None else numbers.values
    layer = attention_layer(side.scores, grid, mpp=mpp) if quantity == "attention" else None
    image, keywords, kind = layer or probability_layer(side.scores, grid, mpp=mpp)
    if numbers is None:
        image, _ = grid.raster(values)
    above, above_keywords, _ = threshold_layer(values, threshold, grid, mpp=mpp)
    keywords |= {"name": f"{quantity}: {side.title}", "visible": shown != "patches"}
    above_keywords |= {"name": f"above: {side.title}", "visible": shown != "map"}
    return [(image, keywords, kind), (above, above_keywords, "image")]
