"""The files of a RUN folder: written here, read here."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import DataError, ProjectError
from ..files import atomic_write
from ..provenance import versions
from ..settings import PLACE, TrainSettings, key
from .curves import draw_curves
from .folds import Split, write_splits

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a finished run says.

    Attributes
    ----------
    out_dir
        The RUN folder.
    classes
        Names of the classes.
    folds
        One entry a split: ``repeat``, ``fold``, ``epochs``, ``best_epoch``, ``threshold``, ``threshold_rule``,
        and the figures (:func:`~sam_mil_engine.train.metrics.compute_metrics`) of ``val`` and ``test``
        (None without test slides).
    history
        One row an epoch and split.
    predictions
        One row a test slide and split (validation slides where a split has no test part).
    """

    out_dir: Path
    classes: tuple[str, ...]
    folds: tuple[Mapping[str, Any], ...]
    history: pd.DataFrame
    predictions: pd.DataFrame

    @property
    def metrics(self) -> Mapping[str, float]:
        """Figures of the first split: on its test slides, or on its validation slides where it has none."""
        first = self.folds[0]
        figures: Mapping[str, float] = first["test"] if first["test"] is not None else first["val"]
        return figures

    @property
    def model_dir(self) -> Path:
        """Folder of the first split's model."""
        first = self.folds[0]
        return self.out_dir / f"fold-{first['repeat']}-{first['fold']}"


def begin_run(
    out_dir: Path, settings: TrainSettings, splits: Sequence[Split], *, classes: Sequence[str], resume: bool
) -> bool:
    """Prepare the folder; return True if it already holds this very run, finished.

    Raises
    ------
    ProjectError
        If the folder holds a run and ``resume`` is off, or the run there has other settings or splits.
    """
    file = out_dir / "settings.json"
    plan = settings.model_dump(mode="json", exclude=set(PLACE))
    # Other settings or other slides are another run.
    run_key = key(plan, list(classes), [[s.repeat, s.fold, s.train, s.val, s.test] for s in splits])
    if file.exists():
        if not resume:
            raise ProjectError(
                "the folder already holds a run", where=out_dir, hint="Resume it, or choose another folder"
            )
        if _read_json(file).get("key") != run_key:
            raise ProjectError(
                "the run in this folder has other settings, classes or splits",
                where=out_dir,
                hint="Resume with the settings in its settings.json, or choose another folder",
            )
    write_splits(out_dir / "splits.csv", splits)
    content = {"key": run_key, "train": settings.model_dump(mode="json"), "versions": versions()}
    atomic_write(file, json.dumps(content, indent=2) + "\n")
    return (out_dir / "metrics.json").exists()


def write_results(
    out_dir: Path,
    *,
    classes: Sequence[str],
    folds: Sequence[Mapping[str, Any]],
    history: pd.DataFrame,
    predictions: pd.DataFrame,
) -> None:
    """Write history, curves, predictions and, as the sign that the run is finished, metrics."""
    atomic_write(out_dir / "history.csv", history.to_csv(index=False))
    draw_curves(history, out_dir / "curves.png")
    atomic_write(out_dir / "predictions.csv", predictions.to_csv(index=False))
    content = {"classes": list(classes), "folds": [_without_nan(fold) for fold in folds]}
    atomic_write(out_dir / "metrics.json", json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_run(out_dir: str | Path) -> TrainResult:
    """Read a finished run; raises :class:`DataError` where a file is missing or damaged."""
    import pandas as pd

    out_dir = Path(out_dir)
    metrics = _read_json(out_dir / "metrics.json")
    names = {"slide_id": str, "label": str, "predicted": str}
    try:
        return TrainResult(
            out_dir=out_dir,
            classes=tuple(metrics["classes"]),
            folds=tuple(metrics["folds"]),
            history=pd.read_csv(out_dir / "history.csv"),
            predictions=pd.read_csv(out_dir / "predictions.csv", dtype=names, keep_default_na=False),
        )
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"the run is not complete ({error})", where=out_dir, hint="Resume it") from error


def _read_json(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"not readable ({error})", where=file, hint="Is this a RUN that `train` wrote?") from error


def _without_nan(value: Any) -> Any:
    """Figures that do not exist are null in JSON."""
    if isinstance(value, Mapping):
        return {name: _without_nan(item) for name, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
