"""The three forms of the spatial consistency: double loops over patches, size, gradients, and old runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sam_mil_engine.bag.feature_bag import FeatureBag
from sam_mil_engine.mil.aggregator import BagTensors
from sam_mil_engine.mil.consistency import FORMS
from sam_mil_engine.settings import BEFORE, LATER, PLACE, ModelSettings, TrainSettings, key
from sam_mil_engine.training.folds import Split
from sam_mil_engine.training.run_files import begin_run

pytestmark = pytest.mark.usefixtures("one_thread")
MakeBag = Callable[..., FeatureBag]


def by_loops(form: str, attention: list[float], home: list[int]) -> float:
    """The definitions, patch by patch."""
    n = len(attention)
    groups = [[i for i in range(n) if home[i] == k] for k in sorted({k for k in home if k >= 0})]

    def spread(inside: list[int], scale: float) -> float:
        mean = sum(scale * attention[i] for i in inside) / len(inside)
        return sum((scale * attention[i] - mean) ** 2 for i in inside) / len(inside)

    if form == "variance":
        return sum(spread(inside, 1.0) for inside in groups)
    groups = [inside for inside in groups if len(inside) > 1]
    if form == "relative":
        return sum(spread(inside, n) for inside in groups) / max(len(groups), 1)
    norms = [sum((attention[i] - attention[j]) ** 2 for j in inside) ** 0.5 for inside in groups for i in inside]
    return sum(norms) / max(len(norms), 1)


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=40)
@given(n=st.integers(1, 60), n_groups=st.integers(0, 6), seed=st.integers(0, 1000))
def test_each_form_is_its_double_loop(make_bag: MakeBag, form: str, n: int, n_groups: int, seed: int) -> None:
    bag = make_bag(n, n_groups, seed=seed)
    scores = np.random.default_rng(seed).normal(size=n)
    attention = (np.exp(scores) / np.exp(scores).sum()).tolist()
    home = [-1] * n if bag.groups is None else bag.groups.group_of_patch.tolist()
    found = FORMS[form](torch.as_tensor(scores), BagTensors.of(bag)).item()
    assert found == pytest.approx(by_loops(form, attention, home), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("form", FORMS)
def test_each_form_pulls_attention_together_and_bears_even_attention(make_bag: MakeBag, form: str) -> None:
    bag = BagTensors.of(make_bag(60, 4))
    scores = torch.randn(60, generator=torch.Generator().manual_seed(0), requires_grad=True)
    before = FORMS[form](scores, bag)
    (slope,) = torch.autograd.grad(before, scores)
    assert slope.norm() > 0
    assert FORMS[form]((scores - 0.1 * slope / slope.norm()).detach(), bag) < before
    even = torch.zeros(60, requires_grad=True)
    value = FORMS[form](even, bag)
    (slope,) = torch.autograd.grad(value, even)
    assert value.item() == pytest.approx(0, abs=1e-9)
    assert torch.isfinite(slope).all()


def test_relative_does_not_depend_on_the_size_of_the_bag(make_bag: MakeBag) -> None:
    once = BagTensors.of(make_bag(40, 4))
    tenfold = replace(
        once,
        tokens=torch.cat([once.features.repeat(10, 1), once.group_features]),
        group_of_patch=once.group_of_patch.repeat(10),
    )
    scores = torch.randn(40, generator=torch.Generator().manual_seed(0))
    values = {
        form: (FORMS[form](scores, once).item(), FORMS[form](scores.repeat(10), tenfold).item()) for form in FORMS
    }
    assert values["relative"][1] == pytest.approx(values["relative"][0], rel=1e-4)
    assert values["variance"][1] == pytest.approx(values["variance"][0] / 100, rel=1e-4)
    assert values["released"][1] == pytest.approx(values["released"][0] / 10**0.5, rel=1e-4)


def test_runs_from_before_the_forms_keep_their_key_and_others_do_not(tmp_path: Path) -> None:
    def key_of(name: str, **model: object) -> tuple[str, dict[str, object]]:
        settings = TrainSettings(model=ModelSettings.parse({"consistency_weight": 1000.0, **model}))
        begin_run(tmp_path / name, settings, (Split(("a",), ("b",), ("c",)),), classes=("x", "y"), resume=False)
        written = json.loads((tmp_path / name / "settings.json").read_text())
        return written["key"], written["train"]

    found, written = key_of("before", consistency="variance", mask_area="raster")
    old = {name: value for name, value in written.items() if name not in {*PLACE, *LATER}}
    old["model"] = {name: value for name, value in written["model"].items() if name not in BEFORE}
    assert set(written["model"]) - set(old["model"]) == {"consistency", "mask_area"}
    assert found == key(old, ["x", "y"], [[0, 0, ["a"], ["b"], ["c"]]])
    assert key_of("form", consistency="relative", mask_area="raster")[0] != found
    assert key_of("area", consistency="variance", mask_area="patches")[0] != found
