"""Preprocessing as a whole: resumable, never mixing settings, one failure never stopping the others."""

from __future__ import annotations

import json
import signal
import textwrap
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr

from sam_mil_engine.bag import h5
from sam_mil_engine.errors import Cancelled, DataError, ProjectError, SettingsError, SlideError
from sam_mil_engine.process.batch import process_slides
from sam_mil_engine.process.job import Tools
from sam_mil_engine.process.project import Project
from sam_mil_engine.process.results import ProcessRow
from sam_mil_engine.process.runner import process_slide
from sam_mil_engine.progress import Progress
from sam_mil_engine.settings import STAGES, FeatureSettings, ProcessSettings, TileSettings
from sam_mil_engine.slide.entry import SlideEntry
from tiny_slides import write_tiny_slide
from warm_commands import run_code

SETTINGS = ProcessSettings(tiles=TileSettings(patch_size=64), features=FeatureSettings(block=8, batch_size=8))


def differing(one: Path, other: Path) -> str:
    """Name the datasets and attributes in which two bags differ."""
    found: list[str] = []
    with h5py.File(one) as left, h5py.File(other) as right:

        def look(name: str, item: h5py.Group | h5py.Dataset) -> None:
            twin = right[name]
            found.extend(f"{name}@{key}" for key in item.attrs if str(item.attrs[key]) != str(twin.attrs.get(key)))
            if isinstance(item, h5py.Dataset) and not np.array_equal(item[()], twin[()]):
                found.append(name)

        left.visititems(look)
        found.extend(f"@{key}" for key in left.attrs if str(left.attrs[key]) != str(right.attrs.get(key)))
    return f"these differ: {found or 'only the layout of the file'}"


@pytest.fixture(scope="module")
def tools() -> Tools:
    return Tools(SETTINGS, device="cpu")


def test_the_whole_road(tiny_slide: Path, tmp_path: Path, tools: Tools) -> None:
    project = tmp_path / "project"
    first = process_slide(tiny_slide, project, tools=tools)
    assert set(first.seconds) == set(STAGES)
    assert first.bag is not None
    assert first.bag.check().groups is not None
    assert first.tiles == len(first.bag) > 20
    assert first.groups
    assert first.bag.attrs["encoder"] == "efficientnet-lite0"
    assert first.bag.attrs["mpp"] == pytest.approx((0.5, 0.5))
    assert first.bag.attrs["slide_path"] == str(tiny_slide.resolve())
    for path in ("masks/tiny.geojson", "masks/tiny.jpg", "stitches/tiny.jpg", "settings.json", "process.csv"):
        assert (project / path).stat().st_size > 0
    with h5py.File(project / "bags" / "tiny.h5") as file:
        documented = "coords features groups/features groups/area groups/box groups/predicted_iou groups/stability"
        documented += " groups/indptr groups/indices groups/of_patch segments/packed"
        for name in documented.split():
            assert name in file, name
        for name in ("format_version", "slide_id", "slide_sha", "mpp", "stages", "settings_key"):
            assert name in file.attrs, name
        assert set(json.loads(file.attrs["stages"])) == set(STAGES)
        for name in ("encoder", "encoder_version", "weights_sha256", "preprocessing"):
            assert name in file["features"].attrs, name

    label_image = zarr.open_group(project / "segments" / "tiny.ome.zarr", mode="r")
    multiscale = label_image.attrs["ome"]["multiscales"][0]
    level = label_image[multiscale["datasets"][0]["path"]]
    np.testing.assert_array_equal(level[:], first.segments.label_image())

    row = Project(project).rows()["tiny"]
    assert (row.state, row.tiles, row.segments) == ("done", first.tiles, len(first.segments))
    assert set(row.seconds) == set(STAGES)

    before = (project / "bags" / "tiny.h5").read_bytes()
    again = process_slide(tiny_slide, project, tools=tools)
    assert again.reused == STAGES
    assert again.seconds == {}
    assert (project / "bags" / "tiny.h5").read_bytes() == before


def test_stages_one_by_one_give_the_same_bag(tiny_slide: Path, tmp_path: Path, tools: Tools) -> None:
    process_slide(tiny_slide, tmp_path / "a", tools=tools)
    for stage in STAGES:
        step = process_slide(tiny_slide, tmp_path / "b", stages=[stage], tools=tools)
        assert set(step.seconds) == {stage}
    assert (tmp_path / "a/bags/tiny.h5").read_bytes() == (tmp_path / "b/bags/tiny.h5").read_bytes()


