"""The patches of a slide: cells of one regular grid."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..geometry import Frame

#: Patches that share less, in level-0 pixels, touch: their corners are rounded to whole pixels.
_TOUCHING_PX0 = 0.5
#: Pixels of a map in one step, where patches overlap.
_MOST_PARTS = 4


@dataclass(frozen=True, slots=True)
class TileGrid:
    """N patches on the global grid of a slide, and how to read each.

    Attributes
    ----------
    coords_px0
        (N, 2) int32: x, y of every patch's top left corner.
    size_px0
        Width and height of a patch in level-0 pixels (exact; fractional where an mpp was asked for).
    read_level
        Pyramid level to read from: the nearest one that is at least as fine as asked.
    read_size
        Width and height to read there, in pixels of that level.
    output_size
        Side in pixels of the patch after resampling.
    step_px0
        Distance of two grid cells (x, y) in level-0 pixels; cell (i, j) starts at round((j, i) * step).
    mpp
        Micrometres per output pixel, or None where the slide has no mpp.
    """

    coords_px0: npt.NDArray[np.int32]
    size_px0: tuple[float, float]
    read_level: int
    read_size: tuple[int, int]
    output_size: int
    step_px0: tuple[float, float]
    mpp: float | None = None

    def __len__(self) -> int:
        return len(self.coords_px0)

    @property
    def cells(self) -> npt.NDArray[np.int64]:
        """(N, 2) int64: column and row of every patch on the grid."""
        return np.asarray(np.round(self.coords_px0 / np.asarray(self.step_px0)), dtype=np.int64)

    @property
    def read_downsample(self) -> tuple[float, float]:
        """Downsample (x, y) of the level that is read, as far as the sizes tell: a whole number where it can be."""
        x, y = map(_downsample, self.size_px0, self.read_size)
        return x, y

    @property
    def overlaps(self) -> bool:
        """Whether neighbouring patches share pixels."""
        return any(size - step > _TOUCHING_PX0 for size, step in zip(self.size_px0, self.step_px0, strict=True))

    def raster(self, values: npt.ArrayLike) -> tuple[npt.NDArray[np.float32], Frame]:
        """(N,) numbers -> an image, NaN where no patch is, and its frame.

        One pixel per patch or, where patches overlap, the mean of those that cover the centre of a pixel; a value
        of NaN does not count. Pixels then are the step, or the part of it that divides the patch too, at least a
        quarter.
        """
        cells = self.cells
        if self.overlaps:
            return self._mean_raster(np.asarray(values, dtype=np.float64))
        first, last = cells.min(axis=0), cells.max(axis=0)
        width, height = (last - first + 1).tolist()
        image = np.full((height, width), np.nan, dtype=np.float32)
        columns, rows = (cells - first).T
        image[rows, columns] = np.asarray(values, dtype=np.float32)
        left, top = (first * np.asarray(self.step_px0)).tolist()
        return image, Frame(origin_px0=(left, top), downsample=self.step_px0)

    def _mean_raster(self, values: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float32], Frame]:
        step, size = np.asarray(self.step_px0), np.asarray(self.size_px0)
        parts = _parts(self.output_size, round(self.output_size * step[0] / size[0]))
        cells = self.cells
        first = cells.min(axis=0)
        offsets = [
            np.flatnonzero(np.arange(int(np.ceil(s)) * parts + parts) + 0.5 < s * parts) for s in size / step
        ]
        width, height = ((cells.max(axis=0) - first) * parts + [len(one) for one in offsets]).tolist()
        total, count = np.zeros((height, width)), np.zeros((height, width), dtype=np.int64)
        known = np.isfinite(values)
        columns, rows = ((cells - first) * parts)[known].T
        for down in offsets[1]:
            for right in offsets[0]:  # a patch's pixel at one offset is no other patch's
                total[rows + down, columns + right] += values[known]
                count[rows + down, columns + right] += 1
        image = np.full((height, width), np.nan)
        np.divide(total, count, out=image, where=count > 0)
        left, top = (first * step).tolist()
        return image.astype(np.float32), Frame(origin_px0=(left, top), downsample=self.step_px0).finer(parts)


def _parts(side: int, step: int) -> int:
    """Return the pixels of a step that also divide a patch; at most :data:`_MOST_PARTS`."""
    return min(_MOST_PARTS, max(1, step // math.gcd(side, max(1, step))))


def _downsample(size_px0: float, read_size: int) -> float:
    whole = max(1, round(size_px0 / read_size))
    return float(whole) if round(size_px0 / whole) == read_size else size_px0 / read_size
