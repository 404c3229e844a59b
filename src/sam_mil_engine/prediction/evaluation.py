"""A trained run on other data: metrics of every fold's model, written as a RUN writes them."""

from __future__ import annotations

import json
from pathlib import Path

from .. import layout
from ..bag.h5 import read_bag
from ..errors import DataError
from ..files import atomic_write
from ..progress import Progress, ProgressCallback, silent
from ..provenance import versions
from ..tables.cells import listing
from ..tables.columns import FOUND_BY_NAME, Columns
from ..training.checkpoint import TrainedModel, load_model
from ..training.data import load_bags, match_bags
from ..training.fitting import evaluate
from ..training.labels import read_labels
from ..training.model_folders import find_models
from ..training.one_split import metrics_of, predictions_of, with_patients_of
from ..training.patient_bags import join_patients
from ..training.run_files import TrainResult, read_run, write_results
from ..training.split_files import read_splits
from .slide import check_bag


def evaluate_run(
    run: str | Path,
    bags_dir: str | Path,
    labels_csv: str | Path,
    out_dir: str | Path,
    *,
    columns: Columns = FOUND_BY_NAME,
    allow_seen: bool = False,
    join_bags: bool = False,
    device: str = "auto",
    progress: ProgressCallback = silent,
) -> TrainResult:
    """Predict labelled slides with every model of a run, and write ``metrics.json`` and ``predictions.csv``.

    Thresholds are those that the training chose. Bags are read in full precision.

    Parameters
    ----------
    run
        A RUN, of one or of several folds, a model folder, or the name of a bundled model.
    bags_dir, labels_csv
        As for :func:`~sam_mil_engine.train`; one class alone will do, then without AUC.
    columns
        Which columns of the labels are meant, where their names do not say it.
    allow_seen
        Do not refuse slides that are called like one the run was trained on.
    join_bags
        Predict all slides of a patient as one bag; the rows of the predictions are patients then.

    Raises
    ------
    DataError
        If a slide was used to train the run, or labels do not fit its classes.
    ModelError
        If a bag is not what the models expect.
    """
    import pandas as pd

    folders, out_dir = find_models(run), Path(out_dir)
    models = [load_model(folder, device=device) for folder in folders]
    first = models[0]
    labels = read_labels(labels_csv, columns=columns, classes=first.classes, progress=progress)
    cohort = match_bags(labels, bags_dir, classes=first.classes, one_class=True, progress=progress)
    if not allow_seen:
        _check_unseen(Path(run), {*cohort.table["slide_id"], *cohort.table.get("patient_id", ())})
    for path in cohort.paths.values():
        check_bag(first, read_bag(path))
    if join_bags:
        cohort = join_patients(cohort, progress=progress)
    bags = load_bags(cohort, device=first.device, progress=progress)
    slides = list(cohort.table["slide_id"])
    folds, tables = [], []
    for done, model in enumerate(models):
        progress(Progress("evaluate", done, len(models), unit="models", message=str(model.path)))
        repeat, fold = place_of_model(model, done)
        found = evaluate(model.model, bags.pick(slides)).at_temperature(model.temperature)
        where = {"repeat": repeat, "fold": fold}
        metrics = metrics_of(found, model.threshold)
        folds.append({**where, "threshold": model.threshold, "val": None, "test": metrics})
        tables.append(
            predictions_of(found, slides, classes=model.classes, threshold=model.threshold, part="test", **where)
        )
    progress(Progress("evaluate", len(models), len(models), unit="models"))
    content = {
        "evaluated": str(run),
        "train": {
            "model": first.settings.model_dump(mode="json"),
            "bags": "patient" if join_bags else "slide",
        },
        "bags": str(bags_dir),
        "labels": str(labels_csv),
        "versions": versions(),
    }
    atomic_write(out_dir / layout.SETTINGS, json.dumps(content, indent=2) + "\n")
    predictions = with_patients_of(cohort.table, pd.concat(tables))
    write_results(out_dir, classes=first.classes, folds=folds, history=pd.DataFrame(), predictions=predictions)
    return read_run(out_dir)


def place_of_model(model: TrainedModel, number: int) -> tuple[int, int]:
    """Repeat and fold of a model of a run; else its number as the fold."""
    return model.split or (0, number)


def _check_unseen(run: Path, slides: set[str]) -> None:
    file = next((file for folder in (run, run.parent) if (file := folder / layout.SPLITS).is_file()), None)
    if file is None:
        return
    seen = {slide_id for split in read_splits(file) for slide_id in (*split.train, *split.val)}
    both = sorted(seen & slides)
    if both:
        raise DataError(
            f"{len(both)} slides were used to train or to validate this run: {listing(both)}",
            where=file,
            hint="Leave them out of the labels; if they are different slides with the same names, use --allow-seen",
            window_hint="Leave them out of the labels",
        )
