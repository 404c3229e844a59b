"""Counterfactuals and patch probabilities: what prediction asks of a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from sam_mil_engine.bag.feature_bag import FeatureBag
from sam_mil_engine.mil.aggregator import BagTensors
from sam_mil_engine.mil.building import build_aggregator
from sam_mil_engine.mil.counterfactual import logits_without_groups
from sam_mil_engine.mil.patch_probability import (
    class_activation_probability,
    instance_probability,
    patch_probability,
)
from sam_mil_engine.settings import ModelSettings

pytestmark = pytest.mark.usefixtures("one_thread")
MakeBag = Callable[..., FeatureBag]


def build(name: str, n_classes: int = 3, **options: object) -> torch.nn.Module:
    torch.manual_seed(2)
    return build_aggregator(ModelSettings(name=name, **options), dim=12, n_classes=n_classes).eval()


def test_without_a_group_is_exact_where_it_holds_all_attention(make_bag: MakeBag) -> None:
    """What stays has a share of e^-60 of the attention: a subtraction from the whole would leave nothing of it."""
    bag, model = make_bag(100, 3), build("abmil")
    tensors = BagTensors.of(bag)
    output = model(tensors)
    scores = output.scores.clone()
    of_group = bag.groups.patches(0).tolist()
    scores[of_group] += 60
    found = logits_without_groups(model, tensors, replace(output, scores=scores))[0]
    rest = np.setdiff1d(np.arange(100), of_group)
    weights = np.exp(scores[rest].detach().double().numpy())
    values = output.values[rest].detach().double().numpy()
    expected = weights @ values / weights.sum() + output.bias.detach().numpy()
    np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["abmil", "abmil+groups", "sam-mil", "mean", "clam-sb", "mhim+groups"])
def test_a_softmax_pooling_is_not_run_again(name: str, make_bag: MakeBag, monkeypatch: pytest.MonkeyPatch) -> None:
    bag, model = BagTensors.of(make_bag(120, 7)), build(name)
    output = model(bag)

    def never(*_: object) -> None:
        raise AssertionError("the model was run again")

    monkeypatch.setattr(model, "forward", never)
    found = logits_without_groups(model, bag, output)
    assert (found - output.logits).abs().max() > 1e-3


def test_without_the_only_group_nothing_is_left(make_bag: MakeBag) -> None:
    bag = make_bag(10, 1, unsegmented=0.0)
    assert len(bag.groups.patches(0)) == 10
    for name in ("sam-mil", "max"):
        model, tensors = build(name), BagTensors.of(bag)
        assert logits_without_groups(model, tensors, model(tensors)).isnan().all()
    bare = BagTensors.of(make_bag(10, 0))
    assert logits_without_groups(build("sam-mil"), bare, build("sam-mil")(bare)).shape == (0, 3)


def test_instance_probability_takes_each_patch_for_a_bag(make_bag: MakeBag) -> None:
    bag = make_bag(6, 0)
    for name in ("abmil", "mean", "max"):
        model = build(name)
        found = instance_probability(model, model(BagTensors.of(bag)), 6)
        for i in range(6):
            alone = replace(bag, coords_px0=bag.coords_px0[i : i + 1], features=bag.features[i : i + 1])
            expected = torch.softmax(model(BagTensors.of(alone)).logits, 0)
            torch.testing.assert_close(found[i], expected, atol=1e-5, rtol=1e-5)


def test_class_activation_by_hand(make_bag: MakeBag) -> None:
    bag, model = BagTensors.of(make_bag(20, 3)), build("sam-mil")
    output = model(bag)
    found = class_activation_probability(model, output, 20)
    signal = (
        23
        * (output.attention[:, None] * output.embeddings)[:20].detach().numpy()
        @ model.head.weight.T.detach().numpy()
    )
    expected = np.exp(signal) / np.exp(signal).sum(1, keepdims=True)
    np.testing.assert_allclose(found.detach().numpy(), expected, atol=1e-5)


def test_the_derivation_is_a_setting_and_named(make_bag: MakeBag) -> None:
    bag = BagTensors.of(make_bag(20, 3))
    results = {}
    for derivation in ("instance", "class-activation"):
        model = build("abmil", patch_probability=derivation)
        results[derivation], name = patch_probability(model, model(bag), 20)
        assert name == derivation
    assert not torch.allclose(results["instance"], results["class-activation"])
    model = build("max", patch_probability="class-activation")
    assert patch_probability(model, model(bag), 20)[1] == "instance"
