"""Confidence intervals of metrics: the bootstrap over slides (Efron 1979), or over patients with several slides.

Slides of a patient are alike: drawn one by one, they would pass for more evidence than they are. A resample is a
weight for every slide, the number of times that it or its patient was drawn. All metrics of all resamples
are thus computed at once, from sums over weighted slides; no metric is computed slide by slide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .metrics import weighted_metrics

FloatArray = npt.NDArray[np.float64]
IntVector = npt.NDArray[np.int64]

#: Resamples of the slides, and the seed with which they are drawn.
RESAMPLES, SEED = 2000, 0
#: Share of the resamples that an interval holds.
LEVEL = 0.95
#: Numbers in the largest array at once.
_BLOCK = 4_000_000


@dataclass(frozen=True, slots=True)
class Scored:
    """Predictions of n slides, a slide perhaps several times (once per repeat).

    Attributes
    ----------
    slides
        (n,) names.
    labels, predicted
        (n,) positions of classes.
    probabilities
        (n, C).
    patients
        (n,) names, or None where they are not known.
    """

    slides: Sequence[str]
    labels: IntVector
    predicted: IntVector
    probabilities: FloatArray
    patients: Sequence[str] | None = None

    @property
    def by_patient(self) -> bool:
        """Whether a patient has several slides, so that patients are drawn and not slides."""
        if self.patients is None:
            return False
        return len(set(self.patients)) < len(set(self.slides))

    @property
    def units(self) -> Sequence[str]:
        """(n,) names of what is drawn: the slide's, or its patient's."""
        return self.patients if self.patients is not None and self.by_patient else self.slides


def resample(units: Sequence[str], *, resamples: int = RESAMPLES, seed: int = SEED) -> FloatArray:
    """Draw units with replacement -> (resamples, n) weights; all rows of a unit have the same weight.

    Parameters
    ----------
    units
        (n,) names of what is drawn, for every row (:attr:`Scored.units`).
    """
    names, place = np.unique(np.asarray(units, dtype=str), return_inverse=True)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    return counts[:, place].astype(np.float64)


def resample_metrics(scored: Scored, weights: FloatArray) -> dict[str, FloatArray]:
    """Metrics of every resample: name -> (B,), named as :func:`~.metrics.compute_metrics` names them.

    Parameters
    ----------
    weights
        (B, n).

    Returns
    -------
    dict
        NaN where a resample lacks a class that the metric needs.
    """
    rows = max(1, _BLOCK // max(len(scored.labels), 1))
    blocks = [
        weighted_metrics(scored.labels, scored.probabilities, scored.predicted, weights[start : start + rows])
        for start in range(0, len(weights), rows)
    ]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def interval(values: FloatArray, *, level: float = LEVEL) -> tuple[float, float]:
    """Percentile interval of the finite values; NaN where there is none."""
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def two_sided(differences: FloatArray) -> float:
    """Twice the smaller share of resampled differences on one side of zero; never zero, resamples being finite."""
    finite = differences[np.isfinite(differences)]
    if len(finite) == 0:
        return float("nan")
    side = min((finite <= 0).sum(), (finite >= 0).sum())
    return float(min(1.0, 2 * (side + 1) / (len(finite) + 1)))
