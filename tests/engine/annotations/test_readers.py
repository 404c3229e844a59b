"""Formats and packings that people have: gzip, zip, UTF-16, bare geometries, decimal commas, DSA JSON, NDPA."""

from __future__ import annotations

import gzip
import io
import json
import zipfile

import numpy as np
import pytest

from sam_mil_engine.annotations import read_annotation_file, read_annotations, unpacking
from sam_mil_engine.errors import AnnotationError
from sam_mil_engine.slide.place import SlidePlace
from sam_mil_engine.slide.reader import open_slide

RING = [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]
POLYGON = {"type": "Polygon", "coordinates": [RING]}
FEATURES = [{"type": "Feature", "geometry": POLYGON, "properties": {"name": "a"}}]


def damaged_lzma() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a", " " * 5000)
    data = bytearray(stream.getvalue())
    data[50:60] = b"\xff" * 10
    return bytes(data)


def zipped(*names: str, text: str = "[]") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, text)
    return stream.getvalue()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_json_in_any_unicode(put, encoding) -> None:
    (found,) = read_annotations(put(json.dumps(FEATURES).encode(encoding)))
    assert (found.name, found.polygon.area) == ("a", 100)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_xml_in_any_unicode(put, encoding) -> None:
    text = '<?xml version="1.0" encoding="{}"?><Annotations/>'.format("UTF-16" if encoding == "utf-16" else "UTF-8")
    assert read_annotations(put(text.encode(encoding))) == []


def test_packed_files(put) -> None:
    text = json.dumps(FEATURES)
    for content in (
        gzip.compress(text.encode()),
        zipped("a", text=text),
        zipped("d/a.json", "__MACOSX/a", "d/", text=text),
        zipped("a.json", ".DS_Store", "d/._a", text=text),
    ):
        (found,) = read_annotations(put(content, "any.geojson"))
        assert found.polygon.area == 100


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (gzip.compress(b"[]")[:-6], "cannot be unpacked"),
        (zipped("a")[:-8], "cannot be unpacked"),
        (zipped("a", "b"), "holds 2 files"),
        (zipped("d/"), "holds 0 files"),
        (zipped(), "holds 0 files"),
        (damaged_lzma(), "cannot be unpacked"),
    ],
    # archives hold the time at which they were made, and the names of tests must be the same in every process
    ids=["gzip cut off", "zip cut off", "two files", "a folder", "nothing", "damaged LZMA"],
)
def test_damaged_and_ambiguous_archives_are_refused(put, content, reason) -> None:
    with pytest.raises(AnnotationError, match=reason):
        read_annotations(put(content))


def test_an_archive_that_is_huge_inside_is_refused(put, monkeypatch) -> None:
    monkeypatch.setattr(unpacking, "MOST_BYTES", 1000)
    for content in (gzip.compress(b" " * 2000), zipped("a", text=" " * 2000)):
        with pytest.raises(AnnotationError, match="too much for an annotation file"):
            read_annotations(put(content))


def test_a_bare_geometry(put) -> None:
    (found,) = read_annotations(put(POLYGON))
    assert (found.name, found.classification, found.polygon.area) == ("Annotation 0", None, 100)


def scope(vertices: str) -> str:
    regions = f'<Regions><Region Type="0"><Vertices>{vertices}</Vertices></Region></Regions>'
    return f"<Annotations><Annotation>{regions}</Annotation></Annotations>"


def test_decimal_commas(put) -> None:
    vertices = "".join(f'<Vertex X="{x},5" Y="{y},25"/>' for x, y in RING[:-1])
    (found,) = read_annotations(put(scope(vertices)))
    assert found.polygon.bounds == (0.5, 0.25, 10.5, 10.25)
    points = "".join(f'<Coordinate Order="{k}" X="{x},5" Y="{y}"/>' for k, (x, y) in enumerate(RING[:-1]))
    shape = f'<Annotation Type="Polygon"><Coordinates>{points}</Coordinates></Annotation>'
    (asap,) = read_annotations(put(f"<ASAP_Annotations><Annotations>{shape}</Annotations></ASAP_Annotations>"))
    assert asap.polygon.bounds == (0.5, 0, 10.5, 10)
    with pytest.raises(AnnotationError, match=r"'1,234\.5' is not a number"):
        read_annotations(put(scope(vertices.replace("0,5", "1,234.5"))))


def dsa(*elements: dict[str, object]) -> dict[str, object]:
    return {"_id": "1", "annotation": {"name": "reviewed", "elements": list(elements)}}


def test_digital_slide_archive(put) -> None:
    line = {"type": "polyline", "points": [[*point, 0] for point in RING[:-1]], "closed": True, "group": "Tumor"}
    holed = line | {"holes": [[[2, 2, 0], [4, 2, 0], [4, 4, 0], [2, 4, 0]]], "label": {"value": "core"}}
    shape = {"center": [50, 50, 0], "width": 20, "height": 10, "rotation": 0}
    content = dsa(
        line,
        holed,
        {"type": "rectangle", **shape},
        {"type": "rectangle", **shape, "rotation": np.pi / 2, "label": {"value": "turned"}},
        {"type": "ellipse", **shape},
        {"type": "circle", "center": [50, 50, 0], "radius": 5},
        line | {"points": None},
        line | {"closed": False},
        {"type": "point", "center": [1, 1, 0]},
    )
    for wrapped in (content, [content], content["annotation"]):
        found = read_annotation_file(put(wrapped))
        areas = [round(item.polygon.area, 1) for item in found.annotations]
        assert areas == [100, 96, 200, 200, pytest.approx(157.0, abs=0.2), pytest.approx(78.5, abs=0.1)]
        assert found.left_out == {"open line": 1, "point": 1, "outline without an area": 1}
    plain, named, flat, turned, *_ = found.annotations
    assert (plain.name, plain.classification) == ("Annotation 0", "Tumor")
    assert (named.name, named.classification, turned.classification) == ("core", "Tumor", "turned")
    assert flat.polygon.bounds == (40, 45, 60, 55)
    assert turned.polygon.bounds == pytest.approx((45, 40, 55, 60))
    assert all(item.placed for item in found.annotations)


