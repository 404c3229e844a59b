"""The files of a RUN folder: written here, read here."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import layout
from ..errors import DataError, ProjectError
from ..files import atomic_write
from ..provenance import versions
from ..settings import BEFORE, LATER, PLACE, TrainSettings, key
from ..tables.cells import nfc
from ..tables.reading import read_frame, read_records
from ..tables.writing import csv_frame
from .curves import draw_curves
from .folds import Split
from .split_files import write_splits
from .summary import summarise

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
        and the metrics (:func:`~sam_mil_engine.training.metrics.compute_metrics`) of ``val`` and ``test``
        (None without test slides).
    history
        One row an epoch and split.
    predictions
        One row per test slide and split (validation slides where a split has no test part).
    summary
        The run as a whole (:func:`~sam_mil_engine.training.summary.summarise`): ``mean``, ``sd``, ``pooled``,
        ``bootstrap``.
    """

    out_dir: Path
    classes: tuple[str, ...]
    folds: tuple[Mapping[str, Any], ...]
    history: pd.DataFrame
    predictions: pd.DataFrame
    summary: Mapping[str, Any]

    @property
    def metrics(self) -> Mapping[str, float]:
        """Mean over the splits, on test slides, or on validation slides where there are none."""
        mean: Mapping[str, float] = self.summary["mean"]
        return mean

    @property
    def model_dir(self) -> Path:
        """Folder of the first split's model."""
        first = self.folds[0]
        return self.out_dir / layout.fold_folder(first["repeat"], first["fold"])


def begin_run(
    out_dir: Path, settings: TrainSettings, splits: Sequence[Split], *, classes: Sequence[str], resume: bool
) -> bool:
    """Prepare the folder; return True if it already holds this very run, finished.

    Raises
    ------
    ProjectError
        If the folder holds a run and ``resume`` is off, or the run there has other settings or splits.
    """
    file = out_dir / layout.SETTINGS
    unchanged = {name for name in LATER if getattr(settings, name) == getattr(TrainSettings(), name)}
    plan = settings.model_dump(mode="json", exclude={*PLACE, *unchanged})
    for name, value in BEFORE.items():
        if plan["model"][name] == value:
            del plan["model"][name]
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
    write_splits(out_dir / layout.SPLITS, splits)
    content = {"key": run_key, "train": settings.model_dump(mode="json"), "versions": versions()}
    atomic_write(file, json.dumps(content, indent=2) + "\n")
    return (out_dir / layout.METRICS).exists()


def write_results(
    out_dir: Path,
    *,
    classes: Sequence[str],
    folds: Sequence[Mapping[str, Any]],
    history: pd.DataFrame,
    predictions: pd.DataFrame,
) -> None:
    """Write history and curves (if anything was trained), predictions, and as the sign of the end, metrics."""
    if not history.empty:
        atomic_write(out_dir / layout.HISTORY, csv_frame(history))
        draw_curves(history, out_dir / layout.CURVES)
    atomic_write(out_dir / layout.PREDICTIONS, csv_frame(predictions))
    summary = summarise(folds, predictions, classes)
    content = {"classes": list(classes), **summary, "folds": list(folds)}
    write_metrics(out_dir / layout.METRICS, content)


def write_metrics(path: Path, content: Mapping[str, Any]) -> None:
    """Write metrics as JSON; those that do not exist are null."""
    atomic_write(path, json.dumps(_without_nan(content), indent=2, allow_nan=False) + "\n")


def read_run(out_dir: str | Path) -> TrainResult:
    """Read a finished run; raises :class:`DataError` where a file is missing or damaged."""
    import pandas as pd

    out_dir = Path(out_dir)
    metrics = _read_json(out_dir / layout.METRICS)
    history = out_dir / layout.HISTORY
    try:
        predictions = read_frame(
            out_dir / layout.PREDICTIONS, text=("slide_id", "label", "predicted", "patient_id")
        )
        predictions["slide_id"] = predictions["slide_id"].map(nfc)
        # a run of version 0.1 says nothing of itself as a whole
        whole = metrics if "pooled" in metrics else summarise(metrics["folds"], predictions, metrics["classes"])
        return TrainResult(
            out_dir=out_dir,
            classes=tuple(metrics["classes"]),
            folds=tuple(metrics["folds"]),
            # an evaluation on other data has no history
            history=read_frame(history) if history.exists() else pd.DataFrame(),
            predictions=predictions,
            summary={name: whole[name] for name in ("part", "mean", "sd", "pooled", "bootstrap")},
        )
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"the run is not complete ({error})", where=out_dir, hint="Resume it") from error


def runs_in(folder: Path) -> list[Path]:
    """Return the finished runs in a folder: in the order of its ``comparison.csv``, else by name."""
    runs = sorted(file.parent for file in folder.glob(f"*/{layout.METRICS}"))
    table = folder / layout.COMPARISON
    if not table.is_file():
        return runs
    lines = read_records(table, needs=("model",)).values()
    order = list(dict.fromkeys(line["model"] for line in lines))
    return sorted(runs, key=lambda run: order.index(run.name) if run.name in order else len(order))


def find_runs(folders: Sequence[Path]) -> dict[str, Path]:
    """Return name -> run for runs, or for one folder that holds several; names are as short as tells them apart.

    Raises
    ------
    DataError
        If a folder is no finished run and holds none, or fewer than two runs are found.
    """
    runs: list[Path] = []
    for folder in folders:
        inner = runs_in(folder)
        if not layout.is_finished_run(folder) and not inner:
            raise DataError("no finished run is here", where=folder, hint="Resume it, or name another folder")
        runs += [folder] if layout.is_finished_run(folder) else inner
    if len(runs) < 2:
        raise DataError("at least two runs are needed for a comparison", hint="Name the folders of several runs")
    short = [run.resolve().name for run in runs]
    names = [str(run) if short.count(name) > 1 else name for run, name in zip(runs, short, strict=True)]
    return dict(zip(names, runs, strict=True))


def _read_json(file: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"not readable ({error})", where=file, hint="Choose the folder of a trained run") from error


def _without_nan(value: Any) -> Any:
    """Metrics that do not exist are null in JSON."""
    if isinstance(value, Mapping):
        return {name: _without_nan(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
