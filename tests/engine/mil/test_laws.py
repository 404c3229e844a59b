"""What holds for DSMIL, CLAM and TransMIL alike; their golden numbers stand in files of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sam_mil_engine.bag.feature_bag import FeatureBag
from sam_mil_engine.errors import SettingsError
from sam_mil_engine.mil.aggregator import Aggregator, BagTensors
from sam_mil_engine.mil.counterfactual import logits_without_groups
from sam_mil_engine.mil.registry import build_aggregator
from sam_mil_engine.predict import predict
from sam_mil_engine.settings import ClamSettings, ModelSettings, TransmilSettings
from sam_mil_engine.train.checkpoint import TrainedModel, load_model, save_model
from sam_mil_engine.train.expects import Expects

pytestmark = pytest.mark.usefixtures("one_thread")
MakeBag = Callable[..., FeatureBag]
NAMES = ["dsmil", "dsmil+groups", "clam-sb", "clam-mb", "transmil", "transmil+groups"]
ORDERLESS = [name for name in NAMES if not name.startswith("transmil")]
ONE_ATTENTION = {"clam-sb", "transmil", "transmil+groups"}
DIM = 12


def build(name: str, n_classes: int = 2, **options: object) -> Aggregator:
    torch.manual_seed(1)
    small = ModelSettings(
        name=name,
        **{"hidden": 16, "transmil": TransmilSettings(landmarks=32), "clam": ClamSettings(attention=8), **options},
    )
    model = build_aggregator(small, dim=DIM, n_classes=n_classes).eval()
    for parameter in model.parameters():  # biases too, since a bias of zero hides a mistake
        if parameter.ndim == 1:
            parameter.data += 0.3 * torch.randn_like(parameter)
    return model


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize(("n", "n_groups"), [(1, 0), (1, 1), (2, 1), (3, 0), (3, 2)])
def test_small_bags(name: str, n_classes: int, n: int, n_groups: int, make_bag: MakeBag) -> None:
    bag = BagTensors.of(make_bag(n, n_groups, dim=DIM))
    model = build(name, n_classes)
    for label in range(n_classes):
        loss = model.train().loss(bag, torch.tensor(label))
        assert loss.logits.shape == (n_classes,)
        assert torch.stack(list(loss.terms.values())).sum().item() == pytest.approx(loss.total.item(), rel=1e-6)
        model.zero_grad()
        torch.autograd.backward(loss.total)
        assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
        assert torch.isfinite(loss.total)
    output = model.eval()(bag)
    assert output.logits.shape == (n_classes,)
    assert output.logits.isfinite().all()
    assert output.attention.shape == (len(model.tokens(bag)),)
    assert output.attention.sum().item() == pytest.approx(1, abs=1e-5)
    assert model.patch_logits(output, n).shape == (n, n_classes)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_every_parameter_learns(name: str, n_classes: int, make_bag: MakeBag) -> None:
    """Over bags of every class; within one, the cluster classifiers of the other classes may rest."""
    bag = BagTensors.of(make_bag(40, 4, dim=DIM))
    model = build(name, n_classes, dropout=0.0).train()
    for label in range(n_classes):
        torch.autograd.backward(model.loss(bag, torch.tensor(label)).total)
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.norm() > 1e-7, parameter_name


@pytest.mark.parametrize("name", NAMES)
def test_a_very_large_bag(name: str, make_bag: MakeBag) -> None:
    bag = BagTensors.of(make_bag(50_000, 3, dim=DIM))
    with torch.inference_mode():
        output = build(name, 3)(bag)
    assert output.logits.isfinite().all()
    assert output.attention.sum().item() == pytest.approx(1, abs=1e-4)


@settings(max_examples=30, deadline=None)
@given(
    n=st.integers(1, 60),
    n_groups=st.integers(0, 6),
    seed=st.integers(0, 2**31 - 1),
    name=st.sampled_from(ORDERLESS),
)
def test_the_order_of_patches_does_not_matter(
    make_bag: MakeBag, n: int, n_groups: int, seed: int, name: str
) -> None:
    tensors = BagTensors.of(make_bag(n, n_groups, dim=DIM, seed=seed))
    order = np.random.default_rng(seed).permutation(n)
    shuffled = replace(tensors, tokens=torch.cat([tensors.features[order], tensors.group_features]))
    model = build(name)
    found, expected = model(shuffled), model(tensors)
    torch.testing.assert_close(found.logits, expected.logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.attention[:n], expected.attention[:n][order], atol=1e-5, rtol=1e-5)
    losses = [model.loss(bag, torch.tensor(1)).total for bag in (shuffled, tensors)]
    torch.testing.assert_close(*losses, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_half_precision_of_matrix_products(name: str, make_bag: MakeBag) -> None:
    bag = BagTensors.of(make_bag(200, 4, dim=DIM))
    model = build(name, 3)
    exact = model(bag)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = model(bag)
        loss = model.train().loss(bag, torch.tensor(1))
    torch.autograd.backward(loss.total)
    torch.testing.assert_close(rough.logits, exact.logits, atol=0.1, rtol=0)
    for values in (rough.logits, rough.attention, loss.total):
        assert values.dtype == torch.float32
    assert rough.attention.sum().item() == pytest.approx(1, abs=1e-3)
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", ORDERLESS)
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("n", [1, 3, 400])
def test_evidence_adds_up_to_the_logits(name: str, n_classes: int, n: int, make_bag: MakeBag) -> None:
    bag = BagTensors.of(make_bag(n, min(n, 5), dim=DIM))
    model = build(name, n_classes)
    output = model(bag)
    assert output.evidence.shape == (len(model.tokens(bag)), n_classes)
    torch.testing.assert_close(output.evidence.sum(0) + output.bias, output.logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_group_tokens_count_where_they_are_asked_for(name: str, make_bag: MakeBag) -> None:
    bag = BagTensors.of(make_bag(40, 4, dim=DIM))
    bag.tokens.requires_grad_()
    model = build(name, dropout=0.0)
    difference = (model(bag).logits - model(bag.without_group_tokens()).logits).abs().max()
    torch.autograd.backward(model.loss(bag, torch.tensor(1)).total)
    reached = bag.tokens.grad[40:].norm(dim=1)
    if name.endswith("+groups"):
        assert difference > 1e-4
        assert (reached > 1e-7).all()
    else:
        assert difference == 0
        assert (reached == 0).all()


def test_clam_takes_no_group_tokens() -> None:
    for name in ("clam-sb+groups", "clam-mb+groups"):
        with pytest.raises(SettingsError, match="takes no group tokens"):
            build(name)


@pytest.mark.parametrize("name", NAMES)
def test_without_a_group_is_a_second_run_on_the_rest(name: str, make_bag: MakeBag) -> None:
    bag, model = BagTensors.of(make_bag(60, 4, dim=DIM)), build(name, 3)
    found = logits_without_groups(model, bag, model(bag))
    expected = torch.stack([model(bag.without_group(k)).logits for k in range(4)])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("classes", [("normal", "tumour"), ("a", "b", "c")])
def test_a_saved_model_predicts_the_same(
    name: str, classes: tuple[str, ...], make_bag: MakeBag, tmp_path: Path
) -> None:
    trained = TrainedModel(build(name, len(classes)), classes, 0.5, Expects(DIM, encoder="fake"), name="m")
    save_model(tmp_path, trained)
    loaded = load_model(tmp_path, device="cpu")
    assert loaded.settings == trained.settings
    bag = make_bag(50, 4, dim=DIM)
    ours, theirs = predict(trained, bag), predict(loaded, bag)
    for field in fields(ours):
        value = getattr(ours, field.name)
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(theirs, field.name), value, err_msg=field.name)
    np.testing.assert_array_equal(theirs.groups.probability_without, ours.groups.probability_without)
    assert theirs.attrs["notes"] == ours.attrs["notes"]


@pytest.mark.parametrize("name", NAMES)
def test_a_result_says_what_it_cannot(name: str, make_bag: MakeBag) -> None:
    model = build(name)
    trained = TrainedModel(model, ("normal", "tumour"), 0.5, Expects(DIM, encoder="fake"), name="m")
    scores = predict(trained, make_bag(50, 4, dim=DIM))
    notes = " ".join(scores.attrs["notes"])
    plain = name.partition("+")[0]
    assert (f"{plain} defines no evidence" in notes) == (scores.evidence is None) == (plain == "transmil")
    winner = ("normal", "tumour")[int(scores.logits.argmax())]
    assert (f"attention is that of the class {winner}" in notes) == (name not in ONE_ATTENTION)
    assert scores.attrs["patch_probability"] == "instance"
