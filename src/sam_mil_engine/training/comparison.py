"""Comparison of models on the same slides: metrics, differences, and whether these could be chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from ..files import atomic_write
from ..tables.cells import listing
from ..tables.writing import csv_frame
from .bootstrap import interval, resample, resample_metrics, two_sided
from .delong import delong
from .run_files import TrainResult
from .summary import pool_metrics, scored_of

if TYPE_CHECKING:
    import pandas as pd

_KEYS = ["repeat", "fold", "slide_id"]
#: Columns of ``comparison.csv``: a metric of a model, and its difference from the first model.
COLUMNS = ("figure", "model", "mean", "sd", "pooled", "low", "high",
           "against", "difference", "difference_low", "difference_high", "test", "p")  # fmt: skip
_WORDS = {"figure", "model", "against", "test"}


def compare_runs(runs: Mapping[str, TrainResult]) -> pd.DataFrame:
    """Compare runs on the same folds; every run against the first.

    Parameters
    ----------
    runs
        Name -> run; one at least. The first is what the others are compared with.

    Returns
    -------
    DataFrame
        One row per metric and model, with the columns :data:`COLUMNS`: ``mean`` and ``sd`` over the folds;
        ``pooled`` with its 95% interval ``low``, ``high``; and for every model but the first, the difference of
        the pooled metrics from the first model's with 95% interval and two-sided p-value of a paired bootstrap:
        over slides (test ``bootstrap``), or over patients where one has several slides (``bootstrap over
        patients``). For two classes and one slide per patient, one more row per model (test ``delong``) holds
        DeLong's test of the AUC, on each slide's mean probability over repeats. p-values are not corrected for
        the number of models.

    Raises
    ------
    DataError
        If the runs have not predicted the same slides in the same folds, or the classes or labels differ.
    """
    import pandas as pd

    names = list(runs)
    tables = {name: run.predictions.sort_values(_KEYS, ignore_index=True) for name, run in runs.items()}
    _check_same(runs, tables)
    first = runs[names[0]]
    patients = _patients(tables)
    scored = {name: replace(scored_of(table, first.classes), patients=patients) for name, table in tables.items()}
    by_patient = scored[names[0]].by_patient
    weights = resample(scored[names[0]].units)
    resampled = {name: resample_metrics(value, weights) for name, value in scored.items()}
    pooled = {name: pool_metrics(value) for name, value in scored.items()}
    rows: list[dict[str, object]] = []
    for metric in pooled[names[0]]:
        for name in names:
            low, high = interval(resampled[name][metric])
            row: dict[str, object] = {
                "figure": metric,
                "model": name,
                "mean": runs[name].summary["mean"].get(metric),
                "sd": runs[name].summary["sd"].get(metric),
                "pooled": pooled[name][metric],
                "low": low,
                "high": high,
            }
            if name != names[0]:
                differences = resampled[name][metric] - resampled[names[0]][metric]
                low, high = interval(differences)
                row |= {
                    "against": names[0],
                    "difference": pooled[name][metric] - pooled[names[0]][metric],
                    "difference_low": low,
                    "difference_high": high,
                    "test": "bootstrap over patients" if by_patient else "bootstrap",
                    "p": two_sided(differences),
                }
            rows.append(row)
    if len(first.classes) == 2 and not by_patient:
        rows += [_delong_row(tables, name, names[0], first.classes[-1]) for name in names[1:]]
    # A column of None alone, as the SD of a single fold, would hold no numbers.
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(set(COLUMNS) - _WORDS, float))


def write_comparison(path: Path, table: pd.DataFrame) -> None:
    """Write ``comparison.csv``."""
    atomic_write(path, csv_frame(table))


def _delong_row(tables: Mapping[str, pd.DataFrame], name: str, first: str, positive: str) -> dict[str, object]:
    slides = [tables[key].groupby("slide_id", sort=True) for key in (name, first)]
    ours, theirs = (group[f"p_{positive}"].mean().to_numpy(dtype=np.float64) for group in slides)
    found = delong((slides[0]["label"].first() == positive).to_numpy(dtype=bool), ours, theirs)
    low, high = found.interval
    return {
        "figure": "auc",
        "model": name,
        "pooled": found.first,
        "against": first,
        "difference": found.difference,
        "difference_low": low,
        "difference_high": high,
        "test": "delong",
        "p": found.p,
    }


def _patients(tables: Mapping[str, pd.DataFrame]) -> list[str] | None:
    """Patient of every row; None where no run knows them. Runs may be older than the column."""
    known = {name: list(table["patient_id"]) for name, table in tables.items() if "patient_id" in table}
    if not known:
        return None
    first, patients = next(iter(known.items()))
    for name, others in known.items():
        if others != patients:
            raise DataError(
                f"the patients of the slides are not the same in {name} and {first}",
                hint="Cross-validate the models with the same labels",
            )
    return patients


def _check_same(runs: Mapping[str, TrainResult], tables: Mapping[str, pd.DataFrame]) -> None:
    names: Sequence[str] = list(runs)
    first, table = runs[names[0]], tables[names[0]]
    for name in names[1:]:
        if runs[name].classes != first.classes:
            raise DataError(
                f"the classes are {listing(runs[name].classes)}, but {listing(first.classes)} in {names[0]}",
                where=runs[name].out_dir,
            )
        ours = tables[name]
        if not ours[_KEYS].equals(table[_KEYS]) or not ours["label"].equals(table["label"]):
            raise DataError(
                f"the slides, folds or labels are not those of {names[0]}",
                where=runs[name].out_dir,
                hint="Cross-validate the models in one call, or with the splits.csv of the first: --splits",
                window_hint="Choose runs that were cross-validated together",
            )
