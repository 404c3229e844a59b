"""Calibrate a bundled classifier on the validation slides of its own training, without training it again.

    .venv/bin/python training/calibrate.py demo WORK_FOLDER
    .venv/bin/python training/calibrate.py colon WORK_FOLDER

WORK_FOLDER is that of `training/demo_classifier/train.py` or `training/colon_classifier/train.py`: slides, labels,
annotations and bags. The split is drawn as the training drew it. The weights stay as they are; model.json gets the
calibration, and the card a section with the metrics on test slides. Nothing is written where the metrics of the
test slides are not those of the card (0.005, a pair of slides or two): then the bags are not those of the training.
"""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score

from sam_mil_engine.annotations.patches import patch_inside
from sam_mil_engine.annotations.reading import read_annotations
from sam_mil_engine.bag.h5 import read_bag, read_grid
from sam_mil_engine.bag.place import read_slide_place
from sam_mil_engine.prediction.slide import predict
from sam_mil_engine.settings import TrainSettings
from sam_mil_engine.training.calibration import calibrate_patches, fit_temperature
from sam_mil_engine.training.checkpoint import TrainedModel, load_model, save_model
from sam_mil_engine.training.data import LoadedBags, load_bags, match_bags
from sam_mil_engine.training.fitting import evaluate
from sam_mil_engine.training.folds import Split, from_column, holdout
from sam_mil_engine.training.labels import read_labels
from sam_mil_engine.training.metrics import choose_threshold

WEIGHTS = Path(__file__).parents[1] / "src" / "sam_mil_engine" / "weights"
HEADING = "## Patch probabilities"


def split_of(name: str, table: pd.DataFrame) -> Split:
    """As the training script of the model divides its slides."""
    sys.path.insert(0, str(Path(__file__).parent / f"{name}_classifier"))
    settings: TrainSettings = import_module("train").TRAIN
    if "split" in table:
        return from_column(table, val_fraction=settings.val_fraction, seed=settings.seed)
    fractions = {"val_fraction": settings.val_fraction, "test_fraction": settings.test_fraction}
    return holdout(table, **fractions, seed=settings.seed)


def calibrated(model: TrainedModel, bags: LoadedBags, slides: tuple[str, ...]) -> TrainedModel:
    """Temperature, threshold and patches from the validation slides."""
    examples = bags.pick(slides)
    val = evaluate(model.model, examples)
    temperature = fit_temperature(val.probabilities, val.labels)
    threshold = choose_threshold(val.labels, val.at_temperature(temperature).probabilities[:, 1])
    patches = calibrate_patches(model.model, examples, model.classes, negative=0)
    return replace(model, temperature=temperature, threshold=threshold, calibration=patches)


def metrics(model: TrainedModel, work: Path, table: pd.DataFrame, *, fixed: float | None = None) -> list[float]:
    """Normal tissue marked, precision, recall, Brier score, patch AUC and average precision on these slides."""
    p, marked, truth, normal, ranks = [], [], [], [], []
    for row in table.to_dict("records"):
        path = work / "project" / "bags" / f"{row['slide_id']}.h5"
        scores, file = predict(model, read_bag(path)), work / "annotations" / f"{row['slide_id']}.geojson"
        own, cut = scores.patch_probability[:, 1], scores.patch_threshold(1) if fixed is None else fixed
        inside = np.zeros(len(own), dtype=bool)
        if file.exists() and row["label"] == model.classes[1]:
            areas = [outline.polygon for outline in read_annotations(file, info=read_slide_place(path))]
            inside = patch_inside(scores.coords_px0, read_grid(path).size_px0, areas) >= 0.5
        if inside.any() and not inside.all():
            ranks.append((roc_auc_score(inside, own), average_precision_score(inside, own)))
        p, marked, truth = [*p, own], [*marked, own >= cut], [*truth, inside]
        normal.append(np.full(len(own), row["label"] == model.classes[0]))
    p, marked, truth, normal = (np.concatenate(part) for part in (p, marked, truth, normal))
    found = [marked[normal].mean(), truth[marked & ~normal].mean(), marked[truth].mean(), ((p - truth) ** 2).mean()]
    return [float(value) for value in (*found, *np.mean(ranks, axis=0))]


def section(model: TrainedModel, before: list[float], after: list[float], half: list[float]) -> str:
    """What the card says of the patches."""
    calibration = model.calibration
    names = ("normal tissue marked", "precision on slides with tumour", "recall of tumour patches", "Brier score",
             "patch AUC, mean over slides", "average precision, mean over slides")  # fmt: skip
    rows = "\n".join(
        f"| {name} | {one:.3f} | {two:.3f} | {three:.3f} |"
        for name, one, two, three in zip(names, before, half, after, strict=True)
    )
    return f"""{HEADING}

Calibrated on the {calibration.slides} validation slides, by slide labels alone
(`training/calibrate.py`); temperature of the slide probability {model.temperature:.2f}. Metrics of the test slides
against the true outlines; the operating point is the score that at most 1% of the patches of negative validation
slides reach.

| | raw, at 0.5 | calibrated, at 0.5 | calibrated, at the operating point |
|---|---|---|---|
{rows}
"""


def main(name: str, work: Path) -> None:
    model = load_model(WEIGHTS / name, device="cpu")
    cohort = match_bags(read_labels(work / "labels.csv"), work / "project", classes=model.classes)
    split, bags = split_of(name, cohort.table), load_bags(cohort)
    test = cohort.table[cohort.table["slide_id"].isin(split.test)]
    found = evaluate(model.model, bags.pick(split.test))
    auc = roc_auc_score(found.labels, found.probabilities[:, 1])
    said = float(re.search(r"slide AUC[^|]*\|\s*([0-9.]+)", model.card)[1])
    print(f"slide AUC {auc:.3f}, the card says {said:.3f}")
    if abs(auc - said) > 0.005:
        raise SystemExit("these are not the bags of the training: nothing is written")
    new = calibrated(model, bags, split.val)
    raw = replace(model, temperature=1.0, calibration=None)
    text = section(
        new, metrics(raw, work, test, fixed=0.5), metrics(new, work, test), metrics(new, work, test, fixed=0.5)
    )
    print(text)
    body = model.card.split(HEADING)[0].rstrip()
    body = re.sub(r"threshold [0-9.]+ from validation", f"threshold {new.threshold:.3f} from validation", body)
    save_model(WEIGHTS / name, replace(new, card=f"{body}\n\n{text}"))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
