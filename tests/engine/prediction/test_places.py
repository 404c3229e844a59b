"""A slide with bounds: every command reads and writes QuPath's coordinates from the corner of the bounds."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import pytest
import shapely
import tifffile
from typer.testing import CliRunner

from sam_mil_engine.annotations import Annotation, read_annotation_file, write_geojson
from sam_mil_engine.bag.place import read_slide_place
from sam_mil_engine.cli.main import app
from sam_mil_engine.convert.exporting import export_slides
from sam_mil_engine.convert.source import Source
from sam_mil_engine.mil.building import build_aggregator
from sam_mil_engine.prediction.batch import predict_paths
from sam_mil_engine.prediction.comparison import compare_bag
from sam_mil_engine.process.runner import process_slide
from sam_mil_engine.settings import ModelSettings, ProcessSettings, TileSettings
from sam_mil_engine.slide.place import SlidePlace
from sam_mil_engine.slide.reader import open_slide
from sam_mil_engine.training.checkpoint import TrainedModel
from sam_mil_engine.training.expects import Expects
from scanned_part import CORNER, write_scanned_part
from tiny_slides import write_tiny_slide

SIZE = (640, 512)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A processed slide with bounds, and the outline of its tissue as QuPath and as ASAP write it."""
    folder = tmp_path_factory.mktemp("bounds")
    image = tifffile.imread(write_tiny_slide(folder / "plain.tif", size=SIZE))
    (folder / "slides").mkdir()
    slide = write_scanned_part(folder / "slides" / "slide.scn", image)
    settings = ProcessSettings(preset="biopsy", tiles=TileSettings(patch_size=64))
    process_slide(slide, folder / "study", settings=settings)
    return folder


def outline(place: SlidePlace) -> Annotation:
    left, top = place.bounds_origin_px0
    return Annotation("tissue", "Tumor", shapely.Point(left + 320, top + 256).buffer(200))


def extent(path: Path) -> tuple[float, float, float, float]:
    """Return what the file itself says, moved by nothing."""
    found = read_annotation_file(path).annotations
    left, top, right, bottom = shapely.total_bounds([item.polygon for item in found]).tolist()
    return left, top, right, bottom


def within_the_scan(path: Path) -> bool:
    left, top, right, bottom = extent(path)
    margin = 8  # a pixel of a segment is several of the slide
    return left >= -margin and top >= -margin and right <= SIZE[0] + margin and bottom <= SIZE[1] + margin


def test_the_bag_knows_the_bounds(project: Path) -> None:
    with open_slide(project / "slides/slide.scn") as slide:
        assert slide.info.bounds_px0 is not None
        assert slide.info.bounds_px0[:2] == CORNER
        assert read_slide_place(project / "study/bags/slide.h5").bounds_px0 == slide.info.bounds_px0


@pytest.mark.parametrize("value", [[1, 2], "x", [float("nan")] * 4, 5], ids=str)
def test_a_bag_with_other_bounds_than_four_numbers_does_not_know_them(project: Path, tmp_path: Path, value) -> None:
    bag = Path(shutil.copy(project / "study/bags/slide.h5", tmp_path))
    with h5py.File(bag, "a") as file:
        file.attrs["bounds_px0"] = value
        file.attrs["centre_offset_um"] = value
        del file.attrs["slide_path"]
    place = read_slide_place(bag)
    assert (place.bounds_px0, place.bounds_known) == (None, False)
    assert place.centre_offset_um is None or value == [1, 2]


