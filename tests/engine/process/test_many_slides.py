"""Slides that overlap: the same bags as one by one, whatever goes wrong with the next slide."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from whole_runs import states

from sam_mil_engine import devices
from sam_mil_engine.errors import Cancelled, ProjectError, SlideError
from sam_mil_engine.features import loading
from sam_mil_engine.process.batch import process_slides
from sam_mil_engine.process.job import Tools
from sam_mil_engine.process.project import Project
from sam_mil_engine.process.runner import process_slide
from sam_mil_engine.progress import Progress
from sam_mil_engine.settings import STAGES as ALL_STAGES
from sam_mil_engine.settings import FeatureSettings, ProcessSettings, TileSettings
from sam_mil_engine.slide.slide import Slide
from tiny_slides import write_tiny_slide

SETTINGS = ProcessSettings(tiles=TileSettings(patch_size=64), features=FeatureSettings(block=8, batch_size=8))
STAGES = ("tissue", "tiles", "features")
WAIT_S = 60.0


class Colours:
    """Mean and deviation of each colour; somebody may watch."""

    name, version, weights_sha256, dim, preprocessing = "colours", "1", "", 6, "none"

    def __init__(self) -> None:
        self.watch: Callable[[], None] = lambda: None

    def encode(self, batch: np.ndarray) -> np.ndarray:
        self.watch()
        return np.concatenate([batch.mean(axis=(1, 2)), batch.std(axis=(1, 2))], axis=1).astype(np.float32)


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch) -> Colours:
    colours = Colours()
    monkeypatch.setattr(loading, "load_encoder", lambda name, **options: colours)
    return colours


@pytest.fixture
def slides(tmp_path: Path) -> list[Path]:
    return [write_tiny_slide(tmp_path / f"s{number}.tiff", seed=number) for number in range(3)]


def bags(project: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (project / "bags").glob("*.h5")}


def engine_threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith(("tiles", "next-slide"))]


@pytest.mark.parametrize("ahead", [0, 1, 2])
def test_the_same_bags_as_one_by_one(slides: list[Path], tmp_path: Path, encoder: Colours, ahead: int) -> None:
    tools, stages = Tools(SETTINGS, device="cpu"), ALL_STAGES if ahead == 1 else STAGES
    for path in slides:
        process_slide(path, tmp_path / "alone", tools=tools, stages=stages)
    options = {"settings": SETTINGS, "device": "cpu", "stages": stages, "ahead": ahead}
    results = list(process_slides(slides, tmp_path / "many", **options))
    assert [item.path for item in results] == slides
    assert bags(tmp_path / "many") == bags(tmp_path / "alone")
    assert states(tmp_path / "many") == {"s0": "done", "s1": "done", "s2": "done"}
    assert not engine_threads()


def test_the_next_slide_is_read_while_one_is_encoded(
    slides: list[Path], tmp_path: Path, encoder: Colours, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The encoder holds slide 0 until patches of slide 1 have been read: without overlap it waits in vain."""
    read_of_next = threading.Event()
    waited: list[bool] = []
    read = Slide.read_region

    def watched(self: Slide, *arguments: object) -> np.ndarray:
        if self.info.path == slides[1]:
            read_of_next.set()
        return read(self, *arguments)

    def wait_once() -> None:
        if not waited:
            waited.append(read_of_next.wait(WAIT_S))

    monkeypatch.setattr(Slide, "read_region", watched)
    encoder.watch = wait_once
    results = list(
        process_slides(slides[:2], tmp_path / "p", settings=SETTINGS, stages=STAGES, device="cpu", ahead=1)
    )
    assert waited == [True]
    assert all(item.error is None for item in results)


def test_at_most_one_slide_is_prepared(slides: list[Path], tmp_path: Path, encoder: Colours) -> None:
    """While slide 0 is encoded, slide 1 is running and slide 2 is not begun."""
    seen: set[str] = set()
    encoder.watch = lambda: seen.update(states(tmp_path / "p")) if not seen - {"s0"} else None
    run = process_slides(slides, tmp_path / "p", settings=SETTINGS, stages=STAGES, device="cpu", ahead=1)
    next(run)
    assert seen <= {"s0", "s1"}
    run.close()


