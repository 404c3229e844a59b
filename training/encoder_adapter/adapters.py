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
#: Principal components that adapters are learnt in, at most.
_MOST = 768
_SEED = 0


@dataclass(frozen=True)
class Basis:
    """Standardised numbers in the directions of their principal components, (D, k)."""

    part: slice
    mean: Matrix
    spread: Matrix
    axes: Matrix

    def __call__(self, features: Matrix) -> Matrix:
        found: Matrix = ((features[..., self.part] - self.mean) / self.spread) @ self.axes
        return found

    @classmethod
    def of(cls, views: Matrix, part: slice) -> Basis:
        """Of the tiles themselves; the last axis is the first component."""
        own = views[:, 0, part]
        mean, spread = own.mean(axis=0), own.std(axis=0) + 1e-3
        return cls(part, mean, spread, np.linalg.eigh(_covariance((own - mean) / spread))[1][:, -_MOST:])


@dataclass(frozen=True)
class Learner:
    """Learns adapters from the views of tiles, (n, 1 + views, D), in the basis of one part of their numbers."""

    basis: Basis
    data: Matrix

    @classmethod
    def of(cls, views: Matrix, part: slice) -> Learner:
        basis = Basis.of(views, part)
        return cls(basis, basis(views))

    def whitened(self, k: int) -> Adapter:
        """Return the first k principal components, each with unit variance."""
        spread = self.data[:, 0].std(axis=0)[-k:] + _RIDGE
        return lambda features: self.basis(features)[..., -k:] / spread

    def invariant(self, k: int) -> Adapter:
        """Return the k directions in which tiles differ most, compared with how much views of a tile differ."""
        own = self.data[:, 1:]
        middle = own.mean(axis=1)
        within = _covariance((own - middle[:, None]).reshape(-1, own.shape[-1]))
        within += _RIDGE * np.eye(len(within), dtype=np.float32)
        _, vectors = eigh(_covariance(middle), within, subset_by_index=(len(within) - k, len(within) - 1))
        return lambda features: self.basis(features) @ vectors

    def vicreg(self, k: int, *, hidden: int | None = None, epochs: int = 12) -> Adapter:
        """Return a map trained by VICReg (Bardes et al. 2022): views agree, numbers vary, no two say the same.

        The weights are the paper's, 25, 25 and 1. The map is linear, or has one hidden layer; the expander behind
        it is thrown away.
        """
        torch.manual_seed(_SEED)
        data = torch.from_numpy(self.data[:, 1:])
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
            found: Matrix = net(torch.from_numpy(self.basis(features))).numpy()
            return found

        return adapt


def alone(part: slice) -> Adapter:
    """Return the numbers themselves."""
    return lambda features: features[..., part]


def beside(first: Adapter, second: Adapter) -> Adapter:
    """Return the numbers of two adapters side by side."""
    return lambda features: np.concatenate([first(features), second(features)], axis=-1)


#: Name -> adapter of a learner: of the present features, then of all depths.
OF_PRESENT: dict[str, Callable[[Learner], Adapter]] = {
    "present, whitened, 256": lambda learner: learner.whitened(256),
    "present, invariant, 256": lambda learner: learner.invariant(256),
    "present, VICReg, linear, 256": lambda learner: learner.vicreg(256),
    "present, VICReg, network, 256": lambda learner: learner.vicreg(256, hidden=512),
}
OF_ALL: dict[str, Callable[[Learner], Adapter]] = {
    "all depths, whitened, 256": lambda learner: learner.whitened(256),
    "all depths, invariant, 256": lambda learner: learner.invariant(256),
    "all depths, VICReg, linear, 256": lambda learner: learner.vicreg(256),
    "all depths, VICReg, network, 256": lambda learner: learner.vicreg(256, hidden=512),
    "present beside all depths, invariant, 256": lambda learner: beside(alone(PRESENT), learner.invariant(256)),
}
PLAIN = {"present features": alone(PRESENT), "all depths": alone(ALL)}
#: The first is the encoder as it is.
NAMES = (*PLAIN, *OF_PRESENT, *OF_ALL)


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
