"""How well slide labels alone teach each model on the generated cohort: three seeds of three folds, same splits.

    .venv/bin/python studies/demo_cohort.py DEMO_FOLDER

DEMO_FOLDER is what `sam-mil-engine demo -o DEMO_FOLDER` made. Prints the table, and writes it to demo_cohort.md.
Slide-level metrics are over the nine test folds; patch-level AUC is that of attention and of tumour probability
against the true outlines, over all test slides with tumour.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from sam_mil_engine.prediction.comparison import compare_bag
from sam_mil_engine.settings import DemoSettings, ModelSettings
from sam_mil_engine.training.data import load_bags, match_bags
from sam_mil_engine.training.folds import k_fold
from sam_mil_engine.training.labels import read_labels
from sam_mil_engine.training.one_split import train_split

MODELS = {
    "sam-mil": ModelSettings(name="sam-mil", consistency_weight=1000.0),
    "sam-mil, fixed consistency": ModelSettings(name="sam-mil", consistency_weight=1000.0, consistency_patches=0),
    "sam-mil, no consistency": ModelSettings(name="sam-mil", consistency_weight=0.0),
    "abmil": ModelSettings(name="abmil"),
    "mean": ModelSettings(name="mean"),
    "max": ModelSettings(name="max"),
}
FOLDS, REPEATS = 3, 3
COLUMNS = ("model", "AUC", "pooled AUC of each seed", "accuracy", "patch AUC, probability", "patch AUC, attention")


def spread(values: list[float]) -> str:
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}" if values else "none"


def main(folder: Path) -> None:
    demo = DemoSettings()
    cohort = match_bags(read_labels(folder / "labels.csv"), folder / "project")
    bags = load_bags(cohort)
    splits = k_fold(
        cohort.table, folds=FOLDS, repeats=REPEATS, val_fraction=demo.train.val_fraction, seed=demo.train.seed
    )
    lines = [f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    for name, model in MODELS.items():
        start = time.perf_counter()
        settings = demo.train.model_copy(update={"model": model})
        aucs, accuracies, patch_p, patch_a = [], [], [], []
        pooled: dict[int, list[tuple[bool, float]]] = {}
        for split in splits:
            with tempfile.TemporaryDirectory() as run:
                result = train_split(bags, split, cohort.classes, folder=Path(run), settings=settings)
                test = result.metrics["test"]
                aucs.append(test["auc"])
                accuracies.append(test["accuracy"])
                for row in result.predictions.to_dict("records"):
                    tumour = row["label"] == cohort.classes[-1]
                    pooled.setdefault(split.repeat, []).append((tumour, row[f"p_{cohort.classes[-1]}"]))
                    if tumour:
                        outlines = folder / "annotations" / f"{row['slide_id']}.geojson"
                        for found in compare_bag(cohort.paths[row["slide_id"]], outlines, model=run):
                            patch_p.append(found.summary()["probability_auc"])
                            patch_a.append(found.summary()["attention_auc"])
        by_seed = [roc_auc_score(*zip(*rows, strict=True)) for rows in pooled.values()]
        cells = [name, spread(aucs), ", ".join(f"{value:.3f}" for value in by_seed), spread(accuracies)]
        cells += [spread(patch_p), spread([value for value in patch_a if value is not None])]
        lines.append(f"| {' | '.join(cells)} |")
        print(lines[-1], f"({time.perf_counter() - start:.0f} s)", flush=True)
    patches = [len(example.bag) for example in bags.pick(list(cohort.table["slide_id"]))]
    text = (
        f"# The generated cohort\n\n{len(patches)} slides of {min(patches)} to {max(patches)} patches"
        f" ({sum(patches)} in all), {FOLDS} folds x {REPEATS} seeds, identical splits;"
        f" {demo.train.epochs} epochs at most, settings `DemoSettings`. Made by `studies/demo_cohort.py`"
        f" with torch {torch.__version__.split('+')[0]}.\n\n" + "\n".join(lines) + "\n"
    )
    (Path(__file__).parent / "demo_cohort.md").write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
