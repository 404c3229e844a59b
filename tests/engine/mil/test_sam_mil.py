"""SAM-MIL: its mask, its pseudo-bags, its three losses, and that each of them trains."""

from __future__ import annotations

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
from sam_mil_engine.mil.masking import STRATEGIES, keep_by_group
from sam_mil_engine.mil.sam_mil import SamMil, pseudo_bags
from sam_mil_engine.settings import ModelSettings

pytestmark = pytest.mark.usefixtures("one_thread")
MakeBag = Callable[..., FeatureBag]
CPU = torch.device("cpu")
LABEL = torch.tensor(1)


def sam_mil(dim: int = 12, *, seed: int = 1, **options: object) -> SamMil:
    torch.manual_seed(seed)
    with_all_terms = {"name": "sam-mil", "consistency_weight": 1000.0, **options}
    model = build_aggregator(ModelSettings.parse(with_all_terms), dim=dim, n_classes=2)
    assert isinstance(model, SamMil)
    return model.train()


# --- SG2M --------------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=8),
    unsegmented=st.integers(0, 40),
    exponents=st.lists(st.floats(0, 6), min_size=8, max_size=8),
    tokens=st.booleans(),
    seed=st.integers(0, 2**31 - 1),
)
def test_sg2m_removes_exactly_the_stated_number_from_every_group(
    sizes: list[int], unsegmented: int, exponents: list[float], tokens: bool, seed: int
) -> None:
    if not sum(sizes) + unsegmented:
        return
    rng = np.random.default_rng(seed)
    group = rng.permutation(np.repeat([-1, *range(len(sizes))], [unsegmented, *sizes]))
    areas = 10.0 ** np.array(exponents[: len(sizes)])
    options = ModelSettings(mask_area="raster")
    bag = bare_bag(group, areas)
    n_tokens = len(group) + (len(sizes) if tokens else 0)
    torch.manual_seed(seed)
    keep = keep_by_group(bag, n_tokens, options).numpy()
    assert keep[len(group) :].all(), "group tokens are never removed"
    for k, area in [(-1, 1.0), *enumerate(areas)]:
        n_k = int((group == k).sum())
        share = 0.9 / (1 + np.exp(-(5e-4 * area - 2.5)))
        removed = n_k - int(keep[: len(group)][group == k].sum())
        if abs(share * n_k % 1 - 0.5) > 1e-4:  # between two numbers, single precision may round either way
            assert removed == min(round(share * n_k), max(n_k - 1, 0))
        assert removed < n_k or n_k == 0
    torch.manual_seed(seed)
    np.testing.assert_array_equal(keep_by_group(bag, n_tokens, options).numpy(), keep)


def bare_bag(group: np.ndarray, areas: np.ndarray) -> BagTensors:
    """A bag of which only the partition matters."""
    return BagTensors(
        tokens=torch.zeros(len(group) + len(areas), 1),
        coords_px0=torch.zeros((len(group), 2), dtype=torch.int64),
        group_of_patch=torch.as_tensor(group),
        group_area=torch.as_tensor(areas, dtype=torch.float32),
        member_group=torch.as_tensor(group[group >= 0]),
        member_patch=torch.as_tensor(np.flatnonzero(group >= 0)),
        step_px0=(1.0, 1.0),
    )


def test_areas_in_patches_do_not_depend_on_the_picture() -> None:
    """300 patches lose half of the ratio whatever their pixels; worked out by hand."""
    group = np.array([0] * 300 + [1] * 100)
    for pixels in (1.0, 1000.0):
        bag = bare_bag(group, np.array([300.0, 100.0]) * pixels)
        keep = keep_by_group(bag, 402, ModelSettings(mask_area="patches"))[:400].numpy()
        removed = [int((~keep[group == k]).sum()) for k in (0, 1)]
        # 0.9 x sigmoid(0) x 300 = 135; 0.9 x sigmoid(2.5 / 3 - 2.5) x 100 = 14.3
        assert removed == [135, 14]
    by_pixels = keep_by_group(bag, 402, ModelSettings(mask_area="raster"))[:400].numpy()
    assert [int((~by_pixels[group == k]).sum()) for k in (0, 1)] == [270, 90]


