"""TransMIL: golden numbers from the equations in numpy, the Nyström attention, and the square of tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.signal import correlate
from torch.utils._python_dispatch import TorchDispatchMode

from sam_mil_engine.bag.feature_bag import FeatureBag
from sam_mil_engine.errors import SettingsError
from sam_mil_engine.mil.aggregator import Aggregator, BagTensors
from sam_mil_engine.mil.building import build_aggregator
from sam_mil_engine.mil.nystrom import NystromAttention, pseudo_inverse
from sam_mil_engine.settings import ModelSettings, TransmilSettings

pytestmark = pytest.mark.usefixtures("one_thread")
MakeBag = Callable[..., FeatureBag]
Arrays = dict[str, np.ndarray]


def transmil(n_classes: int = 2, *, dim: int = 3, hidden: int = 8, **options: object) -> Aggregator:
    torch.manual_seed(7)
    small = TransmilSettings(**{"heads": 2, "landmarks": 4, "kernel": 5, **options})
    settings = ModelSettings(name="transmil", hidden=hidden, transmil=small)
    model = build_aggregator(settings, dim=dim, n_classes=n_classes).eval()
    for parameter in model.parameters():
        if parameter.ndim == 1:
            parameter.data += 0.3 * torch.randn_like(parameter)
    return model


def softmax(x: np.ndarray) -> np.ndarray:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def nystrom(x: np.ndarray, w: Arrays, prefix: str, *, heads: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    """The factors written out as matrices, in the order of the paper; also the weights of the first token."""
    n, width = x.shape
    front = -n % m
    x = np.concatenate([np.zeros((front, width)), x])
    d = width // heads
    q, k, v = np.split(x @ w[f"{prefix}.to_qkv.weight"].T, 3, axis=1)
    factors = []
    for h in range(heads):
        part = slice(h * d, (h + 1) * d)
        qh, kh = q[:, part] / np.sqrt(d), k[:, part]
        marks = [t.reshape(m, len(x) // m, d).mean(axis=1) for t in (qh, kh)]
        factors.append((softmax(qh @ marks[1].T), softmax(marks[0] @ marks[1].T), softmax(marks[0] @ kh.T)))
    scale = max(a.sum(axis=0).max() for _, a, _ in factors)  # rows of a softmax add up to one
    out, first = np.zeros_like(x), np.zeros(len(x))
    for h, (left, middle, right) in enumerate(factors):
        part = slice(h * d, (h + 1) * d)
        z, one = middle.T / scale, np.eye(m)
        for _ in range(6):
            az = middle @ z
            z = z @ (13 * one - az @ (15 * one - az @ (7 * one - az))) / 4
        weights = left @ z @ right
        kernel = w[f"{prefix}.residual.weight"][h, 0]
        out[:, part] = weights @ v[:, part] + correlate(v[:, part], kernel, mode="same")
        first += weights[front] / heads
    out = out @ w[f"{prefix}.to_out.0.weight"].T + w[f"{prefix}.to_out.0.bias"]
    return out[front:], first[front:]


def norm(x: np.ndarray, w: Arrays, prefix: str) -> np.ndarray:
    x = (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)
    return x * w[f"{prefix}.weight"] + w[f"{prefix}.bias"]


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 11])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_golden(n: int, n_classes: int, make_bag: MakeBag) -> None:
    bag = make_bag(n, 0, dim=3)
    model = transmil(n_classes)
    w = {name: value.double().numpy() for name, value in model.state_dict().items()}
    h = np.maximum(bag.features @ w["project.0.weight"].T + w["project.0.bias"], 0)
    side = int(np.ceil(np.sqrt(n)))
    square = np.concatenate([h, h[: side * side - n]])
    x = np.concatenate([w["class_token"], square])
    x = x + nystrom(norm(x, w, "norms.0"), w, "layers.0", heads=2, m=4)[0]
    image = x[1:].reshape(side, side, 8)
    total = image.copy()
    for k in range(3):
        kernels, bias = w[f"position.convolutions.{k}.weight"], w[f"position.convolutions.{k}.bias"]
        for c in range(8):
            reach = kernels.shape[-1] // 2
            wide = np.pad(image[:, :, c], reach)
            total[:, :, c] += correlate(wide, kernels[c, 0], mode="valid") + bias[c]
    x = np.concatenate([x[:1], total.reshape(-1, 8)])
    mixed, first = nystrom(norm(x, w, "norms.1"), w, "layers.1", heads=2, m=4)
    states = norm(x + mixed, w, "norms.2")
    logits = w["head.weight"] @ states[0] + w["head.bias"]

    output = model(BagTensors.of(bag))
    np.testing.assert_allclose(output.logits.detach().numpy(), logits, atol=1e-5)
    weights = first[1 : n + 1].copy()
    weights[: len(square) - n] += first[n + 1 :]
    weights = np.maximum(weights, 0)
    np.testing.assert_allclose(output.attention.numpy(), weights / weights.sum(), atol=1e-5)
    assert output.evidence is None
    assert output.scores is None


@pytest.mark.parametrize(
    "options", [{}, {"landmarks": 3, "kernel": 1}, {"landmarks": 64, "iterations": 0}], ids=str
)
def test_patch_logits_take_each_patch_for_a_bag(
    options: dict[str, int], make_bag: MakeBag, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sam_mil_engine.mil.transmil._BLOCK", 5)  # several blocks
    bag = BagTensors.of(make_bag(12, 2, dim=3))
    model = transmil(3, **options)
    found = model.patch_logits(model(bag), 12)
    expected = []
    for i in range(12):
        alone = replace(BagTensors.of(make_bag(1, 0, dim=3)), tokens=bag.tokens[i : i + 1])
        expected.append(model(alone).logits)
    torch.testing.assert_close(found, torch.stack(expected), atol=1e-5, rtol=1e-5)
    assert found.std(dim=0).min() > 0.01, "patches differ"


def test_as_many_landmarks_as_tokens_give_the_softmax_itself() -> None:
    """Then the outer factors are the middle one, A pinv(A) A = A, and nothing is approximate."""
    torch.manual_seed(0)
    layer = NystromAttention(8, heads=2, landmarks=4, iterations=20, kernel=3, dropout=0.0).eval().double()
    torch.nn.init.zeros_(layer.residual.weight)
    layer.to_qkv.weight.data[:16] = torch.eye(8).repeat(2, 1)  # each token looks at itself most: A can be inverted
    x = torch.eye(4, dtype=torch.float64).repeat(1, 2) * 2 + 0.3 * torch.randn(4, 8, dtype=torch.float64)
    with torch.no_grad():
        found, weights = layer(x, row=3)
        q, k, v = (part.reshape(4, 2, 4).transpose(0, 1) for part in layer.to_qkv(x).chunk(3, dim=1))
        exact = torch.softmax(q @ k.mT / 2, dim=-1)
        expected = layer.to_out((exact @ v).transpose(0, 1).reshape(4, 8))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(weights.double(), exact[:, 3], atol=1e-5, rtol=1e-5)
    assert exact[:, 3].max() < 0.95, "every token counts"


def test_pseudo_inverse_is_numpys() -> None:
    torch.manual_seed(0)
    matrices = torch.softmax(4 * torch.eye(6) + torch.randn(3, 6, 6), dim=-1)
    found = pseudo_inverse(matrices, 20)
    np.testing.assert_allclose(found.numpy(), np.linalg.pinv(matrices.double().numpy()), atol=1e-4)


def test_pseudo_inverse_keeps_its_precision_under_autocast() -> None:
    torch.manual_seed(0)
    matrices = torch.softmax(torch.randn(2, 16, 16), dim=-1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = pseudo_inverse(matrices, 6)
    assert torch.equal(found, pseudo_inverse(matrices, 6))


def test_the_square_is_filled_with_the_first_tokens(make_bag: MakeBag) -> None:
    bag = BagTensors.of(make_bag(5, 0, dim=3))
    model = transmil()
    written_out = BagTensors.of(make_bag(9, 0, dim=3))
    written_out = replace(written_out, tokens=torch.cat([bag.tokens, bag.tokens[:4]]))
    short, long = model(bag), model(written_out)
    torch.testing.assert_close(
        short.logits, long.logits, atol=1e-6, rtol=1e-6
    )  # matrices of two sizes: the last bit
    folded = long.attention[:5].clone()
    folded[:4] += long.attention[5:]
    # negative weights are cut after folding, so only roughly the same where some are
    torch.testing.assert_close(short.attention, folded, atol=0.05, rtol=0)


def test_groups_follow_the_patches_in_the_sequence(make_bag: MakeBag) -> None:
    bag = BagTensors.of(make_bag(10, 3, dim=3))
    model = transmil()
    with_groups = build_aggregator(model.settings.model_copy(update={"groups": True}), dim=3, n_classes=2).eval()
    with_groups.load_state_dict(model.state_dict())
    as_patches = replace(BagTensors.of(make_bag(13, 0, dim=3)), tokens=bag.tokens)
    assert torch.equal(with_groups(bag).logits, model(as_patches).logits)


def test_the_order_matters(make_bag: MakeBag) -> None:
    bag = BagTensors.of(make_bag(30, 0, dim=3))
    model = transmil()
    turned = replace(bag, tokens=bag.tokens.flip(0))
    assert (model(turned).logits - model(bag).logits).abs().max() > 1e-4


def test_no_matrix_of_all_heads_tokens_and_landmarks(make_bag: MakeBag) -> None:
    """With 256 landmarks and 8 heads that would be 2,048 numbers a token; training needs far fewer."""

    class Largest(TorchDispatchMode):
        numbers = 0

        def __torch_dispatch__(self, func: Callable[..., object], types: object, args: tuple = (), kwargs=None):
            result = func(*args, **(kwargs or {}))
            for value in result if isinstance(result, tuple | list) else (result,):
                if isinstance(value, torch.Tensor):
                    self.numbers = max(self.numbers, value.numel())
            return result

    n = 16_384
    bag = BagTensors.of(make_bag(n, 0, dim=3))
    model = transmil(hidden=16, heads=8, landmarks=256)
    with Largest() as training:
        torch.autograd.backward(model.train().loss(bag, torch.tensor(1)).total)
    assert training.numbers <= 64 * n
    with Largest() as prediction, torch.no_grad():
        model.eval()(bag)
    assert prediction.numbers <= 300 * n, "the class token's weights, one head after the other"


def test_attention_is_for_prediction_only(make_bag: MakeBag) -> None:
    bag = BagTensors.of(make_bag(30, 0, dim=3))
    assert transmil().train()(bag).attention is None
    assert (transmil()(bag).attention >= 0).all()


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(SettingsError, match="cannot be divided among 8 heads"):
        transmil(hidden=20, heads=8)
    with pytest.raises(SettingsError, match="kernel must be odd"):
        TransmilSettings.of(kernel=4)
    with pytest.raises(SettingsError, match="landmarks"):
        TransmilSettings.of(landmarks=2)
