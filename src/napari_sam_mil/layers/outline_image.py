"""Thousands of outlines as a label image whose tiles are drawn when they are viewed.

A shapes layer takes a quarter of a millisecond per outline in the window's thread, and is drawn completely at every
movement. The cost of a label image depends only on the pixels of the window.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import shapely
from cachetools import LRUCache

from sam_mil_engine.slide.indexing import expand_key, window_of

from .outline_raster import HALO, edges_and_insides, fill

if TYPE_CHECKING:
    from sam_mil_engine.annotations.model import Annotation

Labels32 = npt.NDArray[np.uint32]

_TILE = 512
#: Tiles in the cache, one megabyte each.
_KEPT = 96
#: Most pixels along the longer side of the coarsest level.
_COARSEST = 1024
#: Pixels of the finest level along a level-0 pixel, so that lines stay thin at a high zoom.
_FINEST = 4


class OutlineEdges:
    """The edges of many annotations, sorted so that small annotations are drawn over large ones.

    Attributes
    ----------
    annotations
        The annotations, in the order in which they were given.
    """

    def __init__(self, annotations: Sequence[Annotation]):
        self.annotations = tuple(annotations)
        areas = np.array([item.polygon for item in self.annotations], dtype=object)
        #: (n,) number of the annotation that is drawn first, second, ...
        self._order = np.argsort(-shapely.area(areas), kind="stable")
        areas = areas[self._order]
        self._bounds = shapely.bounds(areas).reshape(-1, 4)
        self._spots = shapely.get_coordinates(shapely.point_on_surface(areas))
        parts, of_part = shapely.get_parts(areas, return_index=True)
        rings, of_ring = shapely.get_rings(parts, return_index=True)
        points, of_point = shapely.get_coordinates(rings, return_index=True)
        within = of_point[:-1] == of_point[1:]
        self._edges = np.hstack([points[:-1], points[1:]])[within]
        self._owner = of_part[of_ring[of_point[:-1][within]]]
        self._first = np.searchsorted(self._owner, np.arange(len(areas) + 1))

    def labels(self, left: float, top: float, step: float, width: int, height: int) -> Labels32:
        """Draw a window of the slide: annotation n as label n + 1, and 0 where there is none.

        Parameters
        ----------
        left, top
            Top left corner of the window in level-0 pixels.
        step
            Level-0 pixels along a pixel of the window.
        width, height
            Size of the window in its pixels.
        """
        window = np.array([left, top, left + width * step, top + height * step])
        low, high = self._bounds[:, :2], self._bounds[:, 2:]
        seen = np.flatnonzero((low < window[2:]).all(axis=1) & (high > window[:2]).all(axis=1))
        image = np.zeros((height, width), dtype=np.uint32)
        if not len(seen):
            return image
        start, count = self._first[seen], self._first[seen + 1] - self._first[seen]
        rows = np.arange(count.sum()) + np.repeat(start - np.cumsum(count) + count, count)
        origin = np.array([left, top, left, top])
        drawn = fill(
            (self._edges[rows] - origin) / step,
            np.repeat(np.arange(len(seen)), count),
            (self._spots[seen] - origin[:2]) / step,
            (width, height),
        )
        inside = drawn >= 0
        image[inside] = self._order[seen][drawn[inside]] + 1
        return image


class OutlineLevel:
    """One level of the label image: a lazy array (height, width) with the methods that napari uses.

    Attributes
    ----------
    step
        Level-0 pixels along a pixel of this level.
    edges
        The outlines.
    """

    dtype = np.dtype(np.uint32)
    ndim = 2

    def __init__(self, edges: OutlineEdges, shape: tuple[int, int], step: float):
        self.edges, self.shape, self.step = edges, shape, step
        self._tiles: LRUCache[tuple[int, int], Labels32] = LRUCache(_KEPT)
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<OutlineLevel: {self.shape[1]} x {self.shape[0]} px of {len(self.edges.annotations)} outlines>"

    def __deepcopy__(self, _memo: dict[int, Any]) -> OutlineLevel:
        return self  # read-only

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def size(self) -> int:
        """Number of pixels."""
        return self.shape[0] * self.shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes of the whole level, if it were in memory."""
        return self.size * self.dtype.itemsize

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("a lazily drawn image cannot be converted without a copy")
        return self[...].astype(dtype or self.dtype, copy=False)

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        rows, columns, _ = expand_key(key)
        top, bottom, local_rows = window_of(rows, self.shape[0])
        left, right, local_columns = window_of(columns, self.shape[1])
        image = np.zeros((bottom - top, right - left), dtype=np.uint32)
        for row in range(top // _TILE, -(-bottom // _TILE)):
            for column in range(left // _TILE, -(-right // _TILE)):
                tile, y, x = self._tile(row, column), row * _TILE - top, column * _TILE - left
                part = tile[max(0, -y) : bottom - top - y, max(0, -x) : right - left - x]
                y, x = max(0, y), max(0, x)
                image[y : y + part.shape[0], x : x + part.shape[1]] = part
        return image[local_rows, :][..., local_columns]

    def _tile(self, row: int, column: int) -> Labels32:
        with self._lock:
            found = self._tiles.get((row, column))
            if found is not None:
                return found
        top, left = row * _TILE, column * _TILE
        height, width = min(_TILE, self.shape[0] - top), min(_TILE, self.shape[1] - left)
        around = self.edges.labels(
            (left - HALO) * self.step, (top - HALO) * self.step, self.step, width + 2 * HALO, height + 2 * HALO
        )
        tile = edges_and_insides(around)
        with self._lock:
            self._tiles[row, column] = tile
        return tile


def outline_levels(annotations: Sequence[Annotation], size_px0: tuple[int, int]) -> list[OutlineLevel]:
    """Return the label pyramid of many outlines, the finest level first. The coarsest level is drawn at once.

    Each level is exactly twice as coarse as the one before, so that all of them align.
    """
    edges = OutlineEdges(annotations)
    count = 1
    while max(size_px0) * _FINEST > _COARSEST << (count - 1):
        count += 1
    whole = 1 << (count - 1)
    height, width = (-(-side * _FINEST // whole) for side in reversed(size_px0))
    levels = [
        OutlineLevel(edges, (height << number, width << number), (1 << (count - 1 - number)) / _FINEST)
        for number in reversed(range(count))
    ]
    levels[-1][...]
    return levels


def annotations_of_image(data: Any) -> tuple[Annotation, ...] | None:
    """Return the annotations behind a label image of outlines; None for any other data."""
    first = data[0] if len(data) else None
    return first.edges.annotations if isinstance(first, OutlineLevel) else None
