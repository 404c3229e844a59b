"""The maps of the test slides of a run against annotations: a table of slides, and metrics of all."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from .. import layout
from ..annotations.finding import annotation_files
from ..annotations.localisation import (
    MapMetric,
    MapOfSlide,
    find_lesions,
    lesion_scores,
    local_maxima,
    map_metrics,
)
from ..annotations.model import Annotation
from ..annotations.patches import mostly_inside, patch_inside
from ..annotations.reading import read_annotations
from ..bag.h5 import read_bag
from ..bag.place import read_slide_place
from ..errors import DataError
from ..files import atomic_write
from ..progress import Progress, ProgressCallback, notice, silent
from ..tables.cells import listing
from ..tables.writing import csv_records
from ..training.calibration import find_negative
from ..training.checkpoint import TrainedModel, load_model
from ..training.data import match_bags
from ..training.model_folders import find_models
from ..training.run_files import TrainResult
from ..training.summary import scored_of
from .evaluation import place_of_model
from .slide import predict


@dataclass(frozen=True, slots=True)
class Localisation:
    """What the maps of a run find: the metrics of all slides, and one row per slide and fold."""

    metrics: tuple[MapMetric, ...]
    rows: tuple[Mapping[str, Any], ...]

    def plain(self) -> dict[str, dict[str, float | None]]:
        """Return the figures for JSON: name -> value, low, high; None where one is not defined."""
        return {
            one.name: {"value": _number(one.value), "low": _number(one.low), "high": _number(one.high)}
            for one in self.metrics
        }


def bags_of_run(run: TrainResult, bags_dir: str | Path) -> dict[str, Path]:
    """Slide -> bag file, for the predicted slides of a run."""
    labels = run.predictions[["slide_id", "label"]].drop_duplicates("slide_id")
    cohort = match_bags(labels.reset_index(drop=True), bags_dir, classes=run.classes, one_class=True)
    return dict(cohort.paths)


def localise(
    run: TrainResult,
    model_of: Callable[[int, int], TrainedModel],
    bags: Mapping[str, Path],
    annotations: Path,
    *,
    negative: str | None = None,
    progress: ProgressCallback = silent,
) -> Localisation:
    """Compare the maps of the predicted slides of a run with annotations; write both tables into the run.

    Slides of the negative class hold no tumour, with or without a file. Where a file names the positive class,
    only its outlines of that name count.

    Parameters
    ----------
    run
        Its predictions say which slides, and by which fold's model.
    model_of
        Repeat and fold -> model.
    bags
        Slide -> bag file.
    annotations
        Folder with a file per slide, named as the slide.
    negative
        The negative class; found by its name where None.

    Raises
    ------
    DataError
        If no class is known as negative, or no slide of another class has annotations.
    """
    place = find_negative(run.classes, negative)
    if place is None:
        raise DataError(
            f"none of the classes {listing(run.classes)} is known as negative",
            hint="Localisation needs negative slides: name their class",
        )
    files = annotation_files(annotations)
    units = scored_of(run.predictions, run.classes).units
    maps: list[MapOfSlide] = []
    rows: list[dict[str, Any]] = []
    missing: set[str] = set()
    table = run.predictions.assign(unit=list(units))
    for done, row in enumerate(table.to_dict("records")):
        name, is_negative = str(row["slide_id"]), row["label"] == run.classes[place]
        progress(Progress("localise", done, len(table), unit="slides", message=name))
        if name not in files and not is_negative:
            missing.add(name)
            continue
        model = model_of(int(row["repeat"]), int(row["fold"]))
        found = _map_of(row, model, bags[name], None if is_negative else files[name], place)
        maps.append(found)
        rows.append({"repeat": row["repeat"], "fold": row["fold"], **found.row()})
    if not any(len(one.lesions) for one in maps):
        raise DataError(
            "no slide with tumour has annotations",
            where=annotations,
            hint="Name each file after its slide: slide-01.geojson, slide-01.xml",
        )
    if missing:
        progress(notice("localise", f"{len(missing)} slides have no annotations: {listing(sorted(missing))}"))
    result = Localisation(tuple(map_metrics(maps)), tuple(rows))
    _write(run.out_dir, result, missing)
    return result


def _map_of(
    row: Mapping[Any, Any], model: TrainedModel, bag_path: Path, file: Path | None, negative: int
) -> MapOfSlide:
    """Predict one slide and compare its map with the annotation."""
    bag = read_bag(bag_path)
    scores = predict(model, bag)
    p = 1 - scores.patch_probability[:, negative].astype(np.float64)
    shown = next(c for c in range(len(scores.classes)) if c != negative)
    size = np.broadcast_to(np.asarray(bag.attrs["size_px0"], dtype=np.float64), 2)
    step = np.broadcast_to(np.asarray(bag.attrs.get("step_px0", size), dtype=np.float64), 2)
    size_px0, step_px0 = (float(size[0]), float(size[1])), (float(step[0]), float(step[1]))
    mpp = bag.attrs.get("mpp")
    inside, lesions = np.zeros(len(bag), dtype=bool), []
    if file is not None:
        positive = {name.lower() for c, name in enumerate(scores.classes) if c != negative}
        outlines = _of_class(read_annotations(file, info=read_slide_place(bag_path)), positive)
        areas = [one.polygon for one in outlines]
        inside = mostly_inside(patch_inside(bag.coords_px0, size_px0, areas))
        lesions = find_lesions(areas, mpp=None if mpp is None else (float(mpp[0]), float(mpp[1])))
    peaks = local_maxima(bag.coords_px0, step_px0, p)
    return MapOfSlide(
        slide_id=str(row["slide_id"]),
        unit=str(row["unit"]),
        negative=file is None,
        probability=p,
        marked=p >= scores.patch_threshold(shown),
        inside=inside,
        detections=p[peaks],
        lesions=lesion_scores(lesions, bag.coords_px0, size_px0, peaks, p),
    )


def _of_class(annotations: list[Annotation], names: set[str]) -> list[Annotation]:
    """Annotations of one of the positive classes (names in lower case), where there are such; else all."""
    own = [one for one in annotations if one.classification is not None and one.classification.lower() in names]
    return own or annotations


def _write(folder: Path, result: Localisation, missing: set[str]) -> None:
    atomic_write(folder / layout.LOCALISED_SLIDES, csv_records(list(result.rows)))
    content = {"figures": result.plain(), "slides": len(result.rows), "without_annotations": sorted(missing)}
    atomic_write(folder / layout.LOCALISATION, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None


def localise_evaluation(
    run: TrainResult,
    models: str | Path,
    bags: Mapping[str, Path],
    annotations: Path,
    *,
    device: str = "auto",
    progress: ProgressCallback = silent,
) -> Localisation:
    """Compare the maps of an evaluation on other data (:func:`~.evaluation.evaluate_run`) with annotations."""
    loaded = [load_model(folder, device=device) for folder in find_models(models)]
    by_place = {place_of_model(model, number): model for number, model in enumerate(loaded)}
    known = [model.calibration.negative for model in loaded if model.calibration is not None]
    return localise(
        run,
        lambda repeat, fold: by_place[repeat, fold],
        bags,
        annotations,
        negative=known[0] if known else None,
        progress=progress,
    )


def localise_run(
    run: TrainResult,
    bags: Mapping[str, Path],
    annotations: Path,
    *,
    negative: str | None = None,
    device: str = "auto",
    progress: ProgressCallback = silent,
) -> Localisation:
    """Compare the maps that each fold of a run makes of its test slides with annotations."""

    @cache
    def model_of(repeat: int, fold: int) -> TrainedModel:
        return load_model(run.out_dir / layout.fold_folder(repeat, fold), device=device)

    return localise(run, model_of, bags, annotations, negative=negative, progress=progress)
