"""GeoJSON as QuPath reads and writes it."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shapely import MultiPolygon, Polygon

from sam_mil_engine.annotations import Annotation, read_annotations, write_geojson
from sam_mil_engine.errors import AnnotationError, ProjectError
from sam_mil_engine.slide.info import SlideInfo

SQUARE = [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]


def feature(coordinates: object, kind: str = "Polygon", **properties: object) -> dict[str, object]:
    return {"type": "Feature", "geometry": {"type": kind, "coordinates": coordinates}, "properties": properties}


def info(bounds: tuple[int, int, int, int] | None) -> SlideInfo:
    return SlideInfo(
        Path("a.mrxs"), "openslide", "mirax", (9000, 9000), ((9000, 9000),), ((1.0, 1.0),), bounds_px0=bounds
    )


def test_geojson_in_all_three_wrappings(put) -> None:
    one = feature([SQUARE], name="a", classification={"name": "Tumor"})
    for content in (one, [one], {"type": "FeatureCollection", "features": [one]}):
        (annotation,) = read_annotations(put(content))
        assert (annotation.name, annotation.classification, annotation.polygon.area) == ("a", "Tumor", 100)


def test_multipolygon_holes_and_class_names(put) -> None:
    hole = [[2, 2], [4, 2], [4, 4], [2, 4], [2, 2]]
    far = [[20, 0], [30, 0], [30, 10], [20, 10], [20, 0]]
    content = [
        feature([[SQUARE, hole], [far]], "MultiPolygon", classification={"names": ["Tumor", "Positive"]}),
        feature([SQUARE], classification="Stroma"),
        feature([SQUARE], classification=None),
    ]
    many, string, none = read_annotations(put(content))
    assert many.polygon.area == 196
    assert (many.classification, string.classification, none.classification) == ("Tumor: Positive", "Stroma", None)


def test_points_and_lines_beside_polygons_are_named_in_the_log(put, caplog: pytest.LogCaptureFixture) -> None:
    path = put(
        [feature([SQUARE]), feature([1, 1], "Point", name="mitosis"), feature(SQUARE, "LineString", name="edge")]
    )
    with caplog.at_level(logging.WARNING):
        assert len(read_annotations(path)) == 1
    assert any("'mitosis'" in line and "Point" in line for line in caplog.messages)
    assert any("'edge'" in line and "LineString" in line for line in caplog.messages)


def test_a_crossing_outline_is_repaired_and_named(put, caplog: pytest.LogCaptureFixture) -> None:
    bow_tie = [[0, 0], [10, 10], [10, 0], [0, 10], [0, 0]]
    with caplog.at_level(logging.WARNING):
        (annotation,) = read_annotations(put([feature([bow_tie], name="bow tie")]))
    assert annotation.polygon.is_valid
    assert annotation.polygon.area == 50
    assert any("'bow tie'" in line and "crosses itself" in line for line in caplog.messages)


def test_bounds_shift_is_undone_and_redone(put, tmp_path: Path) -> None:
    mirax = info((1000, 2000, 4000, 4000))
    (annotation,) = read_annotations(put([feature([SQUARE])]), info=mirax)
    assert annotation.polygon.bounds == (1000, 2000, 1010, 2010)
    path = write_geojson(tmp_path / "back.geojson", [annotation], info=mirax)
    assert read_annotations(path)[0].polygon.bounds == (0, 0, 10, 10)
    assert read_annotations(path, info=info(None))[0].polygon.bounds == (0, 0, 10, 10)


coordinate = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 3))
boxes = st.tuples(coordinate, coordinate, st.floats(1, 1e5), st.floats(1, 1e5))


@st.composite
def areas(draw: st.DrawFn) -> Polygon | MultiPolygon:
    x, y, width, height = draw(boxes)
    outer = shapely.box(x, y, x + width, y + height)
    if draw(st.booleans()):
        inner = shapely.box(x + width / 4, y + height / 4, x + width / 2, y + height / 2)
        outer = Polygon(outer.exterior, [inner.exterior])
    if draw(st.booleans()):
        return MultiPolygon([outer, shapely.box(x + 2 * width, y, x + 3 * width, y + height)])
    return outer


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    items=st.lists(
        st.builds(Annotation, st.text(min_size=1), st.none() | st.text(min_size=1), areas()), min_size=0, max_size=4
    )
)
def test_geojson_round_trip(tmp_path: Path, items: list[Annotation]) -> None:
    back = read_annotations(write_geojson(tmp_path / "round.geojson", items, info=None))
    assert [(a.name, a.classification) for a in back] == [(a.name, a.classification) for a in items]
    for one, other in zip(back, items, strict=True):
        assert shapely.equals_exact(shapely.normalize(one.polygon), shapely.normalize(other.polygon))


def test_written_geojson_is_what_qupath_expects(tmp_path: Path) -> None:
    items = [Annotation("a", "Tumor", shapely.box(0, 0, 5, 5))]
    path = write_geojson(tmp_path / "new" / "a.geojson", items, info=None, properties=[{"score": 0.5, "note": "x"}])
    (written,) = json.loads(path.read_text())["features"]
    assert written["properties"]["objectType"] == "annotation"
    assert written["properties"]["classification"]["name"] == "Tumor"
    assert written["properties"]["measurements"] == {"score": 0.5}
    assert len(written["id"]) == 36
    assert [file.name for file in path.parent.iterdir()] == ["a.geojson"]
    before = path.read_bytes()
    with pytest.raises(AnnotationError, match="not JSON"):
        write_geojson(path, items, info=None, properties=[{"score": float("nan")}])
    with pytest.raises(AnnotationError, match="1 annotations have 2 properties"):
        write_geojson(path, items, info=None, properties=[{}, {}])
    assert path.read_bytes() == before


def test_a_folder_in_the_way_is_an_error_without_leftovers(tmp_path: Path) -> None:
    (tmp_path / "a.geojson" / "full").mkdir(parents=True)
    with pytest.raises(ProjectError, match="cannot be written"):
        write_geojson(tmp_path / "a.geojson", [], info=None)
    assert [file.name for file in tmp_path.iterdir()] == ["a.geojson"]


def test_a_file_without_a_shape_is_an_empty_list(put) -> None:
    assert read_annotations(put({"type": "FeatureCollection", "features": []})) == []
    assert read_annotations(put("<ASAP_Annotations><Annotations/></ASAP_Annotations>")) == []
    assert read_annotations(put("<Annotations/>")) == []
    assert read_annotations(put({"positive": [], "negative": []})) == []
