"""The poolings, plain and by attention: their golden numbers, and names and flags of the registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from every_model import made_again, nested_bag

from sam_mil_engine.bag.feature_bag import FeatureBag
from sam_mil_engine.errors import SettingsError
from sam_mil_engine.mil.aggregator import Aggregator, BagTensors
from sam_mil_engine.mil.attention import masked_softmax
from sam_mil_engine.mil.building import build_aggregator, resolve_name
from sam_mil_engine.settings import ModelSettings

pytestmark = pytest.mark.usefixtures("one_thread")
MakeBag = Callable[..., FeatureBag]
NAMES = ["max", "mean", "abmil", "abmil+groups", "sam-mil"]
DIM = 12


def build(name: str, n_classes: int = 2, **options: object) -> Aggregator:
    torch.manual_seed(1)
    return build_aggregator(ModelSettings(name=name, **options), dim=DIM, n_classes=n_classes).eval()


@pytest.mark.parametrize("name", ["abmil", "abmil+groups", "sam-mil", "mean"])
def test_logits_are_the_head_on_the_pooled_embedding(name: str, make_bag: MakeBag) -> None:
    bag = BagTensors.of(make_bag(300, 5, dim=DIM))
    model = build(name)
    output = model(bag)
    tokens = len(output.embeddings)
    weights = torch.full((tokens,), 1 / tokens) if output.attention is None else output.attention
    torch.testing.assert_close(model.head(weights @ output.embeddings), output.logits, atol=1e-5, rtol=1e-5)


def test_attention_sums_to_one_and_survives_large_scores() -> None:
    scores = torch.tensor([0.0, 1e4, -1e4, 1e4])
    keep = torch.tensor([[True] * 4, [True, False, True, False], [False, False, True, False]])
    weights = masked_softmax(scores, keep)
    torch.testing.assert_close(weights, torch.tensor([[0, 0.5, 0, 0.5], [1, 0, 0, 0], [0, 0, 1, 0.0]]))


def test_golden_abmil(make_bag: MakeBag) -> None:
    """AB-MIL written as loops over numbers, from the equations (Ilse et al. 2018, Eq. 7, 8, 9)."""
    bag = make_bag(5, 2, dim=3)
    for gated in (False, True):
        model = build_aggregator(
            ModelSettings(name="abmil", hidden=4, attention=2, gated=gated), dim=3, n_classes=2
        ).eval()
        w = {name: value.double().numpy() for name, value in model.state_dict().items()}
        hidden, raw = [], []
        for patch in bag.features.astype(float):
            h = [max(0.0, sum(a * b for a, b in zip(row, patch, strict=True))) for row in w["project.0.weight"]]
            v = [np.tanh(sum(a * b for a, b in zip(row, h, strict=True))) for row in w["attend.tanh.weight"]]
            if gated:
                gate = [sum(a * b for a, b in zip(row, h, strict=True)) for row in w["attend.gate.weight"]]
                v = [a / (1 + np.exp(-b)) for a, b in zip(v, gate, strict=True)]
            hidden.append(h)
            raw.append(sum(a * b for a, b in zip(w["attend.score.weight"][0], v, strict=True)))
        a = np.exp(raw) / np.exp(raw).sum()
        pooled = sum(weight * np.array(h) for weight, h in zip(a, hidden, strict=True))
        expected = w["head.weight"] @ pooled + w["head.bias"]
        output = model(BagTensors.of(bag))
        np.testing.assert_allclose(output.logits.detach().numpy(), expected, atol=1e-6)
        np.testing.assert_allclose(output.attention.detach().numpy(), a, atol=1e-6)


def test_golden_mean_and_max(make_bag: MakeBag) -> None:
    bag = BagTensors.of(make_bag(40, 0, dim=DIM))
    for n_classes in (2, 3):
        mean, largest = build("mean", n_classes), build("max", n_classes)
        instance = largest.head(largest.project(bag.features)).detach().numpy()
        if n_classes == 2:
            expected = instance[(np.exp(instance)[:, 1] / np.exp(instance).sum(1)).argmax()]
        else:
            expected = instance.max(axis=0)
        np.testing.assert_allclose(largest(bag).logits.detach().numpy(), expected, atol=1e-6)
        assert (largest(bag).evidence != 0).sum(0).max() == 1
        expected = mean.head(mean.project(bag.features).mean(0))
        torch.testing.assert_close(mean(bag).logits, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_keeping_a_part_of_a_bag_is_making_it_again(dtype: type, make_bag: MakeBag) -> None:
    bag = nested_bag(make_bag, 40, 5)
    bag = replace(bag, features=bag.features.astype(dtype)).with_groups(bag.groups)
    tensors, rng = BagTensors.of(bag), np.random.default_rng(0)
    for share in (0.1, 0.5, 0.9, 1.0):
        stays = rng.random(40) <= share
        left = tensors.keeping(torch.from_numpy(stays))
        expected = BagTensors.of(made_again(bag, stays))
        assert left.n_groups == expected.n_groups
        # half precision: a mean that falls between two numbers may be rounded to either
        torch.testing.assert_close(left.tokens, expected.tokens, atol=1e-6, rtol=0 if dtype == np.float32 else 1e-3)
        for name in ("coords_px0", "group_of_patch", "group_area", "member_group", "member_patch"):
            assert torch.equal(getattr(left, name), getattr(expected, name)), name


def test_names_and_flags() -> None:
    assert resolve_name(ModelSettings(name="abmil+groups")) == ModelSettings(name="abmil", groups=True)
    assert build("sam-mil").group_tokens
    assert not build("sam-mil", groups=False).group_tokens
    assert not build("abmil").group_tokens
    for bad in ({"name": "nonsense"}, {"name": "abmil+nonsense"}, {"name": "abmil+groups", "groups": False}):
        with pytest.raises(SettingsError):
            resolve_name(ModelSettings(**bad))
    with pytest.raises(SettingsError, match="does not take group tokens"):
        build("mean+groups")


def test_xavier_start() -> None:
    layer = build("sam-mil").project[0]
    assert layer.weight.std().item() == pytest.approx((2 / (DIM + 512)) ** 0.5, rel=0.05)
    assert (layer.bias == 0).all()
