"""Coordinate frames and the only place that converts between them.

Every array of coordinates names its frame in its suffix: ``_px0`` (level-0 pixels), ``_raster`` (pixels of a
downsampled image) or ``_um`` (micrometres). Points are (x, y); arrays are [row, column].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Frame:
    """The frame of a downsampled image of a slide.

    Attributes
    ----------
    origin_px0
        Level-0 position (x, y) of the top left corner of the image's first pixel.
    downsample
        Level-0 pixels in one raster pixel, exact, for x and y.
    """

    origin_px0: tuple[float, float] = (0.0, 0.0)
    downsample: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        if not (min(self.downsample) > 0 and np.isfinite([*self.origin_px0, *self.downsample]).all()):
            raise ValueError(f"a frame needs finite numbers and a positive downsample, got {self}")

    def to_px0(self, points_raster: npt.ArrayLike) -> FloatArray:
        """Raster points (..., 2) -> level-0 points (..., 2), float64."""
        return np.asarray(points_raster, dtype=np.float64) * self.downsample + self.origin_px0

    def from_px0(self, points_px0: npt.ArrayLike) -> FloatArray:
        """Level-0 points (..., 2) -> raster points (..., 2), float64."""
        return (np.asarray(points_px0, dtype=np.float64) - self.origin_px0) / self.downsample

    def sizes_to_px0(self, sizes_raster: npt.ArrayLike) -> FloatArray:
        """Raster widths and heights (..., 2) -> level-0 widths and heights."""
        return np.asarray(sizes_raster, dtype=np.float64) * self.downsample

    def area_to_px0(self, area_raster: npt.ArrayLike) -> FloatArray:
        """Raster areas (...) -> level-0 areas (...), in square pixels."""
        return np.asarray(area_raster, dtype=np.float64) * (self.downsample[0] * self.downsample[1])

    def area_from_px0(self, area_px0: npt.ArrayLike) -> FloatArray:
        """Level-0 areas (...) -> raster areas (...), in square pixels."""
        return np.asarray(area_px0, dtype=np.float64) / (self.downsample[0] * self.downsample[1])

    def finer(self, parts: int) -> Frame:
        """Return the frame of the image whose pixels are cut into ``parts`` x ``parts``."""
        return Frame(self.origin_px0, (self.downsample[0] / parts, self.downsample[1] / parts))

    def um_per_pixel(self, mpp: tuple[float, float]) -> tuple[float, float]:
        """Micrometres per raster pixel for x and y, from those per level-0 pixel."""
        return self.downsample[0] * mpp[0], self.downsample[1] * mpp[1]


def area_um2(area_px0: npt.ArrayLike, mpp: tuple[float, float] | None) -> FloatArray:
    """Level-0 areas (...) in square pixels -> µm² (...); NaN where the resolution is not known."""
    return np.asarray(area_px0, dtype=np.float64) * (np.nan if mpp is None else mpp[0] * mpp[1])


def um_to_px0(points_um: npt.ArrayLike, mpp: tuple[float, float]) -> FloatArray:
    """Micrometres (..., 2) -> level-0 pixels (..., 2), with ``mpp`` in µm per pixel for x and y."""
    return np.asarray(points_um, dtype=np.float64) / mpp