def test_sg2m_draws_every_patch_of_a_group_equally_often() -> None:
    bag = bare_bag(np.array([0] * 10 + [-1] * 5), np.array([1e5]))  # the group loses 9 of 10, the rest none
    torch.manual_seed(0)
    kept = torch.stack([keep_by_group(bag, 15, ModelSettings()) for _ in range(2000)]).float().mean(0)
    assert (kept[10:] == 1).all()
    np.testing.assert_allclose(kept[:10].numpy(), 0.1, atol=0.035)  # five standard deviations


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(("n", "n_groups"), [(1, 0), (1, 1), (2, 2), (100, 5)])
def test_every_strategy_leaves_a_patch(strategy: str, n: int, n_groups: int, make_bag: MakeBag) -> None:
    bag = BagTensors.of(make_bag(n, n_groups))
    options = ModelSettings(mask=strategy, mask_ratio=1.0)
    for _ in range(20):
        keep = STRATEGIES[strategy](bag, n + n_groups, options)
        assert keep.shape == (n + n_groups,)
        assert keep[:n].any()
        if strategy != "random":
            assert keep[n:].all()


def test_random_strategies_remove_the_stated_share(make_bag: MakeBag) -> None:
    bag = BagTensors.of(make_bag(90, 10))
    options = ModelSettings(mask_ratio=0.5)
    assert (~STRATEGIES["random"](bag, 100, options)).sum() == 50
    assert (~STRATEGIES["random-patches"](bag, 100, options)).sum() == 45
    assert STRATEGIES["none"](bag, 100, options).all()


# --- pseudo-bags and consistency ------------------------------------------------------------------------------


@settings(max_examples=50)
@given(tokens=st.integers(1, 200), parts=st.integers(0, 12))
def test_pseudo_bags_divide_the_tokens(tokens: int, parts: int) -> None:
    rows = pseudo_bags(tokens, parts, device=CPU)
    assert rows.shape == (min(parts, tokens), tokens)
    if parts:
        assert (rows.sum(0) == 1).all(), "every token in exactly one part"
        sizes = rows.sum(1)
        assert sizes.max() - sizes.min() <= 1
        assert sizes.min() >= 1


def test_the_consistency_can_count_alike_in_bags_of_every_size(make_bag: MakeBag) -> None:
    """A bag ten times over: as in the paper the term is a hundredth; by size it stays."""
    once = BagTensors.of(make_bag(40, 4))
    tenfold = replace(
        once,
        tokens=torch.cat([once.features.repeat(10, 1), once.group_features]),
        group_of_patch=once.group_of_patch.repeat(10),
    )
    terms = {
        patches: [
            sam_mil(dropout=0.0, consistency_patches=patches).loss(bag, LABEL).terms["consistency"].item()
            for bag in (once, tenfold)
        ]
        for patches in (0, 40)
    }
    assert terms[0][1] == pytest.approx(terms[0][0] / 100, rel=1e-4)
    assert terms[40] == pytest.approx([terms[0][0]] * 2, rel=1e-4)


# --- the loss --------------------------------------------------------------------------------------------------


