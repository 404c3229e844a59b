"""DSMIL: golden numbers by loops over the equations, and what each stream contributes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from sam_mil_engine.bag.feature_bag import FeatureBag
from sam_mil_engine.mil.aggregator import Aggregator, BagTensors
from sam_mil_engine.mil.building import build_aggregator
from sam_mil_engine.settings import DsmilSettings, ModelSettings

pytestmark = pytest.mark.usefixtures("one_thread")
MakeBag = Callable[..., FeatureBag]


def dsmil(n_classes: int = 3, **options: object) -> Aggregator:
    torch.manual_seed(7)
    settings = ModelSettings(name="dsmil", hidden=5, dropout=0.0, dsmil=DsmilSettings(query=4, **options))
    model = build_aggregator(settings, dim=3, n_classes=n_classes).eval()
    for parameter in model.parameters():
        if parameter.ndim == 1:
            torch.nn.init.normal_(parameter)
    return model


def cross_entropy(logits: np.ndarray, label: int) -> float:
    return float(-np.log(np.exp(logits[label]) / np.exp(logits).sum()))


@pytest.mark.parametrize("score", ["mean", "bag"])
@pytest.mark.parametrize("value_layers", ["linear", "identity"])
@pytest.mark.parametrize("query_layers", ["linear", "tanh"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_golden(score: str, value_layers: str, query_layers: str, n_classes: int, make_bag: MakeBag) -> None:
    bag = make_bag(7, 0, dim=3)
    model = dsmil(n_classes, score=score, value_layers=value_layers, query_layers=query_layers)
    w = {name: value.double().numpy() for name, value in model.state_dict().items()}

    def query(h: np.ndarray) -> np.ndarray:
        first = w["query.0.weight"] @ h + w["query.0.bias"]
        if query_layers == "linear":
            return first
        return np.tanh(w["query.2.weight"] @ np.maximum(first, 0) + w["query.2.bias"])

    hidden = [np.maximum(w["project.0.weight"] @ x + w["project.0.bias"], 0) for x in bag.features.astype(float)]
    instance = np.array([w["instance.weight"] @ h + w["instance.bias"] for h in hidden])
    values = [w["value.weight"] @ h + w["value.bias"] if value_layers == "linear" else h for h in hidden]
    attention, means = [], []
    for c in range(n_classes):
        critical = query(hidden[int(instance[:, c].argmax())])
        raw = np.exp([query(h) @ critical / np.sqrt(4) for h in hidden])
        attention.append(raw / raw.sum())
        means.append(sum(a * v for a, v in zip(attention[c], values, strict=True)))
    pooled = np.array([sum(w["head.weight"][o, c] @ means[c] for c in range(n_classes)) for o in range(n_classes)])
    pooled += w["head.bias"]
    largest = instance.max(axis=0)
    logits = (pooled + largest) / 2 if score == "mean" else pooled

    output = model(BagTensors.of(bag))
    np.testing.assert_allclose(output.logits.detach().numpy(), logits, atol=1e-5)
    assert int(output.attention_class) == logits.argmax()
    np.testing.assert_allclose(output.attention.detach().numpy(), attention[logits.argmax()], atol=1e-5)
    np.testing.assert_allclose(model.patch_logits(output, 7).detach().numpy(), instance, atol=1e-5)
    for label in range(n_classes):
        loss = model.loss(BagTensors.of(bag), torch.tensor(label))
        assert loss.terms["bag"].item() == pytest.approx(cross_entropy(pooled, label) / 2, rel=1e-5)
        assert loss.terms["critical"].item() == pytest.approx(cross_entropy(largest, label) / 2, rel=1e-5)
        np.testing.assert_allclose(loss.logits.detach().numpy(), logits, atol=1e-5)


def test_the_critical_instance_alone_has_the_evidence_of_its_stream(make_bag: MakeBag) -> None:
    bag = BagTensors.of(make_bag(30, 0, dim=3))
    both, one = dsmil(score="mean"), dsmil(score="bag")
    one.load_state_dict(both.state_dict())
    extra = both(bag).evidence - one(bag).evidence / 2
    instance = both.patch_logits(both(bag), 30)
    for c in range(3):
        critical = int(instance[:, c].argmax())
        assert extra[critical, c].item() == pytest.approx(
            ((instance[critical, c] - both.instance.bias[c]) / 2).item(), abs=1e-5
        )
        others = torch.arange(30) != critical
        torch.testing.assert_close(extra[others, c], torch.zeros(29), atol=1e-6, rtol=0)


def test_a_group_token_may_be_the_critical_instance(make_bag: MakeBag) -> None:
    bag = BagTensors.of(make_bag(30, 3, dim=3))
    bag.tokens[31] = bag.tokens[:30].max() * 20
    settings = ModelSettings(name="dsmil+groups", hidden=5)
    torch.manual_seed(1)
    model = build_aggregator(settings, dim=3, n_classes=2).eval()
    winners = model.instance(model.project(bag.tokens)).argmax(dim=0)
    assert 31 in winners.tolist()
    patches_only = build_aggregator(ModelSettings(name="dsmil", hidden=5), dim=3, n_classes=2).eval()
    patches_only.load_state_dict(model.state_dict())
    assert (model(bag).logits - patches_only(bag).logits).abs().max() > 0.1
