"""Where the coordinates of other programs lie on a slide."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SlidePlace:
    """What a reader or writer of annotations must know of a slide.

    Programs count from different corners: QuPath from the corner of the slide's bounds, NDPA in nanometres from the
    centre of the glass. Only the methods here convert.

    Attributes
    ----------
    size_px0
        Width and height of level 0, or None where that is not known.
    bounds_px0
        Part of the slide that holds data (x, y, width, height), or None where the slide states none.
    mpp
        Micrometres per level-0 pixel (x, y), or None.
    centre_offset_um
        Centre of the scan, seen from the centre of the glass (x, y), in micrometres; None where it is not known.
    bounds_known
        False where nothing says whether the slide states bounds: bags that were written without the slide.
    """

    size_px0: tuple[int, int] | None = None
    bounds_px0: tuple[int, int, int, int] | None = None
    mpp: tuple[float, float] | None = None
    centre_offset_um: tuple[float, float] | None = None
    bounds_known: bool = True

    @property
    def bounds_origin_px0(self) -> tuple[float, float]:
        """Corner from which QuPath counts, in level-0 pixels: (0, 0) for a slide without bounds."""
        return (0.0, 0.0) if self.bounds_px0 is None else (float(self.bounds_px0[0]), float(self.bounds_px0[1]))

    def from_bounds(self, points: npt.ArrayLike) -> FloatArray:
        """QuPath's points (..., 2) -> level-0 points (..., 2)."""
        return np.asarray(points, dtype=np.float64) + self.bounds_origin_px0

    def to_bounds(self, points_px0: npt.ArrayLike) -> FloatArray:
        """Level-0 points (..., 2) -> QuPath's points (..., 2)."""
        return np.asarray(points_px0, dtype=np.float64) - self.bounds_origin_px0

    def from_glass_nm(self, points_nm: npt.ArrayLike) -> FloatArray:
        """Nanometres from the centre of the glass (..., 2), as NDPA counts, -> level-0 points (..., 2).

        Raises
        ------
        ValueError
            If the size, the resolution or the centre of the slide is not known.
        """
        if self.size_px0 is None or self.mpp is None or self.centre_offset_um is None:
            raise ValueError("the slide does not say where the centre of the glass is")
        um = np.asarray(points_nm, dtype=np.float64) / 1000 - self.centre_offset_um
        return um / self.mpp + np.divide(self.size_px0, 2)


#: Of a slide that is not at hand: coordinates are taken from the corner of its file, with a note.
UNKNOWN_PLACE = SlidePlace(bounds_known=False)
