"""The linear probe: a ridge classifier with balanced classes, whose strength is chosen within the training part."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float32]
Vector = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]
Places = npt.NDArray[np.intp]
#: Penalties that are tried; the numbers are standardised, and the weights of the rows add up to 1.
PENALTIES = np.geomspace(0.003, 30, 9)


@dataclass(frozen=True)
class Ridge:
    """Least squares on -1 and 1, each class with half of the weight, solved for every penalty at once.

    Where rows are fewer than numbers, the coordinates along the rows give the same answer.
    """

    mean: Vector
    spread: Vector
    axes: Vector
    values: Vector
    slope: Vector
    level: float

    @classmethod
    def of(cls, rows: Matrix, truth: Truth) -> Ridge:
        weights = np.where(truth, 0.5 / truth.sum(), 0.5 / (~truth).sum())
        mean, spread = weights @ rows, rows.std(axis=0).astype(np.float64) + 1e-6
        scaled = (rows - mean) / spread * np.sqrt(weights)[:, None]
        target = np.where(truth, 1.0, -1.0)
        level = float(weights @ target)
        if len(rows) < rows.shape[1]:
            values, left = np.linalg.eigh(scaled @ scaled.T)
            kept = values > 1e-9
            values, axes = values[kept], scaled.T @ left[:, kept] / np.sqrt(values[kept])
        else:
            values, axes = np.linalg.eigh(scaled.T @ scaled)
        slope = axes.T @ (scaled.T @ (np.sqrt(weights) * (target - level)))
        return cls(mean, spread, axes, values, slope, level)

    def scores(self, rows: Matrix) -> Vector:
        """(penalties, n) predictions."""
        own = (rows - self.mean) / self.spread @ self.axes
        found: Vector = (self.slope / (self.values + PENALTIES[:, None])) @ own.T + self.level
        return found


def probe(train: Matrix, truth: Truth, test: Matrix, folds: Iterable[tuple[Places, Places]]) -> Vector:
    """Scores (m,) of the test rows; the penalty is that with the least balanced squared error on inner folds."""
    losses = np.zeros(len(PENALTIES))
    for fit, held in folds:
        error = (Ridge.of(train[fit], truth[fit]).scores(train[held]) - np.where(truth[held], 1.0, -1.0)) ** 2
        losses += sum(error[:, truth[held] == kind].sum(axis=1) / (truth == kind).sum() for kind in (True, False))
    scores: Vector = Ridge.of(train, truth).scores(test)[losses.argmin()]
    return scores
