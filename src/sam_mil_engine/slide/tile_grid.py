"""The patches of a slide: cells of one regular grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..geometry import Frame


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

    def raster(self, values: npt.ArrayLike) -> tuple[npt.NDArray[np.float32], Frame]:
        """(N,) numbers -> an image of one pixel per patch, NaN where no patch is, and its frame."""
        cells = self.cells
        first, last = cells.min(axis=0), cells.max(axis=0)
        width, height = (last - first + 1).tolist()
        image = np.full((height, width), np.nan, dtype=np.float32)
        columns, rows = (cells - first).T
        image[rows, columns] = np.asarray(values, dtype=np.float32)
        left, top = (first * np.asarray(self.step_px0)).tolist()
        return image, Frame(origin_px0=(left, top), downsample=self.step_px0)


def _downsample(size_px0: float, read_size: int) -> float:
    whole = max(1, round(size_px0 / read_size))
    return float(whole) if round(size_px0 / whole) == read_size else size_px0 / read_size
