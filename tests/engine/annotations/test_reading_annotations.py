"""Every annotation format: real files, written ones, and malformed ones."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shapely import MultiPolygon, Polygon

from sam_mil_engine.annotations import Annotation, by_class, read_annotations, union_px0, write_geojson
from sam_mil_engine.errors import AnnotationError
from sam_mil_engine.slide.info import SlideInfo

SQUARE = [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]


def feature(coordinates: object, kind: str = "Polygon", **properties: object) -> dict[str, object]:
    return {"type": "Feature", "geometry": {"type": kind, "coordinates": coordinates}, "properties": properties}


def iou(a: shapely.Geometry, b: shapely.Geometry) -> float:
    return shapely.intersection(a, b).area / shapely.union(a, b).area


def info(bounds: tuple[int, int, int, int] | None) -> SlideInfo:
    return SlideInfo(
        Path("a.mrxs"), "openslide", "mirax", (9000, 9000), ((9000, 9000),), ((1.0, 1.0),), bounds_px0=bounds
    )


@pytest.fixture
def put(tmp_path: Path):
    def write(content: object, name: str = "annotations.any") -> Path:
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    return write


# ---------------------------------------------------------------- real files


def test_the_same_slide_as_imagescope_xml_and_qupath_json_agrees(shared_data: Path) -> None:
    folder = shared_data / "annotations" / "aperio_qupath_pair"
    xml = read_annotations(folder / "TCGA-EJ-5519-01Z-00-DX1.xml")
    qupath = read_annotations(folder / "TCGA-EJ-5519-01Z-00-DX1.json")
    assert [a.classification for a in xml] == ["CaP", None, None]
    assert [a.classification for a in qupath] == ["Tumor", "Other", "Negative"]
    assert iou(union_px0(xml), union_px0(qupath)) > 0.999999
    for one, other in zip(xml, [qupath[0], qupath[2], qupath[1]], strict=True):
        assert iou(one.polygon, other.polygon) > 0.9999


def test_camelyon_json(shared_data: Path) -> None:
    paths = sorted((shared_data / "annotations" / "camelyon16_json").glob("*.json"))
    assert len(paths) == 11
    for path in paths:
        annotations = read_annotations(path)
        names = [outline["name"] for outline in json.loads(path.read_text())["positive"]]
        assert [a.name for a in annotations] == names
        assert all(a.classification == "Tumor" and a.polygon.is_valid and a.polygon.area > 0 for a in annotations)


def test_every_camelyon_file_holds_the_published_tumour_patch_centres(shared_data: Path) -> None:
    """The patch centres were drawn inside the tumour by others, from the original XML."""
    lines = (shared_data / "annotations" / "camelyon16_coords" / "tumor_valid.txt").read_text().split()
    table = [line.split(",") for line in lines]
    seen = 0
    for path in sorted((shared_data / "annotations" / "camelyon16_json").glob("*.json")):
        area = union_px0(read_annotations(path))
        points = np.array([(int(x), int(y)) for slide, x, y in table if slide == path.stem]).reshape(-1, 2)
        shapely.prepare(area)
        if len(points):
            seen += 1
            assert shapely.contains_xy(area, points).mean() > 0.99, path.stem
    assert seen == 2


def test_negative_outlines_are_cut_out(shared_data: Path) -> None:
    path = shared_data / "annotations" / "camelyon16_json" / "Tumor_095.json"
    content = json.loads(path.read_text())
    holes = shapely.union_all([shapely.make_valid(Polygon(hole["vertices"])) for hole in content["negative"]])
    area = union_px0(read_annotations(path))
    assert holes.area > 0
    assert shapely.intersection(area, holes).area < 1e-6 * holes.area


def test_qupath_feature_collection(shared_data: Path) -> None:
    annotations = read_annotations(shared_data / "annotations" / "geojson" / "qupath05.geojson")
    assert [a.name for a in annotations] == ["UT", "I", "I"]
    assert {a.classification for a in annotations} == {None}


@pytest.mark.parametrize("shape", ["ellipse", "polygon", "rectangle", "wand"])
def test_qupath_shapes_are_polygons(shared_data: Path, shape: str) -> None:
    path = shared_data / "annotations" / "wsidicom" / "qupath_geojson" / f"qupath-{shape}.json"
    (annotation,) = read_annotations(path)
    assert annotation.polygon.is_valid
    if shape == "rectangle":
        assert annotation.polygon.area == (26478 - 26268) * (15474 - 15298)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("qupath_geojson/qupath-line.json", "LineString"),
        ("qupath_geojson/qupath-point.json", "Point"),
        ("qupath_geojson/qupath-polyline.json", "LineString"),
        ("asap/asap-dot.xml", "Dot"),
    ],
)
def test_a_file_without_any_area_says_what_it_holds(shared_data: Path, path: str, kind: str) -> None:
    with pytest.raises(AnnotationError, match=f"no polygon in it, only 1 x {kind}"):
        read_annotations(shared_data / "annotations" / "wsidicom" / path)


def test_asap_polygon(shared_data: Path) -> None:
    (annotation,) = read_annotations(shared_data / "annotations" / "wsidicom" / "asap" / "asap-polygon.xml")
    assert (annotation.name, annotation.classification) == ("Annotation 0", None)
    assert annotation.polygon.bounds == (22693.1875, 16551.1797, 23067.4531, 16710.6367)


@pytest.mark.parametrize(
    "path",
    [
        "ndpa/mixed_annotations.ndpa",
        "ndpa/ruler_sample.ndpa",
        "wsidicom/cytomine/cytomine-freehand-line.txt",
        "wsidicom/cytomine/cytomine-line.txt",
        "wsidicom/cytomine/cytomine-point.txt",
        "wsidicom/cytomine/cytomine-polygon.txt",
        "wsidicom/cytomine/cytomine-rectangle.txt",
        "wsidicom/sectra/pathologycore-polyline.json",
        "camelyon16_coords/tumor_valid.txt",
    ],
)
def test_formats_that_are_not_read_are_refused_with_a_way_out(shared_data: Path, path: str) -> None:
    with pytest.raises(AnnotationError) as caught:
        read_annotations(shared_data / "annotations" / path)
    assert caught.value.where == str(shared_data / "annotations" / path)
    assert caught.value.hint


def test_halo_shapes(shared_data: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        annotations = read_annotations(shared_data / "annotations" / "halo" / "test_types.annotations")
    assert len(annotations) == 6
    assert annotations[0].polygon.area == (27900 - 16121) * (57423 - 45644)
    assert annotations[2].polygon.area == pytest.approx(np.pi / 4 * (11592 - 2154) * (63840 - 54402), rel=3e-4)
    assert sum("ruler" in line for line in caplog.messages) == 2
    assert sum("pin" in line for line in caplog.messages) == 1
    assert sum("open line" in line for line in caplog.messages) == 1


def test_halo_layers_and_holes(shared_data: Path) -> None:
    layers = read_annotations(shared_data / "annotations" / "halo" / "test_layers.annotations")
    assert {name: len(items) for name, items in by_class(layers).items()} == {
        "myfirstlayer": 1,
        "secondlayer": 2,
        "thishasafour": 1,
    }
    holes = read_annotations(shared_data / "annotations" / "halo" / "example_holes.annotations")
    assert len(holes) == 6
    (cut,) = [a for a in holes if isinstance(a.polygon, Polygon) and a.polygon.interiors]
    assert cut.polygon.area == pytest.approx(36869839.0 - 7348.5)


# ---------------------------------------------------------------- GeoJSON


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


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    items=st.lists(
        st.builds(Annotation, st.text(min_size=1), st.none() | st.text(min_size=1), areas()), min_size=0, max_size=4
    )
)
def test_geojson_round_trip(tmp_path: Path, items: list[Annotation]) -> None:
    back = read_annotations(write_geojson(tmp_path / "round.geojson", items))
    assert [(a.name, a.classification) for a in back] == [(a.name, a.classification) for a in items]
    for one, other in zip(back, items, strict=True):
        assert shapely.equals_exact(shapely.normalize(one.polygon), shapely.normalize(other.polygon))


def test_written_geojson_is_what_qupath_expects(tmp_path: Path) -> None:
    items = [Annotation("a", "Tumor", shapely.box(0, 0, 5, 5))]
    path = write_geojson(tmp_path / "new" / "a.geojson", items, properties=[{"score": 0.5, "note": "x"}])
    (written,) = json.loads(path.read_text())["features"]
    assert written["properties"]["objectType"] == "annotation"
    assert written["properties"]["classification"]["name"] == "Tumor"
    assert written["properties"]["measurements"] == {"score": 0.5}
    assert len(written["id"]) == 36
    assert [file.name for file in path.parent.iterdir()] == ["a.geojson"]
    before = path.read_bytes()
    with pytest.raises(AnnotationError, match="not JSON"):
        write_geojson(path, items, properties=[{"score": float("nan")}])
    with pytest.raises(AnnotationError, match="1 annotations have 2 properties"):
        write_geojson(path, items, properties=[{}, {}])
    assert path.read_bytes() == before


def test_a_folder_in_the_way_is_an_error_without_leftovers(tmp_path: Path) -> None:
    (tmp_path / "a.geojson" / "full").mkdir(parents=True)
    with pytest.raises(AnnotationError, match="cannot be written"):
        write_geojson(tmp_path / "a.geojson", [])
    assert [file.name for file in tmp_path.iterdir()] == ["a.geojson"]


def test_a_file_without_a_shape_is_an_empty_list(put) -> None:
    assert read_annotations(put({"type": "FeatureCollection", "features": []})) == []
    assert read_annotations(put("<ASAP_Annotations><Annotations/></ASAP_Annotations>")) == []
    assert read_annotations(put("<Annotations/>")) == []
    assert read_annotations(put({"positive": [], "negative": []})) == []


# ---------------------------------------------------------------- ASAP and ImageScope


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


@pytest.mark.parametrize("group", ["_2", "Exclusion", "exclusion"])
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


# ---------------------------------------------------------------- malformed

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
        ("<svg/>", "<svg> is of no known annotation format"),
        ("{", "not well-formed JSON"),
        ("[" * 100_000, "not well-formed JSON"),
        ("1" * 5000, "not well-formed JSON"),
        (b"\x89PNG\r\n", "neither XML nor UTF-8"),
        ({"a": 1}, "no known annotation format"),
        ([{"type": "Polygon"}], "no known annotation format"),
        ({"type": "FeatureCollection"}, "no list of features"),
        ({"type": "FeatureCollection", "features": [3]}, r"features\[0\]: it is not a Feature"),
        ([{"type": "Feature"}], r"features\[0\] 'Annotation 0': there is no geometry"),
        ([feature([SQUARE], "Cube")], "no GeoJSON geometry 'Cube'"),
        ([feature([])], "has no coordinates"),
        ([feature([[[0, 0], [1, 1]]], name="x")], "'x': an outline needs three different points, this has 2"),
        ([feature([[[0, 0], [1, 1], [0, 0], [1, 1]]])], "three different points"),
        ([feature([[[0, 0], [1, 1], [2, 2]]])], "encloses no area"),
        ([feature([[[0, 0], [1, float("nan")], [2, 2]]])], "not a finite number"),
        ([feature([[[0, 0], [1, 10**400], [2, 2]]])], "not pairs of numbers"),
        ([feature([[[0, 0], [1], [2, 2]]])], "not pairs of numbers"),
        ([feature([["a", "b", "c"]])], "not pairs of numbers"),
        ([feature([[1, 2, 3]])], "shape"),
        ([feature([SQUARE, [[1, 1]]], name="h")], "'h', hole 0: an outline"),
        ([feature([[SQUARE], 3], "MultiPolygon")], "not made of rings"),
        ({"positive": 3}, "positive: it is not a list"),
        ({"positive": [{"name": "a"}]}, r"positive\[0\]: there are no vertices"),
        ({"positive": [{"name": "a", "vertices": [[1, 2]]}]}, r"positive\[0\] 'a': an outline"),
        (asap_file(asap("p", BIG[:2])), r"Annotation 'p' \(number 0\): an outline needs three"),
        (asap_file(asap("p", BIG)).replace('X="0.0"', 'X="NaN"'), "not a finite number"),
        (asap_file(asap("p", BIG)).replace('X="0.0"', 'X="east"'), "coordinate 0 is not a number"),
        (asap_file(asap("p", BIG)).replace('Order="1"', ""), "coordinate 1 has no Order"),
        (imagescope(region(BIG[:2], Type=0, Id=7)), "Region 7: an outline needs three"),
        (imagescope(region(BIG, Type=0)).replace('Y="0.0"', ""), "vertex 0 has no Y"),
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


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
