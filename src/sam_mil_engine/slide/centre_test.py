"""CLAM's test whether a patch is kept: points around its centre in the tissue."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely

from .tissue_regions import TissueRegions


@dataclass(frozen=True, slots=True)
class CentreTest:
    """A point around the centre in the outer ring, and the centre not in a hole.

    Attributes
    ----------
    offsets
        (K, 2) of the points from the centre, in level-0 pixels.
    """

    offsets: npt.NDArray[np.float64]

    @classmethod
    def of(cls, rule: str, size_px0: tuple[float, float]) -> CentreTest:
        """Return the test of a rule (``centre`` or ``four_point``) for patches of this width and height."""
        if rule == "centre":
            return cls(np.zeros((1, 2)))
        # Half of half the side, to all four corners.
        corners = np.asarray([(-1, -1), (1, -1), (-1, 1), (1, 1)], dtype=np.float64)
        return cls(corners * size_px0 / 4)

    def __call__(
        self, centres: npt.NDArray[np.float64], outer: shapely.Polygon, holes: shapely.MultiPolygon
    ) -> npt.NDArray[np.bool_]:
        """(N, 2) centres -> (N,): which patches one piece of tissue keeps."""
        points = centres[:, None, :] + self.offsets
        kept = shapely.intersects_xy(outer, points[..., 0], points[..., 1]).any(axis=1)
        kept &= ~shapely.contains_xy(holes, centres[:, 0], centres[:, 1])
        return np.asarray(kept, dtype=bool)


def prepared_pieces(tissue: TissueRegions) -> Iterator[tuple[shapely.Polygon, shapely.MultiPolygon]]:
    """Yield the outer ring and the holes of every piece of tissue, prepared for many points."""
    for outer_ring, hole_rings in tissue.polygons_px0:
        outer = shapely.Polygon(outer_ring)
        holes = shapely.union_all([shapely.Polygon(ring) for ring in hole_rings])
        shapely.prepare([outer, holes])
        yield outer, holes
