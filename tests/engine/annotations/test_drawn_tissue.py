"""Tissue as a person drew it: outlines and masks as files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import shapely

from sam_mil_engine.annotations.drawn_tissue import (
    DrawnTissue,
    drawn_tissue,
    read_tissue_file,
    same_tissue,
    tissue_annotations,
    tissue_files,
)
from sam_mil_engine.annotations.geojson import write_geojson
from sam_mil_engine.annotations.masks import tissue_area
from sam_mil_engine.annotations.model import Annotation
from sam_mil_engine.errors import AnnotationError
from sam_mil_engine.settings import ProcessSettings
from sam_mil_engine.slide.info import SlideInfo
from sam_mil_engine.slide.tissue_regions import TissueRegions

SIZE = (4000, 2000)
INFO = SlideInfo(
    path=Path("s.svs"),
    reader="x",
    vendor="x",
    size_px0=SIZE,
    level_sizes=(SIZE,),
    level_downsamples=((1.0, 1.0),),
)
RING = shapely.Polygon(shapely.box(400, 400, 1600, 1600).exterior, [shapely.box(800, 800, 1200, 1200).exterior])


def geojson(path: Path, *areas: tuple[str | None, shapely.Polygon], info: SlideInfo = INFO) -> Path:
    outlines = [
        Annotation(name=str(number), classification=name, polygon=area) for number, (name, area) in enumerate(areas)
    ]
    return write_geojson(path, outlines, info=info)


def test_outlines_of_the_class_tissue_are_the_tissue_else_all(tmp_path: Path) -> None:
    other = shapely.box(2000, 0, 2500, 500)
    both = geojson(tmp_path / "a.geojson", ("tissue", RING), ("Tumor", other))
    assert tissue_area(read_tissue_file(both, INFO)).equals(RING)
    none = geojson(tmp_path / "b.geojson", (None, RING), ("Tumor", other))
    assert tissue_area(read_tissue_file(none, INFO)).area == RING.area + other.area


def test_spaces_at_the_ends_of_a_class_do_not_count(tmp_path: Path) -> None:
    outlines = geojson(tmp_path / "a.geojson", (" Tissue ", RING), ("Tumor", shapely.box(0, 0, 9, 9)))
    assert tissue_area(read_tissue_file(outlines, INFO)).equals(RING)


def test_outlines_outside_the_slide_are_refused(tmp_path: Path) -> None:
    outlines = geojson(tmp_path / "a.geojson", (None, shapely.box(5000, 0, 6000, 900)))
    with pytest.raises(AnnotationError, match="its outlines lie outside the slide of 4000 x 2000 px"):
        read_tissue_file(outlines, INFO)


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize("kind", ["8 bit", "16 bit", "colour"])
def test_a_mask_of_any_size_is_read_along_its_pixels(tmp_path: Path, ending: str, kind: str) -> None:
    mask = np.zeros((100, 200), np.uint8)
    mask[20:80, 20:80], mask[40:60, 40:60] = 1, 0
    mask = {"8 bit": mask, "16 bit": mask.astype(np.uint16), "colour": np.dstack([mask * 0, mask, mask * 0])}[kind]
    path = tmp_path / f"s.{ending}"
    assert cv2.imwrite(str(path), mask)
    assert tissue_area(read_tissue_file(path, INFO)).equals(RING)


def test_a_mask_of_the_bounds_lies_in_them(tmp_path: Path) -> None:
    info = replace(INFO, bounds_px0=(1000, 500, 1000, 1000))
    cv2.imwrite(str(tmp_path / "s.png"), np.full((100, 100), 255, np.uint8))
    assert tissue_area(read_tissue_file(tmp_path / "s.png", info)).bounds == (1000, 500, 2000, 1500)
    geojson(tmp_path / "s.geojson", (None, shapely.box(1100, 600, 1200, 700)), info=info)
    assert tissue_area(read_tissue_file(tmp_path / "s.geojson", info)).bounds == (1100, 600, 1200, 700)


def test_a_large_mask_is_reduced(tmp_path: Path) -> None:
    mask = np.zeros((4500, 9000), np.uint8)
    mask[900:3600, 900:3600] = 255
    cv2.imwrite(str(tmp_path / "s.png"), mask)
    assert tissue_area(read_tissue_file(tmp_path / "s.png", INFO)).area == pytest.approx(1200**2, rel=0.005)


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (np.full((100, 100), 255, np.uint8), "100 x 100 px has other proportions than the slide of 4000 x 2000 px"),
        (np.zeros((100, 200), np.uint8), "it holds no tissue"),
    ],
)
def test_masks_that_are_none(tmp_path: Path, pixels: np.ndarray, said: str) -> None:
    cv2.imwrite(str(tmp_path / "s.png"), pixels)
    with pytest.raises(AnnotationError, match=said):
        read_tissue_file(tmp_path / "s.png", INFO)
    (tmp_path / "s.png").write_text("no image")
    with pytest.raises(AnnotationError, match="it cannot be read as an image"):
        read_tissue_file(tmp_path / "s.png", INFO)


def test_outlines_come_before_masks_and_pictures_are_neither(tmp_path: Path) -> None:
    for name in ("a.geojson", "a.png", "a.jpg", "b.jpg", "c.tif", "d.e.geojson"):
        (tmp_path / name).touch()
    found = tissue_files(tmp_path)
    assert {name: found[name].name for name in ("a", "c", "d.e")} == {
        "a": "a.geojson",
        "c": "c.tif",
        "d.e": "d.e.geojson",
    }
    assert "b" not in found


def test_a_file_that_was_written_and_read_is_the_same_tissue(tmp_path: Path) -> None:
    tissue = TissueRegions.of([shapely.Point(900, 900).buffer(700 / 3)], method="default")
    path = write_geojson(tmp_path / "s.geojson", tissue_annotations(tissue), info=INFO)
    again = read_tissue_file(path, INFO)
    assert same_tissue(tissue, again)
    assert DrawnTissue(tissue).key == DrawnTissue(again).key
    corrected = TissueRegions.of(
        [shapely.Point(900, 900).buffer(700 / 3).difference(shapely.box(0, 0, 760, 760))], method=""
    )
    assert not same_tissue(tissue, corrected)
    assert DrawnTissue(tissue).key != DrawnTissue(corrected).key


def test_only_inside_and_not_inside(tmp_path: Path) -> None:
    geojson(
        tmp_path / "s.geojson",
        ("ROI", shapely.box(0, 0, 1000, 1000)),
        ("Pen", shapely.box(0, 0, 500, 2000)),
        ("Fold", shapely.box(0, 0, 4000, 450)),
    )
    settings = ProcessSettings(annotations=str(tmp_path), only_inside=("roi",), not_inside=("pen", "Fold"))
    drawn = drawn_tissue(INFO, "s", tissue=None, settings=settings)
    tissue = drawn.cut(TissueRegions.of([RING], method="default"))
    expected = RING.intersection(shapely.box(500, 450, 1000, 1000))
    assert tissue_area(tissue).equals(expected)
    assert tissue.method == "default, cut to outlines"


def test_missing_outlines_are_said(tmp_path: Path) -> None:
    geojson(tmp_path / "s.geojson", ("Tumor", RING), (None, RING))
    settings = ProcessSettings(annotations=str(tmp_path), only_inside=("ROI",))
    with pytest.raises(AnnotationError, match="there is no outline of ROI; its classes are Tumor, no class"):
        drawn_tissue(INFO, "s", tissue=None, settings=settings)
    with pytest.raises(AnnotationError, match="there is no outline of ROI for the slide t"):
        drawn_tissue(INFO, "t", tissue=None, settings=settings)
    settings = ProcessSettings(annotations=str(tmp_path), not_inside=("Pen",))
    with pytest.warns(UserWarning, match="s: s.geojson has no outline of Pen"):
        assert drawn_tissue(INFO, "s", tissue=None, settings=settings).key == ()
    assert drawn_tissue(INFO, "t", tissue=None, settings=settings).key == ()
