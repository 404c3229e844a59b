"""Predictions of patients: those of their slides joined, by maximum or mean (methods §5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .. import layout
from ..errors import DataError
from ..files import atomic_write
from ..tables.cells import listing
from ..tables.writing import csv_frame
from .metrics import compute_metrics, predicted_classes
from .run_files import TrainResult, write_metrics
from .summary import scored_of, summarise

if TYPE_CHECKING:
    import pandas as pd

Join = Literal["max", "mean"]


def at_patient_level(run: TrainResult, *, join: Join = "max") -> TrainResult:
    """Return a run whose predictions are those of patients, ``slide_id`` being the patient.

    Of two classes, a patient's probability of the last one is the largest or the mean of its slides, and a patient
    with a slide of that class is of that class. Of more classes, every class's probability is joined so and then
    divided by their sum, and the slides of a patient must be of one class. Each fold's threshold stays that of its
    validation slides: by ``max`` more patients reach it than slides do.

    Raises
    ------
    DataError
        If the patients are not known, or slides of a patient are of different classes beyond two.
    """
    if "patient_id" not in run.predictions:
        raise DataError(
            "the patients of the slides are not known",
            where=run.out_dir,
            hint="Add the column patient_id to the labels, and evaluate again",
        )
    thresholds = {(fold["repeat"], fold["fold"]): float(fold["threshold"]) for fold in run.folds}
    table = _joined(run, thresholds, join)
    folds = [{**fold, "val": None, "test": _metrics(table, fold, run)} for fold in run.folds]
    summary = {**summarise(folds, table, run.classes), "part": run.summary["part"]}
    summary["bootstrap"] = {**summary["bootstrap"], "over": "patients"}
    return replace(run, folds=tuple(folds), predictions=table, summary=summary)


def labels_of_patients(table: pd.DataFrame, classes: Sequence[str]) -> dict[str, str]:
    """Return patient -> class: the last class of two where a slide is of it; of more, that of all its slides.

    Raises
    ------
    DataError
        If slides of a patient are of different classes beyond two.
    """
    place = {name: number for number, name in enumerate(classes)}
    found, mixed = {}, []
    for patient, labels in table.groupby("patient_id", sort=True)["label"]:
        of_slides = sorted(set(labels), key=lambda name: place[name])
        if len(of_slides) > 1 and len(classes) > 2:
            mixed.append(str(patient))
        found[str(patient)] = str(of_slides[-1])
    if mixed:
        raise DataError(f"the slides of {len(mixed)} patients are of several classes: {listing(mixed)}")
    return found


def write_patients(run: TrainResult, *, join: Join) -> None:
    """Write the predictions and metrics of patients next to those of the slides of a run."""
    atomic_write(run.out_dir / layout.PATIENTS, csv_frame(run.predictions))
    content = {"classes": list(run.classes), "level": "patient", "join": join, **run.summary, "folds": run.folds}
    write_metrics(run.out_dir / layout.PATIENT_METRICS, content)


def _joined(run: TrainResult, thresholds: Mapping[tuple[int, int], float], join: Join) -> pd.DataFrame:
    import pandas as pd

    columns = [f"p_{name}" for name in run.classes]
    labels = labels_of_patients(run.predictions, run.classes)
    rows: list[dict[str, Any]] = []
    for _, slides in run.predictions.groupby(["repeat", "fold", "patient_id"], sort=True):
        first = slides.iloc[0]
        repeat, fold, patient = int(first["repeat"]), int(first["fold"]), str(first["patient_id"])
        p = slides[columns].to_numpy(dtype=np.float64)
        joined = p.max(axis=0) if join == "max" else p.mean(axis=0)
        if len(run.classes) == 2:
            joined = np.array([1 - joined[1], joined[1]])
        joined = joined / joined.sum()
        called = int(predicted_classes(joined[None], threshold=thresholds[repeat, fold])[0])
        rows.append(
            {
                "slide_id": patient,
                "label": labels[patient],
                "repeat": repeat,
                "fold": fold,
                "split": first["split"],
                **dict(zip(columns, joined.tolist(), strict=True)),
                "predicted": run.classes[called],
                "patient_id": patient,
                "slides": len(slides),
            }
        )
    return pd.DataFrame(rows)


def _metrics(table: pd.DataFrame, fold: Mapping[str, Any], run: TrainResult) -> dict[str, float]:
    own = scored_of(table[(table["repeat"] == fold["repeat"]) & (table["fold"] == fold["fold"])], run.classes)
    return compute_metrics(own.labels, own.probabilities, predicted=own.predicted)
