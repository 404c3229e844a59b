"""Polygons on the segmentation image."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import shapely
from shapely import MultiPolygon, Polygon

from ..geometry import Frame


def rasterise(
    area_px0: Polygon | MultiPolygon, *, frame: Frame, size_raster: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """Return the mask (height, width) of the raster pixels whose centre lies in a valid area.

    Even-odd along each row. ``cv2.fillPoly`` would also take every pixel that an outline touches, which biases
    the area of small annotations on a coarse image by several per cent.
    """
    width, height = size_raster
    # one flag at every place where a row passes from outside to inside or back; their running parity is the mask
    flips = np.zeros((height, width + 1), dtype=bool)
    rings = shapely.get_rings(shapely.get_parts(area_px0))
    edges = [_edges(frame.from_px0(shapely.get_coordinates(ring))) for ring in rings]
    if edges:
        start, end = (np.concatenate(points) for points in zip(*edges, strict=True))
        first = np.clip(np.ceil(start[:, 1] - 0.5), 0, height).astype(np.int64)
        last = np.clip(np.ceil(end[:, 1] - 0.5), 0, height).astype(np.int64)
        count = last - first
        edge = np.repeat(np.arange(len(count)), count)
        row = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + first[edge]
        share = (row + 0.5 - start[edge, 1]) / (end[edge, 1] - start[edge, 1])
        x = start[edge, 0] + share * (end[edge, 0] - start[edge, 0])
        column = np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)
        np.logical_xor.at(flips, (row, column), True)
    return np.logical_xor.accumulate(flips, axis=1)[:, :width]


def _edges(ring: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Both ends of the edges of a closed ring, the end with the smaller y first."""
    start, end = ring[:-1], ring[1:]
    swap = (start[:, 1] > end[:, 1])[:, None]
    return np.where(swap, end, start), np.where(swap, start, end)


def area_outside(area_px0: Polygon | MultiPolygon, *, frame: Frame, size_raster: tuple[int, int]) -> float:
    """Return the part of an area beyond the edge of the image, in raster pixels."""
    (left, top), (right, bottom) = frame.to_px0([(0, 0), size_raster])
    outside = shapely.difference(area_px0, shapely.box(left, top, right, bottom)).area
    return float(frame.area_from_px0(outside))
