"""Make the bundled colon classifier: SAM-MIL on slides composed of LC25000 tiles, from slide labels alone.

    .venv/bin/python training/colon_classifier/train.py WORK_FOLDER --data SHARED_DATA

Composes the slides, processes them, trains SAM-MIL and, under the same protocol, AB-MIL and mean pooling; tests all
on slides of photographs that were never seen, beside what colour alone gives; looks at what lies outside; writes
the model, its domain and its card into src/sam_mil_engine/weights/colon, and every figure into WORK_FOLDER.
``--short`` does the same on eight small slides for ten epochs, and writes into WORK_FOLDER alone. In full it
takes about half an hour on two free cores; what is finished in WORK_FOLDER is kept.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from card import write_card
from cohort import SLIDES, make_cohort, process_cohort
from compose import SIDES
from evaluate import colour_figures, patch_figures, slide_figures
from outside import distances, glas_figures, look_outside

from sam_mil_engine.settings import ModelSettings, TrainSettings
from sam_mil_engine.training.checkpoint import load_model, save_model
from sam_mil_engine.training.loop import train
from sam_mil_engine.training.run_files import TrainResult

MODELS = ("sam-mil", "abmil", "mean")
#: The weight that the bundled classifier was trained with.
CONSISTENCY = 1000.0
#: Each model is trained with each seed; that with the lowest validation loss is taken.
SEEDS = (5, 6, 7)
TRAIN = TrainSettings(epochs=120, patience=40, min_epochs=60, classes=("normal", "tumour"))
SHORT_SLIDES = {"train": 4, "val": 2, "test": 2}
SHORT_SIDES = ((800, 1000), (700, 800))
TARGET = Path(__file__).parents[2] / "src" / "sam_mil_engine" / "weights" / "colon"


def train_one(work: Path, labels: Path, settings: TrainSettings, name: str) -> TrainResult:
    """Train one model on the cohort's own split; a finished run is read."""
    run = work / "runs" / f"{name}-{settings.seed}"
    settings = settings.model_copy(update={"model": ModelSettings(name=name, consistency_weight=CONSISTENCY)})
    return train(work / "project" / "bags", labels, run, settings=settings, resume=run.exists())


def metrics_of(work: Path, labels_csv: Path) -> dict[str, Any]:
    """Train every model and return the figures of each on the test slides."""
    labels = pd.read_csv(labels_csv)
    tumour = labels.loc[(labels["split"] == "test") & (labels["label"] == "tumour"), "slide_id"].tolist()
    found: dict[str, Any] = {}
    for name in MODELS:
        tried = [train_one(work, labels_csv, TRAIN.model_copy(update={"seed": seed}), name) for seed in SEEDS]
        taken = min(tried, key=lambda result: float(result.history["val_loss"].min()))
        found[name] = {
            **slide_figures(taken),
            **patch_figures(work, taken.out_dir, tumour),
            "auc of every seed": [result.metrics["auc"] for result in tried],
            "run": taken.out_dir.name,
            **{key: taken.folds[0][key] for key in ("epochs", "best_epoch", "threshold")},
        }
        print(name, found[name], flush=True)
    found["colour alone"] = colour_figures(work, labels)
    print("colour alone", found["colour alone"], flush=True)
    return found


def full(work: Path, shared: Path) -> None:
    """Make what ships."""
    labels_csv = make_cohort(work, shared / "lc25000_colon", slides=SLIDES, sides=SIDES)
    process_cohort(work)
    labels = pd.read_csv(labels_csv)
    metrics: dict[str, Any] = {"models": metrics_of(work, labels_csv)}
    model = replace(load_model(work / "runs" / metrics["models"][MODELS[0]]["run"]), name="colon")
    outside = look_outside(model, shared, work)
    outside.to_csv(work / "outside.csv", index=False)
    metrics |= {"distances": distances(model, work, labels), "glas": glas_figures(outside)}
    _write(work / "figures.json", metrics)
    card = write_card(metrics, labels, outside)
    print(card)
    save_model(TARGET, replace(model, card=card))


def short(work: Path, shared: Path) -> None:
    """Do the same in small, for the tests."""
    labels_csv = make_cohort(work, shared / "lc25000_colon", slides=SHORT_SLIDES, sides=SHORT_SIDES)
    process_cohort(work)
    settings = TRAIN.model_copy(update={"epochs": 10, "seed": SEEDS[0], "device": "cpu"})
    result = train_one(work, labels_csv, settings, MODELS[0])
    model = replace(load_model(result.out_dir), name="colon-short")
    metrics = {**slide_figures(result), "distances": distances(model, work, pd.read_csv(labels_csv))}
    _write(work / "figures.json", metrics)
    save_model(work / "model", replace(model, card="# Short\n\nMade by a test. Not for diagnosis."))


def _write(path: Path, metrics: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder with lc25000_colon, glas, slides, nuclei_lgg"
    )
    parser.add_argument("--short", action="store_true", help="eight small slides, ten epochs")
    chosen = parser.parse_args()
    (short if chosen.short else full)(chosen.work, chosen.data)
