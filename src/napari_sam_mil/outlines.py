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
        "features": {CLASS: names},
        "feature_defaults": {CLASS: DRAWN_CLASS},
        "edge_color": css(ANNOTATION),
        "face_color": "transparent",
        "edge_width": max(info.size_px0) / 350,
        **place_points(mpp),
    }
    return vertices, keywords, "shapes"


def shape_annotations(
    data: Sequence[npt.NDArray[np.floating]], meta: Mapping[str, Any], *, mpp: Mpp, unnamed: str | None = None
) -> list[Annotation]:
    """Return the polygons of a shapes layer as annotations in level-0 pixels.

    Parameters
    ----------
    data, meta
        The layer's vertices, and its ``scale``, ``translate``, ``features`` and ``name``.
    mpp
        Of the slide under the layer.
    unnamed
        Class of the shapes where the layer's features name none.
    """
    import shapely

    from sam_mil_engine.annotations.model import Annotation, as_area

    features = meta.get("features", {})
    found = []
    for number, vertices in enumerate(data):
        world = np.asarray(vertices)[:, -2:] * np.asarray(meta["scale"])[-2:] + np.asarray(meta["translate"])[-2:]
        area = as_area(shapely.make_valid(shapely.Polygon(world_to_points(world, mpp))))
        name = str(features[CLASS][number]) if CLASS in features else unnamed
        found.append(Annotation(f"{meta.get('name', 'shape')} {number + 1}", name, area))
    return found
