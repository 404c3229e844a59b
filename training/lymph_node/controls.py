"""Controls of SAM-MIL: the same training where patches are shuffled among segments, on a grid, and without groups.

    .venv/bin/python training/lymph_node/controls.py WORK_FOLDER

WORK_FOLDER is that of `train.py`. Writes the bags of the controls and their runs into WORK_FOLDER/controls.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from compose import PROCESS
from tiles import SIDE
from train import MODEL, SEEDS, TRAIN

from sam_mil_engine.bag import h5
from sam_mil_engine.bag.feature_bag import FeatureBag
from sam_mil_engine.segment.groups import Groups
from sam_mil_engine.segment.membership import smallest_group
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
            groups = _shuffled(bag.groups, number) if control == "shuffled" else _grid(bag)
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


def _shuffled(groups: Groups, seed: int) -> Groups:
    """The same segments with the patches of the slide shuffled among them."""
    order = np.random.default_rng(seed).permutation(len(groups.group_of_patch)).astype(np.int32)
    moved = [np.sort(order[groups.patches(group)]) for group in range(len(groups))]
    of_patch = np.empty_like(groups.group_of_patch)
    of_patch[order] = groups.group_of_patch
    return Groups(
        indptr=groups.indptr,
        indices=np.concatenate(moved),
        area_raster=groups.area_raster,
        area_um2=groups.area_um2,
        group_of_patch=of_patch,
        segment_of_group=groups.segment_of_group,
    )


def _grid(bag: FeatureBag) -> Groups:
    """Squares of patches at the four depths of the segments, as many as its cut has regions, or a few less."""
    groups = bag.groups
    per_patch = float(np.median(groups.area_raster / groups.sizes))
    cells = bag.coords_px0 // SIDE
    members: list[npt.NDArray[np.int64]] = []
    for count in PROCESS.segments.cuts:
        cell = next(cell for cell in map(_squares(cells), range(1, 1000)) if cell.max() < count)
        members += [np.flatnonzero(cell == number) for number in range(cell.max() + 1)]
    sizes = np.array([len(own) for own in members])
    indices = np.concatenate(members).astype(np.int32)
    area = sizes * per_patch
    return Groups(
        indptr=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        indices=indices,
        area_raster=area,
        area_um2=np.full(len(members), np.nan),
        group_of_patch=smallest_group(area, sizes, indices, len(bag)),
        segment_of_group=np.zeros(len(members), dtype=np.int32),
    )


def _squares(cells: npt.NDArray[np.int32]) -> Callable[[int], npt.NDArray[np.int64]]:
    """Side in patches -> (N,) number of the square of each patch."""
    return lambda side: np.unique(cells // side, axis=0, return_inverse=True)[1].ravel()


if __name__ == "__main__":
    torch.set_num_threads(1)
    for seed in SEEDS:
        for control in CONTROLS:
            result = train_control(Path(sys.argv[1]), control, seed)
            print(control, seed, result.folds[0]["val"]["auc"], flush=True)
