"""Metrics of a classifier, and the decision threshold.

Every metric is a sum over weighted slides, so that the bootstrap computes all resamples at once; the plain metric
has weights of one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..mil.scores import THRESHOLD

IntVector = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.floating]
FloatVector = npt.NDArray[np.float64]
BoolVector = npt.NDArray[np.bool_]

ThresholdRule = Literal["youden", "accuracy"]


def predicted_classes(probabilities: FloatArray, *, threshold: float = THRESHOLD) -> IntVector:
    """(n, C) -> (n,): by the threshold on the last class for two classes, else the largest probability."""
    if probabilities.shape[1] == 2:
        return np.asarray(probabilities[:, 1] >= threshold, dtype=np.int64)
    return np.asarray(probabilities.argmax(axis=1), dtype=np.int64)


def compute_metrics(
    labels: IntVector,
    probabilities: FloatArray,
    *,
    threshold: float = THRESHOLD,
    predicted: IntVector | None = None,
) -> dict[str, float]:
    """Metrics of n slides.

    Parameters
    ----------
    labels
        (n,) positions of the true classes.
    probabilities
        (n, C).
    threshold
        Probability of the last class from which a slide is called positive; two classes only.
    predicted
        (n,) positions of the classes that were called, where the threshold was not the same for all.

    Returns
    -------
    dict
        ``accuracy``, ``balanced_accuracy``, ``f1`` (of the positive class; macro beyond two), ``auc`` and
        ``average_precision`` (one-vs-rest macro beyond two), ``brier`` (mean squared error over slides, of the
        positive class for two classes and summed over classes beyond), ``ece``. NaN where a metric
        needs a class that is not there.
    """
    if predicted is None:
        predicted = predicted_classes(probabilities, threshold=threshold)
    found = weighted_metrics(labels, probabilities, predicted, np.ones((1, len(labels))))
    return {name: float(value[0]) for name, value in found.items()}


def weighted_metrics(
    labels: IntVector, probabilities: FloatArray, predicted: IntVector, weights: FloatArray
) -> dict[str, FloatVector]:
    """Compute the metrics of :func:`compute_metrics` for weighted slides: name -> (B,).

    Parameters
    ----------
    labels, predicted
        (n,) positions of classes.
    probabilities
        (n, C).
    weights
        (B, n) of the slides, B times; a slide of weight 0 is left out, one of weight 2 counts as two.
    """
    p = probabilities.astype(np.float64)
    n_classes = p.shape[1]
    onehot, called = np.eye(n_classes)[labels], np.eye(n_classes)[predicted]
    columns = [1] if n_classes == 2 else list(range(n_classes))
    total = weights.sum(axis=1)
    truly, said, hit = weights @ onehot, weights @ called, weights @ (onehot * called)  # (B, C) each
    recall, f1 = ratio(hit, truly), ratio(2 * hit, truly + said)
    scores = {"auc": weighted_auc, "average_precision": weighted_average_precision}
    macro = {
        name: np.mean([score(onehot[:, c] > 0, p[:, c], weights) for c in columns], axis=0)
        for name, score in scores.items()
    }
    # as the area, precision says nothing where all slides are positive
    macro["average_precision"] = np.where(np.isnan(macro["auc"]), np.nan, macro["average_precision"])
    confidence, right = p.max(axis=1), p.argmax(axis=1) == labels
    return {
        "accuracy": weights @ (labels == predicted) / total,
        "balanced_accuracy": _mean_of_known(recall),
        "f1": np.nan_to_num(f1[:, 1]) if n_classes == 2 else _mean_of_known(f1),
        **macro,
        "brier": weights @ squared_error(onehot[:, columns], p[:, columns]).sum(axis=1) / total,
        "ece": np.abs(weights @ calibration_gaps(confidence, right)).sum(axis=1) / total,
    }


def auc(positive: BoolVector, scores: npt.NDArray[np.floating]) -> float:
    """Area under the ROC curve of n scores; NaN where all or none are positive, or a score is NaN."""
    return _unweighted(weighted_auc, positive, scores)


def average_precision(positive: BoolVector, scores: npt.NDArray[np.floating]) -> float:
    """Mean precision over the positives of n scores; NaN where none is positive, or a score is NaN."""
    return _unweighted(weighted_average_precision, positive, scores)


def _unweighted(
    score: Callable[[BoolVector, FloatVector, FloatVector], FloatVector],
    positive: BoolVector,
    scores: npt.NDArray[np.floating],
) -> float:
    if np.isnan(scores).any() or len(scores) == 0:
        return float("nan")
    return float(score(positive, scores.astype(np.float64), np.ones((1, len(scores))))[0])


def weighted_auc(positive: BoolVector, scores: FloatVector, weights: FloatArray) -> FloatVector:
    """Area under the ROC curve for every row of ``weights`` (B, n) -> (B,); ties count half."""
    above, at = _tied_sums(positive, scores, weights)
    (positives, negatives), (p_above, _) = at, above
    wins = (negatives * (p_above - positives / 2)).sum(axis=1)
    return ratio(wins, positives.sum(axis=1) * negatives.sum(axis=1))


def weighted_average_precision(positive: BoolVector, scores: FloatVector, weights: FloatArray) -> FloatVector:
    """Mean precision over the positives for every row of ``weights`` (B, n) -> (B,)."""
    (p_above, n_above), (positives, _) = _tied_sums(positive, scores, weights)
    total = positives.sum(axis=1)
    precision = np.divide(p_above, p_above + n_above, out=np.zeros_like(p_above), where=p_above + n_above > 0)
    return ratio((positives * precision).sum(axis=1), total)


_Pair = tuple[FloatVector, FloatVector]


def _tied_sums(positive: BoolVector, scores: FloatVector, weights: FloatArray) -> tuple[_Pair, _Pair]:
    """Weights of (positives, negatives), per distinct score from high to low: up to and at it, and at it alone."""
    values, place = np.unique(-scores, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.searchsorted(place[order], np.arange(len(values)))
    at = tuple(np.add.reduceat(weights[:, order] * sign[order], starts, axis=1) for sign in (positive, ~positive))
    return (at[0].cumsum(axis=1), at[1].cumsum(axis=1)), (at[0], at[1])


def ratio(part: FloatArray, whole: FloatArray) -> FloatVector:
    """``part / whole``, NaN where the whole is zero."""
    found: FloatVector = np.divide(part, whole, out=np.full(np.shape(part), np.nan), where=whole > 0)
    return found


def _mean_of_known(values: FloatVector) -> FloatVector:
    """Mean over the columns that are numbers; every row has one at least."""
    known = np.isfinite(values)
    mean: FloatVector = np.where(known, values, 0).sum(axis=1) / known.sum(axis=1)
    return mean


def squared_error(truth: npt.NDArray[Any], probabilities: FloatArray) -> FloatVector:
    """Squared distance of each probability from the truth (0 or 1); its mean is the Brier score (1950)."""
    error: FloatVector = (probabilities.astype(np.float64) - truth) ** 2
    return error


def calibration_gaps(confidence: FloatArray, right: BoolVector, *, bins: int = 10) -> FloatVector:
    """(n,) -> (n, bins): confidence minus truth, in the column of the bin in which the confidence lies.

    The mean absolute sum of the columns is the expected calibration error (Guo et al. 2017).
    """
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps: FloatVector = np.eye(bins)[place] * (confidence - right)[:, None]
    return gaps


def choose_threshold(labels: IntVector, positive: FloatArray, *, rule: ThresholdRule = "youden") -> float:
    """Return the probability of the positive class from which a slide is called positive.

    The threshold is chosen on validation slides: ``youden`` maximises sensitivity + specificity - 1, ``accuracy``
    the accuracy. Candidates are 0.5 and the middles between neighbouring scores, 0 and 1 among them; of equally
    good ones the nearest to 0.5 is taken.
    """
    scores = np.unique([0.0, *positive.astype(np.float64), 1.0])
    candidates = np.concatenate([[0.5], (scores[1:] + scores[:-1]) / 2])
    called = positive[None, :] >= candidates[:, None]
    truth = labels == 1
    if rule == "youden":
        quality = called[:, truth].mean(axis=1) - called[:, ~truth].mean(axis=1)
    else:
        quality = (called == truth).mean(axis=1)
    best = candidates[np.isclose(quality, quality.max(), atol=1e-12)]
    return float(best[np.abs(best - 0.5).argmin()])
