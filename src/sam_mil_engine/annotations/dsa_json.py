"""JSON of the Digital Slide Archive (HistomicsTK, HistomicsUI): elements in level-0 pixels."""

from __future__ import annotations

from collections.abc import Mapping
from sys import float_info
from typing import Any

import numpy as np

from .outlines import Reader
from .rings import Points, box_points, ellipse_points, turned

_SHAPES = frozenset({"rectangle", "circle", "ellipse"})


def fits(content: object) -> bool:
    """Whether parsed JSON is one annotation document, or a list of them."""
    if isinstance(content, list):
        return bool(content) and all(isinstance(item, dict) and _elements(item) is not None for item in content)
    return isinstance(content, dict) and _elements(content) is not None


def _elements(document: Mapping[str, Any]) -> list[Any] | None:
    inner = document.get("annotation", document)
    found = inner.get("elements") if isinstance(inner, dict) else None
    return found if isinstance(found, list) else None


def read(reader: Reader, content: Any) -> None:
    """Add closed polylines with their holes, rectangles, circles and ellipses.

    The class is the element's group, or else its label. Points, arrows, open lines, grids and images are noted and
    left out.
    """
    for place, document in enumerate(content if isinstance(content, list) else [content]):
        for number, item in enumerate(_elements(document) or []):
            element = f"document {place}, element {number}" if isinstance(content, list) else f"element {number}"
            if not isinstance(item, dict):
                raise reader.error("it is not an object", element=element)
            label = item.get("label")
            label = str(label.get("value") or "") if isinstance(label, dict) else ""
            kind = str(item.get("type", "element without a type"))
            if not _closed(item, kind):
                reader.skip("open line" if kind == "polyline" else kind, element=element)
                continue
            holes = item.get("holes") or []
            if not isinstance(holes, list):
                raise reader.error("its holes are not a list", element=element)
            with reader.each_shape():
                area = reader.area(_outline(reader, item, kind, element), holes, element=element)
                reader.add(label or f"Annotation {number}", str(item.get("group") or "") or label or None, area)


def _closed(item: Mapping[str, Any], kind: str) -> bool:
    """Whether an element has an area by its kind."""
    return bool(item.get("closed")) if kind == "polyline" else kind in _SHAPES


def _outline(reader: Reader, item: Mapping[str, Any], kind: str, element: str) -> object:
    """Return the outer ring of a closed element; None where a polyline has no points."""
    if kind == "polyline":
        return item.get("points")
    middle = np.array([_number(reader, value, "center", element) for value in _pair(item.get("center"))])
    if len(middle) != 2:
        raise reader.bad_shape("its center is not a point", element=element)
    if kind == "circle":
        half = np.full(2, _number(reader, item.get("radius"), "radius", element))
    else:
        half = np.array([_number(reader, item.get(name), name, element) for name in ("width", "height")]) / 2
    corners = np.array([middle - half, middle + half])
    points: Points = box_points(corners) if kind == "rectangle" else ellipse_points(corners)
    return turned(points, _number(reader, item.get("rotation") or 0, "rotation", element))


def _pair(value: object) -> list[object]:
    return list(value[:2]) if isinstance(value, list) else []


def _number(reader: Reader, value: object, name: str, element: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= float_info.max:
        raise reader.bad_shape(f"its {name} is not a finite number", element=element)
    return float(value)
