"""Test every run on the test slides, check the chosen one on real crops, and write model, card and evaluation.md.

    .venv/bin/python training/lymph_node/evaluate.py WORK_FOLDER --data SHARED_DATA

WORK_FOLDER is that of `train.py` and `controls.py`; the seeds that every method has finished count. SHARED_DATA
holds lymph_node, glas and lc25000_colon. The model goes into weights/lymph-node of the engine.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from choice import choices
from controls import CONTROLS, bags_of, train_control
from crops import crop_metrics, read_crops
from maps import SlideMap, TestBag, drawn_slides, map_of, metrics_of_run, read_test_bag, recall_at, with_interval
from rivals import cohort_colours, cohort_features, colour_of_slides, probes, rival_maps
from text import card_text, evaluation_text
from train import METHODS, finished, winner

from sam_mil_engine.training.checkpoint import load_model, save_model
from sam_mil_engine.training.model_folders import bundled_models

HERE = Path(__file__).parent
TARGET = HERE.parents[1] / "src" / "sam_mil_engine" / "weights" / "lymph-node"


def metrics(runs: Sequence[Sequence[SlideMap]]) -> dict[str, dict[str, float]]:
    """Every metric of the runs of one method: mean over them, interval over slides, SD over them."""
    weights = drawn_slides(len(runs[0]))
    found = [metrics_of_run(maps, weights) for maps in runs]
    return {name: with_interval([one[name] for one in found]) for name in found[0]}


def tested(work: Path, table: pd.DataFrame, tests: Sequence[TestBag]) -> dict[str, list[list[SlideMap]]]:
    """Method -> the maps of the test slides by each of its runs."""
    found: dict[str, list[list[SlideMap]]] = {}
    for method in METHODS:
        runs = table.loc[table["method"] == method, "run"]
        models = [load_model(work / "runs" / run, device="cpu") for run in runs]
        found[method] = [[map_of(model, test) for test in tests] for model in models]
        print("tested", method, flush=True)
    return found


def tested_controls(work: Path, slides: Sequence[str], seeds: Sequence[int]) -> dict[str, Any]:
    """Control -> its metrics on the test slides, and its validation AUCs."""
    found: dict[str, Any] = {}
    for control in CONTROLS:
        results = [train_control(work, control, seed) for seed in seeds]
        tests = [read_test_bag(work, name, bags=bags_of(work, control)) for name in slides]
        maps = [[map_of(load_model(result.out_dir, device="cpu"), test) for test in tests] for result in results]
        aucs = [float(result.folds[0]["val"]["auc"]) for result in results]
        found[control] = {"figures": metrics(maps), "val_auc": aucs}
        print("tested", control, flush=True)
    return found


def main(work: Path, data: Path) -> None:
    tiles, crops = (data / "lymph_node" / name for name in ("pcam.zip", "camelyon_crops.zip"))
    labels, table = pd.read_csv(work / "labels.csv"), finished(work)
    method, run = winner(table)
    model = replace(load_model(work / "runs" / run, device="cpu"), name="lymph-node")
    slides = list(labels.loc[labels["split"] == "test", "slide_id"])
    tests = [read_test_bag(work, name) for name in slides]
    maps, shipped = tested(work, table, tests), [map_of(model, test) for test in tests]
    colour, probe = probes(tiles)
    colours = cohort_colours(work, labels)
    by_colour = rival_maps(work, labels, colour, colours, colour_of_slides(colours, labels))
    by_probe = rival_maps(work, labels, probe, cohort_features(work, labels))
    found: dict[str, Any] = {
        "method": method,
        "run": run,
        "methods": {name: metrics(runs) for name, runs in maps.items()},
        "rivals": {"colour alone": metrics([by_colour]), "probe with tile labels": metrics([by_probe])},
        "controls": tested_controls(work, slides, sorted(table["seed"].unique().tolist())),
        "shipped": metrics([shipped]),
        "recall at 2%": {"model": recall_at(shipped, 0.02), "probe": recall_at(by_probe, 0.02)},
        "crops": crop_metrics(read_crops(crops, work), model, colour, probe),
        "share": float(np.concatenate([test.inside for test in tests]).mean()),
        "distances": [model.domain.distance(test.bag.features) for test in tests],
    }
    bundled = [load_model(name, device="cpu") for name in bundled_models() if name != model.name]
    chosen = choices([*bundled, model], work, data).groupby(["what", "meant"], sort=False)["right"]
    found["choices"] = chosen.agg(right="sum", n="size").reset_index().to_dict("records")
    (work / "figures.json").write_text(json.dumps(found, indent=2) + "\n")
    evaluation = evaluation_text(found, table, labels, model)
    (HERE / "evaluation.md").write_text(evaluation)
    save_model(TARGET, replace(model, card=card_text(found, table, labels, model)))
    print(evaluation)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="folder with lymph_node, glas, lc25000_colon")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    main(chosen.work, chosen.data)
