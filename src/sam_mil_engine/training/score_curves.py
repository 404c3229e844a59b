"""ROC, precision-recall and calibration curves, with intervals of a bootstrap over slides or patients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .bootstrap import LEVEL, resample
from .metrics import BoolVector, FloatVector, ratio, tied_sums

FloatArray = npt.NDArray[np.float64]

#: Resamples of a curve, and the places at which ROC and precision-recall curves are read.
_RESAMPLES = 1000
_GRID = np.linspace(0, 1, 101)
_BINS = 10


@dataclass(frozen=True, slots=True)
class ScoreCurve:
    """A curve and its 95% interval.

    Attributes
    ----------
    x, y
        (n,) the curve of all slides.
    low, high
        (n,) interval of y at each x; NaN where it is not defined.
    """

    x: FloatVector
    y: FloatVector
    low: FloatVector
    high: FloatVector


@dataclass(frozen=True, slots=True)
class ScoreCurves:
    """The three curves of one class against all others."""

    roc: ScoreCurve
    precision_recall: ScoreCurve
    calibration: ScoreCurve


def score_curves(positive: BoolVector, scores: FloatVector, units: list[str]) -> ScoreCurves | None:
    """Draw the curves of n slides, of which some are positive; None where all or none are.

    Parameters
    ----------
    positive, scores
        (n,) the truth and the probability.
    units
        (n,) names of what is resampled (:attr:`~.bootstrap.Scored.units`).
    """
    if positive.all() or not positive.any():
        return None
    weights = np.concatenate([np.ones((1, len(units))), resample(units, resamples=_RESAMPLES)])
    (hits, false), _ = tied_sums(positive, scores, weights)
    start = np.zeros((len(weights), 1))
    hits, false = np.hstack([start, hits]), np.hstack([start, false])
    recall, rate = (ratio(part, np.broadcast_to(part[:, -1:], part.shape)) for part in (hits, false))
    precision = ratio(hits, hits + false)
    return ScoreCurves(
        roc=_with_interval(_GRID, np.stack([_upper(*row) for row in zip(rate, recall, strict=True)])),
        precision_recall=_with_interval(
            _GRID[1:], np.stack([_at_recall(*row) for row in zip(recall, precision, strict=True)])
        ),
        calibration=_calibration(positive, scores, weights),
    )


def _upper(rate: FloatVector, recall: FloatVector) -> FloatVector:
    """Sensitivity at the rates of the grid: straight between the points, the upper end of a vertical step."""
    right = np.minimum(np.searchsorted(rate, _GRID, side="right"), len(rate) - 1)
    left = np.searchsorted(rate, _GRID, side="right") - 1
    width = rate[right] - rate[left]
    part = np.divide(_GRID - rate[left], width, out=np.zeros_like(_GRID), where=width > 0)
    found: FloatVector = recall[left] + part * (recall[right] - recall[left])
    return found


def _at_recall(recall: FloatVector, precision: FloatVector) -> FloatVector:
    """Precision where the recall first reaches that of the grid."""
    place = np.searchsorted(recall, _GRID[1:] - 1e-9)
    found: FloatVector = precision[np.minimum(place, len(recall) - 1)]
    return found


def _calibration(positive: BoolVector, scores: FloatVector, weights: FloatArray) -> ScoreCurve:
    """Share of positive slides in each tenth of the probability, at the mean probability there."""
    inside = np.eye(_BINS)[np.minimum((scores * _BINS).astype(int), _BINS - 1)]
    filled = inside.any(axis=0)
    inside = inside[:, filled]
    x = (scores @ inside) / inside.sum(axis=0)
    return _with_interval(x, ratio(weights @ (inside * positive[:, None]), weights @ inside))


def _with_interval(x: FloatVector, rows: FloatArray) -> ScoreCurve:
    """Return the first row, with the percentile interval of the others."""
    with np.errstate(invalid="ignore"):
        known = np.isfinite(rows[1:])
        ends = np.full((2, rows.shape[1]), np.nan)
        for column in np.flatnonzero(known.any(axis=0)):
            values = rows[1:][known[:, column], column]
            ends[:, column] = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return ScoreCurve(x, rows[0], low=ends[0], high=ends[1])
