"""The rows of the fault table about slides and processes, on whole runs."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from cheap_models import SETTINGS, CheapSegmenter, use_cheap_models
from forked_runs import ForkedRuns
from whole_runs import run, states

from sam_mil_engine.bag import h5
from sam_mil_engine.drawing import images
from sam_mil_engine.errors import ProjectError, SlideError
from sam_mil_engine.process import stages
from sam_mil_engine.process.locks import LockedError
from sam_mil_engine.process.project import Project
from sam_mil_engine.segment.segments import Segments
from sam_mil_engine.settings import SegmentSettings, TileSettings, TissueSettings
from sam_mil_engine.slide import tissue
from sam_mil_engine.slide.entry import SlideEntry
from tiny_slides import write_tiny_slide


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    use_cheap_models(put=monkeypatch.setattr)


@pytest.mark.skipif(sys.platform == "win32", reason="processes are forked")
def test_two_processes_on_one_project(tmp_path: Path) -> None:
    """Both end; a slide that the other one holds is named, and every slide is done by one of them."""
    slides = [write_tiny_slide(tmp_path / f"s{number}.tiff", seed=number) for number in range(4)]
    run(slides, tmp_path / "whole")
    project = tmp_path / "project"
    with ForkedRuns(tmp_path / "moment") as runs:
        runs.start(slides, project, SETTINGS)
        results = run(slides[::-1], project)
        code = runs.end()
    held = {name: item.error for name, item in results.items() if item.error is not None}
    for name, error in held.items():
        assert isinstance(error, LockedError)
        assert f"another process is working on '{name}'" in str(error)
        assert "Wait for it" in str(error)
    assert code in {0, 1}
    assert states(project) == dict.fromkeys(("s0", "s1", "s2", "s3"), "done")
    for slide in slides:
        name = f"bags/{slide.stem}.h5"
        assert (project / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert all(item.error is None for item in run(slides, project).values())


def write_pyramid(path: Path) -> Path:
    """A slide of two levels, so that the image of the tissue does not touch the tiles of the finer one."""
    image = np.full((1024, 1024, 3), 244, np.uint8)
    image[128:896, 128:896] = np.random.default_rng(0).normal((200, 120, 170), 8, (768, 768, 3))
    options = {"tile": (128, 128), "photometric": "rgb", "compression": "deflate"}
    with tifffile.TiffWriter(path) as file:
        file.write(image, resolution=(20000, 20000), resolutionunit=3, **options)
        file.write(image[::4, ::4], subfiletype=1, **options)
    return path


def test_a_corrupt_tile_in_a_good_slide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its place is named, the slide is marked, nothing is white in silence; the other slides go on."""
    monkeypatch.setattr(stages, "_IMAGE_SIDE", 256)
    monkeypatch.setattr(tissue, "MIN_SIDE", 200)
    every = TissueSettings(min_tissue_area=0, min_hole_area=0)
    settings = SETTINGS.model_copy(
        update={"tissue": every, "segments": SegmentSettings(max_side=256), "tiles": TileSettings(patch_size=128)}
    )
    good, bad = write_pyramid(tmp_path / "good.tiff"), write_pyramid(tmp_path / "bad.tiff")
    with tifffile.TiffFile(bad) as file:
        page = file.pages[0]
        number = 4 * 8 + 3  # row 4, column 3: at x = 384, y = 512
        offset, count = page.dataoffsets[number], page.databytecounts[number]
    with bad.open("r+b") as raw:
        raw.seek(offset)
        raw.write(b"\xff" * count)
    results = run([bad, good], tmp_path / "p", settings)
    assert results["good"].error is None
    error = results["bad"].error
    assert isinstance(error, SlideError)
    assert "level-0 x=384, y=512" in str(error)
    assert str(bad) in str(error)
    row = Project(tmp_path / "p").rows()["bad"]
    assert row.state == "failed"
    assert "x=384, y=512" in row.error
    assert "copy it again" in row.hint
    assert set(h5.read_stages(tmp_path / "p" / "bags" / "bad.h5")) == {"tissue", "tiles", "segments"}
    assert [one.path for one in Project(tmp_path / "p").failed_among(map(SlideEntry.of, (good, bad)))] == [bad]


def test_a_slide_without_mpp(tmp_path: Path) -> None:
    slide = tmp_path / "s.tiff"
    with tifffile.TiffFile(write_tiny_slide(tmp_path / "with.tiff")) as file:
        tifffile.imwrite(slide, file.asarray(), tile=(128, 128), photometric="rgb", compression="deflate")
    assert run([slide], tmp_path / "pixels")["s"].error is None
    physical = SETTINGS.model_copy(update={"tiles": TileSettings(patch_size=64, mpp=0.5)})
    assert "State it with --source-mpp" in str(run([slide], tmp_path / "p", physical)["s"].error)
    stated = SETTINGS.model_copy(update={"tiles": TileSettings(patch_size=64, mpp=0.5, source_mpp=0.5)})
    item = run([slide], tmp_path / "p", stated)["s"]
    assert item.error is None
    assert h5.read_grid(item.result.bag_path).mpp == 0.5


def test_no_mask_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bag whose patches are all without a group, not a failure."""
    segment = CheapSegmenter.segment

    def nothing(self: CheapSegmenter, image: Any, *, progress: Any) -> Segments:
        return segment(self, replace(image, rgb=np.full_like(image.rgb, 255)), progress=progress)

    monkeypatch.setattr(CheapSegmenter, "segment", nothing)
    item = run([write_tiny_slide(tmp_path / "s.tiff")], tmp_path / "p")["s"]
    assert item.error is None
    assert item.result.groups == 0
    bag = h5.read_bag(item.result.bag_path).check()
    assert set(bag.groups.group_of_patch) == {-1}
    assert bag.group_features.shape == (0, 6)


def test_an_image_that_could_not_be_written_is_written_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stage counts as done when all of it is there."""
    slide, project = write_tiny_slide(tmp_path / "s.tiff"), tmp_path / "p"
    save = images.save_image
    for folder in ("masks", "stitches"):

        def fail(path: Path, image: Any, folder: str = folder) -> Path:
            if path.parent.name == folder:
                raise ProjectError("no image today", where=path)
            return save(path, image)

        with monkeypatch.context() as patch:
            patch.setattr(images, "save_image", fail)
            assert "no image today" in str(run([slide], project)["s"].error)
    assert run([slide], project)["s"].error is None
    assert (project / "masks" / "s.jpg").exists()
    assert (project / "stitches" / "s.jpg").exists()


def test_memory_runs_out_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The slide says so, the others go on, and the next run does it."""
    slides = [write_tiny_slide(tmp_path / f"s{number}.tiff", seed=number) for number in range(2)]
    segment, calls = CheapSegmenter.segment, []

    def full(self: CheapSegmenter, image: Any, *, progress: Any) -> Segments:
        calls.append(1)
        if len(calls) == 1:
            raise MemoryError
        return segment(self, image, progress=progress)

    monkeypatch.setattr(CheapSegmenter, "segment", full)
    results = run(slides, tmp_path / "p")
    assert isinstance(results["s0"].error, SlideError)
    assert "the memory of this computer is full" in Project(tmp_path / "p").rows()["s0"].error
    assert results["s1"].error is None
    assert run(slides, tmp_path / "p")["s0"].error is None
