"""CLAM: golden numbers by loops over the equations, the instance loss, and which classifier learns when."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sam_mil_engine.bag.feature_bag import FeatureBag
from sam_mil_engine.mil.aggregator import Aggregator, BagTensors
from sam_mil_engine.mil.building import build_aggregator
from sam_mil_engine.mil.clam import smooth_top1_svm
from sam_mil_engine.settings import ClamSettings, ModelSettings

pytestmark = pytest.mark.usefixtures("one_thread")
MakeBag = Callable[..., FeatureBag]
NAMES = ["clam-sb", "clam-mb"]


def clam(name: str, n_classes: int = 3, *, dropout: float = 0.0, **options: object) -> Aggregator:
    torch.manual_seed(7)
    settings = ModelSettings(name=name, hidden=5, dropout=dropout, clam=ClamSettings(**{"attention": 4, **options}))
    model = build_aggregator(settings, dim=3, n_classes=n_classes).eval()
    for parameter in model.parameters():
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter)
    return model


def svm(scores: np.ndarray, target: int) -> float:
    """The loss as its authors write it: log sum_j exp(s_j + [j != y] - s_y)."""
    return float(np.log(sum(np.exp(s + (j != target) - scores[target]) for j, s in enumerate(scores))))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("subtyping", [False, True])
@pytest.mark.parametrize("gated", [False, True])
def test_golden(name: str, n_classes: int, subtyping: bool, gated: bool, make_bag: MakeBag) -> None:
    bag = make_bag(9, 0, dim=3)
    model = clam(name, n_classes, subtyping=subtyping, gated=gated, instances=2)
    w = {key: value.double().numpy() for key, value in model.state_dict().items()}
    hidden = [np.maximum(w["project.0.weight"] @ x + w["project.0.bias"], 0) for x in bag.features.astype(float)]
    raw = []  # one row per patch, one column a branch
    for h in hidden:
        u = np.tanh(w["attend.tanh.weight"] @ h + w["attend.tanh.bias"])
        if gated:
            u = u / (1 + np.exp(-(w["attend.gate.weight"] @ h + w["attend.gate.bias"])))
        raw.append(w["attend.score.weight"] @ u)
    assert np.shape(raw) == (9, 1 if name == "clam-sb" else n_classes)
    scores = np.broadcast_to(raw, (9, n_classes))
    attention = np.exp(scores) / np.exp(scores).sum(axis=0)
    pooled = [sum(a * h for a, h in zip(attention[:, c], hidden, strict=True)) for c in range(n_classes)]
    logits = np.array([w["head.weight"][c] @ pooled[c] + w["head.bias"][c] for c in range(n_classes)])

    output = model(BagTensors.of(bag))
    np.testing.assert_allclose(output.logits.detach().numpy(), logits, atol=1e-5)
    shown = 0 if name == "clam-sb" else logits.argmax()
    np.testing.assert_allclose(output.attention.detach().numpy(), attention[:, shown], atol=1e-5)
    evidence = [[attention[i, c] * w["head.weight"][c] @ hidden[i] for c in range(n_classes)] for i in range(9)]
    np.testing.assert_allclose(output.evidence.detach().numpy(), evidence, atol=1e-5)
    expected = [w["head.weight"] @ h + w["head.bias"] for h in hidden]
    np.testing.assert_allclose(model.patch_logits(output, 9).detach().numpy(), expected, atol=1e-5)

    for label in range(n_classes):
        losses = []
        for c in range(n_classes):
            order = np.argsort(scores[:, c])
            pairs = [(i, int(c == label)) for i in order[-2:]]
            if c == label:
                pairs += [(i, 0) for i in order[:2]]
            elif not subtyping:
                continue
            weight, bias = w[f"clusters.{c}.weight"], w[f"clusters.{c}.bias"]
            losses.append(np.mean([svm(weight @ hidden[i] + bias, target) for i, target in pairs]))
        loss = model.loss(BagTensors.of(bag), torch.tensor(label))
        ce = -np.log(np.exp(logits[label]) / np.exp(logits).sum())
        assert loss.terms["bag"].item() == pytest.approx(0.7 * ce, rel=1e-5)
        assert loss.terms["instances"].item() == pytest.approx(0.3 * np.mean(losses), rel=1e-5)
        np.testing.assert_allclose(loss.logits.detach().numpy(), logits, atol=1e-5)


@settings(max_examples=50)
@given(rows=st.lists(st.tuples(st.floats(-30, 30), st.floats(-30, 30), st.integers(0, 1)), min_size=1, max_size=20))
def test_smooth_top1_svm_is_its_definition(rows: list[tuple[float, float, int]]) -> None:
    scores = torch.tensor([row[:2] for row in rows], dtype=torch.float64)
    target = torch.tensor([row[2] for row in rows])
    expected = np.mean([svm(np.array(row[:2]), row[2]) for row in rows])
    assert smooth_top1_svm(scores, target).item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_smooth_top1_svm_survives_large_scores() -> None:
    scores = torch.tensor([[1e4, -1e4], [1e4, -1e4]], requires_grad=True)
    loss = smooth_top1_svm(scores, torch.tensor([0, 1]))
    assert loss.item() == pytest.approx((0 + 20001) / 2)
    loss.backward()
    assert scores.grad.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_classifiers_of_other_classes_learn_under_subtyping_only(name: str, make_bag: MakeBag) -> None:
    bag = BagTensors.of(make_bag(40, 0, dim=3))
    for n_classes, subtyping, out_of_class in [
        (2, None, False),
        (3, None, True),
        (2, True, True),
        (3, False, False),
    ]:
        model = clam(name, n_classes, subtyping=subtyping)
        torch.autograd.backward(model.loss(bag, torch.tensor(1)).total)
        for c, classifier in enumerate(model.clusters):
            assert (classifier.weight.grad is not None) == (c == 1 or out_of_class)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("n", "chosen"), [(1, 1), (3, 3), (8, 8), (200, 8)])
def test_as_many_patches_as_there_are(
    name: str, n: int, chosen: int, make_bag: MakeBag, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[int]] = []

    def spy(scores: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        seen.append(target.tolist())
        return smooth_top1_svm(scores, target)

    monkeypatch.setattr("sam_mil_engine.mil.clam.smooth_top1_svm", spy)
    clam(name, 3).loss(BagTensors.of(make_bag(n, 0, dim=3)), torch.tensor(1))
    assert seen == [[0] * chosen, [1] * chosen + [0] * chosen, [0] * chosen]


@pytest.mark.parametrize("name", NAMES)
def test_the_instance_loss_reaches_the_projection_and_dropout_the_attention(name: str, make_bag: MakeBag) -> None:
    bag = BagTensors.of(make_bag(40, 0, dim=3))
    model = clam(name)
    torch.autograd.backward(model.loss(bag, torch.tensor(0)).terms["instances"])
    assert model.project[0].weight.grad.norm() > 1e-6
    assert model.attend.score.weight.grad is None, "the choice of patches has no gradient"
    model = clam(name, dropout=0.5).train()
    model.project.eval()
    assert not torch.equal(model(bag).logits, model(bag).logits)
