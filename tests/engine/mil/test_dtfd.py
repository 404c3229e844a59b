"""DTFD-MIL: golden numbers written as loops over pseudo-bags, its two separate losses, its settled partition."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sam_mil_engine.bag.feature_bag import FeatureBag
from sam_mil_engine.mil.aggregator import BagTensors
from sam_mil_engine.mil.building import build_aggregator
from sam_mil_engine.mil.dtfd import Dtfd, fixed_pseudo_bags
from sam_mil_engine.mil.patch_probability import patch_probability
from sam_mil_engine.mil.sam_mil import pseudo_bags
from sam_mil_engine.settings import DtfdSettings, ModelSettings

pytestmark = pytest.mark.usefixtures("one_thread")
MakeBag = Callable[..., FeatureBag]
Arrays = dict[str, np.ndarray]
DISTILL = ["AFS", "MaxS", "MaxMinS", "MAS"]


def dtfd(n_classes: int = 2, **options: object) -> Dtfd:
    torch.manual_seed(4)
    chosen = ModelSettings(name="dtfd", hidden=6, attention=3, dropout=0, dtfd=DtfdSettings(**options))
    model = build_aggregator(chosen, dim=5, n_classes=n_classes).eval()
    assert isinstance(model, Dtfd)
    for parameter in model.parameters():  # biases too, since a bias of zero hides a mistake
        if parameter.ndim == 1:
            parameter.data += 0.3 * torch.randn_like(parameter)
    return model


def softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


def raw_attention(h: np.ndarray, w: Arrays, name: str) -> np.ndarray:
    tanh = np.tanh(h @ w[f"{name}.tanh.weight"].T + w[f"{name}.tanh.bias"])
    if f"{name}.gate.weight" in w:
        tanh = tanh / (1 + np.exp(-(h @ w[f"{name}.gate.weight"].T + w[f"{name}.gate.bias"])))
    return (tanh @ w[f"{name}.score.weight"].T)[:, 0]


def by_hand(model: Dtfd, x: np.ndarray, parts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits of the pseudo-bags, of the bag, and what share of the bag every token has."""
    options = model.settings.dtfd
    w = {name: value.double().numpy() for name, value in model.state_dict().items()}
    h = np.maximum(x.astype(float) @ w["project.0.weight"].T, 0)
    first, distilled, origin = [], [], []
    for part in parts:
        members = np.flatnonzero(part)
        raw = raw_attention(h[members], w, "attend")
        a = softmax(raw)
        logits = w["head.weight"] @ (a @ h[members]) + w["head.bias"]
        first.append(logits)
        activation = softmax(len(members) * (a[:, None] * h[members]) @ w["head.weight"].T)
        rank = activation[:, 1 if model.n_classes == 2 else logits.argmax()]
        if options.distill == "AFS":
            distilled.append(a @ h[members])
            origin.append([(i, share) for i, share in zip(members, a, strict=True)])
            continue
        order = np.argsort(raw if options.distill == "MAS" else rank)
        chosen = list(order[-options.instances :])
        if options.distill == "MaxMinS":
            chosen += list(order[: options.instances])
        distilled += [h[members[i]] for i in chosen]
        origin += [[(members[i], 1.0)] for i in chosen]
    b = softmax(raw_attention(np.array(distilled), w, "bag_attend"))
    share = np.zeros(len(x))
    for weight, tokens in zip(b, origin, strict=True):
        for i, part_share in tokens:
            share[i] += weight * part_share
    return np.array(first), w["bag_head.weight"] @ (b @ np.array(distilled)) + w["bag_head.bias"], share


@pytest.mark.parametrize("distill", DISTILL)
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize(("instances", "gated"), [(1, True), (2, False)])
def test_golden(distill: str, n_classes: int, instances: int, gated: bool, make_bag: MakeBag) -> None:
    bag = make_bag(23, 0, dim=5)
    model = dtfd(n_classes, distill=distill, instances=instances, gated=gated, pseudo_bags=4)
    tensors = BagTensors.of(bag)
    parts = fixed_pseudo_bags(tensors.tokens, 4)
    _, logits, share = by_hand(model, bag.features, parts.numpy())
    output = model(tensors)
    np.testing.assert_allclose(output.logits.detach().numpy(), logits, atol=1e-5)
    np.testing.assert_allclose(output.attention.detach().numpy(), share, atol=1e-5)
    assert (share > 0).sum() == (23 if distill == "AFS" else 4 * instances * (1 + (distill == "MaxMinS")))
    assert output.scores is None
    assert output.values is None


