"""Train on one split: the best weights, the decision threshold, the metrics on slides that were never seen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..bag.feature_bag import FloatFeatures
from ..devices import pick_device
from ..mil.aggregator import Aggregator
from ..mil.building import build_aggregator
from ..mil.patch_calibration import PatchCalibration
from ..mil.scores import THRESHOLD
from ..progress import Progress, ProgressCallback, notice, silent
from ..settings import ModelSettings, TrainSettings
from ..tables.cells import listing
from .bag_store import Example, in_order
from .calibration import FEWEST, calibrate_patches, find_negative, fit_temperature
from .checkpoint import TrainedModel, save_model
from .data import LoadedBags
from .domain import FeatureDomain
from .epoch_log import epoch_log
from .fitting import Evaluation, evaluate, fit, seeded
from .folds import Split
from .metrics import choose_threshold, compute_metrics, predicted_classes
from .optimization import best_epoch

if TYPE_CHECKING:
    import pandas as pd

#: Name of the file in a fold's folder that an unfinished training goes on from.
CHECKPOINT = "last.pt"


@dataclass(frozen=True, slots=True)
class SplitResult:
    """What one split of a run gives: its entry in ``metrics.json``, and its rows of the two tables."""

    metrics: Mapping[str, Any]
    history: pd.DataFrame
    predictions: pd.DataFrame


def train_split(
    bags: LoadedBags,
    split: Split,
    classes: tuple[str, ...],
    *,
    folder: Path,
    settings: TrainSettings,
    progress: ProgressCallback = silent,
) -> SplitResult:
    """Train on one split, choose the threshold on its validation slides, test, and save the model in ``folder``.

    If ``folder`` holds a checkpoint of this training, it goes on from there. Each split of a run has its own
    seed, so that repeats differ in their initial weights too.
    """
    import pandas as pd

    seed = settings.seed + 1000 * split.repeat + split.fold
    device = pick_device(settings.device)
    train_bags, val_bags, test_bags = (bags.pick(part) for part in (split.train, split.val, split.test))
    log = epoch_log(folder.parent / "tensorboard" / folder.name, wanted=settings.tensorboard)
    with seeded(seed, device), log as on_epoch:
        model = build_aggregator(settings.model, dim=bags.expects.dim, n_classes=len(classes)).to(device)
        history = fit(
            model,
            train_bags,
            val_bags,
            settings=settings,
            checkpoint=folder / CHECKPOINT,
            on_epoch=on_epoch,
            progress=progress,
        )
        val = evaluate(model, val_bags, settings=settings)
        test = evaluate(model, test_bags, settings=settings) if test_bags else None
    temperature = fit_temperature(val.probabilities, val.labels) if settings.calibrate else 1.0
    val = val.at_temperature(temperature)
    test = None if test is None else test.at_temperature(temperature)
    calibration = _calibration(model, val_bags, classes, settings, progress)
    threshold = THRESHOLD
    if len(classes) == 2:
        threshold = choose_threshold(val.labels, val.probabilities[:, 1], rule=settings.threshold_rule)
    name = display_name(settings.model)
    known = FeatureDomain.fit(_features(train_bags)).with_limit(_features(val_bags))
    save_model(
        folder,
        TrainedModel(
            model=model.eval(),
            classes=classes,
            threshold=threshold,
            expects=bags.expects,
            name=name,
            path=folder,
            seed=seed,
            domain=known,
            temperature=temperature,
            calibration=calibration,
            split=(split.repeat, split.fold),
        ),
    )
    steps = len(model.stages) * settings.epochs * len(train_bags)
    best = best_epoch(history, settings)
    progress(Progress("train", steps, steps, unit="bags", message=f"best epoch {best + 1}"))
    shown, part = (split.val, "val") if test is None else (split.test, "test")
    return SplitResult(
        metrics={
            "repeat": split.repeat,
            "fold": split.fold,
            "epochs": len(history),
            "best_epoch": best,
            "threshold": threshold,
            "threshold_rule": settings.threshold_rule,
            "temperature": temperature,
            "patches_calibrated_on": 0 if calibration is None else calibration.slides,
            "val": metrics_of(val, threshold),
            "test": None if test is None else metrics_of(test, threshold),
        },
        history=pd.DataFrame([{"repeat": split.repeat, "fold": split.fold, **row} for row in history]),
        predictions=predictions_of(
            test or val,
            shown,
            classes=classes,
            threshold=threshold,
            repeat=split.repeat,
            fold=split.fold,
            part=part,
        ),
    )


def _calibration(
    model: Aggregator,
    val_bags: Sequence[Example],
    classes: tuple[str, ...],
    settings: TrainSettings,
    progress: ProgressCallback,
) -> PatchCalibration | None:
    """Calibrate the patch scores, or say why they stay raw."""
    negative = find_negative(classes, settings.negative_class) if settings.calibrate else None
    if negative is not None:
        found = calibrate_patches(model, val_bags, classes, negative=negative)
        if found is not None:
            return found
        reason = (
            f"there are too few validation slides: {FEWEST} of the class {classes[negative]} and {FEWEST}"
            " others are needed, with patches that differ"
        )
    else:
        reason = f"none of the classes {listing(classes)} is known as negative" if settings.calibrate else ""
    if reason:
        progress(notice("train", f"patch probabilities are not calibrated: {reason}"))
    return None


def _features(bags: Sequence[Example]) -> Iterator[FloatFeatures]:
    """Features of the patches of each slide, (N, D)."""
    for example in in_order(bags, range(len(bags))):
        yield example.bag.features.cpu().numpy()


def display_name(model: ModelSettings) -> str:
    """Return the name of a model for people: ``abmil+groups``."""
    return f"{model.name}{'+groups' if model.groups else ''}"


def metrics_of(result: Evaluation, threshold: float) -> dict[str, float]:
    """Metrics of the slides at this threshold."""
    return compute_metrics(result.labels, result.probabilities, threshold=threshold)


def predictions_of(
    result: Evaluation,
    slides: Sequence[str],
    *,
    classes: Sequence[str],
    threshold: float,
    repeat: int,
    fold: int,
    part: str,
) -> pd.DataFrame:
    """Rows of ``predictions.csv``, one per slide."""
    import pandas as pd

    called = predicted_classes(result.probabilities, threshold=threshold)
    return pd.DataFrame(
        {
            "slide_id": slides,
            "label": [classes[c] for c in result.labels],
            "repeat": repeat,
            "fold": fold,
            "split": part,
            **{f"p_{name}": result.probabilities[:, c] for c, name in enumerate(classes)},
            "predicted": [classes[c] for c in called],
        }
    )


def with_patients_of(table: pd.DataFrame, predictions: pd.DataFrame) -> pd.DataFrame:
    """Add the patient of every slide to the predictions, where the labels (``table``) name them."""
    if "patient_id" not in table:
        return predictions
    patients = dict(zip(table["slide_id"], table["patient_id"], strict=True))
    return predictions.assign(patient_id=predictions["slide_id"].map(patients))
