"""Tissue inside a region that the user chose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely

from .tissue_regions import TissueRegions

Points = Sequence[tuple[float, float]]


def clip_tissue(tissue: TissueRegions, region_px0: Sequence[Points]) -> TissueRegions:
    """Keep what of the tissue lies in the region.

    Parameters
    ----------
    tissue
        All tissue of the slide.
    region_px0
        Outer rings in level-0 pixels; the region is their union.

    Returns
    -------
    TissueRegions
        Pieces by falling area; none where the region misses the tissue. ``method`` tells of the cut.
    """
    region = shapely.union_all([shapely.make_valid(shapely.Polygon(ring)) for ring in region_px0])
    found: list[shapely.Polygon] = []
    for outer, holes in tissue.polygons_px0:
        cut = shapely.intersection(shapely.make_valid(shapely.Polygon(outer, holes)), region)
        # where borders merely touch, the intersection holds points and lines too
        found += [part for part in shapely.get_parts(cut) if isinstance(part, shapely.Polygon) and part.area > 0]
    found.sort(key=lambda piece: -piece.area)
    return TissueRegions(
        polygons_px0=tuple(
            (_ring(piece.exterior), tuple(_ring(hole) for hole in piece.interiors)) for piece in found
        ),
        area_px0=np.asarray([piece.area for piece in found], dtype=np.float64),
        method=f"{tissue.method}, cut to a region",
    )


def _ring(ring: shapely.LinearRing) -> np.ndarray:
    return np.asarray(ring.coords, dtype=np.float64)[:-1]
