"""IBMIL: its two stages, the dictionary of confounders, and golden numbers of the adjustment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from sam_mil_engine.bag.feature_bag import FeatureBag
from sam_mil_engine.mil.aggregator import BagTensors
from sam_mil_engine.mil.building import build_aggregator
from sam_mil_engine.mil.ibmil import IbMil, confounder_dictionary
from sam_mil_engine.settings import IbmilSettings, ModelSettings, TrainSettings
from sam_mil_engine.training.bag_store import Example
from sam_mil_engine.training.fitting import fit

pytestmark = pytest.mark.usefixtures("one_thread")
MakeBag = Callable[..., FeatureBag]
DIM = 5


def ibmil(n_classes: int = 2, **options: object) -> IbMil:
    torch.manual_seed(4)
    chosen = IbmilSettings(**{"joint": 3, "confounders": 4, **options})
    model = build_aggregator(
        ModelSettings(name="ibmil", hidden=6, attention=3, dropout=0, ibmil=chosen), dim=DIM, n_classes=n_classes
    ).eval()
    assert isinstance(model, IbMil)
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.data += 0.3 * torch.randn_like(parameter)
    model.confounders.normal_()
    return model


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max())
    return e / e.sum()


@pytest.mark.parametrize("base", ["abmil", "mean"])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("n", [1, 3, 40])
def test_golden(base: str, n_classes: int, n: int, make_bag: MakeBag) -> None:
    bag = make_bag(n, 0, dim=DIM)
    model = ibmil(n_classes, base=base)
    model.in_use[1] = False
    w = {name: value.double().numpy() for name, value in model.state_dict().items()}
    h = np.maximum(bag.features.astype(float) @ w["base.project.0.weight"].T + w["base.project.0.bias"], 0)
    a = np.full(n, 1 / n)
    if base == "abmil":
        tanh = np.tanh(h @ w["base.attend.tanh.weight"].T + w["base.attend.tanh.bias"])
        a = softmax((tanh @ w["base.attend.score.weight"].T)[:, 0])

    def adjusted(m: np.ndarray) -> np.ndarray:
        centres = w["confounders"][[0, 2, 3]]
        query = w["query.weight"] @ m + w["query.bias"]
        keys = centres @ w["key.weight"].T + w["key.bias"]
        shared = softmax(keys @ query / np.sqrt(3)) @ centres
        return w["head.weight"] @ np.concatenate([m, shared]) + w["head.bias"]

    output = model(BagTensors.of(bag))
    np.testing.assert_allclose(output.logits.detach().numpy(), adjusted(a @ h), atol=1e-5)
    torch.testing.assert_close(output.evidence.sum(0) + output.bias, output.logits, atol=1e-6, rtol=0)
    np.testing.assert_allclose(
        output.evidence[0].detach().numpy(), a[0] * (w["head.weight"][:, :6] @ h[0]), atol=1e-5
    )
    patches = model.patch_logits(output, n).detach().numpy()
    np.testing.assert_allclose(patches, [adjusted(row) for row in h], atol=1e-5)
    assert (output.attention is None) == (base == "mean")


def test_the_bias_is_another_one_for_every_bag(make_bag: MakeBag) -> None:
    """Why tokens cannot be taken out of the known scores: the part of the confounders would stay."""
    model = ibmil()
    outputs = [model(BagTensors.of(make_bag(30, 0, dim=DIM, seed=seed))) for seed in (0, 1)]
    assert (outputs[0].bias - outputs[1].bias).abs().max() > 1e-4
    assert outputs[0].scores is None
    assert outputs[0].values is None


def test_a_patch_is_a_bag_of_its_own(make_bag: MakeBag) -> None:
    bag, model = make_bag(6, 0, dim=DIM), ibmil(3)
    found = model.patch_logits(model(BagTensors.of(bag)), 6)
    for i in range(6):
        alone = replace(bag, coords_px0=bag.coords_px0[i : i + 1], features=bag.features[i : i + 1])
        torch.testing.assert_close(found[i], model(BagTensors.of(alone)).logits, atol=1e-5, rtol=1e-5)


def test_dictionary_of_separate_clusters() -> None:
    """Three directions, of different lengths: found by direction, and each centre is the mean as it is."""
    rng = np.random.default_rng(0)
    axes, lengths = np.eye(3, 6), np.array([1.0, 5.0, 20.0])
    cluster = np.repeat([0, 1, 2], 20)
    features = axes[cluster] * (lengths[cluster] * rng.uniform(0.5, 1.5, 60))[:, None]
    features = (features + 0.01 * rng.standard_normal((60, 6))).astype(np.float32)
    centres, in_use = confounder_dictionary(features, np.zeros(60, np.int64), count=3, slots=3)
    expected = np.array([features[cluster == k].mean(axis=0) for k in range(3)])
    found = centres[np.argsort(np.linalg.norm(centres, axis=1))]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert in_use.all()
    again = confounder_dictionary(features, np.zeros(60, np.int64), count=3, slots=3)
    np.testing.assert_array_equal(again[0], centres)


def test_dictionary_by_group_and_with_too_few_features() -> None:
    features = np.array([[1, 0], [0, 1], [2, 0], [3, 0], [3, 0]], dtype=np.float32)
    centres, in_use = confounder_dictionary(features, np.array([0, 0, 2, 2, 2]), count=3, slots=9)
    assert in_use.tolist() == [True, True, False, False, False, False, True, False, False]
    assert sorted(map(tuple, centres[:2].tolist())) == [(0, 1), (1, 0)]
    np.testing.assert_allclose(centres[6], [8 / 3, 0], rtol=1e-6)
    assert (centres[~in_use] == 0).all()


@pytest.mark.parametrize("per_class", [False, True])
def test_between_the_stages(per_class: bool, make_bag: MakeBag) -> None:
    bags = [BagTensors.of(make_bag(20, 0, dim=DIM, seed=seed)) for seed in range(12)]
    model = ibmil(3, per_class=per_class)
    model.enter_stage("base")
    model.prepare_stage(bags)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    outputs = [model.base(bag) for bag in bags]
    features = torch.stack([(o.attention @ o.embeddings).detach() for o in outputs]).numpy()
    predicted = np.array([int(o.logits.argmax()) for o in outputs])
    groups = predicted if per_class else np.zeros(12, np.int64)
    model.enter_stage("intervention")
    model.prepare_stage(bags)
    centres, in_use = confounder_dictionary(features, groups, count=4, slots=12 if per_class else 4)
    np.testing.assert_allclose(model.confounders.numpy(), centres, atol=1e-6)
    assert model.in_use.tolist() == in_use.tolist()
    assert model.confounders.shape == before["confounders"].shape
    assert not torch.allclose(model.base.project[0].weight, before["base.project.0.weight"])
    assert (model.base.project[0].bias == 0).all(), "a fresh base"


def test_what_is_trained_in_which_stage(make_bag: MakeBag) -> None:
    bag = BagTensors.of(make_bag(40, 0, dim=DIM))
    model = ibmil().train()
    for stage, frozen in {"base": ("query", "key", "head"), "intervention": ("base.head",)}.items():
        model.enter_stage(stage)
        model.zero_grad()
        torch.autograd.backward(model.loss(bag, torch.tensor(1)).total)
        for name, parameter in model.named_parameters():
            learns = parameter.grad is not None and parameter.grad.norm() > 1e-8
            softmax_shift = stage == "intervention" and name == "key.bias"  # q . b is the same for every confounder
            assert parameter.requires_grad == (not name.startswith(frozen)), name
            assert learns == (parameter.requires_grad and not softmax_shift), name


def test_stage_1_is_its_base(make_bag: MakeBag) -> None:
    bag, model = BagTensors.of(make_bag(40, 0, dim=DIM)), ibmil()
    model.enter_stage("base")
    assert torch.equal(model(bag).logits, model.base(bag).logits)
    assert torch.equal(model.loss(bag, torch.tensor(1)).total, model.base.loss(bag, torch.tensor(1)).total)
    assert torch.equal(model.patch_logits(model(bag), 40), model.base.patch_logits(model.base(bag), 40))


def test_trained_by_the_loop(make_bag: MakeBag) -> None:
    """Bags of two classes that a shift tells apart: both stages learn it."""
    examples = []
    for seed in range(16):
        bag = BagTensors.of(make_bag(15, 0, dim=DIM, seed=seed))
        shifted = replace(bag, tokens=bag.tokens + 1.5 * (seed % 2))
        examples.append(Example(str(seed), shifted, torch.tensor(seed % 2)))
    model = ibmil()
    options = TrainSettings(epochs=12, min_epochs=1, learning_rate=0.02)
    history = fit(model, examples[:10], examples[10:], settings=options)
    assert model.stage == "intervention"
    for stage in model.stages:
        assert min(row["val_loss"] for row in history if row["stage"] == stage) < 0.3
    assert model.confounders.abs().sum(dim=1).gt(0).tolist() == model.in_use.tolist()
