"""What holds for DTFD-MIL, IBMIL, MHIM-MIL and SRMIL alike; their golden numbers stand in files of their own."""

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
from sam_mil_engine.settings import ModelSettings
from sam_mil_engine.train.checkpoint import TrainedModel, load_model, save_model
from sam_mil_engine.train.expects import Expects

pytestmark = pytest.mark.usefixtures("one_thread")
MakeBag = Callable[..., FeatureBag]
#: Name for a test, and the settings that differ.
MODELS: dict[str, dict[str, object]] = {
    "dtfd": {},
    "dtfd+groups": {"dtfd": {"distill": "MaxMinS"}},
    "ibmil": {},
    "mhim": {},
    "mhim+groups": {},
    "mhim on transmil": {"mhim": {"base": "transmil", "low": 0.3}},
    "srmil": {},
}
ORDERLESS = [name for name in MODELS if "transmil" not in name]
DIM = 12


def build(name: str, n_classes: int = 2, **options: object) -> Aggregator:
    torch.manual_seed(1)
    small = {"hidden": 16, "attention": 8, "transmil": {"landmarks": 32}, "srmil": {"width": 24}}
    settings = ModelSettings.parse({"name": name.partition(" ")[0], **small, **MODELS[name], **options})
    model = build_aggregator(settings, dim=DIM, n_classes=n_classes).eval()
    for parameter in model.parameters():  # biases too, since a bias of zero hides a mistake
        if parameter.ndim == 1:
            parameter.data += 0.3 * torch.randn_like(parameter)
    return model


def into(model: Aggregator, stage: str, bags: list[BagTensors]) -> Aggregator:
    """As the training loop enters a stage."""
    model.enter_stage(stage)
    with torch.no_grad():
        model.eval().prepare_stage(bags)
    return model.train()


def trained(name: str, n_classes: int, bags: list[BagTensors]) -> Aggregator:
    """After a few steps in every stage."""
    model = build(name, n_classes)
    for stage in model.stages:
        into(model, stage, bags)
        optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.01)
        for number, bag in enumerate(bags):
            optimizer.zero_grad()
            torch.autograd.backward(model.loss(bag, torch.tensor(number % n_classes)).total)
            optimizer.step()
            model.after_step()
    return model.eval()


def some_bags(make_bag: MakeBag, count: int = 6) -> list[BagTensors]:
    return [BagTensors.of(make_bag(20, 3, dim=DIM, seed=seed)) for seed in range(count)]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize(("n", "n_groups"), [(1, 0), (1, 1), (2, 1), (3, 0), (3, 2)])
def test_small_bags(name: str, n_classes: int, n: int, n_groups: int, make_bag: MakeBag) -> None:
    bag = BagTensors.of(make_bag(n, n_groups, dim=DIM))
    model = build(name, n_classes)
    for stage in model.stages:
        into(model, stage, [bag])
        for label in range(n_classes):
            loss = model.loss(bag, torch.tensor(label))
            assert loss.logits.shape == (n_classes,)
            assert torch.stack(list(loss.terms.values())).sum().item() == pytest.approx(loss.total.item(), rel=1e-6)
            assert torch.isfinite(loss.total)
            model.zero_grad()
            torch.autograd.backward(loss.total)
            for parameter_name, parameter in model.named_parameters():
                assert (parameter.grad is not None) == parameter.requires_grad, parameter_name
                assert parameter.grad is None or parameter.grad.isfinite().all(), parameter_name
            model.after_step()
        output = model.eval()(bag)
        assert output.logits.shape == (n_classes,)
        assert output.logits.isfinite().all()
        assert output.attention.shape == (len(model.tokens(bag)),)
        assert output.attention.sum().item() == pytest.approx(1, abs=1e-5)
        assert model.patch_logits(output, n).shape == (n, n_classes)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_every_parameter_that_may_learn_learns(name: str, n_classes: int, make_bag: MakeBag) -> None:
    bags = [BagTensors.of(make_bag(40, 4, dim=DIM, seed=seed)) for seed in range(9)]
    model = build(name, n_classes)
    for stage in model.stages:
        into(model, stage, bags)
        model.zero_grad()
        for number, bag in enumerate(bags):
            torch.autograd.backward(model.loss(bag, torch.tensor(number % n_classes)).total)
        for parameter_name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                assert parameter.grad is None, parameter_name
            elif parameter_name != "key.bias":  # of IBMIL: the softmax over the confounders does not see it
                assert parameter.grad.norm() > 1e-8, (stage, parameter_name)


