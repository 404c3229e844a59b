"""ASAP and ImageScope XML, written here."""

from __future__ import annotations

import numpy as np
import pytest

from sam_mil_engine.annotations import read_annotations
from sam_mil_engine.errors import AnnotationError


def asap(name: str, points: list[tuple[float, float]], group: str = "None", kind: str = "Polygon") -> str:
    rows = "".join(f'<Coordinate Order="{i}" X="{x}" Y="{y}"/>' for i, (x, y) in enumerate(points))
    start = f'<Annotation Name="{name}" Type="{kind}" PartOfGroup="{group}">'
    return f"{start}<Coordinates>{rows}</Coordinates></Annotation>"


def asap_file(*annotations: str, groups: str = "") -> str:
    return (
        f"<ASAP_Annotations><Annotations>{''.join(annotations)}</Annotations>"
        f"<AnnotationGroups>{groups}</AnnotationGroups></ASAP_Annotations>"
    )


BIG = [(0.0, 0.0), (100.0, 0.0), (100.0, 100.0), (0.0, 100.0)]
SMALL = [(40.0, 40.0), (60.0, 40.0), (60.0, 60.0), (40.0, 60.0)]


@pytest.mark.parametrize("group", ["_2", "Exclusion", "exclusion", "normal"])
def test_asap_exclusions_are_subtracted(put, group: str) -> None:
    (tumour,) = read_annotations(put(asap_file(asap("t", BIG, "_0"), asap("e", SMALL, group))))
    assert (tumour.classification, tumour.polygon.area) == ("Tumor", 10000 - 400)


def test_asap_nested_groups(put) -> None:
    groups = '<Group Name="Exclusion"/><Group Name="fold" PartOfGroup="Exclusion"/>'
    groups += '<Group Name="dcis" PartOfGroup="tumour"/>'
    text = asap_file(asap("t", BIG, "dcis"), asap("f", SMALL, "fold"), groups=groups)
    (tumour,) = read_annotations(put(text))
    assert (tumour.classification, tumour.polygon.area) == ("dcis", 9600)
    circle = '<Group Name="a" PartOfGroup="b"/><Group Name="b" PartOfGroup="a"/>'
    with pytest.raises(AnnotationError, match="contains itself"):
        read_annotations(put(asap_file(asap("t", BIG, "a"), groups=circle)))


def test_asap_points_come_in_their_order(put) -> None:
    text = asap_file(asap("t", BIG)).replace('Order="1"', 'Order="x"').replace('Order="2"', 'Order="1"')
    text = text.replace('Order="x"', 'Order="2"')
    (annotation,) = read_annotations(put(text))
    assert annotation.polygon.area == 5000  # the swapped square is a bow tie


def test_an_outline_that_is_wholly_excluded(put, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(AnnotationError, match="fully excluded"):
        read_annotations(put(asap_file(asap("t", SMALL, "_0"), asap("e", BIG, "_2"))))
    with pytest.raises(AnnotationError, match="excluded area"):
        read_annotations(put(asap_file(asap("e", BIG, "_2"))))
    assert any("nothing of t is left" in line for line in caplog.messages)


def imagescope(*regions: str, name: str = "Tumor") -> str:
    layer = f'<Annotation Id="1" Name="{name}"><Regions>{"".join(regions)}</Regions></Annotation>'
    return f"<Annotations>{layer}</Annotations>"


def region(points: list[tuple[float, float]], **attributes: object) -> str:
    rows = "".join(f'<Vertex X="{x}" Y="{y}" Z="0"/>' for x, y in points)
    named = " ".join(f'{key}="{value}"' for key, value in attributes.items())
    return f"<Region {named}><Vertices>{rows}</Vertices></Region>"


def test_imagescope_holes_stay_in_their_layer(put) -> None:
    text = imagescope(region(BIG, Id=1, Type=0, Text="core"), region(SMALL, Id=2, Type=0, NegativeROA=1))
    other = imagescope(region(BIG, Id=1, Type=0), name="Stroma")
    both = text.replace("</Annotations>", "") + other.replace("<Annotations>", "")
    tumour, stroma = read_annotations(put(both))
    assert (tumour.name, tumour.polygon.area) == ("core", 9600)
    assert (stroma.name, stroma.polygon.area) == ("Stroma 1", 10000)


def test_imagescope_two_corner_shapes_and_rulers(put, caplog: pytest.LogCaptureFixture) -> None:
    corners = [(0.0, 0.0), (100.0, 50.0)]
    text = imagescope(region(corners, Type=1), region(corners, Type=2), region(corners, Type=4, Id=9))
    rectangle, ellipse = read_annotations(put(text))
    assert rectangle.polygon.area == 5000
    assert ellipse.polygon.area == pytest.approx(np.pi * 50 * 25, rel=3e-4)
    assert any("Region 9" in line and "ruler" in line for line in caplog.messages)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (asap_file(asap("p", BIG)).replace('X="0.0"', 'X="NaN"'), "coordinate 0: 'NaN' is not a number"),
        (asap_file(asap("p", BIG)).replace('X="0.0"', 'X="east"'), "coordinate 0: 'east' is not a number"),
        (asap_file(asap("p", BIG)).replace('Order="1"', ""), "coordinate 1: there is no Order"),
        (imagescope(region(BIG, Type=0)).replace('Y="0.0"', ""), "vertex 0: there is no Y"),
    ],
)
def test_malformed_xml_names_file_element_and_reason(put, content: str, reason: str) -> None:
    path = put(content)
    with pytest.raises(AnnotationError, match=reason) as caught:
        read_annotations(path)
    assert caught.value.where == str(path)
