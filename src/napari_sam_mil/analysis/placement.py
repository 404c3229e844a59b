"""Convert between the engine's frames and napari's scale, translate and units.

World coordinates are micrometres if the resolution of the slide is known, else level-0 pixels. napari puts the
*centre* of an array's first element at ``translate``, and the centre of the slide's first pixel at 0. The engine's
frames refer to *corners*. Only this module converts between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sam_mil_engine.geometry import Frame

Mpp = tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a slide lies in the world.

    Attributes
    ----------
    mpp
        Micrometres per level-0 pixel (x, y), or None.
    origin
        World point (row, column) of the centre of the slide's first pixel. Several slides lie side by side.
    """

    mpp: Mpp
    origin: tuple[float, float] = (0.0, 0.0)


#: A place, or only the resolution of a slide at the origin.
PlaceOrMpp = Mpp | Place


def place_of(where: PlaceOrMpp) -> Place:
    """Return a place; a resolution alone means a slide at the origin."""
    return where if isinstance(where, Place) else Place(where)


def pixel_size(where: PlaceOrMpp) -> tuple[float, float]:
    """Return the size (x, y) of a level-0 pixel in world units."""
    mpp = place_of(where).mpp
    return (1.0, 1.0) if mpp is None else mpp


def place_raster(frame: Frame, mpp: PlaceOrMpp) -> dict[str, Any]:
    """Return scale, translate and units for a layer whose array lies in ``frame``, with axes (row, column)."""
    size, origin, step = (
        np.asarray(pair, dtype=float) for pair in (pixel_size(mpp), frame.origin_px0, frame.downsample)
    )
    centre = origin + (step - 1) / 2
    return {
        "scale": tuple((step * size)[::-1].tolist()),
        "translate": tuple(((centre * size)[::-1] + place_of(mpp).origin).tolist()),
        "units": _units(mpp),
    }


def place_points(mpp: PlaceOrMpp) -> dict[str, Any]:
    """Return scale, translate and units for a layer whose vertices are level-0 points (y, x)."""
    (width, height), (row, column) = pixel_size(mpp), place_of(mpp).origin
    return {"scale": (height, width), "translate": (row - height / 2, column - width / 2), "units": _units(mpp)}


def points_to_world(points_px0: npt.ArrayLike, mpp: PlaceOrMpp) -> npt.NDArray[np.float64]:
    """Convert level-0 points (..., 2), as (x, y), to world points (..., 2), as (row, column)."""
    world: npt.NDArray[np.float64] = ((np.asarray(points_px0, dtype=np.float64) - 0.5) * pixel_size(mpp))[..., ::-1]
    return world + place_of(mpp).origin


def world_to_points(points_world: npt.ArrayLike, mpp: PlaceOrMpp) -> npt.NDArray[np.float64]:
    """Convert world points (..., 2), as (row, column), to level-0 points (..., 2), as (x, y)."""
    here = np.asarray(points_world, dtype=np.float64) - place_of(mpp).origin
    points: npt.NDArray[np.float64] = here[..., ::-1] / pixel_size(mpp) + 0.5
    return points


def _units(mpp: PlaceOrMpp) -> tuple[str, str]:
    return ("pixel", "pixel") if place_of(mpp).mpp is None else ("micrometer", "micrometer")
