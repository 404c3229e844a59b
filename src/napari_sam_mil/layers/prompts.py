"""Prompts and the predicted mask as layers. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sam_mil_engine.geometry import Frame

from ..analysis.placement import PlaceOrMpp, place_points, place_raster
from ..analysis.prompting import Answer, Prompt, Region
from .results import LayerData

POSITIVE, NEGATIVE, BOX, REGION = "#22b14c", "#e03c31", "#ffd400", "#9aa0a6"
_COLOURS = {"positive": POSITIVE, "negative": NEGATIVE, "box": BOX}


def prompt_shapes(
    prompts: Sequence[Prompt], region: Region | None, *, size_px0: float
) -> tuple[list[npt.NDArray[np.float64]], dict[str, Any]]:
    """Draw points as discs (green inside the object, red outside), the box in yellow, the embedded region in grey.

    Returns the vertices and their style: ``shape_type``, ``face_color``, ``edge_color``, ``edge_width``.
    ``size_px0`` is the diameter of a disc.
    """
    drawn: list[tuple[npt.NDArray[np.float64], str, str, str]] = []
    if region is not None:
        left, top, right, bottom = region.bounds_px0
        drawn.append((_rectangle((left, top), (right, bottom)), "rectangle", "transparent", REGION))
    for prompt in prompts:
        colour = _COLOURS[prompt.kind]
        if prompt.kind == "box":
            first, last = prompt.points_px0
            drawn.append((_rectangle(first, last), "rectangle", "transparent", colour))
        else:
            (x, y), half = prompt.points_px0[0], size_px0 / 2
            disc = _rectangle((x - half, y - half), (x + half, y + half))
            drawn.append((disc, "ellipse", colour, "#ffffff"))
    shapes, kinds, faces, edges = (list(column) for column in zip(*drawn, strict=True)) if drawn else ([],) * 4
    style = {"shape_type": kinds, "face_color": faces, "edge_color": edges, "edge_width": size_px0 / 6}
    return shapes, style


def prompts_layer(shapes: list[npt.NDArray[np.float64]], style: Mapping[str, Any], *, mpp: PlaceOrMpp) -> LayerData:
    """Return the layer that shows the prompts and receives the clicks."""
    keywords = {"name": "prompts", "ndim": 2, "opacity": 0.9, **place_points(mpp)}
    return shapes, keywords | (dict(style) if shapes else {}), "shapes"


def candidate_layer(answer: Answer, number: int, *, mpp: PlaceOrMpp) -> LayerData:
    """Return one of the masks, in the green of a positive point."""
    return mask_layer(answer.masks[number], answer.region.frame, "candidate", colour=POSITIVE, mpp=mpp)


def mask_layer(mask: npt.NDArray[np.bool_], frame: Frame, name: str, *, colour: str, mpp: PlaceOrMpp) -> LayerData:
    """Return a mask (h, w) in one colour (``#rrggbb``), half transparent."""
    rgb = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    keywords = {
        "name": name,
        "colormap": {
            "name": f"SAM-MIL {name}",
            "display_name": name,
            "colors": np.array([(*rgb, 0.0), (*rgb, 1.0)], dtype=np.float32),
        },
        "contrast_limits": (0.0, 1.0),
        "interpolation2d": "nearest",
        "blending": "translucent",
        "opacity": 0.45,
        **place_raster(frame, mpp),
    }
    return mask.astype(np.float32), keywords, "image"


def _rectangle(first: tuple[float, float], second: tuple[float, float]) -> npt.NDArray[np.float64]:
    (x0, y0), (x1, y1) = first, second
    return np.array([(y0, x0), (y0, x1), (y1, x1), (y1, x0)], dtype=np.float64)