def test_a_bad_next_slide_does_not_touch_the_one_before(
    slides: list[Path], tmp_path: Path, encoder: Colours
) -> None:
    blank = write_tiny_slide(tmp_path / "blank.tiff", tissue=False)
    broken = tmp_path / "broken.tiff"
    broken.write_bytes(b"II*\0 this is no image")
    order = [slides[0], broken, blank, slides[1]]
    results = list(process_slides(order, tmp_path / "p", settings=SETTINGS, stages=STAGES, device="cpu", ahead=1))
    assert [type(item.error) for item in results] == [type(None), SlideError, SlideError, type(None)]
    assert states(tmp_path / "p") == {"s0": "done", "broken": "failed", "blank": "failed", "s1": "done"}
    again = list(process_slides([blank], tmp_path / "p", settings=SETTINGS, stages=STAGES, device="cpu", ahead=0))
    assert str(again[0].error) == str(results[2].error)


def test_the_lock_of_each_slide_is_held_and_given_back(
    slides: list[Path], tmp_path: Path, encoder: Colours
) -> None:
    project = tmp_path / "p"
    with Project(project).lock("s1"):
        results = list(process_slides(slides, project, settings=SETTINGS, stages=STAGES, device="cpu", ahead=1))
    assert isinstance(results[1].error, ProjectError)
    assert "another process is working on 's1'" in str(results[1].error)
    assert states(project) == {"s0": "done", "s2": "done"}
    held: list[str] = []

    def try_locks() -> None:
        for name in ("s0", "s1"):
            try:
                with Project(tmp_path / "q").lock(name):
                    pass
            except ProjectError:
                held.append(name)

    encoder.watch = lambda: None if held else try_locks()
    run = process_slides(slides, tmp_path / "q", settings=SETTINGS, stages=STAGES, device="cpu", ahead=1)
    next(run)
    assert held[0] == "s0"
    run.close()
    for path in slides:
        with Project(project).lock(path.stem), Project(tmp_path / "q").lock(path.stem):
            pass


def test_cancelling_records_both_slides_and_the_next_run_goes_on(
    slides: list[Path], tmp_path: Path, encoder: Colours
) -> None:
    callers: set[int] = set()

    def stop(report: Progress) -> None:
        callers.add(threading.get_ident())
        if report.stage == "features" and report.done >= 16:
            raise Cancelled("stopped by the test")

    with pytest.raises(Cancelled):
        list(
            process_slides(
                slides, tmp_path / "p", settings=SETTINGS, stages=STAGES, device="cpu", ahead=1, progress=stop
            )
        )
    assert callers == {threading.get_ident()}
    found = states(tmp_path / "p")
    assert found.pop("s0") == "cancelled"
    assert set(found) <= {"s1"}
    assert set(found.values()) <= {"cancelled"}
    assert not engine_threads()
    for project in ("p", "whole"):
        list(process_slides(slides, tmp_path / project, settings=SETTINGS, stages=STAGES, device="cpu", ahead=1))
    assert bags(tmp_path / "p") == bags(tmp_path / "whole")
    assert set(states(tmp_path / "p").values()) == {"done"}


def test_who_stops_listening_stops_the_run(slides: list[Path], tmp_path: Path, encoder: Colours) -> None:
    run = process_slides(slides, tmp_path / "p", settings=SETTINGS, stages=STAGES, device="cpu", ahead=1)
    assert next(run).error is None
    run.close()
    found = states(tmp_path / "p")
    assert found.pop("s0") == "done"
    assert set(found.values()) <= {"cancelled"}
    assert not engine_threads()


def test_the_reports_of_a_slide_come_in_its_turn(slides: list[Path], tmp_path: Path, encoder: Colours) -> None:
    reports: dict[int, list[Progress]] = {}
    for ahead in (0, 1):
        listen = reports.setdefault(ahead, []).append
        options = {"settings": SETTINGS, "stages": STAGES, "device": "cpu", "ahead": ahead, "progress": listen}
        list(process_slides(slides, tmp_path / f"p{ahead}", **options))
    assert reports[0] == reports[1]
    assert [report.message for report in reports[0] if report.stage == "process"] == [*STAGES, "done"] * 3


def test_a_model_on_few_cores_has_them_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = {("cpu", 2): 0, ("cpu", 8): 1, ("meta", 2): 1}
    for (device, cores), ahead in expected.items():
        monkeypatch.setattr(devices, "cpu_count", lambda cores=cores: cores)
        assert devices.slides_ahead(torch.device(device)) == ahead
