"""Several encoders in one pass: every patch read once, a whole bag for each encoder."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from sam_mil_engine.bag import h5
from sam_mil_engine.errors import Cancelled, SettingsError
from sam_mil_engine.features import loading, patch_stream
from sam_mil_engine.layout import side_folder
from sam_mil_engine.process.job import Tools
from sam_mil_engine.process.project import Project
from sam_mil_engine.process.runner import process_slide
from sam_mil_engine.progress import Progress
from sam_mil_engine.settings import FeatureSettings, ProcessSettings, SegmentSettings, TileSettings
from tiny_slides import write_tiny_slide

TILES = TileSettings(patch_size=64)
STAGES = ("tissue", "tiles", "features")


class Quantile:
    """Some quantiles of each colour; the name says which."""

    version, weights_sha256, preprocessing = "1", "", "none"

    def __init__(self, name: str) -> None:
        self.name = name
        self.levels = [float(level) for level in name.split(":")[1].split(",")]
        self.dim = 3 * len(self.levels)
        self.patches = 0

    def encode(self, batch: np.ndarray) -> np.ndarray:
        self.patches += len(batch)
        found = np.quantile(batch, self.levels, axis=(1, 2))
        return np.moveaxis(found, 0, 1).reshape(len(batch), -1).astype(np.float32)


A, B, C = "q:0.5", "q:0.1,0.9", "q:0.3"


class Watched:
    """How often each patch was read, and the encoders that were loaded."""

    def __init__(self) -> None:
        self.reads: Counter[int] = Counter()
        self.encoders: dict[str, Quantile] = {}


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    seen, read = Watched(), patch_stream.read_patch

    def load(name: str, **options: object) -> Quantile:
        return seen.encoders.setdefault(name, Quantile(name))

    def counted(slide: object, grid: object, number: int) -> np.ndarray:
        seen.reads[number] += 1
        return read(slide, grid, number)

    monkeypatch.setattr(loading, "load_encoder", load)
    monkeypatch.setattr(loading, "require_known", Quantile)
    monkeypatch.setattr(patch_stream, "read_patch", counted)
    return seen


def settings(*names: str, **options: object) -> ProcessSettings:
    features = FeatureSettings(encoder=names[0], more_encoders=names[1:], block=8, batch_size=8)
    return ProcessSettings(tiles=TILES, features=features, **options)


def run(slide: Path, project: Path, *names: str, stages: tuple[str, ...] = STAGES, **options: object):
    chosen = settings(*names, **options.pop("settings", {}))
    return process_slide(slide, project, tools=Tools(chosen, device="cpu"), stages=stages, **options)


def content(path: Path) -> dict[str, object]:
    """All arrays and attributes of a bag, but the key of the settings as a whole."""
    found: dict[str, object] = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({f"{name}@{k}": str(v) for k, v in item.attrs.items()}))
        file.visititems(
            lambda name, item: found.update({name: item[()].tolist()}) if isinstance(item, h5py.Dataset) else None
        )
        found.update({f"@{name}": str(value) for name, value in file.attrs.items() if name != "settings_key"})
    return found


def test_each_patch_is_read_once_and_each_bag_is_that_of_the_encoder_alone(
    tiny_slide: Path, tmp_path: Path, watched: Watched
) -> None:
    every = ("tissue", "tiles", "segments", "features", "groups")
    done = run(tiny_slide, tmp_path / "both", A, B, stages=every)
    assert set(watched.reads.values()) == {1}
    assert len(watched.reads) == done.tiles
    assert done.reused == ()
    assert set(done.seconds) == set(every)
    for name, folder in ((A, "bags"), (B, "bags-q-0.1-0.9")):
        alone = run(tiny_slide, tmp_path / side_folder(name), name, stages=every)
        assert content(tmp_path / "both" / folder / "tiny.h5") == content(alone.bag_path)
        bag = h5.read_bag(tmp_path / "both" / folder / "tiny.h5").check()
        assert bag.attrs["encoder"] == name
        assert bag.groups is not None
    again = run(tiny_slide, tmp_path / "both", A, B, stages=every)
    assert again.reused == every
    assert not list((tmp_path / "both").glob("bags*/.*features*"))


def test_a_second_encoder_is_added_without_touching_the_first(
    tiny_slide: Path, tmp_path: Path, watched: Watched
) -> None:
    first = run(tiny_slide, tmp_path / "p", A)
    before = first.bag_path.read_bytes()
    watched.reads.clear()
    added = run(tiny_slide, tmp_path / "p", A, B, C)
    assert first.bag_path.read_bytes() == before
    assert watched.encoders[A].patches == first.tiles
    assert set(watched.reads.values()) == {1}, "B and C share one pass"
    assert "features" in added.seconds
    assert "features" not in added.reused
    for name in (B, C):
        assert h5.read_bag(Project(tmp_path / "p").bag("tiny", name)).attrs["encoder"] == name


def test_changed_tiles_replace_every_bag_and_keep_the_old_ones(
    tiny_slide: Path, tmp_path: Path, watched: Watched
) -> None:
    run(tiny_slide, tmp_path / "p", A, B)
    project = Project(tmp_path / "p")
    before = {name: project.bag("tiny", name).read_bytes() for name in (None, B)}
    other = settings(A, B).model_copy(update={"tiles": TileSettings(patch_size=96)})
    process_slide(tiny_slide, tmp_path / "p", tools=Tools(other, device="cpu"), stages=STAGES)
    (main,) = (tmp_path / "p/superseded").glob("*/tiny.h5")
    (side,) = (tmp_path / "p/superseded").glob(f"*/{side_folder(B)}/tiny.h5")
    assert main.read_bytes() == before[None]
    assert side.read_bytes() == before[B]
    sizes = {h5.read_grid(project.bag("tiny", name)).output_size for name in (None, B)}
    assert sizes == {96}
    assert len(h5.read_bag(project.bag("tiny", B))) == len(h5.read_bag(project.bag("tiny")))


def test_segments_made_later_reach_every_bag(tiny_slide: Path, tmp_path: Path, watched: Watched) -> None:
    run(tiny_slide, tmp_path / "p", A, B)
    encoded = watched.encoders[B].patches
    run(tiny_slide, tmp_path / "p", A, B, stages=("segments", "groups"))
    assert watched.encoders[B].patches == encoded
    project = Project(tmp_path / "p")
    main, side = (h5.read_bag(project.bag("tiny", name)) for name in (None, B))
    np.testing.assert_array_equal(main.groups.indices, side.groups.indices)
    assert side.group_features.shape == (len(main.groups), 6)
    cut = {"segments": SegmentSettings(cuts=(2,))}
    run(tiny_slide, tmp_path / "p", A, B, stages=("segments", "groups"), settings=cut)
    assert watched.encoders[B].patches == encoded
    assert h5.read_stages(project.bag("tiny", B)) | {"features": "", "groups": ""} == h5.read_stages(
        project.bag("tiny")
    ) | {"features": "", "groups": ""}


@pytest.mark.parametrize("behind", [A, B])
def test_encoders_that_stopped_at_different_patches_go_on_where_they_were(
    tiny_slide: Path, tmp_path: Path, watched: Watched, behind: str
) -> None:
    """As after a kill between two commits: one has a block more than the other."""

    def stop(report: Progress) -> None:
        if report.stage == "features" and report.done >= 24:
            raise Cancelled("stopped by the test")

    with pytest.raises(Cancelled):
        run(tiny_slide, tmp_path / "p", A, B, progress=stop)
    bag = Project(tmp_path / "p").bag("tiny", None if behind == A else behind)
    mark = bag.with_name(".tiny.features.json")
    rows = json.loads(mark.read_text())
    assert rows["rows"] == 16
    mark.write_text(json.dumps({**rows, "rows": 8}))
    before = {name: encoder.patches for name, encoder in watched.encoders.items()}
    watched.reads.clear()
    done = run(tiny_slide, tmp_path / "p", A, B)
    assert sorted(watched.reads) == list(range(8, done.tiles))
    more = {name: encoder.patches - before[name] for name, encoder in watched.encoders.items()}
    assert more == {name: done.tiles - (8 if name == behind else 16) for name in (A, B)}
    run(tiny_slide, tmp_path / "whole", A, B)
    for name in (None, B):
        one, other = (Project(tmp_path / project).bag("tiny", name) for project in ("p", "whole"))
        assert one.read_bytes() == other.read_bytes()


def test_encoders_that_cannot_be_told_apart(tiny_slide: Path, tmp_path: Path, watched: Watched) -> None:
    with pytest.raises(SettingsError, match="named twice"):
        FeatureSettings.of(encoder=A, more_encoders=(A,))
    with pytest.raises(SettingsError, match="one folder"):
        run(tiny_slide, tmp_path / "p", A, "q:0.5,0.6", "q-0.5,0.6")


def test_the_precision_makes_other_features(tmp_path: Path) -> None:
    full, half = (ProcessSettings(features=FeatureSettings(precision=name)) for name in ("float32", "bfloat16"))
    keys = {Tools(one).stage_key("features", "", {"tiles": "t"}) for one in (full, half)}
    assert len(keys) == 2


def test_the_command_takes_encoders_and_training_takes_their_bags(
    tmp_path: Path, watched: Watched, capsys: pytest.CaptureFixture[str]
) -> None:
    from sam_mil_engine.cli.process import command
    from sam_mil_engine.training.data import match_bags

    slides = [write_tiny_slide(tmp_path / f"s{number}.tiff", seed=number, size=(256, 256)) for number in range(2)]
    project = tmp_path / "p"
    asked = {"encoder": [A, B], "patch_size": 64, "device": "cpu", "quiet": True, "jobs": 1}
    command(project, slides, stages=",".join(STAGES), **asked)
    assert f"2 of 2 slides done; bags in {project / 'bags'}, {project / side_folder(B)}" in capsys.readouterr().out
    labels = pd.DataFrame({"slide_id": ["s0", "s1"], "label": ["no", "yes"]})
    for folder, name in ((project, A), (project / side_folder(B), B)):
        cohort = match_bags(labels, folder)
        assert {h5.read_bag(path).attrs["encoder"] for path in cohort.paths.values()} == {name}