@pytest.mark.parametrize("name", MODELS)
def test_under_autocast(name: str, make_bag: MakeBag) -> None:
    """In half precision a step is taken, and what is said stays float32 and adds up."""
    bags = some_bags(make_bag, 4)
    model = build(name)
    for stage in model.stages:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = into(model, stage, bags).loss(bags[0], torch.tensor(1))
        torch.autograd.backward(loss.total)
        model.after_step()
    exact = model.eval()(bags[0])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(bags[0])
    torch.testing.assert_close(output.logits, exact.logits, atol=0.1, rtol=0)
    torch.testing.assert_close(output.attention, exact.attention, atol=0.05, rtol=0)
    if output.evidence is not None:
        torch.testing.assert_close(output.evidence.sum(0) + output.bias, output.logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", MODELS)
def test_a_very_large_bag(name: str, make_bag: MakeBag) -> None:
    bag = BagTensors.of(make_bag(50_000, 3, dim=DIM))
    with torch.inference_mode():
        output = build(name, 3)(bag)
    assert output.logits.isfinite().all()
    assert output.attention.sum().item() == pytest.approx(1, abs=1e-4)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 60),
    n_groups=st.integers(0, 6),
    seed=st.integers(0, 2**31 - 1),
    name=st.sampled_from(ORDERLESS),
)
def test_the_order_of_patches_does_not_matter(
    make_bag: MakeBag, n: int, n_groups: int, seed: int, name: str
) -> None:
    """Positions go with their patches."""
    tensors = BagTensors.of(make_bag(n, n_groups, dim=DIM, seed=seed))
    order = np.random.default_rng(seed).permutation(n)
    shuffled = replace(
        tensors,
        tokens=torch.cat([tensors.features[order], tensors.group_features]),
        coords_px0=tensors.coords_px0[order],
        group_of_patch=tensors.group_of_patch[order],
    )
    model = build(name)
    found, expected = model(shuffled), model(tensors)
    torch.testing.assert_close(found.logits, expected.logits, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.attention[:n], expected.attention[:n][order], atol=1e-5, rtol=1e-5)
    patches = model.patch_logits(found, n), model.patch_logits(expected, n)[order]
    torch.testing.assert_close(*patches, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in ORDERLESS if name != "srmil"])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("n", [1, 3, 400])
def test_evidence_adds_up_to_the_logits(name: str, n_classes: int, n: int, make_bag: MakeBag) -> None:
    bag = BagTensors.of(make_bag(n, min(n, 5), dim=DIM))
    model = build(name, n_classes)
    output = model(bag)
    assert output.evidence.shape == (len(model.tokens(bag)), n_classes)
    torch.testing.assert_close(output.evidence.sum(0) + output.bias, output.logits, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", MODELS)
def test_group_tokens_count_where_they_are_asked_for(name: str, make_bag: MakeBag) -> None:
    bag = BagTensors.of(make_bag(40, 4, dim=DIM))
    model = build(name)
    difference = (model(bag).logits - model(bag.without_group_tokens()).logits).abs().max()
    assert difference > 1e-4 if name.endswith("+groups") else difference == 0


def test_ibmil_and_srmil_take_no_group_tokens() -> None:
    for name in ("ibmil+groups", "srmil+groups"):
        with pytest.raises(SettingsError, match="takes no group tokens"):
            build_aggregator(ModelSettings(name=name), dim=DIM, n_classes=2)


@pytest.mark.parametrize("name", MODELS)
def test_without_a_group_is_a_second_run_on_the_rest(name: str, make_bag: MakeBag) -> None:
    bag, model = BagTensors.of(make_bag(60, 4, dim=DIM)), build(name, 3)
    found = logits_without_groups(model, bag, model(bag))
    expected = torch.stack([model(bag.without_group(k)).logits for k in range(4)])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("classes", [("normal", "tumour"), ("a", "b", "c")])
def test_a_saved_model_predicts_the_same(
    name: str, classes: tuple[str, ...], make_bag: MakeBag, tmp_path: Path
) -> None:
    model = trained(name, len(classes), some_bags(make_bag))
    assert model.stage == model.stages[-1]
    saved = TrainedModel(model, classes, 0.5, Expects(DIM, encoder="fake"), name="m")
    save_model(tmp_path, saved)
    loaded = load_model(tmp_path, device="cpu")
    assert loaded.model.stage == model.stage
    bag = make_bag(50, 4, dim=DIM)
    ours, theirs = predict(saved, bag), predict(loaded, bag)
    for field in fields(ours):
        value = getattr(ours, field.name)
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(getattr(theirs, field.name), value, err_msg=field.name)
    np.testing.assert_array_equal(theirs.groups.probability_without, ours.groups.probability_without)


@pytest.mark.parametrize("name", MODELS)
def test_a_result_says_what_it_cannot(name: str, make_bag: MakeBag) -> None:
    model = build(name)
    saved = TrainedModel(model, ("normal", "tumour"), 0.5, Expects(DIM, encoder="fake"), name="m")
    scores = predict(saved, make_bag(50, 4, dim=DIM))
    notes = " ".join(scores.attrs["notes"])
    undefined = name in {"srmil", "mhim on transmil"}
    assert (f"{model.settings.name} defines no evidence" in notes) == (scores.evidence is None) == undefined
    assert "defines no attention" not in notes
    assert scores.attrs["patch_probability"] == "instance"
