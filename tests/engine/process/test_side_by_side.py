"""Tissue and patches of many slides in child processes: the same bags, and a slide that crashes one fails alone."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from cheap_models import SETTINGS, use_cheap_models
from whole_runs import states

from sam_mil_engine import first_look
from sam_mil_engine.errors import Cancelled, SlideError
from sam_mil_engine.process.batch import process_slides
from sam_mil_engine.process.project import Project
from sam_mil_engine.process.recorded import recorded_settings
from sam_mil_engine.process.results import ProcessedSlide, SlideResult
from sam_mil_engine.progress import Progress
from sam_mil_engine.slide.entry import SlideEntry
from tiny_slides import write_tiny_slide

FIRST = ("tissue", "tiles")
#: In a child process, this slide crashes whoever looks for its tissue, and another one waits for a file.
SITE = """
import os, signal, time
import sam_mil_engine.slide.tissue as module
find = module.find_tissue
def find_or_crash(slide, *arguments, **options):
    if slide.info.path.stem == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if slide.info.path.stem == "endless":
        time.sleep(600)
    return find(slide, *arguments, **options)
module.find_tissue = find_or_crash
"""


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    use_cheap_models(put=monkeypatch.setattr)


@pytest.fixture
def in_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(SITE)
    paths = [str(tmp_path / "site"), *(path for path in sys.path if path.endswith("src"))]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")]))


def slides(folder: Path, *names: str) -> list[Path]:
    return [write_tiny_slide(folder / f"{name}.tiff", seed=seed) for seed, name in enumerate(names)]


def run(paths: list[Path | SlideEntry], project: Path, **options: object) -> list[SlideResult[ProcessedSlide]]:
    return list(process_slides(paths, project, settings=SETTINGS, device="cpu", **options))


def bags(project: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (project / "bags").glob("*.h5")}


def test_the_same_bags_as_one_by_one(tmp_path: Path) -> None:
    paths: list[Path | SlideEntry] = [
        *slides(tmp_path, "a"),
        SlideEntry(slides(tmp_path, "c")[0], "named", mpp=0.4, preset="biopsy"),
        write_tiny_slide(tmp_path / "blank.tiff", tissue=False),
    ]
    told: list[Progress] = []
    alone = run(paths, tmp_path / "alone")
    many = run(paths, tmp_path / "many", jobs=2, progress=told.append)
    assert bags(tmp_path / "many") == bags(tmp_path / "alone")
    assert states(tmp_path / "many") == {"a": "done", "named": "done", "blank": "failed"}
    by_name = {item.slide_id: item for item in many}
    assert str(by_name["blank"].error) == str({item.slide_id: item for item in alone}["blank"].error)
    assert set(FIRST) < set(by_name["a"].result.seconds)
    assert by_name["a"].result.reused == ()
    counted = [(one.done, one.total) for one in told if one.stage == "tissue and patches"]
    assert (counted[0], counted[-1]) == ((0, 3), (3, 3))
    rows = Project(tmp_path / "many").rows()
    assert rows["a"].tiles == by_name["a"].result.tiles
    assert set(rows["a"].seconds) >= set(FIRST)
    told.clear()
    assert run(paths[:2], tmp_path / "many", jobs=2, progress=told.append)[0].result.reused
    assert not [one for one in told if one.stage == "tissue and patches"], "nothing is left to find"


@pytest.mark.usefixtures("in_children")
def test_a_slide_that_crashes_its_process_fails_alone(tmp_path: Path) -> None:
    results = run(slides(tmp_path, "a", "crash", "b"), tmp_path / "p", stages=FIRST, jobs=2)
    failed = [item for item in results if item.error is not None]
    assert [item.slide_id for item in failed] == ["crash"]
    assert isinstance(failed[0].error, SlideError)
    assert "crash.tiff: the process that read this slide crashed (SIGSEGV)" in str(failed[0].error)
    assert states(tmp_path / "p") == {"a": "done", "b": "done", "crash": "failed"}
    row = Project(tmp_path / "p").rows()["crash"]
    assert "SIGSEGV" in row.error
    assert "--jobs 1" in row.hint


@pytest.mark.usefixtures("in_children")
def test_a_run_that_is_stopped_ends_its_children(tmp_path: Path) -> None:
    def stop(report: Progress) -> None:
        if report.done and "endless" in states(tmp_path / "p"):
            raise Cancelled("stopped by the test")

    with pytest.raises(Cancelled):
        run(slides(tmp_path, "endless", "a", "b"), tmp_path / "p", stages=FIRST, jobs=2, progress=stop)
    assert states(tmp_path / "p")["endless"] == "cancelled"
    with Project(tmp_path / "p").lock("endless"):
        pass


def test_warnings_of_children_are_heard(tmp_path: Path) -> None:
    paths = slides(tmp_path, "a", "b")
    run(paths, tmp_path / "p", stages=FIRST)
    for number, path in enumerate(paths):
        write_tiny_slide(path, seed=number + 7)
    settings = SETTINGS.model_copy(update={"preset": "biopsy"})
    with pytest.warns(UserWarning, match="the project held results of a different slide"):
        list(process_slides(paths, tmp_path / "p", settings=settings, stages=FIRST, device="cpu", jobs=2))


def test_what_children_found_is_neither_found_nor_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [*slides(tmp_path, "b", "a", "d"), write_tiny_slide(tmp_path / "c.tiff", size=(256, 256))]
    alone = run(paths, tmp_path / "alone", stages=FIRST)
    first_look._CHILD.stop()
    for module in ("batch", "runner"):
        monkeypatch.setattr(f"sam_mil_engine.process.{module}.run_slide", None)
    many = run(paths, tmp_path / "many", stages=FIRST, jobs=2)
    assert first_look._CHILD._process is None, "no process was needed to look at slides or bags"
    for one, other in zip(alone, many, strict=True):
        assert one.result is not None
        assert other.result is not None
        assert (one.slide_id, one.result.tiles, one.result.reused) == (other.slide_id, other.result.tiles, ())
        assert set(other.result.seconds) == set(FIRST)
        np.testing.assert_array_equal(one.result.grid.coords_px0, other.result.grid.coords_px0)
        np.testing.assert_array_equal(one.result.tissue.area_px0, other.result.tissue.area_px0)


def test_settings_that_another_run_wrote_in_the_meantime_are_noticed(tmp_path: Path) -> None:
    project = Project(tmp_path / "p")
    biopsy = SETTINGS.model_copy(update={"preset": "biopsy"})
    project.save_settings(SETTINGS, {"x": "1"})
    project.save_settings(SETTINGS, {"x": "1"})
    Project(tmp_path / "p").save_settings(biopsy, {"x": "1"})
    assert recorded_settings(tmp_path / "p") == biopsy
    project.save_settings(SETTINGS, {"x": "1"})
    assert recorded_settings(tmp_path / "p") == SETTINGS
