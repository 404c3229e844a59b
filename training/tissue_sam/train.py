"""Make ``tissue-sam`` from scratch: pictures, training, thresholds, evaluation, and what the gate says.

    .venv/bin/python training/tissue_sam/train.py WORK --data DATA [--minutes 120] [--pictures 1200] [--short]

WORK keeps pictures and checkpoints: a run that was stopped goes on. DATA holds lc25000_colon, slides and glas.
``evaluation.md`` is written beside this file. ``--short`` does the same in small, in WORK alone, without GlaS.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import torch
from cache import make
from card import evaluation_text
from evaluate import evaluate
from fitting import Fitting
from safetensors.torch import save_file
from tissue_encoder import Trunk
from tissue_sam import build_tissue_sam

from sam_mil_engine.features.efficientnet_lite0 import classifier

#: Held-out drawn pictures.
_DRAWN = 16
_SHORT_PICTURES, _SHORT_STEPS = 3, 12


def fitting_in(work: Path, data: Path, *, pictures: int, minutes: float, tiles: int | None = None) -> Fitting:
    """Make the pictures that are missing, and take up the training where it was left."""
    torch.manual_seed(0)
    trunk = Trunk(classifier()).eval()
    make(work, trunk, data, part="train", numbers=range(pictures), tiles=tiles)
    return Fitting(build_tissue_sam(classifier()), work, seconds=60 * minutes)


def full(work: Path, data: Path, *, pictures: int, minutes: float, step: int) -> None:
    """Train, evaluate and write the table."""
    fitting = fitting_in(work, data, pictures=pictures, minutes=minutes)
    fitting.run()
    make(work, Trunk(classifier()).eval(), data, part="val", numbers=range(_DRAWN))
    sam = fitting.averaged()
    write(work / "tissue_sam.safetensors", sam)
    found = evaluate(sam, work, data / "glas", drawn=range(_DRAWN), step=step)
    text = evaluation_text(found, fitting, pictures=len(list(work.glob("train-*.npz"))))
    (Path(__file__).parent / "evaluation.md").write_text(text)
    print(text)


def short(work: Path, data: Path) -> None:
    """Do the same in small, for the tests."""
    fitting = fitting_in(work, data, pictures=_SHORT_PICTURES, minutes=10, tiles=4)
    fitting.run(steps=_SHORT_STEPS)
    write(work / "tissue_sam.safetensors", fitting.averaged())
    (work / "history.json").write_text(json.dumps(fitting.progress.history))


def write(path: Path, sam: torch.nn.Module) -> None:
    """Write the weights in half precision."""
    save_file({name: value.half().contiguous() for name, value in sam.state_dict().items()}, path)


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
