"""A cohort as a table: names, resolutions and presets by slide; the same file gives labels and patients."""

from __future__ import annotations

from pathlib import Path

import pytest
from cheap_models import SETTINGS, use_cheap_models

from sam_mil_engine.bag import h5
from sam_mil_engine.bag.names import KnownNames
from sam_mil_engine.process.batch import process_slides
from sam_mil_engine.process.job import Tools
from sam_mil_engine.process.project import Project
from sam_mil_engine.process.runner import process_slide
from sam_mil_engine.settings import TISSUE_PRESETS, TileSettings
from sam_mil_engine.settings.changes import with_changes
from sam_mil_engine.slide.entry import SlideEntry
from sam_mil_engine.slide.table import read_slides_table
from sam_mil_engine.training.labels import read_labels
from tiny_slides import write_tiny_slide


@pytest.fixture
def cohort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    use_cheap_models(put=monkeypatch.setattr)
    (tmp_path / "scans").mkdir()
    for number in range(3):
        write_tiny_slide(tmp_path / "scans" / f"{number}.tiff", seed=number)
    file = tmp_path / "cohort.csv"
    file.write_text(
        "path,slide_id,mpp,preset,label,patient_id\n"
        "scans/0.tiff,A-1,,,tumour,A\n"
        "scans/1.tiff,A-2,0.25,biopsy,normal,A\n"
        "scans/2.tiff,,,,normal,B\n",
        encoding="utf-8",
    )
    return file


def test_each_slide_has_its_own_settings(cohort: Path, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"tiles": TileSettings(patch_size=64, mpp=0.5)})
    results = list(process_slides(read_slides_table(cohort), tmp_path / "p", settings=settings, device="cpu"))
    assert [item.slide_id for item in results if item.error is None] == ["A-1", "A-2", "2"]
    rows = Project(tmp_path / "p").rows()
    assert [(name, rows[name].mpp, rows[name].preset) for name in ("A-1", "A-2", "2")] == [
        ("A-1", None, ""),
        ("A-2", 0.25, "biopsy"),
        ("2", None, ""),
    ]
    attributes = {name: h5.read_attributes(tmp_path / "p" / "bags" / f"{name}.h5") for name in rows}
    assert attributes["A-1"]["mpp"] == pytest.approx((0.5, 0.5))
    assert attributes["A-2"]["mpp"] == (0.25, 0.25)
    grids = {name: h5.read_grid(tmp_path / "p" / "bags" / f"{name}.h5") for name in rows}
    assert grids["A-1"].size_px0 == pytest.approx((64, 64))
    assert grids["A-2"].size_px0 == (128, 128)


def test_a_file_keeps_its_name_and_resolution_in_later_runs(cohort: Path, tmp_path: Path) -> None:
    stages = ("tissue", "tiles")
    entries = read_slides_table(cohort)
    list(process_slides(entries, tmp_path / "p", settings=SETTINGS, stages=stages, device="cpu"))
    again = process_slide(tmp_path / "scans" / "0.tiff", tmp_path / "p", settings=SETTINGS, stages=stages)
    assert (again.slide_id, again.reused) == ("A-1", stages)
    again = process_slide(tmp_path / "scans" / "1.tiff", tmp_path / "p", settings=SETTINGS, stages=("tiles",))
    assert (again.slide_id, again.info.mpp) == ("A-2", (0.25, 0.25))


def test_a_file_keeps_its_preset_in_later_runs_unless_another_is_set(cohort: Path, tmp_path: Path) -> None:
    project, path, stages = tmp_path / "p", tmp_path / "scans" / "1.tiff", ("tissue", "tiles")
    list(process_slides(read_slides_table(cohort), project, settings=SETTINGS, stages=stages, device="cpu"))
    again = process_slide(path, project, settings=SETTINGS, stages=stages)
    assert again.reused == stages
    (again,) = process_slides([path], project, settings=SETTINGS, stages=stages, device="cpu")
    assert again.result is not None
    assert again.result.reused == stages
    assert Project(project).rows()["A-2"].preset == "biopsy"
    other = process_slide(path, project, settings=with_changes(SETTINGS, {"preset": "tcga"}), stages=stages)
    assert set(other.seconds) == set(stages)
    assert Project(project).rows()["A-2"].preset == ""


def test_another_resolution_makes_results_again_without_talk_of_another_slide(
    cohort: Path, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    stages, path = ("tissue", "tiles"), tmp_path / "scans" / "0.tiff"
    process_slide(SlideEntry(path, "s"), tmp_path / "p", settings=SETTINGS, stages=stages)
    again = process_slide(SlideEntry(path, "s", mpp=0.3), tmp_path / "p", settings=SETTINGS, stages=stages)
    assert set(again.seconds) == set(stages)
    assert not [one for one in recwarn if "different slide" in str(one.message)]


def test_a_preset_of_one_slide_leaves_what_the_user_set() -> None:
    tools = Tools(with_changes(SETTINGS, {"tissue.max_holes": 3}))
    tissue = tools.for_slide(SlideEntry(Path("x.svs"), "x", preset="biopsy")).settings.resolved_tissue
    assert tissue == TISSUE_PRESETS["biopsy"].model_copy(update={"max_holes": 3})
    assert tools.settings.resolved_tissue.close_size == TISSUE_PRESETS["default"].close_size


def test_the_same_table_gives_labels_and_patients(cohort: Path) -> None:
    told: list[str] = []
    found = read_labels(cohort, progress=lambda report: told.append(report.message))
    assert found.to_dict("list") == {
        "slide_id": ["A-1", "A-2", "2"],
        "label": ["tumour", "normal", "normal"],
        "patient_id": ["A", "A", "B"],
    }
    assert told == []


@pytest.mark.parametrize("heading", ["path", "wsi_path", "File Path", "file"])
def test_labels_of_a_table_that_names_files_alone(tmp_path: Path, heading: str) -> None:
    file = tmp_path / "cohort.csv"
    file.write_text(f"{heading},label\nscans/a.svs,1\nb.ome.tiff,0\n", encoding="utf-8")
    known = KnownNames(["a", "b"])
    assert [known.find(name) for name in read_labels(file)["slide_id"]] == ["a", "b"]
    (tmp_path / "scans").mkdir()
    for path in ("scans/a.svs", "b.ome.tiff"):
        (tmp_path / path).touch()
    assert [one.slide_id for one in read_slides_table(file)] == ["a", "b"]
