"""The comparison of segments on lymph node: what its figures mean, and that it leaves alone what it starts from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from sam_mil_engine.bag import h5
from sam_mil_engine.process.batch import process_slides
from sam_mil_engine.settings import ProcessSettings, SegmentSettings, TileSettings
from sam_mil_engine.synthetic import make_slide
from training_scripts import ROOT, training_scripts


@pytest.fixture
def scripts() -> Iterator[tuple[ModuleType, ModuleType]]:
    """``segments`` and ``segments_table``."""
    with training_scripts("lymph_node", "segments", "segments_table") as (segments, table):
        yield segments, table


def test_purity_is_the_share_of_tumour_around_a_tumour_patch(scripts: tuple[ModuleType, ModuleType]) -> None:
    _, table = scripts
    # group 0: three of four patches are tumour; group 1: none; two tumour patches lie in no group
    of_patch = np.array([0, 0, 0, 0, 1, 1, -1, -1])
    inside = np.array([1, 1, 1, 0, 0, 0, 1, 1], dtype=bool)
    bag = SimpleNamespace(groups=_Sized(of_patch, 2))
    facts = table.group_facts([SimpleNamespace(bag=bag, inside=inside)])
    assert facts["purity"] == pytest.approx((3 * 0.75 + 2 * 1) / 5)
    assert (facts["groups"], facts["patches"]) == (2, 3)  # sizes 4, 4, 4, 4, 2, 2, 1, 1


def runs(values: dict[int, float], metric: str = "slide AUC") -> dict[int, dict[str, np.ndarray]]:
    return {seed: {metric: np.full(50, value)} for seed, value in values.items()}


def test_differences_are_of_the_seeds_that_both_have(scripts: tuple[ModuleType, ModuleType]) -> None:
    _, table = scripts
    better, same = runs({1: 0.9, 2: 0.8, 3: 0.85, 7: 0.1}), runs({1: 0.7, 2: 0.6, 3: 0.65})
    assert str(table.difference(better, same, "slide AUC")) == "**+0.200** (+0.200 to +0.200), 3 of 3"
    mixed = str(table.difference(better, runs({1: 0.7, 2: 0.9, 3: 0.8}), "slide AUC"))
    assert re.fullmatch(r"\+0\.050 \(-\S+ to \+\S+\), 2 of 3", mixed)
    assert str(table.difference(better, runs({1: 0.7}), "slide AUC")) == "+0.200 (+0.200 to +0.200), 1 of 1"


@pytest.mark.parametrize(
    ("patch", "verdict"), [(0.8, "may be the default"), (0.7, "it does not become the default")]
)
def test_the_validation_slides_decide(scripts: tuple[ModuleType, ModuleType], patch: float, verdict: str) -> None:
    _, table = scripts

    def arm(slide: float, patch: float, test: float) -> object:
        validation = {
            seed: {"slide AUC": np.full(50, slide), "patch AUC": np.full(50, patch)} for seed in (1, 2, 3)
        }
        return table.Arm({}, validation, runs({1: test, 2: test, 3: test}))

    text = table.decision({table.CANDIDATE: arm(0.9, patch, 0.1), table.RIVAL: arm(0.9, 0.75, 0.9)})
    assert text.endswith(f"{verdict}.")
    assert "`tissue-regions` 8 to 64 of 800 − `stain-regions` 8 to 64 of 800: slide AUC +0.000" in text


def test_runs_of_an_arm_are_not_those_of_its_shuffled_one(
    scripts: tuple[ModuleType, ModuleType], tmp_path: Path
) -> None:
    segments, _ = scripts
    for name, auc in (("regions-32-1", 0.6), ("regions-32-shuffled-1", 0.7), ("regions-32-shuffled-2", 0.8)):
        run = tmp_path / "segments" / "runs" / name
        run.mkdir(parents=True)
        (run / "metrics.json").write_text(json.dumps({"folds": [{"val": {"auc": auc}}]}))
    (tmp_path / "segments" / "runs" / "regions-32-3").mkdir()  # still training
    assert segments.finished(tmp_path, "regions-32") == {1: 0.6}
    assert segments.finished(tmp_path, "regions-32-shuffled") == {1: 0.7, 2: 0.8}


def test_bags_differ_in_their_segments_alone(scripts: tuple[ModuleType, ModuleType], tmp_path: Path) -> None:
    segments, _ = scripts
    slide = tmp_path / "slides" / "one.tiff"
    slide.parent.mkdir()
    make_slide(slide, seed=1, tumour=True, size_px0=(900, 700))
    settings = ProcessSettings(
        tiles=TileSettings(patch_size=128, mpp=0.5),
        segments=SegmentSettings(segmenter="stain-regions", superpixels=60, cuts=(4,)),
    )
    stages = ("tissue", "tiles", "segments")
    done = list(process_slides([slide], tmp_path / "project", settings=settings, stages=stages, device="cpu"))
    assert done[0].error is None
    bag = tmp_path / "project" / "bags" / "one.h5"
    with h5.edit_bag(bag) as file:
        patches = len(file["coords"])
        h5.put_features(file, np.random.default_rng(0).normal(size=(patches, 4)).astype(np.float32), {})
    before = bag.read_bytes()
    folder = segments.make_bags(tmp_path, "stain-regions-64-shuffled")
    assert bag.read_bytes() == before
    old = h5.read_bag(bag)
    new = h5.read_bag(tmp_path / "segments" / "stain-regions-64" / "bags" / "one.h5")
    moved = h5.read_bag(folder / "one.h5")
    assert all(np.array_equal(old.features, other.features) for other in (new, moved))
    assert len(new.groups) == len(moved.groups) > 8  # the coarsest cut alone has 8
    assert new.groups.sizes.tolist() == moved.groups.sizes.tolist()
    assert not np.array_equal(new.groups.indices, moved.groups.indices)
    np.testing.assert_allclose(moved.group_features, moved.groups.mean_features(moved.features), rtol=1e-5)


def test_the_table_has_a_row_for_each_arm_that_differences_name() -> None:
    text = (ROOT / "lymph_node" / "segments.md").read_text()
    table, differences = text.split("## Differences")
    known = set(re.findall(r"^\| ([^|]+) \| \d+ \|", table, flags=re.MULTILINE))
    named = re.findall(r"^\| ([^|]+) − ([^|]+) \|", differences, flags=re.MULTILINE)
    assert len(known) >= 6
    assert named
    assert {name for pair in named for name in pair} <= known


class _Sized:
    """Groups as far as their facts need them."""

    def __init__(self, group_of_patch: np.ndarray, number: int):
        self.group_of_patch = group_of_patch
        self._number = number

    def __len__(self) -> int:
        return self._number
