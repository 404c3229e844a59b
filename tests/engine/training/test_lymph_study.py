"""The study of SAM-MIL's parts: its slides hold what they say, its segments nest, its controls control."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from warm_commands import run_code

STUDIES = Path(__file__).parents[3] / "studies"
#: Is given the folder of the study, whose modules it imports; prints what was found.
SCRIPT = """
import json, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
import torch
from lymph_maps import ARMS, PLAIN, build
from lymph_slides import Tiles, TilePool, WIDTH, compose
from groupings import grid_groups, shuffled

rng = np.random.default_rng(0)

def tiles(part, label):
    n = 40
    features = rng.normal(size=(n, WIDTH)).astype(np.float32)
    features[:, 0] = ["train", "val"].index(part) * 2 + (label == "tumour")
    pool = TilePool(tuple(map(str, range(n))), np.zeros((0, 96, 96, 3), np.uint8), rng.integers(0, 8, n))
    return Tiles(features, rng.normal(size=(n, 6)), pool)

library = {(part, label): tiles(part, label) for part in ("train", "val") for label in ("normal", "tumour")}
slide = compose(library, "val", patches=300, tumour=True, seed=4)
again = compose(library, "val", patches=300, tumour=True, seed=4)
groups = slide.bag.groups
members = [set(groups.patches(k).tolist()) for k in range(len(groups))]
mixed, grid = shuffled(groups, 1), grid_groups(slide.bag)
bag = slide.example("true", seed=0).bag
torch.manual_seed(0)
names = ("area in patches", "random, as many as by patches")
removed = {}
for name in names:
    torch.manual_seed(1)
    keep = build(ARMS[name]).masked_bag(bag, len(bag.tokens))
    removed[name] = [int((~keep[: len(bag)]).sum()), bool(keep[len(bag) :].all())]
print(json.dumps({
    "tumour is where it is said": bool((slide.bag.features[:, 0] == 2 + slide.inside).all()),
    "tumour": int(slide.inside.sum()),
    "patches": len(slide.bag),
    "nested": all(a <= b or b <= a or not a & b for a in members for b in members),
    "segments": len(groups),
    "same sizes": groups.sizes.tolist() == mixed.sizes.tolist(),
    "same areas": groups.area_raster.tolist() == mixed.area_raster.tolist(),
    "other patches": any(members[k] != set(mixed.patches(k).tolist()) for k in range(len(groups))),
    "squares": len(grid),
    "removed": removed,
    "again": bool((again.bag.features == slide.bag.features).all()),
    "differ in one thing": {name: sorted(k for k, v in arm.model.model_dump().items() if v != PLAIN.model_dump()[k])
                            for name, arm in ARMS.items()},
}))
"""


@pytest.fixture(scope="module")
def found() -> dict[str, object]:
    return json.loads(run_code(SCRIPT, STUDIES).stdout)


def test_slides_hold_what_they_say(found: dict[str, object]) -> None:
    assert found["tumour is where it is said"]
    assert found["again"]
    assert 3 <= found["tumour"] <= found["patches"] / 2
    assert 200 <= found["patches"] <= 450


def test_segments_nest_and_controls_take_their_meaning_away(found: dict[str, object]) -> None:
    assert found["nested"]
    assert 4 <= found["segments"] <= 60
    assert found["same sizes"]
    assert found["same areas"]
    assert found["other patches"]
    assert 4 <= found["squares"] <= 60


def test_the_random_mask_removes_as_many_and_no_group_token(found: dict[str, object]) -> None:
    by_area, at_random = found["removed"].values()
    assert by_area == at_random
    assert by_area[0] > 0
    assert by_area[1]


def test_arms_of_the_consistency_differ_in_it_alone(found: dict[str, object]) -> None:
    for name, changed in found["differ in one thing"].items():
        if name.startswith(("variance", "released", "relative")):
            assert set(changed) <= {"consistency", "consistency_weight", "consistency_patches"}, name
        elif name not in ("off", "AB-MIL"):
            assert len(changed) <= 1, name
