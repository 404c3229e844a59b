"""Masks as areas: the outline of a segment along its pixels' edges."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import shapely
from shapely import MultiPolygon, Polygon

from ..segment.segments import Segments
from ..slide.tissue_regions import TissueRegions
from .model import Annotation, as_area


def mask_area(mask: npt.NDArray[np.bool_]) -> Polygon | MultiPolygon:
    """Return the area of the set pixels of (height, width) in pixel units, with holes, exactly."""
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(edges == 1)
    _, ends = np.nonzero(edges == -1)
    return as_area(shapely.union_all(shapely.box(starts, rows, ends, rows + 1)))


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
