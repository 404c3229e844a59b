"""Maps of slides against the truth: what one run says of every patch, and the metrics of several runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from sam_mil_engine.annotations.patches import patch_inside
from sam_mil_engine.annotations.reading import read_annotations
from sam_mil_engine.bag.feature_bag import FeatureBag
from sam_mil_engine.bag.h5 import read_bag, read_grid
from sam_mil_engine.mil.aggregator import BagTensors
from sam_mil_engine.mil.patch_calibration import logistic
from sam_mil_engine.mil.patch_probability import patch_probability
from sam_mil_engine.mil.patch_scores import patch_scores
from sam_mil_engine.training.bootstrap import interval, resample
from sam_mil_engine.training.checkpoint import TrainedModel
from sam_mil_engine.training.metrics import weighted_auc

#: Resamples of slides behind every interval.
RESAMPLES = 1000
Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TestBag:
    """A bag, whether its slide holds tumour, and whether half of each patch at least is tumour, (N,)."""

    bag: FeatureBag
    positive: bool
    inside: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SlideMap:
    """What a run says of one slide: the slide's probability, and (N,) probability, rank and mark of its patches.

    ``single`` holds the scores that the rank is made of: instance, and attention where there is one.
    """

    positive: bool
    inside: npt.NDArray[np.bool_]
    slide: float
    probability: Vector
    rank: Vector
    marked: npt.NDArray[np.bool_]
    single: Mapping[str, Vector]


def read_test_bag(work: Path, slide_id: str, *, bags: Path | None = None) -> TestBag:
    """Read a bag of the cohort, or of the folder ``bags``, and its exact truth."""
    path = (bags or work / "project" / "bags") / f"{slide_id}.h5"
    outlines = work / "annotations" / f"{slide_id}.geojson"
    bag, grid = read_bag(path), read_grid(path)
    inside = np.zeros(len(bag), dtype=bool)
    if outlines.exists():
        areas = [annotation.polygon for annotation in read_annotations(outlines)]
        inside = patch_inside(bag.coords_px0, grid.size_px0, areas) >= 0.5
    return TestBag(bag, outlines.exists(), inside)


@torch.inference_mode()
def map_of(model: TrainedModel, test: TestBag) -> SlideMap:
    """As `predict` has it, without what it says of groups; uncalibrated: the raw probability, marked at 0.5."""
    net, tensors, n = model.model.eval(), BagTensors.of(test.bag), len(test.bag)
    output = net(tensors)
    slide = float(model.probabilities(output.logits)[1])
    columns = patch_scores(net, output, n, negative=0).double().numpy()
    single = dict(zip(("instance", "attention"), columns.T, strict=False))
    if model.calibration is None:
        raw = patch_probability(net, output, n)[0][:, 1].double().numpy()
        return SlideMap(test.positive, test.inside, slide, raw, raw, raw >= 0.5, single)
    rank = model.calibration.score(columns)
    probability = slide * logistic(rank)
    return SlideMap(
        test.positive, test.inside, slide, probability, rank, rank >= model.calibration.operating_point, single
    )


def ranking(maps: Sequence[SlideMap], score: str | None = None) -> Vector:
    """(n, 2) patch AUC and average precision of every slide with patches of both kinds, else NaN."""
    rows = []
    for one in maps:
        own = one.rank if score is None else one.single.get(score)
        if own is None or not one.inside.any() or one.inside.all():
            rows.append((np.nan, np.nan))
        else:
            rows.append((roc_auc_score(one.inside, own), average_precision_score(one.inside, own)))
    return np.array(rows, dtype=np.float64)


def recall_at(maps: Sequence[SlideMap], share: float) -> float:
    """Share of tumour patches above the threshold that ``share`` of the patches of the normal slides reach."""
    normal = np.concatenate([one.rank for one in maps if not one.positive])
    tumour = np.concatenate([one.rank[one.inside] for one in maps])
    return float((tumour > np.quantile(normal, 1 - share)).mean())


def drawn_slides(n: int) -> Vector:
    """(1 + RESAMPLES, n) weights: each slide once, then as the bootstrap draws them."""
    return np.concatenate([np.ones((1, n)), resample([str(k) for k in range(n)], resamples=RESAMPLES)])


def metrics_of_run(maps: Sequence[SlideMap], weights: Vector) -> dict[str, Vector]:
    """Figure -> (B,), for every row of ``weights`` (B, n)."""
    positive = np.array([one.positive for one in maps])
    slide = np.array([one.slide for one in maps])
    count = np.array([len(one.inside) for one in maps], dtype=np.float64)
    truth = np.array([one.inside.sum() for one in maps], dtype=np.float64)
    marked = np.array([one.marked.sum() for one in maps], dtype=np.float64)
    hit = np.array([(one.marked & one.inside).sum() for one in maps], dtype=np.float64)
    error = np.array([((one.probability - one.inside) ** 2).sum() for one in maps])
    found = {
        "slide AUC": weighted_auc(positive, slide, weights),
        "precision": _ratio(weights @ (hit * positive), weights @ (marked * positive)),
        "recall": _ratio(weights @ hit, weights @ truth),
        "normal marked": _ratio(weights @ (marked * ~positive), weights @ (count * ~positive)),
        "patch Brier": _ratio(weights @ error, weights @ count),
    }
    for name, score in (("", None), ("instance ", "instance"), ("attention ", "attention")):
        ranks = ranking(maps, score)
        known = np.isfinite(ranks[:, 0])
        for column, metric in enumerate(("patch AUC", "average precision")):
            total = weights @ np.where(known, ranks[:, column], 0)
            found[f"{name}{metric}"] = _ratio(total, weights @ known)
    return found


def with_interval(values: Sequence[Vector]) -> dict[str, float]:
    """(seeds, B) values of a metric -> its mean over seeds, the 95% interval over slides, and its SD over seeds."""
    stacked = np.stack(list(values))
    mean = stacked.mean(axis=0)
    low, high = interval(mean[1:])
    spread = float(stacked[:, 0].std(ddof=1)) if len(stacked) > 1 else float("nan")
    return {"value": float(mean[0]), "low": low, "high": high, "sd": spread}


def _ratio(part: Vector, whole: Vector) -> Vector:
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)
