"""One shape whose coordinates are not numbers is left out, named and counted; the others of its file are read."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

import pytest

from sam_mil_engine.annotations import read_annotation_file, read_annotations
from sam_mil_engine.errors import AnnotationError
from sam_mil_engine.slide.place import SlidePlace

SQUARE = [[0, 0], [10, 0], [10, 10], [0, 10]]
#: What may stand in place of a coordinate.
BAD: dict[str, Any] = {"NaN": float("nan"), "infinite": float("inf"), "text": "east", "null": None}


def geojson(*rings: list[list[Any]]) -> str:
    items = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
            "properties": {"name": f"shape {number}"},
        }
        for number, ring in enumerate(rings)
    ]
    return json.dumps(items)


def dsa(*rings: list[list[Any]]) -> str:
    items = [
        {"type": "polyline", "closed": True, "points": [[*point, 0] for point in ring], "label": {"value": "shape"}}
        for ring in rings
    ]
    return json.dumps({"elements": items})


def camelyon(*rings: list[list[Any]]) -> str:
    return json.dumps({"positive": [{"name": f"shape {k}", "vertices": ring} for k, ring in enumerate(rings)]})


def asap(*rings: list[list[Any]]) -> str:
    shapes = "".join(
        f'<Annotation Name="shape {number}" Type="Polygon"><Coordinates>'
        + "".join(f'<Coordinate Order="{k}" X="{_xml(x)}" Y="{_xml(y)}"/>' for k, (x, y) in enumerate(ring))
        + "</Coordinates></Annotation>"
        for number, ring in enumerate(rings)
    )
    return f"<ASAP_Annotations><Annotations>{shapes}</Annotations></ASAP_Annotations>"


def imagescope(*rings: list[list[Any]], kind: int = 0) -> str:
    regions = "".join(
        f'<Region Id="{number}" Type="{kind}"><Vertices>'
        + "".join(f'<Vertex X="{_xml(x)}" Y="{_xml(y)}"/>' for x, y in ring)
        + "</Vertices></Region>"
        for number, ring in enumerate(rings)
    )
    return f"<Annotations><Annotation><Regions>{regions}</Regions></Annotation></Annotations>"


def ndpa(*rings: list[list[Any]]) -> str:
    views = "".join(
        f'<ndpviewstate id="{number}"><title>shape</title><annotation type="freehand"><pointlist>'
        + "".join(f"<point><x>{_xml(x)}</x><y>{_xml(y)}</y></point>" for x, y in ring)
        + "</pointlist></annotation></ndpviewstate>"
        for number, ring in enumerate(rings)
    )
    return f"<annotations>{views}</annotations>"


def _xml(value: Any) -> str:
    return "" if value is None else str(value)


FORMATS = {one.__name__: one for one in (geojson, dsa, camelyon, asap, imagescope, ndpa)}
SLIDE = SlidePlace((4000, 2000), None, (0.5, 0.5), (0.0, 0.0))


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("form", FORMATS)
def test_a_shape_with_a_coordinate_that_is_not_a_number_is_left_out(
    put: Any, caplog: pytest.LogCaptureFixture, form: str, bad: str
) -> None:
    broken = [[0, 0], [BAD[bad], 0], [10, 10], [0, 10]]
    with caplog.at_level(logging.WARNING):
        found = read_annotation_file(put(FORMATS[form](broken, SQUARE)), info=SLIDE)
    (kept,) = found.annotations
    assert kept.polygon.area > 0
    assert "1" in kept.name or form in ("dsa", "ndpa")
    assert found.left_out == {"shape with coordinates that are not numbers": 1}
    assert found.summary == "1 shape was left out (1 × shape with coordinates that are not numbers)."
    (note,) = found.notes
    assert "number" in note
    assert note.endswith("the shape was left out")
    assert any(note in line for line in caplog.messages)


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_of_nothing_else_is_refused_with_the_first_reason(put: Any, form: str) -> None:
    path = put(FORMATS[form]([[0, 0], ["east", 0], [10, 10]]))
    with pytest.raises(AnnotationError, match="only 1 × shape with coordinates that are not numbers") as caught:
        read_annotations(path, info=SLIDE)
    assert "number" in caught.value.what.partition(". ")[2]
    assert "export it again" in caught.value.hint


def test_a_missing_coordinate_in_xml_leaves_out_its_shape(put: Any) -> None:
    for write, name in ((asap, "X"), (asap, "Order"), (imagescope, "Y")):
        text = re.sub(f' {name}="[^"]*"', "", write(SQUARE, SQUARE), count=1)
        found = read_annotation_file(put(text))
        assert len(found.annotations) == 1
        assert f"there is no {name}" in found.notes[0]


def test_a_part_with_bad_coordinates_leaves_the_other_parts(put: Any) -> None:
    ring = [*SQUARE, SQUARE[0]]
    geometry = {"type": "MultiPolygon", "coordinates": [[ring], [[[0, 0], [None, 1], [2, 2], [0, 0]]]]}
    found = read_annotation_file(put(json.dumps({"type": "Feature", "geometry": geometry, "properties": {}})))
    assert [item.polygon.area for item in found.annotations] == [100]
    assert "part 1" in found.notes[-1]


@pytest.mark.parametrize(
    "change", [{"center": [None, 1]}, {"center": "here"}, {"radius": 10**400}, {"radius": None}]
)
def test_a_circle_without_numbers_is_left_out(put: Any, change: dict[str, Any]) -> None:
    circle = {"type": "circle", "center": [50, 50, 0], "radius": 5}
    found = read_annotation_file(put(json.dumps({"elements": [circle | change, circle]})))
    assert len(found.annotations) == 1
    assert found.left_out == {"shape with coordinates that are not numbers": 1}


def test_an_ellipse_by_its_box_without_numbers_is_left_out(put: Any) -> None:
    found = read_annotation_file(put(imagescope([[0, 0], [float("inf"), 4]], [[0, 0], [8, 4]], kind=2)))
    assert len(found.annotations) == 1
