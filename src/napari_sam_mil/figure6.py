"""The paper's Figure 6: patches above a threshold in cyan under the blue outlines. Pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sam_mil_engine.mil.scores import FloatVector, SlideScores
from sam_mil_engine.report.colours import POSITIVE
from sam_mil_engine.report.pictures import attention_limit
from sam_mil_engine.slide.tile_grid import TileGrid

from .group_table import shown_class
from .layers import LayerData, class_title
from .placement import Where, place_raster
from .words import sentence_case


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number of every patch that a threshold can cut.

    Attributes
    ----------
    title
        What the user reads.
    values
        (N,) one a patch.
    high
        Upper end of the slider; the lower one is 0.
    start
        Where the slider stands at first.
    """

    title: str
    values: FloatVector
    high: float
    start: float


def quantities(scores: SlideScores) -> dict[str, Quantity]:
    """Return what can be cut: the shown class's probability, and attention where the model has it."""
    column = shown_class(scores)
    title = class_title(scores.classes[column])
    found = {
        "probability": Quantity(
            title=sentence_case(title),
            values=scores.patch_probability[:, column],
            high=1.0,
            start=scores.patch_threshold(column),
        )
    }
    relative = scores.relative_attention
    if relative is not None:
        found["attention"] = Quantity(
            title="Attention (1 = all patches alike)", values=relative, high=attention_limit(relative), start=1.0
        )
    return found


def above_picture(values: FloatVector, threshold: float, grid: TileGrid) -> npt.NDArray[np.float32]:
    """Return one pixel per patch: 1 where the value reaches the threshold, else NaN."""
    picture, _ = grid.raster(np.where(values >= threshold, np.float32(1), np.float32(np.nan)))
    return picture


def above_layer(values: FloatVector, threshold: float, grid: TileGrid, *, mpp: Where) -> LayerData:
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
    return above_picture(values, threshold, grid), keywords, "image"


def describe(values: FloatVector, threshold: float, inside: npt.NDArray[np.float64] | None) -> str:
    """Say how many patches are above the threshold, and how that fits the outlines (``inside``: share of each)."""
    above = values >= threshold
    text = f"{above.sum():,} of {len(values):,} patches are at or above {threshold:.2f}"
    if inside is None:
        return f"{text}."
    from sam_mil_engine.annotations.patches import mostly_inside

    truth = mostly_inside(inside)
    hit = int((above & truth).sum())
    parts = [text]
    if above.any():
        parts.append(f"{hit / above.sum():.0%} of them lie in the outlines")
    if truth.any():
        parts.append(f"{hit / truth.sum():.0%} of the outlined patches are found")
    return "; ".join(parts) + "."
