"""JSON of many shapes, parsed one shape at a time.

``json.loads`` keeps Python's lock until it is through, and a window stands still for as long. Python's garbage
collector also looks at millions of points again and again, which takes longer than the parsing; rings become arrays
here, which it passes over.
"""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np

_SPACE = re.compile(r"[ \t\n\r]*")
#: Objects inside objects that are parsed one key at a time, on the way to the list of shapes.
_DEPTH = 3


def load_json(data: bytes) -> Any:
    """Parse JSON in UTF-8, UTF-16 or UTF-32 as ``json.loads`` does, but rings of points may be arrays (n, 2).

    Raises
    ------
    ValueError, RecursionError
        As ``json.loads`` raises them; UnicodeDecodeError is a ValueError.
    """
    text = data.decode(json.detect_encoding(data))
    try:
        value, end = _value(text, _skip(text, 0), _DEPTH)
    except (ValueError, IndexError):
        return json.loads(text)  # says what is wrong, and where
    return value if _skip(text, end) == len(text) else json.loads(text)


def _value(text: str, place: int, depth: int) -> tuple[Any, int]:
    if text[place] == "{" and depth:
        return _object(text, place, depth)
    if text[place] == "[":
        return _list(text, place)
    return _DECODER.raw_decode(text, place)


def _object(text: str, place: int, depth: int) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    place = _skip(text, place + 1)
    while text[place] != "}":
        if text[place] != '"':
            raise ValueError("a name is missing")
        name, place = _DECODER.raw_decode(text, place)
        place = _skip(text, place)
        if text[place] != ":":
            raise ValueError("a colon is missing")
        found[name], place = _value(text, _skip(text, place + 1), depth - 1)
        place = _next(text, place, "}")
    return _with_arrays(found), place + 1


def _list(text: str, place: int) -> tuple[list[Any], int]:
    found: list[Any] = []
    place = _skip(text, place + 1)
    while text[place] != "]":
        item, place = _DECODER.raw_decode(text, place)
        found.append(item)
        place = _next(text, place, "]")
    return found, place + 1


def _next(text: str, place: int, end: str) -> int:
    """Return the place of the next item, or that of the sign that ends the list or object."""
    place = _skip(text, place)
    if text[place] == end:
        return place
    if text[place] != ",":
        raise ValueError("a comma is missing")
    place = _skip(text, place + 1)
    if text[place] == end:
        raise ValueError("nothing follows the comma")
    return place


def _skip(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    return place if match is None else match.end()


def _with_arrays(item: dict[str, Any]) -> dict[str, Any]:
    """Make arrays of the rings of a GeoJSON polygon, of the points of an element, and of a CAMELYON outline."""
    kind, coordinates = item.get("type"), item.get("coordinates")
    if kind == "Polygon" and isinstance(coordinates, list):
        item["coordinates"] = [_ring(ring) for ring in coordinates]
    elif kind == "MultiPolygon" and isinstance(coordinates, list):
        item["coordinates"] = [
            [_ring(ring) for ring in part] if isinstance(part, list) else part for part in coordinates
        ]
    for name in ("points", "vertices"):
        if name in item:
            item[name] = _ring(item[name])
    return item


def _ring(points: Any) -> Any:
    """Return an array of points; whatever else it is stays, for the reader to say what is wrong with it."""
    try:
        ring = np.array(points)
    except (ValueError, OverflowError):
        return points
    return ring if ring.ndim == 2 and len(ring) > 3 and ring.dtype.kind in "if" else points


_DECODER = json.JSONDecoder(object_hook=_with_arrays)
