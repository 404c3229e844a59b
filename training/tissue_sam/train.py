"""Make ``tissue-sam`` from scratch: pictures, training, thresholds, evaluation, and what the gate says.

    .venv/bin/python training/tissue_sam/train.py WORK --data DATA [--minutes 120] [--pictures 1200] [--short]

WORK keeps pictures and checkpoints: a run that was stopped goes on. DATA holds lc25000_colon, slides and glas.
``evaluation.md`` is written beside this file, and weights that pass the gate into the package. ``--short`` does the
same in small, in WORK alone, without GlaS.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import torch
from automatic_masks import settings
from balance import balance
from cache import make
from card import card_text, evaluation_text, how_trained
from evaluate import drawn_things, evaluate
from fitting import Fitting
from safetensors.torch import save_file

from sam_mil_engine.features.efficientnet_lite0 import classifier
from sam_mil_engine.segment.tissue_sam.bundle import CARD, GRID, WEIGHTS, folder
from sam_mil_engine.segment.tissue_sam.encoder import Trunk
from sam_mil_engine.segment.tissue_sam.model import build_tissue_sam
from sam_mil_engine.settings import SegmentSettings

#: Held-out drawn pictures: on the first the model is asked, the others choose offsets and thresholds.
_ASKED, _CALIBRATING = range(16), range(16, 32)
_SHORT_IMAGES, _SHORT_STEPS = 3, 12
#: Settings that are chosen for the model and stored with it.
_GRID = ("points_per_side", "crop_n_layers", "pred_iou_thresh", "stability_score_thresh")


def fitting_in(work: Path, data: Path, *, pictures: int, minutes: float, tiles: int | None = None) -> Fitting:
    """Make the pictures that are missing, and take up the training where it was left."""
    torch.manual_seed(0)
    trunk = Trunk(classifier()).eval()
    make(work, trunk, data, part="train", numbers=range(pictures), tiles=tiles)
    return Fitting(build_tissue_sam(classifier()), work, seconds=60 * minutes)


def full(work: Path, data: Path, *, pictures: int, minutes: float, step: int) -> None:
    """Train, evaluate, write the table; where the gate for prompts is passed, the weights go into the package."""
    fitting = fitting_in(work, data, pictures=pictures, minutes=minutes)
    fitting.run()
    make(work, Trunk(classifier()).eval(), data, part="val", numbers=[*_ASKED, *_CALIBRATING])
    sam = fitting.averaged()
    moved = balance(sam, [drawn_things(work, number) for number in _CALIBRATING])
    found = evaluate(sam, work, data / "glas", asked=_ASKED, calibrating=_CALIBRATING, step=step)
    told = how_trained(fitting, pictures=len(list(work.glob("train-*.npz"))), moved=moved)
    text = evaluation_text(found, told)
    (Path(__file__).parent / "evaluation.md").write_text(text)
    bundle(folder() if found.answers_prompts else work, sam, found.settings, card_text(found, told))
    print(text)


def short(work: Path, data: Path) -> None:
    """Do the same in small, for the tests."""
    fitting = fitting_in(work, data, pictures=_SHORT_IMAGES, minutes=10, tiles=4)
    fitting.run(steps=_SHORT_STEPS)
    sam = fitting.averaged()
    moved = balance(sam, [drawn_things(work, number, part="train") for number in range(2)])
    bundle(work, sam, settings(0.3, 0.5), f"# Trained for {_SHORT_STEPS} steps, moved by {moved}\n")
    (work / "history.json").write_text(json.dumps(fitting.progress.history))


def bundle(target: Path, sam: torch.nn.Module, grid: SegmentSettings, card: str) -> None:
    """Write what the package needs: the weights in half precision, grid and thresholds, the card."""
    target.mkdir(parents=True, exist_ok=True)
    save_file({name: value.half().contiguous() for name, value in sam.state_dict().items()}, target / WEIGHTS)
    chosen = {name: getattr(grid, name) for name in _GRID}
    (target / GRID).write_text(json.dumps(chosen, indent=2) + "\n")
    (target / CARD).write_text(card)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=120, help="of processor time")
    parser.add_argument("--pictures", type=int, default=1200)
    parser.add_argument("--step", type=int, default=4, help="of how many images of GlaS one is taken")
    parser.add_argument("--short", action="store_true", help="three pictures, twelve steps")
    chosen = parser.parse_args()
    torch.set_num_threads(1)  # the pictures of a step are shared out between threads
    torch.set_flush_denormal(True)  # the backward of a softmax is six times slower with them
    cv2.setNumThreads(1)
    if chosen.short:
        short(chosen.work, chosen.data)
    else:
        full(chosen.work, chosen.data, pictures=chosen.pictures, minutes=chosen.minutes, step=chosen.step)
