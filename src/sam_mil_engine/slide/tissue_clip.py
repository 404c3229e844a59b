"""Tissue inside a region that the user chose."""

from __future__ import annotations

from collections.abc import Sequence

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
    return cut_tissue(tissue, inside=region, how="cut to a region")


def cut_tissue(
    tissue: TissueRegions,
    *,
    how: str,
    inside: shapely.Geometry | None = None,
    outside: shapely.Geometry | None = None,
) -> TissueRegions:
    """Keep what of the tissue lies in one valid area and not in another, both in level-0 pixels.

    ``how`` is added to the method of the tissue.
    """
    found: list[shapely.Polygon] = []
    for outer, holes in tissue.polygons_px0:
        piece = shapely.make_valid(shapely.Polygon(outer, holes))
        piece = piece if inside is None else shapely.intersection(piece, inside)
        piece = piece if outside is None else shapely.difference(piece, outside)
        # where borders merely touch, the intersection holds points and lines too
        parts = shapely.get_parts(shapely.get_parts(piece))
        found += [part for part in parts if isinstance(part, shapely.Polygon) and part.area > 0]
    return TissueRegions.of(found, method=f"{tissue.method}, {how}")
