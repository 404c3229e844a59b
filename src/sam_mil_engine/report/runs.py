"""What a RUN folder says: metrics, training curves, predictions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import layout
from ..errors import DataError
from ..tables.reading import read_frame
from .charts import Chart, Series
from .content import Cell, Column, Metric, ModelMetrics, PredictionRow, Table
from .tables import METRIC_NAMES, number

if TYPE_CHECKING:
    import pandas as pd

    from ..training.run_files import TrainResult


def model_name(settings: Mapping[str, Any]) -> str:
    """Return ``sam-mil`` or ``abmil+groups`` from the content of a run's ``settings.json``."""
    model = settings.get("train", {}).get("model", {})
    return f"{model.get('name', 'model')}{'+groups' if model.get('groups') else ''}"


def bags_are_patients(settings: Mapping[str, Any]) -> bool:
    """Whether the bags of a run, by its ``settings.json``, are patients and not slides."""
    return bool(settings.get("train", {}).get("bags") == "patient")


def read_settings(folder: Path) -> dict[str, Any]:
    """Read ``settings.json``; raises :class:`DataError` where it is not readable."""
    file = folder / layout.SETTINGS
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"not readable ({error})", where=file, hint="Copy the folder again") from error


def flat(values: Mapping[str, Any], *, prefix: str = "") -> tuple[tuple[str, str], ...]:
    """Nested settings as (``train.model.name``, text) rows."""
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            rows += flat(value, prefix=f"{prefix}{name}.")
        else:
            text = (
                ", ".join(map(str, value))
                if isinstance(value, Sequence) and not isinstance(value, str)
                else str(value)
            )
            rows.append((f"{prefix}{name}", "–" if value is None else text))
    return tuple(rows)


def metrics_of(name: str, run: TrainResult) -> ModelMetrics:
    """Mean and deviation over the folds, on test slides, or on validation slides where there is no test part.

    With one fold, its 95% interval instead of a deviation.
    """
    folds = [fold["test"] if fold["test"] is not None else fold["val"] for fold in run.folds]
    names = list(dict.fromkeys(metric for fold in folds for metric in fold))
    values = {metric: [np.nan if fold.get(metric) is None else fold[metric] for fold in folds] for metric in names}
    order = sorted(names, key=lambda metric: (metric != "auc", metric != "accuracy", names.index(metric)))
    if len(folds) > 1:
        return ModelMetrics(name, tuple((metric, Metric.of(values[metric])) for metric in order))
    pooled = run.summary["pooled"]
    return ModelMetrics(
        name,
        tuple((metric, replace(Metric.of(values[metric]), interval=_interval(pooled[metric]))) for metric in order),
    )


def _interval(pooled: Mapping[str, float | None]) -> tuple[float, float] | None:
    low, high = pooled["low"], pooled["high"]
    return None if low is None or high is None else (low, high)


def predictions_of(run: TrainResult) -> tuple[PredictionRow, ...]:
    """Every unseen slide of every fold."""
    positive = run.classes[-1]
    several = len(run.folds) > 1
    return tuple(
        PredictionRow(
            slide_id=str(row["slide_id"]),
            label=str(row["label"]),
            probability=float(row[f"p_{positive}"]),
            predicted=str(row["predicted"]),
            positive=positive,
            run=f"repeat {row['repeat']}, fold {row['fold']}" if several else "",
        )
        for row in run.predictions.to_dict("records")
    )


def compare_charts(runs: Mapping[str, TrainResult]) -> tuple[Chart, ...]:
    """Draw validation loss and AUC of several models, the mean over the folds of each."""
    wanted = {"val_loss": ("Validation loss", "loss", None), "val_auc": ("Validation AUC", "AUC", (0.0, 1.0))}
    known = {name: run.history for name, run in runs.items() if "epoch" in run.history}
    charts = []
    for column, (title, label, limits) in wanted.items():
        means = {name: history.groupby("epoch")[column].mean() for name, history in known.items()}
        series = tuple(
            Series(name, ((mean.index.to_numpy(dtype=np.float64) + 1, mean.to_numpy(dtype=np.float64)),))
            for name, mean in means.items()
        )
        if series:
            charts.append(Chart(title, series, y_label=label, y_limits=limits))
    return tuple(charts)


def differences_table(file: Path) -> Table | None:
    """Return the differences that ``comparison.csv`` holds; None where there is no such file, or no difference."""
    if not file.is_file():
        return None
    try:
        table = read_frame(file, text=("figure", "model"))
        rows = [
            (
                Cell(METRIC_NAMES.get(row["figure"], row["figure"]), row["figure"]),
                Cell(row["model"], row["model"]),
                Cell(row["against"], row["against"]),
                Cell(
                    f"{row['difference']:+.3f} ({row['difference_low']:+.3f} to {row['difference_high']:+.3f})",
                    float(row["difference"]),
                ),
                number(float(row["p"])),
                Cell({"delong": "DeLong"}.get(row["test"], row["test"]), row["test"]),
            )
            for row in table[table["test"].notna()].to_dict("records")
        ]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"not readable ({error})", where=file, hint="Create it again: compare-models") from error
    columns = (
        Column("Metric", numeric=False),
        Column("Model", numeric=False),
        Column("Against", numeric=False),
        Column("Difference", help="of the pooled metrics, with its 95% interval"),
        Column("p", help="two-sided, not corrected for the number of models"),
        Column(
            "Test",
            help="paired bootstrap over slides (over patients where one has several), or DeLong's test of the AUC",
            numeric=False,
        ),
    )
    note = "Pooled: all predictions of all folds together, each classified with the threshold of its fold."
    return Table("Differences between models", columns, tuple(rows), note=note) if rows else None


def make_charts(history: pd.DataFrame) -> tuple[Chart, ...]:
    """Training loss with its terms, validation loss, validation AUC, over the epochs; one line per fold."""
    if history.empty or "epoch" not in history:
        return ()
    terms = [name for name in history if str(name).startswith("train_") and name != "train_loss"]
    wanted = ["train_loss", *terms] if len(terms) > 1 else ["train_loss"]
    charts = [
        Chart("Training loss and its weighted terms", _series(history, wanted), y_label="loss"),
        Chart("Validation loss", _series(history, ["val_loss"]), y_label="loss"),
        Chart("Validation AUC", _series(history, ["val_auc"]), y_label="AUC", y_limits=_auc_limits(history)),
    ]
    return tuple(chart for chart in charts if chart.series)


def _auc_limits(history: pd.DataFrame) -> tuple[float, float]:
    lowest = history["val_auc"].min() if "val_auc" in history else 1.0
    return (0.5, 1.0) if not lowest < 0.5 else (0.0, 1.0)


def _series(history: pd.DataFrame, columns: Sequence[Any]) -> tuple[Series, ...]:
    by = [name for name in ("repeat", "fold") if name in history]
    runs = [rows for _, rows in history.groupby(by)] if by else [history]
    names = {"train_loss": "total", "val_loss": "validation loss", "val_auc": "validation AUC"}
    return tuple(
        Series(
            names.get(column, str(column).removeprefix("train_").replace("_", " ")),
            # Epochs are counted from 0 in the file, from 1 for people.
            tuple(
                (rows["epoch"].to_numpy(dtype=np.float64) + 1, rows[column].to_numpy(dtype=np.float64))
                for rows in runs
            ),
        )
        for column in columns
        if column in history
    )
