"""Train ``tissue-sam`` further on real masks, composites and drawn tissue: images, training, calibration.

    .venv/bin/python training/tissue_sam/train.py WORK --data DATA [--minutes 120] [--images 400] [--short]

It starts from the weights that ship. WORK keeps images and checkpoints: a run that was stopped goes on. DATA holds
tissue_masks, lymph_node, lc25000_colon and slides. Weights, thresholds and ``training.md`` are written into WORK;
``evaluate.py`` compares them, and ``ship.py`` puts them into the package. ``--short`` does the same in small, from
random weights.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import torch
from cache import make
from calibrate import Line, calibrate, settings, thresholds
from examples import VALIDATION, Example
from fitting import Fitting
from safetensors.torch import save_file
from samples import Samples
from training_text import training_text

from sam_mil_engine.features.efficientnet_lite0 import classifier
from sam_mil_engine.segment.tissue_sam.bundle import GRID, WEIGHTS
from sam_mil_engine.segment.tissue_sam.model import build_tissue_sam, load_tissue_sam
from sam_mil_engine.settings import SegmentSettings

_SHORT_IMAGES, _SHORT_STEPS = 3, 12
#: Sets by which predicted IoU and thresholds are calibrated, and how many images of each.
_CALIBRATED_BY = {"EBHI-Seg": 6, "BCSS": 1, "glomeruli": 2, "oral carcinoma": 1, "composites of PCam": 2}
#: Of these images every second chooses the thresholds.
_CHOOSING = slice(0, None, 2)
#: Settings that are chosen for the model and stored with it.
_GRID = ("points_per_side", "crop_n_layers", "pred_iou_thresh", "stability_score_thresh")


def held_out(data: Path) -> list[Example]:
    """Images of no part of the training by which the model is calibrated."""
    return [one for name, count in _CALIBRATED_BY.items() for one in VALIDATION[name](data)[:count]]


def full(work: Path, data: Path, *, images: int, minutes: float) -> None:
    """Train, calibrate, and write what the package needs."""
    torch.manual_seed(0)
    make(work, data, part="train", numbers=range(images))
    fitting = Fitting(load_tissue_sam(device="cpu"), Samples(data, work), work, seconds=60 * minutes)
    fitting.run()
    finish(work, data, fitting)


def finish(work: Path, data: Path, fitting: Fitting) -> None:
    """Calibrate the averaged weights and write them."""
    sam, examples = fitting.averaged(), held_out(data)
    lines = calibrate(sam, examples)
    grid, table = thresholds(sam, examples[_CHOOSING])
    bundle(work, sam, grid)
    images = len(list(work.glob("train-?????.npz")))
    (work / "training.md").write_text(training_text(fitting.progress, lines, grid, table, images=images))


def short(work: Path, data: Path) -> None:
    """Do the same in small, for the tests: from random weights, calibrated by one image."""
    torch.manual_seed(0)
    make(work, data, part="train", numbers=range(_SHORT_IMAGES), tiles=4)
    samples = Samples(data, work, most=2)
    fitting = Fitting(build_tissue_sam(classifier()), samples, work, seconds=600, warm=1)
    losses = [fitting.loss(_SHORT_IMAGES)]
    fitting.run(steps=_SHORT_STEPS)
    losses.append(fitting.loss(_SHORT_IMAGES))
    sam = fitting.averaged()
    lines: list[Line] = calibrate(sam, VALIDATION["glomeruli"](data)[:1])
    bundle(work, sam, settings(0.3, 0.5))
    found = {"history": fitting.progress.history, "losses": losses, "lines": lines}
    (work / "history.json").write_text(json.dumps(found))


def bundle(target: Path, sam: torch.nn.Module, grid: SegmentSettings) -> None:
    """Write the weights in half precision, grid and thresholds."""
    save_file({name: value.half().contiguous() for name, value in sam.state_dict().items()}, target / WEIGHTS)
    chosen = {name: getattr(grid, name) for name in _GRID}
    (target / GRID).write_text(json.dumps(chosen, indent=2) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=120, help="of processor time")
    parser.add_argument("--images", type=int, default=400, help="drawn, composed and taught")
    parser.add_argument("--short", action="store_true", help="three images, twelve steps")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)  # the backward of a softmax is six times slower with them
    cv2.setNumThreads(1)
    if chosen.short:
        short(chosen.work, chosen.data)
    else:
        full(chosen.work, chosen.data, images=chosen.images, minutes=chosen.minutes)
