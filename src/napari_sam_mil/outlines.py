"""Annotations as a shapes layer, and the shapes of a layer as annotations again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sam_mil_engine.report.colours import ANNOTATION, css

from .layers import LayerData, with_holes
from .placement import Mpp, place_points, world_to_points

if TYPE_CHECKING:
    from sam_mil_engine.annotations.model import Annotation
    from sam_mil_engine.slide.info import SlideInfo

#: Column of the layer's features that holds the class, and the class of what is drawn by hand.
CLASS = "class"
DRAWN_CLASS = "Tumour"
_WITHOUT_AREA = frozenset({"line", "path"})
_ELLIPSE_CORNERS = 72


def annotations_layer(annotations: Sequence[Annotation], info: SlideInfo, *, mpp: Mpp) -> LayerData:
    """Outlines in the report's blue; shapes drawn into the layer later get the class ``Tumour``."""
    from sam_mil_engine.annotations.model import polygons_of

    vertices, names = [], []
    for item in annotations:
        for polygon in polygons_of(item.polygon):
            rings = [np.asarray(ring.coords)[:-1] for ring in (polygon.exterior, *polygon.interiors)]
            vertices.append(with_holes(rings[0], tuple(rings[1:])))
            names.append(item.classification or "unclassified")
    keywords = {
        "name": "annotations",
        "ndim": 2,
        "shape_type": "polygon",
        "features": {CLASS: np.array(names, dtype=object)},
        "feature_defaults": {CLASS: DRAWN_CLASS},
        "edge_color": css(ANNOTATION),
        "face_color": "transparent",
        "edge_width": max(info.size_px0) / 350,
        **place_points(mpp),
    }
    return vertices, keywords, "shapes"


def _ellipse(corners: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return points on the ellipse in a rectangle (4, 2), which may be turned."""
    angle = np.linspace(0, 2 * np.pi, _ELLIPSE_CORNERS, endpoint=False)[:, None]
    centre, first, second = corners.mean(axis=0), corners[1] - corners[0], corners[3] - corners[0]
    points: npt.NDArray[np.float64] = centre + np.cos(angle) * first / 2 + np.sin(angle) * second / 2
    return points


def shape_annotations(
    data: Sequence[npt.NDArray[np.floating]], meta: Mapping[str, Any], *, mpp: Mpp, unnamed: str | None = None
) -> list[Annotation]:
    """Return the areas of a shapes layer as annotations in level-0 pixels; lines and paths have none.

    Parameters
    ----------
    data, meta
        The layer's vertices, and its ``scale``, ``translate``, ``features``, ``shape_type`` and ``name``.
    mpp
        Of the slide under the layer.
    unnamed
        Class of the shapes where the layer's features name none.
    """
    import shapely

    from sam_mil_engine.annotations.model import Annotation, as_area

    features, kinds = meta.get("features", {}), meta.get("shape_type", "polygon")
    found = []
    for number, vertices in enumerate(data):
        kind = kinds if isinstance(kinds, str) else kinds[number]
        if kind in _WITHOUT_AREA or len(vertices) < 3:
            continue
        world = np.asarray(vertices)[:, -2:] * np.asarray(meta["scale"])[-2:] + np.asarray(meta["translate"])[-2:]
        points = world_to_points(world, mpp)
        area = as_area(shapely.make_valid(shapely.Polygon(_ellipse(points) if kind == "ellipse" else points)))
        if not area.area > 0:
            continue
        name = str(features[CLASS][number]) if CLASS in features else unnamed
        found.append(Annotation(f"{meta.get('name', 'shape')} {number + 1}", name, area))
    return found
