"""SRMIL: the graph of a window, attention over edges, golden numbers with dense matrices, the recipe."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sam_mil_engine.bag.feature_bag import FeatureBag
from sam_mil_engine.errors import SettingsError
from sam_mil_engine.mil.aggregator import BagTensors
from sam_mil_engine.mil.building import build_aggregator
from sam_mil_engine.mil.patch_graph import Graph, edge_softmax, sum_over_edges, window_graph
from sam_mil_engine.mil.srmil import SrMil
from sam_mil_engine.settings import ModelSettings, SrmilSettings

pytestmark = pytest.mark.usefixtures("one_thread")
MakeBag = Callable[..., FeatureBag]
Arrays = dict[str, np.ndarray]
DIM, HEADS, F = 5, 2, 3


def srmil(n_classes: int = 2, **options: object) -> SrMil:
    torch.manual_seed(4)
    small = {"width": 7, "heads": HEADS, "head_width": F, "classifier": 4, "feature_dropout": 0.0}
    small |= {"attention_dropout": 0.0, "classifier_dropout": 0.0}
    chosen = ModelSettings(name="srmil", srmil=SrmilSettings(**{**small, **options}))
    model = build_aggregator(chosen, dim=DIM, n_classes=n_classes).eval()
    assert isinstance(model, SrMil)
    for parameter in model.parameters():
        if parameter.ndim == 1 or len(parameter) == 1:
            parameter.data += 0.3 * torch.randn_like(parameter)
    return model


def spread_bag(make_bag: MakeBag, n: int, *, seed: int = 0) -> BagTensors:
    """Patches scattered over a grid twice as wide as needed, so that some have few neighbours."""
    bag = BagTensors.of(make_bag(n, 0, dim=DIM, seed=seed))
    side = 2 * int(np.ceil(np.sqrt(n)))
    cells = np.random.default_rng(seed).permutation(side * side)[:n]
    return replace(bag, coords_px0=torch.from_numpy(np.stack([cells % side, cells // side], axis=1) * 512 + 1024))


# --- the graph ---------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(
    n=st.integers(1, 60),
    side=st.integers(1, 12),
    window=st.sampled_from([1, 3, 5, 7]),
    step=st.sampled_from([(512.0, 512.0), (224.0, 300.5)]),
    seed=st.integers(0, 2**31 - 1),
)
def test_the_graph_is_the_window(n: int, side: int, window: int, step: tuple[float, float], seed: int) -> None:
    """Patches may share a cell, lie a little beside the grid, and come in any order."""
    rng = np.random.default_rng(seed)
    cells = rng.integers(-3, side, size=(n, 2))
    cells[rng.integers(n)] = -3  # the corner from which cells are counted lies on the grid
    coords = np.round(cells * step + np.where((cells == -3).all(1), 0, 1)[:, None] * rng.integers(-40, 40, (n, 2)))
    coords = np.maximum(coords, np.round(np.array([-3, -3]) * step)).astype(np.int64)
    graph = window_graph(torch.from_numpy(coords), step, window=window)
    near = (np.abs(cells[:, None] - cells[None]) <= window // 2).all(axis=2)
    edges = list(zip(graph.target.tolist(), graph.source.tolist(), strict=True))
    assert len(edges) == len(set(edges))
    assert set(edges) == set(zip(*(part.tolist() for part in np.nonzero(near)), strict=True))
    assert graph.target.tolist() == sorted(graph.target.tolist())
    assert graph.first.tolist() == [near[:i].sum() for i in range(n)]


def test_the_hub_sees_all_and_is_seen_by_all_but_itself() -> None:
    graph = window_graph(torch.tensor([[0, 0], [512, 0], [9999, 0]]), (512.0, 512.0), window=5).with_hub()
    into = {v: set(graph.source[graph.target == v].tolist()) for v in range(4)}
    assert into == {0: {0, 1, 3}, 1: {0, 1, 3}, 2: {2, 3}, 3: {0, 1, 2}}
    assert graph.source[-3:].tolist() == [0, 1, 2], "the attention is read from the last edges"


def test_edges_against_dense_matrices() -> None:
    torch.manual_seed(0)
    adjacent = torch.rand(9, 9) < 0.4
    adjacent |= torch.eye(9, dtype=torch.bool)
    target, source = adjacent.nonzero(as_tuple=True)
    graph = Graph.of(source.flip(0), target.flip(0), n_nodes=9)
    scores = torch.randn(len(source), HEADS, dtype=torch.float64, requires_grad=True)
    features = torch.randn(9, HEADS, F, dtype=torch.float64, requires_grad=True)
    weights = edge_softmax(50 * scores, graph)
    dense = torch.full((HEADS, 9, 9), -torch.inf, dtype=torch.float64)
    dense[:, graph.target, graph.source] = 50 * scores.T
    expected = torch.einsum("hts,shf->thf", torch.softmax(dense, dim=-1), features)
    found = sum_over_edges(weights, features, graph)
    torch.testing.assert_close(found, expected)
    wanted = torch.autograd.grad((expected**2).sum(), (scores, features))
    for ours, theirs in zip(torch.autograd.grad((found**2).sum(), (scores, features)), wanted, strict=True):
        torch.testing.assert_close(ours, theirs)


# --- golden numbers ----------------------------------------------------------------------------------------------


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def graph_layer(x: np.ndarray, into: np.ndarray, w: Arrays, name: str, heads: int) -> tuple[np.ndarray, np.ndarray]:
    """One layer with a dense matrix of edges, ``into[i, j]``: j leads to i; also the attention (heads, V, V)."""
    projected = (x @ w[f"{name}.project.weight"].T).reshape(len(x), heads, -1)
    out, attention = [], []
    for k in range(heads):
        h = projected[:, k]
        e = (h @ w[f"{name}.source"][k])[None, :] + (h @ w[f"{name}.target"][k])[:, None]
        e = np.where(into, np.where(e > 0, e, 0.2 * e), -np.inf)
        attention.append(softmax(e))
        out.append(attention[-1] @ h)
    total = np.concatenate(out, axis=1) + w[f"{name}.bias"]
    if f"{name}.after.0.weight" in w:
        total = total + (x @ w[f"{name}.residual.weight"].T if f"{name}.residual.weight" in w else x)
        total = (total - total.mean(1, keepdims=True)) / np.sqrt(total.var(1, keepdims=True) + 1e-5)
        total = total * w[f"{name}.after.0.weight"] + w[f"{name}.after.0.bias"]
        total = np.where(total > 0, total, w[f"{name}.after.1.weight"] * total)
    return total, np.array(attention)


def encoded(x: np.ndarray, into: np.ndarray, w: Arrays) -> tuple[np.ndarray, np.ndarray]:
    hidden = x @ w["project.weight"].T + w["project.bias"]
    hidden, _ = graph_layer(hidden, into, w, "encoder.0", HEADS)
    return graph_layer(hidden, into, w, "encoder.1", HEADS)


def classified(states: np.ndarray, w: Arrays) -> np.ndarray:
    inner = np.maximum(states @ w["head.0.weight"].T + w["head.0.bias"], 0)
    return inner @ w["head.3.weight"].T + w["head.3.bias"]


def windows(bag: BagTensors) -> tuple[np.ndarray, np.ndarray]:
    """Dense edges without and with the supernode."""
    cells = bag.coords_px0.numpy() // 512
    into = (np.abs(cells[:, None] - cells[None]) <= 2).all(axis=2)
    hub = np.pad(into, (0, 1), constant_values=True)
    hub[-1, -1] = False
    return into, hub


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("n", [1, 3, 40])
def test_golden(n: int, n_classes: int, make_bag: MakeBag) -> None:
    bag, model = spread_bag(make_bag, n), srmil(n_classes)
    w = {name: value.double().numpy() for name, value in model.state_dict().items()}
    _, hub = windows(bag)
    states, attention = encoded(np.concatenate([bag.features.double().numpy(), w["supernode"]]), hub, w)
    states = states.reshape(n + 1, HEADS, F).mean(axis=1)
    output = model(bag)
    np.testing.assert_allclose(output.logits.detach().numpy(), classified(states[-1], w), atol=1e-5)
    np.testing.assert_allclose(output.attention.detach().numpy(), attention[:, -1, :-1].mean(axis=0), atol=1e-6)
    found = model.patch_logits(output, n).detach().numpy()
    np.testing.assert_allclose(found, classified(states[:-1], w), atol=1e-5)
    assert output.evidence is None
    assert output.scores is None


@pytest.mark.parametrize("n", [1, 3, 40])
def test_golden_losses(n: int, make_bag: MakeBag) -> None:
    bag, model = spread_bag(make_bag, n), srmil(3).train()
    w = {name: value.double().numpy() for name, value in model.state_dict().items()}
    into, hub = windows(bag)
    x = bag.features.double().numpy()
    torch.manual_seed(9)
    masked = torch.randperm(n)[: max(1, int(0.7 * n))].numpy()
    torch.manual_seed(9)
    loss = model.loss(bag, torch.tensor(2))
    corrupt = x.copy()
    corrupt[masked] = w["mask_token"]
    for term, features in {"bag": x, "masked_bag": corrupt}.items():
        states, _ = encoded(np.concatenate([features, w["supernode"]]), hub, w)
        logits = classified(states[-1].reshape(HEADS, F).mean(axis=0), w)
        assert loss.terms[term].item() == pytest.approx(-0.2 * np.log(softmax(logits)[2]), abs=1e-5)
    hidden = encoded(corrupt, into, w)[0] @ w["bridge.weight"].T
    hidden[masked] = w["remask_token"]
    hidden, _ = graph_layer(hidden, into, w, "decoder.0", HEADS)
    rebuilt, _ = graph_layer(hidden, into, w, "decoder.1", 1)
    a, b = rebuilt[masked], x[masked]
    cosine = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert loss.terms["reconstruction"].item() == pytest.approx(1.8 * (1 - cosine).mean(), abs=1e-5)


def test_the_reconstruction_cannot_look_at_what_it_reconstructs(make_bag: MakeBag) -> None:
    bag, model = spread_bag(make_bag, 40), srmil()
    features = bag.features.clone().requires_grad_()
    masked = torch.arange(25)
    corrupt = features.index_copy(0, masked, model.mask_token.expand(25, -1))
    rebuilt = model._reconstruct(corrupt, masked, model._window(bag))
    (gradient,) = torch.autograd.grad(rebuilt[masked].sum(), features)
    assert (gradient[masked] == 0).all()
    assert gradient[25:].norm() > 0


def test_positions_matter_but_not_where_the_slide_begins(make_bag: MakeBag) -> None:
    bag, model = spread_bag(make_bag, 40), srmil()
    moved = replace(bag, coords_px0=bag.coords_px0 + torch.tensor([70_001, 333]))
    assert torch.equal(model(moved).logits, model(bag).logits)
    mixed = replace(bag, coords_px0=bag.coords_px0.flip(0))
    assert (model(mixed).logits - model(bag).logits).abs().max() > 1e-4


def test_dropout_of_features_edges_and_classifier(make_bag: MakeBag) -> None:
    bag = spread_bag(make_bag, 40)
    for option in ("feature_dropout", "attention_dropout", "classifier_dropout"):
        model = srmil(**{option: 0.5}).train()
        assert not torch.equal(model(bag).logits, model(bag).logits), option
        assert torch.equal(model.eval()(bag).logits, model(bag).logits)


def test_settings() -> None:
    with pytest.raises(SettingsError, match="window must be odd"):
        ModelSettings.parse({"name": "srmil", "srmil": {"window": 4}})
