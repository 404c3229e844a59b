"""A corrected mask in a project: what depends on it is computed again, and it holds for later runs."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import shapely
from cheap_models import SETTINGS, use_cheap_models

from sam_mil_engine.annotations.geojson import write_geojson
from sam_mil_engine.annotations.masks import tissue_area
from sam_mil_engine.annotations.model import Annotation
from sam_mil_engine.bag import h5
from sam_mil_engine.cli.main import run
from sam_mil_engine.errors import AnnotationError, SlideError
from sam_mil_engine.process.batch import process_slides
from sam_mil_engine.process.results import ProcessedSlide
from sam_mil_engine.process.runner import process_slide
from sam_mil_engine.settings import STAGES, ProcessSettings
from sam_mil_engine.slide.entry import SlideEntry
from tiny_slides import write_tiny_slide


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    use_cheap_models(put=monkeypatch.setattr)


def process(slide: Path, project: Path, tissue: Path | None = None, **options: object) -> ProcessedSlide:
    settings = SETTINGS.model_copy(update=options)
    return process_slide(replace(SlideEntry.of(slide), tissue=tissue), project, settings=settings)


def correct(project: Path, folder: Path) -> Path:
    """Cut the left half off a mask, as a person does in QuPath."""
    content = json.loads((project / "masks" / "tiny.geojson").read_text())
    area = shapely.union_all([shapely.geometry.shape(one["geometry"]) for one in content["features"]])
    outline = Annotation(name="mine", classification=None, polygon=area.intersection(shapely.box(320, 0, 640, 512)))
    return write_geojson(folder / "tiny.geojson", [outline], info=None)


def test_a_mask_that_nobody_changed_changes_nothing(tiny_slide: Path, tmp_path: Path) -> None:
    project = tmp_path / "p"
    process(tiny_slide, project)
    shutil.copytree(project / "masks", tmp_path / "masks")
    again = process(tiny_slide, project, tmp_path / "masks" / "tiny.geojson")
    assert again.reused == STAGES
    assert process(tiny_slide, project).reused == STAGES


def test_a_corrected_mask_holds_until_tissue_is_found_again(tiny_slide: Path, tmp_path: Path) -> None:
    project = tmp_path / "p"
    first = process(tiny_slide, project)
    mask = correct(project, tmp_path)
    second = process(tiny_slide, project, mask)
    assert set(second.seconds) == set(STAGES)
    assert second.tissue.method == "drawn"
    assert second.tissue.bounds_px0[0] == 320
    assert 0 < second.tiles < first.tiles
    third = process(tiny_slide, project)
    assert (third.reused, third.tissue.method) == (STAGES, "drawn")
    assert process(tiny_slide, project, preset="biopsy").reused == STAGES, (
        "a preset finds tissue; this one is drawn"
    )
    # the mask that the project wrote of it, as it is
    assert process(tiny_slide, project, project / "masks" / "tiny.geojson").reused == STAGES


def test_outlines_that_limit_tissue(tiny_slide: Path, tmp_path: Path) -> None:
    outlines = tmp_path / "outlines"
    right, low = shapely.box(320, 0, 640, 512), shapely.box(0, 300, 640, 512)

    def write(*named: tuple[str, shapely.Polygon]) -> None:
        found = [Annotation(name=name, classification=name, polygon=area) for name, area in named]
        write_geojson(outlines / "tiny.geojson", found, info=None)

    write(("ROI", right), ("Pen", low))
    limits = {"annotations": str(outlines), "only_inside": ("ROI",), "not_inside": ("Pen",)}
    part = process(tiny_slide, tmp_path / "p", **limits)
    left, _, _, bottom = part.tissue.bounds_px0
    assert (left, bottom) == (320, 300)
    write(("ROI", right), ("Pen", low), ("Tumor", shapely.box(0, 0, 9, 9)))
    assert process(tiny_slide, tmp_path / "p", **limits).reused == STAGES, "outlines of other classes do not matter"
    write(("ROI", shapely.box(0, 0, 9, 9)), ("Pen", low))
    with pytest.raises(SlideError, match="no tissue is left where the outlines allow it"):
        process(tiny_slide, tmp_path / "p", **limits)


def test_one_slide_without_outlines_fails_alone(tmp_path: Path) -> None:
    slides = [write_tiny_slide(tmp_path / f"{name}.tiff") for name in "ab"]
    outline = Annotation(name="1", classification="ROI", polygon=shapely.box(0, 0, 640, 512))
    write_geojson(tmp_path / "outlines" / "b.geojson", [outline], info=None)
    settings = ProcessSettings(
        **{**dict(SETTINGS), "annotations": str(tmp_path / "outlines"), "only_inside": ("ROI",)}
    )
    results = list(process_slides(slides, tmp_path / "p", settings=settings, stages=("tissue",), device="cpu"))
    assert isinstance(results[0].error, AnnotationError)
    assert results[1].error is None


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["sam-mil-engine", "process", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        run()
    return int(end.value.code or 0)


def test_the_commands(
    tiny_slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project, other = tmp_path / "p", write_tiny_slide(tmp_path / "other.tiff", seed=1)
    common = (tiny_slide, other, "-o", project, "--stages", "tissue,tiles", "--patch-size", "64", "--jobs", "1")
    assert command(monkeypatch, *common) == 0
    correct(project, tmp_path / "corrected")
    assert command(monkeypatch, *common, "--tissue", tmp_path / "corrected") == 0
    assert "the tissue of other is found, since there is no file" in " ".join(capsys.readouterr().err.split())
    bags = {name: h5.read_tissue(project / "bags" / f"{name}.h5").method for name in ("tiny", "other")}
    assert (bags["tiny"], bags["other"] == "drawn") == ("drawn", False)
    assert command(monkeypatch, *common, "--tissue", "auto") == 0
    tissue = h5.read_tissue(project / "bags" / "tiny.h5")
    assert tissue.method != "drawn"
    assert tissue_area(tissue).bounds[0] < 320
    assert (project / "superseded" / "tissue" / "tiny.geojson").is_file()
    (tmp_path / "empty").mkdir()
    assert command(monkeypatch, *common, "--tissue", tmp_path / "empty") == 2
    assert "no slide has a file here; the slides are tiny, other" in " ".join(capsys.readouterr().err.split())
    assert command(monkeypatch, *common, "--only-inside", "ROI") == 2
    assert "--annotations and a class belong together" in " ".join(capsys.readouterr().err.split())


def test_a_folder_of_corrected_tissue_counts_before_the_table(
    tiny_slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project, table = tmp_path / "p", tmp_path / "cohort.csv"
    first, second = (shapely.box(left, 100, left + 200, 400) for left in (0, 320))
    for folder, area in (("first", first), ("second", second)):
        write_geojson(tmp_path / folder / "tiny.geojson", [Annotation("1", None, area)], info=None)
    table.write_text(f"path,tissue\n{tiny_slide},first/tiny.geojson\n", encoding="utf-8")
    common = ("--slides-table", table, "-o", project, "--stages", "tissue,tiles", "--patch-size", "64")

    def left() -> float:
        return float(h5.read_tissue(project / "bags" / "tiny.h5").bounds_px0[0])

    assert command(monkeypatch, *common) == 0
    assert left() == 0
    assert command(monkeypatch, *common, "--tissue", tmp_path / "second") == 0
    assert left() == 320
    assert command(monkeypatch, *common, "--tissue", "auto") == 0
    assert h5.read_tissue(project / "bags" / "tiny.h5").method != "drawn"
    (tmp_path / "empty").mkdir()
    assert command(monkeypatch, *common, "--tissue", tmp_path / "empty") == 2
    capsys.readouterr()
    limits = ("--annotations", tmp_path / "none", "--only-inside", "ROI")
    assert command(monkeypatch, *common, *limits) == 2
    assert "there is no such folder" in capsys.readouterr().err