@pytest.mark.parametrize("distill", DISTILL)
def test_golden_losses(distill: str, make_bag: MakeBag) -> None:
    bag = make_bag(23, 0, dim=5)
    model = dtfd(3, distill=distill).train()
    torch.manual_seed(8)
    parts = pseudo_bags(23, 5, device=torch.device("cpu"))
    torch.manual_seed(8)
    loss = model.loss(BagTensors.of(bag), torch.tensor(2))
    first, logits, _ = by_hand(model, bag.features, parts.numpy())
    assert loss.terms["pseudo_bags"].item() == pytest.approx(-np.log(softmax(first)[:, 2]).mean(), abs=1e-5)
    assert loss.terms["bag"].item() == pytest.approx(-np.log(softmax(logits)[2]), abs=1e-5)
    np.testing.assert_allclose(loss.logits.detach().numpy(), logits, atol=1e-5)
    again = model.loss(BagTensors.of(bag), torch.tensor(2))
    assert again.total.item() != loss.total.item(), "training draws new pseudo-bags"


@pytest.mark.parametrize("distill", DISTILL)
def test_each_tier_learns_from_its_own_loss_only(distill: str, make_bag: MakeBag) -> None:
    bag = BagTensors.of(make_bag(60, 0, dim=5))
    first, second = {"project", "attend", "head"}, {"bag_attend", "bag_head"}
    for term, learns in {"pseudo_bags": first, "bag": second}.items():
        model = dtfd(distill=distill).train()
        torch.autograd.backward(model.loss(bag, torch.tensor(1)).terms[term])
        for name, parameter in model.named_parameters():
            moved = parameter.grad is not None and parameter.grad.norm() > 1e-7
            assert moved == (name.partition(".")[0] in learns), name


@settings(max_examples=50)
@given(n=st.integers(1, 80), parts=st.integers(1, 9), seed=st.integers(0, 2**31 - 1))
def test_the_settled_partition(n: int, parts: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    tokens = torch.from_numpy(rng.standard_normal((n, 3)).astype(np.float32))
    found = fixed_pseudo_bags(tokens, parts)
    assert found.shape == (min(n, parts), n)
    assert (found.sum(dim=0) == 1).all()
    assert found.sum(dim=1).max() - found.sum(dim=1).min() <= 1
    order = rng.permutation(n)
    assert torch.equal(fixed_pseudo_bags(tokens[order], parts), found[:, order])


def test_the_settled_partition_is_random_and_leaves_the_generator_alone() -> None:
    tokens = torch.arange(1000.0)[:, None]
    torch.manual_seed(3)
    before = torch.get_rng_state()
    part = fixed_pseudo_bags(tokens, 4).long().argmax(dim=0)
    assert torch.equal(torch.get_rng_state(), before)
    neighbours = (part[1:] == part[:-1]).float().mean().item()
    assert neighbours == pytest.approx(0.25, abs=0.05), "neighbours in rank are together as often as any two"


def test_more_instances_than_a_pseudo_bag_has(make_bag: MakeBag) -> None:
    output = dtfd(distill="MaxS", instances=50, pseudo_bags=5)(BagTensors.of(make_bag(23, 0, dim=5)))
    assert (output.attention > 0).sum() == 20  # four of each, the size of the smallest


def test_patch_probabilities_come_from_tier_1(make_bag: MakeBag) -> None:
    bag = make_bag(23, 0, dim=5)
    model = dtfd(3)
    model.settings = model.settings.model_copy(update={"patch_probability": "class-activation"})
    output = model(BagTensors.of(bag))
    w = {name: value.double().numpy() for name, value in model.state_dict().items()}
    h = np.maximum(bag.features.astype(float) @ w["project.0.weight"].T, 0)
    np.testing.assert_allclose(
        model.patch_logits(output, 23).detach().numpy(), h @ w["head.weight"].T + w["head.bias"], atol=1e-5
    )
    found, derivation = patch_probability(model, output, 23)
    signal = 23 * softmax(raw_attention(h, w, "attend"))[:, None] * h @ w["head.weight"].T
    np.testing.assert_allclose(found.detach().numpy(), softmax(signal), atol=1e-5)
    assert derivation == "class-activation"