def test_a_rectangle_of_the_digital_slide_archive_turns_from_x_towards_y(put) -> None:
    flat = {"type": "rectangle", "center": [0, 0, 0], "width": 20, "height": 10, "rotation": np.pi / 6}
    (found,) = read_annotations(put(dsa(flat)))
    x, y = np.array([10, -5]) @ [[np.sqrt(3) / 2, 0.5], [-0.5, np.sqrt(3) / 2]]
    corners = np.array(found.polygon.exterior.coords)
    assert np.abs(corners - (x, y)).sum(axis=1).min() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("element", "reason"),
    [
        (3, "it is not an object"),
        ({"type": "circle", "center": [1], "radius": 2}, "center is not a point"),
        ({"type": "circle", "center": [1, 2], "radius": "x"}, "radius is not a finite number"),
        ({"type": "polyline", "closed": True, "points": RING, "holes": 3}, "holes are not a list"),
    ],
)
def test_malformed_digital_slide_archive(put, element, reason) -> None:
    with pytest.raises(AnnotationError, match=reason):
        read_annotations(put({"elements": [element]}))


def ndpa(*shapes: str) -> str:
    views = "".join(
        f'<ndpviewstate id="{number}"><title>Tumor</title>{shape}</ndpviewstate>'
        for number, shape in enumerate(shapes, start=1)
    )
    return f'<?xml version="1.0" encoding="utf-8"?><annotations>{views}</annotations>'


def freehand(points: list[tuple[float, float]], closed: int = 1, kind: str = "AnnotateFreehand") -> str:
    rows = "".join(f"<point><x>{x}</x><y>{y}</y></point>" for x, y in points)
    return (
        f'<annotation type="freehand" displayname="{kind}"><closed>{closed}</closed>'
        f"<pointlist>{rows}</pointlist></annotation>"
    )


SLIDE = SlidePlace((4000, 2000), None, (0.5, 0.25), (100.0, -50.0))


def test_ndpa_counts_in_nanometres_from_the_centre_of_the_glass(put) -> None:
    # the centre of the scan lies at (100, -50) µm of the glass, which is level-0 pixel (2000, 1000)
    square = [(100_000, -50_000), (200_000, -50_000), (200_000, 50_000), (100_000, 50_000)]
    ruler = '<annotation type="linearmeasure" displayname="AnnotateRuler"><x1>0</x1></annotation>'
    circle = '<annotation type="circle"><x>100000</x><y>-50000</y><radius>50000</radius></annotation>'
    path = put(ndpa(freehand(square), circle, freehand(square, closed=0), ruler))
    found = read_annotation_file(path, info=SLIDE)
    outline, disc = found.annotations
    assert (outline.name, outline.classification) == ("Tumor", "Tumor")
    assert outline.polygon.bounds == (2000, 1000, 2200, 1400)
    assert disc.polygon.bounds == pytest.approx((1900, 800, 2100, 1200))
    assert found.left_out == {"AnnotateFreehand": 1, "AnnotateRuler": 1}


@pytest.mark.parametrize(
    "place", [None, SlidePlace((4000, 2000), None, None, (0, 0)), SlidePlace((4000, 2000), None, (0.5, 0.5))]
)
def test_ndpa_needs_a_slide_that_says_where_the_glass_is(put, place) -> None:
    with pytest.raises(AnnotationError, match="centre of the glass") as caught:
        read_annotations(put(ndpa(freehand([(0, 0), (9, 0), (9, 9)]))), info=place)
    assert "slide" in caught.value.hint


def test_ndpa_lies_on_a_real_ndpi_where_it_was_drawn(put, shared_data) -> None:
    with open_slide(shared_data / "slides" / "hamamatsu" / "test3-DAPI-2-387.ndpi") as slide:
        info = slide.info
    # what the file's tags say: centre of the scan in nm, nm per pixel, size
    nm, centre, middle = 228.1750559028887, np.array([12538720, -96063]), np.array([1984, 2432])
    drawn = np.array([(100, 200), (300, 200), (300, 500), (100, 500)])
    points = [(x, y) for x, y in np.rint((drawn - middle) * nm + centre).astype(int).tolist()]
    (found,) = read_annotations(put(ndpa(freehand(points))), info=info)
    assert found.polygon.bounds == pytest.approx((100, 200, 300, 500), abs=0.01)


def test_a_real_ndpa(shared_data) -> None:
    path = shared_data / "annotations" / "ndpa" / "mixed_annotations.ndpa"
    found = read_annotation_file(path, info=SLIDE)
    assert [item.name for item in found.annotations] == ["Cal_1", "Cal_2", "Cal_3"]
    radius = np.sqrt(found.annotations[0].polygon.area * (0.5 * 0.25) / np.pi)
    assert radius == pytest.approx(5000, rel=1e-3)  # 5 mm in µm
    assert found.left_out == {"AnnotateRuler": 2, "outline without an area": 2}
