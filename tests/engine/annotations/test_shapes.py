"""An outline means the same area whichever program drew it: holes, parts, islands, stray clicks, planes."""

from __future__ import annotations

import logging
import re

import pytest

from sam_mil_engine.annotations import read_annotation_file, read_annotations
from sam_mil_engine.errors import AnnotationError


def box(x0: float, y0: float, x1: float, y1: float) -> list[list[float]]:
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]]


def feature(coordinates: object, kind: str = "Polygon", **geometry: object) -> dict[str, object]:
    return {
        "type": "Feature",
        "geometry": {"type": kind, "coordinates": coordinates, **geometry},
        "properties": {"classification": {"name": "Tumor"}},
    }


BIG = box(100, 100, 500, 500)
BOW_TIE = [[600, 100], [700, 300], [700, 100], [600, 300], [600, 100]]


@pytest.mark.parametrize(
    ("holes", "area", "repaired"),
    [
        ([box(600, 600, 900, 900)], 160000, 1),
        ([box(400, 100, 900, 500)], 120000, 1),
        ([box(200, 200, 300, 300)], 150000, 0),
        ([box(200, 200, 300, 300), box(250, 200, 350, 300)], 145000, 0),
        ([box(200, 200, 300, 300), box(220, 220, 280, 280)], 150000, 0),
        ([[[200, 200], [300, 300], [300, 200], [200, 300], [200, 200]]], 155000, 1),
        ([[[200, 200], [201, 201], [200, 200]]], 160000, 1),
        ([[]], 160000, 1),
        ([box(100, 100, 200, 500)], 120000, 0),
    ],
    ids=[
        "outside",
        "half outside",
        "inside",
        "overlapping holes",
        "a hole in a hole",
        "a hole that crosses itself",
        "a hole without an area",
        "a hole without a point",
        "a hole along the edge",
    ],
)
def test_a_hole_takes_away_what_it_covers_of_its_outline_and_never_adds(put, holes, area, repaired) -> None:
    found = read_annotation_file(put([feature([BIG, *holes])]))
    assert found.annotations[0].polygon.area == pytest.approx(area)
    assert found.repaired == repaired, found.notes
    assert found.annotations[0].polygon.is_valid


@pytest.mark.parametrize(
    ("parts", "area", "repaired"),
    [
        ([[BIG], [box(200, 200, 300, 300)]], 160000, 1),
        ([[BIG], [box(400, 100, 800, 500)]], 280000, 1),
        ([[BIG], [BIG]], 160000, 1),
        ([[BIG, box(200, 200, 400, 400)], [box(250, 250, 350, 350)]], 130000, 0),
        ([[BIG], [BOW_TIE]], 170000, 1),
        ([[BIG], [[[700, 700], [701, 700], [700, 700]]]], 160000, 0),
        ([[BIG], [box(500, 100, 900, 500)]], 320000, 1),
    ],
    ids=[
        "nested",
        "overlapping",
        "twice",
        "an island in a hole",
        "one crosses itself",
        "one without area",
        "touching",
    ],
)
def test_parts_of_a_multipolygon_cover_their_union(put, parts, area, repaired) -> None:
    found = read_annotation_file(put([feature(parts, "MultiPolygon")]))
    assert found.annotations[0].polygon.area == pytest.approx(area)
    assert found.repaired == repaired, found.notes


def test_members_of_a_collection_cover_their_union(put) -> None:
    members = [{"type": "Polygon", "coordinates": [ring]} for ring in (BIG, box(200, 200, 600, 500))]
    collection = {"type": "Feature", "geometry": {"type": "GeometryCollection", "geometries": members}}
    (found,) = read_annotations(put([collection]))
    assert found.polygon.area == 190000


