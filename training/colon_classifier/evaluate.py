"""What a trained model knows of held-out slides, beside what colour alone knows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from skimage.color import rgb2lab
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sam_mil_engine.annotations.patches import patch_inside
from sam_mil_engine.annotations.reading import read_annotations
from sam_mil_engine.bag import h5
from sam_mil_engine.prediction.comparison import compare_bag
from sam_mil_engine.slide.reader import open_slide
from sam_mil_engine.training.bootstrap import RESAMPLES, SEED, interval
from sam_mil_engine.training.metrics import choose_threshold
from sam_mil_engine.training.run_files import TrainResult
from sam_mil_engine.training.summary import pool_metrics, scored_of, summarise

SHOWN = ("auc", "accuracy", "brier")
Figure = dict[str, float]


def mean_with_interval(values: Sequence[float]) -> Figure:
    """Mean over slides, and the 95% interval of a bootstrap over slides."""
    known = np.array([value for value in values if value is not None], dtype=np.float64)
    drawn = np.random.default_rng(SEED).integers(len(known), size=(RESAMPLES, len(known)))
    low, high = interval(known[drawn].mean(axis=1))
    return {"value": float(known.mean()), "low": low, "high": high, "slides": len(known)}


def slide_figures(result: TrainResult) -> dict[str, Figure]:
    """AUC, accuracy and Brier score of the test slides, with intervals."""
    return {name: dict(result.summary["pooled"][name]) for name in SHOWN}


def patch_figures(work: Path, run: Path, slides: Sequence[str]) -> dict[str, Figure]:
    """Patch AUC of tumour probability and attention against the true outlines, over slides with tumour."""
    found: dict[str, list[float]] = {"probability_auc": [], "attention_auc": []}
    for name in slides:
        bag, outlines = work / "project" / "bags" / f"{name}.h5", work / "annotations" / f"{name}.geojson"
        (comparison,) = compare_bag(bag, outlines, model=str(run))
        for figure, values in found.items():
            values.append(comparison.summary()[figure])
    return {
        name: mean_with_interval(values) for name, values in found.items() if any(v is not None for v in values)
    }


def colour_figures(work: Path, labels: pd.DataFrame) -> dict[str, Figure]:
    """The same from colour alone: mean and deviation of every patch in CIELAB.

    For slides a logistic regression on how these numbers are spread over the slide's patches. For patches a
    logistic regression that is given the true outlines of the training slides, which SAM-MIL never sees.
    """
    patches = {name: _patch_colours(work, name) for name in labels["slide_id"]}
    truth = {name: _patch_truth(work, name) for name in labels["slide_id"]}
    part = {name: labels.loc[labels["split"] == name] for name in ("train", "val", "test")}

    def slides_of(table: pd.DataFrame) -> npt.NDArray[np.float64]:
        return np.stack([_spread(patches[name]) for name in table["slide_id"]])

    def positive(table: pd.DataFrame) -> npt.NDArray[np.int64]:
        return (table["label"] == "tumour").to_numpy().astype(np.int64)

    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    model.fit(slides_of(part["train"]), positive(part["train"]))
    threshold = choose_threshold(positive(part["val"]), model.predict_proba(slides_of(part["val"]))[:, 1])
    chance = model.predict_proba(slides_of(part["test"]))
    called = np.where(chance[:, 1] >= threshold, "tumour", "normal")
    predictions = part["test"].assign(p_normal=chance[:, 0], p_tumour=chance[:, 1], predicted=called)
    classes = ("normal", "tumour")
    metrics = [{"test": pool_metrics(scored_of(predictions, classes)), "val": None}]
    pooled = summarise(metrics, predictions, classes)["pooled"]

    of_patch = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    training = list(part["train"]["slide_id"])
    of_patch.fit(np.concatenate([patches[n] for n in training]), np.concatenate([truth[n] for n in training]))
    aucs = [
        roc_auc_score(truth[name], of_patch.predict_proba(patches[name])[:, 1])
        for name in part["test"]["slide_id"]
        if truth[name].any() and not truth[name].all()
    ]
    return {**{name: dict(pooled[name]) for name in SHOWN}, "probability_auc": mean_with_interval(aucs)}


def _patch_colours(work: Path, name: str) -> npt.NDArray[np.float64]:
    """Mean and deviation of the three CIELAB values of every patch of a slide's bag, (N, 6)."""
    grid = h5.read_grid(work / "project" / "bags" / f"{name}.h5")
    assert grid is not None
    side = tuple(int(v) for v in grid.size_px0)
    with open_slide(work / "slides" / f"{name}.tiff") as slide:
        tiles = [rgb2lab(slide.read_region(tuple(corner), 0, side)) for corner in grid.coords_px0.tolist()]
    return np.stack([np.r_[tile.mean(axis=(0, 1)), tile.std(axis=(0, 1))] for tile in tiles])


def _patch_truth(work: Path, name: str) -> npt.NDArray[np.bool_]:
    """Whether at least half of each patch lies in tumour, (N,)."""
    grid = h5.read_grid(work / "project" / "bags" / f"{name}.h5")
    outlines = work / "annotations" / f"{name}.geojson"
    assert grid is not None
    if not outlines.exists():
        return np.zeros(len(grid.coords_px0), dtype=bool)
    polygons = [annotation.polygon for annotation in read_annotations(outlines)]
    inside: npt.NDArray[np.bool_] = patch_inside(grid.coords_px0, grid.size_px0, polygons) >= 0.5
    return inside


def _spread(patches: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How the numbers of patches are spread over a slide."""
    return np.concatenate([patches.mean(axis=0), patches.std(axis=0), *np.percentile(patches, (5, 50, 95), axis=0)])
