"""Train every method with several seeds on the composed slides, and choose what ships, by validation alone.

    .venv/bin/python training/lymph_node/train.py WORK_FOLDER

WORK_FOLDER is that of `compose.py`. A training that was stopped goes on at its last full epoch, and a finished one
is read. ``--methods`` and ``--seeds`` train a part of them, so that two processes can share the work. Prints the
validation figures of the seeds that every method has finished; `evaluate.py` takes the same.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch

from sam_mil_engine.settings import ModelSettings, TrainSettings, TransmilSettings
from sam_mil_engine.training.loop import train
from sam_mil_engine.training.run_files import TrainResult

METHODS = ("sam-mil", "abmil", "mean", "dtfd", "transmil", "clam-sb", "mhim")
SEEDS = (1, 2, 3, 4, 5)
#: Columns of the table of runs.
COLUMNS = ("method", "seed", "run", "val_auc", "val_loss", "epochs", "best_epoch")
#: Two mean validation AUCs that differ less than this are equal; the lower mean validation loss wins then.
EQUAL = 0.005
#: The same for every method, with the consistency of the bundled weights. 256 wide, and 64 landmarks in TransMIL:
#: what a CPU trains in minutes.
MODEL = ModelSettings(consistency_weight=1000.0, hidden=256, transmil=TransmilSettings(landmarks=64))
TRAIN = TrainSettings(epochs=40, patience=10, min_epochs=15, classes=("normal", "tumour"), device="cpu")


def train_one(work: Path, method: str, seed: int) -> TrainResult:
    """Train one method with one seed on the cohort's own split; a finished run is read."""
    run = work / "runs" / f"{method}-{seed}"
    settings = TRAIN.model_copy(update={"seed": seed, "model": MODEL.model_copy(update={"name": method})})
    return train(work / "project" / "bags", work / "labels.csv", run, settings=settings, resume=run.exists())


def validation_row(result: TrainResult, method: str, seed: int) -> dict[str, object]:
    """AUC and loss of the validation slides with the weights that were kept."""
    fold, history = result.folds[0], result.history
    if "stage" in history:
        history = history[history["stage"] == history["stage"].iloc[-1]]
    return {
        "method": method,
        "seed": seed,
        "run": result.out_dir.name,
        "val_auc": fold["val"]["auc"],
        "val_loss": float(history["val_loss"].min()),
        "epochs": fold["epochs"],
        "best_epoch": fold["best_epoch"],
    }


def finished(work: Path) -> pd.DataFrame:
    """Validation rows of the seeds that every method has finished."""
    rows = []
    for path in sorted((work / "runs").glob("*/metrics.json")):
        method, seed = path.parent.name.rsplit("-", 1)
        rows.append(validation_row(train_one(work, method, int(seed)), method, int(seed)))
    table = pd.DataFrame(rows, columns=COLUMNS)
    whole = table.groupby("seed")["method"].nunique() == len(METHODS)
    return table[table["seed"].isin(whole.index[whole])].reset_index(drop=True)


def winner(table: pd.DataFrame) -> tuple[str, str]:
    """Method and run that ship: the highest mean validation AUC, of equal ones the lowest mean validation loss.

    Of the method's runs it is that with the lowest validation loss. The rule was written before any training.
    """
    means = table.groupby("method")[["val_auc", "val_loss"]].mean()
    equal = means[means["val_auc"] >= means["val_auc"].max() - EQUAL]
    method = str(equal["val_loss"].idxmin())
    own = table[table["method"] == method]
    return method, str(own.loc[own["val_loss"].idxmin(), "run"])


def main(work: Path, methods: Sequence[str], seeds: Sequence[int]) -> None:
    for seed in seeds:
        for method in methods:
            print(validation_row(train_one(work, method, seed), method, seed), flush=True)
    table = finished(work)
    if len(table):
        print(table.groupby("method")[["val_auc", "val_loss"]].agg(["mean", "std"]).round(4))
        print(f"ships, by {table['seed'].nunique()} seeds:", *winner(table))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=METHODS)
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    main(chosen.work, chosen.methods, chosen.seeds)
