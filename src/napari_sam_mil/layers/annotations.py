"""Convert annotations to napari layers, and the shapes of a layer back to annotations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sam_mil_engine.drawing.colours import ANNOTATION, css
from sam_mil_engine.geometry import Frame

from ..analysis.agreement import UNCLASSIFIED
from ..analysis.placement import PlaceOrMpp, place_points, place_raster, world_to_points
from .outline_features import feature_rows, feature_text, outline_rows
from .outline_image import annotations_of_image, outline_levels
from .results import LayerData, with_holes
from .transform import data_to_world

if TYPE_CHECKING:
    from shapely import Polygon

    from sam_mil_engine.annotations.model import Annotation, Area
    from sam_mil_engine.slide.info import SlideInfo

#: Kinds of layers that hold outlines: an image of many, and shapes that can be edited.
OUTLINES = ("outlines", "annotations")
#: Columns of the layer's features: class and name of an outline, its number, and which part of it a shape is.
CLASS, NAME, OUTLINE, PART = "class", "name", "outline", "part"
#: Default class of outlines that are drawn by hand.
DRAWN_CLASS = "Tumour"
#: With more polygons or corners, outlines become an image: a shapes layer would block the window.
MOST_SHAPES, MOST_CORNERS = 300, 50_000
_ELLIPSE_CORNERS = 72
#: Width of a line, as a share of the side of a square as large as the smallest outline.
_LINE_SHARE = 0.1


def editable(annotations: Sequence[Annotation]) -> bool:
    """Whether the outlines are few enough for an editable shapes layer."""
    import shapely

    areas = [item.polygon for item in annotations]
    return (
        int(shapely.get_num_geometries(areas).sum()) <= MOST_SHAPES
        and int(shapely.get_num_coordinates(areas).sum()) <= MOST_CORNERS
    )


def annotations_layer(annotations: Sequence[Annotation], info: SlideInfo, *, mpp: PlaceOrMpp) -> LayerData:
    """Return outlines in the report's blue, as shapes, or as an image if there are too many to edit.

    Shapes that the user draws into the layer get the class ``Tumour``.
    """
    if editable(annotations):
        return shapes_layer(annotations, info, mpp=mpp)
    return outline_image_layer(annotations, info, mpp=mpp)


def shapes_layer(annotations: Sequence[Annotation], info: SlideInfo, *, mpp: PlaceOrMpp) -> LayerData:
    """Return outlines as shapes, one per polygon of an annotation, with name, class and part."""
    from sam_mil_engine.annotations.model import polygons_of

    polygons = [(number, polygons_of(item.polygon)) for number, item in enumerate(annotations)]
    owners = [annotations[number] for number, parts in polygons for _ in parts]
    every = [polygon for _, parts in polygons for polygon in parts]
    keywords = {
        "name": "annotations",
        "ndim": 2,
        "shape_type": "polygon",
        "features": {
            CLASS: _column(item.classification or UNCLASSIFIED for item in owners),
            NAME: _column(item.name for item in owners),
            OUTLINE: _column(str(number + 1) for number, parts in polygons for _ in parts),
            PART: _column(str(part + 1) for _, parts in polygons for part in range(len(parts))),
        },
        "feature_defaults": {CLASS: DRAWN_CLASS, NAME: "", OUTLINE: "", PART: ""},
        "edge_color": css(ANNOTATION),
        "face_color": "transparent",
        "edge_width": line_width(every, info),
        **place_points(mpp),
    }
    return [_vertices(polygon) for polygon in every], keywords, "shapes"


def outline_image_layer(annotations: Sequence[Annotation], info: SlideInfo, *, mpp: PlaceOrMpp) -> LayerData:
    """Return outlines as a label image, which cannot be edited. Hovering shows class and name."""
    import pandas as pd
    from napari.utils.colormaps import CyclicLabelColormap

    levels = outline_levels(annotations, info.size_px0)
    blue, clear = (*(np.asarray(ANNOTATION) / 255), 1.0), (0.0, 0.0, 0.0, 0.0)
    step = levels[0].step
    keywords = {
        "name": "outlines",
        "multiscale": True,
        "features": pd.DataFrame(
            {
                "index": np.arange(1, 2 * len(annotations) + 1),
                CLASS: np.repeat(_column(item.classification or UNCLASSIFIED for item in annotations), 2),
                NAME: np.repeat(_column(item.name for item in annotations), 2),
            }
        ),
        # odd labels are lines, even labels are interiors
        "colormap": CyclicLabelColormap(colors=np.array([clear, blue, clear]), background_value=0),
        "opacity": 1.0,
        **place_raster(Frame(downsample=(step, step)), mpp),
    }
    return levels, keywords, "labels"


def update_outline_image(layer: Any, data: LayerData) -> bool:
    """Replace the outlines of an image layer in place, and return whether that was possible.

    napari runs a full garbage collection when a layer is removed, which takes a quarter of a second with many
    outlines. A layer that the user has moved is not updated.
    """
    levels, keywords, type_name = data
    if type_name != "labels" or annotations_of_image(layer.data) is None:
        return False
    corners = np.array([[0.0, 0.0], [1000.0, 0.0], [0.0, 1000.0]])
    world = np.array([layer.data_to_world(corner) for corner in corners])
    if not np.allclose(world, corners * keywords["scale"] + keywords["translate"]):
        return False
    layer.features = keywords["features"]
    layer.data = levels
    return True


def place_outlines(data: Any, mpp: PlaceOrMpp) -> dict[str, Any]:
    """Return scale, translate and units for a layer of outlines with this data."""
    if annotations_of_image(data) is None:
        return place_points(mpp)
    return place_raster(Frame(downsample=(data[0].step, data[0].step)), mpp)


def line_width(polygons: Sequence[Polygon], info: SlideInfo) -> float:
    """Return the initial line width in level-0 pixels, limited to a share of the smallest outline."""
    widest = max(info.size_px0) / 500
    smallest = min((polygon.area for polygon in polygons), default=math.inf)
    return float(min(widest, _LINE_SHARE * math.sqrt(smallest)))


def shape_annotations(
    data: Sequence[Any], meta: Mapping[str, Any], *, mpp: PlaceOrMpp, unnamed: str | None = None
) -> list[Annotation]:
    """Convert a layer of outlines to annotations in level-0 pixels. Lines and paths are skipped.

    If the user moved, scaled or rotated the layer, the annotations lie where the layer shows them.

    Parameters
    ----------
    data, meta
        The vertices (or the image) of the layer, and its ``scale``, ``translate``, ``features``, ``shape_type``,
        ``name`` and other transforms, as ``as_layer_data_tuple`` returns them.
    mpp
        Place or resolution of the slide under the layer.
    unnamed
        Class of the shapes if the features of the layer contain no class.

    Raises
    ------
    AnnotationError
        If the features do not have one row for each shape, so that the classes are ambiguous.
    """
    from sam_mil_engine.annotations.model import Annotation, as_area

    behind = annotations_of_image(data)
    if behind is not None:
        return _as_shown(behind, data, meta, mpp)
    rows = feature_rows(meta.get("features"), len(data))
    kinds = meta.get("shape_type", "polygon")
    kinds = [kinds] * len(data) if isinstance(kinds, str) else kinds
    found = []
    for outline in outline_rows(kinds, rows.get(OUTLINE, ()), rows.get(PART, ())):
        members = [(number, _area(data[number], kinds[number], meta, mpp)) for number in outline]
        areas = [area for _, area in members if area is not None]
        if not areas:
            continue
        first = next(number for number, area in members if area is not None)
        classification = feature_text(rows, CLASS, first) or (unnamed if CLASS not in rows else "")
        found.append(
            Annotation(
                feature_text(rows, NAME, first) or f"{meta.get('name', 'shape')} {first + 1}",
                None if classification in (None, "", UNCLASSIFIED) else classification,
                areas[0] if len(areas) == 1 else _union(areas, as_area),
            )
        )
    return found


def drop_extra_rows(layer: Any) -> None:
    """Keep exactly one row of features for each shape of a layer while the user draws.

    napari adds a row when a shape is begun, and does not remove it if the shape turns out to have no area. It emits
    the event before another shape can follow, so the extra row is the last one.
    """

    def drop_last(_event: Any = None) -> None:
        count = len(layer.data)
        if len(layer.features) > count:
            defaults = layer.feature_defaults.copy()
            layer.features = layer.features.iloc[:count]
            layer.feature_defaults = defaults

    layer.events.data.connect(drop_last)


def _column(values: Any) -> npt.NDArray[np.object_]:
    return np.array(list(values), dtype=object)


def _vertices(polygon: Polygon) -> npt.NDArray[np.float64]:
    rings = [np.asarray(ring.coords)[:-1] for ring in (polygon.exterior, *polygon.interiors)]
    return with_holes(rings[0], tuple(rings[1:]))


def _ellipse(corners: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return points on the ellipse in a rectangle (4, 2), which may be rotated."""
    angle = np.linspace(0, 2 * np.pi, _ELLIPSE_CORNERS, endpoint=False)[:, None]
    centre, first, second = corners.mean(axis=0), corners[1] - corners[0], corners[3] - corners[0]
    points: npt.NDArray[np.float64] = centre + np.cos(angle) * first / 2 + np.sin(angle) * second / 2
    return points


