"""Controls of SAM-MIL: the same training where patches are shuffled among segments, on a grid, and without groups.

    .venv/bin/python training/lymph_node/controls.py WORK_FOLDER

WORK_FOLDER is that of `train.py`. Writes the bags of the controls and their runs into WORK_FOLDER/controls.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import torch
from groupings import grid_groups, shuffled
from train import MODEL, SEEDS, TRAIN

from sam_mil_engine.bag import h5
from sam_mil_engine.settings import ModelSettings
from sam_mil_engine.training.loop import train
from sam_mil_engine.training.run_files import TrainResult

_SAM_MIL = MODEL.model_copy(update={"name": "sam-mil"})
#: Control -> its model. Without groups it is AB-MIL with pseudo-bags.
CONTROLS: dict[str, ModelSettings] = {
    "shuffled": _SAM_MIL,
    "grid": _SAM_MIL,
    "no groups": _SAM_MIL.model_copy(update={"groups": False, "mask": "none", "consistency_weight": 0.0}),
}


def bags_of(work: Path, control: str) -> Path:
    """Return the folder of the bags of a control; what is not there yet is written."""
    original = work / "project" / "bags"
    if control == "no groups":
        return original
    folder = work / "controls" / control / "bags"
    folder.mkdir(parents=True, exist_ok=True)
    for number, path in enumerate(sorted(original.glob("*.h5"))):
        target, temporary = folder / path.name, folder / f"{path.name}.part"
        if not target.exists():
            shutil.copy(path, temporary)
            bag, segments = h5.read_bag(path), h5.read_segments(path)
            groups = shuffled(bag.groups, number) if control == "shuffled" else grid_groups(bag)
            with h5.edit_bag(temporary) as file:
                del file["groups"]
                h5.put_groups(file, bag.with_groups(groups), segments)
            temporary.rename(target)
    return folder


def train_control(work: Path, control: str, seed: int) -> TrainResult:
    """Train one control with one seed on the cohort's own split; a finished run is read."""
    run = work / "controls" / "runs" / f"{control.replace(' ', '-')}-{seed}"
    settings = TRAIN.model_copy(update={"seed": seed, "model": CONTROLS[control]})
    bags = bags_of(work, control)
    return train(bags, work / "labels.csv", run, settings=settings, resume=run.exists())


if __name__ == "__main__":
    torch.set_num_threads(1)
    for seed in SEEDS:
        for control in CONTROLS:
            result = train_control(Path(sys.argv[1]), control, seed)
            print(control, seed, result.folds[0]["val"]["auc"], flush=True)
