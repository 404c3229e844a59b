"""Adapters of the embedded encoder: linear maps and a small network, fitted to tiles and views without labels.

Each takes features (n, D) at all depths (`embed.py`) and gives new ones (n, k).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from embed import DEVIATIONS, PRESENT
from scipy.linalg import eigh
from torch import Tensor, nn

Matrix = npt.NDArray[np.float32]
Adapter = Callable[[Matrix], Matrix]
#: Which of the numbers an adapter sees: the present features, or those of all depths.
ALL = slice(0, DEVIATIONS.stop)
#: Added to the diagonal of covariances of standardised features.
_RIDGE = 0.05
_SEED = 0


@dataclass(frozen=True)
class Scale:
    """Standardises the numbers that an adapter sees."""

    part: slice
    mean: Matrix
    spread: Matrix

    def __call__(self, features: Matrix) -> Matrix:
        scaled: Matrix = ((features[..., self.part] - self.mean) / self.spread).astype(np.float32)
        return scaled

    @classmethod
    def of(cls, views: Matrix, part: slice) -> Scale:
        flat = views[..., part].reshape(-1, views[..., part].shape[-1])
        return cls(part, flat.mean(axis=0), flat.std(axis=0) + 1e-3)


def as_they_are(part: slice) -> Callable[[Matrix], Adapter]:
    """Return the numbers themselves, standardised."""
    return lambda views: Scale.of(views, part)


def whitened(part: slice, k: int) -> Callable[[Matrix], Adapter]:
    """Return the first k principal components, each with unit variance."""

    def fit(views: Matrix) -> Adapter:
        scale = Scale.of(views, part)
        total = _covariance(scale(views[:, 0]))
        values, vectors = np.linalg.eigh(total)
        matrix = (vectors[:, -k:] / np.sqrt(values[-k:] + _RIDGE)).astype(np.float32)
        return lambda features: scale(features) @ matrix

    return fit


def invariant(part: slice, k: int) -> Callable[[Matrix], Adapter]:
    """Return the k directions in which tiles differ most, compared with how much the views of one tile differ."""

    def fit(views: Matrix) -> Adapter:
        scale = Scale.of(views, part)
        own = scale(views[:, 1:])
        middle = own.mean(axis=1)
        within = _covariance((own - middle[:, None]).reshape(-1, own.shape[-1]))
        within += _RIDGE * np.eye(len(within), dtype=np.float32)
        _, vectors = eigh(_covariance(middle), within, subset_by_index=(len(within) - k, len(within) - 1))
        matrix = vectors.astype(np.float32)
        return lambda features: scale(features) @ matrix

    return fit


def vicreg(part: slice, k: int, *, hidden: int | None = None, epochs: int = 12) -> Callable[[Matrix], Adapter]:
    """Return a map trained by VICReg (Bardes et al. 2022): views agree, each number varies, no two say the same.

    The weights are the paper's, 25, 25 and 1. The map is linear, or has one hidden layer; the expander behind it is
    thrown away.
    """

    def fit(views: Matrix) -> Adapter:
        torch.manual_seed(_SEED)
        scale = Scale.of(views, part)
        data = torch.from_numpy(scale(views[:, 1:]))
        width = data.shape[-1]
        net = nn.Linear(width, k) if hidden is None else _network(width, hidden, k)
        expander = _network(k, 512, 512)
        optimizer = torch.optim.AdamW([*net.parameters(), *expander.parameters()], lr=1e-3, weight_decay=1e-4)
        steps = epochs * (len(data) // 256)
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = 1e-3 * (1 + np.cos(np.pi * step / steps)) / 2
            chosen = torch.randint(len(data), (256,))
            first, second = torch.rand(256, data.shape[1]).argsort(dim=1)[:, :2].T
            loss = _vicreg_loss(expander(net(data[chosen, first])), expander(net(data[chosen, second])))
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
        net.eval()

        @torch.inference_mode()
        def adapt(features: Matrix) -> Matrix:
            found: Matrix = net(torch.from_numpy(scale(features))).numpy()
            return found

        return adapt

    return fit


def beside(first: Callable[[Matrix], Adapter], second: Callable[[Matrix], Adapter]) -> Callable[[Matrix], Adapter]:
    """Return the numbers of two adapters side by side."""

    def fit(views: Matrix) -> Adapter:
        one, other = first(views), second(views)
        return lambda features: np.concatenate([one(features), other(features)], axis=-1)

    return fit


#: Name -> adapter; the first is the encoder as it is.
ADAPTERS: dict[str, Callable[[Matrix], Adapter]] = {
    "present features": as_they_are(PRESENT),
    "all depths": as_they_are(ALL),
    "present, whitened, 256": whitened(PRESENT, 256),
    "all depths, whitened, 256": whitened(ALL, 256),
    "present, invariant, 256": invariant(PRESENT, 256),
    "all depths, invariant, 256": invariant(ALL, 256),
    "present, VICReg, linear, 256": vicreg(PRESENT, 256),
    "all depths, VICReg, linear, 256": vicreg(ALL, 256),
    "all depths, VICReg, network, 256": vicreg(ALL, 256, hidden=512),
    "present beside all depths, invariant, 256": beside(as_they_are(PRESENT), invariant(ALL, 256)),
}


def _covariance(rows: Matrix) -> Matrix:
    centred = rows - rows.mean(axis=0)
    found: Matrix = centred.T @ centred / len(rows)
    return found


def _network(width: int, hidden: int, k: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, k))


def _vicreg_loss(first: Tensor, second: Tensor) -> Tensor:
    """Invariance, variance and covariance of the embeddings (B, d) of two views."""
    total = 25 * nn.functional.mse_loss(first, second)
    for one in (first, second):
        centred = one - one.mean(dim=0)
        total = total + 25 * torch.relu(1 - (centred.var(dim=0) + 1e-4).sqrt()).mean() / 2
        covariance = centred.T @ centred / (len(one) - 1)
        total = total + (covariance.square().sum() - covariance.diagonal().square().sum()) / one.shape[1]
    return total