def _area(vertices: Any, kind: str, meta: Mapping[str, Any], mpp: PlaceOrMpp) -> Area | None:
    import shapely

    from sam_mil_engine.annotations.model import as_area

    if len(vertices) < 3:
        return None
    points = world_to_points(data_to_world(vertices, meta), mpp)
    area = as_area(shapely.make_valid(shapely.Polygon(_ellipse(points) if kind == "ellipse" else points)))
    return area if area.area > 0 else None


def _union(areas: Sequence[Area], as_area: Any) -> Area:
    import shapely

    joined: Area = as_area(shapely.union_all(list(areas)))
    return joined


def _as_shown(
    annotations: Sequence[Annotation], data: Any, meta: Mapping[str, Any], mpp: PlaceOrMpp
) -> list[Annotation]:
    """Return the annotations of an image where the layer shows them."""
    from dataclasses import replace

    import shapely

    def place(points_px0: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        in_picture = (points_px0 / data[0].step - 0.5)[:, ::-1]
        return world_to_points(data_to_world(in_picture, meta), mpp)

    corners = np.array([[0.0, 0.0], [1000.0, 0.0], [0.0, 1000.0]])
    if np.allclose(place(corners), corners, atol=1e-3):
        return list(annotations)
    areas = shapely.transform(np.array([item.polygon for item in annotations], dtype=object), place)
    return [replace(item, polygon=area) for item, area in zip(annotations, areas, strict=True)]