def test_a_stage_without_what_it_needs(tiny_slide: Path, tmp_path: Path, tools: Tools) -> None:
    with pytest.raises(SettingsError, match=r"'features' needs tiles .* Add tiles to --stages"):
        process_slide(tiny_slide, tmp_path / "p", stages=["tissue", "features"], tools=tools)
    with pytest.raises(SettingsError, match="unknown stages: sleep"):
        process_slide(tiny_slide, tmp_path / "p", stages=["sleep"], tools=tools)


def test_changed_settings_keep_the_old_bag(tiny_slide: Path, tmp_path: Path, tools: Tools) -> None:
    project = tmp_path / "project"
    old = process_slide(tiny_slide, project, tools=tools)
    before = old.bag_path.read_bytes()
    other = SETTINGS.model_copy(update={"tiles": TileSettings(patch_size=96)})
    new = process_slide(tiny_slide, project, settings=other)
    assert new.reused == ("tissue", "segments")
    assert new.tiles != old.tiles
    kept = list((project / "superseded").glob("*/tiny.h5"))
    assert [path.read_bytes() for path in kept] == [before]
    saved = json.loads((project / "settings.json").read_text())
    assert kept[0].parent.name in {item["key"] for item in saved["previous"]}
    assert saved["key"] not in {item["key"] for item in saved["previous"]}


def test_no_tissue_and_one_patch(tmp_path: Path, tools: Tools) -> None:
    blank = write_tiny_slide(tmp_path / "blank.tiff", tissue=False)
    small = write_tiny_slide(tmp_path / "small.tiff", size=(64, 64))
    broken = tmp_path / "broken.tiff"
    broken.write_bytes(b"II*\0 this is no image")
    results = {
        item.path.stem: item
        for item in process_slides([blank, broken, small], tmp_path / "p", settings=SETTINGS, device="cpu")
    }
    assert isinstance(results["blank"].error, SlideError)
    assert "no tissue was found" in str(results["blank"].error)
    assert "--preset" in str(results["blank"].error)
    assert isinstance(results["broken"].error, SlideError)
    assert results["small"].result is not None
    assert results["small"].result.tiles == 1
    rows = Project(tmp_path / "p").rows()
    assert {name: row.state for name, row in rows.items()} == {
        "blank": "failed",
        "broken": "failed",
        "small": "done",
    }
    assert "no tissue" in rows["blank"].error
    assert "--preset" in rows["blank"].hint
    assert [one.path for one in Project(tmp_path / "p").failed_among(map(SlideEntry.of, (blank, small)))] == [blank]


def test_two_slides_of_one_name(tmp_path: Path) -> None:
    paths = [tmp_path / "a" / "x.tiff", tmp_path / "b" / "x.svs"]
    with pytest.raises(DataError, match="several slides are called x"):
        next(process_slides(paths, tmp_path / "p"))


def test_cancel_keeps_what_is_finished(tiny_slide: Path, tmp_path: Path, tools: Tools) -> None:
    def stop_at_features(report: Progress) -> None:
        if report.stage == "features" and report.done >= 16:
            raise Cancelled("stopped by the test")

    with pytest.raises(Cancelled):
        process_slide(tiny_slide, tmp_path / "p", tools=tools, progress=stop_at_features)
    project = Project(tmp_path / "p")
    assert project.rows()["tiny"].state == "cancelled"
    assert set(h5.read_stages(project.bag("tiny"))) == {"tissue", "tiles", "segments"}
    resumed: list[int] = []

    def watch(report: Progress) -> None:
        if report.stage == "features":
            resumed.append(report.done)

    process_slide(tiny_slide, tmp_path / "p", tools=tools, progress=watch)
    assert min(resumed) >= 8
    process_slide(tiny_slide, tmp_path / "undisturbed", tools=tools)
    assert project.bag("tiny").read_bytes() == (tmp_path / "undisturbed/bags/tiny.h5").read_bytes()


def test_another_process_holds_the_slide(tiny_slide: Path, tmp_path: Path, tools: Tools) -> None:
    with (
        Project(tmp_path / "p").lock("tiny"),
        pytest.raises(ProjectError, match="another process is working on 'tiny'"),
    ):
        process_slide(tiny_slide, tmp_path / "p", tools=tools)


