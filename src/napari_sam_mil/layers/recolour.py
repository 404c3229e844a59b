"""Colour the segments individually, or by a column of the segment table."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap

from sam_mil_engine.drawing.colours import colours_of, segment_colours

from ..analysis.segment_table import Column
from .colours import DIVERGING, QUANTITY

#: Width of the segments' contours, in pixels of the segmentation image.
CONTOUR = 2
#: Columns with limits 0 and 1. The others range from their smallest to their largest number.
_SHARES = frozenset({"probability", "purity", "recall", "IoU", "in best set", "segmenter score", "slide without"})
#: Columns with a neutral middle: blue counts against the class, red for it.
_WITH_MIDDLE = frozenset({"probability", "evidence", "purity", "slide without"})
_CLEAR = (0.0, 0.0, 0.0, 0.0)


def colour_segments(layer: Labels, table: Mapping[str, Column], column: str | None) -> None:
    """Draw the segments as contours in different colours, or filled by a column of their table.

    If the column does not exist, contours are drawn. A segment whose value is NaN is grey.
    """
    values = table.get(column) if column is not None else None
    if values is None:
        colours = segment_colours(len(next(iter(table.values()), ()))) / 255.0
        layer.contour = CONTOUR
    else:
        colours = _colours(np.asarray(values, dtype=np.float64), str(column))
        layer.contour = 0
    rgba: dict[int | None, tuple[float, ...]] = {None: _CLEAR, 0: _CLEAR}
    rgba |= {number: (*colour, 1.0) for number, colour in enumerate(colours.tolist(), start=1)}
    layer.colormap = DirectLabelColormap(color_dict=rgba)


def scale_of(values: npt.NDArray[np.float64], column: str) -> tuple[str, float, float]:
    """Return the colour map of a column and its limits."""
    colormap = DIVERGING if column in _WITH_MIDDLE else QUANTITY
    finite = values[np.isfinite(values)]
    if column in _SHARES or not len(finite):
        return colormap, 0.0, 1.0
    if column == "evidence":
        limit = float(np.abs(finite).max()) or 1.0
        return colormap, -limit, limit
    return colormap, float(finite.min()), float(finite.max())


def bar_of(values: Column, column: str) -> tuple[npt.NDArray[np.float64], tuple[float, float]]:
    """Return the colours (256, 3), in 0-1, of a column from its lower to its upper limit, and the limits."""
    colormap, low, high = scale_of(np.asarray(values, dtype=np.float64), column)
    return colours_of(np.linspace(low, high, 256), colormap=colormap, limits=(low, high)) / 255.0, (low, high)


def _colours(values: npt.NDArray[np.float64], column: str) -> npt.NDArray[np.float64]:
    colormap, low, high = scale_of(values, column)
    known = np.isfinite(values)
    colours = np.full((len(values), 3), 0.6)
    colours[known] = colours_of(values[known], colormap=colormap, limits=(low, high)) / 255.0
    return colours
