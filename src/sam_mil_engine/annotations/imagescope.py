"""Aperio ImageScope XML and HALO ``.annotations``: layers of regions of vertices.

Both have ``<Annotations><Annotation><Regions><Region><Vertices>``. ImageScope numbers its region types and has
``<Vertex>``; HALO writes them out and has ``<V>``. In both ``NegativeROA="1"`` is a hole in the outlines of its
layer around it; an outline in a hole is an island.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element

import numpy as np

from .outlines import Reader
from .rings import Points, box_points, ellipse_points
from .xml_numbers import number_of

_KINDS = {"0": "polygon", "1": "rectangle", "2": "ellipse", "3": "arrow", "4": "ruler"}
_CLOSED = frozenset({"polygon", "rectangle", "ellipse"})


def read(reader: Reader, root: Element) -> None:
    """Add the regions below ``<Annotations>``; rulers, arrows, pins and open lines are noted and left out."""
    for number, layer in enumerate(root.iterfind("./Annotation")):
        _read_layer(reader, layer, number)


def _read_layer(reader: Reader, layer: Element, number: int) -> None:
    classification = _classification(layer)
    label = classification or f"Layer {layer.get('Id', number + 1)}"
    before, holes = len(reader.annotations), []
    for count, region in enumerate(layer.iterfind("./Regions/Region")):
        element = f"Annotation {number + 1} ({label}), Region {region.get('Id', count + 1)}"
        kind = _kind(region)
        if kind not in _CLOSED:
            reader.skip(kind, element=element)
            continue
        with reader.each_shape():
            area = reader.area(_outline(reader, region, kind, element), element=element)
            if region.get("NegativeROA") in ("1", "True", "true"):
                holes.append(area)
            else:
                reader.add(region.get("Text") or f"{label} {region.get('Id', count + 1)}", classification, area)
    reader.cut(holes, start=before)


def _classification(layer: Element) -> str | None:
    """Return the layer's name, or what its first attribute says (ImageScope's default one says nothing)."""
    name = (layer.get("Name") or "").strip()
    attribute = layer.find("./Attributes/Attribute")
    if not name and attribute is not None:
        name = (attribute.get("Value") or "").strip() or (attribute.get("Name") or "").strip()
        name = "" if name == "Description" else name
    return name or None


def _kind(region: Element) -> str:
    kind = region.get("Type", "0")
    kind = _KINDS.get(kind, kind).lower()
    return "open line" if kind == "polygon" and region.get("HasEndcaps", "0") == "1" else kind


def _outline(reader: Reader, region: Element, kind: str, element: str) -> Points:
    """Return the corners of a region; two vertices of a rectangle or an ellipse are opposite corners of its box."""
    points = []
    for number, vertex in enumerate([*region.iterfind("./Vertices/Vertex"), *region.iterfind("./Vertices/V")]):
        where = f"{element}: vertex {number}"
        points.append([number_of(reader, vertex, name, where) for name in ("X", "Y")])
    outline = np.array(points, dtype=np.float64).reshape(-1, 2)
    if len(outline) == 2 and kind == "rectangle":
        return box_points(outline)
    if len(outline) == 2 and kind == "ellipse":
        return ellipse_points(outline)
    return outline
