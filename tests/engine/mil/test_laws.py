"""What holds for every model alike; the golden numbers stand in a file for each method."""

from __future__ import annotations

from dataclasses import replace

import every_model
import numpy as np
import pytest
import torch
from every_model import DIM, LINEAR, MODELS, NO_ATTENTION, ORDERLESS, MakeBag, build, into, reordered, some_bags
from hypothesis import given, settings
from hypothesis import strategies as st

from sam_mil_engine.errors import SettingsError
from sam_mil_engine.mil.aggregator import BagTensors
from sam_mil_engine.models.aggregators import AGGREGATORS

pytestmark = pytest.mark.usefixtures("one_thread")
CLASSES = pytest.mark.parametrize("n_classes", [2, 3])


def test_no_registered_model_is_forgotten() -> None:
    assert {name.partition(" ")[0].partition("+")[0] for name in MODELS} == set(AGGREGATORS)


@pytest.mark.parametrize("name", MODELS)
@CLASSES
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
            assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
            model.after_step()
    output = model.eval()(bag)
    assert output.logits.shape == (n_classes,)
    assert output.logits.isfinite().all()
    assert model.patch_logits(output, n).shape == (n, n_classes)
    assert (output.attention is None) == (name in NO_ATTENTION)
    if output.attention is not None:
        assert output.attention.shape == (len(model.tokens(bag)),)
        assert output.attention.sum().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_a_very_large_bag_is_learnt_from(name: str, make_bag: MakeBag) -> None:
    bag = BagTensors.of(make_bag(50_000, 3, dim=DIM))
    model = build(name, 3, srmil={"width": 24, "heads": 2, "head_width": 8})
    for stage in model.stages:
        loss = into(model, stage, [bag]).loss(bag, torch.tensor(1))
        torch.autograd.backward(loss.total)
        assert torch.isfinite(loss.total)
        assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    with torch.inference_mode():
        output = model.eval()(bag)
    assert output.logits.isfinite().all()
    if output.attention is not None:
        assert output.attention.sum().item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("name", MODELS)
@CLASSES
def test_every_parameter_that_may_learn_learns(name: str, n_classes: int, make_bag: MakeBag) -> None:
    """Over bags of every class; within one, what belongs to the other classes may rest."""
    bags = some_bags(make_bag, 9, n=40)
    model = build(name, n_classes, dropout=0.0)
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
def test_half_precision_of_matrix_products(name: str, make_bag: MakeBag) -> None:
    """A step is taken; what is said stays float32, is near the exact numbers and adds up."""
    bags = some_bags(make_bag, 4, n=200)
    model = build(name)
    for stage in model.stages:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = into(model, stage, bags).loss(bags[0], torch.tensor(1))
        assert loss.total.dtype == torch.float32
        torch.autograd.backward(loss.total)
        assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
        model.after_step()
    exact = model.eval()(bags[0])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = model(bags[0])
    assert rough.logits.dtype == torch.float32
    torch.testing.assert_close(rough.logits, exact.logits, atol=0.1, rtol=0)
    if rough.attention is not None:
        assert rough.attention.dtype == torch.float32
        torch.testing.assert_close(rough.attention, exact.attention, atol=0.05, rtol=0)
    if rough.evidence is not None:
        torch.testing.assert_close(rough.evidence.sum(0) + rough.bias, rough.logits, atol=1e-5, rtol=0)


@settings(max_examples=80)
@given(
    n=st.integers(1, 60),
    n_groups=st.integers(0, 6),
    seed=st.integers(0, 2**31 - 1),
    name=st.sampled_from(ORDERLESS),
)
def test_the_order_of_patches_does_not_matter(
    make_bag: MakeBag, n: int, n_groups: int, seed: int, name: str
) -> None:
    bag = BagTensors.of(make_bag(n, n_groups, dim=DIM, seed=seed))
    order = np.random.default_rng(seed).permutation(n)
    model = build(name)
    found, expected = model(reordered(bag, order)), model(bag)
    torch.testing.assert_close(found.logits, expected.logits, atol=1e-5, rtol=1e-5)
    patches = model.patch_logits(found, n), model.patch_logits(expected, n)[order]
    torch.testing.assert_close(*patches, atol=1e-5, rtol=1e-5)
    if expected.attention is not None:
        torch.testing.assert_close(found.attention[:n], expected.attention[:n][order], atol=1e-5, rtol=1e-5)


def test_the_order_of_patches_matters_to_transmil(make_bag: MakeBag) -> None:
    bag = BagTensors.of(make_bag(40, 3, dim=DIM))
    model = build("transmil")
    moved = model(reordered(bag, np.arange(40)[::-1].copy())).logits
    assert (moved - model(bag).logits).abs().max() > 1e-4


@pytest.mark.parametrize("name", LINEAR)
@CLASSES
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
    bag.tokens.requires_grad_()
    model = build(name, dropout=0.0)
    difference = (model(bag).logits - model(replace(bag, tokens=bag.features)).logits).abs().max()
    torch.autograd.backward(model(bag).logits.sum())
    reached = bag.tokens.grad[40:].norm(dim=1)
    if name.endswith("+groups") or name == "sam-mil":
        assert difference > 1e-4
        assert (reached > 1e-7).all()
    else:
        assert difference == 0
        assert (reached == 0).all()


@pytest.mark.parametrize("name", ["max", "mean", "clam-sb", "clam-mb", "ibmil", "srmil"])
def test_who_takes_no_group_tokens_says_so(name: str) -> None:
    with pytest.raises(SettingsError, match="does not take group tokens"):
        every_model.build(name, groups=True)
