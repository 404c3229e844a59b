"""Where the tissue is, as polygons."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import shapely

Ring = npt.NDArray[np.float64]

#: Part of the tissue from which what is left out as too small is worth a warning.
MUCH_LEFT_OUT = 0.05


@dataclass(frozen=True, slots=True)
class TissueRegions:
    """Polygons with holes in level-0 pixels.

    Attributes
    ----------
    polygons_px0
        One tuple per piece of tissue: the outer ring (n, 2) and a tuple of hole rings; rings are not closed.
    area_px0
        (P,) float64: area of every piece without its holes, in square level-0 pixels.
    method
        Which attempt found them, for example ``default`` or ``otsu``; recorded in the bag.
    left_out_px0
        (L,) float64: areas of what has the colour of tissue too, and is larger than dust, but too small for the
        settings.
    """

    polygons_px0: tuple[tuple[Ring, tuple[Ring, ...]], ...]
    area_px0: npt.NDArray[np.float64]
    method: str = "default"
    left_out_px0: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def of(
        cls, polygons: Iterable[shapely.Polygon], *, method: str, left_out_px0: Iterable[float] = ()
    ) -> TissueRegions:
        """Return polygons in level-0 pixels as tissue, the largest piece first."""
        pieces = sorted(polygons, key=lambda piece: -piece.area)
        return cls(
            polygons_px0=tuple((_open(p.exterior), tuple(_open(hole) for hole in p.interiors)) for p in pieces),
            area_px0=np.asarray([piece.area for piece in pieces], dtype=np.float64),
            method=method,
            left_out_px0=np.sort(np.asarray(list(left_out_px0), dtype=np.float64))[::-1],
        )

    def __len__(self) -> int:
        return len(self.polygons_px0)

    @property
    def left_out_share(self) -> float:
        """Part of all tissue that is left out as too small, from 0 to 1."""
        left_out = float(self.left_out_px0.sum())
        return left_out / (left_out + float(self.area_px0.sum())) if left_out else 0.0

    @property
    def warning(self) -> str | None:
        """What to tell the user where much of the tissue is left out; None where little is."""
        if self.left_out_share < MUCH_LEFT_OUT:
            return None
        count = len(self.left_out_px0)
        pieces = "a piece of tissue is" if count == 1 else f"{count} pieces of tissue are"
        return (
            f"{pieces} left out as too small for the tissue preset ({self.left_out_share:.0%} of the tissue); "
            "if they matter, choose the preset biopsy or tcga"
        )

    @property
    def bounds_px0(self) -> tuple[float, float, float, float] | None:
        """Left, top, right, bottom of all tissue, or None where there is none."""
        if not self.polygons_px0:
            return None
        points = np.concatenate([outer for outer, _ in self.polygons_px0])
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        return float(left), float(top), float(right), float(bottom)


def _open(ring: shapely.LinearRing) -> Ring:
    return np.asarray(ring.coords, dtype=np.float64)[:-1]
