"""MHIM-MIL: which patches are masked, golden numbers of a step, the teacher, and both bases."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sam_mil_engine.bag.feature_bag import FeatureBag
from sam_mil_engine.mil.aggregator import BagTensors
from sam_mil_engine.mil.building import build_aggregator
from sam_mil_engine.mil.mhim import Mhim, masked_patches
from sam_mil_engine.settings import MhimSettings, ModelSettings, TrainSettings, TransmilSettings
from sam_mil_engine.training.bag_store import Example
from sam_mil_engine.training.fitting import fit

pytestmark = pytest.mark.usefixtures("one_thread")
MakeBag = Callable[..., FeatureBag]
DIM = 5
BASES = ["abmil", "transmil"]


def mhim(n_classes: int = 2, *, groups: bool = False, dropout: float = 0.0, **options: object) -> Mhim:
    torch.manual_seed(4)
    chosen = ModelSettings(
        name="mhim",
        hidden=6,
        attention=3,
        dropout=dropout,
        groups=groups,
        mhim=MhimSettings(**options),
        transmil=TransmilSettings(heads=2, landmarks=4, kernel=5, dropout=0.0),
    )
    model = build_aggregator(chosen, dim=DIM, n_classes=n_classes).eval()
    assert isinstance(model, Mhim)
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.data += 0.3 * torch.randn_like(parameter)
    return model


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max())
    return e / e.sum()


# --- masking -----------------------------------------------------------------------------------------------------


@settings(max_examples=100)
@given(
    n=st.integers(1, 200),
    heads=st.integers(1, 4),
    random=st.floats(0, 1),
    low=st.floats(0, 1),
    high=st.floats(0, 1),
    share=st.floats(0.05, 1),
    seed=st.integers(0, 2**31 - 1),
)
def test_how_many_are_masked(
    *, n: int, heads: int, random: float, low: float, high: float, share: float, seed: int
) -> None:
    """Each kind alone masks its share, rounded up; together they may overlap; one patch always stays."""
    torch.manual_seed(seed)
    attention = torch.rand(heads, n)
    options = MhimSettings(random=0, low=0, high_share=share)

    def count(high: float = 0.0, **kinds: float) -> int:
        return int(masked_patches(attention, options.model_copy(update=kinds), high=high).sum())

    alone = [count(random=random), count(low=low), count(high=high)]
    assert alone[:2] == [min(math.ceil(n * random), n - 1), min(math.ceil(n * low), n - 1)]
    expected = math.ceil(n * high) if high > share else math.ceil(math.ceil(n * min(high / share, 1)) * share)
    assert alone[2] == min(expected, n - 1)
    together = count(high=high, random=random, low=low)
    assert max(alone) <= together <= min(sum(alone) + 3, n - 1)


def test_the_highest_and_lowest_are_masked() -> None:
    attention = torch.tensor([[5.0, 1, 9, 7, 3, 8, 2, 6, 4, 0]])
    options = MhimSettings(random=0, low=0.2, high_share=1)
    assert masked_patches(attention, options, high=0.3).nonzero().flatten().tolist() == [1, 2, 3, 5, 9]


def test_the_highest_may_be_drawn() -> None:
    """Two of the four highest of ten, each as often as the others."""
    attention = torch.arange(10.0)[None]
    options = MhimSettings(random=0, low=0, high_share=0.5)
    torch.manual_seed(0)
    masks = torch.stack([masked_patches(attention, options, high=0.2) for _ in range(2000)])
    assert (masks.sum(dim=1) == 2).all()
    np.testing.assert_allclose(masks.float().mean(dim=0), [0] * 6 + [0.5] * 4, atol=0.05)


def test_heads_vote() -> None:
    """Each head counts two; the patches that two of the three heads count win over those that one does."""
    attention = torch.zeros(3, 6)
    for head, counted in enumerate([(0, 1), (1, 4), (4, 5)]):
        attention[head, list(counted)] = 1 + head
    options = MhimSettings(random=0, low=0, high_share=1)
    assert masked_patches(attention, options, high=2 / 6).nonzero().flatten().tolist() == [1, 4]


def test_if_nothing_were_left_the_least_attended_stays() -> None:
    masked = masked_patches(torch.tensor([[0.5, 0.2, 0.3]]), MhimSettings(random=1), high=0.5)
    assert masked.tolist() == [True, False, True]


# --- a step ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [2, 3])
def test_golden_step(n_classes: int, make_bag: MakeBag) -> None:
    """AB-MIL as base, without random numbers: the whole step in numpy."""
    bag = make_bag(30, 0, dim=DIM)
    model = mhim(n_classes, random=0, low=0.2, high=0.1, high_share=1, high_decay_epochs=0, consistency=0.3).train()
    w = {name: value.double().numpy() for name, value in model.state_dict().items()}

    def pooled(who: str, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        h = np.maximum(x @ w[f"{who}.project.0.weight"].T + w[f"{who}.project.0.bias"], 0)
        tanh = np.tanh(h @ w[f"{who}.attend.tanh.weight"].T + w[f"{who}.attend.tanh.bias"])
        a = softmax((tanh @ w[f"{who}.attend.score.weight"].T)[:, 0])
        return a, a @ h

    x = bag.features.astype(float)
    a, taught = pooled("teacher", x)
    seen = np.argsort(a)[6:-3]
    _, learnt = pooled("student", x[seen])
    logits = w["student.head.weight"] @ learnt + w["student.head.bias"]
    agreement = -(softmax(taught / 0.1) * np.log(softmax(learnt))).sum()
    loss = model.loss(BagTensors.of(bag), torch.tensor(1))
    np.testing.assert_allclose(loss.logits.detach().numpy(), logits, atol=1e-5)
    assert loss.terms["bag"].item() == pytest.approx(-np.log(softmax(logits)[1]), abs=1e-5)
    assert loss.terms["consistency"].item() == pytest.approx(0.3 * agreement, abs=1e-5)


def test_transmil_is_watched_in_its_first_layer(make_bag: MakeBag) -> None:
    """Its attention, head by head, is that of a layer alone; bag feature and logits are those of its forward."""
    bag = BagTensors.of(make_bag(16, 0, dim=DIM))  # a square number: no token is repeated
    model = mhim(base="transmil")
    base = model.teacher
    seen = base.pooled(bag)
    torch.testing.assert_close(seen.logits, base(bag).logits)
    torch.testing.assert_close(base.head(seen.feature), seen.logits)
    sequence = torch.cat([base.class_token, base.project(bag.features)])
    alone = base.layers[0](base.norms[0](sequence), row=0)[1]
    assert seen.attention.shape == (2, 16)
    torch.testing.assert_close(seen.attention, alone[:, 1:])


@pytest.mark.parametrize("base", BASES)
def test_the_student_sees_the_rest_and_all_group_tokens(
    base: str, make_bag: MakeBag, monkeypatch: pytest.MonkeyPatch
) -> None:
    bag = BagTensors.of(make_bag(50, 4, dim=DIM))
    model = mhim(groups=True, base=base, low=0.1)
    sizes = []
    forward = model.student.tokens
    monkeypatch.setattr(model.student, "tokens", lambda part: sizes.append(part) or forward(part))
    model.train().loss(bag, torch.tensor(1))
    (part,) = sizes
    assert torch.equal(part.group_features, bag.group_features)
    assert 18 <= len(part) <= 25, "25 at random, 5 with low attention, 1 with high"
    assert len(part.coords_px0) == len(part)
    rows = {tuple(row) for row in bag.features.tolist()}
    assert all(tuple(row) in rows for row in part.features.tolist())


@pytest.mark.parametrize("base", BASES)
def test_the_teacher_moves_as_an_average_and_gets_no_gradient(base: str, make_bag: MakeBag) -> None:
    bag = BagTensors.of(make_bag(50, 0, dim=DIM))
    model = mhim(base=base, momentum=0.9).train()
    torch.autograd.backward(model.loss(bag, torch.tensor(1)).total)
    assert all(parameter.grad is None for parameter in model.teacher.parameters())
    assert all(parameter.grad.norm() > 1e-9 for parameter in model.student.parameters())
    before = [parameter.clone() for parameter in model.teacher.parameters()]
    torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1).step()
    model.after_step()
    for was, now, student in zip(before, model.teacher.parameters(), model.student.parameters(), strict=True):
        torch.testing.assert_close(now, 0.9 * was + 0.1 * student)
    model.enter_stage("baseline")
    stays = [parameter.clone() for parameter in model.teacher.parameters()]
    model.after_step()
    assert all(torch.equal(a, b) for a, b in zip(stays, model.teacher.parameters(), strict=True))


def test_the_share_of_the_high_falls_with_a_cosine(make_bag: MakeBag) -> None:
    bags = [BagTensors.of(make_bag(5, 0, dim=DIM))] * 4
    model = mhim(high=0.2, high_decay_epochs=3)
    model.prepare_stage(bags)
    ratios = []
    for _ in range(14):
        ratios.append(model.high_ratio())
        model.after_step()
    expected = [0.1 * (1 + math.cos(math.pi * min(step / 12, 1))) for step in range(14)]
    assert ratios == pytest.approx(expected, abs=1e-7)
    assert mhim(high=0.2, high_decay_epochs=0).high_ratio() == 0.2


# --- stages ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("init", ["none", "projection", "all"])
def test_how_the_second_stage_starts(base: str, init: str, make_bag: MakeBag) -> None:
    model = mhim(base=base, student_init=init)
    trained = {name: value.clone() for name, value in model.student.state_dict().items()}
    model.enter_stage("baseline")
    model.prepare_stage([])
    assert all(torch.equal(value, trained[name]) for name, value in model.student.state_dict().items())
    model.enter_stage("mhim")
    model.prepare_stage([BagTensors.of(make_bag(5, 0, dim=DIM))])
    assert all(torch.equal(value, trained[name]) for name, value in model.teacher.state_dict().items())
    for name, value in model.student.state_dict().items():
        taken = init == "all" or (init == "projection" and name.startswith("project."))
        assert torch.equal(value, trained[name]) == taken, name


@pytest.mark.parametrize("base", BASES)
def test_stage_1_is_its_base(base: str, make_bag: MakeBag) -> None:
    bag, model = BagTensors.of(make_bag(30, 0, dim=DIM)), mhim(base=base)
    model.enter_stage("baseline")
    assert torch.equal(model(bag).logits, model.student(bag).logits)
    assert torch.equal(model.loss(bag, torch.tensor(1)).total, model.student.loss(bag, torch.tensor(1)).total)


def test_trained_by_the_loop(make_bag: MakeBag) -> None:
    """Bags of two classes that a shift tells apart: both stages learn it."""
    examples = []
    for seed in range(16):
        bag = BagTensors.of(make_bag(15, 0, dim=DIM, seed=seed))
        shifted = replace(bag, tokens=bag.tokens + 1.5 * (seed % 2))
        examples.append(Example(str(seed), shifted, torch.tensor(seed % 2)))
    model = mhim(dropout=0.1)
    history = fit(
        model, examples[:10], examples[10:], settings=TrainSettings(epochs=12, min_epochs=1, learning_rate=0.02)
    )
    assert model.stage == "mhim"
    for stage in model.stages:
        assert min(row["val_loss"] for row in history if row["stage"] == stage) < 0.3
    assert model.steps_per_epoch == 10
    assert model.step % 10 == 0
    assert model.step > 0
