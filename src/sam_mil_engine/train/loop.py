"""Train one model on one split of a cohort, from bags and labels to a RUN folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..devices import pick_device
from ..errors import DataError
from ..mil.registry import build_aggregator
from ..progress import Progress, ProgressCallback, silent
from ..settings import TrainSettings
from .checkpoint import TrainedModel, save_model
from .data import LoadedBags, load_bags, match_bags, read_labels
from .fitting import Evaluation, best_epoch, evaluate, fit, seeded
from .folds import Split, check_split, from_column, holdout, read_splits
from .metrics import choose_threshold, compute_metrics, predicted_classes
from .recipe import resolve
from .run_files import TrainResult, begin_run, read_run, write_results

if TYPE_CHECKING:
    import pandas as pd

_DEFAULTS = TrainSettings()

#: Name of the file in a fold's folder that an unfinished training goes on from.
CHECKPOINT = "last.pt"


def train(
    bags_dir: str | Path,
    labels_csv: str | Path,
    out_dir: str | Path,
    *,
    settings: TrainSettings = _DEFAULTS,
    splits: str | Path | None = None,
    progress: ProgressCallback = silent,
    resume: bool = False,
) -> TrainResult:
    """Train one model on one split and write a RUN folder (formats.md).

    Parameters
    ----------
    bags_dir
        Folder with ``SLIDE.h5`` files, or a project.
    labels_csv
        Columns slide_id, label, optional patient_id and split.
    splits
        A ``splits.csv`` with one split. Without it, the column ``split`` of the labels is taken; without that,
        validation and test slides are drawn by the settings' fractions and seed.
    resume
        Go on with the run that is in ``out_dir``; a finished one is only read.

    Raises
    ------
    DataError, BagError, SettingsError
        Before any training: labels, bags, splits or settings do not fit together.
    ProjectError
        If ``out_dir`` cannot be written or holds another run.
    Cancelled
        If ``progress`` asked to stop; the run can be resumed at the last full epoch.
    """
    out_dir = Path(out_dir)
    settings = resolve(settings)
    labels = read_labels(labels_csv)
    cohort = match_bags(labels, bags_dir, classes=settings.classes, progress=progress)
    split = _one_split(cohort.table, splits, settings)
    folder = out_dir / split.name
    finished = begin_run(out_dir, settings, [split], classes=cohort.classes, resume=resume)
    if not finished:
        bags = load_bags(
            cohort,
            device=pick_device(settings.device),
            dtype=settings.cache_dtype,
            budget=settings.budget,
            progress=progress,
        )
        result = train_split(bags, split, cohort.classes, folder=folder, settings=settings, progress=progress)
        write_results(
            out_dir,
            classes=cohort.classes,
            folds=[result.figures],
            history=result.history,
            predictions=result.predictions,
        )
    for left_over in folder.glob(f"*{CHECKPOINT}*"):  # with what a kill in the middle of writing it left
        left_over.unlink()
    return read_run(out_dir)


@dataclass(frozen=True, slots=True)
class SplitResult:
    """What one split of a run gives: its entry in ``metrics.json``, and its rows of the two tables."""

    figures: Mapping[str, Any]
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
    with seeded(seed, device):
        model = build_aggregator(settings.model, dim=bags.expects.dim, n_classes=len(classes)).to(device)
        history = fit(
            model, train_bags, val_bags, settings=settings, checkpoint=folder / CHECKPOINT, progress=progress
        )
        val = evaluate(model, val_bags, settings=settings)
        test = evaluate(model, test_bags, settings=settings) if test_bags else None
    threshold = 0.5
    if len(classes) == 2:
        threshold = choose_threshold(val.labels, val.probabilities[:, 1], rule=settings.threshold_rule)
    name = f"{settings.model.name}{'+groups' if settings.model.groups else ''}"
    trained = TrainedModel(model.eval(), classes, threshold, bags.expects, name=name, path=folder, seed=seed)
    save_model(folder, trained)
    steps = len(model.stages) * settings.epochs * len(train_bags)
    progress(Progress("train", steps, steps, unit="bags", message=f"best epoch {best_epoch(history) + 1}"))
    shown, part = (split.val, "val") if test is None else (split.test, "test")
    return SplitResult(
        figures={
            "repeat": split.repeat,
            "fold": split.fold,
            "epochs": len(history),
            "best_epoch": best_epoch(history),
            "threshold": threshold,
            "threshold_rule": settings.threshold_rule,
            "val": _figures(val, threshold),
            "test": None if test is None else _figures(test, threshold),
        },
        history=pd.DataFrame([{"repeat": split.repeat, "fold": split.fold, **row} for row in history]),
        predictions=_predictions(test or val, shown, classes=classes, threshold=threshold).assign(
            repeat=split.repeat, fold=split.fold, split=part
        )[_columns(classes)],
    )


def _one_split(table: pd.DataFrame, splits: str | Path | None, settings: TrainSettings) -> Split:
    if splits is not None:
        found = read_splits(splits)
        if len(found) != 1:
            raise DataError(
                f"the file holds {len(found)} splits, training takes one",
                where=splits,
                hint="Use `sam-mil-engine cross-validate` for several, or keep one repeat and fold",
            )
        return check_split(found[0], table)
    if "split" in table:
        return from_column(table, val_fraction=settings.val_fraction, seed=settings.seed)
    return holdout(
        table, val_fraction=settings.val_fraction, test_fraction=settings.test_fraction, seed=settings.seed
    )


def _figures(result: Evaluation, threshold: float) -> dict[str, float]:
    return compute_metrics(result.labels, result.probabilities, threshold=threshold)


def _predictions(
    result: Evaluation, slides: Sequence[str], *, classes: Sequence[str], threshold: float
) -> pd.DataFrame:
    import pandas as pd

    called = predicted_classes(result.probabilities, threshold=threshold)
    return pd.DataFrame(
        {
            "slide_id": slides,
            "label": [classes[c] for c in result.labels],
            **{f"p_{name}": result.probabilities[:, c] for c, name in enumerate(classes)},
            "predicted": [classes[c] for c in called],
        }
    )


def _columns(classes: Sequence[str]) -> list[str]:
    """Columns of ``predictions.csv`` in their order."""
    return ["slide_id", "label", "repeat", "fold", "split", *(f"p_{name}" for name in classes), "predicted"]
