"""GeoJSON as QuPath reads and writes it (RFC 7946 geometries in pixels; properties name and classification)."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from ..errors import AnnotationError
from ..files import atomic_write
from ..slide.info import SlideInfo
from ..slide.place import SlidePlace
from .model import Annotation, Area, require_placed
from .outlines import Reader

logger = logging.getLogger(__name__)

#: What QuPath calls a patch of a regular grid.
TILE = "tile"
_LINES = frozenset({"Point", "MultiPoint", "LineString", "MultiLineString"})
_GEOMETRIES = _LINES | {"Polygon", "MultiPolygon", "GeometryCollection"}
_FEATURES = frozenset({"Feature", "FeatureCollection"})
#: RGB by class name for programs that show it: QuPath's own red for tumour, its green for what is not known.
_COLOURS = {"tumor": (200, 0, 0), "tumour": (200, 0, 0)}
_OTHER_COLOUR = (0, 150, 0)


def fits(content: object) -> bool:
    """Whether parsed JSON is a geometry, a Feature, a FeatureCollection or an array of Features."""
    if isinstance(content, list):
        return all(isinstance(item, dict) and item.get("type") == "Feature" for item in content)
    return isinstance(content, dict) and _kind(content) in _FEATURES | _GEOMETRIES


def _kind(item: Mapping[str, Any]) -> str:
    """Return the GeoJSON type of an object; empty where it has none."""
    kind = item.get("type")
    return kind if isinstance(kind, str) else ""


def read(reader: Reader, content: Any, *, plane: tuple[int, int] | None = (0, 0)) -> None:
    """Add the polygons of parsed GeoJSON that lie on one plane (z, t) of the slide; the first with a shape if None.

    QuPath crops a slide to its bounds, so that its coordinates count from their corner; the reader's ``place``
    undoes that. Without it, the annotations say that they are not placed.
    """
    place = reader.place
    if place is not None and not place.bounds_known:
        reader.note(
            "it is not known whether the slide has bounds; coordinates are counted from the corner of its file"
        )
    features = _features(reader, content)
    reader.plane = _first_plane(features) if plane is None else plane
    tiles = 0
    for number, feature in enumerate(features):
        if not isinstance(feature, dict) or feature.get("type") != "Feature":
            raise reader.error("it is not a Feature", element=f"features[{number}]")
        properties = feature.get("properties") or {}
        if not isinstance(properties, dict):
            raise reader.error("the properties are not an object", element=f"features[{number}]")
        name = str(properties.get("name") or f"Annotation {number}")
        if properties.get("objectType") == TILE:
            tiles += 1
            continue
        element = f"features[{number}] {name!r}"
        geometry = feature.get("geometry")
        if (other := _plane(geometry)) not in (None, reader.plane):
            reader.elsewhere(other, element=element)
            continue
        area = _area(reader, geometry, element)
        if area is not None and place is not None and place.bounds_px0 is not None:
            area = _moved(area, place.from_bounds)
        reader.add(name, _class_name(properties), area, placed=place is not None)
    if tiles:
        reader.note(f"{tiles} tiles, which are no outlines but a map of patches, were left out")


def _features(reader: Reader, content: Any) -> list[Any]:
    if isinstance(content, list):
        return content
    if _kind(content) in _GEOMETRIES:
        return [{"type": "Feature", "geometry": content}]
    features = [content] if _kind(content) == "Feature" else content.get("features")
    if not isinstance(features, list):
        raise reader.error("the FeatureCollection has no list of features", element="features")
    return features


def _plane(geometry: Any) -> tuple[int, int] | None:
    """Return the plane (z, t) on which QuPath says that a shape lies; None where it says nothing."""
    where = geometry.get("plane") if isinstance(geometry, dict) else None
    if not isinstance(where, dict):
        return None
    z, t = (value if isinstance(value := where.get(name), int) else 0 for name in "zt")
    return z, t


def _first_plane(features: Sequence[Any]) -> tuple[int, int]:
    """Return the first plane of the slide, or the first with a shape where there is none on that."""
    planes = {_plane(feature.get("geometry")) or (0, 0) for feature in features if isinstance(feature, dict)}
    return (0, 0) if (0, 0) in planes or not planes else min(planes)


def _area(reader: Reader, geometry: Any, element: str) -> Area | None:
    if geometry is None:  # valid (RFC 7946, section 3.2)
        reader.skip("object without a geometry", element=element)
        return None
    if not isinstance(geometry, dict):
        raise reader.error("the geometry is not an object", element=element)
    kind, coordinates = _kind(geometry), geometry.get("coordinates")
    if kind in _LINES:
        reader.skip(kind, element=element)
        return None
    if kind == "GeometryCollection":
        members = geometry.get("geometries")
        if not isinstance(members, list):
            raise reader.error("the GeometryCollection has no geometries", element=element)
        parts = [_area(reader, member, f"{element}, geometry {number}") for number, member in enumerate(members)]
        return reader.union(parts, element=element)
    if kind not in ("Polygon", "MultiPolygon"):
        raise reader.error(f"there is no GeoJSON geometry {kind!r}", element=element)
    coordinates = [] if coordinates is None else coordinates
    if not isinstance(coordinates, list):
        raise reader.error(f"the {kind} has no coordinates", element=element)
    polygons = [coordinates] if kind == "Polygon" else [rings or [] for rings in coordinates]
    if not all(isinstance(rings, list) for rings in polygons):
        raise reader.error(f"the {kind} is not made of rings", element=element)
    if not polygons:
        reader.skip("shape without a point", element=element)
    parts = []
    for number, rings in enumerate(polygons):
        part = element if len(polygons) == 1 else f"{element}, part {number}"
        with reader.each_shape():
            parts.append(reader.area(rings[0] if rings else [], rings[1:], element=part))
    return reader.union(parts, element=element)


def _class_name(properties: Mapping[str, Any]) -> str | None:
    """QuPath: an object with ``name``, or ``names`` of a derived class; others write the bare string."""
    found = properties.get("classification")
    if isinstance(found, Mapping):
        names = found.get("names")
        found = found.get("name") or (": ".join(map(str, names)) if isinstance(names, list) else None)
    return str(found) if found else None


def _moved(area: Area, move: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]) -> Area:
    moved: Area = shapely.transform(area, move)
    return moved


def write_geojson(
    path: str | PathLike[str],
    annotations: Iterable[Annotation],
    *,
    info: SlideInfo | SlidePlace | None,
    properties: Sequence[Mapping[str, Any]] | None = None,
    kinds: Sequence[str] | None = None,
) -> Path:
    """Write annotations so that QuPath reads them; the file appears whole or not at all.

    Parameters
    ----------
    path
        The file to write.
    annotations
        Areas in level-0 pixels.
    info
        The slide: coordinates are moved to the corner of its bounds, where QuPath counts from. None says that there
        is no slide with bounds, and nothing is moved. Where it is not known whether the slide has bounds, the log
        says so.
    properties
        More properties for each annotation, JSON values by name; numbers among them become QuPath measurements.
    kinds
        What each is in QuPath: ``annotation`` (where None), ``detection`` or ``tile``.

    Raises
    ------
    AnnotationError
        If ``properties`` or ``kinds`` has another length than ``annotations``, or an annotation was read without
        its slide.
    ProjectError
        If the file cannot be written.
    """
    path, annotations = Path(path), list(annotations)
    if properties is not None and len(properties) != len(annotations):
        raise AnnotationError(f"{len(annotations)} annotations have {len(properties)} properties", where=path)
    kinds = ["annotation"] * len(annotations) if kinds is None else kinds
    if len(kinds) != len(annotations):
        raise AnnotationError(f"{len(annotations)} annotations have {len(kinds)} kinds", where=path)
    require_placed(annotations)
    place = info.place if isinstance(info, SlideInfo) else info or SlidePlace()
    if not place.bounds_known:
        logger.warning(
            "%s: it is not known whether the slide has bounds; coordinates are counted from the corner "
            "of the slide",
            path,
        )
    features = (
        _feature(number, annotation, place, {} if properties is None else properties[number], kinds[number])
        for number, annotation in enumerate(annotations)
    )
    try:
        # one by one: json keeps Python's lock until it is through, and a window would stand still for thousands
        written = ", ".join(json.dumps(feature, allow_nan=False) for feature in features)
    except (TypeError, ValueError) as error:
        raise AnnotationError(f"a property is not JSON ({error})", where=path) from error
    atomic_write(path, f'{{"type": "FeatureCollection", "features": [{written}]}}')
    return path


def _feature(
    number: int, annotation: Annotation, place: SlidePlace, extra: Mapping[str, Any], kind: str
) -> dict[str, Any]:
    plain: dict[str, Any] = {"objectType": kind, "name": annotation.name}
    if annotation.classification is not None:
        colour = _COLOURS.get(annotation.classification.lower(), _OTHER_COLOUR)
        plain["classification"] = {"name": annotation.classification, "color": list(colour)}
    # a name may hold half a surrogate pair, which is JSON but has no bytes in UTF-8
    content = f"{number} {annotation.name} {annotation.polygon.wkb_hex}".encode("utf-8", "replace").decode()
    numbers = {key: value for key, value in extra.items() if type(value) in (int, float)}
    return {
        "type": "Feature",
        # QuPath wants a UUID; made from the content, the same input gives the same file
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, content)),
        "geometry": shapely.geometry.mapping(
            annotation.polygon if place.bounds_px0 is None else _moved(annotation.polygon, place.to_bounds)
        ),
        "properties": {**({"measurements": numbers} if numbers else {}), **extra, **plain},
    }
