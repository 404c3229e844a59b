"""NDPA, the annotations of Hamamatsu's NDP.view: nanometres from the centre of the glass."""

from __future__ import annotations

from xml.etree.ElementTree import Element

import numpy as np

from ..slide.place import SlidePlace
from .outlines import Reader
from .rings import Points, ellipse_points
from .xml_numbers import parsed

_HINT = "Give the slide it belongs to (an .ndpi file with its resolution), or export GeoJSON from QuPath"


def fits(root: Element) -> bool:
    """Whether parsed XML is of this format."""
    return root.tag == "annotations" and root.find("ndpviewstate") is not None


def read(reader: Reader, root: Element) -> None:
    """Add closed freehand outlines, rectangles and circles; the class is the title, as people use it.

    Open outlines, pins, pointers and rulers are noted and left out.

    Raises
    ------
    AnnotationError
        If the slide is not given, or does not say where the centre of the glass is.
    """
    place = reader.place
    if place is None:
        raise reader.error(
            "NDPA coordinates are in nanometres from the centre of the glass, and only the slide file "
            "says where that is",
            hint=_HINT,
        )
    for number, view in enumerate(root.iterfind("./ndpviewstate")):
        title = (view.findtext("title") or "").strip()
        name = title or f"Annotation {view.get('id', number + 1)}"
        for shape in view.iterfind("annotation"):
            element = f"ndpviewstate {view.get('id', number + 1)} {name!r}"
            kind = shape.get("displayname") or shape.get("type") or "shape without a type"
            with reader.each_shape():
                points = _points(reader, shape, element)
                if points is None:
                    reader.skip(kind, element=element)
                    continue
                area = reader.area(_on_slide(reader, place, points), element=element)
                reader.add(name, title or None, area)


def _points(reader: Reader, shape: Element, element: str) -> Points | None:
    """Return the outline of a shape in nanometres (n, 2), or None where it has no area by its kind."""

    def value(name: str) -> float:
        return parsed(reader, shape.findtext(name) or "", f"{element}: {name}")

    if shape.get("type") == "circle":
        middle, radius = np.array([value("x"), value("y")]), value("radius")
        return ellipse_points(np.array([middle - radius, middle + radius]))
    if shape.get("type") != "freehand" or (shape.findtext("closed") or "1").strip() == "0":
        return None
    rows = [
        [parsed(reader, point.findtext(axis) or "", f"{element}: point {number}") for axis in "xy"]
        for number, point in enumerate(shape.iterfind("./pointlist/point"))
    ]
    return np.array(rows, dtype=np.float64).reshape(-1, 2)


def _on_slide(reader: Reader, place: SlidePlace, points_nm: Points) -> Points:
    try:
        return place.from_glass_nm(points_nm)
    except ValueError as error:
        raise reader.error(str(error), hint=_HINT) from error
