"""Masks as areas: the outline of a segment along its pixels' edges."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import shapely
from shapely import MultiPolygon, Polygon

from ..segment.segments import Segments
from ..slide.tissue_regions import TissueRegions
from .mask_rings import mask_rings
from .model import Annotation, as_area


def mask_area(mask: npt.NDArray[np.bool_]) -> Polygon | MultiPolygon:
    """Return the area of the set pixels of (height, width) in pixel units, with holes, exactly."""
    outer, holes = mask_rings(mask)
    shells = [Polygon(ring) for ring in outer]
    inside: list[list[npt.NDArray[np.float64]]] = [[] for _ in shells]
    for hole in holes:
        inside[_shell_of(Polygon(hole), shells)].append(hole)
    # A ring that touches itself at a corner becomes a shell and a hole.
    parts = shapely.make_valid([Polygon(ring, own) for ring, own in zip(outer, inside, strict=True)])
    return as_area(parts[0] if len(parts) == 1 else shapely.GeometryCollection(list(parts)))


def _shell_of(hole: Polygon, shells: list[Polygon]) -> int:
    """Return the smallest of the shells around a hole, by its number."""
    if len(shells) == 1:
        return 0
    point = hole.representative_point()
    around = [number for number, one in enumerate(shells) if one.area > hole.area and one.covers(point)]
    return min(around, key=lambda number: shells[number].area)


def tissue_area(tissue: TissueRegions) -> Polygon | MultiPolygon:
    """Return the tissue as one valid area in level-0 pixels."""
    pieces = [Polygon(outer, holes) for outer, holes in tissue.polygons_px0]
    return as_area(shapely.union_all(shapely.make_valid(pieces)))


def tissue_annotations(tissue: TissueRegions) -> list[Annotation]:
    """Return the pieces of tissue as annotations of the class ``Tissue``."""
    return [
        Annotation(name=f"Tissue {number}", classification="Tissue", polygon=Polygon(outer, holes))
        for number, (outer, holes) in enumerate(tissue.polygons_px0, start=1)
    ]


def segment_annotations(segments: Segments, numbers: Iterable[int] | None = None) -> list[Annotation]:
    """Return segments (all, or those of ``numbers``) as annotations in level-0 pixels, class ``Segment``."""
    found = []
    for number in range(len(segments)) if numbers is None else numbers:
        corner = segments.boxes_raster[number, :2]
        area = shapely.transform(
            mask_area(segments.crops[number]),
            lambda points, corner=corner: segments.frame.to_px0(points + corner),
        )
        found.append(Annotation(name=f"Segment {number + 1}", classification="Segment", polygon=as_area(area)))
    return found
