"""Malformed files: each names file, element and reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sam_mil_engine.annotations import read_annotations
from sam_mil_engine.errors import AnnotationError

SQUARE = [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]


def feature(coordinates: object, kind: str = "Polygon", **properties: object) -> dict[str, object]:
    return {"type": "Feature", "geometry": {"type": kind, "coordinates": coordinates}, "properties": properties}


BOMB = """<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>
<ASAP_Annotations><Annotations><Annotation Name="&b;"/></Annotations></ASAP_Annotations>"""
EXTERNAL = """<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/hostname">]><Annotations Name="&a;"/>"""


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (BOMB, "declares XML entities"),
        (EXTERNAL, "declares XML entities"),
        ("", "the file is empty"),
        ("<Annotations><Annotation>", "not well-formed XML"),
        (b"<Annotations \xff\xfe/>", "not well-formed XML"),
        ("<svg/>", "<svg> is not in a known annotation format"),
        ("{", "not well-formed JSON"),
        ("[" * 100_000, "not well-formed JSON"),
        ("1" * 5000, "not well-formed JSON"),
        (b"\x89PNG\r\n", "neither XML nor text in UTF-8 or UTF-16"),
        ({"a": 1}, "not in a known annotation format"),
        ([{"type": "Polygon"}], "not in a known annotation format"),
        ({"type": "Polygon"}, "it holds no polygon, only 1 × outline without an area"),
        ([{"type": "Feature", "geometry": 3}], "the geometry is not an object"),
        ({"type": "FeatureCollection"}, "no list of features"),
        ({"type": "FeatureCollection", "features": [3]}, r"features\[0\]: it is not a Feature"),
        ([feature([SQUARE], "Cube")], "no GeoJSON geometry 'Cube'"),
        ([feature(None)], "it holds no polygon, only 1 × outline without an area"),
        ([feature([[[0, 0], [1, float("nan")], [2, 2]]])], "not a finite number"),
        ([feature([[[0, 0], [1, 10**400], [2, 2]]])], "not pairs of numbers"),
        ([feature([[[0, 0], [1], [2, 2]]])], "not pairs of numbers"),
        ([feature([["a", "b", "c"]])], "not pairs of numbers"),
        ([feature([[1, 2, 3]])], "shape"),
        ([feature([[SQUARE], 3], "MultiPolygon")], "not made of rings"),
        ({"positive": 3}, "positive: it is not a list"),
        ({"positive": [{"name": "a"}]}, r"positive\[0\]: there are no vertices"),
    ],
)
def test_malformed_files_name_file_element_and_reason(put, content: object, reason: str) -> None:
    path = put(content)
    with pytest.raises(AnnotationError, match=reason) as caught:
        read_annotations(path)
    assert caught.value.where == str(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.xml", tmp_path):
        with pytest.raises(AnnotationError, match="cannot be read"):
            read_annotations(path)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(
                    ["type", "features", "geometry", "coordinates", "properties", "positive", "vertices"]
                )
                | st.text(max_size=3),
                inner
                | st.sampled_from(
                    ["Feature", "FeatureCollection", "Polygon", "MultiPolygon", "GeometryCollection"]
                ),
                max_size=5,
            )
        ),
        max_leaves=25,
    )
)
def test_no_json_gets_past_with_another_error(tmp_path: Path, content: object) -> None:
    path = tmp_path / "any.json"
    path.write_text(json.dumps(content))
    try:
        annotations = read_annotations(path)
    except AnnotationError:
        return
    assert all(annotation.polygon.is_valid for annotation in annotations)