STRAY = {
    "null": {"type": "Feature", "geometry": None},
    "null coordinates": feature(None),
    "null ring": feature([None]),
    "null part": feature([None], "MultiPolygon"),
    "no ring": feature([]),
    "no part": feature([], "MultiPolygon"),
    "no point": feature([[]]),
    "one point": feature([[[5, 5]]]),
    "one point four times": feature([[[5, 5]] * 4]),
    "two points": feature([[[1, 1], [2, 2], [1, 1]]]),
    "flat": feature([[[1, 1], [2, 2], [3, 3], [1, 1]]]),
    "point": feature([5, 5], "Point"),
}


@pytest.mark.parametrize("kind", STRAY)
def test_a_shape_without_an_area_is_left_out_named_and_counted(put, caplog, kind) -> None:
    with caplog.at_level(logging.WARNING):
        found = read_annotation_file(put([feature([BIG]), STRAY[kind] | {"properties": {"name": "stray"}}]))
    assert [item.polygon.area for item in found.annotations] == [160000]
    assert sum(found.left_out.values()) >= 1
    assert any("'stray'" in note for note in found.notes)
    assert re.search("shapes? (was|were) left out", found.summary)
    assert any("'stray'" in line for line in caplog.messages)


def test_a_file_of_nothing_but_stray_clicks_says_so(put) -> None:
    with pytest.raises(AnnotationError, match="it holds no polygon, only 2 × outline without an area"):
        read_annotations(put([STRAY["one point"], STRAY["flat"]]))


def scope(*regions: tuple[list[list[float]], int]) -> str:
    text = "".join(
        f'<Region Type="0" NegativeROA="{negative}"><Vertices>'
        + "".join(f'<Vertex X="{x}" Y="{y}"/>' for x, y in points)
        + "</Vertices></Region>"
        for points, negative in regions
    )
    return f'<Annotations><Annotation Name="Tumor"><Regions>{text}</Regions></Annotation></Annotations>'


def asap(*areas: tuple[list[list[float]], str]) -> str:
    text = "".join(
        f'<Annotation Name="a{number}" Type="Polygon" PartOfGroup="{group}"><Coordinates>'
        + "".join(f'<Coordinate Order="{k}" X="{x}" Y="{y}"/>' for k, (x, y) in enumerate(points))
        + "</Coordinates></Annotation>"
        for number, (points, group) in enumerate(areas)
    )
    return f"<ASAP_Annotations><Annotations>{text}</Annotations></ASAP_Annotations>"


def camelyon(positive: list[list[list[float]]], negative: list[list[list[float]]]) -> dict[str, object]:
    return {
        "positive": [{"name": f"p{k}", "vertices": ring} for k, ring in enumerate(positive)],
        "negative": [{"name": f"n{k}", "vertices": ring} for k, ring in enumerate(negative)],
    }


HOLE, ISLAND, LAKE = box(200, 200, 400, 400), box(250, 250, 350, 350), box(280, 280, 320, 320)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_an_island_in_a_hole_is_kept(put, order) -> None:
    regions = [(BIG, 0), (HOLE, 1), (ISLAND, 0)]
    files = [
        put(scope(*[regions[k] for k in order]), "scope.xml"),
        put(asap(*[[(BIG, "_0"), (HOLE, "_2"), (ISLAND, "_0")][k] for k in order]), "asap.xml"),
        put(camelyon([BIG, ISLAND], [HOLE]), "camelyon.json"),
    ]
    for path in files:
        found = read_annotations(path)
        assert sorted(item.polygon.area for item in found) == [10000, 120000], path.name


def test_a_lake_on_an_island_in_a_hole(put) -> None:
    found = read_annotations(put(scope((BIG, 0), (HOLE, 1), (ISLAND, 0), (LAKE, 1))))
    assert sorted(item.polygon.area for item in found) == [8400, 120000]


def test_an_excluded_area_around_a_whole_outline_excludes_it(put) -> None:
    found = read_annotation_file(put(scope((HOLE, 0), (BIG, 1), (box(600, 600, 700, 700), 0))))
    assert [item.polygon.area for item in found.annotations] == [10000]
    assert found.left_out == {"fully excluded outline": 1}