def test_killed_process_loses_one_block_at_most(tiny_slide: Path, tmp_path: Path, tools: Tools) -> None:
    """SIGKILL in the middle of the features; the next run goes on and ends with the same bytes."""
    project = tmp_path / "killed"
    script = textwrap.dedent(
        """
        import os, signal, sys, torch
        torch.set_num_threads(1)  # as in this process: sums of more threads differ in the last bit
        from sam_mil_engine.settings import ProcessSettings
        from sam_mil_engine.process.runner import process_slide
        def kill(report):
            if report.stage == "features" and report.done >= 24:
                os.kill(os.getpid(), signal.SIGKILL)
        process_slide(sys.argv[1], sys.argv[2], settings=ProcessSettings.parse(eval(sys.argv[3])), progress=kill)
        """
    )
    run_code(script, tiny_slide, project, repr(SETTINGS.model_dump()), code=-signal.SIGKILL)
    bag = project / "bags" / "tiny.h5"
    assert "features" not in h5.read_stages(bag)
    committed = json.loads((project / "bags" / ".tiny.features.json").read_text())["rows"]
    assert committed >= 16

    begun: list[int] = []
    result = process_slide(
        tiny_slide, project, tools=tools, progress=lambda r: begun.append(r.done) if r.stage == "features" else None
    )
    assert result.reused == ("tissue", "tiles", "segments")
    assert min(begun) >= committed
    undisturbed = process_slide(tiny_slide, tmp_path / "whole", tools=tools)
    assert bag.read_bytes() == undisturbed.bag_path.read_bytes(), differing(bag, undisturbed.bag_path)
    assert not list((project / "bags").glob(".*features*"))


def test_spreadsheet_formulas_are_neutralised(tmp_path: Path) -> None:
    row = ProcessRow("=cmd()", "/x", "failed", error="+1+cmd()", hint="-2")
    project = Project(tmp_path)
    project.record(row)
    cells = (tmp_path / "process.csv").read_text(encoding="utf-8").splitlines()[1].split(",")
    assert cells[:3] == ["'=cmd()", "/x", "failed"]
    assert "'+1+cmd()" in cells
    assert project.rows() == {"=cmd()": row}


def test_settings_file_is_readable(tiny_slide: Path, tmp_path: Path, tools: Tools) -> None:
    process_slide(tiny_slide, tmp_path / "p", stages=["tissue"], tools=tools)
    saved = json.loads((tmp_path / "p" / "settings.json").read_text())
    assert ProcessSettings.parse(saved["settings"]) == SETTINGS
    assert saved["versions"]["torch"]


@pytest.mark.slow
def test_a_worker_of_dask_gives_the_same_bags(
    tmp_path: Path, tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With real models, which take a worker seconds to load: one, where test_cluster.py has two."""
    from sam_mil_engine.cluster import client
    from sam_mil_engine.cluster.slides import process_on_cluster

    monkeypatch.setattr(client, "cpu_count", lambda: 1)
    paths = [write_tiny_slide(tmp_path / f"s{n}.tiff", seed=n) for n in range(2)]
    blank = write_tiny_slide(tmp_path / "blank.tiff", tissue=False)
    results = list(process_on_cluster([*paths, blank], tmp_path / "many", settings=SETTINGS, device="cpu"))
    assert {item.path.stem: item.error is None for item in results} == {
        "s0": True,
        "s1": True,
        "blank": False,
    }
    for path in paths:
        alone = process_slide(path, tmp_path / "one", tools=tools)
        assert (tmp_path / "many/bags" / f"{path.stem}.h5").read_bytes() == alone.bag_path.read_bytes()


def test_no_scheduler_answers(tmp_path: Path) -> None:
    from sam_mil_engine.cluster.slides import process_on_cluster

    with pytest.raises(ProjectError, match="does not answer"):
        list(process_on_cluster([tmp_path / "x.tiff"], tmp_path / "p", address="not an address"))


def test_results_of_another_slide_of_the_name_are_kept_and_that_is_said(tmp_path: Path, tools: Tools) -> None:
    project = tmp_path / "p"
    for number in (0, 1):
        (tmp_path / str(number)).mkdir()
        write_tiny_slide(tmp_path / str(number) / "case.tiff", seed=number)
    process_slide(tmp_path / "0" / "case.tiff", project, stages=("tissue", "tiles"), tools=tools)
    with pytest.warns(UserWarning, match="results of a different slide with this name"):
        process_slide(tmp_path / "1" / "case.tiff", project, stages=("tissue", "tiles"), tools=tools)
    assert list((project / "superseded").rglob("case.h5"))
    path = Project(project).bag("case")
    assert h5.read_attributes(path)["slide_path"] == str((tmp_path / "1" / "case.tiff").resolve())
