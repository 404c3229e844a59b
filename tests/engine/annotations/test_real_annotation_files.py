"""Every annotation file of the shared data."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import shapely
from shapely import Polygon

from sam_mil_engine.annotations import by_class, read_annotations, union_px0
from sam_mil_engine.errors import AnnotationError
from sam_mil_engine.slide.place import SlidePlace


def iou(a: shapely.Geometry, b: shapely.Geometry) -> float:
    return shapely.intersection(a, b).area / shapely.union(a, b).area


def test_the_same_slide_as_imagescope_xml_and_qupath_json_agrees(shared_data: Path) -> None:
    folder = shared_data / "annotations" / "aperio_qupath_pair"
    xml = read_annotations(folder / "TCGA-EJ-5519-01Z-00-DX1.xml")
    qupath = read_annotations(folder / "TCGA-EJ-5519-01Z-00-DX1.json", info=SlidePlace())
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
    with pytest.raises(AnnotationError, match=f"it holds no polygon, only 1 × {kind}"):
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
