"""Figures of a classifier, and the decision threshold."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

IntVector = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.floating]

ThresholdRule = Literal["youden", "accuracy"]


def predicted_classes(probabilities: FloatArray, *, threshold: float = 0.5) -> IntVector:
    """(n, C) -> (n,): by the threshold on the last class for two classes, else the largest probability."""
    if probabilities.shape[1] == 2:
        return np.asarray(probabilities[:, 1] >= threshold, dtype=np.int64)
    return np.asarray(probabilities.argmax(axis=1), dtype=np.int64)


def compute_metrics(
    labels: IntVector,
    probabilities: FloatArray,
    *,
    threshold: float = 0.5,
    predicted: IntVector | None = None,
) -> dict[str, float]:
    """Figures of n slides.

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
        positive class for two classes and summed over classes beyond), ``ece``. NaN where a figure
        needs a class that is not there.
    """
    from sklearn import metrics

    n_classes = probabilities.shape[1]
    if predicted is None:
        predicted = predicted_classes(probabilities, threshold=threshold)
    onehot = np.eye(n_classes)[labels]
    columns = [1] if n_classes == 2 else list(range(n_classes))
    present = [c for c in columns if 0 < onehot[:, c].sum() < len(labels)]
    enough = len(present) == len(columns)

    def macro(score: Callable[[FloatArray, FloatArray], float]) -> float:
        return float(np.mean([score(onehot[:, c], probabilities[:, c]) for c in columns]))

    average = "binary" if n_classes == 2 else "macro"
    with warnings.catch_warnings():
        # Classes that are not among the true ones only make balanced accuracy warn, not wrong.
        warnings.filterwarnings("ignore", message="y_pred contains classes not in y_true")
        warnings.filterwarnings("ignore", message="A single label was found")
        balanced = float(metrics.balanced_accuracy_score(labels, predicted))
    return {
        "accuracy": float(metrics.accuracy_score(labels, predicted)),
        "balanced_accuracy": balanced,
        "f1": float(metrics.f1_score(labels, predicted, average=average, zero_division=0)),
        "auc": macro(metrics.roc_auc_score) if enough else float("nan"),
        "average_precision": macro(metrics.average_precision_score) if enough else float("nan"),
        "brier": float(np.mean(((probabilities - onehot)[:, columns] ** 2).sum(axis=1))),
        "ece": expected_calibration_error(labels, probabilities),
    }


def expected_calibration_error(labels: IntVector, probabilities: FloatArray, *, bins: int = 10) -> float:
    """Mean distance of confidence and accuracy over equal bins of the largest probability (Guo et al. 2017)."""
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(place, weights=confidence - correct, minlength=bins)
    return float(np.abs(gaps).sum() / len(labels))


def choose_threshold(labels: IntVector, positive: FloatArray, *, rule: ThresholdRule = "youden") -> float:
    """Threshold on the probability of the positive class, chosen on validation slides.

    ``youden`` maximises sensitivity + specificity - 1, ``accuracy`` the accuracy. Candidates are 0.5 and the
    middles between neighbouring scores, 0 and 1 among them; of equally good ones the nearest to 0.5 is taken.
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
