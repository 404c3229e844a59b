"""How sure a figure is: the bootstrap over slides (Efron 1979), or over patients where one has several slides.

Slides of a patient are alike: drawn one by one, they would pass for more evidence than they are. A resample is a
weight for every slide, the number of times that it or its patient was drawn. All figures of all resamples
are thus computed at once, from sums over weighted slides; no figure is computed slide by slide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntVector = npt.NDArray[np.int64]

#: Resamples of the slides, and the seed with which they are drawn.
RESAMPLES, SEED = 2000, 0
#: Numbers in the largest array at once.
_BLOCK = 4_000_000


@dataclass(frozen=True, slots=True)
class Scored:
    """Predictions of n slides, a slide perhaps several times (once a repeat).

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


def resampled_figures(scored: Scored, weights: FloatArray) -> dict[str, FloatArray]:
    """Figures of every resample: name -> (B,), named as :func:`~.metrics.compute_metrics` names them.

    Parameters
    ----------
    weights
        (B, n).

    Returns
    -------
    dict
        NaN where a resample lacks a class that the figure needs.
    """
    rows = max(1, _BLOCK // max(len(scored.labels), 1))
    blocks = [_figures(scored, weights[start : start + rows]) for start in range(0, len(weights), rows)]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def _figures(scored: Scored, weights: FloatArray) -> dict[str, FloatArray]:
    labels, predicted, p = scored.labels, scored.predicted, scored.probabilities.astype(np.float64)
    n_classes = p.shape[1]
    onehot, called = np.eye(n_classes)[labels], np.eye(n_classes)[predicted]
    columns = [1] if n_classes == 2 else list(range(n_classes))
    total = weights.sum(axis=1)
    truly, said, hit = weights @ onehot, weights @ called, weights @ (onehot * called)  # (B, C) each
    recall, f1 = _ratio(hit, truly), _ratio(2 * hit, truly + said)
    confidence, right = p.max(axis=1), p.argmax(axis=1) == labels
    bins = np.eye(10)[np.minimum((confidence * 10).astype(int), 9)]
    scores = {"auc": weighted_auc, "average_precision": weighted_average_precision}
    macro = {
        name: np.mean([score(onehot[:, c] > 0, p[:, c], weights) for c in columns], axis=0)
        for name, score in scores.items()
    }
    # as the area, precision says nothing where all slides are positive
    macro["average_precision"] = np.where(np.isnan(macro["auc"]), np.nan, macro["average_precision"])
    return {
        "accuracy": weights @ (labels == predicted) / total,
        "balanced_accuracy": _mean_of_known(recall),
        "f1": np.nan_to_num(f1[:, 1]) if n_classes == 2 else _mean_of_known(f1),
        **macro,
        "brier": weights @ ((p - onehot)[:, columns] ** 2).sum(axis=1) / total,
        "ece": np.abs(weights @ (bins * (confidence - right)[:, None])).sum(axis=1) / total,
    }


def weighted_auc(positive: npt.NDArray[np.bool_], scores: FloatArray, weights: FloatArray) -> FloatArray:
    """Area under the ROC curve for every row of ``weights`` (B, n) -> (B,); ties count half."""
    above, at = _tied_sums(positive, scores, weights)
    (positives, negatives), (p_above, _) = at, above
    wins = (negatives * (p_above - positives / 2)).sum(axis=1)
    return _ratio(wins, positives.sum(axis=1) * negatives.sum(axis=1))


def weighted_average_precision(
    positive: npt.NDArray[np.bool_], scores: FloatArray, weights: FloatArray
) -> FloatArray:
    """Mean precision over the positives for every row of ``weights`` (B, n) -> (B,)."""
    (p_above, n_above), (positives, _) = _tied_sums(positive, scores, weights)
    total = positives.sum(axis=1)
    precision = np.divide(p_above, p_above + n_above, out=np.zeros_like(p_above), where=p_above + n_above > 0)
    return _ratio((positives * precision).sum(axis=1), total)


_Pair = tuple[FloatArray, FloatArray]


def _tied_sums(positive: npt.NDArray[np.bool_], scores: FloatArray, weights: FloatArray) -> tuple[_Pair, _Pair]:
    """Weights of (positives, negatives), per distinct score from high to low: up to and at it, and at it alone."""
    values, place = np.unique(-scores, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(len(values)))
    at = tuple(np.add.reduceat(weights[:, order] * sign[order], starts, axis=1) for sign in (positive, ~positive))
    return (at[0].cumsum(axis=1), at[1].cumsum(axis=1)), (at[0], at[1])


def _ratio(part: FloatArray, whole: FloatArray) -> FloatArray:
    """``part / whole``, NaN where the whole is zero."""
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)


def _mean_of_known(values: FloatArray) -> FloatArray:
    """Mean over the columns that are numbers; every row has one at least."""
    known = np.isfinite(values)
    mean: FloatArray = np.where(known, values, 0).sum(axis=1) / known.sum(axis=1)
    return mean


def interval(values: FloatArray, *, level: float = 0.95) -> tuple[float, float]:
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
