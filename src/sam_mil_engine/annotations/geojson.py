"""GeoJSON as QuPath reads and writes it (RFC 7946 geometries in pixels; properties name and classification)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely import MultiPolygon, Polygon

from ..errors import AnnotationError
from ..files import atomic_write
from ..slide.info import SlideInfo
from .model import Annotation, as_area
from .outlines import Reader

_LINES = frozenset({"Point", "MultiPoint", "LineString", "MultiLineString"})
#: RGB by class name for programs that show it: QuPath's own red for tumour, its green for what is not known.
_COLOURS = {"tumor": (200, 0, 0), "tumour": (200, 0, 0)}
_OTHER_COLOUR = (0, 150, 0)


def fits(content: object) -> bool:
    """Whether parsed JSON is a Feature, a FeatureCollection or an array of Features."""
    if isinstance(content, list):
        return all(isinstance(item, dict) and item.get("type") == "Feature" for item in content)
    return isinstance(content, dict) and content.get("type") in ("Feature", "FeatureCollection")


def read(reader: Reader, content: Any, *, info: SlideInfo | None = None) -> None:
    """Add the polygons of parsed GeoJSON.

    QuPath crops a slide to its bounds, so that its coordinates count from their corner; ``info`` undoes that.
    """
    features = content
    if isinstance(content, dict):
        features = [content] if content["type"] == "Feature" else content.get("features")
    if not isinstance(features, list):
        raise reader.error("the FeatureCollection has no list of features", element="features")
    shift = _bounds_origin(info)
    for number, feature in enumerate(features):
        if not isinstance(feature, dict) or feature.get("type") != "Feature":
            raise reader.error("it is not a Feature", element=f"features[{number}]")
        properties = feature.get("properties") or {}
        if not isinstance(properties, dict):
            raise reader.error("the properties are not an object", element=f"features[{number}]")
        name = str(properties.get("name") or f"Annotation {number}")
        element = f"features[{number}] {name!r}"
        area = _area(reader, feature.get("geometry"), element)
        if area is not None:
            reader.add(name, _class_name(properties), _moved(area, shift))


def _area(reader: Reader, geometry: Any, element: str) -> Polygon | MultiPolygon | None:
    if not isinstance(geometry, dict):
        raise reader.error("there is no geometry", element=element)
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind in _LINES:
        reader.skip(str(kind), element=element)
        return None
    if kind == "GeometryCollection":
        members = geometry.get("geometries")
        if not isinstance(members, list):
            raise reader.error("the GeometryCollection has no geometries", element=element)
        areas = [_area(reader, member, f"{element}, geometry {number}") for number, member in enumerate(members)]
        found = [area for area in areas if area is not None]
        return as_area(shapely.union_all(found)) if found else None
    if kind not in ("Polygon", "MultiPolygon"):
        raise reader.error(f"there is no GeoJSON geometry {kind!r}", element=element)
    if not isinstance(coordinates, list) or not coordinates:
        raise reader.error(f"the {kind} has no coordinates", element=element)
    polygons = [coordinates] if kind == "Polygon" else coordinates
    if not all(isinstance(rings, list) and rings for rings in polygons):
        raise reader.error(f"the {kind} is not made of rings", element=element)
    if len(polygons) == 1:
        return reader.area(polygons[0][0], polygons[0][1:], element=element)
    parts = [
        Polygon(
            reader.ring(rings[0], element=f"{element}, part {number}"),
            [reader.ring(hole, element=f"{element}, part {number}, a hole") for hole in rings[1:]],
        )
        for number, rings in enumerate(polygons)
    ]
    return reader.valid(MultiPolygon(parts), element=element)


def _class_name(properties: Mapping[str, Any]) -> str | None:
    """QuPath: an object with ``name``, or ``names`` of a derived class; others write the bare string."""
    found = properties.get("classification")
    if isinstance(found, Mapping):
        names = found.get("names")
        found = found.get("name") or (": ".join(map(str, names)) if isinstance(names, list) else None)
    return str(found) if found else None


def _bounds_origin(info: SlideInfo | None) -> tuple[float, float]:
    if info is None or info.bounds_px0 is None:
        return 0.0, 0.0
    return float(info.bounds_px0[0]), float(info.bounds_px0[1])


def _moved(area: Polygon | MultiPolygon, shift: tuple[float, float]) -> Polygon | MultiPolygon:
    if shift == (0.0, 0.0):
        return area
    moved = shapely.transform(area, lambda points: points + np.asarray(shift))
    assert isinstance(moved, Polygon | MultiPolygon)
    return moved


def write_geojson(
    path: str | PathLike[str],
    annotations: Iterable[Annotation],
    *,
    info: SlideInfo | None = None,
    properties: Sequence[Mapping[str, Any]] | None = None,
) -> Path:
    """Write annotations so that QuPath reads them; the file appears whole or not at all.

    Parameters
    ----------
    path
        The file to write.
    annotations
        Areas in level-0 pixels.
    info
        The slide; with it, coordinates are moved to the corner of its bounds, where QuPath counts from.
    properties
        More properties for each annotation, JSON values by name; numbers among them become QuPath measurements.

    Raises
    ------
    AnnotationError
        If ``properties`` has another length than ``annotations``.
    ProjectError
        If the file cannot be written.
    """
    path, annotations = Path(path), list(annotations)
    if properties is not None and len(properties) != len(annotations):
        raise AnnotationError(f"{len(annotations)} annotations have {len(properties)} properties", where=path)
    left, top = _bounds_origin(info)
    features = [
        _feature(number, annotation, (-left, -top), {} if properties is None else properties[number])
        for number, annotation in enumerate(annotations)
    ]
    try:
        text = json.dumps({"type": "FeatureCollection", "features": features}, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise AnnotationError(f"a property is not JSON ({error})", where=path) from error
    atomic_write(path, text)
    return path


def _feature(
    number: int, annotation: Annotation, shift: tuple[float, float], extra: Mapping[str, Any]
) -> dict[str, Any]:
    plain: dict[str, Any] = {"objectType": "annotation", "name": annotation.name}
    if annotation.classification is not None:
        colour = _COLOURS.get(annotation.classification.lower(), _OTHER_COLOUR)
        plain["classification"] = {"name": annotation.classification, "color": list(colour)}
    numbers = {key: value for key, value in extra.items() if type(value) in (int, float)}
    return {
        "type": "Feature",
        # QuPath wants a UUID; made from the content, the same input gives the same file
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{number} {annotation.name} {annotation.polygon.wkb_hex}")),
        "geometry": shapely.geometry.mapping(_moved(annotation.polygon, shift)),
        "properties": {**extra, **plain, **({"measurements": numbers} if numbers else {})},
    }