def test_golden_loss_by_loops_over_numbers(make_bag: MakeBag, monkeypatch: pytest.MonkeyPatch) -> None:
    """All three terms of Eq. 13 computed a second time, naively, from the weights and the drawn tokens."""
    model = sam_mil(3, hidden=4, attention=2, dropout=0.0, consistency_patches=0)
    bag = make_bag(7, 2, dim=3)
    tensors = BagTensors.of(bag)
    drawn: list[np.ndarray] = []

    def spy(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        def call(*args: object, **options: object) -> torch.Tensor:
            drawn.append(function(*args, **options).numpy())
            return torch.from_numpy(drawn[-1])

        return call

    monkeypatch.setitem(STRATEGIES, "sg2m", spy(STRATEGIES["sg2m"]))
    monkeypatch.setattr("sam_mil_engine.mil.sam_mil.pseudo_bags", spy(pseudo_bags))
    torch.manual_seed(3)
    loss = model.loss(tensors, LABEL)
    masked, parts = drawn
    assert not masked.all(), "the mask removes something, else this test shows nothing"
    assert len(parts) == 5

    w = {name: value.double().numpy() for name, value in model.state_dict().items()}
    means = [bag.features[bag.groups.patches(k)].astype(float).mean(0) for k in range(2)]
    tokens = [*bag.features.astype(float), *means]
    hidden = [np.maximum(w["project.0.weight"] @ x + w["project.0.bias"], 0) for x in tokens]
    raw = [
        w["attend.score.weight"][0] @ np.tanh(w["attend.tanh.weight"] @ h + w["attend.tanh.bias"]) for h in hidden
    ]

    def cross_entropy_of(chosen: np.ndarray) -> float:
        inside = np.flatnonzero(chosen)
        total = sum(np.exp(raw[i]) for i in inside)
        pooled = sum(np.exp(raw[i]) / total * hidden[i] for i in inside)
        logits = w["head.weight"] @ pooled + w["head.bias"]
        return float(-np.log(np.exp(logits[1]) / np.exp(logits).sum()))

    patches = np.exp(raw[:7]) / np.exp(raw[:7]).sum()
    disagreement = 0.0
    for k in range(2):
        inside = [patches[i] for i in range(7) if bag.groups.group_of_patch[i] == k]
        disagreement += sum((a - np.mean(inside)) ** 2 for a in inside) / len(inside)
    expected = {
        "bag": cross_entropy_of(masked),
        "pseudo_bags": 0.5 * float(np.mean([cross_entropy_of(part) for part in parts])),
        "consistency": 1000 * disagreement,
    }
    for name, value in expected.items():
        assert loss.terms[name].item() == pytest.approx(value, rel=1e-5), name
    assert loss.total.item() == pytest.approx(sum(expected.values()), rel=1e-5)


@pytest.mark.parametrize("term", ["bag", "pseudo_bags", "consistency"])
def test_every_term_trains_projection_and_attention(term: str, make_bag: MakeBag) -> None:
    norms = gradient_norms(term, BagTensors.of(make_bag(200, 8)))
    assert min(norms.values()) > 1e-6, norms


def gradient_norms(term: str, bag: BagTensors) -> dict[str, float]:
    """Norm of the gradient of one weighted term into projection and attention."""
    model = sam_mil(bag.width)
    torch.autograd.backward(model.loss(bag, LABEL).terms[term])
    return {
        part: torch.cat([p.grad.flatten() for p in getattr(model, part).parameters()]).norm().item()
        for part in ("project", "attend")
    }


def update(bag: BagTensors, **options: object) -> torch.Tensor:
    """The gradient of one step, all parameters in a row, with the same weights and the same draws."""
    model = sam_mil(bag.width, **{"dropout": 0.0, "consistency_patches": len(bag), **options})
    torch.manual_seed(5)
    torch.autograd.backward(model.loss(bag, LABEL).total)
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


@pytest.mark.parametrize(
    "without",
    [{"mask": "none"}, {"pseudo_bags": 0}, {"pseudo_bag_weight": 0}, {"consistency_weight": 0}, {"groups": False}],
    ids=str,
)
def test_leaving_a_part_out_changes_the_update(without: dict[str, object], make_bag: MakeBag) -> None:
    bag = BagTensors.of(make_bag(200, 8))
    full = update(bag)
    assert (update(bag, **without) - full).norm() > 1e-3 * full.norm()
    assert torch.equal(update(bag), full), "the same draws give the same update"


def test_removing_one_group_token_changes_the_update(make_bag: MakeBag) -> None:
    bag = BagTensors.of(make_bag(200, 8))
    options = {"mask": "none", "pseudo_bags": 0}  # the number of tokens then decides on no draw
    assert not torch.allclose(update(replace(bag, tokens=bag.tokens[:-1]), **options), update(bag, **options))


def test_without_its_parts_it_is_abmil(make_bag: MakeBag) -> None:
    bag = BagTensors.of(make_bag(100, 0))
    bare = {"mask": "none", "pseudo_bags": 0, "consistency_weight": 0, "dropout": 0.0}
    model = sam_mil(**bare)
    abmil = build_aggregator(ModelSettings(name="abmil", dropout=0.0), dim=12, n_classes=2).train()
    abmil.load_state_dict(model.state_dict())
    ours, theirs = model.loss(bag, LABEL), abmil.loss(bag, LABEL)
    assert list(ours.terms) == ["bag"]
    torch.testing.assert_close(ours.total, theirs.total, atol=1e-6, rtol=0)
    torch.autograd.backward(ours.total)
    torch.autograd.backward(theirs.total)
    for mine, its in zip(model.parameters(), abmil.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, its.grad, atol=1e-6, rtol=1e-5)
    assert torch.equal(model.eval()(bag).logits, abmil.eval()(bag).logits)


@pytest.mark.parametrize(("n", "n_groups"), [(1, 0), (3, 0), (1, 1), (3, 1), (50_000, 60)])
def test_fewer_tokens_than_pseudo_bags_and_very_many(n: int, n_groups: int, make_bag: MakeBag) -> None:
    loss = sam_mil(hidden=32).loss(BagTensors.of(make_bag(n, n_groups)), LABEL)
    assert all(torch.isfinite(value) for value in loss.terms.values())
    assert set(loss.terms) == {"bag", "pseudo_bags", "consistency"}


def test_one_group_of_the_whole_slide_keeps_a_patch_in_the_bag(make_bag: MakeBag) -> None:
    bag = bare_bag(np.zeros(1000, dtype=np.int64), np.array([1e7]))
    keep = keep_by_group(bag, 1001, ModelSettings(mask_ratio=1.0))
    assert keep[:1000].sum() == 1
