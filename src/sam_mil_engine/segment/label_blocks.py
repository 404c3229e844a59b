"""The label image of segments, painted block by block: it never has to be in memory as a whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


class SegmentLabels:
    """Label k + 1 where mask k is, small masks over large ones; 0 is background.

    Reads like an array of two axes: ``labels[rows, columns]`` with slices, also with steps, paints that part.

    Parameters
    ----------
    boxes_raster, crops, area, size_raster
        As in :class:`~sam_mil_engine.segment.segments.Segments`.
    """

    ndim = 2

    def __init__(
        self,
        boxes_raster: npt.NDArray[np.int32],
        crops: Sequence[npt.NDArray[np.bool_]],
        area: npt.NDArray[np.int64],
        size_raster: tuple[int, int],
    ):
        self._boxes, self._crops = boxes_raster, crops
        self._order = np.argsort(-area, kind="stable")
        self.shape: tuple[int, ...] = (size_raster[1], size_raster[0])
        kind = "uint8" if len(crops) < 2**8 else "uint16" if len(crops) < 2**16 else "int32"
        self.dtype: np.dtype[Any] = np.dtype(kind)

    def __getitem__(self, place: tuple[slice, slice]) -> npt.NDArray[Any]:
        rows, columns = (range(*part.indices(side)) for part, side in zip(place, self.shape, strict=True))
        image = np.zeros((len(rows), len(columns)), dtype=self.dtype)
        if not image.size:
            return image
        x, y, width, height = self._boxes.T
        near = (x <= columns[-1]) & (x + width > columns[0]) & (y <= rows[-1]) & (y + height > rows[0])
        for number in self._order[near[self._order]]:
            left, top = self._boxes[number, :2].tolist()
            column, row = _first(columns, left), _first(rows, top)
            crop = self._crops[number][rows[0] + row * rows.step - top :: rows.step]
            crop = crop[:, columns[0] + column * columns.step - left :: columns.step]
            part = image[row : row + crop.shape[0], column : column + crop.shape[1]]
            part[crop[: part.shape[0], : part.shape[1]]] = number + 1
        return image


def _first(places: range, start: int) -> int:
    """Return which of ``places`` is the first at or behind ``start``."""
    return max(0, -((places.start - start) // places.step))