def test_compare_groups_gives_the_same_for_qupath_and_for_asap(project: Path, tmp_path: Path) -> None:
    bag = project / "study/bags/slide.h5"
    there = outline(read_slide_place(bag))
    qupath = write_geojson(tmp_path / "qupath.geojson", [there], info=read_slide_place(bag))
    assert within_the_scan(qupath)
    points = "".join(
        f'<Coordinate Order="{k}" X="{x}" Y="{y}"/>' for k, (x, y) in enumerate(there.polygon.exterior.coords[:-1])
    )
    shape = (
        f'<Annotation Name="a" Type="Polygon" PartOfGroup="Tumor"><Coordinates>{points}</Coordinates></Annotation>'
    )
    asap = tmp_path / "asap.xml"
    asap.write_text(f"<ASAP_Annotations><Annotations>{shape}</Annotations></ASAP_Annotations>")
    (one,), (other,) = compare_bag(bag, qupath), compare_bag(bag, asap)
    assert one.summary() == other.summary()
    assert one.cover.iou > 0.5
    (mask,) = compare_bag(bag, project / "study/masks/slide.geojson")
    assert mask.cover.recall > 0.9


def test_compare_groups_reads_the_plane_that_is_asked_for(project: Path, tmp_path: Path) -> None:
    bag, path = project / "study/bags/slide.h5", tmp_path / "planes.geojson"
    on_plane = {"z": 2, "t": 1}
    features = []
    for number, half in enumerate((shapely.box(0, 0, 320, 512), shapely.box(320, 0, 640, 512))):
        geometry = shapely.geometry.mapping(half) | ({"plane": on_plane} if number else {})
        features.append({"type": "Feature", "geometry": geometry, "properties": {"classification": "Tumor"}})
    path.write_text(json.dumps(features))

    def first_row(*plane: str) -> list[str]:
        words = ["compare-groups", str(bag), "-a", str(path), "-o", str(tmp_path / "rows.csv"), *plane]
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
        return (tmp_path / "rows.csv").read_text().splitlines()

    (left,), (right,) = compare_bag(bag, path), compare_bag(bag, path, plane=(2, 1))
    assert left.summary() != right.summary()
    assert first_row() == first_row("--plane", "0") == first_row("--plane", "0,0")
    assert first_row("--plane", "2,1") != first_row()
    for wrong in ("", "a", "1,2,3", "-1"):
        result = CliRunner().invoke(app, ["compare-groups", str(bag), "-a", str(path), f"--plane={wrong}"])
        assert result.exit_code == 2
        assert "whole numbers" in result.output


@pytest.mark.parametrize("with_slides", [True, False])
def test_what_is_exported_for_qupath_counts_from_the_bounds(
    project: Path, tmp_path: Path, with_slides: bool
) -> None:
    slides = project / "slides" if with_slides else None
    (done,) = export_slides(Source(project / "study/bags", slides=slides), tmp_path, to="geojson")
    assert done.error is None
    assert within_the_scan(tmp_path / "slide.geojson")
    assert within_the_scan(tmp_path / "slide.tissue.geojson")


def test_groups_of_a_prediction_count_from_the_bounds(project: Path, tmp_path: Path) -> None:
    model = TrainedModel(
        model=build_aggregator(ModelSettings(name="sam-mil"), dim=1280, n_classes=2).eval(),
        classes=("normal", "tumour"),
        threshold=0.5,
        expects=Expects(dim=1280, encoder="efficientnet-lite0", patch_size=64),
        name="untrained",
        card="Random weights.",
    )
    (found,) = predict_paths([model], [project / "study/bags/slide.h5"], tmp_path)
    assert found.error is None
    assert within_the_scan(tmp_path / "slide.groups.geojson")


def test_a_bag_of_before_asks_the_slide_or_says_that_it_does_not_know(project: Path, tmp_path: Path) -> None:
    bag = tmp_path / "slide.h5"
    shutil.copy(project / "study/bags/slide.h5", bag)
    with h5py.File(bag, "r+") as file:
        del file.attrs["bounds_px0"]
    assert read_slide_place(bag).bounds_origin_px0 == CORNER
    with h5py.File(bag, "r+") as file:
        file.attrs["slide_path"] = str(tmp_path / "gone.scn")
    assert not read_slide_place(bag).bounds_known
    qupath = tmp_path / "a.geojson"
    square = [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]
    qupath.write_text(json.dumps({"type": "Polygon", "coordinates": [square]}))
    found = read_annotation_file(qupath, info=read_slide_place(bag))
    assert "not known whether the slide has bounds" in found.notes[0]
