"""The metrics of a run of several folds: mean and deviation over folds, and pooled with an interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .bootstrap import LEVEL, RESAMPLES, SEED, Scored, interval, resample, resample_metrics
from .metrics import compute_metrics

if TYPE_CHECKING:
    import pandas as pd


def scored_of(predictions: pd.DataFrame, classes: Sequence[str]) -> Scored:
    """Return the rows of ``predictions.csv`` as arrays."""
    place = {name: number for number, name in enumerate(classes)}
    return Scored(
        slides=list(predictions["slide_id"]),
        labels=np.array([place[name] for name in predictions["label"]], dtype=np.int64),
        predicted=np.array([place[name] for name in predictions["predicted"]], dtype=np.int64),
        probabilities=predictions[[f"p_{name}" for name in classes]].to_numpy(dtype=np.float64),
        patients=list(predictions["patient_id"]) if "patient_id" in predictions else None,
    )


def pool_metrics(scored: Scored) -> dict[str, float]:
    """Metrics of all rows together; each row is called as its own fold called it."""
    return compute_metrics(scored.labels, scored.probabilities, predicted=scored.predicted)


def summarise(
    folds: Sequence[Mapping[str, Any]], predictions: pd.DataFrame, classes: Sequence[str]
) -> dict[str, Any]:
    """Return what ``metrics.json`` says of the run as a whole.

    Returns
    -------
    dict
        ``part``: ``test``, or ``val`` where a run has no test slides. ``mean`` and ``sd`` over the folds (sample
        deviation; None with one fold). ``pooled``: metric -> ``value``, ``low``, ``high``: the metric of all
        predictions together, and the 95% interval of a bootstrap over slides, or over patients where one has
        several slides. ``bootstrap``: how it was made.
    """
    shown = [fold["test"] if fold["test"] is not None else fold["val"] for fold in folds]
    names = list(shown[0])
    values = {name: np.array([fold[name] for fold in shown], dtype=np.float64) for name in names}
    scored = scored_of(predictions, classes)
    resampled = resample_metrics(scored, resample(scored.units))
    pooled = {}
    for name, value in pool_metrics(scored).items():
        low, high = interval(resampled[name])
        pooled[name] = {"value": value, "low": low, "high": high}
    return {
        "part": "test" if all(fold["test"] is not None for fold in folds) else "val",
        "mean": {name: _finite(np.mean, column) for name, column in values.items()},
        "sd": {name: _finite(_deviation, column) for name, column in values.items()},
        "pooled": pooled,
        "bootstrap": {
            "over": "patients" if scored.by_patient else "slides",
            "resamples": RESAMPLES,
            "seed": SEED,
            "level": LEVEL,
        },
    }


def _finite(function: Any, values: np.ndarray) -> float | None:
    """Apply to what is finite; None where that gives nothing."""
    finite = values[np.isfinite(values)]
    result = float(function(finite)) if len(finite) else float("nan")
    return result if np.isfinite(result) else None


def _deviation(values: np.ndarray) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else float("nan")