def test_an_island_drawn_a_little_over_the_edge_of_its_hole_is_kept(put) -> None:
    found = read_annotations(put(scope((BIG, 0), (HOLE, 1), (box(190, 250, 350, 350), 0))))
    assert sorted(item.polygon.area for item in found) == [16000, 120000]


def test_an_excluded_outline_is_not_an_island_because_its_exclusion_meets_a_neighbour(put) -> None:
    neighbour = box(390, 200, 600, 400)
    found = read_annotation_file(put(scope((ISLAND, 0), (neighbour, 0), (HOLE, 1))))
    assert [item.polygon.area for item in found.annotations] == [40000]
    assert found.left_out == {"fully excluded outline": 1}


@pytest.mark.parametrize(
    "content",
    [
        scope((BIG, 0), (box(600, 600, 700, 700), 1)),
        asap((BIG, "Tumor"), (box(600, 600, 700, 700), "_2")),
        asap((BIG, "metastases"), (box(600, 600, 700, 700), "normal")),
        camelyon([BIG], [box(600, 600, 700, 700)]),
    ],
    ids=["ImageScope", "ASAP", "CAMELYON17", "CAMELYON JSON"],
)
def test_an_excluded_area_outside_every_outline_is_counted(put, content) -> None:
    found = read_annotation_file(put(content))
    assert [item.polygon.area for item in found.annotations] == [160000]
    assert found.left_out == {"excluded area outside every outline": 1}
    assert len(found.notes) == 1


def test_camelyon17_normal_excludes_next_to_other_groups_and_is_a_class_alone(put) -> None:
    (tumour,) = read_annotations(put(asap((BIG, "metastases"), (HOLE, "normal"))))
    assert (tumour.classification, tumour.polygon.area) == ("Tumor", 120000)
    for group in ("normal", "Normal"):
        (normal,) = read_annotations(put(asap((BIG, group))))
        assert (normal.classification, normal.polygon.area) == (group, 160000)
    (normal,) = read_annotations(put(asap((BIG, "normal"), (HOLE, "_2"))))
    assert (normal.classification, normal.polygon.area) == ("normal", 120000)


def test_one_plane_is_read_and_the_others_are_named(put) -> None:
    path = put([feature([BIG], plane={"c": -1, "z": 0, "t": 0}), feature([HOLE], plane={"c": -1, "z": 2, "t": 0})])
    found = read_annotation_file(path)
    assert [item.polygon.area for item in found.annotations] == [160000]
    assert found.left_out == {"shape on plane z=2, t=0": 1}
    assert found.summary == "1 shape was left out (1 × shape on plane z=2, t=0)."
    assert "z=2" in found.notes[0]
    (other,) = read_annotation_file(path, plane=(2, 0)).annotations
    assert other.polygon.area == 40000
    assert read_annotation_file(path, plane=None).annotations == found.annotations


def test_where_nothing_lies_on_the_first_plane_any_plane_is_the_lowest(put) -> None:
    planes = [{"z": 4, "t": 0}, {"z": 2, "t": 1}, {"z": 2, "t": 3}]
    found = read_annotation_file(put([feature([BIG], plane=plane) for plane in planes]), plane=None)
    assert (len(found.annotations), found.plane) == (1, (2, 1))
    assert found.summary == (
        "2 shapes were left out (1 × shape on plane z=2, t=3, 1 × shape on plane z=4, t=0)."
        " The outlines lie on plane z=2, t=1."
    )


def test_a_plane_without_numbers_is_the_first_and_a_file_of_other_planes_says_so(put) -> None:
    (found,) = read_annotations(put([feature([BIG], plane={"c": -1, "z": None, "t": None})]))
    assert found.polygon.area == 160000
    with pytest.raises(AnnotationError, match="only 1 × shape on plane z=1, t=0") as caught:
        read_annotations(put([feature([BIG], plane={"z": 1})]))
    assert "plane" in caught.value.hint
